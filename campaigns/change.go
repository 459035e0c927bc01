package campaigns

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/stops"
)

// Change names the drip whose state is to be changed.
type Change struct {
	AccountID int64
	ID        int64
	// Revision is the drip's when it was read; 0 changes it whatever was done to it in the meantime.
	Revision int64
	// Reason is why, for a pause that no member ordered: at most 32 ASCII characters.
	Reason string
}

// StartDrip lets fans enter a draft. What it says is checked again, because time has passed and the account may have
// changed. Errors: Invalid, NotFound, Conflict.
func (s *Store) StartDrip(ctx context.Context, account *accounts.Account, c Change) error {
	d, err := s.FindDrip(ctx, account.ID, c.ID)
	if err != nil {
		return err
	}
	if d.ArchivedAt != 0 {
		return fault.New(fault.Conflict, "the drip is archived; restore it first")
	}
	raw, err := encode(d.Definition)
	if err != nil {
		return fmt.Errorf("start drip %d: %w", c.ID, err)
	}
	def, _, err := s.parse(ctx, []byte(raw), account, s.Clock.Now())
	if err != nil {
		return err
	}
	c.AccountID = account.ID
	if c.Revision == 0 {
		c.Revision = d.Revision // what was checked is what starts
	}
	_, err = s.move(ctx, c, StateRunning, []State{StateDraft}, func(tx *gorm.DB) error { return s.checkLoops(tx, account.ID, c.ID, &def) })
	return err
}

// PauseDrip stops a running drip from sending and from taking fans in, and returns when all live workers have seen it, with
// the number of calls that are still on the wire. Errors: NotFound, Conflict.
func (s *Store) PauseDrip(ctx context.Context, c Change) (onWire int, err error) {
	epoch, err := s.move(ctx, c, StatePaused, sources(StatePaused))
	if err != nil {
		return 0, err
	}
	return s.Stops.Wait(ctx, epoch)
}

// ResumeDrip lets a paused drip go on. Steps that have become too late in the meantime are skipped. Errors: NotFound, Conflict.
func (s *Store) ResumeDrip(ctx context.Context, c Change) error {
	c.Reason = resuming
	if _, err := s.move(ctx, c, StateRunning, []State{StatePaused}); err != nil {
		return err
	}
	return s.unparkAll(ctx, c.AccountID, c.ID)
}

// resuming is the stopped_reason of a running drip whose timers have not all been set again since it was paused.
const resuming = "resuming"

// stopping is the stopped_reason of a cancelled or finished drip whose enrolments and planned messages have not all been cancelled yet.
const stopping = "stopping"

// StopDrip ends a drip for good: nothing more goes out, planned messages and runs are cancelled. It returns when that is
// done, with the number of calls that were on the wire when all live workers had seen the stop. If it is cut short, the
// sweeper goes on with it; a second call does too. Errors: NotFound, Conflict.
func (s *Store) StopDrip(ctx context.Context, c Change) (onWire int, err error) {
	c.Reason = stopping
	epoch, err := s.move(ctx, c, StateCancelled, sources(StateCancelled))
	if fault.Is(err, fault.Conflict) {
		d, findErr := s.FindDrip(ctx, c.AccountID, c.ID)
		if findErr != nil || d.State != StateCancelled || d.StoppedReason != stopping {
			return 0, errors.Join(err, findErr)
		}
	} else if err != nil {
		return 0, err
	}
	onWire, err = s.Stops.Wait(ctx, epoch)
	if err != nil {
		return 0, err
	}
	return onWire, s.cancelAll(ctx, c.AccountID, c.ID, StateCancelled)
}

// move is the one way in which a drip's state changes.
func (s *Store) move(ctx context.Context, c Change, to State, from []State, checks ...func(*gorm.DB) error) (epoch int64, err error) {
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		for _, check := range checks {
			if err := check(tx); err != nil {
				return err
			}
		}
		query, args := "id = ? AND account_id = ? AND kind = ? AND state IN ?", []any{c.ID, c.AccountID, kindDrip, from}
		if c.Revision != 0 {
			query, args = query+" AND revision = ?", append(args, c.Revision)
		}
		res := tx.Model(&dripRow{}).Where(query, args...).Updates(map[string]any{
			"state": to, "stopped_reason": c.Reason, "revision": gorm.Expr("revision + 1"), "updated_at": s.Clock.Now().UnixMilli(),
		})
		if err := s.changed(tx, res, c, from); err != nil {
			return err
		}
		var err error
		epoch, err = stops.Bump(tx)
		if err != nil || s.Moved == nil {
			return err
		}
		return s.Moved(tx, c, to)
	})
	return epoch, err
}

// cancelSlice is how many runs one transaction cancels.
const cancelSlice = 200

// cancelAll ends the runs and planned messages of a drip that is over, slice by slice, and then marks that as done.
func (s *Store) cancelAll(ctx context.Context, accountID, id int64, state State) error {
	d := ending{accountID: accountID, id: id, to: state.ofRuns()}
	for after := int64(0); ; {
		last, err := s.cancelSome(ctx, d, after)
		if err != nil {
			return fmt.Errorf("stop drip %d: %w", id, err)
		}
		if last == 0 {
			break
		}
		after = last
	}
	err := s.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE campaigns SET stopped_reason = '' WHERE id = ? AND account_id = ? AND state = ? AND stopped_reason = ?",
			id, accountID, state, stopping).Error
	})
	if err != nil {
		return fmt.Errorf("stop drip %d: %w", id, err)
	}
	return nil
}

// ending is a drip that is over, and what becomes of its runs.
type ending struct {
	accountID, id int64
	to            runState
}

// cancelSome cancels one slice of runs of fans from the id after on, and returns the last fan's id; 0 if there was none.
func (s *Store) cancelSome(ctx context.Context, d ending, after int64) (last int64, err error) {
	err = s.DB.Tx(ctx, func(tx *gorm.DB) error {
		var rows []struct{ ID, FanID int64 }
		last = 0
		err := tx.Raw("SELECT id, fan_id FROM enrolments WHERE campaign_id = ? AND account_id = ? AND fan_id >= ? AND state = ? ORDER BY fan_id, occurrence LIMIT ?",
			d.id, d.accountID, after, runRunning, cancelSlice).Scan(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		runs, fanIDs := make([]int64, len(rows)), make([]int64, len(rows))
		for i, r := range rows {
			runs[i], fanIDs[i] = r.ID, r.FanID
		}
		last = fanIDs[len(fanIDs)-1]
		if err := s.cancelPlanned(tx, source(d.id), d.accountID, fanIDs); err != nil {
			return err
		}
		return s.endRuns(tx, runsEnd{accountID: d.accountID, state: d.to, at: s.Clock.Now().UnixMilli()}, database.SortedSet(runs))
	})
	return last, err
}

// cancelPlanned cancels all planned messages of a drip to some fans.
func (s *Store) cancelPlanned(tx *gorm.DB, src deliveries.Source, accountID int64, fanIDs []int64) error {
	for {
		n, err := s.Ledger.Cancel(tx, src, accountID, fanIDs, s.Clock.Now())
		if err != nil || n == 0 {
			return err
		}
	}
}
