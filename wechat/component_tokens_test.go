package wechat_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func requireComponentCode(t *testing.T, want int, err error) {
	t.Helper()
	var e *wechat.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code, err.Error())
}

// tokenStore notes when the account's access token is saved, and fails on demand.
type tokenStore struct {
	wechat.TokenStore

	also    *componentStore
	saveErr error
}

func (s *tokenStore) Save(ctx context.Context, id int64, owner string, token wechat.Token) error {
	s.also.notef("access token of %d", id)
	if s.saveErr != nil {
		return s.saveErr
	}
	return s.TokenStore.Save(ctx, id, owner, token)
}

func TestFiftyFirstCallsOfTwoProcessesCauseOneRequestForEachToken(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	// Who waits for the other process's refresh waits on the clock, so this one goes by
	// itself, and the store holds nothing that was made by the other one.
	wall := clock.System()
	ticket, err := w.store.Ticket(t.Context())
	require.NoError(t, err)
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	w.acc.Component = &wechat.Component{AppID: componentAppID, Secret: "comp-secret", Store: wechat.NewMemoryComponent()}
	require.NoError(t, w.acc.Component.Store.SaveTicket(t.Context(), wechat.Ticket{Value: ticket.Value, At: wall.Now()}))
	require.NoError(t, w.acc.Component.Store.PutRefreshToken(t.Context(), authorisedAppID, held.Current))
	before := w.calls(simulator.PathComponentToken)
	fan, tokens := w.fan(), wechat.NewMemoryTokens()
	process := func() *wechat.Client {
		return wechat.New(wechat.Options{Transport: w.sim.RoundTripper(), Clock: wall, Tokens: tokens})
	}
	clients := []*wechat.Client{process(), process()}
	var all sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		all.Go(func() { _, errs[i] = clients[i%2].Token(t.Context(), w.acc) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, before+1, w.calls(simulator.PathComponentToken))
	require.Equal(t, 1, w.calls(simulator.PathAuthorizerToken))
	require.NoError(t, clients[1].SendKefu(t.Context(), w.acc, fan, wechat.TextMessage("hi")))
}

func TestTheTokensOfAComponentAreKeptUntilFiveMinutesBeforeTheirEnd(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	ask := func() [2]int {
		t.Helper()
		_, err := w.client.Token(t.Context(), w.acc)
		require.NoError(t, err)
		return [2]int{w.calls(simulator.PathComponentToken), w.calls(simulator.PathAuthorizerToken)}
	}
	require.Equal(t, [2]int{1, 1}, ask())
	w.clock.Advance(6900*time.Second - time.Millisecond)
	require.Equal(t, [2]int{1, 1}, ask())
	w.clock.Advance(time.Millisecond)
	require.Equal(t, [2]int{2, 2}, ask())
}

func TestARefusedTokenOfAComponentIsReplacedOnce(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	fan := w.fan()
	require.NoError(t, w.send(fan))
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	// Another process with a store of its own gets new tokens, and the former ones run out.
	other := &wechat.Component{AppID: componentAppID, Secret: "comp-secret", Store: wechat.NewMemoryComponent()}
	ticket, err := w.store.Ticket(t.Context())
	require.NoError(t, err)
	require.NoError(t, other.Store.SaveTicket(t.Context(), ticket))
	require.NoError(t, other.Store.PutRefreshToken(t.Context(), authorisedAppID, held.Current))
	_, err = w.another(nil).Token(t.Context(), wechat.Account{ID: 7, AppID: authorisedAppID, Component: other})
	require.NoError(t, err)
	w.clock.Advance(5 * time.Minute)

	require.NoError(t, w.send(fan), "both tokens were superseded and are replaced")
	require.Equal(t, 3, w.calls(simulator.PathAuthorizerToken)-w.refusedCalls(simulator.PathAuthorizerToken))
	require.Equal(t, 1, w.refusedCalls(simulator.PathAuthorizerToken), "with the superseded component token")
	require.Equal(t, 1, w.refusedCalls(simulator.PathSend))
	require.Equal(t, []string{"你好", "你好"}, w.sim.AcceptedTexts(fan))
	require.Zero(t, w.calls(simulator.PathStableToken), "a forced refresh is for accounts with a secret")
}

func (w *componentWorld) refusedCalls(path string) int {
	refused := false
	return len(w.sim.Calls(simulator.Filter{Path: path, Accepted: &refused}))
}

func TestATokenThatThePlatformKeepsGivingOutThoughItRefusesItStopsTheAccount(t *testing.T) {
	t.Parallel()
	store := wechat.NewMemoryComponent()
	comp := &wechat.Component{AppID: componentAppID, Secret: "s", Store: store}
	require.NoError(t, store.PutRefreshToken(t.Context(), authorisedAppID, "R"))
	require.NoError(t, store.SaveTicket(t.Context(), wechat.Ticket{Value: "T", At: clock.System().Now()}))
	client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case simulator.PathComponentToken:
			return saysJSON(`{"component_access_token":"C","expires_in":7200}`), nil
		case simulator.PathAuthorizerToken:
			return saysJSON(`{"authorizer_access_token":"A","expires_in":7200,"authorizer_refresh_token":"R"}`), nil
		}
		return saysJSON(`{"errcode":42006,"errmsg":"component_access_token expired"}`), nil
	})})
	acc := wechat.Account{ID: 7, AppID: authorisedAppID, Component: comp}
	err := client.SendKefu(t.Context(), acc, "o1", wechat.TextMessage("hi"))
	require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
	require.Equal(t, wechat.ClassStopAccount, wechat.Classify(err))
	_, err = client.CreatePreAuthCode(t.Context(), comp)
	require.Equal(t, wechat.ClassStopAccount, wechat.Classify(err))
}

