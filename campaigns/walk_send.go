package campaigns

import (
	"math"
	"slices"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/limits"
)

// drop ends what is planned in a run that is over, as deliveries.CancelRuns does.
func (f *imagined) drop(r *imaginedRun) {
	state, reason := deliveries.StateCancelled, guard.ReasonCancelled
	if r.reason == ExitFanGone {
		state, reason = deliveries.StateSkipped, guard.ReasonFanGone
	}
	for _, d := range r.open {
		d.Reason = reason
		f.end(r, d, state)
	}
	r.open, r.stands.Open = nil, 0
	f.take(r, false)
}

// at is the moment as the account's policy sees it; fans share it who come to the same one.
func (x *rehearsal) at(now int64) *guard.Moment {
	if x.moment.Now != now {
		x.moment = x.account.Policy.At(clock.FromMillis(now))
	}
	return &x.moment
}

// turn lines the messages of a step up that are due, and reports whether it is their turn.
func (f *imagined) turn(r *imaginedRun, due []*deliveries.Delivery) bool {
	if r.turn == 0 {
		r.rank = f.gate.rank(urgent(due[0], f.now), due[0].Deadline)
		if r.turn = f.gate.ask(f.now, r.rank, len(due)); r.turn > f.now {
			f.heldUp(r, due, heldByRate, r.turn)
		}
	}
	if r.turn > f.now {
		return false
	}
	r.turn = 0
	return true
}

// heldUp notes that messages wait because there are too many.
func (f *imagined) heldUp(r *imaginedRun, due []*deliveries.Delivery, by holder, until int64) {
	n := len(due)
	if r.held[by] == due[0].StepNo {
		n = 0 // they have waited before
	}
	r.held[by] = due[0].StepNo
	f.sees.held(due[0], by, n, until)
}

// decide asks the guard about messages that are due, and then the day's budget.
func (f *imagined) decide(r *imaginedRun, m *guard.Moment, req *guard.Request, due []*deliveries.Delivery) guard.Verdict {
	facts := f.facts(r, m)
	v := guard.Decide(m, f.account.Policy, req, &facts)
	if v.Kind != guard.Allow || f.gate.spend(f.now, r.rank, v.Messages) {
		return v
	}
	facts.BudgetLeft = 0
	v = guard.Decide(m, f.account.Policy, req, &facts)
	f.heldUp(r, due, heldByBudget, v.Until)
	return v
}

// send does what the sender does with the messages of a step that are due.
func (f *imagined) send(r *imaginedRun) {
	var due, later []*deliveries.Delivery
	for _, d := range r.open {
		if d.DueAt <= f.now {
			due = append(due, d)
		} else {
			later = append(later, d)
		}
	}
	if !f.turn(r, due) {
		return
	}
	first, m := due[0], f.at(f.now)
	req := guard.Request{
		Class: first.Class, Campaign: first.Source.Campaign(), Channel: first.Channel, Options: first.Options, Messages: len(due), NotAfter: first.NotAfter,
		Spread: guard.Spread(first.Source.ID, first.FanID),
	}
	v, sends := f.decide(r, m, &req, due), 0
	if v.Kind == guard.Allow {
		sends = v.Messages
		f.reserve(r, &req, limits.Take{Messages: sends})
		f.called(sends)
		if sends < len(due) {
			facts := f.facts(r, m)
			_, v = guard.Rest(m, f.account.Policy, &req, &facts, sends)
		}
	}
	r.open = later
	for i, d := range due {
		switch {
		case i < sends:
			f.end(r, d, deliveries.StateSent)
		case v.Kind == guard.Skip:
			d.Reason = v.Reason
			f.end(r, d, deliveries.StateOfSkip(v.Reason))
		default:
			d.Reason, d.DueAt = v.Reason, d.PutOff(v)
			r.open = append(r.open, d)
		}
	}
	slices.SortFunc(r.open, func(a, b *deliveries.Delivery) int { return a.MessageNo - b.MessageNo })
	r.stands.Open = len(r.open)
	if v.Kind == guard.Skip && v.Reason == guard.ReasonFanGone {
		r.reason = ExitFanGone
		r.end(runExited, f.now)
		f.drop(r)
		return
	}
	f.settle(r)
}

// facts is what the guard is told, as the sender tells it.
func (f *imagined) facts(r *imaginedRun, m *guard.Moment) guard.Facts {
	facts := guard.Facts{
		Gone: !f.fan.Subscribed, Blacklisted: f.fan.Blacklisted, OptedOut: f.fan.OptedOut || f.fan.Refused, AgentUntil: f.usage.AgentUntil,
		NoPermission: !f.account.MaySendKefu(), Used: f.usage.Counted.At(m.Day), CampaignCaps: r.version.caps, MarketingAt: f.usage.MarketingAt,
		Grants: f.usage.Grants, BudgetLeft: math.MaxInt,
	}
	if !r.version.caps.None() {
		own := f.own[r.campaignID]
		facts.CampaignUsed = own.At(f.usage.Counted.DayAt(m.Day))
	}
	return facts
}

// reserve takes what messages take.
func (f *imagined) reserve(r *imaginedRun, req *guard.Request, t limits.Take) {
	if req.Counts() {
		t.CapDay = f.usage.Counted.DayAt(f.at(f.now).Day)
	}
	f.usage.Retake(f.now, t)
	if t.CapDay != 0 && !r.version.caps.None() {
		own := f.own[r.campaignID]
		own.Add(t.CapDay, t.Messages)
		f.own[r.campaignID] = own
	}
}

// reply gives a message as the reply to the push itself, if it can be one: such a reply needs no grant.
func (f *imagined) reply(r *imaginedRun, d *deliveries.Delivery) bool {
	if !f.passive[d.MessageID] {
		return false
	}
	m := f.at(f.now)
	req := guard.Request{Class: d.Class, Campaign: d.Source.Campaign(), Channel: guard.ChannelPassive, Messages: d.StepSize, NotAfter: d.NotAfter}
	facts := f.facts(r, m)
	facts.NoPermission = false
	if guard.Decide(m, f.account.Policy, &req, &facts).Kind != guard.Allow {
		return false
	}
	f.reserve(r, &req, limits.Take{Messages: 1, Free: true})
	d.Channel = guard.ChannelPassive
	return true
}
