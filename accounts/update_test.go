package accounts

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func fieldsOf(err error) (out []string) {
	for _, f := range fault.Fields(err) {
		out = append(out, f.Field+" "+f.Rule)
	}
	return out
}

func TestAnAccountIsChangedAtOneRevisionAndWhatIsLeftOutStays(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		dailyCap := 3
		_, err := s.UpdateSending(t.Context(), a.ID, 1, func(x *Account) { x.Spec = guard.PolicySpec{DailyCap: &dailyCap} })
		require.NoError(t, err)
		changed, err := s.UpdateAccount(t.Context(), a.ID, 2, AccountPatch{
			Name: new("茶馆"), Kind: new(KindSubscription), Verified: new(false), Zone: new("Asia/Tokyo"), RatePerSecond: new(7), InFlight: new(3), OriginalID: new("gh_other"),
		})
		require.NoError(t, err)
		got, err := s.FindAccount(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, changed, got)
		require.Equal(t, []any{"茶馆", KindSubscription, false, "Asia/Tokyo", 7, 3, "gh_other", int64(3)},
			[]any{got.Name, got.Kind, got.Verified, got.Zone, got.RatePerSecond, got.InFlight, got.OriginalID, got.Revision})
		require.Equal(t, []any{a.Secret, a.Callback, a.AppID, 3}, []any{got.Secret, got.Callback, got.AppID, *got.Spec.DailyCap})

		_, err = s.UpdateAccount(t.Context(), a.ID, 2, AccountPatch{Name: new("late")})
		require.True(t, fault.Is(err, fault.Conflict))
		_, err = s.UpdateAccount(t.Context(), 99, 1, AccountPatch{})
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = s.UpdateAccount(t.Context(), a.ID, 3, AccountPatch{
			Name: new(""), Zone: new("Mars"), InFlight: new(1), Secret: new(""), Callback: &CallbackPatch{Token: new("x"), AESKeys: []string{"short"}},
		})
		require.ElementsMatch(t, []string{"name required", "time_zone unknown_zone", "in_flight range", "secret required", "callback.token length", "callback.aes_keys[0] length"}, fieldsOf(err))
		_, err = s.UpdateAccount(t.Context(), a.ID, 3, AccountPatch{Connection: new(ConnectionComponent)})
		require.Contains(t, fieldsOf(err), "connection by_scan")
		got, err = s.ReadAccount(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"茶馆", int64(3)}, []any{got.Name, got.Revision}, "a refused change stores nothing")
	})
}

func TestOfChangesOfAnAccountAtTheSameTimeOneWins(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		var all sync.WaitGroup
		begin, errs := make(chan struct{}), make([]error, 16)
		for i := range errs {
			all.Go(func() {
				<-begin
				_, errs[i] = s.UpdateAccount(t.Context(), a.ID, 1, AccountPatch{Name: new(strconv.Itoa(i))})
			})
		}
		close(begin)
		all.Wait()
		won := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(t, -1, won)
				won = i
				continue
			}
			require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		}
		got, err := s.ReadAccount(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, []any{strconv.Itoa(won), int64(2)}, []any{got.Name, got.Revision})
	})
}

func TestANewKeyStandsInFrontOfTheOneInUse(t *testing.T) {
	t.Parallel()
	one, two, three := strings.Repeat("1", 43), strings.Repeat("2", 43), strings.Repeat("3", 43)
	for name, c := range map[string]struct {
		held  []string
		patch CallbackPatch
		want  []string
	}{
		"nothing given":       {[]string{one, two}, CallbackPatch{}, []string{one, two}},
		"the first key":       {nil, CallbackPatch{AESKeys: []string{one}}, []string{one}},
		"a new key":           {[]string{one}, CallbackPatch{AESKeys: []string{two}}, []string{two, one}},
		"the next new key":    {[]string{two, one}, CallbackPatch{AESKeys: []string{three}}, []string{three, two}},
		"the same key again":  {[]string{two, one}, CallbackPatch{AESKeys: []string{two}}, []string{two, one}},
		"back to the former":  {[]string{two, one}, CallbackPatch{AESKeys: []string{one}}, []string{one, two}},
		"both":                {[]string{one}, CallbackPatch{AESKeys: []string{two, three}}, []string{two, three}},
		"the previous goes":   {[]string{two, one}, CallbackPatch{ForgetPrevious: true}, []string{two}},
		"there is no former":  {[]string{two}, CallbackPatch{ForgetPrevious: true}, []string{two}},
		"a new key and alone": {[]string{two}, CallbackPatch{AESKeys: []string{three}, ForgetPrevious: true}, []string{three}},
	} {
		require.Equal(t, c.want, c.patch.Apply(Callback{AESKeys: c.held}).AESKeys, name)
	}
}