func TestTheRefreshTokenIsStoredBeforeTheAccessTokenIsUsed(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{Switches: simulator.Switches{RotateRefreshTokens: true}})
	tokens := &tokenStore{TokenStore: wechat.NewMemoryTokens(), also: w.store}
	w.client = w.another(tokens)
	w.authorise()
	first, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.NoError(t, w.send(w.fan()))
	require.Equal(t, []string{"refresh token", "refresh token", "access token of 7"}, w.store.writes)
	second, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, first.Current, second.Previous, "the old one is kept until the next one comes")
	require.NotEqual(t, first.Current, second.Current)

	w.clock.Advance(2 * time.Hour)
	tokens.saveErr = errors.New("the process dies here")
	require.ErrorIs(t, w.send(w.fan()), tokens.saveErr)
	third, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, second.Current, third.Previous)
	tokens.saveErr = nil
	before := w.refusedCalls(simulator.PathAuthorizerToken)
	w.client = w.another(tokens)
	require.NoError(t, w.send(w.fan()), "the next process goes on with what was stored")
	require.Equal(t, before, w.refusedCalls(simulator.PathAuthorizerToken))
	require.Zero(t, w.calls(simulator.PathAuthorizerList))
}

func TestARefreshTokenThatCouldNotBeStoredIsFoundInThePlatformsList(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{Switches: simulator.Switches{RotateRefreshTokens: true}})
	w.authorise()
	fan, away := w.fan(), errors.New("the database is away")
	w.store.putErr = away
	err := w.send(fan)
	require.ErrorIs(t, err, away)
	require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err), "no access token is used whose refresh token is not safe")
	require.Empty(t, w.sim.AcceptedTexts(fan))
	w.store.putErr = nil
	require.NoError(t, w.send(fan))
	require.Equal(t, 1, w.calls(simulator.PathAuthorizerList))
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.Contains(t, w.component(simulator.PathAuthorizerList, `{"component_appid":"`+componentAppID+`","offset":0,"count":9}`),
		held.Current)

	fresh := &wechat.Component{AppID: componentAppID, Secret: "comp-secret", Store: wechat.NewMemoryComponent()}
	ticket, err := w.store.Ticket(t.Context())
	require.NoError(t, err)
	require.NoError(t, fresh.Store.SaveTicket(t.Context(), ticket))
	_, err = w.another(nil).Token(t.Context(), wechat.Account{ID: 7, AppID: authorisedAppID, Component: fresh})
	require.NoError(t, err, "even a store that lost everything")
}

func TestTheFormerRefreshTokenIsTriedWhenTheNewestIsRefused(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.authorise()
	good, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.NoError(t, w.store.ComponentStore.PutRefreshToken(t.Context(), authorisedAppID, "refreshtoken@@@wrong"))
	require.NoError(t, w.send(w.fan()))
	require.Zero(t, w.calls(simulator.PathAuthorizerList))
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, wechat.RefreshTokens{Current: good.Current, Previous: "refreshtoken@@@wrong"}, held)
}

