package wechat_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestCallsOfDiagnosisLookAsDocumented(t *testing.T) {
	t.Parallel()
	ctx, acc := t.Context(), wechat.Account{AppID: "wx448f04719cd48f69", Secret: "a+b"}
	platform, client := cannedClient(`{"errcode":0,"errmsg":"ok","quota":{"daily_limit":10,"used":3,"remain":7},
		"rate_limit":{"call_count":1000,"refresh_second":60},"component_rate_limit":{"call_count":1,"refresh_second":60}}`)
	budget, err := client.Budget(ctx, acc, "/cgi-bin/message/custom/send")
	require.NoError(t, err)
	require.Equal(t, wechat.Budget{Daily: 10, Used: 3, Remain: 7, PerWindow: 1000, Window: time.Minute}, budget)
	require.Equal(t, []string{`POST /cgi-bin/openapi/quota/get  {"cgi_path":"/cgi-bin/message/custom/send"}`}, platform.calls)

	platform, client = cannedClient(`{"errcode":0,"errmsg":"ok"}`)
	require.NoError(t, client.ClearBudget(ctx, acc, "/cgi-bin/message/custom/send"))
	require.NoError(t, client.ClearBudgets(ctx, acc))
	require.NoError(t, client.ClearBudgetsBySecret(ctx, acc))
	require.Equal(t, []string{
		`POST /cgi-bin/openapi/quota/clear  {"cgi_path":"/cgi-bin/message/custom/send"}`,
		`POST /cgi-bin/clear_quota  {"appid":"wx448f04719cd48f69"}`,
		`POST /cgi-bin/clear_quota/v2  appid=wx448f04719cd48f69&appsecret=a%2Bb`,
	}, platform.calls)

	platform, client = cannedClient(`{"errcode":0,"errmsg":"ok","request":{"invoke_time":1635156704,"cost_in_ms":30,
		"request_url":"access_token=50_Im7xxxx","request_body":"","response_body":"{\"errcode\":45009}","client_ip":"113.0.70.51"}}`)
	request, err := client.RequestByID(ctx, acc, "61725984-6126f6f9-040f19c4")
	require.NoError(t, err)
	require.Equal(t, wechat.Request{
		At: time.Unix(1635156704, 0).UTC(), Cost: 30 * time.Millisecond, URL: "access_token=50_Im7xxxx",
		Answer: `{"errcode":45009}`, ClientIP: "113.0.70.51",
	}, request)
	require.Equal(t, []string{`POST /cgi-bin/openapi/rid/get  {"rid":"61725984-6126f6f9-040f19c4"}`}, platform.calls)

	platform, client = cannedClient(`{"ip_list":["127.0.0.1","101.226.103.0/25"]}`)
	for _, list := range [](func() ([]string, error)){
		func() ([]string, error) { return client.CallbackIPs(ctx, acc) },
		func() ([]string, error) { return client.APIDomainIPs(ctx, acc) },
	} {
		ips, err := list()
		require.NoError(t, err)
		require.Equal(t, []string{"127.0.0.1", "101.226.103.0/25"}, ips)
	}
	require.Equal(t, []string{"GET /cgi-bin/getcallbackip", "GET /cgi-bin/get_api_domain_ip"}, platform.calls)

	platform, client = cannedClient(`{"dns":[{"ip":"111.161.64.40","real_operator":"UNICOM"}],
		"ping":[{"ip":"111.161.64.40","from_operator":"UNICOM","package_loss":"0%","time":"23.079ms"}]}`)
	check, err := client.CheckCallback(ctx, acc, wechat.CheckAll, wechat.OperatorDefault)
	require.NoError(t, err)
	require.Equal(t, wechat.CallbackCheck{
		DNS:  []wechat.ResolvedIP{{IP: "111.161.64.40", Operator: "UNICOM"}},
		Ping: []wechat.PingedIP{{IP: "111.161.64.40", Operator: "UNICOM", Loss: "0%", Time: "23.079ms"}},
	}, check)
	require.Equal(t, []string{`POST /cgi-bin/callback/check  {"action":"all","check_operator":"DEFAULT"}`}, platform.calls)
}

