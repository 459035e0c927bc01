package campaigns

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/limits"
)

// callTakes is how long a call to the platform is taken to last: it turns calls in flight into calls per second.
const callTakes = 100 * time.Millisecond

// gate is what lets the messages of a rehearsal through: the account's rate and calls in flight, and the platform's daily budget. A rehearsal takes one fan through
// everything before the next one, so that nobody knows who else stands in line. Therefore a gate counts in one rehearsal who comes when, and lets the next
// one have it so, until nothing changes any more: what comes first is right after the first rehearsal, what follows from that after the second, and so on.
//
// It counts by tick and rank and not by message. In a tick, those with the lower rank go first, and of one rank the older fans. That one source has its turn after the
// other, and what lies in the ledger already, is left out; so is the part of the rate that bulk messages leave to urgent ones in the first second. A nil gate lets everything through.
type gate struct {
	tick int64 // ms
	from int64 // where ranks begin, unix ms
	most int64 // messages in a tick
	// left is what is left of the budget by day, as of guard.BudgetDay; all of limits.KefuDaily on others.
	left  map[int]int64
	came  map[place]coming
	turns map[int64]*turn // by tick, where not all go who have come
	ends  map[int]*turn   // by day, where the budget ends before it
}

// place is where messages stand in line: a tick, as unix time, and a rank in it.
type place struct {
	tick int64
	rank int32
}

// coming counts messages that came to a place: those that were due then, and those that would have gone then as far as the budget is not asked.
type coming struct{ asked, sent int32 }

// turn says how far a tick or a day reaches: who ranks lower goes, and so many messages of the rank.
type turn struct {
	place

	share int64
	left  int64 // of the share
	gone  int64 // messages for which it was this turn, to spread them over the tick
}

// all ranks behind every message.
const all = math.MaxInt32

// newGate returns a gate through which nothing has come yet. Of few fans the tick is a second, and ranks are the minutes of deadlines; else minutes and hours, so that a million fans need no more
// memory than the minutes of the time they are followed, times the hours of a window.
func newGate(a *accounts.Account, from int64, few bool, left map[int]int64) *gate {
	g := &gate{tick: time.Minute.Milliseconds(), from: from, left: left, came: map[place]coming{}}
	if few {
		g.tick = time.Second.Milliseconds()
	}
	calls := int64(limits.LaneSlots(a.InFlight, limits.LaneBulk)) * g.tick / callTakes.Milliseconds()
	g.most = max(1, min(int64(a.RatePerSecond)*g.tick/time.Second.Milliseconds(), calls))
	return g
}

// rank is that of messages with a deadline: urgent ones go before all others.
func (g *gate) rank(urgent bool, deadline int64) int32 {
	if g == nil || urgent {
		return 0
	}
	return int32(min(1+max(0, deadline-g.from)/(60*g.tick), all-1))
}

// ask lines n messages of a step up that are due, and returns when it is their turn.
func (g *gate) ask(due int64, rank int32, n int) int64 {
	if g == nil {
		return due
	}
	at := place{due / g.tick, rank}
	c := g.came[at]
	c.asked += int32(n)
	g.came[at] = c
	for need := int64(n); ; at.tick++ {
		t := g.turns[at.tick]
		if t == nil {
			return max(due, at.tick*g.tick)
		}
		if rank == t.rank {
			took := min(need, t.left)
			t.left, need = t.left-took, need-took
		}
		if rank < t.rank || need == 0 {
			return max(due, t.next(g, int64(n)))
		}
	}
}

// next is when the next n messages of the tick go.
func (t *turn) next(g *gate, n int64) int64 {
	at := min(t.gone*g.tick/g.most, g.tick-1)
	t.gone += n
	return t.tick*g.tick + at
}

// spend takes n calls of the day's budget, and reports whether they were left.
func (g *gate) spend(now int64, rank int32, n int) bool {
	if g == nil {
		return true
	}
	at := place{now / g.tick, rank}
	c := g.came[at]
	c.sent += int32(n)
	g.came[at] = c
	end := g.ends[guard.BudgetDay(clock.FromMillis(now))]
	if end == nil {
		return true
	}
	if c := at.compare(end.place); c != 0 {
		return c < 0
	}
	if int64(n) > end.left {
		return false
	}
	end.left -= int64(n)
	return true
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.tick, o.tick), cmp.Compare(p.rank, o.rank))
}

