package wechat_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// visit opens the page that AuthorizeURL leads to and returns where it sends the browser,
// or the page.
func (d *desk) visit(address string) (back *url.URL, page string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(d.t, err)
	resp, err := d.sim.RoundTripper().RoundTrip(req)
	require.NoError(d.t, err)
	var out strings.Builder
	require.NoError(d.t, resp.Write(&out))
	require.NoError(d.t, resp.Body.Close())
	if resp.StatusCode != http.StatusFound {
		require.Equal(d.t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		return nil, out.String()
	}
	back, err = url.Parse(resp.Header.Get("Location"))
	require.NoError(d.t, err)
	return back, ""
}

// consented is the token of a person who was sent to the page and came back.
func (d *desk) consented(scope wechat.Scope) wechat.PersonToken {
	d.t.Helper()
	token, err := d.client.ExchangeCode(d.t.Context(), d.acc, d.code(scope))
	require.NoError(d.t, err)
	return token
}

func (d *desk) code(scope wechat.Scope) string {
	d.t.Helper()
	address, err := wechat.AuthorizeURL(d.acc, wechat.Authorize{Redirect: "https://m.example.com/back?a=1&b=%E9%9B%81#top", Scope: scope, State: "S1"})
	require.NoError(d.t, err)
	back, page := d.visit(address)
	require.NotNil(d.t, back, page)
	code := back.Query().Get("code")
	require.NotEmpty(d.t, code)
	require.Equal(d.t, "https://m.example.com/back?a=1&b=%E9%9B%81&code="+code+"&state=S1#top", back.String())
	return code
}

// newOAuthDesk has a registered host and a person in front of the pages.
func newOAuthDesk(t *testing.T, change func(*simulator.Account)) (d *desk, openid string) {
	t.Helper()
	d = newDesk(t, change)
	require.NoError(t, d.sim.SetWebDomains(d.acc.AppID, "m.example.com"))
	openid, err := d.sim.AddFan(d.acc.AppID, simulator.NewFan{Nickname: "雁南飞"}) // no fan, a stranger
	require.NoError(t, err)
	require.NoError(t, d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{OpenID: openid}))
	return d, openid
}

func TestTheAuthorisationAddressIsAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx520c15f417810387"}
	in := wechat.Authorize{Redirect: "https://chong.qq.com/php/index.php?d=&c=wxAdapter&mid=1", Scope: wechat.ScopeBase, State: "123"}
	const query = "/connect/oauth2/authorize?appid=wx520c15f417810387&redirect_uri=https%3A%2F%2Fchong.qq.com%2Fphp%2Findex.php%3Fd%3D%26c%3DwxAdapter%26mid%3D1" +
		"&response_type=code&scope=snsapi_base&state=123"
	for base, host := range map[string]string{
		"":                             "https://open.weixin.qq.com",
		"https://api.weixin.qq.com":    "https://open.weixin.qq.com",
		"https://sh.api.weixin.qq.com": "https://open.weixin.qq.com",
		"http://127.0.0.1:9000/":       "http://127.0.0.1:9000",
	} {
		acc.BaseURL = base
		got, err := wechat.AuthorizeURL(acc, in)
		require.NoError(t, err)
		require.Equal(t, host+query+"#wechat_redirect", got)
	}
	in.Popup = true
	got, err := wechat.AuthorizeURL(acc, in)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(got, "&state=123&forcePopup=true#wechat_redirect"), got)
}

func TestAStateHas1To128LettersAndDigits(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1"}
	good := wechat.Authorize{Redirect: "https://m.example.com", Scope: wechat.ScopeUserInfo, State: strings.Repeat("a", 128)}
	_, err := wechat.AuthorizeURL(acc, good)
	require.NoError(t, err)
	for _, state := range []string{"", strings.Repeat("a", 129), "a-b", "雁", "a b"} {
		bad := good
		bad.State = state
		_, err := wechat.AuthorizeURL(acc, bad)
		requireBadField(t, "state", "state", err)
	}
	for _, redirect := range []string{"", "/back", "ftp://m.example.com", "https://", "m.example.com", ":"} {
		bad := good
		bad.Redirect = redirect
		_, err := wechat.AuthorizeURL(acc, bad)
		requireBadField(t, "redirect_uri", "address", err)
	}
	bad := good
	bad.Scope = "snsapi_login"
	_, err = wechat.AuthorizeURL(acc, bad)
	requireBadField(t, "scope", "unknown", err)
	_, err = wechat.AuthorizeURL(wechat.Account{}, good)
	requireBadField(t, "appid", "required", err)
	_, err = wechat.AuthorizeURL(wechat.Account{AppID: "wx1", BaseURL: "localhost"}, good)
	requireBadField(t, "base_url", "address", err)
}

