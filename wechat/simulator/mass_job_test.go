package simulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat/simulator"
)

func TestTheAdministratorConfirmsASendToAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer simulator.MassAnswer // "" lets half an hour pass
		status string
	}{
		{"confirmed", simulator.MassConfirmed, "send success"},
		{"refused", simulator.MassRefused, "err(40001)"},
		{"expired", simulator.MassExpired, "err(40002)"},
		{"silent", "", "err(40002)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{Confirm: true}}}, 2)
			require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
			require.Equal(t, 89501, w.post(simulator.PathMassAll, all("2", "b")).ErrCode)
			require.Zero(t, w.list("list"), "a list needs nobody")
			w.clock.Advance(30*time.Minute - time.Second)
			w.sim.RunMass(t.Context())
			require.Len(t, w.got(), 1, "the list")
			sends, err := w.sim.MassSends(appID)
			require.NoError(t, err)
			require.True(t, sends[0].Waiting)
			require.Equal(t, "SENDING", sends[0].State)
			if c.answer != "" {
				require.NoError(t, w.sim.AnswerMass(t.Context(), appID, sends[0].MsgID, c.answer))
				require.Error(t, w.sim.AnswerMass(t.Context(), appID, sends[0].MsgID, c.answer))
			}
			w.run()
			require.Equal(t, c.status, w.got()[1].Status)
			want := 45028
			if c.status != "send success" {
				want = 0 // a send that failed leaves the day's quota
				require.Zero(t, w.got()[1].TotalCount)
			}
			require.Equal(t, want, w.post(simulator.PathMassAll, all("3", "c")).ErrCode)
		})
	}
}

func TestAFailedSendCountsByASwitch(t *testing.T) {
	t.Parallel()
	for counts, want := range map[bool][2]int{false: {0, 0}, true: {1, 45028}} {
		w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{FailedCounts: counts}}}, 2)
		require.NoError(t, w.sim.FailNextMass(appID, "err(10001)"))
		require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
		w.run()
		require.Equal(t, 10001, w.got()[0].ErrCode())
		n, err := w.sim.MassReceived(w.fans[0])
		require.NoError(t, err)
		require.Equal(t, want, [2]int{n, w.post(simulator.PathMassAll, all("2", "b")).ErrCode})
		require.Empty(t, w.sim.AcceptedTexts(w.fans[0]))
	}
}

func TestTheSpeedDecidesHowLongASendTakes(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{Delay: simulator.Duration(time.Second)}}}, 500)
	require.Zero(t, w.post(simulator.PathMassSpeedSet, `{"speed":4}`).ErrCode)
	require.Zero(t, w.list("1"))
	w.clock.Advance(time.Second + 299*time.Millisecond) // 500 fans at 100,000 a minute
	w.sim.RunMass(t.Context())
	require.Empty(t, w.got())
	w.clock.Advance(time.Millisecond)
	w.sim.RunMass(t.Context())
	require.Len(t, w.got(), 1)
}

func TestTheNextCallFindsWhatFellDue(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 2)
	require.Zero(t, w.list("1"))
	w.clock.Advance(time.Minute)
	require.Zero(t, w.post(simulator.PathMassSpeedGet, ``).ErrCode)
	require.Len(t, w.sim.AcceptedTexts(w.fans[0]), 1)
	require.NoError(t, w.sim.Wait(t.Context()))
	require.Len(t, w.got(), 1)
}

func TestTheReceiptCanComeBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{ReceiptFirst: true}}, 2)
	require.Zero(t, w.list("1"))
	require.Len(t, w.got(), 1)
	require.Equal(t, 2, w.got()[0].SentCount)
}

func TestOnTheWallClockASendGoesOutByItself(t *testing.T) {
	t.Parallel()
	arrived := make(chan simulator.Arrival, 2)
	w := newMassWorld(t, simulator.Options{}, 2)
	sim := simulator.New(simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{Delay: simulator.Duration(time.Millisecond)}}})
	t.Cleanup(sim.Close)
	require.NoError(t, sim.AddAccount(simulator.Account{AppID: appID, Secret: secret, Verified: true}))
	ids, err := sim.AddFans(appID, 2, true)
	require.NoError(t, err)
	w.sim, w.http, w.fans = sim, &http.Client{Transport: sim.RoundTripper()}, ids
	w.token = w.stableToken(false)
	stop := sim.OnArrival(func(a simulator.Arrival) { arrived <- a })
	defer stop()
	require.Zero(t, w.list("1"))
	for _, id := range ids {
		select {
		case a := <-arrived:
			require.Equal(t, id, a.OpenID)
		case <-t.Context().Done():
			t.Fatal("nothing arrived")
		}
	}
}

func TestTheControlsOfMassSendsRefuseWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{Confirm: true}}}, 2)
	require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
	sends, err := w.sim.MassSends(appID)
	require.NoError(t, err)
	id := sends[0].MsgID
	_, unknown := w.sim.MassSends("wx1")
	_, nobody := w.sim.MassReceived("nobody")
	for i, c := range []struct {
		err  error
		code fault.Code
	}{
		{unknown, fault.NotFound},
		{nobody, fault.NotFound},
		{w.sim.AnswerMass(t.Context(), "wx1", id, simulator.MassConfirmed), fault.NotFound},
		{w.sim.AnswerMass(t.Context(), appID, id+1, simulator.MassConfirmed), fault.NotFound},
		{w.sim.AnswerMass(t.Context(), appID, id, "perhaps"), fault.Invalid},
		{w.sim.SetReprint(appID, "m", "perhaps"), fault.Invalid},
		{w.sim.SetReprint("wx1", "m", ""), fault.NotFound},
		{w.sim.FailNextMass("wx1", ""), fault.NotFound},
		{w.sim.SetMassAgreement("wx1", true), fault.NotFound},
		{w.sim.SetWxName("nobody", "x"), fault.NotFound},
		{w.sim.SetSwitches(simulator.Switches{Mass: simulator.MassSwitches{ClientMsgIDBytes: 33}}), fault.Invalid},
		{w.sim.SetSwitches(simulator.Switches{Mass: simulator.MassSwitches{Delay: -1}}), fault.Invalid},
	} {
		require.Equal(t, c.code, fault.CodeOf(c.err), "%d: %v", i, c.err)
	}
}

func TestTheSameSeedGivesTheSameMassSends(t *testing.T) {
	t.Parallel()
	dump := func() string {
		w := newMassWorld(t, simulator.Options{Seed: 7}, 300)
		for i := 0; i < 300; i += 3 {
			require.NoError(t, w.sim.TagFan(w.fans[i], 2))
		}
		require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
		require.Zero(t, w.post(simulator.PathMassAll,
			`{"filter":{"is_to_all":false,"tag_id":2},"msgtype":"text","text":{"content":"x"}}`).ErrCode)
		w.run()
		out, err := w.sim.Dump()
		require.NoError(t, err)
		pushes, err := json.Marshal(w.sim.Pushes(""))
		require.NoError(t, err)
		calls, err := json.Marshal(w.sim.Calls(simulator.Filter{}))
		require.NoError(t, err)
		return string(out) + string(pushes) + string(calls)
	}
	first := dump()
	require.Equal(t, first, dump())
}

func TestConcurrentSendsUnderOneIDAreOneSend(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{}, 50)
	body := listBody(t, w.fans, `,"clientmsgid":"one"`)
	codes := make([]string, 8)
	var group sync.WaitGroup
	for i := range codes {
		group.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				base+simulator.PathMassList+"?access_token="+w.token, strings.NewReader(body))
			if err != nil {
				return
			}
			resp, err := w.http.Do(req)
			if err != nil {
				return
			}
			raw, err := io.ReadAll(resp.Body)
			if err == nil && resp.Body.Close() == nil {
				codes[i] = string(raw)
			}
		})
	}
	group.Wait()
	accepted := 0
	for _, code := range codes {
		if strings.Contains(code, `"errcode":0,`) {
			accepted++
		} else {
			require.Contains(t, code, "45066")
		}
	}
	require.Equal(t, 1, accepted)
	w.run()
	require.Len(t, w.sim.AcceptedTexts(w.fans[49]), 1)
	require.Empty(t, w.sim.Duplicates())
}

func TestASendToManyHoldsNoLockWhileItGoesThroughTheFans(t *testing.T) {
	t.Parallel()
	w := newMassWorld(t, simulator.Options{Record: simulator.RecordCompact}, 20_000)
	require.Zero(t, w.post(simulator.PathMassAll, all("1", "a")).ErrCode)
	w.clock.Advance(2 * time.Minute)
	// While the send goes through the fans, its own hook can use the account and the fan.
	seen := 0
	stop := w.sim.OnArrival(func(a simulator.Arrival) {
		if seen++; seen%1_000 == 0 {
			_, err := w.sim.MassSends(appID)
			require.NoError(t, err)
			n, err := w.sim.MassReceived(a.OpenID)
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
	})
	defer stop()
	w.sim.RunMass(t.Context())
	require.Equal(t, 20_000, seen)
	require.Equal(t, 20_000, w.got()[0].SentCount)
}
