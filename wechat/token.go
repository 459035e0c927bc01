package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Token is an access token and what must be known to replace it.
type Token struct {
	Value    string
	AppID    string    // whose it is; a token of another appid, or by another connection, is never used
	UseUntil time.Time // the margin is already taken off
	// ForcedAt and Forced keep to the platform's limits on forced refreshes: the last
	// one, and how many on its Beijing day.
	ForcedAt time.Time
	Forced   int
}

// TokenStore keeps one token per account for all processes, and the right to refresh it.
type TokenStore interface {
	// Load returns the stored token, the zero Token when there is none.
	Load(ctx context.Context, accountID int64) (Token, error)
	// Acquire takes the right to refresh until the given time if nobody holds it at now.
	// It must be one atomic compare-and-set.
	Acquire(ctx context.Context, accountID int64, owner string, now, until time.Time) (bool, error)
	// Save stores t and gives up the right. It fails with ErrLeaseLost if owner does not hold it.
	Save(ctx context.Context, accountID int64, owner string, t Token) error
	// Release gives up the right without a token; harmless if owner does not hold it.
	Release(ctx context.Context, accountID int64, owner string) error
}

// ErrLeaseLost is returned by TokenStore.Save when another owner refreshes meanwhile.
var ErrLeaseLost = errors.New("the right to refresh the access token was lost")

// errSameToken means that a refused token is all the platform gives out.
var errSameToken = errors.New("the platform gives out the access token that it refused, and a forced refresh is not allowed yet")

// errNoToken means that an answer lacks what was asked for.
var errNoToken = errors.New("the answer holds no access token")

const (
	// tokenMargin is how long before its end a token is replaced. The platform mints the
	// next one at that moment and takes both meanwhile (platform.md 1.1).
	tokenMargin = 300 * time.Second
	// minTokenUse avoids asking again for each call when a token comes with less than the margin.
	minTokenUse = 10 * time.Second
	// forceGap and forcesPerDay are the platform's limits on force_refresh.
	forceGap     = 30 * time.Second
	forcesPerDay = 20
	// pollEvery is how often a process looks whether another has refreshed.
	pollEvery = 100 * time.Millisecond
	// leaseSpare is what the right to refresh lasts beyond the two requests it may take.
	leaseSpare = 5 * time.Second
)

type tokenKey struct {
	accountID int64
	holder    string
}

type tokenEntry struct {
	token  Token
	flight *flight
}

// flight is one refresh that any number of calls wait for.
type flight struct {
	done    chan struct{} // closed when token and err are set
	token   Token
	err     error
	waiters int
	cancel  context.CancelFunc
}

// tokens hands out access tokens, of accounts and of components: from memory, else from
// the store, else from the platform, with one refresher per account in this process
// (flight) and across processes (the store's lease).
type tokens struct {
	client *Client
	store  TokenStore
	owner  string

	mu      sync.Mutex
	entries map[tokenKey]*tokenEntry
}

// get returns a token other than rejected, the one the platform has just refused ("" if
// none). Because each caller names the token it was refused with, any number of calls
// refused at once cause one refresh.
func (t *tokens) get(ctx context.Context, acc Account, rejected string) (string, error) {
	for {
		value, f := t.join(ctx, acc, rejected)
		if f == nil {
			return value, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			t.leave(acc, f)
			return "", ctx.Err()
		}
		if f.err != nil {
			return "", f.err
		}
		if f.token.Value != rejected {
			return f.token.Value, nil
		}
		// That refresh began before the refusal was known. The next one is told of it.
	}
}

// join returns the cached token, or the refresh to wait for.
func (t *tokens) join(ctx context.Context, acc Account, rejected string) (string, *flight) {
	key := tokenKey{acc.ID, acc.holder()}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e == nil {
		e = &tokenEntry{}
		t.entries[key] = e
	}
	if t.usable(e.token, acc, rejected) {
		return e.token.Value, nil
	}
	if e.flight == nil {
		// The refresh must not end with the call that happened to start it.
		refreshing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*t.lease())
		f := &flight{done: make(chan struct{}), cancel: cancel}
		e.flight = f
		go t.fly(refreshing, acc, rejected, f)
	}
	e.flight.waiters++
	return "", e.flight
}

