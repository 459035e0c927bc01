package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/trim"
	"hongyan/links"
)

const (
	// retentionSpec is seven past two at night in Beijing, when the least is sent.
	retentionSpec = "7 18 * * *"
	// retentionFor is how long a night's run lasts at the most. What it did not come to is left to the next one.
	retentionFor = time.Hour
	// retentionSlice is how many rows a transaction looks at: some ten milliseconds, in which others wait on SQLite.
	retentionSlice = 1000
	// retentionTurn is how many slices an account's kind of data has before the next one's turn, so that a first run over very many rows does not keep the
	// others waiting for nights. How far it has come is stored after each turn.
	retentionTurn = 100
)

// Retention removes what the accounts' policies keep no longer.
type Retention struct {
	Accounts *accounts.Store
	Inbox    *fans.Inbox
	Fans     *fans.Store
	Ledger   *deliveries.Store
	Links    *links.Store
	Clock    clock.Clock
	Log      *slog.Logger
	Slice    int           // rows that a transaction looks at; 0 means 1,000
	For      time.Duration // how long a run may last; 0 means an hour
}

// Trimmed counts what one run removed, by kind.
type Trimmed map[accounts.Kept]int64

// trimming is one account's kind of data on its way through a run.
type trimming struct {
	policy *accounts.Retention
	kind   accounts.Kept
	forget func(context.Context, trim.Slice) (trim.Cut, error)
	slice  trim.Slice
	cursor int64 // up to where the next run need not look again
	stuck  bool  // the cursor cannot go further
}

// RunOnce removes until nothing is left that is too old, the time is over or ctx ends, and may be killed at any point: the next run goes on. One kind that
// fails does not keep the others.
func (r *Retention) RunOnce(ctx context.Context) (Trimmed, error) {
	until := r.Clock.Now().Add(cmp.Or(r.For, retentionFor))
	policies, err := r.Accounts.FindRetentions(ctx)
	if err != nil {
		return nil, err
	}
	var open []*trimming
	for i := range policies {
		open = append(open, r.begin(&policies[i])...)
	}
	removed := Trimmed{}
	var errs []error
	over := func() bool { return ctx.Err() != nil || r.Clock.Now().After(until) }
	for first := true; len(open) > 0 && (first || !over()); first = false {
		open = slices.DeleteFunc(open, func(t *trimming) bool {
			n, ended, err := r.turn(ctx, t, over)
			removed[t.kind] += n
			if err != nil {
				errs = append(errs, fmt.Errorf("account %d, %s: %w", t.policy.AccountID, t.kind, err))
			}
			return ended || err != nil
		})
	}
	r.Log.Info("data older than the accounts keep it was removed", "pushes", removed[accounts.KeptInbox], "interactions", removed[accounts.KeptInteractions],
		"traces", removed[accounts.KeptTraces], "reactions", removed[accounts.KeptReactions], "clicks", removed[accounts.KeptClicks], "fans", removed[accounts.KeptLeftFans], "left_for_next_time", len(open) > 0)
	return removed, errors.Join(errs...)
}

// begin makes what a policy wants removed. Pushes come before the interactions that some of them protect.
func (r *Retention) begin(policy *accounts.Retention) []*trimming {
	var out []*trimming
	for _, kind := range accounts.AllKept() {
		before, bounded := policy.Before(kind, r.Clock.Now())
		if !bounded {
			continue
		}
		t := &trimming{policy: policy, kind: kind, cursor: policy.Cursor(kind)}
		t.slice = trim.Slice{AccountID: policy.AccountID, After: t.cursor, Before: before, Most: cmp.Or(r.Slice, retentionSlice)}
		switch kind {
		case accounts.KeptInbox:
			t.forget = r.Inbox.ForgetPushes
		case accounts.KeptInteractions:
			t.forget = r.Fans.ForgetInteractions
		case accounts.KeptTraces:
			t.forget = r.Ledger.ForgetTraces
		case accounts.KeptReactions:
			t.forget = r.Ledger.ForgetReactions
		case accounts.KeptClicks:
			t.forget = r.Links.ForgetClicks
		case accounts.KeptLeftFans:
			t.forget = r.Fans.ForgetLeft
		}
		out = append(out, t)
	}
	return out
}

// turn works on one account's kind for a while, for a slice at least, and stores how far that came. It reports how much it removed and whether the kind is done.
func (r *Retention) turn(ctx context.Context, t *trimming, over func() bool) (removed int64, ended bool, err error) {
	for range retentionTurn {
		cut, err := t.forget(ctx, t.slice)
		if err != nil {
			return removed, false, errors.Join(err, r.store(ctx, t))
		}
		t.advance(cut)
		removed += cut.Removed
		if ended = cut.End; ended || over() {
			break
		}
	}
	return removed, ended, r.store(ctx, t)
}

func (t *trimming) advance(cut trim.Cut) {
	t.slice.After = cut.Next
	switch {
	case t.kind == accounts.KeptReactions || t.kind == accounts.KeptClicks: // what is removed is not walked over again, and new ones may come anywhere
	case t.kind == accounts.KeptLeftFans && cut.End:
		t.cursor = 0 // the next run looks at all fans again
	case t.kind == accounts.KeptLeftFans:
		t.cursor = cut.Next
	case !t.stuck:
		t.cursor = max(t.cursor, cut.Clean)
		t.stuck = cut.Stuck
	}
}

// store keeps how far a kind has come, also when the run is being stopped.
func (r *Retention) store(ctx context.Context, t *trimming) error {
	if t.cursor == t.policy.Cursor(t.kind) {
		return nil
	}
	return r.Accounts.MoveRetention(context.WithoutCancel(ctx), t.policy, t.kind, t.cursor)
}

// applyRetention removes, beside the other jobs, what the accounts keep no longer. It does not wait for the end: that may take an hour, and the loop that runs the
// jobs also looks for what dead processes held.
func (s *Scheduler) applyRetention(ctx context.Context) error {
	r := &Retention{Accounts: s.Accounts, Inbox: s.Inbound.inbox, Fans: s.Fans, Ledger: s.Ledger, Links: s.Links, Clock: s.o.Clock, Log: s.o.Log}
	s.background(func() {
		if _, err := r.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot remove all that is older than the accounts keep it", "error", err)
		}
	})
	return nil
}
