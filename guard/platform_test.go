package guard_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/wechat"
)

// The codes with which the platform refuses a send (platform.md 3.5).
const (
	sentOK      = 0
	noWindow    = 45015
	outOfCounts = 45047
)

// reading is one way to read the platform's rules: what it counts, by its own clock.
type reading interface {
	act(trigger wechat.Trigger, at int64)
	send(at int64) (code int)
}

// maximum keeps one allowance: the larger count, the later end.
type maximum struct {
	left  int
	until int64
}

func (m *maximum) act(trigger wechat.Trigger, at int64) {
	rule := today(trigger)
	if at >= m.until {
		m.left = 0
	}
	m.left = max(m.left, rule.Messages)
	m.until = max(m.until, at+rule.Lifetime.Milliseconds())
}

func (m *maximum) send(at int64) int {
	switch {
	case at >= m.until:
		return noWindow
	case m.left == 0:
		return outOfCounts
	}
	m.left--
	return sentOK
}

// separate keeps an allowance per trigger and charges the one that ends soonest, or latest.
type separate struct {
	latest  bool
	buckets [wechat.TriggerCount]maximum
}

func (s *separate) act(trigger wechat.Trigger, at int64) {
	rule := today(trigger)
	s.buckets[trigger] = maximum{rule.Messages, at + rule.Lifetime.Milliseconds()}
}

func (s *separate) send(at int64) int {
	var charged *maximum
	code := noWindow
	for i := range s.buckets {
		b := &s.buckets[i]
		if at >= b.until {
			continue
		}
		if b.left == 0 {
			code = max(code, outOfCounts)
			continue
		}
		if charged == nil || (b.until > charged.until) == s.latest {
			charged = b
		}
	}
	if charged == nil {
		return code
	}
	charged.left--
	return sentOK
}

// wire is one send as the client knows it.
type wire struct {
	taken      uint8
	generation int
	endedAt    int64 // 0 while no answer is recorded
	failed     bool
}

// world is a client that uses guard.Grants, and a platform, on one line of true (that is, our) time.
type world struct {
	platform reading
	skew     int64 // the platform's clock minus ours
	now      int64
	pending  []happening
	grants   guard.Grants
	sends    []*wire
	refused  []int // codes of sends that we believed to be allowed
	accepted int
}

type happening struct {
	at  int64
	run func()
}

func (w *world) at(at int64, run func()) { w.pending = append(w.pending, happening{at, run}) }

