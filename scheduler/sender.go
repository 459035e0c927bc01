package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/links"
	"hongyan/templates"
	"hongyan/wechat"
)

// Sender works batches off: it decides, reserves, marks, calls and records.
type Sender struct {
	db        *database.DB
	clock     clock.Clock
	log       *slog.Logger
	owner     string
	accounts  *accounts.Store
	fans      *fans.Store
	limits    *limits.Store
	ledger    *deliveries.Store
	templates *templates.Store
	links     *links.Store
	campaigns *campaigns.Store
	client    *wechat.Client
	throttle  Throttle
	watch     *stops.Watch
	metrics   *Metrics
	local     *localRates
	timing    Timing
	claimed   func() // called when a batch has been taken
	told      *telling
	inline    bool // make calls in the caller's goroutine, one after the other: virtual time

	calls chan struct{} // one place for each call in flight; nil for no bound
	caps  *capCache

	holds  holds
	mu     sync.Mutex
	pools  map[poolKey]*pool
	bodies sync.Pool

	failures failureRuns
}

// step is one step's messages for one fan, marked and on their way through a pool.
type step struct {
	run      *batchRun
	fan      *fans.Fan
	messages []*deliveries.Delivery
}

// batchRun is one batch in this worker's hands.
type batchRun struct {
	batch   deliveries.Batch
	account *accounts.Account
	pool    *pool
	known   map[int64]fans.Known // as they were when the batch began, or after its last slice
	budget  int                  // calls reserved of the daily quota and not used
	booked  time.Time
	mu      sync.Mutex
	valid   time.Time // the lease holds until then
	open    sync.WaitGroup
	doubt   atomic.Bool // some outcome could not be recorded
}

// leased reports whether the batch is still ours: nobody may call for a batch that a sweeper may have taken.
func (b *batchRun) leased(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.valid)
}

// Run works a batch off. It is what a ticket asks for; a ticket of a batch that is taken or finished does nothing.
func (s *Sender) Run(ctx context.Context, t Ticket) error {
	var batch deliveries.Batch
	var ok bool
	until := s.clock.Now().Add(s.timing.BatchLease)
	err := s.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		batch, ok, err = s.ledger.ClaimBatch(tx, t.BatchID, s.owner, until)
		return err
	})
	if err != nil || !ok {
		return err
	}
	s.claimed() // there is room for the next batch
	account, err := s.accounts.FindAccount(ctx, batch.AccountID)
	if err != nil {
		return err // the lease runs out, and the rows are planned again
	}
	run := &batchRun{batch: batch, account: account, valid: until}
	renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
	var renewals sync.WaitGroup
	renewals.Go(func() {
		s.renewals(renewing, run)
	})
	run.pool = s.enter(account, batch.Lane) //nolint:contextcheck // outcomes are recorded whatever becomes of this batch's context
	err = s.work(ctx, run)
	run.open.Wait()
	s.leave(run.pool) //nolint:contextcheck // slots are given back after the batch's context has ended
	stopRenewing()
	renewals.Wait()
	return s.finish(ctx, run, err)
}

// finish gives the unused budget back and removes the batch. What it left planned is dispatched anew.
func (s *Sender) finish(ctx context.Context, run *batchRun, failed error) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.limits.ReturnBudget(ctx, run.booked, kefuBudget(run.account), run.budget); err != nil {
		s.log.Error("cannot return unused budget", "account", run.account.ID, "calls", run.budget, "error", err)
	}
	unrecorded := 0
	err := s.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		unrecorded = 0
		if failed != nil || run.doubt.Load() {
			// A commit whose answer was lost may have marked rows, and outcomes may not have been recorded: then the batch stays for the sweeper.
			if unrecorded, err = s.ledger.Unrecorded(tx, &run.batch); err != nil || unrecorded > 0 {
				return err
			}
		}
		return s.ledger.FinishBatch(tx, run.batch.ID, s.owner)
	})
	if err != nil {
		return err
	}
	if unrecorded > 0 {
		s.log.Warn("a batch ends with deliveries of which nothing is recorded; they will be shown as unknown", "batch", run.batch.ID, "deliveries", unrecorded)
	}
	if failed != nil {
		return fmt.Errorf("batch %d: %w", run.batch.ID, failed)
	}
	return nil
}

func (s *Sender) renewals(ctx context.Context, run *batchRun) {
	for {
		timer := s.clock.NewTimer(s.timing.BatchRenew)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		until := s.clock.Now().Add(s.timing.BatchLease)
		var ok bool
		err := s.db.Tx(ctx, func(tx *gorm.DB) (err error) {
			ok, err = s.ledger.RenewBatch(tx, run.batch.ID, s.owner, until)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("cannot renew a batch's lease", "batch", run.batch.ID, "error", err)
			}
			continue
		}
		run.mu.Lock()
		run.valid = until
		if !ok {
			run.valid = time.Time{}
		}
		run.mu.Unlock()
	}
}

