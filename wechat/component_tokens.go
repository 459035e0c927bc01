package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"hongyan/internal/fault"
)

// TicketLife is how long a verify ticket is good (platform.md 1.5).
const TicketLife = 12 * time.Hour

const (
	codeWithdrawn     = 61003
	codeTicketExpired = 61005
	codeTicketInvalid = 61006
	codeRefreshDead   = 61023
)

// Ticket is the verify ticket that the platform pushes to a component every 10 minutes.
// Whoever handles that push stores it with ComponentStore.SaveTicket.
type Ticket struct {
	Value string
	At    time.Time // when the platform made it: CreateTime of the push
}

// RefreshTokens are what access tokens of an account are made with. Current is the newest
// that the platform gave; Previous is what it replaced, kept until the next one comes.
type RefreshTokens struct{ Current, Previous string }

// ComponentStore keeps what one component needs, for all processes. As a TokenStore it
// keeps the component's own access token and the right to refresh it, in row 0.
type ComponentStore interface {
	TokenStore
	// Ticket returns the newest verify ticket, the zero Ticket when none has come.
	Ticket(ctx context.Context) (Ticket, error)
	// SaveTicket keeps t unless it holds a newer one: pushes can overtake each other.
	SaveTicket(ctx context.Context, t Ticket) error
	// RefreshTokens returns what is held for the account with this appid, which may be nothing.
	RefreshTokens(ctx context.Context, appID string) (RefreshTokens, error)
	// PutRefreshToken makes token the Current one of an account and what was Current the
	// Previous one, in one atomic write that is durable when it returns. Putting the
	// Current one again changes nothing. So a crash before it leaves the old token and a
	// crash after it leaves both: nothing is lost, whichever of them the platform takes.
	PutRefreshToken(ctx context.Context, appID, token string) error
}

// ErrNotAuthorised means that no refresh token of the account is held and that the account
// is not in the platform's list either: its owner must scan the authorisation page's code.
var ErrNotAuthorised = fault.New(fault.Forbidden, "the account has not authorised the component, or withdrew: its owner must scan the code of the authorisation page")

// TicketError means that a component has no verify ticket that is good, so that no
// component_access_token can be had.
type TicketError struct {
	Component string    // its appid
	At        time.Time // when the newest ticket was made, zero if none ever came
}

// Error implements error. It says what to do.
func (e *TicketError) Error() string {
	what := "no verify ticket has come"
	if !e.At.IsZero() {
		what = "the newest verify ticket is from " + e.At.UTC().Format(time.RFC3339) + " and no longer good"
	}
	return fmt.Sprintf("component %s: %s. The platform pushes one every 10 minutes: check that the component's authorisation "+
		"event URL leads here and that its Token and EncodingAESKey are the ones set, then call StartPushTicket and wait", e.Component, what)
}

// storeOf is where the access token of acc is kept.
func (t *tokens) storeOf(acc Account) TokenStore {
	if acc.isComponent() {
		return acc.Component.Store
	}
	return t.store
}

// sourceOf is where new access tokens of acc come from.
func (t *tokens) sourceOf(acc Account) tokenSource {
	switch {
	case acc.isComponent():
		return t.componentToken
	case acc.Component != nil:
		return t.authorisedToken
	}
	return t.stable
}

func (acc *Account) isComponent() bool {
	return acc.Component != nil && acc.AppID == acc.Component.AppID
}

// holder is whose tokens are used for acc: those of an account that moved from its secret to
// a component, or back, are not mixed up, because a withdrawal ends only the component's.
func (acc *Account) holder() string {
	if acc.Component == nil || acc.isComponent() {
		return acc.AppID
	}
	return acc.AppID + " by " + acc.Component.AppID
}

// rejected reports whether a code refuses the access token of acc. An account that withdrew
// and authorised the component again is refused (61003) with a token from before, which
// other processes may still hold.
func (acc *Account) rejected(code int) bool {
	return tokenRejected(code) || code == codeWithdrawn && acc.Component != nil && !acc.isComponent()
}

// tokenAPI is the API that gives the access tokens of acc.
func tokenAPI(acc Account) string {
	switch {
	case acc.isComponent():
		return apiComponentToken
	case acc.Component != nil:
		return apiAuthorizerToken
	}
	return apiStableToken
}

