package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/limits"
	"hongyan/wechat"
)

// clockSkew is how far apart the clocks of two processes may be, ms.
const clockSkew = 2_000

// mostClosed is how often a synchronisation is taken to have closed a fan's grants: more is no explanation of a generation.
const mostClosed = 100

// replayStep is an act that was recorded, or should have been.
type replayStep struct {
	act  *fans.Act
	kept *fans.KeptAct // nil when nothing is recorded of the act
	at   int64         // when it was recorded; when it was received, if it was not
	// since is from when on sends may count after the acts that were recorded in the same millisecond, 0 when none of them opened anything: see
	// guard.CountedSince.
	since int64
}

// rebuild makes a fan and its limits anew from what is kept. What changes the grants has an order, the fan's generation: an act knows the one that it led to,
// a reservation the one that it was taken in. What lies between the generations of two acts came from elsewhere: from answers of the platform, which are in
// the ledger, or from a synchronisation that found the fan gone.
type rebuild struct {
	live  *fans.Live
	fan   fans.Fan
	usage limits.Usage
	// base is the generation up to which the acts are not kept any more, 0 when all are; answers recorded until baseAt have led to it.
	base    int
	baseAt  int64
	marked  []deliveries.Marked
	held    []*deliveries.Marked // what holds something of a grant, by generation
	taken   int                  // of held
	answers []*deliveries.Marked // what corrected the grants, in order
	applied int                  // of answers
	settled map[int64]bool       // times at which answers were applied: those recorded together correct once
	closed  int                  // how often a synchronisation closed the grants
	told    bool                 // something is the platform's word
	c       *comparison
}

