package campaigns

import (
	"cmp"
	"math"

	"hongyan/deliveries"
	"hongyan/guard"
)

// The kinds of thing that happen to a fan, in the order in which those of one moment do.
const (
	thingSilence = iota
	thingTimer
	thingAct
	thingDue
	thingEnd // of the drip: found out by a sweep, before which the dispatcher has looked
	nothing
)

// thing is the next thing that happens to a fan.
type thing struct {
	at       int64
	kind     int
	urgent   bool
	deadline int64
	run      *imaginedRun
}

func (a *thing) before(b *thing) bool {
	if c := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind)); c != 0 {
		return c < 0
	}
	if a.urgent != b.urgent {
		return a.urgent
	}
	return a.deadline < b.deadline
}

// next is what happens to the fan next.
func (f *imagined) next() thing {
	first := thing{at: math.MaxInt64, kind: nothing}
	take := func(t thing) {
		if t.at = max(t.at, f.now); t.before(&first) {
			first = t
		}
	}
	if len(f.checks) > 0 {
		take(thing{at: f.nextCheck(), kind: thingSilence})
	}
	if len(f.to) > 0 {
		take(thing{at: f.to[0].at, kind: thingAct})
	}
	for _, r := range f.runs {
		if r.timer > 0 {
			take(thing{at: r.timer, kind: thingTimer, run: r})
		}
		if r.version.endsAt != 0 {
			take(thing{at: r.version.endsAt, kind: thingEnd, run: r})
		}
		for _, d := range r.open {
			at := max(d.DueAt, r.turn, f.now)
			take(thing{
				at: at, kind: thingDue, urgent: urgent(d, at), deadline: d.Deadline, run: r,
			})
		}
	}
	return first
}

// urgent reports whether a message is in the urgent lane.
func urgent(d *deliveries.Delivery, at int64) bool {
	return d.Class == guard.ClassReply || d.Deadline < at+deliveries.UrgentWithin.Milliseconds()
}
