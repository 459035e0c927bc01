package campaigns

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"hongyan/deliveries"
	"hongyan/guard"
)

// run is one fan's way through a version: what an enrolment's row says, and what planning adds to it.
type run struct {
	id            int64
	campaignID    int64
	versionID     int64
	fanID         int64
	occurrence    int64
	interactionID int64
	startedAt     int64
	beganBy       string // kind of the trigger

	state   runState
	step    int    // number of the current step, from 1
	over    bool   // the current step was the last
	base    int64  // end of the previous step; 0 in runs that were stored before it was
	wake    int64  // when the sweeper should look at it if nothing has moved it on; 0: never
	timer   int64  // when the waker should place the step, or end its waiting; 0: never; negative: then, but not while the drip is paused
	waiting bool   // the step waits for an act of the fan
	reason  string // why it ended before its last step
	ended   int64

	answer   int // number of the step that is due at once after the act that began the run, if this drip answers the act
	answered bool
	rows     []deliveries.Planned
	effects  []effect
	passed   []Passed
}

// goTo makes a step the next one to be placed; 0 is the end.
func (r *run) goTo(no int, base int64) {
	r.over = no == 0
	if !r.over {
		r.step = no
	}
	r.base, r.timer, r.wake, r.waiting = base, 0, 0, false
}

func (r *run) end(state runState, at int64) {
	r.state, r.wake, r.timer, r.waiting, r.ended = state, 0, 0, false, at
}

// placer places steps of one drip version in time. It is pure.
type placer struct {
	now       time.Time
	accountID int64
	policy    *guard.Policy
	version   *version
	who       *person // nil: nothing is known, and there is no grant
	paused    bool    // messages are planned, but nothing else is done
	// answers is asked once, when the first message of a run that begins is due at once: whether this drip answers the act. Nil for runs that go on.
	answers func() bool
}

// onTime is how late a step may be done and still count as done when it was due.
const onTime = 60 * 1000

// ended is when a step ended that was due at a time and is done now.
func (p *placer) ended(due int64) int64 {
	if now := p.now.UnixMilli(); now-due > onTime {
		return now
	}
	return due
}

// place takes a run from its step on as far as it goes now: to messages that have a time at which they may go, to a step that is due later, or to one that
// waits. Messages before that are planned as skipped, with their reasons. Without any such step the run is finished.
func (p *placer) place(r *run) {
	for !r.over {
		s := p.version.step(r.step)
		if p.who.lacks(s.asks) {
			r.timer = p.now.UnixMilli() // the waker will have read it
			return
		}
		due, dated := s.due(r.base, p.policy.Zone, p.who)
		switch {
		case !dated || s.date != nil && !s.sends() && due < r.base: // messages whose day is over are skipped as too late instead
			r.pass(s, OutcomeNoDate, p.now)
			r.goTo(s.next, r.base)
		case s.sends():
			if p.message(r, s, due) {
				return
			}
		case p.version.endsAt != 0 && max(due, p.now.UnixMilli()) >= p.version.endsAt:
			r.over = true
		case due > p.now.UnixMilli() || p.paused:
			r.timer = due
			return
		default:
			if p.control(r, s, p.ended(due)) {
				return
			}
		}
	}
	r.end(runFinished, p.now.UnixMilli())
}

// message plans a step's messages, and reports whether the run stays there.
func (p *placer) message(r *run, s *step, due int64) bool {
	superseded := false
	if p.answers != nil && s.immediate() {
		if superseded = !p.answers(); !superseded {
			r.answer = s.no
		}
	}
	p.answers = nil
	rows, planned := p.rows(r, s, due, superseded)
	r.rows = append(r.rows, rows...)
	if planned {
		r.state, r.wake, r.timer = runRunning, rows[0].DueAt, 0
		return true
	}
	r.goTo(s.next, max(due, p.now.UnixMilli()))
	return false
}

