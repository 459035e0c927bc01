package main

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/wechat/simulator"
)

// The load of the kill test: three quarters of the deliveries are steps of five messages, all that a grant allows.
var (
	killTimes      = fromEnviron("HONGYAN_TEST_KILLS", 20)
	killDeliveries = fromEnviron("HONGYAN_TEST_KILL_DELIVERIES", 20_000)
)

const killInFlight = 20

// fromEnviron lets a desk run a smaller or a longer test.
func fromEnviron(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// A worker that is killed again and again in the middle of its work leaves each message in exactly one terminal state, and no message
// arrives twice.
func TestAWorkerKilledTwentyTimesSendsEverythingOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	binary := buildWithoutRaces(t)
	eachStorage(t, func(t *testing.T, at servers) {
		singles, fives := killDeliveries/4, killDeliveries*3/20
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: singles + fives, follow: true, rate: 5000, inFlight: killInFlight, binary: binary})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.drip("five", onKeyword("five"), dripStep(map[string]any{"delay": "0s"}, "first of five", "second of five", "third of five", "fourth of five", "fifth of five"))
		in.enter(in.openids[:singles], "one")
		in.enter(in.openids[singles:], "five")

		began := time.Now()
		for n := 1; n <= killTimes; n++ {
			p := in.serve()
			in.reaches(n*killDeliveries/(killTimes+5), 90*time.Second)
			p.kill()
		}
		killed := time.Since(began)
		p := in.serve()
		end := in.finished(int64(killDeliveries), 3*time.Minute)
		t.Logf("%d kills took %s, the rest %s", killTimes, killed.Round(time.Second), (time.Since(began) - killed).Round(time.Second))
		in.balanced(end, int64(killTimes*(killInFlight+100)))
		require.Zero(t, end[deliveries.StateFailed], in.reasons())
		require.Zero(t, in.number("SELECT COUNT(*) FROM deliveries WHERE state = ? AND reason <> ?", deliveries.StateSkipped, guard.ReasonPreviousFailed), in.reasons())
		p.stop()
	})
}
