package scheduler

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"hongyan/accounts"
)

// hourly are the hour's checks of accounts in this process.
type hourly struct{ running atomic.Bool }

// startChecks begins to check all accounts, one after the other. It returns at once: a platform that is slow must not keep
// the loop that sweeps. A process that dies in the middle leaves the rest to the next hour.
func (s *Scheduler) startChecks(ctx context.Context) error {
	if !s.hourly.running.CompareAndSwap(false, true) {
		s.o.Log.Warn("accounts are not checked: the last checks have not ended yet")
		return nil
	}
	s.background(func() {
		defer s.hourly.running.Store(false)
		if err := s.CheckAccounts(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot check accounts", "error", err)
		}
	})
	return nil
}

// CheckAccounts checks every account and logs what is wrong with it.
func (s *Scheduler) CheckAccounts(ctx context.Context) error {
	all, err := s.Accounts.FindAccounts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range all {
		if ctx.Err() != nil {
			break
		}
		report, err := s.Checks.Check(ctx, account)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.tell(report)
	}
	return errors.Join(errs...)
}

func (s *Scheduler) tell(report *accounts.Report) {
	s.told.checked(report)
	var wrong []string
	for _, f := range report.Findings {
		if f.Severity != accounts.SeverityOK {
			wrong = append(wrong, string(f.Code))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		s.o.Log.Warn("an account needs attention; run `hongyan check`", "account", report.AccountID, "severity", string(report.Worst()), "findings", wrong)
	}
}
