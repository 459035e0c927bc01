package fans

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// SyncKind is the kind of the job that makes our fans those of the platform.
const SyncKind = "fans.sync"

const (
	// syncSlice is how many fans a step takes, so that its transaction stays short.
	syncSlice = 2_000
	// clockSkew is by how much the platform's clock and ours may differ. What happened less than that before a page was asked for may have
	// happened after it.
	clockSkew = time.Minute
	// maxRestarts is how often a list is begun anew because the platform has forgotten where we were.
	maxRestarts = 3
)

// syncPhase is what a synchronisation is at. The names are stored.
type syncPhase string

// The phases, in their order.
const (
	phaseList      syncPhase = "list"      // who is on the platform's list of fans
	phaseInfo      syncPhase = "info"      // who they are
	phaseGone      syncPhase = "gone"      // who follows as far as we know and is not on the list: asked one by one
	phaseBlacklist syncPhase = "blacklist" // who is on the blacklist
	phaseFreed     syncPhase = "freed"     // who was and is not any more
	phaseDone      syncPhase = "done"
)

// syncCursor is how far a synchronisation has come: the job's cursor, as JSON.
type syncCursor struct {
	Phase    syncPhase `json:"phase"`
	After    string    `json:"after,omitempty"`    // the platform's cursor of the page that is being worked through
	FanID    int64     `json:"fan_id,omitempty"`   // the last fan that was worked through
	Listed   int64     `json:"listed,omitempty"`   // different fans on the list so far
	Counted  int64     `json:"counted,omitempty"`  // how long the list is, by the last page of it
	Pages    int       `json:"pages,omitempty"`    // read of the list in work
	Restarts int       `json:"restarts,omitempty"` // of the list in work
	Began    int64     `json:"began,omitempty"`    // when the blacklist was begun, unix ms
	First    bool      `json:"first,omitempty"`    // the account's first synchronisation: that somebody is on the list is no news
}

// NewSync is the job that synchronises an account's fans, for jobs.Store.Create.
func NewSync(accountID int64) *jobs.Job { return &jobs.Job{AccountID: accountID, Kind: SyncKind} }

// Syncer synchronises fans with the platform: who follows and who does not, what the platform tells of them, their WeChat tags, the blacklist.
//
// Events come in meanwhile, and a page or an answer may be overtaken by one. So nobody becomes a fan by a page that is older than their leaving, nobody is
// taken for gone because a list lacks them, and an answer about a fan counts only if nothing about the fan has come in since it was asked for.
type Syncer struct {
	fans     *Store
	platform *Platform
}

// NewSyncer returns a Syncer. It needs no closing.
func NewSyncer(s *Store, p *Platform) *Syncer { return &Syncer{fans: s, platform: p} }

// Run is the jobs.Runner of SyncKind. Of a fan it holds what a page or a step needs, and nothing grows with the number of fans.
func (s *Syncer) Run(ctx context.Context, r *jobs.Run) error {
	w := &syncRun{Syncer: s, job: r}
	if err := w.load(ctx); err != nil {
		return err
	}
	for {
		var err error
		switch w.at.Phase {
		case phaseList:
			err = w.listPage(ctx)
		case phaseInfo, phaseGone:
			err = w.inform(ctx)
		case phaseBlacklist:
			err = w.blacklistPage(ctx)
		case phaseFreed:
			err = w.free(ctx)
		case phaseDone:
			return nil
		default:
			return fault.New(fault.Invalid, "the synchronisation is at %q, which this version does not know; start a new one", w.at.Phase)
		}
		if err != nil {
			return err
		}
	}
}

// syncRun is a synchronisation in a worker's hands.
type syncRun struct {
	*Syncer
	job *jobs.Run
	at  syncCursor
}

func (w *syncRun) load(ctx context.Context) error {
	if w.job.Cursor != "" {
		if err := json.Unmarshal([]byte(w.job.Cursor), &w.at); err != nil {
			return fault.Wrap(fault.Invalid, err, "the synchronisation's cursor cannot be read; start a new one")
		}
		return nil
	}
	before, err := w.job.FinishedBefore(ctx)
	w.at = syncCursor{Phase: phaseList, First: !before}
	return err
}

// stepResult is what one step came to: where the next one begins, and what it adds to progress and result.
type stepResult struct {
	next                syncCursor
	done, failed, total int64
	file                resultFile
}

// step runs do in a transaction together with the job's progress.
func (w *syncRun) step(ctx context.Context, do func(tx *gorm.DB, out *stepResult) error) error {
	var next syncCursor
	err := w.job.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		out := &stepResult{next: w.at}
		if w.job.Cursor == "" {
			out.file.header()
		}
		if err := do(tx, out); err != nil {
			return jobs.Progress{}, err
		}
		cursor, err := json.Marshal(out.next)
		if err != nil {
			return jobs.Progress{}, err
		}
		next = out.next
		part, err := out.file.part()
		return jobs.Progress{Cursor: string(cursor), Done: out.done, Failed: out.failed, Total: out.total, Result: part}, err
	})
	if err != nil {
		return err
	}
	w.at = next
	return nil
}

// restart begins the list in work anew, because the platform does not know its cursor any more. What was done before is done again, which changes nothing.
func (w *syncRun) restart(ctx context.Context, why error) error {
	if w.at.Restarts >= maxRestarts {
		return fmt.Errorf("the platform has forgotten the list's cursor %d times: %w", maxRestarts, why)
	}
	return w.step(ctx, func(_ *gorm.DB, out *stepResult) error {
		out.next.After, out.next.Pages = "", 0
		out.next.Restarts++
		return nil
	})
}

// endless reports whether more pages were read than a list can have that ends.
func (w *syncRun) endless(total int) bool {
	const shortest, spare = 500, 100 // half of the smallest page that the platform makes, and some for comings and goings
	return w.at.Pages > spare+max(total, int(w.at.Counted))/shortest
}

func (w *syncRun) now() int64 { return w.platform.Clock.Now().UnixMilli() }
