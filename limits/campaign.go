package limits

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// CampaignCounted reads what was counted for fans by a campaign that has caps of its own. Fans for whom nothing was are missing from the result. The
// fans' rows of fan_limits must be locked.
func (s *Store) CampaignCounted(tx *gorm.DB, campaignID int64, fanIDs []int64) (map[int64]guard.Counted, error) {
	out := make(map[int64]guard.Counted, len(fanIDs))
	for ids := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		among, args := database.Among("fan_id", ids)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan int64
			var c guard.Counted
			err := rows.Scan(&fan, &c.Day, &c.Used[guard.PeriodDay], &c.Used[guard.PeriodWeek], &c.Used[guard.PeriodMonth])
			out[fan] = c
			return err
		}, "SELECT fan_id, day, used, week_used, month_used FROM campaign_caps WHERE campaign_id = ? AND "+among, append([]any{campaignID}, args...)...)
		if err != nil {
			return nil, fmt.Errorf("read campaign caps: %w", err)
		}
	}
	return out, nil
}

// CampaignTake is what one fan takes of a campaign's own caps: Messages, counted in CapDay as in the account's.
type CampaignTake struct{ CapDay, Messages int }

// CountCampaign counts what fans take of a campaign's own caps, by fan, with one statement for those who take the same.
func (s *Store) CountCampaign(tx *gorm.DB, campaignID int64, takes map[int64]CampaignTake) error {
	groups := map[CampaignTake][]int64{}
	for fan, take := range takes {
		groups[take] = append(groups[take], fan)
	}
	for take, fans := range groups {
		for ids := range slices.Chunk(database.SortedSet(fans), database.ChunkSize) {
			if err := s.countCampaign(tx, campaignID, take, ids); err != nil {
				return fmt.Errorf("count campaign caps: %w", err)
			}
		}
	}
	return nil
}

func (s *Store) countCampaign(tx *gorm.DB, campaignID int64, take CampaignTake, fanIDs []int64) error {
	args := make([]any, 0, 6*len(fanIDs))
	for _, id := range fanIDs {
		args = append(args, campaignID, id, take.CapDay, take.Messages, take.Messages, take.Messages)
	}
	sets, values := count("day", campaignColumns, take.CapDay, take.Messages)
	return tx.Exec("INSERT INTO campaign_caps (campaign_id, fan_id, day, used, week_used, month_used) VALUES (?,?,?,?,?,?)"+
		strings.Repeat(",(?,?,?,?,?,?)", len(fanIDs)-1)+s.db.Dialect().Upsert([]string{"campaign_id", "fan_id"}, sets), append(args, values...)...).Error
}

// ReturnCampaign takes one message of a fan back that a campaign counted in a day, out of those periods that have not ended since.
func (s *Store) ReturnCampaign(tx *gorm.DB, campaignID, fanID int64, capDay int) error {
	sets := make([]string, 0, guard.PeriodCount)
	args := make([]any, 0, 2*guard.PeriodCount+2)
	for p, column := range campaignColumns {
		first, next := guard.Period(p).Span(capDay)
		sets = append(sets, column+" = "+column+" - CASE WHEN day BETWEEN ? AND ? AND "+column+" > 0 THEN 1 ELSE 0 END")
		args = append(args, first, next-1)
	}
	err := tx.Exec("UPDATE campaign_caps SET "+strings.Join(sets, ", ")+" WHERE campaign_id = ? AND fan_id = ?", append(args, campaignID, fanID)...).Error
	if err != nil {
		return fmt.Errorf("give back campaign caps: %w", err)
	}
	return nil
}
