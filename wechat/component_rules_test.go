package wechat_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func TestAnAuthorisationCodeIsGoodForTenMinutesOnceOrMoreOften(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		w := newComponentWorld(t, simulator.Options{Switches: simulator.Switches{AuthCodeOnce: once}})
		w.ticket()
		code, err := w.sim.Authorise(t.Context(), simulator.Authorisation{Component: componentAppID, AppID: authorisedAppID})
		require.NoError(t, err)
		_, err = w.client.QueryAuth(t.Context(), w.comp, code)
		require.NoError(t, err)
		w.clock.Advance(600*time.Second - time.Millisecond)
		_, err = w.client.QueryAuth(t.Context(), w.comp, code)
		if once {
			requireComponentCode(t, 61009, err)
		} else {
			require.NoError(t, err)
		}
		w.clock.Advance(time.Millisecond)
		_, err = w.client.QueryAuth(t.Context(), w.comp, code)
		requireComponentCode(t, 61010, err)
		_, err = w.client.QueryAuth(t.Context(), w.comp, "queryauthcode@@@x")
		requireComponentCode(t, 61009, err)
		_, err = w.client.QueryAuth(t.Context(), w.comp, "")
		requireBadField(t, "authorization_code", "required", err)
	}
}

func TestAnUpdateIsToldOnlyWhenThePermissionSetsChanged(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	require.Equal(t, []int{1, 7}, w.authorise(7, 1).Permissions)
	w.authorise(1, 7)
	require.Empty(t, w.named("updateauthorized"))
	require.Len(t, w.named("authorized"), 1)
	require.Equal(t, []int{1}, w.authorise(1).Permissions)
	updated := w.named("updateauthorized")
	require.Len(t, updated, 1)
	granted, ok := updated[0].Payload.(callback.ComponentGranted)
	require.True(t, ok)
	require.True(t, granted.Updated)
	require.Equal(t, authorisedAppID, granted.AccountAppID)
}

func TestAnAPIOutsideTheGrantedSetsIsRefused(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise(7)
	requireComponentCode(t, 61007, w.send(w.fan()))
	require.NoError(t, w.client.StartPushTicket(t.Context(), w.comp))
	token, err := w.client.Token(t.Context(), w.acc)
	require.NoError(t, err)
	for path, refused := range map[string]bool{
		"/cgi-bin/user/get": true, "/cgi-bin/tags/get": true, "/cgi-bin/menu/get": true,
		simulator.PathCallbackIP: false,
	} {
		answer := w.raw(http.MethodGet, path+"?access_token="+token, "")
		require.Equal(t, refused, strings.Contains(answer, "61007"), "%s: %s", path, answer)
	}
	w.authorise(1)
	require.NoError(t, w.send(w.fan()), "the token that is there may do what was granted since")
}

func TestOptionsNeedTheirSetAndTheirValues(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise(1, 2)
	get := func(o wechat.ComponentOption) (string, error) {
		return w.client.AuthorisedOption(t.Context(), w.comp, authorisedAppID, o)
	}
	set := func(o wechat.ComponentOption, value string) error {
		return w.client.SetAuthorisedOption(t.Context(), w.comp, authorisedAppID, wechat.OptionValue{Option: o, Value: value})
	}
	for option, last := range map[wechat.ComponentOption]string{wechat.OptionLocationReport: "2", wechat.OptionVoiceRecognize: "1"} {
		value, err := get(option)
		require.NoError(t, err)
		require.Equal(t, "0", value)
		require.NoError(t, set(option, last))
		value, err = get(option)
		require.NoError(t, err)
		require.Equal(t, last, value)
		requireBadField(t, "option_value", "unknown", set(option, "3"))
	}
	_, err := get(wechat.OptionCustomerService)
	requireComponentCode(t, 61007, err)
	requireComponentCode(t, 61007, set(wechat.OptionCustomerService, "1"))
	_, err = get("colour")
	requireBadField(t, "option_name", "unknown", err)
	requireBadField(t, "option_name", "unknown", set("colour", "1"))
	_, err = w.client.AuthorisedOption(t.Context(), w.comp, "", wechat.OptionVoiceRecognize)
	requireBadField(t, "appid", "required", err)

	account := `{"component_appid":"` + componentAppID + `","authorizer_appid":"` + authorisedAppID + `",`
	require.Contains(t, w.component(simulator.PathGetAuthorizerOption, account+`"option_name":"colour"}`), "61012")
	require.Contains(t, w.component(simulator.PathSetAuthorizerOption,
		account+`"option_name":"voice_recognize","option_value":"2"}`), "61013")
	require.Contains(t, w.component(simulator.PathGetAuthorizerOption,
		strings.Replace(account, authorisedAppID, "wxother", 1)+`"option_name":"voice_recognize"}`), "61003")
}

