package guard

import "time"

// Moment is a point in time seen from a policy: what every decision made at it shares. Make one per slice of
// fans, not one per fan.
type Moment struct {
	Now        int64              // unix ms
	Day        int                // calendar day in the account's zone
	ends       [PeriodCount]int64 // when the day, the week and the month end
	quietFrom  int64              // start of the quiet time that Now lies in, 0 outside
	quietUntil int64              // its end; noEnd if it has none
	quietRoom  int64              // over how many ms after that messages are spread
	budgetDay  int64              // the next Beijing midnight, when daily API quotas start anew
}

// noEnd stands for quiet hours that never end.
const noEnd = int64(1) << 62

// beijing is the zone in which the platform counts days and months, whatever the account's own.
var beijing = time.FixedZone("CST", 8*3600)

// At prepares deciding at now.
func (p *Policy) At(now time.Time) Moment {
	m := Moment{Now: now.UnixMilli(), Day: p.Day(now)}
	for i := range m.ends {
		_, next := Period(i).Span(m.Day)
		m.ends[i] = p.DayStart(next).UnixMilli()
	}
	b := now.In(beijing)
	m.budgetDay = time.Date(b.Year(), b.Month(), b.Day()+1, 0, 0, 0, 0, beijing).UnixMilli()
	if start, end, quiet := p.QuietRangeAt(now); quiet {
		m.quietFrom, m.quietUntil = start.UnixMilli(), noEnd
		if !end.IsZero() {
			m.quietUntil, m.quietRoom = end.UnixMilli(), p.spreadRoom(end)
		}
	}
	return m
}

// BudgetDay numbers the platform's day of a moment as yyyymmdd, Beijing time.
func BudgetDay(at time.Time) int {
	y, m, d := at.In(beijing).Date()
	return y*10_000 + int(m)*100 + d
}

// Option changes how a request is treated. Options are bits; the numbers are stored.
type Option uint32

// The options of a request.
const (
	OptWaitForGrant Option = 1 << iota // due without a grant: wait for an interaction until NotAfter instead of skipping
	OptCapTomorrow                     // capped: wait for tomorrow, or for the next week or month, instead of skipping
	OptAsManyAsFit                     // reserve as many of the step's messages as fit instead of all or nothing
	OptQuietEarlier                    // planned into quiet hours that end too late: before them instead of skipping
)

// Request is what somebody wants to send: one step's messages for one fan.
type Request struct {
	Class    Class
	Campaign bool // a campaign sends it; a service notice is free of caps and quiet hours only on its own (design 5.1)
	Channel  Channel
	Options  Option
	Messages int    // how many; at least 1
	NotAfter int64  // hard deadline, unix ms
	Spread   uint32 // a hash of campaign and fan: where in the spread after quiet hours it goes
}

// Facts is what is known about the fan, the campaign and the account at the moment.
type Facts struct {
	InstallationStopped bool
	AccountStopped      bool
	CampaignStopped     bool
	Gone                bool // not a fan, or not any more
	Blacklisted         bool
	OptedOut            bool // the fan refuses messages
	HeldOut             bool // in an experiment's control group
	Duplicate           bool // an identical reply went out a moment ago
	Superseded          bool // another answer won
	PreviousFailed      bool // an earlier message of the step failed or is unknown
	AgentUntil          int64
	NoPermission        bool   // the account's type may not use the channel
	Used                Counts // marketing messages of the account to the fan, today, this week and this month
	CampaignCaps        Caps   // the campaign's own
	CampaignUsed        Counts // marketing messages of the campaign to the fan, for periods in which it has a cap of its own
	MarketingAt         int64  // when the last marketing message was reserved
	Grants              Grants
	BudgetLeft          int // calls left today for the channel's API
}

// Verdict is the guard's answer.
type Verdict struct {
	Kind   Kind
	Reason Reason
	// Until is when to ask again, unix ms, for Defer; 0 means after an event: an interaction of the fan, or the end of a stop.
	Until int64
	// Messages is how many may be sent, for Allow.
	Messages int
}

func skip(r Reason) Verdict { return Verdict{Kind: Skip, Reason: r} }

// later defers to until if the message can still go then, and else skips.
func (r *Request) later(reason Reason, until, deadline int64) Verdict {
	if until < deadline {
		return Verdict{Kind: Defer, Reason: reason, Until: until}
	}
	return skip(reason)
}

// Decide says whether the request may go now. It asks in the fixed order of design 5.5 and answers with the first
// stop. It does not allocate.
func Decide(m *Moment, p *Policy, r *Request, f *Facts) Verdict {
	if v, stopped := decideStops(f); stopped {
		return v
	}
	if v, stopped := decideFan(m, r, f); stopped {
		return v
	}
	fit := r.Messages
	if r.bound() {
		v, stopped := decidePolicy(m, p, r, f)
		if stopped {
			return v
		}
		fit = v.Messages
	}
	if r.Channel == ChannelKefu {
		v, stopped := decideGrant(m, p, r, f)
		if stopped {
			return v
		}
		fit = min(fit, v.Messages)
		if f.BudgetLeft < fit {
			return r.later(ReasonAPIBudget, m.budgetDay, r.deadline(m.Now, p, f))
		}
	}
	return Verdict{Kind: Allow, Messages: fit}
}

