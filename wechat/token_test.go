package wechat

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
)

// together runs n calls at once and returns their errors.
func together(n int, call func() error) []error {
	var wg sync.WaitGroup
	start, errs := make(chan struct{}), make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func requireAllNil(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestFiftyFirstCallsCauseOneTokenRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	client := p.client(t, Options{})
	requireAllNil(t, together(50, func() error {
		return client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	}))
	require.Equal(t, []string{"normal"}, p.tokenRequests())
	require.Equal(t, 50, p.sent())
}

func TestClientsWithOneStoreCauseOneTokenRequest(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	store := NewMemoryTokens()
	a := p.client(t, Options{Tokens: store, Clock: clock.System()})
	b := p.client(t, Options{Tokens: store, Clock: clock.System()})
	var turn sync.Mutex
	next := 0
	requireAllNil(t, together(50, func() error {
		turn.Lock()
		next++
		client := []*Client{a, b}[next%2]
		turn.Unlock()
		return client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	}))
	require.Equal(t, []string{"normal"}, p.tokenRequests())
}

func TestATokenIsKeptUntilFiveMinutesBeforeItsEnd(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	clk := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	client := p.client(t, Options{Clock: clk})
	ask := func() int {
		_, err := client.Token(t.Context(), p.account())
		require.NoError(t, err)
		return len(p.tokenRequests())
	}
	require.Equal(t, 1, ask())
	clk.Advance(6900*time.Second - time.Millisecond)
	require.Equal(t, 1, ask())
	clk.Advance(time.Millisecond)
	require.Equal(t, 2, ask())
}

func TestASupersededTokenIsReplacedOnceForAllCallsThatItFailed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	client := p.client(t, Options{})
	send := func() error { return client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")) }
	require.NoError(t, send())
	p.supersede()
	requireAllNil(t, together(50, send))
	require.Equal(t, []string{"normal", "normal"}, p.tokenRequests())
}

func TestACallRefusedLateUsesTheTokenThatIsThereByThen(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	store := NewMemoryTokens()
	a, b := p.client(t, Options{Tokens: store}), p.client(t, Options{Tokens: store})
	for _, c := range []*Client{a, b} {
		require.NoError(t, c.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")))
	}
	p.supersede()
	for _, c := range []*Client{a, b} {
		require.NoError(t, c.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")))
	}
	require.Len(t, p.tokenRequests(), 2, "b was refused with the old token and took a's new one from the store")
}

func TestARefreshIsForcedOnlyWhenThePlatformKeepsGivingTheRefusedToken(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	client := p.client(t, Options{})
	send := func() error { return client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")) }
	require.NoError(t, send())
	p.mu.Lock()
	p.refuse = true // T0 is refused though it is what the platform gives out
	p.mu.Unlock()

	err := send()
	require.Equal(t, []string{"normal", "normal", "force"}, p.tokenRequests())
	require.Equal(t, OutcomeFailed, OutcomeOf(err))
	require.Equal(t, ClassStopAccount, Classify(err), "the forced token was refused as well: %v", err)
	require.Equal(t, 3, p.sent(), "one retry, not more")

	err = send()
	require.Equal(t, []string{"normal", "normal", "force", "normal"}, p.tokenRequests(), "a forced refresh needs 30 s between")
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))
	require.Equal(t, ClassStopAccount, Classify(err))
}

func TestForcedRefreshesKeepToThePlatformsLimits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 15, 59, 0, 0, time.UTC) // 23:59 in Beijing
	cases := []struct {
		name    string
		last    Token
		now     time.Time
		count   int
		allowed bool
	}{
		{"never", Token{}, at, 1, true},
		{"29 s later", Token{ForcedAt: at, Forced: 1}, at.Add(29 * time.Second), 2, false},
		{"30 s later", Token{ForcedAt: at, Forced: 1}, at.Add(30 * time.Second), 2, true},
		{"the 21st of a day", Token{ForcedAt: at.Add(-time.Hour), Forced: 20}, at, 21, false},
		{"the next Beijing day", Token{ForcedAt: at, Forced: 20}, at.Add(time.Minute), 1, true},
	}
	for _, c := range cases {
		count, allowed := countForce(c.last, c.now)
		require.Equal(t, c.count, count, c.name)
		require.Equal(t, c.allowed, allowed, c.name)
	}
}

func TestAWrongAppIDStopsTheAccountAndNothingIsSent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	acc := p.account()
	acc.AppID = "wx2"
	err := p.client(t, Options{}).SendKefu(t.Context(), acc, "o1", TextMessage("hi"))
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))
	require.Equal(t, ClassStopAccount, Classify(err))
	require.NotContains(t, err.Error(), acc.Secret+`"`)
	require.Zero(t, p.sent())
}

func TestATokenOfAnotherAppIDIsNeverUsed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	clk := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	store := NewMemoryTokens()
	_, err := store.Acquire(t.Context(), 1, "x", clk.Now(), clk.Now())
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), 1, "x", Token{Value: "old", AppID: "wx0", UseUntil: clk.Now().Add(time.Hour)}))
	token, err := p.client(t, Options{Tokens: store, Clock: clk}).Token(t.Context(), p.account())
	require.NoError(t, err)
	require.Equal(t, "T0", token)
}

