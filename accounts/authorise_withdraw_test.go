package accounts

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func (w *scanWorld) exec(query string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return tx.Exec(query, args...).Error }))
}

func TestAWithdrawalDeletesTheTokensStopsTheAccountAndHasItsFansErased(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		require.NoError(t, w.send())
		id, epoch := w.account().ID, w.epoch()
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM access_tokens"))
		w.withdraw()
		a := w.account()
		require.Equal(t, []any{true, ReasonWithdrawn, false, false}, []any{a.Stopped, a.StoppedReason, a.Authorised(), a.MaySendKefu()})
		require.Greater(t, w.epoch(), epoch)
		require.Zero(t, w.count("SELECT COUNT(*) FROM access_tokens"))
		require.Zero(t, w.tokens())
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE LENGTH(refresh_token) + LENGTH(previous_token) + LENGTH(code) > 0"))
		require.Equal(t, []int64{id}, w.withdrawn)
		require.Error(t, w.send(), "a token that is still in memory is refused by the platform")
		w.restart()
		err := w.send()
		require.ErrorIs(t, err, wechat.ErrNotAuthorised)
		require.Equal(t, wechat.ClassReauthorise, wechat.Classify(err))
	})
}

func TestFansAreErasedEvenWhenThatCannotBeginAtOnce(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		id := w.account().ID
		w.eraseErr = errors.New("the database is away")
		w.withdraw()
		require.True(t, w.account().Stopped)
		require.ErrorIs(t, w.z.RunOnce(t.Context()), w.eraseErr)
		w.grant() // authorised again meanwhile: what was known before is erased all the same
		w.eraseErr = nil
		w.restart()
		require.NoError(t, w.z.RunOnce(t.Context()))
		require.NoError(t, w.z.RunOnce(t.Context()))
		require.Equal(t, []int64{id}, w.withdrawn)
	})
}

func TestAnAuthorisationAfterAWithdrawalTakesTheAccountUpAgain(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant(1, 2)
		id := w.account().ID
		w.withdraw()
		epoch := w.epoch()
		w.grant(1)
		a := w.account()
		require.Equal(t, []any{id, false, "", []int{1}}, []any{a.ID, a.Stopped, a.StoppedReason, a.Permissions})
		require.Greater(t, w.epoch(), epoch)
		require.NoError(t, w.send())
	})
}

func TestTheStopOfAMemberOutlivesAWithdrawalAndAnAuthorisation(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		w.setStopped(w.account().ID, true, "by hand")
		w.withdraw()
		require.Equal(t, "by hand", w.account().StoppedReason)
		w.grant()
		a := w.account()
		require.Equal(t, []any{true, "by hand", true}, []any{a.Stopped, a.StoppedReason, a.Authorised()})

		// A sender may learn of a withdrawal by a refusal before the event comes.
		w.setStopped(a.ID, true, reasonRefused)
		w.withdraw()
		require.Equal(t, reasonRefused, w.account().StoppedReason)
		w.grant()
		require.False(t, w.account().Stopped)
	})
}

func TestTheTimesOfEventsDecideAndNotTheirOrder(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.hold()
		w.grant(1)
		w.withdraw()
		w.grant(1, 2)
		w.grant(1, 2, 3)
		events := w.take()
		require.Len(t, events, 4)
		for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 1, 0, 3}, {3, 0, 1, 2}, {0, 0, 2, 1, 1, 3, 3, 0}} {
			w.exec("DELETE FROM authorisations")
			w.exec("DELETE FROM accounts")
			for _, i := range order {
				require.NoError(t, w.act(events[i]))
			}
			a := w.account()
			require.Equal(t, []any{false, []int{1, 2, 3}}, []any{a.Stopped, a.Permissions}, "%v", order)
			require.NotEmpty(t, w.tokens().Current, "%v", order)
			require.NoError(t, w.send(), "%v", order)
		}
	})
}

