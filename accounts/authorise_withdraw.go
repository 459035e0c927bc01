package accounts

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

// Withdraw does what an unauthorized event asks for: the account stops, its tokens are deleted, and its fans' data are to be erased. A withdrawal that was
// acted upon, or that is older than the authorisation that stands, changes nothing. Errors: Invalid; Unavailable when nothing could be stored.
func (z *Authoriser) Withdraw(ctx context.Context, comp *Component, appID string, at time.Time) error {
	var done *authorisation
	now, ms := z.store.clock.Now().UnixMilli(), clock.Millis(at)
	err := z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		done = nil
		a, err := lockAuthorisation(tx, z.store.db.Dialect(), comp.ID, appID, now)
		if err != nil || ms < a.AuthorisedAt || ms <= a.WithdrawnAt {
			return err
		}
		a.State, a.WithdrawnAt, a.Permissions = stateWithdrawn, ms, ""
		if a.CodeAt < ms {
			a.settle()
		}
		released, err := z.release(tx, a, now)
		if err != nil {
			return err
		}
		a.EraseDue = a.EraseDue || released
		if err := a.forgetTokens(tx); err != nil {
			return err
		}
		done = a
		return a.save(tx, now)
	})
	if fault.Is(err, fault.Invalid) {
		return err
	}
	if err != nil || done == nil {
		return fault.Wrap(fault.Unavailable, err, "store the withdrawal of %s", appID)
	}
	z.store.forget()
	z.o.Log.Warn("an account's owner has withdrawn: it is stopped, and its tokens are deleted", "account", done.AccountID, "component", comp.ID)
	if err := z.tell(ctx, done); err != nil {
		z.o.Log.Error("the fans' data of an account whose owner withdrew are not erased yet", "account", done.AccountID, "error", err)
	}
	return nil
}

// release stops the account and deletes its access token, unless something else connects it by now. A stop that is there keeps its reason.
func (z *Authoriser) release(tx *gorm.DB, a *authorisation, now int64) (bool, error) {
	res := tx.Exec("UPDATE accounts SET permissions = '', revision = revision + 1, updated_at = ? WHERE id = ? AND connection = ? AND component_id = ?",
		now, a.AccountID, ConnectionComponent, a.ComponentID)
	if res.Error != nil || res.RowsAffected == 0 {
		return false, res.Error
	}
	var stopped bool
	if err := tx.Raw("SELECT stopped FROM accounts WHERE id = ?", a.AccountID).Scan(&stopped).Error; err != nil {
		return false, err
	}
	if !stopped {
		if err := z.setStopped(tx, a.AccountID, true, ReasonWithdrawn); err != nil {
			return false, err
		}
	}
	return true, forgetAccess(tx, a.AccountID)
}

// tell has the fans' data erased after a withdrawal.
func (z *Authoriser) tell(ctx context.Context, a *authorisation) error {
	if !a.EraseDue {
		return nil
	}
	if z.o.Withdrawn == nil {
		return fault.New(fault.Internal, "nothing is there that erases")
	}
	if err := z.o.Withdrawn(ctx, a.AccountID); err != nil {
		return err
	}
	return z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		// No row changes when the owner has withdrawn again: that is told apart.
		return tx.Exec("UPDATE authorisations SET erase_due = 0 WHERE id = ? AND withdrawn_at = ?", a.ID, a.WithdrawnAt).Error
	})
}

// RunOnce does what is left over of events that were stored: it exchanges codes whose time has come, and tells of withdrawals that nobody has been told
// of. Every process may call it at any time, as once a minute.
func (z *Authoriser) RunOnce(ctx context.Context) error {
	var left []authorisation
	err := z.store.db.Read(ctx).Raw(readAuthorisation+"due_at > 0 AND due_at <= ? OR erase_due = 1 ORDER BY id",
		z.store.clock.Now().UnixMilli()).Scan(&left).Error
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "look for authorisations that are left over")
	}
	var errs []error
	for i := range left {
		a := &left[i]
		if a.EraseDue {
			errs = append(errs, z.tell(ctx, a))
		}
		if a.DueAt == 0 {
			continue
		}
		comp, err := z.store.FindComponent(ctx, a.ComponentID)
		if err == nil {
			err = z.Finish(ctx, comp, a.Appid)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
