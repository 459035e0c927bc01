package fans

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/wechat"
)

var errEndless = errors.New("the platform's list does not end: it goes round in a circle")

// listPage reads a page of the platform's list of fans.
func (w *syncRun) listPage(ctx context.Context) error {
	var total int
	read := func() (page wechat.FanPage, err error) {
		page, err = w.platform.fansPage(ctx, w.fans.limits, w.job.AccountID, w.at.After)
		total = page.Total
		return page, err
	}
	return w.page(ctx, read, phaseInfo, func(tx *gorm.DB, out *stepResult, l listing) error {
		out.total, out.next.Counted = int64(total), int64(total)
		found, err := w.fans.list(tx, l)
		if err != nil {
			return err
		}
		out.next.Listed += found.count
		if !w.at.First {
			out.file.allFound(found.fresh, foundFollowing)
		}
		out.file.allFound(found.back, foundFollowing)
		return nil
	})
}

// page reads a page of a list and stores it in slices; after the list's last page the job goes on with another phase. A worker that is killed in the middle
// of a page begins with it again.
func (w *syncRun) page(
	ctx context.Context, read func() (wechat.FanPage, error), then syncPhase, store func(tx *gorm.DB, out *stepResult, l listing) error,
) error {
	asked := w.now()
	page, err := read()
	switch {
	case err != nil && w.at.After != "" && isBadCursor(err):
		return w.restart(ctx, err)
	case err != nil:
		return w.platform.postponed(err)
	case w.endless(page.Total):
		return errEndless
	}
	parts := slices.Collect(slices.Chunk(page.OpenIDs, syncSlice))
	if len(parts) == 0 {
		parts = [][]string{nil}
	}
	for i, part := range parts {
		err := w.step(ctx, func(tx *gorm.DB, out *stepResult) error {
			if i == len(parts)-1 {
				out.next.turn(page.Next, then)
			}
			return store(tx, out, listing{accountID: w.job.AccountID, jobID: w.job.ID, asked: asked, openids: part})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// turn goes on to the next page of a list or, after its last, to the next phase.
func (c *syncCursor) turn(next string, then syncPhase) {
	c.After = next
	c.Pages++
	if next == "" {
		c.Phase, c.FanID, c.Pages, c.Restarts = then, 0, 0, 0
	}
}

// listing is a part of a page of the platform's list.
type listing struct {
	accountID, jobID int64
	asked            int64 // when the page was asked for, unix ms
	openids          []string
}

// listed is what it came to.
type listed struct {
	count int64   // fans whom this job had not met on the list yet
	fresh []int64 // fans whom we did not know
	back  []int64 // people who as far as we knew did not follow
}

// listRow is what listing needs to know of a fan.
type listRow struct {
	id             int64
	openid         string
	subscribed     bool
	unsubscribedAt int64
	listedJob      int64
}

func (s *Store) listRows(tx *gorm.DB, where string, args ...any) ([]listRow, error) {
	var out []listRow
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r listRow
		err := rows.Scan(&r.id, &r.openid, &r.subscribed, &r.unsubscribedAt, &r.listedJob)
		out = append(out, r)
		return err
	}, "SELECT id, openid, subscribed, unsubscribed_at, listed_job FROM fans WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read listed fans: %w", err)
	}
	return out, nil
}

func (s *Store) listRowsOf(tx *gorm.DB, accountID int64, openids []string) (rows []listRow, err error) {
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		more, err := s.listRows(tx, "account_id = ? AND openid IN ?", accountID, chunk)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// list stores a part of a page: rows for whom we did not know, and that the others follow, if that is newer than what we know.
func (s *Store) list(tx *gorm.DB, l listing) (out listed, err error) {
	l.openids = slices.Compact(slices.Sorted(slices.Values(l.openids)))
	rows, err := s.listRowsOf(tx, l.accountID, l.openids)
	if err != nil {
		return out, err
	}
	var raced []listRow
	if out.fresh, raced, err = s.addListed(tx, l, missing(l.openids, rows)); err != nil {
		return out, err
	}
	rows = append(rows, raced...)
	if out.back, err = s.followAgain(tx, l, rows); err != nil {
		return out, err
	}
	var mark []int64
	for _, r := range rows {
		if r.listedJob != l.jobID {
			mark = append(mark, r.id)
		}
	}
	out.count = int64(len(out.fresh) + len(mark))
	return out, s.note(tx, fanUpdate{accountID: l.accountID, set: "listed_job = ?", args: []any{l.jobID}}, mark)
}

func missing(openids []string, rows []listRow) []string {
	known := make(map[string]bool, len(rows))
	for _, r := range rows {
		known[r.openid] = true
	}
	return slices.DeleteFunc(slices.Clone(openids), func(o string) bool { return known[o] })
}

// addListed makes rows for fans whom we did not know. raced are those who got one from somebody else at the same moment.
func (s *Store) addListed(tx *gorm.DB, l listing, openids []string) (fresh []int64, raced []listRow, err error) {
	if len(openids) == 0 {
		return nil, nil, nil
	}
	now := s.clock.Now().UnixMilli()
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		args := make([]any, 0, 4*len(chunk))
		for _, openid := range chunk {
			args = append(args, l.accountID, openid, l.jobID, now)
		}
		err := tx.Exec(s.db.Dialect().InsertIgnore()+" fans (account_id, openid, subscribed, listed_job, created_at) VALUES (?,?,1,?,?)"+
			strings.Repeat(",(?,?,1,?,?)", len(chunk)-1), args...).Error
		if err != nil {
			return nil, nil, fmt.Errorf("add listed fans: %w", err)
		}
	}
	rows, err := s.listRowsOf(tx, l.accountID, openids)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]int64, 0, len(rows))
	for _, r := range rows {
		ids = append(ids, r.id)
		if r.listedJob == l.jobID {
			fresh = append(fresh, r.id)
		} else {
			raced = append(raced, r)
		}
	}
	slices.Sort(fresh)
	return fresh, raced, s.limits.Ensure(tx, l.accountID, database.SortedSet(ids))
}

