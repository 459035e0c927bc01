package campaigns_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/testdb"
)

func TestTheNextStepCountsFromTheEndOfTheOneBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(keyword("a"), "", `"delay":"10m",`+say(2), `"delay":"1h"`, `"at":"09:30"`, `"at":"09:30","days":2`), 0)
		w.enter(w.act(1, campaigns.ActText, "a"))
		w.clk.Advance(20 * time.Minute)
		rows := w.rows(d.ID, 1)
		first := deliveries.Ended{Key: rows[0].Key, State: deliveries.StateSent, At: w.clk.Now().UnixMilli()}
		w.record(first)
		require.Len(t, w.rows(d.ID, 1), 2, "the step's second message is open")
		w.clk.Advance(time.Minute)
		second := deliveries.Ended{Key: rows[1].Key, State: deliveries.StateUnknown, Reason: guard.ReasonAnswerLost, At: w.clk.Now().UnixMilli()}
		w.record(second)
		w.record(second, first)
		w.record(first, second, second)
		require.Equal(t, []string{"1.1.1 sent none 10m0s", "1.1.2 unknown answer_lost 10m0s", "1.2.1 planned none 1h21m0s"}, w.story(d.ID, 1))

		w.clk.Advance(2 * time.Hour) // 12:21 in Shanghai
		w.sent(d.ID, 1)
		require.Equal(t, "1.3.1 planned none 23h30m0s", w.story(d.ID, 1)[3])
		w.clk.Set(start.Add(23*time.Hour + 30*time.Minute))
		w.end(d.ID, 1, deliveries.StateFailed, guard.ReasonPlatform)
		require.Equal(t, "1.4.1 planned none 71h30m0s", w.story(d.ID, 1)[4])
		require.Equal(t, []string{"1.4 running"}, w.runs(d.ID, 1))
		w.end(d.ID, 1, deliveries.StateSkipped, guard.ReasonCap)
		require.Equal(t, []string{"1.4 finished"}, w.runs(d.ID, 1))
	})
}

func TestAFanWhoIsGoneLeavesTheDrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"0s",`+say(2), `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, ""))
		w.record(deliveries.Ended{Key: w.rows(d.ID, 1)[0].Key, State: deliveries.StateSkipped, Reason: guard.ReasonFanGone, At: w.clk.Now().UnixMilli()})
		require.Equal(t, []string{"1.1 exited"}, w.runs(d.ID, 1))
		require.Equal(t, []string{"1.1.1 skipped fan_gone 0s", "1.1.2 skipped fan_gone 0s"}, w.story(d.ID, 1))
		require.Equal(t, []string{"1.1 running"}, w.runs(d.ID, 2))
	})
}

func TestFansInTheMiddleKeepTheirVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h"`, `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		changed, err := w.drips.UpdateDrip(context.Background(), w.account, d.ID, d.Revision, campaigns.DripPatch{Definition: []byte(define(follow, "", `"delay":"2h"`))})
		require.NoError(t, err)
		require.Equal(t, 2, changed.Version)
		require.Equal(t, campaigns.StateRunning, changed.State)
		w.enter(w.act(2, campaigns.ActFollow, ""))
		w.sent(d.ID, 1)
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.1.1 sent none 0s", "1.2.1 sent none 1h0m0s", "1.3.1 planned none 1h0m0s"}, w.story(d.ID, 1))
		require.Equal(t, []string{"1.1.1 planned none 2h0m0s"}, w.story(d.ID, 2))
		w.sent(d.ID, 2)
		require.Equal(t, []string{"1.1 finished"}, w.runs(d.ID, 2))
	})
}

func TestStepsThatCannotGoAreSkippedAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, `,"ends_at":"2026-03-02T04:00:00Z"`, `"delay":"0s"`, `"delay":"3h"`, `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.1.1 sent none 0s", "1.2.1 skipped too_late 3h0m0s", "1.3.1 skipped too_late 4h0m0s"}, w.story(d.ID, 1))
		require.Equal(t, []string{"1.3 finished"}, w.runs(d.ID, 1))
	})
}

func TestAPausedDripsFansKeepTheirPlaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		_, err := w.drips.PauseDrip(context.Background(), campaigns.Change{AccountID: 1, ID: d.ID})
		require.NoError(t, err)
		w.sent(d.ID, 1) // was on the wire
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 1))
		require.Len(t, w.rows(d.ID, 1), 2)
	})
}

func TestNothingIsPlannedAfterAStop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.exec("UPDATE deliveries SET state = ?", deliveries.StateSending)
		w.waiter.fail = errors.New("interrupted")
		_, err := w.drips.StopDrip(context.Background(), campaigns.Change{AccountID: 1, ID: d.ID})
		require.Error(t, err)
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.1 cancelled"}, w.runs(d.ID, 1))
		require.Len(t, w.rows(d.ID, 1), 1)
	})
}

// hold keeps a transaction open until another one is through, or has had the time to run into its locks.
func hold(through <-chan struct{}) {
	timer := clock.System().NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-through:
	case <-timer.C:
	}
}

func TestTwoWorkersThatEndAStepTogetherMoveItOnOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"0s",`+say(2), `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		rows := w.rows(d.ID, 1)
		recorded, through := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var workers sync.WaitGroup
		workers.Go(func() {
			w.tx(func(tx *gorm.DB) error {
				if err := w.recordIn(tx, w.sentNow(rows[0])); err != nil {
					return err
				}
				once.Do(func() { close(recorded) })
				hold(through)
				return nil
			})
		})
		workers.Go(func() {
			<-recorded
			w.record(w.sentNow(rows[1]))
			close(through)
		})
		workers.Wait()
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 1))
		require.Len(t, w.rows(d.ID, 1), 3)
	})
}

func TestAStopWaitsForWhoIsPlanning(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, "", `"delay":"1s"`), 0)
		act := w.act(1, campaigns.ActFollow, "")
		entered, through := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var workers sync.WaitGroup
		workers.Go(func() {
			w.tx(func(tx *gorm.DB) error {
				_, err := w.drips.Enter(tx, campaigns.EnterInput{Now: w.clk.Now(), Account: w.account, Acts: []campaigns.Act{act}})
				once.Do(func() { close(entered) })
				hold(through)
				return err
			})
		})
		workers.Go(func() {
			<-entered
			_, err := w.drips.StopDrip(context.Background(), campaigns.Change{AccountID: 1, ID: d.ID})
			if err != nil {
				t.Error(err)
			}
			close(through)
		})
		workers.Wait()
		require.Equal(t, []string{"1.1 cancelled"}, w.runs(d.ID, 1))
		require.Equal(t, []string{"1.1.1 cancelled 1s"}, w.story(d.ID, 1))
	})
}

func TestAStopLeavesNothingPlannedWhileFansEnterAndGoOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		for range 5 {
			d := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"1s"`, `"delay":"1h"`), 0)
			var workers sync.WaitGroup
			for worker := range int64(3) {
				var acts []campaigns.Act
				for range 10 {
					acts = append(acts, w.act(worker+1, campaigns.ActFollow, ""))
				}
				workers.Go(func() {
					for _, act := range acts {
						w.enter(act)
						w.sent(d.ID, act.Fan.ID)
					}
				})
			}
			workers.Go(func() {
				_, err := w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
				if err != nil {
					t.Error(err)
				}
			})
			workers.Wait()
			require.Zero(t, w.count("deliveries WHERE source_id = ? AND state = ?", d.ID, deliveries.StatePlanned))
			require.Zero(t, w.count("enrolments WHERE campaign_id = ? AND state = 'running'", d.ID))
		}
	})
}

func TestTheSweeperMovesOnWhatWasForgotten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.run(define(keyword("a"), "", `"delay":"0s"`, `"delay":"1h"`), 0)
		for fan := int64(1); fan <= 4; fan++ {
			w.enter(w.act(fan, campaigns.ActText, "a"))
		}
		w.clk.Advance(30 * time.Second)
		w.exec("UPDATE deliveries SET state = ?, ended_at = ? WHERE fan_id IN (1, 4)", deliveries.StateSent, w.clk.Now().UnixMilli())
		w.exec("DELETE FROM deliveries WHERE fan_id = 2")
		w.exec("UPDATE enrolments SET wake_at = wake_at + 3600000 WHERE fan_id = 4")
		n, err := w.drips.Rederive(ctx, w.clk.Now(), 100)
		require.NoError(t, err)
		require.Zero(t, n, "too early")

		w.clk.Advance(31 * time.Second)
		n, err = w.drips.Rederive(ctx, w.clk.Now(), 100)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, []string{"1.1.1 sent none 0s", "1.2.1 planned none 1h0m30s"}, w.story(d.ID, 1))
		require.Equal(t, []string{"1.1.1 planned none 1m1s"}, w.story(d.ID, 2), "planned again, as soon as it can go")
		require.Equal(t, []string{"1.1.1 planned none 0s"}, w.story(d.ID, 3), "it has an open message")
		require.Equal(t, []string{"1.1.1 sent none 0s"}, w.story(d.ID, 4), "not its turn")
		n, err = w.drips.Rederive(ctx, w.clk.Now(), 100)
		require.NoError(t, err)
		require.Zero(t, n, "once is enough")
	})
}

