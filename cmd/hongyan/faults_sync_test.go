package main

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/fans"
	"hongyan/internal/jobs"
	"hongyan/wechat/simulator"
)

// syncFans is how many fans the platform has in the test; the bench `sync` does a million.
var syncFans = fromEnviron("HONGYAN_TEST_SYNC_FANS", 20_000)

// syncMemory is what a process may use at most while it synchronises, however many fans there are.
const syncMemory = 200 << 10 // KiB

// A synchronisation whose worker is killed again and again ends with exactly the platform's fans, nobody missing, nobody twice, and everybody as the platform
// has them.
func TestASynchronisationKilledThreeTimesMissesNobodyAndMakesNobodyTwice(t *testing.T) {
	t.Parallel()
	binary := buildWithoutRaces(t)
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: syncFans, follow: true, rate: 50, inFlight: 10, binary: binary})
		gone, back := in.misknown(40)
		black := in.openids[100:130]
		for _, openid := range black {
			require.NoError(t, in.sim.SetFanFlags(openid, simulator.FanFlags{Blacklisted: true}))
		}
		job := fans.NewSync(in.account.ID)
		require.NoError(t, in.rooms.Scheduler.Jobs.Create(t.Context(), job))

		began, peak := time.Now(), int64(0)
		for _, reached := range []string{
			fmt.Sprintf("(SELECT COUNT(*) FROM fans) >= %d", syncFans/3), fmt.Sprintf("done >= %d", syncFans/4), fmt.Sprintf("done >= %d", syncFans/4*3),
		} {
			p := in.serve()
			in.jobReaches(job.ID, reached)
			peak = max(peak, p.peak())
			p.kill()
			require.EqualValues(t, 1, in.number("SELECT COUNT(*) FROM jobs WHERE id = ? AND state = 'running'", job.ID), "it died in the middle of the job")
		}
		p := in.serve()
		in.jobReaches(job.ID, "state = 'finished'")
		peak = max(peak, p.peak())
		p.stop()
		t.Logf("%d fans in %s, at most %d MiB", syncFans, time.Since(began).Round(time.Millisecond), peak>>10)
		require.Less(t, peak, int64(syncMemory))
		in.sameFans()
		in.syncReported(job.ID, gone, back, black)
	})
}

// misknown makes us believe that some people follow who do not, and the other way round.
func (in *install) misknown(n int) (gone, back []string) {
	t := in.t
	t.Helper()
	gone, err := in.sim.AddFans(in.account.AppID, n, false)
	require.NoError(t, err)
	back = in.openids[:n]
	then := time.Now().Add(-time.Hour).UnixMilli()
	require.NoError(t, in.rooms.storage.db.Tx(t.Context(), func(tx *gorm.DB) error {
		if err := in.rooms.Scheduler.Fans.Add(tx, in.account.ID, then, slices.Concat(gone, back)); err != nil {
			return err
		}
		if err := tx.Exec("UPDATE fans SET subscribed_at = ?, unsubscribed_at = ? WHERE openid IN ?", then, then, back).Error; err != nil {
			return err
		}
		return tx.Exec("UPDATE fans SET subscribed = 1, subscribed_at = ? WHERE openid IN ?", then, gone).Error
	}))
	return gone, back
}

func (in *install) jobReaches(id int64, condition string) {
	in.t.Helper()
	require.Eventually(in.t, func() bool { return in.number("SELECT COUNT(*) FROM jobs WHERE id = ? AND "+condition, id) == 1 },
		time.Minute+time.Duration(syncFans)*time.Millisecond, 5*time.Millisecond, "the job does not come to %s", condition)
}

// peak is the most memory that the process has used, in KiB; 0 where that cannot be seen.
func (p *process) peak() int64 { return highWater(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)) }

// sameFans compares our fans with the platform's, one by one.
func (in *install) sameFans() {
	t := in.t
	t.Helper()
	states, err := in.sim.Fans(in.account.AppID)
	require.NoError(t, err)
	type fan struct{ follows, blacklisted bool }
	want := make(map[string]fan, len(states))
	for _, f := range states {
		want[f.OpenID] = fan{f.Subscribed, f.Blacklisted}
	}
	rows, err := in.rows.QueryContext(t.Context(), "SELECT openid, subscribed, blacklisted FROM fans WHERE account_id = ?", in.account.ID)
	require.NoError(t, err)
	n := 0
	require.NoError(t, eachFan(rows, func(openid string, follows, blacklisted bool) error {
		n++
		is, known := want[openid]
		if !known || is != (fan{follows, blacklisted}) {
			return fmt.Errorf("fan %s follows: %t, blacklisted: %t; at the platform %+v, %t", openid, follows, blacklisted, is, known)
		}
		delete(want, openid) // so nobody is found a second time
		return nil
	}))
	require.Empty(t, want, "fans are missing")
	require.EqualValues(t, n, in.number("SELECT COUNT(*) FROM fan_limits"))
	require.Zero(t, in.number("SELECT COUNT(*) FROM fans WHERE informed_at = 0"), "everybody was asked about")
}

func eachFan(rows *sql.Rows, do func(openid string, follows, blacklisted bool) error) error {
	for rows.Next() {
		var openid string
		var follows, blacklisted bool
		err := rows.Scan(&openid, &follows, &blacklisted)
		if err == nil {
			err = do(openid, follows, blacklisted)
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// syncReported checks the job's counts and that its result file has a line for each surprise, once, and nothing else.
func (in *install) syncReported(id int64, gone, back, black []string) {
	t := in.t
	t.Helper()
	in.open()
	j, err := in.rooms.Scheduler.Jobs.FindJob(t.Context(), in.account.ID, id)
	require.NoError(t, err)
	want := int64(syncFans + len(gone))
	require.Equal(t, []any{jobs.StateFinished, want, want, int64(0)}, []any{j.State, j.Done, j.Total, j.Failed})
	var at struct {
		Listed  int64 `json:"listed"`
		Counted int64 `json:"counted"`
	}
	require.NoError(t, json.Unmarshal([]byte(j.Cursor), &at))
	require.EqualValues(t, syncFans, at.Listed, "fans on the list, each counted once")
	require.EqualValues(t, syncFans, at.Counted)
	var file bytes.Buffer
	require.NoError(t, in.rooms.Scheduler.Jobs.WriteResult(t.Context(), in.account.ID, id, &file))
	got, err := csv.NewReader(&file).ReadAll()
	require.NoError(t, err)
	lines := [][]string{{"fan_id", "what", "detail"}}
	for what, openids := range map[string][]string{"unfollowed": gone, "followed": back, "blacklisted": black} {
		for _, openid := range openids {
			fan, err := in.rooms.Scheduler.Fans.FindFanByOpenID(t.Context(), in.account.ID, openid)
			require.NoError(t, err)
			lines = append(lines, []string{strconv.FormatInt(fan.ID, 10), what, ""})
		}
	}
	require.ElementsMatch(t, lines, got)
}
