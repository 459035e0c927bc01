package main

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/wechat/simulator"
)

// A worker that dies after it stored a push and before it answered: the platform repeats the push, or does not; either way the fan's act counts once and is answered
// at most once.
func TestAPushStoredByAProcessThatDiesIsActedUponOnce(t *testing.T) {
	t.Parallel()
	const rounds, each, inFlight = 4, 60, 20
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: rounds * each, rate: 500, inFlight: inFlight})
		in.drip("welcome", onFollow(), dripStep(map[string]any{"delay": "0s"}, "welcome", "and a second word"), dripStep(map[string]any{"delay": "2s"}, "one thing more"))
		// The repeats come while the next process starts, as in the platform's own time they would.
		require.NoError(t, in.sim.SetSwitches(simulator.Switches{PushSpacing: simulator.Duration(2 * time.Second)}))
		for n := range rounds {
			p := in.serve()
			in.pushTo(p)
			stored := in.number("SELECT COUNT(*) FROM inbox")
			for _, openid := range in.openids[n*each : (n+1)*each] {
				require.NoError(t, in.sim.Post(t.Context(), simulator.Act{OpenID: openid, Kind: simulator.ActFollow}))
			}
			require.Eventually(t, func() bool { return in.number("SELECT COUNT(*) FROM inbox") > stored+each/4 }, time.Minute, time.Millisecond, "no pushes are stored")
			p.kill()
		}
		p := in.serve()
		in.pushTo(p)
		require.NoError(t, in.sim.Wait(t.Context()))
		require.Eventually(t, func() bool { return in.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL") == 0 }, time.Minute, 100*time.Millisecond,
			"pushes are stored and not acted upon")
		fans := in.number("SELECT COUNT(*) FROM inbox")
		end := in.finished(3*fans, 90*time.Second)
		in.once(fans)
		between := 0
		for _, push := range in.sim.Pushes("") {
			if len(push.Tries) > 1 && in.number("SELECT COUNT(*) FROM inbox WHERE openid = ? AND received_at < ?", push.OpenID, push.Tries[1].At.UnixMilli()) > 0 {
				between++
			}
		}
		t.Logf("%d of %d follows stored, %d of them by a process that died before it answered: %s", fans, rounds*each, between, in.reasons())
		require.Positive(t, between, "no process died between storing a push and answering it: nothing is proved")
		require.LessOrEqual(t, end[deliveries.StateUnknown], int64(rounds*(inFlight+100)))
		for _, push := range in.sim.Pushes("") {
			if push.Outcome == simulator.OutcomeAcknowledged || push.Outcome == simulator.OutcomeReplied {
				require.EqualValues(t, 1, in.number("SELECT COUNT(*) FROM interactions i JOIN fans f ON f.id = i.fan_id WHERE f.openid = ?", push.OpenID),
					"a push was acknowledged and is lost")
			}
		}
		p.stop()
		in.replayed()
	})
}

// once checks that so many pushes became one interaction and one enrolment each, that none was parked, and that no fan read anything twice.
func (in *install) once(pushes int64) {
	t := in.t
	t.Helper()
	require.Equal(t, pushes, in.number("SELECT COUNT(*) FROM interactions"), "interactions")
	require.Equal(t, pushes, in.number("SELECT COUNT(DISTINCT fan_id) FROM interactions"), "fans who acted")
	require.Equal(t, pushes, in.number("SELECT COUNT(*) FROM enrolments"), "enrolments")
	require.Zero(t, in.number("SELECT COUNT(*) FROM inbox WHERE error <> ''"), "parked pushes")
	require.Empty(t, in.sim.Duplicates(), "a fan read a message twice")
}

var passiveText = regexp.MustCompile(`<Content><!\[CDATA\[(.*?)\]\]></Content>`)

// The platform repeats a push whose answer it did not get: every repeat gets the same answer, and the act counts once.
func TestTheSamePushThreeTimesIsOneActAndOneAnswer(t *testing.T) {
	t.Parallel()
	const fans = 40
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: 2 * fans, rate: 500, inFlight: 20, plain: true})
		in.drip("welcome", onFollow(), dripStep(map[string]any{"delay": "0s"}, "welcome"))
		p := in.serve()
		in.pushTo(p)

		require.NoError(t, in.sim.SetPushFaults(simulator.PushFaults{LoseAnswers: 2, Share: 1}))
		in.followAll(in.openids[:fans])
		require.NoError(t, in.sim.SetPushFaults(simulator.PushFaults{}))
		for _, push := range in.sim.Pushes("") {
			require.Len(t, push.Tries, 3)
			for _, try := range push.Tries {
				require.Equal(t, "welcome", contentOf(try.Answer), "an answer in %+v", push.Tries)
			}
		}
		in.once(fans)

		in.thrice.Store(true)
		in.followAll(in.openids[fans:])
		in.once(2 * fans)
		require.Len(t, in.answers, 3*fans)
		for _, answer := range in.answers {
			require.Equal(t, "welcome", contentOf(answer), "one of three answers to the same push at the same time")
		}
		end := in.finished(2*fans, 30*time.Second)
		require.EqualValues(t, 2*fans, end[deliveries.StateSent], in.reasons())
		require.Zero(t, in.sim.Counts().Send().Calls, "an answer went a second time, as a customer-service message")
		p.stop()
	})
}

func contentOf(answer string) string {
	if found := passiveText.FindStringSubmatch(answer); found != nil {
		return found[1]
	}
	return answer
}

// followAll lets fans follow, some at a time, and waits for the answers.
func (in *install) followAll(openids []string) {
	in.t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, openid := range openids {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if _, err := in.sim.Follow(context.Background(), openid, ""); err != nil {
				in.t.Error(err)
			}
		})
	}
	all.Wait()
}
