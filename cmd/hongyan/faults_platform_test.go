package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/wechat/simulator"
)

// A platform that answers half of the calls badly: what was surely not sent is tried again, what may have been sent is unknown and never sent again.
func TestAPlatformThatFailsHalfOfTheTimeGetsNothingTwice(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, at servers) {
		const singles, pairs = 1000, 500
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: singles + pairs, follow: true, rate: 1000, inFlight: 30})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.drip("two", onKeyword("two"), dripStep(map[string]any{"delay": "0s"}, "the first of two", "the second of two"))
		in.enter(in.openids[:singles], "one")
		in.enter(in.openids[singles:], "two")
		require.NoError(t, in.sim.SetFaults(simulator.PathSend, simulator.Faults{
			LatencyMax:  simulator.Duration(20 * time.Millisecond),
			ResetBefore: 0.08, ResetAfter: 0.08, HalfAnswer: 0.08, BadGateway: 0.04, BadGatewayAfter: 0.04, Hang: 0.004, HangAfter: 0.004, Busy: 0.09, BusyAfter: 0.08,
		}))
		require.NoError(t, in.sim.SetFaults(simulator.PathStableToken, simulator.Faults{ResetBefore: 0.25, HalfAnswer: 0.25}))

		p := in.serve()
		end := in.finished(singles+2*pairs, 2*time.Minute)
		lost := in.sim.Counts().Send().Unknowable()
		require.Greater(t, lost, 300, "the platform did not fail often enough to prove anything")
		in.balanced(end, int64(lost))
		require.Zero(t, in.number("SELECT COUNT(*) FROM deliveries WHERE state = ? AND reason <> ?", deliveries.StateSkipped, guard.ReasonPreviousFailed), in.reasons())
		require.Zero(t, end[deliveries.StateFailed], in.reasons())
		p.stop()
	})
}

// A token that another program takes away in the middle of a run costs nothing: it is fetched anew and the same message goes.
func TestATokenTakenAwayInTheMiddleOfARunLosesNothing(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, at servers) {
		const messages = 900
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: messages, follow: true, rate: 150, inFlight: 20})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.enter(in.openids, "one")
		p := in.serve()
		for _, n := range []int{200, 400, 600} {
			in.reaches(n, time.Minute)
			require.NoError(t, in.sim.Supersede(in.account.AppID))
		}
		end := in.finished(messages, time.Minute)
		in.balanced(end, 0)
		require.EqualValues(t, messages, end[deliveries.StateSent], in.reasons())
		require.NotEmpty(t, in.sim.Counts().Send().Codes, "no call met the old token")
		p.stop()
	})
}

// Beyond the platform's limit per minute nothing is lost: what was refused waits for the next minute.
func TestTheLimitPerMinuteOnlyDelays(t *testing.T) {
	t.Parallel()
	const messages, before, inFlight, slow = 600, 200, 20, 45011
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: messages, follow: true, rate: 300, inFlight: inFlight})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.enter(in.openids, "one")
		require.NoError(t, in.sim.SetLimit(in.account.AppID, simulator.PathSend, simulator.Limit{Daily: 500_000, PerMinute: before}))
		p := in.serve()
		require.Eventually(t, func() bool { return in.sim.Counts().Send().Codes[slow] > 0 }, time.Minute, 10*time.Millisecond, "the limit is not met")
		require.Never(t, func() bool { return in.sim.Counts().Send().Codes[slow] > inFlight+100 }, 2*time.Second, 50*time.Millisecond, "the platform is asked on and on; %d calls", in.sim.Counts().Send().Calls)
		require.NoError(t, in.sim.SetLimit(in.account.AppID, simulator.PathSend, simulator.Limit{Daily: 500_000}))
		end := in.finished(messages, 2*time.Minute)
		in.balanced(end, 0)
		require.EqualValues(t, messages, end[deliveries.StateSent], in.reasons())
		p.stop()
	})
}

// When the platform says that the day's quota is used up, the rest waits for the next Beijing day, and is not tried until then.
func TestTheDailyQuotaLeavesTheRestPlanned(t *testing.T) {
	t.Parallel()
	const messages, quota, inFlight, used = 700, 300, 20, 45009
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: messages, follow: true, rate: 300, inFlight: inFlight})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.enter(in.openids, "one")
		require.NoError(t, in.sim.SetLimit(in.account.AppID, simulator.PathSend, simulator.Limit{Daily: quota}))
		p := in.serve()
		waiting := func() bool {
			// Those that the platform refused look again in a minute, and learn then that they wait as well.
			return in.number("SELECT COUNT(*) FROM deliveries WHERE state = ? AND reason IN (?, ?)", deliveries.StatePlanned, guard.ReasonAPIBudget, guard.ReasonPlatform) ==
				messages-quota
		}
		require.Eventually(t, waiting, 2*time.Minute, 200*time.Millisecond, "the rest does not wait for the next day")
		counts := in.sim.Counts().Send()
		t.Log(in.reasons(), counts.Calls, "calls")
		require.Equal(t, quota, counts.Accepted)
		require.LessOrEqual(t, counts.Codes[used], inFlight+100, "the platform was asked again and again for what it does not give today")
		now := time.Now().UTC()
		beijing := now.Add(8 * time.Hour)
		midnight := time.Date(beijing.Year(), beijing.Month(), beijing.Day()+1, 0, 0, 0, 0, time.UTC).Add(-8 * time.Hour)
		require.Zero(t, in.number("SELECT COUNT(*) FROM deliveries WHERE reason = ? AND due_at < ?", guard.ReasonAPIBudget, midnight.UnixMilli()), "due before the quota's next day")
		require.EqualValues(t, quota, in.tally()[deliveries.StateSent])
		require.Empty(t, in.sim.Duplicates())
		p.stop()
	})
}
