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

// Outcome is what came of a marked row.
type Outcome struct {
	Delivery *Delivery
	// State is StateSent, StateFailed, StateUnknown, StateSkipped (its turn in the step never came) or StatePlanned (to be tried again).
	State   State
	Reason  guard.Reason
	ErrCode int    // the platform's code, 0 if none
	RID     string // the platform's request id
	RetryAt int64  // for StatePlanned: when it is due again
	// Correction is what the answer teaches about the fan's grants.
	Correction limits.Correction
}

func (o *Outcome) ended(at int64) Ended {
	return Ended{o.Delivery.Key, o.State, o.Reason, at}
}

// Released reports whether what was reserved for the row is given back: the platform definitely did not send.
func (o *Outcome) Released() bool {
	return o.State == StateFailed || o.State == StateSkipped || o.State == StatePlanned
}

// result is what rows that are recorded by one statement share.
type result struct {
	batchID int64
	state   State
	reason  guard.Reason
	errcode int
	retryAt int64
}

// Record stores outcomes, within tx, each only if the row is still being sent by the same batch; a row that was given up as unknown takes its owner's late
// answer. Reservations are settled by the caller. Errors: ErrMoved when a row is not its batch's any more; see Mine.
func (s *Store) Record(tx *gorm.DB, now time.Time, outcomes []Outcome) error {
	groups := map[result][]int64{}
	var trace []decision
	for i := range outcomes {
		o := &outcomes[i]
		r := result{o.Delivery.BatchID, o.State, o.Reason, o.ErrCode, o.RetryAt}
		groups[r] = append(groups[r], o.Delivery.ID)
		if o.State != StateSent || o.ErrCode != 0 {
			trace = append(trace, o.decision(now.UnixMilli()))
		}
	}
	ends := outcomeEnds(now.UnixMilli(), outcomes)
	for r, ids := range groups {
		late, err := s.recordGroup(tx, now.UnixMilli(), r, database.SortedSet(ids))
		if err != nil {
			return err
		}
		ends = append(ends, corrected(late)...)
	}
	if err := s.trace(tx, trace); err != nil {
		return err
	}
	return s.tally(tx, ends)
}

// recordGroup returns the rows, as they were before, for which the answer comes late: they had been given up as unknown.
func (s *Store) recordGroup(tx *gorm.DB, now int64, r result, ids []int64) ([]Delivery, error) {
	if r.state == StatePlanned {
		return nil, s.update(tx, ids, "UPDATE deliveries SET state = ?, reason = ?, errcode = ?, due_at = ?, lane = ?, lane_source = 0, lane_at = ?, reserved = 0, cap_day = 0 "+
			"WHERE id IN ? AND state = ? AND batch_id = ?",
			r.state, r.reason, r.errcode, r.retryAt, laneWaiting, r.retryAt, ids, StateSending, r.batchID)
	}
	n, err := s.recordFrom(tx, StateSending, now, r, ids)
	if err != nil || n == len(ids) {
		return nil, err
	}
	if !CanMove(StateUnknown, r.state) {
		return nil, ErrMoved
	}
	late, err := readLocked(tx, s.db.Dialect().ForUpdate(), "id IN ? AND state = ? AND batch_id = ?", ids, StateUnknown, r.batchID)
	if err != nil {
		return nil, err
	}
	if n+len(late) != len(ids) {
		return nil, ErrMoved
	}
	_, err = s.recordFrom(tx, StateUnknown, now, r, ids)
	return late, err
}

func (s *Store) recordFrom(tx *gorm.DB, from State, now int64, r result, ids []int64) (int, error) {
	among, of := database.Among("id", ids)
	look, lookArgs := lookChange(from, r.state)
	res := tx.Exec("UPDATE deliveries SET state = ?, reason = ?, errcode = ?, ended_at = ?"+look+" WHERE "+among+" AND state = ? AND batch_id = ?",
		slices.Concat([]any{r.state, r.reason, r.errcode, now}, lookArgs, of, []any{from, r.batchID})...)
	if res.Error != nil {
		return 0, fmt.Errorf("record outcomes: %w", res.Error)
	}
	return int(res.RowsAffected), nil
}

func (o *Outcome) decision(at int64) decision {
	kind := guard.Skip
	var values []guard.Value
	if o.State == StatePlanned {
		kind, values = guard.Defer, []guard.Value{{Name: "due_at", Number: o.RetryAt}}
	}
	return decision{deliveryID: o.Delivery.ID, at: at, attempt: o.Delivery.Attempt, verdict: kind, reason: o.Reason, values: values, errcode: o.ErrCode, rid: o.RID}
}

// Mine keeps the outcomes whose rows may still take them, reading them under a lock: what Record needs after ErrMoved.
func (s *Store) Mine(tx *gorm.DB, outcomes []Outcome) ([]Outcome, error) {
	ids := make([]int64, len(outcomes))
	for i := range outcomes {
		ids[i] = outcomes[i].Delivery.ID
	}
	rows, err := readLocked(tx, s.db.Dialect().ForUpdate(), "id IN ?", database.SortedSet(ids))
	if err != nil {
		return nil, err
	}
	now := make(map[int64]*Delivery, len(rows))
	for i := range rows {
		now[rows[i].ID] = &rows[i]
	}
	var mine []Outcome
	for _, o := range outcomes {
		d := now[o.Delivery.ID]
		// Planned rows are nobody's: the same outcome, a retry, may have been recorded by a commit whose answer was lost.
		if d != nil && d.BatchID == o.Delivery.BatchID && d.State != StatePlanned && CanMove(d.State, o.State) {
			mine = append(mine, o)
		}
	}
	return mine, nil
}

// Ends lists what came to its end with outcomes.
func Ends(now time.Time, outcomes []Outcome) []Ended {
	out := make([]Ended, 0, len(outcomes))
	for i := range outcomes {
		if outcomes[i].State.Terminal() {
			out = append(out, outcomes[i].ended(now.UnixMilli()))
		}
	}
	return out
}

// ConfirmPassive records that a passive reply was handed to the platform, or gives it up as unknown. It reports what came to its end; nothing, if that was
// recorded before.
func (s *Store) ConfirmPassive(tx *gorm.DB, now time.Time, id int64, handed bool) ([]Ended, error) {
	rows, err := read(tx, "id = ? AND channel = ?", id, guard.ChannelPassive)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	state, reason := StateSent, guard.ReasonNone
	if !handed {
		state, reason = StateUnknown, guard.ReasonAnswerLost
	}
	if !CanMove(rows[0].State, state) {
		return nil, nil
	}
	look, lookArgs := lookChange(rows[0].State, state)
	res := tx.Exec("UPDATE deliveries SET state = ?, reason = ?, ended_at = ?"+look+" WHERE id = ? AND state = ?",
		slices.Concat([]any{state, reason, now.UnixMilli()}, lookArgs, []any{id, rows[0].State})...)
	if res.Error != nil {
		return nil, fmt.Errorf("confirm a passive reply: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return nil, nil
	}
	var ends []happened
	if rows[0].State.Terminal() { // it had been given up
		ends = corrected(rows)
	}
	end := rows[0].became(state, reason, now.UnixMilli(), 1)
	end.code = rows[0].ErrCode
	if err := s.tally(tx, append(ends, end)); err != nil {
		return nil, err
	}
	return []Ended{{rows[0].Key, state, reason, now.UnixMilli()}}, nil
}
