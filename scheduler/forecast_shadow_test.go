package scheduler_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

// draft makes a drip that is not started.
func (w *world) draft(triggers []any, more j, steps ...j) *campaigns.Drip {
	w.t.Helper()
	raw, err := json.Marshal(with(j{"triggers": triggers, "steps": steps}, more))
	require.NoError(w.t, err)
	d, err := w.s.Campaigns.CreateDrip(w.t.Context(), w.account, campaigns.NewDrip{Name: "drip", Definition: raw})
	require.NoError(w.t, err)
	return d
}

// shadowed lists all decisions of a shadow mode, one line each.
func (w *world) shadowed(d *campaigns.Drip, q campaigns.ShadowWhoQuery) []string {
	w.t.Helper()
	out := []string{}
	for {
		page, err := w.s.Campaigns.ShadowWho(w.t.Context(), w.account, d.ID, q)
		require.NoError(w.t, err)
		for _, r := range page.Rows {
			out = append(out, decisionLine(&r))
		}
		if page.Next == nil {
			return out
		}
		q.After = *page.Next
	}
}

// shadowedInParts lists the same page by page, and by fan and outcome.
func (w *world) shadowedInParts(d *campaigns.Drip, want []string) {
	w.t.Helper()
	require.Equal(w.t, want, w.shadowed(d, campaigns.ShadowWhoQuery{Limit: 7}), "pages end within a fan's decisions")
	var fan int64
	_, err := fmt.Sscanf(want[len(want)/2], "fan %d", &fan)
	require.NoError(w.t, err)
	of := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return !strings.HasPrefix(line, fmt.Sprintf("fan %d ", fan)) })
	require.Equal(w.t, of, w.shadowed(d, campaigns.ShadowWhoQuery{FanID: fan, Limit: 2}))
	capped := slices.DeleteFunc(slices.Clone(want), func(line string) bool { return !strings.Contains(line, "skipped cap") })
	require.NotEmpty(w.t, capped)
	require.Equal(w.t, capped, w.shadowed(d, campaigns.ShadowWhoQuery{State: deliveries.StateSkipped, Reason: guard.ReasonCap, Limit: 3}))
	stranger, err := w.s.Campaigns.ShadowWho(w.t.Context(), w.account, d.ID, campaigns.ShadowWhoQuery{FanID: fan + 1e6})
	require.NoError(w.t, err)
	require.Empty(w.t, stranger.Rows)
}

func decisionLine(r *campaigns.ShadowDecision) string {
	return fmt.Sprintf("fan %d %d.%d.%d %s %s %d", r.FanID, r.Occurrence, r.StepNo, r.MessageNo, r.State, r.Reason, r.DueAt)
}

// decided lists what the ledger holds of a drip, in the same form.
func (w *world) decided(d *campaigns.Drip) []string {
	w.t.Helper()
	var rows []campaigns.ShadowDecision
	require.NoError(w.t, w.db.Read(w.t.Context()).
		Raw("SELECT fan_id, occurrence, step_no, message_no, state, reason, due_at FROM deliveries WHERE source_id = ? ORDER BY fan_id, id", d.ID).Scan(&rows).Error)
	out := []string{}
	for _, r := range rows {
		out = append(out, decisionLine(&r))
	}
	return out
}

// shadowWorld is a world with fans who have done things for a day, and a draft.
func shadowWorld(t *testing.T, n int) (*world, []string, *campaigns.Drip) {
	t.Helper()
	return shadowWorldUntil(t, n, 0)
}

// shadowWorldUntil is a shadowWorld whose draft ends so long after the fans' first week; 0: never.
func shadowWorldUntil(t *testing.T, n int, ends time.Duration) (*world, []string, *campaigns.Drip) {
	t.Helper()
	three, ten := 3, 10
	w := newWorld(t, testdb.SQLite(t), setup{rate: 1_000_000, spec: guard.PolicySpec{
		DailyCap: &three, WeeklyCap: &ten, GapMinutes: 30, HoldForAgents: 1, Quiet: []guard.QuietRange{{Start: "22:30", End: "07:30"}},
	}})
	openids, err := w.sim.AddFans(appID, n, false)
	require.NoError(t, err)
	for _, o := range openids {
		w.follow(o)
	}
	more := j{"re_entry": j{"mode": "after", "days": 1}, "exits": []any{j{"on": "replied", "keywords": []string{"stop"}}}}
	if ends != 0 {
		more["ends_at"] = w.clk.Now().Add(7*24*time.Hour + ends).Format(time.RFC3339)
	}
	d := w.draft([]any{j{"kind": "keyword", "keywords": []string{"go", "help"}}, j{"kind": "event", "event": "visit"}}, more, weekSteps()...)
	w.script(openids, weekScript(3, n))
	return w, openids, d
}

