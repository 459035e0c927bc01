package scheduler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/scheduler"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const (
	appID      = "wx0123456789abcdef"
	originalID = "gh_0123456789ab"
	secret     = "a-secret-of-the-test"
	pushToken  = "pushtoken"
)

// start is a Wednesday, ten in the morning in Shanghai.
var start = time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC)

// setup says how a world differs from the usual one.
type setup struct {
	spec     guard.PolicySpec
	rate     int // 0: 1,000 per second
	inFlight int
	// clk is nil for virtual time. With a real clock, redis and workers make a scheduler that runs by itself.
	clk     clock.Clock
	redis   redis.UniversalClient
	prefix  string
	workers int
	// patience is how long the platform waits for an answer to a push; 0 is as long as it does.
	patience time.Duration
	queued   bool // virtual time, but what waits does so until the clock is moved
	timing   scheduler.Timing
	line     int // pushes that may stand in line
	// front stands between the scheduler and the platform.
	front func(http.RoundTripper) http.RoundTripper
	log   *slog.Logger
	// public is where fans reach the installation.
	public string
}

// world is an installation with one account, and the platform that it lives on.
type world struct {
	t       testing.TB
	o       setup
	db      *database.DB
	dir     string
	clk     *clock.Manual // nil in real time
	swept   time.Time     // when time last passed so far that a process sweeps
	sim     *simulator.Simulator
	s       *scheduler.Scheduler
	account *accounts.Account
	entered int64 // numbers invented interactions
	// push answers the platform's pushes; tests replace it to lose them.
	push atomic.Pointer[http.HandlerFunc]
}

// each runs a test in virtual time, on both storages.
func each(t *testing.T, o setup, test func(t *testing.T, w *world)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newWorld(t, db, o)) })
}

// embedded runs a test in virtual time on the embedded storage alone: for rules in which SQL has no part.
func embedded(t *testing.T, o setup, test func(t *testing.T, w *world)) {
	t.Helper()
	test(t, newWorld(t, testdb.SQLite(t), o))
}

func newWorld(t testing.TB, db *database.DB, o setup) *world {
	t.Helper()
	w := &world{t: t, o: o, db: db, dir: t.TempDir()}
	if w.o.clk == nil {
		w.clk, w.swept = clock.NewManual(start), start
		w.o.clk = w.clk
	}
	answer := http.HandlerFunc(w.receive)
	w.push.Store(&answer)
	w.sim = simulator.New(simulator.Options{Clock: w.o.clk, Seed: 7, PushTimeout: w.o.patience, Push: simulator.HandlerTransport(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		(*w.push.Load())(rw, r)
	}))})
	t.Cleanup(w.sim.Close)
	w.s = w.process()
	rate := o.rate
	if rate == 0 {
		rate = 1000
	}
	a := &accounts.Account{
		AppID: appID, OriginalID: originalID, Name: "Coffee", Kind: accounts.KindService, Verified: true, BaseURL: "http://platform.invalid", Secret: secret,
		Callback: accounts.Callback{Mode: accounts.ModePlain, Token: pushToken}, Spec: o.spec, RatePerSecond: rate, InFlight: o.inFlight,
	}
	require.NoError(t, w.s.Accounts.CreateAccount(t.Context(), a))
	w.account = w.find()
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: appID, Secret: secret, OriginalID: originalID, Type: simulator.Service, Verified: true,
		Callback: simulator.Callback{URL: "http://hongyan.invalid/push", Token: pushToken},
	}))
	require.NoError(t, w.sim.SetLimit(appID, simulator.PathSend, simulator.Limit{Daily: 10_000_000, PerMinute: 10_000_000, PerSecond: 10_000_000}))
	if w.clk != nil {
		require.NoError(t, w.s.Watch.RunOnce(t.Context()))
	}
	return w
}

