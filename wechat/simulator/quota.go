package simulator

import (
	"sync/atomic"
	"time"
)

// Limit bounds the calls of one API by one account; 0 does not bound.
type Limit struct {
	// Daily is per Beijing calendar day (45009).
	Daily int `json:"daily"`
	// PerMinute is per clock minute (45011).
	PerMinute int `json:"per_minute"`
	// PerSecond is per clock second; beyond it the platform is "busy" (-1).
	PerSecond int `json:"per_second"`
}

// clearsPerMonth is how often the counters of an account can be cleared (platform.md 12.2).
const clearsPerMonth = 10

// windowCounter counts in one fixed window of time and starts anew in the next. Window
// number and count share a word, so that a count is exact without a lock.
type windowCounter struct{ v atomic.Uint64 }

// take counts one more in window unless that exceeds limit; a limit of 0 is none.
func (c *windowCounter) take(window uint32, limit int) bool {
	for {
		old := c.v.Load()
		count := uint64(0)
		if uint32(old>>32) == window {
			count = old & 0xffffffff
		}
		if limit > 0 && count >= uint64(limit) {
			return false
		}
		if c.v.CompareAndSwap(old, uint64(window)<<32|(count+1)) {
			return true
		}
	}
}

func (c *windowCounter) used(window uint32) int {
	v := c.v.Load()
	if uint32(v>>32) != window {
		return 0
	}
	return int(v & 0xffffffff)
}

func (c *windowCounter) clear() { c.v.Store(0) }

// usage is what an account used of one API.
type usage struct {
	limit               atomic.Pointer[Limit]
	day, minute, second windowCounter
}

// beijing is the zone of all the platform's days and months. China keeps no summer time.
const beijingOffset = 8 * 3600

func dayOf(at time.Time) uint32    { return uint32((at.Unix() + beijingOffset) / 86400) }
func minuteOf(at time.Time) uint32 { return uint32(at.Unix() / 60) }
func secondOf(at time.Time) uint32 { return uint32(at.Unix()) }

func monthOf(at time.Time) uint32 {
	local := at.In(time.FixedZone("CST", beijingOffset))
	return uint32(local.Year()*12 + int(local.Month()))
}

// take counts a call and answers the code of the limit it breaks, or 0. A call refused by
// the minute's or the second's limit does not count for the day.
func (u *usage) take(at time.Time) int {
	l := u.limit.Load()
	if l.PerMinute > 0 && !u.minute.take(minuteOf(at), l.PerMinute) {
		return codeMinuteQuota
	}
	if l.PerSecond > 0 && !u.second.take(secondOf(at), l.PerSecond) {
		return codeBusy
	}
	if !u.day.take(dayOf(at), l.Daily) {
		return codeDailyQuota
	}
	return codeOK
}
