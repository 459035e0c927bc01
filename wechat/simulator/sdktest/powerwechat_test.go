package sdktest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ArtisanCloud/PowerLibs/v3/cache"
	"github.com/ArtisanCloud/PowerLibs/v3/object"
	subscribe "github.com/ArtisanCloud/PowerWeChat/v3/src/basicService/subscribeMessage/request"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/contract"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/messages"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/models"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/power"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount"
	broadcast "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/broadcasting/request"
	records "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/customerService/request"
	material "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/material/request"
	menu "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/menu/request"
	publish "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/publish/request"
	template "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/templateMessage/request"
	user "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/user/request"
	"github.com/stretchr/testify/require"

	platformclient "hongyan/wechat"
	"hongyan/wechat/simulator"
)

// powerWeChat is the account as the SDK's README makes it, on the world's transport.
func (w *world) powerWeChat() *officialAccount.OfficialAccount {
	w.t.Helper()
	dir := w.t.TempDir()
	w.t.Chdir(dir) // the SDK makes a directory for logs where it stands
	app, err := officialAccount.NewOfficialAccount(&officialAccount.UserConfig{
		AppID: appID, Secret: secret, Token: pushToken, AESKey: aesKey, StableTokenMode: true,
		Cache: &memory{}, // the SDK's own is shared by all apps of the process, and writes into the home directory
		Log:   officialAccount.Log{Level: "error", File: filepath.Join(dir, "info.log"), Error: filepath.Join(dir, "error.log")},
		Http:  officialAccount.Http{Timeout: 30, BaseURI: "https://api.weixin.qq.com/", Transport: w.http.Transport},
	})
	require.NoError(w.t, err)
	return app
}

// memory is a cache that keeps values as the SDK's own does: in JSON.
type memory struct {
	cache.CacheInterface

	values map[string][]byte
}

func (m *memory) Has(key string) bool { return m.values[key] != nil }

func (m *memory) Set(key string, value any, _ time.Duration) error {
	raw, err := json.Marshal(value)
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	m.values[key] = raw
	return err
}

func (m *memory) Get(key string, _ any) (value any, err error) {
	err = json.Unmarshal(m.values[key], &value)
	return value, err
}

// The SDK leaves refusals in the answer: err stays nil.

func TestPowerWeChatGetsAToken(t *testing.T) {
	w := loose(t)
	app := w.powerWeChat()
	token, err := app.AccessToken.GetToken(t.Context(), false)
	require.NoError(t, err)
	require.NotEmpty(t, token.AccessToken)
	ips, err := app.Base.GetCallbackIP(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, ips.IPList)
	res, err := app.Base.ClearQuota(t.Context())
	require.NoError(t, err)
	require.Zero(t, res.ErrCode)
	check, err := app.Base.CheckCallbackURL(t.Context(), "all", "DEFAULT")
	require.NoError(t, err)
	require.NotNil(t, check)
}

func TestPowerWeChatSendsCustomerServiceMessages(t *testing.T) {
	w := loose(t)
	app := w.powerWeChat()
	for _, m := range []contract.MessageInterface{
		messages.NewText("a < b & c"), messages.NewImage("MEDIA", &power.HashMap{}),
	} {
		res, err := app.CustomerService.Message(t.Context(), m).SetTo(w.fan).From(agent).Send(t.Context())
		require.NoError(t, err)
		require.Zero(t, w.lastCode(simulator.PathSend), "%+v", res)
		require.Equal(t, m.GetType(), w.lastArrival(w.fan).Kind)
	}
	require.Equal(t, "a < b & c", w.sim.AcceptedTexts(w.fan)[0])
	typing, err := app.CustomerService.ShowTypingStatusToUser(t.Context(), w.fan)
	require.NoError(t, err)
	require.Zero(t, typing.ErrCode)
	_, err = app.CustomerService.HideTypingStatusToUser(t.Context(), w.fan)
	require.NoError(t, err)
	_, err = app.CustomerService.Message(t.Context(), messages.NewText("x")).SetTo("oNOBODY").Send(t.Context())
	require.NoError(t, err)
	require.Equal(t, 40003, w.lastCode(simulator.PathSend))
}