// process is one more process of the installation.
func (w *world) process() *scheduler.Scheduler {
	w.t.Helper()
	vault, err := accounts.NewVault(bytes.Repeat([]byte("k"), accounts.KeySize))
	require.NoError(w.t, err)
	transport := w.sim.RoundTripper()
	if w.o.front != nil {
		transport = w.o.front(transport)
	}
	log := w.o.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s, err := scheduler.New(w.t.Context(), scheduler.Options{
		DB: w.db, Clock: w.o.clk, Log: log, Redis: w.o.redis, Prefix: w.o.prefix, Transport: transport, Registry: prometheus.NewRegistry(), Vault: vault,
		DataDir: w.dir, MaxLateness: 24 * time.Hour, Workers: w.o.workers, Timing: w.o.timing, InboundLine: w.o.line, PublicURL: w.o.public, Direct: w.clk != nil && !w.o.queued,
	})
	require.NoError(w.t, err)
	return s
}

// start starts a process and sees to it that a failed test stops it before its Redis client is closed: asynq panics otherwise, and hides why the test failed.
func (w *world) start(s *scheduler.Scheduler) {
	w.t.Helper()
	require.NoError(w.t, s.Start(w.t.Context()))
	w.t.Cleanup(func() { require.NoError(w.t, s.Stop(context.WithoutCancel(w.t.Context()))) })
}

func (w *world) find() *accounts.Account {
	w.t.Helper()
	a, err := w.s.Accounts.FindAccountByAppID(w.t.Context(), appID)
	require.NoError(w.t, err)
	return a
}

// receive is what the web server does with a push whose signature it has checked.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	e, err := readEvent(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusForbidden)
		return
	}
	answer, err := w.s.Inbound.Receive(r.Context(), w.account, e)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err := w.hand(rw, r, e, answer); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

func readEvent(r *http.Request) (*callback.Event, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	e, err := callback.Parse(body)
	return &e, err
}

func (w *world) hand(rw http.ResponseWriter, r *http.Request, e *callback.Event, answer scheduler.Answer) error {
	var reply callback.Reply = callback.ReplyNone{}
	if answer.Message != nil {
		reply, _ = callback.FromMessage(*answer.Message)
	}
	out, err := callback.RenderReply(&callback.Config{AppID: appID, Token: pushToken}, callback.ReplyMeta{To: e.FromUser, From: e.ToUser, Now: w.o.clk.Now()}, reply)
	if err != nil {
		return err
	}
	if _, err := rw.Write(out); err != nil {
		return err
	}
	if answer.Confirm != nil {
		return answer.Confirm(r.Context())
	}
	return nil
}

// turn does all that is due now.
func (w *world) turn() {
	w.t.Helper()
	require.NoError(w.t, w.s.Turn(w.t.Context()))
}

// after lets time pass and then does what is due. What falls due in between is done when it does.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	w.until(w.clk.Now().Add(d))
}

func (w *world) until(end time.Time) {
	w.t.Helper()
	for range 10_000 {
		next, waits, err := w.s.NextDue(w.t.Context(), w.account.ID)
		require.NoError(w.t, err)
		if !waits || next.After(end) {
			w.pass(end)
			return
		}
		w.pass(next)
	}
	require.FailNow(w.t, "time does not pass")
}

// pass goes to a moment and does what is due then, and sweeps as often as processes do: until a reply that nobody fetched is given up, what comes after it asks
// again and again.
func (w *world) pass(to time.Time) {
	w.t.Helper()
	w.clk.Set(to)
	if to.Sub(w.swept) >= scheduler.DefaultTiming().SweepEvery {
		w.swept = to
		_, err := w.s.Sweep(w.t.Context())
		require.NoError(w.t, err)
	}
	w.turn()
}

// at is a time of day in the account's zone, d days after the start.
func at(d int, hour, minute int) time.Time {
	return time.Date(2026, 3, 4+d, hour-8, minute, 0, 0, time.UTC)
}

// j is JSON as members write it.
type j = map[string]any

func text(s string) j { return j{"msgtype": "text", "text": j{"content": s}} }

// step is a step of a drip with text messages.
func step(when string, texts ...string) j {
	var list []any
	for _, s := range texts {
		list = append(list, text(s))
	}
	return j{"delay": when, "messages": list}
}

