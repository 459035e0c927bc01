package accounts_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAnAccountThatWorksHasNothingWrong(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		_, err := w.checker.LastCheck(w.t.Context(), w.account.ID)
		require.True(w.t, fault.Is(err, fault.NotFound))
		codes := []accounts.FindingCode{}
		for _, f := range w.inOrder().Findings {
			codes = append(codes, f.Code)
		}
		require.Equal(w.t, []accounts.FindingCode{"access_ok", "rights_ok", "pushes_ok", "quota_ok"}, codes)
	})
}

func TestWhatIsWrongWithTheCredentialsIsNamedAndGoesWhenRepaired(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.set(func(a *simulator.Account) { a.Secret = "another" })
	f := w.only("secret_wrong", accounts.SeverityError)
	require.Equal(t, 40125, f.ErrCode)
	require.NotEmpty(t, f.RID)
	require.Contains(t, f.What().ZH, "AppSecret")
	require.Contains(t, f.Do().EN, "reset the AppSecret")
	w.set(func(a *simulator.Account) { a.Secret = checkSecret })
	w.inOrder()

	w.set(func(a *simulator.Account) { a.Whitelist = []string{"192.0.2.1"} })
	f = w.only("ip_not_listed", accounts.SeverityError)
	require.Equal(t, 40164, f.ErrCode)
	require.Equal(t, "127.0.0.1", f.Values["ip"])
	require.Contains(t, f.Do().ZH, "把 127.0.0.1 加入 API IP 白名单")
	w.set(func(a *simulator.Account) { a.Whitelist = []string{"192.0.2.1", "127.0.0.1"} })
	w.inOrder()

	for code, want := range map[int]accounts.FindingCode{
		40001: "secret_wrong", 40013: "appid_wrong", 40243: "secret_frozen", 50004: "token_forbidden", 50007: "account_frozen",
		89503: "ip_awaits_confirmation", 89506: "ip_denied", 89507: "ip_denied", 41004: "refused",
	} {
		w.answer(simulator.PathStableToken, code)
		require.Equal(t, code, w.only(want, accounts.SeverityError).ErrCode)
		w.answer(simulator.PathStableToken, 0)
		w.inOrder()
	}
}

func TestAnUnknownAppIDIsNamed(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.connect(&accounts.Account{
		AppID: "wx00000000000000ff", OriginalID: "gh_1", Name: "x", Kind: accounts.KindService, Secret: "s", Verified: true, BaseURL: "http://platform.invalid",
		Callback: accounts.Callback{Mode: accounts.ModePlain, Token: "pushtoken"},
	})
	w.push()
	require.Equal(t, 40013, w.only("appid_wrong", accounts.SeverityError).ErrCode)
}

func TestATokenThatIsRefusedAgainAndAgainIsNamed(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	for _, f := range []string{"/cgi-bin/tags/get", "/cgi-bin/material/get_materialcount"} {
		w.answer(f, 40001)
	}
	require.Equal(t, accounts.SeverityError, w.only("token_refused", accounts.SeverityError).Severity)
	w.answer("", 0)
	w.inOrder()
}

func TestTokensThatOthersEndAreNoticed(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		use := func() {
			_, err := w.client.Tags(w.t.Context(), w.find().Platform())
			require.NoError(w.t, err)
		}
		use()
		w.inOrder()
		for range 4 { // another system forces a new token, and the next call of ours is refused with the old one
			require.NoError(w.t, w.sim.Supersede(checkAppID))
			w.clk.Advance(time.Minute)
			use()
		}
		w.push()
		f := w.only("token_superseded", accounts.SeverityWarning)
		require.Equal(w.t, "3", f.Values["times"])
		for range 6 { // an ordinary half day
			w.clk.Advance(2 * time.Hour)
			use()
		}
		w.push()
		w.inOrder()
	})
}

func TestAPlatformThatIsAwayIsOneFindingAndTwoProbes(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	for name, f := range map[string]simulator.Faults{
		"hang": {Hang: 1}, "reset": {ResetBefore: 1}, "gateway": {BadGateway: 1}, "half": {HalfAnswer: 1}, "busy": {Busy: 1},
	} {
		require.NoError(t, w.sim.SetFaults("", f))
		w.sim.ResetRecord()
		found := w.only("platform_unreachable", accounts.SeverityError)
		require.NotEmpty(t, found.Values["cause"], name)
		require.NotContains(t, found.Values["cause"], checkSecret)
		require.Len(t, w.sim.Calls(simulator.Filter{}), 2, name)
	}
	require.NoError(t, w.sim.SetFaults("", simulator.Faults{}))
	w.inOrder()

	require.NoError(t, w.sim.SetFaults("/cgi-bin/tags/get", simulator.Faults{Hang: 1}))
	w.only("platform_slow", accounts.SeverityWarning)
	require.NoError(t, w.sim.SetFaults("", simulator.Faults{Hang: 1}))
	require.NoError(t, w.sim.SetFaults(simulator.PathStableToken, simulator.Faults{}))
	w.only("platform_unreachable", accounts.SeverityError)
}

