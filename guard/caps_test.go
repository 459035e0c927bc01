package guard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
)

// periods lists them, shortest first.
func periods() []guard.Period {
	return []guard.Period{guard.PeriodDay, guard.PeriodWeek, guard.PeriodMonth}
}

func dayOf(t require.TestingT, date string) int {
	at, err := time.Parse(time.DateOnly, date)
	require.NoError(t, err)
	return must(t, "UTC", guard.PolicySpec{}).Day(at)
}

func TestWeeksAreMondayToSundayAndMonthsTheCalendars(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		period           guard.Period
		day, first, next string
	}{
		{guard.PeriodDay, "2026-03-01", "2026-03-01", "2026-03-02"},
		{guard.PeriodWeek, "2026-03-01", "2026-02-23", "2026-03-02"},
		{guard.PeriodWeek, "2026-03-02", "2026-03-02", "2026-03-09"},
		{guard.PeriodWeek, "2026-12-31", "2026-12-28", "2027-01-04"},
		{guard.PeriodWeek, "1970-01-01", "1969-12-29", "1970-01-05"},
		{guard.PeriodMonth, "2026-12-31", "2026-12-01", "2027-01-01"},
		{guard.PeriodMonth, "2028-02-29", "2028-02-01", "2028-03-01"},
		{guard.PeriodMonth, "1969-12-31", "1969-12-01", "1970-01-01"},
	} {
		first, next := c.period.Span(dayOf(t, c.day))
		require.Equal(t, []int{dayOf(t, c.first), dayOf(t, c.next)}, []int{first, next}, "period %d of %s", c.period, c.day)
	}
}

func TestPropertyPeriodsFollowEachOtherWithoutGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.IntRange(-20_000, 60_000).Draw(t, "day")
		for _, p := range periods() {
			first, next := p.Span(day)
			require.True(t, first <= day && day < next)
			again, _ := p.Span(next)
			require.Equal(t, next, again)
			date := time.Unix(int64(first)*86_400, 0).UTC()
			switch p {
			case guard.PeriodWeek:
				require.Equal(t, time.Monday, date.Weekday())
				require.Equal(t, 7, next-first)
			case guard.PeriodMonth:
				require.Equal(t, 1, date.Day())
				require.Equal(t, date.AddDate(0, 1, 0).Unix(), int64(next)*86_400)
			}
		}
	})
}

// countModel keeps every message that counts, by the day in which it does.
type countModel []int

// in counts the messages of the calendar's period around a day.
func (m countModel) in(p guard.Period, day int) (n int) {
	date := func(d int) time.Time { return time.Unix(int64(d)*86_400, 0).UTC() }
	for _, d := range m {
		y, w := date(d).ISOWeek()
		year, week := date(day).ISOWeek()
		same := map[guard.Period]bool{
			guard.PeriodDay:   d == day,
			guard.PeriodWeek:  y == year && w == week,
			guard.PeriodMonth: date(d).Format("2006-01") == date(day).Format("2006-01"),
		}
		if same[p] {
			n++
		}
	}
	return n
}

// counts is what is used, for each period, of a day.
func (m countModel) counts(day int) (used guard.Counts) {
	for _, p := range periods() {
		used[p] = m.in(p, day)
	}
	return used
}

func TestPropertyWhatIsCountedEqualsTheMessagesOfEachPeriod(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var counted guard.Counted
		var model countModel
		day := rapid.IntRange(20_000, 21_000).Draw(t, "day")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			day += rapid.SampledFrom([]int{0, 0, 0, 1, 1, 6, 30}).Draw(t, "pause")
			shown := day - rapid.IntRange(0, 1).Draw(t, "a slow clock")
			at := counted.DayAt(shown)
			require.GreaterOrEqual(t, at, shown)
			require.Equal(t, model.counts(at), counted.At(shown))
			if len(model) > 0 && rapid.IntRange(0, 3).Draw(t, "give back") == 0 {
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				counted.GiveBack(model[i])
				model = append(model[:i:i], model[i+1:]...)
				continue
			}
			n := rapid.IntRange(1, 5).Draw(t, "messages")
			counted.Add(at, n)
			for range n {
				model = append(model, at)
			}
		}
	})
}

