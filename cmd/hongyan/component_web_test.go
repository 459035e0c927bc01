package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const (
	componentAppID  = "wxc0ffee0123456789"
	componentSecret = "a secret of the component"
	componentToken  = "componenttoken"
	scannedAppID    = "wxacc0000000000001"
	componentPath   = "/wechat/component/" + componentAppID
)

func testComponent(baseURL string) *accounts.Component {
	return &accounts.Component{
		AppID: componentAppID, Secret: componentSecret, BaseURL: baseURL,
		Callback: accounts.Callback{Token: componentToken, AESKeys: []string{sandboxAESKey}},
	}
}

// simulated is the component on the platform's side: its pushes go to base.
func simulatedComponent(base string) simulator.Component {
	return simulator.Component{
		AppID: componentAppID, Secret: componentSecret, MessageURL: base + componentPath + "/callback/$APPID$",
		Callback: simulator.Callback{URL: base + componentPath + "/events", Token: componentToken, AESKey: sandboxAESKey},
	}
}

// scanServer is a server with a component and nothing running in it, a platform of its own, and a log that the test reads.
type scanServer struct {
	t    *testing.T
	s    *Server
	app  *fiber.App
	sim  *simulator.Simulator
	comp *accounts.Component

	mu  sync.Mutex
	log bytes.Buffer
}

// Write keeps log lines.
func (x *scanServer) Write(line []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.log.Write(line)
}

// RoundTrip brings a push to the routes.
func (x *scanServer) RoundTrip(r *http.Request) (*http.Response, error) { return x.app.Test(r, -1) }

