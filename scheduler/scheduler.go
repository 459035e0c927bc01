package scheduler

import (
	"cmp"
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
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/lease"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/templates"
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
	Watch     *stops.Watch
	Inbound   *Inbound
	Sender    *Sender
	Metrics   *Metrics
	Refusal   stops.Refusal // why this copy may not send; "" when it may

	o          Options
	id         string
	dispatcher *Dispatcher
	sweeper    *Sweeper
	crons      *Crons
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
		DB: o.DB, Clock: o.Clock, Log: o.Log, Owner: s.id, Zone: time.UTC, Jobs: []Job{{Name: "forget-job-runs", Spec: "17 3 * * *", Run: s.forgetRuns}},
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

// rooms makes the domain rooms.
func (s *Scheduler) rooms() {
	o := s.o
	s.Limits = limits.New(o.DB)
	s.Fans = fans.New(o.DB, o.Clock, s.Limits)
	s.Ledger = deliveries.New(o.DB, o.Clock)
	s.Templates = templates.New(o.DB, o.Clock)
	s.Stops = stops.New(o.DB, o.Clock)
	s.Watch = stops.NewWatch(stops.WatchOptions{
		WorkerID: s.id, DB: o.DB, Clock: o.Clock, Log: o.Log, Load: s.stopped, Refused: s.Refusal != stops.RefusalNone,
	})
	var waiter campaigns.Waiter = s.Stops
	if o.Direct {
		waiter = ownWatch{s.Watch}
	}
	s.Campaigns = campaigns.New(campaigns.Options{
		DB: o.DB, Clock: o.Clock, Accounts: s.Accounts, Limits: s.Limits, Templates: s.Templates, Ledger: s.Ledger, Stops: waiter,
	})
}

// ownWatch waits for the only process there is, which looks when it is told to.
type ownWatch struct{ watch *stops.Watch }

// Wait implements campaigns.Waiter.
func (w ownWatch) Wait(ctx context.Context, _ int64) (int, error) {
	if err := w.watch.RunOnce(ctx); err != nil {
		return 0, err
	}
	return w.watch.OnWire(), nil
}

// stopped is what the watch reads when the stop epoch has changed.
func (s *Scheduler) stopped(tx *gorm.DB) (stoppedAccounts, running []int64, err error) {
	if stoppedAccounts, err = s.Accounts.Stopped(tx); err != nil {
		return nil, nil, err
	}
	running, err = s.Campaigns.RunningIDs(tx)
	return stoppedAccounts, running, err
}

func (s *Scheduler) parts(identity stops.Identity, queue Queue) {
	o := s.o
	leases := lease.NewStore(o.DB, o.Clock)
	client := wechat.New(wechat.Options{Transport: o.Transport, Clock: o.Clock, Tokens: accounts.NewTokens(o.DB, o.Vault)})
	var throttle Throttle = unlimited{}
	if o.Redis != nil {
		throttle = limits.NewThrottle(o.Redis, o.Prefix, o.Clock).KeepSlots(o.Timing.SlotTTL)
	}
	s.Sender = &Sender{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, fans: s.Fans, limits: s.Limits, ledger: s.Ledger,
		templates: s.Templates, campaigns: s.Campaigns, client: client, throttle: throttle, watch: s.Watch, metrics: s.Metrics,
		local: newLocalRates(o.Clock), timing: o.Timing, claimed: s.Ring, inline: o.Direct, pools: map[poolKey]*pool{}, calls: newCalls(o.Calls), caps: newCapCache(s.Campaigns),
	}
	s.Inbound = &Inbound{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, inbox: fans.NewInbox(o.DB, o.Clock), fans: s.Fans, limits: s.Limits,
		ledger: s.Ledger, templates: s.Templates, campaigns: s.Campaigns, timing: o.Timing, bell: s.Ring, queue: make(chan int64, cmp.Or(o.InboundLine, inboundLine)), wait: map[int64]chan struct{}{},
		inline: o.Direct,
	}
	s.dispatcher = &Dispatcher{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, ledger: s.Ledger, leases: leases, watch: s.Watch,
		queue: queue, lease: o.Timing.DispatchLease, turns: map[int64]*turns{}, fallback: s.runHere,
	}
	s.sweeper = &Sweeper{
		db: o.DB, clock: o.Clock, log: o.Log, accounts: s.Accounts, ledger: s.Ledger, campaigns: s.Campaigns, inbound: s.Inbound, identity: identity,
		watch: s.Watch, queue: queue, forgotten: o.Timing.Forgotten,
	}
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
	if s.sends() {
		s.background(func() { s.dispatchLoop(loop) })
		s.background(func() { s.sweepLoop(loop) })
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

// Stop ends everything in two phases: nothing new is begun, then what runs is finished and recorded.
func (s *Scheduler) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	if s.sends() {
		s.asynq.StopFetching()
	}
	s.stop()
	s.loops.Wait()
	if s.sends() {
		s.asynq.Shutdown()
		s.urgent.Wait()
		return s.Watch.Stop(ctx)
	}
	return nil
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

// Turn does everything that is due now, in the caller's goroutine, and returns when nothing is left: one step of virtual time.
func (s *Scheduler) Turn(ctx context.Context) error {
	for behind := true; ; {
		// Also when an answer has stopped the account meanwhile: nothing is marked before the watch has seen that.
		if behind {
			if err := s.Watch.RunOnce(ctx); err != nil {
				return err
			}
		}
		pushes, err := s.Inbound.Pending(ctx)
		if err != nil {
			return err
		}
		idle, err := s.turn(ctx)
		if err != nil {
			return err
		}
		if idle && pushes == 0 {
			return nil
		}
		if behind, err = s.Watch.Behind(ctx); err != nil {
			return err
		}
	}
}

func (s *Scheduler) turn(ctx context.Context) (idle bool, err error) {
	all, err := s.Accounts.FindAccounts(ctx)
	if err != nil {
		return false, err
	}
	idle = true
	for _, account := range all {
		done, err := s.dispatcher.RunOnce(ctx, account)
		if err != nil {
			return false, err
		}
		idle = idle && done.Idle
	}
	return idle, s.direct.Drain(ctx, s.Sender.Run)
}

// forgetRuns removes the records of old job firings.
func (s *Scheduler) forgetRuns(ctx context.Context) error {
	return s.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM job_runs WHERE fire_at < ?", s.o.Clock.Now().AddDate(0, -1, 0).UnixMilli()).Error
	})
}

// Throttle shares an account's rate and in-flight slots between workers; limits.Throttle does so through Redis.
type Throttle interface {
	Tokens(ctx context.Context, accountID int64, rate int, lane limits.Lane, want int) (granted int, wait time.Duration, err error)
	Acquire(ctx context.Context, s limits.Slots) (int, error)
}

// unlimited is the Throttle of virtual time, where one goroutine makes one call after the other.
type unlimited struct{}

// Tokens implements Throttle.
func (unlimited) Tokens(_ context.Context, _ int64, _ int, _ limits.Lane, want int) (int, time.Duration, error) {
	return want, 0, nil
}

// Acquire implements Throttle.
func (unlimited) Acquire(_ context.Context, s limits.Slots) (int, error) { return s.Want, nil }