// bound reports whether caps, gap and quiet hours hold for the request: for everything but replies and single service notices.
func (r *Request) bound() bool {
	return r.Class == ClassMarketing || r.Class == ClassService && r.Campaign
}

// Counts reports whether the request's messages count in the fan's caps.
func (r *Request) Counts() bool { return r.bound() }

func decideStops(f *Facts) (Verdict, bool) {
	switch {
	case f.InstallationStopped:
		return Verdict{Kind: Defer, Reason: ReasonInstallationStopped}, true
	case f.AccountStopped:
		return Verdict{Kind: Defer, Reason: ReasonAccountStopped}, true
	case f.CampaignStopped:
		return Verdict{Kind: Defer, Reason: ReasonCampaignStopped}, true
	}
	return Verdict{}, false
}

func decideFan(m *Moment, r *Request, f *Facts) (Verdict, bool) {
	switch {
	case f.Gone:
		return skip(ReasonFanGone), true
	case f.Blacklisted:
		return skip(ReasonBlacklisted), true
	case f.OptedOut:
		return skip(ReasonOptedOut), true
	case f.HeldOut:
		return skip(ReasonHeldOut), true
	case m.Now >= r.NotAfter:
		return skip(ReasonTooLate), true
	case f.Duplicate:
		return skip(ReasonDuplicate), true
	case f.Superseded:
		return skip(ReasonSuperseded), true
	case f.PreviousFailed:
		return skip(ReasonPreviousFailed), true
	case m.Now < f.AgentUntil && r.Class != ClassReply:
		return r.later(ReasonAgentSession, f.AgentUntil, r.NotAfter), true
	case f.NoPermission:
		return skip(ReasonNoPermission), true
	}
	return Verdict{}, false
}

// decidePolicy asks the account's own rules: quiet hours, cap, gap. Not stopped, it tells how many messages the caps leave.
func decidePolicy(m *Moment, p *Policy, r *Request, f *Facts) (Verdict, bool) {
	deadline := r.deadline(m.Now, p, f)
	if m.quietUntil != 0 {
		return r.later(ReasonQuietHours, spread(m.quietUntil, m.quietRoom, r.Spread), deadline), true
	}
	left := capLeft(p, f)
	if left < r.least() {
		if r.Options&OptCapTomorrow != 0 && r.fitsCaps(p, f) {
			return r.later(ReasonCap, spread(m.capAllows(p, f, r.least()), p.Spread, r.Spread), deadline), true
		}
		return skip(ReasonCap), true
	}
	if next := f.MarketingAt + p.Gap; p.Gap > 0 && f.MarketingAt > 0 && m.Now < next {
		return r.later(ReasonGap, next, deadline), true
	}
	return Verdict{Messages: min(r.Messages, left)}, false
}

// spread puts messages that become possible at the same moment into the room ms after it, so that they do not all go at once.
func spread(from, room int64, hash uint32) int64 {
	if room <= 0 {
		return from
	}
	return from + int64(hash)%room
}

// least is how few messages the request makes do with.
func (r *Request) least() int {
	if r.Options&OptAsManyAsFit != 0 {
		return 1
	}
	return r.Messages
}

// deadline is the last moment at which waiting still makes sense: the hard one, or the end of the open grant when the
// message does not wait for another interaction.
func (r *Request) deadline(now int64, p *Policy, f *Facts) int64 {
	if r.Channel != ChannelKefu || r.Options&OptWaitForGrant != 0 {
		return r.NotAfter
	}
	if end := f.Grants.End(now, r.held(p)); end > 0 {
		return min(r.NotAfter, end)
	}
	return r.NotAfter
}

// held is how many messages are kept from the request for human agents: none from a reply, for which the fan is waiting.
func (r *Request) held(p *Policy) int {
	if r.Class == ClassReply {
		return 0
	}
	return p.Held
}

func decideGrant(m *Moment, p *Policy, r *Request, f *Facts) (Verdict, bool) {
	available := f.Grants.Available(m.Now, r.held(p))
	if available >= r.least() {
		return Verdict{Messages: min(available, r.Messages)}, false
	}
	reason := ReasonGrantClosed
	switch {
	case f.Grants.Available(m.Now, 0) >= r.least():
		reason = ReasonGrantReserved
	case f.Grants.AnyOpen(m.Now):
		reason = ReasonGrantExhausted
	}
	if r.Options&OptWaitForGrant != 0 {
		return Verdict{Kind: Defer, Reason: reason}, true
	}
	return skip(reason), true
}