func TestACallerWhoGoesAwayDoesNotLoseTheRefreshToken(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{Switches: simulator.Switches{RotateRefreshTokens: true}})
	w.authorise()
	before, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	gone, inner := make(chan struct{}), w.sim.RoundTripper()
	client := wechat.New(wechat.Options{Clock: w.clock, Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(r)
		if r.URL.Path == simulator.PathAuthorizerToken {
			cancel() // the platform has answered, and the only caller leaves before the answer is here
			<-gone
			if r.Context().Err() != nil {
				return nil, r.Context().Err()
			}
		}
		return resp, err
	})})
	_, err = client.Token(ctx, w.acc)
	require.ErrorIs(t, err, context.Canceled)
	close(gone)
	require.Eventually(t, func() bool {
		held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
		return err == nil && held.Previous == before.Current
	}, 5*time.Second, time.Millisecond)
}

func TestAnAccountThatNeverAuthorisedOrWithdrewNeedsAScan(t *testing.T) {
	t.Parallel()
	w := newComponentWorld(t, simulator.Options{})
	w.ticket()
	err := w.send(w.fan())
	require.ErrorIs(t, err, wechat.ErrNotAuthorised)
	require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
	require.Equal(t, wechat.ClassReauthorise, wechat.Classify(err))

	w.authorise()
	require.NoError(t, w.send(w.fan()))
	p, err := w.sim.Withdraw(t.Context(), componentAppID, authorisedAppID)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, p.Outcome)
	require.Len(t, w.named("unauthorized"), 1)
	_, err = w.sim.Withdraw(t.Context(), componentAppID, authorisedAppID)
	require.Error(t, err)
	err = w.send(w.fan())
	requireComponentCode(t, 61003, err)
	require.Equal(t, wechat.ClassStopAccount, wechat.Classify(err))
	w.clock.Advance(2 * time.Hour)
	requireComponentCode(t, 61003, w.send(w.fan()))
	_, err = w.client.AuthorisedAccount(t.Context(), w.comp, authorisedAppID)
	requireComponentCode(t, 61003, err)

	former, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	w.authorise()
	require.NoError(t, w.send(w.fan()), "authorised again")
	held, err := w.store.RefreshTokens(t.Context(), authorisedAppID)
	require.NoError(t, err)
	require.NotEqual(t, former.Current, held.Current)
}

func TestARefreshTokenThatNobodyKnowsNeedsAScan(t *testing.T) {
	t.Parallel()
	comp := &wechat.Component{AppID: componentAppID, Secret: "s", Store: wechat.NewMemoryComponent()}
	require.NoError(t, comp.Store.PutRefreshToken(t.Context(), authorisedAppID, "R"))
	require.NoError(t, comp.Store.SaveTicket(t.Context(), wechat.Ticket{Value: "T", At: clock.System().Now()}))
	list := `{"total_count":0,"list":[]}`
	client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case simulator.PathComponentToken:
			return saysJSON(`{"component_access_token":"C","expires_in":7200}`), nil
		case simulator.PathAuthorizerList:
			return saysJSON(list), nil
		}
		return saysJSON(`{"errcode":61023,"errmsg":"refresh_token is invalid"}`), nil
	})})
	acc := wechat.Account{ID: 7, AppID: authorisedAppID, Component: comp}
	_, err := client.Token(t.Context(), acc)
	requireComponentCode(t, 61023, err)
	require.Equal(t, wechat.ClassReauthorise, wechat.Classify(err))
	list = `{"errcode":-1,"errmsg":"system error"}`
	_, err = client.Token(t.Context(), acc)
	require.Equal(t, wechat.ClassRetry, wechat.Classify(err), "without the list nobody knows yet")
}

