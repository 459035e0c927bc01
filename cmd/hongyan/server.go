package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hongyan/admin"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/internal/stream"
	"hongyan/scheduler"
	"hongyan/wechat"
)

// maxLateness is how late a message may be at the most, and so the age from which on a heartbeat tells of a restored copy.
const maxLateness = 24 * time.Hour

// batchesAtOnce is how many batches of each lane one process works on; calls in flight are bounded by the accounts.
const batchesAtOnce = 4

// Server is a running installation: what `hongyan serve` runs, and what tests start on a free port.
type Server struct {
	Config config.Config
	Clock  clock.Clock
	Log    *slog.Logger
	Timing scheduler.Timing // zero: what a server runs with
	// RedisPrefix starts every key and queue name; "" means that of an installation.
	RedisPrefix string

	// Scheduler is there from Open on.
	Scheduler *scheduler.Scheduler

	storage  *storage
	registry *prometheus.Registry
	sandbox  *sandbox
	intake   *intake
	taps     *admin.Limiter // of tracked links
	api      *admin.API
	stream   *stream.Hub // nil where the API is not served
}

// Open connects to the storage, migrates an embedded one, and puts everything together. It refuses a database whose schema is older than the program.
func (s *Server) Open(ctx context.Context) (err error) {
	if s.storage, err = openStorage(ctx, s.Config, s.Clock, s.Log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.storage.close())
		}
	}()
	if err := s.schema(ctx); err != nil {
		return err
	}
	if err := s.secrets(ctx); err != nil {
		return err
	}
	s.registry = prometheus.NewRegistry()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var transport http.RoundTripper = wechat.NewTransport(s.Config.Workers)
	if s.Config.Sandbox == config.On || s.Config.Sandbox == config.Auto && s.Config.Embedded() {
		s.sandbox = newSandbox(s.Clock, s.Log)
		transport = s.sandbox.transport(transport)
	}
	s.taps = admin.NewLimiter(s.storage.redis, cmp.Or(s.RedisPrefix, redisPrefix), s.Clock, "link", tapsCounted)
	workers := batchesAtOnce
	if s.Config.Role == config.RoleAPI {
		workers = 0
	}
	s.Scheduler, err = scheduler.New(ctx, scheduler.Options{
		DB: s.storage.db, Clock: s.Clock, Log: s.Log, Redis: s.storage.redis, Prefix: cmp.Or(s.RedisPrefix, redisPrefix), Transport: transport, Registry: s.registry,
		Vault: s.storage.vault, DataDir: s.Config.DataDir, MaxLateness: maxLateness, Workers: workers, Calls: s.Config.Workers, Timing: s.Timing,
		CallbackURL: callbackURL(s.Config.PublicURL), PublicURL: s.Config.PublicURL, Nightly: s.apiJobs(), WebhooksInside: s.Config.WebhooksInside == config.On,
	})
	return err
}

func (s *Server) schema(ctx context.Context) error {
	if s.Config.Embedded() {
		_, err := s.storage.db.Migrate(ctx)
		return err
	}
	pending, err := s.storage.db.Pending(ctx)
	if err == nil && pending > 0 {
		err = fault.New(fault.Conflict, "the database schema lacks %d migrations; run `hongyan migrate` first", pending)
	}
	return err
}

// Start begins to work: the scheduler first, the intake of requests last. The address is taken before either, because the sandbox's platform is told where pushes go,
// and has to know its account before the first message is sent to it.
func (s *Server) Start(ctx context.Context) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", s.Config.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.Config.Addr, err)
	}
	s.intake = &intake{listener: listener}
	if err := s.startRooms(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.intake.start()
	if s.sandbox != nil {
		s.sandbox.act(ctx)
	}
	s.Log.Info("ready", "url", s.URL(), "role", string(s.Config.Role))
	return nil
}

// startRooms starts all that works without requests.
func (s *Server) startRooms(ctx context.Context) error {
	if s.sandbox != nil {
		if err := s.sandbox.open(ctx, s); err != nil {
			s.sandbox.stop()
			return err
		}
	}
	err := s.Scheduler.Start(ctx)
	if err == nil {
		s.intake.app = s.routes() //nolint:contextcheck // answers are written under the contexts of their requests
		if s.stream != nil {
			err = s.stream.Start(ctx)
		}
	}
	if err == nil {
		return nil
	}
	if s.sandbox != nil {
		s.sandbox.stop()
	}
	return errors.Join(err, s.Scheduler.Stop(ctx))
}

// URL is where this server can be reached on this machine.
func (s *Server) URL() string { return "http://" + s.intake.listener.Addr().String() }

// Stop ends in two phases: no new requests and batches, then what runs is finished and recorded.
func (s *Server) Stop(ctx context.Context) error {
	var errs []error
	if s.sandbox != nil {
		s.sandbox.stop()
	}
	errs = append(errs, s.stopStream(ctx)) // or its connections would hold up the intake's end
	errs = append(errs, s.intake.stop(s.Config.ShutdownTimeout), s.Scheduler.Stop(ctx))
	return errors.Join(errs...)
}

func (s *Server) stopStream(ctx context.Context) error {
	if s.stream == nil {
		return nil
	}
	return s.stream.Stop(ctx)
}

// Close gives the storage back.
func (s *Server) Close() error { return s.storage.close() }

func loadConfig(e env) (config.Config, error) {
	cfg, rest, err := config.Load(e.args, e.environ, e.err)
	if err != nil {
		return cfg, err
	}
	if len(rest) > 0 {
		return cfg, fmt.Errorf("unexpected argument %q", rest[0])
	}
	return cfg, cfg.Validate()
}

func serveCommand(ctx context.Context, e env) error { return serve(ctx, e, scheduler.DefaultTiming()) }

func serve(ctx context.Context, e env, timing scheduler.Timing) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return err
	}
	log := cfg.Logger(e.err)
	log.Info("starting", "settings", cfg.String())
	s := &Server{Config: cfg, Clock: clock.System(), Log: log, Timing: timing}
	if err := s.Open(ctx); err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	var failed error
	select {
	case <-ctx.Done():
		log.Info("stopping: what is on the wire is finished first")
	case failed = <-s.intake.served:
		s.intake.served <- nil
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	return errors.Join(failed, s.Stop(ending), s.Close())
}

func migrateCommand(ctx context.Context, e env) error {
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		n, err := st.db.Migrate(ctx)
		if err != nil {
			return err
		}
		refusal, err := identity(cfg, st).Check(ctx, maxLateness)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%d migrations applied\n", n)
		if refusal != "" {
			fmt.Fprintf(e.out, "this copy of the installation does not send (%s); run `hongyan resume` if it is meant to\n", refusal)
		}
		return nil
	})
}

func resumeCommand(ctx context.Context, e env) error {
	return withStorage(ctx, e, func(cfg config.Config, st *storage) error {
		if err := identity(cfg, st).Resume(ctx); err != nil {
			return err
		}
		fmt.Fprintln(e.out, "this copy of the installation sends again; restart its processes")
		return nil
	})
}
