package limits

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"hongyan/internal/clock"
)

// Throttle shares an account's rate and in-flight limit between all workers, through Redis.
type Throttle struct {
	client redis.UniversalClient
	prefix string
	clock  clock.Clock
	ttl    time.Duration
}

// NewThrottle returns a Throttle whose keys start with prefix.
func NewThrottle(client redis.UniversalClient, prefix string, clk clock.Clock) *Throttle {
	return &Throttle{client: client, prefix: prefix, clock: clk, ttl: SlotTTL}
}

// KeepSlots changes how long slots stay with a holder that does not renew them, from SlotTTL, and returns the Throttle.
func (t *Throttle) KeepSlots(ttl time.Duration) *Throttle {
	t.ttl = ttl
	return t
}

// urgentShare is the part of an account's rate and in-flight limit that is kept for the urgent lane (design 2).
const urgentShare = 5

// tokenScript takes up to ARGV[3] tokens from a bucket that holds one second's rate, but never below the floor ARGV[4]: the
// reserve that only the urgent lane may use. It returns how many it took and, if none, in how many
// milliseconds one is there. The bucket's clock is the caller's, never set back.
var tokenScript = redis.NewScript(`
local rate, now, want, floor = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(state[1]) or rate, tonumber(state[2]) or now
if now > at then
  tokens = math.min(rate, tokens + (now - at) * rate / 1000)
  at = now
end
local take = math.max(0, math.min(want, math.floor(tokens - floor)))
tokens = tokens - take
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(at))
redis.call('PEXPIRE', KEYS[1], 60000)
local wait = 0
if take == 0 then wait = math.ceil((floor + 1 - tokens) * 1000 / rate) end
return {take, wait}
`)

// Lane says for whom tokens and slots are taken.
type Lane uint8

// The lanes. The numbers are stored.
const (
	LaneUrgent Lane = iota + 1
	LaneBulk
)

// String is the name used in logs and metrics.
func (l Lane) String() string {
	if l == LaneUrgent {
		return "urgent"
	}
	return "bulk"
}

// Tokens takes up to want sends from the account's rate (sends per second). With none left it returns 0 and how long until there is one.
func (t *Throttle) Tokens(ctx context.Context, accountID int64, rate int, lane Lane, want int) (granted int, wait time.Duration, err error) {
	floor := 0
	if lane == LaneBulk {
		floor = rate / urgentShare
	}
	got, err := tokenScript.Run(ctx, t.client, []string{t.key("rate", accountID)}, rate, t.clock.Now().UnixMilli(), want, floor).Int64Slice()
	if err != nil {
		return 0, 0, fmt.Errorf("take rate tokens: %w", err)
	}
	return int(got[0]), time.Duration(got[1]) * time.Millisecond, nil
}

// slotScript gives holder ARGV[1] up to ARGV[2] of the ARGV[3] in-flight slots, of which it must keep ARGV[4] that are in
// use. A holder that does not come back within ARGV[6] ms loses its slots. With several holders that want more than there
// is, each is cut to an equal share, which it reaches as its calls end.
//
//nolint:dupword // Lua ends two blocks with the same word
var slotScript = redis.NewScript(`
local holder, want, limit, inuse, now, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local all = redis.call('HGETALL', KEYS[1])
local others, holders = 0, 1
for i = 1, #all, 2 do
  local held, til = string.match(all[i + 1], '(%d+):(%d+)')
  if tonumber(til) < now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= holder then
    others, holders = others + tonumber(held), holders + 1
  end
end
if want == 0 and inuse == 0 then
  redis.call('HDEL', KEYS[1], holder)
  return 0
end
local fair = math.max(1, math.floor(limit / holders))
local grant = math.max(inuse, math.min(want, fair, math.max(0, limit - others)))
redis.call('HSET', KEYS[1], holder, grant .. ':' .. (now + ttl))
redis.call('PEXPIRE', KEYS[1], ttl)
return grant
`)

// SlotTTL is how long slots stay with a holder that does not renew them: renewing happens every second. What a dead worker held is missing
// from the account for so long, and a grant of 60 seconds cannot wait for more.
const SlotTTL = 5 * time.Second

// Slots is a request for in-flight calls.
type Slots struct {
	AccountID int64
	Holder    string // a worker process and lane
	Lane      Lane
	Limit     int // the account's in-flight limit
	Want      int
	InUse     int // calls on the wire now; they are never taken away
}

// Acquire takes or renews slots and returns how many the holder has.
func (t *Throttle) Acquire(ctx context.Context, s Slots) (int, error) {
	limit := LaneSlots(s.Limit, s.Lane)
	key := t.key("slots:"+s.Lane.String(), s.AccountID)
	got, err := slotScript.Run(ctx, t.client, []string{key}, s.Holder, s.Want, limit, s.InUse, t.clock.Now().UnixMilli(), t.ttl.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("take in-flight slots: %w", err)
	}
	return got, nil
}

// LaneSlots is a lane's part of an account's in-flight limit: a fifth is the urgent lane's.
func LaneSlots(limit int, lane Lane) int {
	urgent := max(1, limit/urgentShare)
	if lane == LaneUrgent {
		return urgent
	}
	return max(1, limit-urgent)
}

func (t *Throttle) key(kind string, accountID int64) string {
	return t.prefix + kind + ":{" + strconv.FormatInt(accountID, 10) + "}"
}
