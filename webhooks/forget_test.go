package webhooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/testdb"
	"hongyan/webhooks"
)

func TestWhatHasEndedIsRemovedAfterAMonthWithItsAttempts(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		taken, _ := o.create(r.URL)
		away, _ := o.create("http://127.0.0.1:1/")
		o.enqueue(taken.ID, events(3)...)
		for o.run(o.worker("a")) > 0 {
		}
		o.enqueue(away.ID, events(1)...)
		o.clk.Advance(30 * 24 * time.Hour)
		removed, err := o.Trim(t.Context())
		require.NoError(t, err)
		require.Zero(t, removed, "a day to go")
		o.enqueue(taken.ID, events(1)...)
		o.clk.Advance(time.Millisecond)
		removed, err = o.Trim(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, removed)
		require.Empty(t, o.entries(taken.ID, webhooks.StateDone))
		require.Len(t, o.entries(away.ID, webhooks.StateWaiting), 1, "what waits is not removed at any age")
		require.Len(t, o.entries(taken.ID, webhooks.StateWaiting), 1, "what is new stays")
		var attempts int64
		require.NoError(t, o.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM webhook_attempts").Row().Scan(&attempts))
		require.Zero(t, attempts)
	})
}

func TestErasingAFanRemovesWhatIsToldOfThem(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, webhooks.Event{Type: "a", FanID: 1, Data: "openid-one"}, webhooks.Event{Type: "a", FanID: 2, Data: "openid-two"})
		o.run(o.worker("a"))
		o.enqueue(e.ID, webhooks.Event{Type: "a", FanID: 1, Data: "openid-one"})
		forget := func(accountID int64) {
			require.NoError(t, o.db.Tx(t.Context(), func(tx *gorm.DB) error { return o.Forget(tx, o.clk.Now().UnixMilli(), accountID, []int64{1, 5}) }))
		}
		forget(account + 1)
		require.NotEmpty(t, testdb.Search(t, o.db, "openid-one"), "another account cannot")
		forget(account)
		require.Empty(t, testdb.Search(t, o.db, "openid-one"))
		require.NotEmpty(t, testdb.Search(t, o.db, "openid-two"))
		var attempts int64
		require.NoError(t, o.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM webhook_attempts").Row().Scan(&attempts))
		require.EqualValues(t, 1, attempts)
	})
}

// A fan is erased while an event about them is under way.
func TestWhatComesOfAnEventThatWasErasedMeanwhileIsNotNoted(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(1)...)
		forgotten := make(chan error, 1)
		r.answer = receiverThatErases(o, forgotten)
		o.run(o.worker("a"))
		require.NoError(t, <-forgotten)
		var left int64
		require.NoError(t, o.db.Read(t.Context()).Raw("SELECT (SELECT COUNT(*) FROM webhook_attempts) + (SELECT COUNT(*) FROM webhook_events)").Row().Scan(&left))
		require.Zero(t, left)
	})
}
