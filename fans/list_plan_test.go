package fans

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/internal/walk"
	"hongyan/limits"
)

// manyFans fills an account with 16,384 fans and another with 64 between them, each with an interaction, in statements that both servers know.
func manyFans(t *testing.T, db *database.DB, big, small int64) {
	t.Helper()
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		err := tx.Exec("INSERT INTO fans (account_id, openid, subscribed, created_at) VALUES (?, '1', 1, 1)", big).Error
		for size := 1; size < 1<<14 && err == nil; size *= 2 {
			err = tx.Exec("INSERT INTO fans (account_id, openid, subscribed, blacklisted, nickname, remark, unionid, scene, interacted_at, created_at) "+
				"SELECT CASE WHEN id % 256 = 7 THEN ? ELSE ? END, CONCAT(?, '-', id), id % 3 > 0, id % 50 = 0, CONCAT('n', id % 700), CONCAT('r', id % 90), CONCAT('u', id), "+
				"CONCAT('s', id % 40), id % 5000, 1 FROM fans", small, big, size).Error
		}
		for _, next := range []string{
			"INSERT INTO fan_limits (fan_id, account_id) SELECT id, account_id FROM fans",
			"INSERT INTO interactions (account_id, fan_id, inbox_id, kind, event_at, recorded_at) SELECT account_id, id, id + 0, 'text', id + 1, 1 FROM fans",
			"INSERT INTO interactions (account_id, fan_id, inbox_id, kind, event_at, recorded_at) SELECT account_id, id % 100, -inbox_id, 'text', inbox_id, 1 FROM interactions",
			"INSERT INTO fan_tags (tag_id, fan_id, account_id, seen_at) SELECT t.id, f.id, f.account_id, 1 FROM fans f JOIN tags t ON t.account_id = f.account_id AND (t.name = 'many' OR f.id < 300)",
			"UPDATE tags SET fans = (SELECT COUNT(*) FROM fan_tags WHERE tag_id = tags.id)",
		} {
			if err == nil {
				err = tx.Exec(next).Error
			}
		}
		return err
	}))
	require.NoError(t, db.Read(t.Context()).Exec("ANALYZE TABLE fans, fan_limits, interactions, fan_tags").Error)
}

func TestListsOfFansReadRangesOfIndexes(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	s := New(db, clock.NewManual(start()), limits.New(db))
	const big, small = int64(1), int64(2)
	many, err := s.createTag(t.Context(), big, "many")
	require.NoError(t, err)
	few, err := s.createTag(t.Context(), big, "few")
	require.NoError(t, err)
	manyFans(t, db, big, small)
	planner := testdb.NewPlanner(t, db)
	filters := []ListFilter{
		{}, {Subscribed: new(true)}, {Blacklisted: new(true)}, {Sort: SortInteracted}, {Sort: SortInteracted, InteractedSince: 10, InteractedBefore: 4000}, {Sort: SortInteracted, WindowOpen: new(true)}, {Sort: SortInteracted, WindowOpen: new(false)},
		{FollowSource: "x"}, {Scene: "s7"}, {Search: "n1"}, {Search: "r"}, {Search: "u77"},
	}
	lists := map[int64][]ListFilter{
		big:   append([]ListFilter{{TagID: many.ID}, {TagID: few.ID}, {TagID: many.ID, Sort: SortInteracted}, {TagID: few.ID, Sort: SortInteracted}}, filters...),
		small: filters,
	}
	for account, filters := range lists {
		for _, filter := range filters {
			requireRanges(t, planner.Plans(t, func() {
				o := walk.Options{Limit: 5}
				for range 3 {
					page, err := s.ListFans(t.Context(), account, filter, o)
					require.NoError(t, err)
					if page.Next == nil {
						return
					}
					o.After = *page.Next
				}
			}))
		}
		for _, filter := range []InteractionFilter{{}, {FanID: firstFan(t, db, account)}, {Kind: "scan"}} {
			requireRanges(t, planner.Plans(t, func() {
				page, err := s.ListInteractions(t.Context(), account, filter, walk.Options{Limit: 5})
				require.NoError(t, err)
				if page.Next == nil {
					return
				}
				_, err = s.ListInteractions(t.Context(), account, filter, walk.Options{Limit: 5, After: *page.Next})
				require.NoError(t, err)
			}))
		}
	}
}

func firstFan(t *testing.T, db *database.DB, account int64) (id int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context()).Raw("SELECT MIN(id) FROM fans WHERE account_id = ?", account).Scan(&id).Error)
	return id
}

// requireRanges fails when a table or a whole index is read, or rows are sorted that are not those of a small tag.
func requireRanges(t *testing.T, plans []testdb.Access) {
	t.Helper()
	require.NotEmpty(t, plans)
	for _, p := range plans {
		if p.Extra == "Impossible WHERE" || strings.Contains(p.Extra, "Impossible WHERE noticed") {
			continue
		}
		require.Contains(t, []string{"const", "eq_ref", "unique_subquery", "ref", "range"}, p.Type, "%+v", p)
		require.NotEmpty(t, p.Key, "%+v", p)
		if !strings.Contains(p.Statement, "JOIN fans") {
			require.NotContains(t, p.Extra, "filesort", "%+v", p)
		}
	}
}

// The send path names fans by id and account. No index for lists may serve it instead of the primary key.
func TestIndexesForListsLeaveTheSendPathItsPrimaryKey(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	s := New(db, clock.NewManual(start()), limits.New(db))
	const big, small = int64(1), int64(2)
	manyFans(t, db, big, small)
	planner := testdb.NewPlanner(t, db)
	sets := [][]int64{{17}, {5, 90, 1009}, make([]int64, 100), make([]int64, 500), make([]int64, 500)}
	for i := range 500 {
		if i < 100 {
			sets[2][i] = int64(i + 2000)
		}
		sets[3][i], sets[4][i] = int64(i+3000), int64(i*31+1)
	}
	for _, ids := range sets {
		plans := planner.Plans(t, func() {
			_, err := s.WithLimits(db.Read(t.Context()), big, ids)
			require.NoError(t, err)
			_, err = s.ByIDs(db.Read(t.Context()), big, ids)
			require.NoError(t, err)
			_, err = s.holdFans(db.Read(t.Context()), big, ids)
			require.NoError(t, err)
		})
		require.NotEmpty(t, plans)
		for _, p := range plans {
			require.Equal(t, "PRIMARY", p.Key, "%+v", p)
		}
	}
}
