package guard

import (
	"errors"
	"time"
)

// dayNumber numbers the calendar day of t in t's zone: days since 1970-01-01.
func dayNumber(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
}

// Day numbers the calendar day of a moment in the policy's zone. Caps count by it.
func (p *Policy) Day(at time.Time) int { return dayNumber(at.In(p.Zone)) }

// crossing finds when the wall clock reaches a minute of a numbered day: first is the moment at which it shows that
// time or a later one for the first time, last the moment from which it shows no earlier one any more. The two differ
// in the hour that a change of the clocks repeats, and are the moment of the change for a time that it leaves out.
// time.Date is no help: what it returns for such times differs between zones east and west of Greenwich.
func (p *Policy) crossing(day, minute int) (first, last time.Time) {
	const reach = 15 * 3600 // more than any zone's distance from UTC
	wall := int64(day)*86_400 + int64(minute)*60
	early, late := time.Unix(wall-reach, 0).In(p.Zone), time.Unix(wall+reach, 0).In(p.Zone)
	_, before := early.Zone()
	_, after := late.Zone()
	old := time.Unix(wall-int64(before), 0).In(p.Zone)
	if before == after {
		return old, old
	}
	changed := time.Unix(wall-int64(after), 0).In(p.Zone)
	_, change := early.ZoneBounds()
	first, last = old, changed
	if !old.Before(change) {
		first = later(changed, change)
	}
	if !changed.After(change) {
		last = earlier(old, change)
	}
	return first, last
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// DayStart is the first moment of a numbered day in the policy's zone, 01:00 on a day whose first hour the clocks leave out.
func (p *Policy) DayStart(day int) time.Time {
	start, _ := p.crossing(day, 0)
	return start
}

// bounds is when a range that starts on a day begins and ends.
func (p *Policy) bounds(day int, s span) (from, to time.Time) {
	from, _ = p.crossing(day, s.start)
	_, to = p.crossing(day, s.end)
	return from, to
}

func (p *Policy) spans(day int) []span {
	if s, special := p.dates[day]; special {
		return s
	}
	return p.week[((day+4)%7+7)%7] // 1970-01-01 was a Thursday
}

// longestQuiet bounds the search for the end of quiet hours that follow each other without a break: as ranges of one
// day that touch are merged, about one step a day.
const longestQuiet = 16

// QuietRangeAt returns the quiet time that contains at: from its start to the first moment after it at which
// messages may go again, ranges that touch taken together. quiet is false outside quiet hours. An end that
// does not come within about two weeks is the zero time; a start further back than that is cut to about two weeks.
func (p *Policy) QuietRangeAt(at time.Time) (start, end time.Time, quiet bool) {
	if !p.hasRanges {
		return start, end, false
	}
	start, end, quiet = p.rangeAt(at)
	if !quiet {
		return start, end, false
	}
	for range longestQuiet {
		_, next, still := p.rangeAt(end)
		if !still {
			return p.earliest(start), end, true
		}
		end = next
	}
	return p.earliest(start), time.Time{}, true
}

// earliest walks back over ranges that end where this one starts.
func (p *Policy) earliest(start time.Time) time.Time {
	for range longestQuiet {
		before, _, quiet := p.rangeAt(start.Add(-time.Millisecond))
		if !quiet {
			return start
		}
		start = before
	}
	return start
}

func (p *Policy) rangeAt(at time.Time) (start, end time.Time, quiet bool) {
	today := p.Day(at)
	for day := today - 1; day <= today; day++ {
		for _, s := range p.spans(day) {
			from, to := p.bounds(day, s)
			if !at.Before(from) && at.Before(to) {
				return from, to, true
			}
		}
	}
	return start, end, false
}

// spreadRoom is over how many ms messages can be spread from the end of quiet hours on: the policy's spread, or less if
// the next quiet hours start within it.
func (p *Policy) spreadRoom(from time.Time) int64 {
	room := p.Spread
	last := p.Day(from.Add(time.Duration(p.Spread) * time.Millisecond))
	for day := p.Day(from); day <= last; day++ {
		for _, s := range p.spans(day) {
			if start, _ := p.bounds(day, s); start.After(from) {
				room = min(room, start.Sub(from).Milliseconds())
			}
		}
	}
	return room
}

// checkMidnights refuses ranges of neighbouring weekdays that overlap across midnight.
// Dates that follow other ranges are not held against their neighbours: there, ranges that overlap count as one.
func (p *Policy) checkMidnights() error {
	var errs []error
	for d := range p.week {
		next := (d + 1) % 7
		for _, s := range p.week[d] {
			if len(p.week[next]) > 0 && s.end-dayMinutes > p.week[next][0].start {
				errs = append(errs, overlap("quiet_hours", weekdayWords(time.Weekday(next))))
			}
		}
	}
	return errors.Join(errs...)
}
