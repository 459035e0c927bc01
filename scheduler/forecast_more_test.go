package scheduler_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/fault"
)

func TestARuleThatIsTriedOutDoesWhatItDoesOnceItHolds(t *testing.T) {
	t.Parallel()
	spec := forecastSpec(100)
	embedded(t, setup{spec: spec}, func(t *testing.T, w *world) {
		w.crowd(100)
		d := w.drip([]any{j{"kind": "event", "event": "visit"}}, j{"daily_cap": 2}, forecastSteps(w.newTag("seen"))...)
		four := 4
		q := campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, OverDay: true, WhatIf: []campaigns.RuleChange{
			{Rule: campaigns.RuleGap}, {Rule: campaigns.RuleHoldForAgents}, {Rule: campaigns.RuleQuietHours}, {Rule: campaigns.RuleDailyCap, Value: &four},
			{Rule: campaigns.RuleWeeklyCap}, {Rule: campaigns.RuleDripDailyCap},
		}}
		f, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
		require.NoError(t, err)
		require.Len(t, f.WhatIf, 6)
		changed := []func(*guard.PolicySpec){
			func(s *guard.PolicySpec) { s.GapMinutes = 0 }, func(s *guard.PolicySpec) { s.HoldForAgents = 0 }, func(s *guard.PolicySpec) { s.Quiet = nil },
			func(s *guard.PolicySpec) { s.DailyCap = &four }, func(s *guard.PolicySpec) { s.WeeklyCap = nil },
		}
		q.WhatIf = nil
		differs := 0
		for i, change := range changed {
			other, account := spec, *w.account
			change(&other)
			account.Spec = other
			account.Policy, err = other.Compile(account.Zone)
			require.NoError(t, err)
			g, err := w.s.Campaigns.Forecast(t.Context(), &account, q)
			require.NoError(t, err)
			require.Equal(t, g.Report.Total.Sent, f.WhatIf[i].Sent, f.WhatIf[i].Rule)
			require.Equal(t, g.Report.Total.Sent-f.Report.Total.Sent, f.WhatIf[i].SentMore)
			require.Equal(t, g.Reached-f.Reached, f.WhatIf[i].ReachedMore)
			if f.WhatIf[i].SentMore != 0 {
				differs++
			}
		}
		require.GreaterOrEqual(t, differs, 3)
		def := d.Definition
		def.DailyCap = nil
		raw, err := json.Marshal(def)
		require.NoError(t, err)
		q.Definition = raw
		g, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
		require.NoError(t, err)
		require.Equal(t, g.Report.Total.Sent, f.WhatIf[5].Sent, "a definition that is not stored is forecast like one that is")
	})
}

func TestAForecastStoresAndSendsNothing(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		all := w.fans(3)
		d := w.draft(onWord("go"), nil, step("0s", "one"), step("1h", "two"))
		f, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans})
		require.NoError(t, err)
		require.EqualValues(t, 6, f.Report.Total.Sent)
		require.Equal(t, []campaigns.ForecastDay{{Day: w.account.Policy.Day(start), Entered: 3, Sent: 6}}, f.Days)
		w.after(2 * time.Hour)
		require.Zero(t, w.number("SELECT COUNT(*) FROM deliveries")+w.number("SELECT COUNT(*) FROM enrolments"))
		require.Equal(t, 5, w.usage(all[0].OpenID).Grants.Available(w.clk.Now().UnixMilli(), 0))
	})
}

func TestAForecastKnowsWhoHasBeenInTheDripAndWhichDripAnswers(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		all := w.fans(2)
		d := w.drip(onWord("go"), nil, step("0s", "one"))
		w.write(all[0].OpenID, "go")
		q := campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans}
		f, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
		require.NoError(t, err)
		require.EqualValues(t, 1, f.Entered, "who has been in it does not enter again")
		other := w.draft(onWord("go"), nil, step("0s", "other"))
		q.DripID = other.ID
		f, err = w.s.Campaigns.Forecast(t.Context(), w.account, q)
		require.NoError(t, err)
		require.EqualValues(t, 2, f.Entered)
		require.EqualValues(t, 1, f.Report.Total.Sent, "the older drip answers the fan whom it takes in")
		require.Equal(t, guard.ReasonSuperseded, f.Lost[0].Reason)
	})
}