func TestADeadRefreshersRightEndsWithItsLease(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	clk := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	store := &watchedStore{TokenStore: NewMemoryTokens(), asked: make(chan bool, 100)}
	mine, err := store.TokenStore.Acquire(t.Context(), 1, "dead", clk.Now(), clk.Now().Add(20*time.Second))
	require.NoError(t, err)
	require.True(t, mine)

	polled := &watchedClock{Manual: clk, timers: make(chan struct{}, 100)}
	client := p.client(t, Options{Tokens: store, Clock: polled})
	result := make(chan error, 1)
	go func() {
		_, err := client.Token(t.Context(), p.account())
		result <- err
	}()
	for range 3 {
		require.False(t, <-store.asked)
		<-polled.timers
		clk.Advance(6 * time.Second)
	}
	require.False(t, <-store.asked, "18 s are not 20")
	require.Empty(t, p.tokenRequests())
	<-polled.timers
	clk.Advance(2 * time.Second)
	require.True(t, <-store.asked)
	require.NoError(t, <-result)
	require.Equal(t, []string{"normal"}, p.tokenRequests())
}

// watchedClock tells of each timer that is set.
type watchedClock struct {
	*clock.Manual
	timers chan struct{}
}

func (c *watchedClock) NewTimer(d time.Duration) *clock.Timer {
	timer := c.Manual.NewTimer(d)
	c.timers <- struct{}{}
	return timer
}

// watchedStore tells of each attempt to acquire, and fails on demand.
type watchedStore struct {
	TokenStore
	asked    chan bool
	loadErr  error
	saveErrs []error
	released int
}

func (s *watchedStore) Acquire(ctx context.Context, id int64, owner string, now, until time.Time) (bool, error) {
	mine, err := s.TokenStore.Acquire(ctx, id, owner, now, until)
	s.asked <- mine
	return mine, err
}

func (s *watchedStore) Load(ctx context.Context, id int64) (Token, error) {
	if s.loadErr != nil {
		return Token{}, s.loadErr
	}
	return s.TokenStore.Load(ctx, id)
}

func (s *watchedStore) Save(ctx context.Context, id int64, owner string, t Token) error {
	if len(s.saveErrs) > 0 {
		err := s.saveErrs[0]
		s.saveErrs = s.saveErrs[1:]
		return err
	}
	return s.TokenStore.Save(ctx, id, owner, t)
}

func (s *watchedStore) Release(ctx context.Context, id int64, owner string) error {
	s.released++
	return s.TokenStore.Release(ctx, id, owner)
}

func TestAStoreThatFailsMeansNotSentAndKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	away := errors.New("the database is away")
	store := &watchedStore{TokenStore: NewMemoryTokens(), asked: make(chan bool, 100), loadErr: away}
	client := p.client(t, Options{Tokens: store})
	err := client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	require.ErrorIs(t, err, away)
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))

	store.loadErr, store.saveErrs = nil, []error{away}
	err = client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	require.ErrorIs(t, err, away)
	require.Equal(t, 1, store.released, "the right is given back")
	require.NoError(t, client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")))
}

func TestARefresherThatLostItsLeaseStartsOver(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	store := &watchedStore{TokenStore: NewMemoryTokens(), asked: make(chan bool, 100), saveErrs: []error{ErrLeaseLost}}
	token, err := p.client(t, Options{Tokens: store}).Token(t.Context(), p.account())
	require.NoError(t, err)
	require.Equal(t, "T0", token)
}

func TestARefreshOutlivesTheCallThatStartedItButNotTheLastOneWaiting(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	gate, arrived := make(chan struct{}), make(chan struct{}, 10)
	inner := ownTransport(t)
	ended := make(chan error, 10)
	client := p.client(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		arrived <- struct{}{}
		select {
		case <-gate:
			return inner.RoundTrip(r)
		case <-r.Context().Done():
			ended <- r.Context().Err()
			return nil, r.Context().Err()
		}
	})})
	ask := func(ctx context.Context) chan error {
		result := make(chan error, 1)
		go func() { _, err := client.Token(ctx, p.account()); result <- err }()
		return result
	}
	waiting := func(n int) {
		require.Eventually(t, func() bool {
			client.tokens.mu.Lock()
			defer client.tokens.mu.Unlock()
			e := client.tokens.entries[tokenKey{1, "wx1"}]
			return e != nil && e.flight != nil && e.flight.waiters == n
		}, 5*time.Second, time.Millisecond)
	}
	firstCtx, cancelFirst := context.WithCancel(t.Context())
	first := ask(firstCtx)
	<-arrived
	second := ask(t.Context())
	waiting(2)
	cancelFirst()
	require.ErrorIs(t, <-first, context.Canceled)
	close(gate)
	require.NoError(t, <-second)

	gate = make(chan struct{}) // nobody reads it now: the refresh above has ended
	client.tokens.entries[tokenKey{1, "wx1"}].token = Token{}
	require.NoError(t, client.tokens.store.Save(t.Context(), 1, "", Token{}))
	loneCtx, cancelLone := context.WithCancel(t.Context())
	lone := ask(loneCtx)
	<-arrived
	cancelLone()
	require.ErrorIs(t, <-lone, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestATokenAnswerWithoutATokenIsAnError(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{}`, `{"access_token":"","expires_in":7200}`, `{"access_token":"T"}`, `{"access_token":"T","expires_in":-1}`,
		`{"access_token":"T","expires_in":"soon"}`, `{"access_token":"T","expires_in":1e99}`, `nonsense T`,
	} {
		p := newPlatform(t, nil)
		inner := ownTransport(t)
		client := p.client(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if err == nil {
				resp.Body = struct {
					io.Reader
					io.Closer
				}{strings.NewReader(answer), resp.Body}
			}
			return resp, err
		})})
		_, err := client.Token(t.Context(), p.account())
		require.Error(t, err, answer)
		require.Equal(t, OutcomeNotSent, OutcomeOf(err))
	}
}
