package fans

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/walk"
	"hongyan/wechat"
)

// ListSort is the order of a list of fans.
type ListSort string

// The orders.
const (
	SortNewest     ListSort = "newest"     // who became known last comes first
	SortInteracted ListSort = "interacted" // who did something last comes first, then those of whom no interaction is known
)

// MaxSearch is how many characters a search for fans has at most.
const MaxSearch = 64

// ListFilter says which fans are listed. The zero value lists everybody, newest first. Erased fans are in no list.
type ListFilter struct {
	Subscribed   *bool
	Blacklisted  *bool
	TagID        int64  // who has this tag
	FollowSource string // as the platform names it
	Scene        string // of the code through which the fan came
	// Search is the beginning of a nickname or remark, letter by letter, or a whole openid or unionid. Who fits is listed by that: openid and unionid, remarks, nicknames.
	Search string
	// InteractedSince and InteractedBefore, unix ms, bound the latest interaction: since ≤ it < before. Who never did anything did so before everything.
	InteractedSince  int64
	InteractedBefore int64
	WindowOpen       *bool    // who can be sent a customer-service message now, by some grant; or who cannot
	Sort             ListSort // "" is SortNewest. A search has its own order
}

// validate checks the filter. Errors: Invalid with the field.
func (f *ListFilter) validate() error {
	switch {
	case f.Sort != "" && f.Sort != SortNewest && f.Sort != SortInteracted:
		return fault.BadField("sort", "one_of", "the order is %s or %s", SortNewest, SortInteracted)
	case f.Search != "" && f.Sort != "":
		return fault.BadField("sort", "not_allowed", "a search has an order of its own; leave out either of them")
	case utf8.RuneCountInString(f.Search) > MaxSearch || !utf8.ValidString(f.Search):
		return fault.BadField("q", "length", "search for at most %d characters", MaxSearch)
	case !ascii(f.FollowSource):
		return fault.BadField("follow_source", "characters", "no such value can be; take one that a fan has")
	case !ascii(f.Scene):
		return fault.BadField("scene", "characters", "no such value can be; take one that a fan has")
	}
	return nil
}

// ListFans reads a page of an account's fans. Each order and each of subscribed, blacklisted, tag, scene and search is a range of an index; what else is asked
// leaves fans out of it, so that a page may be short and still have a next one. Errors: Invalid; NotFound for the tag.
func (s *Store) ListFans(ctx context.Context, accountID int64, filter ListFilter, page walk.Options) (walk.Page[*Fan], error) {
	if err := filter.validate(); err != nil {
		return walk.Page[*Fan]{}, err
	}
	l := &fanList{ListFilter: filter, store: s, tx: s.db.Read(ctx), accountID: accountID, now: s.now()}
	ranges, err := l.ranges()
	if err != nil {
		return walk.Page[*Fan]{}, err
	}
	page.Sparse = l.sparse()
	return walk.Read(page, ranges...)
}

// fanList is a list that is being read.
type fanList struct {
	ListFilter

	store     *Store
	tx        *gorm.DB
	accountID int64
	now       int64
}

// smallTag is up to how many fans a tag has whose fans are read and sorted, where no index has them in the order that is asked for.
const smallTag = 1000

// ranges chooses what the list is read by.
func (l *fanList) ranges() ([]walk.Range[*Fan], error) {
	var tag *Tag
	if l.TagID != 0 {
		var err error
		if tag, err = findTag(l.tx, l.accountID, l.TagID, ""); err != nil {
			return nil, err
		}
	}
	switch {
	case l.Search != "":
		return l.searched(), nil
	case l.Sort == SortInteracted && tag != nil && tag.Fans <= smallTag:
		return []walk.Range[*Fan]{{Next: l.nextSorted, Load: l.load}}, nil
	case l.Sort == SortInteracted:
		return []walk.Range[*Fan]{{Next: l.nextInteracted, Load: l.load}}, nil
	case tag != nil:
		return []walk.Range[*Fan]{{Next: l.nextTagged, Load: l.load}}, nil
	case l.Scene != "":
		return []walk.Range[*Fan]{{Next: l.nextOfScene, Load: l.load}}, nil
	default:
		return []walk.Range[*Fan]{{Next: l.nextNewest, Load: l.load}}, nil
	}
}

// sparse reports whether the filter leaves fans out of the range that it is read by.
func (l *fanList) sparse() bool {
	byTag, byScene := l.TagID != 0, l.Scene != ""
	state := l.Subscribed != nil || l.Blacklisted != nil
	times := l.InteractedSince != 0 || l.InteractedBefore != 0
	more := l.FollowSource != "" || l.WindowOpen != nil
	switch {
	case l.Search != "" || l.Sort == SortInteracted:
		return more || state || byTag || byScene || l.Search != "" && times
	case byTag:
		return more || state || times || byScene
	case byScene:
		return more || state || times
	default:
		return more || times
	}
}

// nextNewest merges the ranges of fans_newest, which has a fan's two states in front: so no statement that names fans by id and account can use it instead of
// the primary key, as the send path does.
func (l *fanList) nextNewest(after walk.Place, n int) ([]walk.Place, error) {
	var parts []string
	var args []any
	for _, state := range [][2]bool{{false, true}, {false, false}, {true, true}, {true, false}} {
		if l.Blacklisted != nil && *l.Blacklisted != state[0] || l.Subscribed != nil && *l.Subscribed != state[1] {
			continue
		}
		parts = append(parts, "SELECT id FROM (SELECT id FROM fans"+l.by("fans_newest")+" WHERE blacklisted = ? AND subscribed = ? AND account_id = ? AND id < ? ORDER BY id DESC"+l.limit()+") p")
		args = append(args, state[0], state[1], l.accountID, after.Before(), n)
	}
	return walk.Places(l.tx, walk.ByID, strings.Join(parts, " UNION ALL ")+" ORDER BY id DESC"+l.limit(), append(args, n)...)
}

