package scheduler_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/collectors"
	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

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
	"hongyan/wechat/simulator"
)

// tripper is a function between the scheduler and the platform.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// during calls do once, while the n-th message is on the wire: the platform has it, and its answer is still to come.
func during(n int, do func()) func(http.RoundTripper) http.RoundTripper {
	var mu sync.Mutex
	calls := 0
	return func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if !strings.HasSuffix(r.URL.Path, simulator.PathSend) {
				return resp, err
			}
			mu.Lock()
			calls++
			now := calls == n
			mu.Unlock()
			if now {
				do()
			}
			return resp, err
		})
	}
}

func TestAStopBetweenMarkAndCallLeavesTheRowsPlannedAndGivesBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		var w *world
		var d *campaigns.Drip
		w = newWorld(t, db, setup{front: during(3, func() {
			_, err := w.s.Campaigns.PauseDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID})
			require.NoError(t, err)
		})})
		d = w.drip(onWord("never"), j{"daily_cap": 5}, step("0s", "hello"))
		fans := w.fans(10)
		w.plan(d, fans, nil)
		w.turn()
		require.Equal(t, 3, w.sim.Counts().Send().Calls, "no call begins after the stop")
		require.Equal(t, map[deliveries.State]int{deliveries.StateSent: 3, deliveries.StatePlanned: 7}, w.tally())
		last := fans[9].OpenID
		require.Equal(t, []string{"1.1.1 planned campaign_stopped"}, w.story(last))
		u := w.usage(last)
		require.Equal(t, []int{5, 0}, []int{u.Grants.Available(w.clk.Now().UnixMilli(), 0), u.Counted.Used[guard.PeriodDay]})
		require.EqualValues(t, 3, w.number("SELECT SUM(used) FROM campaign_caps"))
		require.NoError(t, w.s.Campaigns.ResumeDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		w.turn()
		require.Equal(t, 10, w.tally()[deliveries.StateSent])
		w.balanced()
	})
}

func TestNobodyCallsForABatchWhoseLeaseHasEnded(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, testdb.SQLite(t), setup{timing: scheduler.Timing{BatchRenew: time.Hour}, front: during(3, func() {
		w.clk.Advance(31 * time.Second)
		require.NoError(t, w.s.Watch.RunOnce(t.Context()), "the process itself may go on sending")
	})})
	fans := w.fans(10)
	w.plan(w.drip(onWord("never"), nil, step("0s", "hello")), fans, nil)
	require.NoError(t, w.s.Watch.RunOnce(t.Context()))
	w.turn()
	require.Equal(t, 10, w.tally()[deliveries.StateSent], "another batch takes them")
	require.EqualValues(t, 7, w.number("SELECT COUNT(*) FROM deliveries WHERE attempt = 2"), "no call was made for them the first time")
	w.balanced()
}

func TestALateAnswerCorrectsWhatTheSweeperGaveUp(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		var w *world
		var other *scheduler.Scheduler
		w = newWorld(t, db, setup{timing: scheduler.Timing{BatchRenew: time.Hour}, front: during(1, func() {
			w.clk.Advance(31 * time.Second)
			swept, err := other.Sweep(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, swept.Batches)
			require.EqualValues(t, 2, w.number("SELECT COUNT(*) FROM deliveries WHERE state = ?", deliveries.StateUnknown))
		})})
		other = w.process()
		w.drip(onWord("go"), nil, step("1s", "one", "and more"), step("1h", "two"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.after(time.Second)
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 unknown worker_died", "1.2.1 planned"}, w.story(fan), "what has no answer stays given up; the run has moved on once")
		w.after(2 * time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 unknown worker_died", "1.2.1 sent"}, w.story(fan))
		w.balanced()
	})
}

func TestAnAccountThatStopsItselfEndsTheTurn(t *testing.T) {
	t.Parallel()
	each(t, setup{inFlight: 10}, func(t *testing.T, w *world) {
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Codes: []simulator.CodeShare{{Code: 48001, Share: 1}}}))
		w.plan(w.drip(onWord("never"), nil, step("0s", "hello")), w.fans(150), nil)
		w.turn()
		require.Equal(t, 150, w.tally()[deliveries.StatePlanned])
		require.Positive(t, w.sim.Counts().Send().Calls)
		require.Less(t, w.sim.Counts().Send().Calls, 150, "what was not marked yet is not tried")
	})
}