func TestAnEmptyAnswerOfDiagnosisIsNotBelieved(t *testing.T) {
	t.Parallel()
	ctx, acc := t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}
	_, client := cannedClient(`{}`)
	for i, do := range []func() error{
		func() error { _, err := client.Budget(ctx, acc, "/cgi-bin/x"); return err },
		func() error { return client.ClearBudget(ctx, acc, "/cgi-bin/x") },
		func() error { return client.ClearBudgets(ctx, acc) },
		func() error { return client.ClearBudgetsBySecret(ctx, acc) },
		func() error { _, err := client.RequestByID(ctx, acc, "a-b"); return err },
		func() error { _, err := client.CallbackIPs(ctx, acc); return err },
	} {
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(do()), i)
	}
}

func TestABudgetIsNamedByThePathOfItsAPI(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	for path, rule := range map[string]string{
		"": "path", "cgi-bin/user/get": "path", "https://api.weixin.qq.com/cgi-bin/user/get": "path",
		"//api.weixin.qq.com/cgi-bin/user/get": "path", "/cgi-bin/user/get?x=1": "path", "/sns/userinfo": "no_budget",
	} {
		_, err := d.client.Budget(ctx, d.acc, path)
		requireBadField(t, "cgi_path", rule, err)
		requireBadField(t, "cgi_path", rule, d.client.ClearBudget(ctx, d.acc, path))
	}
	_, err := d.client.Budget(ctx, d.acc, "/cgi-bin/none")
	requireCode(t, 76021, err)
	requireCode(t, 76021, d.client.ClearBudget(ctx, d.acc, "/cgi-bin/none"))
	for body, want := range map[string]int{
		`{"cgi_path":"/sns/userinfo"}`: 76022, `{"cgi_path":"cgi-bin/user/get"}`: 76021, `{}`: 40035, `{"cgi_path":1}`: 47001,
		`{"cgi_path":"/cgi-bin/user/get","x":1}`: 40097,
	} {
		for _, path := range []string{simulator.PathQuotaGet, simulator.PathQuotaClear} {
			code, answer := d.raw(http.MethodPost, path, body)
			require.Equal(t, want, code, "%s: %s", body, answer)
		}
	}
}

// spend uses the day's budget of sends up and returns a function that tries one more.
func (d *desk) spend() func() error {
	d.t.Helper()
	fan := d.fans(1)[0]
	require.NoError(d.t, d.sim.SetLimit(d.acc.AppID, simulator.PathSend, simulator.Limit{Daily: 1}))
	more := func() error {
		_, err := d.sim.Text(d.t.Context(), fan, "hi")
		require.NoError(d.t, err)
		return d.client.SendKefu(d.t.Context(), d.acc, fan, wechat.TextMessage("x"))
	}
	require.NoError(d.t, more())
	requireCode(d.t, 45009, more())
	return more
}

func TestAllBudgetsAreSetBackTenTimesAMonth(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	more := d.spend()
	for i := range 10 {
		setBack := d.client.ClearBudgets
		if i%2 == 0 {
			setBack = d.client.ClearBudgetsBySecret // from the same ten
		}
		require.NoError(t, setBack(ctx, d.acc))
		require.NoError(t, more())
		requireCode(t, 45009, more())
	}
	requireCode(t, 48006, d.client.ClearBudgets(ctx, d.acc))
	requireCode(t, 48006, d.client.ClearBudgetsBySecret(ctx, d.acc))
	d.clock.Set(time.Date(2026, 3, 31, 15, 59, 59, 0, time.UTC))
	requireCode(t, 48006, d.client.ClearBudgets(ctx, d.acc))
	d.clock.Advance(time.Second) // the month begins in Beijing
	require.NoError(t, d.client.ClearBudgets(ctx, d.acc))
}

func TestOneBudgetIsSetBackFiftyTimesAMonth(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	more := d.spend()
	budget, err := d.client.Budget(ctx, d.acc, simulator.PathSend)
	require.NoError(t, err)
	require.Equal(t, wechat.Budget{Daily: 1, Used: 1}, budget)
	for range 50 {
		require.NoError(t, d.client.ClearBudget(ctx, d.acc, simulator.PathSend))
	}
	requireCode(t, 48006, d.client.ClearBudget(ctx, d.acc, simulator.PathSend))
	require.NoError(t, more())
	budget, err = d.client.Budget(ctx, d.acc, simulator.PathQuotaClear)
	require.NoError(t, err)
	require.Equal(t, 52-1, budget.Used, "only one API's count was set back") // 50 done, one refused
	require.NoError(t, d.client.ClearBudgets(ctx, d.acc))                    // that pool is another
}

