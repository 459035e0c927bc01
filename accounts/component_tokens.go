package accounts

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// ComponentStore keeps one component's verify ticket, its access token and the refresh tokens of its accounts, for all processes, encrypted. It implements
// wechat.ComponentStore. Its errors carry fault.Unavailable when the database fails.
type ComponentStore struct {
	db     *database.DB
	clock  clock.Clock
	sealer Sealer
	id     int64
	tokens *Tokens
	// authorising: refresh tokens come from codes, so that they are taken of accounts too that withdrew. Otherwise they come from renewals, of
	// which a late one must not bring back what a withdrawal deleted.
	authorising bool
}

var _ wechat.ComponentStore = (*ComponentStore)(nil)

// Load implements wechat.TokenStore for row 0, the component's own.
func (c *ComponentStore) Load(ctx context.Context, _ int64) (wechat.Token, error) {
	return c.tokens.Load(ctx, c.id)
}

// Acquire implements wechat.TokenStore for row 0.
func (c *ComponentStore) Acquire(ctx context.Context, _ int64, owner string, now, until time.Time) (bool, error) {
	return c.tokens.Acquire(ctx, c.id, owner, now, until)
}

// Save implements wechat.TokenStore for row 0.
func (c *ComponentStore) Save(ctx context.Context, _ int64, owner string, token wechat.Token) error {
	return c.tokens.Save(ctx, c.id, owner, token)
}

// Release implements wechat.TokenStore for row 0.
func (c *ComponentStore) Release(ctx context.Context, _ int64, owner string) error {
	return c.tokens.Release(ctx, c.id, owner)
}

// Ticket implements wechat.ComponentStore.
func (c *ComponentStore) Ticket(ctx context.Context) (wechat.Ticket, error) {
	var found struct {
		Ticket   []byte
		TicketAt int64
	}
	err := c.db.Read(ctx).Raw("SELECT ticket, ticket_at FROM components WHERE id = ?", c.id).Scan(&found).Error
	if err != nil {
		return wechat.Ticket{}, fault.Wrap(fault.Unavailable, err, "read the verify ticket of component %d", c.id)
	}
	value, err := openText(c.sealer, found.Ticket)
	if err != nil {
		return wechat.Ticket{}, fault.Wrap(fault.Internal, err, "decrypt the verify ticket of component %d", c.id)
	}
	return wechat.Ticket{Value: value, At: clock.FromMillis(found.TicketAt)}, nil
}

// SaveTicket implements wechat.ComponentStore.
func (c *ComponentStore) SaveTicket(ctx context.Context, t wechat.Ticket) error {
	sealed, err := c.sealer.Seal([]byte(t.Value))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encrypt the verify ticket of component %d", c.id)
	}
	err = c.db.Tx(ctx, func(tx *gorm.DB) error {
		// No row changes when a newer ticket is there: that one stays.
		return tx.Exec("UPDATE components SET ticket = ?, ticket_at = ? WHERE id = ? AND ticket_at <= ?",
			sealed, clock.Millis(t.At), c.id, clock.Millis(t.At)).Error
	})
	return fault.Wrap(fault.Unavailable, err, "store the verify ticket of component %d", c.id)
}

// RefreshTokens implements wechat.ComponentStore.
func (c *ComponentStore) RefreshTokens(ctx context.Context, appID string) (wechat.RefreshTokens, error) {
	found, err := findAuthorisation(c.db.Read(ctx), c.id, appID)
	if err != nil {
		return wechat.RefreshTokens{}, fault.Wrap(fault.Unavailable, err, "read the refresh token of %s", appID)
	}
	if found == nil {
		return wechat.RefreshTokens{}, nil
	}
	return c.open(found)
}

func (c *ComponentStore) open(a *authorisation) (wechat.RefreshTokens, error) {
	current, err := openText(c.sealer, a.RefreshToken)
	if err != nil {
		return wechat.RefreshTokens{}, fault.Wrap(fault.Internal, err, "decrypt the refresh token of %s", a.Appid)
	}
	previous, err := openText(c.sealer, a.PreviousToken)
	if err != nil {
		return wechat.RefreshTokens{}, fault.Wrap(fault.Internal, err, "decrypt the former refresh token of %s", a.Appid)
	}
	return wechat.RefreshTokens{Current: current, Previous: previous}, nil
}

// PutRefreshToken implements wechat.ComponentStore. A token that was renewed for an account that has withdrawn since is refused with
// wechat.ErrNotAuthorised.
func (c *ComponentStore) PutRefreshToken(ctx context.Context, appID, token string) error {
	sealed, err := c.sealer.Seal([]byte(token))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encrypt the refresh token of %s", appID)
	}
	err = c.db.Tx(ctx, func(tx *gorm.DB) error {
		found, err := c.lock(tx, appID)
		if err != nil {
			return err
		}
		held, err := c.open(found)
		switch {
		case err != nil:
			return err
		case !c.authorising && found.State == stateWithdrawn:
			return wechat.ErrNotAuthorised
		case held.Current == token:
			return nil
		}
		res := tx.Exec("UPDATE authorisations SET previous_token = refresh_token, refresh_token = ?, updated_at = ? WHERE id = ? AND refresh_token = ?",
			sealed, c.clock.Now().UnixMilli(), found.ID, found.RefreshToken)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the refresh token of %s changed meanwhile", appID)
		}
		return res.Error
	})
	return fault.Wrap(fault.Unavailable, err, "store the refresh token of %s", appID)
}

// lock makes the account's row, if it is new, and locks it until the transaction ends.
func (c *ComponentStore) lock(tx *gorm.DB, appID string) (*authorisation, error) {
	return lockAuthorisation(tx, c.db.Dialect(), c.id, appID, c.clock.Now().UnixMilli())
}

// openText decrypts a text; an empty column holds none.
func openText(s Sealer, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	plain, err := s.Open(sealed)
	if err != nil {
		return "", fmt.Errorf("open a sealed text: %w", err)
	}
	return string(plain), nil
}
