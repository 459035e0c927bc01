package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// refusal is what the platform answers, and what must come of it.
type refusal struct {
	faults  simulator.Faults
	path    string // PathSend unless set
	state   deliveries.State
	reason  guard.Reason
	code    int
	again   time.Duration // when it is tried again
	gone    bool          // the fan counts as none
	refused bool          // the fan counts as refusing
	closed  bool          // the grant counts as closed
	paused  string        // why the campaign paused
	stopped string        // why the account stopped
	calls   int           // that reached the platform; 1 unless set
}

func code(n int) simulator.Faults {
	return simulator.Faults{Codes: []simulator.CodeShare{{Code: n, Share: 1}}, Most: 1}
}

var refusals = map[string]refusal{
	"retry":                      {faults: code(45066), state: deliveries.StatePlanned, reason: guard.ReasonPlatform, code: 45066, again: time.Second},
	"slow until the next minute": {faults: code(45011), state: deliveries.StatePlanned, reason: guard.ReasonPlatform, code: 45011, again: time.Minute},
	"quota":                      {faults: code(45009), state: deliveries.StatePlanned, reason: guard.ReasonPlatform, code: 45009, again: time.Minute},
	"not a fan":                  {faults: code(43004), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 43004, gone: true, closed: true},
	"unfollowed":                 {faults: code(50005), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 50005, gone: true, closed: true},
	"messages switched off":      {faults: code(48002), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 48002, refused: true},
	"protected minor":            {faults: code(70000), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 70000, refused: true},
	"another fan's trouble":      {faults: code(50002), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 50002},
	"window closed":              {faults: code(45015), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 45015, closed: true},
	"count used up":              {faults: code(45047), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 45047, closed: true},
	"bad message":                {faults: code(40009), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 40009},
	"a code nobody knows":        {faults: code(12345), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 12345},
	"a mistake of ours":          {faults: code(47001), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 47001},
	"a grant of a person ended":  {faults: code(40029), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 40029},
	"of no consequence":          {faults: code(45072), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 45072},
	"sent before":                {faults: code(45065), state: deliveries.StateSent, code: 45065},
	"stops the campaign":         {faults: code(40249), state: deliveries.StateFailed, reason: guard.ReasonPlatform, code: 40249, paused: "platform_40249"},
	"stops the account":          {faults: code(48001), state: deliveries.StatePlanned, reason: guard.ReasonPlatform, code: 48001, again: time.Minute, stopped: "platform_48001"},
	"stops the feature":          {faults: code(48003), state: deliveries.StatePlanned, reason: guard.ReasonPlatform, code: 48003, again: time.Minute, stopped: "platform_48003"},
	"busy":                       {faults: simulator.Faults{Busy: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost, code: -1},
	"busy but accepted":          {faults: simulator.Faults{BusyAfter: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost, code: -1},
	"reset":                      {faults: simulator.Faults{ResetAfter: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost},
	"half an answer":             {faults: simulator.Faults{HalfAnswer: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost},
	"bad gateway":                {faults: simulator.Faults{BadGateway: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost},
	"no answer":                  {faults: simulator.Faults{Hang: 1, Most: 1}, state: deliveries.StateUnknown, reason: guard.ReasonAnswerLost},
	"a refused token is renewed": {faults: code(40001), state: deliveries.StateSent, calls: 2},
	"a fresh token is refused as well": {
		faults: simulator.Faults{Codes: []simulator.CodeShare{{Code: 40001, Share: 1}}, Most: 2}, state: deliveries.StatePlanned, reason: guard.ReasonPlatform,
		code: 40001, again: time.Minute, stopped: "platform_40001", calls: 2,
	},
	"no token": {
		faults: simulator.Faults{BadGateway: 1}, path: simulator.PathStableToken, state: deliveries.StatePlanned, reason: guard.ReasonNotSent, again: time.Second, calls: -1,
	},
	"a wrong AppSecret": {
		faults: code(40125), path: simulator.PathStableToken, state: deliveries.StatePlanned, reason: guard.ReasonNotSent, code: 40125, again: time.Minute,
		stopped: "platform_40125", calls: -1,
	},
}

func TestEveryAnswerHasItsOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.SQLite(t)
			c.check(t, db)
		})
	}
}

func TestStopsAndCorrectionsWorkOnMySQLToo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"not a fan", "messages switched off", "stops the campaign", "stops the account", "retry"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusals[name].check(t, testdb.MySQL(t))
		})
	}
}

func (c refusal) check(t *testing.T, db *database.DB) {
	w := newWorld(t, db, setup{})
	d := w.drip(onWord("never"), nil, step("0s", "hello"))
	fan := w.fans(1)
	if c.path == "" {
		c.path = simulator.PathSend
	}
	require.NoError(t, w.sim.SetFaults(c.path, c.faults))
	w.plan(d, fan, nil)
	w.turn()
	row := w.rows(fan[0].OpenID)[0]
	require.Equal(t, c.state.String()+" "+c.reason.String(), row.State.String()+" "+row.Reason.String())
	require.Equal(t, c.code, row.ErrCode)
	if c.again != 0 {
		require.Equal(t, c.again, time.UnixMilli(row.DueAt).Sub(start))
	}
	after, err := w.s.Fans.FindFanByOpenID(t.Context(), w.account.ID, fan[0].OpenID)
	require.NoError(t, err)
	require.Equal(t, c.gone, !after.Subscribed)
	require.Equal(t, c.refused, after.Refused)
	w.checkGrant(c, fan[0].OpenID)
	state, reason := w.state(d)
	require.Equal(t, c.paused != "", state == campaigns.StatePaused)
	require.Equal(t, c.paused, reason)
	require.Equal(t, c.stopped, w.reasonOfStop())
	if c.calls == 0 {
		c.calls = 1
	}
	require.Equal(t, max(0, c.calls), w.sim.Counts().Send().Calls, "one call, and no second try by itself")
}

