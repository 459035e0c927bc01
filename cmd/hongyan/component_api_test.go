package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/admin"
	"hongyan/wechat/simulator"
)

const (
	ownSecret = "secret of the account itself"
	ownToken  = "tokenofaccount"
	ownKey    = "ownownownownownownownownownownownownownowno"
	nextKey   = "nextnextnextnextnextnextnextnextnextnextnex"
)

// apiServer is a scanServer at a public address, and a program that may use its API.
type apiServer struct {
	*scanServer
	token string
	said  strings.Builder // all answers
}

func newAPIServer(t *testing.T, public string) *apiServer {
	t.Helper()
	x := &apiServer{scanServer: newScanServer(t)}
	x.s.Config.PublicURL = public
	x.app = x.s.routes()
	members := admin.NewMembers(x.s.storage.db, x.s.Clock)
	m, err := members.AddMember(t.Context(), "mira", "correct horse battery")
	require.NoError(t, err)
	x.token, err = members.CreateToken(t.Context(), &admin.Token{MemberID: m.ID, Name: "test", Scopes: []admin.Scope{admin.ScopeRead, admin.ScopeWrite}})
	require.NoError(t, err)
	t.Cleanup(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, secret := range []string{componentSecret, componentToken, sandboxAESKey, ownSecret, ownToken, ownKey, nextKey, "never told"} {
			require.NotContains(t, x.said.String(), secret, "in an answer")
			require.NotContains(t, x.log.String(), secret, "in the log")
		}
	})
	return x
}

// apiThing is what an answer says of a component, an account, a link, or a problem.
type apiThing struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	EventURL     string `json:"event_url"`
	MessageURL   string `json:"message_url"`
	Domain       string `json:"domain"`
	TicketSeen   bool   `json:"ticket_seen"`
	TicketAt     int64  `json:"ticket_at"`
	AccountCount int    `json:"account_count"`
	PreviousKey  bool   `json:"previous_key"`
	Connection   string `json:"connection"`
	ComponentID  int64  `json:"component_id"`
	CallbackURL  string `json:"callback_url"`
	Authorised   bool   `json:"authorised"`
	Address      string `json:"address"`
	ExpiresAt    int64  `json:"expires_at"`
	Detail       string `json:"detail"`
	Errors       []struct {
		Field string `json:"field"`
		Rule  string `json:"rule"`
	} `json:"errors"`

	etag string
}

