package fans

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/wechat"
)

// member is that a fan has a tag.
type member struct{ tag, fan int64 }

func byTag(a, b member) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.fan, b.fan)) }

// holdFans returns which of ids are fans of the account, and keeps them locked until the transaction ends. Whoever changes what is known of fans
// begins with this, so that two changes of one fan happen one after the other and nothing is added to a fan who is being erased.
func (s *Store) holdFans(tx *gorm.DB, accountID int64, ids []int64) ([]int64, error) {
	out := make([]int64, 0, len(ids))
	for chunk := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
		among, args := database.Among("id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			out = append(out, id)
			return err
		}, "SELECT id FROM fans WHERE "+among+" AND +account_id = ? AND openid NOT LIKE '"+erasedPrefix+"%' ORDER BY id"+s.db.Dialect().ForUpdate(), append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("lock fans: %w", err)
		}
	}
	return out, nil
}

// SetWeChatTags stores which tags of the platform fans have, by the fans' ids and the platform's numbers of the tags: the fans' tags of the platform become
// these, their other tags stay. Numbers that are no tags (0, and 1, the blacklist; platform.md 7.2) are left out; a tag that is not known yet is
// added without its name. Fans of another account and erased ones are left out.
func (s *Store) SetWeChatTags(tx *gorm.DB, accountID int64, tags map[int64][]int) error {
	if len(tags) == 0 {
		return nil
	}
	fanIDs, err := s.holdFans(tx, accountID, slices.Collect(maps.Keys(tags)))
	if err != nil {
		return err
	}
	ours, err := s.ensureWeChatTags(tx, accountID, tags)
	if err != nil {
		return err
	}
	want := map[member]bool{}
	for _, fan := range fanIDs {
		for _, id := range tags[fan] {
			if tag, known := ours[id]; known {
				want[member{tag, fan}] = true
			}
		}
	}
	return s.setMembers(tx, accountID, fanIDs, want)
}

// ensureWeChatTags returns our ids of the platform's tags, and adds those that are new.
func (s *Store) ensureWeChatTags(tx *gorm.DB, accountID int64, tags map[int64][]int) (map[int]int64, error) {
	var ids []int
	for _, of := range tags {
		ids = append(ids, of...)
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id int) bool { return id < wechat.TagStarred })
	out, err := weChatTags(tx, accountID, ids)
	if err != nil || len(out) == len(ids) {
		return out, err
	}
	var args []any
	for _, id := range ids {
		if out[id] == 0 {
			args = append(args, accountID, id, s.now())
		}
	}
	err = tx.Exec(s.db.Dialect().InsertIgnore()+" tags (account_id, wechat_id, created_at) VALUES (?,?,?)"+strings.Repeat(",(?,?,?)", len(args)/3-1), args...).Error
	if err != nil {
		return nil, fmt.Errorf("add tags: %w", err)
	}
	return weChatTags(tx, accountID, ids)
}

func weChatTags(tx *gorm.DB, accountID int64, ids []int) (map[int]int64, error) {
	out := make(map[int]int64, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	found, err := readTags(tx, "account_id = ? AND wechat_id IN ?", accountID, ids)
	for _, t := range found {
		out[t.WeChatID] = t.ID
	}
	return out, err
}

// setMembers makes want the tags of the platform that the locked fans have.
func (s *Store) setMembers(tx *gorm.DB, accountID int64, fanIDs []int64, want map[member]bool) error {
	var drop []member
	for chunk := range slices.Chunk(fanIDs, database.ChunkSize) {
		among, args := database.Among("f.fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var m member
			if err := rows.Scan(&m.tag, &m.fan); err != nil {
				return err
			}
			if want[m] {
				delete(want, m) // has it already
			} else {
				drop = append(drop, m)
			}
			return nil
		}, "SELECT f.tag_id, f.fan_id FROM fan_tags f JOIN tags t ON t.id = f.tag_id WHERE "+among+" AND +f.account_id = ? AND t.wechat_id IS NOT NULL", append(args, accountID)...)
		if err != nil {
			return fmt.Errorf("read the tags of fans: %w", err)
		}
	}
	if err := s.dropMembers(tx, drop); err != nil {
		return err
	}
	return s.addMembers(tx, accountID, slices.Collect(maps.Keys(want)))
}

// addMembers stores that fans have tags, who are locked and do not have them, and counts them.
func (s *Store) addMembers(tx *gorm.DB, accountID int64, add []member) error {
	slices.SortFunc(add, byTag)
	for chunk := range slices.Chunk(add, database.ChunkSize) {
		args := make([]any, 0, 4*len(chunk))
		for _, m := range chunk {
			args = append(args, m.tag, m.fan, accountID, s.now())
		}
		err := tx.Exec("INSERT INTO fan_tags (tag_id, fan_id, account_id, seen_at) VALUES (?,?,?,?)"+strings.Repeat(",(?,?,?,?)", len(chunk)-1), args...).Error
		if err != nil {
			return fmt.Errorf("tag fans: %w", err)
		}
	}
	if err := s.tagged(tx, accountID, add); err != nil {
		return err
	}
	return count(tx, add, 1)
}

// dropMembers stores that fans have tags no more, who are locked and have them, and counts them.
func (s *Store) dropMembers(tx *gorm.DB, drop []member) error {
	slices.SortFunc(drop, byTag)
	for chunk := range slices.Chunk(drop, database.ChunkSize) {
		var where []string
		var args []any
		for len(chunk) > 0 {
			n := 1
			for n < len(chunk) && chunk[n].tag == chunk[0].tag {
				n++
			}
			ids := make([]int64, n)
			for i := range ids {
				ids[i] = chunk[i].fan
			}
			where, args = append(where, "tag_id = ? AND fan_id IN ?"), append(args, chunk[0].tag, ids)
			chunk = chunk[n:]
		}
		if err := tx.Exec("DELETE FROM fan_tags WHERE "+strings.Join(where, " OR "), args...).Error; err != nil {
			return fmt.Errorf("untag fans: %w", err)
		}
	}
	return count(tx, drop, -1)
}

// count adds to the tags' counts of fans, by one statement: whoever changes who has a tag does so, so that a list of tags need not count millions.
func count(tx *gorm.DB, members []member, each int64) error {
	more := map[int64]int64{}
	for _, m := range members {
		more[m.tag] += each
	}
	if len(more) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(more))
	by, args := database.PerRow("id", ids, func(id int64) int64 { return more[id] })
	if err := tx.Exec("UPDATE tags SET fans = fans + "+by+" WHERE id IN ?", append(args, ids)...).Error; err != nil {
		return fmt.Errorf("count the fans of tags: %w", err)
	}
	return nil
}
