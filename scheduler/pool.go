package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/limits"
)

const (
	// sliceMost is how many deliveries may be marked beyond those in flight. Together with these it bounds how many a crash can leave unknown.
	sliceMost = 100
	// sliceSize is how many one transaction marks: half of sliceMost, so that a slice is marked while another is being recorded.
	sliceSize = sliceMost / 2
)

// renewEvery is how often a pool asks for its share of the account's in-flight slots again.
const renewEvery = time.Second

// pool makes the calls of one account and lane in this process. It has as many callers as it holds in-flight slots.
type pool struct {
	key      poolKey
	throttle Throttle
	clock    clock.Clock
	log      *slog.Logger
	holder   string
	call     func(context.Context, *step)

	steps    chan *step   // buffered, so that who marked a slice goes on to the next
	busy     atomic.Int32 // callers in a call
	mu       sync.Mutex
	limit    int // the account's in-flight limit
	size     int // slots held
	callers  int // goroutines
	marked   int // deliveries marked and not recorded
	most     int // the most ever marked, for the benchmarks
	users    int // batches that use the pool
	changed  chan struct{}
	shrunk   chan struct{} // closed when there are fewer slots than callers
	recorder *recorder
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

type poolKey struct {
	accountID int64
	lane      limits.Lane
}

// open brings the pool to life for its first batch.
func (p *pool) open(account *accounts.Account) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.steps = make(chan *step, sliceMost)
	p.limit = account.InFlight
	p.changed, p.shrunk = make(chan struct{}), make(chan struct{})
	p.renew(ctx)
	p.wg.Go(func() {
		p.renewals(ctx)
	})
}

// close ends an idle pool.
func (p *pool) close() {
	p.cancel()
	close(p.steps)
	p.wg.Wait()
}

// giveBack gives the slots of a closed pool back.
func (p *pool) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
	defer cancel()
	if _, err := p.throttle.Acquire(ctx, p.slots(0, 0)); err != nil {
		p.log.Warn("cannot give in-flight slots back; they end by themselves", "error", err)
	}
}

func (p *pool) renewals(ctx context.Context) {
	for {
		timer := p.clock.NewTimer(renewEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			p.renew(ctx)
		}
	}
}

func (p *pool) slots(want, inUse int) limits.Slots {
	return limits.Slots{AccountID: p.key.accountID, Holder: p.holder, Lane: p.key.lane, Limit: p.limit, Want: want, InUse: inUse}
}

// renew asks for the pool's share of the slots and starts callers for them. With Redis away, the urgent lane goes on with a local share; the
// bulk lane keeps what it has, and gets no rate tokens to mark anything new with.
func (p *pool) renew(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, queueTimeout)
	granted, err := p.throttle.Acquire(asking, p.slots(limits.LaneSlots(p.limit, p.key.lane), int(p.busy.Load())))
	cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.size = granted
	case p.key.lane == limits.LaneUrgent:
		p.size = max(p.size, limits.LaneSlots(p.limit, p.key.lane))
	}
	for p.callers < p.size {
		p.callers++
		p.wg.Add(1)
		go p.run(ctx)
	}
	if p.callers > max(p.size, 1) {
		close(p.shrunk)
		p.shrunk = make(chan struct{})
	}
	p.signal()
}

// run makes calls until the pool closes or holds fewer slots than callers.
func (p *pool) run(ctx context.Context) {
	defer p.wg.Done()
	for {
		shrunk, stays := p.stays()
		if !stays {
			return
		}
		select {
		case st, open := <-p.steps:
			if !open {
				return
			}
			p.busy.Add(1)
			p.call(ctx, st)
			p.busy.Add(-1)
		case <-shrunk:
		}
	}
}

// stays tells a caller whether there is a slot for it, and how it learns that there is none any more. The last caller stays: what is marked must be
// worked off.
func (p *pool) stays() (shrunk <-chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callers > max(p.size, 1) {
		p.callers--
		return nil, false
	}
	return p.shrunk, true
}

// reserve waits until n more deliveries may be marked: at most as many as there are slots, and one slice.
func (p *pool) reserve(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		if p.size > 0 && (p.marked+n <= p.size+sliceMost || p.marked == 0) {
			p.marked += n
			p.most = max(p.most, p.marked)
			p.mu.Unlock()
			return nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// release notes that n deliveries are recorded, or were not marked after all.
func (p *pool) release(n int) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marked -= n
	p.signal()
}

// signal wakes who waits for room. The caller holds the lock.
func (p *pool) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// slice is how many deliveries to mark at once: large enough to make the transaction worth it, small enough that the next slice is marked while this
// one is on the wire.
func (p *pool) slice() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(sliceSize, max(p.size, 25))
}
