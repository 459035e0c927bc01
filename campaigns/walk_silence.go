package campaigns

import (
	"math"
	"slices"

	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/wechat"
)

// silence is what a drip asks for: that a fan has done nothing for n hours (ActSilent), or that the window which the fan's message opened closes in n minutes
// (ActClosing).
type silence struct {
	kind string
	n    int
}

// toldSilence is a silence of which drips have been told: of what it is tells silences of a fan apart, the last act or the end of the window.
type toldSilence struct {
	silence
	of int64
}

// silenceCheck is when a silence is looked for, and after which act.
type silenceCheck struct {
	silence
	at, eventAt int64
}

// silencesOf lists the silences that start drips.
func silencesOf(drips []*Running) []silence {
	var out []silence
	for _, r := range drips {
		for i := range r.triggers {
			t := &r.triggers[i]
			s := silence{n: t.n}
			switch t.kind {
			case TriggerSilent:
				s.kind = ActSilent
			case TriggerClosing:
				s.kind = ActClosing
			default:
				continue
			}
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// age is how long after an act the silence that may follow it is looked for, ms.
func (s silence) age(now int64) int64 {
	if s.kind == ActSilent {
		return int64(s.n) * msHour
	}
	return max(0, wechat.RulesAt(clock.FromMillis(now)).Grants[wechat.TriggerMessage].Usable().Milliseconds()-int64(s.n)*msMinute)
}

// expect notes what silences may still follow what the fan did last, before the rehearsal.
func (f *imagined) expect() {
	f.told = map[toldSilence]bool{}
	for _, s := range f.silences {
		at := f.fan.InteractedAt + s.age(f.since)
		if s.kind == ActClosing {
			at = f.usage.Grants.Buckets[wechat.TriggerMessage].Until - int64(s.n)*msMinute
		}
		f.check(silenceCheck{silence: s, at: at, eventAt: f.fan.InteractedAt})
	}
}

// acted notes what silences may follow an act of the fan.
func (f *imagined) acted(did *fans.Act) {
	if did.Left || did.Session != fans.SessionNone {
		return
	}
	for _, s := range f.silences {
		f.check(silenceCheck{silence: s, at: f.now + s.age(f.now), eventAt: did.EventAt})
	}
}

// check notes when to look for a silence; what became due before the rehearsal began is not told of.
func (f *imagined) check(c silenceCheck) {
	if c.at >= f.since {
		f.checks = append(f.checks, c)
	}
}

// nextCheck is when the next silence is looked for.
func (f *imagined) nextCheck() int64 {
	next := int64(math.MaxInt64)
	for _, c := range f.checks {
		next = min(next, c.at)
	}
	return next
}

// listen looks for the silences that are due, as fans.FindSilence does.
func (f *imagined) listen() {
	f.checks = slices.DeleteFunc(f.checks, func(c silenceCheck) bool {
		if c.at > f.now {
			return false
		}
		act := Act{Kind: c.kind}
		of := f.fan.InteractedAt
		due := c.eventAt >= of
		if c.kind == ActSilent {
			act.Hours, act.EventAt = c.n, of+c.age(f.now)
		} else {
			window := f.usage.Grants.Buckets[wechat.TriggerMessage]
			of, act.Minutes, act.EventAt = window.Until, c.n, window.Until-int64(c.n)*msMinute
			due = window.Open(f.now) && act.EventAt <= f.now
		}
		t := toldSilence{c.silence, of}
		if due && f.fan.Subscribed && !f.told[t] {
			f.told[t] = true
			f.comes(happening{at: f.now, act: act})
		}
		return true
	})
}
