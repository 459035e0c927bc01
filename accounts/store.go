package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// freshFor is how long an account read from the database is used before it is read again. Stops do not wait for it: they travel by
// the stop epoch.
const freshFor = 2 * time.Second

// Store reads and writes accounts and components. What it returns is shared: do not change it.
type Store struct {
	db    *database.DB
	clock clock.Clock
	vault *Vault

	mu         sync.Mutex
	cached     map[int64]*Account
	components map[int64]*Component
	readAt     time.Time
	changes    int // by this process: what was read before the last one is stale at once
}

// New returns the accounts kept in db, sealed by vault.
func New(db *database.DB, clk clock.Clock, vault *Vault) *Store {
	return &Store{db: db, clock: clk, vault: vault, cached: map[int64]*Account{}}
}

// CreateAccount stores a new account and sets its ID. Defaults are filled in. Errors: Invalid with a field for each problem, Conflict when the AppID
// exists.
func (s *Store) CreateAccount(ctx context.Context, a *Account) error {
	r, err := s.prepare(a)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		r.ID = 0
		return tx.Create(r).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return fault.At("appid", "unique", fault.New(fault.Conflict, "account %s is connected already; open it in the list of accounts", a.AppID))
	}
	if err != nil {
		return fmt.Errorf("create account: %w", err)
	}
	a.ID = r.ID
	s.forget()
	return nil
}

// prepare fills in the defaults of a new account, checks it, and seals it.
func (s *Store) prepare(a *Account) (*row, error) {
	a.RatePerSecond = cmp.Or(a.RatePerSecond, DefaultRate)
	a.InFlight = cmp.Or(a.InFlight, DefaultInFlight)
	a.Zone = cmp.Or(a.Zone, DefaultZone)
	a.Connection = cmp.Or(a.Connection, ConnectionManual)
	if err := a.validate(); err != nil {
		return nil, err
	}
	a.Revision, a.CreatedAt = 1, s.clock.Now().UnixMilli()
	a.UpdatedAt = a.CreatedAt
	return a.seal(s.vault)
}

// UpdateSending changes how an account sends: policy, zone, rate, in-flight limit. Errors: Invalid with a field for each problem, Conflict when
// somebody changed the account since revision.
func (s *Store) UpdateSending(ctx context.Context, id, revision int64, change func(*Account)) (*Account, error) {
	current, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	changed := *current
	change(&changed)
	if err := changed.validate(); err != nil {
		return nil, err
	}
	changed.UpdatedAt, changed.Revision = s.clock.Now().UnixMilli(), revision+1
	r, err := changed.seal(s.vault)
	if err != nil {
		return nil, err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Model(&row{}).Where("id = ? AND revision = ?", id, revision).
			Select("policy", "time_zone", "rate_per_second", "in_flight", "revision", "updated_at").Updates(r)
		if res.Error == nil && res.RowsAffected == 0 {
			return errAccountChanged
		}
		return res.Error
	})
	if err != nil {
		return nil, fmt.Errorf("update account %d: %w", id, err)
	}
	s.forget()
	return &changed, nil
}

// FindAccount returns an account, at most two seconds old. Errors: NotFound.
func (s *Store) FindAccount(ctx context.Context, id int64) (*Account, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.cached[id]; a != nil {
		return a, nil
	}
	return nil, fault.New(fault.NotFound, "there is no account %d", id)
}

// FindAccountByAppID finds the account that a push is for. Errors: NotFound.
func (s *Store) FindAccountByAppID(ctx context.Context, appid string) (*Account, error) {
	all, err := s.FindAccounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.AppID == appid {
			return a, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no account %q", appid)
}

// FindAccounts lists all accounts by id.
func (s *Store) FindAccounts(ctx context.Context) ([]*Account, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return byID(s.cached), nil
}

// byID lists values in the order of their ids.
func byID[T any](values map[int64]T) []T {
	out := make([]T, 0, len(values))
	for _, id := range slices.Sorted(maps.Keys(values)) {
		out = append(out, values[id])
	}
	return out
}

// SetStopped stops or frees an account within tx; the caller bumps the stop epoch in the same transaction.
func (s *Store) SetStopped(tx *gorm.DB, id int64, stopped bool, reason string) error {
	res := tx.Exec("UPDATE accounts SET stopped = ?, stopped_reason = ?, updated_at = ? WHERE id = ?", stopped, reason, s.clock.Now().UnixMilli(), id)
	if res.Error != nil {
		return fmt.Errorf("stop account %d: %w", id, res.Error)
	}
	if res.RowsAffected == 0 {
		return fault.New(fault.NotFound, "there is no account %d", id)
	}
	s.forget()
	return nil
}

// Stopped lists the accounts that are stopped, straight from the database.
func (s *Store) Stopped(tx *gorm.DB) ([]int64, error) {
	var ids []int64
	if err := tx.Raw("SELECT id FROM accounts WHERE stopped = 1").Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("list stopped accounts: %w", err)
	}
	return ids, nil
}

func (s *Store) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = time.Time{}
	s.changes++
}

func (s *Store) refresh(ctx context.Context) error {
	now := s.clock.Now()
	s.mu.Lock()
	fresh, changes := !s.readAt.IsZero() && now.Sub(s.readAt) < freshFor, s.changes
	s.mu.Unlock()
	if fresh {
		return nil
	}
	var rows []row
	if err := s.db.Read(ctx).Find(&rows).Error; err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	// After the accounts: a component is there before any account that it connects.
	components, err := s.readComponents(ctx)
	if err != nil {
		return err
	}
	all := make(map[int64]*Account, len(rows))
	for i := range rows {
		a, err := s.reuse(&rows[i], components)
		if err != nil {
			return err
		}
		all[a.ID] = a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cached, s.components = all, components
	if s.changes == changes {
		s.readAt = now
	}
	return nil
}

// reuse keeps the account that is there when its row has not changed: unsealing and compiling is not free.
func (s *Store) reuse(r *row, components map[int64]*Component) (*Account, error) {
	s.mu.Lock()
	old := s.cached[r.ID]
	s.mu.Unlock()
	if old != nil && old.Revision == r.Revision && old.UpdatedAt == r.UpdatedAt && old.Stopped == r.Stopped && old.StoppedReason == r.StoppedReason &&
		old.Component == components[r.ComponentID] {
		return old, nil
	}
	return r.open(s.vault, components)
}

func (s *Store) read(ctx context.Context, id int64) (*Account, error) {
	var r row
	err := s.db.Read(ctx).Where("id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fault.New(fault.NotFound, "there is no account %d", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read account %d: %w", id, err)
	}
	components, err := s.readComponents(ctx)
	if err != nil {
		return nil, err
	}
	return r.open(s.vault, components)
}
