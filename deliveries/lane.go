package deliveries

import (
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/limits"
)

// promoteSlice bounds how many rows one statement moves between lanes.
const promoteSlice = 1000

// Promote moves rows of the account that fell due into the ready lanes and returns how many it moved; a full slice means
// that there may be more.
func (s *Store) Promote(tx *gorm.DB, accountID int64, now time.Time) (moved int, full bool, err error) {
	at := now.UnixMilli()
	var ids []int64
	err = tx.Raw("SELECT id FROM deliveries WHERE account_id = ? AND lane = ? AND lane_source = 0 AND lane_at <= ? ORDER BY lane_at, id LIMIT ?",
		accountID, laneWaiting, at, promoteSlice).Scan(&ids).Error
	if err != nil {
		return 0, false, fmt.Errorf("find due deliveries: %w", err)
	}
	if len(ids) == 0 {
		return 0, false, nil
	}
	urgent := at + UrgentWithin.Milliseconds()
	// The three assignments read no column that an earlier one changed, because MySQL would see the new value and SQLite the old.
	err = tx.Exec("UPDATE deliveries SET lane = CASE WHEN class = ? OR deadline_at < ? THEN ? ELSE ? END, "+
		"lane_source = CASE WHEN class = ? OR deadline_at < ? THEN 0 ELSE source_id * 16 + source_kind END, lane_at = deadline_at "+
		"WHERE id IN ? AND lane = ?",
		guard.ClassReply, urgent, limits.LaneUrgent, limits.LaneBulk, guard.ClassReply, urgent, database.SortedSet(ids), laneWaiting).Error
	if err != nil {
		return 0, false, fmt.Errorf("promote due deliveries: %w", err)
	}
	return len(ids), len(ids) == promoteSlice, nil
}