// control does a step without messages, and reports whether the run stays there.
func (p *placer) control(r *run, s *step, at int64) bool {
	switch s.kind {
	case StepWaitFor:
		r.pass(s, OutcomeWaiting, p.now)
		r.wait(at, s.timeout)
		return true
	case StepExit:
		r.pass(s, OutcomeDone, p.now)
		r.reason = ExitStep
		r.end(runExited, p.now.UnixMilli())
		return true
	case StepIf:
		f := runFacts{run: r, now: p.now.UnixMilli()}
		if p.who != nil {
			f.person = *p.who
		}
		if s.rule.Match(&f) {
			r.pass(s, OutcomeThen, p.now)
			r.goTo(s.then, at)
		} else {
			r.pass(s, OutcomeElse, p.now)
			r.goTo(s.els, at)
		}
	case StepSplit:
		i := s.draw(r)
		r.pass(s, OutcomeArm+Outcome(i), p.now)
		r.goTo(s.arms[i].to, at)
	default:
		r.pass(s, OutcomeDone, p.now)
		r.effects = append(r.effects, effect{step: s, run: r, at: at})
		p.who.changed(s)
		r.goTo(s.next, at)
	}
	return false
}

// wait lets the run wait for an act of the fan from a moment on.
func (r *run) wait(from, timeout int64) {
	r.base, r.timer, r.wake, r.waiting = from, from+timeout, 0, true
}

// draw is the arm that a run takes: always the same for the same run and step.
func (s *step) draw(r *run) int {
	h := fnv.New32a()
	for _, n := range []int64{r.campaignID, r.fanID, r.occurrence, int64(s.no)} {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) // it never fails
	}
	lot := int(mix(h.Sum32()) % allWeights)
	return slices.IndexFunc(s.arms, func(a arm) bool { return lot < a.below })
}

// mix spreads a hash over all bits: the last ones of FNV differ little between neighbours.
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85EBCA6B
	h ^= h >> 13
	h *= 0xC2B2AE35
	return h ^ h>>16
}

// rows is a step's messages for the ledger, and whether they are to be sent.
func (p *placer) rows(r *run, s *step, due int64, superseded bool) ([]deliveries.Planned, bool) {
	req := p.version.request(s, due, guard.Spread(r.campaignID, r.fanID))
	facts := guard.Facts{CampaignCaps: p.version.caps}
	if grants := p.who.grants(); grants != nil {
		facts.Grants = *grants
	}
	var at guard.Placement
	if superseded {
		at = guard.Placement{DueAt: max(due, p.now.UnixMilli()), Verdict: guard.Verdict{Kind: guard.Skip, Reason: guard.ReasonSuperseded}}
	} else {
		at = guard.Plan(p.policy, p.now, time.UnixMilli(due), &req, &facts)
	}
	row := deliveries.Planned{
		Key: deliveries.Key{
			AccountID: p.accountID, Source: source(r.campaignID), FanID: r.fanID, Occurrence: r.occurrence, StepNo: r.step,
		},
		StepSize: len(s.messageIDs), Channel: req.Channel, Class: req.Class, Options: req.Options,
		DueAt: at.DueAt, NotAfter: req.NotAfter, Deadline: p.deadline(&req, at.DueAt, &facts),
		State: deliveries.StatePlanned, Reason: at.Verdict.Reason, Verdict: at.Verdict.Kind,
	}
	if at.Verdict.Kind == guard.Skip {
		row.State = deliveries.StateSkipped
	}
	if at.Verdict.Kind != guard.Allow {
		row.Values = p.values(due, &req, &facts, at)
	}
	rows := make([]deliveries.Planned, len(s.messageIDs))
	for i, id := range s.messageIDs {
		rows[i] = row
		rows[i].MessageNo, rows[i].MessageID = i+1, id
	}
	return rows, row.State == deliveries.StatePlanned
}

// deadline is when it is no use any more to try. A step that waits for a grant does not depend on the one that is open now.
func (p *placer) deadline(req *guard.Request, due int64, facts *guard.Facts) int64 {
	if req.Options&guard.OptWaitForGrant != 0 {
		return req.NotAfter
	}
	return deliveries.EffectiveDeadline(&facts.Grants, p.policy, req, due)
}

// values are the figures behind a step that was moved or skipped.
func (p *placer) values(wished int64, req *guard.Request, facts *guard.Facts, at guard.Placement) []guard.Value {
	m := p.policy.At(time.UnixMilli(max(wished, p.now.UnixMilli())))
	values := []guard.Value{{Name: "wished_at", Number: wished}}
	if at.DueAt != wished {
		values = append(values, guard.Value{Name: "due_at", Number: at.DueAt})
	}
	return append(values, guard.Values(&m, p.policy, req, facts, at.Verdict)...)
}
