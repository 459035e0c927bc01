package scheduler_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/scheduler"
)

// crowd is ids of fans that nobody sends to: a dispatcher does not ask who they are.
func crowd(from, n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(from + i)
	}
	return ids
}

// within gives planned rows a deadline.
func within(d func(i int) time.Duration) func(i int, p *deliveries.Planned) {
	return func(i int, p *deliveries.Planned) {
		p.Deadline = p.DueAt + d(i).Milliseconds()
		p.NotAfter = p.Deadline
	}
}

func (w *world) dispatch() []deliveries.Batch {
	w.t.Helper()
	require.NoError(w.t, w.s.Watch.RunOnce(w.t.Context()))
	require.NoError(w.t, w.s.Dispatch(w.t.Context()))
	return w.batches()
}

// sources counts a batch's rows by the drip that planned them.
func (w *world) sources(b *deliveries.Batch) map[int64]int {
	w.t.Helper()
	out := map[int64]int{}
	for _, it := range b.Items {
		out[w.number("SELECT source_id FROM deliveries WHERE id = ?", it.ID)]++
	}
	return out
}

// finish takes batches off as if all of their rows had been sent.
func (w *world) finish(batches []deliveries.Batch) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		for i := range batches {
			var ids []int64
			for _, it := range batches[i].Items {
				ids = append(ids, it.ID)
			}
			if err := tx.Exec("UPDATE deliveries SET state = ?, lane = NULL, lane_source = NULL, lane_at = NULL WHERE id IN ?", deliveries.StateSent, ids).Error; err != nil {
				return err
			}
			if err := tx.Exec("DELETE FROM batches WHERE id = ?", batches[i].ID).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func TestTheUrgentLaneGoesStrictlyByDeadlineAndTwoBatchesWait(t *testing.T) {
	t.Parallel()
	each(t, setup{rate: 10}, func(t *testing.T, w *world) {
		a, b := w.drip(onWord("a"), nil, step("0s", "a")), w.drip(onWord("b"), nil, step("0s", "b"))
		order := rand.New(rand.NewPCG(1, 2)).Perm(40)
		w.planIDs(a, crowd(1, 20), within(func(i int) time.Duration { return time.Duration(60+order[i]) * time.Second }))
		w.planIDs(b, crowd(101, 20), within(func(i int) time.Duration { return time.Duration(60+order[20+i]) * time.Second }))
		seen := 0
		for seen < 40 {
			batches := w.dispatch()
			require.Len(t, batches, 2, "at most two batches of a lane wait")
			for _, batch := range batches {
				require.Equal(t, limits.LaneUrgent, batch.Lane)
				require.Len(t, batch.Items, 10, "a batch is one second's rate")
				for _, it := range batch.Items {
					deadline := w.number("SELECT deadline_at FROM deliveries WHERE id = ?", it.ID)
					require.Equal(t, start.Add(time.Duration(60+seen)*time.Second).UnixMilli(), deadline)
					seen++
				}
			}
			w.finish(batches)
		}
		require.Empty(t, w.dispatch())
	})
}

func TestABatchIsAtMostFiveHundred(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), setup{rate: 2000})
	w.planIDs(w.drip(onWord("a"), nil, step("0s", "a")), crowd(1, 1100), nil)
	batches := w.dispatch()
	require.Len(t, batches, 2)
	require.Len(t, batches[0].Items, deliveries.BatchMost)
	require.Len(t, batches[1].Items, deliveries.BatchMost)
}

func TestASmallCampaignGetsIntoTheFirstBatchBesideALargeOne(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{50, 500} {
		embedded(t, setup{rate: rate}, func(t *testing.T, w *world) {
			large, small := w.drip(onWord("a"), nil, step("0s", "a")), w.drip(onWord("b"), nil, step("0s", "b"))
			w.planIDs(large, crowd(1, 1000), nil)
			w.planIDs(small, crowd(2001, 20), within(func(int) time.Duration { return 100 * time.Hour }))
			batches := w.dispatch()
			require.Equal(t, map[int64]int{small.ID: 20, large.ID: rate - 20}, w.sources(&batches[0]), "the room that is left goes to who has more")
		})
	}
}

