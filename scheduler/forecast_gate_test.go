package scheduler_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/testdb"
	"hongyan/limits"
)

// hasty is virtual time in which whoever waits for less than a second moves the clock on: so the rate takes its time although one goroutine does everything. What
// is renewed every second or more seldom does not come to its turn.
type hasty struct {
	*clock.Manual

	moved func()
}

// NewTimer implements clock.Clock.
func (h *hasty) NewTimer(d time.Duration) *clock.Timer {
	if d > 0 && d < time.Second {
		h.Advance(d)
		h.moved()
		d = 0
	}
	return h.Manual.NewTimer(d)
}

// slowly lets the account's rate hold up what is sent from now on.
func (w *world) slowly() {
	w.t.Helper()
	shared := testdb.MiniRedis(w.t)
	w.o.redis, w.o.prefix = shared.Client, shared.Prefix
	w.o.clk = &hasty{w.clk, w.look}
	w.s = w.process()
	w.look()
}

// look looks for stops, as a process does all the time.
func (w *world) look() {
	w.t.Helper()
	require.NoError(w.t, w.s.Watch.RunOnce(w.t.Context()))
}

// budget is how many customer-service messages the platform takes on a day, from the start's Beijing day, and how many of them are used.
func (w *world) budget(day int, most, used int64) {
	w.t.Helper()
	w.tx(func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO api_budgets (account_id, api, day, used, most) VALUES (?,?,?,?,?)",
			w.account.ID, limits.KefuAPI, guard.BudgetDay(w.clk.Now().AddDate(0, 0, day)), used, most).Error
	})
}

// lost is what rules cost in a forecast, by reason.
func lost(f *campaigns.Forecast) map[guard.Reason]int64 {
	out := map[guard.Reason]int64{}
	for _, s := range f.Report.Total.Stops {
		out[s.Reason] += s.N
	}
	return out
}

// oneEach leaves steps one message each: what a day's budget leaves of a step with more, a later one with fewer may get, which a forecast does not look into.
func oneEach(steps []j) []j {
	for _, s := range steps {
		if all, sends := s["messages"].([]any); sends {
			s["messages"] = all[:1]
		}
		for _, arm := range asArms(s) {
			oneEach(arm)
		}
	}
	return steps
}

// asArms are the branches of a step.
func asArms(s j) (out [][]j) {
	arms, _ := s["arms"].([]j)
	for _, a := range append(slices.Clone(arms), s) {
		for _, name := range []string{"steps", "then", "else"} {
			if steps, branches := a[name].([]j); branches {
				out = append(out, steps)
			}
		}
	}
	return out
}

func TestAForecastWithinADailyBudgetEqualsWhatHappens(t *testing.T) {
	t.Parallel()
	const n, days = 200, 5
	w := newWorld(t, testdb.SQLite(t), setup{spec: forecastSpec(n), rate: 1_000_000, inFlight: 100})
	all := w.crowd(n)
	for day, most := range []int64{250, 120, 50, 80, 60, 60} {
		w.budget(day, most, min(int64(day)*10, 30))
	}
	d := w.drip([]any{j{"kind": "event", "event": "visit"}}, j{"daily_cap": 3}, oneEach(forecastSteps(w.newTag("seen")))...)
	f, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, Days: days})
	require.NoError(t, err)
	require.Positive(t, lost(f)[guard.ReasonAPIBudget], "the test's budget keeps nothing from being sent: %+v", f.Report.Total)
	require.Zero(t, f.RateHeld.Messages)
	require.Greater(t, f.BudgetHeld.Messages, lost(f)[guard.ReasonAPIBudget])
	require.Zero(t, (f.BudgetHeld.Until+8*time.Hour.Milliseconds())%(24*time.Hour.Milliseconds()), "held until a midnight of Beijing")
	began := w.clk.Now()
	w.enterAll(all, "visit")
	w.until(began.Add(days * 24 * time.Hour))
	happened, err := w.s.Campaigns.Report(t.Context(), w.account.ID, d.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	require.Equal(t, figuresOf(*happened), figuresOf(f.Report))
}

func TestAForecastAtALowRateIsNearWhatHappens(t *testing.T) {
	t.Parallel()
	const n, rate = 300, 4
	w := newWorld(t, testdb.SQLite(t), setup{rate: rate, inFlight: 100})
	all := w.crowd(n)
	w.slowly()
	w.budget(0, 2*n, n/3)
	d := w.drip([]any{j{"kind": "event", "event": "visit"}}, nil,
		with(step("0s", "at once"), j{"lateness": "1m"}), with(step("5m", "soon", "and again"), j{"lateness": "1m"}), step("1h", "later"), step("1d", "end"))
	f, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, Days: 3})
	require.NoError(t, err)
	require.Positive(t, lost(f)[guard.ReasonTooLate])
	require.Positive(t, f.RateHeld.Messages)
	require.Positive(t, f.BudgetHeld.Messages)
	began := w.clk.Now()
	w.enterAll(all, "visit")
	w.turn()
	w.until(began.Add(3 * 24 * time.Hour))
	happened, err := w.s.Campaigns.Report(t.Context(), w.account.ID, d.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	w.near(*happened, f.Report, n/50)
}
