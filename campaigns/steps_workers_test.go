package campaigns_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestTwoWakersTakeEachRunOnOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const n = 450 // more than a slice
		w.people(n)
		w.tag(8)
		w.outbox()
		w.run(steps(`{"kind":"tag","tag":8,"delay":"1h"}`, `{"kind":"webhook","webhook":4}`, send("1m")), 0)
		acts := make([]campaigns.Act, n)
		for i := range acts {
			acts[i] = w.act(int64(i+1), campaigns.ActFollow, "")
		}
		w.enter(acts...)
		w.clk.Advance(time.Hour)
		var wakers sync.WaitGroup
		woken := make([]int, 3)
		errs := make([]error, 3)
		for i := range woken {
			wakers.Go(func() {
				for {
					got, err := w.drips.Wake(context.Background(), w.clk.Now(), w.account)
					woken[i] += got.Runs
					if errs[i] = err; err != nil || !got.More {
						return
					}
				}
			})
		}
		wakers.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		w.wake()
		require.Len(t, w.tagged(8), n)
		require.Len(t, w.calls(), n, "nobody's step is done twice")
		require.LessOrEqual(t, woken[0]+woken[1]+woken[2], n)
		require.Equal(t, int64(n), w.count("deliveries WHERE step_no = 3"))
	})
}

func TestATransactionThatIsCutShortLeavesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		w.tag(8)
		w.outbox()
		broken := w.run(steps(`{"kind":"tag","tag":8,"delay":"1h"}`, `{"kind":"webhook","webhook":4}`, send("1m")), 0)
		sound := w.run(steps(`{"kind":"exit","delay":"1h"}`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, ""))
		w.clk.Advance(time.Hour)
		w.told.fail.Store(true)
		_, err := w.drips.Wake(context.Background(), w.clk.Now(), w.account)
		require.Error(t, err)
		require.Empty(t, w.tagged(8))
		require.Empty(t, w.calls())
		require.Equal(t, []string{"1.1 running"}, w.runs(broken.ID, 1))
		require.Equal(t, []string{"1.1 exited"}, w.runs(sound.ID, 1), "one drip's error does not keep it from the others")
		woken, err := w.drips.Wake(context.Background(), w.clk.Now(), w.account)
		require.NoError(t, err)
		require.Zero(t, woken, "it does not stand in their way either")
		w.told.fail.Store(false)
		w.after(time.Minute)
		require.Equal(t, []int64{1, 2}, w.tagged(8))
		require.Len(t, w.calls(), 2)
		require.Equal(t, []string{"1.3.1 planned none 1h1m0s"}, w.story(broken.ID, 2), "up to a minute late counts as on time")
	})
}

func TestAnActAndATimeoutAtOnceEndAWaitOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const n = 40
		w.people(n)
		w.tag(8)
		w.tag(9)
		d := w.run(steps(waitFor(onReply, "1h", `{"kind":"tag","tag":8}`, `{"kind":"tag","tag":9}`)), 0)
		enter, reply := make([]campaigns.Act, n), make([]campaigns.Act, n)
		for i := range enter {
			enter[i] = w.act(int64(i+1), campaigns.ActFollow, "")
		}
		w.enter(enter...)
		w.clk.Advance(time.Hour)
		for i := range reply {
			reply[i] = w.act(int64(i+1), campaigns.ActText, "x")
		}
		var both sync.WaitGroup
		both.Go(func() { _, _ = w.drips.Wake(context.Background(), w.clk.Now(), w.account) })
		for _, act := range reply {
			w.react(act)
		}
		both.Wait()
		w.wake()
		require.Len(t, append(w.tagged(8), w.tagged(9)...), n)
		require.Equal(t, int64(n), w.count("enrolments WHERE campaign_id = ? AND state = 'finished'", d.ID))
	})
}

func TestAnAdvanceThatIsRolledBackIsRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(1)
		w.tag(8)
		w.outbox()
		d := w.run(steps(send("0s"), `{"kind":"tag","tag":8}`, `{"kind":"webhook","webhook":4}`, `{"kind":"ask","delay":"0s","timeout":"1h",`+say(1)+`}`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		ended := w.sentNow(w.rows(d.ID, 1)[0])
		w.told.fail.Store(true)
		err := w.db.Tx(context.Background(), func(tx *gorm.DB) error { return w.recordIn(tx, ended) })
		require.Error(t, err)
		require.Empty(t, w.tagged(8))
		w.told.fail.Store(false)
		w.record(ended)
		w.record(ended)
		require.Equal(t, []int64{1}, w.tagged(8))
		require.Len(t, w.calls(), 1)
		require.Equal(t, []string{"1.4 running"}, w.runs(d.ID, 1))
	})
}

func TestASweepLeavesTimersToTheWaker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(1)
		d := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"kind":"ask","delay":"0s","timeout":"1d"`, `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.sent(d.ID, 1)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		// The second run's message ends, but whoever recorded it died before the run was moved on.
		w.exec("UPDATE deliveries SET state = ?, ended_at = ?, lane = NULL WHERE occurrence = 2", deliveries.StateSent, w.clk.Now().UnixMilli())
		w.clk.Advance(2 * time.Hour)
		_, err := w.drips.Rederive(context.Background(), w.clk.Now(), 10)
		require.NoError(t, err)
		require.Equal(t, []string{"1.1 running", "2.1 running"}, w.runs(d.ID, 1))
		require.Equal(t, int64(2), w.count("enrolments WHERE waiting = 1 AND timer_at = ?", start.Add(24*time.Hour).UnixMilli()))
		w.after(24 * time.Hour)
		require.Equal(t, []string{"1.2 running", "2.2 running"}, w.runs(d.ID, 1))
	})
}

func TestTheWakersQueriesUseTheirIndex(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		if db.Dialect() == database.SQLite {
			t.Skip("the plan of MariaDB is what a large installation depends on")
		}
		w := newWorld(t, db, guard.PolicySpec{})
		const n, row = 2000, "(1, 1, 1, ?, 1, 1, 'finished', 1, 1, NULL)"
		args := make([]any, n)
		for i := range args {
			args[i] = i + 1
		}
		w.exec("INSERT INTO enrolments (account_id, campaign_id, version_id, fan_id, occurrence, interaction_id, state, step_no, started_at, timer_at) VALUES "+
			row+strings.Repeat(","+row, n-1), args...)
		w.exec("UPDATE enrolments SET state = 'running', timer_at = fan_id WHERE fan_id <= 20")
		w.exec("ANALYZE TABLE enrolments")
		for _, query := range []string{
			"SELECT campaign_id, fan_id FROM enrolments WHERE account_id = 1 AND timer_at > 0 AND timer_at <= 10 ORDER BY timer_at LIMIT 200",
			"SELECT timer_at FROM enrolments WHERE account_id = 1 AND timer_at > 0 ORDER BY timer_at LIMIT 1",
			"SELECT id FROM enrolments WHERE account_id = 1 AND timer_at < 0 AND campaign_id = 1 LIMIT 1000",
		} {
			var plan []struct{ Key, Extra string }
			require.NoError(t, db.Read(context.Background()).Raw("EXPLAIN "+query).Scan(&plan).Error)
			require.Equal(t, "enrolments_timer", plan[0].Key, query)
			require.NotContains(t, plan[0].Extra, "filesort", fmt.Sprint(query, plan))
		}
	})
}
