package webhooks

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// backoff is how long an event waits after each try; after the last it has failed.
var backoff = [...]time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// taken reports whether the receiver said yes.
func (a *Attempt) taken() bool { return a.Status >= 200 && a.Status <= 299 }

// record notes what became of a turn's events, as far as they are still this worker's.
func (w *Worker) record(ctx context.Context, to *target, claimed []Entry, attempts []Attempt) error {
	err := w.store.db.Tx(ctx, func(tx *gorm.DB) error {
		mine, err := w.mine(tx, claimed)
		if err != nil || len(mine) == 0 {
			return err
		}
		now := w.store.now()
		var done, failed []int64
		again := map[int][]int64{} // by try
		args := make([]any, 0, 7*len(mine))
		for i := range claimed {
			e, a := &claimed[i], &attempts[i]
			if mine[e.ID] != e.Tries {
				continue
			}
			args = append(args, e.ID, a.Try, a.At, a.Took, a.Status, a.Answer, a.Error)
			switch {
			case a.taken():
				done = append(done, e.ID)
			case to.gone || a.Try > len(backoff):
				failed = append(failed, e.ID)
			default:
				again[a.Try] = append(again[a.Try], e.ID)
			}
		}
		if len(args) == 0 {
			return nil
		}
		rows := strings.Repeat(", (?, ?, ?, ?, ?, ?, ?)", len(args)/7)[2:]
		err = tx.Exec("INSERT INTO webhook_attempts (event_id, try_no, at, took, status, answer, error) VALUES "+rows, args...).Error
		if err != nil {
			return err
		}
		if err := end(tx, now, StateDone, done); err != nil {
			return err
		}
		if err := end(tx, now, StateFailed, failed); err != nil {
			return err
		}
		return w.putBack(tx, now, again)
	})
	if err != nil {
		return fmt.Errorf("note what became of events: %w", err)
	}
	return nil
}

// mine locks those events that no other worker has taken and nobody has removed, and tells which try each is at.
func (w *Worker) mine(tx *gorm.DB, claimed []Entry) (map[int64]int, error) {
	ids := make([]int64, len(claimed))
	for i := range claimed {
		ids[i] = claimed[i].ID
	}
	out := make(map[int64]int, len(ids))
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var id int64
		var try int
		err := rows.Scan(&id, &try)
		out[id] = try
		return err
	}, "SELECT id, tries FROM webhook_events WHERE id IN ? AND state = ? AND owner = ? ORDER BY id"+w.store.db.Dialect().ForUpdate(),
		database.SortedSet(ids), StateWaiting, w.owner)
	return out, err
}

// end ends events that wait.
func end(tx *gorm.DB, now int64, state State, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return tx.Exec("UPDATE webhook_events SET state = ?, owner = '', due_at = NULL, ended_at = ? WHERE id IN ? AND state = ?", state, now, ids, StateWaiting).Error
}

// putBack lets events wait for their next try.
func (w *Worker) putBack(tx *gorm.DB, now int64, again map[int][]int64) error {
	for try, ids := range again {
		slices.Sort(ids)
		err := tx.Exec("UPDATE webhook_events SET owner = '', due_at = ? WHERE id IN ? AND state = ? AND owner = ?",
			now+backoff[try-1].Milliseconds(), ids, StateWaiting, w.owner).Error
		if err != nil {
			return err
		}
	}
	return nil
}
