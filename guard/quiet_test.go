package guard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
)

const layout = "2006-01-02 15:04:05 -0700"

// quietAt writes the quiet time around a moment as "start to end", "free" or "start on".
func quietAt(p *guard.Policy, at time.Time) string {
	start, end, quiet := p.QuietRangeAt(at)
	switch {
	case !quiet:
		return "free"
	case end.IsZero():
		return start.In(p.Zone).Format(time.DateTime) + " on"
	}
	return start.In(p.Zone).Format(time.DateTime) + " to " + end.In(p.Zone).Format(time.DateTime)
}

func nights() []guard.QuietRange { return []guard.QuietRange{{Start: "22:00", End: "08:00"}} }

func TestQuietHours(t *testing.T) {
	t.Parallel()
	weekend := []guard.QuietRange{
		{Days: []string{"fri", "sat"}, Start: "23:00", End: "10:00"},
		{Days: []string{"mon", "tue", "wed", "thu"}, Start: "12:00", End: "14:00"},
		{Days: []string{"mon", "tue", "wed", "thu"}, Start: "22:00", End: "24:00"},
	}
	holidays := []guard.Holiday{ // 2026-10-01 is a Thursday
		{Date: "2026-10-01"},
		{Date: "2026-10-02", Quiet: []guard.QuietRange{{Start: "00:00", End: "24:00"}}},
		{Date: "2026-10-03", Quiet: []guard.QuietRange{{Start: "00:00", End: "09:00"}, {Start: "20:00", End: "02:00"}}},
	}
	workdays := []guard.Workday{{Date: "2026-10-10", As: "mon"}} // a Saturday
	for _, c := range []struct {
		name string
		spec guard.PolicySpec
		at   string
		want string
	}{
		{"none", guard.PolicySpec{}, "2026-10-15 03:00:00", "free"},
		{"across midnight, before", guard.PolicySpec{Quiet: nights()}, "2026-10-15 23:00:00", "2026-10-15 22:00:00 to 2026-10-16 08:00:00"},
		{"across midnight, after", guard.PolicySpec{Quiet: nights()}, "2026-10-15 07:59:59", "2026-10-14 22:00:00 to 2026-10-15 08:00:00"},
		{"end exclusive", guard.PolicySpec{Quiet: nights()}, "2026-10-15 08:00:00", "free"},
		{"start inclusive", guard.PolicySpec{Quiet: nights()}, "2026-10-15 22:00:00", "2026-10-15 22:00:00 to 2026-10-16 08:00:00"},
		{"several ranges a day", guard.PolicySpec{Quiet: weekend}, "2026-10-15 13:59:59", "2026-10-15 12:00:00 to 2026-10-15 14:00:00"},
		{"until midnight", guard.PolicySpec{Quiet: weekend}, "2026-10-15 23:00:00", "2026-10-15 22:00:00 to 2026-10-16 00:00:00"},
		{"Friday has no lunch break", guard.PolicySpec{Quiet: weekend}, "2026-10-16 13:00:00", "free"},
		{"Sunday morning belongs to Saturday", guard.PolicySpec{Quiet: weekend}, "2026-10-18 09:59:00", "2026-10-17 23:00:00 to 2026-10-18 10:00:00"},
		{"Monday morning belongs to Sunday", guard.PolicySpec{Quiet: weekend}, "2026-10-19 09:00:00", "free"},
		{"a holiday without ranges", guard.PolicySpec{Quiet: nights(), Holidays: holidays[:1]}, "2026-10-01 23:00:00", "free"},
		{"its night after belongs to it", guard.PolicySpec{Quiet: nights(), Holidays: holidays[:1]}, "2026-10-02 03:00:00", "free"},
		{"the night before it belongs to its eve", guard.PolicySpec{Quiet: nights(), Holidays: holidays[:1]}, "2026-10-01 07:00:00", "2026-09-30 22:00:00 to 2026-10-01 08:00:00"},
		{"a quiet day and its neighbours touch", guard.PolicySpec{Holidays: holidays}, "2026-10-02 12:00:00", "2026-10-02 00:00:00 to 2026-10-03 09:00:00"},
		{"a holiday's own night", guard.PolicySpec{Holidays: holidays}, "2026-10-04 01:00:00", "2026-10-03 20:00:00 to 2026-10-04 02:00:00"},
		{"an eve's night overlaps a holiday", guard.PolicySpec{Quiet: nights(), Holidays: holidays[2:]}, "2026-10-03 08:30:00", "2026-10-02 22:00:00 to 2026-10-03 09:00:00"},
		{"a holiday's night counts as one with the next day's", guard.PolicySpec{
			Quiet: []guard.QuietRange{{Start: "01:00", End: "06:00"}}, Holidays: holidays[2:],
		}, "2026-10-03 21:00:00", "2026-10-03 20:00:00 to 2026-10-04 06:00:00"},
		{"a Saturday without its make-up work", guard.PolicySpec{Quiet: weekend}, "2026-10-10 13:00:00", "free"},
		{"a make-up workday", guard.PolicySpec{Quiet: weekend, Workdays: workdays}, "2026-10-10 13:00:00", "2026-10-10 12:00:00 to 2026-10-10 14:00:00"},
		{"a make-up workday's night", guard.PolicySpec{Quiet: weekend, Workdays: workdays}, "2026-10-11 09:00:00", "free"},
		{"ranges that touch", guard.PolicySpec{Quiet: []guard.QuietRange{
			{Start: "12:00", End: "13:00"}, {Start: "13:00", End: "14:00"}, {Start: "10:00", End: "12:00"},
		}}, "2026-10-15 12:30:00", "2026-10-15 10:00:00 to 2026-10-15 14:00:00"},
		{"ranges that touch across midnight", guard.PolicySpec{Quiet: []guard.QuietRange{
			{Start: "22:00", End: "24:00"}, {Start: "00:00", End: "07:00"},
		}}, "2026-10-15 01:00:00", "2026-10-14 22:00:00 to 2026-10-15 07:00:00"},
		{"a night up to the next night", guard.PolicySpec{Quiet: []guard.QuietRange{{Days: []string{"thu"}, Start: "23:00", End: "22:00"}}},
			"2026-10-16 21:59:00", "2026-10-15 23:00:00 to 2026-10-16 22:00:00"},
		{"whole days have an end on Monday", guard.PolicySpec{Quiet: []guard.QuietRange{
			{Days: []string{"sat", "sun"}, Start: "00:00", End: "24:00"},
		}}, "2026-10-17 15:00:00", "2026-10-17 00:00:00 to 2026-10-19 00:00:00"},
		{"before 1970", guard.PolicySpec{Quiet: nights()}, "1965-03-01 23:00:00", "1965-03-01 22:00:00 to 1965-03-02 08:00:00"},
	} {
		p := must(t, "Asia/Shanghai", c.spec)
		require.Equal(t, c.want, quietAt(p, shanghai(t, c.at)), c.name)
	}
}

