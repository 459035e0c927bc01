package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/scheduler"
)

// die leaves a batch as a worker does that dies after it has marked the first n rows.
func (w *world) die(b *deliveries.Batch, n int) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		claimed, ok, err := w.s.Ledger.ClaimBatch(tx, b.ID, "dead", w.clk.Now().Add(scheduler.DefaultTiming().BatchLease))
		if err != nil || !ok {
			return err
		}
		rows := claimed.Rows
		var marked []*deliveries.Delivery
		for i := range rows[:n] {
			marked = append(marked, &rows[i])
		}
		return w.s.Ledger.Mark(tx, deliveries.Marking{Now: w.clk.Now(), BatchID: claimed.ID, Epoch: w.s.Watch.Snapshot().Epoch}, marked)
	})
}

func TestABatchThatADeadWorkerLeftIsRecoveredOnce(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		fans := w.fans(10)
		w.plan(d, fans, nil)
		batches := w.dispatch()
		require.Len(t, batches, 1)
		w.die(&batches[0], 4)
		other := w.process()
		swept := func() (total scheduler.Swept) {
			results := make(chan scheduler.Swept, 2)
			for _, s := range []*scheduler.Scheduler{w.s, other} {
				go func() {
					one, err := s.Sweep(t.Context())
					if err != nil {
						t.Error(err)
					}
					results <- one
				}()
			}
			for range 2 {
				one := <-results
				total.Batches += one.Batches
			}
			return total
		}
		w.clk.Advance(29 * time.Second)
		require.Zero(t, swept().Batches, "the lease still holds")
		w.clk.Advance(2 * time.Second)
		require.Equal(t, 1, swept().Batches, "one of two sweepers takes it")
		require.Empty(t, w.batches())
		require.Equal(t, map[deliveries.State]int{deliveries.StateUnknown: 4, deliveries.StatePlanned: 6}, w.tally())
		require.Equal(t, []string{"1.1.1 unknown worker_died"}, w.story(fans[0].OpenID))
		w.turn()
		require.Equal(t, map[deliveries.State]int{deliveries.StateUnknown: 4, deliveries.StateSent: 6}, w.tally(), "only what was not marked is sent")
		require.Zero(t, swept().Batches)
		w.balanced()
	})
}

func TestABatchWhoseTicketIsLostGoesIntoTheQueueAgain(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		w.plan(d, w.fans(3), nil)
		require.Len(t, w.dispatch(), 1) // and this process is never heard of again
		other := w.process()
		swept, err := other.Sweep(t.Context())
		require.NoError(t, err)
		require.Zero(t, swept.Requeued, "it may still be on its way")
		w.clk.Advance(scheduler.DefaultTiming().Forgotten + time.Second)
		swept, err = other.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, swept.Requeued)
		require.Equal(t, 1, w.batches()[0].Attempt, "a new attempt, or the queue would take it for the old ticket")
		require.NoError(t, other.Turn(t.Context()))
		require.Equal(t, 3, w.tally()[deliveries.StateSent])
		w.turn() // the old ticket turns up after all
		require.Equal(t, 3, w.tally()[deliveries.StateSent])
		w.balanced()
	})
}

func TestAPushThatADeadProcessLeftIsActedUponOnce(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("40s", "hello"))
		fan := w.stranger()
		_, err := w.sim.Follow(t.Context(), fan, "") // stored, and this process is never heard of again
		require.NoError(t, err)
		other := w.process()
		w.clk.Advance(scheduler.DefaultTiming().LeftoverAge - time.Second)
		swept, err := other.Sweep(t.Context())
		require.NoError(t, err)
		require.Zero(t, swept.Pushes, "its own process is not to be disturbed")
		w.clk.Advance(2 * time.Second)
		swept, err = other.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, swept.Pushes)
		w.turn() // the first process is back
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM interactions"))
		w.after(time.Minute)
		require.Equal(t, []string{"40s hello"}, w.got(fan), "the delay counts from the follow")
	})
}

func TestTheHeartbeatBeatsUnlessTheInstallationIsStopped(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		beat := func() int64 { return w.number("SELECT heartbeat_at FROM installation") }
		w.clk.Advance(time.Hour)
		_, err := w.s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, w.clk.Now().UnixMilli(), beat())
		before := beat()
		w.stopAll(true)
		w.turn()
		w.clk.Advance(time.Hour)
		_, err = w.s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, beat())
	})
}

func TestOneBatchOfAnAccountThatIsGoneDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		w.tx(func(tx *gorm.DB) error {
			return tx.Exec("INSERT INTO batches (account_id, lane, state, attempt, owner, lease_until, size, items, content, created_at) VALUES (4711, 2, 2, 0, 'dead', 1, 0, '', '', 1)").Error
		})
		w.plan(d, w.fans(2), nil)
		batches := w.dispatch()
		w.die(&batches[0], 0)
		w.clk.Advance(31 * time.Second)
		swept, err := w.s.Sweep(t.Context())
		require.Error(t, err)
		require.Equal(t, 1, swept.Batches)
	})
}
