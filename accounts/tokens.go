package accounts

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Sealer encrypts what is stored and decrypts what was. Vault is one.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// Tokens keeps each account's access token in table access_tokens, for all processes:
// the token encrypted, and who may refresh it until when. It implements
// wechat.TokenStore. Its errors carry fault.Unavailable when the database fails.
type Tokens struct {
	db     *database.DB
	sealer Sealer
}

var _ wechat.TokenStore = (*Tokens)(nil)

// NewTokens returns a Tokens on db.
func NewTokens(db *database.DB, sealer Sealer) *Tokens { return &Tokens{db: db, sealer: sealer} }

// tokenRow is a row of access_tokens as far as it is read. An account that has only been
// acquired has an empty token.
type tokenRow struct {
	Token     []byte
	ExpiresAt int64
}

// sealedToken is what the token column holds, encrypted.
type sealedToken struct {
	Value    string `json:"value"`
	AppID    string `json:"appid"`
	ForcedAt int64  `json:"forced_at,omitempty"` // unix ms
	Forced   int    `json:"forced,omitempty"`
}

// Load implements wechat.TokenStore.
func (t *Tokens) Load(ctx context.Context, accountID int64) (wechat.Token, error) {
	var rows []tokenRow
	err := t.db.Read(ctx).
		Raw("SELECT token, expires_at FROM access_tokens WHERE account_id = ?", accountID).
		Scan(&rows).Error
	if err != nil {
		return wechat.Token{}, fault.Wrap(fault.Unavailable, err, "read the access token of account %d", accountID)
	}
	if len(rows) == 0 || len(rows[0].Token) == 0 {
		return wechat.Token{}, nil
	}
	plain, err := t.sealer.Open(rows[0].Token)
	if err != nil {
		return wechat.Token{}, fault.Wrap(fault.Internal, err, "decrypt the access token of account %d", accountID)
	}
	var kept sealedToken
	// The cause would quote the decrypted text, so it is left out.
	if json.Unmarshal(plain, &kept) != nil {
		return wechat.Token{}, fault.New(fault.Internal, "the stored access token of account %d cannot be read", accountID)
	}
	return wechat.Token{
		Value: kept.Value, AppID: kept.AppID, UseUntil: clock.FromMillis(rows[0].ExpiresAt),
		ForcedAt: clock.FromMillis(kept.ForcedAt), Forced: kept.Forced,
	}, nil
}

// Acquire implements wechat.TokenStore: one conditional update, or the row's first insert.
func (t *Tokens) Acquire(ctx context.Context, accountID int64, owner string, now, until time.Time) (bool, error) {
	var mine bool
	err := t.db.Tx(ctx, func(tx *gorm.DB) error {
		taken := tx.Exec("UPDATE access_tokens SET owner = ?, owner_until = ? WHERE account_id = ? AND owner_until <= ?",
			owner, clock.Millis(until), accountID, clock.Millis(now))
		if taken.Error != nil || taken.RowsAffected > 0 {
			mine = taken.Error == nil
			return taken.Error
		}
		first := tx.Exec(t.db.Dialect().InsertIgnore()+
			" access_tokens (account_id, token, expires_at, version, owner, owner_until) VALUES (?, ?, 0, 0, ?, ?)",
			accountID, []byte{}, owner, clock.Millis(until))
		mine = first.Error == nil && first.RowsAffected > 0
		return first.Error
	})
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, err, "acquire the access token of account %d", accountID)
	}
	return mine, nil
}

// Save implements wechat.TokenStore.
func (t *Tokens) Save(ctx context.Context, accountID int64, owner string, token wechat.Token) error {
	plain, err := json.Marshal(sealedToken{
		Value: token.Value, AppID: token.AppID, ForcedAt: clock.Millis(token.ForcedAt), Forced: token.Forced,
	})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode the access token of account %d", accountID)
	}
	sealed, err := t.sealer.Seal(plain)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encrypt the access token of account %d", accountID)
	}
	var changed int64
	err = t.db.Tx(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("UPDATE access_tokens SET token = ?, expires_at = ?, version = version + 1, owner = '', owner_until = 0"+
			" WHERE account_id = ? AND owner = ?",
			sealed, clock.Millis(token.UseUntil), accountID, owner)
		changed = done.RowsAffected
		return done.Error
	})
	switch {
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "store the access token of account %d", accountID)
	case changed == 0:
		return wechat.ErrLeaseLost
	}
	return nil
}

// Release implements wechat.TokenStore.
func (t *Tokens) Release(ctx context.Context, accountID int64, owner string) error {
	err := t.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE access_tokens SET owner = '', owner_until = 0 WHERE account_id = ? AND owner = ?",
			accountID, owner).Error
	})
	return fault.Wrap(fault.Unavailable, err, "release the access token of account %d", accountID)
}