func TestClearingBySecretWantsTheSecret(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	acc := d.acc
	acc.Secret = "wrong"
	requireCode(t, 40125, d.client.ClearBudgetsBySecret(ctx, acc))
	acc.AppID = "wxnobody"
	requireCode(t, 40013, d.client.ClearBudgetsBySecret(ctx, acc))
	acc.Secret = ""
	requireBadField(t, "secret", "required", d.client.ClearBudgetsBySecret(ctx, acc))
	const path = wechat.DefaultBaseURL + simulator.PathClearBySecret
	for query, want := range map[string]int{
		"?appid=" + d.acc.AppID + "&appsecret=" + d.acc.Secret: 0, "?appid=" + d.acc.AppID: 41004, "": 41002, "?appid=%zz": 40035,
	} {
		code, answer := d.bare(http.MethodPost, path+query, "")
		require.Equal(t, want, code, answer)
	}
	code, _ := d.bare(http.MethodGet, path, "")
	require.Equal(t, 43002, code)
}

func TestARequestIDTellsOfTheCallThatWasRefused(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	at := d.clock.Now()
	err := d.client.SendKefu(ctx, d.acc, "nobody", wechat.TextMessage("hello"))
	requireCode(t, 40003, err)
	var refused *wechat.Error
	require.ErrorAs(t, err, &refused)
	d.clock.Advance(time.Hour)
	request, err := d.client.RequestByID(ctx, d.acc, refused.RID)
	require.NoError(t, err)
	require.Equal(t, at, request.At)
	require.Contains(t, request.Body, `"touser":"nobody"`)
	require.Contains(t, request.Answer, refused.RID)
	require.Contains(t, request.Answer, `"errcode":40003`)
	require.Contains(t, request.URL, simulator.PathSend)
	require.Positive(t, request.Cost)

	_, err = d.client.RequestByID(ctx, d.acc, "61725984-6126f6f9-040f19c4")
	requireCode(t, 76001, err)
	_, err = d.client.RequestByID(ctx, d.acc, "a-b")
	requireCode(t, 76002, err)
	for _, bad := range []string{"", "a b", "a-", "rid: a"} {
		_, err = d.client.RequestByID(ctx, d.acc, bad)
		requireBadField(t, "rid", "rid", err)
	}
	require.NoError(t, d.sim.AddAccount(simulator.Account{AppID: "wxother", Secret: "x", Verified: true}))
	_, err = d.client.RequestByID(ctx, wechat.Account{ID: 9, AppID: "wxother", Secret: "x"}, refused.RID)
	requireCode(t, 76003, err)
	d.clock.Advance(7*24*time.Hour - time.Hour)
	_, err = d.client.RequestByID(ctx, d.acc, refused.RID)
	require.NoError(t, err)
	d.clock.Advance(time.Millisecond)
	_, err = d.client.RequestByID(ctx, d.acc, refused.RID)
	requireCode(t, 76004, err)
}

func TestTheCallbacksHostIsLookedFor(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	_, err := d.client.CheckCallback(ctx, d.acc, wechat.CheckAll, wechat.OperatorDefault)
	requireCode(t, 40201, err)
	_, err = d.client.CheckCallback(ctx, d.acc, "trace", wechat.OperatorDefault)
	requireBadField(t, "action", "unknown", err)
	_, err = d.client.CheckCallback(ctx, d.acc, wechat.CheckAll, "MOBILE")
	requireBadField(t, "check_operator", "unknown", err)
	require.NoError(t, d.sim.SetCallback(d.acc.AppID, simulator.Callback{URL: "http://192.0.2.7:8080/cb", Token: "token"}))
	check, err := d.client.CheckCallback(ctx, d.acc, wechat.CheckDNS, wechat.OperatorDefault)
	require.NoError(t, err)
	require.Empty(t, check.Ping)
	require.Equal(t, "192.0.2.7", check.DNS[0].IP)
	check, err = d.client.CheckCallback(ctx, d.acc, wechat.CheckPing, wechat.OperatorTencent)
	require.NoError(t, err)
	require.Empty(t, check.DNS)
	require.Equal(t, "CAP", check.Ping[0].Operator)
	require.Equal(t, "0%", check.Ping[0].Loss)
	for body, want := range map[string]int{
		`{"action":"trace","check_operator":"DEFAULT"}`: 40202, `{"action":"all","check_operator":"MOBILE"}`: 40203,
		`{"action":"all"}`: 40035,
	} {
		code, answer := d.raw(http.MethodPost, simulator.PathCallbackCheck, body)
		require.Equal(t, want, code, answer)
	}
}

