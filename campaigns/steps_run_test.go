package campaigns_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/fault"
)

func TestABranchIsTakenByWhatIsKnownOfTheFan(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(3)
		w.tag(9, 1)
		w.attribute("city", fans.TypeText, map[int64]string{2: "杭州"})
		city := iff(`{"field":"attribute.city","op":"is","value":"杭州"}`, send("2m"), send("3m"))
		d := w.run(steps(iff(`{"field":"tag.9","op":"exists"}`, send("1m"), city), send("1h")), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, ""), w.act(3, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.2.1 planned none 1m0s"}, w.story(d.ID, 1))
		require.Equal(t, []string{"1.4.1 planned none 2m0s"}, w.story(d.ID, 2))
		require.Equal(t, []string{"1.5.1 planned none 3m0s"}, w.story(d.ID, 3))
		w.clk.Advance(time.Minute)
		w.sent(d.ID, 1)
		require.Equal(t, "1.6.1 planned none 1h1m0s", w.story(d.ID, 1)[1], "what follows comes after both branches")
		require.Equal(t, []string{"1.6 running"}, w.runs(d.ID, 1))
	})
}

func TestAChainOfStepsRunsThroughAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		w.tag(7, 2)
		w.tag(8)
		w.outbox()
		has := `{"all":[{"field":"tag.8","op":"exists"},{"not":{"field":"tag.7","op":"exists"}}]}`
		d := w.run(steps(`{"kind":"tag","tag":8}`, `{"kind":"untag","tag":7}`, `{"kind":"webhook","webhook":4}`, iff(has, send("0s"), exitStep)), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, ""))
		require.Equal(t, []int64{1, 2}, w.tagged(8))
		require.Empty(t, w.tagged(7))
		for fan := range int64(2) {
			require.Equal(t, []string{"1.5.1 planned none 0s"}, w.story(d.ID, fan+1), "a condition sees what the steps before it did")
		}
		require.Equal(t, []string{fmt.Sprintf("drip:1:%d:1:1:3", d.ID), fmt.Sprintf("drip:1:%d:2:1:3", d.ID)}, w.calls())
	})
}

func TestAStepWithoutMessagesIsDoneWhenItIsDue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(1)
		w.tag(8)
		d := w.run(steps(send("0s"), `{"kind":"tag","tag":8,"delay":"10m"}`, `{"kind":"untag","tag":8,"at":"18:00"}`, send("5m")), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		w.clk.Advance(time.Minute)
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 1))
		w.after(10*time.Minute - time.Millisecond)
		require.Empty(t, w.tagged(8))
		w.after(time.Millisecond)
		require.Equal(t, []int64{1}, w.tagged(8), "the delay counts from the end of the message")
		w.after(8 * time.Hour)
		require.Empty(t, w.tagged(8))
		require.Equal(t, "1.4.1 planned none 8h5m0s", w.story(d.ID, 1)[1])
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.4 finished"}, w.runs(d.ID, 1))
	})
}

func TestAWaitEndsByTheActOrByItsTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(3)
		d := w.run(steps(send("0s"), waitFor(`{"on":"replied","keywords":["yes"]}`, "2h", send("1m"), `{"kind":"exit","delay":"1m"}`), send("1h")), 0)
		for fan := range int64(3) {
			w.enter(w.act(fan+1, campaigns.ActFollow, ""))
		}
		w.react(w.act(1, campaigns.ActText, "yes"))
		w.clk.Advance(30 * time.Minute)
		w.sent(d.ID, 1)
		w.sent(d.ID, 2)
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 1), "what came before the wait is none that it waits for")
		require.Equal(t, []string{"1.1 running"}, w.runs(d.ID, 3))
		w.clk.Advance(time.Hour)
		late := w.act(1, campaigns.ActText, "yes")
		late.EventAt = start.Add(10 * time.Minute).UnixMilli()
		w.react(late)
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 1), "nor what happened before it and is told late")
		w.react(w.act(1, campaigns.ActText, " YES"), w.act(2, campaigns.ActText, "no"), w.act(3, campaigns.ActText, "yes"))
		require.Equal(t, []string{"1.3 running"}, w.runs(d.ID, 1))
		require.Equal(t, "1.3.1 planned none 1h31m0s", w.story(d.ID, 1)[1])
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 2))
		require.Equal(t, []string{"1.1 running"}, w.runs(d.ID, 3))
		w.react(w.act(1, campaigns.ActText, "yes"))
		require.Equal(t, []string{"1.3 running"}, w.runs(d.ID, 1), "a run that does not wait stays")
		w.after(time.Hour)
		require.Equal(t, []string{"1.4 running"}, w.runs(d.ID, 2))
		w.after(time.Minute)
		require.Equal(t, []string{"1.4 exited"}, w.runs(d.ID, 2))
		require.Equal(t, int64(1), w.count("enrolments WHERE exit_reason = 'exit' AND timer_at IS NULL AND waiting = 0"))
		w.sent(d.ID, 1)
		require.Equal(t, []string{"1.5 running"}, w.runs(d.ID, 1))
	})
}

