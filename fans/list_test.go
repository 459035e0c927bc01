package fans

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/internal/walk"
	"hongyan/limits"
)

// listedFan is a fan and what else lists ask about.
type listedFan struct {
	Fan

	tags map[int64]bool
	open bool
}

// crowd is the fans of two accounts, mixed, as the database has them and as a test filters them by hand.
type crowd struct {
	store    *Store
	accounts [2]int64
	tags     [2][]int64
	fans     []*listedFan // by id
	serial   int
}

func names() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "", "小雁", "小雁儿", "小", "Ann", "anna", "An", "小雁\U0001F426", "老王"})
}

var crowds atomic.Int64

func newCrowd(t *testing.T, rt *rapid.T, s *Store) *crowd {
	n := 10 * crowds.Add(1)
	c := &crowd{store: s, accounts: [2]int64{n, n + 1}}
	for i, a := range c.accounts {
		for j := range 2 {
			tag, err := s.createTag(t.Context(), a, fmt.Sprint("tag ", j))
			require.NoError(rt, err)
			c.tags[i] = append(c.tags[i], tag.ID)
		}
	}
	c.add(t, rt, rapid.IntRange(0, 40).Draw(rt, "fans"))
	return c
}

// add puts more fans into both accounts.
func (c *crowd) add(t *testing.T, rt *rapid.T, n int) {
	require.NoError(rt, c.store.db.Tx(t.Context(), func(tx *gorm.DB) error {
		for range n {
			if err := c.insert(tx, rt); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (c *crowd) insert(tx *gorm.DB, rt *rapid.T) error {
	which := rapid.IntRange(0, 1).Draw(rt, "account")
	c.serial++
	now := c.store.now()
	f := &listedFan{tags: map[int64]bool{}, open: rapid.Bool().Draw(rt, "open"), Fan: Fan{
		AccountID: c.accounts[which], OpenID: fmt.Sprintf("o%d-%d", c.accounts[0], c.serial),
		UnionID:  rapid.SampledFrom([]string{"", "小雁", "u1", "u2"}).Draw(rt, "unionid"),
		Nickname: names().Draw(rt, "nickname"), Remark: names().Draw(rt, "remark"),
		Scene:        rapid.SampledFrom([]string{"", "", "door", "desk"}).Draw(rt, "scene"),
		FollowSource: rapid.SampledFrom([]string{"", "ADD_SCENE_QR_CODE", "ADD_SCENE_SEARCH"}).Draw(rt, "source"),
		Subscribed:   rapid.Bool().Draw(rt, "subscribed"), Blacklisted: rapid.Bool().Draw(rt, "blacklisted"),
		InteractedAt: rapid.SampledFrom([]int64{0, 0, 5, 6, 7, 8}).Draw(rt, "interacted"),
	}}
	if rapid.IntRange(0, 9).Draw(rt, "erased") == 0 {
		f.OpenID = fmt.Sprint(erasedPrefix, f.OpenID)
	}
	f.UnionID = strings.Replace(f.UnionID, "小雁", "union", 1)
	err := tx.Exec("INSERT INTO fans (account_id, openid, unionid, nickname, remark, scene, follow_source, subscribed, blacklisted, interacted_at, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
		f.AccountID, f.OpenID, f.UnionID, f.Nickname, f.Remark, f.Scene, f.FollowSource, f.Subscribed, f.Blacklisted, f.InteractedAt, now).Error
	if err != nil {
		return err
	}
	if err := tx.Raw("SELECT id FROM fans WHERE account_id = ? AND openid = ?", f.AccountID, f.OpenID).Scan(&f.ID).Error; err != nil {
		return err
	}
	if f.open {
		column := rapid.SampledFrom([]string{"message", "follow", "payment"}).Draw(rt, "grant")
		err = tx.Exec("INSERT INTO fan_limits (fan_id, account_id, "+column+"_left, "+column+"_until) VALUES (?,?,1,?)", f.ID, f.AccountID, now+1).Error
	} else {
		err = tx.Exec("INSERT INTO fan_limits (fan_id, account_id, message_left, message_until, scan_until) VALUES (?,?,?,?,?)", f.ID, f.AccountID, 3, now, now+1).Error
	}
	if err != nil {
		return err
	}
	var members []member
	for _, tag := range c.tags[which] {
		if rapid.Bool().Draw(rt, "tagged") {
			f.tags[tag] = true
			members = append(members, member{tag, f.ID})
		}
	}
	c.fans = append(c.fans, f)
	return c.store.addMembers(tx, f.AccountID, members)
}

func (c *crowd) filter(rt *rapid.T) ListFilter {
	maybe := func(label string) *bool {
		return rapid.SampledFrom([]*bool{nil, nil, new(true), new(false)}).Draw(rt, label)
	}
	f := ListFilter{
		Subscribed: maybe("want subscribed"), Blacklisted: maybe("want blacklisted"),
		TagID:            rapid.SampledFrom([]int64{0, 0, c.tags[0][0], c.tags[0][1]}).Draw(rt, "want tag"),
		FollowSource:     rapid.SampledFrom([]string{"", "", "ADD_SCENE_SEARCH"}).Draw(rt, "want source"),
		Scene:            rapid.SampledFrom([]string{"", "", "door"}).Draw(rt, "want scene"),
		InteractedSince:  rapid.SampledFrom([]int64{0, 0, 6}).Draw(rt, "since"),
		InteractedBefore: rapid.SampledFrom([]int64{0, 0, 8}).Draw(rt, "before"),
		WindowOpen:       maybe("want open"),
		Sort:             rapid.SampledFrom([]ListSort{"", SortNewest, SortInteracted}).Draw(rt, "sort"),
	}
	if f.Sort == "" {
		f.Search = rapid.SampledFrom([]string{"", "小", "小雁", "An", "u1", "union", "zzz", "%", "o"}).Draw(rt, "q")
		if f.Search == "o" && len(c.fans) > 0 {
			f.Search = c.fans[0].OpenID
		}
	}
	return f
}

// fits filters by hand.
func (f *listedFan) fits(account int64, want ListFilter) bool {
	is := func(want *bool, has bool) bool { return want == nil || *want == has }
	return f.AccountID == account && !f.Erased() && is(want.Subscribed, f.Subscribed) && is(want.Blacklisted, f.Blacklisted) &&
		(want.TagID == 0 || f.tags[want.TagID]) && (want.FollowSource == "" || f.FollowSource == want.FollowSource) && (want.Scene == "" || f.Scene == want.Scene) &&
		f.InteractedAt >= want.InteractedSince && (want.InteractedBefore == 0 || f.InteractedAt < want.InteractedBefore) && is(want.WindowOpen, f.open) &&
		(want.Search == "" || f.matched(want.Search) < 4)
}

// matched is by which of the ways a search finds a fan, 4 if by none.
func (f *listedFan) matched(q string) int {
	return slices.Index([]bool{f.OpenID == q, f.UnionID == q, strings.HasPrefix(f.Remark, q), strings.HasPrefix(f.Nickname, q), true}, true)
}

func (f *listedFan) name(way int) string { return []string{"", "", f.Remark, f.Nickname}[way] }

// list lists by hand.
func (c *crowd) list(want ListFilter) (out []int64) {
	var fit []*listedFan
	for _, f := range c.fans {
		if f.fits(c.accounts[0], want) {
			fit = append(fit, f)
		}
	}
	slices.SortFunc(fit, func(a, b *listedFan) int {
		switch {
		case want.Sort == SortInteracted:
			return cmp.Or(cmp.Compare(b.InteractedAt, a.InteractedAt), cmp.Compare(b.ID, a.ID))
		case want.Search == "":
			return cmp.Compare(b.ID, a.ID)
		}
		way := a.matched(want.Search)
		if way < 2 {
			return cmp.Or(cmp.Compare(way, b.matched(want.Search)), cmp.Compare(b.ID, a.ID))
		}
		return cmp.Or(cmp.Compare(way, b.matched(want.Search)), strings.Compare(a.name(way), b.name(way)), cmp.Compare(a.ID, b.ID))
	})
	for _, f := range fit {
		out = append(out, f.ID)
	}
	return out
}

// pages reads the whole list, doing something between its pages.
func (c *crowd) pages(t *testing.T, rt *rapid.T, want ListFilter, between func()) (out []int64) {
	o := walk.Options{Limit: rapid.IntRange(1, 7).Draw(rt, "limit"), Budget: rapid.SampledFrom([]int{3, 10, 0}).Draw(rt, "budget")}
	for {
		page, err := c.store.ListFans(t.Context(), c.accounts[0], want, o)
		require.NoError(rt, err)
		require.LessOrEqual(rt, len(page.Rows), o.Limit)
		for _, f := range page.Rows {
			out = append(out, f.ID)
		}
		if page.Next == nil {
			return out
		}
		o.After = *page.Next
		between()
	}
}

func eachCrowd(t *testing.T, test func(t *testing.T, rt *rapid.T, c *crowd)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db, clock.NewManual(start()), limits.New(db))
		rapid.Check(t, func(rt *rapid.T) { test(t, rt, newCrowd(t, rt, s)) })
	})
}

func TestAListHasExactlyTheFansOfTheAccountWhoFitInItsOrder(t *testing.T) {
	t.Parallel()
	eachCrowd(t, func(t *testing.T, rt *rapid.T, c *crowd) {
		for range 4 {
			want := c.filter(rt)
			require.Equal(rt, c.list(want), c.pages(t, rt, want, func() {}), "%+v", want)
		}
	})
}

func TestFansWhoComeBetweenPagesNeitherRepeatNorHideOthers(t *testing.T) {
	t.Parallel()
	eachCrowd(t, func(t *testing.T, rt *rapid.T, c *crowd) {
		want := c.filter(rt)
		before := c.list(want)
		left := 5
		got := c.pages(t, rt, want, func() {
			if left > 0 {
				left--
				c.add(t, rt, 3)
			}
		})
		require.Len(rt, slices.Compact(slices.Sorted(slices.Values(got))), len(got), "nobody twice")
		there := map[int64]bool{}
		for _, id := range before {
			there[id] = true
		}
		kept := slices.DeleteFunc(slices.Clone(got), func(id int64) bool { return !there[id] })
		require.True(rt, slices.Equal(before, kept), "who was there throughout is listed, in order: %v, not %v", before, kept)
		require.Subset(rt, c.list(want), got)
	})
}

func TestAListThatCannotBeIsRefusedByItsField(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		list := func(f ListFilter) error {
			_, err := r.ListFans(t.Context(), account, f, walk.Options{})
			return err
		}
		requireField(t, list(ListFilter{Sort: "name"}), "sort", "one_of")
		requireField(t, list(ListFilter{Sort: SortInteracted, Search: "a"}), "sort", "not_allowed")
		requireField(t, list(ListFilter{Search: strings.Repeat("鸿", MaxSearch+1)}), "q", "length")
		requireField(t, list(ListFilter{FollowSource: "扫码"}), "follow_source", "characters")
		requireField(t, list(ListFilter{Scene: "门口"}), "scene", "characters")
		tag, err := r.createTag(t.Context(), account+1, "theirs")
		require.NoError(t, err)
		require.True(t, fault.Is(list(ListFilter{TagID: tag.ID}), fault.NotFound), "another account's tag")
		_, err = r.ListInteractions(t.Context(), account, InteractionFilter{FanID: 4711}, walk.Options{})
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

// acted is three fans, two of an account and one of another, and what they did.
type acted struct {
	account int64
	fans    []int64
	all     []*Interaction
}

// act makes fans and what they did, drawn by rt. inbox numbers their pushes.
func act(t *testing.T, rt *rapid.T, s *Store, inbox *int64) *acted {
	t.Helper()
	a := &acted{account: 10 * crowds.Add(1)}
	require.NoError(rt, s.db.Tx(t.Context(), func(tx *gorm.DB) error {
		for i := range 3 {
			openid, of := fmt.Sprint("o", a.account, i), a.account+int64(i/2)
			if err := s.Add(tx, of, 1, []string{openid}); err != nil {
				return err
			}
			found, err := s.byOpenIDs(tx, of, []string{openid})
			if err != nil {
				return err
			}
			a.fans = append(a.fans, found[openid].ID)
		}
		for range rapid.IntRange(0, 30).Draw(rt, "acts") {
			which := rapid.IntRange(0, 2).Draw(rt, "fan")
			i := &Interaction{FanID: a.fans[which], Kind: rapid.SampledFrom([]string{"text", "scan"}).Draw(rt, "kind"), EventAt: rapid.Int64Range(1, 4).Draw(rt, "at")}
			*inbox++
			err := tx.Exec("INSERT INTO interactions (account_id, fan_id, inbox_id, kind, event_at, recorded_at) VALUES (?,?,?,?,?,1)",
				a.account+int64(which/2), i.FanID, *inbox, i.Kind, i.EventAt).Error
			if err != nil {
				return err
			}
			if err := tx.Raw("SELECT id FROM interactions WHERE inbox_id = ?", *inbox).Scan(&i.ID).Error; err != nil {
				return err
			}
			a.all = append(a.all, i)
		}
		return nil
	}))
	return a
}

// listed are the ids of what a list of the account has to show, in its order.
func (a *acted) listed(want InteractionFilter) []int64 {
	by := slices.DeleteFunc(slices.Clone(a.all), func(i *Interaction) bool {
		return i.FanID == a.fans[2] || want.FanID != 0 && i.FanID != want.FanID || want.Kind != "" && i.Kind != want.Kind
	})
	slices.SortFunc(by, func(x, y *Interaction) int {
		if want.FanID != 0 {
			return cmp.Or(cmp.Compare(y.EventAt, x.EventAt), cmp.Compare(y.ID, x.ID))
		}
		return cmp.Compare(y.ID, x.ID)
	})
	ids := []int64{}
	for _, i := range by {
		ids = append(ids, i.ID)
	}
	return ids
}

func TestInteractionsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db, clock.NewManual(start()), limits.New(db))
		inbox := int64(0)
		rapid.Check(t, func(rt *rapid.T) {
			a := act(t, rt, s, &inbox)
			want := InteractionFilter{FanID: rapid.SampledFrom([]int64{0, a.fans[0]}).Draw(rt, "of"), Kind: rapid.SampledFrom([]string{"", "scan"}).Draw(rt, "of kind")}
			got := []int64{}
			for o := (walk.Options{Limit: 3, Budget: rapid.SampledFrom([]int{2, 0}).Draw(rt, "budget")}); ; {
				page, err := s.ListInteractions(t.Context(), a.account, want, o)
				require.NoError(rt, err)
				for _, i := range page.Rows {
					got = append(got, i.ID)
				}
				if page.Next == nil {
					break
				}
				o.After = *page.Next
			}
			require.Equal(rt, a.listed(want), got)
		})
	})
}
