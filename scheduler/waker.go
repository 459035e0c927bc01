package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/internal/clock"
	"hongyan/internal/stops"
)

const (
	// WakeEvery is how often timers of drips are looked at: so late is a step without messages at the most when nothing else is to be done.
	WakeEvery = 250 * time.Millisecond
	// wakeRounds bounds how many slices one account has before the next one's turn.
	wakeRounds = 20
)

// Waker takes fans on whose timers have run out: who wait for something, or whose next step is no message. Every process may run one: a run is taken on
// by one of them.
type Waker struct {
	clock     clock.Clock
	log       *slog.Logger
	accounts  *accounts.Store
	campaigns *campaigns.Store
	watch     *stops.Watch
}

// RunOnce does one round for every account that is not stopped, and returns how many runs were taken on. An account's error does not keep it from the others.
func (w *Waker) RunOnce(ctx context.Context) (int, error) {
	snapshot := w.watch.Snapshot()
	if snapshot.Installation {
		return 0, nil
	}
	all, err := w.accounts.FindAccounts(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	var errs []error
	for _, account := range all {
		if snapshot.Stopped(stops.Scope{AccountID: account.ID}) {
			continue
		}
		n, err := w.account(ctx, account)
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

func (w *Waker) account(ctx context.Context, account *accounts.Account) (total int, err error) {
	for range wakeRounds {
		woken, err := w.campaigns.Wake(ctx, w.clock.Now(), account)
		total += woken.Runs
		if err != nil || !woken.More {
			return total, err
		}
	}
	return total, nil
}

// loop wakes until ctx ends. rang is called when messages may have been planned.
func (w *Waker) loop(ctx context.Context, rang func()) {
	for {
		n, err := w.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			w.log.Error("cannot work off timers", "error", err)
		}
		if n > 0 {
			rang()
		}
		timer := w.clock.NewTimer(WakeEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
