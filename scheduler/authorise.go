package scheduler

import (
	"context"

	"hongyan/fans"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// eraseFans begins to erase the fans of an account whose owner has withdrawn. One that is under way already does it too.
func (s *Scheduler) eraseFans(ctx context.Context, accountID int64) error {
	err := s.Jobs.Create(ctx, &jobs.Job{AccountID: accountID, Kind: fans.EraseAllKind})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}