func TestAPersonComesBackWithACode(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	ctx := t.Context()
	base := d.consented(wechat.ScopeBase)
	require.Equal(t, openid, base.OpenID)
	require.Equal(t, wechat.ScopeBase, base.Scope)
	require.Equal(t, d.clock.Now().Add(2*time.Hour), base.Expires)
	require.NoError(t, d.client.CheckPersonToken(ctx, d.acc, base))
	_, err := d.client.PersonInfo(ctx, d.acc, base)
	requireCode(t, 48001, err)

	info := d.consented(wechat.ScopeUserInfo)
	require.Empty(t, info.UnionID)
	person, err := d.client.PersonInfo(ctx, d.acc, info)
	require.NoError(t, err)
	require.Equal(t, openid, person.OpenID)
	require.Equal(t, "雁南飞", person.Nickname)
	require.Contains(t, person.AvatarURL, "https://")

	require.NoError(t, d.sim.BindOpenPlatform(d.acc.AppID, true))
	info = d.consented(wechat.ScopeUserInfo)
	person, err = d.client.PersonInfo(ctx, d.acc, info)
	require.NoError(t, err)
	require.NotEmpty(t, info.UnionID)
	require.Equal(t, info.UnionID, person.UnionID)
	require.Empty(t, d.consented(wechat.ScopeBase).UnionID)
}

func TestACodeLivesFiveMinutesAndWorksOnce(t *testing.T) {
	t.Parallel()
	d, _ := newOAuthDesk(t, nil)
	ctx := t.Context()
	used := d.code(wechat.ScopeBase)
	d.clock.Advance(5*time.Minute - time.Millisecond)
	_, err := d.client.ExchangeCode(ctx, d.acc, used)
	require.NoError(t, err)
	_, err = d.client.ExchangeCode(ctx, d.acc, used)
	requireCode(t, 40163, err)
	require.True(t, wechat.NeedsConsent(err))
	late := d.code(wechat.ScopeBase)
	d.clock.Advance(5 * time.Minute)
	_, err = d.client.ExchangeCode(ctx, d.acc, late)
	requireCode(t, 40029, err)
	require.True(t, wechat.NeedsConsent(err))
	_, err = d.client.ExchangeCode(ctx, d.acc, "invented")
	requireCode(t, 40029, err)
	_, err = d.client.ExchangeCode(ctx, d.acc, "")
	requireBadField(t, "code", "required", err)

	other := d.acc
	other.Secret = "wrong"
	_, err = d.client.ExchangeCode(ctx, other, d.code(wechat.ScopeBase))
	requireCode(t, 40125, err)
	require.False(t, wechat.NeedsConsent(err))
	other.AppID = "wxnobody"
	_, err = d.client.ExchangeCode(ctx, other, "x")
	requireCode(t, 40013, err)
	other.Secret = ""
	_, err = d.client.ExchangeCode(ctx, other, "x")
	requireBadField(t, "secret", "required", err)
}

func TestACodeOfAnotherAccountIsUnknown(t *testing.T) {
	t.Parallel()
	d, _ := newOAuthDesk(t, nil)
	require.NoError(t, d.sim.AddAccount(simulator.Account{AppID: "wxother", Secret: "x", Verified: true}))
	other := wechat.Account{AppID: "wxother", Secret: "x"}
	_, err := d.client.ExchangeCode(t.Context(), other, d.code(wechat.ScopeBase))
	requireCode(t, 40029, err)
	token := d.consented(wechat.ScopeBase)
	_, err = d.client.RefreshPersonToken(t.Context(), other, token.RefreshToken)
	requireCode(t, 40030, err)
}

func TestAPersonsTokenIsRenewedFor30Days(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	ctx := t.Context()
	first := d.consented(wechat.ScopeUserInfo)
	d.clock.Advance(time.Hour)
	second, err := d.client.RefreshPersonToken(ctx, d.acc, first.RefreshToken)
	require.NoError(t, err)
	require.Equal(t, first.AccessToken, second.AccessToken) // still good: it lives longer
	require.Equal(t, d.clock.Now().Add(2*time.Hour), second.Expires)
	require.Equal(t, openid, second.OpenID)
	d.clock.Advance(2 * time.Hour)
	_, err = d.client.PersonInfo(ctx, d.acc, second)
	requireCode(t, 42001, err)
	require.True(t, wechat.NeedsConsent(err))
	third, err := d.client.RefreshPersonToken(ctx, d.acc, first.RefreshToken)
	require.NoError(t, err)
	require.NotEqual(t, first.AccessToken, third.AccessToken)
	require.NoError(t, d.client.CheckPersonToken(ctx, d.acc, third))
	requireCode(t, 40001, d.client.CheckPersonToken(ctx, d.acc, first))

	d.clock.Advance(30*24*time.Hour - 3*time.Hour)
	_, err = d.client.RefreshPersonToken(ctx, d.acc, first.RefreshToken)
	requireCode(t, 42002, err)
	require.True(t, wechat.NeedsConsent(err))
	_, err = d.client.RefreshPersonToken(ctx, d.acc, "x")
	requireCode(t, 40030, err)
	_, err = d.client.RefreshPersonToken(ctx, d.acc, "")
	requireBadField(t, "refresh_token", "required", err)
}