// leave ends a refresh that nobody waits for any more.
func (t *tokens) leave(acc Account, f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.waiters--
	if f.waiters > 0 {
		return
	}
	f.cancel()
	if e := t.entries[tokenKey{acc.ID, acc.holder()}]; e.flight == f {
		e.flight = nil
	}
}

func (t *tokens) fly(ctx context.Context, acc Account, rejected string, f *flight) {
	defer f.cancel()
	token, err := t.refresh(ctx, acc, rejected)
	t.mu.Lock()
	e := t.entries[tokenKey{acc.ID, acc.holder()}]
	if err == nil {
		e.token = token
	}
	if e.flight == f {
		e.flight = nil
	}
	f.token, f.err = token, err
	t.mu.Unlock()
	close(f.done)
}

func (t *tokens) usable(token Token, acc Account, rejected string) bool {
	return token.Value != "" && token.Value != rejected && token.AppID == acc.holder() &&
		t.client.clock.Now().Before(token.UseUntil)
}

// lease is how long a refresher may take before others stop waiting for it.
func (t *tokens) lease() time.Duration { return 2*t.client.timeout + leaseSpare }

// refresh takes the token from the store or, holding the right to, from the platform.
func (t *tokens) refresh(ctx context.Context, acc Account, rejected string) (Token, error) {
	for {
		stored, err := t.storeOf(acc).Load(ctx, acc.ID)
		if err != nil {
			return Token{}, fmt.Errorf("load the access token: %w", err)
		}
		if t.usable(stored, acc, rejected) {
			return stored, nil
		}
		now := t.client.clock.Now()
		mine, err := t.storeOf(acc).Acquire(ctx, acc.ID, t.owner, now, now.Add(t.lease()))
		if err != nil {
			return Token{}, fmt.Errorf("acquire the right to refresh the access token: %w", err)
		}
		if mine {
			token, err := t.refreshHeld(ctx, acc, rejected)
			if errors.Is(err, ErrLeaseLost) {
				continue // it took longer than its lease, and another process took over
			}
			return token, err
		}
		if err := t.wait(ctx); err != nil {
			return Token{}, fmt.Errorf("wait for another process to refresh the access token: %w", err)
		}
	}
}

func (t *tokens) wait(ctx context.Context) error {
	timer := t.client.clock.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refreshHeld refreshes while this client has the right to. Whatever happens, it gives
// the right back; a process that dies gives it back by the lease's end.
func (t *tokens) refreshHeld(ctx context.Context, acc Account, rejected string) (Token, error) {
	token, fresh, err := t.fetch(ctx, acc, rejected)
	if err == nil && fresh {
		err = t.storeOf(acc).Save(ctx, acc.ID, t.owner, token)
		if err == nil {
			return token, nil
		}
		err = fmt.Errorf("save the access token: %w", err)
	}
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseSpare)
	defer cancel()
	if failed := t.storeOf(acc).Release(releasing, acc.ID, t.owner); failed != nil {
		err = errors.Join(err, fmt.Errorf("release the right to refresh the access token: %w", failed))
	}
	if err != nil {
		return Token{}, err
	}
	return token, nil
}

// fetch looks into the store once more, because another process may have refreshed just
// before the right was acquired, and then asks the platform. fresh tells that the token
// is new.
func (t *tokens) fetch(ctx context.Context, acc Account, rejected string) (token Token, fresh bool, err error) {
	stored, err := t.storeOf(acc).Load(ctx, acc.ID)
	if err != nil {
		return Token{}, false, fmt.Errorf("load the access token: %w", err)
	}
	if t.usable(stored, acc, rejected) {
		return stored, false, nil
	}
	token, err = t.sourceOf(acc)(ctx, acc, stored, rejected)
	return token, err == nil, err
}

// tokenSource asks the platform for a token of acc other than rejected. stored is what
// the store holds: nothing, or a token that is of no use any more.
type tokenSource func(ctx context.Context, acc Account, stored Token, rejected string) (Token, error)

