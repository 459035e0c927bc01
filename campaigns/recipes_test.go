package campaigns_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

func TestEveryRecipeCanBeStartedAndItsStepsArrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, l := range []lang.Lang{lang.ZH, lang.EN} {
			for _, r := range campaigns.Recipes(l) {
				raw, err := json.Marshal(r.Definition)
				require.NoError(t, err)
				d, err := w.drips.CreateDrip(t.Context(), w.account, campaigns.NewDrip{Name: r.Name.In(l), Definition: raw})
				require.NoError(t, err, r.ID)
				for _, reach := range d.Reaches {
					require.NotEqual(t, campaigns.Never, reach.State, "%s, %s: %s", r.ID, reach.Path, reach.En)
				}
				require.NoError(t, w.drips.StartDrip(t.Context(), w.account, campaigns.Change{ID: d.ID}), r.ID)
			}
		}
	})
}

func TestACloneIsADraftThatSaysTheSame(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		d := w.create(define(follow, "", `"delay":"0s"`), 7)
		require.NoError(t, w.drips.StartDrip(t.Context(), w.account, campaigns.Change{ID: d.ID}))
		c, err := w.drips.CloneDrip(t.Context(), w.account, d.ID, "copy")
		require.NoError(t, err)
		require.NotEqual(t, d.ID, c.ID)
		require.Equal(t, []any{"copy", campaigns.StateDraft, 7, 1, d.Definition}, []any{c.Name, c.State, c.Priority, c.Version, c.Definition})

		_, err = w.drips.CloneDrip(t.Context(), w.account, d.ID, " ")
		require.Equal(t, "name", fault.Fields(err)[0].Field)
	})
}

func TestAnEndThatHasPassedIsNotCloned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		end := w.clk.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		d := w.create(define(follow, `,"ends_at":"`+end+`"`, `"delay":"0s"`), 0)
		c, err := w.drips.CloneDrip(t.Context(), w.account, d.ID, "early")
		require.NoError(t, err)
		require.Equal(t, end, c.Definition.EndsAt)
		w.clk.Advance(2 * time.Hour)
		c, err = w.drips.CloneDrip(t.Context(), w.account, d.ID, "late")
		require.NoError(t, err)
		require.Empty(t, c.Definition.EndsAt)
	})
}

func TestOnlyWhatIsNotGoingOnIsArchivedAndAnArchivedDripDoesNotStart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		d := w.create(define(follow, "", `"delay":"0s"`), 0)
		change := func(revision int64) campaigns.Change {
			return campaigns.Change{AccountID: w.account.ID, ID: d.ID, Revision: revision}
		}
		require.NoError(t, w.drips.ArchiveDrip(ctx, change(d.Revision)))
		listed, err := w.drips.FindDrips(ctx, w.account.ID, campaigns.DripFilter{})
		require.NoError(t, err)
		require.Empty(t, listed)
		listed, err = w.drips.FindDrips(ctx, w.account.ID, campaigns.DripFilter{Archived: true})
		require.NoError(t, err)
		require.Len(t, listed, 1)
		require.True(t, fault.Is(w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: d.ID}), fault.Conflict))
		require.True(t, fault.Is(w.drips.RestoreDrip(ctx, change(d.Revision)), fault.Conflict), "a stale revision")
		require.NoError(t, w.drips.RestoreDrip(ctx, change(d.Revision+1)))
		require.NoError(t, w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: d.ID}))
		now, err := w.drips.FindDrip(ctx, w.account.ID, d.ID)
		require.NoError(t, err)
		require.True(t, fault.Is(w.drips.ArchiveDrip(ctx, change(now.Revision)), fault.Conflict), "it is running")
	})
}
