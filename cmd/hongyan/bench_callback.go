package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/accounts"
	"hongyan/wechat/callback"
)

const (
	callbackConns = 50
	callbackFor   = 10 * time.Second
	// callbackMost is how many pushes are prepared; a run that needs more ends early.
	callbackMost = 120_000
	// callbackFans is how many fans write in turn.
	callbackFans = 5_000
)

// callbackJob is one run of callback.
type callbackJob struct {
	*bench

	place    *benchPlace
	pusher   *benchPusher
	requests [][]byte
	acked    []bool
	took     []float64 // ms, of acknowledged pushes
	line     benchLine
}

// callbackRun pushes distinct messages over 50 connections for ten seconds. What is acknowledged must be in the inbox.
func (b *bench) callbackRun(ctx context.Context, storage string) (_ *benchLine, err error) {
	j := &callbackJob{bench: b, line: benchLine{Bench: "callback", Storage: storage}}
	if j.place, err = b.place(ctx, storage, 2); err != nil {
		return nil, err
	}
	defer joined(&err, func() error { return j.place.remove(ctx) })
	if err := j.place.open(ctx, b, j.seed(ctx)); err != nil {
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

// seed makes an account with a drip whose keyword nobody writes: every message is matched against it.
func (j *callbackJob) seed(ctx context.Context) func(*Server) error {
	return func(s *Server) error {
		a, err := benchAccount(ctx, s, "http://127.0.0.1:9", func(*accounts.Account) {})
		if err != nil {
			return err
		}
		_, err = runningDrip(ctx, s, a, map[string]any{
			"triggers": []any{map[string]any{"kind": "keyword", "keywords": []string{"优惠"}, "match": "contains"}},
			"steps":    []any{dripStep(map[string]any{"delay": "0s"}, benchText)},
		})
		if err != nil {
			return err
		}
		j.line.Fsync, err = fsync(ctx, s)
		return err
	}
}

func (j *callbackJob) prepare(server string) (err error) {
	if j.pusher, err = newBenchPusher(server); err != nil {
		return err
	}
	n := callbackMost
	if j.quick {
		n = 300
	}
	now := j.clock.Now().Truncate(time.Second)
	j.requests, j.acked = make([][]byte, n), make([]bool, n)
	for i := range j.requests {
		e := callback.Event{
			FromUser: benchOpenID(benchPushed, i%callbackFans), CreatedAt: now, MsgType: "text", MsgID: int64(i + 1),
			Payload: callback.Text{Content: fmt.Sprintf("请问周末几点开门？%d", i)},
		}
		if j.requests[i], err = j.pusher.request(&e, i); err != nil {
			return err
		}
	}
	return nil
}

func (j *callbackJob) product(ctx context.Context) (err error) {
	var at listening
	w, err := j.start(ctx, j.place.settings, &at, childWorker, "--prefix", j.place.prefix, "--cpuprofile", j.profile)
	if err != nil {
		return err
	}
	defer joined(&err, w.stop)
	if err := j.prepare(at.URL); err != nil {
		return err
	}
	begun := j.clock.Now()
	if err := j.pushAll(ctx, begun.Add(callbackFor)); err != nil {
		return err
	}
	ended := j.clock.Now()
	var used, state workerState
	if err := errors.Join(w.ask("usage", &used), w.ask("digest", &state)); err != nil {
		return err
	}
	slices.Sort(j.took)
	n := len(j.took)
	p50, p99 := percentile(j.took, 50), percentile(j.took, 99)
	j.line.P50MS, j.line.P99MS, j.line.MaxMS = &p50, &p99, &j.took[n-1]
	j.line.Deliveries, j.line.PerSecond = n, round(float64(n)/ended.Sub(begun).Seconds(), 1)
	j.line.CPUPer1000, j.line.PeakRSSMB = per1000(state.CPU, n), round(float64(state.RSSKB)/1024, 1)
	j.line.DrainedS = round(j.clock.Now().Sub(ended).Seconds(), 1)
	return w.ask("stop", &state)
}

// pushAll pushes until the time is over or nothing is left.
func (j *callbackJob) pushAll(ctx context.Context, until time.Time) error {
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	errs := make([]error, callbackConns)
	for c := range callbackConns {
		all.Go(func() {
			took, err := j.pushSome(ctx, &next, until)
			mu.Lock()
			defer mu.Unlock()
			j.took, errs[c] = append(j.took, took...), err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (j *callbackJob) pushSome(ctx context.Context, next *atomic.Int64, until time.Time) (took []float64, err error) {
	conn, err := j.pusher.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer joined(&err, conn.conn.Close)
	for {
		start := j.clock.Now()
		i := int(next.Add(1)) - 1
		if i >= len(j.requests) || !start.Before(until) || ctx.Err() != nil {
			return took, ctx.Err()
		}
		if err := conn.post(start, j.requests[i]); err != nil {
			return took, err
		}
		j.acked[i] = true
		took = append(took, float64(j.clock.Now().Sub(start).Milliseconds()))
	}
}

func (j *callbackJob) check(ctx context.Context) func(*Server) error {
	return func(s *Server) error {
		var keys []string
		if err := s.storage.db.Read(ctx).Raw("SELECT dedupe_key FROM inbox").Scan(&keys).Error; err != nil {
			return fmt.Errorf("read the inbox: %w", err)
		}
		stored := make(map[string]bool, len(keys))
		for _, k := range keys {
			stored[k] = true
		}
		lost := 0.0
		for i, ok := range j.acked {
			if ok && !stored[callback.Event{MsgType: "text", MsgID: int64(i + 1)}.DedupeKey()] {
				lost++
			}
		}
		j.line.Lost = &lost
		var acted int
		if err := s.storage.db.Read(ctx).Raw("SELECT COUNT(*) FROM interactions").Scan(&acted).Error; err != nil {
			return fmt.Errorf("count interactions: %w", err)
		}
		if lost > 0 || acted != len(keys) {
			first := strings.Join(keys[:min(3, len(keys))], " ")
			return fmt.Errorf("%d pushes were acknowledged and %.0f of them are not in the inbox; of %d stored (%s …), %d were acted upon", len(j.took), lost, len(keys), first, acted)
		}
		return nil
	}
}
