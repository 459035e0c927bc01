package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// control makes a call of the control API.
func (w *world) control(method, path, body string, into any) int {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.sim.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body)))
	if into != nil {
		require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), into), "%s", rec.Body)
	}
	return rec.Code
}

func TestControlAPIActsAsAFanAndReadsWhatArrived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	require.Equal(t, 200, w.control("POST", "/_sim/accounts", `{"appid":"wxsecond","secret":"x","type":"subscription"}`, nil))
	var added struct{ OpenIDs []string }
	require.Equal(t, 200, w.control("POST", "/_sim/fans", `{"appid":"`+appID+`","count":2,"openids":["oMINE"]}`, &added))
	require.Len(t, added.OpenIDs, 3)
	require.Equal(t, "oMINE", added.OpenIDs[2])
	var push simulator.Push
	for _, act := range []string{
		`{"openid":"oMINE","kind":"follow","scene":"s1"}`, `{"openid":"oMINE","kind":"text","text":"hi"}`,
		`{"openid":"oMINE","kind":"click","key":"K"}`, `{"openid":"oMINE","kind":"tap","item_id":"1","text":"x"}`,
	} {
		require.Equal(t, 200, w.control("POST", "/_sim/act", act, &push))
		require.Equal(t, simulator.OutcomeNotPushed, push.Outcome)
	}
	require.Zero(t, w.send("oMINE", "hello"))
	var arrivals []simulator.Arrival
	require.Equal(t, 200, w.control("GET", "/_sim/arrivals?openid=oMINE", "", &arrivals))
	require.Equal(t, "hello", arrivals[0].Content)
	require.Equal(t, 200, w.control("POST", "/_sim/fan", `{"openid":"oMINE","blocked":true}`, nil))
	require.Equal(t, 48002, w.send("oMINE", "again"))
	var calls []simulator.Call
	require.Equal(t, 200, w.control("GET", "/_sim/calls?openid=oMINE&code=48002", "", &calls))
	require.Len(t, calls, 1)
	require.Equal(t, "again", calls[0].Content)
	require.False(t, calls[0].Accepted)
	var counts simulator.Counts
	require.Equal(t, 200, w.control("GET", "/_sim/counts", "", &counts))
	require.Equal(t, 1, counts.Send().Codes[48002])
	var fans []simulator.FanState
	require.Equal(t, 200, w.control("GET", "/_sim/fans?appid="+appID, "", &fans))
	require.Len(t, fans, 3)
	require.True(t, fans[2].Subscribed && fans[2].Blocked)
	var state simulator.FanState
	require.Equal(t, 200, w.control("GET", "/_sim/fans?openid=oMINE", "", &state))
	require.Equal(t, 1, state.Accepted)
	var none []simulator.Duplicate
	require.Equal(t, 200, w.control("GET", "/_sim/duplicates", "", &none))
	require.NotNil(t, none)
	require.Empty(t, none)
}

func TestControlAPIChangesThePlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	require.Equal(t, 200, w.control("POST", "/_sim/switches", `{"grants":"separate_latest","push_spacing":"2s"}`, nil))
	require.Equal(t, simulator.GrantsSeparateLatest, w.sim.Switches().Grants)
	require.Equal(t, 200, w.control("POST", "/_sim/faults", `{"path":"/cgi-bin/message/custom/send","faults":{"busy":1}}`, nil))
	require.Equal(t, -1, w.send(fan, "x"))
	var faults map[string]simulator.Faults
	require.Equal(t, 200, w.control("GET", "/_sim/faults", "", &faults))
	require.InDelta(t, 1, faults[simulator.PathSend].Busy, 0)
	require.Equal(t, 200, w.control("POST", "/_sim/faults", `{}`, nil))
	require.Equal(t, 200, w.control("POST", "/_sim/push-faults", `{"lose_answers":1,"share":0.5}`, nil))
	require.Equal(t, 200, w.control("POST", "/_sim/grant", `{"openid":"`+fan+`","trigger":"message"}`, nil))
	require.Zero(t, w.send(fan, "x"))
	require.Equal(t, 200, w.control("POST", "/_sim/limits",
		`{"appid":"`+appID+`","path":"/cgi-bin/message/custom/send","limit":{"daily":1}}`, nil))
	require.Equal(t, 45009, w.send(fan, "x"))
	require.Equal(t, 200, w.control("POST", "/_sim/session", `{"openid":"`+fan+`","do":"open","agent":"a@b"}`, nil))
	require.Equal(t, 200, w.control("POST", "/_sim/session", `{"openid":"`+fan+`","do":"say","text":"hi"}`, nil))
	require.Equal(t, 200, w.control("POST", "/_sim/session", `{"openid":"`+fan+`","do":"close"}`, nil))
	require.Equal(t, 200, w.control("POST", "/_sim/supersede", `{"appid":"`+appID+`"}`, nil))
	require.Equal(t, 40001, w.send(fan, "x"))
	require.Equal(t, 200, w.control("POST", "/_sim/clock", `{"advance":"90m"}`, nil))
	require.Equal(t, start.Add(5400e9), w.clock.Now())
	require.Equal(t, 200, w.control("POST", "/_sim/reset", ``, nil))
	require.Zero(t, w.sim.Counts().Send().Calls)
	require.Equal(t, 200, w.control("POST", "/_sim/callback",
		`{"appid":"`+appID+`","callback":{"url":"http://127.0.0.1:1/x","token":"abc"}}`, nil))
}

func TestControlAPIRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	for name, c := range map[string]struct {
		method, path, body string
		want               int
		code               string
	}{
		"unknown field":   {"POST", "/_sim/act", `{"openid":"x","kind":"text","colour":1}`, 400, "invalid"},
		"no JSON":         {"POST", "/_sim/act", ``, 400, "invalid"},
		"two values":      {"POST", "/_sim/supersede", `{"appid":"x"}{}`, 400, "invalid"},
		"unknown fan":     {"POST", "/_sim/act", `{"openid":"x","kind":"text","text":"x"}`, 404, "not_found"},
		"follows already": {"POST", "/_sim/act", fmt.Sprintf(`{"openid":%q,"kind":"follow"}`, fan), 409, "conflict"},
		"unknown act":     {"POST", "/_sim/act", fmt.Sprintf(`{"openid":%q,"kind":"fly"}`, fan), 400, "invalid"},
		"bad trigger":     {"POST", "/_sim/grant", fmt.Sprintf(`{"openid":%q,"trigger":"fly"}`, fan), 400, "invalid"},
		"bad session":     {"POST", "/_sim/session", fmt.Sprintf(`{"openid":%q,"do":"fly"}`, fan), 400, "invalid"},
		"bad duration":    {"POST", "/_sim/clock", `{"advance":5}`, 400, "invalid"},
		"bad code":        {"GET", "/_sim/calls?code=x", "", 400, "invalid"},
		"too many fans":   {"POST", "/_sim/fans", `{"appid":"` + appID + `","count":2000000}`, 400, "invalid"},
		"dead callback": {"POST", "/_sim/callback",
			`{"appid":"` + appID + `","check":true,"callback":{"url":"http://127.0.0.1:1/x","token":"abc"}}`, 503, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out struct{ Code, Message string }
			require.Equal(t, c.want, w.control(c.method, c.path, c.body, &out))
			require.Equal(t, c.code, out.Code)
			require.NotEmpty(t, out.Message)
		})
	}
	require.Equal(t, http.StatusNotFound, w.control("GET", "/_sim/nothing", "", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.control("GET", "/_sim/act", "", nil))
}
