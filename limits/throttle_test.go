package limits

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/clock"
	"hongyan/internal/testdb"
)

func eachThrottle(t *testing.T, test func(t *testing.T, th *Throttle, clk *clock.Manual)) {
	t.Helper()
	testdb.EachRedis(t, func(t *testing.T, r testdb.Redis) {
		clk := clock.NewManual(start())
		test(t, NewThrottle(r.Client, r.Prefix+":", clk), clk)
	})
}

func (th *Throttle) mustTokens(t *testing.T, accountID int64, lane Lane, want int) (int, time.Duration) {
	t.Helper()
	got, wait, err := th.Tokens(t.Context(), accountID, 50, lane, want)
	require.NoError(t, err)
	return got, wait
}

func TestManyGoroutinesNeverTakeMoreThanTheRate(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, clk *clock.Manual) {
		var taken atomic.Int64
		most := int64(50) // the burst: one second's rate
		for second := range 4 {
			together(32, func(i int) {
				for range 5 {
					got, wait := th.mustTokens(t, account, LaneUrgent, 1+i%4)
					if n := taken.Add(int64(got)); n > most {
						t.Errorf("second %d: %d sends of %d", second, n, most)
					}
					if got == 0 && (wait <= 0 || wait > time.Second) {
						t.Errorf("wait %s for one of 50 a second", wait)
					}
				}
			})
			require.Equal(t, most, taken.Load(), "and no token is lost")
			clk.Advance(700 * time.Millisecond)
			most += 35
		}
		clk.Advance(time.Hour)
		got, _ := th.mustTokens(t, account, LaneUrgent, 1000)
		require.Equal(t, 50, got, "no more than one second's rate is saved up")
		got, _ = th.mustTokens(t, 2, LaneUrgent, 1)
		require.Equal(t, 1, got, "another account's rate")
	})
}

func TestBulkLeavesAFifthOfTheRateToUrgent(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, clk *clock.Manual) {
		got, _ := th.mustTokens(t, account, LaneBulk, 1000)
		require.Equal(t, 40, got)
		got, wait := th.mustTokens(t, account, LaneBulk, 1)
		require.Zero(t, got)
		require.Equal(t, 20*time.Millisecond, wait)
		got, _ = th.mustTokens(t, account, LaneUrgent, 1000)
		require.Equal(t, 10, got)
		clk.Advance(wait)
		got, wait = th.mustTokens(t, account, LaneBulk, 1)
		require.Zero(t, got, "what urgent messages took comes back first")
		clk.Advance(wait - time.Millisecond)
		got, _ = th.mustTokens(t, account, LaneBulk, 1)
		require.Zero(t, got)
		clk.Advance(time.Millisecond)
		got, _ = th.mustTokens(t, account, LaneBulk, 1)
		require.Equal(t, 1, got, "after exactly the wait")
	})
}

func (th *Throttle) mustAcquire(t *testing.T, holder string, want, inUse int) int {
	t.Helper()
	got, err := th.Acquire(t.Context(), Slots{AccountID: account, Holder: holder, Lane: LaneBulk, Limit: 10, Want: want, InUse: inUse})
	require.NoError(t, err)
	return got
}

func TestHoldersShareTheSlotsAsTheirCallsEnd(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, _ *clock.Manual) {
		require.Equal(t, 8, th.mustAcquire(t, "a", 20, 0), "all but the urgent lane's fifth")
		require.Zero(t, th.mustAcquire(t, "b", 20, 0))
		require.Equal(t, 6, th.mustAcquire(t, "a", 20, 6), "calls on the wire are never taken away")
		require.Equal(t, 2, th.mustAcquire(t, "b", 20, 0))
		require.Equal(t, 4, th.mustAcquire(t, "a", 20, 1))
		require.Equal(t, 4, th.mustAcquire(t, "b", 20, 2))
		require.Equal(t, 1, th.mustAcquire(t, "a", 0, 1), "nothing more wanted, one still on the wire")
		require.Zero(t, th.mustAcquire(t, "a", 0, 0))
		require.Equal(t, 8, th.mustAcquire(t, "b", 20, 4), "alone again")
		got, err := th.Acquire(t.Context(), Slots{AccountID: account, Holder: "a", Lane: LaneUrgent, Limit: 10, Want: 20})
		require.NoError(t, err)
		require.Equal(t, 2, got, "the urgent lane has its own")
	})
}

func TestSlotsOfADeadHolderExpire(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, clk *clock.Manual) {
		require.Equal(t, 8, th.mustAcquire(t, "dead", 8, 0))
		clk.Advance(SlotTTL)
		require.Zero(t, th.mustAcquire(t, "b", 8, 0))
		clk.Advance(time.Millisecond)
		require.Equal(t, 8, th.mustAcquire(t, "b", 8, 0))
	})
}

func TestGrantedSlotsNeverExceedTheLimit(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, clk *clock.Manual) {
		accountID := int64(10)
		rapid.Check(t, func(rt *rapid.T) {
			accountID++
			limit := rapid.IntRange(2, 12).Draw(rt, "limit")
			held, until := map[string]int{}, map[string]time.Time{}
			for range rapid.IntRange(1, 20).Draw(rt, "steps") {
				holder := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "holder")
				if !until[holder].IsZero() && clk.Now().After(until[holder]) {
					held[holder] = 0
				}
				inUse := rapid.IntRange(0, held[holder]).Draw(rt, "in use")
				got, err := th.Acquire(t.Context(), Slots{
					AccountID: accountID, Holder: holder, Lane: LaneBulk, Limit: limit, Want: rapid.IntRange(0, 15).Draw(rt, "want"), InUse: inUse,
				})
				require.NoError(rt, err)
				require.GreaterOrEqual(rt, got, inUse)
				held[holder], until[holder] = got, clk.Now().Add(SlotTTL)
				sum := 0
				for h, n := range held {
					if !clk.Now().After(until[h]) {
						sum += n
					}
				}
				require.LessOrEqual(rt, sum, LaneSlots(limit, LaneBulk))
				clk.Advance(rapid.SampledFrom([]time.Duration{0, time.Second, SlotTTL - time.Second, SlotTTL}).Draw(rt, "pause"))
			}
		})
	})
}

func TestComingAndGoingHoldersNeverExceedTheLimitTogether(t *testing.T) {
	t.Parallel()
	eachThrottle(t, func(t *testing.T, th *Throttle, _ *clock.Manual) {
		var inFlight, used atomic.Int64
		together(16, func(i int) {
			holder := fmt.Sprint("w", i)
			for n := range 12 {
				got := th.mustAcquire(t, holder, 1+(i+n)%5, 0)
				if now := inFlight.Add(int64(got)); now > 8 {
					t.Errorf("%d calls in flight of 8", now)
				}
				used.Add(int64(got))
				inFlight.Add(int64(-got))
				require.Zero(t, th.mustAcquire(t, holder, 0, 0))
			}
		})
		require.Positive(t, used.Load())
	})
}

func TestLanesShareAnInFlightLimit(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int][2]int{2: {1, 1}, 5: {1, 4}, 10: {2, 8}, 20: {4, 16}, 1: {1, 1}} {
		require.Equal(t, want, [2]int{LaneSlots(limit, LaneUrgent), LaneSlots(limit, LaneBulk)}, limit)
	}
	require.Equal(t, "urgent bulk", LaneUrgent.String()+" "+LaneBulk.String())
}
