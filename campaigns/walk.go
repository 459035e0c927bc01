package campaigns

import (
	"slices"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/limits"
	"hongyan/segments"
	"hongyan/wechat"
)

// rehearsal takes imagined fans through drips as acting upon pushes, the waker and the sender take real ones: by the same rules, in the same order, but in memory.
// It is pure: it reads, stores and sends nothing. The platform accepts every message at once.
type rehearsal struct {
	account  *accounts.Account // with the policy that holds
	drips    []*Running        // that fans may enter
	rivals   []*Running        // other drips, which have run already and may have answered acts
	passive  map[int64]bool    // messages, by id, that can be the reply to a push
	tags     map[int64]bool    // whose being given is an act, because a drip starts, ends or waits on it
	silences []silence         // that start drips
	since    int64             // what silences became due before is not told of, unix ms
	until    int64             // where fans are left, unix ms
	sees     witness
	gate     *gate        // which messages go through; nil: nothing holds any up
	moment   guard.Moment // of the latest decision
}

// witness is told what becomes of imagined fans.
type witness interface {
	began(r *run)
	over(r *run)
	passed(p *Passed)
	planned(d *deliveries.Delivery)
	ended(d *deliveries.Delivery)
	held(d *deliveries.Delivery, by holder, n int, until int64)
}

// happening is something that happens to an imagined fan.
type happening struct {
	at  int64     // when it is acted upon, unix ms
	act Act       // as drips see it; without a kind, they do not
	did *fans.Act // what it says of the fan and opens; nil for what is no act of the fan
	// sent is a message that somebody else sends at that moment.
	sent *otherSend
	// interactionID is that of an act that is recorded, and entered are the drips into which it let the fan: one of them may have answered it.
	interactionID int64
	entered       []int64
}

// otherSend is a message of another source.
type otherSend struct {
	messages int
	free     bool // takes nothing of a grant
	counts   bool // in the account's caps
}

// imagined is a fan in a rehearsal. Nobody else has what it points to.
type imagined struct {
	*rehearsal

	fan    fans.Fan
	usage  limits.Usage
	who    person
	own    map[int64]guard.Counted // what drips with caps of their own have counted, by drip
	last   map[dripFan]*run
	tagged map[int64]bool // tags that the fan has
	to     []happening    // what is to come, by time
	runs   []*imaginedRun // that go on, in the order in which they began
	calls  []int64        // when the latest customer-service messages went
	checks []silenceCheck
	told   map[toldSilence]bool
	now    int64
	lastID int64 // of an invented interaction
}

// imaginedRun is a run with what the ledger would hold of it.
type imaginedRun struct {
	*run

	version *version
	open    []*deliveries.Delivery // planned messages of the current step
	stands  deliveries.OpenStep
	turn    int64        // when it is the turn of what is due, unix ms; 0: it has not lined up
	rank    int32        // with which it lined up
	held    [holders]int // the latest step that was held up
}

// live takes the fan through everything that happens until the end of the rehearsal.
func (f *imagined) live() {
	for {
		t := f.next()
		if t.kind == nothing || t.at > f.until {
			return
		}
		f.now = t.at
		switch t.kind {
		case thingSilence:
			f.listen()
		case thingTimer:
			f.goOn(t.run)
		case thingAct:
			h := f.to[0]
			f.to = f.to[1:]
			f.happens(&h)
		case thingEnd:
			t.run.end(runFinished, f.now)
			f.drop(t.run)
		default:
			f.send(t.run)
		}
		f.runs = slices.DeleteFunc(f.runs, func(r *imaginedRun) bool { return r.state != runRunning })
	}
}