func TestAnAskWaitsForAReplyAndGoesOnEitherWay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(3)
		d := w.run(steps(`{"kind":"ask","delay":"0s","timeout":"1d",`+say(2)+`}`, send("1h")), 0)
		for fan := range int64(3) {
			w.enter(w.act(fan+1, campaigns.ActFollow, ""))
		}
		w.sent(d.ID, 1)
		w.end(d.ID, 2, deliveries.StateUnknown, guard.ReasonAnswerLost)
		w.end(d.ID, 3, deliveries.StateSkipped, guard.ReasonCap)
		require.Equal(t, []string{"1.1 running"}, w.runs(d.ID, 1))
		require.Equal(t, []string{"1.2 running"}, w.runs(d.ID, 3), "who was not asked does not answer")
		w.after(2 * time.Hour)
		w.react(w.act(1, campaigns.ActMessage, ""))
		require.Equal(t, "1.2.1 planned none 3h0m0s", w.story(d.ID, 1)[2])
		w.after(22 * time.Hour)
		require.Equal(t, "1.2.1 planned none 25h0m0s", w.story(d.ID, 2)[2], "an ask that may have arrived counts as asked")
	})
}

func TestASplitIsTheSameForTheSameRunAndCloseToItsWeights(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const n = 400
		w.people(n)
		w.tag(5)
		w.tag(6)
		split := `{"kind":"split","arms":[{"weight":25,"steps":[{"kind":"tag","tag":5}]},{"weight":75,"steps":[{"kind":"tag","tag":6}]}]}`
		w.run(steps(split), 0)
		acts := make([]campaigns.Act, n)
		for i := range acts {
			acts[i] = w.act(int64(i+1), campaigns.ActFollow, "")
		}
		w.enter(acts...)
		few, many := w.tagged(5), w.tagged(6)
		require.Len(t, append(few, many...), n, "everybody takes one arm")
		require.InDelta(t, n/4, len(few), n*0.07)
		require.Equal(t, int64(n), w.count("enrolments WHERE state = 'finished' AND step_no IN (2, 3)"))
	})
}

func TestADateStepIsDueOnTheFansDay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(4)
		w.attribute("birthday", fans.TypeDate, map[int64]string{1: "1990-03-05", 2: "2001-03-01", 3: "2026-03-04"})
		yearly := `{"date":{"attribute":"birthday","at":"09:00","yearly":true},"no_grant":"wait",` + say(1) + `}`
		d := w.run(steps(yearly, send("1h")), 0)
		w.tag(3)
		once := w.run(steps(`{"kind":"tag","tag":3,"date":{"attribute":"birthday","at":"10:30","days":-1}}`, send("1h")), 0)
		for fan := range int64(4) {
			w.enter(w.act(fan+1, campaigns.ActFollow, ""))
		}
		day := func(y int, m time.Month, n, hour, minute int) time.Duration {
			return time.Date(y, m, n, hour-8, minute, 0, 0, time.UTC).Sub(start)
		}
		require.Equal(t, []string{fmt.Sprintf("1.1.1 planned none %s", day(2026, 3, 5, 9, 0))}, w.story(d.ID, 1))
		require.Equal(t, []string{fmt.Sprintf("1.1.1 planned none %s", day(2027, 3, 1, 9, 0))}, w.story(d.ID, 2), "this year's has passed")
		require.Equal(t, []string{"1.2.1 planned none 1h0m0s"}, w.story(d.ID, 4), "who has no such day passes the step over")
		require.Equal(t, []string{"1.1 running"}, w.runs(once.ID, 3))
		w.after(day(2026, 3, 3, 10, 30))
		require.Equal(t, []int64{3}, w.tagged(3), "the day before")
		require.Equal(t, []string{"1.2 running"}, w.runs(once.ID, 3))
	})
}