func TestAnAuthorisationOlderThanAWithdrawalDoesNothing(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.hold()
		w.grant()
		w.withdraw()
		events := w.take()
		for _, order := range [][]int{{0, 1}, {1, 0}, {1, 0, 1, 0}, {0, 1, 0, 0}} {
			w.exec("DELETE FROM authorisations")
			w.exec("DELETE FROM accounts")
			for _, i := range order {
				require.NoError(t, w.act(events[i]))
			}
			require.NoError(t, w.z.RunOnce(t.Context()))
			require.Zero(t, w.count("SELECT COUNT(*) FROM accounts WHERE stopped = 0"), "%v", order)
			require.Zero(t, w.tokens(), "%v", order)
			require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0"), "%v", order)
		}
		granted := events[0].Payload.(callback.ComponentGranted) //nolint:forcetypeassert // the first one is
		_, err := w.z.TakeCode(t.Context(), w.comp, granted.Code)
		require.Error(t, err, "nor does the browser's way back")
		require.Zero(t, w.tokens())
	})
}

func TestAWithdrawalInTheMiddleOfAnAuthorisationWins(t *testing.T) {
	t.Parallel()
	for _, path := range []string{simulator.PathQueryAuth, simulator.PathAuthorizerInfo} {
		for _, browser := range []bool{false, true} {
			eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
				w.hold()
				code := w.grant()
				event := w.take()[0]
				w.then[path] = w.withdraw
				if browser {
					_, err := w.z.TakeCode(t.Context(), w.comp, code)
					require.True(t, fault.Is(err, fault.Conflict), "%v", err)
				}
				require.NoError(t, w.act(event))
				w.clk.Advance(exchangeMost)
				require.NoError(t, w.z.RunOnce(t.Context()))
				require.Zero(t, w.count("SELECT COUNT(*) FROM accounts"))
				require.Zero(t, w.tokens())
				require.Empty(t, w.withdrawn, "there are no fans")
			})
		}
	}
}

func TestALateRenewalDoesNotBringBackWhatAWithdrawalDeleted(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		held := w.tokens()
		w.withdraw()
		err := w.account().Platform().Component.Store.PutRefreshToken(t.Context(), scannedAppID, held.Current)
		require.ErrorIs(t, err, wechat.ErrNotAuthorised)
		require.Zero(t, w.tokens())
		// An exchange of a code does: its owner may have authorised again.
		require.NoError(t, w.comp.authorising.Store.PutRefreshToken(t.Context(), scannedAppID, "refreshtoken@@@new"))
		require.Equal(t, wechat.RefreshTokens{Current: "refreshtoken@@@new"}, w.tokens())
	})
}

func TestAWithdrawalFromAComponentThatDoesNotConnectTheAccountAnyMoreLeavesItAlone(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		w.grant()
		w.exec("UPDATE accounts SET connection = ?, component_id = 0, permissions = '', revision = revision + 1", ConnectionManual)
		w.withdraw()
		require.False(t, w.account().Stopped)
		require.Empty(t, w.withdrawn)
		require.Zero(t, w.tokens())
	})
}

func TestAWithdrawalOfNobodyWeKnowIsRemembered(t *testing.T) {
	t.Parallel()
	eachScan(t, simulator.Switches{}, func(t *testing.T, w *scanWorld) {
		at := w.clk.Now()
		require.NoError(t, w.z.Withdraw(t.Context(), w.comp, "wxstranger", at))
		require.NoError(t, w.z.Note(t.Context(), w.comp, Granted{AppID: "wxstranger", Code: "c", At: at.Add(-time.Second)}))
		require.Zero(t, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0"))
		require.NoError(t, w.z.Note(t.Context(), w.comp, Granted{AppID: "wxstranger", Code: "c", At: at}))
		require.Equal(t, 1, w.count("SELECT COUNT(*) FROM authorisations WHERE due_at > 0"), "in the same second nobody knows: the platform is asked")
		require.True(t, fault.Is(w.z.Finish(t.Context(), w.comp, "wxstranger"), fault.Conflict), "and says no")
		require.Empty(t, w.withdrawn)
	})
}
