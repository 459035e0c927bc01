package admin

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/redis/go-redis/v9"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

// The headers that tell a caller how much is left (draft-ietf-httpapi-ratelimit-headers-06).
const (
	headerRateLimit = "Ratelimit-Limit"
	headerRateLeft  = "Ratelimit-Remaining"
	headerRateReset = "Ratelimit-Reset" // in seconds
)

// rate is how many requests may come: burst at once, and burst more in each period.
type rate struct {
	name  string
	burst int
	per   time.Duration
}

// The rates. Log-ins are rare; a page of the console makes a dozen requests.
var (
	callerRate = rate{"api", 600, time.Minute}
	loginRate  = rate{"login", 10, time.Minute}
)

// rates counts requests in Redis, for all processes together.
type rates struct {
	client redis.UniversalClient
	prefix string
	clock  clock.Clock
}

func newRates(client redis.UniversalClient, prefix string, clk clock.Clock) *rates {
	return &rates{client: client, prefix: prefix, clock: clk}
}

// rateScript is a bucket with room for ARGV[1] requests that fills within ARGV[2] ms; ARGV[3] is the caller's clock, never set back. It returns whether there was
// one left, how many are left, and in how many ms there is one, or the bucket is full again.
var rateScript = redis.NewScript(`
local burst, per, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'left', 'at')
local left, at = tonumber(state[1]) or burst, tonumber(state[2]) or now
if now > at then
  left = math.min(burst, left + (now - at) * burst / per)
  at = now
end
local got, wait = 0, 0
if left >= 1 then
  got, left = 1, left - 1
  wait = math.ceil((burst - left) * per / burst)
else
  wait = math.ceil((1 - left) * per / burst)
end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', tostring(at))
redis.call('PEXPIRE', KEYS[1], per)
return {got, math.floor(left), wait}
`)

// counted is what became of one request.
type counted struct {
	ok   bool
	left int
	wait time.Duration // until there is one left, or until there are all
}

func (r *rates) count(ctx context.Context, limit rate, who string) (counted, error) {
	key := r.prefix + "rate:" + limit.name + ":{" + who + "}"
	got, err := rateScript.Run(ctx, r.client, []string{key}, limit.burst, limit.per.Milliseconds(), r.clock.Now().UnixMilli()).Int64Slice()
	if err != nil {
		return counted{}, fmt.Errorf("count a request: %w", err)
	}
	return counted{ok: got[0] == 1, left: int(got[1]), wait: time.Duration(got[2]) * time.Millisecond}, nil
}

// Limiter bounds how often something happens that requests outside of the API bring about, for all processes together.
type Limiter struct {
	rates *rates
	limit rate
}

// NewLimiter lets each thing of a kind happen most times at once, and most times more in each minute. prefix starts the keys in Redis; kind tells limiters apart.
func NewLimiter(client redis.UniversalClient, prefix string, clk clock.Clock, kind string, most int) *Limiter {
	return &Limiter{rates: newRates(client, prefix, clk), limit: rate{kind, most, time.Minute}}
}

// Allow counts once, and reports whether what is called so may happen now.
func (l *Limiter) Allow(ctx context.Context, name string) (bool, error) {
	n, err := l.rates.count(ctx, l.limit, name)
	return n.ok, err
}

// allow counts a request against the rate of who makes it.
func (a *API) allow(ctx huma.Context, op *Op, c *Call) error {
	limit, who := callerRate, c.By.key()
	switch {
	case op.ID == loginID:
		limit, who = loginRate, "ip "+c.remote
	case op.Scope == "":
		who = "ip " + c.remote
	}
	n, err := a.rates.count(ctx.Context(), limit, who)
	switch {
	case err != nil && op.ID == loginID: // passwords are not to be tried without a limit
		return fault.Wrap(fault.Unavailable, err, "Redis does not answer")
	case err != nil: // the limit protects the others; it is not worth stopping all of them for
		a.o.Log.Warn("requests are not limited while Redis is away", "error", err)
		return nil
	}
	seconds := strconv.Itoa(int(math.Ceil(n.wait.Seconds())))
	ctx.SetHeader(headerRateLimit, strconv.Itoa(limit.burst))
	ctx.SetHeader(headerRateLeft, strconv.Itoa(n.left))
	ctx.SetHeader(headerRateReset, seconds)
	if n.ok {
		return nil
	}
	return refuse(kindTooMany, fault.New(fault.Forbidden, "too many requests; try again in %s seconds", seconds)).with(fiber.HeaderRetryAfter, seconds)
}
