package main

import (
	"cmp"
	"context"

	"github.com/gofiber/fiber/v2"

	"hongyan/admin"
	"hongyan/internal/stream"
	"hongyan/scheduler"
)

// redisPrefix starts the keys of an installation.
const redisPrefix = "hongyan:"

// mountAPI joins the API with the rooms that the scheduler has put together.
func (s *Server) mountAPI(app *fiber.App) {
	sch := s.Scheduler
	o := admin.Options{
		DB: s.storage.db, Clock: s.Clock, Log: s.Log, Redis: s.storage.redis, Prefix: cmp.Or(s.RedisPrefix, redisPrefix), PublicURL: s.Config.PublicURL,
		Accounts: sch.Accounts, Checks: sch.Checks, Fans: sch.Fans, Limits: sch.Limits, Templates: sch.Templates, Ledger: sch.Ledger,
		Campaigns: sch.Campaigns, Stops: sch.Stops, Jobs: sch.Jobs, Client: sch.Client,
	}
	o.Mirror, o.Blacklister, o.Events = sch.Mirror, sch.Blacklister, sch.Events
	s.stream = stream.NewHub(s.storage.db, s.Clock, s.Log)
	o.Webhooks, o.Stream = sch.Webhooks, s.stream
	o.Authoriser, o.Remote, o.CallbackURL, o.ComponentURLs = sch.Authoriser, s.remote, callbackURL(s.Config.PublicURL), componentURLs(s.Config.PublicURL)
	if s.sandbox != nil {
		o.Sandbox = sandboxControl{s.sandbox.sim}
	}
	s.api = admin.Mount(app, o)
}

// apiJobs is what the API wants done at fixed times, by one of the processes.
func (s *Server) apiJobs() []scheduler.Job {
	return []scheduler.Job{{
		Name: "forget-api-leftovers", Spec: "47 3 * * *",
		Run: func(ctx context.Context) error { return admin.Forget(ctx, s.storage.db, s.Clock) },
	}}
}
