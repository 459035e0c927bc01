package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// ErrStopped says that the job is not this worker's any more: it was paused or cancelled, or another worker took it over. The runner must return it.
var ErrStopped = errors.New("the job was stopped")

// later is a failure that a certain time heals.
type later struct {
	at  time.Time
	err error
}

func (e *later) Error() string { return e.err.Error() }
func (e *later) Unwrap() error { return e.err }

// Later is the error of a runner that can only go on from a certain time, as when a quota of the day is used up or the account is stopped: the job waits until
// then, and that does not count as a try. A nil err stays nil.
func Later(at time.Time, err error) error {
	if err == nil {
		return nil
	}
	return &later{at, err}
}

func isLater(err error) bool {
	_, ok := errors.AsType[*later](err)
	return ok
}

// Run is a job in a worker's hands. It is used by one goroutine.
type Run struct {
	Job
	store *Store
	lease int64 // ms
}

// Progress is what a step changes about the job.
type Progress struct {
	Cursor string // how far the job has come now
	Done   int64  // items more
	Failed int64  // of them, those that failed
	Total  int64  // items in all, if known now; otherwise 0 leaves it as it is
	Result []byte // appended to the result file
}

// Step runs do in a transaction and records its progress in the same: both happen, once, or neither. do may be called more than once; it must set its results
// anew each time. The first step after a pause, a cancellation or a takeover changes nothing. Errors: ErrStopped, and those of do.
func (r *Run) Step(ctx context.Context, do func(tx *gorm.DB) (Progress, error)) error {
	var p Progress
	err := r.store.db.Tx(ctx, func(tx *gorm.DB) error {
		// The job's row comes first: it is locked, so that nobody pauses or takes it in the middle of the step.
		if err := r.hold(tx); err != nil {
			return err
		}
		var err error
		if p, err = do(tx); err != nil {
			return err
		}
		return r.record(tx, p)
	})
	if err != nil {
		return err
	}
	r.Cursor = p.Cursor
	r.Done += p.Done
	r.Failed += p.Failed
	if p.Total > 0 {
		r.Total = p.Total
	}
	if len(p.Result) > 0 {
		r.parts++
	}
	r.Tries = 0
	r.store.progressed(r.Job)
	return nil
}

// FinishedBefore reports whether another job of this kind has finished for the account.
func (r *Run) FinishedBefore(ctx context.Context) (bool, error) {
	var found []int64
	err := r.store.db.Read(ctx).Raw("SELECT id FROM jobs WHERE account_id = ? AND kind = ? AND state = ? LIMIT 1", r.AccountID, r.Kind, StateFinished).Scan(&found).Error
	if err != nil {
		return false, fmt.Errorf("look for earlier jobs: %w", err)
	}
	return len(found) > 0, nil
}

func (r *Run) hold(tx *gorm.DB) error {
	until := r.store.clock.Now().UnixMilli() + r.lease
	res := tx.Exec("UPDATE jobs SET due_at = ? WHERE id = ? AND state = ? AND owner = ? AND progress = ? AND parts = ?",
		until, r.ID, StateRunning, r.owner, r.Cursor, r.parts)
	if res.Error != nil {
		return fmt.Errorf("hold a job: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return ErrStopped
	}
	return nil
}

func (r *Run) record(tx *gorm.DB, p Progress) error {
	parts := r.parts
	if len(p.Result) > 0 {
		parts++
		if err := tx.Exec("INSERT INTO job_parts (job_id, part_no, body) VALUES (?, ?, ?)", r.ID, parts, p.Result).Error; err != nil {
			return fmt.Errorf("store a part of a job's result: %w", err)
		}
	}
	total := r.Total
	if p.Total > 0 {
		total = p.Total
	}
	err := tx.Exec("UPDATE jobs SET progress = ?, done = done + ?, failed = failed + ?, total = ?, parts = ?, tries = 0, error = '' WHERE id = ?",
		p.Cursor, p.Done, p.Failed, total, parts, r.ID).Error
	if err != nil {
		return fmt.Errorf("record a job's progress: %w", err)
	}
	return nil
}

// keep extends the worker's deadline between steps. ok is false when the job is not its any more.
func (r *Run) keep(ctx context.Context) (ok bool, err error) {
	err = r.store.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE jobs SET due_at = ? WHERE id = ? AND state = ? AND owner = ?", r.store.clock.Now().UnixMilli()+r.lease, r.ID, StateRunning, r.owner)
		ok = res.RowsAffected == 1
		return res.Error
	})
	if err != nil {
		return false, fmt.Errorf("keep a job: %w", err)
	}
	return ok, nil
}

// forgetCursor goes with an end that is none of the work's own: nobody goes on from there, and a cursor may name a person.
const forgetCursor = ", progress = ''"

// end records how a try ended.
func (r *Run) end(ctx context.Context, failed error) error {
	now := r.store.clock.Now()
	to, text, tries := StateFinished, "", 1
	var due any
	if failed != nil {
		to, text = StateFailed, cut(failed.Error())
		if wait, ok := errors.AsType[*later](failed); ok {
			to, due, tries = StateWaiting, wait.at.UnixMilli(), 0
		} else if again(failed) && r.Tries < len(backoff) {
			to, due = StateWaiting, now.Add(backoff[r.Tries]).UnixMilli()
		}
	}
	return r.store.db.Tx(ctx, func(tx *gorm.DB) error {
		set, args := "state = ?, error = ?, owner = '', due_at = ?, tries = tries + ?", []any{to, text, due, tries}
		if to.Ended() {
			set, args = set+", open_key = NULL, ended_at = ?", append(args, now.UnixMilli())
		}
		if to == StateFailed {
			set += forgetCursor
		}
		// Whoever paused it or took it over has decided what becomes of it.
		res := tx.Exec("UPDATE jobs SET "+set+" WHERE id = ? AND state = ? AND owner = ?", append(args, r.ID, StateRunning, r.owner)...)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		return r.store.changed(tx, r.Job, to)
	})
}

// again reports whether trying later may help: not when the input is bad or the thing is gone.
func again(err error) bool {
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden:
		return false
	default:
		return true
	}
}

const maxError = 500

// cut shortens a text to what the column holds, at a letter's border.
func cut(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxError {
			return text[:i]
		}
	}
	return text
}
