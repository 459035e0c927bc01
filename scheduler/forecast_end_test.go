package scheduler_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/testdb"
)

// promptly lets time pass until a moment, as until does, but what falls due comes before the sweep of the same moment: the dispatcher looks more often.
func (w *world) promptly(end time.Time) {
	w.t.Helper()
	w.swept = end
	w.until(end)
	_, err := w.s.Sweep(w.t.Context())
	require.NoError(w.t, err)
	w.turn()
}

func TestAForecastOfADripThatEndsEqualsWhatHappens(t *testing.T) {
	t.Parallel()
	const n, days = 100, 4
	w := newWorld(t, testdb.SQLite(t), setup{spec: forecastSpec(n), rate: 1_000_000, inFlight: 100})
	all := w.crowd(n)
	began := w.clk.Now()
	ends := began.Add(60 * time.Hour)
	d := w.drip([]any{j{"kind": "event", "event": "visit"}}, j{"daily_cap": 3, "ends_at": ends.Format(time.RFC3339)}, endingSteps()...)
	q := campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, Days: days}
	f, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
	require.NoError(t, err)
	w.enterAll(all, "visit")
	w.promptly(ends)
	w.until(began.Add(days * 24 * time.Hour))
	happened, err := w.s.Campaigns.Report(t.Context(), w.account.ID, d.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	require.Equal(t, figuresOf(*happened), figuresOf(f.Report))
	require.Positive(t, f.Report.Runs.Finished)
	require.Zero(t, f.Report.Runs.Running)
	require.Positive(t, lost(f)[guard.ReasonTooLate])
	state, _ := w.state(d)
	require.Equal(t, campaigns.StateFinished, state)

	require.Positive(t, f.Report.Total.Expired, "what waits for a grant until the end is too late then")
}

// endingSteps are steps in which fans are when a drip ends 60 hours after the first of them began.
func endingSteps() []j {
	late := with(step("46h", "whenever you write"), j{"no_grant": "wait", "lateness": "5d"})
	return []j{
		step("1h", "one"),
		{"kind": "split", "arms": []j{
			{"weight": 25, "steps": []j{{"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "5d", "then": []j{step("0s", "clicked")}, "else": []j{step("0s", "late")}}}},
			{"weight": 25, "steps": []j{{"kind": "ask", "delay": "2h", "messages": []any{text("ask?")}, "timeout": "58h"}, step("0s", "thanks")}},
			{"weight": 25, "steps": []j{late, step("1h", "after")}},
			{"weight": 25, "steps": []j{step("20h", "two"), {"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "2d"}, step("1h", "too late")}},
		}},
		step("1h", "end"),
	}
}

func TestAShadowOfADripThatEndsDecidesAsTheDripItselfDoes(t *testing.T) {
	t.Parallel()
	const n = 20
	acts := weekScript(6, n)
	w, openids, d := shadowWorldUntil(t, n, 100*time.Hour)
	require.NoError(t, w.s.Campaigns.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
	w.script(openids, acts)
	twin, openids, same := shadowWorldUntil(t, n, 100*time.Hour)
	ends := twin.clk.Now().Add(100 * time.Hour)
	require.NoError(t, twin.s.Campaigns.StartDrip(t.Context(), twin.account, campaigns.Change{ID: same.ID}))
	twin.scriptUntil(openids, acts, ends)

	require.Equal(t, twin.decided(same), w.shadowed(d, campaigns.ShadowWhoQuery{}))
	f, err := w.s.Campaigns.ShadowReport(t.Context(), w.account, d.ID)
	require.NoError(t, err)
	happened, err := twin.s.Campaigns.Report(t.Context(), twin.account.ID, same.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	require.Equal(t, withoutReactions(figuresOf(*happened)), figuresOf(f.Report))
	require.Zero(t, f.Report.Runs.Running)
}

// scriptUntil plays a week in which a drip ends, which is found out at once.
func (w *world) scriptUntil(openids []string, acts []weekAct, ends time.Time) {
	w.t.Helper()
	from := w.clk.Now()
	for _, a := range acts {
		if at := from.Add(a.at); ends.After(w.clk.Now()) && at.After(ends) {
			w.promptly(ends)
		}
		w.until(from.Add(a.at))
		w.do(openids[a.fan], a.modelAct, nil)
	}
	w.until(from.Add(7 * 24 * time.Hour))
}
