package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/wechat/callback"
)

const (
	ontimeRate     = 500         // calls per second, of the account
	ontimeInFlight = 50          // of the bulk lane
	ontimeDelay    = time.Second // of the step that answers a follow
)

// ontimeJob is one run of ontime.
type ontimeJob struct {
	*bench

	place  *benchPlace
	sink   *benchProc
	n      int           // deliveries whose time counts; half of them are opened by pushes
	over   time.Duration // they fall due evenly over this time
	lead   time.Duration // from planning until the first falls due
	first  time.Time
	due    map[string]int64
	counts sinkCounts
	line   benchLine
}

// ontimeRun measures how late deliveries with a minute to live arrive while a bulk send takes all that the account's rate has left.
func (b *bench) ontimeRun(ctx context.Context, storage string) (_ *benchLine, err error) {
	j := &ontimeJob{bench: b, n: 10_000, over: time.Minute, lead: 4 * time.Second, due: map[string]int64{}}
	if b.quick {
		j.n, j.over, j.lead = 100, time.Second, time.Second
	}
	j.line = benchLine{Bench: "ontime", Storage: storage, InFlight: ontimeInFlight, Deliveries: j.n}
	if j.place, err = b.place(ctx, storage, inFlightFor(ontimeInFlight)); err != nil {
		return nil, err
	}
	defer joined(&err, func() error { return j.place.remove(ctx) })
	var at listening
	if j.sink, err = b.start(ctx, nil, &at, childSink, "--note"); err != nil {
		return nil, err
	}
	defer joined(&err, j.sink.stop)
	if err := j.place.open(ctx, b, j.seed(ctx, at.URL)); err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if err := j.product(ctx); err != nil {
		return nil, err
	}
	if err := j.place.open(ctx, b, j.check(ctx)); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	return &j.line, nil
}

func (j *ontimeJob) seed(ctx context.Context, sink string) func(*Server) error {
	return func(s *Server) error {
		a, err := benchAccount(ctx, s, sink, func(a *accounts.Account) { a.RatePerSecond, a.InFlight = ontimeRate, inFlightFor(ontimeInFlight) })
		if err != nil {
			return err
		}
		_, err = runningDrip(ctx, s, a, map[string]any{
			"triggers": []any{map[string]any{"kind": "follow"}},
			"steps":    []any{dripStep(map[string]any{"delay": ontimeDelay.String()}, benchText)},
		})
		if err != nil {
			return err
		}
		bulk, err := seedFans(ctx, s, a, benchBulk, j.bench.n)
		if err != nil {
			return err
		}
		planned, err := seedFans(ctx, s, a, benchPlanned, j.n/2)
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		if err := j.planFor(ctx, s, a, &benchPlan{fans: bulk, lateness: 24 * time.Hour, due: func(int) time.Time { return now }}); err != nil {
			return err
		}
		j.first = s.Clock.Now().Add(j.lead)
		if err := j.planFor(ctx, s, a, &benchPlan{fans: planned, lateness: time.Minute, due: j.dueAt}); err != nil {
			return err
		}
		for i := range planned {
			j.due[benchOpenID(benchPlanned, i)] = j.dueAt(i).UnixMilli()
		}
		j.line.Fsync, err = fsync(ctx, s)
		return err
	}
}

// dueAt spreads each half evenly.
func (j *ontimeJob) dueAt(i int) time.Time {
	return j.first.Add(j.over * time.Duration(i) / time.Duration(j.n/2))
}

func (j *ontimeJob) planFor(ctx context.Context, s *Server, a *accounts.Account, p *benchPlan) (err error) {
	if p.source, p.message, err = broadcast(ctx, s, a); err != nil {
		return err
	}
	return planAll(ctx, s, a, p)
}

func (j *ontimeJob) product(ctx context.Context) (err error) {
	var at listening
	w, err := j.start(ctx, j.place.settings, &at, childWorker, "--prefix", j.place.prefix, "--cpuprofile", j.profile)
	if err != nil {
		return err
	}
	defer joined(&err, w.stop)
	if err := j.follows(ctx, at.URL); err != nil {
		return err
	}
	if err := j.arrive(ctx); err != nil {
		return err
	}
	var state workerState
	if err := w.ask("stop", &state); err != nil {
		return err
	}
	j.line.PeakRSSMB, j.line.MaxMarked = round(float64(state.RSSKB)/1024, 1), state.MaxMarked
	j.line.CPUPer1000 = per1000(state.CPU, max(1, j.counts.Total))
	return nil
}

