package deliveries

import (
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// Forget cancels what is planned for fans who are being erased: fans tells it. The ledger keeps nothing of who a fan is: its rows name fans by id, messages
// are a campaign's and not a fan's, and a trace holds figures. So the rows stay. What the fans did after a message goes, its counts stay. What is on the wire is recorded as always. ids are sorted; now is unix
// milliseconds.
func (s *Store) Forget(tx *gorm.DB, now, accountID int64, ids []int64) error {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		var planned []int64
		err := tx.Raw("SELECT id FROM deliveries WHERE fan_id IN ? AND +account_id = ? AND state = ? ORDER BY id", chunk, accountID, StatePlanned).Scan(&planned).Error
		if err != nil {
			return fmt.Errorf("find what is planned for fans: %w", err)
		}
		for rows := range slices.Chunk(planned, database.ChunkSize) {
			// Some may have been marked meanwhile: these end by what comes of them.
			if _, err := s.finish(tx, now, rows, StateCancelled, guard.ReasonCancelled); err != nil {
				return fmt.Errorf("cancel what is planned for fans: %w", err)
			}
		}
		if err := forgetReactions(tx, chunk); err != nil {
			return err
		}
	}
	return nil
}
