package wechat_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func (w *fansWorld) blacklist() ([]string, int) {
	return list(w.t, func(after string) (wechat.FanPage, error) { return w.client.Blacklist(w.t.Context(), w.acc, after) })
}

func TestABlacklistedFanGetsNoMessages(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fan := w.fans(1)
	require.NoError(t, w.sim.GrantFan(fan[0], wechat.TriggerMessage))
	_, err := w.client.AddToBlacklist(t.Context(), w.acc, fan)
	require.NoError(t, err)
	require.Equal(t, []string{`{"openid_list":["` + fan[0] + `"]}`}, w.bodies(simulator.PathBlacklistAdd))
	requireCode(t, 43019, w.client.SendKefu(t.Context(), w.acc, fan[0], wechat.TextMessage("x")))
	_, err = w.client.RemoveFromBlacklist(t.Context(), w.acc, fan)
	require.NoError(t, err)
	require.Equal(t, []string{`{"openid_list":["` + fan[0] + `"]}`}, w.bodies(simulator.PathBlacklistRemove))
	require.NoError(t, w.client.SendKefu(t.Context(), w.acc, fan[0], wechat.TextMessage("x")))
}

func TestTheBlacklistIsReadPageByPage(t *testing.T) {
	t.Parallel()
	for size, wantPages := range map[int]int{0: 4, 1_000: 4, 10_000: 2} {
		w := newFansWorld(t, simulator.Switches{BlacklistPage: size})
		fans := w.fans(2_002)
		done, err := w.client.AddToBlacklist(t.Context(), w.acc, fans[:2_001])
		require.NoError(t, err)
		require.Equal(t, 2_001, done.Done)
		got, pages := w.blacklist()
		require.Equal(t, wantPages, pages, "the last is empty")
		require.Equal(t, fans[:2_001], got)
	}
	require.Error(t, newFansWorld(t, simulator.Switches{}).sim.SetSwitches(simulator.Switches{BlacklistPage: 7}))
}

func TestTheBlacklistLooksAsDocumented(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	w.named(simulator.NewFan{OpenID: "O1", Subscribed: true})
	w.named(simulator.NewFan{OpenID: "O2", Subscribed: true})
	_, body := w.raw("POST", simulator.PathBlacklistGet, `{"begin_openid":""}`)
	require.JSONEq(t, `{"total":0,"count":0,"next_openid":""}`, body)
	require.NoError(t, w.sim.SetFanFlags("O2", simulator.FanFlags{Blacklisted: true}))
	require.NoError(t, w.sim.SetFanFlags("O2", simulator.FanFlags{Blacklisted: true}), "on the list already")
	_, body = w.raw("POST", simulator.PathBlacklistGet, `{}`)
	require.JSONEq(t, `{"total":1,"count":1,"data":{"openid":["O2"]},"next_openid":"O2"}`, body)
	page, err := w.client.Blacklist(t.Context(), w.acc, "")
	require.NoError(t, err)
	require.Equal(t, wechat.FanPage{Total: 1, OpenIDs: []string{"O2"}, Next: "O2"}, page)
	w.unfollow("O2")
	got, _ := w.blacklist()
	require.Equal(t, []string{"O2"}, got, "who leaves stays blacklisted")
	require.NoError(t, w.sim.SetFanFlags("O2", simulator.FanFlags{}))
	got, _ = w.blacklist()
	require.Empty(t, got)
}

func TestFansAreBlacklistedByTheTwenty(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(41)
	done, err := w.client.AddToBlacklist(t.Context(), w.acc, fans)
	require.NoError(t, err)
	require.Equal(t, wechat.Batched{Done: 41}, done)
	require.Len(t, w.bodies(simulator.PathBlacklistAdd), 3)
	done, err = w.client.RemoveFromBlacklist(t.Context(), w.acc, fans)
	require.NoError(t, err)
	require.Equal(t, 41, done.Done)
	require.Len(t, w.bodies(simulator.PathBlacklistRemove), 3)
	for n, want := range map[int]int{0: 40032, 20: 0, 21: 40032} {
		for _, path := range []string{simulator.PathBlacklistAdd, simulator.PathBlacklistRemove} {
			quoted := strings.TrimSuffix(strings.Repeat(`"`+fans[0]+`",`, n), ",")
			code, _ := w.raw("POST", path, `{"openid_list":[`+quoted+`]}`)
			require.Equal(t, want, code, "%d fans", n)
		}
	}
}

func TestFansWhoCannotBeBlacklisted(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(3)
	asked := append([]string{w.foreign(), "nobody"}, fans...)
	done, err := w.client.AddToBlacklist(t.Context(), w.acc, asked)
	require.NoError(t, err)
	require.Equal(t, 5, done.Done)
	require.Len(t, done.Refused, 2)
	requireCode(t, 49003, done.Refused[0].Err)
	requireCode(t, 40003, done.Refused[1].Err)
	got, _ := w.blacklist()
	require.Equal(t, fans, got)
	code, _ := w.raw("POST", simulator.PathBlacklistRemove, `{"openid_list":["`+fans[0]+`","nobody"]}`)
	require.Equal(t, 40003, code)
	got, _ = w.blacklist()
	require.Equal(t, fans, got, "all of a batch or nobody")
	for _, cursor := range []string{"nobody", asked[0], w.fans(1)[0]} {
		_, err = w.client.Blacklist(t.Context(), w.acc, cursor)
		requireCode(t, 40003, err)
	}
	_, err = w.client.AddToBlacklist(t.Context(), w.acc, []string{""})
	requireBadField(t, "openids[0]", "required", err)
}

func TestABusyBlacklistIsTriedAgainFromWhereItStopped(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(50)
	w.through(func(n int, _ *http.Request) *http.Response {
		if n == 3 {
			return saysJSON(`{"errcode":268487001,"errmsg":"busy"}`)
		}
		return nil
	})
	done, err := w.client.AddToBlacklist(t.Context(), w.acc, fans)
	requireCode(t, 268487001, err)
	require.Equal(t, wechat.ClassRetry, wechat.Classify(err))
	require.Equal(t, 40, done.Done)
	_, err = w.client.AddToBlacklist(t.Context(), w.acc, fans[done.Done:])
	require.NoError(t, err)
	got, _ := w.blacklist()
	require.Equal(t, fans, got)
}

func TestCallsAboutTheBlacklistAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", simulator.PathBlacklistGet, "", 43002},
		{"POST", simulator.PathBlacklistGet, `{"begin_openid":7}`, 47001},
		{"POST", simulator.PathBlacklistGet, `{"next_openid":""}`, 40097},
		{"POST", simulator.PathBlacklistGet, `{"begin_openid":"","x":1}`, 40097},
		{"POST", simulator.PathBlacklistGet, ``, 44002},
		{"GET", simulator.PathBlacklistAdd, "", 43002},
		{"POST", simulator.PathBlacklistAdd, `{}`, 40035},
		{"POST", simulator.PathBlacklistAdd, `{"openid_list":["o1"],"x":1}`, 40097},
		{"POST", simulator.PathBlacklistAdd, `{"openid_list":{}}`, 47001},
		{"POST", simulator.PathBlacklistRemove, `{"openid_list":null}`, 40032},
	} {
		code, body := w.raw(c.method, c.path, c.body)
		require.Equal(t, c.want, code, "%s %s %s: %s", c.method, c.path, c.body, body)
	}
}
