package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAnswersAboutPersonsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	ctx, acc := t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}
	platform, client := cannedClient(`{"access_token":"ACCESS","expires_in":7200,"refresh_token":"REFRESH","openid":"OPENID",
		"scope":"snsapi_userinfo","is_snapshotuser":1,"unionid":"UNIONID"}`)
	token, err := client.ExchangeCode(ctx, acc, "CODE")
	require.NoError(t, err)
	require.Equal(t, "GET /sns/oauth2/access_token appid=wx1&code=CODE&grant_type=authorization_code&secret=s", platform.calls[0])
	want := wechat.PersonToken{
		AccessToken: "ACCESS", RefreshToken: "REFRESH", OpenID: "OPENID", UnionID: "UNIONID", Scope: wechat.ScopeUserInfo,
		Expires: time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC), Snapshot: true,
	}
	require.Equal(t, want, token)
	token, err = client.RefreshPersonToken(ctx, acc, "REFRESH")
	require.NoError(t, err)
	require.Equal(t, want, token)
	require.Equal(t, "GET /sns/oauth2/refresh_token appid=wx1&grant_type=refresh_token&refresh_token=REFRESH", platform.calls[1])

	platform, client = cannedClient(`{"openid":"OPENID","nickname":"NICKNAME","sex":0,"province":"","city":"","country":"",
		"headimgurl":"https://thirdwx.qlogo.cn/mmopen/46","privilege":["chinaunicom"],"unionid":"U"}`)
	person, err := client.PersonInfo(ctx, acc, token)
	require.NoError(t, err)
	require.Equal(t, wechat.Person{OpenID: "OPENID", UnionID: "U", Nickname: "NICKNAME", AvatarURL: "https://thirdwx.qlogo.cn/mmopen/46"}, person)
	require.Equal(t, []string{"GET /sns/userinfo lang=zh_CN&openid=OPENID"}, platform.calls)
	platform, client = cannedClient(`{"errcode":0,"errmsg":"ok"}`)
	require.NoError(t, client.CheckPersonToken(ctx, acc, token))
	require.Equal(t, []string{"GET /sns/auth openid=OPENID"}, platform.calls)
}

func TestAnAnswerWithoutATokenLeavesTheCodeInDoubt(t *testing.T) {
	t.Parallel()
	ctx, acc := t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}
	for _, answer := range []string{
		`{}`, `{"access_token":"A","expires_in":7200}`, `{"openid":"O","expires_in":7200}`, `{"access_token":"A","openid":"O"}`,
		`{"access_token":"A","openid":"O","expires_in":-1}`, `{"access_token":"A","openid":"O","expires_in":99999999}`,
		`{"errcode":-1,"errmsg":"system error"}`, `not JSON`,
	} {
		_, client := cannedClient(answer)
		_, err := client.ExchangeCode(ctx, acc, "C")
		requireLost(t, err)
		require.True(t, wechat.NeedsConsent(err), answer)
		_, err = client.RefreshPersonToken(ctx, acc, "R")
		requireLost(t, err)
		require.False(t, wechat.NeedsConsent(err), answer)
	}
	_, client := cannedClient(`{}`)
	token := wechat.PersonToken{AccessToken: "A", OpenID: "O"}
	_, err := client.PersonInfo(ctx, acc, token)
	requireLost(t, err)
	requireLost(t, client.CheckPersonToken(ctx, acc, token))
	require.False(t, wechat.NeedsConsent(nil))
	require.False(t, wechat.NeedsConsent(&wechat.Error{API: "/cgi-bin/x", Code: 42001}))
	require.False(t, wechat.NeedsConsent(&wechat.Error{API: "/sns/oauth2/access_token", Code: 40001}))
}

// TestSecretsOfOAuthAreInNoErrorText: they travel in the query.
func TestSecretsOfOAuthAreInNoErrorText(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1", Secret: "THE-SECRET", BaseURL: "http://127.0.0.1:1"}
	token := wechat.PersonToken{AccessToken: "THE-ACCESS", RefreshToken: "THE-REFRESH", OpenID: "O", Scope: wechat.ScopeBase}
	transport := wechat.NewTransport(1)
	t.Cleanup(transport.CloseIdleConnections)
	reset := transportFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	})
	hidden := func(text string) {
		t.Helper()
		for _, secret := range []string{"THE-SECRET", "THE-ACCESS", "THE-REFRESH", "THE-CODE"} {
			require.NotContains(t, text, secret)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), gone} {
		for _, through := range []http.RoundTripper{transport, reset} {
			client := wechat.New(wechat.Options{Transport: through})
			_, first := client.ExchangeCode(ctx, acc, "THE-CODE")
			_, second := client.RefreshPersonToken(ctx, acc, token.RefreshToken)
			_, third := client.PersonInfo(ctx, acc, token)
			for _, err := range []error{first, second, third, client.CheckPersonToken(ctx, acc, token), client.ClearBudgetsBySecret(ctx, acc)} {
				require.Error(t, err)
				var e *wechat.Error
				require.ErrorAs(t, err, &e)
				hidden(err.Error())
			}
		}
	}
	hidden(fmt.Sprintf("%v %+v %s", token, token, token))
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token)
	hidden(log.String())
	require.Contains(t, log.String(), "snsapi_base")
}