func TestCampaignsTakeTurnsAndKeepWhatATurnLeftOver(t *testing.T) {
	t.Parallel()
	embedded(t, setup{rate: 40}, func(t *testing.T, w *world) {
		shares := map[int64]int{}
		for i := range 3 {
			d := w.drip(onWord(string(rune('a'+i))), nil, step("0s", "a"))
			w.planIDs(d, crowd(1000*i, 200), nil)
		}
		for range 5 {
			batches := w.dispatch()
			require.Len(t, batches, 2)
			for i := range batches {
				for source, n := range w.sources(&batches[i]) {
					shares[source] += n
				}
			}
			w.finish(batches)
		}
		require.Len(t, shares, 3)
		for _, n := range shares {
			require.InDelta(t, 400.0/3, n, 20, "%v", shares)
		}
	})
}

func TestAFanIsInAtMostOneLiveBatchAndAStepTravelsWhole(t *testing.T) {
	t.Parallel()
	each(t, setup{rate: 7}, func(t *testing.T, w *world) {
		for _, word := range []string{"a", "b"} {
			d := w.drip(onWord(word), nil, step("0s", "a"))
			var ids []int64
			for _, id := range crowd(1, 9) {
				ids = append(ids, id, id, id)
			}
			w.planIDs(d, ids, func(i int, p *deliveries.Planned) { p.StepSize, p.MessageNo = 3, i%3+1 })
		}
		total := 0
		for total < 54 {
			at := map[int64]int64{}
			batches := w.dispatch()
			require.NotEmpty(t, batches)
			for i := range batches {
				steps := map[int64]int{}
				for _, it := range batches[i].Items {
					total++
					steps[it.FanID]++
					if other, in := at[it.FanID]; in {
						require.Equal(t, other, batches[i].ID, "fan %d is in two batches", it.FanID)
					}
					at[it.FanID] = batches[i].ID
				}
				for fan, n := range steps {
					require.Zero(t, n%3, "the step of fan %d was cut", fan)
				}
			}
			w.finish(batches)
			w.clk.Advance(2 * time.Second)
		}
		require.Empty(t, w.dispatch())
	})
}

func TestRowsOfAPausedCampaignLeaveTheUrgentLaneAndComeBack(t *testing.T) {
	t.Parallel()
	each(t, setup{rate: 10}, func(t *testing.T, w *world) {
		paused, running := w.drip(onWord("a"), nil, step("0s", "a")), w.drip(onWord("b"), nil, step("0s", "b"))
		w.planIDs(paused, crowd(1, 45), within(func(int) time.Duration { return 30 * time.Second }))
		w.planIDs(running, crowd(101, 5), within(func(int) time.Duration { return 60 * time.Second }))
		c := campaigns.Change{AccountID: w.account.ID, ID: paused.ID}
		_, err := w.s.Campaigns.PauseDrip(t.Context(), c)
		require.NoError(t, err)
		batches := w.dispatch()
		require.Len(t, batches, 1)
		require.Equal(t, map[int64]int{running.ID: 5}, w.sources(&batches[0]))
		w.finish(batches)
		require.Empty(t, w.dispatch())
		require.NoError(t, w.s.Campaigns.ResumeDrip(t.Context(), c))
		w.dispatch() // moves them back
		batches = w.dispatch()
		require.Len(t, batches, 2)
		require.Equal(t, limits.LaneUrgent, batches[0].Lane)
	})
}

