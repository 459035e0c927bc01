package scheduler_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/testdb"
)

// weekAct is what a fan of the script does, and when, from the start of the week.
type weekAct struct {
	at  time.Duration
	fan int
	modelAct
}

// weekScript is a week of what fans do: on average four acts each, in the order of time.
func weekScript(seed uint64, n int) []weekAct {
	c := &chance{rand.New(rand.NewPCG(seed, 2)), nil}
	subscribed := make([]bool, n)
	for i := range subscribed {
		subscribed[i] = true
	}
	var out []weekAct
	for at := time.Duration(0); at < 7*24*time.Hour; at += time.Hour {
		for i := range n {
			if c.IntN(42) != 0 {
				continue
			}
			a := modelAct{kind: "text", word: pick(c, modelWords)}
			switch c.IntN(10) {
			case 0:
				a = modelAct{kind: "click", word: pick(c, modelKeys)}
			case 1:
				a = modelAct{kind: "scan", word: pick(c, modelScenes)}
			case 2:
				a = modelAct{kind: "event", word: "visit"}
			case 3:
				a = modelAct{kind: "leave"}
			}
			if !subscribed[i] {
				a = modelAct{kind: "follow"}
			}
			if a.kind == "leave" || a.kind == "follow" {
				subscribed[i] = a.kind == "follow"
			}
			out = append(out, weekAct{at + time.Duration(c.IntN(3600))*time.Second, i, a})
		}
	}
	for i := range n { // who has left comes back at the week's end, so that the same script fits the next one
		if !subscribed[i] {
			out = append(out, weekAct{7*24*time.Hour - time.Minute, i, modelAct{kind: "follow"}})
		}
	}
	slices.SortStableFunc(out, func(a, b weekAct) int { return cmp.Compare(a.at, b.at) })
	return out
}

// script plays a week from now on, and leaves the clock at its end.
func (w *world) script(openids []string, acts []weekAct) {
	w.t.Helper()
	from := w.clk.Now()
	for _, a := range acts {
		w.until(from.Add(a.at))
		w.do(openids[a.fan], a.modelAct, nil)
	}
	w.until(from.Add(7 * 24 * time.Hour))
}

func weekSteps() []j {
	return []j{
		step("0s", "hello", "again"),
		{"kind": "ask", "delay": "30m", "messages": []any{text("how?")}, "timeout": "4h"},
		{"kind": "if", "condition": j{"field": "run.replied", "op": "is", "value": true}, "then": []j{step("10m", "thanks")}, "else": []j{step("6h", "still there?")}},
		{"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "1d", "then": []j{with(step("5m", "clicked", "more"), j{"fit": "as_many"})}},
		with(step("20h", "later"), j{"no_grant": "wait", "lateness": "3d"}),
		{"at": "23:00", "messages": []any{text("night")}},
	}
}

func TestAForecastOfAWeekIsWithinTwoPercentOfTheNextWeek(t *testing.T) {
	t.Parallel()
	const n = 50
	three, ten := 3, 10
	w := newWorld(t, testdb.SQLite(t), setup{rate: 1_000_000, spec: guard.PolicySpec{
		DailyCap: &three, WeeklyCap: &ten, GapMinutes: 30, HoldForAgents: 1, Quiet: []guard.QuietRange{{Start: "22:30", End: "07:30"}},
	}})
	openids, err := w.sim.AddFans(appID, n, false)
	require.NoError(t, err)
	for _, o := range openids {
		w.follow(o)
	}
	acts := weekScript(1, n)
	w.script(openids, acts)
	d := w.drip([]any{j{"kind": "keyword", "keywords": []string{"go", "help"}}, j{"kind": "event", "event": "visit"}}, j{
		"re_entry": j{"mode": "after", "days": 1}, "exits": []any{j{"on": "replied", "keywords": []string{"stop"}}},
	}, weekSteps()...)
	f, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceWeek, Days: 3})
	require.NoError(t, err)
	w.script(openids, acts)
	w.after(3 * 24 * time.Hour)
	happened, err := w.s.Campaigns.Report(t.Context(), w.account.ID, d.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	w.near(*happened, f.Report, n/50)
}

// near compares a forecast with what happened: per step, state and reason, and outcome, within so many.
func (w *world) near(happened, forecast campaigns.Report, most int64) {
	w.t.Helper()
	happened, forecast = figuresOf(happened), figuresOf(forecast)
	for name, pair := range map[string][2]int64{
		"entered": {happened.Runs.Entered, forecast.Runs.Entered}, "running": {happened.Runs.Running, forecast.Runs.Running},
		"exited": {happened.Runs.Exited, forecast.Runs.Exited}, "finished": {happened.Runs.Finished, forecast.Runs.Finished},
	} {
		require.InDelta(w.t, pair[0], pair[1], float64(most), name)
	}
	for i := range happened.Steps {
		want, got := stepCounts(&happened.Steps[i]), stepCounts(&forecast.Steps[i])
		for what := range got {
			want[what] += 0
		}
		for what, n := range want {
			require.InDelta(w.t, n, got[what], float64(most), "step %d: %v", i+1, what)
		}
	}
}

// stepCounts are a step's figures by what they count.
func stepCounts(s *campaigns.StepReport) map[any]int64 {
	out := map[any]int64{"entered": s.Entered, "waiting": s.Waiting, "sent": s.Sent}
	for _, c := range s.Stops {
		out[[2]string{c.State.String(), c.Reason.String()}] += c.N
	}
	for _, o := range s.Outcomes {
		out[o.Outcome] += o.N
	}
	return out
}
