package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Store keeps jobs.
type Store struct {
	db       *database.DB
	clock    clock.Clock
	observer Observer // may be nil
}

// New returns the jobs kept in db.
func New(db *database.DB, c clock.Clock) *Store { return &Store{db: db, clock: c} }

// Create stores a waiting job and sets its ID. An account has at most one open job of a kind. Errors: Invalid; Conflict when one is open.
func (s *Store) Create(ctx context.Context, j *Job) error {
	if err := j.validate(); err != nil {
		return err
	}
	now := s.clock.Now().UnixMilli()
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec(s.db.Dialect().InsertIgnore()+" jobs (account_id, kind, open_key, params, state, total, due_at, created_at) VALUES (?, ?, ?, ?, ?, -1, ?, ?)",
			j.AccountID, j.Kind, openKey(j), string(j.Params), StateWaiting, now, now)
		if res.Error != nil {
			return fmt.Errorf("create a job: %w", res.Error)
		}
		found, err := readJobs(tx, "open_key = ?", openKey(j))
		switch {
		case err != nil:
			return err
		case res.RowsAffected == 0 || len(found) == 0:
			return fault.New(fault.Conflict, "a job of kind %s is open already; wait for its end, or cancel it", j.Kind)
		}
		*j = found[0]
		return s.changed(tx, *j, StateWaiting)
	})
}

// openKey is unique among the jobs that have not ended.
func openKey(j *Job) string { return fmt.Sprintf("%d:%s", j.AccountID, j.Kind) }

// FindJob finds a job of an account. Errors: NotFound.
func (s *Store) FindJob(ctx context.Context, accountID, id int64) (*Job, error) {
	found, err := readJobs(s.db.Read(ctx), "id = ? AND account_id = ?", id, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this account has no job %d", id)
	}
	return &found[0], nil
}

// Filter narrows a list of jobs; "" and 0 leave a part open.
type Filter struct {
	AccountID int64 // always counts: 0 is the whole installation's own
	Kind      string
	State     State
	Before    int64 // only ids below this one
}

// FindJobs lists the newest jobs, at most n.
func (s *Store) FindJobs(ctx context.Context, f Filter, n int) ([]Job, error) {
	where, args := "account_id = ?", []any{f.AccountID}
	and := func(given bool, condition string, value any) {
		if given {
			where, args = where+" AND "+condition, append(args, value)
		}
	}
	and(f.Before > 0, "id < ?", f.Before)
	and(f.Kind != "", "kind = ?", f.Kind)
	and(f.State != "", "state = ?", f.State)
	return readJobs(s.db.Read(ctx), where+" ORDER BY id DESC LIMIT ?", append(args, n)...)
}

// Pause holds a job: a running one stops before its next step. Errors: NotFound; Conflict when it has ended or is paused.
func (s *Store) Pause(ctx context.Context, accountID, id int64) error {
	return s.change(ctx, accountID, id, StatePaused)
}

// Resume lets a paused job go on where it was. Errors: NotFound; Conflict when it is not paused.
func (s *Store) Resume(ctx context.Context, accountID, id int64) error {
	return s.change(ctx, accountID, id, StateWaiting)
}

// Cancel ends a job; what it has done stays done. Errors: NotFound; Conflict when it has ended.
func (s *Store) Cancel(ctx context.Context, accountID, id int64) error {
	return s.change(ctx, accountID, id, StateCancelled)
}

// change is what a member does to a job.
func (s *Store) change(ctx context.Context, accountID, id int64, to State) error {
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		found, err := readJobs(tx, "id = ? AND account_id = ?"+s.db.Dialect().ForUpdate(), id, accountID)
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return fault.New(fault.NotFound, "this account has no job %d", id)
		case !CanMove(found[0].State, to) || to == StateWaiting && found[0].State != StatePaused:
			return fault.New(fault.Conflict, "the job is %s; it cannot become %s", found[0].State, to)
		}
		now := s.clock.Now().UnixMilli()
		set, args := "state = ?, owner = '', due_at = NULL", []any{to}
		switch {
		case to == StateWaiting:
			set, args = "state = ?, tries = 0, due_at = ?", []any{to, now}
		case to.Ended():
			set, args = set+", open_key = NULL, ended_at = ?"+forgetCursor, append(args, now)
		}
		res := tx.Exec("UPDATE jobs SET "+set+" WHERE id = ? AND state = ?", append(args, id, found[0].State)...)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the job changed meanwhile; look again")
		}
		if res.Error != nil {
			return res.Error
		}
		return s.changed(tx, found[0], to)
	})
}

// WriteResult writes a job's result file, as far as it has come. Errors: NotFound, and those of w.
func (s *Store) WriteResult(ctx context.Context, accountID, id int64, w io.Writer) error {
	if _, err := s.FindJob(ctx, accountID, id); err != nil {
		return err
	}
	// One part at a time: a result may be larger than what should be in memory at once.
	for part := 1; ; part++ {
		var body []byte
		err := s.db.Read(ctx).Raw("SELECT body FROM job_parts WHERE job_id = ? AND part_no = ?", id, part).Row().Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a job's result: %w", err)
		}
		if _, err := w.Write(body); err != nil {
			return fmt.Errorf("write a job's result: %w", err)
		}
	}
}