// learn makes the turns of the next rehearsal from what came in this one, and reports whether they are others.
func (g *gate) learn() bool {
	places := slices.SortedFunc(maps.Keys(g.came), place.compare)
	turns, ends := g.line(places), g.spent(places)
	same := func(a, b *turn) bool { return a.place == b.place && a.share == b.share }
	changed := !maps.EqualFunc(turns, g.turns, same) || !maps.EqualFunc(ends, g.ends, same)
	g.turns, g.ends, g.came = turns, ends, map[place]coming{}
	return changed
}

// waiting is how many messages of a rank wait.
type waiting struct {
	rank int32
	n    int64
}

// line lets those who came go, tick by tick.
func (g *gate) line(places []place) map[int64]*turn {
	out := map[int64]*turn{}
	var queue []waiting
	for i, tick := 0, int64(0); i < len(places) || len(queue) > 0; tick++ {
		behind := len(queue) > 0
		if !behind {
			tick = places[i].tick
		}
		for ; i < len(places) && places[i].tick == tick; i++ {
			queue = lineUp(queue, waiting{places[i].rank, int64(g.came[places[i]].asked)})
		}
		t := &turn{place: place{tick, all}}
		queue = t.serve(queue, g.most)
		if behind || len(queue) > 0 {
			out[tick] = t
		}
	}
	return out
}

// lineUp adds messages to those of their rank.
func lineUp(queue []waiting, w waiting) []waiting {
	at, found := slices.BinarySearchFunc(queue, w.rank, func(q waiting, rank int32) int { return cmp.Compare(q.rank, rank) })
	switch {
	case w.n == 0:
		return queue
	case found:
		queue[at].n += w.n
		return queue
	}
	return slices.Insert(queue, at, w)
}

// serve lets the first so many messages of a line go, and returns who stays.
func (t *turn) serve(queue []waiting, most int64) []waiting {
	for i := range queue {
		if queue[i].n > most {
			t.rank, t.share, t.left = queue[i].rank, most, most
			queue[i].n -= most
			return queue[i:]
		}
		most -= queue[i].n
	}
	return nil
}

// spent finds where each day's budget ends.
func (g *gate) spent(places []place) map[int]*turn {
	out, used := map[int]*turn{}, map[int]int64{}
	for _, at := range places {
		day := guard.BudgetDay(clock.FromMillis(at.tick * g.tick))
		left, known := g.left[day]
		if !known {
			left = limits.KefuDaily
		}
		rest, n := max(0, left-used[day]), int64(g.came[at].sent)
		if n > rest && out[day] == nil {
			out[day] = &turn{place: at, share: rest, left: rest}
		}
		used[day] += n
	}
	return out
}

// HeldUp tells of messages that could not go when they were due, for there were too many.
type HeldUp struct {
	Messages int64 // that waited; once for each message, though it may wait again
	Until    int64 // the last moment to which one was put off, unix ms; 0 without any
}

// holder is who holds messages up.
type holder int

const (
	heldByRate holder = iota
	heldByBudget
	holders
)

// gates puts a gate before each stage.
func (p *production) gates(ctx context.Context, q *ForecastQuery) error {
	few, err := p.store.FewToForecast(ctx, p.account.ID, *q)
	if err != nil {
		return err
	}
	budget := limits.Budget{AccountID: p.account.ID, API: limits.KefuAPI, Most: limits.KefuDaily}
	left, err := p.store.Limits.BudgetsLeft(p.store.DB.Read(ctx), clock.FromMillis(p.from), budget)
	if err != nil {
		return err
	}
	for _, x := range p.stages {
		x.gate = newGate(p.account, p.from, few, left)
	}
	return nil
}

// mostPasses bounds how often fans are taken through everything: budgets that end on each of MaxForecastDays and seven more are found one day after the other.
const mostPasses = MaxForecastDays + 10

// again reports whether a stage has to be gone through once more, because messages came otherwise than it was taken for, and makes it ready for that. Differences
// of less than one message in a thousand are let be.
func (x *stage) again() bool {
	if x.gate == nil || !x.gate.learn() || x.before != nil && x.tally.near(x.before) {
		return false
	}
	x.before = x.tally
	x.tally = newTally(x.tally.drip, x.tally.days)
	x.sees = x.tally
	return true
}

// near reports whether another tally counts nearly the same.
func (t *tally) near(o *tally) bool {
	var sum, differ int64
	for k, n := range t.messages {
		sum += n
		differ += max(0, n-o.messages[k])
	}
	for k, n := range o.messages {
		differ += max(0, n-t.messages[k])
	}
	return differ*1000 < sum || differ == 0
}
