package fans_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestTheLastPushIsFoundBehindThoseOfOtherAccounts(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC))
		inbox := fans.NewInbox(db, clk)
		put := func(account int64, n int) {
			require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
				return tx.Exec("INSERT INTO inbox (account_id, dedupe_key, openid, body, event_at, received_at) VALUES (?, ?, '', '', 0, ?)",
					account, strconv.Itoa(n), clk.Now().UnixMilli()).Error
			}))
		}
		last := func(account int64, back time.Duration) accounts.LastPush {
			found, err := inbox.LastPush(t.Context(), account, clk.Now().Add(-back))
			require.NoError(t, err)
			return found
		}
		require.Zero(t, last(1, time.Hour))
		put(1, 1)
		at := clk.Now().UnixMilli()
		clk.Advance(time.Minute)
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			for i := range 1200 { // more than a page
				if err := tx.Exec("INSERT INTO inbox (account_id, dedupe_key, openid, body, event_at, received_at) VALUES (2, ?, '', '', 0, ?)",
					strconv.Itoa(i), clk.Now().UnixMilli()).Error; err != nil {
					return err
				}
			}
			return nil
		}))
		require.Equal(t, accounts.LastPush{Ever: true, ReceivedAt: at}, last(1, time.Hour))
		require.Equal(t, clk.Now().UnixMilli(), last(2, time.Hour).ReceivedAt)
		require.Equal(t, accounts.LastPush{Ever: true}, last(1, 30*time.Second), "it came, but not in that time")
		require.Zero(t, last(3, time.Hour))
	})
}