// checkGrant checks that the reservation was kept when the message may have been sent, given back when it was not, and corrected when the
// platform knows better.
func (w *world) checkGrant(c refusal, openid string) {
	want := 5
	switch {
	case c.closed:
		want = 0
	case c.state == deliveries.StateSent || c.state == deliveries.StateUnknown:
		want = 4
	}
	u := w.usage(openid)
	require.Equal(w.t, want, u.Grants.Available(w.clk.Now().UnixMilli(), 0))
	used := 0
	if c.state == deliveries.StateSent || c.state == deliveries.StateUnknown {
		used = 1
	}
	require.Equal(w.t, guard.Counts{used, used, used}, u.Counted.Used)
}

func (w *world) reasonOfStop() string {
	w.t.Helper()
	var reason string
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw("SELECT stopped_reason FROM accounts WHERE stopped = 1").Scan(&reason).Error)
	return reason
}

func TestTheTableOfAnswersHasEveryClass(t *testing.T) {
	t.Parallel()
	seen := map[wechat.Class]bool{wechat.ClassOK: true}
	for _, c := range refusals {
		for _, s := range c.faults.Codes {
			seen[wechat.ClassOf(s.Code)] = true
		}
	}
	for class := wechat.ClassOK; class <= wechat.ClassIgnore; class++ {
		require.True(t, seen[class], class.String())
	}
}

func TestRetriesBackOffAndEnd(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		fan := w.fans(1)
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Codes: []simulator.CodeShare{{Code: 45066, Share: 1}}}))
		w.plan(d, fan, nil)
		w.turn()
		var pauses []time.Duration
		for range 4 {
			due := time.UnixMilli(w.rows(fan[0].OpenID)[0].DueAt)
			pauses = append(pauses, due.Sub(w.clk.Now()))
			w.until(due)
		}
		require.Equal(t, []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute}, pauses)
		require.Equal(t, []string{"1.1.1 failed platform"}, w.story(fan[0].OpenID))
		require.Equal(t, 5, w.sim.Counts().Send().Calls)
		require.Equal(t, 5, w.usage(fan[0].OpenID).Grants.Available(w.clk.Now().UnixMilli(), 0))
	})
}

func TestARunOfFailuresPausesTheCampaignAndASuccessBetweenResetsIt(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		bad := simulator.Faults{Codes: []simulator.CodeShare{{Code: 40009, Share: 1}}}
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, bad))
		w.plan(d, w.fans(29), nil)
		w.turn()
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{}))
		w.plan(d, w.fans(1), nil)
		w.turn()
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, bad))
		w.plan(d, w.fans(29), nil)
		w.turn()
		state, _ := w.state(d)
		require.Equal(t, campaigns.StateRunning, state, "29 failures, a success and 29 failures are no run of 30")
		w.plan(d, w.fans(1), nil)
		w.turn()
		state, reason := w.state(d)
		require.Equal(t, campaigns.StatePaused, state, "the count goes on from one batch to the next")
		require.Equal(t, "failures_in_a_row", reason)
	})
}

func TestAnAnswerThatWasLostDoesNotEndARunOfFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), setup{})
	d := w.drip(onWord("never"), nil, step("0s", "hello"))
	for _, f := range []simulator.Faults{
		{Codes: []simulator.CodeShare{{Code: 40009, Share: 1}}}, {ResetAfter: 1}, {Codes: []simulator.CodeShare{{Code: 40009, Share: 1}}},
	} {
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, f))
		w.plan(d, w.fans(15), nil)
		w.turn()
	}
	state, _ := w.state(d)
	require.Equal(t, campaigns.StatePaused, state)
}

func TestAUsedUpQuotaEndsTheDayInBeijing(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		fans := w.fans(3)
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, code(45009)))
		w.plan(d, fans[:1], nil)
		w.turn()
		w.plan(d, fans[1:], nil)
		w.clk.Advance(2 * time.Minute)
		require.NoError(t, w.process().Turn(t.Context()))
		require.Equal(t, 1, w.sim.Counts().Send().Calls, "no process asks again on the same day")
		midnight := at(1, 0, 0)
		for _, f := range fans {
			require.Equal(t, []string{"1.1.1 planned api_budget"}, w.story(f.OpenID))
			require.Equal(t, midnight, time.UnixMilli(w.rows(f.OpenID)[0].DueAt).UTC())
		}
		w.until(midnight)
		require.Equal(t, 3, w.tally()[deliveries.StateSent])
		w.agreed()
	})
}
