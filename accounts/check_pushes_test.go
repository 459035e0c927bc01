package accounts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/testdb"
	"hongyan/wechat/simulator"
)

// forgetPushes makes the account one to which no push has ever come.
func (w *checkWorld) forgetPushes() {
	w.t.Helper()
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return tx.Exec("DELETE FROM inbox").Error }))
}

func TestPushesThatNeverCameOrCeasedAreNoticed(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		w.forgetPushes()
		f := w.only("callback_never_seen", accounts.SeverityError)
		require.Equal(w.t, map[string]string{"url": checkURL, "mode": "plain"}, f.Values)
		require.Contains(w.t, f.Do().ZH, checkURL)
		require.Contains(w.t, f.Do().ZH, "明文模式")
		w.push()
		w.inOrder()
		w.clk.Advance(23 * time.Hour)
		w.inOrder()
		w.clk.Advance(time.Hour)
		f = w.only("callback_silent", accounts.SeverityWarning)
		require.Equal(w.t, "2026-03-04 10:00", f.Values["at"])
		w.forgetPushes()
		w.only("callback_silent", accounts.SeverityWarning) // pushes that are kept no more are not forgotten
		w.push()
		w.inOrder()
	})
}

func TestAnInstallationWithoutAPublicAddressIsToldToSetOne(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.forgetPushes()
	w.options.CallbackURL = func(*accounts.Account) string { return "" }
	w.checker = accounts.NewChecker(w.options)
	require.Contains(t, w.only("callback_never_seen", accounts.SeverityError).Do().EN, "HONGYAN_PUBLIC_URL")
}

func TestARefusedPushSaysWhatDiffersUntilOneIsAccepted(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		for why, want := range map[accounts.PushRefusal]accounts.FindingCode{
			accounts.RefusedSignature: "callback_token_differs", accounts.RefusedMode: "callback_mode_differs", accounts.RefusedCipher: "aes_key_differs",
			accounts.RefusedAppID: "callback_appid_differs", accounts.RefusedReceiver: "original_id_differs", accounts.RefusedStale: "pushes_stale",
		} {
			w.clk.Advance(time.Minute)
			require.NoError(w.t, w.checker.Refused(w.t.Context(), w.account.ID, why))
			severity := accounts.SeverityError
			if why == accounts.RefusedSignature || why == accounts.RefusedMode { // anybody can provoke these
				severity = accounts.SeverityWarning
			}
			w.only(want, severity)
			w.push()
			w.inOrder()
		}
		require.NoError(w.t, w.checker.Refused(w.t.Context(), w.account.ID, accounts.RefusedCipher))
		w.clk.Advance(25 * time.Hour)
		w.only("callback_silent", accounts.SeverityWarning) // what was refused a day ago says nothing of today
	})
}

func TestRefusedPushesAreWrittenDownOnceAMinute(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		stored := func() (at int64) {
			require.NoError(w.t, w.db.Read(w.t.Context()).Raw("SELECT refused_at FROM account_checks WHERE account_id = ?", w.account.ID).Row().Scan(&at))
			return at
		}
		refuse := func() { require.NoError(w.t, w.checker.Refused(w.t.Context(), w.account.ID, accounts.RefusedCipher)) }
		refuse()
		first := stored()
		w.clk.Advance(59 * time.Second)
		refuse()
		require.Equal(w.t, first, stored())
		w.clk.Advance(time.Second)
		refuse()
		require.Greater(w.t, stored(), first)
		w.check()
		w.clk.Advance(time.Hour)
		refuse()
		require.Equal(w.t, w.clk.Now().UnixMilli(), stored(), "also beside a report")
	})
}

func TestACallbackThatThePlatformCannotFindIsNamed(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.clk.Advance(2 * time.Hour)
	w.set(func(a *simulator.Account) { a.HostAway = true })
	f := w.only("callback_host_away", accounts.SeverityWarning)
	require.NotEmpty(t, f.Values["ip"])
	w.set(func(a *simulator.Account) { a.HostAway = false })
	w.inOrder()
	w.set(func(a *simulator.Account) { a.HostUnknown = true })
	w.only("callback_host_unknown", accounts.SeverityError)
	w.set(func(a *simulator.Account) { a.HostUnknown = false })
	w.inOrder()
	w.set(func(a *simulator.Account) { a.Callback = simulator.Callback{} })
	require.Equal(t, 40201, w.only("callback_not_set", accounts.SeverityError).ErrCode)
	w.set(func(a *simulator.Account) { a.Callback = simulator.Callback{URL: checkURL, Token: "pushtoken"} })
	w.inOrder()

	w.set(func(a *simulator.Account) { a.HostAway = true })
	w.push()
	w.inOrder() // pushes come in: nobody needs to ask
}