func TestQuietHoursWithoutEnd(t *testing.T) {
	t.Parallel()
	p := must(t, "Asia/Shanghai", guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "00:00", End: "24:00"}}})
	at := shanghai(t, "2026-10-15 12:00:00")
	_, end, quiet := p.QuietRangeAt(at)
	require.True(t, quiet)
	require.Zero(t, end)

	s := allowed(t, guard.PolicySpec{})
	s.policy = p
	require.Equal(t, skipped(guard.ReasonQuietHours), s.decide())
	require.NotContains(t, s.values(), "quiet_until")
	s.req.Options = guard.OptQuietEarlier
	require.Equal(t, skipped(guard.ReasonQuietHours), guard.Plan(p, at, at.Add(time.Hour), &s.req, &s.facts).Verdict)
}

func TestManyShortRangesThatTouchStillEnd(t *testing.T) {
	t.Parallel()
	var spec guard.PolicySpec
	for h := range 23 {
		spec.Quiet = append(spec.Quiet, guard.QuietRange{Start: fmt.Sprintf("%02d:00", h), End: fmt.Sprintf("%02d:00", h+1)})
	}
	p := must(t, "Asia/Shanghai", spec)
	require.Equal(t, "2026-10-15 00:00:00 to 2026-10-15 23:00:00", quietAt(p, shanghai(t, "2026-10-15 00:30:00")))
}

func TestHolidaysOfEightDays(t *testing.T) {
	t.Parallel()
	var spec guard.PolicySpec
	for d := range 8 {
		spec.Holidays = append(spec.Holidays, guard.Holiday{
			Date: fmt.Sprintf("2026-10-%02d", d+1), Quiet: []guard.QuietRange{{Start: "00:00", End: "24:00"}},
		})
	}
	p := must(t, "Asia/Shanghai", spec)
	require.Equal(t, "2026-10-01 00:00:00 to 2026-10-09 00:00:00", quietAt(p, shanghai(t, "2026-10-01 00:00:00")))
	require.Equal(t, "2026-10-01 00:00:00 to 2026-10-09 00:00:00", quietAt(p, shanghai(t, "2026-10-08 23:00:00")))
}

