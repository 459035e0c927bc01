package guard

import "time"

// Placement is where in time a message is planned.
type Placement struct {
	// DueAt is when to try it, unix ms.
	DueAt int64
	// Verdict is Allow when the wish stands, Defer when quiet hours moved it (Reason says so), Skip when there is no
	// time at which it may go.
	Verdict Verdict
}

// Plan places a message that is wished for at due. A due time inside quiet hours moves after their end plus the spread
// if it can still arrive then, as far as the grant that is open at due tells; otherwise, by the request's options, before them, or it is skipped (design 5.4). now is the
// earliest time at which it can go.
func Plan(p *Policy, now, due time.Time, r *Request, f *Facts) Placement {
	if due.Before(now) {
		due = now
	}
	at := due.UnixMilli()
	if at >= r.NotAfter {
		return Placement{DueAt: at, Verdict: skip(ReasonTooLate)}
	}
	start, end, quiet := p.QuietRangeAt(due)
	if !quiet || !r.bound() {
		return Placement{DueAt: at, Verdict: Verdict{Kind: Allow, Messages: r.Messages}}
	}
	if !end.IsZero() {
		after := spread(end.UnixMilli(), p.spreadRoom(end), r.Spread)
		if after < r.deadline(at, p, f) {
			return Placement{DueAt: after, Verdict: Verdict{Kind: Defer, Reason: ReasonQuietHours, Until: after}}
		}
	}
	if r.Options&OptQuietEarlier != 0 && start.After(now) {
		before := p.beforeQuiet(now, start, r.Spread).UnixMilli()
		return Placement{DueAt: before, Verdict: Verdict{Kind: Defer, Reason: ReasonQuietHours, Until: before}}
	}
	return Placement{DueAt: at, Verdict: skip(ReasonQuietHours)}
}

// beforeQuiet is a free moment before quiet hours that start at start, spread like those after them, not before now
// and not inside the quiet hours before these.
func (p *Policy) beforeQuiet(now, start time.Time, hash uint32) time.Time {
	at := start.Add(-time.Millisecond - time.Duration(spread(0, p.Spread, hash))*time.Millisecond)
	at = later(at, now)
	if _, end, quiet := p.QuietRangeAt(at); quiet {
		return end
	}
	return at
}

// Spread hashes a campaign and a fan to a place in the spread: always the same for the two, and evenly spread over fans.
func Spread(campaign, fan int64) uint32 {
	h := uint64(campaign)*0x9E3779B97F4A7C15 ^ uint64(fan)*0xC2B2AE3D27D4EB4F
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	return uint32(h >> 32)
}