func TestDiagnosisIsOpenToEveryAccountOverARealConnection(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, func(a *simulator.Account) { a.Type, a.Verified = simulator.Subscription, false }), t.Context()
	server := httptest.NewServer(d.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	d.acc.BaseURL = server.URL
	client := wechat.New(wechat.Options{Transport: transport, Clock: d.clock})
	ips, err := client.CallbackIPs(ctx, d.acc)
	require.NoError(t, err)
	require.NotEmpty(t, ips)
	ips, err = client.APIDomainIPs(ctx, d.acc)
	require.NoError(t, err)
	require.NotEmpty(t, ips)
	require.NoError(t, client.ClearBudgetsBySecret(ctx, d.acc))
	require.NoError(t, client.ClearBudgets(ctx, d.acc))
	code, _ := d.raw(http.MethodPost, simulator.PathDomainIP, "{}")
	require.Equal(t, 43001, code)
}

func FuzzAnswersOfDiagnosis(f *testing.F) {
	f.Add(`{"quota":{},"request":{},"ip_list":[],"ticket":"x","expires_in":1}`)
	f.Add(`{"quota":null,"request":{"invoke_time":9223372036854775807}}`)
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	f.Fuzz(func(t *testing.T, answer string) {
		_, client := cannedClient(answer)
		ctx := t.Context()
		for i, do := range []func() error{
			func() error { _, err := client.Budget(ctx, acc, "/cgi-bin/x"); return err },
			func() error { _, err := client.RequestByID(ctx, acc, "a-b"); return err },
			func() error { _, err := client.CallbackIPs(ctx, acc); return err },
			func() error {
				_, err := client.CheckCallback(ctx, acc, wechat.CheckAll, wechat.OperatorDefault)
				return err
			},
			func() error { _, err := client.JSTicket(ctx, acc); return err },
			func() error { _, err := client.ExchangeCode(ctx, acc, "c"); return err },
			func() error {
				_, err := client.PersonInfo(ctx, acc, wechat.PersonToken{AccessToken: "a", OpenID: "o"})
				return err
			},
		} {
			require.NotEqual(t, wechat.OutcomeNotSent, wechat.OutcomeOf(do()), i)
		}
	})
}

// FuzzForeignRequests: whatever comes, the simulator answers one of its answers.
func FuzzForeignRequests(f *testing.F) {
	f.Add(0, "appid=wxdesk&redirect_uri=https%3A%2F%2Fm.example.com&response_type=code&scope=snsapi_base&state=1", "")
	f.Add(1, "", `{"starttime":1,"endtime":2,"msgid":1,"number":1}`)
	f.Add(2, "kf_account=test1%40test", "--b\r\n")
	f.Add(3, "appid=wxdesk&appsecret=x", "appid=%zz")
	f.Add(4, "appid=wxdesk&secret=s3cret-of-desk&code=1&grant_type=authorization_code", "")
	f.Add(5, "", `{"kf_account":"a@test","nickname":"\u96c1"}`)
	paths := []string{
		simulator.PathAuthorize, simulator.PathChatRecords, simulator.PathAgentAvatar, simulator.PathClearBySecret,
		simulator.PathPersonToken, simulator.PathAgentAdd, simulator.PathSessionOpen, simulator.PathRequestGet,
		simulator.PathCallbackCheck, simulator.PathQuotaClear, simulator.PathPersonRefresh, simulator.PathPersonInfo,
	}
	f.Fuzz(func(t *testing.T, which int, query, body string) {
		d, _ := newOAuthDesk(t, nil)
		token, err := d.client.Token(t.Context(), d.acc)
		require.NoError(t, err)
		path := paths[uint(which)%uint(len(paths))]
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			address := &url.URL{Scheme: "https", Host: "api.weixin.qq.com", Path: path, RawQuery: query}
			if path != simulator.PathAuthorize {
				address.RawQuery = "access_token=" + token + "&" + query
			}
			req := (&http.Request{
				Method: method, URL: address, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
				Header: http.Header{"Content-Type": {[]string{"multipart/form-data; boundary=b", "application/x-www-form-urlencoded"}[len(body)%2]}},
			}).WithContext(t.Context())
			resp, err := d.sim.RoundTripper().RoundTrip(req)
			require.NoError(t, err)
			raw, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			switch {
			case resp.StatusCode == http.StatusFound:
				require.NotEmpty(t, resp.Header.Get("Location"))
			case path == simulator.PathAuthorize:
				require.Contains(t, string(raw), "错误码:")
			default:
				require.True(t, json.Valid(raw), "%s", raw)
			}
		}
	})
}
