package limits

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
)

// Budget names a daily quota of the platform: how many calls an account may make to one API per Beijing day.
type Budget struct {
	AccountID int64
	API       string
	Most      int64 // calls per day
}

// KefuAPI is the customer-service message call, and KefuDaily the daily quota of a fresh verified account for it
// (platform.md 12.1).
const (
	KefuAPI   = "/cgi-bin/message/custom/send"
	KefuDaily = 500_000
)

// ReserveBudget takes up to want calls of today's budget and returns how many it got.
func (s *Store) ReserveBudget(ctx context.Context, now time.Time, b Budget, want int) (int, error) {
	granted := 0
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		granted = 0
		day := guard.BudgetDay(now)
		left, err := s.budgetLeft(tx, b, day)
		if err != nil {
			return err
		}
		granted = int(max(0, min(left, int64(want))))
		if granted == 0 {
			return nil
		}
		return tx.Exec("UPDATE api_budgets SET used = used + ? WHERE account_id = ? AND api = ? AND day = ?", granted, b.AccountID, b.API, day).Error
	})
	if err != nil {
		return 0, fmt.Errorf("reserve the daily budget of %s: %w", b.API, err)
	}
	return granted, nil
}

// budgetLeft reads what is left of a day's budget under its lock. The day's row is made by an insert that locks as the read does: an
// ignored insert would share the lock first, and two that did wait for each other for ever.
func (s *Store) budgetLeft(tx *gorm.DB, b Budget, day int) (int64, error) {
	query := "SELECT most - used FROM api_budgets WHERE account_id = ? AND api = ? AND day = ?" + s.db.Dialect().ForUpdate()
	for range 2 {
		var left []int64
		if err := tx.Raw(query, b.AccountID, b.API, day).Scan(&left).Error; err != nil {
			return 0, err
		}
		if len(left) == 1 {
			return left[0], nil
		}
		insert := "INSERT INTO api_budgets (account_id, api, day, used, most) VALUES (?,?,?,0,?)" +
			s.db.Dialect().Upsert([]string{"account_id", "api", "day"}, "used = used")
		if err := tx.Exec(insert, b.AccountID, b.API, day, b.Most).Error; err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("the budget of day %d was removed meanwhile", day)
}

// BudgetsLeft tells what is left of the budgets of the Beijing day of a moment and later ones, by day as of guard.BudgetDay. Days on which nothing has been reserved may be missing: all
// of the budget is left then.
func (s *Store) BudgetsLeft(tx *gorm.DB, from time.Time, b Budget) (map[int]int64, error) {
	var found []struct {
		Day  int
		Rest int64
	}
	err := tx.Raw("SELECT day, most - used AS rest FROM api_budgets WHERE account_id = ? AND api = ? AND day >= ?", b.AccountID, b.API, guard.BudgetDay(from)).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read the daily budgets of %s: %w", b.API, err)
	}
	out := make(map[int]int64, len(found))
	for _, f := range found {
		out[f.Day] = max(0, f.Rest)
	}
	return out, nil
}

// ReturnBudget gives n calls back that were reserved at the same Beijing day and not made.
func (s *Store) ReturnBudget(ctx context.Context, reservedAt time.Time, b Budget, n int) error {
	if n <= 0 {
		return nil
	}
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE api_budgets SET used = used - ? WHERE account_id = ? AND api = ? AND day = ? AND used >= ?",
			n, b.AccountID, b.API, guard.BudgetDay(reservedAt), n).Error
	})
	if err != nil {
		return fmt.Errorf("return the daily budget of %s: %w", b.API, err)
	}
	return nil
}

// CloseBudget ends today's budget: the platform answered 45009, so others share the quota with us. What is returned afterwards
// does not open it again: nothing is left of a quota of nothing.
func (s *Store) CloseBudget(ctx context.Context, now time.Time, b Budget) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE api_budgets SET most = 0 WHERE account_id = ? AND api = ? AND day = ?",
			b.AccountID, b.API, guard.BudgetDay(now)).Error
	})
	if err != nil {
		return fmt.Errorf("close the daily budget of %s: %w", b.API, err)
	}
	return nil
}
