package accounts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/wechat"
)

const (
	testComponentAppID = "wxc0ffee0123456789"
	testComponentKey   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

func validComponent() *Component {
	return &Component{
		AppID: testComponentAppID, Secret: "component-secret-text",
		Callback: Callback{Token: "componenttokentext", AESKeys: []string{testComponentKey, strings.Repeat("q", 43)}},
	}
}

func componentSecrets() []string {
	c := validComponent()
	return append([]string{c.Secret, c.Callback.Token}, c.Callback.AESKeys...)
}

func TestACreatedComponentComesBackWithItsSecretsAndSealedInTheTable(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, clk *clock.Manual) {
		c := validComponent()
		require.NoError(t, s.CreateComponent(t.Context(), c))
		got, err := s.FindComponentByAppID(t.Context(), c.AppID)
		require.NoError(t, err)
		require.Equal(t, []any{c.ID, c.Secret, c.Callback, ModeSafe}, []any{got.ID, got.Secret, got.Callback, got.Callback.Mode})
		require.Equal(t, c.Secret, got.Platform().Secret)
		var dump string
		require.NoError(t, s.db.Read(t.Context()).Raw("SELECT secret FROM components").Row().Scan(&dump))
		require.NotContains(t, dump, c.Secret)

		err = s.CreateComponent(t.Context(), validComponent())
		require.True(t, fault.Is(err, fault.Conflict))
		_, err = s.FindComponent(t.Context(), c.ID+1)
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = s.FindComponentByAppID(t.Context(), "wx")
		require.True(t, fault.Is(err, fault.NotFound))
		clk.Advance(freshFor)
		again, err := s.FindComponent(t.Context(), c.ID)
		require.NoError(t, err)
		require.Same(t, got, again, "an unchanged row is not unsealed again")
	})
}

func TestEveryProblemOfAComponentIsNamedByItsField(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		for field, harm := range map[string]func(*Component){
			"appid":                func(c *Component) { c.AppID = "" },
			"secret":               func(c *Component) { c.Secret = "" },
			"callback.token":       func(c *Component) { c.Callback.Token = "ab" },
			"callback.aes_keys":    func(c *Component) { c.Callback.AESKeys = nil },
			"callback.aes_keys[1]": func(c *Component) { c.Callback.AESKeys[1] = "short" },
		} {
			c := validComponent()
			harm(c)
			fields := fault.Fields(s.CreateComponent(t.Context(), c))
			require.Len(t, fields, 1, field)
			require.Equal(t, field, fields[0].Field)
		}
		require.Len(t, fault.Fields(s.CreateComponent(t.Context(), &Component{})), 4, "all at once")
	})
}

func TestAComponentsKeysAreChangedAtOneRevision(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, clk *clock.Manual) {
		c := validComponent()
		require.NoError(t, s.CreateComponent(t.Context(), c))
		require.NoError(t, c.Platform().Store.SaveTicket(t.Context(), wechat.Ticket{Value: "ticket", At: clk.Now()}))
		rotate := func(c *Component) {
			c.AppID, c.Secret, c.Callback.AESKeys = "wxother", "new", []string{strings.Repeat("n", 43), c.Callback.AESKeys[0]}
		}
		changed, err := s.UpdateComponent(t.Context(), c.ID, 1, rotate)
		require.NoError(t, err)
		got, err := s.FindComponent(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"new", testComponentAppID, testComponentKey, int64(2)}, []any{got.Platform().Secret, got.AppID, got.Callback.AESKeys[1], got.Revision})
		require.Equal(t, changed.Callback, got.Callback)
		ticket, err := got.Platform().Store.Ticket(t.Context())
		require.NoError(t, err)
		require.Equal(t, "ticket", ticket.Value, "a ticket is not part of the settings")
		_, err = s.UpdateComponent(t.Context(), c.ID, 1, rotate)
		require.True(t, fault.Is(err, fault.Conflict))
		_, err = s.UpdateComponent(t.Context(), c.ID, 2, func(c *Component) { c.Secret = "" })
		require.Equal(t, "secret", fault.Fields(err)[0].Field)
		_, err = s.UpdateComponent(t.Context(), 99, 1, rotate)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestSecretsAreInNoTextOfAComponent(t *testing.T) {
	t.Parallel()
	c := validComponent()
	c.connect(nil, nil, nil)
	account := valid()
	account.Connection, account.Component = ConnectionComponent, c
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, c, *c, []*Component{c}, account)
		fmt.Fprintf(&out, verb+verb+verb, struct{ C Component }{*c}, c.Platform(), *c.Platform())
		fmt.Fprintf(&out, verb, struct{ A Account }{*account})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "a", c, "b", *c, "c", c.Callback, "d", []*Component{c}, "e", struct{ C *Component }{c}, "f", account, "g", c.Platform(), "h", *c.Platform())
	}
	require.NoError(t, json.NewEncoder(&out).Encode(c))
	require.NoError(t, json.NewEncoder(&out).Encode(account))
	require.Contains(t, out.String(), "component 0 (wxc0ffee0123456789)")
	for _, secret := range append(componentSecrets(), secrets()...) {
		require.NotContains(t, out.String(), secret)
	}
}