// handmade connects the account of the simulated platform by its own secret.
func (w *scanWorld) handmade(secret string) *Account {
	w.t.Helper()
	a := &Account{
		AppID: scannedAppID, OriginalID: "gh_scanned", Name: "by hand", Kind: KindService, Verified: true, BaseURL: w.comp.BaseURL, Secret: secret,
		Callback: Callback{Mode: ModePlain, Token: "tokenbyhand"},
	}
	require.NoError(w.t, w.s.CreateAccount(w.t.Context(), a))
	return a
}

func (w *scanWorld) patch(p AccountPatch) (*Account, error) {
	w.t.Helper()
	a := w.account()
	return w.s.UpdateAccount(w.t.Context(), a.ID, a.Revision, p)
}

func TestAChangedSecretForgetsTheTokenAndTheNextOneIsHadByTheNewSecret(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.handmade("never-told")
		require.NoError(t, w.send())
		require.NoError(t, w.sim.UpdateAccount(scannedAppID, func(a *simulator.Account) { a.Secret = "another-secret" }))
		_, err := w.patch(AccountPatch{Name: new("named")})
		require.NoError(t, err)
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM access_tokens"), "the secret is the same")
		_, err = w.patch(AccountPatch{Secret: new("another-secret")})
		require.NoError(t, err)
		require.Zero(t, w.count("SELECT COUNT(*) FROM access_tokens"))
		require.NoError(t, w.send(), "a token of before is good at the platform, for who has it in memory")
		w.restart()
		asked := w.calls(simulator.PathStableToken)
		require.NoError(t, w.send())
		require.Equal(t, asked+1, w.calls(simulator.PathStableToken), "by the new secret: the platform takes no other")
	})
}

// byHand takes the account back from the component, completely.
func byHand() AccountPatch {
	return AccountPatch{
		Connection: new(ConnectionManual), Secret: new("never-told"),
		Callback: &CallbackPatch{Mode: new(ModeSafe), Token: new("tokenbyhand"), AESKeys: []string{testComponentKey}},
	}
}

func TestAnAccountOfAComponentHasNeitherSecretNorCallbackAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		before := w.account()
		_, err := w.patch(AccountPatch{
			Secret: new("s"), Callback: &CallbackPatch{}, Kind: new(KindSubscription), Verified: new(false), OriginalID: new("gh_x"),
		})
		require.ElementsMatch(t, []string{"secret by_scan", "callback by_scan", "kind by_scan", "verified by_scan", "original_id by_scan"}, fieldsOf(err))
		require.ErrorContains(t, err, "go back to the manual connection")
		changed, err := w.patch(AccountPatch{Name: new("mine"), Kind: new(before.Kind), Connection: new(ConnectionComponent)})
		require.NoError(t, err, "what is as it was is no change")
		require.Equal(t, "mine", changed.Name)

		back := byHand()
		back.Callback = nil
		_, err = w.patch(back)
		require.Contains(t, fieldsOf(err), "callback required")
		back = byHand()
		back.Secret, back.Callback.Mode = nil, nil
		_, err = w.patch(back)
		require.ElementsMatch(t, []string{"secret required", "callback.mode one_of"}, fieldsOf(err))
		require.Equal(t, ConnectionComponent, w.account().Connection)
		require.NotEmpty(t, w.tokens(), "a refused change forgets nothing")
		require.NoError(t, w.send())
	})
}

