package simulator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

func scriptOf(seed uint64, ids []string) *simulator.Script {
	return simulator.NewScript(simulator.ScriptOptions{
		Seed: seed, OpenIDs: ids, Start: start, Span: 7 * 24 * time.Hour,
		Keywords: []string{"优惠", "课程"}, Scenes: []string{"poster"}, MenuKeys: []string{"ABOUT"},
	})
}

// play runs a script in virtual time against a callback that answers each message, and
// returns everything that happened as bytes.
func play(t *testing.T, seed uint64) (acts, arrivals string) {
	t.Helper()
	w := newWorld(t, simulator.Options{Seed: seed})
	ids, err := w.sim.AddFans(appID, 50, false)
	require.NoError(t, err)
	script := scriptOf(seed, ids)
	stop := w.sim.OnArrival(script.Received)
	defer stop()
	require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{ResetAfter: 0.1, Busy: 0.1}))
	var out strings.Builder
	last := start
	for {
		at, ok := script.Peek()
		if !ok {
			break
		}
		require.False(t, at.Before(last), "acts are in order of time")
		last = at
		w.clock.Set(at)
		a, ok := script.Next()
		require.True(t, ok)
		push, err := w.sim.Do(t.Context(), a)
		require.NoError(t, err, "the script's fans do only what they can")
		out.WriteString(a.At.Format(time.RFC3339Nano) + " " + push.Body + "\n")
		if a.Kind != simulator.ActUnfollow {
			w.token = w.stableToken(false)
			_, err = w.try("POST", simulator.PathSend+"?access_token="+w.token, textBody(a.OpenID, "re: "+a.Text))
			if err != nil {
				require.ErrorContains(t, err, "reset")
			}
		}
	}
	dump, err := w.sim.Dump()
	require.NoError(t, err)
	return out.String(), string(dump)
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	acts, arrivals := play(t, 7)
	again, arrivalsAgain := play(t, 7)
	require.Equal(t, acts, again)
	require.Equal(t, arrivals, arrivalsAgain)
	other, _ := play(t, 8)
	require.NotEqual(t, acts, other)
	require.Greater(t, strings.Count(acts, "\n"), 300)
	for _, seen := range []string{"subscribe", "unsubscribe", "优惠", "CLICK", "SCAN", "qrscene_poster"} {
		require.Contains(t, acts, seen)
	}
}

func TestScriptFansAnswerWhatTheyGet(t *testing.T) {
	t.Parallel()
	ids := []string{"oA"}
	script := simulator.NewScript(simulator.ScriptOptions{
		Seed: 1, OpenIDs: ids, Start: start, Span: time.Hour, AlreadyFans: true, ActsPerDay: -1, ReplyShare: 1,
	})
	_, ok := script.Peek()
	require.False(t, ok)
	script.Received(simulator.Arrival{OpenID: "oB", At: start})
	script.Received(simulator.Arrival{
		OpenID: "oA", Kind: "msgmenu", At: start, Content: `{"list":[{"id":"9","content":"要"}]}`,
	})
	a, ok := script.Next()
	require.True(t, ok)
	require.Equal(t, simulator.ActTap, a.Kind)
	require.Equal(t, "9", a.ItemID)
	require.Equal(t, "要", a.Text)
	require.True(t, a.At.Sub(start) >= 5*time.Second && a.At.Sub(start) <= 30*time.Minute)
	_, ok = script.Next()
	require.False(t, ok)
}

func TestMarshalScriptIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	ids := []string{"oA", "oB", "oC"}
	one, err := simulator.MarshalScript(scriptOf(3, ids), 1000)
	require.NoError(t, err)
	two, err := simulator.MarshalScript(scriptOf(3, ids), 1000)
	require.NoError(t, err)
	require.Equal(t, string(one), string(two))
	require.NotEmpty(t, one)
}

func TestRunPlaysOnTheClockAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Clock: clock.System()})
	ids, err := w.sim.AddFans(appID, 3, false)
	require.NoError(t, err)
	now := clock.System().Now()
	finite := simulator.NewScript(simulator.ScriptOptions{
		Seed: 1, OpenIDs: ids, Start: now.Add(-24 * time.Hour), Span: 23 * time.Hour, Keywords: []string{"k"},
	})
	require.NoError(t, w.sim.Run(t.Context(), finite))
	require.NotEmpty(t, w.sim.Pushes(""))

	more, err := w.sim.AddFans(appID, 1, true)
	require.NoError(t, err)
	endless := simulator.NewScript(simulator.ScriptOptions{
		Seed: 1, OpenIDs: more, Start: now, AlreadyFans: true, ActsPerDay: 0.001,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.sim.Run(ctx, endless) }()
	cancel()
	require.NoError(t, <-done)
}

func TestOpenIDsAndNicknamesLookRealAndFollowFromTheSeed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 1000 {
		id := simulator.OpenID(1, appID, i)
		require.Regexp(t, `^o[0-9A-Za-z_-]{27}$`, id)
		require.Equal(t, simulator.OpenID(1, appID, 0)[:6], id[:6])
		require.False(t, seen[id])
		seen[id] = true
		require.NotEmpty(t, simulator.Nickname(1, i))
	}
	require.NotEqual(t, simulator.OpenID(1, appID, 0), simulator.OpenID(2, appID, 0))
	require.NotEqual(t, simulator.OpenID(1, appID, 0), simulator.OpenID(1, "wxother", 0))
}