func newScanServer(t *testing.T) *scanServer {
	t.Helper()
	x := &scanServer{t: t}
	in := &install{t: t, dataDir: t.TempDir()}
	x.s = &Server{Config: in.config(), Clock: clock.System(), Log: slog.New(slog.NewTextHandler(x, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	require.NoError(t, x.s.Open(t.Context()))
	x.app = x.s.routes()
	x.sim = simulator.New(simulator.Options{Seed: 7, Push: x})
	web := httptest.NewServer(x.sim)
	t.Cleanup(func() {
		x.sim.Close()
		web.Close()
		require.NoError(t, x.s.Close())
		x.requireNoSecretInTheLog()
	})
	x.comp = testComponent(web.URL)
	require.NoError(t, x.s.Scheduler.Accounts.CreateComponent(t.Context(), x.comp))
	require.NoError(t, x.sim.AddComponent(simulatedComponent("http://callback.invalid")))
	require.NoError(t, x.sim.AddAccount(simulator.Account{AppID: scannedAppID, Secret: "never told", Verified: true, OriginalID: "gh_scanned"}))
	push, err := x.sim.PushTicket(t.Context(), componentAppID)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
	return x
}

func (x *scanServer) requireNoSecretInTheLog() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, secret := range []string{componentSecret, componentToken, sandboxAESKey, "never told", "@@@", "access_token="} {
		require.NotContains(x.t, x.log.String(), secret)
	}
}

func (x *scanServer) get(path string) (status int, body string) {
	x.t.Helper()
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, path, http.NoBody)
	require.NoError(x.t, err)
	resp, err := x.app.Test(req, -1)
	require.NoError(x.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(x.t, err)
	require.NoError(x.t, resp.Body.Close())
	return resp.StatusCode, string(raw)
}

func (x *scanServer) post(path string, p callback.Push) (status int, body string) {
	x.t.Helper()
	q := url.Values{
		"signature": {p.Signature}, "timestamp": {p.Timestamp}, "nonce": {p.Nonce}, "encrypt_type": {p.EncryptType}, "msg_signature": {p.MsgSignature},
	}
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, path+"?"+q.Encode(), bytes.NewReader(p.Body))
	require.NoError(x.t, err)
	resp, err := x.app.Test(req, -1)
	require.NoError(x.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(x.t, err)
	require.NoError(x.t, resp.Body.Close())
	return resp.StatusCode, string(raw)
}

func (x *scanServer) authorise() string {
	x.t.Helper()
	code, err := x.sim.Authorise(x.t.Context(), simulator.Authorisation{Component: componentAppID, AppID: scannedAppID})
	require.NoError(x.t, err)
	return code
}

func (x *scanServer) number(query string) (n int64) {
	x.t.Helper()
	require.NoError(x.t, x.s.storage.db.Read(x.t.Context()).Raw(query).Scan(&n).Error)
	return n
}

// scan opens the authorisation page and agrees; it returns where the browser is sent, as a path here.
func (x *scanServer) scan() string {
	x.t.Helper()
	address, _, err := x.s.Scheduler.Authoriser.Address(x.t.Context(), x.comp.ID, accounts.Page{Redirect: "http://callback.invalid" + componentPath + "/authorised"})
	require.NoError(x.t, err)
	return x.agree(address)
}

// agree does that at a page whose address is known.
func (x *scanServer) agree(address string) string {
	x.t.Helper()
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, address+"&agree=1&authorizer_appid="+scannedAppID, http.NoBody)
	require.NoError(x.t, err)
	resp, err := x.sim.RoundTripper().RoundTrip(req)
	require.NoError(x.t, err)
	require.NoError(x.t, resp.Body.Close())
	back, err := resp.Location()
	require.NoError(x.t, err)
	require.NoError(x.t, x.sim.Wait(x.t.Context()))
	return back.RequestURI()
}

func TestTheOwnerWhoScannedIsShownWhatIsConnected(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	back := x.scan()
	for range 2 {
		status, page := x.get(back)
		require.Equal(t, http.StatusOK, status, page)
		for _, text := range []string{"公众号已接入", "The account is connected", scannedAppID, "服务号", "客服消息、", "customer-service messages, "} {
			require.Contains(t, page, text)
		}
		require.NotContains(t, page, "@@@")
	}
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM accounts"))

	without, _, _ := strings.Cut(back, "?")
	q, err := url.ParseQuery(back[len(without)+1:])
	require.NoError(t, err)
	q.Set("auth_code", "queryauthcode@@@invented")
	status, page := x.get(without + "?" + q.Encode())
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, page, "未能接入")
	calls := len(x.sim.Calls(simulator.Filter{}))
	q.Set("state", "x")
	for _, query := range []string{"", "?auth_code=queryauthcode@@@invented", "?" + q.Encode()} {
		status, page = x.get(without + query)
		require.Equal(t, http.StatusForbidden, status)
		require.Contains(t, page, "链接无效")
	}
	require.Len(t, x.sim.Calls(simulator.Filter{}), calls, "strangers' links make no calls")
	status, _ = x.get("/wechat/component/wxnobody/authorised")
	require.Equal(t, http.StatusNotFound, status)
}

func TestAPlatformThatDoesNotAnswerLeavesTheOwnerWithAdvice(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	require.NoError(t, x.sim.SetFaults(simulator.PathQueryAuth, simulator.Faults{Busy: 1}))
	status, page := x.get(x.scan())
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, page, "Not connected yet")
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM authorisations WHERE due_at > 0"), "the event is stored, and it was acknowledged")
}

