package accounts

import (
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
)

// Zone is the zone in which an account counts its days, as tx sees it. An account that is gone counts in DefaultZone.
func (s *Store) Zone(tx *gorm.DB, accountID int64) (*time.Location, error) {
	name := DefaultZone
	if err := tx.Raw("SELECT time_zone FROM accounts WHERE id = ?", accountID).Scan(&name).Error; err != nil {
		return nil, fmt.Errorf("read an account's zone: %w", err)
	}
	return guard.LoadZone(name)
}
