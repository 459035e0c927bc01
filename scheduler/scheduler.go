package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/links"
	"hongyan/templates"
	"hongyan/webhooks"
	"hongyan/wechat"
)

// DispatchEvery is how often due deliveries are looked for when nothing rings.
const DispatchEvery = 100 * time.Millisecond

// Options are what a Scheduler is made of.
type Options struct {
	DB        *database.DB
	Clock     clock.Clock
	Log       *slog.Logger
	Redis     redis.UniversalClient // shared limits; nil in virtual time means no limits but the account's own
	Prefix    string                // of Redis keys and queue names
	Transport http.RoundTripper     // for the platform's API
	Registry  prometheus.Registerer
	Vault     *accounts.Vault
	DataDir   string
	// MaxLateness is the age of the newest heartbeat from which on a start counts as that of a restored copy.
	MaxLateness time.Duration
	// Workers is how many batches of each lane run at once in this process; 0 means this process only receives pushes.
	Workers int
	// Calls bounds the platform calls in flight in this process, of all accounts together; 0 means no bound but the accounts' own.
	Calls  int
	Timing Timing
	// InboundLine is how many stored pushes may stand in line in memory; the rest is read from the inbox. 0 means 10,000.
	InboundLine int
	// CallbackURL is the address that the pushes of an account have to go to, "" while it is not known.
	CallbackURL func(*accounts.Account) string
	// PublicURL is where fans reach this installation, without a slash at the end; "" while it is not known: links are not tracked then.
	PublicURL string
	// WebhooksInside lets webhooks reach addresses inside of the own network.
	WebhooksInside bool
	// Nightly is what other rooms want done at fixed times, by one of the processes.
	Nightly []Job
	// Direct makes the scheduler run in the caller's goroutine, in virtual time: see Turn.
	Direct bool
}

// Scheduler is everything that happens without a human, put together.
type Scheduler struct {
	Accounts  *accounts.Store
	Fans      *fans.Store
	Limits    *limits.Store
	Ledger    *deliveries.Store
	Templates *templates.Store
	Campaigns *campaigns.Store
	Stops     *stops.Stops
	Jobs      *jobs.Store
	Client    *wechat.Client
	Watch     *stops.Watch
	Inbound   *Inbound
	Sender    *Sender
	Metrics   *Metrics
	Events    *fans.Events // what programs report of fans
	// Mirror and Blacklister change fans at the platform and here.
	Mirror      *fans.Mirror
	Blacklister *fans.Blacklister
	Webhooks    *webhooks.Store
	Links       *links.Store  // tracked links in messages
	Refusal     stops.Refusal // why this copy may not send; "" when it may

	// Checks finds out what accounts may do and what is wrong with them.
	Checks *accounts.Checker
	// Authoriser takes the authorisations of accounts that are connected by a scan.
	Authoriser *accounts.Authoriser

	o          Options
	platform   *fans.Platform
	id         string
	hourly     hourly
	dispatcher *Dispatcher
	sweeper    *Sweeper
	waker      *Waker
	silences   *Silences
	crons      *Crons
	jobs       *jobs.Worker
	webhooks   *webhooks.Worker
	told       *telling
	asynq      *Asynq
	direct     *Direct
	bell       chan struct{}
	stop       context.CancelFunc
	loops      sync.WaitGroup
	urgent     sync.WaitGroup
}

// New puts a scheduler together and decides whether this copy of the installation may send.
func New(ctx context.Context, o Options) (*Scheduler, error) {
	o.Timing = o.Timing.withDefaults()
	s := &Scheduler{o: o, id: ulid.Make().String(), bell: make(chan struct{}, 1)}
	var err error
	if s.Metrics, err = NewMetrics(o.Registry); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	identity := stops.Identity{DB: o.DB, Clock: o.Clock, Dir: o.DataDir}
	if s.Refusal, err = identity.Check(ctx, o.MaxLateness); err != nil {
		return nil, err
	}
	s.Accounts = accounts.New(o.DB, o.Clock, o.Vault)
	if err = s.trustSandbox(ctx, identity); err != nil {
		return nil, err
	}
	s.rooms()
	var queue Queue
	if o.Direct {
		s.direct = &Direct{}
		queue = s.direct
	} else {
		s.asynq = NewAsynq(AsynqOptions{Redis: o.Redis, Prefix: o.Prefix, Log: o.Log, Urgent: o.Workers, Bulk: o.Workers})
		queue = s.asynq
	}
	s.parts(identity, queue)
	s.crons, err = NewCrons(CronOptions{
		DB: o.DB, Clock: o.Clock, Log: o.Log, Owner: s.id, Zone: time.UTC, Jobs: append(s.housekeeping(), o.Nightly...),
	})
	return s, err
}

