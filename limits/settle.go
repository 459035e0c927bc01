package limits

import (
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Release is a reservation to give back, because the platform said that it did not send.
type Release struct {
	FanID      int64
	Buckets    uint8
	Generation int
	CapDay     int // the day in which it was counted; 0: in none
}

// Correction is what the platform's answer to a send teaches about a fan's grants.
type Correction struct {
	Kind       CorrectionKind
	Generation int // of the send's reservation
}

// CorrectionKind says what was wrong.
type CorrectionKind uint8

// The corrections. Both are also divergences: we thought that a send was allowed.
const (
	CorrectNone    CorrectionKind = iota
	CorrectExhaust                // 45047: the count is used up
	CorrectClose                  // 45015: no window is open
)

// Settle gives reservations back and applies corrections, all under the fans' locks. It reports how many corrections
// contradicted what we believed.
func (s *Store) Settle(tx *gorm.DB, now time.Time, accountID int64, releases []Release, corrections map[int64]Correction) (diverged int, err error) {
	ids := make([]int64, 0, len(releases)+len(corrections))
	for _, r := range releases {
		ids = append(ids, r.FanID)
	}
	for id := range corrections {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	locked, err := s.Lock(tx, accountID, database.SortedSet(ids))
	if err != nil {
		return 0, err
	}
	for _, r := range releases {
		if u := locked[r.FanID]; u != nil {
			u.release(r)
		}
	}
	for id, c := range corrections {
		if u := locked[id]; u != nil && u.correct(c, now.UnixMilli()) {
			diverged++
		}
	}
	changed := make([]*Usage, 0, len(locked))
	for _, u := range locked {
		changed = append(changed, u)
	}
	return diverged, s.Save(tx, changed)
}

func (u *Usage) release(r Release) {
	u.Grants.Release(r.Buckets, r.Generation)
	if r.CapDay != 0 {
		u.Counted.GiveBack(r.CapDay)
	}
}

func (u *Usage) correct(c Correction, now int64) bool {
	believed := u.Grants.Available(now, 0) > 0 || u.Grants.AnyOpen(now)
	switch c.Kind {
	case CorrectExhaust:
		u.Grants.Exhaust(c.Generation)
	case CorrectClose:
		u.Grants.Close(c.Generation)
	case CorrectNone:
		return false
	}
	return believed
}
