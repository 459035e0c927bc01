package fans

import (
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// LinkTap is that a fan opened a tracked link in a message, for the first time.
type LinkTap struct {
	AccountID  int64
	FanID      int64
	DeliveryID int64
	LinkID     int64
	URL        string // where it led
	At         int64  // unix ms
}

// Hold locks a fan until the end of the transaction; false for one who is unknown or was erased.
func (s *Store) Hold(tx *gorm.DB, accountID, fanID int64) (bool, error) {
	held, err := s.holdFans(tx, accountID, []int64{fanID})
	return len(held) == 1, err
}

// PutTap stores an own event of the tap, once for each link of a delivery. WeChat knows nothing of it: it opens no grant, and does not make a fan of who left.
func (s *Store) PutTap(tx *gorm.DB, t LinkTap) error {
	found, err := s.ByIDs(tx, t.AccountID, database.SortedSet([]int64{t.FanID}))
	if err != nil {
		return err
	}
	f := found[t.FanID]
	if f == nil || f.Erased() {
		return nil
	}
	row := ownRow{
		accountID: t.AccountID, origin: OriginLink, key: fmt.Sprintf("%d-%d", t.DeliveryID, t.LinkID), openID: f.OpenID, eventAt: t.At,
		own: Own{Kind: KindLinkTap, LinkID: t.LinkID, DeliveryID: t.DeliveryID, URL: t.URL},
	}
	_, err = putOwn(tx, s.db.Dialect(), s.now(), []ownRow{row})
	return err
}
