package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Options says how a Simulator starts. The zero value is usable: wall clock, today's
// rules, everything recorded.
type Options struct {
	// Clock tells the platform's time. A *clock.Manual makes a virtual-time run: answers
	// given through RoundTripper are then never delayed.
	Clock clock.Clock
	// Seed decides openids, tokens, request ids, push nonces and faults.
	Seed uint64
	// Rules are the grants in force; the zero value takes wechat.RulesAt(now).
	Rules wechat.RuleSet
	// Switches choose between readings of what the platform does not document.
	Switches Switches
	// Record says how much of the traffic is kept.
	Record RecordMode
	// RingSize is how many calls and pushes RecordRing keeps; 0 means 10,000.
	RingSize int
	// Key picks what identifies a message in Duplicates; nil takes the whole content.
	Key func(kind, content string) string
	// Push carries pushes to the callback; nil makes a transport of its own.
	// HandlerTransport turns an http.Handler into one.
	Push http.RoundTripper
	// PushWorkers is how many goroutines deliver what Post queued; 0 means 8.
	PushWorkers int
	// PushTimeout is how long a push waits for its answer; 0 means 5 s (platform.md 2.3).
	PushTimeout time.Duration
}

const (
	defaultRing        = 10_000
	defaultPushWorkers = 8
	defaultPushTimeout = 5 * time.Second
)

// Simulator is one fake platform with any number of accounts. It is safe for concurrent
// use; Close releases its goroutines and connections.
type Simulator struct {
	clock    clock.Clock
	seed     uint64
	key      func(kind, content string) string
	switches atomic.Pointer[Switches]
	rules    atomic.Pointer[wechat.RuleSet]
	routes   []route
	byPath   map[string]api
	faults   faultTable
	accounts accountTable
	tokens   sync.Map // access_token -> *token
	fans     fanTable
	record   recorder

	components componentTable

	push     *pusher
	calls    atomic.Uint64 // sequence of calls; also feeds request ids
	arrivals atomic.Uint64
	messages atomic.Int64
	hooks    hooks
	control  http.Handler
	done     chan struct{}
	once     sync.Once
}

// New returns a Simulator without accounts. It panics on switches that do not exist,
// because that is a mistake of the program that calls it.
func New(o Options) *Simulator {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Rules.Name == "" {
		o.Rules = wechat.RulesAt(o.Clock.Now())
	}
	if o.RingSize <= 0 {
		o.RingSize = defaultRing
	}
	s := &Simulator{clock: o.Clock, seed: o.Seed, key: o.Key, done: make(chan struct{}), routes: allRoutes()}
	s.byPath = indexRoutes(s.routes)
	if s.key == nil {
		s.key = func(_, content string) string { return content }
	}
	if err := s.SetSwitches(o.Switches); err != nil {
		panic(fmt.Sprintf("simulator: %v", err))
	}
	s.SetRules(o.Rules)
	s.faults.init(o.Seed)
	s.accounts.byID = map[string]*account{}
	s.fans.init()
	s.record.init(o.Record, o.RingSize)
	s.push = newPusher(o)
	s.control = s.controlHandler()
	return s
}

// Close stops queued pushes, ends calls that hang and closes idle connections. It returns
// when the simulator's goroutines are gone; Wait first to let queued pushes arrive.
func (s *Simulator) Close() {
	s.once.Do(func() {
		close(s.done)
		s.push.close()
	})
}

// Clock is the clock that the simulator runs on.
func (s *Simulator) Clock() clock.Clock { return s.clock }

// Rules returns the grants in force.
func (s *Simulator) Rules() wechat.RuleSet { return *s.rules.Load() }

// SetRules changes the grants from now on; open windows keep what they have.
func (s *Simulator) SetRules(r wechat.RuleSet) { s.rules.Store(&r) }

// Switches returns the readings in force.
func (s *Simulator) Switches() Switches { return *s.switches.Load() }

// SetSwitches changes the readings from now on. It answers Invalid for a value that does
// not exist.
func (s *Simulator) SetSwitches(sw Switches) error {
	if err := sw.normalise(); err != nil {
		return err
	}
	s.switches.Store(&sw)
	return nil
}

// mover is a clock that is moved by hand: clock.Manual.
type mover interface {
	Advance(d time.Duration)
	Set(at time.Time)
}

// Advance moves a hand-moved clock by d. It answers Conflict on any other clock.
func (s *Simulator) Advance(d time.Duration) error {
	m, ok := s.clock.(mover)
	if !ok {
		return fault.New(fault.Conflict, "the simulator runs on a clock that cannot be moved")
	}
	m.Advance(d)
	return nil
}

func (s *Simulator) virtual() bool {
	_, ok := s.clock.(mover)
	return ok
}

// hooks are told of every arrival, outside all locks, in the goroutine that caused it.
type hooks struct {
	mu   sync.Mutex
	next int
	list atomic.Pointer[[]hook]
}

type hook struct {
	id int
	fn func(Arrival)
}

// OnArrival calls fn for every message that reaches a fan, in the goroutine that delivers
// it; fn must not block. The returned function ends the subscription.
func (s *Simulator) OnArrival(fn func(Arrival)) (stop func()) {
	h := &s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	id := h.next
	list := append(h.current(), hook{id: id, fn: fn})
	h.list.Store(&list)
	return func() { h.remove(id) }
}

// current returns a copy that may be changed.
func (h *hooks) current() []hook {
	var out []hook
	if p := h.list.Load(); p != nil {
		out = append(out, *p...)
	}
	return out
}

func (h *hooks) remove(id int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var kept []hook
	for _, x := range h.current() {
		if x.id != id {
			kept = append(kept, x)
		}
	}
	h.list.Store(&kept)
}

func (h *hooks) tell(a Arrival) {
	if p := h.list.Load(); p != nil {
		for _, x := range *p {
			x.fn(a)
		}
	}
}

// Duration is a time.Duration that travels in JSON as Go writes it: "1.5s".
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("a duration is a string such as \"1.5s\": %w", err)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("a duration is a string such as \"1.5s\": %w", err)
	}
	*d = Duration(parsed)
	return nil
}
