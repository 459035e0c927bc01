package campaigns

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/limits"
)

// crowdAt lets n fans come at once whose windows close one after the other within a day, the first fan's last, until the gate has settled. It tells when each went; 0: the budget was used up.
func crowdAt(t *testing.T, g *gate, at time.Time, n int) []int64 {
	t.Helper()
	went := make([]int64, n)
	for range 5 {
		for i := range went {
			deadline := at.Add(24*time.Hour - time.Duration(i)*24*time.Hour/time.Duration(n)).UnixMilli()
			rank := g.rank(false, deadline)
			went[i] = g.ask(at.UnixMilli(), rank, 1)
			if !g.spend(went[i], rank, 1) {
				went[i] = 0
			}
		}
		if !g.learn() {
			return went
		}
	}
	require.Fail(t, "it does not settle")
	return nil
}

func TestAGateLetsTheEarliestDeadlinesGoFirstAtTheRate(t *testing.T) {
	t.Parallel()
	const n, perSecond = 60_000, 50
	at := time.Date(2026, 3, 4, 2, 0, 20, 0, time.UTC)
	for few, tick := range map[bool]int64{true: 1000, false: 60_000} {
		g := newGate(&accounts.Account{RatePerSecond: perSecond, InFlight: 20}, at.UnixMilli(), few, nil)
		went := crowdAt(t, g, at, n)
		for i, when := range went {
			// The last fan's window closes first. Of one class of deadlines, that is sixty ticks, the older fan comes first.
			inClass := int64(n) * 60 * tick / 86_400_000
			wanted := at.UnixMilli() + int64(n-1-i)*1000/perSecond
			require.InDelta(t, wanted, when, float64(2*tick+inClass*1000/perSecond), "fan %d, tick %d", i, tick)
		}
		require.LessOrEqual(t, len(g.turns), n/perSecond+1, "it remembers ticks and no messages")
	}
}

func TestAGateKnowsTheBudgetOfEachDay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 15, 59, 0, 0, time.UTC) // a minute before midnight in Beijing
	today, tomorrow := guard.BudgetDay(at), guard.BudgetDay(at.Add(time.Hour))
	g := newGate(&accounts.Account{RatePerSecond: 50, InFlight: 20}, at.UnixMilli(), true, map[int]int64{today: 1000, tomorrow: 500})
	went := crowdAt(t, g, at, 6000)
	counts := map[int]int{}
	for _, when := range went {
		if when != 0 {
			counts[guard.BudgetDay(clock.FromMillis(when))]++
		}
	}
	require.Equal(t, map[int]int{today: 1000, tomorrow: 500}, counts, "3,000 come to their turn before midnight and 3,000 after it")
	g = newGate(&accounts.Account{RatePerSecond: 50_000, InFlight: 20_000}, at.UnixMilli(), false, nil)
	went = crowdAt(t, g, at, limits.KefuDaily+7)
	left := 0
	for _, when := range went {
		if when == 0 {
			left++
		}
	}
	require.Equal(t, 7, left, "a day of which nothing is known has all of the budget")
}

func TestCallsInFlightBoundTheRateOfAGate(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC).UnixMilli()
	require.EqualValues(t, 50, newGate(&accounts.Account{RatePerSecond: 50, InFlight: 20}, at, true, nil).most)
	require.EqualValues(t, 80, newGate(&accounts.Account{RatePerSecond: 500, InFlight: 10}, at, true, nil).most, "eight calls of the bulk lane, each a tenth of a second")
	require.EqualValues(t, 4800, newGate(&accounts.Account{RatePerSecond: 500, InFlight: 10}, at, false, nil).most)
}
