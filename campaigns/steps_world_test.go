package campaigns_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/fault"
)

// told is an outbox for webhooks in a table of its own, whose key would not take the same call twice.
type told struct{ fail atomic.Bool }

// webhook is the account's only endpoint.
const webhook = 4

// WebhookIDs implements campaigns.Webhooks.
func (o *told) WebhookIDs(context.Context, int64) ([]int64, error) { return []int64{webhook}, nil }

// Enqueue implements campaigns.Webhooks.
func (o *told) Enqueue(tx *gorm.DB, _, _ int64, calls []campaigns.WebhookCall) error {
	for _, c := range calls {
		if err := tx.Exec("INSERT INTO told (k) VALUES (?)", c.Key).Error; err != nil {
			return err
		}
	}
	if o.fail.Load() {
		return fault.New(fault.Unavailable, "the database does not answer")
	}
	return nil
}

// outbox makes the table of told.
func (w *world) outbox() { w.exec("CREATE TABLE told (k VARCHAR(100) PRIMARY KEY)") }

// people stores fans 1 to n who follow.
func (w *world) people(n int) {
	w.t.Helper()
	args := make([]any, 0, 5*n)
	for i := range n {
		args = append(args, i+1, fmt.Sprintf("o%d", i+1), w.clk.Now().UnixMilli(), w.clk.Now().UnixMilli())
	}
	w.exec("INSERT INTO fans (id, account_id, openid, subscribed, subscribed_at, created_at) VALUES (?,1,?,1,?,?)"+strings.Repeat(",(?,1,?,1,?,?)", n-1), args...)
}

// tag makes a tag of our own that some fans have.
func (w *world) tag(id int64, has ...int64) {
	w.t.Helper()
	w.exec("INSERT INTO tags (id, account_id, name, created_at) VALUES (?, 1, ?, 1)", id, fmt.Sprintf("tag %d", id))
	w.tx(func(tx *gorm.DB) error { return w.fans.ChangeTag(tx, 1, id, has, false) })
}

// tagged lists the fans with a tag.
func (w *world) tagged(id int64) []int64 {
	w.t.Helper()
	ids, err := w.fans.FansWithTag(context.Background(), 1, id, 0, 1000)
	require.NoError(w.t, err)
	return ids
}

// attribute makes an attribute and gives fans their values.
func (w *world) attribute(name string, kind fans.AttributeType, values map[int64]string) {
	w.t.Helper()
	a, err := w.fans.CreateAttribute(context.Background(), 1, fans.NewAttribute{Name: name, Label: name, Type: kind})
	require.NoError(w.t, err)
	for id, v := range values {
		require.NoError(w.t, w.fans.SetAttribute(context.Background(), 1, a.ID, v, []int64{id}))
	}
}

// wake works off the timers that have run out.
func (w *world) wake() {
	w.t.Helper()
	for {
		woken, err := w.drips.Wake(context.Background(), w.clk.Now(), w.account)
		require.NoError(w.t, err)
		if woken.Runs == 0 && !woken.More {
			return
		}
	}
}

// after lets time pass; timers are worked off when they run out.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	end := w.clk.Now().Add(d)
	for {
		next, set, err := w.drips.NextTimer(context.Background(), 1)
		require.NoError(w.t, err)
		if !set || next.After(end) {
			w.clk.Set(end)
			return
		}
		if next.After(w.clk.Now()) {
			w.clk.Set(next)
		}
		w.wake()
	}
}

// react is something that a fan does of which runs are told.
func (w *world) react(acts ...campaigns.Act) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		return w.drips.React(tx, campaigns.EnterInput{Now: w.clk.Now(), Account: w.account, Acts: acts})
	})
}

// told are the calls that webhooks were told, sorted.
func (w *world) calls() []string {
	w.t.Helper()
	var out []string
	require.NoError(w.t, w.db.Read(context.Background()).Raw("SELECT k FROM told ORDER BY k").Scan(&out).Error)
	slices.Sort(out)
	return out
}