// On the day on which clocks change, the quiet time reaches from the first time that the clock shows its start to the
// last time that it shows its end, on both sides of Greenwich.
func TestQuietHoursOnDaysOfChangingClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, zone, start, end, at, from, to string }{
		{"over the lost hour", "Europe/Berlin", "22:00", "08:00", "2026-03-29 00:00", "2026-03-28 22:00:00 +0100", "2026-03-29 08:00:00 +0200"},
		{"over the repeated hour", "Europe/Berlin", "22:00", "08:00", "2026-10-25 00:00", "2026-10-24 22:00:00 +0200", "2026-10-25 08:00:00 +0100"},
		{"ends in the lost hour", "Europe/Berlin", "22:00", "02:30", "2026-03-29 00:59", "2026-03-28 22:00:00 +0100", "2026-03-29 03:00:00 +0200"},
		{"starts in the lost hour", "Europe/Berlin", "02:30", "05:00", "2026-03-29 01:00", "2026-03-29 03:00:00 +0200", "2026-03-29 05:00:00 +0200"},
		{"ends in the repeated hour", "Europe/Berlin", "22:00", "02:30", "2026-10-25 01:15", "2026-10-24 22:00:00 +0200", "2026-10-25 02:30:00 +0100"},
		{"starts in the repeated hour", "Europe/Berlin", "02:30", "05:00", "2026-10-25 00:45", "2026-10-25 02:30:00 +0200", "2026-10-25 05:00:00 +0100"},
		{"ends as the repeated hour starts", "Europe/Berlin", "22:00", "02:00", "2026-10-24 23:59", "2026-10-24 22:00:00 +0200", "2026-10-25 02:00:00 +0200"},
		{"west, ends in the lost hour", "America/New_York", "22:00", "02:30", "2026-03-08 06:45", "2026-03-07 22:00:00 -0500", "2026-03-08 03:00:00 -0400"},
		{"west, starts in the lost hour", "America/New_York", "02:30", "05:00", "2026-03-08 07:00", "2026-03-08 03:00:00 -0400", "2026-03-08 05:00:00 -0400"},
		{"west, ends in the repeated hour", "America/New_York", "22:00", "01:30", "2026-11-01 06:15", "2026-10-31 22:00:00 -0400", "2026-11-01 01:30:00 -0500"},
		{"west, starts in the repeated hour", "America/New_York", "01:30", "05:00", "2026-11-01 05:45", "2026-11-01 01:30:00 -0400", "2026-11-01 05:00:00 -0500"},
		{"midnight is lost", "America/Havana", "00:00", "06:00", "2026-03-08 05:00", "2026-03-08 01:00:00 -0400", "2026-03-08 06:00:00 -0400"},
		{"midnight comes twice", "Africa/Cairo", "22:00", "24:00", "2026-10-29 21:30", "2026-10-29 22:00:00 +0300", "2026-10-30 00:00:00 +0200"},
	} {
		p := must(t, c.zone, guard.PolicySpec{Quiet: []guard.QuietRange{{Start: c.start, End: c.end}}})
		from, to, quiet := p.QuietRangeAt(utc(t, c.at))
		require.True(t, quiet, c.name)
		require.Equal(t, []string{c.from, c.to}, []string{from.In(p.Zone).Format(layout), to.In(p.Zone).Format(layout)}, c.name)
	}
	lost := must(t, "Europe/Berlin", guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "02:10", End: "02:50"}}})
	require.Equal(t, "free", quietAt(lost, utc(t, "2026-03-29 01:00")), "a range inside the lost hour")
}

func TestDaysStartAtTheirFirstMoment(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{
		"Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago", "Africa/Cairo",
		"Asia/Beirut", "Atlantic/Azores", "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Kathmandu", "Africa/Casablanca",
	} {
		p := must(t, zone, guard.PolicySpec{})
		first := p.Day(utc(t, "2026-01-01 12:00"))
		for day := first; day < first+730; day++ {
			start := p.DayStart(day)
			require.Equal(t, day, p.Day(start), "%s %s", zone, start)
			require.Equal(t, day-1, p.Day(start.Add(-time.Millisecond)), "%s %s", zone, start)
		}
	}
}

// naive says whether the wall clock of a moment lies in a range, minute by minute and without any notion of ranges in time.
func naive(spec guard.PolicySpec, zone *time.Location, at time.Time) bool {
	local := at.In(zone)
	y, m, d := local.Date()
	now := local.Hour()*60 + local.Minute()
	for back := range 2 {
		date := time.Date(y, m, d-back, 12, 0, 0, 0, time.UTC)
		for _, r := range rangesOn(spec, date) {
			start, end := clockMinutes(r.Start), clockMinutes(r.End)
			if end <= start {
				end += 1440
			}
			if shown := now + back*1440; start <= shown && shown < end {
				return true
			}
		}
	}
	return false
}

func clockMinutes(s string) int {
	var h, m int
	if _, err := fmt.Sscanf(s, "%d:%d", &h, &m); err != nil {
		panic(err)
	}
	return h*60 + m
}

