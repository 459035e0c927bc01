package campaigns

import (
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Forget ends the running enrolments of fans who are being erased: fans tells it, and deliveries too, which cancels what was planned for them. The rows stay
// for the figures; they name fans by id. ids are sorted; now is unix milliseconds.
func (s *Store) Forget(tx *gorm.DB, now, accountID int64, ids []int64) error {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		var ids []int64
		err := tx.Raw("SELECT id FROM enrolments WHERE fan_id IN ? AND +account_id = ? AND state = ? ORDER BY id", chunk, accountID, runRunning).Scan(&ids).Error
		if err != nil {
			return fmt.Errorf("find the runs of fans: %w", err)
		}
		if err := s.endRuns(tx, runsEnd{accountID: accountID, state: runExited, reason: ExitFanGone, at: now}, ids); err != nil {
			return fmt.Errorf("end the runs of fans: %w", err)
		}
	}
	return nil
}
