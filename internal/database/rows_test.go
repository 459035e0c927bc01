package database_test

import (
	"database/sql"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestAmongHoldsForTheIDsAndNoOthers(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		const rows = 120
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			if err := tx.Exec("CREATE TABLE numbered (id INTEGER NOT NULL PRIMARY KEY)").Error; err != nil {
				return err
			}
			for id := range rows {
				if err := tx.Exec("INSERT INTO numbered (id) VALUES (?)", id).Error; err != nil {
					return err
				}
			}
			return nil
		}))
		rapid.Check(t, func(rt *rapid.T) {
			var ids []int64
			for range rapid.IntRange(0, 6).Draw(rt, "runs") {
				from, n := rapid.Int64Range(0, rows-1).Draw(rt, "from"), rapid.Int64Range(1, 30).Draw(rt, "length")
				for id := from; id < min(from+n, rows); id++ {
					ids = append(ids, id)
				}
			}
			ids = database.SortedSet(ids)
			condition, args := database.Among("id", ids)
			var got []int64
			err := database.EachRow(db.Read(t.Context()), func(r *sql.Rows) error {
				var id int64
				err := r.Scan(&id)
				got = append(got, id)
				return err
			}, "SELECT id FROM numbered WHERE "+condition+" ORDER BY id", args...)
			require.NoError(rt, err)
			require.True(rt, slices.Equal(ids, got), "%s %v: %v", condition, args, got)
		})
	})
}

func TestAmongAsksForLongRunsAsRanges(t *testing.T) {
	t.Parallel()
	run := func(from, n int64) (ids []int64) {
		for i := range n {
			ids = append(ids, from+i)
		}
		return ids
	}
	condition, args := database.Among("id", run(5, 8))
	require.Equal(t, "id BETWEEN ? AND ?", condition)
	require.Equal(t, []any{int64(5), int64(12)}, args)
	condition, args = database.Among("id", slices.Concat(run(1, 3), run(10, 20), run(40, 2)))
	require.Equal(t, "(id BETWEEN ? AND ? OR id IN ?)", condition)
	require.Equal(t, []any{int64(10), int64(29), []int64{1, 2, 3, 40, 41}}, args)
	condition, _ = database.Among("id", nil)
	require.Equal(t, "id IN ?", condition, "for no ids it holds for no row")
}

func TestAnIntegerThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	var small uint8
	require.NoError(t, database.Int(&small).Scan(int64(255)))
	require.EqualValues(t, 255, small)
	require.Error(t, database.Int(&small).Scan(int64(256)))
	require.Error(t, database.Int(&small).Scan(int64(-1)))
	require.Error(t, database.Int(&small).Scan("7"))
	require.Error(t, database.Int(&small).Scan(nil))
	require.EqualValues(t, 255, small)
}
