package webhooks_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/webhooks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = 7

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// office is an account whose webhooks are posted to a receiver of the test.
type office struct {
	*webhooks.Store
	t     *testing.T
	db    *database.DB
	clk   *clock.Manual
	vault *accounts.Vault
}

func each(t *testing.T, test func(o *office)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(newOffice(t, db, true)) })
}

func newOffice(t *testing.T, db *database.DB, allowPrivate bool) *office {
	t.Helper()
	vault, err := accounts.NewVault(make([]byte, accounts.KeySize))
	require.NoError(t, err)
	clk := clock.NewManual(start)
	store := webhooks.New(webhooks.Options{DB: db, Clock: clk, Sealer: vault, AllowPrivate: allowPrivate})
	return &office{Store: store, t: t, db: db, clk: clk, vault: vault}
}

func (o *office) worker(owner string) *webhooks.Worker {
	return webhooks.NewWorker(o.Store, owner, slog.New(slog.DiscardHandler))
}

// run gives each webhook with due events one turn.
func (o *office) run(w *webhooks.Worker) int {
	o.t.Helper()
	n, err := w.RunOnce(o.t.Context())
	require.NoError(o.t, err)
	return n
}

func (o *office) create(address string) (e *webhooks.Endpoint, secret string) {
	o.t.Helper()
	e, secret, err := o.CreateEndpoint(o.t.Context(), account, webhooks.NewEndpoint{Name: "CRM", URL: address})
	require.NoError(o.t, err)
	return e, secret
}

func (o *office) enqueue(webhookID int64, events ...webhooks.Event) {
	o.t.Helper()
	require.NoError(o.t, o.db.Tx(o.t.Context(), func(tx *gorm.DB) error { return o.Enqueue(tx, account, webhookID, events) }))
}

func events(n int) []webhooks.Event {
	out := make([]webhooks.Event, n)
	for i := range out {
		out[i] = webhooks.Event{Type: "drip.step", FanID: int64(i + 1), Data: map[string]any{"n": i}}
	}
	return out
}

func (o *office) entries(webhookID int64, state webhooks.State) []webhooks.Entry {
	o.t.Helper()
	out, err := o.FindEntries(o.t.Context(), webhooks.Filter{AccountID: account, WebhookID: webhookID, State: state, Most: 100})
	require.NoError(o.t, err)
	return out
}

func (o *office) attempts(e *webhooks.Entry) []webhooks.Attempt {
	o.t.Helper()
	out, err := o.FindAttempts(o.t.Context(), account, e.ID)
	require.NoError(o.t, err)
	return out
}

// received is a post as the receiver saw it.
type received struct {
	id, signature, body, contentType string
}

// receiver is another system. It answers with answer, which may be changed between runs.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer func(w http.ResponseWriter, r *http.Request)
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{answer: func(http.ResponseWriter, *http.Request) {}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, received{
			id: req.Header.Get(webhooks.HeaderEventID), signature: req.Header.Get(webhooks.HeaderSignature), body: string(body),
			contentType: req.Header.Get("Content-Type"),
		})
		r.mu.Unlock()
		r.answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) posts() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// verify checks a signature as a receiver would, from the description alone.
func verify(secret string, post received) bool {
	at, sum, _ := strings.Cut(strings.TrimPrefix(post.signature, "t="), ",v1=")
	if _, err := strconv.ParseInt(at, 10, 64); err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + post.body))
	return hex.EncodeToString(mac.Sum(nil)) == sum
}

func requireField(t *testing.T, err error, field, rule string) {
	t.Helper()
	var got []string
	for _, f := range fault.Fields(err) {
		got = append(got, f.Field+" "+f.Rule)
	}
	require.Equal(t, []string{field + " " + rule}, got, err)
}

func receiverThatErases(o *office, done chan<- error) func(http.ResponseWriter, *http.Request) {
	return func(http.ResponseWriter, *http.Request) {
		done <- o.db.Tx(o.t.Context(), func(tx *gorm.DB) error { return o.Forget(tx, 0, account, []int64{1}) })
	}
}
