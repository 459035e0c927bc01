package accounts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func valid() *Account {
	return &Account{
		AppID: "wx0123456789abcdef", OriginalID: "gh_0123456789ab", Name: "鸿雁", Kind: KindService, Verified: true, Secret: "app-secret-text",
		Callback: Callback{Mode: ModeSafe, Token: "token-secret-text", AESKeys: []string{strings.Repeat("k", 43), strings.Repeat("p", 43)}},
	}
}

func secrets() []string {
	a := valid()
	return append([]string{a.Secret, a.Callback.Token}, a.Callback.AESKeys...)
}

func eachStore(t *testing.T, test func(t *testing.T, s *Store, clk *clock.Manual)) {
	t.Helper()
	vault, err := NewVault(bytes.Repeat([]byte{7}, KeySize))
	require.NoError(t, err)
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(tokensNow())
		test(t, New(db, clk, vault), clk)
	})
}

func (s *Store) stop(t *testing.T, id int64, stopped bool) {
	t.Helper()
	require.NoError(t, s.db.Tx(t.Context(), func(tx *gorm.DB) error { return s.SetStopped(tx, id, stopped, "by hand") }))
}

func TestAVaultOpensOnlyWhatItSealed(t *testing.T) {
	t.Parallel()
	vault, err := NewVault(bytes.Repeat([]byte{7}, KeySize))
	require.NoError(t, err)
	other, err := NewVault(bytes.Repeat([]byte{8}, KeySize))
	require.NoError(t, err)
	_, err = NewVault([]byte("short"))
	require.Error(t, err)
	for _, secret := range []string{"", "x", strings.Repeat("密", 1000)} {
		sealed, err := vault.Seal([]byte(secret))
		require.NoError(t, err)
		again, err := vault.Seal([]byte(secret))
		require.NoError(t, err)
		require.NotEqual(t, sealed, again, "two secrets that are the same do not look it")
		plain, err := vault.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, secret, string(plain))
		_, err = other.Open(sealed)
		require.ErrorIs(t, err, errSealed)
		for i := range sealed {
			sealed[i] ^= 1
			_, err = vault.Open(sealed)
			require.ErrorIs(t, err, errSealed, "byte %d was changed", i)
			sealed[i] ^= 1
			if i > 40 {
				break
			}
		}
		_, err = vault.Open(sealed[:5])
		require.ErrorIs(t, err, errSealed)
	}
}

func TestACreatedAccountComesBackWithItsSecretsAndSealedInTheTable(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		require.Equal(t, []any{DefaultRate, DefaultInFlight, DefaultZone}, []any{a.RatePerSecond, a.InFlight, a.Zone})
		got, err := s.FindAccountByAppID(t.Context(), a.AppID)
		require.NoError(t, err)
		require.Equal(t, a.Callback, got.Callback)
		require.Equal(t, a.Secret, got.Platform().Secret)
		require.Equal(t, a, got)
		var dump string
		require.NoError(t, s.db.Read(t.Context()).Raw("SELECT secret FROM accounts").Row().Scan(&dump))
		require.NotContains(t, dump, a.Secret)

		err = s.CreateAccount(t.Context(), valid())
		require.True(t, fault.Is(err, fault.Conflict))
		require.Equal(t, "appid", fault.Fields(err)[0].Field)
		_, err = s.FindAccount(t.Context(), a.ID+1)
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = s.FindAccountByAppID(t.Context(), "wx")
		require.True(t, fault.Is(err, fault.NotFound))

		wrong, err := NewVault(bytes.Repeat([]byte{9}, KeySize))
		require.NoError(t, err)
		_, err = New(s.db, s.clock, wrong).FindAccount(t.Context(), a.ID)
		require.ErrorIs(t, err, errSealed)
		require.NotContains(t, err.Error(), a.Secret)
	})
}