func TestASlowerClockDoesNotBeginAPeriodAnew(t *testing.T) {
	t.Parallel()
	sunday := dayOf(t, "2026-03-01")
	var c guard.Counted
	c.Add(sunday, 3)
	require.Equal(t, guard.Counts{0, 0, 3}, c.At(sunday+1))
	c.Add(sunday+1, 2)
	require.Equal(t, sunday+1, c.DayAt(sunday), "somebody has seen Monday")
	require.Equal(t, guard.Counts{2, 2, 5}, c.At(sunday))
	c.Add(c.DayAt(sunday), 1)
	require.Equal(t, guard.Counted{Day: sunday + 1, Used: guard.Counts{3, 3, 6}}, c)
	require.Equal(t, sunday-1, c.DayAt(sunday-1), "the account's zone has changed")
}

func TestAReleaseGivesBackToThePeriodsOfItsDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, counted, released string
		want                    guard.Counts
	}{
		{"the same day", "2026-03-18", "2026-03-18", guard.Counts{4, 6, 8}},
		{"earlier in the week", "2026-03-18", "2026-03-16", guard.Counts{5, 6, 8}},
		{"over a week's border", "2026-03-16", "2026-03-15", guard.Counts{5, 7, 8}},
		{"over a month's border within a week", "2026-04-01", "2026-03-31", guard.Counts{5, 6, 9}},
		{"over both borders", "2026-06-01", "2026-05-31", guard.Counts{5, 7, 9}},
		{"the same date a year ago", "2026-03-18", "2025-03-18", guard.Counts{5, 7, 9}},
	} {
		counted := guard.Counted{Day: dayOf(t, c.counted), Used: guard.Counts{5, 7, 9}}
		counted.GiveBack(dayOf(t, c.released))
		require.Equal(t, c.want, counted.Used, c.name)
	}
	nothing := guard.Counted{Day: 20_000}
	nothing.GiveBack(20_000)
	require.Equal(t, guard.Counts{}, nothing.Used, "never below zero")
}

func TestEveryCapSkipsAndNamesItself(t *testing.T) {
	t.Parallel()
	spec := guard.PolicySpec{DailyCap: new(3), WeeklyCap: new(9), MonthlyCap: new(27)}
	own := guard.Caps{2, 4, 8}
	for _, c := range []struct {
		name            string
		used, campaign  guard.Counts
		messages, allow int
		values          map[string]int64
	}{
		{"nothing used", guard.Counts{}, guard.Counts{}, 2, 2, nil},
		{"to the last", guard.Counts{1, 7, 25}, guard.Counts{0, 2, 6}, 2, 2, nil},
		{"a day", guard.Counts{2, 7, 25}, guard.Counts{0, 2, 6}, 2, 0, map[string]int64{"cap": 3, "cap_used": 2}},
		{"a week", guard.Counts{1, 8, 25}, guard.Counts{0, 2, 6}, 2, 0, map[string]int64{"week_cap": 9, "week_cap_used": 8}},
		{"a month", guard.Counts{1, 7, 26}, guard.Counts{0, 2, 6}, 2, 0, map[string]int64{"month_cap": 27, "month_cap_used": 26}},
		{"the drip's day", guard.Counts{1, 7, 25}, guard.Counts{1, 2, 6}, 2, 0, map[string]int64{"campaign_cap": 2, "campaign_cap_used": 1}},
		{"the drip's week", guard.Counts{1, 7, 25}, guard.Counts{0, 3, 6}, 2, 0, map[string]int64{"campaign_week_cap": 4, "campaign_week_cap_used": 3}},
		{"the drip's month", guard.Counts{1, 7, 25}, guard.Counts{0, 2, 7}, 2, 0, map[string]int64{"campaign_month_cap": 8, "campaign_month_cap_used": 7}},
		{"two at once", guard.Counts{3, 9, 25}, guard.Counts{0, 2, 6}, 2, 0, map[string]int64{"cap": 3, "cap_used": 3, "week_cap": 9, "week_cap_used": 9}},
	} {
		s := allowed(t, spec)
		s.req.Messages, s.facts.Used, s.facts.CampaignCaps, s.facts.CampaignUsed = c.messages, c.used, own, c.campaign
		if c.allow > 0 {
			require.Equal(t, allow(c.allow), s.decide(), c.name)
			continue
		}
		require.Equal(t, skipped(guard.ReasonCap), s.decide(), c.name)
		c.values["messages"] = int64(c.messages)
		require.Equal(t, c.values, s.values(), c.name)
	}
}

