package scheduler

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/limits"
)

// localRates stand in for the shared rate limit while Redis is away: for urgent messages only, at their share of the account's rate.
type localRates struct {
	clock clock.Clock
	mu    sync.Mutex
	byID  map[int64]*rate.Limiter
}

func newLocalRates(clk clock.Clock) *localRates {
	return &localRates{clock: clk, byID: map[int64]*rate.Limiter{}}
}

// take takes up to n tokens; with none left it says how long until there is one.
func (l *localRates) take(account *accounts.Account, n int) (granted int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.byID[account.ID]
	share := limits.LaneSlots(account.RatePerSecond, limits.LaneUrgent)
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(share), share)
		l.byID[account.ID] = limiter
	}
	now := l.clock.Now()
	for granted < n && limiter.AllowN(now, 1) {
		granted++
	}
	return granted, time.Second / time.Duration(share)
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
