package admin

import (
	"log/slog"

	"github.com/gofiber/fiber/v2"
	"github.com/redis/go-redis/v9"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/jobs"
	"hongyan/internal/stops"
	"hongyan/internal/stream"
	"hongyan/limits"
	"hongyan/templates"
	"hongyan/webhooks"
	"hongyan/wechat"
)

// Options are what the API is made of.
type Options struct {
	DB    *database.DB
	Clock clock.Clock
	Log   *slog.Logger
	// Redis shares the rates of requests between processes, under keys that start with Prefix.
	Redis  redis.UniversalClient
	Prefix string
	// PublicURL is where members reach this server, "" while that is not known. With https, cookies are for https only.
	PublicURL string

	Accounts *accounts.Store
	Checks   *accounts.Checker
	Fans     *fans.Store
	// Mirror, Blacklister and Events change what is known of fans, at the platform too.
	Mirror      *fans.Mirror
	Blacklister *fans.Blacklister
	Events      *fans.Events
	Limits      *limits.Store
	Templates   *templates.Store
	Ledger      *deliveries.Store
	Campaigns   *campaigns.Store
	Stops       *stops.Stops
	Jobs        *jobs.Store
	Client      *wechat.Client
	Webhooks    *webhooks.Store
	// Stream serves live updates; nil serves none.
	Stream *stream.Hub
	// Authoriser makes the addresses at which owners of accounts authorise a component.
	Authoriser *accounts.Authoriser
	// CallbackURL is what an account's console is given as the server's address, "" while PublicURL is not known.
	CallbackURL func(*accounts.Account) string
	// ComponentURLs are what a component's console is given, empty while PublicURL is not known.
	ComponentURLs func(appID string) ComponentURLs
	// Remote is the address of who makes a request, past the proxies that are trusted; nil: the other end of the connection.
	Remote func(*fiber.Ctx) string
	// Sandbox plays the platform for sandbox accounts; nil when this process has none.
	Sandbox Sandbox
}

// ComponentURLs are where the platform and browsers reach a component of this installation.
type ComponentURLs struct {
	Events     string // 授权事件接收URL
	Messages   string // 消息与事件接收URL, with $APPID$ for the account
	Authorised string // where an owner's browser comes back to
}

// API is the mounted API.
type API struct {
	o       Options
	huma    huma.API
	members *Members
	rates   *rates
	keys    *keys
	ops     []*Op
	page    reference
}

// Paths of the API that stand outside of its version.
const (
	Prefix        = "/api"
	prefixV1      = Prefix + "/v1"
	documentPath  = Prefix + "/openapi.json"
	referencePath = Prefix + "/reference"
	problemPath   = Prefix + "/problems/"
)

// Mount adds the API to app, which has to be Immutable: values of a request are kept by sets that outlive it.
func Mount(app *fiber.App, o Options) *API {
	if o.Remote == nil {
		o.Remote = (*fiber.Ctx).IP
	}
	a := &API{o: o, members: NewMembers(o.DB, o.Clock), rates: newRates(o.Redis, o.Prefix, o.Clock), keys: newKeys(o.DB, o.Clock)}
	a.huma = newHuma(app, a)
	a.resources()
	a.publish(app)
	return a
}

// resources registers every operation, in the order in which the reference shows them.
func (a *API) resources() {
	a.sessionOps()
	a.tokenOps()
	a.accountOps()
	a.componentOps()
	a.policyOps()
	a.checkOps()
	a.jobOps()
	a.sandboxOps()
	a.fanOps()
	a.tagOps()
	a.attributeOps()
	a.interactionOps()
	a.deliveryOps()
	a.dripOps()
	a.webhookOps()
	a.streamOps()
	a.metaOps()
	a.metaDripOps()
}