func TestAComponentsEventIsRefusedUnlessItIsSignedRecentAndItsOwn(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	x.authorise()
	cfg := &callback.Config{AppID: componentAppID, Token: componentToken, AESKeys: []string{sandboxAESKey}}
	body, err := callback.BuildComponentXML(callback.ComponentEvent{
		AppID: componentAppID, CreatedAt: time.Now().Add(time.Minute), Payload: callback.ComponentWithdrawn{AccountAppID: scannedAppID},
	})
	require.NoError(t, err)
	seal := func(cfg *callback.Config, at time.Time) callback.Push {
		p, err := cfg.SealComponent(callback.SealMeta{Now: at, Nonce: "n"}, body)
		require.NoError(t, err)
		return p
	}
	foreign, other := *cfg, *cfg
	foreign.Token, other.AESKeys = "othertoken", []string{strings.Repeat("a", 43)}
	tampered := seal(cfg, time.Now())
	tampered.MsgSignature = tampered.Signature
	for name, p := range map[string]callback.Push{
		"token": seal(&foreign, time.Now()), "key": seal(&other, time.Now()), "age": seal(cfg, time.Now().Add(-time.Hour)), "signature": tampered,
		"clear": {Timestamp: tampered.Timestamp, Nonce: "n", Signature: callback.Sign(componentToken, tampered.Timestamp, "n"), Body: body}, "empty": {},
	} {
		status, _ := x.post(componentPath+"/events", p)
		require.Equal(t, http.StatusForbidden, status, name)
	}
	status, _ := x.post("/wechat/component/wxnobody/events", seal(cfg, time.Now()))
	require.Equal(t, http.StatusNotFound, status)
	require.Zero(t, x.number("SELECT COUNT(*) FROM accounts WHERE stopped = 1"), "what is refused changes nothing")
	status, answer := x.post(componentPath+"/events", seal(cfg, time.Now()))
	require.Equal(t, []any{http.StatusOK, "success"}, []any{status, answer})
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM accounts WHERE stopped = 1"))
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM jobs WHERE kind = 'fans.erase_all'"), "the fans' data are to be erased")
}

func TestAnUnknownEventIsAcknowledgedAndAnEventThatCannotBeStoredIsNot(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	cfg := &callback.Config{AppID: componentAppID, Token: componentToken, AESKeys: []string{sandboxAESKey}}
	send := func(rest string) (int, string) {
		p, err := cfg.SealComponent(callback.SealMeta{Now: time.Now(), Nonce: "n"}, []byte("<xml><AppId>"+componentAppID+"</AppId><CreateTime>1413192605</CreateTime>"+rest+"</xml>"))
		require.NoError(t, err)
		return x.post(componentPath+"/events", p)
	}
	status, answer := send("<InfoType>notify_third_fasteregister</InfoType>")
	require.Equal(t, []any{http.StatusOK, "success"}, []any{status, answer})
	require.NoError(t, x.s.storage.db.Close())
	for _, rest := range []string{
		"<InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>t</ComponentVerifyTicket>",
		"<InfoType>unauthorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid>",
		"<InfoType>authorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid><AuthorizationCode>c</AuthorizationCode>" +
			"<AuthorizationCodeExpiredTime>600</AuthorizationCodeExpiredTime>",
	} {
		status, answer = send(rest)
		require.GreaterOrEqual(t, status, http.StatusInternalServerError)
		require.NotContains(t, answer, "success")
	}
}

func TestPushesOfAnAccountComeToTheAddressOfItsConnection(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	x.authorise()
	fan, err := x.sim.AddFan(scannedAppID, simulator.NewFan{})
	require.NoError(t, err)
	follow := func() simulator.Push {
		t.Helper()
		push, err := x.sim.Do(t.Context(), simulator.Act{OpenID: fan, Kind: simulator.ActFollow})
		require.NoError(t, err)
		return push
	}
	push := follow()
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM inbox"))

	// To the address of a manual connection, and to another account's.
	cfg := &callback.Config{AppID: componentAppID, Token: componentToken, AESKeys: []string{sandboxAESKey}, Mode: callback.ModeSafe}
	p, err := cfg.Seal(callback.SealMeta{ToUser: "gh_scanned", Now: time.Now(), Nonce: "n"}, []byte(push.Body))
	require.NoError(t, err)
	status, answer := x.post("/wechat/callback/"+scannedAppID, p)
	require.Equal(t, http.StatusForbidden, status, answer)
	status, _ = x.post(componentPath+"/callback/wxother", p)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = x.post("/wechat/component/wxnobody/callback/"+scannedAppID, p)
	require.Equal(t, http.StatusNotFound, status)
	tampered := p
	tampered.MsgSignature = "x"
	status, _ = x.post(componentPath+"/callback/"+scannedAppID, tampered)
	require.Equal(t, http.StatusForbidden, status)
	own := *cfg
	own.AppID = scannedAppID
	sealed, err := own.Seal(callback.SealMeta{ToUser: "gh_scanned", Now: time.Now(), Nonce: "n"}, []byte(push.Body))
	require.NoError(t, err)
	status, _ = x.post(componentPath+"/callback/"+scannedAppID, sealed)
	require.Equal(t, http.StatusForbidden, status, "the appid inside must be the component's")

	_, err = x.sim.Withdraw(t.Context(), componentAppID, scannedAppID)
	require.NoError(t, err)
	status, answer = x.post(componentPath+"/callback/"+scannedAppID, p)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, answer, "withdrawn")
	require.EqualValues(t, 1, x.number("SELECT COUNT(*) FROM inbox"), "what is refused is not stored")
}

