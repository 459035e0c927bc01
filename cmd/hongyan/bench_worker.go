package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"hongyan/internal/clock"
	"hongyan/internal/config"
)

// benchWorker is what is measured: the program as `hongyan serve` runs it, in a process of its own.
type benchWorker struct {
	server  *Server
	profile *os.File
	before  benchUsage
}

// workerState is what the worker tells of itself.
type workerState struct {
	benchUsage

	MaxMarked int64 `json:"max_marked"`
}

func benchWorkerCommand(ctx context.Context, e env) (err error) {
	fs := flag.NewFlagSet(childWorker, flag.ContinueOnError)
	prefix := fs.String("prefix", "", "")
	profile := fs.String("cpuprofile", "", "")
	if err := fs.Parse(e.args); err != nil {
		return errUsage
	}
	cfg, _, err := config.Load(nil, e.environ, e.err)
	if err != nil {
		return err
	}
	w := &benchWorker{server: &Server{Config: cfg, Clock: clock.System(), Log: cfg.Logger(e.err), RedisPrefix: *prefix}}
	if err := w.server.Open(ctx); err != nil {
		return err
	}
	defer joined(&err, w.server.Close)
	if err := w.begin(*profile); err != nil {
		return err
	}
	if err := w.server.Start(ctx); err != nil {
		return err
	}
	stopped := false
	err = serveLines(e, listening{w.server.URL()}, func(line string) (any, error) {
		switch line {
		case "usage":
			return w.state()
		case "drain": // wait until no delivery is planned or marked any more
			if err := w.drain(ctx); err != nil {
				return nil, err
			}
			return w.state()
		case "digest": // wait until every push has been acted upon
			if err := w.digest(ctx); err != nil {
				return nil, err
			}
			return w.state()
		case "job":
			return w.newestJob(ctx)
		case "stop":
			stopped = true
			if err := errors.Join(w.server.Stop(ctx), w.end()); err != nil {
				return nil, err
			}
			return w.state()
		default:
			return nil, fmt.Errorf("the worker was asked to %q", line)
		}
	})
	if !stopped {
		err = errors.Join(err, w.server.Stop(context.WithoutCancel(ctx)), w.end())
	}
	return err
}

func (w *benchWorker) begin(profile string) (err error) {
	if profile != "" {
		if w.profile, err = os.Create(profile); err != nil { //nolint:gosec // a flag names the file
			return fmt.Errorf("write a profile: %w", err)
		}
		if err := pprof.StartCPUProfile(w.profile); err != nil {
			return errors.Join(err, w.profile.Close())
		}
	}
	w.before, err = usageNow()
	return err
}

func (w *benchWorker) end() error {
	if w.profile == nil {
		return nil
	}
	pprof.StopCPUProfile()
	err := w.profile.Close()
	w.profile = nil
	return err
}

func (w *benchWorker) state() (workerState, error) {
	u, err := usageNow()
	u.CPU -= w.before.CPU
	return workerState{benchUsage: u, MaxMarked: w.server.Scheduler.Metrics.MaxMarked()}, err
}

// drainEvery is how often the worker looks whether it is through; the queries are a matter of an index entry.
const drainEvery = 20 * time.Millisecond

func (w *benchWorker) drain(ctx context.Context) error {
	return w.until(ctx, "SELECT (SELECT COUNT(*) FROM batches) + (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE lane IS NOT NULL AND account_id IN (SELECT id FROM accounts) LIMIT 1) AS planned)")
}

func (w *benchWorker) digest(ctx context.Context) error {
	return w.until(ctx, "SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL")
}

// until waits until a query counts nothing any more.
func (w *benchWorker) until(ctx context.Context, query string) error {
	for {
		var open int64
		if err := w.server.storage.db.Read(ctx).Raw(query).Scan(&open).Error; err != nil {
			return fmt.Errorf("see how much is open: %w", err)
		}
		if open == 0 {
			return nil
		}
		timer := w.server.Clock.NewTimer(drainEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
