package campaigns_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/internal/lang"
)

func TestEveryOutcomeAndEveryExitHasANameAndWords(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for o := campaigns.OutcomeDone; o <= campaigns.OutcomeArm+4; o++ {
		require.False(t, names[o.String()], o.String())
		names[o.String()] = true
		for _, l := range []lang.Lang{lang.ZH, lang.EN} {
			require.NotEmpty(t, campaigns.OutcomeWords(o, l), o.String())
		}
	}
	require.True(t, names["arm_5"])
	for _, reason := range []string{
		campaigns.ExitReplied, campaigns.ExitClicked, campaigns.ExitTagged, campaigns.ExitGoal, campaigns.ExitFanGone, campaigns.ExitStep,
	} {
		require.NotEmpty(t, campaigns.ExitWords(reason, lang.ZH), reason)
	}
}
