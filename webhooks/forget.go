package webhooks

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/trim"
)

const (
	// keepFor is how long an event that has ended is kept, from when it was stored: as long as a receiver that was away may ask for it.
	keepFor = 30 * 24 * time.Hour
	// trimSlice is how many rows a transaction looks at.
	trimSlice = 1000
)

// Trim removes events that have ended and are older than 30 days, with their attempts, and returns how many. It may be killed at any
// point; the next run goes on.
func (s *Store) Trim(ctx context.Context) (removed int64, err error) {
	slice := trim.Slice{Before: s.clock.Now().Add(-keepFor).UnixMilli(), Most: trimSlice}
	for {
		cut, err := slice.Do(ctx, s.db, trim.Table{Read: s.readOld, Remove: removeEvents})
		if err != nil {
			return removed, fmt.Errorf("remove old events: %w", err)
		}
		removed += cut.Removed
		if cut.End {
			return removed, nil
		}
		slice.After = cut.Next
	}
}

// readOld reads rows for a walk over all accounts together, which to trim are one.
func (s *Store) readOld(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
	var out []trim.Row
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		var state State
		err := rows.Scan(database.Int(&r.ID), database.Int(&r.At), &state)
		r.Open = state == StateWaiting
		out = append(out, r)
		return err
	}, "SELECT id, created_at, state FROM webhook_events WHERE id > ? ORDER BY id"+s.db.Dialect().Limit(), after, most)
	return out, err
}

func removeEvents(tx *gorm.DB, ids []int64) (removed int64, err error) {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("event_id", chunk)
		if err := tx.Exec("DELETE FROM webhook_attempts WHERE "+among, args...).Error; err != nil {
			return 0, err
		}
		among, args = database.Among("id", chunk)
		res := tx.Exec("DELETE FROM webhook_events WHERE "+among, args...)
		if res.Error != nil {
			return 0, res.Error
		}
		removed += res.RowsAffected
	}
	return removed, nil
}

// Forget removes the events that tell of fans who are being erased, posted or not: fans tells it. One that is on its way arrives,
// and leaves nothing here. ids are sorted.
func (s *Store) Forget(tx *gorm.DB, _, accountID int64, ids []int64) error {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		var events []int64
		err := tx.Raw("SELECT id FROM webhook_events WHERE fan_id IN ? AND +account_id = ? ORDER BY id", chunk, accountID).Scan(&events).Error
		if err == nil {
			_, err = removeEvents(tx, events)
		}
		if err != nil {
			return fmt.Errorf("remove the events of fans: %w", err)
		}
	}
	return nil
}
