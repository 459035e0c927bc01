package campaigns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/testdb"
)

// crowded fills the tables with fans who have limits, a tag, an attribute, acts of the last ten days, runs and deliveries, in statements that both servers know. Every
// 16th is of the account; the others are of a larger one.
func (w *world) crowded(dripID int64, size int) {
	w.t.Helper()
	now := w.clk.Now().UnixMilli()
	w.exec("INSERT INTO fans (account_id, openid, subscribed, created_at) VALUES (2, '1', 1, 1)")
	for n := 1; n < size; n *= 2 {
		w.exec("INSERT INTO fans (account_id, openid, subscribed, language, interacted_at, created_at) "+
			"SELECT CASE WHEN id % 16 = 7 THEN 1 ELSE 2 END, CONCAT(?, '-', id), 1, 'zh_CN', ?, 1 FROM fans", n, now)
	}
	w.exec("INSERT INTO fan_limits (fan_id, account_id) SELECT id, account_id FROM fans")
	w.exec("INSERT INTO fan_tags (tag_id, fan_id, account_id, seen_at) SELECT t.id, f.id, f.account_id, 1 FROM fans f JOIN tags t ON t.account_id = f.account_id WHERE f.id % 3 = 0")
	w.exec("INSERT INTO fan_attributes (fan_id, attribute_id, account_id, number) SELECT f.id, a.id, f.account_id, 7 FROM fans f JOIN attributes a ON a.account_id = f.account_id WHERE f.id % 5 > 0")
	for day := range 10 {
		w.exec("INSERT INTO interactions (account_id, fan_id, inbox_id, kind, detail, event_at, recorded_at) SELECT account_id, id, id * 10 + ?, 'text', 'go', ?, ? FROM fans WHERE id % 10 = ?",
			day, now-int64(day)*24*3600e3, now-int64(day)*24*3600e3, day)
	}
	w.exec("INSERT INTO campaign_caps (campaign_id, fan_id, day, used) SELECT ?, id, 1, 1 FROM fans WHERE id % 4 = 0", dripID)
	w.exec("INSERT INTO enrolments (account_id, campaign_id, version_id, fan_id, occurrence, interaction_id, state, step_no, started_at) "+
		"SELECT account_id, CASE WHEN id % 2 = 0 THEN ? ELSE 999 END, 1, id, 1, id, 'finished', 1, ? FROM fans WHERE id % 4 < 2", dripID, now-9*24*3600e3)
	w.exec("INSERT INTO deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, options, message_id, state, reason, due_at, not_after, deadline_at, planned_at, marked_at) "+
		"SELECT account_id, 1, ?, id, 1, 1, 1, 0, 1, 1, 1, 0, 1, 3, 0, 1, 1, 1, 1, ? FROM fans WHERE id % 4 < 2", dripID, now-9*24*3600e3)
	require.NoError(w.t, w.db.Read(w.t.Context()).
		Exec("ANALYZE TABLE fans, fan_limits, fan_tags, fan_attributes, interactions, campaign_caps, enrolments, deliveries").Error)
}

func TestForecastsReadRangesOfIndexes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.MySQL(t), guard.PolicySpec{})
	tag, err := fans.NewMirror(w.fans, nil).CreateTag(t.Context(), 1, fans.NewTag{Name: "some"})
	require.NoError(t, err)
	_, err = w.fans.CreateAttribute(t.Context(), 1, fans.NewAttribute{Name: "age", Label: "Age", Type: fans.TypeNumber})
	require.NoError(t, err)
	d := w.create(fmt.Sprintf(`{"triggers":[{"kind":"keyword","keywords":["go"]},{"kind":"silent","hours":5}],"daily_cap":1,"steps":[
		{"kind":"if","condition":{"all":[{"field":"tag.%d","op":"exists"},{"field":"attribute.age","op":"gte","value":3},{"field":"run.replied","op":"is","value":false}]},
		 "then":[{"delay":"0s","messages":[{"msgtype":"text","text":{"content":"x"}}]}]}]}`, tag.ID), 0)
	w.crowded(d.ID, planFans)
	w.account.RatePerSecond, w.account.InFlight = 1000, 100
	planner := testdb.NewPlanner(t, w.db)
	zero := 0
	for name, q := range map[string]campaigns.ForecastQuery{
		"fans": {DripID: d.ID, Audience: campaigns.AudienceFans, WhatIf: []campaigns.RuleChange{{Rule: campaigns.RuleDailyCap, Value: &zero}}},
		"tag":  {DripID: d.ID, Audience: campaigns.AudienceFans, TagID: tag.ID}, "week": {DripID: d.ID, Audience: campaigns.AudienceWeek},
	} {
		w.requireIndexes(name, planner.Plans(t, func() {
			f, err := w.drips.Forecast(t.Context(), w.account, q)
			require.NoError(t, err)
			require.Greater(t, f.Fans, int64(planFans/100), name)
		}))
	}
	require.NoError(t, w.drips.StartShadow(t.Context(), campaigns.Change{AccountID: 1, ID: d.ID}))
	w.exec("UPDATE campaigns SET shadow_since = ? WHERE id = ?", w.clk.Now().UnixMilli()-5*24*3600e3, d.ID)
	w.requireIndexes("shadow", planner.Plans(t, func() {
		_, err := w.drips.ShadowReport(t.Context(), w.account, d.ID)
		require.NoError(t, err)
		_, err = w.drips.ShadowWho(t.Context(), w.account, d.ID, campaigns.ShadowWhoQuery{})
		require.NoError(t, err)
	}))
}

// planFans is how many fans there are: enough that the server does not prefer to read the tables.
const planFans = 1 << 14

// requireIndexes fails when a table of fans, or a whole index of one, is read.
func (w *world) requireIndexes(name string, plans []testdb.Access) {
	w.t.Helper()
	require.NotEmpty(w.t, plans)
	small := map[string]bool{"campaigns": true, "c": true, "campaign_versions": true, "v": true, "tags": true, "attributes": true, "api_budgets": true}
	sorted := map[string]bool{"interactions": true, "enrolments": true, "e": true, "deliveries": true, "fan_limits": true, "campaign_caps": true}
	for _, p := range plans {
		if small[p.Table] || p.Table == "" {
			continue
		}
		how, _, _ := strings.Cut(p.Type, "|") // what follows is the filter of another index
		require.Contains(w.t, []string{"const", "eq_ref", "ref", "range"}, how, "%s: %+v", name, p)
		require.NotEmpty(w.t, p.Key, "%s: %+v", name, p)
		if sorted[p.Table] {
			require.NotContains(w.t, p.Extra, "filesort", "%s: %+v", name, p)
		}
	}
}
