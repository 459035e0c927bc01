package webhooks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Sealer encrypts secrets for the database. An accounts.Vault is one.
type Sealer interface {
	Seal(secret []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// Options are what a Store is made of.
type Options struct {
	DB     *database.DB
	Clock  clock.Clock
	Sealer Sealer
	// AllowPrivate lets webhooks reach addresses inside of the own network: for tests, and for receivers beside this program.
	AllowPrivate bool
}

// Store keeps webhooks and the events that are posted to them.
type Store struct {
	db           *database.DB
	clock        clock.Clock
	sealer       Sealer
	allowPrivate bool
}

// New returns the webhooks kept in a database.
func New(o Options) *Store {
	return &Store{db: o.DB, clock: o.Clock, sealer: o.Sealer, allowPrivate: o.AllowPrivate}
}

func (s *Store) now() int64 { return s.clock.Now().UnixMilli() }

func readEndpoints(tx *gorm.DB, where string, args ...any) ([]*Endpoint, error) {
	var out []*Endpoint
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		e := &Endpoint{}
		out = append(out, e)
		return rows.Scan(&e.ID, &e.AccountID, &e.Name, &e.URL, &e.Revision, &e.CreatedAt)
	}, "SELECT id, account_id, name, url, revision, created_at FROM webhooks WHERE removed_at = 0 AND "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read webhooks: %w", err)
	}
	return out, nil
}

// FindEndpoints lists an account's webhooks, oldest first.
func (s *Store) FindEndpoints(ctx context.Context, accountID int64) ([]*Endpoint, error) {
	return readEndpoints(s.db.Read(ctx), "account_id = ? ORDER BY id", accountID)
}

// FindEndpoint finds a webhook. Errors: NotFound.
func (s *Store) FindEndpoint(ctx context.Context, accountID, id int64) (*Endpoint, error) {
	found, err := readEndpoints(s.db.Read(ctx), "id = ? AND account_id = ?", id, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noEndpoint(id)
	}
	return found[0], nil
}

func noEndpoint(id int64) error {
	return fault.New(fault.NotFound, "this account has no webhook %d", id)
}

// CreateEndpoint makes a webhook and returns it with its secret, which nobody is shown again. Errors: Invalid with the fields name, url
// (format, credentials, fragment, length, private) and secret; Conflict when the account has MaxEndpoints.
func (s *Store) CreateEndpoint(ctx context.Context, accountID int64, in NewEndpoint) (e *Endpoint, secret string, err error) {
	if in.Secret == "" {
		in.Secret = newSecret()
	}
	if err := s.checkNew(in); err != nil {
		return nil, "", err
	}
	sealed, err := s.sealer.Seal([]byte(in.Secret))
	if err != nil {
		return nil, "", fmt.Errorf("seal the secret of a webhook: %w", err)
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		has, err := readEndpoints(tx, "account_id = ?"+s.db.Dialect().ForUpdate(), accountID)
		if err != nil {
			return err
		}
		if len(has) >= MaxEndpoints {
			return fault.New(fault.Conflict, "the account has %d webhooks, which is the most; delete one first", MaxEndpoints)
		}
		err = tx.Exec("INSERT INTO webhooks (account_id, name, url, secret, created_at) VALUES (?, ?, ?, ?, ?)",
			accountID, in.Name, in.URL, sealed, s.now()).Error
		if err != nil {
			return fmt.Errorf("create a webhook: %w", err)
		}
		found, err := readEndpoints(tx, "account_id = ? ORDER BY id DESC LIMIT 1", accountID)
		if err == nil && len(found) == 0 {
			err = errors.New("a webhook that was just made is not there")
		}
		if err != nil {
			return err
		}
		e = found[0]
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return e, in.Secret, nil
}

// UpdateEndpoint changes a webhook that still has this revision. Errors: NotFound; Invalid as CreateEndpoint; Conflict when it has changed meanwhile.
func (s *Store) UpdateEndpoint(ctx context.Context, e *Endpoint, patch EndpointPatch) (*Endpoint, error) {
	next := *e
	next.Revision++
	set, args := "revision = revision + 1", []any{}
	var errs []error
	if patch.Name != nil {
		next.Name, errs = *patch.Name, append(errs, checkName(*patch.Name))
		set, args = set+", name = ?", append(args, next.Name)
	}
	if patch.URL != nil {
		next.URL, errs = *patch.URL, append(errs, s.checkURL(*patch.URL))
		set, args = set+", url = ?", append(args, next.URL)
	}
	if patch.Secret != nil {
		sealed, err := s.sealer.Seal([]byte(*patch.Secret))
		errs = append(errs, checkSecret(*patch.Secret), err)
		set, args = set+", secret = ?", append(args, sealed)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &next, s.change(ctx, e, set, args...)
}

// DeleteEndpoint takes a webhook away, with its secret. Events that wait for it are given up. Errors: NotFound; Conflict when it has changed meanwhile.
func (s *Store) DeleteEndpoint(ctx context.Context, e *Endpoint) error {
	return s.change(ctx, e, "revision = revision + 1, secret = ?, removed_at = ?", []byte{}, s.now())
}

func (s *Store) change(ctx context.Context, e *Endpoint, set string, args ...any) error {
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		found, err := readEndpoints(tx, "id = ? AND account_id = ?", e.ID, e.AccountID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return noEndpoint(e.ID)
		}
		res := tx.Exec("UPDATE webhooks SET "+set+" WHERE id = ? AND account_id = ? AND revision = ? AND removed_at = 0",
			append(args, e.ID, e.AccountID, e.Revision)...)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the webhook was changed meanwhile; look at it again")
		}
		return res.Error
	})
}
