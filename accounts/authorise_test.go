package accounts

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAScannedAccountIsMadeFromWhatThePlatformTellsOfIt(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		for _, phone := range []bool{false, true} {
			address, until, err := w.z.Address(t.Context(), w.comp.ID, Page{Redirect: scannedBack + "?lang=en", Phone: phone})
			require.NoError(t, err)
			require.Equal(t, w.clk.Now().Add(30*time.Minute), until)
			require.Equal(t, phone, strings.Contains(address, "bindcomponent"))
			w.hold()
			back := w.consent(strings.TrimSuffix(address, "#wechat_redirect"))
			require.Equal(t, "en", back.Query().Get("lang"))
			require.NoError(t, w.z.CheckState(w.comp, back.Query().Get("state")))
			a, err := w.z.TakeCode(t.Context(), w.comp, back.Query().Get("auth_code"))
			require.NoError(t, err)
			require.NoError(t, w.sim.Wait(t.Context()))
			require.Equal(t, []any{scannedAppID, "gh_scanned", KindService, true, ConnectionComponent, w.comp.ID, simulator.DefaultPermissions()},
				[]any{a.AppID, a.OriginalID, a.Kind, a.Verified, a.Connection, a.ComponentID, a.Permissions})
			require.NotEmpty(t, a.Name)
			require.Equal(t, []any{DefaultRate, DefaultInFlight, DefaultZone}, []any{a.RatePerSecond, a.InFlight, a.Zone})
		}
		require.NoError(t, w.send())
		require.Zero(t, w.calls(simulator.PathStableToken))
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM accounts"))
	})
}

func TestAnUnverifiedSubscriptionAccountIsTakenAsSuch(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		require.NoError(t, w.sim.UpdateAccount(scannedAppID, func(a *simulator.Account) { a.Type, a.Verified = simulator.Subscription, false }))
		w.grant()
		a := w.account()
		require.Equal(t, []any{KindSubscription, false, false}, []any{a.Kind, a.Verified, a.MaySendKefu()})
	})
}

func TestTheSameCodeIsHarmlessHoweverOftenAndByWhicheverWayItComes(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		eachScan(t, simulator.Switches{AuthCodeOnce: once}, func(t *testing.T, w *scanWorld) {
			code := w.grant() // the event comes first
			for range 2 {
				a, err := w.z.TakeCode(t.Context(), w.comp, code)
				require.NoError(t, err)
				require.Equal(t, w.account().ID, a.ID)
			}
			require.Equal(t, 1, w.calls(simulator.PathQueryAuth))
			w.withdraw()
			w.hold()
			code = w.grant() // the browser comes first
			_, err := w.z.TakeCode(t.Context(), w.comp, code)
			require.NoError(t, err)
			revision, asked := w.account().Revision, w.calls(simulator.PathQueryAuth)
			event := w.take()[0]
			for range 3 {
				require.NoError(t, w.act(event))
			}
			require.Equal(t, revision, w.account().Revision, "nothing is left to do")
			require.Equal(t, asked, w.calls(simulator.PathQueryAuth))
			require.NoError(t, w.z.RunOnce(t.Context()))
			require.NoError(t, w.send())
			require.Equal(t, 1, w.count("SELECT COUNT(*) FROM accounts"))
			_, err = w.z.TakeCode(t.Context(), w.comp, "queryauthcode@@@invented")
			require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		})
	}
}

func TestACodeThatComesByBothWaysAtOnceMakesOneAccount(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{AuthCodeOnce: true}, func(t *testing.T, w *scanWorld) {
		w.hold()
		code := w.grant()
		event := w.take()[0]
		require.NoError(t, w.z.Note(t.Context(), w.comp, Granted{AppID: scannedAppID, Code: code, At: event.CreatedAt}))
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			all.Go(func() {
				if i%2 == 0 {
					errs[i] = w.z.Finish(t.Context(), w.comp, scannedAppID)
					return
				}
				_, errs[i] = w.z.TakeCode(t.Context(), w.comp, code)
			})
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		w.clk.Advance(time.Hour)
		require.NoError(t, w.z.RunOnce(t.Context()))
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM accounts"))
		require.NoError(t, w.send())
	})
}