// with adds settings to a step or a drip.
func with(base j, more j) j {
	maps.Copy(base, more)
	return base
}

func onFollow() []any { return []any{j{"kind": "follow"}} }

func onWord(word string) []any { return []any{j{"kind": "keyword", "keywords": []string{word}}} }

// drip makes and starts a drip; more are further fields of its definition.
func (w *world) drip(triggers []any, more j, steps ...j) *campaigns.Drip {
	w.t.Helper()
	raw, err := json.Marshal(with(j{"triggers": triggers, "steps": steps}, more))
	require.NoError(w.t, err)
	d, err := w.s.Campaigns.CreateDrip(w.t.Context(), w.account, campaigns.NewDrip{Name: "drip", Definition: raw})
	require.NoError(w.t, err)
	require.NoError(w.t, w.s.Campaigns.StartDrip(w.t.Context(), w.account, campaigns.Change{ID: d.ID}))
	d, err = w.s.Campaigns.FindDrip(w.t.Context(), w.account.ID, d.ID)
	require.NoError(w.t, err)
	return d
}

func (w *world) state(d *campaigns.Drip) (campaigns.State, string) {
	w.t.Helper()
	d, err := w.s.Campaigns.FindDrip(w.t.Context(), w.account.ID, d.ID)
	require.NoError(w.t, err)
	return d.State, d.StoppedReason
}

// stranger is a person who does not follow yet.
func (w *world) stranger() string {
	w.t.Helper()
	ids, err := w.sim.AddFans(appID, 1, false)
	require.NoError(w.t, err)
	return ids[0]
}

// follow lets a person follow and does what is due then.
func (w *world) follow(openid string) simulator.Push {
	w.t.Helper()
	p, err := w.sim.Follow(w.t.Context(), openid, "")
	require.NoError(w.t, err)
	if w.clk != nil && !w.o.queued {
		w.turn()
	}
	return p
}

func (w *world) write(openid, words string) simulator.Push {
	w.t.Helper()
	p, err := w.sim.Text(w.t.Context(), openid, words)
	require.NoError(w.t, err)
	if w.clk != nil {
		w.turn()
	}
	return p
}

// fans are people who have just written: five messages may go to each.
func (w *world) fans(n int) []*fans.Fan {
	w.t.Helper()
	openids, err := w.sim.AddFans(appID, n, true)
	require.NoError(w.t, err)
	now := w.o.clk.Now()
	var out []*fans.Fan
	acts := make([]*fans.Act, n)
	for i, openid := range openids {
		require.NoError(w.t, w.sim.GrantFan(openid, wechat.TriggerMessage))
		w.entered++
		acts[i] = &fans.Act{InboxID: 1e9 + w.entered, OpenID: openid, Kind: "text", EventAt: now.UnixMilli(), Triggers: []wechat.Trigger{wechat.TriggerMessage}}
	}
	w.tx(func(tx *gorm.DB) error {
		recorded, err := w.s.Fans.Record(tx, fans.Recorder{AccountID: w.account.ID, Now: now.UnixMilli(), Rules: wechat.RulesAt(now), Uncounted: w.s.Ledger.Uncounted}, acts)
		out = nil
		for _, r := range recorded {
			out = append(out, r.Fan)
		}
		return err
	})
	return out
}

// plan puts one message of a drip into the ledger for each fan, due now. change may alter it.
func (w *world) plan(d *campaigns.Drip, to []*fans.Fan, change func(i int, p *deliveries.Planned)) {
	w.t.Helper()
	ids := make([]int64, len(to))
	for i, f := range to {
		ids[i] = f.ID
	}
	w.planIDs(d, ids, change)
}

