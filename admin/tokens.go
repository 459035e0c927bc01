package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// tokenPrefix lets people and secret scanners recognise an API token.
const tokenPrefix = "hy_"

// Token is an API token without its secret. Times are unix ms.
type Token struct {
	ID        int64
	MemberID  int64
	Name      string
	Scopes    []Scope
	CreatedAt int64
	ExpiresAt int64 // 0: never
	UsedAt    int64 // to the minute; 0: not yet
}

// maxTokens is how many a member may have: far more than programs need, and few enough for one page.
const maxTokens = 100

// CreateToken stores a new token of t.MemberID, sets t.ID, and returns the token's secret, which cannot be had again. Errors: Invalid with a field for each problem;
// Conflict when the member has very many.
func (m *Members) CreateToken(ctx context.Context, t *Token) (secret string, err error) {
	now := m.clock.Now()
	if err := t.validate(now); err != nil {
		return "", err
	}
	slices.Sort(t.Scopes)
	secret, t.CreatedAt = tokenPrefix+newSecret(), clock.Millis(now)
	err = m.db.Tx(ctx, func(tx *gorm.DB) error {
		var n int
		if err := tx.Raw("SELECT COUNT(*) FROM api_tokens WHERE member_id = ?", t.MemberID).Row().Scan(&n); err != nil {
			return err
		}
		if n >= maxTokens {
			return fault.New(fault.Conflict, "you have %d tokens already; remove one that is no longer used", n)
		}
		hash := hashSecret(secret)
		err := tx.Exec("INSERT INTO api_tokens (member_id, hash, name, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
			t.MemberID, hash, t.Name, joinScopes(t.Scopes), t.CreatedAt, t.ExpiresAt).Error
		if err != nil {
			return err
		}
		return tx.Raw("SELECT id FROM api_tokens WHERE hash = ?", hash).Row().Scan(&t.ID)
	})
	if err != nil {
		return "", fmt.Errorf("create a token: %w", err)
	}
	return secret, nil
}

func (t *Token) validate(now time.Time) error {
	errs := []error{checkName("name", t.Name)}
	if len(t.Scopes) == 0 {
		errs = append(errs, fault.BadField("scopes", "required", "a token needs a scope: read, write or send"))
	}
	for i, s := range t.Scopes {
		field := fmt.Sprintf("scopes[%d]", i)
		if !slices.Contains(allScopes(), s) {
			errs = append(errs, fault.BadField(field, "one_of", "a scope is read, write or send, not %q", string(s)))
		} else if slices.Contains(t.Scopes[:i], s) {
			errs = append(errs, fault.BadField(field, "unique", "%q is listed twice", string(s)))
		}
	}
	if t.ExpiresAt != 0 && t.ExpiresAt <= clock.Millis(now) {
		errs = append(errs, fault.BadField("expires_at", "past", "this time has passed; give a later one, or none"))
	}
	return errors.Join(errs...)
}

func joinScopes(scopes []Scope) string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = string(s)
	}
	return strings.Join(out, " ")
}

func splitScopes(column string) []Scope {
	var out []Scope
	for s := range strings.FieldsSeq(column) {
		out = append(out, Scope(s))
	}
	return out
}

// FindTokens lists a member's tokens by id, at most n with an id above after.
func (m *Members) FindTokens(ctx context.Context, memberID, after int64, n int) ([]Token, error) {
	var out []Token
	err := database.EachRow(m.db.Read(ctx), func(rows *sql.Rows) error {
		t, scopes := Token{MemberID: memberID}, ""
		err := rows.Scan(&t.ID, &t.Name, &scopes, &t.CreatedAt, &t.ExpiresAt, &t.UsedAt)
		t.Scopes = splitScopes(scopes)
		out = append(out, t)
		return err
	}, "SELECT id, name, scopes, created_at, expires_at, used_at FROM api_tokens WHERE member_id = ? AND id > ? ORDER BY id LIMIT ?", memberID, after, n)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return out, nil
}

// RemoveToken ends a token of a member. Errors: NotFound.
func (m *Members) RemoveToken(ctx context.Context, memberID, id int64) error {
	return m.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("DELETE FROM api_tokens WHERE id = ? AND member_id = ?", id, memberID)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.NotFound, "you have no token %d", id)
		}
		return res.Error
	})
}

// FindToken finds who a token's secret belongs to, and notes that it was used. Errors: unauthenticated.
func (m *Members) FindToken(ctx context.Context, secret string) (*Caller, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return nil, errNoCaller()
	}
	out, scopes := &Caller{}, ""
	var expiresAt, usedAt int64
	err := m.db.Read(ctx).Raw("SELECT t.id, t.scopes, t.expires_at, t.used_at, m.id, m.name FROM api_tokens t JOIN members m ON m.id = t.member_id AND m.disabled_at = 0 WHERE t.hash = ?",
		hashSecret(secret)).Row().Scan(&out.TokenID, &scopes, &expiresAt, &usedAt, &out.MemberID, &out.Member)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoCaller()
	}
	if err != nil {
		return nil, fmt.Errorf("find a token: %w", err)
	}
	now := clock.Millis(m.clock.Now())
	if expiresAt != 0 && expiresAt <= now {
		return nil, errNoCaller()
	}
	out.Scopes = splitScopes(scopes)
	if now-usedAt < noteEvery.Milliseconds() {
		return out, nil
	}
	err = m.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE api_tokens SET used_at = ? WHERE id = ? AND used_at = ?", now, out.TokenID, usedAt).Error
	})
	if err != nil {
		return nil, fmt.Errorf("note that a token was used: %w", err)
	}
	return out, nil
}
