package fans

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
	"hongyan/internal/stops"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const syncAppID = "wx0123456789abcdef"

// gate is a stop by hand.
type gate struct{ stopped atomic.Bool }

func (g *gate) Begin(stops.Scope) bool { return !g.stopped.Load() }
func (*gate) End(stops.Scope)          {}

// syncWorld is a room with the platform on the other side. What fans do there is pushed and recorded, unless pushes are lost.
type syncWorld struct {
	*room
	sim      *simulator.Simulator
	platform *Platform
	gate     gate
	jobs     *jobs.Store
	worker   *jobs.Worker
	inbox    atomic.Int64
	lost     atomic.Bool // pushes
	// answered is called with each answer of the platform before the program gets it.
	answered atomic.Pointer[func(path string, resp *http.Response)]
}

func eachSync(t *testing.T, test func(t *testing.T, w *syncWorld)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newSyncWorld(t, db)) })
}

func newSyncWorld(t *testing.T, db *database.DB) *syncWorld {
	t.Helper()
	clk := clock.NewManual(start())
	w := &syncWorld{room: &room{Store: New(db, clk, limits.New(db)), t: t, clk: clk}, jobs: jobs.New(db, clk)}
	w.sim = simulator.New(simulator.Options{Clock: clk, Seed: 5, Push: simulator.HandlerTransport(http.HandlerFunc(w.push))})
	t.Cleanup(w.sim.Close)
	vault, err := accounts.NewVault(bytes.Repeat([]byte("k"), accounts.KeySize))
	require.NoError(t, err)
	w.platform = &Platform{Client: wechat.New(wechat.Options{Transport: w, Clock: clk}), Accounts: accounts.New(db, clk, vault), Gate: &w.gate, Clock: clk}
	a := &accounts.Account{
		AppID: syncAppID, OriginalID: "gh_0123456789ab", Name: "tea house", Kind: accounts.KindService, Verified: true, BaseURL: "http://platform.invalid",
		Secret: "a secret of the test", Callback: accounts.Callback{Mode: accounts.ModePlain, Token: "pushtoken"},
	}
	require.NoError(t, w.platform.Accounts.CreateAccount(t.Context(), a))
	require.Equal(t, account, a.ID)
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: a.AppID, Secret: a.Secret, OriginalID: a.OriginalID, Type: simulator.Service, Verified: true,
		Callback: simulator.Callback{URL: "http://hongyan.invalid/push", Token: a.Callback.Token},
	}))
	w.worker = &jobs.Worker{Store: w.jobs, Owner: "w", Log: slog.New(slog.DiscardHandler), Runners: map[string]jobs.Runner{
		SyncKind: NewSyncer(w.Store, w.platform).Run, BlacklistKind: NewBlacklister(w.Store, w.platform).Run,
	}}
	return w
}

// RoundTrip brings a call to the platform.
func (w *syncWorld) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.sim.RoundTripper().RoundTrip(req)
	if do := w.answered.Load(); err == nil && do != nil {
		(*do)(req.URL.Path, resp)
	}
	return resp, err
}

// onAnswer calls do once, with the first answer of a path.
func (w *syncWorld) onAnswer(path string, do func(resp *http.Response)) {
	var done atomic.Bool
	hook := func(called string, resp *http.Response) {
		if called == path && done.CompareAndSwap(false, true) {
			do(resp)
		}
	}
	w.answered.Store(&hook)
}

// push records what a push of the platform says.
func (w *syncWorld) push(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && !w.lost.Load() {
		var e callback.Event
		if e, err = callback.Parse(body); err == nil {
			w.record(&Act{
				InboxID: w.inbox.Add(1), OpenID: e.FromUser, Kind: e.Name, EventAt: e.CreatedAt.UnixMilli(),
				Followed: e.Name == "subscribe", Left: e.Name == "unsubscribe",
			})
		}
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
	}
}

// people adds persons at the platform of whom nothing was pushed.
func (w *syncWorld) people(n int, follow bool) []string {
	w.t.Helper()
	openids, err := w.sim.AddFans(syncAppID, n, follow)
	require.NoError(w.t, err)
	return openids
}

// known makes a fan known to us as following since an hour, or as having left an hour ago.
func (w *syncWorld) known(openid string, follows bool) int64 {
	w.t.Helper()
	w.record(&Act{InboxID: w.inbox.Add(1), OpenID: openid, Kind: "subscribe", Followed: true, EventAt: w.at(-2 * time.Hour), Triggers: []wechat.Trigger{wechat.TriggerFollow}})
	if !follows {
		w.record(&Act{InboxID: w.inbox.Add(1), OpenID: openid, Kind: "unsubscribe", Left: true, EventAt: w.at(-time.Hour)})
	}
	return w.fan(openid).ID
}

