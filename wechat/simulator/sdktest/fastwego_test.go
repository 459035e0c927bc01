package sdktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/faabiosr/cachego/file"
	"github.com/fastwego/offiaccount"
	"github.com/fastwego/offiaccount/apis/account"
	"github.com/fastwego/offiaccount/apis/customservice"
	"github.com/fastwego/offiaccount/apis/datacube"
	"github.com/fastwego/offiaccount/apis/draft"
	"github.com/fastwego/offiaccount/apis/material"
	"github.com/fastwego/offiaccount/apis/menu"
	"github.com/fastwego/offiaccount/apis/message/mass"
	"github.com/fastwego/offiaccount/apis/message/template"
	"github.com/fastwego/offiaccount/apis/oauth"
	"github.com/fastwego/offiaccount/apis/user"
	"github.com/fastwego/offiaccount/apis/user/tags"
	"github.com/fastwego/offiaccount/type/type_event"
	"github.com/fastwego/offiaccount/type/type_message"
	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// fastwego is the account as the SDK's README makes it, with a cache of its own: the SDK's
// is a directory that the machine's processes share.
func (w *world) fastwego() *offiaccount.OffiAccount {
	oa := offiaccount.New(offiaccount.Config{Appid: appID, Secret: secret, Token: pushToken, EncodingAESKey: aesKey})
	oa.AccessToken.Cache = file.New(w.t.TempDir())
	oa.Logger = nil
	return oa
}

// step is a call of the SDK, whose requests and answers are JSON texts.
type step struct {
	call func(*offiaccount.OffiAccount, []byte) ([]byte, error)
	body string
	want string // a part of the answer
}

func (w *world) steps(oa *offiaccount.OffiAccount, steps []step) {
	w.t.Helper()
	for i, s := range steps {
		got, err := s.call(oa, []byte(s.body))
		require.NoError(w.t, err, "step %d: %s", i, s.body)
		require.Contains(w.t, string(got), s.want, "step %d: %s", i, s.body)
	}
}

// bodiless makes a step of a call without a body.
func bodiless(call func(*offiaccount.OffiAccount) ([]byte, error)) func(*offiaccount.OffiAccount, []byte) ([]byte, error) {
	return func(oa *offiaccount.OffiAccount, _ []byte) ([]byte, error) { return call(oa) }
}

// queried makes a step of a call whose input is its query.
func queried(call func(*offiaccount.OffiAccount, url.Values) ([]byte, error)) func(*offiaccount.OffiAccount, []byte) ([]byte, error) {
	return func(oa *offiaccount.OffiAccount, query []byte) ([]byte, error) {
		values, err := url.ParseQuery(string(query))
		if err != nil {
			return nil, err
		}
		return call(oa, values)
	}
}

// member is one member of a JSON object.
func member[T any](t *testing.T, raw []byte, name string) T {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &all), "%s", raw)
	var out T
	require.NoError(t, json.Unmarshal(all[name], &out), "%s in %s", name, raw)
	return out
}

func TestFastwegoServesAgentsAndMessages(t *testing.T) {
	w := newWorld(t)
	w.steps(w.fastwego(), []step{
		{customservice.SendMessage, `{"touser":"` + w.fan + `","msgtype":"text","text":{"content":"hello"}}`, `"errcode":0`},
		{customservice.Typing, `{"touser":"` + w.fan + `","command":"Typing"}`, `"errcode":0`},
		{customservice.KfaccountAdd, `{"kf_account":"new@test","nickname":"小雁"}`, `"errcode":0`},
		{customservice.KfaccountUpdate, `{"kf_account":"new@test","nickname":"小鸿"}`, `"errcode":0`},
		{customservice.InviteWorker, `{"kf_account":"new@test","invite_wx":"wx_somebody"}`, `"errcode":0`},
		{bodiless(customservice.GetKfList), ``, `"kf_nick":"小鸿"`},
		{bodiless(customservice.GetOnlineKfList), ``, `"kf_account":"test1@test"`},
		{customservice.KfSessionCreate, `{"kf_account":"test1@test","openid":"` + w.fan + `"}`, `"errcode":0`},
		{queried(customservice.KfSessionGet), "openid=" + w.fan, `"kf_account":"test1@test"`},
		{queried(customservice.KfSessionGetList), "kf_account=test1@test", w.fan},
		{bodiless(customservice.KfSessionGetWaitCase), ``, `"count":0`},
		{
			customservice.GetMsgList,
			fmt.Sprintf(`{"starttime":%d,"endtime":%d,"msgid":1,"number":100}`, start.Unix()-60, start.Unix()+60), `"recordlist"`,
		},
		{customservice.KfaccountDel, `{"kf_account":"new@test"}`, `"errcode":0`},
	})
	require.Equal(t, []string{"hello"}, w.sim.AcceptedTexts(w.fan))
	_, err := customservice.UploadHeadImg(w.fastwego(), w.file("a.jpg", jpegBytes), url.Values{"kf_account": {agent}})
	require.NoError(t, err)
	_, err = customservice.SendMessage(w.fastwego(), []byte(`{"touser":"oNOBODY","msgtype":"text","text":{"content":"x"}}`))
	w.refused(err, simulator.PathSend, 40003)
}

