package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// Runner does a job of one kind, in steps, from r.Cursor on. It returns nil when all is done, ErrStopped as it got it, Later to go on at a certain time, and any
// other error to be tried again, unless its code says that trying cannot help.
type Runner func(ctx context.Context, r *Run) error

// backoff is how long a job waits after each try in a row that came to no step; after the last it has failed.
var backoff = [...]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

const (
	// DefaultLease is how long a job stays with a worker that gives no sign of life.
	DefaultLease = 30 * time.Second
	// keepShare is how often in a lease a worker gives one.
	keepShare = 3
	// lookEvery is how often a worker looks for jobs.
	lookEvery = time.Second
)

// Worker runs jobs of the kinds that it has runners for, one at a time.
type Worker struct {
	Store   *Store
	Owner   string // of this process, unique
	Log     *slog.Logger
	Runners map[string]Runner
	Lease   time.Duration // 0 means DefaultLease
}

// Loop runs jobs until ctx ends. A job that is running then goes back to waiting after its step.
func (w *Worker) Loop(ctx context.Context) {
	for ctx.Err() == nil {
		ran, err := w.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("cannot run jobs", "error", err)
		}
		if ran {
			continue
		}
		timer := w.Store.clock.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// RunOnce runs one job to its end, its next pause or its next failure, if one is due. It reports whether there was one.
func (w *Worker) RunOnce(ctx context.Context) (ran bool, err error) {
	r, err := w.claim(ctx)
	if err != nil || r == nil {
		return false, err
	}
	w.Log.Info("job begins", "job", r.ID, "kind", r.Kind, "account", r.AccountID, "cursor", r.Cursor != "")
	err = w.run(ctx, r)
	switch {
	case errors.Is(err, ErrStopped):
		w.Log.Info("job stopped", "job", r.ID, "done", r.Done)
		return true, nil
	case err != nil && ctx.Err() != nil:
		return true, w.giveBack(ctx, r)
	case isLater(err):
		w.Log.Info("job waits", "job", r.ID, "kind", r.Kind, "done", r.Done, "for", err)
	case err != nil:
		w.Log.Warn("job failed", "job", r.ID, "kind", r.Kind, "done", r.Done, "tries", r.Tries+1, "error", err)
	default:
		w.Log.Info("job finished", "job", r.ID, "kind", r.Kind, "done", r.Done, "failed", r.Failed)
	}
	return true, r.end(context.WithoutCancel(ctx), err)
}

// run calls the runner and keeps the job meanwhile. The runner's context ends when the job is lost.
func (w *Worker) run(ctx context.Context, r *Run) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer cancel(nil)
	keeping.Go(func() { w.keep(ctx, cancel, r.ID, r.owner) })
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "the job's runner panicked: %v", p)
		}
	}()
	err = w.Runners[r.Kind](ctx, r)
	if err != nil && errors.Is(context.Cause(ctx), ErrStopped) {
		return ErrStopped // whatever the runner made of its context's end
	}
	return err
}

// keep tells the others that the job is in good hands, until ctx ends or the job is lost.
func (w *Worker) keep(ctx context.Context, cancel context.CancelCauseFunc, id int64, owner string) {
	held := &Run{Job: Job{ID: id, owner: owner}, store: w.Store, lease: w.lease().Milliseconds()}
	for {
		timer := w.Store.clock.NewTimer(w.lease() / keepShare)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		ok, err := held.keep(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			w.Log.Warn("cannot keep a job", "job", id, "error", err)
		case err == nil && !ok:
			cancel(ErrStopped)
			return
		}
	}
}

func (w *Worker) lease() time.Duration {
	if w.Lease > 0 {
		return w.Lease
	}
	return DefaultLease
}

// claim takes the job that has been due for longest: one that waits, or one whose worker has not been heard of.
func (w *Worker) claim(ctx context.Context) (r *Run, err error) {
	kinds := make([]string, 0, len(w.Runners))
	for kind := range w.Runners {
		kinds = append(kinds, kind)
	}
	err = w.Store.db.Tx(ctx, func(tx *gorm.DB) error {
		r = nil
		now := w.Store.clock.Now()
		found, err := readJobs(tx, "due_at <= ? AND kind IN ? ORDER BY due_at, id LIMIT 1"+w.Store.db.Dialect().ForUpdate(), now.UnixMilli(), kinds)
		if err != nil || len(found) == 0 {
			return err
		}
		j := found[0]
		res := tx.Exec("UPDATE jobs SET state = ?, owner = ?, due_at = ?, started_at = CASE WHEN started_at = 0 THEN ? ELSE started_at END "+
			"WHERE id = ? AND state = ? AND owner = ? AND due_at <= ?",
			StateRunning, w.Owner, now.Add(w.lease()).UnixMilli(), now.UnixMilli(), j.ID, j.State, j.owner, now.UnixMilli())
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		j.State, j.owner = StateRunning, w.Owner
		r = &Run{Job: j, store: w.Store, lease: w.lease().Milliseconds()}
		return w.Store.changed(tx, j, StateRunning)
	})
	if err != nil {
		return nil, fmt.Errorf("claim a job: %w", err)
	}
	return r, nil
}

// giveBack lets another worker go on at once: this process is being stopped.
func (w *Worker) giveBack(ctx context.Context, r *Run) error {
	ctx = context.WithoutCancel(ctx)
	err := w.Store.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE jobs SET state = ?, owner = '', due_at = ? WHERE id = ? AND state = ? AND owner = ?",
			StateWaiting, w.Store.clock.Now().UnixMilli(), r.ID, StateRunning, r.owner)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		return w.Store.changed(tx, r.Job, StateWaiting)
	})
	if err != nil {
		return fmt.Errorf("give a job back: %w", err)
	}
	return nil
}
