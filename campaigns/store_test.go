package campaigns_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/stops"
)

func TestADripIsStoredAsADraftAndComesBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		raw := define(follow, `,"daily_cap":3`, `"delay":"0s",`+say(2), `"at":"09:30","days":1`)
		d := w.create(raw, 5)
		require.Equal(t, campaigns.StateDraft, d.State)
		require.Equal(t, 1, d.Version)
		want, err := campaigns.ParseDefinition([]byte(raw), w.account, start)
		require.NoError(t, err)
		require.Equal(t, want, d.Definition)
		require.EqualValues(t, 3, w.count("messages"))

		_, err = w.drips.FindDrip(context.Background(), 2, d.ID)
		require.True(t, fault.Is(err, fault.NotFound), "another account's drip: %v", err)
		second := w.create(define(follow, "", `"delay":"0s"`), 0)
		listed, err := w.drips.FindDrips(context.Background(), 1, campaigns.DripFilter{BeforeID: second.ID, States: []campaigns.State{campaigns.StateDraft}})
		require.NoError(t, err)
		require.Len(t, listed, 1)
		require.Equal(t, d.ID, listed[0].ID)
		listed, err = w.drips.FindDrips(context.Background(), 1, campaigns.DripFilter{})
		require.NoError(t, err)
		require.Equal(t, []int64{second.ID, d.ID}, []int64{listed[0].ID, listed[1].ID}, "the newest first")
	})
}

func TestNothingOfABadDripIsStored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		_, err := w.drips.CreateDrip(context.Background(), w.account, campaigns.NewDrip{Name: " ", Priority: 1001, Definition: []byte(define(follow, "", `"delay":"x"`))})
		var got []string
		for _, f := range fault.Fields(err) {
			got = append(got, f.Field)
		}
		require.Equal(t, []string{"name", "priority", "steps[0].delay"}, got)
		good := w.create(define(follow, "", `"delay":"0s"`), 0)
		_, err = w.drips.UpdateDrip(context.Background(), w.account, good.ID, good.Revision, campaigns.DripPatch{Definition: []byte(define(follow, "", `"at":"25:00"`))})
		require.Len(t, fault.Fields(err), 1)
		good.Reaches = nil
		require.Equal(t, good, w.find(good.ID))
		for table, n := range map[string]int64{"campaigns": 1, "campaign_versions": 1, "messages": 1} {
			require.Equal(t, n, w.count(table), table)
		}
	})
}

func TestEveryChangeComparesStateAndRevision(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.create(define(follow, "", `"delay":"0s"`), 0)
		change := campaigns.Change{AccountID: 1, ID: d.ID, Revision: d.Revision}
		_, err := w.drips.PauseDrip(ctx, change)
		require.True(t, fault.Is(err, fault.Conflict), "a draft cannot be paused: %v", err)
		require.True(t, fault.Is(w.drips.ResumeDrip(ctx, change), fault.Conflict))
		foreign := change
		foreign.AccountID = 2
		_, err = w.drips.PauseDrip(ctx, foreign)
		require.True(t, fault.Is(err, fault.NotFound), "another account's drip: %v", err)

		require.NoError(t, w.drips.StartDrip(ctx, w.account, change))
		require.True(t, fault.Is(w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: d.ID}), fault.Conflict), "it runs already")
		_, err = w.drips.PauseDrip(ctx, change)
		require.True(t, fault.Is(err, fault.Conflict), "the revision is that of before the start: %v", err)
		name := "other"
		_, err = w.drips.UpdateDrip(ctx, w.account, d.ID, d.Revision, campaigns.DripPatch{Name: &name})
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		renamed, err := w.drips.UpdateDrip(ctx, w.account, d.ID, w.find(d.ID).Revision, campaigns.DripPatch{Name: &name})
		require.NoError(t, err)
		require.Equal(t, "other", renamed.Name)
		require.Equal(t, 1, renamed.Version, "a new name is no new version")

		onWire, err := w.drips.PauseDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID, Reason: "failures"})
		require.NoError(t, err)
		require.Equal(t, 7, onWire)
		require.Equal(t, "failures", w.find(d.ID).StoppedReason)
		require.NoError(t, w.drips.ResumeDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID}))
		require.Empty(t, w.find(d.ID).StoppedReason)
		_, err = w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.NoError(t, err)
		require.True(t, fault.Is(w.drips.ResumeDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID}), fault.Conflict), "a stop is for good")
		_, err = w.drips.UpdateDrip(ctx, w.account, d.ID, w.find(d.ID).Revision, campaigns.DripPatch{Name: &name})
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	})
}