func TestAnAccountTakenBackSendsByItsOwnSecretAndKeepsItsFansAndSettings(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		require.NoError(t, w.send())
		_, err := w.patch(AccountPatch{Name: new("mine"), Zone: new("Asia/Tokyo"), RatePerSecond: new(9)})
		require.NoError(t, err)
		w.setStopped(w.account().ID, true, "by hand")
		w.clk.Advance(10 * time.Second)
		a, err := w.patch(byHand())
		require.NoError(t, err)
		require.Equal(t, []any{ConnectionManual, int64(0), "mine", "Asia/Tokyo", 9, true}, []any{a.Connection, a.ComponentID, a.Name, a.Zone, a.RatePerSecond, a.Authorised()})
		require.Equal(t, "by hand", w.account().StoppedReason, "a stop stays")
		require.Zero(t, w.tokens())
		require.Zero(t, w.count("SELECT COUNT(*) FROM access_tokens"))
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE LENGTH(refresh_token) + LENGTH(previous_token) + LENGTH(code) + due_at > 0"))
		require.NoError(t, w.send())
		require.Len(t, w.sim.Calls(simulator.Filter{Path: simulator.PathStableToken}), 1, "by its own secret")

		w.withdraw() // as the owner should do next
		require.Empty(t, w.withdrawn, "nobody erases the fans")
		require.Equal(t, "by hand", w.account().StoppedReason)
		require.NoError(t, w.z.RunOnce(t.Context()))
		require.NoError(t, w.send())
	})
}

func TestOnlyALaterAuthorisationTakesAnAccountFromItsMembersAgain(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		known := w.grant()
		id := w.account().ID
		w.lose(simulator.PathQueryAuth, "before")
		w.grant(1, 15) // its code is to be exchanged later
		w.lose(simulator.PathQueryAuth, "")
		w.hold()
		w.grant(1)
		events := w.take()
		w.clk.Advance(10 * time.Minute)
		_, err := w.patch(byHand())
		require.NoError(t, err)
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0 OR LENGTH(code) > 0"))
		for range 2 {
			for _, e := range events {
				require.NoError(t, w.act(e))
			}
		}
		_, err = w.z.TakeCode(t.Context(), w.comp, known)
		require.True(t, fault.Is(err, fault.Conflict), "a browser that loads the page of then again: %v", err)
		require.Zero(t, w.tokens())
		require.NoError(t, w.z.RunOnce(t.Context()))
		require.Equal(t, ConnectionManual, w.account().Connection, "an event from before is too late")

		w.grant(1, 2)
		a := w.account()
		require.Equal(t, []any{id, ConnectionComponent, []int{1, 2}}, []any{a.ID, a.Connection, a.Permissions})
		require.NoError(t, w.send())
	})
}

// A process that has not heard of the change yet may be renewing the component's token at that moment.
func TestALateRenewalDoesNotBringBackTheTokenOfAnAccountThatWasTakenBack(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		stale := w.account().Platform()
		w.then[simulator.PathAuthorizerToken] = func() {
			_, err := w.patch(byHand())
			require.NoError(t, err)
		}
		w.restart()
		_, err := w.client.CallbackIPs(t.Context(), stale)
		require.ErrorIs(t, err, wechat.ErrNotAuthorised)
		require.Zero(t, w.tokens())
		require.NoError(t, w.send())
	})
}

func TestAComponentsNewSecretForgetsItsToken(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		_, _, err := w.z.Address(t.Context(), w.comp.ID, Page{Redirect: scannedBack})
		require.NoError(t, err)
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM component_tokens"))
		named, err := w.s.UpdateComponent(t.Context(), w.comp.ID, 1, func(c *Component) { c.Name = "开放平台" })
		require.NoError(t, err)
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM component_tokens"))
		require.NoError(t, w.sim.UpdateComponent(w.comp.AppID, func(c *simulator.Component) { c.Secret = "another-secret" }))
		_, err = w.s.UpdateComponent(t.Context(), w.comp.ID, named.Revision, func(c *Component) { c.Secret = "another-secret" })
		require.NoError(t, err)
		require.Zero(t, w.count("SELECT COUNT(*) FROM component_tokens"))
		w.restart()
		_, _, err = w.z.Address(t.Context(), w.comp.ID, Page{Redirect: scannedBack})
		require.NoError(t, err)
		found, err := w.s.FindComponent(t.Context(), w.comp.ID)
		require.NoError(t, err)
		require.Equal(t, "开放平台", found.Name)
	})
}

func TestAComponentWithoutANameIsCalledByItsAppID(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		c := validComponent()
		require.NoError(t, s.CreateComponent(t.Context(), c))
		require.Equal(t, c.AppID, c.Name)
		changed, err := s.UpdateComponent(t.Context(), c.ID, 1, func(c *Component) { c.Name = "" })
		require.NoError(t, err)
		require.Equal(t, c.AppID, changed.Name)
		_, err = s.UpdateComponent(t.Context(), c.ID, 2, func(c *Component) { c.Name = strings.Repeat("长", maxComponentName+1) })
		require.Equal(t, []string{"name length"}, fieldsOf(err))
	})
}
