package accounts_test

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

const (
	checkAppID  = "wx0123456789abcdef"
	checkSecret = "app-secret-text"
	checkURL    = "https://hongyan.invalid/wechat/callback/" + checkAppID
)

// checkWorld is one account, the platform that it lives on, and the checker.
type checkWorld struct {
	t       *testing.T
	db      *database.DB
	clk     *clock.Manual
	sim     *simulator.Simulator
	store   *accounts.Store
	tokens  *accounts.Tokens
	inbox   *fans.Inbox
	client  *wechat.Client // what sends use
	options accounts.CheckOptions
	checker *accounts.Checker
	account *accounts.Account
	pushed  int
}

func eachCheck(t *testing.T, test func(w *checkWorld)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(newCheckWorld(t, db)) })
}

func newCheckWorld(t *testing.T, db *database.DB) *checkWorld {
	t.Helper()
	w := &checkWorld{t: t, db: db, clk: clock.NewManual(time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC))}
	vault, err := accounts.NewVault(bytes.Repeat([]byte{7}, accounts.KeySize))
	require.NoError(t, err)
	w.sim = simulator.New(simulator.Options{Clock: w.clk, Seed: 3})
	t.Cleanup(w.sim.Close)
	w.store, w.tokens = accounts.New(db, w.clk, vault), accounts.NewTokens(db, vault)
	w.inbox = fans.NewInbox(db, w.clk)
	w.client = wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: w.clk, Tokens: w.tokens})
	w.options = accounts.CheckOptions{
		DB: db, Clock: w.clk, Accounts: w.store, Transport: w.sim.RoundTripper(), Tokens: w.tokens, Pushes: w.inbox,
		CallbackURL: func(*accounts.Account) string { return checkURL },
	}
	w.checker = accounts.NewChecker(w.options)
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: checkAppID, Secret: checkSecret, OriginalID: "gh_0123456789ab", Verified: true,
		Callback: simulator.Callback{URL: checkURL, Token: "pushtoken"},
	}))
	w.connect(&accounts.Account{
		AppID: checkAppID, OriginalID: "gh_0123456789ab", Name: "鸿雁", Kind: accounts.KindService, Verified: true, Secret: checkSecret,
		BaseURL: "http://platform.invalid", Callback: accounts.Callback{Mode: accounts.ModePlain, Token: "pushtoken"},
	})
	w.push()
	return w
}

func (w *checkWorld) connect(a *accounts.Account) {
	w.t.Helper()
	require.NoError(w.t, w.store.CreateAccount(w.t.Context(), a))
	w.account = a
}

// push lets a push of the account come in now.
func (w *checkWorld) push() {
	w.t.Helper()
	w.pushed++
	_, err := w.inbox.Put(w.t.Context(), &fans.Push{
		AccountID: w.account.ID, DedupeKey: strconv.Itoa(w.pushed), OpenID: "o1", Body: []byte("<xml/>"), EventAt: w.clk.Now().UnixMilli(),
	})
	require.NoError(w.t, err)
}

// find reads the account as it is stored now.
func (w *checkWorld) find() *accounts.Account {
	w.t.Helper()
	w.clk.Advance(3 * time.Second) // what was read before is stale
	a, err := w.store.FindAccount(w.t.Context(), w.account.ID)
	require.NoError(w.t, err)
	return a
}

func (w *checkWorld) check() *accounts.Report {
	w.t.Helper()
	report, err := w.checker.Check(w.t.Context(), w.find())
	require.NoError(w.t, err)
	last, err := w.checker.LastCheck(w.t.Context(), w.account.ID)
	require.NoError(w.t, err)
	require.Equal(w.t, report, last, "what is stored is what was found")
	return report
}

// wrong are the findings that are not in order, by code.
func wrong(r *accounts.Report) map[accounts.FindingCode]accounts.Finding {
	out := map[accounts.FindingCode]accounts.Finding{}
	for _, f := range r.Findings {
		if f.Severity != accounts.SeverityOK {
			out[f.Code] = f
		}
	}
	return out
}

// only checks and returns the only finding that is not in order.
func (w *checkWorld) only(code accounts.FindingCode, severity accounts.Severity) accounts.Finding {
	w.t.Helper()
	found := wrong(w.check())
	require.Len(w.t, found, 1, "%v", found)
	require.Contains(w.t, found, code)
	require.Equal(w.t, severity, found[code].Severity)
	return found[code]
}

func (w *checkWorld) inOrder() *accounts.Report {
	w.t.Helper()
	report := w.check()
	require.Empty(w.t, wrong(report))
	require.Equal(w.t, accounts.SeverityOK, report.Worst())
	return report
}

func (w *checkWorld) set(change func(*simulator.Account)) {
	w.t.Helper()
	require.NoError(w.t, w.sim.UpdateAccount(checkAppID, change))
}

func (w *checkWorld) answer(path string, code int) {
	w.t.Helper()
	f := simulator.Faults{}
	if code != 0 {
		f.Codes = []simulator.CodeShare{{Code: code, Share: 1}}
	}
	require.NoError(w.t, w.sim.SetFaults(path, f))
}

// transportFunc is a function that carries requests.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