// work marks and sends the batch slice by slice.
func (s *Sender) work(ctx context.Context, run *batchRun) error {
	rows := run.batch.Rows
	var err error
	if run.known, err = s.readFans(ctx, run.account.ID, rows); err != nil {
		return err
	}
	run.booked = s.clock.Now()
	if run.budget, err = s.limits.ReserveBudget(ctx, run.booked, kefuBudget(run.account), len(rows)); err != nil {
		return err
	}
	for waiting := groupSteps(rows); len(waiting) > 0; {
		if !run.leased(s.clock.Now()) {
			return fmt.Errorf("the lease of batch %d was lost", run.batch.ID)
		}
		slice, messages := takeSlice(waiting, run.pool.slice())
		if ok, err := s.tokens(ctx, run, messages); err != nil || !ok {
			return err
		}
		if err := run.pool.reserve(ctx, messages); err != nil {
			return err
		}
		if s.slowed(run) > 0 { // said while this slice waited for room
			run.pool.release(messages)
			continue
		}
		marked, err := s.mark(ctx, run, slice)
		if err != nil {
			run.pool.release(messages)
			return err
		}
		n := 0
		for _, st := range marked {
			n += len(st.messages)
		}
		run.pool.release(messages - n)
		s.dispatch(ctx, run, marked)
		waiting = waiting[len(slice):]
	}
	return nil
}

// dispatch hands marked steps to the pool's callers.
func (s *Sender) dispatch(ctx context.Context, run *batchRun, marked []*step) {
	run.open.Add(len(marked))
	if !s.inline {
		for _, st := range marked {
			run.pool.steps <- st
		}
		return
	}
	if len(marked) == 0 {
		return
	}
	set := make([]*result, len(marked))
	for i, st := range marked {
		set[i] = s.deliver(ctx, st)
	}
	run.pool.recorder.record(set) //nolint:contextcheck // outcomes are recorded whatever becomes of the context
}

// kefuBudget is the daily quota of customer-service messages.
func kefuBudget(a *accounts.Account) limits.Budget {
	return limits.Budget{AccountID: a.ID, API: limits.KefuAPI, Most: limits.KefuDaily}
}

// groupSteps gathers rows into steps: one fan's messages of one step, in their order.
func groupSteps(rows []deliveries.Delivery) [][]*deliveries.Delivery {
	var out [][]*deliveries.Delivery
	at := map[deliveries.Key]int{}
	for i := range rows {
		d := &rows[i]
		key := d.Key
		key.MessageNo, key.Resend = 0, 0
		place, known := at[key]
		if !known {
			place = len(out)
			at[key] = place
			out = append(out, nil)
		}
		out[place] = append(out[place], d)
	}
	for _, step := range out {
		sortByMessage(step)
	}
	return out
}

// takeSlice takes steps with at most n messages together, but at least one step.
func takeSlice(waiting [][]*deliveries.Delivery, n int) (slice [][]*deliveries.Delivery, messages int) {
	for i, step := range waiting {
		if i > 0 && messages+len(step) > n {
			return waiting[:i], messages
		}
		messages += len(step)
	}
	return waiting, messages
}

// tokens waits until the account's rate allows n more calls. It reports false when the batch must be left: the account is stopped, or Redis is away and the lane cannot do
// without.
func (s *Sender) tokens(ctx context.Context, run *batchRun, n int) (bool, error) {
	for n > 0 {
		if snapshot := s.watch.Snapshot(); snapshot.Stopped(stops.Scope{AccountID: run.account.ID}) {
			return false, nil
		}
		if wait := s.slowed(run); wait > 0 {
			if err := s.pause(ctx, min(wait, time.Second)); err != nil {
				return false, err
			}
			continue
		}
		granted, wait, err := s.take(ctx, run, n)
		if err != nil {
			if run.batch.Lane == limits.LaneBulk {
				return false, fmt.Errorf("no rate tokens for bulk messages: %w", err)
			}
			s.log.Warn("no shared rate limit; urgent messages go on under a local one", "account", run.account.ID, "error", err)
			granted, wait = s.local.take(run.account, n)
		}
		n -= granted
		if n == 0 || granted > 0 {
			continue
		}
		if err := s.pause(ctx, max(wait, time.Millisecond)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// slowed is how long a bulk batch waits because the platform's limit per minute is used up. Urgent messages may not live that long, and are few.
func (s *Sender) slowed(run *batchRun) time.Duration {
	if run.batch.Lane != limits.LaneBulk || s.inline { // in virtual time nothing passes while somebody waits: each message learns for itself
		return 0
	}
	return s.holds.slow(run.account.ID, s.clock.Now())
}

// take asks for rate tokens. Urgent messages do not wait for a Redis that is away; bulk waits as long as the client tries.
func (s *Sender) take(ctx context.Context, run *batchRun, n int) (granted int, wait time.Duration, err error) {
	if run.batch.Lane == limits.LaneUrgent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, queueTimeout)
		defer cancel()
	}
	return s.throttle.Tokens(ctx, run.account.ID, run.account.RatePerSecond, run.batch.Lane, n)
}

func (s *Sender) pause(ctx context.Context, d time.Duration) error {
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// enter returns the pool of an account and lane for one more batch.
func (s *Sender) enter(account *accounts.Account, lane limits.Lane) *pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := poolKey{account.ID, lane}
	p := s.pools[key]
	if p == nil {
		p = &pool{key: key, throttle: s.throttle, clock: s.clock, log: s.log, holder: s.owner, call: s.send}
		p.recorder = newRecorder(s, account.ID, p)
		p.open(account)
		s.pools[key] = p
	}
	p.users++
	return p
}

// leave closes the pool when its last batch is through.
func (s *Sender) leave(p *pool) {
	s.mu.Lock()
	p.users--
	last := p.users == 0
	if last {
		delete(s.pools, p.key)
		s.metrics.marked(p.most)
	}
	s.mu.Unlock()
	if last {
		p.close()
		p.recorder.close()
		s.giveBack(p)
	}
}

// giveBack gives a closed pool's slots back, unless a new pool has taken them over: to the others both are one holder.
func (s *Sender) giveBack(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pools[p.key] == nil {
		p.giveBack()
	}
}