func TestPowerWeChatManagesAgentsAndSessions(t *testing.T) {
	w := loose(t)
	app := w.powerWeChat()
	ctx := t.Context()
	kf := app.CustomerService
	for name, call := range map[string]func() (int, error){
		"1 create": func() (int, error) { r, err := kf.Create(ctx, "new@test", "小雁"); return r.ErrCode, err },
		"2 open": func() (int, error) {
			r, err := app.CustomerServiceSession.Create(ctx, agent, w.fan)
			return r.ErrCode, err
		},
	} {
		code, err := call()
		require.NoError(t, err, name)
		require.Zero(t, code, name)
	}
	one, err := app.CustomerServiceSession.Get(ctx, w.fan)
	require.NoError(t, err)
	require.Equal(t, agent, one.KfAccount)
	open, err := app.CustomerServiceSession.List(ctx, agent)
	require.NoError(t, err)
	require.Equal(t, w.fan, open.Sessionlist[0].OpenID)
	require.NoError(t, w.sim.AgentSays(w.fan, "您好"))
	w.clock.Advance(time.Second)
	said, err := kf.Messages(ctx, &records.RequestMessages{
		StartTime: int(start.Unix()) - 60, EndTime: int(start.Unix()) + 60, MsgID: 1, Number: 100,
	})
	require.NoError(t, err)
	require.Equal(t, "您好", said.RecordList[len(said.RecordList)-1].Text)
	_, err = app.CustomerServiceSession.Close(ctx, agent, w.fan)
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathSessionClose))
	waiting, err := app.CustomerServiceSession.Waiting(ctx)
	require.NoError(t, err)
	require.Zero(t, waiting.Count)
	avatar, err := kf.SetAvatar(ctx, "new@test", w.file("a.jpg", jpegBytes))
	require.NoError(t, err)
	require.Zero(t, avatar.ErrCode)
	list, err := kf.List(ctx)
	require.NoError(t, err)
	require.Equal(t, "小雁", list.KFList[1].KFNick)
	online, err := kf.Online(ctx)
	require.NoError(t, err)
	require.Equal(t, agent, online.KfOnlineList[0].KFAccount)
	// The SDK deletes by GET, as it was once.
	_, err = kf.Delete(ctx, "new@test")
	require.NoError(t, err)
	require.Equal(t, 43002, w.lastCode(simulator.PathAgentDelete))
}

func TestPowerWeChatSendsTemplatesAndNotices(t *testing.T) {
	w := loose(t)
	app := w.powerWeChat()
	ctx := t.Context()
	added, err := app.TemplateMessage.AddTemplate(ctx, "43216", []string{"商品名称", "发货时间"})
	require.NoError(t, err)
	require.NotEmpty(t, added.TemplateId)
	list, err := app.TemplateMessage.GetPrivateTemplates(ctx)
	require.NoError(t, err)
	require.Equal(t, added.TemplateId, list.TemplateList[0].TemplateID)
	data := &power.HashMap{"thing1": &power.HashMap{"value": "燕麦"}, "time2": &power.HashMap{"value": "2026年1月2日 15:04"}}
	sent, err := app.TemplateMessage.Send(ctx, &template.RequestTemlateMessage{
		ToUser: w.fan, TemplateID: added.TemplateId, URL: "https://shop.example.com/", Data: data,
	})
	require.NoError(t, err)
	require.NotZero(t, sent.MsgID, "%+v", sent)
	gone, err := app.TemplateMessage.DeletePrivateTemplate(ctx, added.TemplateId)
	require.NoError(t, err)
	require.Zero(t, gone.ErrCode)
	industry, err := app.TemplateMessage.SetIndustry(ctx, "1", "4", nil)
	require.NoError(t, err)
	require.Zero(t, industry.ErrCode)
	now, err := app.TemplateMessage.GetIndustry(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, now.PrimaryIndustry.FirstClass)
	notice, err := app.SubscribeMessage.AddTemplate(ctx, "43216", []int{1, 2}, "发货")
	require.NoError(t, err)
	require.Zero(t, w.lastCode("/wxaapi/newtmpl/addtemplate"), "%+v", notice)
	_, err = app.SubscribeMessage.BizSend(ctx, &subscribe.RequestSubscribeMessageBizSend{
		ToUser: w.fan, TemplateId: notice.PriTmplID, Page: "https://shop.example.com/", Data: data,
	})
	require.NoError(t, err)
	require.Equal(t, 43101, w.lastCode("/cgi-bin/message/subscribe/bizsend"))
}