func TestCallsAboutPersonsAreReadStrictly(t *testing.T) {
	t.Parallel()
	d, _ := newOAuthDesk(t, nil)
	credentials := "appid=" + d.acc.AppID + "&secret=" + d.acc.Secret
	cases := []struct {
		method, path string
		want         int
	}{
		{"POST", "/sns/oauth2/access_token?" + credentials + "&code=x&grant_type=authorization_code", 43001},
		{"GET", "/sns/oauth2/access_token?" + credentials + "&code=x&grant_type=client_credential", 40002},
		{"GET", "/sns/oauth2/access_token?" + credentials + "&grant_type=authorization_code", 41008},
		{"GET", "/sns/oauth2/access_token?secret=x&code=x&grant_type=authorization_code", 41002},
		{"GET", "/sns/oauth2/access_token?appid=wx1&code=x&grant_type=authorization_code", 41004},
		{"GET", "/sns/oauth2/access_token?" + credentials + "&code=x&grant_type=authorization_code&x=1", 40097},
		{"GET", "/sns/oauth2/refresh_token?appid=" + d.acc.AppID + "&grant_type=x&refresh_token=x", 40002},
		{"GET", "/sns/oauth2/refresh_token?appid=" + d.acc.AppID + "&grant_type=refresh_token", 41003},
		{"GET", "/sns/oauth2/refresh_token?appid=wxnobody&grant_type=refresh_token&refresh_token=x", 40013},
		{"GET", "/sns/oauth2/refresh_token?grant_type=refresh_token&refresh_token=x", 41002},
		{"GET", "/sns/userinfo?openid=x", 41001},
		{"GET", "/sns/userinfo?access_token=x&openid=x&lang=xx&y=1", 40097},
		{"POST", "/sns/auth?openid=x", 43001},
		{"GET", "/sns/auth?access_token=x&openid=%zz", 40035},
	}
	for _, c := range cases {
		code, answer := d.bare(c.method, wechat.DefaultBaseURL+c.path, "")
		require.Equal(t, c.want, code, "%s: %s", c.path, answer)
	}
	token := d.consented(wechat.ScopeUserInfo)
	code, _ := d.bare("GET", wechat.DefaultBaseURL+"/sns/userinfo?access_token="+token.AccessToken, "")
	require.Equal(t, 41009, code)
	code, _ = d.bare("GET", wechat.DefaultBaseURL+"/sns/userinfo?access_token="+token.AccessToken+"&openid="+token.OpenID+"&lang=xx", "")
	require.Equal(t, 40035, code)
	require.NoError(t, d.sim.SetLimit(d.acc.AppID, simulator.PathPersonToken, simulator.Limit{PerMinute: 1}))
	d.clock.Advance(time.Minute)
	late := d.code(wechat.ScopeBase)
	d.consented(wechat.ScopeBase)
	_, err := d.client.ExchangeCode(t.Context(), d.acc, late)
	requireCode(t, 45011, err)
}

func TestAPersonLogsInOverARealConnection(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	server := httptest.NewServer(d.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	d.acc.BaseURL = server.URL
	d.client = wechat.New(wechat.Options{Transport: transport, Clock: d.clock})
	address, err := wechat.AuthorizeURL(d.acc, wechat.Authorize{Redirect: "https://m.example.com/", Scope: wechat.ScopeUserInfo, State: "S"})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(address, server.URL))
	browser := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(address)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusFound, resp.StatusCode)
	back, err := resp.Location()
	require.NoError(t, err)
	token, err := d.client.ExchangeCode(t.Context(), d.acc, back.Query().Get("code"))
	require.NoError(t, err)
	person, err := d.client.PersonInfo(t.Context(), d.acc, token)
	require.NoError(t, err)
	require.Equal(t, wechat.Person{OpenID: openid, Nickname: "雁南飞", AvatarURL: person.AvatarURL}, person)
}

func FuzzAuthorisationAddress(f *testing.F) {
	f.Add("https://m.example.com/x?a=b#c", "S1", true)
	f.Add("http://m.example.com:80/ %", "s", false)
	f.Add("https://u:p@m.example.com", "S", false)
	f.Fuzz(func(t *testing.T, redirect, state string, popup bool) {
		d, _ := newOAuthDesk(t, nil)
		address, err := wechat.AuthorizeURL(d.acc, wechat.Authorize{Redirect: redirect, Scope: wechat.ScopeBase, State: state, Popup: popup})
		if err != nil {
			require.True(t, fault.Is(errors.Unwrap(err), fault.Invalid) || len(fault.Fields(err)) > 0)
			return
		}
		back, page := d.visit(address)
		if back == nil {
			require.Contains(t, page, "错误码:10003")
			return
		}
		require.Equal(t, "m.example.com", back.Hostname())
		require.True(t, strings.HasSuffix(back.RawQuery, "&state="+state))
	})
}
