package accounts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/testdb"
	"hongyan/wechat/simulator"
)

// kinds are the columns of the platform's table of rights.
func kinds() []func(*simulator.Account) {
	set := func(t simulator.AccountType, verified bool) func(*simulator.Account) {
		return func(a *simulator.Account) { a.Type, a.Verified = t, verified }
	}
	return []func(*simulator.Account){
		set(simulator.Subscription, false), set(simulator.Subscription, true), set(simulator.Service, false), set(simulator.Service, true),
	}
}

// The account is connected as what it is not. Nothing is guessed from that: what the platform does decides.
func TestAnAccountBecomesWhatThePlatformShowsItToBe(t *testing.T) {
	t.Parallel()
	for i, set := range kinds() {
		w := newCheckWorld(t, testdb.SQLite(t))
		w.set(set)
		w.check()
		w.clk.Advance(11 * time.Minute)
		report := w.check()
		got := w.find()
		require.Equal(t, i%2 == 1, got.Verified, i)
		require.Equal(t, got.Verified, report.Verified)
		require.Equal(t, accounts.KindService, got.Kind, "that templates are refused to an account does not make it a subscription account")
	}
}

func TestRightsComeFromTypeAndAnswersAndKeepTheirTime(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	first := w.inOrder()
	tags := first.Rights.Of(accounts.Tags)
	require.Equal(t, accounts.Right{Capability: accounts.Tags, Permission: accounts.Allowed, Source: accounts.ByAnswer, Since: first.StartedAt}, tags)
	require.Equal(t, accounts.ByType, first.Rights.Of(accounts.QRCodes).Source, "nothing asks about QR codes without making one")
	require.Equal(t, accounts.Allowed, first.Rights.Of(accounts.Menus).Permission, "46003 says that there is no menu, to an account that may have one")
	require.Equal(t, accounts.Unknown, first.Rights.Of("flying").Permission)
	w.clk.Advance(time.Hour)
	require.Equal(t, tags, w.inOrder().Rights.Of(accounts.Tags), "known since the first check")

	w.answer("/cgi-bin/tags/get", 48004)
	f := w.only("rights_missing", accounts.SeverityWarning)
	require.Equal(t, 48004, f.ErrCode)
	require.Contains(t, f.What().ZH, "用户标签")
	require.Contains(t, f.What().EN, "tags")
	w.answer("/cgi-bin/tags/get", 45011)
	report := w.check()
	require.Equal(t, accounts.NotAllowed, report.Rights.Of(accounts.Tags).Permission, "an answer about something else changes nothing")
	w.answer("/cgi-bin/tags/get", 0)
	again := w.inOrder().Rights.Of(accounts.Tags)
	require.Equal(t, accounts.Allowed, again.Permission)
	require.Greater(t, again.Since, tags.Since)
}

func TestAVerificationThatRanOutStopsSendingOnlyWhenItIsProvenTwice(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		w.set(func(a *simulator.Account) { a.Verified = false })
		w.only("account_in_doubt", accounts.SeverityError)
		require.True(w.t, w.find().Verified, "one check is not enough")
		w.clk.Advance(9 * time.Minute)
		w.only("account_in_doubt", accounts.SeverityError)
		require.True(w.t, w.find().Verified, "nor are two in a short time")
		require.NoError(w.t, w.sim.SetFaults("/cgi-bin/draft/count", simulator.Faults{Hang: 1}))
		w.clk.Advance(2 * time.Minute)
		require.Contains(w.t, wrong(w.check()), accounts.FindingCode("account_in_doubt"))
		require.True(w.t, w.find().Verified, "nor an answer that is missing")
		require.NoError(w.t, w.sim.SetFaults("", simulator.Faults{}))
		found := wrong(w.check())
		require.Equal(w.t, accounts.SeverityError, found["account_corrected"].Severity)
		require.Contains(w.t, found["account_corrected"].What().ZH, "未认证")
		require.Contains(w.t, found, accounts.FindingCode("unverified"))
		require.False(w.t, w.find().Verified)
		require.False(w.t, w.find().MaySendKefu())
		report := w.check()
		require.Contains(w.t, wrong(report), accounts.FindingCode("unverified"))
		require.Equal(w.t, accounts.NotAllowed, report.Rights.Of(accounts.CustomerService).Permission)

		w.set(func(a *simulator.Account) { a.Verified = true })
		w.only("account_corrected", accounts.SeverityWarning)
		require.True(w.t, w.find().Verified, "rights that the platform proves are believed at once")
		w.inOrder()
	})
}

func TestADoubtEndsWhenThePlatformTakesTheAccountForWhatItIs(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.set(func(a *simulator.Account) { a.Verified = false })
	w.only("account_in_doubt", accounts.SeverityError)
	w.set(func(a *simulator.Account) { a.Verified = true })
	w.clk.Advance(11 * time.Minute)
	w.inOrder()
	w.set(func(a *simulator.Account) { a.Verified = false })
	w.only("account_in_doubt", accounts.SeverityError)
	require.True(t, w.find().Verified)
}

func TestAServiceAccountThatWasConnectedAsSubscriptionAccountIsOne(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		a := w.find()
		changed := *a
		changed.ID, changed.AppID, changed.Kind, changed.Verified, changed.Revision = 0, "wx00000000000000ff", accounts.KindSubscription, false, 0
		require.NoError(w.t, w.sim.AddAccount(simulator.Account{AppID: changed.AppID, Secret: checkSecret, Verified: true, Callback: simulator.Callback{URL: checkURL, Token: "pushtoken"}}))
		w.connect(&changed)
		w.push()
		f := w.only("account_corrected", accounts.SeverityWarning)
		require.Contains(w.t, f.What().EN, "service account, verified")
		got := w.find()
		require.Equal(w.t, []any{accounts.KindService, true}, []any{got.Kind, got.Verified})
		require.Equal(w.t, checkSecret, got.Secret)
	})
}

func TestAMembersChangeWinsOverACorrection(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		w.set(func(a *simulator.Account) { a.Verified = false })
		w.check()
		w.clk.Advance(11 * time.Minute)
		old := w.find()
		_, err := w.store.UpdateSending(w.t.Context(), old.ID, old.Revision, func(a *accounts.Account) { a.RatePerSecond = 7 })
		require.NoError(w.t, err)
		report, err := w.checker.Check(w.t.Context(), old)
		require.NoError(w.t, err)
		require.True(w.t, report.Verified)
		require.True(w.t, w.find().Verified)
		require.Equal(w.t, 7, w.find().RatePerSecond)
	})
}