func newRebuild(f *replayFacts, c *comparison) *rebuild {
	r := &rebuild{live: &f.live, marked: f.marked, settled: map[int64]bool{}, c: c}
	r.fan = fans.Fan{ID: f.live.Fan.ID, AccountID: f.live.Fan.AccountID, OpenID: f.live.Fan.OpenID}
	r.usage = limits.Usage{FanID: f.live.Fan.ID, AccountID: f.live.Fan.AccountID}
	if f.lost != nil {
		r.begin(f)
	}
	for i := range r.marked {
		m := &r.marked[i]
		if m.Holds() && m.Reserved.Buckets != 0 && m.Reserved.Generation >= r.base {
			r.held = append(r.held, m)
		}
		early := f.lost != nil && m.EndedAt <= r.baseAt && m.Reserved.Generation < r.base
		if m.State == deliveries.StateFailed && correctionOf(m.ErrCode) != limits.CorrectNone && !early {
			r.answers = append(r.answers, m)
		}
	}
	slices.SortFunc(r.held, func(a, b *deliveries.Marked) int {
		return cmp.Or(cmp.Compare(a.Reserved.Generation, b.Reserved.Generation), cmp.Compare(a.MarkedAt, b.MarkedAt), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(r.answers, func(a, b *deliveries.Marked) int {
		return cmp.Or(cmp.Compare(a.EndedAt, b.EndedAt), cmp.Compare(a.ID, b.ID))
	})
	return r
}

// begin takes what a fan was when the first act that is still kept came: what is older than that is believed. No act that is kept happened before one that is
// not (replayFacts.forget), so that times tell which is which.
func (r *rebuild) begin(f *replayFacts) {
	r.base, r.baseAt = f.lost.Generation, f.lost.RecordedAt
	if r.base == fans.GenerationUnknown {
		r.base, r.baseAt = r.live.Usage.Grants.Generation, math.MaxInt64
		if len(f.steps) > 0 && f.steps[0].kept != nil {
			r.base, r.baseAt = f.steps[0].kept.Generation-f.steps[0].kept.Touched, f.steps[0].at
		}
	}
	old := func(at int64) int64 {
		if at > f.lostEvent {
			return 0
		}
		return at
	}
	l := &r.live.Fan
	r.fan.Subscribed, r.fan.Scene, r.fan.FollowSource = l.Subscribed, l.Scene, l.FollowSource
	r.fan.SubscribedAt, r.fan.UnsubscribedAt, r.fan.InteractedAt = old(l.SubscribedAt), old(l.UnsubscribedAt), old(l.InteractedAt)
	left := slices.ContainsFunc(f.steps, func(s replayStep) bool { return s.act.Left && s.act.EventAt == l.UnsubscribedAt })
	if l.UnsubscribedAt <= f.lost.RecordedAt && !left {
		r.fan.UnsubscribedAt = l.UnsubscribedAt // found out by ourselves, at a time of our own clock
	}
	r.usage.Grants.Generation = r.base
	rules := wechat.RulesAt(clock.FromMillis(f.lostEvent))
	for t := range r.usage.Grants.Buckets {
		// What is left and of which generation is taken over in the end, if nothing has changed it since.
		if until := r.live.Usage.Grants.Buckets[t].Until; until <= f.lostEvent+rules.Grants[t].Usable().Milliseconds() {
			r.usage.Grants.Buckets[t].Until = until
		}
	}
	if until := r.live.Usage.AgentUntil; until <= f.lostEvent+guard.AgentSession.Milliseconds() {
		r.usage.AgentUntil = until
	}
}

// run does everything again.
func (r *rebuild) run(steps []replayStep) {
	for i := range steps {
		r.step(&steps[i])
	}
	for r.usage.Grants.Generation < r.live.Usage.Grants.Generation && r.outside(math.MaxInt64) {
	}
	for r.merged(math.MaxInt64); r.applied < len(r.answers); r.merged(math.MaxInt64) {
		r.answer()
	}
	r.take(math.MaxInt)
	r.count()
	r.settle()
}

// step does one act again, after all that came before it.
func (r *rebuild) step(s *replayStep) {
	uncounted := 0
	if s.kept != nil {
		for r.usage.Grants.Generation+s.kept.Touched < s.kept.Generation && r.outside(s.at) {
		}
		r.merged(s.at)
		uncounted = s.kept.Uncounted
	}
	r.take(r.usage.Grants.Generation)
	touches := r.touches(s)
	if s.kept != nil && touches != s.kept.Touched {
		r.c.differs(fmt.Sprintf("push %d: changes of the grants", s.act.InboxID), strconv.Itoa(s.kept.Touched), strconv.Itoa(touches))
	}
	if touches > 0 && len(s.act.Triggers) > 0 {
		least, most := r.onTheWay(s)
		if s.kept == nil {
			uncounted = least
		} else if uncounted < least || uncounted > most {
			r.c.differs(fmt.Sprintf("push %d: sends taken off its grant", s.act.InboxID), strconv.Itoa(uncounted), fmt.Sprintf("%d to %d", least, most))
		}
	}
	fans.Replay(s.act, &r.fan, &r.usage, wechat.RulesAt(clock.FromMillis(s.at)), uncounted)
}

// touches is by how many generations the act would change the grants now.
func (r *rebuild) touches(s *replayStep) int {
	fan, usage := r.fan, r.usage
	fans.Replay(s.act, &fan, &usage, wechat.RulesAt(clock.FromMillis(s.at)), 0)
	return usage.Grants.Generation - r.usage.Grants.Generation
}

// outside does the next thing again that changed the grants, was no act and came before a time. It reports false when nothing is known of any.
func (r *rebuild) outside(before int64) bool {
	if r.applied < len(r.answers) {
		a := r.answers[r.applied]
		if a.EndedAt-clockSkew <= before && a.Reserved.Generation <= r.usage.Grants.Generation {
			r.answer()
			return true
		}
	}
	if r.live.InformedAt == 0 || r.closed >= mostClosed {
		return false
	}
	r.closed, r.told = r.closed+1, true
	r.take(r.usage.Grants.Generation)
	r.usage.Grants.CloseAll()
	r.fan.Subscribed = false
	if at := r.live.Fan.UnsubscribedAt; at <= before {
		r.fan.UnsubscribedAt = max(r.fan.UnsubscribedAt, at)
	}
	return true
}

// answer corrects the grants by the next answer of the platform.
func (r *rebuild) answer() {
	a := r.answers[r.applied]
	r.applied++
	r.settled[a.EndedAt] = true
	r.take(r.usage.Grants.Generation)
	r.usage.Recorrect(limits.Correction{Kind: correctionOf(a.ErrCode), Generation: a.Reserved.Generation}, a.EndedAt)
	if (a.ErrCode == codeNotSubscribed || a.ErrCode == codeUnsubscribed) && r.fan.Subscribed {
		r.fan.Subscribed, r.fan.UnsubscribedAt = false, a.EndedAt
	}
}

// merged passes over answers that were recorded together with one that was applied, before a time: of those to one fan, only one corrects.
func (r *rebuild) merged(before int64) {
	for r.applied < len(r.answers) && r.answers[r.applied].EndedAt < before && r.settled[r.answers[r.applied].EndedAt] {
		r.applied++
	}
}

// take takes what was reserved up to a generation.
func (r *rebuild) take(generation int) {
	for ; r.taken < len(r.held) && r.held[r.taken].Reserved.Generation <= generation; r.taken++ {
		m := r.held[r.taken]
		known := r.known()
		if from := r.usage.Grants.TakenBy(m.MarkedAt); from&known != m.Reserved.Buckets&known {
			r.c.differs(fmt.Sprintf("delivery %d: grants taken from", m.ID), bits(m.Reserved.Buckets), bits(from))
		}
		r.usage.Retake(m.MarkedAt, limits.Take{Messages: 1})
	}
}

// known is the set of buckets, as bits, whose state does not come from acts that are not kept any more.
func (r *rebuild) known() uint8 {
	var known uint8
	for t, b := range r.usage.Grants.Buckets {
		if r.base == 0 || b.Generation > r.base {
			known |= 1 << t
		}
	}
	return known
}

func bits(set uint8) string {
	var names []string
	for t := range wechat.TriggerCount {
		if set&(1<<t) != 0 {
			names = append(names, wechat.Trigger(t).String())
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// onTheWay bounds how many sends were taken off the grants of an act: those that surely were on the wire then or ended after the act, and those that may have been.
// Of a message that was tried again, and of one that was answered after it had been given up, the ledger does not keep how it stood in between.
func (r *rebuild) onTheWay(s *replayStep) (least, most int) {
	for i := range r.marked {
		m := &r.marked[i]
		if m.Channel != guard.ChannelKefu {
			continue
		}
		before := m.Reserved.Generation <= r.usage.Grants.Generation
		// An act recorded together with an earlier one has that one's time, and which were together is not kept: only their millisecond is.
		surely := guard.CountedSince(s.act.EventAt)
		switch {
		case before && m.State == deliveries.StateSending, m.Holds() && before && m.EndedAt >= surely && (m.EndedAt < s.at || m.MarkedAt >= surely):
			least, most = least+1, most+1
		case m.Holds() && before && m.EndedAt < s.since, m.Attempt == 1 && m.Reserved.Buckets != 0 && !before,
			m.Attempt == 1 && m.State.Terminal() && m.EndedAt < s.at-clockSkew && !m.Holds():
		default:
			most++
		}
	}
	return least, most
}

// count fills the counters of the fan's caps again.
func (r *rebuild) count() {
	var counted []*deliveries.Marked
	for i := range r.marked {
		m := &r.marked[i]
		if m.Holds() && m.Reserved.CapDay != 0 {
			counted = append(counted, m)
		}
	}
	slices.SortFunc(counted, func(a, b *deliveries.Marked) int {
		return cmp.Or(cmp.Compare(a.Reserved.CapDay, b.Reserved.CapDay), cmp.Compare(a.MarkedAt, b.MarkedAt))
	})
	for _, m := range counted {
		r.usage.Retake(m.MarkedAt, limits.Take{Messages: 1, CapDay: m.Reserved.CapDay, Free: true})
	}
	for i := range r.marked { // also what was given back: the gap lasts on
		if m := &r.marked[i]; m.Counts() {
			r.usage.MarketingAt = max(r.usage.MarketingAt, m.MarkedAt)
		}
	}
	// A day whose messages were all given back is a day as well.
	if day := r.live.Usage.Counted.Day; day > r.usage.Counted.Day && r.returned(day) {
		r.usage.Counted = guard.Counted{Day: day, Used: r.usage.Counted.At(day)}
	}
}

// returned reports whether a message may have been counted on a day and given back.
func (r *rebuild) returned(day int) bool {
	return slices.ContainsFunc(r.marked, func(m deliveries.Marked) bool {
		return m.Counts() && (m.Reserved.CapDay == day || m.Attempt > 1 || m.State == deliveries.StatePlanned || m.Reserved.CapDay == 0)
	})
}

// settle takes over what neither pushes nor ledger tell: what is older than they are, and what is the platform's word.
func (r *rebuild) settle() {
	if r.base > 0 {
		for t := range r.usage.Grants.Buckets {
			if b := r.live.Usage.Grants.Buckets[t]; b.Generation <= r.base {
				r.usage.Grants.Buckets[t] = b
			}
		}
	}
	l := &r.live.Fan
	if (r.live.Listed || r.live.InformedAt > 0) && l.Subscribed && !r.fan.Subscribed {
		r.fan.Subscribed, r.told = true, true
	}
	if r.live.InformedAt > 0 && (l.Scene != r.fan.Scene || l.FollowSource != r.fan.FollowSource || l.SubscribedAt > r.fan.SubscribedAt) {
		r.fan.Scene, r.fan.FollowSource, r.fan.SubscribedAt, r.told = l.Scene, l.FollowSource, max(l.SubscribedAt, r.fan.SubscribedAt), true
	}
	for i := range r.marked {
		if code := r.marked[i].ErrCode; code == codeMessagesOff || code == codeMinorProtected {
			r.fan.Refused = true
		}
	}
}
