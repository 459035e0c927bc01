package campaigns

import (
	"strconv"
	"time"
)

const (
	msSecond = int64(1000)
	msMinute = 60 * msSecond
	msHour   = 60 * msMinute
	msDay    = 24 * msHour
)

// parseSpan reads a duration of one number and one unit (s, m, h, d) in milliseconds. A day is 24 hours.
func parseSpan(s string) (int64, bool) {
	if len(s) < 2 || len(s) > 10 {
		return 0, false
	}
	for i := range len(s) - 1 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
	if err != nil {
		return 0, false
	}
	switch s[len(s)-1] {
	case 's':
		return n * msSecond, true
	case 'm':
		return n * msMinute, true
	case 'h':
		return n * msHour, true
	case 'd':
		return n * msDay, true
	}
	return 0, false
}

// parseClock reads a time of day, 00:00 to 23:59, in minutes.
func parseClock(s string) (int, bool) {
	if len(s) != len("15:04") {
		return 0, false
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}

// clockAfter is the moment at which clocks in the zone show minute, so many days after base's day; with no days, the
// first such moment after base.
func clockAfter(base time.Time, zone *time.Location, minute, days int) time.Time {
	local := base.In(zone)
	for {
		at := time.Date(local.Year(), local.Month(), local.Day()+days, minute/60, minute%60, 0, 0, zone)
		if at.After(base) {
			return at
		}
		days++
	}
}
