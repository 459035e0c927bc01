package accounts_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/internal/testdb"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

const (
	checkComponent    = "wxcomponent0000001"
	checkComponentKey = "componentcomponentcomponentcomponentcompone"
)

// scanned moves the account to a component that its owner authorised with these permission sets, nil for all.
func (w *checkWorld) scanned(sets []int) *accounts.Component {
	w.t.Helper()
	require.NoError(w.t, w.sim.AddComponent(simulator.Component{
		AppID: checkComponent, Secret: "component-secret",
		Callback: simulator.Callback{URL: "https://hongyan.invalid/component", Token: "componenttoken", AESKey: checkComponentKey},
	}))
	comp := &accounts.Component{
		AppID: checkComponent, Secret: "component-secret", BaseURL: "http://platform.invalid",
		Callback: accounts.Callback{Mode: accounts.ModeSafe, Token: "componenttoken", AESKeys: []string{checkComponentKey}},
	}
	require.NoError(w.t, w.store.CreateComponent(w.t.Context(), comp))
	w.clk.Advance(3 * time.Second)
	comp, err := w.store.FindComponent(w.t.Context(), comp.ID)
	require.NoError(w.t, err)
	w.ticket(comp)
	w.authorise(comp, sets)
	return comp
}

// ticket lets a verify ticket come now.
func (w *checkWorld) ticket(comp *accounts.Component) {
	w.t.Helper()
	push, err := w.sim.PushTicket(w.t.Context(), comp.AppID)
	require.NoError(w.t, err)
	_, rest, _ := strings.Cut(push.Body, "<ComponentVerifyTicket>")
	value, _, ok := strings.Cut(rest, "</ComponentVerifyTicket>")
	require.True(w.t, ok)
	value = strings.TrimSuffix(strings.TrimPrefix(value, "<![CDATA["), "]]>")
	require.NoError(w.t, comp.Platform().Store.SaveTicket(w.t.Context(), wechat.Ticket{Value: value, At: w.clk.Now()}))
}

func (w *checkWorld) authorise(comp *accounts.Component, sets []int) {
	w.t.Helper()
	code, err := w.sim.Authorise(w.t.Context(), simulator.Authorisation{Component: comp.AppID, AppID: checkAppID, Permissions: sets})
	require.NoError(w.t, err)
	authoriser := accounts.NewAuthoriser(accounts.AuthoriserOptions{Accounts: w.store, Client: w.client, Log: slog.New(slog.DiscardHandler)})
	_, err = authoriser.TakeCode(w.t.Context(), comp, code)
	require.NoError(w.t, err)
}

func (w *checkWorld) component(change func(*simulator.Component)) {
	w.t.Helper()
	require.NoError(w.t, w.sim.UpdateComponent(checkComponent, change))
}

func TestAnAccountThatWasConnectedByAScanHasNothingWrong(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		w.scanned(nil)
		report := w.inOrder()
		require.Equal(w.t, accounts.Allowed, report.Rights.Of(accounts.QRCodes).Permission)
		token, err := w.tokens.Load(w.t.Context(), w.account.ID)
		require.NoError(w.t, err)
		require.NotEmpty(w.t, token.Value, "the check used, and so keeps, the token of sends")
		w.inOrder()
		again, err := w.tokens.Load(w.t.Context(), w.account.ID)
		require.NoError(w.t, err)
		require.Equal(w.t, token, again)
	})
}

func TestPermissionSetsThatWereNotGrantedAreNamed(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		comp := w.scanned([]int{1, 2, 4, 6, 7, 11})
		f := w.only("permission_sets_missing", accounts.SeverityWarning)
		require.Equal(w.t, "qr_codes,short_keys,menus,conditional_menus", f.Values["capabilities"])
		require.Contains(w.t, f.Do().ZH, "重新扫码授权")
		require.Equal(w.t, accounts.BySets, w.check().Rights.Of(accounts.QRCodes).Source)
		w.authorise(comp, nil)
		w.inOrder()
		w.authorise(comp, []int{2, 3, 4, 6, 7, 11, 15})
		require.Equal(w.t, "customer_service", w.only("permission_sets_missing", accounts.SeverityError).Values["capabilities"])
	})
}

