package campaigns

import (
	"slices"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/fault"
)

// The rules that a forecast can change.
const (
	RuleDailyCap       = "daily_cap"
	RuleWeeklyCap      = "weekly_cap"
	RuleMonthlyCap     = "monthly_cap"
	RuleDripDailyCap   = "drip_daily_cap" // the drip's own
	RuleDripWeeklyCap  = "drip_weekly_cap"
	RuleDripMonthlyCap = "drip_monthly_cap"
	RuleGap            = "gap_minutes"
	RuleHoldForAgents  = "hold_for_agents"
	RuleQuietHours     = "quiet_hours" // can only be left out
)

// Rules lists the rules that a forecast can change.
func Rules() []string {
	return []string{
		RuleDailyCap, RuleWeeklyCap, RuleMonthlyCap, RuleDripDailyCap, RuleDripWeeklyCap, RuleDripMonthlyCap, RuleGap, RuleHoldForAgents, RuleQuietHours,
	}
}

// maxWhatIf is how many other sets of rules one forecast tries: each costs as much as the forecast itself.
const maxWhatIf = 8

// RuleChange is a rule as it might be, all others as they are.
type RuleChange struct {
	Rule  string // one of Rules
	Value *int   // instead of the present one; nil: without the rule
}

// RuleEffect is what a changed rule would lead to.
type RuleEffect struct {
	RuleChange

	Sent        int64 // messages that would go
	SentMore    int64 // than under the rules as they are; negative for fewer
	Reached     int64 // fans to whom at least one would go
	ReachedMore int64
}

// whatIf adds a stage for each change.
func (p *production) whatIf(changes []RuleChange) error {
	if len(changes) > maxWhatIf {
		return fault.BadField("what_if", "count", "at most %d are possible, not %d", maxWhatIf, len(changes))
	}
	for i, c := range changes {
		drips, account, err := p.changed(c)
		if err != nil {
			return fault.Prefix(index("what_if", i), err)
		}
		p.stage(drips, account)
	}
	return nil
}

// changed are the drips and the account with a changed rule. Errors: Invalid.
func (p *production) changed(c RuleChange) ([]*Running, *accounts.Account, error) {
	if !slices.Contains(Rules(), c.Rule) {
		return nil, nil, fault.BadField("rule", "one_of", "%q is no rule that a forecast can change", c.Rule)
	}
	n := 0
	if c.Value != nil {
		n = *c.Value
	}
	spec, caps := p.account.Spec, ownCaps(p.subject.caps)
	switch c.Rule {
	case RuleDailyCap:
		spec.DailyCap = c.Value
	case RuleWeeklyCap:
		spec.WeeklyCap = c.Value
	case RuleMonthlyCap:
		spec.MonthlyCap = c.Value
	case RuleDripDailyCap:
		caps[guard.PeriodDay] = c.Value
	case RuleDripWeeklyCap:
		caps[guard.PeriodWeek] = c.Value
	case RuleDripMonthlyCap:
		caps[guard.PeriodMonth] = c.Value
	case RuleGap:
		spec.GapMinutes = n
	case RuleHoldForAgents:
		spec.HoldForAgents = n
	case RuleQuietHours:
		if c.Value != nil {
			return nil, nil, fault.BadField("value", "not_allowed", "quiet hours can only be left out; write no value")
		}
		spec.Quiet, spec.Holidays, spec.Workdays = nil, nil, nil
	}
	account := *p.account
	account.Spec = spec
	var err error
	if account.Policy, err = spec.Compile(p.account.Zone); err != nil {
		return nil, nil, err
	}
	subject := *p.subject
	version := *p.subject.version
	if version.caps, err = guard.CapsOf(caps[guard.PeriodDay], caps[guard.PeriodWeek], caps[guard.PeriodMonth]); err != nil {
		return nil, nil, err
	}
	subject.version = &version
	drips := slices.Clone(p.drips)
	drips[0] = &subject
	return drips, &account, nil
}

// ownCaps are caps as members write them.
func ownCaps(c guard.Caps) (out [guard.PeriodCount]*int) {
	for i, most := range c {
		if most != guard.NoCap {
			out[i] = new(most)
		}
	}
	return out
}