func TestPowerWeChatSendsToMany(t *testing.T) {
	w := loose(t)
	ids, err := w.sim.AddFans(appID, 2, true)
	require.NoError(t, err)
	app := w.powerWeChat()
	_, err = app.Broadcasting.SendText(t.Context(), "to two", &broadcast.Reception{ToUser: ids}, &power.HashMap{})
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathMassList))
	_, err = app.Broadcasting.SendText(t.Context(), "to all", &broadcast.Reception{}, &power.HashMap{})
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathMassAll))
	jobs, err := w.sim.MassSends(appID)
	require.NoError(t, err)
	w.clock.Advance(time.Minute)
	w.sim.RunMass(t.Context())
	status, err := app.Broadcasting.Status(t.Context(), strconv.FormatInt(jobs[0].MsgID, 10))
	require.NoError(t, err)
	require.Equal(t, "SEND_SUCCESS", status.MsgStatus)
	_, err = app.Broadcasting.Preview(t.Context(), &object.HashMap{
		"touser": w.fan, "msgtype": "text", "text": &object.HashMap{"content": "look"},
	})
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathMassPreview))
}

func TestPowerWeChatKeepsDraftsAndPublishes(t *testing.T) {
	w := loose(t)
	p, ctx := w.powerWeChat().Publish, t.Context()
	article := &publish.Article{Title: "t", Content: "<p>c</p>", ThumbMediaId: w.thumb()}
	added, err := p.DraftAdd(ctx, &publish.RequestDraftAdd{Articles: []*publish.Article{article}})
	require.NoError(t, err)
	require.NotEmpty(t, added.MediaID)
	article.Title = "t2"
	_, err = p.DraftUpdate(ctx, &publish.RequestDraftUpdate{MediaId: added.MediaID, Articles: article})
	require.NoError(t, err)
	got, err := p.DraftGet(ctx, added.MediaID)
	require.NoError(t, err)
	require.Equal(t, "t2", got.NewsItem[0].Title)
	n, err := p.DraftCount(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, n.TotalCount)
	page, err := p.DraftBatchGet(ctx, &publish.RequestBatchGet{Count: 20})
	require.NoError(t, err)
	require.Equal(t, added.MediaID, page.Item[0].MediaId)
	job, err := p.PublishSubmit(ctx, added.MediaID)
	require.NoError(t, err)
	require.NotZero(t, job.PublishId)
	w.clock.Advance(time.Minute)
	_, err = w.sim.FinishPublications(ctx, appID)
	require.NoError(t, err)
	done, err := p.PublishGet(ctx, job.PublishId)
	require.NoError(t, err)
	require.Zero(t, done.PublishStatus)
	id, ok := done.ArticleId.(string)
	require.True(t, ok)
	article2, err := p.PublishGetArticle(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "t2", article2.NewsItem[0].Title)
	published, err := p.PublishBatchGet(ctx, &publish.RequestBatchGet{Count: 20})
	require.NoError(t, err)
	require.Equal(t, id, published.Item[0].ArticleId)
	_, err = p.PublishDelete(ctx, id, 0)
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathPublishDelete))
}

