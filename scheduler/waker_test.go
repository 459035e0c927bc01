package scheduler_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
	"hongyan/wechat/simulator"
)

// fanID is the id of a fan.
func (w *world) fanID(openid string) int64 {
	w.t.Helper()
	f, err := w.s.Fans.FindFanByOpenID(w.t.Context(), w.account.ID, openid)
	require.NoError(w.t, err)
	return f.ID
}

// stepTag makes a tag of our own.
func (w *world) stepTag(id int64) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO tags (id, account_id, name, created_at) VALUES (?, ?, ?, 1)", id, w.account.ID, "tag").Error
	})
}

func (w *world) hasTag(openid string, tag int64) bool {
	w.t.Helper()
	id := w.fanID(openid)
	tags, err := w.s.Fans.TagsOf(w.db.Read(w.t.Context()), w.account.ID, []int64{id})
	require.NoError(w.t, err)
	return slices.Contains(tags[id], tag)
}

func TestAnAskOpensTheWindowForWhatFollows(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.stepTag(8)
		w.drip(onFollow(), nil, with(step("0s", "may we write?"), j{"kind": "ask", "timeout": "1d"}), step("1h", "thanks"), j{"kind": "tag", "tag": 8}, step("1m", "more"))
		answers, silent := w.stranger(), w.stranger()
		w.follow(answers)
		w.follow(silent)
		w.after(10 * time.Hour)
		w.write(answers, "yes")
		w.after(40 * time.Hour)
		require.Equal(t, []string{"0s may we write?", "11h0m0s thanks", "11h1m0s more"}, w.got(answers))
		require.Equal(t, []string{"0s may we write?"}, w.got(silent))
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 skipped grant_closed", "1.4.1 skipped grant_closed"}, w.story(silent))
		require.True(t, w.hasTag(answers, 8))
		require.True(t, w.hasTag(silent, 8))
		require.Zero(t, w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'"))
		w.balanced()
	})
}

func TestABranchThatIsDueAtOnceIsThePassiveReply(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		rule := j{"field": "run.trigger", "op": "is", "value": "keyword"}
		w.drip(append(onFollow(), onWord("go")...), j{"re_entry": j{"mode": "always"}}, j{"kind": "if", "condition": rule, "then": []any{step("0s", "word")}, "else": []any{step("0s", "hello")}})
		fan := w.stranger()
		require.Equal(t, simulator.OutcomeReplied, w.follow(fan).Outcome)
		require.Equal(t, simulator.OutcomeReplied, w.write(fan, "go").Outcome)
		require.Equal(t, []string{"0s hello", "0s word"}, w.got(fan))
	})
}

func TestATagGivenByOneDripStartsAnother(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.stepTag(8)
		w.drip([]any{j{"kind": "tag", "tag": 8}}, nil, step("0s", "for members"))
		w.drip(onWord("go"), nil, j{"kind": "tag", "tag": 8, "delay": "10m"})
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.after(10 * time.Minute)
		require.Equal(t, []string{"10m0s for members"}, w.got(fan))
	})
}

func TestTimersWaitWhileTheAccountIsStopped(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		w.stepTag(8)
		w.drip(onFollow(), nil, j{"kind": "tag", "tag": 8, "delay": "10m"})
		fan := w.stranger()
		w.follow(fan)
		w.stopAll(true)
		w.after(time.Hour)
		require.False(t, w.hasTag(fan, 8))
		w.stopAll(false)
		w.turn()
		require.True(t, w.hasTag(fan, 8))
	})
}

func TestAnErasedFansTimersEnd(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.stepTag(8)
		w.drip(onFollow(), nil, j{"kind": "tag", "tag": 8, "delay": "10m"}, step("1m", "late"))
		fan := w.stranger()
		w.follow(fan)
		w.tx(func(tx *gorm.DB) error {
			return w.s.Campaigns.Forget(tx, w.clk.Now().UnixMilli(), w.account.ID, []int64{w.fanID(fan)})
		})
		w.after(time.Hour)
		require.False(t, w.hasTag(fan, 8))
		require.Equal(t, int64(1), w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'exited' AND exit_reason = ? AND timer_at IS NULL", campaigns.ExitFanGone))
	})
}

func TestABirthdayIsKept(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		born, err := w.s.Fans.CreateAttribute(t.Context(), w.account.ID, fans.NewAttribute{Name: "birthday", Label: "生日", Type: fans.TypeDate})
		require.NoError(t, err)
		w.drip(onWord("go"), nil, with(step("", "happy birthday"), j{"date": j{"attribute": "birthday", "at": "09:00", "yearly": true}}))
		fan := w.stranger()
		w.follow(fan)
		require.NoError(t, w.s.Fans.SetAttribute(t.Context(), w.account.ID, born.ID, "1990-03-05", []int64{w.fanID(fan)}))
		w.write(fan, "go")
		w.after(48 * time.Hour)
		require.Equal(t, []string{at(1, 9, 0).Sub(start).String() + " happy birthday"}, w.got(fan))
	})
}

func TestAServersWakersDoAStepOnceAndInTime(t *testing.T) {
	t.Parallel()
	testdb.EachRedis(t, func(t *testing.T, r testdb.Redis) {
		w := newWorld(t, testdb.MySQL(t), setup{clk: clock.System(), redis: r.Client, prefix: r.Prefix, workers: 1})
		w.stepTag(8)
		w.drip(onFollow(), nil, j{"kind": "tag", "tag": 8, "delay": "2s"}, step("0s", "welcome"))
		for _, s := range []*scheduler.Scheduler{w.s, w.process()} {
			w.start(s)
		}
		const n = 20
		for range n {
			w.follow(w.stranger())
		}
		require.Eventually(t, func() bool { return w.tally()[deliveries.StateSent] == n }, time.Minute, 20*time.Millisecond)
		require.EqualValues(t, n, w.number("SELECT fans FROM tags WHERE id = 8"))
		w.balanced()
	})
}
