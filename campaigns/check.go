package campaigns

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/templates"
	"hongyan/wechat"
)

// ParseDefinition reads and checks a definition for an account at now. Every problem is a fault.Invalid error that names its
// field, like "steps[1].delay", and its rule; all are reported at once.
func ParseDefinition(raw []byte, account *accounts.Account, now time.Time) (Definition, error) {
	p := &problems{}
	d := decodeDefinition(raw, p)
	if p.seen["definition"] {
		return d, p.err()
	}
	p.count("triggers", len(d.Triggers), maxTriggers)
	for i, t := range d.Triggers {
		p.trigger(index("triggers", i), t)
	}
	p.count("steps", len(d.Steps), maxSteps)
	rules := wechat.RulesAt(now)
	for i, s := range d.Steps {
		p.step(index("steps", i), s, i == 0)
		p.messages(index("steps", i)+".messages", s.Messages, rules)
	}
	p.reEntry(d.ReEntry)
	p.dailyCap(d.DailyCap, account.Policy)
	if d.EndsAt != "" {
		if end, ok := p.moment("ends_at", d.EndsAt); ok && !end.After(now) {
			p.addf("ends_at", "past", "%s has passed", d.EndsAt)
		}
	}
	return d, p.err()
}

func (p *problems) count(field string, n, most int) {
	switch {
	case n == 0:
		p.addf(field, "required", "at least one is needed")
	case n > most:
		p.addf(field, "count", "at most %d are possible, not %d", most, n)
	}
}

func (p *problems) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.addf(field, "one_of", "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

// choice is oneOf for a field that may be left out.
func (p *problems) choice(field, value string, allowed ...string) {
	if value != "" {
		p.oneOf(field, value, allowed...)
	}
}

func (p *problems) trigger(at string, t Trigger) {
	p.oneOf(at+".kind", t.Kind, TriggerFollow, TriggerKeyword)
	p.choice(at+".match", t.Match, MatchExact, MatchContains, MatchPrefix)
	if t.Kind != TriggerKeyword {
		if len(t.Keywords) > 0 {
			p.addf(at+".keywords", "keyword_only", "only a keyword trigger has keywords")
		}
		if t.Match != "" {
			p.addf(at+".match", "keyword_only", "only a keyword trigger has a way of matching")
		}
		return
	}
	p.count(at+".keywords", len(t.Keywords), maxKeywords)
	seen := map[string]bool{}
	for i, k := range t.Keywords {
		field, folded := index(at+".keywords", i), fold(k)
		switch {
		case folded == "":
			p.addf(field, "required", "a keyword cannot be blank")
		case utf8.RuneCountInString(k) > maxKeywordRunes:
			p.addf(field, "length", "a keyword has at most %d characters", maxKeywordRunes)
		case seen[folded]:
			p.addf(field, "duplicate", "%q is listed twice", k)
		}
		seen[folded] = true
	}
}

func (p *problems) step(at string, s Step, first bool) {
	p.when(at, s)
	p.choice(at+".class", s.Class, "marketing", "service", "reply")
	if s.Class == "reply" && (!first || !s.immediate()) {
		p.addf(at+".class", "reply_first_only", "a reply answers what the fan just did: only a first step without delay can be one")
	}
	p.choice(at+".no_grant", s.NoGrant, "skip", "wait")
	p.choice(at+".capped", s.Capped, "skip", "tomorrow")
	p.choice(at+".fit", s.Fit, "all", "as_many")
	p.choice(at+".quiet", s.Quiet, "defer", "earlier")
	if s.Lateness != "" {
		if ms, ok := p.span(at+".lateness", s.Lateness); ok && ms == 0 {
			p.addf(at+".lateness", "range", "a step without any time to go out would never go out")
		}
	}
}

// immediate reports whether the step is due as soon as the one before has ended.
func (s *Step) immediate() bool {
	ms, ok := parseSpan(s.Delay)
	return s.At == "" && ok && ms == 0
}

func (p *problems) when(at string, s Step) {
	switch {
	case s.At != "" && s.Delay != "":
		p.addf(at+".at", "one_of", "a step has a delay or a clock time, not both")
	case s.At != "":
		if _, ok := parseClock(s.At); !ok {
			p.addf(at+".at", "clock_time", "%q is not a time of day such as 09:30", s.At)
		}
		if s.Days < 0 || s.Days > maxDays {
			p.addf(at+".days", "range", "0 to %d days are possible, not %d", maxDays, s.Days)
		}
		return
	case s.Delay == "":
		p.addf(at+".delay", "required", `write when the step is due: a delay such as "10m" ("0s" for at once), or a clock time in "at"`)
	default:
		p.span(at+".delay", s.Delay)
	}
	if s.Days != 0 {
		p.addf(at+".days", "clock_time_only", `days go with a clock time; write a delay of days as "%dd"`, s.Days)
	}
}

func (p *problems) span(field, s string) (int64, bool) {
	ms, ok := parseSpan(s)
	if !ok {
		p.addf(field, "duration", "%q is not a duration such as 90s, 10m, 2h or 3d", s)
		return 0, false
	}
	if ms > maxDays*msDay {
		p.addf(field, "range", "at most %dd are possible", maxDays)
		return 0, false
	}
	return ms, true
}

func (p *problems) messages(at string, list []wechat.Message, rules wechat.RuleSet) {
	p.count(at, len(list), maxMessages)
	for i, m := range list {
		if _, err := templates.Compile(m, rules); err != nil {
			p.nested(index(at, i), err)
		}
	}
}

func (p *problems) reEntry(r ReEntry) {
	p.choice("re_entry.mode", r.Mode, ReEntryOnce, ReEntryAfter, ReEntryAlways)
	switch {
	case r.Mode == ReEntryAfter && (r.Days < 1 || r.Days > maxDays):
		p.addf("re_entry.days", "range", "write after how many days, 1 to %d", maxDays)
	case r.Mode != ReEntryAfter && r.Days != 0:
		p.addf("re_entry.days", "mode_after_only", `days go with the mode "after"`)
	}
}

func (p *problems) dailyCap(limit *int, policy *guard.Policy) {
	switch {
	case limit == nil:
	case *limit < 0 || *limit > guard.MaxDailyCap:
		p.addf("daily_cap", "range", "a daily cap is 0 to %d, not %d; leave it out for none", guard.MaxDailyCap, *limit)
	case policy.Cap >= 0 && *limit > policy.Cap:
		p.addf("daily_cap", "above_account", "the account's cap is %d; a drip's own can only be lower", policy.Cap)
	}
}

func (p *problems) moment(field, s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		p.addf(field, "time", "%q is not a time such as 2026-10-01T18:00:00+08:00", s)
		return t, false
	}
	return t, true
}

// checkName checks what members call a drip.
func checkName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return fault.BadField("name", "required", "give the drip a name")
	case n > maxName:
		return fault.BadField("name", "length", "a name has at most %d characters, not %d", maxName, n)
	}
	return nil
}

const maxName = 128

// checkPriority keeps priorities in a range that people can think in.
func checkPriority(n int) error {
	if n < -maxPriority || n > maxPriority {
		return fault.BadField("priority", "range", "a priority is %d to %d", -maxPriority, maxPriority)
	}
	return nil
}

const maxPriority = 1000