func TestPowerWeChatMakesMenus(t *testing.T) {
	w := loose(t)
	m, ctx := w.powerWeChat().Menu, t.Context()
	buttons := []*menu.Button{{Type: "click", Name: "点我", Key: "K1"}, {Name: "更多", SubButtons: []menu.SubButton{
		{Type: "view", Name: "网页", URL: "https://shop.example.com/?a=1&b=2"}}}}
	made, err := m.Create(ctx, buttons)
	require.NoError(t, err)
	require.Zero(t, made.ErrCode, made.ErrMsg)
	got, err := m.Get(ctx)
	require.NoError(t, err)
	require.Equal(t, "https://shop.example.com/?a=1&b=2", got.Menus.Buttons[1].SubButtons[0].URL)
	self, err := m.CurrentSelfMenu(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, self.IsMenuOpen)
	seen, err := m.TryMatch(ctx, w.fan)
	require.NoError(t, err)
	require.Len(t, seen.Buttons, 2)
	_, err = m.Delete(ctx)
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathMenuDelete))
}

func TestPowerWeChatStoresMedia(t *testing.T) {
	w := loose(t)
	app, ctx := w.powerWeChat(), t.Context()
	jpg := w.file("a.jpg", jpegBytes)
	up, err := app.Media.UploadImage(ctx, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, up.MediaID, "%+v", up)
	added, err := app.Material.UploadImage(ctx, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, added.URL, "%+v", added)
	list, err := app.Material.List(ctx, &material.RequestMaterialBatchGetMaterial{Type: "image", Count: 20})
	require.NoError(t, err)
	require.Equal(t, 1, list.TotalCount)
	stats, err := app.Material.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, stats.ImageCount)
	for _, get := range []func() (*http.Response, error){
		func() (*http.Response, error) { return app.Media.Get(ctx, up.MediaID) },
		func() (*http.Response, error) { return app.Material.Get(ctx, added.MediaID) },
	} {
		resp, err := get()
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, jpegBytes, string(body))
	}
	gone, err := app.Material.Delete(ctx, added.MediaID)
	require.NoError(t, err)
	require.Zero(t, gone.ErrCode)
}

func TestPowerWeChatManagesFans(t *testing.T) {
	w := loose(t)
	app, ctx := w.powerWeChat(), t.Context()
	list, err := app.User.List(ctx, "")
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, list.Data.OpenID)
	_, err = app.User.Remark(ctx, w.fan, "老友")
	require.NoError(t, err)
	tag, err := app.UserTag.Create(ctx, "VIP")
	require.NoError(t, err)
	_, err = app.UserTag.TagUsers(ctx, []string{w.fan}, tag.Tag.ID)
	require.NoError(t, err)
	info, err := app.User.Get(ctx, w.fan, "zh_CN")
	require.NoError(t, err)
	require.Equal(t, "老友", info.Remark)
	require.Equal(t, []int{tag.Tag.ID}, info.TagIDList)
	batch, err := app.User.BatchGet(ctx, &user.RequestBatchGetUserInfo{UserList: []*user.UserList{{Openid: w.fan, Lang: "zh_CN"}}})
	require.NoError(t, err)
	require.Equal(t, w.fan, batch.ResponseGetUserInfo[0].OpenID)
	tags, err := app.UserTag.List(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, tags.Tags[len(tags.Tags)-1].Count)
	of, err := app.UserTag.UserTags(ctx, w.fan)
	require.NoError(t, err)
	require.Equal(t, []int{tag.Tag.ID}, of.TagIDList)
	_, err = app.UserTag.UntagUsers(ctx, []string{w.fan}, tag.Tag.ID)
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathBatchUntagging))
	_, err = app.User.Block(ctx, []string{w.fan})
	require.NoError(t, err)
	black, err := app.User.Blacklist(ctx, "")
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, black.Data.OpenID)
	_, err = app.User.Unblock(ctx, []string{w.fan})
	require.NoError(t, err)
	require.Zero(t, w.lastCode(simulator.PathBlacklistRemove))
}

