package campaigns_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/internal/fault"
)

// onTag is a drip that one tag starts and that gives another; 0 gives none.
func onTag(tag, gives int64) string {
	step := send("0s")
	if gives != 0 {
		step = iff(isSubscribed, fmt.Sprintf(`{"kind":"tag","tag":%d}`, gives), "")
	}
	return fmt.Sprintf(`{"triggers":[{"kind":"tag","tag":%d}],"steps":[%s]}`, tag, step)
}

func TestDripsThatWouldStartEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		for id := int64(1); id <= 3; id++ {
			w.tag(id)
		}
		create := func(name, raw string) (*campaigns.Drip, error) {
			return w.drips.CreateDrip(ctx, w.account, campaigns.NewDrip{Name: name, Definition: []byte(raw)})
		}
		_, err := create("self", onTag(1, 1))
		require.ErrorContains(t, err, "self (")
		require.Equal(t, "loop", fault.Fields(err)[0].Rule)
		require.Equal(t, "steps[0].then[0].tag", fault.Fields(err)[0].Field)
		require.Zero(t, w.count("campaigns"), "nothing is stored")

		one, err := create("one", onTag(1, 2))
		require.NoError(t, err)
		two, err := create("two", onTag(2, 3))
		require.NoError(t, err)
		_, err = create("three", onTag(3, 1))
		require.ErrorContains(t, err, fmt.Sprintf("three (%d) –[1]→ one (%d) –[2]→ two (%d) –[3]→ three (%d)", two.ID+1, one.ID, two.ID, two.ID+1))
		three, err := create("three", onTag(3, 0))
		require.NoError(t, err)
		_, err = w.drips.UpdateDrip(ctx, w.account, three.ID, three.Revision, campaigns.DripPatch{Definition: []byte(onTag(3, 2))})
		require.ErrorContains(t, err, fmt.Sprintf("three (%d) –[2]→ two (%d) –[3]→ three", three.ID, two.ID))
		require.Equal(t, 1, w.find(three.ID).Version)

		// Drips that were saved by an older program are checked when they start.
		w.exec("UPDATE campaign_versions SET definition = REPLACE(definition, '\"tag\":3', '\"tag\":1') WHERE campaign_id = ?", two.ID)
		require.NoError(t, w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: three.ID}))
		err = w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: one.ID})
		require.ErrorContains(t, err, "in a circle")
		require.Equal(t, campaigns.StateDraft, w.find(one.ID).State)
		_, err = w.drips.StopDrip(ctx, campaigns.Change{AccountID: 1, ID: two.ID})
		require.NoError(t, err)
		require.NoError(t, w.drips.StartDrip(ctx, w.account, campaigns.Change{ID: one.ID}), "a drip that is over starts nobody")
	})
}