// componentToken is the tokenSource of a component. The platform makes a new token at each
// request, so there is nothing to force.
func (t *tokens) componentToken(ctx context.Context, acc Account, _ Token, rejected string) (Token, error) {
	comp, now := acc.Component, t.client.clock.Now()
	ticket, err := comp.Store.Ticket(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("load the component's verify ticket: %w", err)
	}
	if ticket.Value == "" || now.Sub(ticket.At) >= TicketLife {
		return Token{}, &Error{API: apiComponentToken, Outcome: OutcomeNotSent, Err: &TicketError{comp.AppID, ticket.At}}
	}
	body, err := encode(struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_appsecret"`
		Ticket string `json:"component_verify_ticket"`
	}{comp.AppID, comp.Secret, ticket.Value})
	if err != nil {
		return Token{}, fmt.Errorf("write the body of %s: %w", apiComponentToken, err)
	}
	var answer struct {
		Token     string      `json:"component_access_token"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	if failure := t.client.do(ctx, acc, &exchange{api: apiComponentToken, body: body, out: &answer}); failure != nil {
		if failure.Code == codeTicketExpired || failure.Code == codeTicketInvalid {
			failure.Err = &TicketError{comp.AppID, ticket.At}
		}
		return Token{}, failure
	}
	token, ok := newToken(acc, answer.Token, answer.ExpiresIn, now)
	return checkNew(apiComponentToken, token, ok, rejected)
}

// errTokenAgain means that a refused token is what the platform gives out when asked for a new one.
var errTokenAgain = errors.New("the platform gives out the access token that it refused")

func checkNew(api string, token Token, ok bool, rejected string) (Token, error) {
	switch {
	case !ok:
		return Token{}, &Error{API: api, Outcome: OutcomeLost, Err: errNoToken}
	case token.Value == rejected:
		return Token{}, &Error{API: api, TokenRefused: true, Err: errTokenAgain}
	}
	return token, nil
}

// authorisedToken is the tokenSource of an account that authorised a component. It tries
// what refresh tokens are held; when the platform takes none of them, as after a crash
// between its answer and ours writing it down, the platform's own list has the right one.
func (t *tokens) authorisedToken(ctx context.Context, acc Account, _ Token, rejected string) (Token, error) {
	if err := checkAuthorised(acc.Component, acc.AppID); err != nil {
		return Token{}, err
	}
	held, err := acc.Component.Store.RefreshTokens(ctx, acc.AppID)
	if err != nil {
		return Token{}, fmt.Errorf("load the refresh token: %w", err)
	}
	var refused error
	for _, refresh := range []string{held.Current, held.Previous} {
		if refresh == "" {
			continue
		}
		token, err := t.exchangeRefresh(ctx, acc, refresh, rejected)
		if !refreshRefused(err) {
			return token, err
		}
		refused = err
	}
	listed, err := t.listedRefresh(ctx, acc)
	switch {
	case err != nil:
		return Token{}, fmt.Errorf("look for the refresh token in the list of accounts: %w", err)
	case listed != "" && listed != held.Current && listed != held.Previous:
		return t.exchangeRefresh(ctx, acc, listed, rejected)
	case refused != nil:
		return Token{}, refused
	}
	return Token{}, &Error{API: apiAuthorizerToken, Outcome: OutcomeNotSent, Err: ErrNotAuthorised}
}

func refreshRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.API == apiAuthorizerToken && e.Code == codeRefreshDead
}

// exchangeRefresh gets an access token for a refresh token. The refresh token that comes
// with it, which may be a new one that makes the old one useless, is stored before the
// access token is handed on. Nobody's impatience ends it: an answer that is not read may
// be the only copy.
func (t *tokens) exchangeRefresh(ctx context.Context, acc Account, refresh, rejected string) (Token, error) {
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	comp, now := acc.Component, t.client.clock.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.lease())
	defer cancel()
	in := struct {
		componentRef
		Refresh string `json:"authorizer_refresh_token"`
	}{componentRef{comp.AppID, acc.AppID}, refresh}
	var answer struct {
		Token     string      `json:"authorizer_access_token"`
		Refresh   string      `json:"authorizer_refresh_token"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	if err := t.client.postAs(ctx, comp, apiAuthorizerToken, in, &answer); err != nil {
		return Token{}, err
	}
	if answer.Refresh == "" {
		answer.Refresh = refresh // it was taken, so it is the one to keep
	}
	if err := t.keepRefresh(ctx, comp, acc.AppID, answer.Refresh); err != nil {
		return Token{}, err
	}
	token, ok := newToken(acc, answer.Token, answer.ExpiresIn, now)
	return checkNew(apiAuthorizerToken, token, ok, rejected)
}

// keepRefresh stores a refresh token even when the one who asked for it has gone away.
func (t *tokens) keepRefresh(ctx context.Context, comp *Component, appID, refresh string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSpare)
	defer cancel()
	if err := comp.Store.PutRefreshToken(ctx, appID, refresh); err != nil {
		return fmt.Errorf("store the refresh token: %w", err)
	}
	return nil
}

// listedRefresh looks for an account's refresh token in the platform's list, "" if it is not there.
func (t *tokens) listedRefresh(ctx context.Context, acc Account) (string, error) {
	for offset := 0; ; {
		page, err := t.client.AuthorisedAccounts(ctx, acc.Component, offset, MaxAuthorisedPage)
		if err != nil {
			return "", err
		}
		for _, a := range page.Accounts {
			if a.AppID == acc.AppID {
				return a.RefreshToken, nil
			}
		}
		if page.Next == 0 {
			return "", nil
		}
		offset = page.Next
	}
}

// NewMemoryComponent returns a ComponentStore that lives in this process.
func NewMemoryComponent() ComponentStore {
	return &memoryComponent{TokenStore: NewMemoryTokens(), refresh: map[string]RefreshTokens{}}
}

type memoryComponent struct {
	TokenStore

	mu      sync.Mutex
	ticket  Ticket
	refresh map[string]RefreshTokens
}

func (m *memoryComponent) Ticket(context.Context) (Ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ticket, nil
}

func (m *memoryComponent) SaveTicket(_ context.Context, t Ticket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !t.At.Before(m.ticket.At) {
		m.ticket = t
	}
	return nil
}

func (m *memoryComponent) RefreshTokens(_ context.Context, appID string) (RefreshTokens, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refresh[appID], nil
}

func (m *memoryComponent) PutRefreshToken(_ context.Context, appID, token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.refresh[appID]; held.Current != token {
		m.refresh[appID] = RefreshTokens{Current: token, Previous: held.Current}
	}
	return nil
}
