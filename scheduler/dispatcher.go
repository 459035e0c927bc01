package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/lease"
	"hongyan/internal/stops"
	"hongyan/limits"
)

const (
	// waitingBatches is how many batches of a lane may wait for a worker: enough that none idles, few enough that what comes later
	// but is more urgent does not stand behind them.
	waitingBatches = 2
	// promoteRounds bounds how many slices fall due in one turn, so that a backlog does not keep ready messages waiting.
	promoteRounds = 20
	// restartEvery is how often the bulk lane is read from its start again, for rows that came in front of the cursor. What is urgent does not wait for
	// that: it goes to the other lane.
	restartEvery = 5 * time.Second
	// lookEvery is how long the list of sources with due rows is trusted while they have some. The start of an index from which rows are being
	// taken is dear to read: what was taken stands there until the server has cleaned up.
	lookEvery = 250 * time.Millisecond
)

// Dispatcher puts due deliveries into batches, for each account whose lease this process holds.
type Dispatcher struct {
	db       *database.DB
	clock    clock.Clock
	log      *slog.Logger
	owner    string
	accounts *accounts.Store
	ledger   *deliveries.Store
	leases   *lease.Store
	watch    *stops.Watch
	queue    Queue
	lease    time.Duration // how long this process dispatches for an account without renewing
	fallback func(Ticket)  // runs an urgent batch in this process when the queue is away; may be nil

	mu    sync.Mutex
	turns map[int64]*turns
}

// turns is what the dispatcher remembers about an account between two rounds. Losing it costs nothing but a second look.
type turns struct {
	lease     lease.Lease
	next      int64 // key of the source whose turn it is
	credit    map[deliveries.Source]int
	cursors   map[deliveries.Source]deliveries.Cursor
	restarted time.Time
	sources   []deliveries.Source // with due rows, when looked for last
	looked    time.Time
	epoch     int64 // of the stops, then
	busy      bool  // the last round left something
}

// Dispatched counts what one round did.
type Dispatched struct {
	Promoted, Urgent, Bulk int
	// Idle is true when nothing was left to do for the account.
	Idle bool
}

// RunOnce does one round for one account: what fell due becomes ready, and ready rows go into batches. Without the account's lease it does
// nothing.
func (d *Dispatcher) RunOnce(ctx context.Context, account *accounts.Account) (Dispatched, error) {
	t, ok, err := d.hold(ctx, account.ID)
	if err != nil || !ok {
		return Dispatched{Idle: true}, err
	}
	snapshot := d.watch.Snapshot()
	promoted, err := d.promote(ctx, account.ID)
	if err != nil {
		return Dispatched{}, err
	}
	out := Dispatched{Promoted: promoted}
	if promoted > 0 || t.epoch != snapshot.Epoch {
		t.sources, t.epoch = nil, snapshot.Epoch // rows fell due, or something was paused or resumed
	}
	if snapshot.Stopped(stops.Scope{AccountID: account.ID}) {
		out.Idle = true
		return out, nil
	}
	tickets, err := d.batches(ctx, account, t, &snapshot, &out)
	if err != nil {
		return out, err
	}
	for _, ticket := range tickets {
		if err := d.put(ctx, ticket); err != nil {
			return out, err
		}
	}
	out.Idle = promoted == 0 && out.Urgent == 0 && out.Bulk == 0
	return out, nil
}

// put brings a ticket to the workers. With the queue away, urgent batches go on in this process; bulk ones wait for the sweeper.
func (d *Dispatcher) put(ctx context.Context, t Ticket) error {
	quick, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	err := d.queue.Put(quick, t)
	if err == nil {
		return nil
	}
	d.log.Warn("the queue does not take batches; they are tried again", "batch", t.BatchID, "lane", t.Lane.String(), "error", err)
	if t.Lane == limits.LaneUrgent && d.fallback != nil {
		d.fallback(t)
	}
	return nil
}

