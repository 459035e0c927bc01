package scheduler

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/fans"
)

func TestAPersonsPushesAreInOnePartInTheirOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		rows := make([]*fans.InboxRow, r.IntN(300))
		people, n := 1+r.IntN(300), 1+r.IntN(5)
		for i := range rows {
			rows[i] = &fans.InboxRow{ID: int64(i + 1), Push: fans.Push{AccountID: int64(1 + r.IntN(3)), OpenID: strconv.Itoa(r.IntN(people))}}
		}
		parts := partByFan(rows, n)
		require.LessOrEqual(t, len(parts), n)
		part, seen := map[string]int{}, map[int64]bool{}
		for p, of := range parts {
			last := int64(0)
			for _, row := range of {
				who := fmt.Sprint(row.AccountID, "/", row.OpenID)
				if before, known := part[who]; known {
					require.Equal(t, before, p, "%s is in two parts", who)
				}
				part[who] = p
				require.Greater(t, row.ID, last)
				require.False(t, seen[row.ID])
				last, seen[row.ID] = row.ID, true
			}
		}
		require.Len(t, seen, len(rows), "all of them, each once")
	}
}

func TestPushesOfDistinctPeopleArePartedEvenlyAndNeighboursStayTogether(t *testing.T) {
	t.Parallel()
	rows := make([]*fans.InboxRow, 401)
	for i := range rows {
		rows[i] = &fans.InboxRow{ID: int64(i + 1), Push: fans.Push{OpenID: strconv.Itoa(i)}}
	}
	parts := partByFan(rows, 2)
	require.Len(t, parts, 2)
	require.Equal(t, rows[:201], parts[0])
	require.Equal(t, rows[201:], parts[1])
}
