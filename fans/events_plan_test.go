package fans

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/testdb"
	"hongyan/limits"
)

func TestOwnEventsAndSilenceAreFoundByAnIndex(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	clk := clock.NewManual(start())
	s, in := New(db, clk, limits.New(db)), NewInbox(db, clk)
	const big, small = int64(1), int64(2)
	manyFans(t, db, big, small)
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		err := tx.Exec("INSERT INTO inbox (account_id, dedupe_key, openid, body, event_at, received_at, pending_at, origin) " +
			"SELECT account_id, CONCAT('own:', id), openid, '', 1, 1, CASE WHEN id % 50 = 0 THEN 1 ELSE NULL END, 'api' FROM fans").Error
		if err != nil {
			return err
		}
		return tx.Exec("ANALYZE TABLE inbox, interactions").Error
	}))
	plans := testdb.NewPlanner(t, db).Plans(t, func() {
		_, err := in.OwnWaiting(t.Context(), 200)
		require.NoError(t, err)
		for range 3 {
			_, _, err = s.FindSilence(t.Context(), Silence{AccountID: small, Kind: KindSilent, N: 1})
			require.NoError(t, err)
		}
	})
	require.NotEmpty(t, plans)
	for _, p := range plans {
		if strings.Contains(p.Extra, "tables optimized away") || strings.Contains(p.Extra, "const") || p.Table == "silence_cursors" {
			continue
		}
		require.Contains(t, []string{"const", "eq_ref", "ref", "range"}, p.Type, "%+v", p)
		require.NotContains(t, p.Extra, "filesort", "%+v", p)
	}
}