// queueTimeout is short, because urgent batches have another way.
const queueTimeout = 500 * time.Millisecond

func (d *Dispatcher) hold(ctx context.Context, accountID int64) (*turns, bool, error) {
	d.mu.Lock()
	t := d.turns[accountID]
	d.mu.Unlock()
	now := d.clock.Now()
	if t != nil && now.Before(t.lease.Until.Add(-d.lease/2)) {
		return t, true, nil
	}
	l, ok, err := d.leases.Acquire(ctx, fmt.Sprintf("dispatch:%d", accountID), d.owner, d.lease)
	if err != nil || !ok {
		return nil, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t == nil {
		t = &turns{credit: map[deliveries.Source]int{}, cursors: map[deliveries.Source]deliveries.Cursor{}}
		d.turns[accountID] = t
	}
	t.lease = l
	return t, true, nil
}

// Release gives up the leases of all accounts, so that another process need not wait for their ends. Nothing may be dispatched while it runs.
func (d *Dispatcher) Release(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, t := range d.turns {
		errs = append(errs, d.leases.Release(ctx, t.lease))
	}
	clear(d.turns)
	return errors.Join(errs...)
}

// promote moves what fell due into the ready lanes. It looks before it begins a transaction: mostly there is nothing, in every round and for every account.
func (d *Dispatcher) promote(ctx context.Context, accountID int64) (int, error) {
	next, waiting, err := d.ledger.NextDue(ctx, accountID)
	if err != nil || !waiting || next.After(d.clock.Now()) {
		return 0, err
	}
	total := 0
	for range promoteRounds {
		var moved int
		var full bool
		err := d.db.Tx(ctx, func(tx *gorm.DB) (err error) {
			moved, full, err = d.ledger.Promote(tx, accountID, d.clock.Now())
			return err
		})
		if err != nil {
			return total, err
		}
		total += moved
		if !full {
			break
		}
	}
	return total, nil
}

// round is what one round of batching knows.
type round struct {
	account  *accounts.Account
	turns    *turns
	stopped  func(deliveries.Source) bool
	items    map[int64]bool // deliveries in live batches
	fans     map[int64]bool // fans in live batches
	waiting  map[limits.Lane]int
	size     int // of a batch
	liveRows int
	now      time.Time
}

// free reports whether a row may go into a batch: it is in none, and neither is its fan.
func (r *round) free(d *deliveries.Delivery) bool { return !r.items[d.ID] && !r.fans[d.FanID] }

func (d *Dispatcher) batches(ctx context.Context, account *accounts.Account, t *turns, snapshot *stops.Snapshot, out *Dispatched) ([]Ticket, error) {
	if !t.busy {
		ready, err := d.ledger.Ready(d.db.Read(ctx), account.ID)
		if err != nil || !ready {
			return nil, err
		}
	}
	r, err := d.round(ctx, account, t, snapshot)
	if err != nil {
		return nil, err
	}
	urgent, n, moreUrgent, err := d.fill(ctx, r, limits.LaneUrgent, d.urgent)
	if err != nil {
		return nil, err
	}
	out.Urgent = n
	bulk, n, moreBulk, err := d.fill(ctx, r, limits.LaneBulk, d.bulk)
	if err != nil {
		return nil, err
	}
	out.Bulk = n
	t.busy = moreUrgent || moreBulk
	return append(urgent, bulk...), nil
}

// fill makes batches of a lane until enough of them wait. more is false when a batch that was not full took what there was.
func (d *Dispatcher) fill(ctx context.Context, r *round, lane limits.Lane, next func(context.Context, *round) (Ticket, int, error)) (tickets []Ticket, total int, more bool, err error) {
	for r.waiting[lane] < waitingBatches {
		ticket, n, err := next(ctx, r)
		if err != nil {
			return nil, 0, false, err
		}
		if n > 0 {
			tickets = append(tickets, ticket)
			total += n
		}
		if n < r.size {
			return tickets, total, false, nil
		}
	}
	return tickets, total, true, nil
}

// round reads which batches are alive.
func (d *Dispatcher) round(ctx context.Context, account *accounts.Account, t *turns, snapshot *stops.Snapshot) (*round, error) {
	live, err := d.ledger.LiveBatches(d.db.Read(ctx), account.ID)
	if err != nil {
		return nil, err
	}
	r := &round{
		account: account, turns: t, items: map[int64]bool{}, fans: map[int64]bool{}, waiting: map[limits.Lane]int{}, now: d.clock.Now(),
		size: min(deliveries.BatchMost, max(1, account.RatePerSecond)),
		stopped: func(src deliveries.Source) bool {
			return snapshot.Stopped(scopeOf(account.ID, src))
		},
	}
	for i := range live {
		b := &live[i]
		if b.State == deliveries.BatchWaiting {
			r.waiting[b.Lane]++
		}
		r.add(b.Items)
	}
	return r, nil
}

// add notes the rows of a live batch.
func (r *round) add(items []deliveries.Item) {
	for _, it := range items {
		r.items[it.ID], r.fans[it.FanID] = true, true
	}
	r.liveRows += len(items)
}

// scopeOf names what can stop a source's calls.
func scopeOf(accountID int64, src deliveries.Source) stops.Scope {
	sc := stops.Scope{AccountID: accountID}
	if src.Campaign() {
		sc.CampaignID = src.ID
	}
	return sc
}

// urgent makes a batch of the rows with the earliest deadlines. Rows of stopped campaigns are moved out of the way.
func (d *Dispatcher) urgent(ctx context.Context, r *round) (Ticket, int, error) {
	for {
		found, err := d.ledger.Pick(d.db.Read(ctx), r.account.ID, deliveries.Page{Lane: limits.LaneUrgent, Limit: r.size + r.liveRows})
		if err != nil {
			return Ticket{}, 0, err
		}
		var parked []int64
		var chosen []deliveries.Delivery
		for i := range found {
			if row := &found[i]; r.stopped(row.Source) {
				parked = append(parked, row.ID)
			} else if r.free(row) {
				chosen = append(chosen, *row)
			}
		}
		if len(parked) > 0 {
			if err := d.db.Tx(ctx, func(tx *gorm.DB) error { return d.ledger.Park(tx, parked) }); err != nil {
				return Ticket{}, 0, err
			}
			continue
		}
		return d.create(ctx, r, limits.LaneUrgent, cutSteps(chosen, r.size))
	}
}

// create stores a batch of whole steps.
func (d *Dispatcher) create(ctx context.Context, r *round, lane limits.Lane, chosen []deliveries.Delivery) (Ticket, int, error) {
	if len(chosen) == 0 {
		return Ticket{}, 0, nil
	}
	b := &deliveries.Batch{AccountID: r.account.ID, Lane: lane, CreatedAt: r.now.UnixMilli(), Rows: chosen}
	err := d.db.Tx(ctx, func(tx *gorm.DB) error { return d.ledger.CreateBatch(tx, b) })
	if err != nil {
		return Ticket{}, 0, err
	}
	r.add(b.Items)
	r.waiting[lane]++
	return Ticket{BatchID: b.ID, Attempt: b.Attempt, Lane: lane}, len(b.Items), nil
}

// cutSteps keeps at most n rows, and whole steps only, unless the first alone is larger.
func cutSteps(chosen []deliveries.Delivery, n int) []deliveries.Delivery {
	if len(chosen) <= n {
		return chosen
	}
	end := n
	for end > 0 && end < len(chosen) && chosen[end].SameStep(&chosen[end-1]) {
		end--
	}
	if end == 0 {
		end = n
		for end < len(chosen) && chosen[end].SameStep(&chosen[end-1]) {
			end++
		}
	}
	return chosen[:end]
}
