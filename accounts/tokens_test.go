package accounts

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
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

func testTokens(t *testing.T, db *database.DB) *Tokens {
	t.Helper()
	vault, err := NewVault(bytes.Repeat([]byte{7}, KeySize))
	require.NoError(t, err)
	return NewTokens(db, vault)
}

func tokensNow() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func TestAStoredTokenComesBackAndIsEncryptedInTheTable(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		tokens, ctx, now := testTokens(t, db), t.Context(), tokensNow()
		none, err := tokens.Load(ctx, 1)
		require.NoError(t, err)
		require.Zero(t, none)

		mine, err := tokens.Acquire(ctx, 1, "a", now, now.Add(time.Minute))
		require.NoError(t, err)
		require.True(t, mine)
		none, err = tokens.Load(ctx, 1)
		require.NoError(t, err)
		require.Zero(t, none, "acquired, but nothing stored yet")

		want := wechat.Token{
			Value: string(bytes.Repeat([]byte("t"), 512)), AppID: "wx1234567890abcdef", UseUntil: now.Add(2 * time.Hour),
			ForcedAt: now.Add(-time.Minute), Forced: 3,
		}
		require.NoError(t, tokens.Save(ctx, 1, "a", want))
		got, err := tokens.Load(ctx, 1)
		require.NoError(t, err)
		require.Equal(t, want, got)

		var sealed []byte
		require.NoError(t, db.Read(ctx).Raw("SELECT token FROM access_tokens WHERE account_id = 1").Row().Scan(&sealed))
		require.NotEmpty(t, sealed)
		require.NotContains(t, string(sealed), "tttt")
		other, err := tokens.Load(ctx, 2)
		require.NoError(t, err)
		require.Zero(t, other, "another account's")
	})
}

func TestTheRightToRefreshHasOneHolder(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		tokens, ctx, now := testTokens(t, db), t.Context(), tokensNow()
		acquire := func(owner string, at time.Time) bool {
			mine, err := tokens.Acquire(ctx, 1, owner, at, at.Add(30*time.Second))
			require.NoError(t, err)
			return mine
		}
		require.True(t, acquire("a", now))
		require.False(t, acquire("b", now.Add(29*time.Second)))
		require.True(t, acquire("b", now.Add(30*time.Second)), "a died, and its lease has ended")
		require.ErrorIs(t, tokens.Save(ctx, 1, "a", wechat.Token{Value: "late"}), wechat.ErrLeaseLost)
		require.NoError(t, tokens.Release(ctx, 1, "a"))
		require.False(t, acquire("c", now.Add(31*time.Second)), "a could not give away what b holds")
		require.NoError(t, tokens.Release(ctx, 1, "b"))
		require.True(t, acquire("c", now.Add(31*time.Second)))
		require.NoError(t, tokens.Save(ctx, 1, "c", wechat.Token{Value: "v"}))
		require.True(t, acquire("d", now.Add(31*time.Second)), "saving gives the right back")
	})
}

func TestOfManyThatAcquireAtOnceOneWins(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		tokens, now := testTokens(t, db), tokensNow()
		for round := range 3 {
			var wg sync.WaitGroup
			var winners atomic.Int32
			for i := range 16 {
				wg.Go(func() {
					mine, err := tokens.Acquire(t.Context(), int64(round), strconv.Itoa(i), now, now.Add(time.Minute))
					if err != nil {
						t.Error(err)
					}
					if mine {
						winners.Add(1)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, winners.Load())
		}
	})
}

func TestATokenThatCannotBeReadIsAnErrorWithoutItsText(t *testing.T) {
	t.Parallel()
	db := testdb.SQLite(t)
	tokens, now := testTokens(t, db), tokensNow()
	put := func(token []byte) {
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("REPLACE INTO access_tokens (account_id, token, expires_at, version) VALUES (1, ?, ?, 1)",
				token, clock.Millis(now)).Error
		}))
	}
	put([]byte("not sealed at all"))
	_, err := tokens.Load(t.Context(), 1)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)

	sealed, err := tokens.sealer.Seal([]byte(`secret {`))
	require.NoError(t, err)
	put(sealed)
	_, err = tokens.Load(t.Context(), 1)
	require.True(t, fault.Is(err, fault.Internal), "%v", err)
	require.NotContains(t, err.Error(), "secret")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tokens.Load(gone, 1)
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

// Two clients with their own memory stand for two processes.
func TestTwoProcessesCauseOneTokenRequest(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			if _, err := fmt.Fprint(w, `{"access_token":"T","expires_in":7200}`); err != nil {
				t.Error(err)
			}
		}))
		defer server.Close()
		transport := wechat.NewTransport(4)
		defer transport.CloseIdleConnections()
		account := wechat.Account{ID: 1, AppID: "wx1", Secret: "s", BaseURL: server.URL}
		var wg sync.WaitGroup
		for range 2 {
			client := wechat.New(wechat.Options{Transport: transport, Tokens: testTokens(t, db)})
			for range 25 {
				wg.Go(func() {
					token, err := client.Token(t.Context(), account)
					if err != nil || token != "T" {
						t.Errorf("token %q, error %v", token, err)
					}
				})
			}
		}
		wg.Wait()
		require.EqualValues(t, 1, asked.Load())
	})
}