// advance lets everything happen that is due until to.
func (w *world) advance(to int64) {
	for {
		slices.SortStableFunc(w.pending, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
		if len(w.pending) == 0 || w.pending[0].at > to {
			break
		}
		next := w.pending[0]
		w.pending = w.pending[1:]
		w.now = next.at
		next.run()
	}
	w.now = to
}

// act is an act of the fan now, whose push reaches us lag later.
func (w *world) act(trigger wechat.Trigger, lag int64) {
	created := (w.now + w.skew) / second * second
	w.platform.act(trigger, created)
	w.at(w.now+lag, func() {
		w.grants.Trigger(trigger, created, today(trigger), w.uncounted(created))
	})
}

// uncounted is what a caller of Trigger counts in its ledger.
func (w *world) uncounted(eventAt int64) (n int) {
	for _, s := range w.sends {
		if !s.failed && (s.endedAt == 0 || s.endedAt >= guard.CountedSince(eventAt)) {
			n++
		}
	}
	return n
}

// fate is what happens to a send.
type fate struct {
	arrives int64 // after the reservation, ms
	answers int64 // after that, ms
	fails   bool  // the platform says that it did not send
	lost    bool  // the answer does not come: we record unknown
}

func (w *world) send(f fate) {
	s := &wire{taken: w.grants.TakenBy(w.now), generation: w.grants.Generation}
	w.sends = append(w.sends, s)
	w.at(w.now+f.arrives, func() { w.arrive(s, f) })
}

func (w *world) arrive(s *wire, f fate) {
	code := sentOK
	if !f.fails {
		code = w.platform.send(w.now + w.skew)
	}
	if code == sentOK && !f.fails {
		w.accepted++
	} else if !f.fails {
		w.refused = append(w.refused, code)
	}
	w.at(w.now+f.answers, func() {
		s.endedAt = w.now
		if f.fails && !f.lost {
			s.failed = true
			w.grants.Release(s.taken, s.generation)
		}
	})
}

// The clocks may differ by as much as CountedSince allows for; a call arrives within what the margin leaves beside that.
const (
	maxSkew    = 2_000
	maxArrival = 10_000 - maxSkew
	maxLag     = 12_000
)

func drawFate(t *rapid.T) fate {
	return fate{
		arrives: rapid.SampledFrom([]int64{0, 1, 50, 400, 3_000, maxArrival - 1}).Draw(t, "arrives"),
		answers: rapid.SampledFrom([]int64{0, 1, 30, 900, 5_000}).Draw(t, "answers"),
		fails:   rapid.IntRange(0, 4).Draw(t, "fails") == 0,
		lost:    rapid.IntRange(0, 4).Draw(t, "lost") == 0,
	}
}

// live draws a stretch of a fan's life and plays it, sending whenever the grants allow and the draw wishes.
func (w *world) live(t *rapid.T) {
	w.skew = rapid.Int64Range(-maxSkew, maxSkew).Draw(t, "skew")
	w.now = start
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		w.advance(w.now + rapid.OneOf(
			rapid.SampledFrom([]int64{0, 0, 1, 100, 999, 1_000}),
			rapid.Int64Range(0, 5_000), rapid.Int64Range(0, 70_000), rapid.Int64Range(40*hour, 49*hour),
		).Draw(t, "pause"))
		if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
			trigger := wechat.Trigger(rapid.IntRange(0, int(wechat.TriggerScan)).Draw(t, "trigger"))
			w.act(trigger, rapid.SampledFrom([]int64{0, 1, 300, 2_000, 5_000, maxLag}).Draw(t, "lag"))
			continue
		}
		n := rapid.IntRange(1, 3).Draw(t, "messages")
		if w.grants.Available(w.now, 0) < n {
			continue
		}
		for range n {
			w.send(drawFate(t))
		}
		w.grants.Take(w.now, n)
	}
	w.advance(w.now + minute)
}

func readings() map[string]func() reading {
	return map[string]func() reading{
		"maximum":                        func() reading { return &maximum{} },
		"separate, soonest ending first": func() reading { return &separate{} },
		"separate, latest ending first":  func() reading { return &separate{latest: true} },
	}
}

func TestPropertyThePlatformNeverRefusesWhatTheGrantsAllow(t *testing.T) {
	t.Parallel()
	for name, platform := range readings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			accepted, worlds := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				w := &world{platform: platform()}
				w.live(t)
				require.Empty(t, w.refused)
				accepted, worlds = accepted+w.accepted, worlds+1
			})
			require.Greater(t, accepted, worlds, "the client hardly sends anything")
		})
	}
}

func TestNoGrantIsWastedWhenNothingOverlaps(t *testing.T) {
	t.Parallel()
	for name, platform := range readings() {
		w := &world{platform: platform(), now: start}
		for _, want := range []struct {
			trigger wechat.Trigger
			sends   int
		}{{wechat.TriggerFollow, 3}, {wechat.TriggerMessage, 5}, {wechat.TriggerMenu, 3}, {wechat.TriggerMessage, 5}} {
			w.act(want.trigger, 0)
			w.advance(w.now)
			for range want.sends {
				require.Equal(t, 1, min(1, w.grants.Available(w.now, 0)), name)
				w.send(fate{arrives: 10, answers: 10})
				w.grants.Take(w.now, 1)
				w.advance(w.now + 100)
			}
			require.LessOrEqual(t, w.grants.Available(w.now, 0), 0, name)
			w.advance(w.now + minute)
		}
		require.Equal(t, 16, w.accepted, name)
		require.Empty(t, w.refused, name)
	}
}

func TestSendsAnsweredBeforeALatePushAreTakenOff(t *testing.T) {
	t.Parallel()
	w := &world{platform: &maximum{}, now: start}
	w.act(wechat.TriggerFollow, 0)
	w.advance(start + 10*second)
	w.act(wechat.TriggerMessage, 5*second) // the platform counts from here on; we hear of it later
	for range 3 {
		w.send(fate{arrives: 1_000, answers: 100})
	}
	w.grants.Take(w.now, 3)
	w.advance(start + 15*second)
	require.Equal(t, 2, w.grants.Available(w.now, 0), "three of the five are spent already")
}
