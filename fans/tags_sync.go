package fans

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/wechat"
)

// TagsSyncKind is the kind of the job that makes our copy of the platform's tags what they are there: their names, and who has them. It has no parameters. Its
// result lists the tags that were added, renamed and removed.
const TagsSyncKind = "fans.tags_sync"

const (
	tagSlice       = 1000 // fans in one transaction
	maxTagRestarts = 3    // of the list of a tag whose cursor the platform does not know any more
)

// tagsCursor is how far the job has come.
type tagsCursor struct {
	Tag      int    `json:"tag,omitempty"`      // the platform's number of the tag in work; 0 while the names are to be read
	Began    int64  `json:"began,omitempty"`    // when its list was begun: whoever is not seen from then on does not have it
	After    string `json:"after,omitempty"`    // the platform's cursor in its list
	Sweep    bool   `json:"sweep,omitempty"`    // the list is read; who was not on it is being removed
	Fan      int64  `json:"fan,omitempty"`      // up to whom
	Restarts int    `json:"restarts,omitempty"` // of its list
	Over     bool   `json:"over,omitempty"`
}

// SyncTags is the runner of TagsSyncKind. A tag that is given or taken here while the job reads the platform's list may stand here wrongly afterwards; the
// next run repairs that.
func (m *Mirror) SyncTags(ctx context.Context, r *jobs.Run) error {
	for {
		var at tagsCursor
		if r.Cursor != "" {
			if err := json.Unmarshal([]byte(r.Cursor), &at); err != nil {
				return fault.Wrap(fault.Invalid, err, "the job's cursor cannot be read; start a new one")
			}
		}
		var err error
		switch {
		case at.Over:
			return nil
		case at.Tag == 0:
			err = m.syncNames(ctx, r)
		case at.Sweep:
			err = m.sweepMembers(ctx, r, at)
		default:
			err = m.syncMembers(ctx, r, at)
		}
		if err != nil {
			return m.platform.postponed(err)
		}
	}
}

// step records a step that ends at a cursor.
func (at *tagsCursor) progress(p jobs.Progress) (jobs.Progress, error) {
	cursor, err := json.Marshal(at)
	p.Cursor = string(cursor)
	return p, err
}

func (m *Mirror) syncNames(ctx context.Context, r *jobs.Run) error {
	var there []wechat.Tag
	err := m.platform.call(ctx, r.AccountID, func(acc wechat.Account) (err error) {
		there, err = m.platform.Client.Tags(ctx, acc)
		return err
	})
	if err != nil {
		return err
	}
	var total int64
	for _, t := range there {
		total += int64(t.Fans)
	}
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		taken, err := m.fans.takeOverTags(tx, r.AccountID, there, true)
		if err != nil {
			return jobs.Progress{}, err
		}
		next, err := m.nextTag(tx, r.AccountID, 0)
		if err != nil {
			return jobs.Progress{}, err
		}
		file := takenLines(taken)
		part, err := file.part()
		if err != nil {
			return jobs.Progress{}, err
		}
		return next.progress(jobs.Progress{Total: total, Result: part})
	})
}

// takenLines is the result file.
func takenLines(taken []takenTag) (file resultFile) {
	file.line("wechat_id", "what", "name")
	for _, t := range taken {
		id := ""
		if t.weChatID != 0 {
			id = strconv.Itoa(t.weChatID)
		}
		file.line(id, t.what, t.name)
	}
	return file
}

// nextTag is the beginning of the work on the tag behind one, by the platform's numbers.
func (m *Mirror) nextTag(tx *gorm.DB, accountID int64, behind int) (tagsCursor, error) {
	found, err := readTags(tx, "account_id = ? AND wechat_id > ? ORDER BY wechat_id LIMIT 1", accountID, behind)
	if err != nil || len(found) == 0 {
		return tagsCursor{Over: true}, err
	}
	return tagsCursor{Tag: found[0].WeChatID, Began: m.fans.now()}, nil
}