func TestAManualAccountMovesToTheComponentAndKeepsWhatMembersSet(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		most := 3
		manual := valid()
		manual.AppID, manual.Secret, manual.Spec = scannedAppID, "never-told", guard.PolicySpec{DailyCap: &most}
		require.NoError(t, w.s.CreateAccount(t.Context(), manual))
		require.NoError(t, w.send())
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM access_tokens"))

		w.grant(1, 15)
		moved := w.account()
		require.Equal(t, []any{manual.ID, manual.Name, 3, manual.Secret, manual.Callback}, []any{moved.ID, moved.Name, moved.Policy.Caps[guard.PeriodDay], moved.Secret, moved.Callback})
		require.Equal(t, []any{ConnectionComponent, []int{1, 15}, "gh_scanned"}, []any{moved.Connection, moved.Permissions, moved.OriginalID})
		require.Empty(t, moved.Platform().Secret)
		require.Zero(t, w.count("SELECT COUNT(*) FROM access_tokens"), "the token by the secret would outlive a withdrawal")
		require.NoError(t, w.send())
		require.Equal(t, 1, w.calls(simulator.PathStableToken))
		require.Equal(t, 1, w.calls(simulator.PathAuthorizerToken))
		_, err := w.s.UpdateSending(t.Context(), moved.ID, moved.Revision, func(a *Account) { a.RatePerSecond = 9 })
		require.NoError(t, err, "an account without a callback of its own is valid")
		require.Equal(t, ConnectionComponent, w.account().Connection)
	})
}

func TestAnUpdateReadsThePermissionSetsAgain(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant(1, 7)
		require.Equal(t, []int{1, 7}, w.account().Permissions)
		require.True(t, w.account().MaySendKefu())
		w.grant(7)
		require.Equal(t, []int{7}, w.account().Permissions)
		require.False(t, w.account().MaySendKefu())
		require.Equal(t, "7", w.text("SELECT permissions FROM authorisations"))
	})
}

func (w *scanWorld) text(query string) string {
	w.t.Helper()
	var out string
	require.NoError(w.t, w.db.Read(w.t.Context()).Raw(query).Scan(&out).Error)
	return out
}

func TestOnlyABrowserThatWeSentAwayComesBack(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		state, err := w.z.state(w.comp, w.clk.Now().Add(time.Minute))
		require.NoError(t, err)
		require.NoError(t, w.z.CheckState(w.comp, state))
		other := *w.comp
		other.ID++
		require.True(t, fault.Is(w.z.CheckState(&other, state), fault.Forbidden), "of another component")
		sealed, err := w.s.vault.Seal([]byte(fmt.Sprintf("%d %d", w.comp.ID, w.clk.Now().Add(time.Hour).UnixMilli())))
		require.NoError(t, err)
		for _, bad := range []string{"", "x", "!", state[:len(state)-2], string(sealed)} {
			require.True(t, fault.Is(w.z.CheckState(w.comp, bad), fault.Forbidden), "%q", bad)
		}
		w.clk.Advance(time.Minute)
		require.True(t, fault.Is(w.z.CheckState(w.comp, state), fault.Forbidden), "too late")
		_, _, err = w.z.Address(t.Context(), 99, Page{Redirect: scannedBack})
		require.True(t, fault.Is(err, fault.NotFound))
		for _, bad := range []string{"", ":", "/back"} {
			_, _, err = w.z.Address(t.Context(), w.comp.ID, Page{Redirect: bad})
			require.True(t, fault.Is(err, fault.Invalid), "%q: %v", bad, err)
		}
	})
}

