package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Member is a person who logs in. Times are unix ms.
type Member struct {
	ID         int64
	Name       string
	CreatedAt  int64
	DisabledAt int64 // 0 while the member may log in
}

// Members keeps who may use the API: members, their sessions, API tokens.
type Members struct {
	db    *database.DB
	clock clock.Clock
	// cost is what a new password's hash costs, and decoy makes, once, a hash that costs as much: of a name that is not there.
	cost  cost
	decoy func() string
}

// NewMembers returns the members kept in db.
func NewMembers(db *database.DB, clk clock.Clock) *Members {
	m := &Members{db: db, clock: clk, cost: passwordCost}
	m.decoy = sync.OnceValue(func() string { return hashPassword("", m.cost) })
	return m
}

// The lengths of names and passwords, in characters. NIST SP 800-63B asks for 8 at least and 64 to be possible.
const (
	maxName     = 64
	minPassword = 10
	maxPassword = 200
)

// AddMember stores a new member. Errors: Invalid with a field for each problem; Conflict when the name is taken.
func (m *Members) AddMember(ctx context.Context, name, password string) (*Member, error) {
	if err := errors.Join(checkName("name", name), checkNewPassword(password)); err != nil {
		return nil, err
	}
	out := &Member{Name: name, CreatedAt: clock.Millis(m.clock.Now())}
	hash := hashPassword(password, m.cost)
	err := m.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec(m.db.Dialect().InsertIgnore()+" members (name, password, created_at) VALUES (?, ?, ?)", name, hash, out.CreatedAt)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.At("name", "unique", fault.New(fault.Conflict, "there is a member %q already; take another name", name))
		}
		if res.Error != nil {
			return res.Error
		}
		return tx.Raw("SELECT id FROM members WHERE name = ?", name).Row().Scan(&out.ID)
	})
	if err != nil {
		return nil, fmt.Errorf("add a member: %w", err)
	}
	return out, nil
}

// checkName checks the name of a member or a token.
func checkName(field, name string) error {
	n := utf8.RuneCountInString(name)
	if n < 1 || n > maxName || strings.TrimSpace(name) != name || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.BadField(field, "name", "a name has 1 to %d characters, and no space at its ends", maxName)
	}
	return nil
}

func checkNewPassword(password string) error {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return fault.BadField("password", "length", "a password has %d to %d characters, not %d", minPassword, maxPassword, n)
	}
	return nil
}

// LogIn finds the member with this name and password. It takes as long for a name that is not there. Errors: Forbidden, the same for a wrong name, a wrong
// password and a disabled member.
func (m *Members) LogIn(ctx context.Context, name, password string) (*Member, error) {
	out, stored := &Member{}, ""
	err := m.db.Read(ctx).Raw("SELECT id, name, password, created_at, disabled_at FROM members WHERE name = ?", name).
		Row().Scan(&out.ID, &out.Name, &stored, &out.CreatedAt, &out.DisabledAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		stored = m.decoy()
	case err != nil:
		return nil, fmt.Errorf("find a member: %w", err)
	}
	fits := checkPassword(stored, password)
	if out.ID == 0 || !fits || out.DisabledAt != 0 {
		return nil, refuse(kindUnauthenticated, fault.New(fault.Forbidden, "the name or the password is wrong; mind capital letters"))
	}
	return out, nil
}

// forgetSlice is how much time a transaction of Forget covers, so that it stays short where very many requests are made.
const forgetSlice = 10 * time.Minute

// Forget removes sessions that are no longer good, and idempotency keys whose answers nobody can ask for any more.
func Forget(ctx context.Context, db *database.DB, clk clock.Clock) error {
	for _, old := range []struct {
		table, column string
		life          time.Duration
	}{{"sessions", "seen_at", sessionIdle}, {"idempotency_keys", "created_at", keyLife}} {
		before := clock.Millis(clk.Now().Add(-old.life))
		for {
			var oldest sql.NullInt64
			err := db.Read(ctx).Raw("SELECT MIN("+old.column+") FROM "+old.table+" WHERE "+old.column+" < ?", before).Row().Scan(&oldest)
			if err == nil && !oldest.Valid {
				break
			}
			if err == nil {
				upTo := min(before, oldest.Int64+forgetSlice.Milliseconds())
				err = db.Tx(ctx, func(tx *gorm.DB) error {
					return tx.Exec("DELETE FROM "+old.table+" WHERE "+old.column+" < ?", upTo).Error
				})
			}
			if err != nil {
				return fmt.Errorf("remove what the API no longer needs: %w", err)
			}
		}
	}
	return nil
}