func TestPowerWeChatMakesQRCodesAndShortKeys(t *testing.T) {
	w := loose(t)
	app, ctx := w.powerWeChat(), t.Context()
	code, err := app.QRCode.Temporary(ctx, "s1", 3600)
	require.NoError(t, err)
	require.NotEmpty(t, code.Url)
	require.Equal(t, int64(3600), code.ExpireSeconds)
	require.Equal(t, "\xff\xd8\xff", w.download(app.QRCode.URL(code.Ticket))[:3])
	key, err := app.URL.ShortGenKey(ctx, "loooong", 3600)
	require.NoError(t, err)
	require.Len(t, key.ShortKey, 15)
	data, err := app.URL.FetchShorten(ctx, key.ShortKey)
	require.NoError(t, err)
	require.Equal(t, "loooong", data.LongData)
}

func TestPowerWeChatReadsStatistics(t *testing.T) {
	w := loose(t)
	cube, ctx := w.powerWeChat().DataCube, t.Context()
	w.clock.Advance(24 * time.Hour)
	const day = "2026-03-02"
	all, err := cube.GetUserCumulate(ctx, day, day)
	require.NoError(t, err)
	require.Equal(t, 1, all.List[0].CumulateUser)
	said, err := cube.UpstreamMessageSummary(ctx, day, day)
	require.NoError(t, err)
	require.Equal(t, 1, said.List[0].MsgCount)
	_, err = cube.InterfaceSummary(ctx, day, day)
	require.NoError(t, err)
	require.Zero(t, w.lastCode("/datacube/getinterfacesummary"))
}

func TestPowerWeChatReadsPushesAndReplies(t *testing.T) {
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			w := loose(t)
			app := w.powerWeChat()
			w.callback(mode, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					writeResponse(rw, app.Server.VerifyURL, r)
					return
				}
				writeResponse(rw, func(r *http.Request) (*http.Response, error) {
					return app.Server.Notify(r, func(event contract.EventInterface) any {
						if event.GetMsgType() != models.CALLBACK_MSG_TYPE_TEXT {
							return "success"
						}
						return messages.NewText("got it")
					})
				}, r)
			})
			require.NoError(t, w.sim.CheckURL(t.Context(), appID))
			push, err := w.sim.Text(t.Context(), w.fan, "你好")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeReplied, push.Outcome, "%+v", push)
			require.Equal(t, "got it", push.Reply.Content)
			push, err = w.sim.Click(t.Context(), w.fan, "K")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
		})
	}
}

// writeResponse copies the response that the SDK makes for a push.
func writeResponse(rw http.ResponseWriter, serve func(*http.Request) (*http.Response, error), r *http.Request) {
	resp, err := serve(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(rw, resp.Body); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

func TestPowerWeChatSignsPages(t *testing.T) {
	w := loose(t)
	require.NoError(t, w.sim.SetJSDomains(appID, pageHost))
	page := "https://" + pageHost + "/a?b=c"
	cfg, err := w.powerWeChat().JSSDK.ConfigSignature(t.Context(), page, "nonce", 7)
	require.NoError(t, err)
	signature, ok := (*cfg)["signature"].(string)
	require.True(t, ok)
	require.NoError(t, w.sim.CheckJSConfig(page, platformclient.JSConfig{AppID: appID, Timestamp: 7, Nonce: "nonce", Signature: signature}))
}

func TestPowerWeChatLetsPeopleIn(t *testing.T) {
	w := loose(t)
	require.NoError(t, w.sim.SetWebDomains(appID, pageHost))
	require.NoError(t, w.sim.SetWebVisitor(appID, simulator.WebVisitor{OpenID: w.fan}))
	address := "https://open.weixin.qq.com/connect/oauth2/authorize?appid=" + appID + "&redirect_uri=" +
		url.QueryEscape("https://"+pageHost+"/in") + "&response_type=code&scope=snsapi_userinfo&state=st#wechat_redirect"
	back, err := url.Parse(w.browse(address))
	require.NoError(t, err)
	person, err := w.powerWeChat().OAuth.UserFromCode(back.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, w.fan, person.GetOpenID())
}
