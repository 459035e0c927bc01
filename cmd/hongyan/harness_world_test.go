package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/wechat"
)

// drip makes and starts a drip. Its definition is written as a member would write it.
func (in *install) drip(name string, triggers []any, steps ...any) *campaigns.Drip {
	t := in.t
	t.Helper()
	raw, err := json.Marshal(map[string]any{"triggers": triggers, "steps": steps, "re_entry": map[string]any{"mode": "once"}})
	require.NoError(t, err)
	drips := in.rooms.Scheduler.Campaigns
	d, err := drips.CreateDrip(t.Context(), in.account, campaigns.NewDrip{Name: name, Definition: raw})
	require.NoError(t, err)
	require.NoError(t, drips.StartDrip(t.Context(), in.account, campaigns.Change{ID: d.ID}))
	return d
}

func onKeyword(word string) []any {
	return []any{map[string]any{"kind": "keyword", "keywords": []string{word}}}
}

func onFollow() []any { return []any{map[string]any{"kind": "follow"}} }

// enter lets fans write a word in a hurry: recorded as the intake does it, with their grants open on both sides, but without pushes.
func (in *install) enter(openids []string, word string) {
	t := in.t
	t.Helper()
	const set = 500
	s := in.rooms.Scheduler
	for first := 0; first < len(openids); first += set {
		some := openids[first:min(first+set, len(openids))]
		now := time.Now()
		acts := make([]*fans.Act, len(some))
		for i, openid := range some {
			require.NoError(t, in.sim.GrantFan(openid, wechat.TriggerMessage))
			acts[i] = &fans.Act{
				InboxID: in.nextInbox(), OpenID: openid, Kind: "text", Detail: word, EventAt: now.UnixMilli(), Triggers: []wechat.Trigger{wechat.TriggerMessage},
			}
		}
		require.NoError(t, in.rooms.storage.db.Tx(t.Context(), func(tx *gorm.DB) error {
			recorded, err := s.Fans.Record(tx, fans.Recorder{
				AccountID: in.account.ID, Now: now.UnixMilli(), Rules: wechat.RulesAt(now), Uncounted: s.Ledger.Uncounted,
			}, acts)
			if err != nil {
				return err
			}
			entering := make([]campaigns.Act, len(recorded))
			for i, r := range recorded {
				entering[i] = campaigns.Act{
					Kind: campaigns.ActText, Text: word, Fan: r.Fan, InteractionID: r.InteractionID, EventAt: r.Act.EventAt, Usage: r.Usage,
				}
			}
			_, err = s.Campaigns.Enter(tx, campaigns.EnterInput{Now: now, Account: in.account, Acts: entering})
			return err
		}))
	}
}

// nextInbox numbers interactions without pushes, far above the inbox's own ids.
func (in *install) nextInbox() int64 { return 1_000_000_000 + int64(in.turn.Add(1)) }

// tally is how an account's deliveries stand.
type tally map[deliveries.State]int64

func (c tally) total() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

// open counts the deliveries that have not come to their end.
func (c tally) open() int64 { return c[deliveries.StatePlanned] + c[deliveries.StateSending] }

// tally counts the ledger's rows by state; nil while the database cannot be read.
func (in *install) tally() tally {
	out := tally{}
	rows, err := in.rows.QueryContext(in.t.Context(), "SELECT state, COUNT(*) FROM deliveries GROUP BY state")
	if err != nil {
		return nil
	}
	err = eachTally(rows, out)
	if err != nil {
		return nil
	}
	return out
}

func eachTally(rows *sql.Rows, out tally) error {
	for rows.Next() {
		var state deliveries.State
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return errors.Join(err, rows.Close())
		}
		out[state] = n
	}
	return errors.Join(rows.Err(), rows.Close())
}

// finished waits until want deliveries are planned and all of them have come to their end.
func (in *install) finished(want int64, within time.Duration) tally {
	in.t.Helper()
	var last tally
	require.Eventually(in.t, func() bool {
		now := in.tally()
		if now != nil {
			last = now
		}
		return now != nil && now.total() == want && now.open() == 0
	}, within, 200*time.Millisecond, "deliveries do not come to their ends: %s", describe{&last})
	return last
}

