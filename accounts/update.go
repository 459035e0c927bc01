package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/fault"
)

// AccountPatch is what a member changes about an account; nil keeps what is there. The AppID stays for good: the fans' ids belong to it.
type AccountPatch struct {
	Name          *string
	Zone          *string
	RatePerSecond *int
	InFlight      *int
	// OriginalID, Kind and Verified are told by the platform where a component connects the account. Of others a check corrects them.
	OriginalID *string
	Kind       *Kind
	Verified   *bool
	// Secret and Callback are those of the manual connection.
	Secret   *string
	Callback *CallbackPatch
	// Connection of ConnectionManual takes an account back from its component, and wants a new Secret and Callback with it.
	Connection *Connection
}

// CallbackPatch is what a member changes about a callback; nil keeps what is there.
type CallbackPatch struct {
	Mode  *Mode
	Token *string
	// AESKeys of one key put it in front of the one in use, which pushes may come with until the platform's console has the new one (platform.md 2);
	// two are both of them.
	AESKeys []string
	// ForgetPrevious drops the key that was in use before.
	ForgetPrevious bool
}

// Apply returns c with what p changes.
func (p *CallbackPatch) Apply(c Callback) Callback {
	set(&c.Mode, p.Mode)
	set(&c.Token, p.Token)
	switch held := c.AESKeys; {
	case len(p.AESKeys) == 0, len(p.AESKeys) == 1 && len(held) > 0 && held[0] == p.AESKeys[0]:
	case len(p.AESKeys) > 1 || len(held) == 0:
		c.AESKeys = p.AESKeys
	default:
		c.AESKeys = []string{p.AESKeys[0], held[0]}
	}
	if p.ForgetPrevious && len(c.AESKeys) > 1 {
		c.AESKeys = c.AESKeys[:1]
	}
	return c
}

func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

// UpdateAccount changes what a member may change about an account. An access token that was had by another secret is forgotten. Errors: Invalid with a
// field for each problem, NotFound, Conflict when somebody changed the account since revision.
func (s *Store) UpdateAccount(ctx context.Context, id, revision int64, p AccountPatch) (*Account, error) {
	current, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if current.Revision != revision {
		return nil, errAccountChanged
	}
	changed := p.apply(current)
	if err := errors.Join(p.refusals(current), changed.validate()); err != nil {
		return nil, err
	}
	changed.UpdatedAt, changed.Revision = s.clock.Now().UnixMilli(), revision+1
	err = s.db.Tx(ctx, func(tx *gorm.DB) error { return s.update(tx, current, changed, &p) })
	if err != nil {
		return nil, fmt.Errorf("update account %d: %w", id, err)
	}
	s.forget()
	return changed, nil
}

var errAccountChanged = fault.New(fault.Conflict, "the account was changed by somebody else; read it again")

// back reports whether p takes the account back from its component.
func (p *AccountPatch) back(a *Account) bool {
	return a.Connection == ConnectionComponent && p.Connection != nil && *p.Connection == ConnectionManual
}

// apply returns a with what p changes.
func (p *AccountPatch) apply(a *Account) *Account {
	c := *a
	set(&c.Name, p.Name)
	set(&c.OriginalID, p.OriginalID)
	set(&c.Kind, p.Kind)
	set(&c.Verified, p.Verified)
	set(&c.Zone, p.Zone)
	set(&c.RatePerSecond, p.RatePerSecond)
	set(&c.InFlight, p.InFlight)
	set(&c.Connection, p.Connection)
	if p.back(a) {
		// What it had before it moved to the component is from another time, and is not to come back by half.
		c.ComponentID, c.Component, c.Permissions, c.Secret, c.Callback = 0, nil, nil, "", Callback{}
	}
	set(&c.Secret, p.Secret)
	if p.Callback != nil {
		c.Callback = p.Callback.Apply(c.Callback)
	}
	return &c
}

