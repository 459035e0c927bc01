package scheduler

import (
	"context"
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
	// restartEvery is how often the bulk lane is read from its start again, for rows that came in front of the cursor.
	restartEvery = time.Second
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
	held      time.Time // the lease holds until then
	next      int64     // key of the source whose turn it is
	credit    map[deliveries.Source]int
	cursors   map[deliveries.Source]deliveries.Cursor
	restarted time.Time
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
	if t != nil && now.Before(t.held.Add(-d.lease/2)) {
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
	t.held = l.Until
	return t, true, nil
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

// free reports whether a candidate may go into a batch: it is in none, and neither is its fan.
func (r *round) free(c deliveries.Candidate) bool { return !r.items[c.ID] && !r.fans[c.FanID] }

func (d *Dispatcher) batches(ctx context.Context, account *accounts.Account, t *turns, snapshot *stops.Snapshot, out *Dispatched) ([]Ticket, error) {
	ready, err := d.ledger.Ready(d.db.Read(ctx), account.ID)
	if err != nil || !ready {
		return nil, err
	}
	r, err := d.round(ctx, account, t, snapshot)
	if err != nil {
		return nil, err
	}
	var tickets []Ticket
	for r.waiting[limits.LaneUrgent] < waitingBatches {
		ticket, n, err := d.urgent(ctx, r)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		out.Urgent += n
		tickets = append(tickets, ticket)
	}
	for r.waiting[limits.LaneBulk] < waitingBatches {
		ticket, n, err := d.bulk(ctx, r)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		out.Bulk += n
		tickets = append(tickets, ticket)
	}
	return tickets, nil
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
		var chosen []deliveries.Candidate
		for _, c := range found {
			if r.stopped(c.Source) {
				parked = append(parked, c.ID)
			} else if r.free(c) {
				chosen = append(chosen, c)
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
func (d *Dispatcher) create(ctx context.Context, r *round, lane limits.Lane, chosen []deliveries.Candidate) (Ticket, int, error) {
	if len(chosen) == 0 {
		return Ticket{}, 0, nil
	}
	b := &deliveries.Batch{AccountID: r.account.ID, Lane: lane, CreatedAt: r.now.UnixMilli()}
	for _, c := range chosen {
		b.Items = append(b.Items, deliveries.Item{ID: c.ID, FanID: c.FanID})
	}
	err := d.db.Tx(ctx, func(tx *gorm.DB) error { return d.ledger.CreateBatch(tx, b) })
	if err != nil {
		return Ticket{}, 0, err
	}
	r.add(b.Items)
	r.waiting[lane]++
	return Ticket{BatchID: b.ID, Attempt: b.Attempt, Lane: lane}, len(b.Items), nil
}

// cutSteps keeps at most n candidates, and whole steps only, unless the first alone is larger.
func cutSteps(chosen []deliveries.Candidate, n int) []deliveries.Candidate {
	if len(chosen) <= n {
		return chosen
	}
	end := n
	for end > 0 && end < len(chosen) && chosen[end].SameStep(chosen[end-1]) {
		end--
	}
	if end == 0 {
		end = n
		for end < len(chosen) && chosen[end].SameStep(chosen[end-1]) {
			end++
		}
	}
	return chosen[:end]
}
