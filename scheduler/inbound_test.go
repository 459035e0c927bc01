package scheduler_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func TestARepeatedPushGetsTheSameReplyAndIsActedUponOnce(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), j{"re_entry": j{"mode": "always"}}, step("0s", "hello", "and more"))
		fan := w.stranger()
		w.follow(fan)
		p, err := w.sim.Text(t.Context(), fan, "go")
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeReplied, p.Outcome)
		for range 2 {
			again, err := w.sim.Redeliver(t.Context(), p)
			require.NoError(t, err)
			require.Equal(t, p.Tries[0].Answer, again.Answer)
			w.turn()
		}
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 sent"}, w.story(fan))
		require.EqualValues(t, 2, w.number("SELECT COUNT(*) FROM interactions"), "the follow and the text")
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
		w.balanced()
	})
}

func TestAPushIsAskedForAgainWhenItCannotBeStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t), setup{})
	require.NoError(t, w.db.Close())
	_, err := w.s.Inbound.Receive(t.Context(), w.account, &callback.Event{FromUser: "o", MsgType: "text", MsgID: 1, CreatedAt: start, Raw: []byte("<xml></xml>")})
	require.Error(t, err)
}

// TestAMessageGoesAsPassiveReplyOrByKefuNeverBoth lets the end of the wait and the answer race, many times.
func TestAMessageGoesAsPassiveReplyOrByKefuNeverBoth(t *testing.T) {
	t.Parallel()
	redis := testdb.MiniRedis(t)
	each(t, setup{queued: true, patience: 24 * time.Hour, redis: redis.Client, prefix: redis.Prefix}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "hello"))
		rounds := 30
		ids, err := w.sim.AddFans(appID, rounds, true)
		require.NoError(t, err)
		passive := 0
		for round, fan := range ids {
			done := make(chan simulator.Push, 1)
			go func() {
				p, err := w.sim.Text(t.Context(), fan, "go")
				if err != nil {
					t.Error(err)
				}
				done <- p
			}()
			acted := make(chan error, 1)
			go func() {
				for {
					n, err := w.s.Inbound.Pending(t.Context())
					if err != nil || n > 0 {
						acted <- err
						return
					}
				}
			}()
			p := w.overBudget(done, 5*(round%8))
			require.NoError(t, <-acted)
			row := w.rows(fan)[0]
			if p.Outcome == simulator.OutcomeReplied {
				passive++
				require.Equal(t, []any{guard.ChannelPassive, "sent"}, []any{row.Channel, row.State.String()})
			} else {
				require.Equal(t, simulator.OutcomeAcknowledged, p.Outcome, p.Reason)
				require.Equal(t, []any{guard.ChannelKefu, "planned"}, []any{row.Channel, row.State.String()})
			}
			require.Len(t, w.rows(fan), 1)
		}
		t.Logf("%d of %d went as passive reply", passive, rounds)
	})
}

// overBudget lets the budget of a passive reply pass, in steps, until the push is answered.
func (w *world) overBudget(done <-chan simulator.Push, steps int) simulator.Push {
	for {
		select {
		case p := <-done:
			return p
		case <-clock.System().NewTimer(time.Duration(1+steps) * time.Millisecond).C:
			w.clk.Advance(scheduler.PassiveBudget)
		}
	}
}

func TestOverBudgetTheAnswerIsSuccessAndTheMessageGoesByKefu(t *testing.T) {
	t.Parallel()
	redis := testdb.MiniRedis(t)
	w := newWorld(t, testdb.SQLite(t), setup{queued: true, patience: 24 * time.Hour, redis: redis.Client, prefix: redis.Prefix})
	w.drip(onWord("go"), nil, step("0s", "hello"))
	ids, err := w.sim.AddFans(appID, 1, true)
	require.NoError(t, err)
	done := make(chan simulator.Push, 1)
	go func() {
		p, err := w.sim.Text(t.Context(), ids[0], "go")
		if err != nil {
			t.Error(err)
		}
		done <- p
	}()
	require.Equal(t, simulator.OutcomeAcknowledged, w.overBudget(done, 1).Outcome)
	_, err = w.s.Inbound.Pending(t.Context())
	require.NoError(t, err)
	row := w.rows(ids[0])[0]
	require.Equal(t, []any{guard.ChannelKefu, "planned"}, []any{row.Channel, row.State.String()})
}

func TestAPushThatAlwaysFailsIsParkedAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		good := w.stranger()
		inbox := fans.NewInbox(w.db, w.clk)
		bad, err := inbox.Put(t.Context(), &fans.Push{AccountID: w.account.ID, DedupeKey: "m:1", OpenID: "o1", Body: []byte("<xml>"), EventAt: 1})
		require.NoError(t, err)
		_, err = w.sim.Follow(t.Context(), good, "") // in line, and not yet acted upon
		require.NoError(t, err)
		var ids []int64
		require.NoError(t, w.db.Read(t.Context()).Raw("SELECT id FROM inbox").Scan(&ids).Error)
		require.Len(t, ids, 2)
		for try := 1; try < 5; try++ {
			require.Error(t, w.s.Inbound.RunOnce(t.Context(), ids))
			require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM interactions"), "the others of its set are acted upon")
			require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
			w.clk.Advance(scheduler.DefaultTiming().InboundLease + time.Second)
		}
		require.NoError(t, w.s.Inbound.RunOnce(t.Context(), ids), "the last try parks it")
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM inbox WHERE id = ? AND error <> ''", bad.ID))
	})
}

