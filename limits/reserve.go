package limits

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/wechat"
)

// ErrStale says that a fan's limits have changed since they were read. The transaction must be undone, and the decision made anew.
var ErrStale = errors.New("a fan's limits have changed meanwhile")

// delta is what a reservation changes in a fan's row. Fans with the same delta are updated by one statement.
type delta struct {
	left     [wechat.TriggerCount]int
	capDay   int
	messages int // that count in the periods of capDay
}

// Reservations gathers what the fans of one transaction take, fan by fan, before Reserve stores it.
type Reservations struct {
	now    int64
	deltas map[int64]delta
	usages map[int64]*Usage
}

// NewReservations begins reserving at the moment of the decisions.
func NewReservations(now time.Time) *Reservations {
	return &Reservations{now: now.UnixMilli(), deltas: map[int64]delta{}, usages: map[int64]*Usage{}}
}

// Take is what one step takes for a fan.
type Take struct {
	Messages int
	CapDay   int  // the day in which it counts, by guard.Counted.DayAt; 0 for messages that are free of caps
	Free     bool // needs no grant: a passive reply
}

// Take takes from a usage, so that the next decision about the same fan sees it.
func (r *Reservations) Take(u *Usage, t Take) {
	r.usages[u.FanID] = u
	d := r.deltas[u.FanID]
	if !t.Free {
		before := u.Grants
		u.Grants.Take(r.now, t.Messages)
		for i := range before.Buckets {
			d.left[i] += before.Buckets[i].Left - u.Grants.Buckets[i].Left
		}
	}
	if t.CapDay != 0 {
		u.Counted.Add(t.CapDay, t.Messages)
		u.MarketingAt = r.now
		d.capDay = t.CapDay
		d.messages += t.Messages
	}
	r.deltas[u.FanID] = d
}

// Reserve stores reservations, one statement per kind of change and not per fan, each only if the fan's limits are as they were when they were read,
// locked or not: so no reservation rests on what is not true any more. It raises the versions of the usages it took from. Errors: ErrStale.
func (s *Store) Reserve(tx *gorm.DB, r *Reservations) error {
	groups := map[delta][]int64{}
	for fan, d := range r.deltas {
		if d != (delta{}) {
			groups[d] = append(groups[d], fan)
		}
	}
	for d, ids := range groups {
		if err := r.apply(tx, d, database.SortedSet(ids)); err != nil {
			return err
		}
	}
	for _, ids := range groups {
		for _, id := range ids {
			r.usages[id].Version++
		}
	}
	return nil
}

func (r *Reservations) apply(tx *gorm.DB, d delta, fanIDs []int64) error {
	sets, args := d.assignments(r.now)
	among, ids := database.Among("fan_id", fanIDs)
	version, versions := r.versions(fanIDs)
	res := tx.Exec("UPDATE fan_limits SET version = version + 1, "+sets+" WHERE "+among+" AND version = "+version, slices.Concat(args, ids, versions)...)
	if res.Error != nil {
		return fmt.Errorf("reserve: %w", res.Error)
	}
	if res.RowsAffected != int64(len(fanIDs)) {
		return ErrStale
	}
	return nil
}

// assignments is the SQL that takes a delta from a row.
func (d delta) assignments(at int64) (string, []any) {
	var sets []string
	var args []any
	for t, n := range d.left {
		if n > 0 {
			name := wechat.Trigger(t).String() + "_left"
			sets, args = append(sets, name+" = "+name+" - ?"), append(args, n)
		}
	}
	if d.capDay != 0 {
		counted, values := count("cap_day", capColumns, d.capDay, d.messages)
		sets, args = append(sets, counted, "marketing_at = ?"), append(append(args, values...), at)
	}
	return strings.Join(sets, ", "), args
}

// versions is the SQL for the version in which each fan's limits were read.
func (r *Reservations) versions(fanIDs []int64) (string, []any) {
	return database.PerRow("fan_id", fanIDs, func(id int64) int64 { return r.usages[id].Version })
}
