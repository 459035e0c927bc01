package simulator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestUsedUpAndClosedWindowsHaveTheirOwnCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	require.Equal(t, 45015, w.send(fan, "nothing is open"))
	_, err := w.sim.Text(t.Context(), fan, "hi")
	require.NoError(t, err)
	for range 5 {
		require.Zero(t, w.send(fan, "x"))
	}
	require.Equal(t, 45047, w.send(fan, "the sixth"))
	w.clock.Advance(48*time.Hour - time.Millisecond)
	w.token = w.stableToken(false)
	require.Equal(t, 45047, w.send(fan, "still open"))
	w.clock.Advance(time.Millisecond)
	require.Equal(t, 45015, w.send(fan, "closed"))
}

func TestMinuteGrantLastsAMinuteWithoutOurMargin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	ids, err := w.sim.AddFans(appID, 1, false)
	require.NoError(t, err)
	_, err = w.sim.Follow(t.Context(), ids[0], "")
	require.NoError(t, err)
	w.clock.Advance(time.Minute - time.Millisecond)
	require.Zero(t, w.send(ids[0], "in time"))
	w.clock.Advance(time.Millisecond)
	require.Equal(t, 45015, w.send(ids[0], "late"))
}

func TestSwitchedGrants(t *testing.T) {
	t.Parallel()
	left := func(w *world, fan string) (n int) {
		state, err := w.sim.Fan(fan)
		require.NoError(w.t, err)
		for _, win := range state.Windows {
			n += win.Left
		}
		return n
	}
	act := func(kind simulator.ActKind) func(w *world, fan string) {
		return func(w *world, fan string) {
			_, err := w.sim.Do(w.t.Context(), simulator.Act{OpenID: fan, Kind: kind, ItemID: "1", Text: "x", Scene: "s"})
			require.NoError(w.t, err)
		}
	}
	agent := func(w *world, fan string) {
		act(simulator.ActText)(w, fan)
		_, err := w.sim.OpenSession(w.t.Context(), fan, "test1@test")
		require.NoError(w.t, err)
		require.NoError(w.t, w.sim.AgentSays(fan, "hello"))
	}
	for name, c := range map[string]struct {
		sw   simulator.Switches
		do   func(w *world, fan string)
		want int
	}{
		"tap is a menu tap":        {do: act(simulator.ActTap), want: 3},
		"tap is a message":         {sw: simulator.Switches{TapIsMessage: true}, do: act(simulator.ActTap), want: 5},
		"view opens nothing":       {do: act(simulator.ActView)},
		"location opens nothing":   {do: act(simulator.ActLocation)},
		"scan":                     {do: act(simulator.ActScan), want: 3},
		"scan code by menu":        {do: act(simulator.ActScanCode), want: 3},
		"image":                    {do: act(simulator.ActImage), want: 5},
		"payment opens nothing":    {do: act(simulator.ActPay)},
		"payment, other reading":   {sw: simulator.Switches{PaymentGrants: true}, do: act(simulator.ActPay), want: 1_000_000},
		"agent's message uses one": {do: agent, want: 4},
		"agent's message is free":  {sw: simulator.Switches{AgentFree: true}, do: agent, want: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{Switches: c.sw})
			fan := w.fan()
			c.do(w, fan)
			require.Equal(t, c.want, left(w, fan))
		})
	}
}

func TestFollowingByAQRCodeMayCountTwice(t *testing.T) {
	t.Parallel()
	for both, want := range map[bool]int{false: 1, true: 2} {
		w := newWorld(t, simulator.Options{Switches: simulator.Switches{
			Grants: simulator.GrantsSeparateSoonest, ScanFollowBoth: both,
		}})
		ids, err := w.sim.AddFans(appID, 1, false)
		require.NoError(t, err)
		_, err = w.sim.Scan(t.Context(), ids[0], "poster")
		require.NoError(t, err)
		state, err := w.sim.Fan(ids[0])
		require.NoError(t, err)
		require.Len(t, state.Windows, want)
	}
}

// reference is the reading of a grant model written down as plainly as possible.
type reference struct {
	model simulator.GrantModel
	open  map[wechat.Trigger]*window
}

type window struct {
	left  int
	until time.Time
}

func (r *reference) act(tr wechat.Trigger, now time.Time) {
	a := wechat.RulesAt(start).Grants[tr]
	fresh := &window{a.Messages, now.Truncate(time.Second).Add(a.Lifetime)}
	if r.model != simulator.GrantsMax {
		r.open[tr] = fresh
		return
	}
	if old := r.open[0]; old != nil && now.Truncate(time.Second).Before(old.until) {
		fresh.left = max(fresh.left, old.left)
		if old.until.After(fresh.until) {
			fresh.until = old.until
		}
	}
	r.open[0] = fresh
}

func (r *reference) send(now time.Time) int {
	var use *window
	open := false
	for tr := range wechat.Trigger(wechat.TriggerCount) {
		w := r.open[tr]
		if w == nil || !now.Before(w.until) {
			continue
		}
		open = true
		latest := r.model == simulator.GrantsSeparateLatest
		if w.left > 0 && (use == nil || (!latest && w.until.Before(use.until)) || (latest && w.until.After(use.until))) {
			use = w
		}
	}
	switch {
	case !open:
		return 45015
	case use == nil:
		return 45047
	}
	use.left--
	return 0
}

func TestGrantModelsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	for _, model := range simulator.GrantModels() {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{Switches: simulator.Switches{Grants: model}})
			require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{}))
			rapid.Check(t, func(rt *rapid.T) {
				fan := w.fan()
				w.token = w.stableToken(false)
				ref := reference{model: model, open: map[wechat.Trigger]*window{}}
				for range rapid.IntRange(1, 40).Draw(rt, "steps") {
					switch rapid.IntRange(0, 5).Draw(rt, "op") {
					case 0, 1, 2:
						want := ref.send(w.clock.Now())
						if got := w.send(fan, "x"); got != want {
							rt.Fatalf("send answered %d, the reference %d", got, want)
						}
					case 3:
						w.clock.Advance(time.Duration(rapid.SampledFrom([]int{1, 500, 20_000, 59_500, 3_000_000}).Draw(rt, "ms")) * time.Millisecond)
						w.token = w.stableToken(false)
					default:
						kind := rapid.SampledFrom([]simulator.ActKind{
							simulator.ActText, simulator.ActClick, simulator.ActScan,
						}).Draw(rt, "act")
						_, err := w.sim.Do(t.Context(), simulator.Act{OpenID: fan, Kind: kind, Text: "x", Key: "k", Scene: "s"})
						if err != nil {
							rt.Fatal(err)
						}
						ref.act(map[simulator.ActKind]wechat.Trigger{
							simulator.ActText: wechat.TriggerMessage, simulator.ActClick: wechat.TriggerMenu,
							simulator.ActScan: wechat.TriggerScan,
						}[kind], w.clock.Now())
					}
				}
			})
		})
	}
}
