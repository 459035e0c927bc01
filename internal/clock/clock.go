// Package clock is the only place that reads the wall clock.
//
// Everything else is handed a Clock, so that a week-long drip runs in a test in
// milliseconds. It imports nothing of ours.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time and wakes its callers.
type Clock interface {
	// Now is the current time in UTC, cut to milliseconds: the precision the database keeps.
	Now() time.Time
	// NewTimer fires once on C after d. A d of zero or less fires at once.
	NewTimer(d time.Duration) *Timer
}

// Timer is a one-shot alarm of a Clock.
type Timer struct {
	// C receives the time at which the timer fired.
	C    <-chan time.Time
	stop func() bool
}

// Stop prevents the timer from firing. It reports whether it was still pending.
func (t *Timer) Stop() bool { return t.stop() }

// System returns the wall clock.
func System() Clock { return systemClock{} }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (systemClock) NewTimer(d time.Duration) *Timer {
	t := time.NewTimer(d)
	return &Timer{C: t.C, stop: t.Stop}
}

// Manual is a Clock that moves only when told to. It is safe for concurrent use.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*manualTimer]struct{}
}

type manualTimer struct {
	at time.Time
	c  chan time.Time
}

// NewManual returns a Manual clock that stands at start.
func NewManual(start time.Time) *Manual {
	return &Manual{now: start.UTC().Truncate(time.Millisecond), timers: map[*manualTimer]struct{}{}}
}

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// NewTimer implements Clock.
func (m *Manual) NewTimer(d time.Duration) *Timer {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &manualTimer{at: m.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		t.c <- m.now
	} else {
		m.timers[t] = struct{}{}
	}
	return &Timer{C: t.c, stop: func() bool { return m.drop(t) }}
}

func (m *Manual) drop(t *manualTimer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, pending := m.timers[t]
	delete(m.timers, t)
	return pending
}

// Advance moves the clock forward by d and fires what fell due.
func (m *Manual) Advance(d time.Duration) { m.Set(m.Now().Add(d)) }

// Set moves the clock to at and fires what fell due. A time before now is ignored:
// the clock never runs backwards.
func (m *Manual) Set(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at = at.UTC().Truncate(time.Millisecond)
	if at.Before(m.now) {
		return
	}
	m.now = at
	for t := range m.timers {
		if !t.at.After(at) {
			t.c <- at
			delete(m.timers, t)
		}
	}
}

// Millis is t as the database keeps it: unix milliseconds, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis, in UTC.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
