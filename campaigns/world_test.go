package campaigns_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

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
	"hongyan/templates"
	"hongyan/wechat"
)

// world is an installation with one account.
type world struct {
	t       testing.TB
	db      *database.DB
	clk     *clock.Manual
	account *accounts.Account
	ledger  *deliveries.Store
	fans    *fans.Store
	told    *told
	drips   *campaigns.Store
	waiter  *waiter
	acts    int64
}

// waiter is a worker that sees every stop at once.
type waiter struct {
	mu     sync.Mutex
	epochs []int64
	fail   error
}

func (w *waiter) Wait(_ context.Context, epoch int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epochs = append(w.epochs, epoch)
	return 7, w.fail
}

type oneAccount struct{ *accounts.Account }

func (a oneAccount) FindAccount(context.Context, int64) (*accounts.Account, error) {
	return a.Account, nil
}

func newWorld(t testing.TB, db *database.DB, spec guard.PolicySpec) *world {
	t.Helper()
	w := &world{t: t, db: db, clk: clock.NewManual(start), account: account(t, spec), waiter: &waiter{}}
	w.exec("INSERT INTO installation (id, epoch, created_at) VALUES (1, 'test', 1)")
	w.ledger = deliveries.New(db, w.clk)
	w.fans = fans.New(db, w.clk, limits.New(db))
	w.told = &told{}
	w.drips = campaigns.New(campaigns.Options{
		DB: db, Clock: w.clk, Accounts: oneAccount{w.account}, Fans: w.fans, Tagger: w.fans, Webhooks: w.told, Limits: limits.New(db), Templates: templates.New(db, w.clk), Ledger: w.ledger, Stops: w.waiter,
	})
	return w
}

// each runs a test in a world of its own on both storages.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newWorld(t, db, guard.PolicySpec{})) })
}

func (w *world) tx(fn func(tx *gorm.DB) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(context.Background(), fn))
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error { return tx.Exec(query, args...).Error })
}

func (w *world) count(query string, args ...any) (n int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(context.Background()).Raw("SELECT COUNT(*) FROM "+query, args...).Scan(&n).Error)
	return n
}

func (w *world) create(raw string, priority int) *campaigns.Drip {
	w.t.Helper()
	d, err := w.drips.CreateDrip(context.Background(), w.account, campaigns.NewDrip{Name: "welcome", Priority: priority, Definition: []byte(raw)})
	require.NoError(w.t, err)
	return d
}

func (w *world) run(raw string, priority int) *campaigns.Drip {
	w.t.Helper()
	d := w.create(raw, priority)
	require.NoError(w.t, w.drips.StartDrip(context.Background(), w.account, campaigns.Change{ID: d.ID, Revision: d.Revision}))
	return w.find(d.ID)
}

func (w *world) find(id int64) *campaigns.Drip {
	w.t.Helper()
	d, err := w.drips.FindDrip(context.Background(), 1, id)
	require.NoError(w.t, err)
	return d
}

// act is something that a fan does now, with the grant that it opens.
func (w *world) act(fan int64, kind, text string) campaigns.Act {
	w.acts++
	u := &limits.Usage{FanID: fan, AccountID: 1}
	t := wechat.TriggerFollow
	if kind == campaigns.ActText {
		t = wechat.TriggerMessage
	}
	at := w.clk.Now()
	u.Grants.Trigger(t, at.UnixMilli(), wechat.RulesAt(at).Grants[t], 0)
	return campaigns.Act{Fan: &fans.Fan{ID: fan, AccountID: 1, Subscribed: true}, InteractionID: w.acts, EventAt: at.UnixMilli(), Kind: kind, Text: text, Usage: u}
}

func (w *world) enter(acts ...campaigns.Act) []campaigns.Entered {
	w.t.Helper()
	return w.enterWith(campaigns.EnterInput{Acts: acts})
}

func (w *world) enterWith(in campaigns.EnterInput) (out []campaigns.Entered) {
	w.t.Helper()
	in.Now, in.Account = w.clk.Now(), w.account
	w.tx(func(tx *gorm.DB) error {
		var err error
		out, err = w.drips.Enter(tx, in)
		return err
	})
	return out
}

