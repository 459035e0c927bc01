package fans

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/jobs"
	"hongyan/limits"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestASynchronisationMakesOurFansThePlatforms(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		stay, back := w.people(250, true), w.people(1, true)[0]
		w.people(20, false)
		gone := w.people(1, false)[0]
		w.known(stay[7], true)
		w.known(back, false)
		w.known(gone, true)
		require.Positive(t, w.usage(gone).Grants.Generation)

		require.ElementsMatch(t, [][]string{{back, "followed", ""}, {gone, "unfollowed", ""}}, w.sync())
		w.agrees()
		require.Len(t, w.all(), 252, "nobody who never followed")
		require.Equal(t, w.clk.Now().UnixMilli(), w.fan(gone).UnsubscribedAt)
		require.EqualValues(t, 252, w.lastJob().Done)
		require.EqualValues(t, 252, w.lastJob().Total)
		require.Empty(t, w.sync(), "nothing is news the second time")

		missed := w.people(3, true)
		lines := w.sync()
		require.Len(t, lines, 3, "after the first time, whoever follows without our knowing is news")
		require.ElementsMatch(t, missed, []string{lines[0][0], lines[1][0], lines[2][0]})
		w.agrees()
	})
}

func (w *syncWorld) all() []*Fan {
	w.t.Helper()
	all, err := w.FindFans(w.t.Context(), account, FanFilter{Limit: 1_000_000})
	require.NoError(w.t, err)
	return all
}

func (w *syncWorld) lastJob() *jobs.Job {
	w.t.Helper()
	list, err := w.jobs.FindJobs(w.t.Context(), jobs.Filter{AccountID: account}, 1)
	require.NoError(w.t, err)
	return &list[0]
}

func TestWhatThePlatformTellsOfAFanIsKept(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		ctx, client := t.Context(), w.platform.Client
		followed := start().Add(-30 * 24 * time.Hour)
		one, err := w.sim.AddFan(syncAppID, simulator.NewFan{Subscribed: true, FollowedAt: followed, FollowScene: "ADD_SCENE_PAID", UnionID: "union1", Language: "zh_TW"})
		require.NoError(t, err)
		coded := w.people(2, false)
		w.lost.Store(true)
		for i, scene := range []string{"77", "summer"} {
			_, err := w.sim.Follow(ctx, coded[i], scene)
			require.NoError(t, err)
		}
		require.NoError(t, w.sim.BindOpenPlatform(syncAppID, true))
		account1, err := w.platform.Accounts.FindAccount(ctx, account)
		require.NoError(t, err)
		require.NoError(t, client.SetRemark(ctx, account1.Platform(), one, "常客 🫖"))
		tag, err := client.CreateTag(ctx, account1.Platform(), "VIP")
		require.NoError(t, err)
		_, err = client.AddTag(ctx, account1.Platform(), tag.ID, []string{one, coded[0]})
		require.NoError(t, err)

		w.sync()
		f := w.fan(one)
		require.Equal(t, []any{"union1", "常客 🫖", "zh_TW", "ADD_SCENE_PAID", "", followed.UnixMilli()},
			[]any{f.UnionID, f.Remark, f.Language, f.FollowSource, f.Scene, f.SubscribedAt})
		require.Equal(t, []string{"77", "summer"}, []string{w.fan(coded[0]).Scene, w.fan(coded[1]).Scene})
		require.Equal(t, "ADD_SCENE_QR_CODE", w.fan(coded[0]).FollowSource)
		require.NotEmpty(t, w.fan(coded[0]).UnionID)
		tags, err := w.FindTags(ctx, account)
		require.NoError(t, err)
		require.Len(t, tags, 1)
		require.Equal(t, []int{tag.ID, 2}, []int{tags[0].WeChatID, int(tags[0].Fans)})

		require.NoError(t, client.SetRemark(ctx, account1.Platform(), one, ""))
		_, err = client.RemoveTag(ctx, account1.Platform(), tag.ID, []string{one})
		require.NoError(t, err)
		_, err = w.sim.Unfollow(ctx, coded[0])
		require.NoError(t, err)
		require.Equal(t, [][]string{{coded[0], "unfollowed", ""}}, w.sync())
		require.Empty(t, w.fan(one).Remark)
		of, err := w.TagsOf(w.db.Read(ctx), account, []int64{w.fan(one).ID, w.fan(coded[0]).ID})
		require.NoError(t, err)
		require.Empty(t, of, "who leaves loses the platform's tags")
	})
}

// Each of these goes wrong when an answer is believed that an event has overtaken.
func TestAnUnfollowThatOvertakesItsPageWins(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(3, true)
		w.known(openids[0], true)
		w.onAnswer(simulator.PathUserGet, func(*http.Response) {
			for _, openid := range openids[:2] { // one whom we know, one whom we do not
				if _, err := w.sim.Unfollow(t.Context(), openid); err != nil {
					t.Error(err)
				}
			}
		})
		j := w.begin()
		require.NoError(t, w.sim.SetFaults(simulator.PathUserInfoBatch, simulator.Faults{BadGateway: 1}))
		w.run()
		require.Contains(t, w.job(j.ID).Cursor, `"phase":"info"`)
		require.False(t, w.fan(openids[0]).Subscribed, "the page said otherwise, and nobody has been asked about yet")
		require.False(t, w.fan(openids[1]).Subscribed)
		require.True(t, w.fan(openids[2]).Subscribed)
		require.NoError(t, w.sim.SetFaults("", simulator.Faults{}))
		w.clk.Advance(time.Minute)
		w.run()
		require.Empty(t, w.finished(j))
		w.agrees()
	})
}