func TestAPausedCampaignDoesNotTakeTurnsInTheBulkLane(t *testing.T) {
	t.Parallel()
	embedded(t, setup{rate: 10}, func(t *testing.T, w *world) {
		paused, running := w.drip(onWord("a"), nil, step("0s", "a")), w.drip(onWord("b"), nil, step("0s", "b"))
		w.planIDs(paused, crowd(1, 45), nil)
		w.planIDs(running, crowd(101, 15), nil)
		_, err := w.s.Campaigns.PauseDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: paused.ID})
		require.NoError(t, err)
		batches := w.dispatch()
		require.Len(t, batches, 2)
		require.Equal(t, map[int64]int{running.ID: 10}, w.sources(&batches[0]))
		require.Equal(t, map[int64]int{running.ID: 5}, w.sources(&batches[1]))
	})
}

func TestOnlyTheHolderOfTheLeaseDispatchesAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	each(t, setup{rate: 10}, func(t *testing.T, w *world) {
		d := w.drip(onWord("a"), nil, step("0s", "a"))
		w.planIDs(d, crowd(1, 5), nil)
		require.Len(t, w.dispatch(), 1)
		w.planIDs(d, crowd(11, 5), nil)
		other := w.process()
		require.NoError(t, other.Watch.RunOnce(t.Context()))
		require.NoError(t, other.Dispatch(t.Context()))
		require.Len(t, w.batches(), 1, "the first process holds the lease")
		w.clk.Advance(scheduler.DefaultTiming().DispatchLease + time.Second)
		require.NoError(t, other.Watch.RunOnce(t.Context()))
		require.NoError(t, other.Dispatch(t.Context()))
		require.Len(t, w.batches(), 2)
		w.planIDs(d, crowd(21, 5), nil)
		require.Len(t, w.dispatch(), 2, "who lost the lease does not go on")
	})
}

func TestAProcessThatIsStoppedHandsItsAccountsOverAtOnce(t *testing.T) {
	t.Parallel()
	testdb.EachRedis(t, func(t *testing.T, r testdb.Redis) {
		w := newWorld(t, testdb.MySQL(t), setup{
			clk: clock.System(), redis: r.Client, prefix: r.Prefix, workers: 1, timing: scheduler.Timing{DispatchLease: time.Hour},
		})
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		for n, s := range []*scheduler.Scheduler{w.s, w.process()} {
			w.start(s)
			w.plan(d, w.fans(1), nil)
			require.Eventually(t, func() bool { return w.tally()[deliveries.StateSent] == n+1 }, time.Minute, 20*time.Millisecond, "process %d does not send", n)
			require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
		}
	})
}

func TestWithTheQueueAwayUrgentMessagesGoAndOthersWaitForTheSweeper(t *testing.T) {
	t.Parallel()
	server := miniredis.NewMiniRedis()
	require.NoError(t, server.Start())
	addr := server.Addr()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		server.Close()
	})
	w := newWorld(t, testdb.SQLite(t), setup{
		clk: clock.System(), redis: client, prefix: "t", workers: 1, timing: scheduler.Timing{Forgotten: time.Millisecond, SweepEvery: 200 * time.Millisecond},
	})
	urgent, bulk := w.drip(onWord("a"), nil, step("0s", "a")), w.drip(onWord("b"), nil, step("0s", "b"))
	server.Close()
	w.plan(urgent, w.fans(5), within(func(int) time.Duration { return time.Minute }))
	w.plan(bulk, w.fans(5), nil)
	w.dispatch()
	require.Eventually(t, func() bool { return w.tally()[deliveries.StateSent] == 5 }, time.Minute, 20*time.Millisecond, "urgent messages go without Redis")
	require.EqualValues(t, 5, w.number("SELECT COUNT(*) FROM deliveries WHERE source_id = ? AND state = ?", urgent.ID, deliveries.StateSent))
	require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM batches WHERE lane = ?", limits.LaneBulk), "the bulk batch waits")
	require.NoError(t, server.StartAddr(addr))
	w.start(w.s)
	require.Eventually(t, func() bool { return w.tally()[deliveries.StateSent] == 10 }, time.Minute, 20*time.Millisecond, "the sweeper brings the lost ticket again")
	require.NoError(t, w.s.Stop(t.Context()))
	w.balanced()
}
