package accounts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/stops"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const (
	scannedAppID = "wxacc0000000000001"
	scannedBack  = "https://hongyan.example/wechat/component/wxc/authorised"
)

// scanWorld is a simulated platform with a component and an account whose owner may authorise it, and an installation that is told of it.
type scanWorld struct {
	t      *testing.T
	clk    *clock.Manual
	db     *database.DB
	s      *Store
	sim    *simulator.Simulator
	comp   *Component
	client *wechat.Client
	z      *Authoriser
	log    bytes.Buffer

	mu        sync.Mutex
	held      bool // events are kept in events, and not acted upon
	events    []callback.ComponentEvent
	cut       map[string]string // path → "before" or "after" the platform did what was asked: the answer never comes
	then      map[string]func() // path → what happens, once, between the platform's answer and its arrival
	withdrawn []int64
	eraseErr  error
}

func eachScan(t *testing.T, o simulator.Switches, test func(t *testing.T, w *scanWorld)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := &scanWorld{t: t, db: db, clk: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)), cut: map[string]string{}, then: map[string]func(){}}
		vault, err := NewVault(bytes.Repeat([]byte{7}, KeySize))
		require.NoError(t, err)
		w.s = New(db, w.clk, vault)
		_, err = (&stops.Identity{DB: db, Clock: w.clk, Dir: t.TempDir()}).Check(t.Context(), time.Hour) // makes the row of the stop epoch
		require.NoError(t, err)
		w.sim = simulator.New(simulator.Options{
			Clock: w.clk, Seed: 3, Switches: o, Push: simulator.HandlerTransport(http.HandlerFunc(w.receive)),
		})
		t.Cleanup(w.sim.Close)
		w.comp = validComponent()
		require.NoError(t, w.sim.AddComponent(simulator.Component{
			AppID: w.comp.AppID, Secret: w.comp.Secret, Domain: "hongyan.example",
			Callback: simulator.Callback{URL: "https://hongyan.example/events", Token: w.comp.Callback.Token, AESKey: testComponentKey},
		}))
		require.NoError(t, w.sim.AddAccount(simulator.Account{
			AppID: scannedAppID, Secret: "never-told", Verified: true, OriginalID: "gh_scanned",
		}))
		require.NoError(t, w.s.CreateComponent(t.Context(), w.comp))
		w.restart()
		_, err = w.sim.PushTicket(t.Context(), w.comp.AppID)
		require.NoError(t, err)
		t.Cleanup(w.requireNoSecretInTheLog)
		test(t, w)
	})
}

// restart is another process: nothing is in its memory.
func (w *scanWorld) restart() {
	w.s = New(w.db, w.clk, w.s.vault)
	w.client = wechat.New(wechat.Options{Transport: w, Clock: w.clk, Tokens: NewTokens(w.db, w.s.vault)})
	w.z = NewAuthoriser(AuthoriserOptions{
		Accounts: w.s, Client: w.client, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Withdrawn: func(_ context.Context, accountID int64) error {
			if w.eraseErr != nil {
				return w.eraseErr
			}
			w.withdrawn = append(w.withdrawn, accountID)
			return nil
		},
	})
}

var errCut = errors.New("the process dies here")

// RoundTrip brings a call to the platform, and loses it or its answer where a test says so.
func (w *scanWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	cut, then := w.cut[r.URL.Path], w.then[r.URL.Path]
	delete(w.then, r.URL.Path)
	w.mu.Unlock()
	if cut == "before" {
		return nil, errCut
	}
	resp, err := w.sim.RoundTripper().RoundTrip(r)
	if then != nil {
		then()
	}
	if cut == "after" && err == nil {
		return nil, errors.Join(errCut, resp.Body.Close())
	}
	return resp, err
}

// lose loses the calls of an API from now on; "" stops that.
func (w *scanWorld) lose(path, when string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[path] = when
}

// receive is the authorisation event URL.
func (w *scanWorld) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	require.NoError(w.t, err)
	q := r.URL.Query()
	cfg := &callback.Config{AppID: w.comp.AppID, Token: w.comp.Callback.Token, AESKeys: w.comp.Callback.AESKeys}
	opened, err := cfg.OpenComponent(w.clk.Now(), callback.Push{
		Timestamp: q.Get("timestamp"), Nonce: q.Get("nonce"), EncryptType: q.Get("encrypt_type"), MsgSignature: q.Get("msg_signature"), Body: body,
	})
	require.NoError(w.t, err)
	e, err := callback.ParseComponent(opened)
	require.NoError(w.t, err)
	w.events = append(w.events, e)
	if !w.held {
		require.NoError(w.t, w.act(e))
	}
	_, err = io.WriteString(rw, "success")
	require.NoError(w.t, err)
}