// describe prints a tally when the message is made, which is after the wait.
type describe struct{ at *tally }

// String implements fmt.Stringer.
func (d describe) String() string {
	var text strings.Builder
	for state, n := range *d.at {
		fmt.Fprintf(&text, " %s=%d", state, n)
	}
	return text.String()
}

// balanced checks what must hold after every fault: nothing was accepted twice, what the ledger calls sent was accepted, what was accepted the ledger calls
// sent or unknown, and there are no more unknown ones than there may be.
func (in *install) balanced(end tally, unknown int64) {
	t := in.t
	t.Helper()
	counts := in.sim.Counts().Send()
	t.Logf("ledger:%s; platform: %d calls, %d accepted, %d answers lost or busy; unknown may be %d", describe{&end}, counts.Calls, counts.Accepted,
		counts.Unknowable(), unknown)
	require.Empty(t, in.sim.Duplicates(), "a message was accepted twice")
	sent := end[deliveries.StateSent] - in.number("SELECT COUNT(*) FROM deliveries WHERE state = ? AND channel <> ?", deliveries.StateSent, guard.ChannelKefu)
	accepted := int64(counts.Accepted)
	require.LessOrEqual(t, sent, accepted, "the ledger says sent of what the platform never accepted")
	require.LessOrEqual(t, accepted, sent+end[deliveries.StateUnknown], "the platform accepted what the ledger says was not sent")
	require.LessOrEqual(t, end[deliveries.StateUnknown], unknown, "more unknown deliveries than faults can explain")
	require.Eventually(t, func() bool { return in.number("SELECT COUNT(*) FROM batches") == 0 }, time.Minute, 100*time.Millisecond, "batches are left over")
	require.Eventually(t, func() bool { return in.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'") == 0 }, 90*time.Second, 100*time.Millisecond,
		"enrolments are left with nothing pending")
}

// reaches waits until the platform has accepted n messages.
func (in *install) reaches(n int, within time.Duration) {
	in.t.Helper()
	require.Eventually(in.t, func() bool { return in.sim.Counts().Send().Accepted >= n }, within, 5*time.Millisecond,
		"the platform has not accepted %d messages", n)
}

// redisServer is a Redis of one test, on a port of its own.
type redisServer struct {
	t       *testing.T
	program string
	dir     string
	port    int
	cmd     *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{t: t, program: program(t, "redis-server"), dir: t.TempDir(), port: freePort(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + strconv.Itoa(r.port) + "/0" }

func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command(r.program, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.dir)
	require.NoError(r.t, r.cmd.Start())
	listens(r.t, r.port)
}

// kill ends the server at once; what it held is gone.
func (r *redisServer) kill() { killServer(r.t, &r.cmd) }

func killServer(t *testing.T, cmd **exec.Cmd) {
	t.Helper()
	if *cmd == nil {
		return
	}
	require.NoError(t, (*cmd).Process.Kill())
	var exit *exec.ExitError
	if err := (*cmd).Wait(); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	*cmd = nil
}

// program makes sure that a server can be started: a missing one is skipped at a desk and fails in CI.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // not in everybody's PATH
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("no %s: CI must have it, these tests start servers of their own", name)
	} else if err != nil {
		t.Skipf("skipped, no %s: this test starts servers of its own", name)
	}
	return path
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

func listens(t *testing.T, port int) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
		return err == nil && c.Close() == nil
	}, 60*time.Second, 20*time.Millisecond, "nobody listens on port %d", port)
}

// reasons counts deliveries by state, reason and code, for messages of failed tests.
func (in *install) reasons() string {
	rows, err := in.rows.QueryContext(in.t.Context(), "SELECT state, reason, errcode, COUNT(*) FROM deliveries GROUP BY state, reason, errcode")
	require.NoError(in.t, err)
	defer func() { require.NoError(in.t, rows.Close()) }()
	var text strings.Builder
	for rows.Next() {
		var state deliveries.State
		var reason guard.Reason
		var code, n int
		require.NoError(in.t, rows.Scan(&state, &reason, &code, &n))
		fmt.Fprintf(&text, "%s/%s/%d: %d; ", state, reason, code, n)
	}
	require.NoError(in.t, rows.Err())
	return text.String()
}
