package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/wechat"
)

// start is a moment on a full second, as the platform's CreateTime is.
const start = int64(1_790_000_000_000)

func open(g *guard.Grants, trigger wechat.Trigger, at int64) bool {
	return g.Trigger(trigger, at, today(trigger), 0)
}

// spend reserves one message after another until nothing is left, and tells how many it were.
func spend(g *guard.Grants, at int64) (n int) {
	for g.Available(at, 0) > 0 {
		g.Take(at, 1)
		n++
	}
	return n
}

func TestWhatTodaysTriggersGrant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		run  func(*guard.Grants) int
		want int
	}{
		{"nothing without an act", func(g *guard.Grants) int { return spend(g, start) }, 0},
		{"the fan writes", func(g *guard.Grants) int { open(g, wechat.TriggerMessage, start); return spend(g, start) }, 5},
		{"writes again: full again, not added", func(g *guard.Grants) int {
			open(g, wechat.TriggerMessage, start)
			g.Take(start, 2)
			open(g, wechat.TriggerMessage, start+minute)
			return spend(g, start+minute)
		}, 5},
		{"47:49:59 after writing", func(g *guard.Grants) int {
			open(g, wechat.TriggerMessage, start)
			return spend(g, start+47*hour+50*minute-1)
		}, 5},
		{"47:50:00 after writing", func(g *guard.Grants) int {
			open(g, wechat.TriggerMessage, start)
			return spend(g, start+47*hour+50*minute)
		}, 0},
		{"a menu tap", func(g *guard.Grants) int { open(g, wechat.TriggerMenu, start); return spend(g, start) }, 3},
		{"49.999 s after a menu tap", func(g *guard.Grants) int { open(g, wechat.TriggerMenu, start); return spend(g, start+50*second-1) }, 3},
		{"50 s after a menu tap", func(g *guard.Grants) int { open(g, wechat.TriggerMenu, start); return spend(g, start+50*second) }, 0},
		{"follow and scan at once do not add up", func(g *guard.Grants) int {
			open(g, wechat.TriggerFollow, start)
			open(g, wechat.TriggerScan, start)
			return spend(g, start)
		}, 3},
		{"follow and write do not add up", func(g *guard.Grants) int {
			open(g, wechat.TriggerFollow, start)
			open(g, wechat.TriggerMessage, start)
			return spend(g, start)
		}, 5},
		{"write, use up, then tap", func(g *guard.Grants) int {
			open(g, wechat.TriggerMessage, start)
			g.Take(start, 5)
			open(g, wechat.TriggerMenu, start)
			return spend(g, start)
		}, 3},
		{"paying grants nothing today", func(g *guard.Grants) int { open(g, wechat.TriggerPayment, start); return spend(g, start) }, 0},
		{"follow, 2 sent, write 20 s later, a minute on", func(g *guard.Grants) int {
			open(g, wechat.TriggerFollow, start)
			g.Take(start, 2)
			open(g, wechat.TriggerMessage, start+20*second)
			return spend(g, start+minute)
		}, 5},
	} {
		var g guard.Grants
		require.Equal(t, c.want, c.run(&g), c.name)
	}
}

func TestAnOlderActChangesNothing(t *testing.T) {
	t.Parallel()
	var g guard.Grants
	require.True(t, open(&g, wechat.TriggerMessage, start+3*second))
	g.Take(start+4*second, 2)
	before := g
	require.False(t, open(&g, wechat.TriggerMessage, start))
	require.Equal(t, before, g)
	require.True(t, open(&g, wechat.TriggerMenu, start), "another kind of act has a bucket of its own")
	require.False(t, open(&g, wechat.TriggerPayment, start), "an act without an allowance opens nothing")
}

func TestOlderRuleSetsCanBeReplayed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at      string
		trigger wechat.Trigger
		want    int
	}{
		{"2020-01-01 00:00", wechat.TriggerMenu, 20}, {"2022-01-01 00:00", wechat.TriggerMenu, 3},
		{"2022-01-01 00:00", wechat.TriggerMessage, 20}, {"2022-01-01 00:00", wechat.TriggerPayment, 20},
		{"2023-06-11 16:00", wechat.TriggerMessage, 5}, {"2023-06-11 15:59", wechat.TriggerMessage, 20},
	} {
		var g guard.Grants
		at := utc(t, c.at)
		g.Trigger(c.trigger, at.UnixMilli(), wechat.RulesAt(at).Grants[c.trigger], 0)
		require.Equal(t, c.want, spend(&g, at.UnixMilli()), "%s %s", c.at, c.trigger)
	}
}