func TestFastwegoSendsTemplatesAndMass(t *testing.T) {
	w := newWorld(t)
	oa := w.fastwego()
	raw, err := template.AddTemplate(oa, []byte(`{"template_id_short":"43216","keyword_name_list":["商品名称","发货时间"]}`))
	require.NoError(t, err)
	id := member[string](t, raw, "template_id")
	w.steps(oa, []step{
		{template.SetIndustry, `{"industry_id1":"1","industry_id2":"4"}`, `"errcode":0`},
		{bodiless(template.GetIndustry), ``, `"primary_industry"`},
		{bodiless(template.GetAllPrivateTemplate), ``, id},
		{
			template.Send, `{"touser":"` + w.fan + `","template_id":"` + id +
				`","url":"https://shop.example.com/","data":{"thing1":{"value":"燕麦"},"time2":{"value":"2026年1月2日 15:04"}}}`, `"msgid":`,
		},
		{template.DelPrivateTemplate, `{"template_id":"` + id + `"}`, `"errcode":0`},
		{mass.Preview, `{"touser":"` + w.fan + `","msgtype":"text","text":{"content":"look"}}`, `"errcode":0`},
		{mass.SpeedSet, `{"speed":2}`, `"errcode":0`},
		{mass.SpeedGet, `{}`, `"speed":2`},
	})
	raw, err = mass.SendAll(oa, []byte(`{"filter":{"is_to_all":true},"text":{"content":"all"},"msgtype":"text","clientmsgid":"c1"}`))
	require.NoError(t, err)
	w.clock.Advance(time.Minute)
	w.sim.RunMass(t.Context())
	w.steps(oa, []step{{mass.Get, fmt.Sprintf(`{"msg_id":"%d"}`, member[int64](t, raw, "msg_id")), `SEND_SUCCESS`}})
	ids, err := w.sim.AddFans(appID, 2, true)
	require.NoError(t, err)
	list, err := json.Marshal(ids)
	require.NoError(t, err)
	w.steps(oa, []step{{mass.Send, `{"touser":` + string(list) + `,"msgtype":"text","text":{"content":"two"}}`, `"msg_id":`}})
}

func TestFastwegoKeepsDraftsMenusAndMedia(t *testing.T) {
	w := newWorld(t)
	oa := w.fastwego()
	raw, err := draft.AddDraft(oa, []byte(`{"articles":[{"title":"t","content":"<p>c</p>","thumb_media_id":"`+w.thumb()+`"}]}`))
	require.NoError(t, err)
	id := member[string](t, raw, "media_id")
	w.steps(oa, []step{
		{draft.GetDraft, `{"media_id":"` + id + `"}`, `"title":"t"`},
		{bodiless(draft.CountDrafts), ``, `"total_count":1`},
		{draft.GetDraftList, `{"offset":0,"count":20,"no_content":0}`, id},
		{draft.DeleteDraft, `{"media_id":"` + id + `"}`, `"errcode":0`},
		{menu.Create, `{"button":[{"type":"click","name":"今日歌曲","key":"V1001_TODAY_MUSIC"}]}`, `"errcode":0`},
		{bodiless(menu.Get), ``, `V1001_TODAY_MUSIC`},
		{bodiless(menu.GetCurrentSelfmenuInfo), ``, `"is_menu_open":1`},
		{menu.AddConditional, `{"button":[{"type":"click","name":"安卓","key":"A"}],"matchrule":{"client_platform_type":"2"}}`, `"menuid"`},
		{menu.TryMatch, `{"user_id":"` + w.fan + `"}`, `"button"`},
		{bodiless(menu.Delete), ``, `"errcode":0`},
	})
	jpg := w.file("a.jpg", jpegBytes)
	raw, err = material.MediaUpload(oa, jpg, url.Values{"type": {"image"}})
	require.NoError(t, err)
	require.NotEmpty(t, member[string](t, raw, "media_id"))
	raw, err = material.AddMaterial(oa, w.file("a.mp4", mp4Bytes), url.Values{"type": {"video"}}, map[string]string{
		"description": `{"title":"t","introduction":"d"}`,
	})
	require.NoError(t, err)
	video := member[string](t, raw, "media_id")
	raw, err = material.MediaUploadImg(oa, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, member[string](t, raw, "url"))
	w.steps(oa, []step{
		{bodiless(material.GetMaterialCount), ``, `"video_count":1`},
		{material.BatchgetMaterial, `{"type":"video","offset":0,"count":20}`, video},
		{material.GetMaterial, `{"media_id":"` + video + `"}`, `"title":"t"`},
		{material.DelMaterial, `{"media_id":"` + video + `"}`, `"errcode":0`},
	})
	// The SDK's MediaGet has no way to say which file.
	_, err = material.MediaGet(oa)
	w.refused(err, simulator.PathMediaGet, 40007)
}

