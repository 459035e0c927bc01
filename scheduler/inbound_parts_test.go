package scheduler_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/fans"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
)

// deed is what a person does: a stored push with nobody waiting for its answer.
func deed(person string, i int, kind string) fans.Push {
	at := start.Add(time.Duration(i-100_000) * time.Second)
	body := fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>", originalID, person, at.Unix())
	switch kind {
	case "subscribe", "unsubscribe":
		body += "<MsgType>event</MsgType><Event>" + kind + "</Event></xml>"
	case "click":
		body += "<MsgType>event</MsgType><Event>CLICK</Event><EventKey>menu</EventKey></xml>"
	default:
		body += fmt.Sprintf("<MsgType>text</MsgType><Content>%s</Content><MsgId>%d</MsgId></xml>", kind, i)
	}
	return fans.Push{DedupeKey: fmt.Sprintf("m:%d", i), OpenID: person, Body: []byte(body), EventAt: at.UnixMilli()}
}

// lay lays pushes into the inbox, in their order, and returns their ids.
func (w *world) lay(pushes []fans.Push) []int64 {
	w.t.Helper()
	ids := make([]int64, len(pushes))
	for first := 0; first < len(pushes); first += database.ChunkSize {
		chunk := pushes[first:min(first+database.ChunkSize, len(pushes))]
		var args []any
		for i, p := range chunk {
			ids[first+i] = int64(first + i + 1)
			args = append(args, ids[first+i], w.account.ID, p.DedupeKey, p.OpenID, p.Body, p.EventAt, start.UnixMilli(), start.UnixMilli())
		}
		w.tx(func(tx *gorm.DB) error {
			return tx.Exec("INSERT INTO inbox (id, account_id, dedupe_key, openid, body, event_at, received_at, pending_at) VALUES (?,?,?,?,?,?,?,?)"+
				strings.Repeat(",(?,?,?,?,?,?,?,?)", len(chunk)-1), args...).Error
		})
	}
	return ids
}

// facts is all that was made of people's pushes, person by person, in the order in which it was made.
func (w *world) facts() []string {
	w.t.Helper()
	var out []string
	for _, query := range []string{
		"SELECT f.openid, 'did', i.inbox_id, i.kind, i.detail, i.generation, i.touched FROM interactions i JOIN fans f ON f.id = i.fan_id ORDER BY f.openid, i.id",
		"SELECT f.openid, 'run', e.campaign_id, e.occurrence, i.inbox_id, e.state, e.exit_reason FROM enrolments e JOIN fans f ON f.id = e.fan_id " +
			"JOIN interactions i ON i.id = e.interaction_id ORDER BY f.openid, e.campaign_id, e.occurrence",
		"SELECT f.openid, d.source_id, d.occurrence, d.step_no, d.message_no, d.state, d.reason FROM deliveries d JOIN fans f ON f.id = d.fan_id " +
			"ORDER BY f.openid, d.source_id, d.occurrence, d.step_no, d.message_no",
		"SELECT f.openid, f.subscribed, l.generation, l.message_left, l.message_until, l.menu_left, l.follow_until FROM fans f JOIN fan_limits l ON l.fan_id = f.id ORDER BY f.openid",
		"SELECT 'inbox', COUNT(*), COUNT(pending_at), MAX(tries), MAX(error), 0, 0 FROM inbox",
	} {
		require.NoError(w.t, database.EachRow(w.db.Read(w.t.Context()), func(rows *sql.Rows) error {
			var c [7]string
			err := rows.Scan(&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6])
			out = append(out, strings.Join(c[:], " "))
			return err
		}, query))
	}
	return out
}

// sideBySide is a process that works on sets as one in real time does, with the clock in the test's hands.
func sideBySide(t *testing.T, db *database.DB) *world {
	t.Helper()
	redis := testdb.MiniRedis(t)
	w := newWorld(t, db, setup{queued: true, redis: redis.Client, prefix: redis.Prefix})
	w.drip(onWord("go"), nil, step("1h", "hello", "and more"))
	w.drip(onWord("go"), j{"re_entry": j{"mode": "always"}, "exits": []any{j{"on": "replied", "keywords": []string{"stop"}}}}, step("2h", "again"))
	w.drip(onFollow(), j{"re_entry": j{"mode": "always"}}, step("0s", "welcome"), step("3h", "well?"))
	return w
}

// TestSetsSideBySideMakeOfEachFansActsWhatOneAfterTheOtherDoes gives the same pushes of few people, all mixed, to a process that parts them and to one that does not.
func TestSetsSideBySideMakeOfEachFansActsWhatOneAfterTheOtherDoes(t *testing.T) {
	t.Parallel()
	seed := testdb.Seeds(t, 1)
	for s := range seed {
		r := rand.New(rand.NewPCG(s+1, 21))
		people, kinds := 15+r.IntN(40), []string{"subscribe", "unsubscribe", "go", "go", "stop", "hello", "click"}
		pushes := make([]fans.Push, 500)
		for i := range pushes {
			pushes[i] = deed(fmt.Sprintf("person-%02d", r.IntN(people)), i+1, kinds[r.IntN(len(kinds))])
		}
		one, many := sideBySide(t, testdb.SQLite(t)), sideBySide(t, testdb.MySQL(t))
		for ids := range slices.Chunk(one.lay(pushes), 200) {
			require.NoError(t, one.s.Inbound.RunOnce(t.Context(), ids))
		}
		for ids := range slices.Chunk(many.lay(pushes), 400) {
			require.NoError(t, many.s.Inbound.RunOnce(t.Context(), ids))
		}
		require.Equal(t, one.facts(), many.facts(), "seed %d", s)
		many.agreed()
		var before int64
		person := ""
		require.NoError(t, database.EachRow(many.db.Read(t.Context()), func(rows *sql.Rows) error {
			var who string
			var inbox int64
			err := rows.Scan(&who, &inbox)
			require.True(t, who != person || inbox > before, "%s did %d before %d", who, before, inbox)
			person, before = who, inbox
			return err
		}, "SELECT f.openid, i.inbox_id FROM interactions i JOIN fans f ON f.id = i.fan_id ORDER BY f.openid, i.id"))
		require.Zero(t, many.number("SELECT COUNT(*) FROM enrolments WHERE campaign_id = 1 AND occurrence > 1"), "the first drip is entered once")
	}
}

// TestSetsSideBySideSeldomUndoEachOther lets two processes act upon bursts, each in parts: four transactions that put rows into the same tables all the time.
func TestSetsSideBySideSeldomUndoEachOther(t *testing.T) {
	t.Parallel()
	const pushes = 1600
	w := sideBySide(t, testdb.MySQL(t))
	var all []fans.Push
	for i := range pushes {
		all = append(all, deed(fmt.Sprintf("person-%04d", i*7%(pushes/2)), i+1, []string{"go", "subscribe", "stop"}[i%3]))
	}
	ids := w.lay(all)
	before := w.db.Stats()
	var working sync.WaitGroup
	for p, process := range []*scheduler.Scheduler{w.s, w.process()} {
		working.Go(func() {
			for set := range slices.Chunk(ids[p*pushes/2:(p+1)*pushes/2], 400) {
				if err := process.Inbound.RunOnce(t.Context(), set); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	retries, done := w.db.Stats().Retries-before.Retries, w.db.Stats().Transactions-before.Transactions
	t.Logf("%d of %d transactions were repeated", retries, done)
	require.LessOrEqual(t, retries, done/4)
	require.EqualValues(t, pushes, w.number("SELECT COUNT(*) FROM interactions"))
	require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL OR tries > 1"))
	w.agreed()
}
