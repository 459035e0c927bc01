package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
	"hongyan/internal/stops"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/templates"
	"hongyan/webhooks"
	"hongyan/wechat"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// world is an installation with a member, a token of all scopes, and two accounts.
type world struct {
	t      *testing.T
	o      Options
	clock  *clock.Manual
	app    *fiber.App
	api    *API
	ours   *accounts.Account
	other  *accounts.Account
	inside *accounts.Account // see sandboxed
	mira   *Member
	token  string
	log    bytes.Buffer
}

// eachWorld runs test on both storages.
func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newWorld(t, db)) })
}

// inWorld runs test where the storage makes no difference.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	test(t, newWorld(t, testdb.SQLite(t)))
}

func newWorld(t *testing.T, db *database.DB) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC))}
	vault, err := accounts.NewVault(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	redis := testdb.MiniRedis(t)
	store := accounts.New(db, w.clock, vault)
	transport := &answering{}
	lim := limits.New(db)
	w.o = Options{
		DB: db, Clock: w.clock, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Redis: redis.Client, Prefix: redis.Prefix,
		Accounts: store, Limits: lim, Fans: fans.New(db, w.clock, lim), Templates: templates.New(db, w.clock), Ledger: deliveries.New(db, w.clock),
		Stops: stops.New(db, w.clock), Jobs: jobs.New(db, w.clock),
		Client: wechat.New(wechat.Options{Transport: transport, Clock: w.clock, Tokens: accounts.NewTokens(db, vault)}),
		Checks: accounts.NewChecker(accounts.CheckOptions{
			DB: db, Clock: w.clock, Accounts: store, Transport: transport, Tokens: accounts.NewTokens(db, vault), Pushes: fans.NewInbox(db, w.clock),
		}),
	}
	w.o.Campaigns = campaigns.New(campaigns.Options{
		DB: db, Clock: w.clock, Accounts: store, Limits: lim, Templates: w.o.Templates, Ledger: w.o.Ledger, Stops: w.o.Stops, Fans: w.o.Fans, Tagger: w.o.Fans,
		Webhooks: noCalls{}, Links: linkBook{},
	})
	w.joinFans()
	w.o.Webhooks = webhooks.New(webhooks.Options{DB: db, Clock: w.clock, Sealer: vault})
	w.ours, w.other = w.account("wx00000000000000a1", "我们"), w.account("wx00000000000000b2", theirMark)
	w.mount()
	w.mira, w.token = w.member("mira", allScopes()...)
	return w
}

// noCalls is an account without webhooks, as drips see it: no step runs here.
type noCalls struct{}

func (noCalls) WebhookIDs(context.Context, int64) ([]int64, error) { return nil, nil }

func (noCalls) Enqueue(*gorm.DB, int64, int64, []campaigns.WebhookCall) error { return nil }

// linkBook makes tracked addresses of 60 bytes and counts as many openings of each as the message's id says: no page is served here.
type linkBook struct{}

func (linkBook) Longest() int { return 60 }

func (linkBook) Keep(*gorm.DB, int64, []string) error { return nil }

func (linkBook) Figures(_ context.Context, q campaigns.LinkQuery) ([]campaigns.LinkFigure, error) {
	out := make([]campaigns.LinkFigure, len(q.MessageIDs))
	for i, id := range q.MessageIDs {
		out[i] = campaigns.LinkFigure{MessageID: id, URL: "https://a.cn", People: id, Taps: id + 1, Others: id + 2}
	}
	return out, nil
}

// mount starts a process anew, with w.o. Passwords cost next to nothing.
func (w *world) mount() {
	w.app = fiber.New(fiber.Config{Immutable: true, DisableStartupMessage: true, ReadBufferSize: 64 << 10})
	w.api = Mount(w.app, w.o)
	w.api.members.cost = cost{kib: 64, rounds: 1, lanes: 1}
}

// theirMark is in all that belongs to the other account, so that a leak is seen wherever it is.
const theirMark = "THEIRS-ONLY"

func (w *world) account(appid, name string, change ...func(*accounts.Account)) *accounts.Account {
	w.t.Helper()
	a := &accounts.Account{
		AppID: appid, OriginalID: "gh_" + appid, Name: name, Kind: accounts.KindService, Verified: true, BaseURL: "http://platform.invalid",
		Secret: "0123456789abcdef0123456789abcdef", Callback: accounts.Callback{Mode: accounts.ModePlain, Token: "token-of-pushes"},
	}
	for _, c := range change {
		c(a)
	}
	require.NoError(w.t, w.o.Accounts.CreateAccount(w.t.Context(), a))
	return a
}

const goodPassword = "correct horse battery"

// member adds a member with a token.
func (w *world) member(name string, scopes ...Scope) (*Member, string) {
	w.t.Helper()
	m, err := w.api.members.AddMember(w.t.Context(), name, goodPassword)
	require.NoError(w.t, err)
	secret, err := w.api.members.CreateToken(w.t.Context(), &Token{MemberID: m.ID, Name: "test", Scopes: scopes})
	require.NoError(w.t, err)
	return m, secret
}

// answering is a platform that says yes to everything.
type answering struct{ tags atomic.Int64 }

func (p *answering) RoundTrip(req *http.Request) (*http.Response, error) {
	body := `{"errcode":0,"errmsg":"ok"}`
	if strings.Contains(req.URL.Path, "token") {
		body = `{"access_token":"t","expires_in":7200}`
	}
	if strings.HasSuffix(req.URL.Path, "/tags/create") {
		body = fmt.Sprintf(`{"tag":{"id":%d,"name":"made"}}`, 100+p.tags.Add(1))
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
}

func (r *answer) problem(t *testing.T) *Problem {
	t.Helper()
	require.Equal(t, problemType, r.header.Get("Content-Type"), string(r.raw))
	p := &Problem{}
	require.NoError(t, json.Unmarshal(r.raw, p))
	require.Equal(t, r.status, p.Status)
	return p
}

func (r *answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.raw, v), string(r.raw))
}

// ask makes a request with the world's token. Headers are pairs; Authorization of "" takes the token away.
func (w *world) ask(method, path string, body any, headers ...string) *answer {
	w.t.Helper()
	var in io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		require.NoError(w.t, err)
		in = bytes.NewReader(raw)
	}
	req := httptest.NewRequest(method, path, in)
	req.Header.Set("Authorization", "Bearer "+w.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := w.app.Test(req, -1)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	return &answer{status: resp.StatusCode, header: resp.Header, raw: raw}
}
