package guard

import (
	"errors"
	"math"
	"time"

	"hongyan/internal/fault"
)

// Period is a stretch of the account's calendar in which the marketing messages to one fan are counted: a day, a week from Monday to Sunday, a
// calendar month, all in the account's zone. The months of the platform's own quotas are another thing.
type Period uint8

// The periods.
const (
	PeriodDay Period = iota
	PeriodWeek
	PeriodMonth
)

// PeriodCount is how many periods there are.
const PeriodCount = 3

// The most that a cap can allow (design 5.3): what fifteen a day come to.
const (
	MaxDailyCap   = 15
	MaxWeeklyCap  = 7 * MaxDailyCap
	MaxMonthlyCap = 30 * MaxDailyCap
)

// Caps are the most marketing messages per fan in each period, by Period; NoCap where there is none.
type Caps [PeriodCount]int

// NoCap stands for a period without a cap.
const NoCap = -1

// Counts are numbers of marketing messages to a fan, by Period.
type Counts [PeriodCount]int

// NoCaps limits nothing.
func NoCaps() Caps { return Caps{NoCap, NoCap, NoCap} }

// None reports whether no period has a cap.
func (c Caps) None() bool { return c == NoCaps() }

// CapsOf checks caps as members write them, nil for none. Errors: Invalid for daily_cap, weekly_cap or monthly_cap, with its rule.
func CapsOf(daily, weekly, monthly *int) (Caps, error) {
	caps := NoCaps()
	var errs []error
	take := func(p Period, written *int, most int, refuse func(n int) error) {
		switch {
		case written == nil:
		case *written < 0 || *written > most:
			errs = append(errs, refuse(*written))
		default:
			caps[p] = *written
		}
	}
	take(PeriodDay, daily, MaxDailyCap, func(n int) error {
		return fault.BadField("daily_cap", "range", "a daily cap is 0 to %d, not %d; leave it out for none", MaxDailyCap, n)
	})
	take(PeriodWeek, weekly, MaxWeeklyCap, func(n int) error {
		return fault.BadField("weekly_cap", "range", "a weekly cap is 0 to %d, not %d; leave it out for none", MaxWeeklyCap, n)
	})
	take(PeriodMonth, monthly, MaxMonthlyCap, func(n int) error {
		return fault.BadField("monthly_cap", "range", "a monthly cap is 0 to %d, not %d; leave it out for none", MaxMonthlyCap, n)
	})
	return caps, errors.Join(append(errs, caps.ordered()...)...)
}

// ordered refuses a cap that a cap of a shorter period could never reach. A cap of nothing stops every message, and is no mistake.
func (c Caps) ordered() []error {
	var errs []error
	day, week, month := c[PeriodDay], c[PeriodWeek], c[PeriodMonth]
	if week > 0 && week < day {
		errs = append(errs, fault.BadField("weekly_cap", "below_daily", "a weekly cap of %d is below the daily cap of %d; raise it, or lower the daily one", week, day))
	}
	switch {
	case month > 0 && month < week:
		errs = append(errs, fault.BadField("monthly_cap", "below_weekly", "a monthly cap of %d is below the weekly cap of %d; raise it, or lower the weekly one", month, week))
	case month > 0 && month < day:
		errs = append(errs, fault.BadField("monthly_cap", "below_daily", "a monthly cap of %d is below the daily cap of %d; raise it, or lower the daily one", month, day))
	}
	return errs
}

// Span is the first day of the period that a numbered day lies in, and the first day of the next one.
func (p Period) Span(day int) (first, next int) {
	switch p {
	case PeriodWeek:
		first = day - ((day+3)%7+7)%7 // 1970-01-01 was a Thursday
		return first, first + 7
	case PeriodMonth:
		y, m, d := time.Unix(int64(day)*86_400, 0).UTC().Date()
		return day - d + 1, dayNumber(time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC))
	default:
		return day, day + 1
	}
}

// Counted is how many marketing messages were counted for a fan in the day, the week and the month of the last day in which any was. Nothing else
// needs to be kept: week and month follow from the day.
type Counted struct {
	Day  int // by Policy.Day; 0: nothing was ever counted
	Used Counts
}

// DayAt is the day in which a message counts that goes on a numbered day: that day, or the one after it when something was counted there already.
// The clocks of two processes are never the same, and what began anew at midnight does not begin anew once more for the slower one.
func (c *Counted) DayAt(day int) int {
	if c.Day == day+1 {
		return c.Day
	}
	return day
}

// At is how much is used, on a numbered day, of the periods in which a message would count.
func (c *Counted) At(day int) Counts {
	day = c.DayAt(day)
	if c.Day == day {
		return c.Used
	}
	var used Counts
	for p := PeriodWeek; p < PeriodCount; p++ {
		if c.within(p, day) {
			used[p] = c.Used[p]
		}
	}
	return used
}

// within reports whether what is counted belongs to the period that a numbered day lies in.
func (c *Counted) within(p Period, day int) bool {
	first, next := p.Span(day)
	return first <= c.Day && c.Day < next
}

// Add counts n messages in a day that DayAt gave.
func (c *Counted) Add(day, n int) {
	used := c.At(day)
	for p := range used {
		used[p] += n
	}
	*c = Counted{Day: day, Used: used}
}

// GiveBack takes one message back that was counted in a day, out of those periods that have not ended since.
func (c *Counted) GiveBack(day int) {
	for p := range Period(PeriodCount) {
		if c.within(p, day) && c.Used[p] > 0 {
			c.Used[p]--
		}
	}
}

// capLeft is how many marketing messages the caps leave at the moment.
func capLeft(p *Policy, f *Facts) int {
	left := math.MaxInt
	for i := range PeriodCount {
		if p.Caps[i] >= 0 {
			left = min(left, p.Caps[i]-f.Used[i])
		}
		if f.CampaignCaps[i] >= 0 {
			left = min(left, f.CampaignCaps[i]-f.CampaignUsed[i])
		}
	}
	return left
}

// capAllows is the first moment at which every cap has room for n messages again, if no other is counted until then.
func (m *Moment) capAllows(p *Policy, f *Facts, n int) int64 {
	var at int64
	for i := range PeriodCount {
		if short(p.Caps[i], f.Used[i], n) || short(f.CampaignCaps[i], f.CampaignUsed[i], n) {
			at = max(at, m.ends[i])
		}
	}
	return at
}

// short reports whether a cap has no room for n messages.
func short(most, used, n int) bool { return most >= 0 && most-used < n }

// fitsCaps reports whether caps of which nothing is used have room for the request: if not, waiting is in vain.
func (r *Request) fitsCaps(p *Policy, f *Facts) bool {
	unused := Facts{CampaignCaps: f.CampaignCaps}
	return capLeft(p, &unused) >= r.least()
}

// capValues lists the caps that the request is over, each with what is used of it.
func capValues(p *Policy, r *Request, f *Facts) []Value {
	values := []Value{{"messages", int64(r.Messages)}}
	add := func(name string, most, used int) {
		if short(most, used, r.least()) {
			values = append(values, Value{name, int64(most)}, Value{name + "_used", int64(used)})
		}
	}
	for i, name := range [PeriodCount]string{"cap", "week_cap", "month_cap"} {
		add(name, p.Caps[i], f.Used[i])
	}
	for i, name := range [PeriodCount]string{"campaign_cap", "campaign_week_cap", "campaign_month_cap"} {
		add(name, f.CampaignCaps[i], f.CampaignUsed[i])
	}
	return values
}
