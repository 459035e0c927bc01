package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/config"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
	"hongyan/wechat/simulator"
)

// childVariable makes this test binary the program under test: the same main, with leases short enough that a test can wait for them.
const childVariable = "HONGYAN_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	dir, err := os.MkdirTemp("", "hongyan")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	racelessDir = dir
	end := func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	// fasthttp cleans up after its workers in a goroutine that wakes every ten seconds, and keeps the date in another for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), goleak.Cleanup(end))
}

// shortTiming lets what a killed process held be found in a second or two.
func shortTiming() scheduler.Timing {
	return scheduler.Timing{
		BatchLease: 2 * time.Second, BatchRenew: 500 * time.Millisecond, DispatchLease: time.Second, InboundLease: 2 * time.Second,
		LeftoverAge: 2 * time.Second, SlotTTL: 2 * time.Second, SweepEvery: 500 * time.Millisecond, Forgotten: 2 * time.Second, JobLease: 2 * time.Second,
	}
}

func child() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	environ := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, childVariable) })
	e := env{args: os.Args[1:], environ: environ, out: os.Stdout, err: os.Stderr}
	if len(e.args) == 0 || e.args[0] != "serve" {
		return run(ctx, e)
	}
	e.args = e.args[1:]
	if err := serve(ctx, e, shortTiming()); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return 1
	}
	return 0
}

// servers are the MySQL and Redis of an installation; the zero value is the embedded storage.
type servers struct{ dsn, redis string }

// program is the binary that an installation's processes run: this test binary, race detector included.
func (in *install) program() string {
	if in.binary != "" {
		return in.binary
	}
	self, err := os.Executable()
	require.NoError(in.t, err)
	return self
}

// racelessDir is where raceless builds. It is there for as long as the tests run.
var racelessDir string

// raceless builds this test binary once without the race detector, under which the embedded database is twenty times slower: a load is no load then.
var raceless = sync.OnceValues(func() (string, error) {
	path := filepath.Join(racelessDir, "hongyan.test")
	out, err := exec.Command("go", "test", "-c", "-o", path, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build without the race detector: %w: %s", err, out)
	}
	return path, err
})

func buildWithoutRaces(t *testing.T) string {
	t.Helper()
	path, err := raceless()
	require.NoError(t, err)
	return path
}

// install is one installation under test: its storage and data directory, a platform of its own, and the processes that a test starts. The test looks into
// the database beside them.
type install struct {
	t       *testing.T
	servers servers
	dataDir string
	binary  string // "" is this test binary
	sim     *simulator.Simulator
	simURL  string
	account *accounts.Account
	openids []string
	rows    *sql.DB
	rooms   *Server // the test's own view of the rooms; on the embedded storage only while no process runs

	targets atomic.Pointer[[]*url.URL] // where pushes go
	turn    atomic.Uint64
	thrice  atomic.Bool // every push goes out three times at once
	mu      sync.Mutex
	started []*process
	answers []string // to pushes that went out three times
}

// setup is what an installation starts with.
type setup struct {
	servers  servers
	record   simulator.RecordMode
	fans     int // persons, of whom none has done anything yet
	follow   bool
	rate     int
	inFlight int
	plain    bool   // pushes are not encrypted
	binary   string // "" is this test binary
}

// eachStorage runs test on the embedded storage and on MariaDB with Redis, as parallel subtests.
func eachStorage(t *testing.T, test func(t *testing.T, at servers)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, servers{})
	})
	t.Run("mariadb+redis", func(t *testing.T) {
		t.Parallel()
		test(t, sharedServers(t))
	})
}

// sharedServers are a database of the test's own on the MySQL that all tests share, and a Redis of its own: queue names are not private to a test.
func sharedServers(t *testing.T) servers {
	t.Helper()
	return servers{dsn: testdb.MySQLDSN(t), redis: startRedis(t).url()}
}

// newInstall makes an installation with an account and its fans on both sides. No process runs yet.
func newInstall(t *testing.T, s setup) *install {
	t.Helper()
	in := &install{t: t, servers: s.servers, dataDir: t.TempDir(), binary: s.binary}
	in.sim = simulator.New(simulator.Options{Seed: 7, Record: s.record, Push: in, PushTimeout: 5 * time.Second, PushWorkers: 16})
	web := httptest.NewServer(in.sim)
	in.simURL = web.URL
	t.Cleanup(func() {
		in.killAll()
		in.close()
		in.sim.Close()
		web.Close()
	})
	if s.servers != (servers{}) {
		require.Zero(t, in.command("migrate").wait(), "migrate")
	}
	in.open()
	in.addAccount(s)
	in.watchRows()
	return in
}

