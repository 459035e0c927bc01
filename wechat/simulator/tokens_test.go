package simulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

func (w *world) classicToken() string {
	w.t.Helper()
	a := w.call("GET", simulator.PathToken+"?grant_type=client_credential&appid="+appID+"&secret="+secret, "")
	require.Zero(w.t, a.ErrCode, a.ErrMsg)
	require.Equal(w.t, 7200, a.ExpiresIn)
	return a.AccessToken
}

// with answers the errcode of a harmless call with a token.
func (w *world) with(token string) int {
	w.t.Helper()
	return w.call("GET", simulator.PathCallbackIP+"?access_token="+token, "").ErrCode
}

func TestStableTokenStaysUntilFiveMinutesBeforeItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	first := w.token
	w.clock.Advance(7200*time.Second - 5*time.Minute - time.Second)
	a := w.call("POST", simulator.PathStableToken,
		`{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`"}`)
	require.Equal(t, first, a.AccessToken)
	require.Equal(t, 301, a.ExpiresIn)
	w.clock.Advance(time.Second)
	second := w.stableToken(false)
	require.NotEqual(t, first, second)
	require.Zero(t, w.with(first), "both work for the last five minutes")
	require.Zero(t, w.with(second))
	w.clock.Advance(5 * time.Minute)
	require.Equal(t, 42001, w.with(first))
	require.Zero(t, w.with(second))
}

func TestClassicTokenSupersedesItsForerunnerAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	first := w.classicToken()
	second := w.classicToken()
	require.NotEqual(t, first, second)
	require.Zero(t, w.with(first))
	w.clock.Advance(5 * time.Minute)
	require.Equal(t, 40001, w.with(first))
	require.Zero(t, w.with(second))
	require.Zero(t, w.with(w.token), "the stable chain is untouched")
}

func TestForcedRefreshKillsAtOnceAndIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	first := w.token
	second := w.stableToken(true)
	require.Equal(t, 40001, w.with(first))
	w.clock.Advance(29 * time.Second)
	require.Equal(t, second, w.stableToken(true), "30 s apart")
	w.clock.Advance(time.Second)
	last := w.stableToken(true)
	require.NotEqual(t, second, last)
	for range 18 {
		w.clock.Advance(30 * time.Second)
		next := w.stableToken(true)
		require.NotEqual(t, last, next)
		last = next
	}
	w.clock.Advance(30 * time.Second)
	require.Equal(t, last, w.stableToken(true), "20 a day")
}

func TestSupersedeInMidRunAnswers40001(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	require.Zero(t, w.send(fan, "one"))
	require.NoError(t, w.sim.Supersede(appID))
	require.Equal(t, 40001, w.send(fan, "two"))
	w.token = w.stableToken(false)
	require.Zero(t, w.send(fan, "two"))
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		token string
		all   int
		want  int
	}{
		"missing":                 {"", 0, 41001},
		"garbage":                 {"abc", 0, 40014},
		"wrong letters":           {"81_" + strings.Repeat("!", 100), 0, 40014},
		"well-formed, never ours": {"81_" + strings.Repeat("x", 130), 0, 40001},
		"one code for all":        {"abc", 42001, 42001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{Switches: simulator.Switches{TokenCode: c.all}})
			require.Equal(t, c.want, w.with(c.token))
		})
	}
}

func TestTokenEndpointsRefuseBadCredentials(t *testing.T) {
	t.Parallel()
	const good = `"appid":"` + appID + `","secret":"` + secret + `"`
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"stable by GET":        {"GET", simulator.PathStableToken, "", 43002},
		"classic by POST":      {"POST", simulator.PathToken, "", 43001},
		"no appid":             {"POST", simulator.PathStableToken, `{"grant_type":"client_credential","secret":"x"}`, 41002},
		"no secret":            {"POST", simulator.PathStableToken, `{"grant_type":"client_credential","appid":"` + appID + `"}`, 41004},
		"bad grant type":       {"POST", simulator.PathStableToken, `{"grant_type":"x",` + good + `}`, 40002},
		"unknown appid":        {"POST", simulator.PathStableToken, `{"grant_type":"client_credential","appid":"wx9999999999999999","secret":"x"}`, 40013},
		"wrong secret":         {"POST", simulator.PathStableToken, `{"grant_type":"client_credential","appid":"` + appID + `","secret":"x"}`, 40125},
		"empty body":           {"POST", simulator.PathStableToken, "", 44002},
		"not JSON":             {"POST", simulator.PathStableToken, "{", 47001},
		"force as a string":    {"POST", simulator.PathStableToken, `{"grant_type":"client_credential",` + good + `,"force_refresh":"true"}`, 47001},
		"unknown field":        {"POST", simulator.PathStableToken, `{"grant_type":"client_credential",` + good + `,"x":1}`, 40097},
		"classic wrong secret": {"GET", simulator.PathToken + "?grant_type=client_credential&appid=" + appID + "&secret=x", "", 40125},
		"unknown path":         {"GET", "/cgi-bin/nothing", "", 40066},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{})
			a := w.call(c.method, c.path, c.body)
			require.Equal(t, c.want, a.ErrCode)
			require.Regexp(t, ` rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`, a.ErrMsg)
		})
	}
}
