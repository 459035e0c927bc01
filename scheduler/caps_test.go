package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/wechat/simulator"
)

func TestTheWeeklyCapIsObservedAndMondayIsAnotherWeek(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: guard.PolicySpec{WeeklyCap: new(2), SpreadMinutes: new(0)}}, func(t *testing.T, w *world) {
		waits := j{"capped": "tomorrow", "no_grant": "wait", "lateness": "7d"}
		w.drip(onWord("go"), nil, step("0s", "one"), step("1m", "two"), step("1m", "three"), with(step("1m", "four"), waits))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.until(at(4, 20, 0))
		w.write(fan, "still here on Sunday")
		w.until(at(4, 23, 59))
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 sent", "1.3.1 skipped cap", "1.4.1 planned cap"}, w.story(fan))
		w.until(at(5, 0, 1))
		require.Equal(t, fmt.Sprintf("%s four", at(5, 0, 0).Sub(start)), w.got(fan)[2])
		require.Equal(t, guard.Counts{1, 1, 3}, w.usage(fan).Counted.Used)
		w.balanced()
	})
}

func TestADripsOwnWeeklyAndMonthlyCapsHoldBelowTheAccounts(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: guard.PolicySpec{DailyCap: new(9)}}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), j{"weekly_cap": 2, "monthly_cap": 3, "re_entry": j{"mode": "always"}}, step("1s", "hi"))
		w.drip(onWord("other"), nil, step("1s", "free"))
		fan := w.stranger()
		w.follow(fan)
		var want []string
		for i, c := range []struct{ day, sent int }{{0, 1}, {3, 1}, {4, 0}, {5, 1}, {12, 0}, {27, 0}, {28, 1}} {
			w.until(at(c.day, 12, 0))
			w.write(fan, "go")
			w.after(time.Second)
			want = append(want, fmt.Sprintf("%d.1.1 %s", i+1, map[int]string{1: "sent", 0: "skipped cap"}[c.sent]))
			require.Equal(t, want, w.story(fan), "on day %d", c.day)
		}
		w.write(fan, "other")
		w.after(time.Second)
		require.Len(t, w.got(fan), 5, "another drip is not concerned")
	})
}

// TestARefusalOnMondayGivesBackToTheWeekOfSunday lets a message be on the wire over the border of a week, beside one that is counted after it.
func TestARefusalOnMondayGivesBackToTheWeekOfSunday(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		var w *world
		var fan *fans.Fan
		w = newWorld(t, db, setup{spec: guard.PolicySpec{WeeklyCap: new(9)}, front: during(1, func() {
			w.clk.Set(at(5, 0, 0))
			w.tx(func(tx *gorm.DB) error {
				locked, err := w.s.Limits.Lock(tx, w.account.ID, []int64{fan.ID})
				if err != nil {
					return err
				}
				taken := limits.NewReservations(w.clk.Now())
				taken.Take(locked[fan.ID], limits.Take{Messages: 1, CapDay: w.account.Policy.Day(w.clk.Now())})
				return w.s.Limits.Reserve(tx, taken)
			})
		})})
		d := w.drip(onWord("never"), j{"weekly_cap": 5}, step("0s", "hello"))
		w.clk.Set(at(5, 0, 0).Add(-time.Second))
		require.NoError(t, w.s.Watch.RunOnce(t.Context()))
		fan = w.fans(1)[0]
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, code(40009)))
		w.plan(d, []*fans.Fan{fan}, nil)
		w.turn()
		require.Equal(t, []string{"1.1.1 failed platform"}, w.story(fan.OpenID))
		require.Equal(t, guard.Counts{1, 1, 1}, w.usage(fan.OpenID).Counted.Used, "Monday keeps its own, the month gets Sunday's back")
		own, err := w.s.Limits.CampaignCounted(db.Read(t.Context()), d.ID, []int64{fan.ID})
		require.NoError(t, err)
		sunday := w.account.Policy.Day(at(4, 12, 0))
		require.Equal(t, guard.Counted{Day: sunday}, own[fan.ID], "and so does the drip's own cap")
	})
}

