package scheduler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/jobs"
	"hongyan/webhooks"
)

func TestChangesOfJobsAndDripsAreTold(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		told := func() (out []string) {
			require.NoError(t, w.db.Read(t.Context()).Raw("SELECT payload FROM stream_events WHERE account_id = ? ORDER BY id", w.account.ID).Scan(&out).Error)
			return out
		}
		require.NoError(t, w.s.Jobs.Create(t.Context(), &jobs.Job{AccountID: w.account.ID, Kind: fans.TagsSyncKind}))
		require.Len(t, told(), 1)
		require.Contains(t, told()[0], `"state":"waiting"`)
		d := w.drip(onFollow(), nil, step("0s", "hello"))
		_, err := w.s.Campaigns.PauseDrip(t.Context(), campaigns.Change{AccountID: w.account.ID, ID: d.ID, Reason: "failures_in_a_row"})
		require.NoError(t, err)
		require.Len(t, told(), 3)
		require.Contains(t, told()[1], `"state":"running"`)
		require.Contains(t, told()[2], `"state":"paused","reason":"failures_in_a_row"`)
	})
}

func TestAStepTellsAnotherProgramOfAFanOnce(t *testing.T) {
	t.Parallel()
	each(t, setup{}, func(t *testing.T, w *world) {
		e, _, err := w.s.Webhooks.CreateEndpoint(t.Context(), w.account.ID, webhooks.NewEndpoint{Name: "CRM", URL: "https://example.com"})
		require.NoError(t, err)
		w.drip(onFollow(), nil, j{"kind": "webhook", "webhook": e.ID, "delay": "0s"}, step("1m", "hello"))
		openid := w.stranger()
		w.follow(openid)
		w.turn()
		events, err := w.s.Webhooks.FindEntries(t.Context(), webhooks.Filter{AccountID: w.account.ID, WebhookID: e.ID, State: webhooks.StateWaiting, Most: 10})
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, "drip.step", events[0].Type)
		require.Contains(t, events[0].Body, openid)
		require.NotZero(t, events[0].FanID)
		require.NoError(t, w.s.Fans.EraseFans(t.Context(), w.account.ID, []int64{events[0].FanID}))
		require.Zero(t, w.number("SELECT COUNT(*) FROM webhook_events"))
	})
}