// syncMembers reads a page of the list of a tag's fans and stores it in slices. The cursor moves with the last of them: a page that was cut short is read
// again.
func (m *Mirror) syncMembers(ctx context.Context, r *jobs.Run, at tagsCursor) error {
	var page wechat.FanPage
	err := m.platform.call(ctx, r.AccountID, func(acc wechat.Account) (err error) {
		page, err = m.platform.Client.FansWithTag(ctx, acc, at.Tag, at.After)
		return err
	})
	switch {
	case codeOf(err) == codeTagGone:
		return m.tagGone(ctx, r, at)
	case isBadCursor(err) && at.After != "" && at.Restarts < maxTagRestarts:
		again := tagsCursor{Tag: at.Tag, Began: at.Began, Restarts: at.Restarts + 1}
		return r.Step(ctx, func(*gorm.DB) (jobs.Progress, error) { return again.progress(jobs.Progress{}) })
	case err != nil:
		return err
	}
	next := at
	if next.After = page.Next; page.Next == "" {
		next.Sweep = true
	}
	slicesOf := slices.Collect(slices.Chunk(page.OpenIDs, tagSlice))
	if len(slicesOf) == 0 {
		slicesOf = [][]string{nil}
	}
	for i, openids := range slicesOf {
		err := r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
			if err := m.fans.seeMembers(tx, r.AccountID, at.Tag, openids); err != nil {
				return jobs.Progress{}, err
			}
			if i < len(slicesOf)-1 {
				return jobs.Progress{Cursor: r.Cursor}, nil
			}
			return next.progress(jobs.Progress{Done: int64(len(page.OpenIDs))})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tagGone goes on without a tag that was deleted on the platform meanwhile.
func (m *Mirror) tagGone(ctx context.Context, r *jobs.Run, at tagsCursor) error {
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		found, err := readTags(tx, "account_id = ? AND wechat_id = ?", r.AccountID, at.Tag)
		if err != nil {
			return jobs.Progress{}, err
		}
		var file resultFile
		for _, t := range found {
			if _, err := m.fans.removeTags(tx, r.AccountID, []int64{t.ID}); err != nil {
				return jobs.Progress{}, err
			}
			file.line(strconv.Itoa(at.Tag), tagRemoved, t.Name)
		}
		part, err := file.part()
		if err != nil {
			return jobs.Progress{}, err
		}
		next, err := m.nextTag(tx, r.AccountID, at.Tag)
		if err != nil {
			return jobs.Progress{}, err
		}
		return next.progress(jobs.Progress{Result: part})
	})
}

// seeMembers stores that fans were seen on the platform's list of a tag. Who is not known yet becomes a fan.
func (s *Store) seeMembers(tx *gorm.DB, accountID int64, weChatID int, openids []string) error {
	tags, err := readTags(tx, "account_id = ? AND wechat_id = ?", accountID, weChatID)
	if err != nil || len(openids) == 0 || len(tags) == 0 { // deleted here meanwhile
		return err
	}
	openids = slices.Clone(openids)
	slices.Sort(openids)
	ids, err := s.idsOf(tx, accountID, openids)
	if err != nil {
		return err
	}
	if err := s.tagHere(tx, accountID, tagChange{tagID: tags[0].ID}, ids); err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("fan_id", chunk)
		err := tx.Exec("UPDATE fan_tags SET seen_at = ? WHERE tag_id = ? AND "+among, append([]any{s.now(), tags[0].ID}, args...)...).Error
		if err != nil {
			return fmt.Errorf("see the fans with a tag: %w", err)
		}
	}
	return nil
}

// idsOf finds fans by their sorted openids, sorted, and makes rows for those who have none.
func (s *Store) idsOf(tx *gorm.DB, accountID int64, openids []string) ([]int64, error) {
	found, err := s.byOpenIDs(tx, accountID, openids)
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Compact(slices.Clone(openids)), func(o string) bool { return found[o] != nil })
	if len(missing) > 0 {
		if err := s.Add(tx, accountID, s.now(), missing); err != nil {
			return nil, err
		}
		added, err := s.byOpenIDs(tx, accountID, missing)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, added)
	}
	ids := make([]int64, 0, len(found))
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return database.SortedSet(ids), nil
}

// sweepMembers removes a tag from fans who were not on the platform's list.
func (m *Mirror) sweepMembers(ctx context.Context, r *jobs.Run, at tagsCursor) error {
	s := m.fans
	tags, err := readTags(s.db.Read(ctx), "account_id = ? AND wechat_id = ?", r.AccountID, at.Tag)
	if err != nil {
		return err
	}
	var unseen []int64
	if len(tags) > 0 {
		// Read outside of the transaction: it may have to pass millions who were seen.
		err := s.db.Read(ctx).Raw("SELECT fan_id FROM fan_tags WHERE tag_id = ? AND fan_id > ? AND seen_at < ? ORDER BY fan_id LIMIT ?",
			tags[0].ID, at.Fan, at.Began, tagSlice).Scan(&unseen).Error
		if err != nil {
			return fmt.Errorf("find the fans who lost a tag: %w", err)
		}
	}
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		if len(unseen) == 0 {
			next, err := m.nextTag(tx, r.AccountID, at.Tag)
			if err != nil {
				return jobs.Progress{}, err
			}
			return next.progress(jobs.Progress{})
		}
		next := at
		next.Fan = unseen[len(unseen)-1]
		if err := s.dropUnseen(tx, r.AccountID, tags[0].ID, at.Began, unseen); err != nil {
			return jobs.Progress{}, err
		}
		return next.progress(jobs.Progress{})
	})
}

// dropUnseen takes a tag from fans, unless they got it since a time.
func (s *Store) dropUnseen(tx *gorm.DB, accountID, tagID, since int64, ids []int64) error {
	ids, err := s.holdFans(tx, accountID, ids)
	if err != nil {
		return err
	}
	var drop []member
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		m := member{tag: tagID}
		err := rows.Scan(&m.fan)
		drop = append(drop, m)
		return err
	}, "SELECT fan_id FROM fan_tags WHERE tag_id = ? AND fan_id IN ? AND seen_at < ?", tagID, ids, since)
	if err != nil {
		return fmt.Errorf("find the fans who lost a tag: %w", err)
	}
	return s.dropMembers(tx, drop)
}
