package scheduler

import (
	"cmp"
	"context"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/jobs"
	"hongyan/internal/lease"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/links"
	"hongyan/templates"
	"hongyan/webhooks"
	"hongyan/wechat"
)

// rooms makes the domain rooms.
func (s *Scheduler) rooms() {
	o := s.o
	s.Client = wechat.New(wechat.Options{Transport: o.Transport, Clock: o.Clock, Tokens: accounts.NewTokens(o.DB, o.Vault)})
	s.told = newTelling(o)
	s.Jobs = jobs.New(o.DB, o.Clock)
	s.Jobs.Tell(s.told)
	s.Authoriser = accounts.NewAuthoriser(accounts.AuthoriserOptions{Accounts: s.Accounts, Client: s.Client, Log: o.Log, Withdrawn: s.eraseFans})
	s.Checks = accounts.NewChecker(accounts.CheckOptions{
		DB: o.DB, Clock: o.Clock, Accounts: s.Accounts, Transport: o.Transport, Tokens: accounts.NewTokens(o.DB, o.Vault),
		Pushes: fans.NewInbox(o.DB, o.Clock), CallbackURL: o.CallbackURL,
	})
	s.Limits = limits.New(o.DB)
	s.Fans = fans.New(o.DB, o.Clock, s.Limits)
	s.Ledger = deliveries.New(o.DB, o.Clock)
	s.Ledger.CountIn(s.Accounts)
	s.Templates = templates.New(o.DB, o.Clock)
	s.Stops = stops.New(o.DB, o.Clock)
	s.Watch = stops.NewWatch(stops.WatchOptions{
		WorkerID: s.id, DB: o.DB, Clock: o.Clock, Log: o.Log, Load: s.stopped, Refused: s.Refusal != stops.RefusalNone,
	})
	s.Webhooks = webhooks.New(webhooks.Options{DB: o.DB, Clock: o.Clock, Sealer: o.Vault, AllowPrivate: o.WebhooksInside})
	s.Links = links.New(links.Options{DB: o.DB, Clock: o.Clock, Sealer: o.Vault, Ledger: linkLedger{s.Ledger}, Fans: linkFans{s.Fans}, PublicURL: o.PublicURL})
	var waiter campaigns.Waiter = s.Stops
	if o.Direct {
		waiter = ownWatch{s.Watch}
	}
	s.Campaigns = campaigns.New(campaigns.Options{
		DB: o.DB, Clock: o.Clock, Accounts: s.Accounts, Fans: s.Fans, Limits: s.Limits, Templates: s.Templates, Ledger: s.Ledger, Stops: waiter, Tagger: s.Fans,
		Webhooks: stepCalls{s.Webhooks, s.Fans}, Links: stepLinks{s.Links}, Moved: s.told.dripMoved,
	})
	s.Fans.Tell(s.Ledger, s.Campaigns, s.Webhooks, s.Links)
	s.Fans.Watch(s.Campaigns)
	s.Events = fans.NewEvents(s.Fans)
	s.platform = &fans.Platform{Client: s.Client, Accounts: s.Accounts, Gate: s.Watch, Clock: o.Clock}
	s.Mirror, s.Blacklister = fans.NewMirror(s.Fans, s.platform), fans.NewBlacklister(s.Fans, s.platform)
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

// parts makes what works on the rooms.
func (s *Scheduler) parts(identity stops.Identity, queue Queue) {
	o := s.o
	leases := lease.NewStore(o.DB, o.Clock)
	var throttle Throttle = unlimited{}
	if o.Redis != nil {
		throttle = limits.NewThrottle(o.Redis, o.Prefix, o.Clock).KeepSlots(o.Timing.SlotTTL)
	}
	s.Sender = &Sender{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, fans: s.Fans, limits: s.Limits, ledger: s.Ledger,
		templates: s.Templates, links: s.Links, campaigns: s.Campaigns, client: s.Client, throttle: throttle, watch: s.Watch, metrics: s.Metrics,
		local: newLocalRates(o.Clock), timing: o.Timing, claimed: s.Ring, inline: o.Direct, pools: map[poolKey]*pool{}, calls: newCalls(o.Calls), caps: newCapCache(s.Campaigns), told: s.told,
	}
	s.Inbound = &Inbound{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, inbox: fans.NewInbox(o.DB, o.Clock), fans: s.Fans, limits: s.Limits,
		ledger: s.Ledger, templates: s.Templates, links: s.Links, campaigns: s.Campaigns, timing: o.Timing, bell: s.Ring, queue: make(chan int64, cmp.Or(o.InboundLine, inboundLine)), wait: map[int64]chan struct{}{},
		inline: o.Direct, told: s.told,
	}
	s.dispatcher = &Dispatcher{
		db: o.DB, clock: o.Clock, log: o.Log, owner: s.id, accounts: s.Accounts, ledger: s.Ledger, leases: leases, watch: s.Watch,
		queue: queue, lease: o.Timing.DispatchLease, turns: map[int64]*turns{}, fallback: s.runHere,
	}
	s.sweeper = &Sweeper{
		db: o.DB, clock: o.Clock, log: o.Log, accounts: s.Accounts, ledger: s.Ledger, campaigns: s.Campaigns, inbound: s.Inbound, identity: identity,
		watch: s.Watch, queue: queue, forgotten: o.Timing.Forgotten,
	}
	s.waker = &Waker{clock: o.Clock, log: o.Log, accounts: s.Accounts, campaigns: s.Campaigns, watch: s.Watch}
	s.silences = &Silences{db: o.DB, owner: s.id, accounts: s.Accounts, fans: s.Fans, campaigns: s.Campaigns, leases: leases}
	s.webhooks = webhooks.NewWorker(s.Webhooks, s.id, o.Log)
	s.jobs = &jobs.Worker{Store: s.Jobs, Owner: s.id, Log: o.Log, Runners: s.runners(), Lease: o.Timing.JobLease}
}
