package simulator

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/fault"
)

const pushQueue = 256 // pushes that wait per worker

// pusher delivers pushes in the background. Workers start with the first Post.
type pusher struct {
	transport http.RoundTripper
	idle      *http.Transport // our own transport, nil when one was given
	timeout   time.Duration
	seq       atomic.Uint64
	faults    atomic.Pointer[PushFaults]

	start   sync.Once
	workers sync.WaitGroup
	queues  []chan job
	base    context.Context //nolint:containedctx // ends the pushes of the workers on close
	stop    context.CancelFunc

	mu     sync.RWMutex // held for reading while a push is put into a queue
	closed bool

	pendingMu sync.Mutex
	pending   int
	none      chan struct{} // closed while nothing is pending
}

type job struct {
	s *Simulator
	p *Push
}

func newPusher(o Options) *pusher {
	p := &pusher{transport: o.Push, timeout: o.PushTimeout, none: make(chan struct{})}
	close(p.none)
	if p.transport == nil {
		p.idle = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
		p.transport = p.idle
	}
	if p.timeout <= 0 {
		p.timeout = defaultPushTimeout
	}
	if o.PushWorkers <= 0 {
		o.PushWorkers = defaultPushWorkers
	}
	p.queues = make([]chan job, o.PushWorkers)
	for i := range p.queues {
		p.queues[i] = make(chan job, pushQueue)
	}
	p.faults.Store(&PushFaults{})
	p.base, p.stop = context.WithCancel(context.Background())
	return p
}

// lost is how many answers of a push get lost; it follows from the seed and the push.
func (p *pusher) lost(seed, seq uint64) int {
	f := p.faults.Load()
	if f.LoseAnswers == 0 || unit(mix(seed, seq, 5)) >= f.Share {
		return 0
	}
	return f.LoseAnswers
}

func (p *pusher) enqueue(ctx context.Context, s *Simulator, push *Push) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fault.New(fault.Unavailable, "the simulator is closed")
	}
	p.start.Do(func() {
		for _, q := range p.queues {
			p.workers.Go(func() { p.work(q) })
		}
	})
	p.add(1)
	// One queue per fan keeps the pushes of a fan in order.
	q := p.queues[hashText(push.OpenID)%uint64(len(p.queues))]
	select {
	case q <- job{s, push}:
		return nil
	case <-ctx.Done():
		p.add(-1)
		return fault.Wrap(fault.Unavailable, ctx.Err(), "queue a push")
	case <-p.base.Done():
		p.add(-1)
		return fault.New(fault.Unavailable, "the simulator is closed")
	}
}

func (p *pusher) work(q <-chan job) {
	for j := range q {
		j.s.deliverPush(p.base, j.p)
		p.add(-1)
	}
}

func (p *pusher) add(n int) {
	p.pendingMu.Lock()
	defer p.pendingMu.Unlock()
	before := p.pending
	p.pending += n
	switch {
	case before == 0 && p.pending > 0:
		p.none = make(chan struct{})
	case before > 0 && p.pending == 0:
		close(p.none)
	}
}

// Wait returns when everything that was posted so far is delivered, or ctx ends.
func (s *Simulator) Wait(ctx context.Context) error {
	s.push.pendingMu.Lock()
	none := s.push.none
	s.push.pendingMu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "wait for pushes")
	}
}

// close breaks the pushes that are on their way and lets the queued ones fail.
func (p *pusher) close() {
	p.stop()
	p.mu.Lock()
	p.closed = true
	for _, q := range p.queues {
		close(q)
	}
	p.mu.Unlock()
	p.workers.Wait()
	if p.idle != nil {
		p.idle.CloseIdleConnections()
	}
}

// pushed records how a push ended.
func (r *recorder) pushed(p *Push) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes[p.Outcome]++
	if r.mode == RecordCompact {
		return
	}
	if r.mode == RecordRing && len(r.pushes) >= 2*r.ring {
		r.pushes = slices.Delete(r.pushes, 0, len(r.pushes)-r.ring)
	}
	r.pushes = append(r.pushes, *p)
}

// Pushes returns the kept pushes in the order in which they ended; an openid selects one
// fan's.
func (s *Simulator) Pushes(openID string) []Push {
	r := &s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Push
	for _, p := range r.pushes {
		if openID == "" || p.OpenID == openID {
			out = append(out, p)
		}
	}
	return out
}
