package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/stops"
	"hongyan/wechat/simulator"
)

func TestAFollowIsAnsweredAtOnceAndTheNextStepComesAfterItsDelay(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "one", "two", "three"), step("10s", "four"), step("10m", "five"))
		fan := w.stranger()
		p := w.follow(fan)
		require.Equal(t, simulator.OutcomeReplied, p.Outcome, "the first message is the passive reply, which needs no grant")
		require.Equal(t, []string{"0s one", "0s two", "0s three"}, w.got(fan), "a step's messages come in their order")
		w.after(9 * time.Second)
		require.Len(t, w.got(fan), 3)
		w.after(time.Second)
		require.Equal(t, "10s four", w.got(fan)[3])
		w.after(time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 sent", "1.1.3 sent", "1.2.1 sent", "1.3.1 skipped grant_closed"}, w.story(fan),
			"a follow allows messages for a minute only")
		require.Zero(t, w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'"))
		w.balanced()
	})
}

func TestAStepThatWaitsForAGrantGoesWhenTheFanWrites(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "one"), with(step("2h", "two"), j{"no_grant": "wait", "lateness": "3d"}))
		fan := w.stranger()
		w.follow(fan)
		w.after(5 * time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 planned grant_closed"}, w.story(fan))
		w.write(fan, "hello")
		require.Equal(t, []string{"0s one", "5h0m0s two"}, w.got(fan))
		w.balanced()
	})
}

func TestAWaitForAGrantEndsAtTheStepsLateness(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "one"), with(step("2h", "two"), j{"no_grant": "wait", "lateness": "1d"}))
		fan := w.stranger()
		w.follow(fan)
		w.after(27 * time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 expired too_late"}, w.story(fan))
		require.Zero(t, w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'"))
	})
}

func TestClockTimesAreThoseOfTheAccountsZone(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, j{"at": "18:30", "messages": []any{text("today")}}, j{"at": "09:00", "messages": []any{text("tomorrow")}})
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.after(48 * time.Hour)
		require.Equal(t, []string{
			fmt.Sprintf("%s today", at(0, 18, 30).Sub(start)), fmt.Sprintf("%s tomorrow", at(1, 9, 0).Sub(start)),
		}, w.got(fan))
		w.balanced()
	})
}

func TestQuietHoursHoldMarketingBackUntilTheirEnd(t *testing.T) {
	t.Parallel()
	none := 0
	spec := guard.PolicySpec{Quiet: []guard.QuietRange{{Start: "22:00", End: "08:00"}}, SpreadMinutes: &none}
	embedded(t, setup{spec: spec}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "now"), step("13h", "night"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.until(at(1, 7, 59))
		require.Len(t, w.got(fan), 1)
		w.until(at(1, 8, 1))
		require.Equal(t, fmt.Sprintf("%s night", at(1, 8, 0).Sub(start)), w.got(fan)[1])
		w.balanced()
	})
}

func TestTheDailyCapIsObservedAndTomorrowIsAnotherDay(t *testing.T) {
	t.Parallel()
	two, none := 2, 0
	each(t, setup{spec: guard.PolicySpec{DailyCap: &two, SpreadMinutes: &none}}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "one"), step("1m", "two"), step("1m", "three"), with(step("1m", "four"), j{"capped": "tomorrow"}))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.until(at(0, 23, 59))
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 sent", "1.3.1 skipped cap", "1.4.1 planned cap"}, w.story(fan))
		w.until(at(1, 0, 1))
		require.Equal(t, fmt.Sprintf("%s four", at(1, 0, 0).Sub(start)), w.got(fan)[2])
		require.Equal(t, guard.Counts{1, 3, 3}, w.usage(fan).Counted.Used)
		w.balanced()
	})
}

func TestADripsOwnCapHoldsBelowTheAccounts(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), j{"daily_cap": 1}, step("0s", "one"), step("1m", "two"))
		w.drip(onWord("other"), nil, step("1s", "free"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.after(2 * time.Minute)
		w.write(fan, "other")
		w.after(2 * time.Minute)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 skipped cap", "1.1.1 sent"}, w.story(fan))
	})
}

func TestMessagesAfterOneThatFailedAreSkippedAndTheFanGoesOn(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("1s", "one", "two", "three"), step("1m", "four"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		calls := 0
		w.sim.OnArrival(func(simulator.Arrival) {
			if calls++; calls == 1 {
				require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Codes: []simulator.CodeShare{{Code: 40009, Share: 1}}, Most: 1}))
			}
		})
		w.after(time.Minute + 2*time.Second)
		require.Equal(t, []string{"1.1.1 sent", "1.1.2 failed platform", "1.1.3 skipped previous_failed", "1.2.1 sent"}, w.story(fan))
		require.Equal(t, []string{"1s one", "1m1s four"}, w.got(fan))
		require.Equal(t, guard.Counts{2, 2, 2}, w.usage(fan).Counted.Used, "what was not sent is given back to the cap")
		w.balanced()
	})
}

func TestReEntryIsAsTheDripSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reEntry j
		want    []string
	}{
		"once":   {j{"mode": "once"}, []string{"0s hi"}},
		"always": {j{"mode": "always"}, []string{"0s hi", "1h0m0s hi", "26h0m0s hi"}},
		"after":  {j{"mode": "after", "days": 1}, []string{"0s hi", "26h0m0s hi"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			embedded(t, setup{}, func(t *testing.T, w *world) {
				w.drip(onWord("go"), j{"re_entry": c.reEntry}, step("0s", "hi"))
				fan := w.stranger()
				w.follow(fan)
				w.write(fan, "go")
				w.after(time.Hour)
				w.write(fan, "go")
				w.after(25 * time.Hour)
				w.write(fan, "go")
				require.Equal(t, c.want, w.got(fan))
			})
		})
	}
}

func TestAFanWhoLeavesGetsNothingMore(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("0s", "one"), step("1h", "two"), step("1h", "three"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		_, err := w.sim.Unfollow(t.Context(), fan)
		require.NoError(t, err)
		w.after(5 * time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 skipped fan_gone"}, w.story(fan), "the run ends with the fan")
		require.Equal(t, int64(1), w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'exited'"))
	})
}

func TestAPausedDripKeepsItsFansPlaces(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil, step("0s", "one"), step("1h", "two"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		_, err := w.s.Campaigns.PauseDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID})
		require.NoError(t, err)
		w.after(2 * time.Hour)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 planned"}, w.story(fan))
		require.NoError(t, w.s.Campaigns.ResumeDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		w.turn()
		require.Equal(t, []string{"0s one", "2h0m0s two"}, w.got(fan))
	})
}

func TestTheKillSwitchHoldsEverythingAndLosesNothing(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("1s", "one"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.stopAll(true)
		w.after(time.Hour)
		require.Empty(t, w.got(fan))
		w.stopAll(false)
		w.turn()
		require.Equal(t, []string{"1h0m0s one"}, w.got(fan))
	})
}

// stopAll stops or frees the installation, without waiting: the only process looks when it is told to.
func (w *world) stopAll(stop bool) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE installation SET stopped = ?", stop).Error; err != nil {
			return err
		}
		_, err := stops.Bump(tx)
		return err
	})
}

func TestAWeekOfManyFansKeepsEveryRule(t *testing.T) {
	t.Parallel()
	five := 5
	spec := guard.PolicySpec{DailyCap: &five, Quiet: []guard.QuietRange{{Start: "22:00", End: "08:00"}}, HoldForAgents: 1}
	embedded(t, setup{spec: spec}, func(t *testing.T, w *world) {
		w.drip(onFollow(), nil, step("0s", "welcome", "who we are"), step("30s", "a voucher"),
			with(j{"at": "10:00", "days": 1, "messages": []any{text("second day")}}, j{"no_grant": "wait", "lateness": "5d"}), step("1d", "third day"))
		w.drip(onWord("优惠"), j{"re_entry": j{"mode": "always"}}, step("0s", "an offer"), step("3h", "still there"))
		ids, err := w.sim.AddFans(appID, 5, false)
		require.NoError(t, err)
		script := simulator.NewScript(simulator.ScriptOptions{
			Seed: 3, OpenIDs: ids, Start: start, Span: 7 * 24 * time.Hour, FollowWithin: 24 * time.Hour, Keywords: []string{"优惠"}, ActsPerDay: 1, UnfollowShare: 0.05,
		})
		for {
			act, more := script.Next()
			if !more {
				break
			}
			w.until(act.At)
			_, err := w.sim.Do(t.Context(), act)
			require.NoError(t, err)
			w.turn()
		}
		w.after(8 * 24 * time.Hour)
		_, err = w.s.Sweep(t.Context())
		require.NoError(t, err)
		w.agreed()
		require.Greater(t, w.sim.Counts().Send().Accepted, 10)
		require.Empty(t, w.sim.Counts().Send().Codes, "the platform refused what the guard had allowed")
		require.Zero(t, w.number("SELECT COUNT(*) FROM deliveries WHERE state < 3"), "every delivery comes to its end")
		require.Zero(t, w.number("SELECT COUNT(*) FROM enrolments WHERE state = 'running'"))
		require.Zero(t, w.number("SELECT COUNT(*) FROM inbox WHERE pending_at IS NOT NULL"))
	})
}
