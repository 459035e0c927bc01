package campaigns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/deliveries"
)

func TestADripThatBranchesFirstAnswersAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.people(2)
		w.tag(8, 1)
		first := w.run(steps(iff(`{"field":"tag.8","op":"exists"}`, send("0s"), send("1m")), send("1h")), 5)
		second := w.run(steps(send("0s"), send("1h")), 1)
		offered := 0
		entered := w.enterWith(campaigns.EnterInput{Acts: []campaigns.Act{w.act(1, campaigns.ActFollow, ""), w.act(2, campaigns.ActFollow, "")}, Passive: func(*campaigns.Act, *deliveries.Planned) bool {
			offered++
			return false
		}})
		winners := map[[2]int64]bool{}
		for _, e := range entered {
			winners[[2]int64{e.CampaignID, int64(e.Act)}] = e.Winner
			require.Equal(t, e.Winner, len(e.Immediate) > 0)
		}
		require.Equal(t, map[[2]int64]bool{{first.ID, 0}: true, {second.ID, 0}: false, {first.ID, 1}: false, {second.ID, 1}: true}, winners,
			"who has the tag is answered by the first drip, the other by the second")
		require.Equal(t, 2, offered)
		require.Equal(t, []string{"1.2.1 planned none 0s"}, w.story(first.ID, 1))
		require.Equal(t, []string{"1.3.1 planned none 1m0s"}, w.story(first.ID, 2), "a step with a delay is no answer")
		require.Equal(t, []string{"1.1.1 skipped superseded 0s", "1.2.1 planned none 1h0m0s"}, w.story(second.ID, 1))
	})
}

func TestAnActIsWaitedForOnlyIfSomethingMayAnswerIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.tag(8)
		w.outbox()
		act := w.act(1, campaigns.ActFollow, "")
		may := func() bool {
			w.clk.Advance(time.Second)
			answers, err := w.drips.MayAnswer(w.db.Read(t.Context()), 1, &act)
			require.NoError(t, err)
			return answers
		}
		w.run(steps(waitFor(onReply, "1h", send("0s"), send("0s"))), 0)
		w.run(steps(`{"kind":"tag","tag":8,"delay":"1s"}`, send("0s")), 0)
		w.run(steps(iff(isSubscribed, send("1s"), exitStep), send("0s")), 0)
		require.False(t, may())
		w.run(steps(`{"kind":"tag","tag":8}`, iff(isSubscribed, exitStep, ""), send("0s")), 0)
		require.True(t, may())
	})
}