func TestAReplyUsesUpNoCapOfItsDrip(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), j{"daily_cap": 1}, with(step("0s", "at once"), j{"class": "reply"}), step("1m", "later"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		require.Zero(t, w.number("SELECT COUNT(*) FROM campaign_caps"))
		w.after(2 * time.Minute)
		require.Equal(t, []string{"1.1.1 sent", "1.2.1 sent"}, w.story(fan))
		require.EqualValues(t, 1, w.number("SELECT SUM(month_used) FROM campaign_caps"))
	})
}

// counted is the reference: what reached one fan, by the account's calendar.
type counted struct {
	zone *time.Location
	sent []time.Time
}

// room reports whether a message may go at a moment.
func (c *counted) room(at time.Time, caps guard.Caps) bool {
	keys := [guard.PeriodCount]func(time.Time) string{
		func(t time.Time) string { return t.Format(time.DateOnly) },
		func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) },
		func(t time.Time) string { return t.Format("2006-01") },
	}
	for p, key := range keys {
		used := 0
		for _, s := range c.sent {
			if key(s.In(c.zone)) == key(at.In(c.zone)) {
				used++
			}
		}
		if used >= caps[p] {
			return false
		}
	}
	return true
}

// TestCapsAreExactOverWeeksAndMonths lets fans ask for more than their caps allow, at all times of the day and most of all around midnight, over five weeks in
// which the clocks change, and compares every one of their messages with the calendar.
func TestCapsAreExactOverWeeksAndMonths(t *testing.T) {
	t.Parallel()
	spec := guard.PolicySpec{DailyCap: new(2), WeeklyCap: new(7), MonthlyCap: new(20)}
	embedded(t, setup{spec: spec}, func(t *testing.T, w *world) {
		_, err := w.s.Accounts.UpdateSending(t.Context(), w.account.ID, w.account.Revision, func(a *accounts.Account) { a.Zone = "Europe/Berlin" })
		require.NoError(t, err)
		w.account = w.find()
		zone := w.account.Policy.Zone
		require.Equal(t, "Europe/Berlin", zone.String())
		w.drip(onWord("go"), j{"re_entry": j{"mode": "always"}}, step("1s", "hi"))
		rng := rand.New(rand.NewPCG(3, 9))
		models := map[string]*counted{}
		for range 2 {
			fan := w.stranger()
			w.follow(fan)
			models[fan] = &counted{zone: zone}
		}
		for day := range 35 {
			midnight := time.Date(2026, 3, 5+day, 0, 0, 0, 0, zone)
			for _, when := range []time.Time{
				midnight.Add(-2 * time.Second), midnight.Add(-time.Second), midnight.Add(time.Duration(rng.IntN(20*3600)) * time.Second), midnight.Add(21 * time.Hour),
			} {
				w.until(when)
				for fan, m := range models {
					if rng.IntN(4) == 0 {
						continue
					}
					w.write(fan, "go")
					if goes := when.Add(time.Second); m.room(goes, w.account.Policy.Caps) {
						m.sent = append(m.sent, goes)
					}
				}
			}
		}
		w.after(time.Minute)
		for fan, m := range models {
			arrivals, err := w.sim.Arrivals(fan)
			require.NoError(t, err)
			var got, want []string
			for _, a := range arrivals {
				got = append(got, a.At.In(zone).String())
			}
			for _, s := range m.sent {
				want = append(want, s.String())
			}
			require.Equal(t, want, got)
			require.Greater(t, len(got), 30)
		}
	})
}

func TestAMessageIsNotHeldBackByTheGapAfterItsOwnFailedTry(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: guard.PolicySpec{GapMinutes: 60}}, func(t *testing.T, w *world) {
		w.drip(onWord("go"), nil, step("1s", "one", "two"), step("1m", "three"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, code(45066)))
		w.after(30 * time.Second)
		require.Equal(t, []string{"2s one", "2s two"}, w.got(fan), "a second later, as if the first try had not been")
		w.after(2 * time.Hour)
		require.Equal(t, "1h0m2s three", w.got(fan)[2], "others keep the gap")
	})
}
