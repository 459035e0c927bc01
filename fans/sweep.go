package fans

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// sweepSlice is how many rows are removed in one transaction.
const sweepSlice = 2000

// SweepRemoved removes what is left of tags and attributes that were deleted: who had them. They are out of sight from their deletion on, so this
// may happen any time later, in slices, and may be cut short.
func (s *Store) SweepRemoved(ctx context.Context) error {
	for _, kind := range []struct{ table, of, column string }{{"tags", "fan_tags", "tag_id"}, {"attributes", "fan_attributes", "attribute_id"}} {
		var ids []int64
		if err := s.db.Read(ctx).Raw("SELECT id FROM " + kind.table + " WHERE removed_at > 0 ORDER BY id").Scan(&ids).Error; err != nil {
			return fmt.Errorf("find deleted %s: %w", kind.table, err)
		}
		for _, id := range ids {
			for more := true; more; {
				var err error
				if more, err = s.sweepSlice(ctx, kind.of, kind.column, id); err != nil {
					return fmt.Errorf("remove deleted %s: %w", kind.table, err)
				}
			}
			err := s.db.Tx(ctx, func(tx *gorm.DB) error {
				return tx.Exec("DELETE FROM "+kind.table+" WHERE id = ? AND removed_at > 0", id).Error
			})
			if err != nil {
				return fmt.Errorf("remove deleted %s: %w", kind.table, err)
			}
		}
	}
	return nil
}

func (s *Store) sweepSlice(ctx context.Context, table, column string, id int64) (more bool, err error) {
	var fans []int64
	if err := s.db.Read(ctx).Raw("SELECT fan_id FROM "+table+" WHERE "+column+" = ? LIMIT ?", id, sweepSlice).Scan(&fans).Error; err != nil {
		return false, err
	}
	if len(fans) == 0 {
		return false, nil
	}
	return len(fans) == sweepSlice, s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM "+table+" WHERE "+column+" = ? AND fan_id IN ?", id, database.SortedSet(fans)).Error
	})
}
