package scheduler_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/wechat/simulator"
)

func TestTheHoursCheckStoresWhatIsWrongAndLogsIt(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	embedded(t, setup{log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, w *world) {
		require.NoError(t, w.sim.UpdateAccount(appID, func(a *simulator.Account) { a.Secret = "another" }))
		require.NoError(t, w.s.CheckAccounts(t.Context()))
		report, err := w.s.Checks.LastCheck(t.Context(), w.account.ID)
		require.NoError(t, err)
		require.Equal(t, accounts.SeverityError, report.Worst())
		require.Contains(t, log.String(), "secret_wrong")
		require.NotContains(t, log.String(), secret)
	})
}
