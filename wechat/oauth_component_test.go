package wechat_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// newComponentPages has an account that authorised a component, the component's registered
// host, and a person in front of the account's pages.
func newComponentPages(t *testing.T, sets ...int) (w *componentWorld, openid string) {
	t.Helper()
	w = newComponentWorld(t, simulator.Options{})
	require.NoError(t, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.WebDomains = []string{"m.example.com"} }))
	w.authorise(sets...)
	openid, err := w.sim.AddFan(authorisedAppID, simulator.NewFan{Nickname: "雁南飞"})
	require.NoError(t, err)
	require.NoError(t, w.sim.SetWebVisitor(authorisedAppID, simulator.WebVisitor{OpenID: openid}))
	return w, openid
}

// open opens the page that AuthorizeURL leads to and returns where it sends the browser, or the page.
func (w *componentWorld) open(acc wechat.Account, scope wechat.Scope) (back *url.URL, page string) {
	w.t.Helper()
	address, err := wechat.AuthorizeURL(acc, wechat.Authorize{Redirect: "https://m.example.com/back", Scope: scope, State: "S1"})
	require.NoError(w.t, err)
	d := &desk{t: w.t, sim: w.sim}
	return d.visit(address)
}

func (w *componentWorld) webCode(acc wechat.Account) string {
	w.t.Helper()
	back, page := w.open(acc, wechat.ScopeUserInfo)
	require.NotNil(w.t, back, page)
	return back.Query().Get("code")
}

func TestThePageOfAnAuthorisedAccountNamesTheComponentLast(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1", Component: &wechat.Component{AppID: "wxc"}}
	got, err := wechat.AuthorizeURL(acc, wechat.Authorize{Redirect: "https://m.example.com", Scope: wechat.ScopeBase, State: "S", Popup: true})
	require.NoError(t, err)
	require.Equal(t, "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fm.example.com&response_type=code"+
		"&scope=snsapi_base&state=S&forcePopup=true&component_appid=wxc#wechat_redirect", got)
}

func TestAComponentLearnsWhoOpensAnAccountsPageWithoutItsSecret(t *testing.T) {
	t.Parallel()
	w, openid := newComponentPages(t)
	back, page := w.open(w.acc, wechat.ScopeUserInfo)
	require.NotNil(t, back, page)
	require.Equal(t, "https://m.example.com/back?code="+back.Query().Get("code")+"&state=S1&appid="+authorisedAppID, back.String())
	token, err := w.client.ExchangeCode(t.Context(), w.acc, back.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, openid, token.OpenID)
	person, err := w.client.PersonInfo(t.Context(), w.acc, token)
	require.NoError(t, err)
	require.Equal(t, "雁南飞", person.Nickname)
	w.clock.Advance(3 * time.Hour)
	renewed, err := w.client.RefreshPersonToken(t.Context(), w.acc, token.RefreshToken)
	require.NoError(t, err)
	require.NotEqual(t, token.AccessToken, renewed.AccessToken)
	require.Zero(t, w.calls(simulator.PathPersonToken))
	require.Zero(t, w.calls(simulator.PathPersonRefresh))
}

func TestACodeBelongsToTheConnectionThatItsPageWasOpenedBy(t *testing.T) {
	t.Parallel()
	w, _ := newComponentPages(t)
	require.NoError(t, w.sim.SetWebDomains(authorisedAppID, "m.example.com"))
	manual := wechat.Account{ID: 7, AppID: authorisedAppID, Secret: "never-told"}
	_, err := w.client.ExchangeCode(t.Context(), manual, w.webCode(w.acc))
	requireCode(t, 40029, err)
	_, err = w.client.ExchangeCode(t.Context(), w.acc, w.webCode(manual))
	requireCode(t, 40029, err)
	require.True(t, wechat.NeedsConsent(err))

	code := w.webCode(w.acc)
	token, err := w.client.ExchangeCode(t.Context(), w.acc, code)
	require.NoError(t, err)
	_, err = w.client.ExchangeCode(t.Context(), w.acc, code)
	requireCode(t, 40163, err)
	_, err = w.client.RefreshPersonToken(t.Context(), manual, token.RefreshToken)
	requireCode(t, 40030, err)
	_, err = w.client.RefreshPersonToken(t.Context(), w.acc, token.RefreshToken)
	require.NoError(t, err)
	_, err = w.client.ExchangeCode(t.Context(), w.acc, "")
	requireBadField(t, "code", "required", err)
	_, err = w.client.ExchangeCode(t.Context(), wechat.Account{AppID: authorisedAppID, Component: &wechat.Component{AppID: "wxc"}}, "x")
	requireBadField(t, "component.secret", "required", err)
}

