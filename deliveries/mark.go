package deliveries

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/stops"
)

// ErrMoved says that a row was not in the state in which it had been read: somebody cancelled it, or took the batch
// over. The transaction must be undone, and what is left read again.
var ErrMoved = errors.New("a delivery changed its state meanwhile")

// Marking says on whose behalf rows are marked.
type Marking struct {
	Now     time.Time
	BatchID int64
	Epoch   int64 // the stop epoch that the decisions rest on; see package stops
}

// taking is what rows that are marked by one statement share.
type taking struct {
	buckets uint8
	capDay  int
}

// Mark moves planned rows to sending, with their reservations, just before their calls. The fans' limits are locked by
// tx. Errors: ErrMoved, also when something was stopped since the decisions were made.
func (s *Store) Mark(tx *gorm.DB, by Marking, rows []*Delivery) error {
	groups := map[taking][]*Delivery{}
	for _, d := range rows {
		if d.State == StatePlanned { // not when a repeated transaction marks it anew
			d.Attempt++
		}
		d.State, d.BatchID, d.MarkedAt = StateSending, by.BatchID, by.Now.UnixMilli()
		m := taking{d.Reserved.Buckets, d.Reserved.CapDay}
		groups[m] = append(groups[m], d)
	}
	for m, group := range groups {
		if err := s.take(tx, by, m, group); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) take(tx *gorm.DB, by Marking, m taking, group []*Delivery) error {
	generations := make(map[int64]int64, len(group))
	for _, d := range group {
		generations[d.ID] = int64(d.Reserved.Generation)
	}
	ids := slices.Sorted(maps.Keys(generations))
	generation, args := database.PerRow("id", ids, func(id int64) int64 { return generations[id] })
	among, of := database.Among("id", ids)
	return s.update(tx, ids, "UPDATE deliveries SET state = ?, marked_at = ?, attempt = attempt + 1, batch_id = ?, lane = NULL, lane_source = NULL, lane_at = NULL, "+
		"reserved = ?, cap_day = ?, reserved_generation = "+generation+" WHERE "+among+" AND state = ? AND "+stops.Unchanged,
		slices.Concat([]any{StateSending, by.Now.UnixMilli(), by.BatchID, m.buckets, m.capDay}, args, of, []any{StatePlanned, by.Epoch})...)
}

// Stopped is a planned row that the guard did not allow.
type Stopped struct {
	Delivery *Delivery
	Verdict  guard.Verdict
	Values   []guard.Value
}

// Stop records what the guard said of planned rows: a skip ends them, a deferral gives them a new due time. A row that waits for the end of a stop
// is left as it is. It returns what came to its end. Errors: ErrMoved.
func (s *Store) Stop(tx *gorm.DB, now time.Time, rows []Stopped) ([]Ended, error) {
	var ended []Ended
	var trace []decision
	var ends []happened
	skips := map[guard.Reason][]int64{}
	type wait struct {
		reason guard.Reason
		until  int64
	}
	waits := map[wait][]int64{}
	for _, r := range rows {
		d := r.Delivery
		if r.Verdict.Kind == guard.Defer && waitsForResume(r.Verdict.Reason) {
			continue
		}
		trace = append(trace, decision{
			deliveryID: d.ID, at: now.UnixMilli(), attempt: d.Attempt, verdict: r.Verdict.Kind, reason: r.Verdict.Reason, values: r.Values,
		})
		if r.Verdict.Kind == guard.Skip {
			skips[r.Verdict.Reason] = append(skips[r.Verdict.Reason], d.ID)
			ended = append(ended, Ended{d.Key, StateOfSkip(r.Verdict.Reason), r.Verdict.Reason, now.UnixMilli()})
			ends = append(ends, d.became(StateOfSkip(r.Verdict.Reason), r.Verdict.Reason, now.UnixMilli(), 1))
			continue
		}
		w := wait{r.Verdict.Reason, d.PutOff(r.Verdict)}
		waits[w] = append(waits[w], d.ID)
	}
	for reason, ids := range skips {
		err := s.update(tx, ids, "UPDATE deliveries SET state = ?, reason = ?, ended_at = ?, lane = NULL, lane_source = NULL, lane_at = NULL WHERE id IN ? AND state = ?",
			StateOfSkip(reason), reason, now.UnixMilli(), ids, StatePlanned)
		if err != nil {
			return nil, err
		}
	}
	for w, ids := range waits {
		err := s.update(tx, ids, "UPDATE deliveries SET reason = ?, due_at = ?, lane = ?, lane_source = 0, lane_at = ? WHERE id IN ? AND state = ?",
			w.reason, w.until, laneWaiting, w.until, ids, StatePlanned)
		if err != nil {
			return nil, err
		}
	}
	if err := s.trace(tx, trace); err != nil {
		return nil, err
	}
	return ended, s.tally(tx, ends)
}

// PutOff is when a message is due again that the guard deferred.
func (d *Delivery) PutOff(v guard.Verdict) int64 {
	if v.Until == 0 {
		return d.NotAfter // nothing but an interaction makes it due before
	}
	return v.Until
}

// waitsForResume reports whether a deferral ends when somebody lifts a stop: then the row keeps its place.
func waitsForResume(r guard.Reason) bool {
	return r == guard.ReasonInstallationStopped || r == guard.ReasonAccountStopped || r == guard.ReasonCampaignStopped
}

// StateOfSkip is the state in which a message ends that the guard skips.
func StateOfSkip(r guard.Reason) State {
	if r == guard.ReasonTooLate {
		return StateExpired
	}
	return StateSkipped
}

func (s *Store) update(tx *gorm.DB, ids []int64, query string, args ...any) error {
	res := tx.Exec(query, args...)
	if res.Error != nil {
		return fmt.Errorf("update deliveries: %w", res.Error)
	}
	if res.RowsAffected != int64(len(ids)) {
		return ErrMoved
	}
	return nil
}

// Previous reports how the earlier messages of the same step stand: failed when one did not arrive, so that the later ones do not go; open when one has
// not ended yet, so that the later ones wait.
func (s *Store) Previous(tx *gorm.DB, d *Delivery) (failed, open bool, err error) {
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		var state State
		if err := rows.Scan(&state); err != nil {
			return err
		}
		failed = failed || state.Terminal() && state != StateSent && state != StateDelivered
		open = open || !state.Terminal()
		return nil
	}, "SELECT state FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ? AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no < ? AND resend = ?",
		d.AccountID, d.Source.Kind, d.Source.ID, d.FanID, d.Occurrence, d.StepNo, d.MessageNo, d.Resend)
	if err != nil {
		return false, false, fmt.Errorf("read a step's earlier messages: %w", err)
	}
	return failed, open, nil
}
