package sdktest

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chanxuehong/wechat/mp/base"
	"github.com/chanxuehong/wechat/mp/core"
	"github.com/chanxuehong/wechat/mp/datacube"
	"github.com/chanxuehong/wechat/mp/dkf"
	"github.com/chanxuehong/wechat/mp/dkf/account"
	"github.com/chanxuehong/wechat/mp/dkf/record"
	"github.com/chanxuehong/wechat/mp/dkf/session"
	"github.com/chanxuehong/wechat/mp/jssdk"
	"github.com/chanxuehong/wechat/mp/material"
	"github.com/chanxuehong/wechat/mp/media"
	"github.com/chanxuehong/wechat/mp/menu"
	"github.com/chanxuehong/wechat/mp/message/callback/request"
	"github.com/chanxuehong/wechat/mp/message/callback/response"
	"github.com/chanxuehong/wechat/mp/message/custom"
	"github.com/chanxuehong/wechat/mp/message/mass"
	"github.com/chanxuehong/wechat/mp/message/mass/mass2all"
	"github.com/chanxuehong/wechat/mp/message/mass/mass2group"
	"github.com/chanxuehong/wechat/mp/message/mass/mass2users"
	"github.com/chanxuehong/wechat/mp/message/mass/preview"
	"github.com/chanxuehong/wechat/mp/message/template"
	mpoauth "github.com/chanxuehong/wechat/mp/oauth2"
	"github.com/chanxuehong/wechat/mp/qrcode"
	"github.com/chanxuehong/wechat/mp/user"
	"github.com/chanxuehong/wechat/mp/user/tag"
	"github.com/chanxuehong/wechat/oauth2"
	"github.com/stretchr/testify/require"

	platformclient "hongyan/wechat"
	"hongyan/wechat/simulator"
)

// chanxuehong is the client as the SDK's README makes it.
func (w *world) chanxuehong() *core.Client {
	return core.NewClient(core.NewDefaultAccessTokenServer(appID, secret, w.http), w.http)
}

func TestChanxuehongSendsCustomerServiceMessages(t *testing.T) {
	w := loose(t)
	c := w.chanxuehong()
	ips, err := base.GetCallbackIP(c)
	require.NoError(t, err)
	require.NotEmpty(t, ips)
	for _, msg := range []any{
		custom.NewText(w.fan, "a < b & c", agent), custom.NewImage(w.fan, "MEDIA", ""), custom.NewVoice(w.fan, "MEDIA", ""),
		custom.NewNews(w.fan, []custom.Article{{Title: "t", Description: "d", URL: "https://shop.example.com/", PicURL: "https://shop.example.com/a.jpg"}}, ""),
		custom.NewMenu(w.fan, "h", "t", "", []custom.MenuItem{{Id: 101, Content: "yes"}}),
	} {
		require.NoError(t, custom.Send(c, msg), "%T", msg)
	}
	require.Equal(t, "a < b & c", w.sim.AcceptedTexts(w.fan)[0])
	require.Equal(t, "msgmenu", w.lastArrival(w.fan).Kind)
	w.refused(custom.Send(c, custom.NewText(w.fan, "one more", "")), simulator.PathSend, 45047)
	other := w.writer()
	require.NoError(t, custom.Send(c, custom.NewVideo(other, "V", "T", "t", "d", "")))
	require.NoError(t, custom.Send(c, custom.NewMusic(other, "T", "https://a.example.com/", "https://a.example.com/", "t", "d", "")))
	require.NoError(t, custom.Send(c, custom.NewMPNews(other, "M", "")))
}

