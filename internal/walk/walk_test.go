package walk

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// numbers is a range of falling ids of which a filter leaves some.
func numbers(ids []int64, in func(int64) bool, looked *int) Range[int64] {
	return Range[int64]{
		Next: func(after Place, n int) ([]Place, error) {
			var out []Place
			for _, id := range ids {
				if id < after.Before() && len(out) < n {
					out = append(out, Place{ID: id})
				}
			}
			*looked += len(out)
			return out, nil
		},
		Load: func(places []Place) (map[int64]int64, error) {
			out := map[int64]int64{}
			for _, id := range IDs(places) {
				if in(id) {
					out[id] = id
				}
			}
			return out, nil
		},
	}
}

func TestPagesTogetherAreTheListAndNoneLooksAtMoreThanItMay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []int64 {
			ids := rapid.SliceOfDistinct(rapid.Int64Range(1, 500), rapid.ID).Draw(t, label)
			slices.Sort(ids)
			slices.Reverse(ids)
			return ids
		}
		mod := rapid.Int64Range(1, 20).Draw(t, "mod")
		in := func(id int64) bool { return id%mod == 0 }
		lists := [][]int64{draw("first"), draw("second")}
		var want []int64
		for _, list := range lists {
			for _, id := range list {
				if in(id) {
					want = append(want, id)
				}
			}
		}
		o := Options{Limit: rapid.IntRange(1, 10).Draw(t, "limit"), Budget: rapid.IntRange(1, 30).Draw(t, "budget"), Sparse: rapid.Bool().Draw(t, "sparse")}
		var got []int64
		for {
			looked := 0
			page, err := Read(o, numbers(lists[0], in, &looked), numbers(lists[1], in, &looked))
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Rows), o.Limit)
			require.LessOrEqual(t, looked, o.Budget)
			got = append(got, page.Rows...)
			if page.Next == nil {
				break
			}
			require.NotEqual(t, o.After, *page.Next, "a page without progress would never end")
			o.After = *page.Next
		}
		require.Equal(t, want, got)
	})
}

func TestAPageOfAFilteredListLooksAtLittleMoreThanItShows(t *testing.T) {
	t.Parallel()
	ids := make([]int64, 5000)
	for i := range ids {
		ids[i] = int64(len(ids) - i)
	}
	for _, test := range []struct {
		one  int64 // of so many is in the list
		most int   // places that a page of 50 may look at
		rows int
	}{{1, 102, 50}, {2, 130, 50}, {10, 650, 50}, {100, DefaultBudget, 10}, {10_000, DefaultBudget, 0}} {
		looked := 0
		page, err := Read(Options{Sparse: true}, numbers(ids, func(id int64) bool { return id%test.one == 0 }, &looked))
		require.NoError(t, err)
		require.Len(t, page.Rows, test.rows)
		require.LessOrEqual(t, looked, test.most, "one of %d", test.one)
		require.NotNil(t, page.Next)
	}
}

func TestAMadeUpPlaceIsTheEndOfTheList(t *testing.T) {
	t.Parallel()
	looked := 0
	for _, r := range []int{-1, 1, 99} {
		page, err := Read(Options{After: Place{Range: r}}, numbers([]int64{1}, func(int64) bool { return true }, &looked))
		require.NoError(t, err)
		require.Empty(t, page.Rows)
		require.Nil(t, page.Next)
	}
}

func TestAFullPageIsTheLastWhenNothingFollows(t *testing.T) {
	t.Parallel()
	looked := 0
	page, err := Read(Options{Limit: 3}, numbers([]int64{3, 2, 1}, func(int64) bool { return true }, &looked))
	require.NoError(t, err)
	require.Equal(t, []int64{3, 2, 1}, page.Rows)
	require.Nil(t, page.Next)
}

func TestAChainAsksLaterQueriesOnlyForWhatIsMissing(t *testing.T) {
	t.Parallel()
	give := func(ids ...int64) func(int) ([]Place, error) {
		return func(n int) (out []Place, err error) {
			for _, id := range ids[:min(n, len(ids))] {
				out = append(out, Place{ID: id})
			}
			return out, nil
		}
	}
	broken := func(int) ([]Place, error) { return nil, errors.New("broken") }
	got, err := Chain(2, give(1), give(2, 3), broken)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, IDs(got))
	_, err = Chain(2, give(1), broken)
	require.Error(t, err)
}