// refusals is what cannot be changed because of how the account is connected.
func (p *AccountPatch) refusals(a *Account) error {
	var errs []error
	refuse := func(refused bool, field, rule, format string, args ...any) {
		if refused {
			errs = append(errs, fault.BadField(field, rule, format, args...))
		}
	}
	switch {
	case a.Sandbox:
		simulated := func(given bool, field string) {
			refuse(given, field, "sandbox", "the platform of a sandbox account is simulated and keeps what it began with; only a real account has this")
		}
		simulated(p.Secret != nil, "secret")
		simulated(p.Callback != nil, "callback")
		simulated(p.OriginalID != nil && *p.OriginalID != a.OriginalID, "original_id")
		simulated(p.Connection != nil && *p.Connection != a.Connection, "connection")
	case p.back(a): // a secret that is missing is named by validate
		refuse(p.Callback == nil, "callback", "required", "give the callback that the account's own console will have: mode, token and EncodingAESKey")
	case a.Connection == ConnectionComponent:
		told := func(differs bool, field string) {
			refuse(differs, field, "by_scan", "WeChat tells this of an account that is connected by a scan; run a check, which reads it again")
		}
		refuse(p.Secret != nil, "secret", "by_scan",
			"an account that is connected by a scan has no AppSecret here; change that of its component, or go back to the manual connection in the same request")
		refuse(p.Callback != nil, "callback", "by_scan",
			"an account that is connected by a scan has no callback of its own; change that of its component, or go back to the manual connection in the same request")
		told(p.OriginalID != nil && *p.OriginalID != a.OriginalID, "original_id")
		told(p.Kind != nil && *p.Kind != a.Kind, "kind")
		told(p.Verified != nil && *p.Verified != a.Verified, "verified")
	case p.Connection != nil && *p.Connection == ConnectionComponent:
		refuse(true, "connection", "by_scan", "an account moves to a component when its owner scans: make an authorisation link of the component")
	}
	return errors.Join(errs...)
}

// settings are the columns of what is no secret and can be changed.
func settings() []string {
	return []string{
		"name", "original_id", "kind", "verified", "time_zone", "rate_per_second", "in_flight", "connection", "component_id", "permissions", "revision", "updated_at",
	}
}

// update writes a changed account, if nobody else has changed it.
func (s *Store) update(tx *gorm.DB, old, changed *Account, p *AccountPatch) error {
	r, err := changed.seal(s.vault)
	if err != nil {
		return err
	}
	if p.back(old) { // the authorisation first, as whoever connects and withdraws locks them
		if err := s.takeBack(tx, old); err != nil {
			return err
		}
	}
	columns := settings()
	if p.Secret != nil || p.Callback != nil {
		columns = append(columns, "secret", "callback_mode", "callback_token", "aes_key", "previous_aes_key")
	}
	res := tx.Model(&row{}).Where("id = ? AND revision = ?", old.ID, old.Revision).Select(columns).Updates(r)
	if res.Error == nil && res.RowsAffected == 0 {
		return errAccountChanged
	}
	if res.Error != nil || old.Secret == changed.Secret && old.Connection == changed.Connection {
		return res.Error
	}
	return forgetAccess(tx, old.ID)
}

// takeBack ends a component's authorisation on our side: no token of it is left, and what the platform said of it before now changes nothing any more.
// The fans stay: their data are the owner's, who has not withdrawn. A later authorisation moves the account again.
func (s *Store) takeBack(tx *gorm.DB, account *Account) error {
	now := s.clock.Now()
	a, err := lockAuthorisation(tx, s.db.Dialect(), account.ComponentID, account.AppID, now.UnixMilli())
	if err != nil {
		return err
	}
	// Whole seconds, as the platform's times: an authorisation of this second is a new one.
	a.State, a.WithdrawnAt, a.Permissions = stateWithdrawn, max(a.WithdrawnAt, a.AuthorisedAt, now.Truncate(time.Second).UnixMilli()), ""
	a.settle()
	if err := a.forgetTokens(tx); err != nil {
		return err
	}
	return a.save(tx, now.UnixMilli())
}
