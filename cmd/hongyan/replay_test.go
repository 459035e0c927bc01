package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/scheduler"
)

// replayOf runs `hongyan replay` and returns what it prints, and its exit code.
func (in *install) replayOf(args ...string) (out string, code int) {
	in.t.Helper()
	in.close() // the embedded storage has one user
	environ := slices.DeleteFunc(in.environ(), func(pair string) bool { return strings.HasPrefix(pair, childVariable) })
	var printed, failed bytes.Buffer
	code = run(in.t.Context(), env{args: append([]string{"replay"}, args...), environ: append(environ, "HONGYAN_LOG_LEVEL=error"), out: &printed, err: &failed})
	return printed.String() + failed.String(), code
}

// replayed checks that everything that is believed is what pushes and ledger say. On the embedded storage no process may run.
func (in *install) replayed() {
	in.t.Helper()
	in.open()
	report, err := scheduler.NewReplay(scheduler.ReplayOptions{
		DB: in.rooms.storage.db, Clock: clock.System(), Accounts: in.rooms.Scheduler.Accounts, AccountID: in.account.ID,
	}).Run(in.t.Context())
	require.NoError(in.t, err)
	require.Empty(in.t, report.Differences)
	require.True(in.t, report.Equal())
	require.Positive(in.t, report.Fans)
	require.Zero(in.t, report.Busy+report.BusySources)
}

func TestReplaySaysWhetherEverythingIsAsPushesAndLedgerSay(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: 1, follow: true, rate: 100, inFlight: 10})
		in.follows(nil)
		out, code := in.replayOf()
		require.Equal(t, 0, code, out)
		require.Contains(t, out, "✓ equal / 一致")

		out, code = in.replayOf("--account", "wx404")
		require.Equal(t, 1, code)
		require.Contains(t, out, "wx404")

		in.open()
		require.NoError(t, in.rooms.storage.db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("UPDATE fan_limits SET message_left = message_left + 1 WHERE message_until > 0").Error
		}))
		out, code = in.replayOf("--account", in.account.AppID)
		require.Equal(t, 1, code)
		require.Contains(t, out, "✗ different / 不一致")
		require.Contains(t, out, "message_left: 6, 5")
	})
}