// The owner changes what was granted, and the event that tells it is lost.
func TestPermissionSetsFollowThePlatformAndAreTakenAwayOnlyWhenProvenTwice(t *testing.T) {
	t.Parallel()
	eachCheck(t, func(w *checkWorld) {
		w.scanned([]int{1, 2, 3})
		grant := func(sets ...int) {
			_, err := w.sim.Authorise(w.t.Context(), simulator.Authorisation{Component: checkComponent, AppID: checkAppID, Permissions: sets})
			require.NoError(w.t, err)
		}
		grant(1, 2, 3, 7)
		w.check()
		require.Equal(w.t, []int{1, 2, 3, 7}, w.find().Permissions)
		grant(2, 3, 7)
		require.Contains(w.t, wrong(w.check()), accounts.FindingCode("account_in_doubt"))
		require.True(w.t, w.find().MaySendKefu())
		w.clk.Advance(11 * time.Minute)
		require.Contains(w.t, wrong(w.check()), accounts.FindingCode("account_corrected"))
		require.Equal(w.t, []int{2, 3, 7}, w.find().Permissions)
		require.False(w.t, w.find().MaySendKefu())
		grant(1, 2, 3, 7)
		w.check()
		require.True(w.t, w.find().MaySendKefu())
	})
}

func TestWhatIsWrongWithAComponentIsNamedAndGoesWhenRepaired(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	comp := w.scanned(nil)
	w.inOrder()

	w.component(func(c *simulator.Component) { c.IPRefused = true })
	f := w.only("component_ip_not_listed", accounts.SeverityError)
	require.Equal(t, []any{61004, "127.0.0.1"}, []any{f.ErrCode, f.Values["ip"]})
	w.component(func(c *simulator.Component) { c.IPRefused = false })
	w.inOrder()

	w.clk.Advance(90 * time.Minute)
	w.push()
	late := w.only("component_ticket_missing", accounts.SeverityWarning)
	require.Equal(t, "2026-03-04 10:00", late.Values["at"])
	w.clk.Advance(12 * time.Hour)
	w.push()
	w.only("component_ticket_missing", accounts.SeverityError)
	w.ticket(comp)
	w.inOrder()

	w.component(func(c *simulator.Component) { c.Secret = "another" })
	w.clk.Advance(3 * time.Hour) // until the tokens have ended
	w.ticket(comp)
	w.push()
	w.only("component_credentials_wrong", accounts.SeverityError)
	w.component(func(c *simulator.Component) { c.Secret = "component-secret" })
	w.inOrder()

	_, err := w.sim.Withdraw(t.Context(), checkComponent, checkAppID)
	require.NoError(t, err)
	gone := w.only("not_authorised", accounts.SeverityError)
	require.Equal(t, 61003, gone.ErrCode)
	w.authorise(comp, nil)
	w.inOrder()
}

func TestAComponentWithoutPushesIsToldItsOwnURL(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.scanned(nil)
	w.forgetPushes()
	f := w.only("component_pushes_never_seen", accounts.SeverityError)
	require.Contains(t, f.Do().EN, checkURL)
	w.push()
	w.inOrder()
}

func TestAnAccountOfAComponentMayBeLessThanItsRowSays(t *testing.T) {
	t.Parallel()
	w := newCheckWorld(t, testdb.SQLite(t))
	w.scanned(nil)
	w.set(func(a *simulator.Account) { a.Type = simulator.Subscription })
	w.only("account_in_doubt", accounts.SeverityError)
	require.Equal(t, accounts.KindService, w.find().Kind)
	w.clk.Advance(11 * time.Minute)
	require.Contains(t, wrong(w.check()), accounts.FindingCode("account_corrected"))
	require.Equal(t, accounts.KindSubscription, w.find().Kind)
	require.True(t, w.find().Verified)
}