func TestAnAnswerThatLacksItsProofIsLost(t *testing.T) {
	t.Parallel()
	comp := &wechat.Component{AppID: componentAppID, Secret: "s", Store: wechat.NewMemoryComponent()}
	require.NoError(t, comp.Store.SaveTicket(t.Context(), wechat.Ticket{Value: "T", At: clock.System().Now()}))
	answer := ""
	client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == simulator.PathComponentToken {
			return saysJSON(`{"component_access_token":"C","expires_in":7200}`), nil
		}
		return saysJSON(answer), nil
	})})
	for name, call := range componentCalls(client, comp) {
		for _, answer = range []string{`{}`, `[]`, `null`, `x`, `{"authorization_info":{"authorizer_appid":"wx1"}}`, `{"pre_auth_code":"x"}`} {
			err := call(t.Context())
			require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "%s: %s: %v", name, answer, err)
		}
		answer = `{"errcode":61004,"errmsg":"access clientip is not registered"}`
		requireComponentCode(t, 61004, call(t.Context()))
	}
}

func componentCalls(client *wechat.Client, comp *wechat.Component) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"start": func(ctx context.Context) error { return client.StartPushTicket(ctx, comp) },
		"pre":   func(ctx context.Context) error { _, err := client.CreatePreAuthCode(ctx, comp); return err },
		"query": func(ctx context.Context) error { _, err := client.QueryAuth(ctx, comp, "code"); return err },
		"info":  func(ctx context.Context) error { _, err := client.AuthorisedAccount(ctx, comp, "wx1"); return err },
		"list":  func(ctx context.Context) error { _, err := client.AuthorisedAccounts(ctx, comp, 0, 1); return err },
		"get": func(ctx context.Context) error {
			_, err := client.AuthorisedOption(ctx, comp, "wx1", wechat.OptionVoiceRecognize)
			return err
		},
		"set": func(ctx context.Context) error {
			return client.SetAuthorisedOption(ctx, comp, "wx1", wechat.OptionValue{Option: wechat.OptionVoiceRecognize, Value: "0"})
		},
	}
}

func TestAComponentThatIsIncompleteMakesNoCall(t *testing.T) {
	t.Parallel()
	client := wechat.New(wechat.Options{Transport: transportFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("a call was made")
	})})
	store := wechat.NewMemoryComponent()
	for field, comp := range map[string]*wechat.Component{
		"component.appid":  {Secret: "s", Store: store},
		"component.secret": {AppID: "wx1", Store: store},
		"component.store":  {AppID: "wx1", Secret: "s"},
	} {
		for _, call := range componentCalls(client, comp) {
			requireBadField(t, field, "required", call(t.Context()))
		}
		_, err := client.ComponentToken(t.Context(), comp)
		requireBadField(t, field, "required", err)
	}
	for _, call := range componentCalls(client, nil) {
		require.ErrorContains(t, call(t.Context()), "a component is needed")
	}
}

func TestATicketErrorSaysSinceWhenAndWhatToDo(t *testing.T) {
	t.Parallel()
	never := (&wechat.TicketError{Component: "wx1"}).Error()
	require.True(t, strings.HasPrefix(never, "component wx1: no verify ticket has come."), never)
	old := (&wechat.TicketError{Component: "wx1", At: time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC)}).Error()
	require.Contains(t, old, "the newest verify ticket is from 2026-03-02T01:00:00Z and no longer good")
}

func FuzzComponentAnswers(f *testing.F) {
	f.Add([]byte(`{"authorizer_access_token":"A","expires_in":7200,"authorizer_refresh_token":"R"}`))
	f.Add([]byte(`{"authorization_info":{"authorizer_appid":"wx1","authorizer_refresh_token":"R","func_info":[{"funcscope_category":{"id":1}}]}}`))
	f.Add([]byte(`{"total_count":1,"list":[{"authorizer_appid":"wx1","refresh_token":"R","auth_time":1558000607}]}`))
	f.Add([]byte(`{"component_access_token":"C","expires_in":1e9,"pre_auth_code":"p"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		comp := &wechat.Component{AppID: "wxc", Secret: "s", Store: wechat.NewMemoryComponent()}
		require.NoError(t, comp.Store.SaveTicket(t.Context(), wechat.Ticket{Value: "T", At: clock.System().Now()}))
		client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == simulator.PathComponentToken {
				return saysJSON(`{"component_access_token":"C","expires_in":7200}`), nil
			}
			return saysJSON(string(answer)), nil
		})})
		for _, call := range componentCalls(client, comp) {
			if err := call(t.Context()); err != nil {
				var e *wechat.Error
				require.ErrorAs(t, err, &e)
			}
		}
		held, err := comp.Store.RefreshTokens(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, held.Current, "a refresh token always belongs to an account")
	})
}