// eachComponent runs test with a stored component.
func eachComponent(t *testing.T, test func(t *testing.T, s *Store, c *Component)) {
	t.Helper()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		c := validComponent()
		require.NoError(t, s.CreateComponent(t.Context(), c))
		test(t, s, c)
	})
}

func TestAnOlderTicketDoesNotReplaceANewerOneInTheTable(t *testing.T) {
	t.Parallel()
	eachComponent(t, func(t *testing.T, s *Store, c *Component) {
		store, at := c.Platform().Store, tokensNow()
		none, err := store.Ticket(t.Context())
		require.NoError(t, err)
		require.Zero(t, none)
		newer := wechat.Ticket{Value: "ticket@@@b", At: at}
		require.NoError(t, store.SaveTicket(t.Context(), newer))
		require.NoError(t, store.SaveTicket(t.Context(), wechat.Ticket{Value: "ticket@@@a", At: at.Add(-time.Second)}))
		held, err := store.Ticket(t.Context())
		require.NoError(t, err)
		require.Equal(t, newer, held)
		newest := wechat.Ticket{Value: "ticket@@@c", At: at.Add(time.Second)}
		require.NoError(t, store.SaveTicket(t.Context(), newest))
		held, err = store.Ticket(t.Context())
		require.NoError(t, err)
		require.Equal(t, newest, held)
		var dump string
		require.NoError(t, s.db.Read(t.Context()).Raw("SELECT ticket FROM components").Row().Scan(&dump))
		require.NotContains(t, dump, "ticket@@@")
	})
}

func TestTheNewestRefreshTokenAndTheOneBeforeAreKeptSealed(t *testing.T) {
	t.Parallel()
	eachComponent(t, func(t *testing.T, s *Store, c *Component) {
		store := c.Platform().Store
		held := func() wechat.RefreshTokens {
			t.Helper()
			got, err := store.RefreshTokens(t.Context(), "wxaccount")
			require.NoError(t, err)
			return got
		}
		require.Zero(t, held())
		for _, step := range []struct{ put, previous string }{{"R1", ""}, {"R1", ""}, {"R2", "R1"}, {"R2", "R1"}, {"R3", "R2"}} {
			require.NoError(t, store.PutRefreshToken(t.Context(), "wxaccount", step.put))
			require.Equal(t, wechat.RefreshTokens{Current: step.put, Previous: step.previous}, held())
		}
		require.NoError(t, store.PutRefreshToken(t.Context(), "wxother", "S1"))
		require.Equal(t, wechat.RefreshTokens{Current: "R3", Previous: "R2"}, held())
		other := validComponent()
		other.AppID = "wxc2"
		require.NoError(t, s.CreateComponent(t.Context(), other))
		none, err := other.Platform().Store.RefreshTokens(t.Context(), "wxaccount")
		require.NoError(t, err)
		require.Zero(t, none, "another component's")
		require.Error(t, store.PutRefreshToken(t.Context(), strings.Repeat("w", 33), "R"))
		var dump string
		require.NoError(t, s.db.Read(t.Context()).Raw("SELECT refresh_token FROM authorisations WHERE appid = 'wxaccount'").Row().Scan(&dump))
		require.NotContains(t, dump, "R3")
	})
}

func TestRefreshTokensThatArePutAtOnceLeaveTwoOfThem(t *testing.T) {
	t.Parallel()
	eachComponent(t, func(t *testing.T, _ *Store, c *Component) {
		store := c.Platform().Store
		done := make(chan error)
		for i := range 16 {
			go func() { done <- store.PutRefreshToken(t.Context(), "wxaccount", fmt.Sprintf("R%d", i)) }()
		}
		var errs []error
		for range 16 {
			errs = append(errs, <-done)
		}
		require.NoError(t, errors.Join(errs...))
		held, err := store.RefreshTokens(t.Context(), "wxaccount")
		require.NoError(t, err)
		require.NotEmpty(t, held.Previous)
		require.NotEqual(t, held.Current, held.Previous)
	})
}