func TestAnAuthorisedAccountIsDescribed(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise(1, 15)
	info, err := w.client.AuthorisedAccount(t.Context(), w.comp, authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, wechat.ComponentGrant{AppID: authorisedAppID, Permissions: []int{1, 15}}, info.ComponentGrant)
	require.Equal(t, "gh_authorised", info.OriginalID)
	require.Equal(t, [2]int{2, 0}, [2]int{info.ServiceType, info.VerifyType})
	require.NotEmpty(t, info.Nickname)
	require.NoError(t, w.sim.UpdateAccount(authorisedAppID, func(a *simulator.Account) {
		a.Type, a.Verified = simulator.Subscription, false
	}))
	info, err = w.client.AuthorisedAccount(t.Context(), w.comp, authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, [2]int{0, -1}, [2]int{info.ServiceType, info.VerifyType})
}

func TestTheListOfAccountsHasPagesOfAtMostFiveHundred(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	for i := range 501 {
		appID := fmt.Sprintf("wxmore%04d", i)
		require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: appID, Secret: "s"}))
		_, err := w.sim.Authorise(t.Context(), simulator.Authorisation{Component: componentAppID, AppID: appID})
		require.NoError(t, err)
	}
	first, err := w.client.AuthorisedAccounts(t.Context(), w.comp, 0, wechat.MaxAuthorisedPage)
	require.NoError(t, err)
	require.Len(t, first.Accounts, 500)
	require.Equal(t, [2]int{502, 500}, [2]int{first.Total, first.Next})
	require.Equal(t, w.clock.Now(), first.Accounts[0].Since)
	last, err := w.client.AuthorisedAccounts(t.Context(), w.comp, first.Next, wechat.MaxAuthorisedPage)
	require.NoError(t, err)
	require.Len(t, last.Accounts, 2)
	require.Equal(t, "wxmore0500", last.Accounts[1].AppID)
	require.Zero(t, last.Next)
	empty, err := w.client.AuthorisedAccounts(t.Context(), w.comp, 502, 1)
	require.NoError(t, err)
	require.Empty(t, empty.Accounts)

	for count, offset := range map[int]int{0: 0, 501: 0, 1: -1} {
		_, err := w.client.AuthorisedAccounts(t.Context(), w.comp, offset, count)
		require.True(t, fault.Is(err, fault.Invalid), "%v", err)
	}
	require.Contains(t, w.component(simulator.PathAuthorizerList,
		`{"component_appid":"`+componentAppID+`","offset":0,"count":501}`), "40170")

	// An account far down the list is found there when its refresh token is lost.
	acc := wechat.Account{ID: 8, AppID: "wxmore0500", Component: w.comp}
	_, err = w.client.Token(t.Context(), acc)
	require.NoError(t, err)
	held, err := w.store.RefreshTokens(t.Context(), acc.AppID)
	require.NoError(t, err)
	require.Equal(t, last.Accounts[1].RefreshToken, held.Current)
}

func TestCallsOfAComponentAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	own := `{"component_appid":"` + componentAppID + `"`
	for body, code := range map[string]string{
		``:                               "44002",
		`[]`:                             "47001",
		`{}`:                             "40035",
		`{"component_appid":1}`:          "47001",
		`{"component_appid":""}`:         "40035",
		`{"component_appid":"wxother0"}`: "40013",
		own + `,"more":1}`:               "40097",
		own + `,"\u0061":1}`:             "47002",
	} {
		require.Contains(t, w.component(simulator.PathPreAuthCode, body), code, body)
	}
	for numbers, code := range map[string]string{
		`"offset":"0","count":1`: "47001", `"offset":0,"count":1.5`: "47001", `"offset":0`: "40035",
		`"offset":null,"count":1`: "47001", `"offset":-1,"count":1`: "40035", `"offset":0,"count":0`: "40035",
	} {
		require.Contains(t, w.component(simulator.PathAuthorizerList, own+","+numbers+"}"), code, numbers)
	}
	account, err := w.client.Token(t.Context(), w.acc)
	require.NoError(t, err)
	token, err := w.client.ComponentToken(t.Context(), w.comp)
	require.NoError(t, err)
	path := simulator.PathPreAuthCode + "?component_access_token="
	for _, c := range []struct{ method, path, code string }{
		{http.MethodPost, simulator.PathPreAuthCode, "41001"},
		{http.MethodGet, path + token, "43002"},
		{http.MethodPost, path + account, "61014"},
		{http.MethodPost, path + "x", "40014"},
		{http.MethodPost, path + "41_" + strings.Repeat("x", 136), "40001"},
		{http.MethodGet, simulator.PathComponentToken, "43002"},
		{http.MethodGet, simulator.PathCallbackIP + "?access_token=" + token, "40001"},
	} {
		require.Contains(t, w.raw(c.method, c.path, own+"}"), c.code, c.path)
	}
	require.Contains(t, w.raw(http.MethodPost, simulator.PathPreAuthCode+"?access_token="+token, own+"}"), "pre_auth_code",
		"newer pages name the parameter so")
	w.clock.Advance(2 * time.Hour)
	require.Contains(t, w.raw(http.MethodPost, path+token, own+"}"), "42006")
}

func TestAComponentWithWrongCredentialsOrAddressIsRefused(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.ticket()
	wrong := *w.comp
	wrong.Secret = "other"
	requireComponentCode(t, 40125, w.client.StartPushTicket(t.Context(), &wrong))
	_, err := w.client.ComponentToken(t.Context(), &wrong)
	requireComponentCode(t, 40125, err)
	require.Equal(t, wechat.ClassStopAccount, wechat.Classify(err))
	require.NotContains(t, err.Error(), "other")
	unknown := *w.comp
	unknown.AppID = "wxunknown0"
	requireComponentCode(t, 40013, w.client.StartPushTicket(t.Context(), &unknown))

	token, err := w.client.ComponentToken(t.Context(), w.comp)
	require.NoError(t, err)
	require.NoError(t, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.IPRefused = true }))
	requireComponentCode(t, 61004, w.client.StartPushTicket(t.Context(), w.comp))
	require.Contains(t, w.raw(http.MethodPost, simulator.PathPreAuthCode+"?component_access_token="+token, "{}"), "61004")
}

func TestMessagesOfAnAuthorisedAccountGoToTheComponent(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	require.NoError(t, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) {
		c.MessageURL = "https://hongyan.example/$APPID$/callback"
	}))
	fan := w.fan()
	say := func(text string) simulator.Push {
		t.Helper()
		p, err := w.sim.Text(t.Context(), fan, text)
		require.NoError(t, err)
		require.Equal(t, authorisedAppID, p.AppID)
		return p
	}
	require.Equal(t, simulator.OutcomeNotPushed, say("before").Outcome, "the account has no callback of its own")
	w.authorise(2)
	require.Equal(t, simulator.OutcomeNotPushed, say("without set 1").Outcome)
	w.authorise(1)
	require.Equal(t, simulator.OutcomeAcknowledged, say("hello").Outcome)
	require.Len(t, w.pushes, 1)
	path, body, _ := strings.Cut(w.pushes[0], " ")
	require.Equal(t, "/"+authorisedAppID+"/callback", path)
	e, err := callback.Parse([]byte(body))
	require.NoError(t, err)
	require.Equal(t, [3]string{"gh_authorised", fan, "hello"}, [3]string{e.ToUser, e.FromUser, e.Text()})
	_, err = w.sim.Withdraw(t.Context(), componentAppID, authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeNotPushed, say("after").Outcome)
}