func TestReleaseGivesBackWhatItsReservationTook(t *testing.T) {
	t.Parallel()
	var g guard.Grants
	open(&g, wechat.TriggerMessage, start)
	open(&g, wechat.TriggerFollow, start)
	taken, generation := g.TakenBy(start), g.Generation
	require.EqualValues(t, 1<<wechat.TriggerMessage|1<<wechat.TriggerFollow, taken)
	g.Take(start, 1)
	require.Equal(t, 4, g.Available(start, 0))
	g.Release(taken, generation)
	require.Equal(t, 5, g.Available(start, 0))
}

func TestReleaseGivesNothingToABucketThatWasSetSince(t *testing.T) {
	t.Parallel()
	for name, touch := range map[string]func(*guard.Grants){
		"written again": func(g *guard.Grants) { g.Trigger(wechat.TriggerMessage, start+second, today(wechat.TriggerMessage), 1) },
		"exhausted":     func(g *guard.Grants) { g.Exhaust(g.Generation) },
		"closed":        func(g *guard.Grants) { g.CloseAll() },
	} {
		var g guard.Grants
		open(&g, wechat.TriggerMessage, start)
		open(&g, wechat.TriggerFollow, start)
		taken, generation := g.TakenBy(start), g.Generation
		g.Take(start, 1)
		touch(&g)
		before := g.Buckets[wechat.TriggerMessage]
		g.Release(taken, generation)
		require.Equal(t, before, g.Buckets[wechat.TriggerMessage], name)
	}
}

func TestAFailedSendIsNotGivenBackToABucketThatAnotherMayHaveEmptied(t *testing.T) {
	t.Parallel()
	var g guard.Grants
	open(&g, wechat.TriggerMessage, start)
	g.Take(start, 4)
	open(&g, wechat.TriggerFollow, start+second)
	taken, generation := g.TakenBy(start+second), g.Generation
	g.Take(start+second, 1) // fails below
	g.Take(start+second, 1) // is counted, maybe as the last of the message bucket
	g.Release(taken, generation)
	require.Equal(t, 2, g.Available(start+second, 0), "the follow's")
	require.LessOrEqual(t, g.Available(start+minute, 0), 0, "the message bucket may be empty")
	require.Zero(t, g.End(start+minute, 0))
}

func TestThePlatformCorrectsUs(t *testing.T) {
	t.Parallel()
	var g guard.Grants
	open(&g, wechat.TriggerMessage, start)
	open(&g, wechat.TriggerScan, start)
	g.Exhaust(g.Generation)
	require.Zero(t, g.Available(start, 0))
	require.True(t, g.AnyOpen(start))
	g.CloseAll()
	require.False(t, g.AnyOpen(start))
	require.True(t, open(&g, wechat.TriggerMessage, start), "a new act opens again")
	require.Equal(t, 5, g.Available(start, 0))
}

func TestEndIsThatOfTheLatestBucketWithSomethingLeft(t *testing.T) {
	t.Parallel()
	var g guard.Grants
	require.Zero(t, g.End(start, 0))
	open(&g, wechat.TriggerMessage, start)
	open(&g, wechat.TriggerMenu, start)
	long, short := start+48*hour-10*minute, start+50*second
	require.Equal(t, long, g.End(start, 0))
	require.Equal(t, short, g.End(start, 5), "all of the long one is kept for agents")
	require.Equal(t, long, g.End(start+minute, 4))
	require.Zero(t, g.End(start+minute, 5))
	require.Zero(t, g.End(long, 0))
}

func TestPropertyHeldMessagesStay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.IntRange(0, 5).Draw(t, "held")
		var g guard.Grants
		open(&g, wechat.TriggerMessage, start)
		for g.Available(start, held) > 0 {
			g.Take(start, 1)
		}
		require.Equal(t, held, g.Available(start, 0))
	})
}