func TestAShadowDecidesAsTheDripItselfDoesInATwinWorld(t *testing.T) {
	t.Parallel()
	const n = 30
	acts := weekScript(4, n)
	w, openids, d := shadowWorld(t, n)
	require.NoError(t, w.s.Campaigns.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
	w.script(openids, acts)
	twin, openids, same := shadowWorld(t, n)
	require.NoError(t, twin.s.Campaigns.StartDrip(t.Context(), twin.account, campaigns.Change{ID: same.ID}))
	twin.script(openids, acts)

	require.Zero(t, w.number("SELECT COUNT(*) FROM deliveries")+w.number("SELECT COUNT(*) FROM enrolments"), "a shadow sends nothing and lets nobody in")
	want := twin.decided(same)
	require.Greater(t, len(want), 3*n)
	require.Equal(t, want, w.shadowed(d, campaigns.ShadowWhoQuery{}))
	w.shadowedInParts(d, want)
	f, err := w.s.Campaigns.ShadowReport(t.Context(), w.account, d.ID)
	require.NoError(t, err)
	happened, err := twin.s.Campaigns.Report(t.Context(), twin.account.ID, same.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	require.Equal(t, withoutReactions(figuresOf(*happened)), figuresOf(f.Report))
	require.Equal(t, 7*24*time.Hour, time.Duration(f.Until-f.From)*time.Millisecond)
	for _, line := range w.shadowed(d, campaigns.ShadowWhoQuery{StepNo: 2, Reason: guard.ReasonCap}) {
		require.Contains(t, line, ".2.1 skipped cap")
	}
}

// withoutReactions takes away what a forecast does not know: how fans react.
func withoutReactions(r campaigns.Report) campaigns.Report {
	r.Total.Replied, r.Total.Clicked, r.Total.Unfollowed = 0, 0, 0
	for i := range r.Steps {
		s := &r.Steps[i]
		s.Replied, s.Clicked, s.Unfollowed = 0, 0, 0
		for m := range s.Messages {
			s.Messages[m].Replied, s.Messages[m].Clicked, s.Messages[m].Unfollowed = 0, 0, 0
		}
	}
	return r
}

func TestWhatOtherDripsSendTakesOfAShadowsGrantsAndCaps(t *testing.T) {
	t.Parallel()
	two := 2
	each(t, setup{spec: guard.PolicySpec{DailyCap: &two}}, func(t *testing.T, w *world) {
		d := w.draft(onWord("go"), nil, step("1h", "shadow"))
		w.drip(onWord("other"), nil, step("0s", "one"), step("1m", "two"))
		capped, free := w.stranger(), w.stranger()
		for _, o := range []string{capped, free} {
			w.follow(o)
		}
		w.write(capped, "other")
		w.after(10 * time.Minute)
		require.NoError(t, w.s.Campaigns.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		w.write(capped, "go")
		w.write(free, "go")
		w.after(2 * time.Hour)
		f, err := w.s.Campaigns.ShadowReport(t.Context(), w.account, d.ID)
		require.NoError(t, err)
		require.EqualValues(t, 1, f.Report.Total.Sent)
		require.Equal(t, guard.ReasonCap, f.Lost[0].Reason, "what was sent before the shadow began counts on its day")
		require.EqualValues(t, 2, f.Entered)
		require.EqualValues(t, 1, f.Reached)
	})
}

func TestADripThatComesBeforeTheShadowAnswersTheAct(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		first := w.drip(onWord("go"), nil, step("0s", "answer"))
		d := w.draft(onWord("go"), nil, step("0s", "shadow"), step("1m", "later"))
		require.Less(t, first.ID, d.ID)
		require.NoError(t, w.s.Campaigns.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		fan := w.stranger()
		w.follow(fan)
		w.write(fan, "go")
		w.after(time.Hour)
		w.write(fan, "go") // the other drip takes nobody in twice; this one does not either
		f, err := w.s.Campaigns.ShadowReport(t.Context(), w.account, d.ID)
		require.NoError(t, err)
		require.Equal(t, guard.ReasonSuperseded, f.Report.Steps[0].Stops[0].Reason)
		require.EqualValues(t, 1, f.Report.Steps[1].Sent)
	})
}

func TestOnlyADraftHasAShadowAndOnlyWhileItLasts(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		drips := w.s.Campaigns
		d := w.draft(onWord("go"), nil, step("0s", "x"))
		_, err := drips.ShadowReport(t.Context(), w.account, d.ID)
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		require.True(t, fault.Is(drips.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID + 1, ID: d.ID}), fault.NotFound))
		require.True(t, fault.Is(drips.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID, Revision: d.Revision + 1}), fault.Conflict))
		require.NoError(t, drips.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID, Revision: d.Revision}))
		_, err = drips.ShadowReport(t.Context(), w.account, d.ID)
		require.NoError(t, err)
		require.NoError(t, drips.EndShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		_, err = drips.ShadowWho(t.Context(), w.account, d.ID, campaigns.ShadowWhoQuery{})
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		running := w.drip(onWord("go"), nil, step("0s", "x"))
		require.True(t, fault.Is(drips.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: running.ID}), fault.Conflict))
	})
}
