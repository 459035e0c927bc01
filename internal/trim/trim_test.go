package trim

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// walk goes through a table in memory as Slice.Do does, until the end or for some slices, and returns what is left and the cursor.
func walk(s Slice, rows []Row, slices int) (left []Row, cursor int64) {
	gone := map[int64]bool{}
	cursor, stuck := s.After, false
	for ; slices > 0; slices-- {
		var next []Row
		for _, r := range rows {
			if r.ID > s.After && !gone[r.ID] && len(next) < s.Most {
				next = append(next, r)
			}
		}
		cut, ids := s.choose(next)
		for _, id := range ids {
			gone[id] = true
		}
		if !stuck && cut.Clean > 0 {
			cursor = cut.Clean
		}
		stuck = stuck || cut.Stuck
		s.After = cut.Next
		if cut.End {
			break
		}
	}
	for _, r := range rows {
		if !gone[r.ID] {
			left = append(left, r)
		}
	}
	return left, cursor
}

func table(t *rapid.T) []Row {
	var rows []Row
	id, at := int64(0), int64(0)
	for range rapid.IntRange(0, 60).Draw(t, "rows") {
		id += rapid.Int64Range(1, 3).Draw(t, "gap")
		at += rapid.Int64Range(0, 3).Draw(t, "later")
		rows = append(rows, Row{ID: id, AccountID: rapid.Int64Range(1, 2).Draw(t, "account"), At: at, Open: rapid.IntRange(0, 9).Draw(t, "open") == 0})
	}
	return rows
}

func doomed(s Slice, r Row) bool { return r.AccountID == s.AccountID && r.At < s.Before && !r.Open }

func TestPropertyAWalkRemovesWhatIsOldAndEndedAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := table(t)
		s := Slice{AccountID: 1, Before: rapid.Int64Range(0, 100).Draw(t, "before"), Most: rapid.IntRange(1, 7).Draw(t, "most")}
		left, cursor := walk(s, rows, 1000)
		var want []Row
		for _, r := range rows {
			if !doomed(s, r) {
				want = append(want, r)
			}
		}
		require.Equal(t, want, left)
		for _, r := range left {
			if r.AccountID == s.AccountID {
				require.Greater(t, r.ID, cursor, "what stays for now is looked at again")
			}
		}
	})
}

func TestPropertyAWalkThatIsCutShortIsFinishedFromItsCursor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := table(t)
		s := Slice{AccountID: 1, Before: rapid.Int64Range(0, 100).Draw(t, "before"), Most: rapid.IntRange(1, 7).Draw(t, "most")}
		once, _ := walk(s, rows, 1000)
		left, cursor := walk(s, rows, rapid.IntRange(0, 5).Draw(t, "slices"))
		s.After = cursor
		left, _ = walk(s, left, 1000)
		require.Equal(t, once, left)
	})
}

func TestARowStoredUnderAWrongClockDoesNotEndTheWalk(t *testing.T) {
	t.Parallel()
	s := Slice{AccountID: 1, Before: 100, Most: 4}
	rows := []Row{{ID: 1, AccountID: 1, At: 5}, {ID: 2, AccountID: 1, At: 1 << 40}, {ID: 3, AccountID: 1, At: 6}, {ID: 4, AccountID: 2, At: 1 << 40}, {ID: 5, AccountID: 1, At: 7}}
	left, cursor := walk(s, rows, 10)
	require.Len(t, left, 2)
	require.EqualValues(t, 1, cursor)
}
