package deliveries

import (
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// RunsOver names runs of a source that are over, and why.
type RunsOver struct {
	AccountID int64
	Source    Source
	Runs      []OpenKey
	FanGone   bool // the fans left: what was planned is skipped for that; otherwise it is cancelled
}

// CancelRuns ends what is planned in runs that are over. A fan's other runs go on.
func (s *Store) CancelRuns(tx *gorm.DB, now time.Time, o RunsOver) error {
	state, reason := StateCancelled, guard.ReasonCancelled
	if o.FanGone {
		state, reason = StateSkipped, guard.ReasonFanGone
	}
	over := make(map[OpenKey]bool, len(o.Runs))
	fanIDs := make([]int64, len(o.Runs))
	for i, r := range o.Runs {
		over[r], fanIDs[i] = true, r.FanID
	}
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		var ids []int64
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			var of OpenKey
			err := rows.Scan(&id, &of.FanID, &of.Occurrence)
			if over[of] {
				ids = append(ids, id)
			}
			return err
		}, "SELECT id, fan_id, occurrence FROM deliveries WHERE account_id = ? AND source_kind = ? AND source_id = ? AND fan_id IN ? AND state = ?",
			o.AccountID, o.Source.Kind, o.Source.ID, chunk, StatePlanned)
		if err != nil {
			return fmt.Errorf("cancel deliveries: %w", err)
		}
		for some := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
			if _, err := s.finish(tx, now.UnixMilli(), some, state, reason); err != nil {
				return err
			}
		}
	}
	return nil
}
