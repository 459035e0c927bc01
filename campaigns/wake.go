package campaigns

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/database"
)

const (
	// wakeSlice is how many runs one transaction takes on by their timers.
	wakeSlice = 200
	// wakeAgain is when timers are tried again that could not be worked off, so that they do not stand in the way of the others.
	wakeAgain = time.Minute
	// parkSlice is how many timers one transaction sets again when a drip is resumed.
	parkSlice = 1000
)

// Woken counts what one Wake did.
type Woken struct {
	Runs int  // how many were taken on
	More bool // more timers may have run out
}

// Wake takes on the first runs of an account's drips whose timers have run out: steps without messages are done, waits end. Several processes may wake at
// once: each run is taken on by one. Timers of paused drips are put aside until the drip goes on. An error of one drip does not keep it from the others.
func (s *Store) Wake(ctx context.Context, now time.Time, account *accounts.Account) (Woken, error) {
	var order []int64
	fanIDs := map[int64][]int64{}
	found := 0
	err := database.EachRow(s.DB.Read(ctx), func(rows *sql.Rows) error {
		var campaignID, fanID int64
		if err := rows.Scan(&campaignID, &fanID); err != nil {
			return err
		}
		if fanIDs[campaignID] == nil {
			order = append(order, campaignID)
		}
		fanIDs[campaignID] = append(fanIDs[campaignID], fanID)
		found++
		return nil
	}, "SELECT campaign_id, fan_id FROM enrolments WHERE account_id = ? AND timer_at > 0 AND timer_at <= ? ORDER BY timer_at"+s.DB.Dialect().Limit(),
		account.ID, now.UnixMilli(), wakeSlice)
	if err != nil {
		return Woken{}, fmt.Errorf("find timers that have run out: %w", err)
	}
	out := Woken{More: found == wakeSlice}
	var errs []error
	for _, id := range order {
		n, err := s.wakeDrip(ctx, now, account, id, fanIDs[id])
		out.Runs += n
		if err != nil {
			errs = append(errs, fmt.Errorf("wake drip %d: %w", id, err), s.putOff(ctx, now, account.ID, id, fanIDs[id]))
		}
	}
	return out, errors.Join(errs...)
}

// wakeDrip takes on the runs of one drip and returns how many that were.
func (s *Store) wakeDrip(ctx context.Context, now time.Time, account *accounts.Account, id int64, fanIDs []int64) (woken int, err error) {
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		woken = 0
		runs, err := s.lockRuns(tx, account.ID, id, fanIDs)
		if err != nil {
			return err
		}
		m := mover{store: s, tx: tx, now: now, account: account, campaignID: id}
		for _, r := range runs {
			if r.timer > 0 && r.timer <= now.UnixMilli() {
				m.runs = append(m.runs, r)
			}
		}
		states, _, err := s.states(tx, account.ID, []int64{id}, s.share())
		if err != nil {
			return err
		}
		if states[id] == StatePaused {
			return s.park(tx, m.runs)
		}
		woken = len(m.runs)
		return m.move()
	})
	return woken, err
}

// park puts the timers of locked runs aside: a negative one has not run out.
func (s *Store) park(tx *gorm.DB, runs []*run) error {
	if len(runs) == 0 {
		return nil
	}
	ids := make([]int64, len(runs))
	for i, r := range runs {
		ids[i] = r.id
	}
	if err := tx.Exec("UPDATE enrolments SET timer_at = -timer_at WHERE id IN ? AND timer_at > 0", database.SortedSet(ids)).Error; err != nil {
		return fmt.Errorf("put timers aside: %w", err)
	}
	return nil
}

// unparkAll sets the timers of a drip again that were put aside while it was paused, slice by slice, and then marks that as done.
func (s *Store) unparkAll(ctx context.Context, accountID, id int64) error {
	for {
		n := 0
		err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
			var ids []int64
			err := tx.Raw("SELECT id FROM enrolments WHERE account_id = ? AND timer_at < 0 AND campaign_id = ? LIMIT ?", accountID, id, parkSlice).Scan(&ids).Error
			if n = len(ids); err != nil || n == 0 {
				return err
			}
			return tx.Exec("UPDATE enrolments SET timer_at = -timer_at WHERE id IN ? AND timer_at < 0", database.SortedSet(ids)).Error
		})
		if err != nil {
			return fmt.Errorf("resume drip %d: %w", id, err)
		}
		if n < parkSlice {
			break
		}
	}
	err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE campaigns SET stopped_reason = '' WHERE id = ? AND account_id = ? AND state = ? AND stopped_reason = ?",
			id, accountID, StateRunning, resuming).Error
	})
	if err != nil {
		return fmt.Errorf("resume drip %d: %w", id, err)
	}
	return nil
}

// putOff lets timers run out again later that could not be worked off.
func (s *Store) putOff(ctx context.Context, now time.Time, accountID, id int64, fanIDs []int64) error {
	err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE enrolments SET timer_at = ? WHERE campaign_id = ? AND fan_id IN ? AND account_id = ? AND timer_at > 0 AND timer_at <= ?",
			now.Add(wakeAgain).UnixMilli(), id, database.SortedSet(fanIDs), accountID, now.UnixMilli()).Error
	})
	if err != nil {
		return fmt.Errorf("put off the timers of drip %d: %w", id, err)
	}
	return nil
}

// NextTimer is when the first of the timers of an account's runs has run out; false when none is set, paused drips' aside.
func (s *Store) NextTimer(ctx context.Context, accountID int64) (time.Time, bool, error) {
	var at []int64
	err := s.DB.Read(ctx).Raw("SELECT timer_at FROM enrolments WHERE account_id = ? AND timer_at > 0 ORDER BY timer_at LIMIT 1", accountID).Scan(&at).Error
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the next timer: %w", err)
	}
	if len(at) == 0 {
		return time.Time{}, false, nil
	}
	return clock.FromMillis(at[0]), true, nil
}