// follows lets new fans follow the account, evenly spread. Each push is made at its time, because its grant counts from then.
func (j *ontimeJob) follows(ctx context.Context, server string) error {
	p, err := newBenchPusher(server)
	if err != nil {
		return err
	}
	const conns = 20
	var all sync.WaitGroup
	var mu sync.Mutex
	errs := make([]error, conns)
	for c := range conns {
		all.Go(func() {
			due, err := j.followSome(ctx, p, c, conns)
			mu.Lock()
			defer mu.Unlock()
			errs[c] = err
			maps.Copy(j.due, due)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// followSome pushes every conns-th follow, from the first on, over one connection.
func (j *ontimeJob) followSome(ctx context.Context, p *benchPusher, first, conns int) (due map[string]int64, err error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer joined(&err, conn.conn.Close)
	due = map[string]int64{}
	for i := first; i < j.n/2; i += conns {
		if err := j.pause(ctx, j.dueAt(i).Sub(j.clock.Now())); err != nil {
			return nil, err
		}
		now := j.clock.Now()
		e := callback.Event{
			FromUser: benchOpenID(benchPushed, i), CreatedAt: now.Truncate(time.Second), MsgType: "event", Name: "subscribe", Payload: callback.Subscribe{},
		}
		request, err := p.request(&e, i)
		if err != nil {
			return nil, err
		}
		due[e.FromUser] = e.CreatedAt.Add(ontimeDelay).UnixMilli()
		if err := conn.post(now, request); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// arrive waits until everybody has been reached, or until the last grant has ended.
func (j *ontimeJob) arrive(ctx context.Context) error {
	end := j.clock.Now().Add(time.Minute)
	for {
		if err := j.sink.ask("stats", &j.counts); err != nil {
			return err
		}
		if len(j.counts.At) >= j.n || j.clock.Now().After(end) {
			return nil
		}
		if err := j.pause(ctx, time.Second/2); err != nil {
			return err
		}
	}
}

func (j *ontimeJob) check(ctx context.Context) func(*Server) error {
	return func(s *Server) error {
		var late, pushed, planned []float64
		for openid, due := range j.due {
			at, arrived := j.counts.At[openid]
			if !arrived {
				continue
			}
			ms := float64(at - due)
			late = append(late, ms)
			if strings.HasPrefix(openid, benchPushed) {
				pushed = append(pushed, ms)
			} else {
				planned = append(planned, ms)
			}
		}
		var failed []string
		err := s.storage.db.Read(ctx).Raw("SELECT f.openid FROM deliveries d JOIN fans f ON f.id = d.fan_id WHERE f.openid NOT LIKE ? AND d.state <> ?",
			benchBulk+"%", deliveries.StateSent).Scan(&failed).Error
		if err != nil {
			return fmt.Errorf("look for deliveries that were not sent: %w", err)
		}
		j.report(late, pushed, planned)
		expired := float64(max(len(failed), j.n-len(late)))
		j.line.Expired = &expired
		if j.counts.Total != j.counts.Distinct {
			return fmt.Errorf("%d messages to %d fans arrived", j.counts.Total, j.counts.Distinct)
		}
		return nil
	}
}

func (j *ontimeJob) report(late, pushed, planned []float64) {
	for _, all := range [][]float64{late, pushed, planned} {
		slices.Sort(all)
	}
	p50, p99, most := percentile(late, 50), percentile(late, 99), percentile(late, 100)
	pushedP99, plannedP99 := percentile(pushed, 99), percentile(planned, 99)
	j.line.P50MS, j.line.P99MS, j.line.MaxMS, j.line.PushedP99MS, j.line.PlannedP99MS = &p50, &p99, &most, &pushedP99, &plannedP99
	if over := j.counts.Last.Sub(j.counts.First).Seconds(); over > 0 {
		j.line.BulkPerSecond = round(float64(j.counts.Total-len(late))/over, 1)
	}
}