func (l *fanList) nextTagged(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID, "SELECT fan_id FROM fan_tags WHERE tag_id = ? AND fan_id < ? ORDER BY fan_id DESC"+l.limit(), l.TagID, after.Before(), n)
}

func (l *fanList) nextOfScene(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID, "SELECT id FROM fans"+l.by("fans_scene")+" WHERE account_id = ? AND scene = ? AND scene <> '' AND id < ? ORDER BY id DESC"+l.limit(), l.accountID, l.Scene, after.Before(), n)
}

// nextInteracted reads fans_interacted.
func (l *fanList) nextInteracted(after walk.Place, n int) ([]walk.Place, error) {
	query := "SELECT id, interacted_at FROM fans" + l.by("fans_interacted") + " WHERE account_id = ? AND "
	if after.Started() {
		return walk.Chain(n,
			func(n int) ([]walk.Place, error) {
				return walk.Places(l.tx, walk.BySort, query+"interacted_at = ? AND id < ? ORDER BY id DESC"+l.limit(), l.accountID, after.Sort, after.ID, n)
			},
			func(n int) ([]walk.Place, error) {
				return walk.Places(l.tx, walk.BySort, query+"interacted_at >= ? AND interacted_at < ? ORDER BY interacted_at DESC, id DESC"+l.limit(),
					l.accountID, l.InteractedSince, after.Sort, n)
			},
		)
	}
	before := int64(math.MaxInt64)
	if l.InteractedBefore != 0 {
		before = l.InteractedBefore
	}
	return walk.Places(l.tx, walk.BySort, query+"interacted_at >= ? AND interacted_at < ? ORDER BY interacted_at DESC, id DESC"+l.limit(),
		l.accountID, l.InteractedSince, before, n)
}

// nextSorted reads all fans of a small tag and sorts them.
func (l *fanList) nextSorted(after walk.Place, n int) ([]walk.Place, error) {
	where, args := "", []any{l.TagID, l.accountID}
	if after.Started() {
		where, args = " AND (f.interacted_at < ? OR f.interacted_at = ? AND f.id < ?)", append(args, after.Sort, after.Sort, after.ID)
	}
	return walk.Places(l.tx, walk.BySort, "SELECT f.id, f.interacted_at FROM fan_tags t JOIN fans f ON f.id = t.fan_id WHERE t.tag_id = ? AND f.account_id + 0 = ?"+where+
		" ORDER BY f.interacted_at DESC, f.id DESC"+l.limit(), append(args, n)...)
}

func (l *fanList) limit() string { return l.store.db.Dialect().Limit() }

func (l *fanList) by(index string) string { return l.store.db.Dialect().By(index) }

// load reads the fans of places who fulfil the whole filter.
func (l *fanList) load(places []walk.Place) (map[int64]*Fan, error) { return l.loadIf(places, "") }

func (l *fanList) loadIf(places []walk.Place, more string, values ...any) (map[int64]*Fan, error) {
	where, args := l.where()
	out := make(map[int64]*Fan, len(places))
	for ids := range slices.Chunk(database.SortedSet(walk.IDs(places)), database.ChunkSize) {
		err := database.EachRow(l.tx, scanFan(func(f *Fan) { out[f.ID] = f }),
			"SELECT "+fanColumns+" FROM fans WHERE id IN ? AND account_id + 0 = ?"+where+more, slices.Concat([]any{ids, l.accountID}, args, values)...)
		if err != nil {
			return nil, fmt.Errorf("list fans: %w", err)
		}
	}
	return out, nil
}

// where is the filter as a condition for fans that are named by id. The sum in front of it keeps both engines from reading an index of the whole account
// instead.
func (l *fanList) where() (string, []any) {
	w := condition{text: " AND openid NOT LIKE '" + erasedPrefix + "%'"}
	if l.Subscribed != nil {
		w.and("subscribed = ?", *l.Subscribed)
	}
	if l.Blacklisted != nil {
		w.and("blacklisted = ?", *l.Blacklisted)
	}
	if l.TagID != 0 {
		w.and("EXISTS (SELECT 1 FROM fan_tags t WHERE t.tag_id = ? AND t.fan_id = fans.id)", l.TagID)
	}
	if l.FollowSource != "" {
		w.and("follow_source = ?", l.FollowSource)
	}
	if l.Scene != "" {
		w.and("scene = ?", l.Scene)
	}
	if l.InteractedSince != 0 {
		w.and("interacted_at >= ?", l.InteractedSince)
	}
	if l.InteractedBefore != 0 {
		w.and("interacted_at < ?", l.InteractedBefore)
	}
	if l.WindowOpen != nil {
		var open []string
		var args []any
		for t := range wechat.Trigger(wechat.TriggerCount) {
			open = append(open, fmt.Sprintf("l.%[1]s_left > 0 AND l.%[1]s_until > ?", t))
			args = append(args, l.now)
		}
		not := "NOT "
		if *l.WindowOpen {
			not = ""
		}
		w.and(not+"EXISTS (SELECT 1 FROM fan_limits l WHERE l.fan_id = fans.id AND ("+strings.Join(open, " OR ")+"))", args...)
	}
	return w.text, w.args
}

// condition is the rest of a WHERE that grows.
type condition struct {
	text string
	args []any
}

func (c *condition) and(text string, args ...any) {
	c.text, c.args = c.text+" AND "+text, append(c.args, args...)
}
