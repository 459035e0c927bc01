package fans

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"hongyan/wechat"
)

// What becomes of a tag when the platform's tags are taken over. The words are part of the result file.
const (
	tagAdded   = "added"
	tagRenamed = "renamed"
	tagRemoved = "removed"
	// tagMoved is a tag of our own whose name one of the platform's has: names are unique, and ours gives way.
	tagMoved = "renamed_because_wechat_has_the_name"

	maxTakenName = 48 // characters; the platform's own limit is lower, and the column has room for what free adds
)

// takenTag is a line of what was taken over.
type takenTag struct {
	weChatID int
	what     string
	name     string
}

// takeOver stores tags as the platform has them, outside of a synchronisation.
func (m *Mirror) takeOver(ctx context.Context, accountID int64, there []wechat.Tag) (out []takenTag, err error) {
	err = m.fans.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		out, err = m.fans.takeOverTags(tx, accountID, there, false)
		return err
	})
	return out, err
}

// takeOverTags gives our tags the names that the platform's have, and adds those that are new. If there are all of the platform's, ours that are not
// among them are removed. A tag of our own that has the name of one of the platform's is renamed.
func (s *Store) takeOverTags(tx *gorm.DB, accountID int64, there []wechat.Tag, all bool) ([]takenTag, error) {
	ours, err := readTags(tx, "account_id = ? ORDER BY id"+s.db.Dialect().ForUpdate(), accountID)
	if err != nil {
		return nil, err
	}
	t := takeOver{want: namesOf(there), byName: map[string]*Tag{}, rename: map[int64]string{}}
	var gone []int64
	linked := map[int]*Tag{}
	for _, tag := range ours {
		if _, still := t.want[tag.WeChatID]; all && !still && tag.WeChatID != 0 {
			gone = append(gone, tag.ID)
			t.out = append(t.out, takenTag{tag.WeChatID, tagRemoved, tag.Name})
			continue
		}
		t.byName[tag.Name] = tag
		linked[tag.WeChatID] = tag
	}
	if _, err := s.removeTags(tx, accountID, gone); err != nil {
		return nil, err
	}
	added := t.compare(linked)
	if err := s.renameTags(tx, accountID, t.rename); err != nil {
		return nil, err
	}
	return t.out, s.insertTags(tx, accountID, added, t.want)
}

func (s *Store) insertTags(tx *gorm.DB, accountID int64, ids []int, names map[int]string) error {
	if len(ids) == 0 {
		return nil
	}
	args := make([]any, 0, 4*len(ids))
	for _, id := range ids {
		args = append(args, accountID, id, names[id], s.now())
	}
	err := tx.Exec("INSERT INTO tags (account_id, wechat_id, name, created_at) VALUES (?,?,?,?)"+strings.Repeat(",(?,?,?,?)", len(ids)-1), args...).Error
	if err != nil {
		return fmt.Errorf("add tags: %w", err)
	}
	return nil
}

// namesOf is the name that each tag of the platform gets here: unique, without space around it.
func namesOf(there []wechat.Tag) map[int]string {
	there = slices.SortedFunc(slices.Values(there), func(a, b wechat.Tag) int { return cmp.Compare(a.ID, b.ID) })
	used, out := map[string]bool{}, map[int]string{}
	for _, tag := range there {
		if tag.ID < wechat.TagStarred {
			continue // "no tag" and the blacklist
		}
		number := "#" + strconv.Itoa(tag.ID)
		name := cmp.Or(cut(strings.TrimSpace(strings.ToValidUTF8(tag.Name, "")), maxTakenName), number)
		if used[name] {
			name += " " + number
		}
		used[name], out[tag.ID] = true, name
	}
	return out
}

// takeOver finds what has to be changed.
type takeOver struct {
	want   map[int]string   // names by the platform's number
	byName map[string]*Tag  // ours, as they are
	rename map[int64]string // by our id
	out    []takenTag
}

// compare fills rename and returns the numbers of tags that are new.
func (t *takeOver) compare(linked map[int]*Tag) (added []int) {
	ids := make([]int, 0, len(t.want))
	for id := range t.want {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		name, tag := t.want[id], linked[id]
		switch {
		case tag == nil:
			added = append(added, id)
			t.out = append(t.out, takenTag{id, tagAdded, name})
		case tag.Name != name:
			t.rename[tag.ID] = name
			t.out = append(t.out, takenTag{id, tagRenamed, name})
		}
		switch has := t.byName[name]; {
		case has == nil:
		case has.WeChatID == 0:
			t.rename[has.ID] = t.free(name)
			t.out = append(t.out, takenTag{0, tagMoved, t.rename[has.ID]})
		case t.want[has.WeChatID] == "": // it must have another name there by now, which the next synchronisation tells
			t.rename[has.ID] = t.free("#" + strconv.Itoa(has.WeChatID))
		}
	}
	return added
}

// free is a name like this one that nobody has or gets.
func (t *takeOver) free(name string) string {
	for n := 1; ; n++ {
		out := name + "（本地）"
		if n > 1 {
			out += strconv.Itoa(n)
		}
		wanted := false
		for _, other := range t.want {
			wanted = wanted || other == out
		}
		if t.byName[out] == nil && !wanted {
			t.byName[out] = &Tag{}
			return out
		}
	}
}

// renameTags gives several tags their names. They are without names in between, because two may have changed theirs.
func (s *Store) renameTags(tx *gorm.DB, accountID int64, names map[int64]string) error {
	if len(names) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(names))
	for id := range names {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	args := make([]any, 0, 2*len(ids)+2)
	for _, id := range ids {
		args = append(args, id, names[id])
	}
	err := tx.Exec("UPDATE tags SET name = NULL WHERE id IN ? AND account_id = ?", ids, accountID).Error
	if err == nil {
		err = tx.Exec("UPDATE tags SET name = CASE id"+strings.Repeat(" WHEN ? THEN ?", len(ids))+" END WHERE id IN ? AND account_id = ?", append(args, ids, accountID)...).Error
	}
	if err != nil {
		return fmt.Errorf("rename tags: %w", err)
	}
	return nil
}