// followAgain makes known people fans again who are on the list, unless they left at about the time of the page or later: those are asked for by themselves.
func (s *Store) followAgain(tx *gorm.DB, l listing, rows []listRow) (back []int64, err error) {
	follows := func(r listRow) bool { return !r.subscribed && r.unsubscribedAt+clockSkew.Milliseconds() < l.asked }
	var ids []int64
	for _, r := range rows {
		if follows(r) {
			ids = append(ids, r.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	ids = database.SortedSet(ids)
	if _, err := s.limits.LockVersions(tx, l.accountID, ids); err != nil {
		return nil, err
	}
	// Again under the lock: somebody may have left since.
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		now, err := s.listRows(tx, "id IN ? AND +account_id = ?", chunk, l.accountID)
		if err != nil {
			return nil, err
		}
		for _, r := range now {
			if follows(r) {
				back = append(back, r.id)
			}
		}
	}
	return back, s.reach(tx, fanUpdate{accountID: l.accountID, set: "subscribed = 1", was: "subscribed = 0"}, back)
}

// fanUpdate is an UPDATE of fans of an account.
type fanUpdate struct {
	accountID int64
	set       string
	args      []any  // of set
	was       string // a condition that every one of the fans meets
}

func (u *fanUpdate) exec(tx *gorm.DB, ids []int64) *gorm.DB {
	among, args := database.Among("id", ids)
	return tx.Exec("UPDATE fans SET "+u.set+" WHERE "+among+" AND +account_id = ? AND "+u.was, slices.Concat(u.args, args, []any{u.accountID})...)
}

// reach changes how fans may be reached, whose limits the caller has locked: all of them, or nothing is stored.
func (s *Store) reach(tx *gorm.DB, u fanUpdate, ids []int64) error {
	for chunk := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
		res := u.exec(tx, chunk)
		switch {
		case res.Error != nil:
			return fmt.Errorf("change how fans are reached: %w", res.Error)
		case res.RowsAffected != int64(len(chunk)):
			return fmt.Errorf("change how fans are reached: %d of %d are not as they were read", int64(len(chunk))-res.RowsAffected, len(chunk))
		}
		if err := s.limits.Touch(tx, u.accountID, chunk); err != nil {
			return err
		}
	}
	return nil
}

// note stores when or by what fans were seen, which says nothing about how they may be reached.
func (*Store) note(tx *gorm.DB, u fanUpdate, ids []int64) error {
	u.was = "1 = 1"
	for chunk := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
		if err := u.exec(tx, chunk).Error; err != nil {
			return fmt.Errorf("note that fans were seen: %w", err)
		}
	}
	return nil
}
