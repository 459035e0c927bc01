// Package lease elects one owner for a job among several processes, in SQL.
//
// A lease is a row with an owner, a time until which it holds, and a fence: a number that grows
// whenever the owner changes. Whoever writes on behalf of a lease puts the
// fence into its condition, so that an owner that slept past its time cannot do harm. The package
// owns the table leases and may import clock and database.
//
// Times are compared by the callers' clocks: those of the machines must agree to well below a ttl.
package lease

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Limits of the columns, in bytes.
const (
	maxName  = 96
	maxOwner = 64
)

// Lease is the right to do a job until a time.
type Lease struct {
	Name  string
	Owner string
	Until time.Time // UTC; the lease is lost from this moment on
	Fence int64     // grows at each change of owner, starts at 1
}

// Store keeps leases in the database.
type Store struct {
	db    *database.DB
	clock clock.Clock
}

// NewStore returns a Store on db.
func NewStore(db *database.DB, c clock.Clock) *Store { return &Store{db: db, clock: c} }

// row is a line of the table leases.
type row struct {
	Owner   string
	UntilAt int64
	Fence   int64
}

// Acquire takes the lease for ttl when it is free, has run out, or is owner's already (then it is
// renewed and the fence stays). ok is false when someone else holds it; the Lease then says who.
// Errors: Invalid for an empty or too long name or owner and for a ttl below a millisecond.
func (s *Store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (l Lease, ok bool, err error) {
	if err := validate(name, owner, ttl); err != nil {
		return Lease{}, false, err
	}
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		l, ok = Lease{}, false
		now := s.clock.Now()
		until := now.Add(ttl)
		held, err := s.claim(tx, name, owner, now, until)
		if err != nil {
			return err
		}
		ok = held.Owner == owner
		l = Lease{Name: name, Owner: held.Owner, Until: clock.FromMillis(held.UntilAt), Fence: held.Fence}
		return nil
	})
	if err != nil {
		return Lease{}, false, fault.Wrap(fault.Unavailable, err, "acquire the lease %s", name)
	}
	return l, ok, nil
}

// claim makes sure that the row exists, takes it if it may, and reads how it stands. The update sets
// fence before owner: MySQL evaluates assignments from left to right and would
// compare with the new owner otherwise.
func (s *Store) claim(tx *gorm.DB, name, owner string, now, until time.Time) (row, error) {
	var held row
	updated := tx.Exec(`UPDATE leases SET fence = CASE WHEN owner = ? THEN fence ELSE fence + 1 END, owner = ?, until_at = ?
		WHERE name = ? AND (owner = ? OR until_at <= ?)`,
		owner, owner, clock.Millis(until), name, owner, clock.Millis(now))
	if updated.Error != nil {
		return held, updated.Error
	}
	if updated.RowsAffected == 0 {
		inserted := tx.Exec(s.db.Dialect().InsertIgnore()+" leases (name, owner, until_at, fence) VALUES (?, ?, ?, 1)",
			name, owner, clock.Millis(until))
		if inserted.Error != nil {
			return held, inserted.Error
		}
	}
	err := tx.Raw("SELECT owner, until_at, fence FROM leases WHERE name = ?", name).Scan(&held).Error
	return held, err
}

// Release gives l up, so that another need not wait for its end. Releasing a lease that was taken over
// does nothing. The row stays, because the fence must not start again; without an owner, the next
// Acquire, even by the same one, is a change and gets a new fence.
func (s *Store) Release(ctx context.Context, l Lease) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE leases SET until_at = 0, owner = '' WHERE name = ? AND owner = ? AND fence = ?", l.Name, l.Owner, l.Fence).Error
	})
	return fault.Wrap(fault.Unavailable, err, "release the lease %s", l.Name)
}

func validate(name, owner string, ttl time.Duration) error {
	var errs []error
	if name == "" || len(name) > maxName {
		errs = append(errs, fault.BadField("name", "length", "a lease's name has 1 to %d bytes", maxName))
	}
	if owner == "" || len(owner) > maxOwner {
		errs = append(errs, fault.BadField("owner", "length", "a lease's owner has 1 to %d bytes", maxOwner))
	}
	if ttl < time.Millisecond {
		errs = append(errs, fault.BadField("ttl", "range", "a lease lasts a millisecond or longer"))
	}
	return errors.Join(errs...)
}
