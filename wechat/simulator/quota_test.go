package simulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestDailyQuotaEndsAtBeijingMidnight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{Daily: 2}))
	require.Zero(t, w.send(fan, "1"))
	require.Zero(t, w.send(fan, "2"))
	require.Equal(t, 45009, w.send(fan, "3"))
	w.clock.Set(time.Date(2026, 3, 2, 15, 59, 59, 0, time.UTC))
	w.token = w.stableToken(false)
	require.Equal(t, 45009, w.send(fan, "3"))
	w.clock.Advance(time.Second)
	require.Zero(t, w.send(fan, "3"))
}

func TestMinuteQuotaAndBursts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{PerMinute: 2, Daily: 3}))
	require.Zero(t, w.send(fan, "1"))
	require.Zero(t, w.send(fan, "2"))
	require.Equal(t, 45011, w.send(fan, "3"))
	require.Equal(t, 45011, w.send(fan, "3"))
	w.clock.Advance(time.Minute)
	require.Zero(t, w.send(fan, "3"), "refused calls used nothing of the day")
	require.Equal(t, 45009, w.send(fan, "4"))
}

func TestBurstAnswersBusyAndMayHaveDelivered(t *testing.T) {
	t.Parallel()
	for delivers, want := range map[bool]int{false: 1, true: 2} {
		w := newWorld(t, simulator.Options{Switches: simulator.Switches{BurstDelivers: delivers}})
		fan := w.writer()
		require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{PerSecond: 1}))
		require.Zero(t, w.send(fan, "1"))
		require.Equal(t, -1, w.send(fan, "2"))
		require.Len(t, w.sim.AcceptedTexts(fan), want)
		counts := w.sim.Counts().Send()
		require.Equal(t, want-1, counts.BusyAccepted)
		require.Equal(t, 2-want, counts.BusyNotAccepted)
		require.Equal(t, 1, counts.Unknowable())
		w.clock.Advance(time.Second)
		require.Zero(t, w.send(fan, "3"))
	}
}

func TestQuotaQueryAndClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{Daily: 1}))
	require.Zero(t, w.send(fan, "1"))
	query := func() (out struct {
		Quota struct{ DailyLimit, Used, Remain int }
	}) {
		resp, err := w.http.Post(base+simulator.PathQuotaGet+"?access_token="+w.token, "",
			strings.NewReader(`{"cgi_path":"/cgi-bin/message/custom/send"}`))
		require.NoError(t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "daily_limit", "DailyLimit")), &out))
		return out
	}
	require.Equal(t, 1, query().Quota.Used)
	require.Equal(t, 0, query().Quota.Remain)
	require.Equal(t, 1, query().Quota.DailyLimit)
	require.Equal(t, 76021, w.post(simulator.PathQuotaGet, `{"cgi_path":"cgi-bin/x"}`).ErrCode)
	require.Equal(t, 40013, w.post(simulator.PathClearQuota, `{"appid":"wx1"}`).ErrCode)
	for range 10 {
		require.Zero(t, w.post(simulator.PathClearQuota, `{"appid":"`+appID+`"}`).ErrCode)
	}
	require.Equal(t, 48006, w.post(simulator.PathClearQuota, `{"appid":"`+appID+`"}`).ErrCode)
	require.Zero(t, w.send(fan, "2"))
}

func TestQuotaAndGrantAreExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	require.NoError(t, w.sim.GrantFan(fan, wechat.TriggerMessage))
	require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{Daily: 30}))
	var ok, usedUp, quota atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
					base+simulator.PathSend+"?access_token="+w.token, strings.NewReader(textBody(fan, "x")))
				if err != nil {
					return
				}
				resp, err := w.http.Do(req)
				if err != nil {
					return
				}
				raw, err := io.ReadAll(resp.Body)
				switch {
				case err != nil || resp.Body.Close() != nil:
				case strings.Contains(string(raw), `"errcode":0,`):
					ok.Add(1)
				case strings.Contains(string(raw), "45047"):
					usedUp.Add(1)
				case strings.Contains(string(raw), "45009"):
					quota.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, [3]int64{5, 25, 10}, [3]int64{ok.Load(), usedUp.Load(), quota.Load()})
	state, err := w.sim.Fan(fan)
	require.NoError(t, err)
	require.Equal(t, 30, state.Calls)
	require.Equal(t, 5, state.Accepted)
}

func TestSettingsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	bad := func(err error, code fault.Code) {
		t.Helper()
		require.Error(t, err)
		require.Equal(t, code, fault.CodeOf(err), err.Error())
	}
	bad(w.sim.SetSwitches(simulator.Switches{Grants: "sum"}), fault.Invalid)
	bad(w.sim.SetSwitches(simulator.Switches{NotFan: 1}), fault.Invalid)
	bad(w.sim.SetSwitches(simulator.Switches{TokenCode: 1}), fault.Invalid)
	bad(w.sim.SetFaults("/x", simulator.Faults{}), fault.NotFound)
	bad(w.sim.SetFaults("", simulator.Faults{Hang: 0.6, Busy: 0.6}), fault.Invalid)
	bad(w.sim.SetFaults("", simulator.Faults{Hang: -1}), fault.Invalid)
	bad(w.sim.SetFaults("", simulator.Faults{Codes: []simulator.CodeShare{{Code: 0, Share: 1}}}), fault.Invalid)
	bad(w.sim.SetPushFaults(simulator.PushFaults{LoseAnswers: 4}), fault.Invalid)
	bad(w.sim.SetLimit(appID, "/x", simulator.Limit{}), fault.NotFound)
	bad(w.sim.AddAccount(simulator.Account{AppID: appID, Secret: "x"}), fault.Conflict)
	bad(w.sim.AddAccount(simulator.Account{AppID: "x", Secret: "x"}), fault.Invalid)
	bad(w.sim.SetCallback(appID, simulator.Callback{URL: "ftp://x", Token: "abc"}), fault.Invalid)
	bad(w.sim.SetCallback(appID, simulator.Callback{URL: "http://x", Token: "a"}), fault.Invalid)
	bad(w.sim.SetCallback(appID, simulator.Callback{URL: "http://x", Token: "abc", Mode: "safe", AESKey: "short"}), fault.Invalid)
	_, err := w.sim.AddFan(appID, simulator.NewFan{OpenID: w.fan()})
	bad(err, fault.Conflict)
	_, err = w.sim.Text(t.Context(), "nobody", "x")
	bad(err, fault.NotFound)
	_, err = w.sim.Follow(t.Context(), w.fan(), "")
	bad(err, fault.Conflict)
	_, err = w.sim.Do(t.Context(), simulator.Act{OpenID: w.fan(), Kind: "dance"})
	bad(err, fault.Invalid)
	bad(simulator.New(simulator.Options{}).Advance(time.Second), fault.Conflict)
}
