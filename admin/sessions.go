package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
)

// How long a session is good: after the last request, and in all.
const (
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	// noteEvery is how often the use of a session or a token is written down at the most.
	noteEvery = time.Minute
)

// StartSession logs a member in. secret is for the cookie, until when it is good at most.
func (m *Members) StartSession(ctx context.Context, memberID int64) (secret string, until time.Time, err error) {
	secret = newSecret()
	now := m.clock.Now()
	err = m.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO sessions (hash, member_id, created_at, seen_at) VALUES (?, ?, ?, ?)",
			hashSecret(secret), memberID, clock.Millis(now), clock.Millis(now)).Error
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("start a session: %w", err)
	}
	return secret, now.Add(sessionLife), nil
}

// FindSession finds who a cookie belongs to, and notes that it was used. Errors: unauthenticated.
func (m *Members) FindSession(ctx context.Context, secret string) (*Caller, error) {
	out := &Caller{Scopes: allScopes(), session: hashSecret(secret)}
	var createdAt, seenAt int64
	err := m.db.Read(ctx).Raw("SELECT m.id, m.name, s.created_at, s.seen_at FROM sessions s JOIN members m ON m.id = s.member_id AND m.disabled_at = 0 WHERE s.hash = ?", out.session).
		Row().Scan(&out.MemberID, &out.Member, &createdAt, &seenAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoCaller()
	}
	if err != nil {
		return nil, fmt.Errorf("find a session: %w", err)
	}
	now := m.clock.Now()
	if now.Sub(clock.FromMillis(createdAt)) >= sessionLife || now.Sub(clock.FromMillis(seenAt)) >= sessionIdle {
		return nil, errNoCaller()
	}
	if now.Sub(clock.FromMillis(seenAt)) < noteEvery {
		return out, nil
	}
	err = m.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE sessions SET seen_at = ? WHERE hash = ? AND seen_at = ?", clock.Millis(now), out.session, seenAt).Error
	})
	if err != nil {
		return nil, fmt.Errorf("note that a session was used: %w", err)
	}
	return out, nil
}

// EndSession logs the session's member out. One that is not there is ended already.
func (m *Members) EndSession(ctx context.Context, by *Caller) error {
	err := m.db.Tx(ctx, func(tx *gorm.DB) error { return tx.Exec("DELETE FROM sessions WHERE hash = ?", by.session).Error })
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}