func TestAPersonsTokenIsForThatPerson(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	ctx := t.Context()
	token := d.consented(wechat.ScopeUserInfo)
	wrong := token
	wrong.OpenID = "somebody"
	_, err := d.client.PersonInfo(ctx, d.acc, wrong)
	requireCode(t, 40003, err)
	wrong = token
	wrong.AccessToken = "garbage"
	_, err = d.client.PersonInfo(ctx, d.acc, wrong)
	requireCode(t, 40014, err)
	require.True(t, wechat.NeedsConsent(err))
	wrong.AccessToken, err = d.client.Token(ctx, d.acc)
	require.NoError(t, err)
	_, err = d.client.PersonInfo(ctx, d.acc, wrong) // the account's token is none of a person
	requireCode(t, 40001, err)
	require.True(t, wechat.NeedsConsent(err))
	require.NoError(t, d.sim.EndConsents(openid))
	_, err = d.client.PersonInfo(ctx, d.acc, token)
	requireCode(t, 42007, err)
	_, err = d.client.RefreshPersonToken(ctx, d.acc, token.RefreshToken)
	requireCode(t, 42007, err)
	require.True(t, wechat.NeedsConsent(err))
	require.Error(t, d.sim.EndConsents("nobody"))
	_, err = d.client.PersonInfo(ctx, d.acc, wechat.PersonToken{OpenID: openid})
	requireBadField(t, "access_token", "required", err)
	requireBadField(t, "openid", "required", d.client.CheckPersonToken(ctx, d.acc, wechat.PersonToken{AccessToken: "x"}))
	require.False(t, wechat.NeedsConsent(err))
}

func TestAPersonMayRefuseOrSeeASnapshotOnly(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	require.NoError(t, d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{OpenID: openid, Refuses: true}))
	address, err := wechat.AuthorizeURL(d.acc, wechat.Authorize{Redirect: "http://m.example.com/", Scope: wechat.ScopeUserInfo, State: "S"})
	require.NoError(t, err)
	back, page := d.visit(address)
	require.NotNil(t, back, page)
	require.Equal(t, "http://m.example.com/?state=S", back.String())
	require.Equal(t, openid, d.consented(wechat.ScopeBase).OpenID) // nobody is asked

	require.NoError(t, d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{OpenID: openid, Snapshot: true}))
	token := d.consented(wechat.ScopeUserInfo)
	require.True(t, token.Snapshot)
	require.NotEqual(t, openid, token.OpenID)
	person, err := d.client.PersonInfo(t.Context(), d.acc, token)
	require.NoError(t, err)
	require.NotEqual(t, "雁南飞", person.Nickname)
	require.False(t, d.consented(wechat.ScopeBase).Snapshot)
}

func TestThePageShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	d, openid := newOAuthDesk(t, nil)
	good, err := wechat.AuthorizeURL(d.acc, wechat.Authorize{Redirect: "https://m.example.com:8443/x", Scope: wechat.ScopeBase, State: "S"})
	require.NoError(t, err)
	back, page := d.visit(good)
	require.NotNil(t, back, page)
	cases := []struct {
		name, address string
		code          int
	}{
		{"another host", strings.Replace(good, "m.example.com", "m.example.org", 1), 10003},
		{"a host below", strings.Replace(good, "m.example.com", "x.m.example.com", 1), 10003},
		{"unknown scope", strings.Replace(good, "snsapi_base", "snsapi_login", 1), 10005},
		{"unknown appid", strings.Replace(good, d.acc.AppID, "wxnobody", 1), 40013},
		{"no appid", strings.Replace(good, d.acc.AppID, "", 1), 41002},
		{"another order", strings.Replace(strings.Replace(good, "&scope=snsapi_base", "", 1), "?", "?scope=snsapi_base&", 1), 40035},
		{"unknown parameter", strings.Replace(good, "#", "&x=1#", 1), 40035},
		{"bad state", strings.Replace(good, "state=S", "state=a-b", 1), 40035},
		{"other kind", strings.Replace(good, "=code", "=token", 1), 40035},
		{"no redirect", strings.Replace(good, "https%3A%2F%2Fm.example.com%3A8443%2Fx", "", 1), 40035},
	}
	for _, c := range cases {
		back, page := d.visit(c.address)
		require.Nil(t, back, c.name)
		require.Contains(t, page, fmt.Sprintf("错误码:%d", c.code), c.name)
	}
	require.NoError(t, d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{}))
	_, page = d.visit(good)
	require.Contains(t, page, "请在微信客户端打开链接")
	require.True(t, fault.Is(d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{OpenID: "nobody"}), fault.NotFound))
	require.True(t, fault.Is(d.sim.SetWebDomains(d.acc.AppID, "https://m.example.com"), fault.Invalid))
	require.NoError(t, d.sim.SetWebVisitor(d.acc.AppID, simulator.WebVisitor{OpenID: openid}))
	for _, change := range []func(*simulator.Account){
		func(a *simulator.Account) { a.Verified = false },
		func(a *simulator.Account) { a.Verified, a.Type = true, simulator.Subscription },
	} {
		require.NoError(t, d.sim.UpdateAccount(d.acc.AppID, change))
		_, page = d.visit(good)
		require.Contains(t, page, "错误码:10005") // only a verified service account may
	}
}
