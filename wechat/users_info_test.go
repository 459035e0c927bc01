package wechat_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestFanInfoTellsWhatThePlatformStillTells(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.BindOpenPlatform(w.acc.AppID, true))
	fan := w.named(simulator.NewFan{OpenID: "o6_bmjrPTlm6_2sgVt7hMZOPfL2M", UnionID: "oUnion", Language: "zh_CN"})
	w.follow(fan, "98765")
	tag, err := w.client.CreateTag(t.Context(), w.acc, "广东")
	require.NoError(t, err)
	_, err = w.client.AddTag(t.Context(), w.acc, tag.ID, []string{fan})
	require.NoError(t, err)
	require.NoError(t, w.client.SetRemark(t.Context(), w.acc, fan, "pangzi"))
	_, body := w.raw("GET", "/cgi-bin/user/info?openid="+fan+"&lang=zh_CN", "")
	require.JSONEq(t, `{"subscribe":1,"openid":"o6_bmjrPTlm6_2sgVt7hMZOPfL2M","unionid":"oUnion","nickname":"","headimgurl":"","language":"zh_CN",
		"subscribe_time":1772413200,"remark":"pangzi","groupid":100,"tagid_list":[100],"subscribe_scene":"ADD_SCENE_QR_CODE",
		"qr_scene":98765,"qr_scene_str":""}`, body)
	want := wechat.FanInfo{
		OpenID: fan, UnionID: "oUnion", Follows: true, FollowedAt: w.sim.Clock().Now(), Remark: "pangzi", TagIDs: []int{tag.ID},
		Scene: "ADD_SCENE_QR_CODE", QRScene: 98765, Language: "zh_CN",
	}
	info, err := w.client.FanInfo(t.Context(), w.acc, fan)
	require.NoError(t, err)
	require.Equal(t, want, info)
	infos, _, err := w.client.FanInfos(t.Context(), w.acc, []string{fan})
	require.NoError(t, err)
	require.Equal(t, []wechat.FanInfo{want}, infos)
}

func TestTheSceneOfAFollowIsTold(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	at := time.Date(2020, 6, 8, 0, 0, 0, 0, time.UTC)
	w.named(simulator.NewFan{OpenID: "o1", Subscribed: true, FollowedAt: at, FollowScene: "ADD_SCENE_CHANNELS"})
	w.named(simulator.NewFan{OpenID: "o2"})
	w.follow("o2", "poster_7")
	info := func(id string) wechat.FanInfo {
		out, err := w.client.FanInfo(t.Context(), w.acc, id)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, wechat.FanInfo{OpenID: "o1", Follows: true, FollowedAt: at, Scene: "ADD_SCENE_CHANNELS", TagIDs: []int{}}, info("o1"))
	require.Equal(t, "poster_7", info("o2").QRSceneStr)
	require.Zero(t, info("o2").QRScene)
	w.unfollow("o2")
	w.follow("o2", "")
	require.Equal(t, "ADD_SCENE_SEARCH", info("o2").Scene)
	require.Empty(t, info("o2").QRSceneStr)
	require.Empty(t, info("o2").UnionID, "the account is not bound to an Open Platform account")
	_, err := w.sim.AddFan(w.acc.AppID, simulator.NewFan{FollowScene: "ADD_SCENE_DREAM"})
	requireBadField(t, "follow_scene", "unknown", err)
}