func TestStopsBumpTheEpochThatIsThenWaitedFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.run(define(follow, "", `"delay":"0s"`), 0)
		epoch, err := stops.Epoch(w.db.Read(ctx))
		require.NoError(t, err)
		require.EqualValues(t, 1, epoch, "a start is seen by the workers as well")
		_, err = w.drips.PauseDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.NoError(t, err)
		_, err = w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.NoError(t, err)
		require.Equal(t, []int64{2, 3}, w.waiter.epochs)
	})
}

func TestADripWhoseEndHasPassedCannotStart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.create(define(follow, `,"ends_at":"2026-03-03T00:00:00Z"`, `"delay":"0s"`), 0)
		w.clk.Advance(48 * time.Hour)
		err := w.drips.StartDrip(context.Background(), w.account, campaigns.Change{ID: d.ID})
		require.Equal(t, "ends_at", fault.Fields(err)[0].Field)
		require.Equal(t, campaigns.StateDraft, w.find(d.ID).State)
	})
}

func TestAStopCancelsWhatIsPlannedAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		d := w.run(define(follow, `,"re_entry":{"mode":"always"}`, `"delay":"1h",`+say(2)), 0)
		other := w.run(define(follow, "", `"delay":"1h"`), 0)
		var acts []campaigns.Act
		for fan := int64(1); fan <= 70; fan++ { // more than one slice, whose border lies between the runs of one fan
			for range 3 {
				acts = append(acts, w.act(fan, campaigns.ActFollow, ""))
			}
		}
		w.enter(acts...)
		w.waiter.fail = errors.New("interrupted")
		_, err := w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.Error(t, err)
		require.EqualValues(t, 210, w.count("enrolments WHERE campaign_id = ? AND state = 'running'", d.ID))
		require.Equal(t, campaigns.StateCancelled, w.find(d.ID).State, "the stop holds although it was cut short")

		w.waiter.fail = nil
		_, err = w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.NoError(t, err)
		require.Equal(t, []string{"1.1 cancelled", "2.1 cancelled", "3.1 cancelled"}, w.runs(d.ID, 67))
		require.Equal(t, []string{"1.1.1 cancelled 1h0m0s", "1.1.2 cancelled 1h0m0s"}, w.story(d.ID, 67)[:2])
		require.Zero(t, w.count("enrolments WHERE campaign_id = ? AND state = 'running'", d.ID))
		require.EqualValues(t, 70, w.count("enrolments WHERE campaign_id = ? AND state = 'running'", other.ID))
		_, err = w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: d.ID})
		require.True(t, fault.Is(err, fault.Conflict), "done is done: %v", err)
	})
}

func TestTheWorkerLearnsStopsAndCaps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		capped, draft := w.run(define(follow, `,"daily_cap":2,"monthly_cap":30`, `"delay":"0s"`), 0), w.create(define(follow, "", `"delay":"0s"`), 0)
		facts := func() (out map[int64]campaigns.Sending, running []int64) {
			w.tx(func(tx *gorm.DB) (err error) {
				if out, err = w.drips.Sending(tx, 1, []int64{capped.ID, draft.ID, 999}); err != nil {
					return err
				}
				running, err = w.drips.RunningIDs(tx)
				return err
			})
			return out, running
		}
		got, running := facts()
		require.Equal(t, map[int64]campaigns.Sending{capped.ID: {Caps: guard.Caps{2, guard.NoCap, 30}}, draft.ID: {Stopped: true, Caps: guard.NoCaps()}}, got)
		require.Equal(t, []int64{capped.ID}, running)
		_, err := w.drips.PauseDrip(ctx, campaigns.Change{AccountID: 1, ID: capped.ID})
		require.NoError(t, err)
		got, running = facts()
		require.True(t, got[capped.ID].Stopped)
		require.Empty(t, running)
	})
}

func TestASavedDripSaysWhichStepsCanArrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.create(define(follow, "", `"delay":"10m"`), 0)
		require.Equal(t, campaigns.NeedsReply, d.Reaches[0].State)
		require.Contains(t, d.Reaches[0].En, "needs a reply first")
		d, err := w.drips.UpdateDrip(context.Background(), w.account, d.ID, d.Revision, campaigns.DripPatch{Definition: []byte(define(follow, "", `"delay":"0s"`))})
		require.NoError(t, err)
		require.Equal(t, campaigns.Reachable, d.Reaches[0].State)
	})
}
