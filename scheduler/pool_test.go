package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/limits"
)

// share is a Throttle that gives as many slots as it is told to.
type share struct {
	mu     sync.Mutex
	slots  int
	asked  chan limits.Slots
	tokens unlimited
}

func (s *share) Tokens(ctx context.Context, id int64, rate int, lane limits.Lane, want int) (int, time.Duration, error) {
	return s.tokens.Tokens(ctx, id, rate, lane, want)
}

func (s *share) Acquire(_ context.Context, in limits.Slots) (int, error) {
	s.mu.Lock()
	n := min(s.slots, in.Want)
	s.mu.Unlock()
	s.asked <- in
	return max(n, in.InUse), nil
}

func (s *share) set(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots = n
}

// calls counts the calls of a pool that are under way, and lets them end.
type calls struct {
	began chan struct{}
	end   chan struct{}
}

func newPoolOf(t *testing.T, slots int) (*pool, *share, *calls, *clock.Manual) {
	s := &share{slots: slots, asked: make(chan limits.Slots, 1)}
	c := &calls{began: make(chan struct{}, 100), end: make(chan struct{})}
	clk := clock.NewManual(time.Unix(1_700_000_000, 0))
	p := &pool{
		key: poolKey{1, limits.LaneBulk}, throttle: s, clock: clk, log: slog.New(slog.DiscardHandler), holder: "me",
		call: func(context.Context, *step) {
			c.began <- struct{}{}
			<-c.end
		},
	}
	p.open(&accounts.Account{ID: 1, InFlight: 20})
	<-s.asked
	t.Cleanup(func() {
		close(c.end)
		p.close()
	})
	return p, s, c, clk
}

// renewed lets the pool renew its slots.
func (s *share) renewed(t *testing.T, p *pool, clk *clock.Manual, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		clk.Advance(renewEvery)
		select {
		case <-s.asked:
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.size == want && p.callers == max(1, want)
	}, 5*time.Second, time.Millisecond)
}

// underWay offers many steps and returns how many more are called at once.
func (c *calls) underWay(p *pool) int {
	for range 20 {
		p.steps <- &step{}
	}
	for n := 0; ; n++ {
		select {
		case <-c.began:
		case <-time.After(50 * time.Millisecond):
			return n
		}
	}
}

func TestAPoolMakesAsManyCallsAsItHasSlotsEvenAfterItShrank(t *testing.T) {
	t.Parallel()
	p, s, c, clk := newPoolOf(t, 8)
	s.renewed(t, p, clk, 8)
	s.set(3)
	s.renewed(t, p, clk, 3)
	require.Equal(t, 3, c.underWay(p), "callers that were idle when the slots went make no calls with them")
	s.set(6)
	s.renewed(t, p, clk, 6)
	require.Equal(t, 3, c.underWay(p), "three more")
}

func TestAPoolWithoutSlotsKeepsOneCallerForWhatIsMarked(t *testing.T) {
	t.Parallel()
	p, s, c, clk := newPoolOf(t, 4)
	s.set(0)
	s.renewed(t, p, clk, 0)
	require.Equal(t, 1, c.underWay(p))
}

func TestMarkedRowsAreBoundedBySlotsAndOneSlice(t *testing.T) {
	t.Parallel()
	p, _, _, _ := newPoolOf(t, 8) //nolint:dogsled // the pool alone matters here
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			for n := range 50 {
				if err := p.reserve(t.Context(), n%p.slice()+1); err != nil {
					t.Error(err)
					return
				}
				p.release(n%p.slice() + 1)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, p.most, 8+sliceMost)
	require.Zero(t, p.marked)
}

func TestNothingIsMarkedWithoutSlots(t *testing.T) {
	t.Parallel()
	p, s, _, clk := newPoolOf(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.reserve(ctx, 1) }()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	s.set(1)
	s.renewed(t, p, clk, 1)
	require.NoError(t, p.reserve(t.Context(), 1))
}

func TestANewPoolKeepsTheSlotsThatAnOldOneLeaves(t *testing.T) {
	t.Parallel()
	s := &share{slots: 4, asked: make(chan limits.Slots, 10)}
	sender := &Sender{clock: clock.NewManual(time.Unix(1_700_000_000, 0)), log: slog.New(slog.DiscardHandler), throttle: s, pools: map[poolKey]*pool{}, metrics: &Metrics{}}
	account := &accounts.Account{ID: 1, InFlight: 20}
	old := sender.enter(account, limits.LaneBulk)
	// The last batch is through, and the next one is there before the old pool is closed.
	sender.mu.Lock()
	delete(sender.pools, old.key)
	sender.mu.Unlock()
	next := sender.enter(account, limits.LaneBulk)
	old.close()
	old.recorder.close()
	<-s.asked
	<-s.asked
	sender.giveBack(old)
	require.Empty(t, s.asked, "to Redis both are one holder: giving back would take the new pool's slots")
	sender.leave(next)
	require.Equal(t, limits.Slots{AccountID: 1, Lane: limits.LaneBulk, Limit: 20}, <-s.asked)
}

func TestWhileRedisIsAwayUrgentTokensComeFromTheLocalShare(t *testing.T) {
	t.Parallel()
	clk := clock.NewManual(time.Unix(1_700_000_000, 0))
	local := newLocalRates(clk)
	account := &accounts.Account{ID: 1, RatePerSecond: 50}
	granted, _ := local.take(account, 100)
	require.Equal(t, 10, granted, "a fifth of the account's rate")
	granted, wait := local.take(account, 1)
	require.Zero(t, granted)
	require.Equal(t, 100*time.Millisecond, wait)
	clk.Advance(wait)
	granted, _ = local.take(account, 100)
	require.Equal(t, 1, granted)
}