func TestOfAPersonWhoDoesNotFollowOnlyTheOpenIDIsTold(t *testing.T) {
	t.Parallel()
	for _, strangers := range []bool{false, true} {
		w := newFansWorld(t, simulator.Switches{StrangerUnionID: strangers})
		require.NoError(t, w.sim.BindOpenPlatform(w.acc.AppID, true))
		w.named(simulator.NewFan{OpenID: "o1", UnionID: "u1", Language: "en"})
		want := `{"subscribe":0,"openid":"o1"}`
		if strangers {
			want = `{"subscribe":0,"openid":"o1","unionid":"u1"}`
		}
		_, body := w.raw("GET", "/cgi-bin/user/info?openid=o1", "")
		require.JSONEq(t, want, body)
		_, body = w.raw("POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"o1","lang":"en"}]}`)
		require.JSONEq(t, `{"user_info_list":[`+want+`]}`, body)
		info, err := w.client.FanInfo(t.Context(), w.acc, "o1")
		require.NoError(t, err)
		require.False(t, info.Follows)
		require.Zero(t, info.FollowedAt)
	}
}

func TestWhoComesBackHasNeitherTagsNorRemark(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fan := w.fans(1)[0]
	tag, err := w.client.CreateTag(t.Context(), w.acc, "vip")
	require.NoError(t, err)
	_, err = w.client.AddTag(t.Context(), w.acc, tag.ID, []string{fan})
	require.NoError(t, err)
	require.NoError(t, w.client.SetRemark(t.Context(), w.acc, fan, "r"))
	w.unfollow(fan)
	tags, err := w.sim.Tags(w.acc.AppID)
	require.NoError(t, err)
	require.Equal(t, simulator.Tag{ID: tag.ID, Name: "vip"}, tags[1])
	w.follow(fan, "")
	state, err := w.sim.Fan(fan)
	require.NoError(t, err)
	require.Empty(t, state.TagIDs)
	require.Empty(t, state.Remark)
}

func TestFanInfosAreAskedForByTheHundred(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(201)
	infos, done, err := w.client.FanInfos(t.Context(), w.acc, fans)
	require.NoError(t, err)
	require.Equal(t, wechat.Batched{Done: 201}, done)
	for i, info := range infos {
		require.Equal(t, fans[i], info.OpenID)
	}
	bodies := w.bodies(simulator.PathUserInfoBatch)
	require.Len(t, bodies, 3)
	require.JSONEq(t, `{"user_list":[{"openid":"`+fans[200]+`","lang":"zh_CN"}]}`, bodies[2])
	require.Equal(t, 100, strings.Count(bodies[0], "openid"))

	entry := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"openid":"`+fans[0]+`"},`, n), ",") }
	for n, want := range map[int]int{0: 40032, 100: 0, 101: 40032} {
		code, _ := w.raw("POST", simulator.PathUserInfoBatch, `{"user_list":[`+entry(n)+`]}`)
		require.Equal(t, want, code, "%d fans", n)
	}
	infos, done, err = w.client.FanInfos(t.Context(), w.acc, nil)
	require.NoError(t, err)
	require.Empty(t, infos)
	require.Zero(t, done)
}

func TestABadFanInABatchIsFoundAndTheOthersAreDone(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(120)
	asked := append([]string{"nobody"}, fans...)
	asked = append(asked, w.foreign())
	infos, done, err := w.client.FanInfos(t.Context(), w.acc, asked)
	require.NoError(t, err)
	require.Len(t, infos, 120)
	require.Equal(t, 122, done.Done)
	require.Len(t, done.Refused, 2)
	require.Equal(t, "nobody", done.Refused[0].OpenID)
	require.Equal(t, asked[121], done.Refused[1].OpenID)
	requireCode(t, 40003, done.Refused[0].Err)
	require.Less(t, len(w.bodies(simulator.PathUserInfoBatch)), 30)
}

func TestAListOfNothingButRefusedFansIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	foreign, err := w.sim.AddFans(foreignAppID, 300, true)
	require.NoError(t, err)
	_, done, err := w.client.FanInfos(t.Context(), w.acc, foreign)
	requireCode(t, 40003, err)
	require.Equal(t, 100, done.Done)
	require.Len(t, done.Refused, 100)
}

func TestABatchInTheMiddleThatFailsEndsTheWorkAndTellsWhere(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(250)
	for body, outcome := range map[string]wechat.Outcome{
		`{"errcode":-1,"errmsg":"system error"}`: wechat.OutcomeLost, `{"user_info_list":[]}`: wechat.OutcomeLost,
		`{"errcode":45009,"errmsg":"x"}`: wechat.OutcomeFailed,
	} {
		w.through(func(n int, _ *http.Request) *http.Response {
			if n == 2 {
				return saysJSON(body)
			}
			return nil
		})
		infos, done, err := w.client.FanInfos(t.Context(), w.acc, fans)
		require.Error(t, err)
		require.Equal(t, outcome, wechat.OutcomeOf(err))
		require.Equal(t, wechat.Batched{Done: 100}, done)
		require.Len(t, infos, 100)
		more, done, err := w.client.FanInfos(t.Context(), w.acc, fans[done.Done:])
		require.NoError(t, err)
		require.Equal(t, 150, done.Done)
		require.Len(t, append(infos, more...), 250)
	}
}

func TestARemarkMayHave29CharactersAndNotMore(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fan := w.fans(1)[0]
	body := func(n int) string { return fmt.Sprintf(`{"openid":%q,"remark":%q}`, fan, strings.Repeat("鸿", n)) }
	require.NoError(t, w.client.SetRemark(t.Context(), w.acc, fan, strings.Repeat("鸿", 29)))
	require.Equal(t, []string{body(29)}, w.bodies(simulator.PathUserRemark))
	requireBadField(t, "remark", "remark_length", w.client.SetRemark(t.Context(), w.acc, fan, strings.Repeat("鸿", 30)))
	require.Len(t, w.bodies(simulator.PathUserRemark), 1, "refused before the call")
	code, _ := w.raw("POST", simulator.PathUserRemark, body(30))
	require.Equal(t, 40092, code)
	require.NoError(t, w.client.SetRemark(t.Context(), w.acc, fan, ""))
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{NamesInBytes: true}))
	require.NoError(t, w.client.SetRemark(t.Context(), w.acc, fan, strings.Repeat("鸿", 9)))
	requireCode(t, 40092, w.client.SetRemark(t.Context(), w.acc, fan, strings.Repeat("鸿", 10)))
	state, err := w.sim.Fan(fan)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("鸿", 9), state.Remark)

	w.unfollow(fan)
	requireCode(t, 43004, w.client.SetRemark(t.Context(), w.acc, fan, "r"))
	requireCode(t, 40003, w.client.SetRemark(t.Context(), w.acc, "nobody", "r"))
	requireCode(t, 40003, w.client.SetRemark(t.Context(), w.acc, w.foreign(), "r"))
	requireBadField(t, "openid", "required", w.client.SetRemark(t.Context(), w.acc, "", "r"))
}