func rangesOn(spec guard.PolicySpec, date time.Time) (out []guard.QuietRange) {
	key := date.Format(time.DateOnly)
	name := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}[date.Weekday()]
	for _, h := range spec.Holidays {
		if h.Date == key {
			return h.Quiet
		}
	}
	for _, w := range spec.Workdays {
		if w.Date == key {
			name = w.As
		}
	}
	for _, r := range spec.Quiet {
		holds := len(r.Days) == 0
		for _, d := range r.Days {
			holds = holds || d == name
		}
		if holds {
			out = append(out, r)
		}
	}
	return out
}

func drawRange(t *rapid.T, days bool) guard.QuietRange {
	minutes := rapid.SampledFrom([]int{0, 60, 90, 120, 150, 180, 480, 481, 720, 1200, 1320, 1439})
	start, end := minutes.Draw(t, "start"), minutes.Draw(t, "end")
	r := guard.QuietRange{Start: fmt.Sprintf("%02d:%02d", start/60, start%60), End: fmt.Sprintf("%02d:%02d", end/60, end%60)}
	if end == 0 && rapid.Bool().Draw(t, "24:00") {
		r.End = "24:00"
	}
	if days {
		r.Days = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}), 0, 3, rapid.ID).Draw(t, "days")
	}
	return r
}

// drawPolicy draws until the policy is valid; dates lie in the days around the changes of the clocks in March 2026.
func drawPolicy(t *rapid.T, zone string) (guard.PolicySpec, *guard.Policy) {
	var spec guard.PolicySpec
	for range rapid.IntRange(0, 4).Draw(t, "ranges") {
		spec.Quiet = append(spec.Quiet, drawRange(t, true))
	}
	dates := rapid.SliceOfNDistinct(rapid.IntRange(24, 31), 0, 4, rapid.ID).Draw(t, "dates")
	for _, d := range dates {
		date := fmt.Sprintf("2026-03-%02d", d)
		if rapid.Bool().Draw(t, "workday") {
			spec.Workdays = append(spec.Workdays, guard.Workday{Date: date, As: rapid.SampledFrom([]string{"mon", "sun"}).Draw(t, "as")})
			continue
		}
		h := guard.Holiday{Date: date}
		for range rapid.IntRange(0, 2).Draw(t, "ranges") {
			h.Quiet = append(h.Quiet, drawRange(t, false))
		}
		spec.Holidays = append(spec.Holidays, h)
	}
	p, err := spec.Compile(zone)
	if err != nil {
		t.Skip("not a valid policy")
	}
	return spec, p
}

func TestPropertyQuietHoursAgreeWithTheWallClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Asia/Shanghai", "Asia/Kathmandu", "America/Phoenix"}).Draw(t, "zone")
		spec, p := drawPolicy(t, zone)
		at := utc(t, "2026-03-24 00:00").Add(time.Duration(rapid.IntRange(0, 8*1440).Draw(t, "minute")) * time.Minute)
		start, end, quiet := p.QuietRangeAt(at)
		require.Equal(t, naive(spec, p.Zone, at), quiet)
		if !quiet {
			return
		}
		if at.Sub(start) < 14*24*time.Hour { // a start further back is cut
			require.False(t, naive(spec, p.Zone, start.Add(-time.Minute)), "it starts earlier than %s", start)
		}
		if end.IsZero() {
			end = at.Add(14 * 24 * time.Hour)
		} else {
			require.False(t, naive(spec, p.Zone, end), "it goes on after %s", end)
		}
		for m := start; m.Before(end); m = m.Add(time.Minute) {
			require.True(t, naive(spec, p.Zone, m), "it is broken at %s", m)
		}
	})
}

func TestPropertyNoMomentOfTheWallClocksQuietHoursIsFree(t *testing.T) {
	t.Parallel()
	changes := map[string]string{
		"Europe/Berlin": "2026-03-29 01:00", "America/New_York": "2026-03-08 07:00", "America/Havana": "2026-03-08 05:00",
		"Atlantic/Azores": "2026-10-25 01:00", "Australia/Lord_Howe": "2026-04-04 15:00", "Africa/Cairo": "2026-10-29 21:00",
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "America/Havana", "Atlantic/Azores", "Australia/Lord_Howe", "Africa/Cairo"}).Draw(t, "zone")
		spec, p := drawPolicy(t, zone)
		change := utc(t, changes[zone])
		for m := -150; m < 150; m += 5 {
			at := change.Add(time.Duration(m) * time.Minute)
			_, end, quiet := p.QuietRangeAt(at)
			if naive(spec, p.Zone, at) {
				require.True(t, quiet, "%s", at.In(p.Zone))
			}
			if quiet && !end.IsZero() {
				require.True(t, end.After(at))
				require.False(t, naive(spec, p.Zone, end), "it is still quiet at %s", end.In(p.Zone))
			}
		}
	})
}