func (in *install) addAccount(s setup) {
	t := in.t
	mode := accounts.ModeSafe
	if s.plain {
		mode = accounts.ModePlain
	}
	in.account = &accounts.Account{
		AppID: "wx0123456789abcdef", OriginalID: "gh_0123456789ab", Name: "tea house", Kind: accounts.KindService, Verified: true, BaseURL: in.simURL,
		Secret: "a secret of the tests", Callback: accounts.Callback{Mode: mode, Token: sandboxToken, AESKeys: []string{sandboxAESKey}},
		RatePerSecond: s.rate, InFlight: s.inFlight,
	}
	require.NoError(t, in.rooms.Scheduler.Accounts.CreateAccount(t.Context(), in.account))
	a := in.account
	require.NoError(t, in.sim.AddAccount(simulator.Account{
		AppID: a.AppID, Secret: a.Secret, OriginalID: a.OriginalID, Type: simulator.Service, Verified: true,
		Callback: simulator.Callback{
			URL: "http://callback.invalid/wechat/callback/" + a.AppID, Token: a.Callback.Token, AESKey: a.Callback.AESKeys[0], Mode: simulator.Mode(mode),
		},
	}))
	var err error
	in.openids, err = in.sim.AddFans(a.AppID, s.fans, s.follow)
	require.NoError(t, err)
}

// RoundTrip brings a push to the processes that take pushes, in turn.
func (in *install) RoundTrip(req *http.Request) (*http.Response, error) {
	list := in.targets.Load()
	if list == nil || len(*list) == 0 {
		return nil, errors.New("nobody listens")
	}
	if !in.thrice.Load() {
		return in.push(req, *list)
	}
	return in.pushThrice(req, *list)
}

func (in *install) push(req *http.Request, list []*url.URL) (*http.Response, error) {
	to := list[in.turn.Add(1)%uint64(len(list))]
	out := req.Clone(req.Context())
	out.URL.Host, out.Host, out.Close = to.Host, to.Host, true
	return http.DefaultTransport.RoundTrip(out)
}

// pushThrice sends a push three times at the same moment and returns one of the answers.
func (in *install) pushThrice(req *http.Request, list []*url.URL) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	var first *http.Response
	for range 3 {
		all.Go(func() {
			one := req.Clone(req.Context())
			one.Body = io.NopCloser(bytes.NewReader(body))
			resp, err := in.push(one, list)
			if err != nil {
				in.t.Error(err)
				return
			}
			answer, err := io.ReadAll(resp.Body)
			if err = errors.Join(err, resp.Body.Close()); err != nil {
				in.t.Error(err)
			}
			resp.Body = io.NopCloser(bytes.NewReader(answer))
			in.mu.Lock()
			defer in.mu.Unlock()
			in.answers = append(in.answers, string(answer))
			first = resp
		})
	}
	all.Wait()
	if first == nil {
		return nil, errors.New("none of three pushes was answered")
	}
	return first, nil
}

// pushTo names the processes that pushes go to.
func (in *install) pushTo(list ...*process) {
	urls := make([]*url.URL, len(list))
	for i, p := range list {
		u, err := url.Parse(p.url)
		require.NoError(in.t, err)
		urls[i] = u
	}
	in.targets.Store(&urls)
}

func (in *install) environ() []string {
	e := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.Getenv("TMPDIR"), "GORACE=halt_on_error=1",
		"HONGYAN_ADDR=127.0.0.1:0", "HONGYAN_DATA_DIR=" + in.dataDir, "HONGYAN_SANDBOX=off", "HONGYAN_LOG_FORMAT=json", "HONGYAN_SHUTDOWN_TIMEOUT=25s",
		"HONGYAN_SECRET_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), accounts.KeySize)), childVariable + "=1",
	}
	if in.servers != (servers{}) {
		e = append(e, "HONGYAN_MYSQL_DSN="+in.servers.dsn, "HONGYAN_REDIS_URL="+in.servers.redis)
	}
	return e
}

// config is what a process of this installation is told.
func (in *install) config() config.Config {
	environ := slices.DeleteFunc(in.environ(), func(pair string) bool { return strings.HasPrefix(pair, childVariable) })
	cfg, _, err := config.Load(nil, environ, io.Discard)
	require.NoError(in.t, err)
	return cfg
}

