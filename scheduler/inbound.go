package scheduler

import (
	"context"
	"encoding/json"
	"errors"
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
	"hongyan/internal/fault"
	"hongyan/limits"
	"hongyan/links"
	"hongyan/templates"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

const (
	// PassiveBudget is how long a push may wait for its passive reply. WeChat waits five seconds in all.
	PassiveBudget = 1500 * time.Millisecond
	// inboundMost is how many pushes are acted upon in one transaction, about.
	inboundMost = 200
	// inboundLine is how many stored pushes may stand in line in memory.
	inboundLine = 10_000
	// inboundTries is how often a push is tried before it is parked for a member to see.
	inboundTries = 5
	// ownEvery is how often own events are looked for: nobody rings for them.
	ownEvery = 500 * time.Millisecond
)

// Inbound acts upon stored pushes: it records them, opens grants and lets fans into drips. The process that stores a push acts upon it at once; what it leaves
// behind when it dies is found by the sweeper.
type Inbound struct {
	db        *database.DB
	clock     clock.Clock
	log       *slog.Logger
	owner     string
	accounts  *accounts.Store
	inbox     *fans.Inbox
	fans      *fans.Store
	limits    *limits.Store
	ledger    *deliveries.Store
	templates *templates.Store
	links     *links.Store
	campaigns *campaigns.Store
	timing    Timing
	bell      func() // something may be due now
	told      *telling
	inline    bool // who waits for a passive reply acts upon the pushes in line: virtual time, where nobody else does and no timer fires

	queue      chan int64
	overflowed atomic.Bool // some pushes found no room in the line
	mu         sync.Mutex
	wait       map[int64]chan struct{} // pushes whose senders wait for a passive reply
}

// Answer is what a push is answered with.
type Answer struct {
	// Message is the passive reply; nil means "success".
	Message *wechat.Message
	// Confirm must be called when the answer has been handed over.
	Confirm func(ctx context.Context) error
}

// Receive stores a push and says what to answer. It returns after the push is safe. An error means that it is not, and that the platform should repeat it.
func (in *Inbound) Receive(ctx context.Context, account *accounts.Account, e *callback.Event) (Answer, error) {
	row, err := in.inbox.Put(ctx, &fans.Push{
		AccountID: account.ID, DedupeKey: e.DedupeKey(), OpenID: personOf(e), Body: e.Raw, EventAt: e.CreatedAt.UnixMilli(),
	})
	if err != nil {
		return Answer{}, err
	}
	if row.ReplyState == fans.ReplyTaken {
		return in.stored(row)
	}
	if !row.Pending || row.ReplyState == fans.ReplyClosed {
		return Answer{}, nil
	}
	answers, err := in.mayAnswer(ctx, account, e)
	if err != nil {
		in.log.Error("cannot see whether a push has a passive reply; it is answered without", "account", account.ID, "error", err)
	}
	if !answers {
		in.ring(row.ID)
		return Answer{}, nil
	}
	return in.await(ctx, row.ID)
}

// mayAnswer reports whether a drip may answer the push at once: otherwise nobody has to wait.
func (in *Inbound) mayAnswer(ctx context.Context, account *accounts.Account, e *callback.Event) (bool, error) {
	act, ok := actOf(0, e)
	if !ok {
		return false, nil
	}
	trigger := triggerOf(&fans.Recorded{Act: act})
	return in.campaigns.MayAnswer(in.db.Read(ctx), account.ID, &trigger)
}

// await waits for the passive reply, but not longer than its budget. Over budget, the answer is "success" and the same message goes by
// customer-service message instead: which of the two is settled by the inbox row alone.
func (in *Inbound) await(ctx context.Context, id int64) (Answer, error) {
	done := in.expect(id)
	defer in.forget(id)
	in.ring(id)
	if in.inline {
		if _, err := in.Pending(ctx); err != nil {
			in.log.Error("cannot act upon pushes; they are tried again", "push", id, "error", err)
		}
	} else {
		in.waitAnswer(ctx, done)
	}
	row, err := in.inbox.CloseReply(context.WithoutCancel(ctx), id)
	if err != nil {
		return Answer{}, err
	}
	if row != nil && row.ReplyState == fans.ReplyTaken {
		return in.stored(row)
	}
	return Answer{}, nil
}

// waitAnswer waits until done is closed, the budget is used up or ctx ends.
func (in *Inbound) waitAnswer(ctx context.Context, done <-chan struct{}) {
	timer := in.clock.NewTimer(PassiveBudget)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (in *Inbound) expect(id int64) chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	done := in.wait[id]
	if done == nil {
		done = make(chan struct{})
		in.wait[id] = done
	}
	return done
}

func (in *Inbound) forget(id int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.wait, id)
}

func (in *Inbound) expected(id int64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.wait[id] != nil
}

// answered wakes who waits for a push.
func (in *Inbound) answered(id int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if done := in.wait[id]; done != nil {
		close(done)
		delete(in.wait, id)
	}
}

// stored is the passive reply that a row holds: the same for every repeat of the push.
func (in *Inbound) stored(row *fans.InboxRow) (Answer, error) {
	if len(row.Reply) == 0 {
		return Answer{}, nil // the person was erased meanwhile, and with them what they were to be told
	}
	var m wechat.Message
	if err := json.Unmarshal(row.Reply, &m); err != nil {
		return Answer{}, fmt.Errorf("read a stored passive reply: %w", err)
	}
	return Answer{Message: &m, Confirm: func(ctx context.Context) error { return in.confirm(ctx, row, true) }}, nil
}

