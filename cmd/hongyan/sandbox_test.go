package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/admin"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/config"
)

// openAgain opens a server with the sandbox on a data directory.
func openAgain(t *testing.T, dir string, role config.Role) *Server {
	t.Helper()
	cfg, err := loadConfig(env{args: []string{"--data-dir", dir, "--addr", "127.0.0.1:0", "--sandbox", "on"}, err: io.Discard})
	require.NoError(t, err)
	cfg.Role = role
	s := &Server{Config: cfg, Clock: clock.System(), Log: slog.New(slog.DiscardHandler), Timing: shortTiming()}
	require.NoError(t, s.Open(t.Context()))
	return s
}

// startAgain starts a server with the sandbox on a data directory, and returns how to end it.
func startAgain(t *testing.T, dir string, role config.Role) (*Server, func()) {
	t.Helper()
	s := openAgain(t, dir, role)
	require.NoError(t, s.Start(t.Context()))
	return s, func() {
		require.NoError(t, s.Stop(context.Background()))
		require.NoError(t, s.Close())
	}
}

func (s *Server) number(t *testing.T, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, s.storage.db.Read(t.Context()).Raw(query, args...).Scan(&n).Error)
	return n
}

// A platform that did not know the account yet would answer the first message with 40013, which stops the account.
func TestMessagesThatAreDueAtARestartDoNotStopTheSandbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, end := startAgain(t, dir, config.RoleAPI) // takes pushes and sends nothing
	control := sandboxControl{first.sandbox.sim}
	for _, openid := range first.sandbox.openids[:20] {
		if _, err := control.Act(t.Context(), sandboxAppID, &admin.SandboxAct{OpenID: openid, Kind: "follow"}); err != nil {
			t.Logf("the script was faster: %v", err)
		}
		// The first of two messages is the answer to the push; the second has to be sent.
		_, err := control.Act(t.Context(), sandboxAppID, &admin.SandboxAct{OpenID: openid, Kind: "text", Text: "优惠"})
		require.NoError(t, err)
	}
	const waiting = "SELECT COUNT(*) FROM deliveries WHERE state = ? AND due_at <= ?"
	require.Eventually(t, func() bool {
		return first.number(t, waiting, deliveries.StatePlanned, first.Clock.Now().UnixMilli()) >= 20
	}, time.Minute, 50*time.Millisecond)
	end()

	second, end := startAgain(t, dir, config.RoleAll)
	defer end()
	require.Eventually(t, func() bool {
		return second.number(t, "SELECT COUNT(*) FROM deliveries WHERE state NOT IN ?", []deliveries.State{deliveries.StatePlanned, deliveries.StateSending}) >= 20
	}, time.Minute, 50*time.Millisecond)
	account, err := second.Scheduler.Accounts.FindAccountByAppID(t.Context(), sandboxAppID)
	require.NoError(t, err)
	require.False(t, account.Stopped, account.StoppedReason)
}

func TestNothingIsSentWhileTheSandboxIsNotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, end := startAgain(t, dir, config.RoleAll)
	end()
	s := openAgain(t, dir, config.RoleAll)
	account, err := s.Scheduler.Accounts.FindAccountByAppID(t.Context(), sandboxAppID)
	require.NoError(t, err)
	_, err = populate(s.sandbox.sim, account, "http://127.0.0.1", 0) // there already: so the sandbox cannot be opened
	require.NoError(t, err)
	asked := s.storage.mini.CommandCount()
	require.ErrorContains(t, s.Start(t.Context()), "sandbox")
	require.Equal(t, asked, s.storage.mini.CommandCount(), "whoever begins to work asks the queue")
	require.NoError(t, s.Close())
}