func TestPushesAreActedUponInSetsAndInTheirOrder(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		ids, err := w.sim.AddFans(appID, 30, false)
		require.NoError(t, err)
		for i, fan := range ids {
			_, err := w.sim.Follow(t.Context(), fan, "")
			require.NoError(t, err)
			w.clk.Advance(time.Second)
			if i%2 == 0 {
				_, err = w.sim.Unfollow(t.Context(), fan)
				require.NoError(t, err)
			}
		}
		n, err := w.s.Inbound.Pending(t.Context())
		require.NoError(t, err)
		require.Equal(t, 45, n)
		require.EqualValues(t, 45, w.number("SELECT COUNT(*) FROM interactions"))
		require.EqualValues(t, 15, w.number("SELECT COUNT(*) FROM fans WHERE subscribed = 1"))
		require.EqualValues(t, 1, w.number("SELECT MAX(tries) FROM inbox"))
	})
}

func TestReportsOfThePlatformMakeNoFans(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		for i, name := range []string{"MASSSENDJOBFINISH", "TEMPLATESENDJOBFINISH", "something_new", "card_pass_check"} {
			body := fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[helper%d]]></FromUserName><CreateTime>%d</CreateTime>"+
				"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[%s]]></Event></xml>", originalID, i, start.Unix(), name)
			e, err := callback.Parse([]byte(body))
			require.NoError(t, err)
			answer, err := w.s.Inbound.Receive(t.Context(), w.account, &e)
			require.NoError(t, err)
			require.Nil(t, answer.Message)
		}
		w.turn()
		require.Zero(t, w.number("SELECT COUNT(*) FROM fans"))
		require.EqualValues(t, 4, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NULL AND error = ''"), "they are stored and done with")
	})
}

// lose makes the platform's pushes arrive and their answers not.
func (w *world) lose() {
	lost := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		e, err := readEvent(r)
		if err == nil {
			_, err = w.s.Inbound.Receive(r.Context(), w.account, e)
		}
		if err != nil {
			w.t.Error(err)
		}
		rw.WriteHeader(http.StatusBadGateway)
	})
	w.push.Store(&lost)
}

func TestAPassiveReplyThatNobodyFetchedIsUnknown(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "one", "two", "three"), step("1h", "four"))
		fan := w.stranger()
		w.follow(fan)
		w.lose()
		w.write(fan, "go")
		require.Equal(t, []string{"1.1.1 sending", "1.1.2 planned", "1.1.3 planned"}, w.story(fan), "the rest waits for the reply")
		before := w.number("SELECT COUNT(*) FROM decisions")
		w.after(3 * time.Second)
		require.LessOrEqual(t, w.number("SELECT COUNT(*) FROM decisions")-before, int64(2*6), "who waits does not ask all the time")
		w.clk.Advance(scheduler.DefaultTiming().InboundLease)
		swept, err := w.s.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, swept.Pushes)
		w.after(time.Second)
		require.Equal(t, []string{"1.1.1 unknown answer_lost", "1.1.2 skipped previous_failed", "1.1.3 skipped previous_failed"}, w.story(fan)[:3])
		w.after(time.Hour)
		require.Equal(t, "1.2.1 sent", w.story(fan)[3], "and the fan goes on")
	})
}

func TestWhatComesAfterAReplyThatNobodyFetchesAsksForHalfAMinuteAndNotForEver(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "one", "two"), step("1h", "three"))
		fan := w.stranger()
		w.follow(fan)
		w.lose()
		w.write(fan, "go")
		before := w.number("SELECT COUNT(*) FROM decisions")
		timing := scheduler.DefaultTiming()
		w.after(timing.LeftoverAge + timing.InboundLease + 2*timing.SweepEvery)
		require.Equal(t, []string{"1.1.1 unknown answer_lost", "1.1.2 skipped previous_failed"}, w.story(fan)[:2])
		asked := w.number("SELECT COUNT(*) FROM decisions") - before
		require.Positive(t, asked)
		w.after(26 * time.Hour)
		require.Equal(t, asked, w.number("SELECT COUNT(*) FROM decisions")-before, "nobody asks any more")
		require.Equal(t, "1.2.1 sent", w.story(fan)[2])
	})
}

func TestAMessageAfterThePassiveReplyFollowsItWhenItIsHandedOver(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, setup{})
		w.drip(onWord("go"), nil, step("0s", "one", "two"))
		fan := w.stranger()
		w.follow(fan)
		w.lose()
		p := w.write(fan, "go")
		answer := http.HandlerFunc(w.receive)
		w.push.Store(&answer)
		require.Equal(t, []string{"1.1.1 sending", "1.1.2 planned"}, w.story(fan))
		_, err := w.sim.Redeliver(t.Context(), p)
		require.NoError(t, err)
		w.after(time.Second)
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 sent"}, w.story(fan))
	})
}

func TestPushesForWhichThereIsNoRoomInTheLineAreActedUponWithoutTheSweeper(t *testing.T) {
	t.Parallel()
	each(t, setup{line: 5}, func(t *testing.T, w *world) {
		const pushes = 450 // more than two sets
		for n := range pushes {
			_, err := w.s.Inbound.Receive(t.Context(), w.account, &callback.Event{
				FromUser: fmt.Sprintf("fan-%d", n%50), MsgType: "text", MsgID: int64(n + 1), CreatedAt: start,
				Raw: fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName><FromUserName>fan-%d</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType>"+
					"<Content>hi</Content><MsgId>%d</MsgId></xml>", originalID, n%50, start.Unix(), n+1),
			})
			require.NoError(t, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.s.Inbound.Run(ctx) })
		require.Eventually(t, func() bool {
			return w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL") == 0
		}, time.Minute, 20*time.Millisecond)
		cancel()
		running.Wait()
		require.EqualValues(t, pushes, w.number("SELECT COUNT(*) FROM interactions"))
	})
}
