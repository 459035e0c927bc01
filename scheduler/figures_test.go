package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
	"hongyan/wechat/simulator"
)

// day is the numbered day of the world's clock, in the account's zone.
func (w *world) day() int { return w.account.Policy.Day(w.clk.Now()) }

func (w *world) figures(d *campaigns.Drip, q campaigns.ReportQuery) *campaigns.Report {
	w.t.Helper()
	r, err := w.s.Campaigns.Report(w.t.Context(), w.account.ID, d.ID, q)
	require.NoError(w.t, err)
	return r
}

// who are the fans behind a number, read page by page.
func (w *world) who(d *campaigns.Drip, q campaigns.WhoQuery) (fans []int64) {
	w.t.Helper()
	for {
		page, err := w.s.Campaigns.Who(w.t.Context(), w.account.ID, d.ID, q)
		require.NoError(w.t, err)
		for _, delivery := range page.Rows {
			fans = append(fans, delivery.FanID)
		}
		if page.Next == nil {
			return fans
		}
		q.After = *page.Next
	}
}

// runThrough lets five fans through a drip of two steps: the second, of two messages, does not fit under the cap, and the platform refuses it once.
func runThrough(t *testing.T, w *world) (*campaigns.Drip, []string) {
	t.Helper()
	d := w.drip(onWord("go"), nil, step("0s", "hello"), with(step("1h", "one", "two"), j{"capped": "skip"}), step("48h", "bye"))
	var openids []string
	for range 5 {
		openids = append(openids, w.stranger())
		w.follow(openids[len(openids)-1])
		w.write(openids[len(openids)-1], "go")
	}
	require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Codes: []simulator.CodeShare{{Code: 45015, Share: 1}}, Most: 1}))
	w.after(10 * time.Minute)
	w.write(openids[1], "thanks")
	w.write(openids[1], "thanks again")
	_, err := w.sim.Unfollow(t.Context(), openids[2])
	require.NoError(t, err)
	w.turn()
	w.after(2 * time.Hour)
	return d, openids
}

func TestAReportTellsWhatBecameOfEachStepAndWho(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: guard.PolicySpec{DailyCap: new(2)}}, func(t *testing.T, w *world) {
		d, _ := runThrough(t, w)
		states := map[deliveries.State]int64{}
		for state, n := range w.tally() {
			states[state] += int64(n)
		}
		r := w.figures(d, campaigns.ReportQuery{})
		require.Len(t, r.Steps, 3)
		require.EqualValues(t, 5, r.Steps[0].Fans)
		require.EqualValues(t, 5, r.Runs.Entered)
		require.EqualValues(t, 1, r.Runs.Exited)
		require.EqualValues(t, 4, r.Runs.Running)
		require.Equal(t, "粉丝已取消关注", campaigns.ExitWords(r.Runs.Exits[0].Reason, lang.ZH))
		require.Equal(t, states[deliveries.StateSent], r.Total.Sent)
		require.Equal(t, states[deliveries.StateFailed], r.Total.Failed)
		require.Equal(t, states[deliveries.StateSkipped], r.Total.Skipped)
		require.Equal(t, states[deliveries.StateCancelled], r.Total.Cancelled)
		require.Equal(t, states[deliveries.StatePlanned], r.Total.Waiting)
		require.Equal(t, r.Total.Entered, r.Total.Due+r.Total.Waiting+r.Total.Cancelled)
		require.EqualValues(t, 1, r.Total.Replied, "only the first reply after a message counts")
		require.EqualValues(t, 1, r.Total.Unfollowed)
		require.Len(t, r.Steps[1].Messages, 2)
		for _, s := range r.Steps {
			q := campaigns.WhoQuery{StepNo: s.StepNo, Version: 1, Limit: 1}
			for outcome, n := range map[string]int64{
				"entered": s.Entered, "waiting": s.Waiting, "due": s.Due, "sent": s.Sent, "failed": s.Failed, "skipped": s.Skipped, "cancelled": s.Cancelled,
				"replied": s.Replied, "unfollowed": s.Unfollowed, "clicked": s.Clicked, "unknown": s.Unknown,
			} {
				q.Outcome = outcome
				require.Len(t, w.who(d, q), int(n), "%s of step %d", outcome, s.StepNo)
			}
			for _, stop := range s.Stops {
				require.NotEmpty(t, stop.Words(lang.ZH))
				list := w.who(d, campaigns.WhoQuery{StepNo: s.StepNo, Outcome: stop.State.String(), Reason: stop.Reason, ErrCode: stop.ErrCode})
				require.Len(t, list, int(stop.N))
			}
		}
		w.agreed()
	})
}

func TestAReportOfDaysCountsWhatHappenedOnThem(t *testing.T) {
	t.Parallel()
	embedded(t, setup{spec: guard.PolicySpec{DailyCap: new(2)}}, func(t *testing.T, w *world) {
		d, _ := runThrough(t, w)
		today, whole := w.day(), w.figures(d, campaigns.ReportQuery{})
		w.after(72 * time.Hour)
		require.Equal(t, whole, w.figures(d, campaigns.ReportQuery{To: today}), "what happens later changes nothing about the day")
		later := w.figures(d, campaigns.ReportQuery{From: today + 1})
		require.Zero(t, later.Runs.Entered)
		require.Zero(t, later.Runs.Running)
		require.Zero(t, later.Total.Waiting)
		require.Equal(t, whole.Total.Due+later.Total.Due, w.figures(d, campaigns.ReportQuery{}).Total.Due)
	})
}

