package links

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/trim"
)

// Forget removes which links fans opened who are being erased: fans tells it. How many did stays counted. ids are sorted.
func (s *Store) Forget(tx *gorm.DB, _, accountID int64, ids []int64) error {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		if err := tx.Exec("DELETE FROM link_clicks WHERE fan_id IN ? AND account_id = ?", chunk, accountID).Error; err != nil {
			return fmt.Errorf("remove the clicks of fans: %w", err)
		}
	}
	return nil
}

// ForgetClicks removes which links of the account's messages were opened first before a time, as far as that lies in a slice of the table link_clicks, which is
// walked by delivery. How many were stays counted. A link may be opened long after its message was sent, so that a walk begins at the table's begin every
// time, and ends where the table does. Clean and Stuck mean nothing here.
func (s *Store) ForgetClicks(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	cut, err := slice.Do(ctx, s.o.DB, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			return s.readClicks(tx, slice.Before, after, most)
		},
		Remove: func(tx *gorm.DB, ids []int64) (removed int64, err error) {
			for chunk := range slices.Chunk(ids, database.ChunkSize) {
				among, args := database.Among("delivery_id", chunk)
				res := tx.Exec("DELETE FROM link_clicks WHERE at < ? AND account_id = ? AND "+among, append([]any{slice.Before, slice.AccountID}, args...)...)
				if res.Error != nil {
					return 0, res.Error
				}
				removed += res.RowsAffected
			}
			return removed, nil
		},
	})
	if err != nil {
		return cut, fmt.Errorf("remove old clicks: %w", err)
	}
	return cut, nil
}

// readClicks reads the deliveries in which links were opened as rows of a walk. The time is 0 for all, so that only the end of the table ends it; one is open
// until its first click is old.
func (s *Store) readClicks(tx *gorm.DB, before, after int64, most int) ([]trim.Row, error) {
	var out []trim.Row
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		var first int64
		err := rows.Scan(database.Int(&r.ID), database.Int(&r.AccountID), database.Int(&first))
		r.Open = first >= before
		out = append(out, r)
		return err
	}, "SELECT delivery_id, MIN(account_id), MIN(at) FROM link_clicks WHERE delivery_id > ? GROUP BY delivery_id ORDER BY delivery_id"+s.o.DB.Dialect().Limit(), after, most)
	return out, err
}
