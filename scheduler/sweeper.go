package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/stops"
)

const (
	// rederiveMost is how many enrolments one sweep looks at.
	rederiveMost = 500
)

// Sweeper returns what dead processes held. Every process may run one: each thing is taken by a conditional update.
type Sweeper struct {
	db        *database.DB
	clock     clock.Clock
	log       *slog.Logger
	accounts  *accounts.Store
	ledger    *deliveries.Store
	campaigns *campaigns.Store
	inbound   *Inbound
	identity  stops.Identity
	watch     *stops.Watch
	queue     Queue
	forgotten time.Duration
}

// Swept counts what one sweep found.
type Swept struct{ Batches, Requeued, Pushes, Enrolments int }

// RunOnce sweeps once.
func (s *Sweeper) RunOnce(ctx context.Context) (Swept, error) {
	var out Swept
	var errs []error
	keep := func(n int, err error) int {
		errs = append(errs, err)
		return n
	}
	out.Batches = keep(s.recover(ctx))
	out.Requeued = keep(s.requeue(ctx))
	out.Pushes = keep(s.inbound.Leftover(ctx))
	out.Enrolments = keep(s.campaigns.Rederive(ctx, s.clock.Now(), rederiveMost))
	if !s.watch.Snapshot().Installation {
		errs = append(errs, s.identity.Heartbeat(ctx))
	}
	return out, errors.Join(errs...)
}

// recover takes batches from dead workers. A batch that cannot be taken does not hold up the others.
func (s *Sweeper) recover(ctx context.Context) (int, error) {
	stale, err := s.ledger.StaleBatches(s.db.Read(ctx), s.clock.Now())
	if err != nil {
		return 0, err
	}
	n := 0
	var errs []error
	for i := range stale {
		taken, err := s.recoverOne(ctx, &stale[i])
		if err != nil {
			errs = append(errs, err)
		}
		if taken {
			n++
		}
	}
	return n, errors.Join(errs...)
}

// recoverOne reports false when the owner came back, or another sweeper was faster.
func (s *Sweeper) recoverOne(ctx context.Context, b *deliveries.Batch) (taken bool, err error) {
	account, err := s.accounts.FindAccount(ctx, b.AccountID)
	if err != nil {
		return false, err
	}
	unknown := 0
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		now := s.clock.Now()
		var ended []deliveries.Ended
		var err error
		ended, taken, err = s.ledger.Recover(tx, now, b)
		if err != nil {
			return err
		}
		unknown = len(ended)
		return s.campaigns.Advance(tx, now, account, ended)
	})
	if err != nil || !taken {
		return false, err
	}
	s.log.Warn("a worker left a batch behind; it is dispatched again", "batch", b.ID, "account", b.AccountID, "size", len(b.Items), "unknown", unknown)
	return true, nil
}

// requeue puts batches into the queue again whose ticket may be lost: Redis may have been wiped.
func (s *Sweeper) requeue(ctx context.Context) (int, error) {
	waiting, err := s.ledger.WaitingBatches(s.db.Read(ctx), s.clock.Now().Add(-s.forgotten))
	if err != nil {
		return 0, err
	}
	for i := range waiting {
		b := &waiting[i]
		if err := s.db.Tx(ctx, func(tx *gorm.DB) error { return s.ledger.Requeued(tx, b) }); err != nil {
			return i, err
		}
		quick, cancel := context.WithTimeout(ctx, queueTimeout)
		err := s.queue.Put(quick, Ticket{BatchID: b.ID, Attempt: b.Attempt, Lane: b.Lane})
		cancel()
		if err != nil {
			return i, err
		}
	}
	return len(waiting), nil
}
