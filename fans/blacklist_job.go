package fans

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// BlacklistKind is the kind of the job that changes the blacklist by a long list of fans.
const BlacklistKind = "fans.blacklist"

// maxBlacklistJob is how many fans one job takes: 5,000 calls.
const maxBlacklistJob = 100_000

type blacklistParams struct {
	On     bool    `json:"on"`
	FanIDs []int64 `json:"fan_ids"`
}

// NewBlacklisting is the job that puts fans on the blacklist or takes them off, for jobs.Store.Create. Errors: Invalid.
func NewBlacklisting(accountID int64, on bool, fanIDs []int64) (*jobs.Job, error) {
	ids := database.SortedSet(fanIDs)
	if len(ids) == 0 || len(ids) > maxBlacklistJob {
		return nil, fault.BadField("fan_ids", "count", "name 1 to %d fans; cut longer lists into several jobs", maxBlacklistJob)
	}
	params, err := json.Marshal(blacklistParams{On: on, FanIDs: ids})
	return &jobs.Job{AccountID: accountID, Kind: BlacklistKind, Params: params}, err
}

// Run is the jobs.Runner of BlacklistKind. The result file has a line for each fan whom the platform refused or who is none of the account's.
func (b *Blacklister) Run(ctx context.Context, r *jobs.Run) error {
	var in blacklistParams
	if err := json.Unmarshal(r.Params, &in); err != nil {
		return fault.Wrap(fault.Invalid, err, "what the job is to do cannot be read")
	}
	at := 0
	if r.Cursor != "" {
		var err error
		if at, err = strconv.Atoi(r.Cursor); err != nil || at < 0 || at > len(in.FanIDs) {
			return fault.New(fault.Invalid, "the job's cursor %q is none", r.Cursor)
		}
	}
	for at < len(in.FanIDs) {
		ids := in.FanIDs[at:min(at+blacklistSlice, len(in.FanIDs))]
		rows, err := b.fans.blackRowsOf(b.fans.db.Read(ctx), r.AccountID, ids)
		if err != nil {
			return err
		}
		var c blacklistCall
		if len(rows) > 0 {
			c = b.ask(ctx, blacklisting{accountID: r.AccountID, on: in.On, confirmed: true}, rows)
		}
		// What comes before the first fan of whom nothing is known is settled.
		done := ids
		if c.settled < len(rows) {
			done = ids[:slices.Index(ids, rows[c.settled].id)]
		}
		if len(done) > 0 {
			if err := b.storeStep(ctx, r, blacklistStep{c, done, at + len(done), len(in.FanIDs)}); err != nil {
				return err
			}
			at += len(done)
		}
		if c.failed != nil {
			return b.platform.postponed(c.failed)
		}
	}
	return nil
}

// blacklistStep is a part of the job's list that is settled.
type blacklistStep struct {
	blacklistCall
	ids         []int64
	next, total int
}

func (b *Blacklister) storeStep(ctx context.Context, r *jobs.Run, st blacklistStep) error {
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		var file resultFile
		if r.Cursor == "" {
			file.header()
		}
		known := map[int64]bool{}
		for _, c := range st.done {
			known[c.id] = true
		}
		for _, f := range st.refused {
			known[f.FanID] = true
			file.refused(f.FanID, f.Err)
		}
		strangers := 0
		for _, id := range st.ids {
			if !known[id] {
				strangers++
				file.line(strconv.FormatInt(id, 10), foundFailed, "the account has no such fan")
			}
		}
		part, err := file.part()
		if err != nil {
			return jobs.Progress{}, err
		}
		p := jobs.Progress{
			Cursor: strconv.Itoa(st.next), Done: int64(len(st.ids)), Failed: int64(len(st.refused) + strangers), Total: int64(st.total), Result: part,
		}
		return p, b.store(tx, st.blacklistCall)
	})
}
