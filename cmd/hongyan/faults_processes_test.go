package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/internal/testdb"
	"hongyan/wechat/simulator"
)

// Two workers and two processes that take pushes share the work, the account's limits and every fan.
func TestTwoWorkersAndTwoIntakesShareTheWork(t *testing.T) {
	t.Parallel()
	const messages, followers, inFlight = 1500, 100, 20
	in := newInstall(t, setup{servers: sharedServers(t), record: simulator.RecordFull, fans: messages, follow: true, rate: 300, inFlight: inFlight})
	strangers, err := in.sim.AddFans(in.account.AppID, followers, false)
	require.NoError(t, err)
	in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
	in.drip("welcome", onFollow(), dripStep(map[string]any{"delay": "0s"}, "welcome", "and a second word"))
	in.enter(in.openids, "one")
	entered := in.number("SELECT COUNT(*) FROM interactions")
	require.NoError(t, in.sim.SetFaults(simulator.PathSend, simulator.Faults{Latency: simulator.Duration(30 * time.Millisecond)}))
	require.NoError(t, in.sim.SetPushFaults(simulator.PushFaults{LoseAnswers: 1, Share: 0.5}))

	workers := []*process{in.serve("HONGYAN_ROLE=worker"), in.serve("HONGYAN_ROLE=worker")}
	intakes := []*process{in.serve("HONGYAN_ROLE=api"), in.serve("HONGYAN_ROLE=api")}
	in.pushTo(intakes...)
	in.followAll(strangers)
	end := in.finished(messages+2*followers, time.Minute)
	in.balanced(end, 0)
	require.EqualValues(t, messages+2*followers, end[deliveries.StateSent], in.reasons())
	require.Equal(t, entered+followers, in.number("SELECT COUNT(*) FROM interactions"), "each push counts once")
	require.LessOrEqual(t, in.sim.Counts().Send().MaxInFlight, inFlight, "the workers together exceed the account's limit")
	for _, p := range workers {
		_, metrics := p.get("/metrics")
		require.Contains(t, metrics, `hongyan_outcomes_total{state="sent"}`, "one worker did nothing")
	}
	for _, p := range append(workers, intakes...) {
		p.stop()
	}
}

// A copy of an installation, such as a restored backup, sends nothing, even beside the original and on the same Redis; it says so, and a member can
// let it.
func TestARestoredCopySendsNothingUntilAMemberLetsIt(t *testing.T) {
	t.Parallel()
	const messages = 300
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, record: simulator.RecordFull, fans: messages, follow: true, rate: 500, inFlight: 20})
		in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
		in.enter(in.openids, "one")
		copied := in.restore()

		twin := copied.serve()
		status, page := twin.get("/readyz")
		require.Equal(t, 200, status, page)
		require.Contains(t, page, "sending is stopped")
		require.Contains(t, twin.log(), "this looks like a copy of the installation")
		require.Never(t, func() bool { return len(in.sim.Calls(simulator.Filter{})) > 0 }, 2*time.Second, 50*time.Millisecond, "the copy calls the platform")

		p := in.serve()
		end := in.finished(messages, time.Minute)
		in.balanced(end, 0)
		require.EqualValues(t, messages, end[deliveries.StateSent], in.reasons())
		require.EqualValues(t, messages, copied.tally()[deliveries.StatePlanned], "the copy worked on its deliveries")
		p.stop()
		twin.stop()

		require.Zero(t, copied.command("resume").wait(), "resume")
		twin = copied.serve()
		require.Equal(t, "ready\n", second(twin.get("/readyz")))
		require.Eventually(t, func() bool { return len(in.sim.Duplicates()) == messages }, time.Minute, 50*time.Millisecond, "the copy does not send although it may")
		twin.stop()
	})
}

func second(_ int, s string) string { return s }

// restore makes a copy of the installation: its database on the same server, and nothing of its data directory.
func (in *install) restore() *install {
	t := in.t
	t.Helper()
	in.close()
	copied := &install{t: t, servers: in.servers, dataDir: t.TempDir(), sim: in.sim, simURL: in.simURL}
	t.Cleanup(copied.killAll)
	if in.servers == (servers{}) {
		raw, err := os.ReadFile(filepath.Join(in.dataDir, databaseFile))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(copied.dataDir, databaseFile), raw, 0o600))
	} else {
		copied.servers.dsn = testdb.MySQLDSN(t)
		copyTables(t, in.servers.dsn, copied.servers.dsn)
	}
	copied.watchRows()
	return copied
}

// copyTables restores one database from another on the same server.
func copyTables(t *testing.T, from, to string) {
	t.Helper()
	source, err := mysql.ParseDSN(from)
	require.NoError(t, err)
	db, err := sql.Open("mysql", to)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.QueryContext(t.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", source.DBName)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	for _, name := range names {
		original := "`" + source.DBName + "`.`" + name + "`"
		for _, statement := range []string{"CREATE TABLE " + name + " LIKE " + original, "INSERT INTO " + name + " SELECT * FROM " + original} { //nolint:unqueryvet // a copy has every column
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	require.NotEmpty(t, names, "nothing to restore from %s", strings.ToLower(source.DBName))
}

// execute runs one statement on a MySQL server.
func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}