func (w *world) planIDs(d *campaigns.Drip, fanIDs []int64, change func(i int, p *deliveries.Planned)) {
	w.t.Helper()
	now := w.o.clk.Now()
	rows := make([]deliveries.Planned, len(fanIDs))
	for i, id := range fanIDs {
		rows[i] = deliveries.Planned{
			Key:      deliveries.Key{AccountID: w.account.ID, Source: deliveries.Source{Kind: deliveries.SourceDrip, ID: d.ID}, FanID: id, Occurrence: 1, StepNo: 1, MessageNo: 1},
			StepSize: 1, Channel: guard.ChannelKefu, Class: guard.ClassMarketing, MessageID: w.message(), DueAt: now.UnixMilli(),
			NotAfter: now.Add(24 * time.Hour).UnixMilli(), Deadline: now.Add(24 * time.Hour).UnixMilli(), State: deliveries.StatePlanned,
		}
		if change != nil {
			change(i, &rows[i])
		}
	}
	w.tx(func(tx *gorm.DB) error { return w.s.Ledger.Plan(tx, now, rows) })
}

// message is the id of any stored message.
func (w *world) message() int64 { return w.number("SELECT MIN(id) FROM messages") }

func (w *world) tx(fn func(tx *gorm.DB) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), fn))
}

func (w *world) number(query string, args ...any) (n int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw(query, args...).Scan(&n).Error)
	return n
}

func (w *world) batches() []deliveries.Batch {
	w.t.Helper()
	found, err := w.s.Ledger.LiveBatches(w.db.Read(w.t.Context()), w.account.ID)
	require.NoError(w.t, err)
	return found
}

// rows are a fan's deliveries, oldest first.
func (w *world) rows(openid string) []deliveries.Delivery {
	w.t.Helper()
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	rows, err := w.s.Ledger.Timeline(w.t.Context(), w.account.ID, f.ID)
	require.NoError(w.t, err)
	return rows
}

// story is a fan's deliveries in short: occurrence, step and message, state, and reason if there is one.
func (w *world) story(openid string) []string {
	w.t.Helper()
	out := []string{}
	for _, d := range w.rows(openid) {
		line := fmt.Sprintf("%d.%d.%d %s", d.Occurrence, d.StepNo, d.MessageNo, d.State)
		if d.Reason != guard.ReasonNone {
			line += " " + d.Reason.String()
		}
		out = append(out, line)
	}
	return out
}

// got is what reached a fan, with the time since the start.
func (w *world) got(openid string) []string {
	w.t.Helper()
	arrivals, err := w.sim.Arrivals(openid)
	require.NoError(w.t, err)
	out := []string{}
	for _, a := range arrivals {
		out = append(out, fmt.Sprintf("%s %s", a.At.Sub(start), a.Content))
	}
	return out
}

// tally counts the ledger by state.
func (w *world) tally() map[deliveries.State]int {
	w.t.Helper()
	counts, err := w.s.Ledger.CountAccount(w.t.Context(), w.account.ID)
	require.NoError(w.t, err)
	out := map[deliveries.State]int{}
	for _, c := range counts {
		out[c.State] += int(c.Number)
	}
	return out
}

// balanced checks the ledger against the platform: nothing twice, and sent is what was accepted, but for answers that were lost.
func (w *world) balanced() {
	w.t.Helper()
	require.Empty(w.t, w.sim.Duplicates(), "a message was accepted twice")
	w.agreed()
}

// agreed is balanced for drips that say the same more than once.
func (w *world) agreed() {
	w.t.Helper()
	end, accepted := w.tally(), w.sim.Counts().Send().Accepted
	passive := int(w.number("SELECT COUNT(*) FROM deliveries WHERE state = ? AND channel = ?", deliveries.StateSent, guard.ChannelPassive))
	sent := end[deliveries.StateSent] - passive
	require.LessOrEqual(w.t, sent, accepted, "the ledger says sent of what the platform never accepted")
	require.LessOrEqual(w.t, accepted, sent+end[deliveries.StateUnknown], "the platform accepted what the ledger says was not sent")
	differ, err := w.s.Campaigns.RecountAll(w.t.Context(), w.account.ID)
	require.NoError(w.t, err)
	require.Empty(w.t, differ, "the figures do not equal the ledger and the enrolments")
}

// usage is what a fan has used.
func (w *world) usage(openid string) *limits.Usage {
	w.t.Helper()
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	u, err := w.s.Limits.Available(w.t.Context(), w.account.ID, f.ID)
	require.NoError(w.t, err)
	return u
}
