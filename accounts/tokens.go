package accounts

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
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

// Tokens keeps access tokens in a table, for all processes: the token encrypted, and who
// may refresh it until when. It implements wechat.TokenStore. Its errors carry
// fault.Unavailable when the database fails.
type Tokens struct {
	db     *database.DB
	sealer Sealer
	table  string
	key    string // the column that says whose token it is
}

var _ wechat.TokenStore = (*Tokens)(nil)

// NewTokens returns the access tokens of accounts, kept in db.
func NewTokens(db *database.DB, sealer Sealer) *Tokens {
	return &Tokens{db: db, sealer: sealer, table: "access_tokens", key: "account_id"}
}

// componentTokens are the access tokens that components have for themselves.
func componentTokens(db *database.DB, sealer Sealer) *Tokens {
	return &Tokens{db: db, sealer: sealer, table: "component_tokens", key: "component_id"}
}

// of names a row for people: "account 7".
func (t *Tokens) of(id int64) string {
	return strings.TrimSuffix(t.key, "_id") + " " + strconv.FormatInt(id, 10)
}

// tokenRow is a row as far as it is read. One that has only been acquired has an empty token.
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
		Raw("SELECT token, expires_at FROM "+t.table+" WHERE "+t.key+" = ?", accountID).
		Scan(&rows).Error
	if err != nil {
		return wechat.Token{}, fault.Wrap(fault.Unavailable, err, "read the access token of %s", t.of(accountID))
	}
	if len(rows) == 0 || len(rows[0].Token) == 0 {
		return wechat.Token{}, nil
	}
	plain, err := t.sealer.Open(rows[0].Token)
	if err != nil {
		return wechat.Token{}, fault.Wrap(fault.Internal, err, "decrypt the access token of %s", t.of(accountID))
	}
	var kept sealedToken
	// The cause would quote the decrypted text, so it is left out.
	if json.Unmarshal(plain, &kept) != nil {
		return wechat.Token{}, fault.New(fault.Internal, "the stored access token of %s cannot be read", t.of(accountID))
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
		taken := tx.Exec("UPDATE "+t.table+" SET owner = ?, owner_until = ? WHERE "+t.key+" = ? AND owner_until <= ?",
			owner, clock.Millis(until), accountID, clock.Millis(now))
		if taken.Error != nil || taken.RowsAffected > 0 {
			mine = taken.Error == nil
			return taken.Error
		}
		first := tx.Exec(t.db.Dialect().InsertIgnore()+
			" "+t.table+" ("+t.key+", token, expires_at, version, owner, owner_until) VALUES (?, ?, 0, 0, ?, ?)",
			accountID, []byte{}, owner, clock.Millis(until))
		mine = first.Error == nil && first.RowsAffected > 0
		return first.Error
	})
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, err, "acquire the access token of %s", t.of(accountID))
	}
	return mine, nil
}

// Save implements wechat.TokenStore.
func (t *Tokens) Save(ctx context.Context, accountID int64, owner string, token wechat.Token) error {
	plain, err := json.Marshal(sealedToken{
		Value: token.Value, AppID: token.AppID, ForcedAt: clock.Millis(token.ForcedAt), Forced: token.Forced,
	})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode the access token of %s", t.of(accountID))
	}
	sealed, err := t.sealer.Seal(plain)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encrypt the access token of %s", t.of(accountID))
	}
	var changed int64
	err = t.db.Tx(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("UPDATE "+t.table+" SET token = ?, expires_at = ?, version = version + 1, owner = '', owner_until = 0"+
			" WHERE "+t.key+" = ? AND owner = ?",
			sealed, clock.Millis(token.UseUntil), accountID, owner)
		changed = done.RowsAffected
		return done.Error
	})
	switch {
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "store the access token of %s", t.of(accountID))
	case changed == 0:
		return wechat.ErrLeaseLost
	}
	return nil
}

// Release implements wechat.TokenStore.
func (t *Tokens) Release(ctx context.Context, accountID int64, owner string) error {
	err := t.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE "+t.table+" SET owner = '', owner_until = 0 WHERE "+t.key+" = ? AND owner = ?",
			accountID, owner).Error
	})
	return fault.Wrap(fault.Unavailable, err, "release the access token of %s", t.of(accountID))
}
