package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/internal/testdb"
	"hongyan/wechat/simulator"
)

// Redis carries ids of batches and shares limits: when it forgets everything in the middle of a run, nothing is lost and nothing is sent twice.
func TestRedisWipedInTheMiddleOfARunLosesNothing(t *testing.T) {
	t.Parallel()
	const messages = 2000
	r := startRedis(t)
	in := newInstall(t, setup{servers: servers{testdb.MySQLDSN(t), r.url()}, record: simulator.RecordCompact, fans: messages, follow: true, rate: 500, inFlight: 20})
	in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
	in.enter(in.openids, "one")
	opt, err := redis.ParseURL(r.url())
	require.NoError(t, err)
	client := redis.NewClient(opt)
	defer func() { require.NoError(t, client.Close()) }()
	p := in.serve()
	for _, n := range []int{200, 700, 1200, 1700} {
		in.reaches(n, time.Minute)
		require.NoError(t, client.FlushAll(t.Context()).Err())
	}
	end := in.finished(messages, time.Minute)
	in.balanced(end, 0)
	require.EqualValues(t, messages, end[deliveries.StateSent], in.reasons())
	p.stop()
}

// awayFor is how long Redis and the database are away.
const awayFor = 10 * time.Second

// With Redis away, answers to fans go on; bulk waits until it is back.
func TestWithRedisAwayRepliesGoOn(t *testing.T) {
	t.Parallel()
	const messages, followers = 1500, 30
	r := startRedis(t)
	in := newInstall(t, setup{servers: servers{testdb.MySQLDSN(t), r.url()}, record: simulator.RecordFull, fans: messages, follow: true, rate: 200, inFlight: 20})
	strangers, err := in.sim.AddFans(in.account.AppID, followers, false)
	require.NoError(t, err)
	in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
	// The first message is the passive reply, the second needs the queue.
	in.drip("welcome", onFollow(), dripStep(map[string]any{"delay": "0s", "class": "reply"}, "welcome", "and a second word"))
	in.enter(in.openids, "one")
	p := in.serve()
	in.pushTo(p)
	in.reaches(200, time.Minute)

	r.kill()
	gone := time.Now()
	in.followAll(strangers)
	require.Eventually(t, func() bool { return in.calls("and a second word") == followers }, awayFor-time.Second, 50*time.Millisecond, "replies wait for Redis")
	t.Logf("%d replies went %s after Redis had gone", followers, time.Since(gone).Round(time.Millisecond))
	status, _ := p.get("/readyz")
	require.Equal(t, 503, status, "not ready without Redis")
	<-time.After(awayFor - time.Since(gone))
	r.start()

	end := in.finished(messages+2*followers, time.Minute)
	in.balanced(end, 0)
	require.EqualValues(t, messages+2*followers, end[deliveries.StateSent], in.reasons())
	p.stop()
}

// A database that dies and comes back in the middle of a run: what was on the wire is recorded when it is back.
func TestTheDatabaseRestartedInTheMiddleOfARunLosesNothing(t *testing.T) {
	t.Parallel()
	const messages, restarts, inFlight = 2000, 3, 20
	m := startMariaDB(t)
	in := newInstall(t, setup{servers: servers{m.dsn(), startRedis(t).url()}, record: simulator.RecordCompact, fans: messages, follow: true, rate: 500, inFlight: inFlight})
	in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
	in.enter(in.openids, "one")
	p := in.serve()
	for n := range restarts {
		in.reaches(200+500*n, time.Minute)
		m.kill()
		m.start()
	}
	end := in.finished(messages, 90*time.Second)
	in.balanced(end, restarts*(inFlight+100))
	require.Zero(t, end[deliveries.StateFailed], in.reasons())
	p.stop()
}

// mariaDB is a MariaDB of one test, on a port and with a directory of its own. Its settings are as durable as the installation's should be.
type mariaDB struct {
	t       *testing.T
	program string
	dir     string
	port    int
	cmd     *exec.Cmd
}

func startMariaDB(t *testing.T) *mariaDB {
	t.Helper()
	install := program(t, "mariadb-install-db")
	m := &mariaDB{t: t, program: program(t, "mariadbd"), dir: t.TempDir(), port: freePort(t)}
	out, err := exec.CommandContext(t.Context(), install, append(m.options(), "--auth-root-authentication-method=normal", "--skip-test-db")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(m.kill)
	m.start()
	return m
}

func (m *mariaDB) options() []string {
	options := []string{"--no-defaults", "--datadir=" + filepath.Join(m.dir, "data"), "--innodb-log-file-size=32M", "--innodb-buffer-pool-size=64M"}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	return options
}

func (m *mariaDB) start() {
	m.t.Helper()
	m.cmd = exec.Command(m.program, append(m.options(), "--port="+strconv.Itoa(m.port), "--bind-address=127.0.0.1", "--socket="+filepath.Join(m.dir, "s"),
		"--pid-file="+filepath.Join(m.dir, "pid"), "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--skip-log-bin")...)
	require.NoError(m.t, m.cmd.Start())
	listens(m.t, m.port)
}

// kill ends the server as a loss of power would.
func (m *mariaDB) kill() { killServer(m.t, &m.cmd) }

// dsn names a database on the server; it makes it.
func (m *mariaDB) dsn() string {
	m.t.Helper()
	server := "root@tcp(127.0.0.1:" + strconv.Itoa(m.port) + ")/"
	execute(m.t, server, "CREATE DATABASE hongyan CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
	return server + "hongyan"
}