// TestTheAccountsLimitsHoldUnderLoad lets two processes send as fast as they can, through real asynq.
func TestTheAccountsLimitsHoldUnderLoad(t *testing.T) {
	t.Parallel()
	testdb.EachRedis(t, func(t *testing.T, r testdb.Redis) {
		const n, rate, inFlight = 300, 100, 10
		w := newWorld(t, testdb.MySQL(t), setup{clk: clock.System(), redis: r.Client, prefix: r.Prefix, workers: 2, rate: rate, inFlight: inFlight})
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Latency: simulator.Duration(30 * time.Millisecond)}))
		w.plan(w.drip(onWord("never"), nil, step("0s", "hello")), w.fans(n), func(i int, p *deliveries.Planned) {
			if i%10 == 0 {
				within(func(int) time.Duration { return time.Minute })(i, p)
			}
		})
		processes := []*scheduler.Scheduler{w.s, w.process()}
		for _, s := range processes {
			w.start(s)
		}
		require.Eventually(t, func() bool { return w.tally()[deliveries.StateSent] == n }, 90*time.Second, 50*time.Millisecond)
		for _, s := range processes {
			require.NoError(t, s.Stop(t.Context()))
			require.LessOrEqual(t, s.Metrics.MaxMarked(), int64(limits.LaneSlots(inFlight, limits.LaneBulk)+100))
		}
		require.LessOrEqual(t, w.sim.Counts().Send().MaxInFlight, inFlight)
		w.rateHeld(rate)
		w.balanced()
		require.Empty(t, w.batches())
	})
}

// rateHeld checks that in no second more calls began than a second's rate and what had been saved up for one.
func (w *world) rateHeld(rate int) {
	w.t.Helper()
	calls := w.sim.Calls(simulator.Filter{Path: simulator.PathSend})
	for i := range calls {
		if last := i + 2*rate; last < len(calls) {
			require.Greater(w.t, calls[last].At.Sub(calls[i].At), 900*time.Millisecond, "call %d and %d", i, last)
		}
	}
	took := calls[len(calls)-1].At.Sub(calls[0].At).Seconds()
	require.LessOrEqual(w.t, float64(len(calls)), float64(rate)*(took+1.2), "over %.1f s", took)
}

func TestADatabaseThatIsAwayForAWhileLosesNothing(t *testing.T) {
	t.Parallel()
	const n = 120
	cfg, err := mysql.ParseDSN(testdb.MySQLDSN(t))
	require.NoError(t, err)
	quiet := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), quiet)
	server.Metrics.ProxyMetrics = collectors.NewProxyMetricCollectors()
	proxy := toxiproxy.NewProxy(server, "database", "127.0.0.1:0", cfg.Addr)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	cfg.Addr = proxy.Listen
	db, err := database.Open(t.Context(), database.Options{DSN: cfg.FormatDSN(), MaxConns: 16})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	require.NoError(t, err)
	r := testdb.MiniRedis(t)
	gone := make(chan struct{})
	w := newWorld(t, db, setup{clk: clock.System(), redis: r.Client, prefix: r.Prefix, workers: 2, inFlight: 10, front: during(10, func() { close(gone) })})
	require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Latency: simulator.Duration(20 * time.Millisecond)}))
	w.plan(w.drip(onWord("never"), nil, step("0s", "hello")), w.fans(n), nil)
	w.start(w.s)
	<-gone
	proxy.Stop() // in the middle of it: connections break, and nobody answers
	back := clock.System().NewTimer(1500 * time.Millisecond)
	<-back.C
	require.NoError(t, proxy.Start())
	require.Eventually(t, func() bool {
		var sent int64
		err := w.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM deliveries WHERE state = ?", deliveries.StateSent).Scan(&sent).Error
		return err == nil && sent == n
	}, 60*time.Second, 50*time.Millisecond, "outcomes that could not be recorded at once are recorded later")
	require.NoError(t, w.s.Stop(t.Context()))
	w.balanced()
}