// rows are a fan's deliveries of a drip, in the order in which they were planned.
func (w *world) rows(drip, fan int64) []deliveries.Delivery {
	w.t.Helper()
	all, err := w.ledger.Timeline(context.Background(), 1, fan)
	require.NoError(w.t, err)
	var out []deliveries.Delivery
	for _, d := range all {
		if d.Source == (deliveries.Source{Kind: deliveries.SourceDrip, ID: drip}) {
			out = append(out, d)
		}
	}
	return out
}

// story is a fan's rows in short: occurrence, step and message, state and reason, and when each is due after the start.
func (w *world) story(drip, fan int64) []string {
	w.t.Helper()
	out := []string{}
	for _, d := range w.rows(drip, fan) {
		due := time.UnixMilli(d.DueAt).Sub(start)
		reason := d.Reason.String() + " "
		if d.State == deliveries.StateCancelled {
			reason = "" // it would repeat the state
		}
		out = append(out, fmt.Sprintf("%d.%d.%d %s %s%s", d.Occurrence, d.StepNo, d.MessageNo, d.State, reason, due))
	}
	return out
}

// end records the end of a fan's open messages of a drip, and moves the drip on in the same transaction.
func (w *world) end(drip, fan int64, state deliveries.State, reason guard.Reason) []deliveries.Ended {
	w.t.Helper()
	var ended []deliveries.Ended
	for _, d := range w.rows(drip, fan) {
		if !d.State.Terminal() {
			ended = append(ended, deliveries.Ended{Key: d.Key, State: state, Reason: reason, At: w.clk.Now().UnixMilli()})
		}
	}
	w.record(ended...)
	return ended
}

func (w *world) record(ended ...deliveries.Ended) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error { return w.recordIn(tx, ended...) })
}

func (w *world) recordIn(tx *gorm.DB, ended ...deliveries.Ended) error {
	for _, e := range ended {
		err := tx.Exec("UPDATE deliveries SET state = ?, reason = ?, ended_at = ?, lane = NULL WHERE account_id = ? AND source_kind = ? AND source_id = ? AND fan_id = ? AND occurrence = ? AND step_no = ? AND message_no = ? AND resend = 0 AND state < ?",
			e.State, e.Reason, e.At, e.AccountID, e.Source.Kind, e.Source.ID, e.FanID, e.Occurrence, e.StepNo, e.MessageNo, deliveries.StateSent).Error
		if err != nil {
			return err
		}
	}
	return w.drips.Advance(tx, w.clk.Now(), w.account, ended)
}

func (w *world) sentNow(d deliveries.Delivery) deliveries.Ended {
	return deliveries.Ended{Key: d.Key, State: deliveries.StateSent, At: w.clk.Now().UnixMilli()}
}

func (w *world) sent(drip, fan int64) { w.end(drip, fan, deliveries.StateSent, guard.ReasonNone) }

// runs are a fan's enrolments in a drip: occurrence, step and state.
func (w *world) runs(drip, fan int64) []string {
	w.t.Helper()
	var rows []struct {
		Occurrence, StepNo int64
		State              string
		WakeAt, TimerAt    *int64
	}
	require.NoError(w.t, w.db.Read(context.Background()).
		Raw("SELECT occurrence, step_no, state, wake_at, timer_at FROM enrolments WHERE campaign_id = ? AND fan_id = ? ORDER BY occurrence", drip, fan).Scan(&rows).Error)
	out := []string{}
	for _, r := range rows {
		require.Equal(w.t, r.State == "running", r.WakeAt != nil || r.TimerAt != nil, "only running enrolments are looked at by the sweeper or the waker")
		require.False(w.t, r.WakeAt != nil && r.TimerAt != nil, "a run waits for its messages or for its timer")
		out = append(out, fmt.Sprintf("%d.%d %s", r.Occurrence, r.StepNo, r.State))
	}
	return out
}
