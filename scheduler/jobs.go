package scheduler

import (
	"context"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/jobs"
)

// runners are the kinds of long work that this program does, and what does them.
func (s *Scheduler) runners() map[string]jobs.Runner {
	return map[string]jobs.Runner{
		fans.SyncKind:      fans.NewSyncer(s.Fans, s.platform).Run,
		fans.BlacklistKind: s.Blacklister.Run,
		fans.TagsSyncKind:  s.Mirror.SyncTags,
		fans.TagKind:       s.Mirror.Tag,
		fans.EraseAllKind:  s.Fans.EraseAll,

		campaigns.RecountKind:  s.Campaigns.RecountFigures,
		campaigns.ForecastKind: s.Campaigns.RunForecast,
	}
}

// housekeeping is what is done at fixed times, in UTC, by one of the processes.
func (s *Scheduler) housekeeping() []Job {
	return []Job{
		{Name: "forget-job-runs", Spec: "17 3 * * *", Run: s.forgetRuns},
		{Name: "check-accounts", Spec: "23 * * * *", Run: s.startChecks},
		{Name: "finish-authorisations", Spec: "* * * * *", Run: s.Authoriser.RunOnce},
		{Name: "sweep-removed", Spec: "41 * * * *", Run: s.Fans.SweepRemoved},
		{Name: "retention", Spec: retentionSpec, Run: s.applyRetention},
		{Name: "trim-webhooks", Spec: "47 18 * * *", Run: s.trimWebhooks},
		{Name: "trim-stream", Spec: "*/10 * * * *", Run: s.trimStream},
	}
}

// forgetRuns removes the records of old job firings.
func (s *Scheduler) forgetRuns(ctx context.Context) error {
	return s.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM job_runs WHERE fire_at < ?", s.o.Clock.Now().AddDate(0, -1, 0).UnixMilli()).Error
	})
}