func TestACheckEndsInTimeWhateverThePlatformDoes(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	hanging := transportFunc(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	o := w.options
	o.Transport, o.Probe, o.Whole = hanging, 20*time.Millisecond, time.Minute
	w.checker = accounts.NewChecker(o)
	began := time.Now()
	w.only("platform_unreachable", accounts.SeverityError)
	require.Less(t, time.Since(began), 10*time.Second)

	calls := 0
	o.Transport = transportFunc(func(req *http.Request) (*http.Response, error) {
		if calls++; calls%2 == 0 { // never two in a row: only the whole's deadline ends this
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return w.options.Transport.RoundTrip(req)
	})
	o.Whole = 50 * time.Millisecond
	w.checker = accounts.NewChecker(o)
	w.only("platform_slow", accounts.SeverityWarning)
}

func TestClocksThatDifferAreNoticed(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	for _, c := range []struct {
		ours     time.Duration
		code     accounts.FindingCode
		severity accounts.Severity
	}{
		{10 * time.Minute, "clock_ahead", accounts.SeverityError},
		{-10 * time.Minute, "clock_behind", accounts.SeverityError},
		{time.Minute, "clock_ahead", accounts.SeverityWarning},
	} {
		o := w.options
		o.Clock = clock.NewManual(w.clk.Now().Add(c.ours))
		report, err := accounts.NewChecker(o).Check(t.Context(), w.find())
		require.NoError(t, err)
		require.Contains(t, wrong(report), c.code)
		require.Equal(t, c.severity, wrong(report)[c.code].Severity)
	}
	w.clk.Advance(time.Hour)
	w.push()
	w.inOrder()
}

func TestAStoppedAccountSaysWhyAndWhatTheSendTaught(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		stop := func(stopped bool, reason string) {
			require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error { return w.store.SetStopped(tx, w.account.ID, stopped, reason) }))
		}
		stop(true, "platform_48001")
		found := wrong(w.check())
		require.Len(w.t, found, 2)
		stopped := found["account_stopped"]
		require.Equal(w.t, 48001, stopped.ErrCode)
		require.Contains(w.t, stopped.What().ZH, "微信返回错误码 48001")
		require.Equal(w.t, accounts.SeverityError, found["rights_missing"].Severity)
		require.Equal(w.t, "customer_service", found["rights_missing"].Values["capabilities"])
		stop(false, "")
		w.inOrder()
		stop(true, "by hand")
		w.only("account_stopped", accounts.SeverityError)
	})
}

func TestASandboxAccountIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error {
		return tx.Exec("UPDATE accounts SET sandbox = 1, revision = 2").Error
	}))
	require.Contains(t, w.inOrder().Findings, accounts.Finding{Code: "sandbox", Severity: accounts.SeverityOK})
}

func TestQuotasThatRunOutAreNamedWithTheTimeOfTheirReturn(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	limit := func(path string, daily int) {
		require.NoError(t, w.sim.SetLimit(checkAppID, path, simulator.Limit{Daily: daily}))
	}
	send := func() error {
		return w.client.SendKefu(t.Context(), w.find().Platform(), "o-nobody", wechat.TextMessage("x"))
	}
	for range 19 {
		require.Error(t, send(), "a call counts whether it delivers or not")
	}
	limit(simulator.PathSend, 20)
	low := w.only("quota_low", accounts.SeverityWarning)
	require.Equal(t, map[string]string{
		"api": simulator.PathSend, "daily": "20", "used": "19", "remain": "1", "reset": "2026-03-05 00:00",
	}, low.Values)
	limit(simulator.PathSend, 19)
	used := w.only("quota_used_up", accounts.SeverityError)
	require.Contains(t, used.Do().EN, "2026-03-05 00:00 (Beijing time)")
	limit(simulator.PathSend, 500_000)
	w.inOrder()

	w.answer("/cgi-bin/tags/get", 45009)
	require.Equal(t, "/cgi-bin/tags/get", w.only("quota_used_up", accounts.SeverityWarning).Values["api"])
	w.answer("", 0)
	w.inOrder()
}

func TestACheckUsesNoQuotaThatIsScarce(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.clk.Advance(2 * time.Hour)
	w.push()
	w.clk.Advance(2 * time.Hour) // so long ago that the callback is looked for as well
	w.sim.ResetRecord()
	w.inOrder()
	calls := map[string]int{}
	for _, c := range w.sim.Calls(simulator.Filter{}) {
		calls[c.Path]++
	}
	require.Equal(t, map[string]int{
		simulator.PathStableToken: 1, simulator.PathQuotaGet: 6, simulator.PathCallbackCheck: 1,
		"/cgi-bin/tags/get": 1, "/cgi-bin/material/get_materialcount": 1, "/cgi-bin/draft/count": 1, "/cgi-bin/message/mass/speed/get": 1,
		"/datacube/getusersummary": 1, "/cgi-bin/template/get_industry": 1, "/wxaapi/newtmpl/getcategory": 1, "/cgi-bin/menu/get": 1,
		"/cgi-bin/customservice/getkflist": 1,
	}, calls)
}

func TestACheckLeavesTheTokenOfSendsAlone(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		before, err := w.client.Token(w.t.Context(), w.find().Platform())
		require.NoError(w.t, err)
		w.inOrder()
		stored, err := w.tokens.Load(w.t.Context(), w.account.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, before, stored.Value)
		_, err = w.client.Tags(w.t.Context(), w.find().Platform())
		require.NoError(w.t, err)
	})
}

func TestAnOlderReportReplacesNoNewerOne(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		newer := w.inOrder()
		o := w.options
		o.Clock = clock.NewManual(w.clk.Now().Add(-time.Minute))
		_, err := accounts.NewChecker(o).Check(w.t.Context(), w.find())
		require.NoError(w.t, err)
		last, err := w.checker.LastCheck(w.t.Context(), w.account.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, newer, last)
	})
}
