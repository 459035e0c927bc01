package scheduler_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/scheduler"
)

func TestACronSpecificationIsRefusedByFieldAndRule(t *testing.T) {
	t.Parallel()
	for spec, rule := range map[string]string{
		"TZ=Asia/Shanghai 0 8 * * *":      "no_zone",
		"CRON_TZ=Asia/Shanghai 0 8 * * *": "no_zone",
		"TZ=":                             "no_zone",
		"0 0 31 2 *":                      "never",
		"0 0 30 2 *":                      "never",
		"":                                "syntax",
		"0 8 * *":                         "syntax",
		"0 0 8 * * *":                     "syntax",
		"60 8 * * *":                      "syntax",
		"a b c d e":                       "syntax",
		"@every 1h":                       "syntax",
		"@reboot":                         "syntax",
	} {
		_, err := scheduler.ParseCron(spec, time.UTC, start)
		var bad *fault.Error
		require.ErrorAs(t, err, &bad, spec)
		require.Equal(t, []string{"cron", rule}, []string{bad.Field, bad.Rule}, spec)
		require.True(t, fault.Is(err, fault.Invalid))
	}
	when, err := scheduler.ParseCron("30 8 29 2 *", time.UTC, start)
	require.NoError(t, err)
	require.Equal(t, time.Date(2028, 2, 29, 8, 30, 0, 0, time.UTC), when.Next(start))
}

func FuzzParseCron(f *testing.F) {
	for _, s := range []string{"0 8 * * *", "TZ=", "*/5 * * * 1-5", "0 0 31 2 *", "@every 1s", "1-2/0 * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		when, err := scheduler.ParseCron(spec, time.UTC, start)
		if err == nil && !when.Next(start).After(start) {
			t.Fatalf("%q fires before now", spec)
		}
	})
}

func crons(t *testing.T, db *database.DB, clk clock.Clock, owner string, run func(context.Context) error) *scheduler.Crons {
	t.Helper()
	c, err := scheduler.NewCrons(scheduler.CronOptions{
		DB: db, Clock: clk, Log: slog.New(slog.DiscardHandler), Owner: owner, Zone: time.UTC, Jobs: []scheduler.Job{{Name: "count", Spec: "0 * * * *", Run: run}},
	})
	require.NoError(t, err)
	return c
}

func TestEachFiringHasOneWinner(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(start)
		runs := make(chan string, 100)
		var all []*scheduler.Crons
		for _, owner := range []string{"a", "b", "c"} {
			all = append(all, crons(t, db, clk, owner, func(context.Context) error { runs <- owner; return nil }))
		}
		require.Equal(t, start.Add(time.Hour), all[0].Next())
		for range 3 {
			clk.Advance(time.Hour)
			done := make(chan error, len(all))
			for _, c := range all {
				go func() { done <- c.RunOnce(t.Context()) }()
			}
			for range all {
				require.NoError(t, <-done)
			}
			require.Len(t, runs, 1, "one of three runs the job")
			<-runs
		}
		require.NoError(t, all[0].RunOnce(t.Context()))
		require.Empty(t, runs, "a firing happens once")
		var ended int64
		require.NoError(t, db.Read(t.Context()).Raw("SELECT COUNT(*) FROM job_runs WHERE ended_at > 0 AND error = ''").Scan(&ended).Error)
		require.EqualValues(t, 3, ended)
	})
}

func TestAJobThatFailsIsRecordedAndFiresAgain(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(start)
		runs := 0
		c := crons(t, db, clk, "a", func(context.Context) error {
			runs++
			return errors.New(strings.Repeat("磁盘已满", 100))
		})
		clk.Advance(5 * time.Hour)
		require.NoError(t, c.RunOnce(t.Context()))
		require.Equal(t, 1, runs, "firings that were slept through are one")
		var text string
		require.NoError(t, db.Read(t.Context()).Raw("SELECT error FROM job_runs").Scan(&text).Error)
		require.True(t, strings.HasPrefix(text, "磁盘已满"))
		clk.Advance(time.Hour)
		require.NoError(t, c.RunOnce(t.Context()))
		require.Equal(t, 2, runs)
	})
}
