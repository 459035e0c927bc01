package scheduler

import (
	"sync"
	"time"

	"hongyan/guard"
)

// holds remember what the platform said about an account's limits, so that batches that run already do not go on asking for what
// it does not give. Every process learns for itself; what outlives it is in the budgets. The zero value is empty.
type holds struct {
	mu      sync.Mutex
	minutes map[int64]time.Time // 45011: no bulk before then
	days    map[int64]int       // 45009: nothing on this Beijing day
}

// nextMinute notes that the minute's limit is used up.
func (h *holds) nextMinute(accountID int64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.minutes == nil {
		h.minutes = map[int64]time.Time{}
	}
	h.minutes[accountID] = now.Truncate(minute).Add(minute)
}

// slow is how long bulk has to wait for the next minute.
func (h *holds) slow(accountID int64, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.minutes[accountID].Sub(now)
}

// today notes that the day's quota is used up.
func (h *holds) today(accountID int64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.days == nil {
		h.days = map[int64]int{}
	}
	h.days[accountID] = guard.BudgetDay(now)
}

// used reports whether the day's quota is used up.
func (h *holds) used(accountID int64, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	day, known := h.days[accountID]
	return known && day == guard.BudgetDay(now)
}