func TestFastwegoManagesFansAndStatistics(t *testing.T) {
	w := newWorld(t)
	oa := w.fastwego()
	raw, err := tags.Create(oa, []byte(`{"tag":{"name":"VIP"}}`))
	require.NoError(t, err)
	id := member[struct{ ID int }](t, raw, "tag").ID
	one := fmt.Sprintf(`{"openid_list":["%s"],"tagid":%d}`, w.fan, id)
	w.steps(oa, []step{
		{queried(user.Get), "next_openid=", w.fan},
		{user.UpdateRemark, `{"openid":"` + w.fan + `","remark":"老友"}`, `"errcode":0`},
		{tags.BatchTagging, one, `"errcode":0`},
		{queried(user.GetUserInfo), "openid=" + w.fan + "&lang=zh_CN", fmt.Sprintf(`"tagid_list":[%d]`, id)},
		{user.BatchGetUserInfo, `{"user_list":[{"openid":"` + w.fan + `","lang":"zh_CN"}]}`, `"remark":"老友"`},
		{bodiless(tags.Get), ``, `"VIP"`},
		{tags.GetUsersByTag, fmt.Sprintf(`{"tagid":%d,"next_openid":""}`, id), w.fan},
		{tags.GetTagIdList, `{"openid":"` + w.fan + `"}`, fmt.Sprintf(`[%d]`, id)},
		{tags.BatchUnTagging, one, `"errcode":0`},
		{tags.Delete, fmt.Sprintf(`{"tag":{"id":%d}}`, id), `"errcode":0`},
		{user.BatchBlackList, `{"openid_list":["` + w.fan + `"]}`, `"errcode":0`},
		{user.GetBlackList, `{"begin_openid":""}`, w.fan},
		{user.BatchUnBlackList, `{"openid_list":["` + w.fan + `"]}`, `"errcode":0`},
		{account.CreateQRCode, `{"expire_seconds":3600,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":123}}}`, `"ticket"`},
	})
	w.clock.Advance(24 * time.Hour)
	const day = `{"begin_date":"2026-03-02","end_date":"2026-03-02"}`
	w.steps(w.fastwego(), []step{
		{datacube.GetUserSummary, day, `"list"`},
		{datacube.GetUserCumulate, day, `"cumulate_user":1`},
		{datacube.GetUpstreamMsg, day, `"msg_count":1`},
		{datacube.GetInterfaceSummary, day, `"list"`},
		{datacube.GetArticleSummary, day, `"list"`},
	})
}

func TestFastwegoLetsPeopleIn(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.sim.SetWebDomains(appID, pageHost))
	require.NoError(t, w.sim.SetWebVisitor(appID, simulator.WebVisitor{OpenID: w.fan}))
	// The SDK forgets the fragment that the page wants; a browser does not send it anyway.
	back, err := url.Parse(w.browse(oauth.GetAuthorizeUrl(appID, "https://"+pageHost+"/in", "snsapi_userinfo", "st")))
	require.NoError(t, err)
	token, err := oauth.GetAccessToken(appID, secret, back.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, w.fan, token.Openid)
	info, err := oauth.GetUserInfo(token.AccessToken, token.Openid, "zh_CN")
	require.NoError(t, err)
	require.Equal(t, w.fan, info.Openid)
	good, err := oauth.Auth(token.AccessToken, token.Openid)
	require.NoError(t, err)
	require.True(t, good)
	renewed, err := oauth.RefreshToken(appID, token.RefreshToken)
	require.NoError(t, err)
	require.Equal(t, w.fan, renewed.Openid)
	ticket, _, err := oauth.GetJSApiTicket(w.fastwego())
	require.NoError(t, err)
	require.NotEmpty(t, ticket)
}

func TestFastwegoReadsPushesAndReplies(t *testing.T) {
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			oa := w.fastwego()
			var clicked string
			w.callback(mode, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					oa.Server.EchoStr(rw, r)
					return
				}
				seen, err := oa.Server.ParseXML(readAll(t, r))
				if err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
					return
				}
				var reply any
				switch m := seen.(type) {
				case type_message.MessageText:
					reply = type_message.ReplyMessageText{
						ReplyMessage: type_message.ReplyMessage{
							ToUserName: type_message.CDATA(m.FromUserName), FromUserName: type_message.CDATA(m.ToUserName),
							CreateTime: m.CreateTime, MsgType: type_message.ReplyMsgTypeText,
						},
						Content: type_message.CDATA("got " + m.Content),
					}
				case type_event.EventMenuClick:
					clicked = m.EventKey
				}
				if err := oa.Server.Response(rw, r, reply); err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
				}
			})
			require.NoError(t, w.sim.CheckURL(t.Context(), appID))
			push, err := w.sim.Text(t.Context(), w.fan, "你好")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeReplied, push.Outcome, "%+v", push)
			require.Equal(t, "got 你好", push.Reply.Content)
			_, err = w.sim.Click(t.Context(), w.fan, "K")
			require.NoError(t, err)
			require.Equal(t, "K", clicked)
		})
	}
}