// act does what the route of the events does; an error of Finish is not its.
func (w *scanWorld) act(e callback.ComponentEvent) error {
	ctx := w.t.Context()
	switch p := e.Payload.(type) {
	case callback.ComponentTicket:
		return w.comp.Platform().Store.SaveTicket(ctx, wechat.Ticket{Value: p.Ticket, At: e.CreatedAt})
	case callback.ComponentWithdrawn:
		return w.z.Withdraw(ctx, w.comp, p.AccountAppID, e.CreatedAt)
	case callback.ComponentGranted:
		if err := w.z.Note(ctx, w.comp, Granted{AppID: p.AccountAppID, Code: p.Code, At: e.CreatedAt, Updated: p.Updated}); err != nil {
			return err
		}
		if err := w.z.Finish(ctx, w.comp, p.AccountAppID); err != nil {
			w.z.o.Log.Error("not finished", "error", err)
		}
	}
	return nil
}

// grant lets the owner consent, some seconds after what was before, and returns the code.
func (w *scanWorld) grant(sets ...int) string {
	w.t.Helper()
	w.clk.Advance(10 * time.Second)
	code, err := w.sim.Authorise(w.t.Context(), simulator.Authorisation{Component: w.comp.AppID, AppID: scannedAppID, Permissions: sets})
	require.NoError(w.t, err)
	return code
}

func (w *scanWorld) withdraw() {
	w.t.Helper()
	w.clk.Advance(10 * time.Second)
	_, err := w.sim.Withdraw(w.t.Context(), w.comp.AppID, scannedAppID)
	require.NoError(w.t, err)
}

// hold keeps events back from now on; take returns those that came since.
func (w *scanWorld) hold() { w.held, w.events = true, nil }

func (w *scanWorld) take() []callback.ComponentEvent {
	events := w.events
	w.held, w.events = false, nil
	return events
}

// account is the account as it is stored.
func (w *scanWorld) account() *Account {
	w.t.Helper()
	w.s.forget()
	a, err := w.s.FindAccountByAppID(w.t.Context(), scannedAppID)
	require.NoError(w.t, err)
	return a
}

func (w *scanWorld) count(query string) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw(query).Scan(&n).Error)
	return n
}

func (w *scanWorld) epoch() int64 {
	w.t.Helper()
	n, err := stops.Epoch(w.db.Read(w.t.Context()))
	require.NoError(w.t, err)
	return n
}

func (w *scanWorld) setStopped(id int64, stopped bool, reason string) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return w.s.SetStopped(tx, id, stopped, reason) }))
}

// calls counts the calls of an API, all of them or those that the platform took.
func (w *scanWorld) calls(path string) int { return len(w.sim.Calls(simulator.Filter{Path: path})) }

// send sends a message in the account's name to somebody who has just written.
func (w *scanWorld) send() error {
	w.t.Helper()
	fan, err := w.sim.AddFans(scannedAppID, 1, true)
	require.NoError(w.t, err)
	require.NoError(w.t, w.sim.GrantFan(fan[0], wechat.TriggerMessage))
	return w.client.SendKefu(w.t.Context(), w.account().Platform(), fan[0], wechat.TextMessage("你好"))
}

func (w *scanWorld) tokens() wechat.RefreshTokens {
	w.t.Helper()
	held, err := w.comp.Platform().Store.RefreshTokens(w.t.Context(), scannedAppID)
	require.NoError(w.t, err)
	return held
}

// consent opens the authorisation page and agrees, as a browser does, and returns where that is sent.
func (w *scanWorld) consent(address string) *url.URL {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address+"&agree=1&authorizer_appid="+scannedAppID, http.NoBody)
	require.NoError(w.t, err)
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	back, err := resp.Location()
	require.NoError(w.t, err)
	return back
}

func (w *scanWorld) requireNoSecretInTheLog() {
	log := w.log.String()
	for _, secret := range append(componentSecrets(), "@@@", "access_token=") {
		require.NotContains(w.t, log, secret)
	}
}