// api makes a request below /api/v1. ifMatch of "" sends none.
func (x *apiServer) api(method, path string, body any, ifMatch string) (status int, out apiThing) {
	x.t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(x.t, err)
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(x.t.Context(), method, "/api/v1"+path, in)
	require.NoError(x.t, err)
	req.Header.Set("Authorization", "Bearer "+x.token)
	req.Header.Set("Accept-Language", "en")
	req.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	resp, err := x.app.Test(req, -1)
	require.NoError(x.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(x.t, err)
	require.NoError(x.t, resp.Body.Close())
	x.said.Write(raw)
	require.NoError(x.t, json.Unmarshal(raw, &out), string(raw))
	out.etag = resp.Header.Get("ETag")
	return resp.StatusCode, out
}

// scanned has the account connected by a scan at the component's page, and returns its path.
func (x *apiServer) scanned() string {
	x.t.Helper()
	links := "/components/" + strconv.FormatInt(x.comp.ID, 10) + "/authorisation-links"
	status, link := x.api(http.MethodPost, links, map[string]any{"page": "scan"}, "")
	require.Equal(x.t, http.StatusCreated, status, link.Detail)
	require.Greater(x.t, link.ExpiresAt, x.s.Clock.Now().UnixMilli())
	status, page := x.get(x.agree(link.Address))
	require.Equal(x.t, http.StatusOK, status, page)
	account, err := x.s.Scheduler.Accounts.FindAccountByAppID(x.t.Context(), scannedAppID)
	require.NoError(x.t, err)
	return "/accounts/" + strconv.FormatInt(account.ID, 10)
}

func TestAComponentIsSetUpByWhatTheAPISaysAndItsScanConnectsAnAccount(t *testing.T) {
	t.Parallel()
	x := newAPIServer(t, "http://callback.invalid")
	other := "wxc0ffee9999999999"
	status, made := x.api(http.MethodPost, "/components", map[string]any{
		"appid": other, "name": "开放平台", "secret": componentSecret, "token": componentToken, "aes_keys": []string{sandboxAESKey},
	}, "")
	require.Equal(t, http.StatusCreated, status, made.Detail)
	at := "http://callback.invalid/wechat/component/" + other
	require.Equal(t, []any{at + "/events", at + "/callback/$APPID$", "callback.invalid", false, int64(0)},
		[]any{made.EventURL, made.MessageURL, made.Domain, made.TicketSeen, made.TicketAt})
	path := "/components/" + strconv.FormatInt(made.ID, 10)
	status, refused := x.api(http.MethodPost, path+"/authorisation-links", map[string]any{"page": "scan"}, "")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, refused.Detail, made.EventURL, "it says what to enter where")

	require.NoError(t, x.sim.AddComponent(simulator.Component{
		AppID: other, Secret: componentSecret, MessageURL: made.MessageURL, Callback: simulator.Callback{URL: made.EventURL, Token: componentToken, AESKey: sandboxAESKey},
	}))
	push, err := x.sim.PushTicket(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
	status, got := x.api(http.MethodGet, path, nil, "")
	require.Equal(t, []any{http.StatusOK, true, "开放平台", made.etag}, []any{status, got.TicketSeen, got.Name, got.etag})
	require.InDelta(t, x.s.Clock.Now().UnixMilli(), got.TicketAt, 60_000)

	account := x.scanned() // by the component whose platform is simulated
	status, a := x.api(http.MethodGet, account, nil, "")
	require.Equal(t, []any{http.StatusOK, "component", x.comp.ID, true, "http://callback.invalid" + componentPath + "/callback/$APPID$"},
		[]any{status, a.Connection, a.ComponentID, a.Authorised, a.CallbackURL})
	_, got = x.api(http.MethodGet, "/components/"+strconv.FormatInt(x.comp.ID, 10), nil, "")
	require.Equal(t, []any{1, componentAppID}, []any{got.AccountCount, got.Name})
}

func TestALinkIsForThePageAndTheAccountThatItIsAskedFor(t *testing.T) {
	t.Parallel()
	x := newAPIServer(t, "http://callback.invalid")
	links := "/components/" + strconv.FormatInt(x.comp.ID, 10) + "/authorisation-links"
	for page, want := range map[string]string{"scan": "/cgi-bin/componentloginpage?", "phone": "/wxaopen/safe/bindcomponent?"} {
		status, link := x.api(http.MethodPost, links, map[string]any{"page": page, "appid": scannedAppID}, "")
		require.Equal(t, http.StatusCreated, status, link.Detail)
		for _, part := range []string{want, "component_appid=" + componentAppID, "biz_appid=" + scannedAppID, "auth_type=1", "redirect_uri=http%3A%2F%2Fcallback.invalid"} {
			require.Contains(t, link.Address, part)
		}
	}
	status, refused := x.api(http.MethodPost, links, map[string]any{"page": "fax"}, "")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "page", refused.Errors[0].Field)
	status, _ = x.api(http.MethodPost, "/components/99/authorisation-links", map[string]any{"page": "scan"}, "")
	require.Equal(t, http.StatusNotFound, status)

	hidden := newAPIServer(t, "")
	status, refused = hidden.api(http.MethodPost, links, map[string]any{"page": "scan"}, "")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, refused.Detail, "HONGYAN_PUBLIC_URL")
	require.Empty(t, hidden.sim.Calls(simulator.Filter{Path: simulator.PathPreAuthCode}), "nothing is asked of the platform in vain")
}

