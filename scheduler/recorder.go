package scheduler

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/fault"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/wechat"
)

const (
	// recordMost is how many steps' outcomes one transaction records.
	recordMost = 200
	// recordEnough steps are recorded without waiting for more, and fewer when the first has waited for recordLinger: a transaction costs as much as
	// ten rows.
	recordEnough = 50
	recordLinger = 2 * time.Millisecond
	// recordFor is how long recording is tried while the database is away. A row that could not be recorded by then stays unknown.
	recordFor = 5 * time.Minute
	// recordPause is the pause between two tries.
	recordPause = 200 * time.Millisecond
	// failuresInARow stops a campaign by itself: so many refusals that blame the message and not the fan.
	failuresInARow = 30
)

// recorder stores the outcomes of a pool's calls in sets: what arrives while one set is being stored makes up the next.
type recorder struct {
	sender    *Sender
	accountID int64
	pool      *pool
	in        chan *result
	loop      sync.WaitGroup
}

func newRecorder(s *Sender, accountID int64, p *pool) *recorder {
	r := &recorder{sender: s, accountID: accountID, pool: p, in: make(chan *result, recordMost)}
	r.loop.Go(r.run)
	return r
}

func (r *recorder) put(res *result) { r.in <- res }

// close waits until everything is recorded. Nobody puts any more.
func (r *recorder) close() {
	close(r.in)
	r.loop.Wait()
}

func (r *recorder) run() {
	for first := range r.in {
		r.record(r.gather(first))
	}
}

// gather waits a little for others to be recorded with the first.
func (r *recorder) gather(first *result) []*result {
	set := append(make([]*result, 0, recordEnough), first)
	timer := r.sender.clock.NewTimer(recordLinger)
	defer timer.Stop()
	for len(set) < recordEnough {
		select {
		case more, open := <-r.in:
			if !open {
				return set
			}
			set = append(set, more)
		case <-timer.C:
			return set
		}
	}
	for len(set) < recordMost {
		select {
		case more, open := <-r.in:
			if !open {
				return set
			}
			set = append(set, more)
		default:
			return set
		}
	}
	return set
}