func TestACrashBetweenThePlatformsAnswerAndOursIsMadeGood(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		for path, when := range map[string]string{
			simulator.PathQueryAuth:      "after", // exchanged, and the refresh token is not stored
			simulator.PathAuthorizerInfo: "after", // stored, and the account is not connected
		} {
			eachScan(t, simulator.Switches{AuthCodeOnce: once, RotateRefreshTokens: true}, func(t *testing.T, w *scanWorld) {
				w.lose(path, when)
				code := w.grant()
				_, err := w.z.TakeCode(t.Context(), w.comp, code)
				require.ErrorIs(t, err, errCut)
				require.Zero(t, w.count("SELECT COUNT(*) FROM accounts"))
				require.Equal(t, path == simulator.PathAuthorizerInfo, w.tokens().Current != "")
				w.lose(path, "")
				w.restart()
				require.NoError(t, w.z.RunOnce(t.Context()))
				require.Zero(t, w.count("SELECT COUNT(*) FROM accounts"), "another process may be at it")
				w.clk.Advance(exchangeEvery)
				require.NoError(t, w.z.RunOnce(t.Context()))
				require.NoError(t, w.send())
				require.NotEmpty(t, w.tokens().Current)
				a, err := w.z.TakeCode(t.Context(), w.comp, code)
				require.NoError(t, err)
				require.Equal(t, w.account().ID, a.ID)
			})
		}
	}
}

func TestACrashWhileATokenIsRenewedLosesNoAuthorisation(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{RotateRefreshTokens: true}, func(t *testing.T, w *scanWorld) {
		w.grant()
		first := w.tokens()
		w.lose(simulator.PathAuthorizerToken, "after") // the platform has replaced the refresh token, and we never learn of it
		require.Error(t, w.send())
		require.Equal(t, first, w.tokens())
		w.lose(simulator.PathAuthorizerToken, "")
		w.restart()
		require.NoError(t, w.send())
		second := w.tokens()
		require.NotEqual(t, first.Current, second.Current)
		require.Equal(t, 1, w.calls(simulator.PathAuthorizerList), "it was in the platform's list")

		// Stored, and the process dies before it saves the access token: the next one goes on with what is stored.
		require.NoError(t, w.comp.Platform().Store.PutRefreshToken(t.Context(), scannedAppID, second.Current))
		require.Equal(t, second, w.tokens())
		w.clk.Advance(2 * time.Hour)
		w.restart()
		require.NoError(t, w.send())
		require.Equal(t, second.Current, w.tokens().Previous)
		require.Equal(t, 1, w.calls(simulator.PathAuthorizerList))
	})
}

func TestACodeThatCannotBeExchangedIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.lose(simulator.PathQueryAuth, "before")
		w.grant()
		for range exchangeTries - 1 {
			require.Equal(t, 1, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0"))
			w.clk.Advance(exchangeMost)
			_, err := w.sim.PushTicket(t.Context(), w.comp.AppID)
			require.NoError(t, err)
			require.ErrorIs(t, w.z.RunOnce(t.Context()), errCut)
		}
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0 OR tries > 0 OR LENGTH(code) > 0"))
		w.lose(simulator.PathQueryAuth, "")
		w.grant(1, 2)
		require.NoError(t, w.send(), "the owner scans again")
	})
}

func TestAnEventThatCannotBeStoredIsAskedForAgain(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		err := w.z.Note(t.Context(), w.comp, Granted{AppID: strings.Repeat("w", 33), Code: "c", At: w.clk.Now()})
		require.True(t, fault.Is(err, fault.Invalid), "%v", err)
		require.True(t, fault.Is(w.z.Withdraw(t.Context(), w.comp, "", w.clk.Now()), fault.Invalid))
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations"))
		w.exec("DROP TABLE authorisations")
		err = w.z.Note(t.Context(), w.comp, Granted{AppID: scannedAppID, Code: "c", At: w.clk.Now()})
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		require.True(t, fault.Is(w.z.Withdraw(t.Context(), w.comp, scannedAppID, w.clk.Now()), fault.Unavailable))
		require.True(t, fault.Is(w.z.RunOnce(t.Context()), fault.Unavailable))
		require.True(t, fault.Is(w.z.Finish(t.Context(), w.comp, scannedAppID), fault.Unavailable))
		var e *wechat.Error
		_, err = w.z.TakeCode(t.Context(), w.comp, "c")
		require.NotErrorAs(t, err, &e, "no code is exchanged that could not be kept: %v", err)
	})
}
