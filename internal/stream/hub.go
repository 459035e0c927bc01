package stream

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/startstop"
)

const (
	// lookEvery is how often a hub looks for events when nothing rings.
	lookEvery = 500 * time.Millisecond
	// buffered is how many events may wait for a connection. One that is slower is ended, and comes back for the rest.
	buffered = 256
	// MaxConnections is how many connections a hub serves at once.
	MaxConnections = 1000
)

// Why a hub ends a connection.
var (
	ErrSlow    = errors.New("the connection takes its events too slowly")
	ErrStopped = errors.New("the server is being stopped")
	errLost    = errors.New("events were removed before they were read")
)

// Hub serves the connections of one process. It is started and stopped as every service; a stopped hub ends its connections.
type Hub struct {
	startstop.Base
	db    *database.DB
	clock clock.Clock
	log   *slog.Logger
	bell  chan struct{}

	mu   sync.Mutex
	live bool
	last int64 // up to which everything has been handed to the connections
	subs map[*Subscription]struct{}
}

// NewHub returns a hub.
func NewHub(db *database.DB, c clock.Clock, log *slog.Logger) *Hub {
	h := &Hub{db: db, clock: c, log: log, bell: make(chan struct{}, 1), subs: map[*Subscription]struct{}{}}
	h.Base = startstop.Base{Name: "stream", Prepare: h.prepare, Run: h.run, Failed: func(err error) { log.Error("live updates have ended", "error", err) }}
	return h
}

// Ring has the hub look for events now.
func (h *Hub) Ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// prepare begins at the end of what has happened.
func (h *Hub) prepare(ctx context.Context) error {
	if err := order(ctx, h.db); err != nil {
		return err
	}
	c, err := readCursor(h.db.Read(ctx), "")
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live, h.last = true, c.last
	return nil
}

func (h *Hub) run(ctx context.Context, stopping <-chan struct{}) error {
	defer h.end(ErrStopped)
	for {
		more, err := h.look(ctx)
		if err != nil && ctx.Err() == nil {
			h.log.Warn("cannot read events; trying again", "error", err)
		}
		if more {
			select {
			case <-stopping:
				return nil
			default:
				continue
			}
		}
		timer := h.clock.NewTimer(lookEvery)
		select {
		case <-stopping:
			timer.Stop()
			return nil
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-h.bell:
			timer.Stop()
		}
	}
}

// look hands on what is new. more tells that there is more of it.
func (h *Hub) look(ctx context.Context) (more bool, err error) {
	if err := order(ctx, h.db); err != nil {
		return false, err
	}
	from := h.position()
	c, err := readCursor(h.db.Read(ctx), "")
	switch {
	case err != nil || c.last == from:
		return false, err
	case c.last < from: // the database is a copy of an earlier day
		h.restart(c.last)
		return false, nil
	}
	events, err := read(h.db.Read(ctx), from)
	if err != nil {
		return false, err
	}
	// Asked after the reading: what was removed before it is missing there.
	if c, err = readCursor(h.db.Read(ctx), ""); err != nil {
		return false, err
	}
	if c.trimmed > from {
		h.restart(c.last)
		return false, nil
	}
	h.hand(events)
	return len(events) == page, nil
}

func (h *Hub) position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// hand puts events into the buffers of the connections that want them.
func (h *Hub) hand(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		e := &events[i]
		for s := range h.subs {
			if e.Seq <= s.after || !s.filter.wants(e) {
				continue
			}
			select {
			case s.events <- *e:
			default:
				h.drop(s, ErrSlow)
			}
		}
		h.last = e.Seq
	}
}

// restart goes on at the end, because what lies between cannot be told any more. The connections begin anew.
func (h *Hub) restart(last int64) {
	h.log.Warn("events could not be told; browsers load everything anew")
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		h.drop(s, errLost)
	}
	h.last = last
}

// end ends all connections and takes no more.
func (h *Hub) end(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = false
	for s := range h.subs {
		h.drop(s, why)
	}
}

// drop ends a connection; the lock is held.
func (h *Hub) drop(s *Subscription, why error) {
	if _, there := h.subs[s]; !there {
		return
	}
	delete(h.subs, s)
	s.why = why
	close(s.events)
}

// Filter says which events a connection wants.
type Filter struct {
	AccountID int64   // 0: of all accounts, and of none
	Topics    []Topic // empty: all
}

func (f *Filter) wants(e *Event) bool {
	return (f.AccountID == 0 || f.AccountID == e.AccountID) && (len(f.Topics) == 0 || slices.Contains(f.Topics, e.Topic))
}

// FromNow is the position of a connection that has none yet.
const FromNow = -1

// Subscribe begins a connection behind the event with the id after, or FromNow. Its Serve has to be called. Errors: Unavailable when the hub does not run,
// or serves MaxConnections.
func (h *Hub) Subscribe(f Filter, after int64) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.live:
		return nil, fault.New(fault.Unavailable, "live updates are not running in this process")
	case len(h.subs) >= MaxConnections:
		return nil, fault.New(fault.Unavailable, "this process serves %d live connections already, which is the most", MaxConnections)
	}
	s := &Subscription{hub: h, filter: f, after: after, joined: h.last, events: make(chan Event, buffered)}
	h.subs[s] = struct{}{}
	return s, nil
}
