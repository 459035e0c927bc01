package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/stops"
	"hongyan/wechat"
)

// The platform's numbers for kinds of accounts and their verification (platform.md 1.5). Other numbers of verification mean that only a part of it was
// done: such an account does not count as verified.
const (
	serviceTypeService = 2
	verifyTypeWeChat   = 0
)

// exchanged is an authorisation whose refresh token is stored, or is in the platform's list.
type exchanged struct {
	appID string
	hash  string // of its code
	at    int64
}

// connect reads what the platform tells of an account that authorised the component, and makes the account, or moves the one that is there to the
// component.
func (z *Authoriser) connect(ctx context.Context, comp *Component, in exchanged) (*Account, error) {
	info, err := z.o.Client.AuthorisedAccount(ctx, comp.authorising, in.appID)
	if platformCode(err) == codeNotAuthorised {
		err = fault.Wrap(fault.Conflict, err, "the account's owner has withdrawn")
		return nil, errors.Join(err, z.undo(ctx, comp, in.appID))
	}
	if err != nil {
		return nil, err
	}
	fresh := accountOf(comp, in.appID, &info)
	r, err := z.store.prepare(fresh)
	if err != nil {
		return nil, fmt.Errorf("what the platform tells of account %s cannot be stored: %w", in.appID, err)
	}
	var id int64
	err = z.store.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		id, err = z.join(tx, in, r)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("connect account %s: %w", in.appID, err)
	case id == 0:
		return nil, fault.New(fault.Conflict, "the account's owner has withdrawn")
	}
	z.store.forget()
	z.o.Log.Info("an account is connected by its owner's authorisation", "account", id, "component", comp.ID, "permissions", r.Permissions)
	return z.store.read(ctx, id)
}

// undo deletes the refresh token of an exchange that a withdrawal has overtaken. One whose event has not come yet deletes it when it does.
func (z *Authoriser) undo(ctx context.Context, comp *Component, appID string) error {
	return z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		a, err := lockAuthorisation(tx, z.store.db.Dialect(), comp.ID, appID, z.store.clock.Now().UnixMilli())
		if err != nil || a.State != stateWithdrawn {
			return err
		}
		return a.forgetTokens(tx)
	})
}

// accountOf is a new account as the platform describes it.
func accountOf(comp *Component, appID string, info *wechat.AuthorisedAccount) *Account {
	sets := slices.Clone(info.Permissions)
	slices.Sort(sets)
	a := &Account{
		AppID: appID, OriginalID: info.OriginalID, Name: cmp.Or(info.Nickname, appID), Kind: KindSubscription, Verified: info.VerifyType == verifyTypeWeChat,
		BaseURL: comp.BaseURL, Connection: ConnectionComponent, ComponentID: comp.ID, Permissions: slices.Compact(sets),
	}
	if info.ServiceType == serviceTypeService {
		a.Kind = KindService
	}
	return a
}

// join writes an authorisation and its account; 0 when a withdrawal has overtaken it.
func (z *Authoriser) join(tx *gorm.DB, in exchanged, r *row) (int64, error) {
	now := z.store.clock.Now().UnixMilli()
	a, err := lockAuthorisation(tx, z.store.db.Dialect(), r.ComponentID, in.appID, now)
	if err != nil {
		return 0, err
	}
	if a.CodeHash == in.hash || a.CodeAt <= in.at {
		a.settle()
		a.CodeHash, a.CodeAt = in.hash, in.at
	}
	if in.at < a.WithdrawnAt {
		if a.State == stateWithdrawn { // the exchange has stored a refresh token
			if err := a.forgetTokens(tx); err != nil {
				return 0, err
			}
		}
		return 0, a.save(tx, now)
	}
	if a.AccountID, err = z.attach(tx, r); err != nil {
		return 0, err
	}
	a.State, a.Permissions, a.AuthorisedAt = stateAuthorised, r.Permissions, max(a.AuthorisedAt, in.at)
	return a.AccountID, a.save(tx, now)
}

// attach makes the account, or moves the one with its appid to the component, and lifts the stop of a withdrawal. What members have set stays as it is.
func (z *Authoriser) attach(tx *gorm.DB, r *row) (int64, error) {
	var found []row
	err := tx.Raw("SELECT id, connection, component_id, stopped, stopped_reason, revision FROM accounts WHERE appid = ?"+
		z.store.db.Dialect().ForUpdate(), r.Appid).Scan(&found).Error
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		r.ID = 0
		err := tx.Create(r).Error
		return r.ID, err
	}
	old := &found[0]
	res := tx.Exec("UPDATE accounts SET connection = ?, component_id = ?, permissions = ?, original_id = ?, kind = ?, verified = ?,"+
		" revision = revision + 1, updated_at = ? WHERE id = ? AND revision = ?",
		r.Connection, r.ComponentID, r.Permissions, r.OriginalID, r.Kind, r.Verified, r.UpdatedAt, old.ID, old.Revision)
	if res.Error == nil && res.RowsAffected == 0 {
		return 0, fault.New(fault.Unavailable, "account %d changed meanwhile", old.ID)
	}
	if res.Error != nil {
		return 0, res.Error
	}
	if old.Connection != r.Connection || old.ComponentID != r.ComponentID {
		if err := forgetAccess(tx, old.ID); err != nil {
			return 0, err
		}
	}
	if old.Stopped && (old.StoppedReason == ReasonWithdrawn || old.StoppedReason == reasonRefused) {
		return old.ID, z.setStopped(tx, old.ID, false, "")
	}
	return old.ID, nil
}

// setStopped stops or frees an account for all processes.
func (z *Authoriser) setStopped(tx *gorm.DB, accountID int64, stopped bool, reason string) error {
	if err := z.store.SetStopped(tx, accountID, stopped, reason); err != nil {
		return err
	}
	_, err := stops.Bump(tx)
	return err
}

// forgetAccess deletes an account's access token.
func forgetAccess(tx *gorm.DB, accountID int64) error {
	return tx.Exec("DELETE FROM access_tokens WHERE account_id = ?", accountID).Error
}