// trustSandbox lets an installation go on that has sandbox accounts only, however old or copied it is: it can write to nobody.
func (s *Scheduler) trustSandbox(ctx context.Context, identity stops.Identity) error {
	if s.Refusal == stops.RefusalNone {
		return nil
	}
	all, err := s.Accounts.FindAccounts(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(a *accounts.Account) bool { return !a.Sandbox }) {
		return nil
	}
	s.o.Log.Info("resuming by itself: all accounts are sandbox accounts", "reason", string(s.Refusal))
	if err := identity.Resume(ctx); err != nil {
		return err
	}
	s.Refusal = stops.RefusalNone
	return nil
}

// Ring tells the dispatcher that something may be due.
func (s *Scheduler) Ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// runHere works an urgent batch off in this process, because the queue is away.
func (s *Scheduler) runHere(t Ticket) {
	s.urgent.Go(func() {
		if err := s.Sender.Run(context.Background(), t); err != nil {
			s.o.Log.Error("an urgent batch failed", "batch", t.BatchID, "error", err)
		}
	})
}

// Start begins everything. It fails when the database cannot be reached, so that a broken process does not look healthy.
func (s *Scheduler) Start(ctx context.Context) error {
	if s.Refusal != stops.RefusalNone {
		s.o.Log.Error("sending is stopped: this looks like a copy of the installation; run `hongyan resume` if it is not", "reason", string(s.Refusal))
	}
	if s.sends() {
		if err := s.Watch.Start(ctx); err != nil {
			return err
		}
		if err := s.asynq.Start(s.Sender.Run); err != nil {
			return errors.Join(err, s.Watch.Stop(ctx))
		}
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = cancel
	s.background(func() { s.Inbound.Run(loop) })
	s.background(func() { s.told.ticks.Loop(loop) })
	if s.sends() {
		s.background(func() { s.dispatchLoop(loop) })
		s.background(func() { s.sweepLoop(loop) })
		s.background(func() { s.waker.loop(loop, s.Ring) })
		s.background(func() { s.silenceLoop(loop) })
		s.background(func() { s.jobs.Loop(loop) })
		s.background(func() { s.webhooks.Loop(loop) })
	}
	return nil
}

// sends reports whether this process works on deliveries. A copy of the installation does not even look at them: it may share its Redis with the original
// and would take the tickets of the other's batches.
func (s *Scheduler) sends() bool { return s.o.Workers > 0 && s.Refusal == stops.RefusalNone }

func (s *Scheduler) background(run func()) {
	s.loops.Go(func() {
		run()
	})
}

// Stop ends everything in two phases: nothing new is begun, then what runs is finished and recorded. Once stopped, it does nothing.
func (s *Scheduler) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	if s.sends() {
		s.asynq.StopFetching()
	}
	s.stop()
	s.stop = nil
	s.loops.Wait()
	if !s.sends() {
		return nil
	}
	released := s.dispatcher.Release(ctx)
	s.asynq.Shutdown()
	s.urgent.Wait()
	return errors.Join(released, s.Watch.Stop(ctx))
}

func (s *Scheduler) dispatchLoop(ctx context.Context) {
	for {
		if err := s.Dispatch(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot dispatch", "error", err)
		}
		timer := s.o.Clock.NewTimer(DispatchEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.bell:
			timer.Stop()
		}
	}
}

// Dispatch does one round for every account.
func (s *Scheduler) Dispatch(ctx context.Context) error {
	if s.Watch.Snapshot().Installation {
		return nil
	}
	all, err := s.Accounts.FindAccounts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range all {
		_, err := s.dispatcher.RunOnce(ctx, account)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Scheduler) sweepLoop(ctx context.Context) {
	for {
		timer := s.o.Clock.NewTimer(s.o.Timing.SweepEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot sweep", "error", err)
		}
		if err := s.crons.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot run jobs", "error", err)
		}
	}
}

// Sweep returns once what dead processes held.
func (s *Scheduler) Sweep(ctx context.Context) (Swept, error) { return s.sweeper.RunOnce(ctx) }