func TestStepsOfAVersionAreCountedByThemselves(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), j{"re_entry": j{"mode": "always"}}, step("0s", "hello"))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		raw := []byte(`{"triggers":[{"kind":"keyword","keywords":["go"]}],"re_entry":{"mode":"always"},"steps":[{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"hi"}}]}]}`)
		_, err := w.s.Campaigns.UpdateDrip(t.Context(), w.account, d.ID, d.Revision, campaigns.DripPatch{Definition: raw})
		require.NoError(t, err)
		w.write(fan, "go")
		w.write(fan, "go")
		require.EqualValues(t, 1, w.figures(d, campaigns.ReportQuery{Version: 1}).Total.Entered)
		second := w.figures(d, campaigns.ReportQuery{Version: 2})
		require.EqualValues(t, 2, second.Total.Entered)
		require.EqualValues(t, 2, second.Runs.Finished)
		require.Len(t, w.figures(d, campaigns.ReportQuery{}).Steps, 2)
		require.Len(t, w.who(d, campaigns.WhoQuery{Version: 2, StepNo: 1, Outcome: "sent"}), 2)
	})
}

func TestLostReachSaysWhatEachRuleCostAndWhatItIs(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: guard.PolicySpec{DailyCap: new(2)}}, func(t *testing.T, w *world) {
		d, _ := runThrough(t, w)
		lost, err := w.s.Campaigns.LostReach(t.Context(), w.account, campaigns.LostQuery{From: w.day(), To: w.day()})
		require.NoError(t, err)
		var capped *campaigns.LostReason
		total := int64(0)
		for i := range lost {
			total += lost[i].Messages
			if lost[i].Reason == guard.ReasonCap {
				capped = &lost[i]
			}
		}
		r := w.figures(d, campaigns.ReportQuery{})
		require.Equal(t, r.Total.Skipped+r.Total.Expired, total)
		require.NotNil(t, capped)
		require.Equal(t, 2*capped.Steps, capped.Messages, "a step of two messages is missed as a whole")
		require.Equal(t, "每日上限 2 条", capped.Setting.In(lang.ZH))
		require.Equal(t, []campaigns.LostDay{{Day: w.day(), Messages: capped.Messages}}, capped.Days)
		require.Equal(t, []campaigns.LostStep{{DripID: d.ID, Version: 1, StepNo: 2, Messages: capped.Messages}}, capped.Places)
		lost, err = w.s.Campaigns.LostReach(t.Context(), w.account, campaigns.LostQuery{From: w.day() + 1})
		require.NoError(t, err)
		require.Empty(t, lost)
	})
}

func TestReportsOfWhatIsNotThereAreRefused(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		d := w.drip(onWord("go"), nil, step("0s", "hello"))
		ctx, account := t.Context(), w.account.ID
		_, err := w.s.Campaigns.Report(ctx, account+1, d.ID, campaigns.ReportQuery{})
		require.True(t, fault.Is(err, fault.NotFound), "another account's drip")
		_, err = w.s.Campaigns.Report(ctx, account, d.ID, campaigns.ReportQuery{Version: 2})
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = w.s.Campaigns.Who(ctx, account, d.ID, campaigns.WhoQuery{StepNo: 2, Outcome: "sent"})
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = w.s.Campaigns.Who(ctx, account+1, d.ID, campaigns.WhoQuery{StepNo: 1, Outcome: "sent"})
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = w.s.Campaigns.Who(ctx, account, d.ID, campaigns.WhoQuery{StepNo: 1, Outcome: "read"})
		require.True(t, fault.Is(err, fault.Invalid))
		page, err := w.s.Campaigns.Who(ctx, account, d.ID, campaigns.WhoQuery{StepNo: 1, Outcome: "sent", After: walk.Place{Group: 1 << 60, ID: 1}})
		require.NoError(t, err)
		require.Empty(t, page.Rows)
	})
}

func TestARecountIsAJobThatCorrectsTheDaysBeforeToday(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		d, _ := runThrough(t, w)
		right := w.figures(d, campaigns.ReportQuery{})
		for _, table := range []string{"delivery_figures", "enrolment_figures"} {
			require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("UPDATE " + table + " SET n = n + 3").Error }))
		}
		recount := func() {
			err := w.s.Jobs.Create(t.Context(), &jobs.Job{AccountID: w.account.ID, Kind: campaigns.RecountKind})
			require.NoError(t, err)
			w.turn()
		}
		recount()
		require.NotEqual(t, right, w.figures(d, campaigns.ReportQuery{}), "today is not over")
		today := w.day()
		w.after(24 * time.Hour)
		recount()
		got := w.figures(d, campaigns.ReportQuery{To: today})
		require.Equal(t, right.Runs, got.Runs)
		require.Equal(t, right.Total.Sent, got.Total.Sent)
		w.agreed()
	})
}