func TestChanxuehongReadsAgentsAndSessions(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	list, err := dkf.KfList(c)
	require.NoError(t, err)
	require.EqualValues(t, "1001", list[0].Id)
	online, err := dkf.OnlineKfList(c)
	require.NoError(t, err)
	require.EqualValues(t, "1001", online[0].Id)
	require.NoError(t, session.Create(c, w.fan, agent, ""))
	one, err := session.Get(c, w.fan)
	require.NoError(t, err)
	require.Equal(t, agent, one.KfAccount)
	open, err := session.List(c, agent)
	require.NoError(t, err)
	require.Equal(t, w.fan, open[0].OpenId)
	require.NoError(t, session.Close(c, w.fan, agent, ""))
	waiting, err := session.WaitCaseList(c)
	require.NoError(t, err)
	require.Zero(t, waiting.TotalCount)
	require.NoError(t, account.UploadHeadImageFromReader(c, agent, "a.jpg", strings.NewReader(jpegBytes)))
}

func TestChanxuehongSendsTemplateMessages(t *testing.T) {
	w := loose(t)
	c := w.chanxuehong()
	require.NoError(t, template.SetIndustry(c, 1, 4))
	first, _, err := template.GetIndustry(c)
	require.NoError(t, err)
	require.NotEmpty(t, first.FirstClass)
	id, err := w.sim.AddTemplate(appID, simulator.Template{Title: "t", Content: "{{first.DATA}}\n{{keyword1.DATA}}\n{{remark.DATA}}"})
	require.NoError(t, err)
	msgID, err := template.Send(c, &template.TemplateMessage2{ToUser: w.fan, TemplateId: id, URL: "https://shop.example.com/",
		Data: map[string]template.DataItem{"first": {Value: "您好"}, "keyword1": {Value: "燕麦"}, "remark": {Value: "谢谢"}}})
	require.NoError(t, err)
	require.NotZero(t, msgID)
	all, err := template.GetAllPrivateTemplate(c)
	require.NoError(t, err)
	require.Equal(t, id, all[0].TemplateId)
	require.NoError(t, template.DeletePrivateTemplate(c, id))
}

func TestChanxuehongSendsToMany(t *testing.T) {
	w := loose(t)
	c := w.chanxuehong()
	ids, err := w.sim.AddFans(appID, 2, true)
	require.NoError(t, err)
	sent, err := mass2users.Send(c, mass2users.NewText(ids, "to two"))
	require.NoError(t, err)
	w.clock.Advance(time.Minute)
	w.sim.RunMass(t.Context())
	status, err := mass.GetStatus(c, sent.MsgId)
	require.NoError(t, err)
	require.Equal(t, "SEND_SUCCESS", status.Status)
	require.NoError(t, preview.Send(c, preview.NewText(w.fan, "look")))
	all, err := mass2all.Send(c, mass2all.NewText("to all"))
	require.NoError(t, err)
	require.NotZero(t, all.MsgId)
}

func TestChanxuehongMakesMenus(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	m := &menu.Menu{Buttons: make([]menu.Button, 2)}
	m.Buttons[0].SetAsClickButton("点我", "K1")
	m.Buttons[1].SetAsSubMenuButton("更多", []menu.Button{{Type: "view", Name: "网页", URL: "https://shop.example.com/?a=1&b=2"}})
	require.NoError(t, menu.Create(c, m))
	got, _, err := menu.Get(c)
	require.NoError(t, err)
	require.Equal(t, "https://shop.example.com/?a=1&b=2", got.Buttons[1].SubButtons[0].URL)
	info, open, err := menu.GetMenuInfo(c)
	require.NoError(t, err)
	require.True(t, open)
	require.Len(t, info.Buttons, 2)
	// The SDK looks for the buttons one level deeper than the platform's page has them.
	seen, err := menu.TryMatch(c, w.fan)
	require.NoError(t, err)
	require.Empty(t, seen.Buttons)
	require.NoError(t, menu.Delete(c))
}