func TestPagesNeedTheComponentsHostAndThePermissionSetOfWebPages(t *testing.T) {
	t.Parallel()
	w, _ := newComponentPages(t, 1, 2)
	_, page := w.open(w.acc, wechat.ScopeBase)
	require.Contains(t, page, "错误码:61007")
	_, err := w.client.ExchangeCode(t.Context(), w.acc, "x")
	requireCode(t, 61007, err)
	w.authorise()
	_, page = w.open(w.acc, wechat.ScopeBase)
	require.Empty(t, page)
	require.NoError(t, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.WebDomains = nil }))
	_, page = w.open(w.acc, wechat.ScopeBase)
	require.Contains(t, page, "错误码:10003", "the account's own hosts do not count")
	stranger := w.acc
	stranger.Component = &wechat.Component{AppID: "wxnobody"}
	_, page = w.open(stranger, wechat.ScopeBase)
	require.Contains(t, page, "错误码:40013")
	_, err = w.sim.Withdraw(t.Context(), componentAppID, authorisedAppID)
	require.NoError(t, err)
	_, page = w.open(w.acc, wechat.ScopeBase)
	require.Contains(t, page, "错误码:61003")
	_, err = w.client.RefreshPersonToken(t.Context(), w.acc, "x")
	requireCode(t, 61003, err)
	require.False(t, wechat.NeedsConsent(err))
	require.Error(t, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.WebDomains = []string{"https://m.example.com"} }))
}

func TestARefusedTokenOfTheComponentIsReplacedAndIsNoMatterOfConsent(t *testing.T) {
	t.Parallel()
	w, _ := newComponentPages(t)
	code := w.webCode(w.acc)
	token, err := w.client.ComponentToken(t.Context(), w.comp)
	require.NoError(t, err)
	first := true
	client := wechat.New(wechat.Options{Clock: w.clock, Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == simulator.PathComponentPersonToken && first {
			first = false
			require.Equal(t, token, r.URL.Query().Get("component_access_token"))
			return saysJSON(`{"errcode":42001,"errmsg":"access_token expired"}`), nil
		}
		return w.sim.RoundTripper().RoundTrip(r)
	})})
	_, err = client.ExchangeCode(t.Context(), w.acc, code)
	require.NoError(t, err)

	refusing := wechat.New(wechat.Options{Clock: w.clock, Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == simulator.PathComponentPersonToken || r.URL.Path == simulator.PathComponentPersonRefresh {
			return saysJSON(`{"errcode":40001,"errmsg":"invalid credential"}`), nil
		}
		return w.sim.RoundTripper().RoundTrip(r)
	})})
	_, err = refusing.ExchangeCode(t.Context(), w.acc, code)
	require.False(t, wechat.NeedsConsent(err), "%v", err)
	_, err = refusing.RefreshPersonToken(t.Context(), w.acc, "R")
	require.False(t, wechat.NeedsConsent(err), "%v", err)
}

func TestCallsOfAComponentAboutPersonsAreReadStrictly(t *testing.T) {
	t.Parallel()
	w, _ := newComponentPages(t)
	token, err := w.client.ComponentToken(t.Context(), w.comp)
	require.NoError(t, err)
	account, err := w.client.Token(t.Context(), w.acc)
	require.NoError(t, err)
	good := url.Values{
		"appid": {authorisedAppID}, "code": {"x"}, "grant_type": {"authorization_code"}, "component_appid": {componentAppID}, "component_access_token": {token},
	}
	for code, change := range map[string]func(url.Values){
		"40029": func(url.Values) {},
		"41008": func(q url.Values) { q.Del("code") },
		"41002": func(q url.Values) { q.Del("appid") },
		"40013": func(q url.Values) { q.Set("component_appid", "wxother") },
		"40002": func(q url.Values) { q.Set("grant_type", "x") },
		"61003": func(q url.Values) { q.Set("appid", "wxother") },
		"61014": func(q url.Values) { q.Set("component_access_token", account) },
		"41001": func(q url.Values) { q.Del("component_access_token") },
		"40097": func(q url.Values) { q.Set("secret", "x") },
	} {
		q := url.Values{}
		maps.Copy(q, good)
		change(q)
		require.Contains(t, w.raw(http.MethodGet, simulator.PathComponentPersonToken+"?"+q.Encode(), ""), code)
	}
	require.Contains(t, w.raw(http.MethodPost, simulator.PathComponentPersonToken+"?"+good.Encode(), "{}"), "43001")
}