func TestAComponentsOwnTokenIsInARowOfItsOwn(t *testing.T) {
	t.Parallel()
	eachComponent(t, func(t *testing.T, s *Store, c *Component) {
		store, now := c.Platform().Store, tokensNow()
		mine, err := store.Acquire(t.Context(), 0, "a", now, now.Add(time.Minute))
		require.NoError(t, err)
		require.True(t, mine)
		theirs, err := store.Acquire(t.Context(), 0, "b", now, now.Add(time.Minute))
		require.NoError(t, err)
		require.False(t, theirs)
		want := wechat.Token{Value: "component access token", AppID: c.AppID, UseUntil: now.Add(time.Hour)}
		require.NoError(t, store.Save(t.Context(), 0, "a", want))
		got, err := store.Load(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
		none, err := NewTokens(s.db, s.vault).Load(t.Context(), c.ID)
		require.NoError(t, err)
		require.Zero(t, none, "an account with the same id has another one")
		require.NoError(t, store.Release(t.Context(), 0, "a"))
	})
}

func TestAComponentWhoseDatabaseIsAwaySaysSo(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		vault, err := NewVault(bytes.Repeat([]byte{7}, KeySize))
		require.NoError(t, err)
		c := validComponent()
		require.NoError(t, New(db, clock.NewManual(tokensNow()), vault).CreateComponent(t.Context(), c))
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("DROP TABLE authorisations").Error }))
		_, err = c.Platform().Store.RefreshTokens(t.Context(), "wxaccount")
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		err = c.Platform().Store.PutRefreshToken(t.Context(), "wxaccount", "very-secret")
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		require.NotContains(t, err.Error(), "very-secret")
	})
}

func TestAnAccountThatAuthorisedNeedsNoSecretAndNoCallback(t *testing.T) {
	t.Parallel()
	eachComponent(t, func(t *testing.T, s *Store, c *Component) {
		a := &Account{AppID: "wx1", OriginalID: "gh_1", Name: "n", Kind: KindService, Verified: true, Connection: ConnectionComponent}
		require.Equal(t, "component_id", fault.Fields(s.CreateAccount(t.Context(), a))[0].Field)
		a.Connection = "sky"
		require.Equal(t, "connection", fault.Fields(s.CreateAccount(t.Context(), a))[0].Field)
		a.Connection, a.ComponentID, a.Permissions = ConnectionComponent, c.ID, []int{1, 15}
		require.NoError(t, s.CreateAccount(t.Context(), a))
		got, err := s.FindAuthorised(t.Context(), c.ID, "wx1")
		require.NoError(t, err)
		require.Equal(t, []int{1, 15}, got.Permissions)
		platform := got.Platform()
		require.Equal(t, []string{"wx1", "", c.AppID}, []string{platform.AppID, platform.Secret, platform.Component.AppID})
		appID, pushes := got.Pushes()
		require.Equal(t, c.AppID, appID)
		require.Equal(t, c.Callback, pushes)

		manual := valid()
		require.NoError(t, s.CreateAccount(t.Context(), manual))
		appID, pushes = manual.Pushes()
		require.Equal(t, []any{manual.AppID, manual.Callback}, []any{appID, pushes})
		require.Nil(t, manual.Platform().Component)
		_, err = s.FindAuthorised(t.Context(), c.ID, manual.AppID)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestAnAccountMayDoWhatItsTypeAllowsAndItsOwnerGranted(t *testing.T) {
	t.Parallel()
	bySet := map[int][]Capability{
		1: {CustomerService}, 2: {Tags, UserList}, 3: {QRCodes, ShortKeys}, 4: {OAuth, JSSDK},
		7: {MassSend, MassByList, TemplateMessages, Drafts, Publishing}, 11: {Material}, 15: {Menus, ConditionalMenus},
	}
	for set, capabilities := range bySet {
		for _, c := range capabilities {
			a := &Account{Kind: KindService, Verified: true, Connection: ConnectionComponent, Permissions: []int{set}}
			require.True(t, a.May(c), "%s with set %d", c, set)
			a.Permissions = []int{99}
			require.False(t, a.May(c), "%s without set %d", c, set)
			a.Permissions = nil
			require.False(t, a.May(c), "%s after a withdrawal", c)
			a.Connection = ConnectionManual
			require.True(t, a.May(c), "%s by the account's own secret", c)
		}
	}
	for _, c := range []struct {
		a   Account
		may bool
	}{
		{Account{Verified: true, Connection: ConnectionManual}, true},
		{Account{Connection: ConnectionManual}, false},
		{Account{Verified: true, Connection: ConnectionComponent, Permissions: []int{1}}, true},
		{Account{Verified: true, Connection: ConnectionComponent, Permissions: []int{2, 7}}, false},
		{Account{Connection: ConnectionComponent, Permissions: []int{1}}, false},
	} {
		require.Equal(t, c.may, c.a.MaySendKefu(), "%+v", c)
		require.Equal(t, c.may, c.a.May(CustomerService), "the two never differ")
	}
}

func TestStoredPermissionSetsComeBack(t *testing.T) {
	t.Parallel()
	for _, sets := range [][]int{nil, {1}, {1, 2, 15, 100}} {
		got, err := parsePermissions(formatPermissions(sets))
		require.NoError(t, err)
		require.Equal(t, sets, got)
	}
	_, err := parsePermissions("1,,2")
	require.Error(t, err)
}