func TestAnAccountOfAComponentIsTakenBackThroughTheAPIAndItsPushesComeToItsOwnAddress(t *testing.T) {
	t.Parallel()
	x := newAPIServer(t, "http://callback.invalid")
	account := x.scanned()
	follow := func() simulator.Outcome {
		t.Helper()
		fan, err := x.sim.AddFan(scannedAppID, simulator.NewFan{})
		require.NoError(t, err)
		push, err := x.sim.Do(t.Context(), simulator.Act{OpenID: fan, Kind: simulator.ActFollow})
		require.NoError(t, err)
		return push.Outcome
	}
	require.Equal(t, simulator.OutcomeAcknowledged, follow())
	_, before := x.api(http.MethodGet, account, nil, "")
	own := map[string]any{"mode": "safe", "token": ownToken, "aes_keys": []string{ownKey}}

	status, refused := x.api(http.MethodPatch, account, map[string]any{"secret": ownSecret, "callback": own}, before.etag)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Len(t, refused.Errors, 2)
	status, refused = x.api(http.MethodPatch, account, map[string]any{"connection": "manual"}, before.etag)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, refused.Detail, "give the account's AppSecret")
	back := map[string]any{"connection": "manual", "name": "茶馆", "secret": ownSecret, "callback": own}
	status, _ = x.api(http.MethodPatch, account, back, "")
	require.Equal(t, http.StatusPreconditionRequired, status)
	status, a := x.api(http.MethodPatch, account, back, before.etag)
	require.Equal(t, http.StatusOK, status, a.Detail)
	require.Equal(t, []any{"manual", int64(0), "茶馆", "http://callback.invalid/wechat/callback/" + scannedAppID}, []any{a.Connection, a.ComponentID, a.Name, a.CallbackURL})
	status, stale := x.api(http.MethodPatch, account, map[string]any{"name": "late"}, before.etag)
	require.Equal(t, []any{http.StatusPreconditionFailed, a.etag}, []any{status, stale.etag})

	_, err := x.sim.Withdraw(t.Context(), componentAppID, scannedAppID)
	require.NoError(t, err)
	require.NoError(t, x.sim.UpdateAccount(scannedAppID, func(s *simulator.Account) {
		s.Secret, s.Callback = ownSecret, simulator.Callback{URL: a.CallbackURL, Token: ownToken, AESKey: ownKey, Mode: simulator.ModeSafe}
	}))
	require.Equal(t, simulator.OutcomeAcknowledged, follow())
	require.Zero(t, x.number("SELECT COUNT(*) FROM accounts WHERE stopped = 1"))
	require.Zero(t, x.number("SELECT COUNT(*) FROM jobs"), "the fans' data are not erased")
	require.EqualValues(t, 2, x.number("SELECT COUNT(*) FROM inbox"))
}

func TestPushesWithTheFormerKeyAreTakenUntilItIsForgotten(t *testing.T) {
	t.Parallel()
	x := newAPIServer(t, "http://callback.invalid")
	status, a := x.api(http.MethodPost, "/accounts", map[string]any{
		"appid": scannedAppID, "original_id": "gh_scanned", "name": "茶馆", "kind": "service", "verified": true, "secret": ownSecret,
		"callback": map[string]any{"mode": "safe", "token": ownToken, "aes_keys": []string{ownKey}},
	}, "")
	require.Equal(t, http.StatusCreated, status, a.Detail)
	account := "/accounts/" + strconv.FormatInt(a.ID, 10)
	follow := func(key string) simulator.Outcome {
		t.Helper()
		fan, err := x.sim.AddFan(scannedAppID, simulator.NewFan{})
		require.NoError(t, err)
		require.NoError(t, x.sim.SetCallback(scannedAppID, simulator.Callback{URL: a.CallbackURL, Token: ownToken, AESKey: key, Mode: simulator.ModeSafe}))
		push, err := x.sim.Do(t.Context(), simulator.Act{OpenID: fan, Kind: simulator.ActFollow})
		require.NoError(t, err)
		return push.Outcome
	}
	require.Equal(t, simulator.OutcomeAcknowledged, follow(ownKey))
	require.NotEqual(t, simulator.OutcomeAcknowledged, follow(nextKey), "a key that nobody has told us")
	status, changed := x.api(http.MethodPatch, account, map[string]any{"callback": map[string]any{"aes_keys": []string{nextKey}}}, a.etag)
	require.Equal(t, []any{http.StatusOK, true}, []any{status, changed.PreviousKey}, changed.Detail)
	require.Equal(t, simulator.OutcomeAcknowledged, follow(ownKey), "the console has not been saved yet")
	require.Equal(t, simulator.OutcomeAcknowledged, follow(nextKey))
	status, changed = x.api(http.MethodPatch, account, map[string]any{"callback": map[string]any{"forget_previous_key": true}}, changed.etag)
	require.Equal(t, []any{http.StatusOK, false}, []any{status, changed.PreviousKey}, changed.Detail)
	require.Equal(t, simulator.OutcomeAcknowledged, follow(nextKey))
	require.NotEqual(t, simulator.OutcomeAcknowledged, follow(ownKey))
}