func TestFactsOfTheRunAndTheWindow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		for name, c := range map[string]string{
			"trigger": `{"field":"run.trigger","op":"is","value":"follow"}`,
			"replied": `{"field":"run.replied","op":"is","value":true}`,
			"clicked": `{"field":"run.clicked","op":"is","value":false}`,
			"open":    `{"field":"window.open","op":"is","value":true}`,
			"left":    `{"field":"window.left","op":"gte","value":3}`,
			"days":    `{"field":"fan.subscribed_days","op":"lt","value":1}`,
		} {
			wait := "0s"
			if name == "replied" {
				wait = "1h"
			}
			d := w.run(steps(`{"kind":"if","delay":"`+wait+`","condition":`+c+`,"then":[`+send("1m")+`],"else":[`+send("2m")+`]}`), 0)
			w.enter(w.act(1, campaigns.ActFollow, ""))
			if name == "replied" {
				w.exec("INSERT INTO interactions (account_id, fan_id, inbox_id, kind, event_at, recorded_at) VALUES (1, 1, 77, 'text', ?, 1)", start.Add(time.Minute).UnixMilli())
				w.after(time.Hour)
			}
			require.Len(t, w.rows(d.ID, 1), 1, name)
			require.Equal(t, 2, w.rows(d.ID, 1)[0].StepNo, name)
			w.clk.Set(start)
		}
	})
}

func TestTimersOfAPausedDripWait(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		w.tag(8)
		d := w.run(steps(send("0s"), `{"kind":"tag","tag":8,"delay":"1h"}`, send("0s")), 0)
		w.tag(9)
		soon := w.run(steps(send("1s"), `{"kind":"tag","tag":9}`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, ""))
		_, err := w.drips.PauseDrip(context.Background(), campaigns.Change{AccountID: 1, ID: soon.ID})
		require.NoError(t, err)
		w.sent(soon.ID, 1)
		w.wake()
		require.Empty(t, w.tagged(9), "nothing is done at once either")
		require.NoError(t, w.drips.ResumeDrip(context.Background(), campaigns.Change{AccountID: 1, ID: soon.ID}))
		w.wake()
		require.Equal(t, []int64{1}, w.tagged(9))
		w.sent(d.ID, 1)
		change := campaigns.Change{AccountID: 1, ID: d.ID}
		_, err = w.drips.PauseDrip(context.Background(), change)
		require.NoError(t, err)
		w.after(2 * time.Hour)
		w.sent(d.ID, 2) // was on the wire
		w.after(2 * time.Hour)
		require.Empty(t, w.tagged(8))
		_, set, err := w.drips.NextTimer(context.Background(), 1)
		require.NoError(t, err)
		require.False(t, set, "timers that are put aside keep nobody busy")
		require.NoError(t, w.drips.ResumeDrip(context.Background(), change))
		require.Empty(t, w.find(d.ID).StoppedReason)
		w.wake()
		require.Equal(t, []int64{1, 2}, w.tagged(8))
		require.Equal(t, "1.3.1 planned none 4h0m0s", w.story(d.ID, 1)[1], "what was done late ended late")
	})
}

func TestASweepGoesOnWithAResumptionThatWasCutShort(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(1)
		w.tag(8)
		d := w.run(steps(`{"kind":"tag","tag":8,"delay":"1h"}`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		change := campaigns.Change{AccountID: 1, ID: d.ID}
		_, err := w.drips.PauseDrip(context.Background(), change)
		require.NoError(t, err)
		w.after(2 * time.Hour)
		w.exec("UPDATE campaigns SET state = 'running', stopped_reason = 'resuming'")
		w.wake()
		require.Empty(t, w.tagged(8))
		_, err = w.drips.Rederive(context.Background(), w.clk.Now(), 10)
		require.NoError(t, err)
		w.wake()
		require.Equal(t, []int64{1}, w.tagged(8))
		require.Equal(t, []string{"1.1 finished"}, w.runs(d.ID, 1))
	})
}

func TestAStopAndTheEndOfADripEndWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		w.tag(8)
		stopped := w.run(steps(`{"kind":"tag","tag":8,"delay":"1h"}`), 0)
		wait := waitFor(onReply, "1d", `{"kind":"tag","tag":8}`, `{"kind":"tag","tag":8}`)
		ending := w.run(define(follow, `,"ends_at":"2026-03-02T05:00:00Z"`, wait[1:len(wait)-1]+`,"messages":[]`), 0)
		late := w.run(define(follow, `,"ends_at":"2026-03-02T05:00:00Z"`, `"kind":"tag","tag":8,"delay":"4h","messages":[]`), 0)
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.1 finished"}, w.runs(late.ID, 1), "a step that would be done after the end is not waited for")
		_, err := w.drips.StopDrip(context.Background(), campaigns.Change{AccountID: 1, ID: stopped.ID})
		require.NoError(t, err)
		w.after(4 * time.Hour)
		_, err = w.drips.Rederive(context.Background(), w.clk.Now(), 10)
		require.NoError(t, err)
		w.after(48 * time.Hour)
		require.Equal(t, []string{"1.1 cancelled"}, w.runs(stopped.ID, 1))
		require.Equal(t, []string{"1.1 finished"}, w.runs(ending.ID, 1))
		require.Empty(t, w.tagged(8))
		require.Zero(t, w.count("enrolments WHERE timer_at IS NOT NULL OR waiting <> 0"))
	})
}

func TestWhatAStepNamesMustExistWhenItIsSavedAndMayGoLater(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(1)
		w.tag(8)
		w.exec("INSERT INTO tags (id, account_id, name, wechat_id, created_at) VALUES (20, 1, 'star', 102, 1)")
		w.attribute("city", fans.TypeText, nil)
		bad := fmt.Sprintf(`{"triggers":[{"kind":"tag","tag":30}],"exits":[{"on":"tagged","tag":31}],"steps":[{"kind":"tag","tag":32},{"kind":"untag","tag":20},{"kind":"webhook","webhook":5},`+
			`%s,%s,{"kind":"tag","tag":8,"date":{"attribute":"city","at":"09:00"}},{"kind":"tag","tag":8,"date":{"attribute":"town","at":"09:00"}}]}`,
			waitFor(`{"on":"tagged","tag":33}`, "1h", send("0s"), ""),
			iff(`{"any":[{"field":"tag.34","op":"exists"},{"field":"attribute.town","op":"exists"},{"field":"attribute.city","op":"gt","value":3}]}`, send("0s"), ""))
		_, err := w.drips.CreateDrip(context.Background(), w.account, campaigns.NewDrip{Name: "x", Definition: []byte(bad)})
		var got []string
		for _, f := range fault.Fields(err) {
			got = append(got, f.Field+" "+f.Rule)
		}
		require.Equal(t, []string{
			"triggers[0].tag unknown", "exits[0].tag unknown", "steps[0].tag unknown", "steps[1].tag platform_tag", "steps[2].webhook unknown", "steps[3].for.tag unknown",
			"steps[4].condition.any[0].field unknown", "steps[4].condition.any[1].field unknown", "steps[4].condition.any[2].op one_of",
			"steps[5].date.attribute not_a_date", "steps[6].date.attribute unknown",
		}, got)
		require.Zero(t, w.count("campaigns"))
		require.Zero(t, w.count("messages"))

		d := w.run(steps(iff(`{"field":"attribute.city","op":"exists","value":false}`, `{"kind":"tag","tag":8}`, exitStep), send("1m")), 0)
		w.exec("UPDATE tags SET removed_at = 1, name = NULL WHERE id = 8")
		w.exec("UPDATE attributes SET removed_at = 1, name = NULL")
		w.enter(w.act(1, campaigns.ActFollow, ""))
		require.Equal(t, []string{"1.4.1 planned none 1m0s"}, w.story(d.ID, 1), "what is gone does nothing, and the run goes on")
	})
}