func TestEveryProblemOfAnAccountIsNamedByItsField(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*Account){
		"appid":                func(a *Account) { a.AppID = "" },
		"original_id":          func(a *Account) { a.OriginalID = "" },
		"name":                 func(a *Account) { a.Name = "" },
		"secret":               func(a *Account) { a.Secret = "" },
		"kind":                 func(a *Account) { a.Kind = "enterprise" },
		"rate_per_second":      func(a *Account) { a.RatePerSecond = -1 },
		"in_flight":            func(a *Account) { a.InFlight = 1 },
		"callback.token":       func(a *Account) { a.Callback.Token = "ab" },
		"callback.mode":        func(a *Account) { a.Callback.Mode = "" },
		"callback.aes_keys":    func(a *Account) { a.Callback.AESKeys = nil },
		"callback.aes_keys[1]": func(a *Account) { a.Callback.AESKeys[1] = "short" },
		"time_zone":            func(a *Account) { a.Zone = "Mars/Base" },
		"gap_minutes":          func(a *Account) { a.Spec.GapMinutes = -1 },
	}
	eachStore(t, func(t *testing.T, s *Store, _ *clock.Manual) {
		for field, harm := range cases {
			a := valid()
			harm(a)
			fields := fault.Fields(s.CreateAccount(t.Context(), a))
			require.Len(t, fields, 1, field)
			require.Equal(t, field, fields[0].Field)
			require.NotEmpty(t, fields[0].Rule)
			for _, secret := range secrets() {
				require.NotContains(t, fields[0].Error(), secret)
			}
		}
		worst := &Account{RatePerSecond: -1, Zone: "x"}
		require.Len(t, fault.Fields(s.CreateAccount(t.Context(), worst)), 9, "all at once")
		all, err := s.FindAccounts(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
		plain := valid()
		plain.Callback = Callback{Mode: ModePlain, Token: "abc"}
		require.NoError(t, s.CreateAccount(t.Context(), plain))
	})
}

func TestAStoredPolicyIsReadStrictly(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, clk *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		most := 3
		changed, err := s.UpdateSending(t.Context(), a.ID, 1, func(a *Account) { a.Spec = guard.PolicySpec{DailyCap: &most}; a.RatePerSecond = 9 })
		require.NoError(t, err)
		require.Equal(t, 3, changed.Policy.Caps[guard.PeriodDay])
		got, err := s.FindAccount(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, []int{3, 9}, []int{got.Policy.Caps[guard.PeriodDay], got.RatePerSecond})
		require.Equal(t, a.Secret, got.Secret)

		_, err = s.UpdateSending(t.Context(), a.ID, 1, func(a *Account) { a.RatePerSecond = 10 })
		require.True(t, fault.Is(err, fault.Conflict), "somebody changed it since")
		tooMany := 16
		_, err = s.UpdateSending(t.Context(), a.ID, 2, func(a *Account) { a.Spec.DailyCap = &tooMany })
		require.Equal(t, "daily_cap", fault.Fields(err)[0].Field)
		_, err = s.UpdateSending(t.Context(), 99, 1, func(*Account) {})
		require.True(t, fault.Is(err, fault.NotFound))

		require.NoError(t, s.db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec(`UPDATE accounts SET policy = '{"daily_cpa":3}', revision = 3`).Error
		}))
		clk.Advance(freshFor)
		_, err = s.FindAccount(t.Context(), a.ID)
		require.ErrorContains(t, err, "daily_cpa", "a policy that is not understood sends nothing")
	})
}

func TestSecretsAreInNoTextOfAnAccount(t *testing.T) {
	t.Parallel()
	a := valid()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, a, *a, a.Callback, []*Account{a})
		fmt.Fprintf(&out, verb, []Account{*a})
		fmt.Fprintf(&out, verb, struct{ A Account }{*a})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("x", "a", a, "b", *a, "c", a.Callback, "d", []*Account{a}, "e", struct{ A *Account }{a})
	}
	require.NoError(t, json.NewEncoder(&out).Encode(a))
	require.Contains(t, out.String(), "account 0 (wx0123456789abcdef)")
	for _, secret := range secrets() {
		require.NotContains(t, out.String(), secret)
	}
}

func TestAccountsAreReadAgainWhenTheyAreOldOrChangedHere(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *Store, clk *clock.Manual) {
		a := valid()
		require.NoError(t, s.CreateAccount(t.Context(), a))
		find := func() *Account {
			got, err := s.FindAccount(t.Context(), a.ID)
			require.NoError(t, err)
			return got
		}
		first := find()
		require.Same(t, first, find())
		elsewhere := New(s.db, clk, s.vault)
		_, err := elsewhere.UpdateSending(t.Context(), a.ID, 1, func(a *Account) { a.RatePerSecond = 7 })
		require.NoError(t, err)
		clk.Advance(freshFor - time.Millisecond)
		require.Same(t, first, find(), "not yet old")
		clk.Advance(time.Millisecond)
		require.Equal(t, 7, find().RatePerSecond)
		kept := find()
		clk.Advance(freshFor)
		require.Same(t, kept, find(), "an unchanged row is not unsealed again")

		s.stop(t, a.ID, true)
		require.True(t, find().Stopped, "what this process changed is seen at once")
		s.stop(t, a.ID, false)
		require.False(t, find().Stopped, "even within the same millisecond")
		s.stop(t, a.ID, true)
		ids, err := s.Stopped(s.db.Read(t.Context()))
		require.NoError(t, err)
		require.Equal(t, []int64{a.ID}, ids)
		err = s.db.Tx(t.Context(), func(tx *gorm.DB) error { return s.SetStopped(tx, 99, true, "") })
		require.True(t, fault.Is(err, fault.NotFound))
	})
}