func TestTheSweeperEndsDripsAndFinishesStops(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		ending := w.run(define(follow, `,"ends_at":"2026-03-02T04:00:00Z"`, `"delay":"1h"`), 0)
		stopped := w.run(define(follow, "", `"delay":"1h"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.waiter.fail = errors.New("interrupted")
		_, err := w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: stopped.ID})
		require.Error(t, err)
		_, err = w.drips.Rederive(ctx, w.clk.Now(), 100)
		require.NoError(t, err)
		require.Equal(t, []string{"1.1 cancelled"}, w.runs(stopped.ID, 1))
		require.Empty(t, w.find(stopped.ID).StoppedReason)
		require.Equal(t, campaigns.StateRunning, w.find(ending.ID).State)

		w.clk.Advance(2 * time.Hour)
		_, err = w.drips.Rederive(ctx, w.clk.Now(), 100)
		require.NoError(t, err)
		require.Equal(t, campaigns.StateFinished, w.find(ending.ID).State)
		require.Equal(t, []string{"1.1 finished"}, w.runs(ending.ID, 1))
		require.Equal(t, []string{"1.1.1 cancelled 1h0m0s"}, w.story(ending.ID, 1))
	})
}

// However the ends of messages arrive, in any order and any number of times, each step is planned once and each run ends once.
func TestEndsInAnyOrderEndEachRunOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
	d := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"0s",`+say(2), `"delay":"1m"`, `"delay":"0s",`+say(3)), 0)
	const messages = 6
	fan := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		fan++
		w.enter(w.act(fan, campaigns.ActFollow, ""), w.act(fan, campaigns.ActFollow, ""))
		var told []deliveries.Ended
		ends := 0
		for range 200 {
			var open []deliveries.Delivery
			for _, row := range w.rows(d.ID, fan) {
				if !row.State.Terminal() {
					open = append(open, row)
				}
			}
			if len(open) == 0 {
				break
			}
			var batch []deliveries.Ended
			for range rapid.IntRange(0, 2).Draw(rt, "old") {
				if len(told) > 0 {
					batch = append(batch, rapid.SampledFrom(told).Draw(rt, "again"))
				}
			}
			for range rapid.IntRange(0, 4).Draw(rt, "new") {
				row := rapid.SampledFrom(open).Draw(rt, "row")
				state := rapid.SampledFrom([]deliveries.State{deliveries.StateSent, deliveries.StateFailed, deliveries.StateUnknown, deliveries.StateSkipped, deliveries.StateExpired}).Draw(rt, "state")
				batch = append(batch, deliveries.Ended{Key: row.Key, State: state, At: w.clk.Now().UnixMilli()})
			}
			w.clk.Advance(time.Second)
			w.record(batch...)
			told = append(told, batch...)
			ends++
		}
		for len(w.rows(d.ID, fan)) < 2*messages && ends < 1000 { // bad luck: finish what is left
			w.sent(d.ID, fan)
			ends++
		}
		w.sent(d.ID, fan)
		seen := map[string]int{}
		for _, row := range w.rows(d.ID, fan) {
			seen[fmt.Sprintf("%d.%d.%d", row.Occurrence, row.StepNo, row.MessageNo)]++
		}
		if len(seen) != 2*messages || len(w.rows(d.ID, fan)) != 2*messages {
			rt.Fatalf("planned %v", seen)
		}
		if runs := w.runs(d.ID, fan); len(runs) != 2 || runs[0] != "1.3 finished" || runs[1] != "2.3 finished" {
			rt.Fatalf("runs %v", runs)
		}
		w.record(told...)
		if len(w.rows(d.ID, fan)) != 2*messages {
			rt.Fatalf("an old end planned something new")
		}
	})
}