// record stores a set, lets the pool go on, and then does what the answers ask for.
func (r *recorder) record(set []*result) {
	ctx, cancel := context.WithTimeout(context.Background(), recordFor)
	defer cancel()
	err := r.sender.record(ctx, set)
	for err != nil && ctx.Err() == nil {
		r.sender.log.Warn("cannot record outcomes; trying again", "account", r.accountID, "steps", len(set), "error", err)
		timer := r.sender.clock.NewTimer(recordPause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		err = r.sender.record(ctx, set)
	}
	if err != nil {
		r.sender.log.Error("outcomes were not recorded; their deliveries will be shown as unknown", "account", r.accountID, "steps", len(set), "error", err)
	}
	for _, res := range set {
		if err != nil {
			res.step.run.doubt.Store(true)
		}
		r.pool.release(len(res.outcomes))
		res.step.run.open.Done()
	}
	r.effects(ctx, set)
}

// record stores outcomes in one transaction: reservations are settled, rows end, enrolments advance.
func (s *Sender) record(ctx context.Context, set []*result) error {
	account := set[0].step.run.account
	all, gone, refused := outcomesOf(set)
	store := func(verify bool) error {
		return s.db.Tx(ctx, func(tx *gorm.DB) error {
			now := s.clock.Now()
			outcomes := all
			if verify {
				var err error
				if outcomes, err = s.ledger.Mine(tx, all); err != nil {
					return err
				}
			}
			if err := s.settle(tx, now, account.ID, outcomes); err != nil {
				return err
			}
			if err := s.limits.Touch(tx, account.ID, append(gone, refused...)); err != nil {
				return err
			}
			if err := s.ledger.Record(tx, now, outcomes); err != nil {
				return err
			}
			if err := s.fans.Learn(tx, now.UnixMilli(), account.ID, gone, refused); err != nil {
				return err
			}
			return s.campaigns.Advance(tx, now, account, deliveries.Ends(now, outcomes))
		})
	}
	err := store(false)
	if errors.Is(err, deliveries.ErrMoved) {
		err = store(true)
	}
	if err == nil {
		s.metrics.outcomes(all)
		s.told.recorded(account.ID, all)
	}
	return err
}

// outcomesOf lists a set's outcomes, and the fans of whom the platform said something.
func outcomesOf(set []*result) (all []deliveries.Outcome, gone, refused []int64) {
	for _, res := range set {
		all = append(all, res.outcomes...)
		if res.gone {
			gone = append(gone, res.step.messages[0].FanID)
		}
		if res.refused {
			refused = append(refused, res.step.messages[0].FanID)
		}
	}
	return all, gone, refused
}

// settle gives back what outcomes did not use and applies what they teach. It comes first in the transaction, because it locks the fans' limits as
// marking does.
func (s *Sender) settle(tx *gorm.DB, now time.Time, accountID int64, outcomes []deliveries.Outcome) error {
	var releases []limits.Release
	var released []*deliveries.Delivery
	corrections := map[int64]limits.Correction{}
	for i := range outcomes {
		o := &outcomes[i]
		d := o.Delivery
		if o.Released() {
			releases = append(releases, limits.Release{FanID: d.FanID, Buckets: d.Reserved.Buckets, Generation: d.Reserved.Generation, CapDay: d.Reserved.CapDay})
			released = append(released, d)
		}
		if o.Correction.Kind != limits.CorrectNone {
			corrections[d.FanID] = o.Correction
		}
	}
	diverged, err := s.limits.Settle(tx, now, accountID, releases, corrections)
	if err != nil {
		return err
	}
	s.metrics.diverged(diverged)
	for _, d := range released {
		if err := s.releaseCampaign(tx, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) releaseCampaign(tx *gorm.DB, d *deliveries.Delivery) error {
	id := scopeOf(d.AccountID, d.Source).CampaignID
	if id == 0 || d.Reserved.CapDay == 0 {
		return nil
	}
	return s.limits.ReturnCampaign(tx, id, d.FanID, d.Reserved.CapDay)
}

// effects stops what an answer asks to stop.
func (r *recorder) effects(ctx context.Context, set []*result) {
	for _, res := range set {
		e := res.effect
		switch e.class {
		case wechat.ClassOK:
			if res.outcomes[0].State == deliveries.StateSent { // neither an answer that was lost nor a call that was not made says anything
				r.sender.failures.end(scopeOf(r.accountID, res.step.messages[0].Source).CampaignID)
			}
		case wechat.ClassMessage, wechat.ClassBug:
			if r.sender.failures.add(e.campaignID) {
				r.sender.stopCampaign(ctx, r.accountID, e.campaignID, "failures_in_a_row")
			}
		case wechat.ClassStopCampaign:
			r.sender.stopCampaign(ctx, r.accountID, e.campaignID, e.reason)
		case wechat.ClassStopAccount, wechat.ClassStopFeature:
			r.sender.stopAccount(ctx, r.accountID, e.reason)
		case wechat.ClassQuota:
			account := res.step.run.account
			if err := r.sender.limits.CloseBudget(ctx, r.sender.clock.Now(), kefuBudget(account)); err != nil {
				r.sender.log.Error("cannot close the daily budget", "account", r.accountID, "error", err)
			}
		default:
		}
	}
}

// failureRuns counts refusals in a row by campaign, over all batches of this process: a drip that fans enter one by one has a batch for each. The zero value
// is ready.
type failureRuns struct {
	mu sync.Mutex
	by map[int64]int
}

// add counts a refusal and reports whether the campaign must stop; its count then starts anew.
func (f *failureRuns) add(campaignID int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[int64]int{}
	}
	if f.by[campaignID]++; f.by[campaignID] < failuresInARow {
		return false
	}
	delete(f.by, campaignID)
	return true
}

// end notes that a message of the campaign was sent.
func (f *failureRuns) end(campaignID int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.by, campaignID)
}

// stopCampaign pauses a campaign by itself.
func (s *Sender) stopCampaign(ctx context.Context, accountID, campaignID int64, reason string) {
	if campaignID == 0 {
		return
	}
	switch _, err := s.campaigns.PauseDrip(ctx, campaigns.Change{AccountID: accountID, ID: campaignID, Reason: reason}); {
	case err == nil:
		s.log.Warn("a campaign paused by itself", "account", accountID, "campaign", campaignID, "reason", reason)
	case !fault.Is(err, fault.Conflict):
		s.log.Error("cannot pause a campaign", "account", accountID, "campaign", campaignID, "reason", reason, "error", err)
	}
}

func (s *Sender) stopAccount(ctx context.Context, accountID int64, reason string) {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := s.accounts.SetStopped(tx, accountID, true, reason); err != nil {
			return err
		}
		_, err := stops.Bump(tx)
		return err
	})
	if err != nil {
		s.log.Error("cannot stop an account", "account", accountID, "reason", reason, "error", err)
		return
	}
	s.log.Warn("an account stopped by itself", "account", accountID, "reason", reason)
}

func itoa(n int) string { return strconv.Itoa(n) }

// isFault reports whether an error says that the input is bad or missing, so that trying again cannot help.
func isFault(err error) bool {
	return fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound)
}
