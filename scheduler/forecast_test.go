package scheduler_test

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/testdb"
	"hongyan/limits"
)

// forecastSteps has every kind of step that comes about without the fan, and every rule that stops a message.
func forecastSteps(tag int64) []j {
	return []j{
		with(step("1h", "one", "two"), j{"fit": "as_many"}),
		{"kind": "split", "arms": []j{
			{"weight": 30, "steps": []j{step("20m", "arm one")}},
			{"weight": 70, "steps": []j{with(step("5h", "arm two", "arm two again"), j{"capped": "tomorrow"})}},
		}},
		{"kind": "if", "condition": j{"field": "window.left", "op": "gte", "value": 2}, "then": []j{{"kind": "tag", "tag": tag}}, "else": []j{{"kind": "exit"}}},
		{"kind": "wait_for", "for": j{"on": "clicked"}, "timeout": "3h", "then": []j{step("0s", "never")}, "else": []j{with(step("0s", "late"), j{"quiet": "earlier"})}},
		with(step("2h", "again", "and again"), j{"class": "service", "fit": "as_many"}),
		{"at": "09:30", "messages": []any{text("morning")}, "no_grant": "wait", "lateness": "2d"},
		{"kind": "ask", "at": "21:00", "messages": []any{text("ask?")}, "timeout": "6h"},
		step("0s", "end"),
	}
}

// forecastSpec has every rule of an account. The more fans, the less they are spread after quiet hours: each moment of its own costs virtual time a turn.
func forecastSpec(n int) guard.PolicySpec {
	three, five, spread := 3, 5, 25
	if n > 1000 {
		spread = 0
	}
	return guard.PolicySpec{
		DailyCap: &three, WeeklyCap: &five, GapMinutes: 90, HoldForAgents: 1, SpreadMinutes: &spread,
		Quiet: []guard.QuietRange{{Start: "22:00", End: "08:00"}},
	}
}

// crowd makes fans whose windows, counts and standing differ.
func (w *world) crowd(n int) []*fans.Fan {
	w.t.Helper()
	var all []*fans.Fan
	for i := range 10 {
		for left := n / 10; left > 0; left -= 500 {
			all = append(all, w.fans(min(left, 500))...)
		}
		w.clk.Advance(time.Duration(i) * 30 * time.Minute)
	}
	w.tx(func(tx *gorm.DB) error {
		for i, f := range all {
			if i%7 != 0 {
				continue
			}
			usages, err := w.s.Limits.Lock(tx, w.account.ID, []int64{f.ID})
			if err != nil {
				return err
			}
			usages[f.ID].Retake(w.clk.Now().Add(-time.Duration(i%5)*time.Hour).UnixMilli(), limits.Take{Messages: 1 + i%3, CapDay: w.account.Policy.Day(w.clk.Now())})
			if err := w.s.Limits.Save(tx, []*limits.Usage{usages[f.ID]}); err != nil {
				return err
			}
		}
		return nil
	})
	w.tx(func(tx *gorm.DB) error {
		return tx.Exec("UPDATE fans SET blacklisted = CASE WHEN id % 50 = 3 THEN 1 ELSE 0 END, refused = CASE WHEN id % 40 = 5 THEN 1 ELSE 0 END, language = CASE WHEN id % 3 = 0 THEN 'en' ELSE 'zh_CN' END").Error
	})
	return all
}

// enterAll lets fans enter by an event that a program reports, at once.
func (w *world) enterAll(all []*fans.Fan, event string) {
	w.t.Helper()
	now := w.clk.Now()
	for chunk := range slices.Chunk(all, 200) {
		w.tx(func(tx *gorm.DB) error {
			in := campaigns.EnterInput{Now: now, Account: w.account}
			ids := make([]int64, len(chunk))
			for i, f := range chunk {
				ids[i] = f.ID
			}
			usages, err := w.s.Limits.Lock(tx, w.account.ID, ids)
			if err != nil {
				return err
			}
			for _, f := range chunk {
				in.Acts = append(in.Acts, campaigns.Act{
					Fan: f, InteractionID: 1e9 + f.ID, EventAt: now.UnixMilli(), Kind: campaigns.ActEvent, Name: event, Usage: usages[f.ID],
				})
			}
			_, err = w.s.Campaigns.Enter(tx, in)
			return err
		})
	}
}

// figuresOf is a report in a form that can be compared: without the versions' numbers and ids.
func figuresOf(r campaigns.Report) campaigns.Report {
	for i := range r.Steps {
		r.Steps[i].Version = 0
		for m := range r.Steps[i].Messages {
			r.Steps[i].Messages[m].MessageID = 0
		}
		slices.SortFunc(r.Steps[i].Outcomes, func(a, b campaigns.OutcomeCount) int { return cmp.Compare(a.Outcome, b.Outcome) })
	}
	return r
}

// forecastFans is how many fans the forecast is proved for: HONGYAN_FORECAST_FANS, or a few.
func forecastFans(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("HONGYAN_FORECAST_FANS"), "200"))
	require.NoError(t, err)
	return n
}

func TestAForecastEqualsWhatHappens(t *testing.T) {
	t.Parallel()
	fansCount := forecastFans(t)
	w := newWorld(t, testdb.SQLite(t), setup{spec: forecastSpec(fansCount), rate: 1_000_000, inFlight: max(100, fansCount/100)})
	tag, err := fans.NewMirror(w.s.Fans, nil).CreateTag(t.Context(), w.account.ID, fans.NewTag{Name: "seen"})
	require.NoError(t, err)
	all := w.crowd(fansCount)
	d := w.drip([]any{j{"kind": "event", "event": "visit"}}, j{"daily_cap": 3}, forecastSteps(tag.ID)...)
	const days = 5
	f, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, Days: days})
	require.NoError(t, err)
	require.EqualValues(t, fansCount, f.Entered)
	began := w.clk.Now()
	w.enterAll(all, "visit")
	w.until(began.Add(days * 24 * time.Hour))
	happened, err := w.s.Campaigns.Report(t.Context(), w.account.ID, d.ID, campaigns.ReportQuery{})
	require.NoError(t, err)
	require.Equal(t, figuresOf(*happened), figuresOf(f.Report))
	reasons := map[guard.Reason]bool{}
	for _, s := range f.Report.Total.Stops {
		reasons[s.Reason] = true
	}
	for _, r := range []guard.Reason{guard.ReasonBlacklisted, guard.ReasonOptedOut, guard.ReasonCap, guard.ReasonGrantClosed, guard.ReasonGrantReserved, guard.ReasonTooLate} {
		require.True(t, reasons[r], "the test has nobody with %s: %+v", r, f.Report.Total)
	}
}