func TestRowsThatWereCancelledSinceTheirBatchWasReadAreLeftOut(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, testdb.SQLite(t), setup{front: during(1, func() {
		// A member cancels the row's neighbours while the first message is on the wire.
		w.tx(func(tx *gorm.DB) error {
			_, err := w.s.Ledger.Cancel(tx, deliveries.Source{Kind: deliveries.SourceDrip, ID: 1}, w.account.ID, nil, w.clk.Now())
			return err
		})
	})})
	d := w.drip(onWord("never"), nil, step("0s", "hello"))
	require.EqualValues(t, 1, d.ID)
	w.plan(d, w.fans(60), nil)
	w.turn()
	end := w.tally()
	require.Equal(t, 60, end[deliveries.StateSent]+end[deliveries.StateCancelled], "%v", end)
	require.Positive(t, end[deliveries.StateSent])
	require.Positive(t, end[deliveries.StateCancelled])
	w.balanced()
}

func TestALimitThatChangedAfterTheBatchWasReadIsDecidedAnew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(u *limits.Usage, f *fans.Fan) (gone []int64)
		sent   int
		reason guard.Reason
	}{
		{"a grant is used up", func(u *limits.Usage, _ *fans.Fan) []int64 { u.Grants.Exhaust(u.Grants.Generation); return nil }, 59, guard.ReasonGrantExhausted},
		{"an agent has taken over", func(u *limits.Usage, _ *fans.Fan) []int64 { u.AgentUntil = 1 << 50; return nil }, 59, guard.ReasonAgentSession},
		{"the fan has left", func(_ *limits.Usage, f *fans.Fan) []int64 { return []int64{f.ID} }, 59, guard.ReasonFanGone},
		{"only the version differs", func(*limits.Usage, *fans.Fan) []int64 { return nil }, 60, guard.ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, db *database.DB) {
				var w *world
				var last *fans.Fan
				w = newWorld(t, db, setup{inFlight: 25, front: during(1, func() {
					// The first slice is on the wire; the last fan of the batch is in another.
					w.tx(func(tx *gorm.DB) error {
						locked, err := w.s.Limits.Lock(tx, w.account.ID, []int64{last.ID})
						if err != nil {
							return err
						}
						gone := c.change(locked[last.ID], last)
						if err := w.s.Fans.Learn(tx, w.clk.Now().UnixMilli(), w.account.ID, gone, nil); err != nil {
							return err
						}
						return w.s.Limits.Save(tx, []*limits.Usage{locked[last.ID]})
					})
				})})
				d := w.drip(onWord("never"), nil, step("0s", "hello"))
				crowd := w.fans(60)
				last = crowd[59]
				w.plan(d, crowd, nil)
				w.turn()
				require.Equal(t, c.sent, w.sim.Counts().Send().Accepted)
				require.Equal(t, c.reason, w.rows(last.OpenID)[0].Reason)
				w.balanced()
			})
		})
	}
}

func TestNobodyIsSkippedByAnOldReading(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		var w *world
		var last *fans.Fan
		limitsOf := func(change func(u *limits.Usage)) {
			w.tx(func(tx *gorm.DB) error {
				locked, err := w.s.Limits.Lock(tx, w.account.ID, []int64{last.ID})
				if err != nil {
					return err
				}
				change(locked[last.ID])
				return w.s.Limits.Save(tx, []*limits.Usage{locked[last.ID]})
			})
		}
		w = newWorld(t, db, setup{inFlight: 25, front: during(1, func() {
			// The batch was read when this fan had nothing left. Now the fan writes, while the first slice is on the wire.
			limitsOf(func(u *limits.Usage) {
				u.Grants.Trigger(wechat.TriggerMessage, w.clk.Now().Add(time.Second).UnixMilli(), wechat.Allowance{Messages: 5, Lifetime: 48 * time.Hour}, 0)
			})
		})})
		d := w.drip(onWord("never"), nil, step("0s", "hello"))
		crowd := w.fans(60)
		last = crowd[59]
		limitsOf(func(u *limits.Usage) { u.Grants.Exhaust(u.Grants.Generation) })
		w.plan(d, crowd, nil)
		w.turn()
		require.Equal(t, deliveries.StateSent, w.rows(last.OpenID)[0].State)
		w.balanced()
	})
}