func TestChanxuehongStoresMedia(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	up, err := media.UploadImageFromReader(c, "a.jpg", strings.NewReader(jpegBytes))
	require.NoError(t, err)
	var got bytes.Buffer
	_, err = media.DownloadToWriter(c, up.MediaId, &got)
	require.NoError(t, err)
	require.Equal(t, jpegBytes, got.String())
	thumb, err := media.UploadThumbFromReader(c, "a.jpg", strings.NewReader(jpegBytes))
	require.NoError(t, err)
	require.NotEmpty(t, thumb.MediaId)
	id, address, err := material.UploadImageFromReader(c, "a.jpg", strings.NewReader(jpegBytes))
	require.NoError(t, err)
	require.NotEmpty(t, address)
	video, err := material.UploadVideoFromReader(c, "a.mp4", strings.NewReader(mp4Bytes), "t", "d")
	require.NoError(t, err)
	about, err := material.GetVideo(c, video)
	require.NoError(t, err)
	require.Equal(t, "t", about.Title)
	got.Reset()
	_, err = material.DownloadToWriter(c, id, &got)
	require.NoError(t, err)
	require.Equal(t, jpegBytes, got.String())
	count, err := material.GetMaterialCount(c)
	require.NoError(t, err)
	require.Equal(t, 1, count.ImageCount)
	page, err := material.BatchGet(c, "image", 0, 20)
	require.NoError(t, err)
	require.Equal(t, id, page.Items[0].MediaId)
	require.NoError(t, material.Delete(c, id))
	picture, err := base.UploadImageFromReader(c, "a.jpg", strings.NewReader(jpegBytes))
	require.NoError(t, err)
	require.NotEmpty(t, picture)
}

func TestChanxuehongManagesFansAndQRCodes(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	list, err := user.List(c, "")
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, list.Data.OpenIdList)
	require.NoError(t, user.UpdateRemark(c, w.fan, "老友"))
	made, err := tag.Create(c, "VIP")
	require.NoError(t, err)
	require.NoError(t, tag.BatchTag(c, []string{w.fan}, made.Id))
	info, err := user.Get(c, w.fan, "zh_CN")
	require.NoError(t, err)
	require.Equal(t, "老友", info.Remark)
	require.Equal(t, []int{made.Id}, info.TagIdList)
	batch, err := user.BatchGet(c, []string{w.fan}, "")
	require.NoError(t, err)
	require.Equal(t, w.fan, batch[0].OpenId)
	require.NoError(t, tag.Update(c, made.Id, "SVIP"))
	tagged, err := tag.TagGet(c, made.Id, "")
	require.NoError(t, err)
	require.Equal(t, 1, tagged.Count)
	require.NoError(t, tag.BatchUntag(c, []string{w.fan}, made.Id))
	require.NoError(t, tag.Delete(c, made.Id))
	temporary, err := qrcode.CreateTempQrcode(c, 7, 3600)
	require.NoError(t, err)
	require.Equal(t, 3600, temporary.ExpireSeconds)
	permanent, err := qrcode.CreateStrScenePermQrcode(c, "s1")
	require.NoError(t, err)
	var picture bytes.Buffer
	_, err = qrcode.DownloadToWriter(permanent.Ticket, &picture, w.http)
	require.NoError(t, err)
	require.Equal(t, "\xff\xd8\xff", picture.String()[:3])
	_, err = qrcode.DownloadToWriter("gQnothing", &picture, w.http)
	require.ErrorContains(t, err, "Not Found")
}

func TestChanxuehongReadsStatistics(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	w.clock.Advance(24 * time.Hour)
	day := &datacube.Request{BeginDate: "2026-03-02", EndDate: "2026-03-02"}
	all, err := datacube.GetUserCumulate(c, day)
	require.NoError(t, err)
	require.Equal(t, 1, all[0].CumulateUser)
	said, err := datacube.GetUpstreamMsg(c, day)
	require.NoError(t, err)
	require.Equal(t, 1, said[0].MsgCount)
	_, err = datacube.GetInterfaceSummary(c, day)
	require.NoError(t, err)
	_, err = datacube.GetArticleSummary(c, day)
	require.NoError(t, err)
}