func (w *syncWorld) begin() *jobs.Job {
	w.t.Helper()
	w.clk.Advance(time.Hour)
	j := NewSync(account)
	require.NoError(w.t, w.jobs.Create(w.t.Context(), j))
	return j
}

func (w *syncWorld) run() {
	w.t.Helper()
	ran, err := w.worker.RunOnce(w.t.Context())
	require.NoError(w.t, err)
	require.True(w.t, ran)
}

func (w *syncWorld) job(id int64) *jobs.Job {
	w.t.Helper()
	j, err := w.jobs.FindJob(w.t.Context(), account, id)
	require.NoError(w.t, err)
	return j
}

// sync runs a whole synchronisation and returns the lines of its result file without the header.
func (w *syncWorld) sync() [][]string {
	w.t.Helper()
	j := w.begin()
	w.run()
	return w.finished(j)
}

func (w *syncWorld) finished(j *jobs.Job) [][]string {
	w.t.Helper()
	end := w.job(j.ID)
	require.Equal(w.t, jobs.StateFinished, end.State, end.Error)
	return w.result(j)
}

func (w *syncWorld) result(j *jobs.Job) [][]string {
	w.t.Helper()
	var file bytes.Buffer
	require.NoError(w.t, w.jobs.WriteResult(w.t.Context(), account, j.ID, &file))
	lines, err := csv.NewReader(&file).ReadAll()
	require.NoError(w.t, err)
	require.Equal(w.t, []string{"fan_id", "what", "detail"}, lines[0])
	w.byOpenID(lines[1:])
	return lines[1:]
}

// byOpenID puts openids in place of the ids in a result file's lines, for the tests, which know fans by these.
func (w *syncWorld) byOpenID(lines [][]string) {
	w.t.Helper()
	for _, line := range lines {
		id, err := strconv.ParseInt(line[0], 10, 64)
		if err != nil {
			require.Empty(w.t, line[0])
			continue
		}
		found, err := w.ByIDs(w.db.Read(w.t.Context()), account, []int64{id})
		require.NoError(w.t, err)
		if f := found[id]; f != nil {
			line[0] = f.OpenID
		}
	}
}

// agrees checks that our fans are the platform's: who follows, who is blacklisted, nobody twice, nobody missing.
func (w *syncWorld) agrees() {
	w.t.Helper()
	states, err := w.sim.Fans(syncAppID)
	require.NoError(w.t, err)
	want := map[string][2]bool{}
	for _, f := range states {
		if f.Subscribed || f.Blacklisted {
			want[f.OpenID] = [2]bool{f.Subscribed, f.Blacklisted}
		}
	}
	got := map[string][2]bool{}
	all, err := w.FindFans(w.t.Context(), account, FanFilter{Limit: 1_000_000})
	require.NoError(w.t, err)
	for _, f := range all {
		_, twice := got[f.OpenID]
		require.False(w.t, twice, f.OpenID)
		if f.Subscribed || f.Blacklisted {
			got[f.OpenID] = [2]bool{f.Subscribed, f.Blacklisted}
		}
	}
	for openid, is := range want {
		require.Equal(w.t, is, got[openid], "follows, blacklisted: %s", openid)
	}
	require.Len(w.t, got, len(want))
	var without int64
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw("SELECT COUNT(*) FROM fans WHERE id NOT IN (SELECT fan_id FROM fan_limits)").Scan(&without).Error)
	require.Zero(w.t, without, "every fan has limits")
}

// stale makes a reservation that rests on how fans are now and stores it later.
func (w *syncWorld) stale(ids ...int64) (store func() error) {
	w.t.Helper()
	read, err := w.limits.Read(w.db.Read(w.t.Context()), account, ids)
	require.NoError(w.t, err)
	r := limits.NewReservations(w.clk.Now())
	for _, u := range read {
		r.Take(u, limits.Take{Messages: 1, CapDay: 20_000})
	}
	return func() error {
		return w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return w.limits.Reserve(tx, r) })
	}
}

// rewrite changes a JSON answer.
func rewrite(t *testing.T, resp *http.Response, change func(body map[string]any)) {
	t.Helper()
	var body map[string]any
	raw, err := io.ReadAll(resp.Body)
	if err == nil {
		err = resp.Body.Close()
	}
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil {
		t.Error(err)
		return
	}
	change(body)
	if raw, err = json.Marshal(body); err != nil {
		t.Error(err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(raw))), int64(len(raw))
}