// confirm ends the delivery that a passive reply gives, and with it the work on the push.
func (in *Inbound) confirm(ctx context.Context, row *fans.InboxRow, handed bool) error {
	account, err := in.accounts.FindAccount(ctx, row.AccountID)
	if err != nil {
		return err
	}
	err = in.db.Tx(ctx, func(tx *gorm.DB) error {
		now := in.clock.Now()
		ended, err := in.ledger.ConfirmPassive(tx, now, row.ReplyDeliveryID, handed)
		if err != nil {
			return err
		}
		if err := in.campaigns.Advance(tx, now, account, ended); err != nil {
			return err
		}
		return in.inbox.Done(tx, []int64{row.ID})
	})
	if err != nil {
		return fmt.Errorf("confirm a passive reply: %w", err)
	}
	in.bell()
	return nil
}

// ring puts a push in line. When the line is full it is not lost, because it is stored: it is read from the inbox when the line has been worked off.
func (in *Inbound) ring(id int64) {
	select {
	case in.queue <- id:
	default:
		if in.overflowed.CompareAndSwap(false, true) {
			in.log.Warn("too many pushes at once; some are acted upon a little later", "in_line", len(in.queue))
		}
	}
}

// Run acts upon pushes, in sets, until ctx ends. A set that has begun is finished.
func (in *Inbound) Run(ctx context.Context) {
	look := in.clock.NewTimer(ownEvery)
	defer func() { look.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			look = in.clock.NewTimer(in.lookForOwn(ctx))
		case id := <-in.queue:
			ids := in.more([]int64{id})
			if err := in.RunOnce(context.WithoutCancel(ctx), ids); err != nil {
				in.log.Error("cannot act upon pushes; they are tried again", "pushes", len(ids), "error", err)
			}
			if len(in.queue) == 0 && in.overflowed.Load() {
				in.catchUp(ctx)
			}
		}
	}
}

// catchUp acts upon the pushes for which there was no room in the line.
func (in *Inbound) catchUp(ctx context.Context) {
	in.overflowed.Store(false)
	for ctx.Err() == nil {
		ids, err := in.inbox.Waiting(ctx, in.most())
		if err == nil && len(ids) > 0 {
			err = in.RunOnce(context.WithoutCancel(ctx), ids)
		}
		if err != nil {
			in.log.Error("cannot act upon pushes; the sweeper tries them again", "error", err)
		}
		if err != nil || len(ids) < in.most() {
			return
		}
	}
}

func (in *Inbound) more(ids []int64) []int64 {
	for len(ids) < in.most() {
		select {
		case id := <-in.queue:
			ids = append(ids, id)
		default:
			return ids
		}
	}
	return ids
}

// lookForOwn acts upon a set of own events, and says when to look again: at once while there are more, so that they and pushes take turns. While pushes overflow
// the line, both are read from the inbox together.
func (in *Inbound) lookForOwn(ctx context.Context) time.Duration {
	if in.overflowed.Load() {
		return ownEvery
	}
	n, err := in.Own(context.WithoutCancel(ctx))
	if err != nil {
		in.log.Error("cannot act upon events; they are tried again", "error", err)
	}
	if err != nil || n < in.most() {
		return ownEvery
	}
	return time.Millisecond
}

// Own acts upon own events, as many as are taken at a time, which nobody else does, and returns how many it found.
func (in *Inbound) Own(ctx context.Context) (int, error) {
	ids, err := in.inbox.OwnWaiting(ctx, in.most())
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return len(ids), in.RunOnce(ctx, ids)
}

// Pending acts upon everything in line now and returns how many pushes that were: for virtual time, where nothing runs by itself.
func (in *Inbound) Pending(ctx context.Context) (int, error) {
	total := 0
	for ids := in.more(nil); len(ids) > 0; ids = in.more(nil) {
		total += len(ids)
		if err := in.RunOnce(ctx, ids); err != nil {
			return total, err
		}
	}
	for in.inline {
		n, err := in.Own(ctx)
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}

// Leftover acts upon pushes whose process died, and gives up passive replies that nobody fetched.
func (in *Inbound) Leftover(ctx context.Context) (int, error) {
	total := 0
	for {
		ids, err := in.inbox.Leftover(ctx, in.clock.Now().Add(-in.timing.LeftoverAge), in.most())
		if err != nil || len(ids) == 0 {
			return total, err
		}
		total += len(ids)
		if err := in.RunOnce(ctx, ids); err != nil || len(ids) < in.most() {
			return total, err
		}
	}
}

// RunOnce acts upon the given pushes, if nobody else does. Who calls it again when it has returned keeps the order of each person's pushes.
func (in *Inbound) RunOnce(ctx context.Context, ids []int64) error {
	rows, err := in.inbox.Claim(ctx, in.owner, ids, in.timing.InboundLease)
	if err != nil {
		return err
	}
	err = in.acts(ctx, rows)
	in.bell()
	return err
}

// account acts upon a set of one account's pushes; if that fails, upon each alone, so that a bad one does not hold up the others.
func (in *Inbound) account(ctx context.Context, accountID int64, rows []*fans.InboxRow) error {
	account, err := in.accounts.FindAccount(ctx, accountID)
	if err != nil {
		return err
	}
	err = in.set(ctx, account, rows)
	if err == nil || len(rows) == 1 && rows[0].Tries < inboundTries {
		return err
	}
	if len(rows) == 1 {
		in.log.Error("a push fails again and again and is parked", "push", rows[0].ID, "account", accountID, "error", err)
		return in.inbox.Park(ctx, rows[0].ID, err.Error())
	}
	if !fault.Is(err, fault.Unavailable) {
		in.log.Warn("a set of pushes failed; each is tried alone", "pushes", len(rows), "error", err)
		var errs []error
		for _, r := range rows {
			errs = append(errs, in.account(ctx, accountID, []*fans.InboxRow{r}))
		}
		return errors.Join(errs...)
	}
	return err
}