func TestForecastsHaveSilencesAsTheyComeAbout(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		triggers := []any{j{"kind": "silent", "hours": 6}, j{"kind": "closing", "minutes": 60}}
		d := w.draft(triggers, j{"re_entry": j{"mode": "always"}}, step("0s", "still there?"))
		require.NoError(t, w.s.Campaigns.StartShadow(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID}))
		fan := w.stranger()
		w.follow(fan)
		for _, at := range []time.Duration{time.Hour, 5 * time.Hour, 30 * time.Hour} {
			w.until(start.Add(at))
			w.write(fan, "hi")
		}
		w.until(start.Add(6 * 24 * time.Hour))
		f, err := w.s.Campaigns.ShadowReport(t.Context(), w.account, d.ID)
		require.NoError(t, err)
		// Silent after 5 h and after 30 h; the window that the last message opened closes 47 h 50 min after it.
		require.EqualValues(t, 3, f.Report.Runs.Entered)
		require.EqualValues(t, 3, f.Report.Total.Sent)
	})
}

func TestAJobMakesTheSameForecast(t *testing.T) {
	t.Parallel()
	each(t, setup{spec: forecastSpec(100)}, func(t *testing.T, w *world) {
		w.crowd(30)
		d := w.draft([]any{j{"kind": "event", "event": "visit"}}, nil, forecastSteps(w.newTag("seen"))...)
		q := campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceFans, WhatIf: []campaigns.RuleChange{{Rule: campaigns.RuleGap}}}
		few, err := w.s.Campaigns.FewToForecast(t.Context(), w.account.ID, q)
		require.NoError(t, err)
		require.True(t, few)
		want, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
		require.NoError(t, err)
		job, err := w.s.Campaigns.NewForecasting(t.Context(), w.account, q)
		require.NoError(t, err)
		require.NoError(t, w.s.Jobs.Create(t.Context(), job))
		w.turn()
		var result bytes.Buffer
		require.NoError(t, w.s.Jobs.WriteResult(t.Context(), w.account.ID, job.ID, &result))
		got, err := campaigns.ReadForecast(result.Bytes())
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = w.s.Campaigns.NewForecasting(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID, Audience: campaigns.AudienceShadow})
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	})
}

func TestAForecastRefusesWhatItCannotTell(t *testing.T) {
	t.Parallel()
	embedded(t, setup{}, func(t *testing.T, w *world) {
		d := w.draft(onWord("go"), nil, step("0s", "one"))
		n := 16
		for field, q := range map[string]campaigns.ForecastQuery{
			"audience":             {DripID: d.ID, Audience: campaigns.AudienceShadow},
			"days":                 {DripID: d.ID, Audience: campaigns.AudienceWeek, Days: 31},
			"at":                   {DripID: d.ID, Audience: campaigns.AudienceWeek, At: 1},
			"trigger":              {DripID: d.ID, Audience: campaigns.AudienceFans, Trigger: 1},
			"definition":           {Audience: campaigns.AudienceWeek},
			"triggers":             {Audience: campaigns.AudienceWeek, Definition: []byte(`{"steps":[{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"x"}}]}]}`)},
			"what_if[0].rule":      {DripID: d.ID, Audience: campaigns.AudienceWeek, WhatIf: []campaigns.RuleChange{{Rule: "luck"}}},
			"what_if[0].value":     {DripID: d.ID, Audience: campaigns.AudienceWeek, WhatIf: []campaigns.RuleChange{{Rule: campaigns.RuleQuietHours, Value: &n}}},
			"what_if[0].daily_cap": {DripID: d.ID, Audience: campaigns.AudienceWeek, WhatIf: []campaigns.RuleChange{{Rule: campaigns.RuleDailyCap, Value: &n}}},
			"what_if":              {DripID: d.ID, Audience: campaigns.AudienceWeek, WhatIf: make([]campaigns.RuleChange, 9)},
		} {
			_, err := w.s.Campaigns.Forecast(t.Context(), w.account, q)
			require.True(t, fault.Is(err, fault.Invalid), "%s: %v", field, err)
			fields := []string{}
			for _, b := range fault.Fields(err) {
				fields = append(fields, b.Field)
			}
			require.Contains(t, fields, field)
		}
		_, err := w.s.Campaigns.Forecast(t.Context(), w.account, campaigns.ForecastQuery{DripID: d.ID + 1, Audience: campaigns.AudienceWeek})
		require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	})
}
