package scheduler

import (
	"context"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/database"
	"hongyan/webhooks"
)

// stepCalls lets the steps of drips tell other programs, by the outbox of webhooks.
type stepCalls struct {
	store *webhooks.Store
	fans  *fans.Store
}

// eventDripStep is the type of what a step of a drip tells.
const eventDripStep = "drip.step"

// stepCall is the data of an event of type drip.step.
type stepCall struct {
	Key        string `json:"key"` // the same when it is told twice
	DripID     int64  `json:"drip_id"`
	VersionID  int64  `json:"version_id"`
	StepNo     int    `json:"step_no"`
	Occurrence int64  `json:"occurrence"`
	FanID      int64  `json:"fan_id"`
	OpenID     string `json:"openid"`
	At         int64  `json:"at"` // when the step was done, unix ms
}

// WebhookIDs implements campaigns.Webhooks.
func (w stepCalls) WebhookIDs(ctx context.Context, accountID int64) ([]int64, error) {
	all, err := w.store.FindEndpoints(ctx, accountID)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(all))
	for i, e := range all {
		ids[i] = e.ID
	}
	return ids, nil
}

// Enqueue implements campaigns.Webhooks.
func (w stepCalls) Enqueue(tx *gorm.DB, accountID, webhookID int64, calls []campaigns.WebhookCall) error {
	ids := make([]int64, len(calls))
	for i := range calls {
		ids[i] = calls[i].FanID
	}
	found, err := w.fans.ByIDs(tx, accountID, database.SortedSet(ids))
	if err != nil {
		return err
	}
	events := make([]webhooks.Event, 0, len(calls))
	for i := range calls {
		c := &calls[i]
		fan := found[c.FanID]
		if fan == nil || fan.Erased() {
			continue // nobody is told of a person who was erased
		}
		events = append(events, webhooks.Event{Type: eventDripStep, FanID: c.FanID, Data: stepCall{
			Key: c.Key, DripID: c.CampaignID, VersionID: c.VersionID, StepNo: c.StepNo, Occurrence: c.Occurrence, FanID: c.FanID, OpenID: fan.OpenID, At: c.At,
		}})
	}
	return w.store.Enqueue(tx, accountID, webhookID, events)
}

// trimWebhooks removes old events, beside the other jobs: a first run over very many may take a while.
func (s *Scheduler) trimWebhooks(ctx context.Context) error {
	s.background(func() {
		removed, err := s.Webhooks.Trim(ctx)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot remove all old events of webhooks", "error", err)
		}
		s.o.Log.Info("old events of webhooks were removed", "events", removed)
	})
	return nil
}
