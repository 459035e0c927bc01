package scheduler

import (
	"context"
	"time"

	"hongyan/internal/stops"
)

// Turn does everything that is due now, in the caller's goroutine, and returns when nothing is left: one step of virtual time.
func (s *Scheduler) Turn(ctx context.Context) error {
	for behind := true; ; {
		// Also when an answer has stopped the account meanwhile: nothing is marked before the watch has seen that.
		if behind {
			if err := s.Watch.RunOnce(ctx); err != nil {
				return err
			}
		}
		if _, err := s.silences.RunOnce(ctx); err != nil {
			return err
		}
		woken, err := s.waker.RunOnce(ctx)
		if err != nil {
			return err
		}
		pushes, err := s.Inbound.Pending(ctx)
		if err != nil {
			return err
		}
		idle, err := s.turn(ctx)
		if err != nil {
			return err
		}
		ran, err := s.jobs.RunOnce(ctx)
		if err != nil {
			return err
		}
		if idle && woken == 0 && pushes == 0 && !ran {
			return nil
		}
		if behind, err = s.Watch.Behind(ctx); err != nil {
			return err
		}
	}
}

func (s *Scheduler) turn(ctx context.Context) (idle bool, err error) {
	all, err := s.Accounts.FindAccounts(ctx)
	if err != nil {
		return false, err
	}
	idle = true
	for _, account := range all {
		done, err := s.dispatcher.RunOnce(ctx, account)
		if err != nil {
			return false, err
		}
		idle = idle && done.Idle
	}
	return idle, s.direct.Drain(ctx, s.Sender.Run)
}

// NextDue is when the first of an account's waiting messages falls due or the first of its timers runs out, whichever is first; false when there is neither. It tells
// a virtual clock how far to go. Timers of an account that is stopped wait.
func (s *Scheduler) NextDue(ctx context.Context, accountID int64) (time.Time, bool, error) {
	due, waiting, err := s.Ledger.NextDue(ctx, accountID)
	if err != nil {
		return time.Time{}, false, err
	}
	if snapshot := s.Watch.Snapshot(); snapshot.Stopped(stops.Scope{AccountID: accountID}) {
		return due, waiting, nil
	}
	timer, set, err := s.Campaigns.NextTimer(ctx, accountID)
	if err != nil {
		return time.Time{}, false, err
	}
	if set && (!waiting || timer.Before(due)) {
		return timer, true, nil
	}
	return due, waiting, nil
}