func TestChanxuehongLetsPeopleInAndSignsPages(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.sim.SetWebDomains(appID, pageHost))
	require.NoError(t, w.sim.SetJSDomains(appID, pageHost))
	require.NoError(t, w.sim.SetWebVisitor(appID, simulator.WebVisitor{OpenID: w.fan}))
	back, err := url.Parse(w.browse(mpoauth.AuthCodeURL(appID, "https://"+pageHost+"/in", "snsapi_userinfo", "st")))
	require.NoError(t, err)
	oauth := &oauth2.Client{Endpoint: mpoauth.NewEndpoint(appID, secret), HttpClient: w.http}
	token, err := oauth.ExchangeToken(back.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, w.fan, token.OpenId)
	info, err := mpoauth.GetUserInfo(token.AccessToken, token.OpenId, "", w.http)
	require.NoError(t, err)
	require.NotEmpty(t, info.Nickname)
	good, err := mpoauth.Auth(token.AccessToken, token.OpenId, w.http)
	require.NoError(t, err)
	require.True(t, good)
	ticket, err := jssdk.NewDefaultTicketServer(w.chanxuehong()).Ticket()
	require.NoError(t, err)
	page := "https://" + pageHost + "/a?b=c"
	require.NoError(t, w.sim.CheckJSConfig(page, platformclient.JSConfig{
		AppID: appID, Timestamp: 7, Nonce: "n", Signature: jssdk.WXConfigSign(ticket, "n", "7", page),
	}))
}

func TestChanxuehongReadsPushesAndReplies(t *testing.T) {
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			mux := core.NewServeMux()
			mux.MsgHandleFunc(request.MsgTypeText, func(ctx *core.Context) {
				m := request.GetText(ctx.MixedMsg)
				reply := response.NewText(m.FromUserName, m.ToUserName, m.CreateTime, "got "+m.Content)
				var err error
				if mode == simulator.ModeSafe {
					err = ctx.AESResponse(reply, 0, "", nil)
				} else {
					err = ctx.RawResponse(reply)
				}
				if err != nil {
					http.Error(ctx.ResponseWriter, err.Error(), http.StatusInternalServerError)
				}
			})
			var scene string
			mux.EventHandleFunc(request.EventTypeScan, func(ctx *core.Context) {
				scene = request.GetScanEvent(ctx.MixedMsg).EventKey
				_ = ctx.NoneResponse()
			})
			server := core.NewServer(w.sim.Accounts()[0].OriginalID, appID, pushToken, aesKey, mux, nil)
			w.callback(mode, func(rw http.ResponseWriter, r *http.Request) { server.ServeHTTP(rw, r, nil) })
			require.NoError(t, w.sim.CheckURL(t.Context(), appID))
			push, err := w.sim.Text(t.Context(), w.fan, "你好")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeReplied, push.Outcome, push.Reason)
			require.Equal(t, "got 你好", push.Reply.Content)
			_, err = w.sim.Scan(t.Context(), w.fan, "s1")
			require.NoError(t, err)
			require.Equal(t, "s1", scene)
		})
	}
}

// What the SDK has from before the platform's pages of today.
func TestChanxuehongIsRefusedWhatIsGone(t *testing.T) {
	w := newWorld(t)
	c := w.chanxuehong()
	w.refused(account.Add(c, "new@test", "小雁", "password", true), simulator.PathAgentAdd, 40097)
	now := start.Unix()
	_, err := record.Get(c, &record.GetRequest{StartTime: now, EndTime: now + 1, PageIndex: 1, PageSize: 50})
	w.refused(err, "/customservice/msgrecord/getrecord", 40066)
	_, err = mass2group.Send(c, mass2group.NewText(100, "to a group"))
	w.refused(err, simulator.PathMassAll, 40097)
	// Numbers for texts.
	w.refused(template.SetIndustry(c, 1, 4), simulator.PathSetIndustry, 47001)
	_, err = mass.GetStatus(c, 1)
	w.refused(err, simulator.PathMassGet, 47001)
	w.refused(custom.Send(c, custom.NewMenu(w.fan, "h", "t", "", []custom.MenuItem{{Id: 101, Content: "yes"}})), simulator.PathSend, 47001)
	w.refused(menu.DeleteConditionalMenu(c, 1), simulator.PathMenuDeleteRule, 47001)
	_, err = template.AddPrivateTemplate(c, "43216")
	w.refused(err, "/cgi-bin/template/api_add_template", 40246)
}