func TestTheMessageURLOfAComponentAnswersAWantedEcho(t *testing.T) {
	t.Parallel()
	x := newScanServer(t)
	signed := url.Values{"timestamp": {"1"}, "nonce": {"n"}, "signature": {callback.Sign(componentToken, "1", "n")}, "echostr": {"hello"}}
	status, answer := x.get(componentPath + "/callback/$APPID$?" + signed.Encode())
	require.Equal(t, []any{http.StatusOK, "hello"}, []any{status, answer})
	signed.Set("signature", "x")
	status, _ = x.get(componentPath + "/callback/$APPID$?" + signed.Encode())
	require.Equal(t, http.StatusForbidden, status)
	status, _ = x.get("/wechat/component/wxnobody/callback/x?" + signed.Encode())
	require.Equal(t, http.StatusNotFound, status)
}

// The whole way, with real processes: an account that members set up by hand is moved by a scan, a fan follows, is answered, and gets a message; the owner
// withdraws, and nothing more is sent.
func TestAnAccountConnectedByAScanIsAnsweredAndSentTo(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: 3})
		in.drip("welcome", onFollow(), dripStep(map[string]any{"delay": "0s"}, "welcome"), dripStep(map[string]any{"delay": "1s"}, "by kefu"))
		require.NoError(t, in.rooms.Scheduler.Accounts.CreateComponent(t.Context(), testComponent(in.simURL)))
		require.NoError(t, in.sim.AddComponent(simulatedComponent("http://callback.invalid")))
		p := in.serve()
		in.pushTo(p)
		push, err := in.sim.PushTicket(t.Context(), componentAppID)
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
		_, err = in.sim.Authorise(t.Context(), simulator.Authorisation{Component: componentAppID, AppID: in.account.AppID})
		require.NoError(t, err)
		require.EqualValues(t, 1, in.number("SELECT COUNT(*) FROM accounts WHERE connection = 'component'"))

		push, err = in.sim.Do(t.Context(), simulator.Act{OpenID: in.openids[0], Kind: simulator.ActFollow})
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeReplied, push.Outcome, "%+v", push)
		require.Eventually(t, func() bool { return len(in.sim.AcceptedTexts(in.openids[0])) == 2 }, time.Minute, 20*time.Millisecond)
		require.Equal(t, []string{"welcome", "by kefu"}, in.sim.AcceptedTexts(in.openids[0]))
		require.Empty(t, in.sim.Calls(simulator.Filter{Path: simulator.PathStableToken}), "the account's secret is not used")
		require.Len(t, in.sim.Calls(simulator.Filter{Path: simulator.PathAuthorizerToken}), 1)

		push, err = in.sim.Withdraw(t.Context(), componentAppID, in.account.AppID)
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome)
		require.EqualValues(t, 1, in.number("SELECT COUNT(*) FROM accounts WHERE stopped = 1 AND stopped_reason = 'withdrawn'"))
		require.Zero(t, in.number("SELECT COUNT(*) FROM access_tokens"))
		require.Eventually(t, func() bool {
			return in.number("SELECT COUNT(*) FROM jobs WHERE kind = 'fans.erase_all' AND state = 'finished'") == 1
		},
			60*time.Second, 100*time.Millisecond, "the fans' data are erased")
		push, err = in.sim.Do(context.WithoutCancel(t.Context()), simulator.Act{OpenID: in.openids[1], Kind: simulator.ActFollow})
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeUnavailable, push.Outcome, "to the address of the manual connection")
		p.stop()
		require.NotContains(t, p.log(), "@@@")
		require.NotContains(t, p.log(), componentSecret)
	})
}
