package guard

import (
	"time"

	"hongyan/wechat"
)

// Bucket is what one trigger's grant has left (design 5.2).
type Bucket struct {
	Left       int   // messages that may still be reserved; below 0 when other buckets paid for more than this one had
	Until      int64 // end of the window we rely on, unix ms, exclusive; the safety margin is already taken off
	Generation int   // the fan's generation when the bucket was last set, emptied or closed
}

// Open reports whether the bucket's window is open at now.
func (b Bucket) Open(now int64) bool { return now < b.Until }

// Grants is the state of all of a fan's buckets, indexed by wechat.Trigger.
//
// How overlapping grants combine is not published, so the arithmetic stays inside every
// reading: a send is allowed when any open bucket has something left, and takes one from
// every open bucket. A bucket without anything left goes below zero: the platform may have
// charged the send to it instead of an earlier one that failed and is given back. Generation counts the changes that came from outside (a
// trigger, a correction by the platform); a reservation remembers it, and a release gives
// back only to buckets that have not been touched since.
type Grants struct {
	Buckets    [wechat.TriggerCount]Bucket
	Generation int
}

// clockSlack is how far apart our clock and the platform's may be for the order of an act and a send to be sure, ms.
const clockSlack = 2_000

// CountedSince is the moment from which on the platform may have counted a send after a fan's act at eventAt: sends
// that ended, by our clock, before it were counted before the act.
func CountedSince(eventAt int64) int64 { return eventAt - clockSlack }

// Trigger opens the bucket of a fan's act that happened at eventAt. uncounted is the number of sends to the fan that the
// platform may count after the act, so they are taken off: those on the wire, and those sent or unknown that ended at
// CountedSince(eventAt) or later, because a push may reach us after sends that followed the act. An act older
// than the one that set the bucket changes nothing. It reports whether the grants changed.
func (g *Grants) Trigger(t wechat.Trigger, eventAt int64, rule wechat.Allowance, uncounted int) bool {
	if rule.Messages <= 0 {
		return false
	}
	until := eventAt + rule.Usable().Milliseconds()
	b := &g.Buckets[t]
	if until < b.Until {
		return false
	}
	g.Generation++
	*b = Bucket{Left: rule.Messages - uncounted, Until: until, Generation: g.Generation}
	return true
}

// Available is how many messages may be reserved at now, keeping back held of the
// bucket that the fan's own messages open.
func (g *Grants) Available(now int64, held int) int {
	most := 0
	for t := range g.Buckets {
		b := &g.Buckets[t]
		if !b.Open(now) {
			continue
		}
		left := b.Left
		if wechat.Trigger(t) == wechat.TriggerMessage {
			left -= held
		}
		most = max(most, left)
	}
	return most
}

// Take reserves n messages at now: it takes them from every open bucket. The caller has checked Available.
func (g *Grants) Take(now int64, n int) {
	for t := range g.Buckets {
		if b := &g.Buckets[t]; b.Open(now) {
			b.Left -= n
		}
	}
}

// TakenBy is the set of buckets, as bits, that a reservation at now takes from: what its release has to be told.
func (g *Grants) TakenBy(now int64) uint8 {
	var taken uint8
	for t := range g.Buckets {
		if g.Buckets[t].Open(now) {
			taken |= 1 << t
		}
	}
	return taken
}

// Release gives one message back to the buckets in taken that are still of the reservation's generation or older.
func (g *Grants) Release(taken uint8, generation int) {
	for t := range g.Buckets {
		if b := &g.Buckets[t]; taken&(1<<t) != 0 && b.Generation <= generation {
			b.Left++
		}
	}
}

// Exhaust empties the buckets that a send reserved at generation could have used: the platform answered it with 45047. What an
// act has opened since then is not concerned.
func (g *Grants) Exhaust(generation int) {
	g.Generation++
	for t := range g.Buckets {
		if b := &g.Buckets[t]; b.Generation <= generation {
			b.Left, b.Generation = 0, g.Generation
		}
	}
}

// Close ends the windows that a send reserved at generation could have used: the platform answered it with 45015.
func (g *Grants) Close(generation int) {
	g.Generation++
	for t := range g.Buckets {
		if g.Buckets[t].Generation <= generation {
			g.Buckets[t] = Bucket{Generation: g.Generation}
		}
	}
}

// CloseAll ends every window: the fan unfollowed.
func (g *Grants) CloseAll() { g.Close(g.Generation) }

// End is the latest end of a window in which something is left at now, 0 if there is none.
func (g *Grants) End(now int64, held int) int64 {
	var end int64
	for t := range g.Buckets {
		b := g.Buckets[t]
		if wechat.Trigger(t) == wechat.TriggerMessage {
			b.Left -= held
		}
		if b.Open(now) && b.Left > 0 {
			end = max(end, b.Until)
		}
	}
	return end
}

// AnyOpen reports whether a window is open at now, whatever is left in it.
func (g *Grants) AnyOpen(now int64) bool {
	for t := range g.Buckets {
		if g.Buckets[t].Open(now) {
			return true
		}
	}
	return false
}

// AgentSession is the longest that a human agent's session stays open without an event of its end (platform.md 2.6).
const AgentSession = 30 * time.Minute

// Empty uses up one bucket: somebody else, a human agent, may have spent it.
func (g *Grants) Empty(t wechat.Trigger) {
	g.Generation++
	g.Buckets[t].Left, g.Buckets[t].Generation = 0, g.Generation
}
