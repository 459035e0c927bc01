package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/wechat/simulator"
)

// sendRate is an account's rate that never holds a bench back.
const sendRate = 1_000_000

// stall is how long nothing may arrive before a run has failed.
const stall = 90 * time.Second

// send measures the whole way of due deliveries, for each setting: seed, send through the queue, check the counts; and beside it the bare loop.
func (b *bench) send(ctx context.Context, storage string) error {
	killed := (*benchLine)(nil)
	if b.kill {
		line, err := b.sendRun(ctx, storage, b.settings[0], true)
		if err != nil {
			return fmt.Errorf("with a kill: %w", err)
		}
		line.Run = "kill"
		if err := b.print(line); err != nil {
			return err
		}
		killed = line
	}
	for _, setting := range b.settings {
		err := b.repeat(ctx, func(ctx context.Context) (*benchLine, error) {
			line, err := b.sendRun(ctx, storage, setting, false)
			if err == nil && killed != nil {
				line.LostAfterKill, line.UnknownAfterKill = killed.LostAfterKill, killed.UnknownAfterKill
			}
			return line, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sendJob is one run of send.
type sendJob struct {
	*bench
	benchSetting

	place   *benchPlace
	sink    *benchProc
	sinkURL string
	kills   bool
	line    benchLine
}

func (b *bench) sendRun(ctx context.Context, storage string, setting benchSetting, kills bool) (_ *benchLine, err error) {
	j := &sendJob{bench: b, benchSetting: setting, kills: kills, line: benchLine{
		Bench: "send", Storage: storage, SinkLatencyMS: setting.latency.Milliseconds(), InFlight: setting.inFlight, Deliveries: b.n,
	}}
	if j.place, err = b.place(ctx, storage, inFlightFor(setting.inFlight)); err != nil {
		return nil, err
	}
	defer joined(&err, func() error { return j.place.remove(ctx) })
	var at listening
	if j.sink, err = b.start(ctx, nil, &at, childSink, "--latency", setting.latency.String()); err != nil {
		return nil, err
	}
	defer joined(&err, j.sink.stop)
	j.sinkURL = at.URL
	if err := j.place.open(ctx, b, j.seed(ctx)); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if !kills {
		if err := j.bare(ctx); err != nil {
			return nil, fmt.Errorf("the bare loop: %w", err)
		}
	}
	if err := j.product(ctx); err != nil {
		return nil, err
	}
	if err := j.place.open(ctx, b, j.check(ctx)); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return &j.line, nil
}

func (j *sendJob) seed(ctx context.Context) func(*Server) error {
	return func(s *Server) (err error) {
		a, err := benchAccount(ctx, s, j.sinkURL, func(a *accounts.Account) { a.RatePerSecond, a.InFlight = sendRate, inFlightFor(j.inFlight) })
		if err != nil {
			return err
		}
		fans, err := seedFans(ctx, s, a, benchBulk, j.n)
		if err != nil {
			return err
		}
		p := &benchPlan{fans: fans, lateness: 24 * time.Hour}
		due := s.Clock.Now().Add(-time.Second)
		p.due = func(int) time.Time { return due }
		if p.source, p.message, err = broadcast(ctx, s, a); err != nil {
			return err
		}
		j.line.Fsync, err = fsync(ctx, s)
		return errors.Join(err, planAll(ctx, s, a, p))
	}
}

// bare measures the loop without a ledger, against the same sink.
func (j *sendJob) bare(ctx context.Context) (err error) {
	var used benchUsage
	c, err := j.start(ctx, nil, &struct{}{}, childBare, "--sink", j.sinkURL, "--n", strconv.Itoa(j.n), "--in-flight", strconv.Itoa(j.inFlight))
	if err != nil {
		return err
	}
	defer joined(&err, c.stop)
	if err := c.ask("run", &used); err != nil {
		return err
	}
	stats, err := j.sinkStats()
	if err != nil {
		return err
	}
	if stats.Total != j.n || stats.Distinct != j.n {
		return fmt.Errorf("%d messages to %d fans arrived of %d", stats.Total, stats.Distinct, j.n)
	}
	j.line.BarePerSecond = perSecond(&stats.SinkStats)
	j.line.BareCPUPer1000 = per1000(used.CPU, j.n)
	return j.sink.ask("reset", &sinkCounts{})
}

func (j *sendJob) sinkStats() (sinkCounts, error) {
	var stats sinkCounts
	err := j.sink.ask("stats", &stats)
	return stats, err
}

// perSecond counts from the first call to the last.
func perSecond(s *simulator.SinkStats) float64 {
	seconds := s.Last.Sub(s.First).Seconds()
	if seconds <= 0 {
		return 0
	}
	return round(float64(s.Total-1)/seconds, 1)
}

func per1000(used time.Duration, n int) float64 { return round(used.Seconds()*1000/float64(n), 4) }

func (j *sendJob) worker(ctx context.Context) (*benchProc, error) {
	args := []string{childWorker, "--prefix", j.place.prefix}
	if j.profile != "" && !j.kills {
		args = append(args, "--cpuprofile", j.profile)
	}
	return j.start(ctx, j.place.settings, &listening{}, args...)
}

// product measures what is measured: it is started on what was seeded, and stopped when nothing is left to do.
func (j *sendJob) product(ctx context.Context) (err error) {
	servers := serversCPU()
	w, err := j.worker(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if j.kills {
		if err := j.arrive(ctx, int64(j.n/2)); err != nil {
			return err
		}
		died := j.clock.Now()
		if err := w.kill(); err != nil {
			return err
		}
		if w, err = j.worker(ctx); err != nil {
			return err
		}
		if err := w.ask("drain", &workerState{}); err != nil {
			return err
		}
		j.line.RecoveredS = round(j.clock.Now().Sub(died).Seconds(), 1)
		return w.ask("stop", &workerState{})
	}
	if err := j.arrive(ctx, int64(j.n)); err != nil {
		return err
	}
	var drained, ended workerState
	if err := errors.Join(w.ask("drain", &drained), w.ask("stop", &ended)); err != nil {
		return err
	}
	j.line.CPUPer1000 = per1000(drained.CPU, j.n)
	j.line.PeakRSSMB = round(float64(ended.RSSKB)/1024, 1)
	j.line.MaxMarked = ended.MaxMarked
	if j.place.storage == benchServers {
		j.line.DBCPUPer1000 = per1000(serversCPU()-servers, j.n)
	}
	return nil
}

// arriveEvery is how often the sink is asked how much has arrived.
const arriveEvery = 50 * time.Millisecond

// arrive waits until n messages have arrived.
func (j *sendJob) arrive(ctx context.Context, n int64) error {
	last, since := int64(-1), j.clock.Now()
	for {
		var counts sinkCounts
		if err := j.sink.ask("arrived", &counts); err != nil {
			return err
		}
		now := j.clock.Now()
		switch {
		case counts.Arrived >= n:
			return nil
		case counts.Arrived > last:
			last, since = counts.Arrived, now
		case now.Sub(since) > stall:
			return fmt.Errorf("nothing has arrived for %s, after %d of %d messages", stall, last, n)
		}
		if err := j.pause(ctx, arriveEvery); err != nil {
			return err
		}
	}
}

// check compares the ledger with what the sink counted. What does not add up makes the run worthless, and is an error.
func (j *sendJob) check(ctx context.Context) func(*Server) error {
	return func(s *Server) error {
		states, err := ledgerStates(ctx, s)
		if err != nil {
			return err
		}
		stats, err := j.sinkStats()
		if err != nil {
			return err
		}
		if j.kills {
			return j.checkKilled(states, &stats)
		}
		if states[deliveries.StateSent] != j.n || stats.Total != j.n || stats.Distinct != j.n {
			return fmt.Errorf("%d deliveries, and %d messages to %d fans arrived; the ledger says %s", j.n, stats.Total, stats.Distinct, stateText(states))
		}
		j.line.PerSecond = perSecond(&stats.SinkStats)
		j.line.Ratio = round(j.line.PerSecond/j.line.BarePerSecond, 3)
		return nil
	}
}

// checkKilled: every delivery has come to its end as sent or unknown, nobody got two messages, and whatever the ledger calls sent has arrived.
func (j *sendJob) checkKilled(states map[deliveries.State]int, stats *sinkCounts) error {
	sent, unknown := states[deliveries.StateSent], states[deliveries.StateUnknown]
	lost := float64(j.n - sent - unknown + max(0, sent-stats.Total))
	unknowns := float64(unknown)
	j.line.LostAfterKill, j.line.UnknownAfterKill = &lost, &unknowns
	most := j.inFlight + 100
	if lost != 0 || stats.Total != stats.Distinct || stats.Total > sent+unknown || unknown > most {
		return fmt.Errorf("after a kill, of %d deliveries %d messages to %d fans arrived, at most %d may be unknown; the ledger says %s",
			j.n, stats.Total, stats.Distinct, most, stateText(states))
	}
	return nil
}

func ledgerStates(ctx context.Context, s *Server) (map[deliveries.State]int, error) {
	var rows []struct {
		State deliveries.State
		N     int
	}
	if err := s.storage.db.Read(ctx).Raw("SELECT state, COUNT(*) AS n FROM deliveries GROUP BY state").Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	out := map[deliveries.State]int{}
	for _, r := range rows {
		out[r.State] = r.N
	}
	return out, nil
}

func stateText(states map[deliveries.State]int) string {
	out := map[string]int{}
	for s, n := range states {
		out[s.String()] = n
	}
	return fmt.Sprint(out)
}
