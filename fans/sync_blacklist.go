package fans

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/wechat"
)

// blacklistPage reads a page of the platform's blacklist.
func (w *syncRun) blacklistPage(ctx context.Context) error {
	read := func() (page wechat.FanPage, err error) {
		err = w.platform.call(ctx, w.job.AccountID, func(acc wechat.Account) (err error) {
			page, err = w.platform.Client.Blacklist(ctx, acc, w.at.After)
			return err
		})
		return page, err
	}
	return w.page(ctx, read, phaseFreed, func(tx *gorm.DB, out *stepResult, l listing) error {
		found, err := w.fans.listBlacklisted(tx, l)
		out.file.allFound(found, foundBlacklisted)
		return err
	})
}

// free takes those off our blacklist who were not on the platform's.
func (w *syncRun) free(ctx context.Context) error {
	var rows []blackRow
	tx := w.fans.db.Read(ctx)
	err := w.fans.walk(tx, w.at.FanID, func(part idRange) (_ bool, err error) {
		rows, err = w.fans.blackRows(tx, part.condition()+" AND blacklisted = 1 AND blacklist_at < ?"+part.order(), part.from, part.to, w.job.AccountID, w.at.Began)
		return len(rows) > 0, err
	})
	if err != nil {
		return err
	}
	return w.step(ctx, func(tx *gorm.DB, out *stepResult) error {
		if len(rows) == 0 {
			out.next.Phase, out.next.FanID = phaseDone, 0
			return nil
		}
		out.next.FanID = rows[len(rows)-1].id
		found, err := w.fans.setBlacklisted(tx, blacklisting{accountID: w.job.AccountID, on: false, at: w.at.Began}, rows)
		out.file.allFound(found, foundFreed)
		return err
	})
}

// blackRow is what the blacklist needs to know of a fan.
type blackRow struct {
	id     int64
	openid string
	on     bool
	at     int64 // when that was last known for sure, unix ms
}

func (s *Store) blackRows(tx *gorm.DB, where string, args ...any) ([]blackRow, error) {
	var out []blackRow
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r blackRow
		err := rows.Scan(&r.id, &r.openid, &r.on, &r.at)
		out = append(out, r)
		return err
	}, "SELECT id, openid, blacklisted, blacklist_at FROM fans WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read who is blacklisted: %w", err)
	}
	return out, nil
}

// listBlacklisted stores a part of a page of the blacklist. People whom we did not know get a row: they may come back. It returns whom we did not know to be on it.
func (s *Store) listBlacklisted(tx *gorm.DB, l listing) (found []int64, err error) {
	openids := slices.Compact(slices.Sorted(slices.Values(l.openids)))
	if err := s.addUnknown(tx, l, openids); err != nil {
		return nil, err
	}
	var rows []blackRow
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		more, err := s.blackRows(tx, "account_id = ? AND openid IN ?", l.accountID, chunk)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return s.setBlacklisted(tx, blacklisting{accountID: l.accountID, on: true, at: l.asked}, rows)
}

// addUnknown makes rows for people who never followed as far as we know.
func (s *Store) addUnknown(tx *gorm.DB, l listing, openids []string) error {
	known, err := s.listRowsOf(tx, l.accountID, openids)
	if err != nil {
		return err
	}
	return s.Add(tx, l.accountID, s.clock.Now().UnixMilli(), missing(openids, known))
}

// blacklisting is what is known of some fans, all the same, since a moment in unix ms.
type blacklisting struct {
	accountID int64
	on        bool
	at        int64
	confirmed bool // the platform has just done it at our request; otherwise a list was read, which something newer may have overtaken
}

// newer reports whether this is newer than what is known of a fan.
func (b *blacklisting) newer(r blackRow) bool { return b.confirmed || r.at < b.at }

// setBlacklisted stores that fans are on the blacklist or are not, unless something newer is known of them. It returns those for whom that is new.
func (s *Store) setBlacklisted(tx *gorm.DB, b blacklisting, rows []blackRow) (found []int64, err error) {
	var ids []int64
	for _, r := range rows {
		if b.newer(r) && r.on != b.on {
			ids = append(ids, r.id)
		}
	}
	ids = database.SortedSet(ids)
	if _, err := s.limits.LockVersions(tx, b.accountID, ids); err != nil {
		return nil, err
	}
	// Again under the lock: a member may have changed it since.
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		now, err := s.blackRows(tx, "id IN ? AND +account_id = ?", chunk, b.accountID)
		if err != nil {
			return nil, err
		}
		for _, r := range now {
			if b.newer(r) && r.on != b.on {
				found = append(found, r.id)
			}
		}
	}
	was := "blacklisted = 1"
	if b.on {
		was = "blacklisted = 0"
	}
	if err := s.reach(tx, fanUpdate{accountID: b.accountID, set: "blacklisted = ?, blacklist_at = ?", args: []any{b.on, b.at}, was: was}, found); err != nil {
		return nil, err
	}
	return found, s.stillBlacklisted(tx, b, rows)
}

// stillBlacklisted notes that what we knew was true at that moment.
func (s *Store) stillBlacklisted(tx *gorm.DB, b blacklisting, rows []blackRow) error {
	var ids []int64
	for _, r := range rows {
		if b.newer(r) && r.on == b.on {
			ids = append(ids, r.id)
		}
	}
	return s.note(tx, fanUpdate{accountID: b.accountID, set: "blacklist_at = ?", args: []any{b.at}}, ids)
}