func TestAnEventThatOvertakesAnAnswerAboutTheFanWins(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		leaves, comes := w.people(1, true)[0], w.people(1, false)[0]
		w.onAnswer(simulator.PathUserInfoBatch, func(*http.Response) {
			if _, err := w.sim.Unfollow(t.Context(), leaves); err != nil {
				t.Error(err)
			}
		})
		require.Empty(t, w.sync(), "the event said it first")
		require.False(t, w.fan(leaves).Subscribed)
		w.agrees()

		w.known(comes, true) // left without our knowing, so the platform is asked, and says that they left; before that is stored they come back
		w.onAnswer(simulator.PathUserInfoBatch, func(*http.Response) {
			if _, err := w.sim.Follow(t.Context(), comes, ""); err != nil {
				t.Error(err)
			}
		})
		require.Empty(t, w.sync())
		require.True(t, w.fan(comes).Subscribed)
		w.agrees()
	})
}

func TestAFollowAfterTheListWasReadIsNotUndone(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(3, true)
		late := w.people(2, false)
		w.known(late[1], false)
		w.onAnswer(simulator.PathUserGet, func(*http.Response) {
			for _, openid := range late {
				if _, err := w.sim.Follow(t.Context(), openid, ""); err != nil {
					t.Error(err)
				}
			}
		})
		require.Empty(t, w.sync())
		w.agrees()
		require.True(t, w.fan(late[0]).Subscribed)
	})
}

func TestAFanWhomTheListLacksIsAskedAboutAndStays(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(12, true)
		w.known(openids[4], true)
		w.onAnswer(simulator.PathUserGet, func(resp *http.Response) {
			rewrite(t, resp, func(body map[string]any) {
				data := body["data"].(map[string]any)
				list := data["openid"].([]any)
				data["openid"], body["count"] = append(list[:4:4], list[5:]...), 11
			})
		})
		require.Equal(t, [][]string{{"", "count_differs", "the platform counts 12 fans and its list has 11; 0 came or went meanwhile"}}, w.sync())
		require.True(t, w.fan(openids[4]).Subscribed)
		w.agrees()
	})
}

func TestAnAccountWithoutFansIsSynchronised(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		require.Empty(t, w.sync())
		gone := w.people(1, false)[0]
		w.known(gone, true)
		require.Equal(t, [][]string{{gone, "unfollowed", ""}}, w.sync())
		w.agrees()
	})
}

func TestTheBlacklistIsTheSameOnBothSides(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids, stranger := w.people(1200, true), w.people(1, false)[0]
		black := slices.Concat(openids[:1100], []string{stranger}) // more than a page
		for _, openid := range black {
			require.NoError(t, w.sim.SetFanFlags(openid, simulator.FanFlags{Blacklisted: true}))
		}
		require.Len(t, w.sync(), 1101)
		w.agrees()
		require.Empty(t, w.sync())
		for _, openid := range black[1:] {
			require.NoError(t, w.sim.SetFanFlags(openid, simulator.FanFlags{}))
		}
		lines := w.sync()
		require.Len(t, lines, 1100)
		require.Equal(t, "unblacklisted", lines[0][1])
		w.agrees()
		require.True(t, w.fan(black[0]).Blacklisted)
	})
}

func TestAMembersChangeOfTheBlacklistIsNotUndoneByAnOlderPage(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(2, true)
		require.NoError(t, w.sim.SetFanFlags(openids[0], simulator.FanFlags{Blacklisted: true}))
		w.sync()
		b := NewBlacklister(w.Store, w.platform)
		w.onAnswer(simulator.PathBlacklistGet, func(*http.Response) {
			w.clk.Advance(time.Millisecond)
			if _, err := b.RemoveFromBlacklist(t.Context(), account, []int64{w.fan(openids[0]).ID}); err != nil {
				t.Error(err)
			}
			if _, err := b.AddToBlacklist(t.Context(), account, []int64{w.fan(openids[1]).ID}); err != nil {
				t.Error(err)
			}
		})
		require.Empty(t, w.sync())
		w.agrees()
		require.True(t, w.fan(openids[1]).Blacklisted)
	})
}

func TestASendDecidedBeforeTheSynchronisationIsDecidedAnew(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids, gone := w.people(4, true), w.people(1, false)[0]
		ids := map[string]int64{
			"stays": w.known(openids[0], true), "came back": w.known(openids[1], false), "left": w.known(gone, true),
			"blacklisted": w.known(openids[2], true), "freed": w.known(openids[3], true),
		}
		_, err := NewBlacklister(w.Store, w.platform).AddToBlacklist(t.Context(), account, []int64{ids["freed"]})
		require.NoError(t, err)
		require.NoError(t, w.sim.SetFanFlags(openids[3], simulator.FanFlags{}))
		require.NoError(t, w.sim.SetFanFlags(openids[2], simulator.FanFlags{Blacklisted: true}))
		stale := map[string]func() error{}
		for name, id := range ids {
			stale[name] = w.stale(id)
		}
		require.Len(t, w.sync(), 4)
		for name, store := range stale {
			if name == "stays" {
				require.NoError(t, store(), name)
			} else {
				require.ErrorIs(t, store(), limits.ErrStale, name)
			}
		}
		u, err := w.limits.Available(t.Context(), account, ids["left"])
		require.NoError(t, err)
		require.Zero(t, u.Grants.Buckets[wechat.TriggerFollow].Left, "what was granted is gone with the fan")
	})
}