func TestACappedStepWaitsForTheFirstMomentAtWhichEveryCapAllows(t *testing.T) {
	t.Parallel()
	spec := guard.PolicySpec{DailyCap: new(3), WeeklyCap: new(9), MonthlyCap: new(27), SpreadMinutes: new(0)}
	const tomorrow, nextWeek, nextMonth = "2026-10-30 00:00:00", "2026-11-02 00:00:00", "2026-11-01 00:00:00"
	for _, c := range []struct {
		name           string
		used, campaign guard.Counts
		until          string
	}{
		{"a day", guard.Counts{3, 8, 26}, guard.Counts{}, tomorrow},
		{"a week", guard.Counts{0, 9, 26}, guard.Counts{}, nextWeek},
		{"a month, in the middle of a week", guard.Counts{0, 8, 27}, guard.Counts{}, nextMonth},
		{"all of them", guard.Counts{3, 9, 27}, guard.Counts{}, nextWeek},
		{"the drip's day", guard.Counts{}, guard.Counts{1, 0, 0}, tomorrow},
		{"the drip's week", guard.Counts{}, guard.Counts{1, 2, 0}, nextWeek},
		{"the drip's month", guard.Counts{}, guard.Counts{0, 0, 3}, nextMonth},
		{"a day of the account, a month of the drip", guard.Counts{3, 8, 26}, guard.Counts{0, 0, 3}, nextMonth},
	} {
		s := allowed(t, spec)
		s.now = shanghai(t, "2026-10-29 12:00:00") // a Thursday
		s.facts.Used, s.facts.CampaignCaps, s.facts.CampaignUsed = c.used, guard.Caps{1, 2, 3}, c.campaign
		s.req.Channel, s.req.Options = guard.ChannelPassive, guard.OptCapTomorrow
		until := shanghai(t, c.until).UnixMilli()
		s.req.NotAfter = until + 1
		require.Equal(t, deferred(guard.ReasonCap, until), s.decide(), c.name)
		s.req.NotAfter = until
		require.Equal(t, skipped(guard.ReasonCap), s.decide(), "%s: it ends before", c.name)
	}
	s := allowed(t, guard.PolicySpec{DailyCap: new(3), WeeklyCap: new(0)})
	s.req.Options = guard.OptCapTomorrow
	require.Equal(t, skipped(guard.ReasonCap), s.decide(), "no week ever allows any")
	s = allowed(t, guard.PolicySpec{WeeklyCap: new(9)})
	s.facts.Used[guard.PeriodWeek] = 9
	s.req.Options, s.req.NotAfter = guard.OptCapTomorrow, s.ms()+30*24*hour
	require.Equal(t, skipped(guard.ReasonCap), s.decide(), "the grant ends long before the week")
}

func TestPeriodsEndInTheAccountsZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, now, week, month string }{
		{"Asia/Shanghai", "2026-10-15 12:00", "2026-10-18 16:00", "2026-10-31 16:00"},
		{"America/New_York", "2026-10-15 12:00", "2026-10-19 04:00", "2026-11-01 04:00"},
		{"America/New_York", "2026-11-01 12:00", "2026-11-02 05:00", "2026-12-01 05:00"},
		{"Europe/Berlin", "2026-03-29 00:30", "2026-03-29 22:00", "2026-03-31 22:00"},
		{"Europe/Berlin", "2026-10-25 00:30", "2026-10-25 23:00", "2026-10-31 23:00"},
		{"Asia/Amman", "2016-03-31 12:00", "2016-04-03 21:00", "2016-03-31 22:00"}, // the month begins at 01:00
		{"Pacific/Auckland", "2026-10-31 11:30", "2026-11-01 11:00", "2026-11-30 11:00"},
	} {
		for period, until := range map[guard.Period]string{guard.PeriodWeek: c.week, guard.PeriodMonth: c.month} {
			s := allowed(t, guard.PolicySpec{})
			s.policy = must(t, c.zone, guard.PolicySpec{WeeklyCap: new(1), MonthlyCap: new(1), SpreadMinutes: new(0)})
			s.now = utc(t, c.now)
			s.facts.Used[period] = 1
			s.req.Options, s.req.Channel, s.req.NotAfter = guard.OptCapTomorrow, guard.ChannelPassive, s.ms()+90*24*hour
			require.Equal(t, deferred(guard.ReasonCap, utc(t, until).UnixMilli()), s.decide(), "%s %s, period %d", c.zone, c.now, period)
		}
	}
}

