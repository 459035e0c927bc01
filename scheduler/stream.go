package scheduler

import (
	"context"
	"strconv"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/jobs"
	"hongyan/internal/stream"
)

// telling publishes what happens in the rooms. Nothing that it tells holds what people wrote.
type telling struct {
	clock clock.Clock
	ticks *stream.Ticks
}

func newTelling(o Options) *telling {
	t := &telling{clock: o.Clock}
	if !o.Direct { // in virtual time nobody looks on
		t.ticks = stream.NewTicks(o.DB, o.Clock, o.Log)
	}
	return t
}

// toldJob is an event of the topic jobs.
type toldJob struct {
	ID     int64      `json:"id"`
	Kind   string     `json:"kind"`
	State  jobs.State `json:"state"`
	Done   int64      `json:"done"`
	Failed int64      `json:"failed"`
	Total  int64      `json:"total"`
}

func tellJob(j *jobs.Job) toldJob {
	return toldJob{ID: j.ID, Kind: j.Kind, State: j.State, Done: j.Done, Failed: j.Failed, Total: j.Total}
}

// JobChanged implements jobs.Observer.
func (t *telling) JobChanged(tx *gorm.DB, j *jobs.Job) error {
	return stream.Publish(tx, t.clock.Now().UnixMilli(), j.AccountID, stream.Jobs, tellJob(j))
}

// JobProgressed implements jobs.Observer.
func (t *telling) JobProgressed(j *jobs.Job) {
	t.ticks.Latest(j.AccountID, stream.Jobs, strconv.FormatInt(j.ID, 10), tellJob(j))
}

// dripMoved tells that a drip's state has changed.
func (t *telling) dripMoved(tx *gorm.DB, c campaigns.Change, to campaigns.State) error {
	return stream.Publish(tx, t.clock.Now().UnixMilli(), c.AccountID, stream.Drips, struct {
		ID     int64           `json:"id"`
		State  campaigns.State `json:"state"`
		Reason string          `json:"reason,omitempty"`
	}{c.ID, to, c.Reason})
}

// recorded counts the outcomes of calls.
func (t *telling) recorded(accountID int64, outcomes []deliveries.Outcome) {
	figures := map[string]int64{}
	for i := range outcomes {
		figures[outcomes[i].State.String()]++
	}
	t.ticks.Count(accountID, stream.Deliveries, figures)
}

// acted tells of fans' acts.
func (t *telling) acted(accountID int64, acts []*fans.Recorded) {
	for _, r := range acts {
		if r.Fresh && r.Act.Own == nil {
			t.ticks.Sample(accountID, stream.Interactions, struct {
				ID    int64  `json:"id"`
				FanID int64  `json:"fan_id"`
				Kind  string `json:"kind"`
			}{r.InteractionID, r.Fan.ID, r.Act.Kind})
		}
	}
}

// checked tells what a self-check found.
func (t *telling) checked(r *accounts.Report) {
	t.ticks.Latest(r.AccountID, stream.Checks, "", struct {
		Severity string `json:"severity"`
	}{string(r.Worst())})
}

// trimStream removes events that nobody resumes behind any more.
func (s *Scheduler) trimStream(ctx context.Context) error {
	_, err := stream.Trim(ctx, s.o.DB, s.o.Clock.Now().UnixMilli()-stream.KeepMS)
	return err
}
