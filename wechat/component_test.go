package wechat_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const (
	componentAppID  = "wxc0ffee0123456789"
	authorisedAppID = "wxacc0000000000001"
	componentKey    = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	componentBack   = "https://hongyan.example/authorised?account=7"
)

// componentWorld is a simulator with a component, whose callback keeps the ticket, and an
// account that may authorise it.
type componentWorld struct {
	t      *testing.T
	sim    *simulator.Simulator
	clock  *clock.Manual
	store  *componentStore
	comp   *wechat.Component
	client *wechat.Client
	acc    wechat.Account

	mu     sync.Mutex
	events []callback.ComponentEvent
	pushes []string // clear bodies of account messages, with the path they came to
}

func newComponentWorld(t *testing.T, o simulator.Options) *componentWorld {
	t.Helper()
	w := &componentWorld{t: t, clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	w.store = &componentStore{ComponentStore: wechat.NewMemoryComponent()}
	o.Clock, o.Push = w.clock, simulator.HandlerTransport(http.HandlerFunc(w.serve))
	w.sim = simulator.New(o)
	t.Cleanup(w.sim.Close)
	require.NoError(t, w.sim.AddComponent(simulator.Component{
		AppID: componentAppID, Secret: "comp-secret", Domain: "hongyan.example",
		Callback: simulator.Callback{URL: "https://hongyan.example/component", Token: "abc", AESKey: componentKey},
	}))
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: authorisedAppID, Secret: "never-told", Verified: true, OriginalID: "gh_authorised",
	}))
	w.comp = &wechat.Component{AppID: componentAppID, Secret: "comp-secret", Store: w.store}
	w.client = w.another(wechat.NewMemoryTokens())
	w.acc = wechat.Account{ID: 7, AppID: authorisedAppID, Component: w.comp}
	return w
}

// another is a further client, as of another process.
func (w *componentWorld) another(tokens wechat.TokenStore) *wechat.Client {
	return wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: w.clock, Tokens: tokens})
}

func (w *componentWorld) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	require.NoError(w.t, err)
	q := r.URL.Query()
	p := callback.Push{
		Signature: q.Get("signature"), Timestamp: q.Get("timestamp"), Nonce: q.Get("nonce"),
		EncryptType: q.Get("encrypt_type"), MsgSignature: q.Get("msg_signature"), Body: body,
	}
	cfg := &callback.Config{AppID: componentAppID, Token: "abc", AESKeys: []string{componentKey}, Mode: callback.ModeSafe}
	if r.URL.Path != "/component" {
		opened, err := cfg.Open(w.clock.Now(), p)
		require.NoError(w.t, err)
		w.mu.Lock()
		w.pushes = append(w.pushes, r.URL.Path+" "+string(opened))
		w.mu.Unlock()
		return
	}
	opened, err := cfg.OpenComponent(w.clock.Now(), p)
	require.NoError(w.t, err)
	e, err := callback.ParseComponent(opened)
	require.NoError(w.t, err)
	if ticket, ok := e.Payload.(callback.ComponentTicket); ok {
		require.NoError(w.t, w.store.SaveTicket(r.Context(), wechat.Ticket{Value: ticket.Ticket, At: e.CreatedAt}))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	_, err = io.WriteString(rw, "success")
	require.NoError(w.t, err)
}

