package wechat_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestTheAuthorisationPageHasTwoAddresses(t *testing.T) {
	t.Parallel()
	page := wechat.ComponentPage{Component: "wxc", PreAuthCode: "preauthcode@@@x", RedirectURL: "https://a.example/b?c=1&d=2"}
	query := "component_appid=wxc&pre_auth_code=preauthcode%40%40%40x&redirect_uri=https%3A%2F%2Fa.example%2Fb%3Fc%3D1%26d%3D2&auth_type="
	scan, err := page.Scan()
	require.NoError(t, err)
	require.Equal(t, "https://mp.weixin.qq.com/cgi-bin/componentloginpage?"+query+"1", scan)
	page.Type, page.AccountAppID = wechat.AuthAll, "wx1"
	phone, err := page.Phone()
	require.NoError(t, err)
	require.Equal(t, "https://open.weixin.qq.com/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&"+query+
		"6&biz_appid=wx1#wechat_redirect", phone)
	page.BaseURL = "http://127.0.0.1:9/"
	scan, err = page.Scan()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(scan, "http://127.0.0.1:9/cgi-bin/componentloginpage?"), scan)

	for _, c := range []struct {
		field, rule string
		change      func(*wechat.ComponentPage)
	}{
		{"component", "required", func(p *wechat.ComponentPage) { p.Component = "" }},
		{"pre_auth_code", "required", func(p *wechat.ComponentPage) { p.PreAuthCode = "" }},
		{"redirect_url", "shape", func(p *wechat.ComponentPage) { p.RedirectURL = "a.example" }},
		{"redirect_url", "shape", func(p *wechat.ComponentPage) { p.RedirectURL = "ftp://a.example" }},
		{"type", "range", func(p *wechat.ComponentPage) { p.Type = 7 }},
		{"type", "range", func(p *wechat.ComponentPage) { p.Type = -1 }},
	} {
		broken := page
		c.change(&broken)
		_, err := broken.Phone()
		requireBadField(t, c.field, c.rule, err)
	}
}

// page opens the authorisation page with some of its query changed.
func (w *componentWorld) page(query url.Values, changes ...string) string {
	w.t.Helper()
	changed := url.Values{}
	for name := range query {
		changed.Set(name, query.Get(name))
	}
	for i := 0; i < len(changes); i += 2 {
		changed.Set(changes[i], changes[i+1])
	}
	return w.raw(http.MethodGet, simulator.PathComponentLoginPage+"?"+changed.Encode(), "")
}

func (w *componentWorld) preAuth() url.Values {
	w.t.Helper()
	pre, err := w.client.CreatePreAuthCode(w.t.Context(), w.comp)
	require.NoError(w.t, err)
	return url.Values{
		"component_appid": {componentAppID}, "pre_auth_code": {pre.Code}, "redirect_uri": {componentBack}, "auth_type": {"1"},
	}
}

func TestTheAuthorisationPageRefusesWhatItWasNotMadeFor(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.ticket()
	good := w.preAuth()
	require.Contains(t, w.page(good), "<form")
	agreed := []string{"agree", "1", "authorizer_appid", authorisedAppID}
	for problem, changes := range map[string][]string{
		"no such component":      {"component_appid", "wxother0"},
		"unknown, used or":       {"pre_auth_code", "preauthcode@@@x"},
		"not an address":         {"redirect_uri", "javascript:alert(1)"},
		"domain hongyan.example": {"redirect_uri", "https://evil.example"},
		"between 1 and 6":        {"auth_type", "7"},
		"mini-programs":          {"auth_type", "2"},
		"only wx1 may":           {"biz_appid", "wx1"},
	} {
		require.Contains(t, w.page(good, append(changes, agreed...)...), problem)
	}
	require.Contains(t, w.page(good, "agree", "1", "authorizer_appid", "wxnobody"), "no account")
	require.NotContains(t, w.page(good, "biz_appid", `"><script>`), "<script>")
	require.Contains(t, w.raw(http.MethodPost, simulator.PathComponentLoginPage+"?"+good.Encode(), ""), "43001")
	require.Empty(t, w.named("authorized"))

	w.consent(simulator.PathComponentLoginPage+"?"+good.Encode(), "")
	require.Contains(t, w.page(good), "unknown, used or expired", "a pre_auth_code opens the page for one authorisation")
}

func TestAPreAuthCodeLastsAsLongAsItsAnswerSays(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{0: 1800 * time.Second, 600 * time.Second: 600 * time.Second} {
		w := newComponentWorld(t, simulator.Options{Switches: simulator.Switches{PreAuthCodeLife: simulator.Duration(life)}})
		w.ticket()
		start, good := w.clock.Now(), w.preAuth()
		w.clock.Set(start.Add(want - time.Millisecond))
		require.Contains(t, w.page(good), "<form")
		w.clock.Advance(time.Millisecond)
		require.Contains(t, w.page(good), "expired")
	}
}