// open gives the test the rooms of the installation, without anything running in them.
func (in *install) open() {
	if in.rooms != nil {
		return
	}
	t := in.t
	cfg := in.config()
	s := &Server{Config: cfg, Clock: clock.System(), Log: cfg.Logger(io.Discard)}
	require.NoError(t, s.Open(t.Context()))
	in.rooms = s
	if in.account != nil {
		var err error
		in.account, err = s.Scheduler.Accounts.FindAccount(t.Context(), in.account.ID)
		require.NoError(t, err)
	}
}

// close gives them back.
func (in *install) close() {
	if in.rooms != nil {
		require.NoError(in.t, in.rooms.Close())
		in.rooms = nil
	}
}

// watchRows opens a second way into the database, which only reads and which works while a process holds the embedded storage.
func (in *install) watchRows() {
	t := in.t
	driver, dsn := "mysql", in.servers.dsn
	if in.servers == (servers{}) {
		driver, dsn = "sqlite", "file:"+filepath.ToSlash(filepath.Join(in.dataDir, databaseFile))+"?_pragma=query_only(1)&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	in.rows = db
	t.Cleanup(func() { require.NoError(t, db.Close()) })
}

// number reads one number from the database; -1 while it cannot be read.
func (in *install) number(query string, args ...any) int64 {
	var n int64
	if err := in.rows.QueryRowContext(in.t.Context(), query, args...).Scan(&n); err != nil {
		return -1
	}
	return n
}

// process is one process of the program.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	done chan struct{}
	code int

	mu    sync.Mutex
	lines []string
	ready chan string
}

// serve starts a server and waits until it is ready.
func (in *install) serve(extra ...string) *process {
	in.t.Helper()
	if in.servers == (servers{}) {
		in.close()
	}
	p := in.command("serve", extra...)
	select {
	case p.url = <-p.ready:
	case <-p.done:
		require.FailNow(in.t, "the server ended", p.log())
	case <-time.After(60 * time.Second):
		require.FailNow(in.t, "the server does not become ready", p.log())
	}
	return p
}

// command starts a command of the program. extra are further variables.
func (in *install) command(name string, extra ...string) *process {
	in.t.Helper()
	p := &process{t: in.t, cmd: exec.Command(in.program(), name), done: make(chan struct{}), ready: make(chan string, 1)}
	p.cmd.Env = append(in.environ(), extra...)
	p.cmd.Stdout = lineWriter{p}
	stderr, err := p.cmd.StderrPipe()
	require.NoError(in.t, err)
	require.NoError(in.t, p.cmd.Start())
	in.mu.Lock()
	in.started = append(in.started, p)
	in.mu.Unlock()
	go p.follow(stderr)
	return p
}

type lineWriter struct{ p *process }

func (w lineWriter) Write(b []byte) (int, error) {
	w.p.keep(strings.TrimSpace(string(b)))
	return len(b), nil
}

// follow reads the log until the process ends.
func (p *process) follow(stderr io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.keep(lines.Text())
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); errors.As(err, &exit) {
		p.code = exit.ExitCode()
	}
}

func (p *process) keep(line string) {
	var entry struct{ Msg, URL string }
	if strings.Contains(line, `"ready"`) && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "ready" {
		p.ready <- entry.URL
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
}

// log is everything that the process wrote.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// kill ends the process as a loss of power would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop ends the process as an operator does, and checks that it ended well.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.Zero(p.t, p.wait(), "the process did not end well:\n%s", tail(p.log()))
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		require.FailNow(p.t, "the process does not end", tail(p.log()))
	}
	return p.code
}

func (p *process) signal(sig os.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		require.NoError(p.t, err)
	}
}

// killAll ends what still runs and looks into all logs for data races.
func (in *install) killAll() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.started {
		p.kill()
		if strings.Contains(p.log(), "DATA RACE") {
			in.t.Errorf("a data race in %v:\n%s", p.cmd.Args[1:], p.log())
		}
	}
	if in.t.Failed() && len(in.started) > 0 {
		if dir := os.Getenv("HONGYAN_TEST_LOGS"); dir != "" {
			for i, p := range in.started {
				name := filepath.Join(dir, fmt.Sprintf("%s-%d.log", strings.ReplaceAll(in.t.Name(), "/", "-"), i))
				if err := os.WriteFile(name, []byte(p.log()), 0o600); err != nil {
					in.t.Error(err)
				}
			}
		}
		in.t.Logf("the end of the last process's log:\n%s", tail(in.started[len(in.started)-1].log()))
	}
}

func tail(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// get asks a process for a page and returns its body.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	resp, err := http.Get(p.url + path)
	require.NoError(p.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(p.t, errors.Join(err, resp.Body.Close()))
	return resp.StatusCode, string(raw)
}
