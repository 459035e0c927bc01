package deliveries

import (
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// MarkedAt reads when deliveries of an account were last marked, unix ms, by id. Those that never were are missing from the result.
func (s *Store) MarkedAt(tx *gorm.DB, accountID int64, ids []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(ids))
	for chunk := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
		among, args := database.Among("id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id, at int64
			err := rows.Scan(&id, &at)
			out[id] = at
			return err
		}, "SELECT id, marked_at FROM deliveries WHERE "+among+" AND +account_id = ? AND marked_at > 0", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read when deliveries were marked: %w", err)
		}
	}
	return out, nil
}
