package limits

import (
	"fmt"

	"gorm.io/gorm"
)

// CampaignUsed reads how much of a campaign's own daily cap each fan has used on a day. The fans' rows of fan_limits must be locked.
func (s *Store) CampaignUsed(tx *gorm.DB, campaignID int64, day int, fanIDs []int64) (map[int64]int, error) {
	out := make(map[int64]int, len(fanIDs))
	var rows []struct {
		FanID int64
		Used  int
	}
	err := tx.Raw("SELECT fan_id, used FROM campaign_caps WHERE campaign_id = ? AND fan_id IN ? AND day = ?", campaignID, fanIDs, day).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read campaign caps: %w", err)
	}
	for _, r := range rows {
		out[r.FanID] = r.Used
	}
	return out, nil
}

// AddCampaign counts n messages (negative to give back) of a campaign for a fan on a day.
func (s *Store) AddCampaign(tx *gorm.DB, campaignID, fanID int64, day, n int) error {
	if n < 0 {
		err := tx.Exec("UPDATE campaign_caps SET used = used + ? WHERE campaign_id = ? AND fan_id = ? AND day = ? AND used >= ?", n, campaignID, fanID, day, -n).Error
		if err != nil {
			return fmt.Errorf("give back campaign cap: %w", err)
		}
		return nil
	}
	res := tx.Exec("UPDATE campaign_caps SET used = CASE WHEN day = ? THEN used + ? ELSE ? END, day = ? WHERE campaign_id = ? AND fan_id = ?",
		day, n, n, day, campaignID, fanID)
	if res.Error == nil && res.RowsAffected == 0 {
		res = tx.Exec("INSERT INTO campaign_caps (campaign_id, fan_id, day, used) VALUES (?,?,?,?)", campaignID, fanID, day, n)
	}
	if res.Error != nil {
		return fmt.Errorf("count campaign cap: %w", res.Error)
	}
	return nil
}