// happens does what acting upon a push, or an own event, does.
func (f *imagined) happens(h *happening) {
	if h.sent != nil {
		f.otherSent(h.sent)
	}
	if h.did != nil {
		f.record(h)
	}
	if h.act.Kind == "" {
		return
	}
	f.lastID++
	act := h.act
	if act.Kind == ActTagged {
		f.tagged[act.TagID], f.who.tags[act.TagID] = true, true
	}
	if act.Kind == ActLink {
		f.who.clicked = max(f.who.clicked, act.EventAt)
	}
	act.Fan, act.Usage, act.InteractionID = &f.fan, &f.usage, f.lastID
	act.Answered = f.outranked(&act, h.entered)
	m := mover{now: clock.FromMillis(f.now), account: f.account}
	for _, r := range f.runs {
		before := len(m.runs)
		m.react(r.run, r.version, &act)
		switch {
		case len(m.runs) == before:
		case r.state != runRunning:
			f.drop(r)
		default:
			f.goOn(r)
		}
	}
	f.enter(&act, h.did != nil)
}

// outranked reports whether one of the rivals into which an act let the fan has answered it: one that comes before the drip that is rehearsed.
func (f *imagined) outranked(act *Act, entered []int64) bool {
	if len(entered) == 0 {
		return false
	}
	for _, m := range match(slices.Concat(f.drips, f.rivals), act) {
		if slices.Contains(f.drips, m.drip) {
			return false
		}
		if slices.Contains(entered, m.drip.ID) && m.drip.answersAtOnce() {
			return true
		}
	}
	return false
}

// record does to the fan and its limits what the act does, and places planned messages anew if it changed a grant.
func (f *imagined) record(h *happening) {
	before, since, uncounted := f.usage.Grants.Generation, guard.CountedSince(h.did.EventAt), 0
	for _, at := range f.calls {
		if at >= since {
			uncounted++
		}
	}
	now := clock.FromMillis(f.now)
	fans.Replay(h.did, &f.fan, &f.usage, wechat.RulesAt(now), uncounted)
	f.acted(h.did)
	switch h.act.Kind {
	case ActText, ActMessage:
		f.who.replied = max(f.who.replied, h.did.EventAt)
	case ActMenu:
		f.who.clicked = max(f.who.clicked, h.did.EventAt)
	}
	if f.usage.Grants.Generation == before {
		return
	}
	for _, r := range f.runs {
		for _, d := range r.open {
			if d.Channel != guard.ChannelKefu {
				continue
			}
			placed, deadline := deliveries.Regranted(now, f.account.Policy, d, &f.usage.Grants)
			d.DueAt, d.Deadline = placed.DueAt, deadline
		}
	}
}

// otherSent takes what a message of another source takes.
func (f *imagined) otherSent(s *otherSend) {
	take := limits.Take{Messages: s.messages, Free: s.free}
	if s.counts {
		take.CapDay = f.usage.Counted.DayAt(f.account.Policy.Day(clock.FromMillis(f.now)))
	}
	f.usage.Retake(f.now, take)
	if !s.free {
		f.called(s.messages)
	}
}

// called notes customer-service messages that have just gone. Those that no act can still come before are forgotten.
func (f *imagined) called(n int) {
	f.calls = slices.DeleteFunc(f.calls, func(at int64) bool { return at < f.now-maxActAge })
	for range n {
		f.calls = append(f.calls, f.now)
	}
}

// maxActAge is how long after it happened an act is recorded at the most, for what sends may have come after it, ms.
const maxActAge = msHour

// enter lets the fan into the drips that the act triggers.
func (f *imagined) enter(act *Act, push bool) {
	in := EnterInput{Now: clock.FromMillis(f.now), Account: f.account, Acts: []Act{*act}}
	e := entry{in: &in, answered: map[int]bool{}}
	for _, m := range match(f.drips, act) {
		e.waiting = append(e.waiting, candidate{drip: m.drip, by: m.by})
	}
	if len(e.waiting) == 0 {
		return
	}
	for _, c := range e.choose(past{last: f.last, entered: map[dripAct]*run{}}) {
		f.know()
		e.placeOne(c, &f.who)
		r := &imaginedRun{run: c.run, version: c.drip.version}
		f.runs = append(f.runs, r)
		f.sees.began(c.run)
		f.take(r, push && c.winner())
		f.settle(r)
	}
}