// Hasten moves a bulk source's rows whose deadline has come near into the urgent lane and returns how many it moved.
func (s *Store) Hasten(tx *gorm.DB, accountID int64, src Source, now time.Time) (int, error) {
	var ids []int64
	err := tx.Raw("SELECT id FROM deliveries WHERE account_id = ? AND lane = ? AND lane_source = ? AND lane_at < ? ORDER BY lane_at, id LIMIT ?",
		accountID, limits.LaneBulk, src.key(), now.Add(UrgentWithin).UnixMilli(), promoteSlice).Scan(&ids).Error
	if err != nil {
		return 0, fmt.Errorf("find urgent deliveries: %w", err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	err = tx.Exec("UPDATE deliveries SET lane = ?, lane_source = 0 WHERE id IN ? AND lane = ?", limits.LaneUrgent, database.SortedSet(ids), limits.LaneBulk).Error
	if err != nil {
		return 0, fmt.Errorf("hasten deliveries: %w", err)
	}
	return len(ids), nil
}

// Park moves rows of stopped sources out of the urgent lane, where they would stand in front of others, into their source's
// part of the bulk lane, which is not asked while the source is stopped.
func (s *Store) Park(tx *gorm.DB, ids []int64) error {
	err := tx.Exec("UPDATE deliveries SET lane = ?, lane_source = source_id * 16 + source_kind WHERE id IN ? AND lane = ?",
		limits.LaneBulk, database.SortedSet(ids), limits.LaneUrgent).Error
	if err != nil {
		return fmt.Errorf("park deliveries: %w", err)
	}
	return nil
}

// Sources lists the sources that have rows in the account's bulk lane, by a walk over the index: one short query each.
func (s *Store) Sources(tx *gorm.DB, accountID int64) ([]Source, error) {
	var out []Source
	for key := int64(-1); ; {
		var next []int64
		err := tx.Raw("SELECT lane_source FROM deliveries WHERE account_id = ? AND lane = ? AND lane_source > ? ORDER BY lane_source LIMIT 1",
			accountID, limits.LaneBulk, key).Scan(&next).Error
		if err != nil {
			return nil, fmt.Errorf("list sources with due deliveries: %w", err)
		}
		if len(next) == 0 {
			return out, nil
		}
		key = next[0]
		out = append(out, sourceOf(key))
	}
}

// Ready reports whether the account has anything in its ready lanes: one look at the index, for the many accounts that have not.
func (s *Store) Ready(tx *gorm.DB, accountID int64) (bool, error) {
	var found []int64
	err := tx.Raw("SELECT id FROM deliveries WHERE account_id = ? AND lane IN ? LIMIT 1", accountID, []limits.Lane{limits.LaneUrgent, limits.LaneBulk}).Scan(&found).Error
	if err != nil {
		return false, fmt.Errorf("look for due deliveries: %w", err)
	}
	return len(found) > 0, nil
}

// Cursor is a place in a lane: after the row with this deadline and id. The zero value is the start.
type Cursor struct{ Deadline, ID int64 }

// Page says which rows of a lane to read.
type Page struct {
	Lane   limits.Lane
	Source Source // of the bulk lane; ignored for the urgent one
	After  Cursor
	Limit  int
}

// Pick reads the next rows of a lane in order of deadline, which is their place in the lane; of each row what sending it takes, and no more. A step's messages
// are always complete: what the limit cut off is left out or, when nothing else was found, read in spite of it.
func (s *Store) Pick(tx *gorm.DB, accountID int64, p Page) ([]Delivery, error) {
	key := int64(0)
	if p.Lane == limits.LaneBulk {
		key = p.Source.key()
	}
	const where = "account_id = ? AND lane = ? AND lane_source = ? AND lane_at "
	found := []Delivery(nil)
	var err error
	if p.After.Deadline != 0 {
		// Rows with the cursor's own deadline first, by id: one range of the index, which "greater than either" would not be.
		found, err = readToSend(tx, accountID, where+"= ? AND id > ? ORDER BY id"+s.db.Dialect().Limit(), accountID, p.Lane, key, p.After.Deadline, p.After.ID, p.Limit)
		if err != nil {
			return nil, err
		}
	}
	if rest := p.Limit - len(found); rest > 0 {
		more, err := readToSend(tx, accountID, where+"> ? ORDER BY lane_at, id"+s.db.Dialect().Limit(), accountID, p.Lane, key, p.After.Deadline, rest)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if len(found) < p.Limit {
		return found, nil
	}
	if first := &found[0]; p.Limit < first.StepSize && first.SameStep(&found[p.Limit-1]) {
		// The page is smaller than its only step: read on to the step's end, and leave out what follows it.
		p.Limit = first.StepSize
		found, err = s.Pick(tx, accountID, p)
		if end := slices.IndexFunc(found, func(c Delivery) bool { return !c.SameStep(&found[0]) }); end > 0 {
			found = found[:end]
		}
		return found, err
	}
	return wholeSteps(found), nil
}

// wholeSteps drops the last step of a full page if the page's limit may have cut it.
func wholeSteps(found []Delivery) []Delivery {
	last := &found[len(found)-1]
	if last.StepSize <= 1 {
		return found
	}
	cut := slices.IndexFunc(found, func(c Delivery) bool { return c.SameStep(last) })
	if cut == 0 || len(found)-cut >= last.StepSize {
		return found
	}
	return found[:cut]
}

// Planned rows of fans, with what recomputing them needs.
func plannedOf(tx *gorm.DB, accountID int64, fanIDs []int64) ([]Delivery, error) {
	return read(tx, "+account_id = ? AND fan_id IN ? AND state = ?", accountID, fanIDs, StatePlanned)
}

// Regrant recomputes fans' planned rows after their grants changed (design 5.4): the effective deadline follows the grant, what waited for an interaction
// becomes due, and due times are placed anew against quiet hours. usages are locked.
func (s *Store) Regrant(tx *gorm.DB, now time.Time, policy *guard.Policy, accountID int64, usages map[int64]*limits.Usage) error {
	ids := make([]int64, 0, len(usages))
	for id := range usages {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := plannedOf(tx, accountID, database.SortedSet(ids))
	if err != nil {
		return err
	}
	for i := range rows {
		d := &rows[i]
		if d.Channel != guard.ChannelKefu {
			continue
		}
		if err := s.regrant(tx, now, policy, d, usages[d.FanID]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) regrant(tx *gorm.DB, now time.Time, policy *guard.Policy, d *Delivery, u *limits.Usage) error {
	placed, deadline := Regranted(now, policy, d, &u.Grants)
	next := Planned{Key: d.Key, Class: d.Class, DueAt: placed.DueAt, Deadline: deadline}
	if next.DueAt == d.DueAt && next.Deadline == d.Deadline {
		return nil
	}
	pl := placeOf(now.UnixMilli(), &next)
	err := tx.Exec("UPDATE deliveries SET due_at = ?, deadline_at = ?, lane = ?, lane_source = ?, lane_at = ? WHERE id = ? AND state = ?",
		next.DueAt, next.Deadline, pl.lane, pl.source, pl.at, d.ID, StatePlanned).Error
	if err != nil {
		return fmt.Errorf("recompute a delivery after a grant: %w", err)
	}
	if placed.Verdict.Reason == guard.ReasonQuietHours {
		return s.trace(tx, []decision{{
			deliveryID: d.ID, at: now.UnixMilli(), attempt: d.Attempt, verdict: guard.Defer, reason: guard.ReasonQuietHours,
			values: []guard.Value{{Name: "due_at", Number: placed.DueAt}},
		}})
	}
	return nil
}

// Regranted is where in time a planned customer-service message goes, and its effective deadline, after the fan's grants have become these. It is pure.
func Regranted(now time.Time, policy *guard.Policy, d *Delivery, grants *guard.Grants) (placed guard.Placement, deadline int64) {
	req := guard.Request{
		Class: d.Class, Campaign: d.Source.Campaign(), Channel: d.Channel, Options: d.Options, Messages: d.StepSize, NotAfter: d.NotAfter,
		Spread: guard.Spread(d.Source.ID, d.FanID),
	}
	facts := guard.Facts{Grants: *grants, CampaignCaps: guard.NoCaps()}
	due := clockTime(d.DueAt)
	if d.waitsForGrant() {
		due = now
	}
	placed = guard.Plan(policy, now, due, &req, &facts)
	if placed.Verdict.Kind == guard.Skip {
		placed.DueAt = d.DueAt // the guard says so itself when it is due
	}
	return placed, EffectiveDeadline(grants, policy, &req, placed.DueAt)
}

// waitsForGrant reports whether the row was put off until the fan's next interaction.
func (d *Delivery) waitsForGrant() bool {
	switch d.Reason {
	case guard.ReasonGrantClosed, guard.ReasonGrantExhausted, guard.ReasonGrantReserved:
		return d.Options&guard.OptWaitForGrant != 0
	default:
		return false
	}
}

// EffectiveDeadline is the last moment at which a message due at dueAt can go: its hard deadline or, if it depends on the grant that is open then and does not
// wait for another, the end of that.
func EffectiveDeadline(g *guard.Grants, policy *guard.Policy, r *guard.Request, dueAt int64) int64 {
	if r.Channel != guard.ChannelKefu {
		return r.NotAfter
	}
	held := policy.Held
	if r.Class == guard.ClassReply {
		held = 0 // nothing is kept from a reply, for which the fan is waiting
	}
	if end := g.End(dueAt, held); end > 0 {
		return min(r.NotAfter, end)
	}
	return r.NotAfter
}