// stable is the tokenSource of an account with a secret. A forced refresh is the last
// resort: it kills the token that other systems of the owner may be using.
func (t *tokens) stable(ctx context.Context, acc Account, stored Token, rejected string) (Token, error) {
	token, err := t.request(ctx, acc, false)
	if err != nil {
		return Token{}, err
	}
	token.ForcedAt, token.Forced = stored.ForcedAt, stored.Forced
	if token.Value != rejected {
		return token, nil
	}
	now := t.client.clock.Now()
	if stored.AppID != acc.holder() {
		stored.ForcedAt, stored.Forced = time.Time{}, 0
	}
	forced, allowed := countForce(stored, now)
	if !allowed {
		return Token{}, &Error{API: apiStableToken, TokenRefused: true, Err: errSameToken}
	}
	token, err = t.request(ctx, acc, true)
	if err != nil {
		return Token{}, err
	}
	token.ForcedAt, token.Forced = now, forced
	if token.Value == rejected {
		return Token{}, &Error{API: apiStableToken, TokenRefused: true, Err: errSameToken}
	}
	return token, nil
}

// countForce tells whether another forced refresh is allowed at now, and which of its
// day it would be. Days are Beijing's, where the platform counts.
func countForce(t Token, now time.Time) (int, bool) {
	if t.ForcedAt.IsZero() {
		return 1, true
	}
	beijing := time.FixedZone("CST", 8*3600)
	count := 1
	if t.ForcedAt.In(beijing).Format(time.DateOnly) == now.In(beijing).Format(time.DateOnly) {
		count = t.Forced + 1
	}
	return count, count <= forcesPerDay && now.Sub(t.ForcedAt) >= forceGap
}

// request asks the platform for a token.
func (t *tokens) request(ctx context.Context, acc Account, force bool) (Token, error) {
	o := object{[]byte(`{"grant_type":"client_credential"`)}
	o.field("appid", acc.AppID)
	o.field("secret", acc.Secret)
	o.b = append(o.b, `,"force_refresh":`...)
	if force {
		o.b = append(o.b, "true}"...)
	} else {
		o.b = append(o.b, "false}"...)
	}
	var answer struct {
		Token     string      `json:"access_token"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	now := t.client.clock.Now()
	if failure := t.client.do(ctx, acc, &exchange{api: apiStableToken, body: o.b, out: &answer}); failure != nil {
		return Token{}, failure
	}
	token, ok := newToken(acc, answer.Token, answer.ExpiresIn, now)
	if !ok {
		return Token{}, &Error{API: apiStableToken, Outcome: OutcomeLost, Err: errNoToken}
	}
	return token, nil
}

// newToken is a token as the platform gave it at now; false when it gave none.
func newToken(acc Account, value string, expiresIn json.Number, now time.Time) (Token, bool) {
	seconds, err := expiresIn.Int64()
	if err != nil || seconds <= 0 || seconds > 30*24*3600 || value == "" {
		return Token{}, false
	}
	life := time.Duration(seconds) * time.Second
	use := max(life-tokenMargin, min(life, minTokenUse))
	return Token{Value: value, AppID: acc.holder(), UseUntil: now.Add(use)}, true
}

// NewMemoryTokens returns a TokenStore that lives in this process.
func NewMemoryTokens() TokenStore {
	return &memoryTokens{rows: map[int64]*memoryToken{}}
}

type memoryTokens struct {
	mu   sync.Mutex
	rows map[int64]*memoryToken
}

type memoryToken struct {
	token Token
	owner string
	until time.Time
}

func (m *memoryTokens) row(accountID int64) *memoryToken {
	r := m.rows[accountID]
	if r == nil {
		r = &memoryToken{}
		m.rows[accountID] = r
	}
	return r
}

func (m *memoryTokens) Load(_ context.Context, accountID int64) (Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.row(accountID).token, nil
}

func (m *memoryTokens) Acquire(_ context.Context, accountID int64, owner string, now, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.row(accountID)
	if r.owner != "" && r.until.After(now) {
		return false, nil
	}
	r.owner, r.until = owner, until
	return true, nil
}

func (m *memoryTokens) Save(_ context.Context, accountID int64, owner string, t Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.row(accountID)
	if r.owner != owner {
		return ErrLeaseLost
	}
	*r = memoryToken{token: t}
	return nil
}

func (m *memoryTokens) Release(_ context.Context, accountID int64, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.row(accountID); r.owner == owner {
		r.owner, r.until = "", time.Time{}
	}
	return nil
}