func TestStoppedTicketsComeAgainWhenAskedFor(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	stopped := func(c *simulator.Component) { c.TicketsStopped = true }
	require.NoError(t, w.sim.UpdateComponent(componentAppID, stopped))
	stop, err := w.sim.RunTickets(componentAppID)
	require.NoError(t, err)
	defer stop()
	require.NoError(t, w.client.StartPushTicket(t.Context(), w.comp))
	require.NoError(t, w.sim.Wait(t.Context()))
	require.NotEmpty(t, w.named("component_verify_ticket"))
}

func TestComponentSettingsThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	good := simulator.Component{AppID: "wxsecond", Secret: "s"}
	bad := func(code fault.Code, err error) {
		t.Helper()
		require.Equal(t, code, fault.CodeOf(err), "%v", err)
	}
	change := func(fn func(*simulator.Component)) simulator.Component {
		c := good
		fn(&c)
		return c
	}
	bad(fault.Invalid, w.sim.AddComponent(change(func(c *simulator.Component) { c.AppID = "x" })))
	bad(fault.Invalid, w.sim.AddComponent(change(func(c *simulator.Component) { c.Secret = "" })))
	bad(fault.Invalid, w.sim.AddComponent(change(func(c *simulator.Component) {
		c.Callback = simulator.Callback{URL: "https://a", Token: "abc"}
	})))
	bad(fault.Conflict, w.sim.AddComponent(change(func(c *simulator.Component) { c.AppID = componentAppID })))
	bad(fault.Conflict, w.sim.AddComponent(change(func(c *simulator.Component) { c.AppID = authorisedAppID })))
	bad(fault.NotFound, w.sim.UpdateComponent("wxnobody", func(*simulator.Component) {}))
	bad(fault.Invalid, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.AppID = "wxother0" }))
	bad(fault.Invalid, w.sim.UpdateComponent(componentAppID, func(c *simulator.Component) { c.MessageURL = "ftp://a" }))
	_, err := w.sim.PushTicket(t.Context(), "wxnobody")
	bad(fault.NotFound, err)
	for _, c := range []struct {
		code fault.Code
		in   simulator.Authorisation
	}{
		{fault.NotFound, simulator.Authorisation{Component: "wxnobody", AppID: authorisedAppID}},
		{fault.NotFound, simulator.Authorisation{Component: componentAppID, AppID: "wxnobody"}},
		{fault.Invalid, simulator.Authorisation{Component: componentAppID, AppID: authorisedAppID, Permissions: []int{99}}},
		{fault.Conflict, simulator.Authorisation{Component: componentAppID, AppID: authorisedAppID, PreAuthCode: "x"}},
	} {
		_, err := w.sim.Authorise(t.Context(), c.in)
		bad(c.code, err)
	}
	_, err = w.sim.Withdraw(t.Context(), "wxnobody", authorisedAppID)
	bad(fault.NotFound, err)
}

func TestTheSameSeedInventsTheSameSecrets(t *testing.T) {
	t.Parallel()
	bodies := func(seed uint64) (out []string) {
		w := newComponentWorld(t, simulator.Options{Seed: seed})
		w.authorise()
		require.NoError(t, w.send(w.fan()))
		for _, c := range w.sim.Calls(simulator.Filter{}) {
			out = append(out, c.Body)
		}
		for _, p := range w.sim.Pushes("") {
			out = append(out, p.Body)
		}
		return out
	}
	first, second := bodies(5), bodies(5)
	require.Equal(t, first, second)
	require.NotEqual(t, first, bodies(6))
}
