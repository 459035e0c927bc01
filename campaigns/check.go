package campaigns

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// ParseDefinition reads and checks a definition for an account at now. Every problem is a fault.Invalid error that names its
// field, like "steps[1].then[0].delay", and its rule; all are reported at once. Whether the account has what the definition names is
// not looked up: conditions cannot ask attributes. CreateDrip and UpdateDrip do.
func ParseDefinition(raw []byte, account *accounts.Account, now time.Time) (Definition, error) {
	p := &problems{}
	d := p.definition(raw, account, now)
	return d, p.err()
}

func (p *problems) definition(raw []byte, account *accounts.Account, now time.Time) Definition {
	d := decodeDefinition(raw, p)
	if p.seen["definition"] {
		return d
	}
	p.count("triggers", len(d.Triggers), maxTriggers)
	for i, t := range d.Triggers {
		p.trigger(index("triggers", i), t)
	}
	p.sources(d)
	p.exits(d.Exits)
	p.namedActs(&d)
	p.count("steps", len(d.Numbered()), maxSteps)
	p.steps("steps", d.Steps, stepChecks{rules: wechat.RulesAt(now), atOnce: true})
	p.reEntry(d.ReEntry)
	p.caps(d, account.Policy)
	if d.EndsAt != "" {
		if end, ok := p.moment("ends_at", d.EndsAt); ok && !end.After(now) {
			p.addf("ends_at", "past", "%s has passed", d.EndsAt)
		}
	}
	return d
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

func (p *problems) reEntry(r ReEntry) {
	p.choice("re_entry.mode", r.Mode, ReEntryOnce, ReEntryAfter, ReEntryAlways)
	switch {
	case r.Mode == ReEntryAfter && (r.Days < 1 || r.Days > maxDays):
		p.addf("re_entry.days", "range", "write after how many days, 1 to %d", maxDays)
	case r.Mode != ReEntryAfter && r.Days != 0:
		p.addf("re_entry.days", "mode_after_only", `days go with the mode "after"`)
	}
}

func (p *problems) caps(d Definition, policy *guard.Policy) {
	own, err := guard.CapsOf(d.DailyCap, d.WeeklyCap, d.MonthlyCap)
	if err != nil {
		p.errs = append(p.errs, err)
		return
	}
	for i, field := range [guard.PeriodCount]string{"daily_cap", "weekly_cap", "monthly_cap"} {
		if most := policy.Caps[i]; most >= 0 && own[i] > most {
			p.addf(field, "above_account", "the account's cap is %d; a drip's own can be equal or lower, not above it", most)
		}
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
