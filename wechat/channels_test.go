package wechat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
)

func chatDay(t *testing.T, text string) time.Time {
	t.Helper()
	day, err := wechat.ParseDay(text)
	require.NoError(t, err)
	return day.Start()
}

func TestWhatChatChannelsGrant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		channel  wechat.ChatChannel
		day      string
		act      wechat.ChatAct
		messages int
		lifetime time.Duration
		combines wechat.Combination
	}{
		{wechat.ChatMiniProgram, "2026-01-01", wechat.ChatWrote, 5, 48 * time.Hour, wechat.CombineMaximum},
		{wechat.ChatMiniProgram, "2026-01-01", wechat.ChatEntered, 2, time.Minute, wechat.CombineMaximum},
		{wechat.ChatMiniProgram, "2018-01-01", wechat.ChatEntered, 2, time.Minute, wechat.CombineMaximum},
		{wechat.ChatMiniProgram, "2017-12-31", wechat.ChatWrote, 3, 48 * time.Hour, wechat.CombineMaximum},
		{wechat.ChatMiniProgram, "2017-12-31", wechat.ChatEntered, 1, time.Minute, wechat.CombineMaximum},
		{wechat.ChatWeCom, "2026-01-01", wechat.ChatWrote, 5, 48 * time.Hour, wechat.CombineRenew},
		{wechat.ChatWeCom, "2026-01-01", wechat.ChatEntered, 1, 20 * time.Second, wechat.CombineByCode},
		{wechat.ChatWeCom, "2026-01-01", wechat.ChatQueued, 1, 48 * time.Hour, wechat.CombineByCode},
		{wechat.ChatWeCom, "2026-01-01", wechat.ChatTaken, 1, 48 * time.Hour, wechat.CombineByCode},
		{wechat.ChatWeCom, "2026-01-01", wechat.ChatEnded, 1, 20 * time.Second, wechat.CombineByCode},
	} {
		rules := wechat.ChatRulesAt(c.channel, chatDay(t, c.day))
		grant, ok := rules.Grant(c.act)
		require.True(t, ok)
		require.Equal(t, wechat.Allowance{Messages: c.messages, Lifetime: c.lifetime}, grant.Allowance, "%s %s", rules.Name, c.day)
		require.Equal(t, c.combines, grant.Combination)
	}
}

func TestWhatAChatChannelDoesNotListGrantsNothing(t *testing.T) {
	t.Parallel()
	mini := wechat.ChatRulesAt(wechat.ChatMiniProgram, chatDay(t, "2026-01-01"))
	_, ok := mini.Grant(wechat.ChatQueued)
	require.False(t, ok)
	none := wechat.ChatRulesAt(9, chatDay(t, "2026-01-01"))
	_, ok = none.Grant(wechat.ChatWrote)
	require.False(t, ok)
	require.Equal(t, []string{"mini_program", "wecom", "unknown"},
		[]string{wechat.ChatMiniProgram.String(), wechat.ChatWeCom.String(), wechat.ChatChannel(9).String()})
}

func TestChatRuleSetsAreInOrderAndKeepTheirActsApart(t *testing.T) {
	t.Parallel()
	for _, channel := range []wechat.ChatChannel{wechat.ChatMiniProgram, wechat.ChatWeCom} {
		sets := wechat.ChatRuleSets(channel)
		require.NotEmpty(t, sets)
		require.True(t, sets[0].From.IsZero(), "some rules hold at any time")
		for i, set := range sets {
			if i > 0 {
				require.True(t, sets[i-1].From.Before(set.From))
			}
			acts, buckets := map[wechat.ChatAct]bool{}, map[wechat.Trigger]bool{}
			for _, g := range set.Grants {
				require.False(t, acts[g.Act], "an act has one grant")
				acts[g.Act] = true
				require.Positive(t, g.Messages)
				require.Positive(t, g.Usable())
				if g.Combination != wechat.CombineByCode {
					require.False(t, buckets[g.Bucket], "two acts in a bucket would overwrite each other")
					buckets[g.Bucket] = true
				}
			}
		}
	}
}

func TestWeComTakesMessagesBeforeAnAgentDoes(t *testing.T) {
	t.Parallel()
	for state, want := range map[wechat.WeComState]bool{
		wechat.WeComNew: true, wechat.WeComBot: true, wechat.WeComQueue: false, wechat.WeComAgent: false, wechat.WeComClosed: false,
	} {
		require.Equal(t, want, state.TakesMessages(), "state %d", state)
	}
}

func TestWeComsFailuresCorrectTheGrants(t *testing.T) {
	t.Parallel()
	for failure := range wechat.WeComFailRefused + 1 {
		require.Equal(t, failure == 6, failure.UsedUp(), "fail_type %d", failure)
		require.Equal(t, failure == 4 || failure == 5, failure.Closed(), "fail_type %d", failure)
	}
}
