package campaigns_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestATriggerMatchesAsItsDefinitionSays(t *testing.T) {
	t.Parallel()
	const contains = `{"kind":"keyword","keywords":["价格"],"match":"contains"}`
	const prefix = `{"kind":"keyword","keywords":["Ask "],"match":"prefix"}`
	for name, c := range map[string]struct {
		trigger, kind, text string
		want                bool
	}{
		"follow":                       {follow, campaigns.ActFollow, "", true},
		"follow is not a text":         {follow, campaigns.ActText, "follow", false},
		"exact":                        {keyword("help"), campaigns.ActText, "help", true},
		"case and spaces do not count": {keyword("Help"), campaigns.ActText, " hELP　", true},
		"full width does not count":    {keyword("a1"), campaigns.ActText, "Ａ１", true},
		"exact is the whole text":      {keyword("help"), campaigns.ActText, "help me", false},
		"one of several":               {keyword("a", "b"), campaigns.ActText, "b", true},
		"contains":                     {contains, campaigns.ActText, "请问价格？", true},
		"contains not":                 {contains, campaigns.ActText, "请问", false},
		"prefix":                       {prefix, campaigns.ActText, "ask me", true},
		"prefix not":                   {prefix, campaigns.ActText, "I ask", false},
		"keyword needs a text":         {keyword("a"), "image", "a", false},
		"empty text":                   {keyword("a"), campaigns.ActText, "", false},
		"any trigger":                  {follow + "," + keyword("a"), campaigns.ActText, "a", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testdb.SQLite(t), guard.PolicySpec{})
			w.run(define(c.trigger, "", `"delay":"0s"`), 0)
			require.Equal(t, c.want, len(w.enter(w.act(1, c.kind, c.text))) == 1)
		})
	}
}

func TestOnlyRunningDripsTakeFansIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.create(define(follow, "", `"delay":"0s"`), 0)
		change := campaigns.Change{AccountID: 1, ID: d.ID}
		require.Empty(t, w.enter(w.act(1, campaigns.ActFollow, "")))
		require.NoError(t, w.drips.StartDrip(ctx, w.account, change))
		require.Len(t, w.enter(w.act(1, campaigns.ActFollow, "")), 1)
		_, err := w.drips.PauseDrip(ctx, change)
		require.NoError(t, err)
		require.Empty(t, w.enter(w.act(2, campaigns.ActFollow, "")))
		require.NoError(t, w.drips.ResumeDrip(ctx, change))
		require.Len(t, w.enter(w.act(2, campaigns.ActFollow, "")), 1)
		other := *w.account
		other.ID = 2
		foreign := w.act(3, campaigns.ActFollow, "")
		w.tx(func(tx *gorm.DB) error {
			out, err := w.drips.Enter(tx, campaigns.EnterInput{Now: w.clk.Now(), Account: &other, Acts: []campaigns.Act{foreign}})
			require.Empty(t, out, "another account's fan")
			return err
		})
	})
}

func TestEnteringPlansTheFirstStepOnceHoweverOftenItIsRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"0s",`+say(2), `"delay":"1h"`), 0)
		act := w.act(1, campaigns.ActFollow, "")
		entered := w.enter(act)
		require.Len(t, entered, 1)
		require.True(t, entered[0].Winner)
		require.Len(t, entered[0].Immediate, 2)
		require.NotZero(t, entered[0].EnrolmentID)
		require.Empty(t, w.enter(act, act))
		require.Equal(t, []string{"1.1 running"}, w.runs(d.ID, 1))
		require.Equal(t, []string{"1.1.1 planned none 0s", "1.1.2 planned none 0s"}, w.story(d.ID, 1))
		row := w.rows(d.ID, 1)[0]
		require.Equal(t, start.Add(24*time.Hour).UnixMilli(), row.NotAfter)
		require.Equal(t, start.Add(50*time.Second).UnixMilli(), row.Deadline, "the grant's end, with the margin")
		require.Equal(t, guard.ClassMarketing, row.Class)
		require.Equal(t, 2, row.StepSize)
		w.sent(d.ID, 1)
		require.Empty(t, w.enter(act), "nor after the run has gone on")
	})
}

func TestADeadlineIsTheHardOneForAStepThatWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.run(define(follow, `,"ends_at":"2026-03-02T02:30:00Z"`, `"delay":"0s","no_grant":"wait","lateness":"10m"`, `"delay":"10m","no_grant":"wait"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.sent(d.ID, 1)
		rows := w.rows(d.ID, 1)
		require.Equal(t, start.Add(10*time.Minute).UnixMilli(), rows[0].Deadline)
		require.Equal(t, start.Add(30*time.Minute).UnixMilli(), rows[1].NotAfter, "no message goes out after the drip's end")
	})
}

func TestReEntryPolicies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		once := w.run(define(follow, "", `"delay":"1s"`), 0)
		after := w.run(define(follow, `,"re_entry":{"mode":"after","days":2}`, `"delay":"1s"`), 0)
		always := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"1s"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(1, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.1 running"}, w.runs(once.ID, 1))
		require.Equal(t, []string{"1.1 running"}, w.runs(after.ID, 1))
		require.Equal(t, []string{"1.1 running", "2.1 running"}, w.runs(always.ID, 1), "two acts in one set are two acts")

		w.clk.Advance(3 * 24 * time.Hour)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.1 running"}, w.runs(after.ID, 1), "the first run is still going on")
		w.sent(after.ID, 1)
		w.sent(once.ID, 1)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.1 finished"}, w.runs(once.ID, 1))
		require.Equal(t, []string{"1.1 finished", "2.1 running"}, w.runs(after.ID, 1))
		w.sent(after.ID, 1)
		w.clk.Advance(47 * time.Hour)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Len(t, w.runs(after.ID, 1), 2, "not yet two days")
		w.clk.Advance(time.Hour)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Len(t, w.runs(after.ID, 1), 3)
		require.Len(t, w.rows(after.ID, 1), 3)
	})
}

func TestOneDripAnswersAnActAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		low := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h"`), 0)
		later := w.run(define(follow, "", `"delay":"5s"`), 9)
		high := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h"`), 1)
		equal := w.run(define(follow, "", `"delay":"0s"`), 1)
		winners := map[int64]bool{}
		for _, e := range w.enter(w.act(1, campaigns.ActFollow, "")) {
			winners[e.CampaignID] = e.Winner
			require.Equal(t, e.Winner, len(e.Immediate) > 0)
		}
		require.Equal(t, map[int64]bool{high.ID: true, equal.ID: false, low.ID: false, later.ID: false}, winners)
		require.Equal(t, []string{"1.1.1 planned none 0s"}, w.story(high.ID, 1))
		require.Equal(t, []string{"1.1.1 skipped superseded 0s", "1.2.1 planned none 1h0m0s"}, w.story(low.ID, 1))
		require.Equal(t, []string{"1.2 running"}, w.runs(low.ID, 1))
		require.Equal(t, []string{"1.1.1 skipped superseded 0s"}, w.story(equal.ID, 1))
		require.Equal(t, []string{"1.1 finished"}, w.runs(equal.ID, 1))
		require.Equal(t, []string{"1.1.1 planned none 5s"}, w.story(later.ID, 1), "a step with a delay is no answer")

		answered := w.act(2, campaigns.ActFollow, "")
		answered.Answered = true
		for _, e := range w.enter(answered) {
			require.False(t, e.Winner)
		}
		require.Equal(t, []string{"1.1.1 skipped superseded 0s", "1.2.1 planned none 1h0m0s"}, w.story(high.ID, 2))
	})
}

func TestAnOlderDripThatMayNotBeEnteredDoesNotAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		high := w.run(define(keyword("a"), "", `"delay":"0s"`), 1)
		low := w.run(define(keyword("a"), `,"re_entry":{"mode":"always"}`, `"delay":"0s"`), 0)
		w.enter(w.act(1, campaigns.ActText, "a"))
		entered := w.enter(w.act(1, campaigns.ActText, "a"))
		require.Len(t, entered, 1)
		require.True(t, entered[0].Winner)
		require.Equal(t, low.ID, entered[0].CampaignID)
		require.Len(t, w.rows(high.ID, 1), 1)
	})
}

func TestTheFirstMessageOfTheAnswerMayBeGivenAsPassiveReply(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		winner := w.run(define(follow, "", `"delay":"0s",`+say(2), `"delay":"1h"`), 1)
		loser := w.run(define(follow, "", `"delay":"0s"`), 0)
		var offered []deliveries.Key
		out := w.enterWith(campaigns.EnterInput{
			Acts: []campaigns.Act{w.act(1, campaigns.ActFollow, "")},
			Passive: func(_ *campaigns.Act, p *deliveries.Planned) bool {
				offered = append(offered[:0], p.Key)
				p.State, p.Channel = deliveries.StateSending, guard.ChannelPassive
				return true
			},
		})
		require.Len(t, offered, 1)
		require.True(t, out[0].Passive)
		require.Equal(t, winner.ID, offered[0].Source.ID)
		require.Equal(t, deliveries.StateSending, out[0].Immediate[0].State)
		require.Equal(t, []string{"1.1.1 sending none 0s", "1.1.2 planned none 0s"}, w.story(winner.ID, 1))
		require.Equal(t, guard.ChannelPassive, w.rows(winner.ID, 1)[0].Channel)
		require.Equal(t, []string{"1.1.1 skipped superseded 0s"}, w.story(loser.ID, 1))
	})
}

func TestQuietHoursMoveOrSkipASteps(t *testing.T) {
	t.Parallel()
	zero := 0
	spec := guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "09:00", End: "12:00"}}, SpreadMinutes: &zero}
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, spec)
		follows := w.run(define(follow, "", `"delay":"0s"`, `"delay":"1h","no_grant":"wait"`, `"delay":"30m","no_grant":"wait","lateness":"1h"`), 0)
		texts := w.run(define(keyword("a"), "", `"delay":"0s"`), 0)
		reply := w.run(define(keyword("b"), "", `"delay":"0s","class":"reply"`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActText, "a"), w.act(3, campaigns.ActText, "b"))
		require.Equal(t, []string{"1.1.1 skipped quiet_hours 0s", "1.2.1 planned quiet_hours 2h0m0s"}, w.story(follows.ID, 1), "the grant ends before the quiet hours do")
		require.Equal(t, []string{"1.1.1 planned quiet_hours 2h0m0s"}, w.story(texts.ID, 2))
		require.Equal(t, []string{"1.1.1 planned none 0s"}, w.story(reply.ID, 3))
		require.EqualValues(t, 3, w.count("decisions WHERE reason = ?", guard.ReasonQuietHours))
	})
}

func TestFansWhoEnterAtTheSameTimeEnterOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		once := w.run(define(follow, "", `"delay":"1s"`), 0)
		always := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"1s"`), 1)
		var workers sync.WaitGroup
		for range 4 {
			act := w.act(1, campaigns.ActFollow, "")
			workers.Go(func() {
				err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
					_, err := w.drips.Enter(tx, campaigns.EnterInput{Now: w.clk.Now(), Account: w.account, Acts: []campaigns.Act{act}})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		require.Equal(t, []string{"1.1 running"}, w.runs(once.ID, 1))
		require.Len(t, w.runs(always.ID, 1), 4)
		require.Len(t, w.rows(always.ID, 1), 4)
	})
}