// capFan is a fan with a history of messages, of which some were one drip's.
type capFan struct {
	policy        *guard.Policy
	own           guard.Caps
	all, drips    countModel
	total, ofDrip guard.Counted
}

func drawCaps(t *rapid.T, name string) (daily, weekly, monthly *int) {
	at := func(p string, least, most int) *int {
		if rapid.IntRange(0, 2).Draw(t, name+p+" unset") == 0 {
			return nil
		}
		return new(rapid.IntRange(least, most).Draw(t, name+p))
	}
	return at(" daily", 0, 3), at(" weekly", 3, 6), at(" monthly", 6, 9)
}

func drawCapFan(t *rapid.T, now time.Time) *capFan {
	zone := rapid.SampledFrom([]string{"Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Havana", "Pacific/Auckland"}).Draw(t, "zone")
	spec := guard.PolicySpec{SpreadMinutes: new(0)}
	spec.DailyCap, spec.WeeklyCap, spec.MonthlyCap = drawCaps(t, "account")
	f := &capFan{policy: must(t, zone, spec)}
	daily, weekly, monthly := drawCaps(t, "drip")
	var err error
	f.own, err = guard.CapsOf(daily, weekly, monthly)
	require.NoError(t, err)
	today := f.policy.Day(now)
	for day := today - 40; day <= today; day++ {
		if day < today-9 && rapid.IntRange(0, 5).Draw(t, "idle") != 0 {
			continue
		}
		for range rapid.IntRange(0, 2).Draw(t, "messages") {
			f.total.Add(day, 1)
			f.all = append(f.all, day)
			if rapid.Bool().Draw(t, "of the drip") {
				f.ofDrip.Add(day, 1)
				f.drips = append(f.drips, day)
			}
		}
	}
	return f
}

func (f *capFan) decide(at time.Time, r *guard.Request) guard.Verdict {
	m := f.policy.At(at)
	return guard.Decide(&m, f.policy, r, &guard.Facts{
		Used: f.total.At(m.Day), CampaignCaps: f.own, CampaignUsed: f.ofDrip.At(m.Day),
	})
}

// left is the reference: how many messages the caps leave at a moment.
func (f *capFan) left(at time.Time) int {
	day, left := f.policy.Day(at), 99
	for _, p := range periods() {
		if f.policy.Caps[p] != guard.NoCap {
			left = min(left, f.policy.Caps[p]-f.all.in(p, day))
		}
		if f.own[p] != guard.NoCap {
			left = min(left, f.own[p]-f.drips.in(p, day))
		}
	}
	return left
}

// first is the reference: the first midnight of the account at which n messages are left, within 40 days.
func (f *capFan) first(now time.Time, n int) (time.Time, bool) {
	today := f.policy.Day(now)
	for day := today + 1; day < today+40; day++ {
		if at := f.policy.DayStart(day); f.left(at) >= n {
			return at, true
		}
	}
	return now, false
}

func TestPropertyCapsAreDecidedAsTheCalendarSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := utc(t, "2026-02-20 00:00").Add(time.Duration(rapid.IntRange(0, 300*1440).Draw(t, "minute")) * time.Minute)
		f := drawCapFan(t, now)
		r := &guard.Request{
			Class: guard.ClassMarketing, Channel: guard.ChannelPassive, Messages: rapid.IntRange(1, 3).Draw(t, "n"), NotAfter: 1 << 60,
			Options: rapid.SampledFrom([]guard.Option{0, guard.OptCapTomorrow, guard.OptAsManyAsFit, guard.OptCapTomorrow | guard.OptAsManyAsFit}).Draw(t, "options"),
		}
		least := r.Messages
		if r.Options&guard.OptAsManyAsFit != 0 {
			least = 1
		}
		left, got := f.left(now), f.decide(now, r)
		until, ever := f.first(now, least)
		switch {
		case left >= least:
			require.Equal(t, allow(min(left, r.Messages)), got)
		case r.Options&guard.OptCapTomorrow == 0 || !ever:
			require.Equal(t, skipped(guard.ReasonCap), got)
		default:
			require.Equal(t, deferred(guard.ReasonCap, until.UnixMilli()), got, "until %s", until.In(f.policy.Zone))
			require.Equal(t, guard.Allow, f.decide(until, r).Kind)
			require.Equal(t, guard.Defer, f.decide(until.Add(-time.Millisecond), r).Kind)
		}
	})
}
