package lease_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/lease"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = 30 * time.Second

func each(t *testing.T, test func(t *testing.T, s *lease.Store, now *clock.Manual)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		now := clock.NewManual(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
		test(t, lease.NewStore(db, now), now)
	})
}

func TestOneOfManyWins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *lease.Store, now *clock.Manual) {
		for round := range 5 {
			var winners atomic.Int64
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					l, ok, err := s.Acquire(t.Context(), "job", fmt.Sprintf("owner-%d-%d", round, i), ttl)
					if err != nil {
						t.Error(err)
					}
					if ok {
						winners.Add(1)
					}
					if l.Fence != int64(round+1) {
						t.Errorf("fence %d in round %d", l.Fence, round)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, winners.Load())
			now.Advance(ttl)
		}
	})
}

func TestLeaseIsFreeFromItsEndOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *lease.Store, now *clock.Manual) {
		first, ok, err := s.Acquire(t.Context(), "job", "a", ttl)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, now.Now().Add(ttl), first.Until)

		now.Advance(ttl - time.Millisecond)
		held, ok, err := s.Acquire(t.Context(), "job", "b", ttl)
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, first, held, "the loser learns who holds it")

		now.Advance(time.Millisecond)
		second, ok, err := s.Acquire(t.Context(), "job", "b", ttl)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, first.Fence+1, second.Fence)

		require.NoError(t, s.Release(t.Context(), first))
		_, ok, err = s.Acquire(t.Context(), "job", "c", ttl)
		require.NoError(t, err)
		require.False(t, ok, "a late release does not free another's lease")
	})
}

func TestOwnerRenewsWithTheSameFence(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *lease.Store, now *clock.Manual) {
		l, _, err := s.Acquire(t.Context(), "job", "a", ttl)
		require.NoError(t, err)
		now.Advance(2 * ttl)
		again, ok, err := s.Acquire(t.Context(), "job", "a", 2*ttl)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, now.Now().Add(2*ttl), again.Until)
		require.Equal(t, l.Fence, again.Fence)
	})
}

func TestReleasedLeaseIsFreeAtOnceWithANewFence(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *lease.Store, _ *clock.Manual) {
		l, _, err := s.Acquire(t.Context(), "job", "a", ttl)
		require.NoError(t, err)
		require.NoError(t, s.Release(t.Context(), l))
		require.NoError(t, s.Release(t.Context(), l))
		again, ok, err := s.Acquire(t.Context(), "job", "a", ttl)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, l.Fence+1, again.Fence, "work begun under the old fence is fenced off")
	})
}

func TestNamesAreIndependent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *lease.Store, _ *clock.Manual) {
		for _, name := range []string{"job", "Job", strings.Repeat("j", 96)} {
			_, ok, err := s.Acquire(t.Context(), name, "owner of "+name[:1], ttl)
			require.NoError(t, err)
			require.True(t, ok, name)
		}
	})
}

func TestBadInputIsRefusedByField(t *testing.T) {
	t.Parallel()
	s := lease.NewStore(testdb.SQLite(t), clock.System())
	_, _, err := s.Acquire(t.Context(), strings.Repeat("n", 97), "", 0)
	require.True(t, fault.Is(err, fault.Invalid))
	var fields []string
	for _, f := range fault.Fields(err) {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"name", "owner", "ttl"}, fields)
}
