package campaigns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/testdb"
)

// TestASetReadsTheRunsOfItsFansAndNotAllOfTheDrip lets a set in while the server believes that the drip has hardly any runs, as it does while very many enter at once.
func TestASetReadsTheRunsOfItsFansAndNotAllOfTheDrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.MySQL(t), guard.PolicySpec{})
	d := w.run(define(follow, "", `"delay":"10s"`), 0)
	require.NoError(t, w.db.Read(t.Context()).Exec("ALTER TABLE enrolments STATS_PERSISTENT = 1, STATS_AUTO_RECALC = 0").Error)
	w.seedRuns(d, 1, 100)
	require.NoError(t, w.db.Read(t.Context()).Exec("ANALYZE TABLE enrolments").Error)
	w.seedRuns(d, 101, 4000)
	var enter, leave []campaigns.Act
	for i := range int64(250) {
		enter, leave = append(enter, w.act(5000+2*i, campaigns.ActFollow, "")), append(leave, w.act(1+3*i, campaigns.ActLeft, ""))
		enter[i].InteractionID = 5000 + 2*i // no ids are neighbours
	}
	planner := testdb.NewPlanner(t, w.db)
	looked := 0
	for _, a := range planner.Plans(t, func() {
		require.Len(t, w.enter(enter...), 250)
		w.tx(func(tx *gorm.DB) error {
			return w.drips.React(tx, campaigns.EnterInput{Now: w.clk.Now(), Account: w.account, Acts: leave})
		})
	}) {
		if a.Table == "e" || a.Table == "enrolments" {
			looked++
			require.True(t, a.Type == "range" || a.Type == "const", "%s by %s: %.200s", a.Type, a.Key, a.Statement)
		}
	}
	require.GreaterOrEqual(t, looked, 6, "two reads for each set that enters, and the locked ones")
	require.EqualValues(t, 250, w.count("enrolments WHERE state <> 'running'"))
}

// seedRuns puts fans into a drip as if they had entered it.
func (w *world) seedRuns(d *campaigns.Drip, first, last int) {
	w.t.Helper()
	var rows []string
	for id := first; id <= last; id++ {
		rows = append(rows, fmt.Sprintf("(1,%d,%d,%d,1,%d,'running',1,1,1)", d.ID, d.VersionID, id, id-1_000_000))
	}
	w.exec("INSERT INTO enrolments (account_id, campaign_id, version_id, fan_id, occurrence, interaction_id, state, step_no, wake_at, started_at) VALUES " + strings.Join(rows, ","))
}