func (w *componentWorld) named(name string) (out []callback.ComponentEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

func (w *componentWorld) ticket() {
	w.t.Helper()
	p, err := w.sim.PushTicket(w.t.Context(), componentAppID)
	require.NoError(w.t, err)
	require.Equal(w.t, simulator.OutcomeAcknowledged, p.Outcome)
}

// authorise lets the account's owner consent, and exchanges the code.
func (w *componentWorld) authorise(sets ...int) wechat.ComponentGrant {
	w.t.Helper()
	w.ticket()
	code, err := w.sim.Authorise(w.t.Context(), simulator.Authorisation{
		Component: componentAppID, AppID: authorisedAppID, Permissions: sets,
	})
	require.NoError(w.t, err)
	grant, err := w.client.QueryAuth(w.t.Context(), w.comp, code)
	require.NoError(w.t, err)
	return grant
}

// fan adds a fan who has just written.
func (w *componentWorld) fan() string {
	w.t.Helper()
	ids, err := w.sim.AddFans(authorisedAppID, 1, true)
	require.NoError(w.t, err)
	require.NoError(w.t, w.sim.GrantFan(ids[0], wechat.TriggerMessage))
	return ids[0]
}

func (w *componentWorld) send(fan string) error {
	return w.client.SendKefu(w.t.Context(), w.acc, fan, wechat.TextMessage("你好"))
}

func (w *componentWorld) calls(path string) int {
	return len(w.sim.Calls(simulator.Filter{Path: path}))
}

// lastBody is the body of the newest call of an API.
func (w *componentWorld) lastBody(path string) string {
	w.t.Helper()
	calls := w.sim.Calls(simulator.Filter{Path: path})
	require.NotEmpty(w.t, calls)
	return calls[len(calls)-1].Body
}

// raw makes a call as it is and returns the answer.
func (w *componentWorld) raw(method, path, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, wechat.DefaultBaseURL+path, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return string(answer)
}

func (w *componentWorld) component(path, body string) string {
	w.t.Helper()
	token, err := w.client.ComponentToken(w.t.Context(), w.comp)
	require.NoError(w.t, err)
	return w.raw(http.MethodPost, path+"?component_access_token="+token, body)
}

func TestAnAccountIsAuthorisedOnThePageAndSendsWithoutItsSecret(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	require.NoError(t, w.client.StartPushTicket(t.Context(), w.comp))
	require.NoError(t, w.sim.Wait(t.Context()))
	pre, err := w.client.CreatePreAuthCode(t.Context(), w.comp)
	require.NoError(t, err)
	require.Equal(t, w.clock.Now().Add(1800*time.Second), pre.ExpiresAt)

	page := wechat.ComponentPage{Component: componentAppID, PreAuthCode: pre.Code, RedirectURL: componentBack}
	address, err := page.Scan()
	require.NoError(t, err)
	back := w.consent(address, "")
	require.Equal(t, "hongyan.example", back.Host)
	require.Equal(t, "7", back.Query().Get("account"))
	require.Equal(t, "600", back.Query().Get("expires_in"))
	require.NoError(t, w.sim.Wait(t.Context()))
	code := back.Query().Get("auth_code")
	require.Equal(t, callback.ComponentGranted{
		AccountAppID: authorisedAppID, Code: code, PreAuthCode: pre.Code, ExpiresAt: w.clock.Now().Add(600 * time.Second),
	}, w.named("authorized")[0].Payload, "the event brings the same code")

	grant, err := w.client.QueryAuth(t.Context(), w.comp, code)
	require.NoError(t, err)
	require.Equal(t, wechat.ComponentGrant{AppID: authorisedAppID, Permissions: simulator.DefaultPermissions()}, grant)
	fan := w.fan()
	require.NoError(t, w.send(fan))
	require.Equal(t, []string{"你好"}, w.sim.AcceptedTexts(fan))
	require.Zero(t, w.calls(simulator.PathStableToken))
	require.Equal(t, 1, w.calls(simulator.PathAuthorizerToken))
}

// consent opens the authorisation page, picks the account and agrees, as a browser does.
func (w *componentWorld) consent(address, extra string) *url.URL {
	w.t.Helper()
	at, err := url.Parse(address)
	require.NoError(w.t, err)
	form := w.raw(http.MethodGet, at.RequestURI(), "")
	require.Contains(w.t, form, "<option>"+authorisedAppID+"</option>")
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet,
		wechat.DefaultBaseURL+at.RequestURI()+"&agree=1&authorizer_appid="+authorisedAppID+extra, http.NoBody)
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	require.Equal(w.t, http.StatusFound, resp.StatusCode)
	back, err := resp.Location()
	require.NoError(w.t, err)
	return back
}

func TestEachCallOfAComponentSendsTheDocumentedBody(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	require.NoError(t, w.client.StartPushTicket(t.Context(), w.comp))
	require.NoError(t, w.sim.Wait(t.Context()))
	w.authorise()
	ticket, err := w.store.Ticket(t.Context())
	require.NoError(t, err)
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	_, err = w.client.CreatePreAuthCode(t.Context(), w.comp)
	require.NoError(t, err)
	_, err = w.client.Token(t.Context(), w.acc)
	require.NoError(t, err)
	_, err = w.client.AuthorisedAccount(t.Context(), w.comp, authorisedAppID)
	require.NoError(t, err)
	_, err = w.client.AuthorisedOption(t.Context(), w.comp, authorisedAppID, wechat.OptionVoiceRecognize)
	require.NoError(t, err)
	require.NoError(t, w.client.SetAuthorisedOption(t.Context(), w.comp, authorisedAppID,
		wechat.OptionValue{Option: wechat.OptionVoiceRecognize, Value: "1"}))
	_, err = w.client.AuthorisedAccounts(t.Context(), w.comp, 0, 100)
	require.NoError(t, err)

	code := w.named("authorized")[0].Payload.(callback.ComponentGranted).Code
	account := `{"component_appid":"` + componentAppID + `","authorizer_appid":"` + authorisedAppID + `"`
	for path, want := range map[string]string{
		simulator.PathStartPushTicket: `{"component_appid":"` + componentAppID + `","component_secret":"comp-secret"}`,
		simulator.PathComponentToken: `{"component_appid":"` + componentAppID + `","component_appsecret":"comp-secret",` +
			`"component_verify_ticket":"` + ticket.Value + `"}`,
		simulator.PathPreAuthCode:         `{"component_appid":"` + componentAppID + `"}`,
		simulator.PathQueryAuth:           `{"component_appid":"` + componentAppID + `","authorization_code":"` + code + `"}`,
		simulator.PathAuthorizerToken:     account + `,"authorizer_refresh_token":"` + held.Current + `"}`,
		simulator.PathAuthorizerInfo:      account + `}`,
		simulator.PathGetAuthorizerOption: account + `,"option_name":"voice_recognize"}`,
		simulator.PathSetAuthorizerOption: account + `,"option_name":"voice_recognize","option_value":"1"}`,
		simulator.PathAuthorizerList:      `{"component_appid":"` + componentAppID + `","offset":0,"count":100}`,
	} {
		require.Equal(t, want, w.lastBody(path), path)
	}
}

func TestAComponentWithoutAGoodTicketIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	needsTicket := func(at time.Time, code int) {
		t.Helper()
		_, err := w.client.CreatePreAuthCode(t.Context(), w.comp)
		var missing *wechat.TicketError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, wechat.TicketError{Component: componentAppID, At: at}, *missing)
		require.ErrorContains(t, err, "call StartPushTicket")
		require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
		if code != 0 {
			requireComponentCode(t, code, err)
		} else {
			require.Equal(t, wechat.ClassRetry, wechat.Classify(err), "it helps to wait")
		}
	}
	needsTicket(time.Time{}, 0)
	made := w.clock.Now()
	w.ticket()
	w.clock.Advance(12*time.Hour - time.Second)
	_, err := w.client.CreatePreAuthCode(t.Context(), w.comp)
	require.NoError(t, err, "a ticket is good for 12 hours")
	w.clock.Advance(2 * time.Hour)
	before := w.calls(simulator.PathComponentToken)
	needsTicket(made, 0)
	require.Equal(t, before, w.calls(simulator.PathComponentToken), "an old ticket is not even tried")

	later := w.clock.Now()
	require.NoError(t, w.store.SaveTicket(t.Context(), wechat.Ticket{Value: "ticket@@@strange", At: later}))
	needsTicket(later, 61006)
	old := w.named("component_verify_ticket")[0].Payload.(callback.ComponentTicket)
	require.NoError(t, w.store.SaveTicket(t.Context(), wechat.Ticket{Value: old.Ticket, At: later}))
	needsTicket(later, 61005)
	require.NoError(t, w.client.StartPushTicket(t.Context(), w.comp))
	require.NoError(t, w.sim.Wait(t.Context()))
	_, err = w.client.CreatePreAuthCode(t.Context(), w.comp)
	require.NoError(t, err)
}

func TestAnOlderTicketDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	store, at := wechat.NewMemoryComponent(), time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)
	newer := wechat.Ticket{Value: "b", At: at}
	require.NoError(t, store.SaveTicket(t.Context(), newer))
	require.NoError(t, store.SaveTicket(t.Context(), wechat.Ticket{Value: "a", At: at.Add(-time.Second)}))
	held, err := store.Ticket(t.Context())
	require.NoError(t, err)
	require.Equal(t, newer, held)
}

func TestTicketsComeEveryTenMinutesOnceTheyRun(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	arrived := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return len(w.named("component_verify_ticket")) == n }, time.Minute, time.Millisecond)
	}
	stop, err := w.sim.RunTickets(componentAppID)
	require.NoError(t, err)
	arrived(1)
	for n := range 3 {
		w.clock.Advance(10*time.Minute - time.Millisecond)
		require.Len(t, w.named("component_verify_ticket"), n+1)
		w.clock.Advance(time.Millisecond)
		arrived(n + 2)
	}
	stop()
	_, err = w.sim.RunTickets("wxnobody00")
	require.Error(t, err)
	w.sim.Close()
	_, err = w.sim.RunTickets(componentAppID)
	require.Error(t, err)
}

func TestAComponentWorksOverARealConnection(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(2)
	t.Cleanup(transport.CloseIdleConnections)
	w.client = wechat.New(wechat.Options{Transport: transport, Clock: w.clock})
	w.comp.BaseURL, w.acc.BaseURL = server.URL, server.URL
	w.authorise()
	require.NoError(t, w.send(w.fan()))

	pre, err := w.client.CreatePreAuthCode(t.Context(), w.comp)
	require.NoError(t, err)
	page := wechat.ComponentPage{
		Component: componentAppID, PreAuthCode: pre.Code, RedirectURL: componentBack, BaseURL: server.URL,
	}
	address, err := page.Phone()
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	form, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, string(form), `name="pre_auth_code" value="`+pre.Code+`"`)
}

// componentStore notes the order of writes and fails on demand.
type componentStore struct {
	wechat.ComponentStore

	mu     sync.Mutex
	writes []string
	putErr error
}

func (s *componentStore) notef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, fmt.Sprintf(format, args...))
}

func (s *componentStore) PutRefreshToken(ctx context.Context, appID, token string) error {
	s.mu.Lock()
	err := s.putErr
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.notef("refresh token")
	return s.ComponentStore.PutRefreshToken(ctx, appID, token)
}
