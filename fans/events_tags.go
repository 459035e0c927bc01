package fans

import (
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// TagWatcher knows which tags somebody waits for.
type TagWatcher interface {
	// WatchedTags are the tags of an account whose being given starts, ends or moves on something.
	WatchedTags(tx *gorm.DB, accountID int64) (map[int64]bool, error)
}

// Watch makes the store of who has a tag tell, by an event in the inbox, that fans got one for which w waits. It is called once, where the rooms are joined and before
// the store is used.
func (s *Store) Watch(w TagWatcher) { s.watcher = w }

// tagged stores an event for each fan who got a tag that somebody waits for, in the transaction that gives it, whoever gives it: a member, a job, a drip, or
// a synchronisation that found it on the platform. Tags that nobody waits for make no events: an import that tags ten million fans would fill the inbox for nothing.
func (s *Store) tagged(tx *gorm.DB, accountID int64, add []member) error {
	if s.watcher == nil || len(add) == 0 {
		return nil
	}
	watched, err := s.watcher.WatchedTags(tx, accountID)
	if err != nil {
		return fmt.Errorf("see which tags drips wait for: %w", err)
	}
	add = slices.DeleteFunc(slices.Clone(add), func(m member) bool { return !watched[m.tag] })
	if len(add) == 0 {
		return nil
	}
	ids := make([]int64, len(add))
	for i, m := range add {
		ids[i] = m.fan
	}
	fans, err := s.ByIDs(tx, accountID, database.SortedSet(ids))
	if err != nil {
		return err
	}
	now := s.now()
	rows := make([]ownRow, 0, len(add))
	for _, m := range add {
		if f := fans[m.fan]; f != nil && !f.Erased() {
			rows = append(rows, ownRow{
				accountID: accountID, origin: OriginTag, key: fmt.Sprintf("%d:%d:%d", m.tag, m.fan, now), openID: f.OpenID, eventAt: now, own: Own{Kind: KindTagged, TagID: m.tag},
			})
		}
	}
	_, err = putOwn(tx, s.db.Dialect(), now, rows)
	return err
}