// know brings what is known of the fan up to the moment.
func (f *imagined) know() {
	today := segments.DayOf(f.now, f.account.Policy.Zone)
	for name, day := range f.who.days {
		f.who.attributes[name] = segments.Date(day, today)
	}
}

// take takes over what placing a run has led to: messages, changes of tags, outcomes. push tells that the first message can answer a push.
func (f *imagined) take(r *imaginedRun, push bool) {
	for i := range r.rows {
		f.plan(r, &r.rows[i], push)
	}
	for i := range r.passed {
		f.sees.passed(&r.passed[i])
	}
	for _, e := range r.effects {
		f.effect(e.step)
	}
	if r.state != runRunning {
		f.sees.over(r.run)
	}
	r.rows, r.passed, r.effects, r.answered = nil, nil, nil, false
}

// effect gives the fan a tag or takes it. To get one may be an act.
func (f *imagined) effect(s *step) {
	switch s.kind {
	case StepTag:
		if f.tagged[s.tag] {
			return
		}
		f.tagged[s.tag] = true
		if f.tags[s.tag] {
			f.comes(happening{at: f.now, act: Act{Kind: ActTagged, TagID: s.tag, EventAt: f.now}})
		}
	case StepUntag:
		delete(f.tagged, s.tag)
	}
}

// comes adds something that is to come, behind what comes at the same moment.
func (f *imagined) comes(h happening) {
	at := len(f.to)
	if i := slices.IndexFunc(f.to, func(o happening) bool { return o.at > h.at }); i >= 0 {
		at = i
	}
	f.to = slices.Insert(f.to, at, h)
}

// plan puts a message into the imagined ledger.
func (f *imagined) plan(r *imaginedRun, p *deliveries.Planned, push bool) {
	d := &deliveries.Delivery{
		Key: p.Key, StepSize: p.StepSize, Channel: p.Channel, Class: p.Class, Options: p.Options, MessageID: p.MessageID, State: p.State, Reason: p.Reason,
		DueAt: p.DueAt, NotAfter: p.NotAfter, Deadline: p.Deadline, PlannedAt: f.now,
	}
	if d.StepNo != r.stands.StepNo {
		r.stands = deliveries.OpenStep{StepNo: d.StepNo}
	}
	r.stands.Rows++
	f.sees.planned(d)
	switch {
	case d.State.Terminal():
		f.end(r, d, d.State)
	case push && d.StepNo == r.answer && d.MessageNo == 1 && d.DueAt <= f.now && f.reply(r, d):
		f.end(r, d, deliveries.StateSent)
	default:
		r.open = append(r.open, d)
		r.stands.Open++
	}
}

// end ends a message that is not, or not any more, among the planned ones.
func (f *imagined) end(r *imaginedRun, d *deliveries.Delivery, state deliveries.State) {
	d.State, d.EndedAt = state, f.now
	if state == deliveries.StateSent {
		d.Reason = guard.ReasonNone
		r.stands.Sent++
	}
	r.stands.LastEnd = f.now
	f.sees.ended(d)
}

// settle lets a run go on whose step has come to its end.
func (f *imagined) settle(r *imaginedRun) {
	if r.state == runRunning && r.stands.Open == 0 && r.stands.StepNo == r.step && r.timer == 0 {
		f.goOn(r)
	}
}

// goOn takes a run on as far as it comes now, as mover.goOn does.
func (f *imagined) goOn(r *imaginedRun) {
	now := clock.FromMillis(f.now)
	m := mover{now: now, account: f.account}
	if m.next(r.version, r.run, r.stands, false) {
		f.know()
		p := placer{now: now, accountID: f.account.ID, policy: f.account.Policy, version: r.version, who: &f.who}
		p.place(r.run)
	}
	f.take(r, false)
}
