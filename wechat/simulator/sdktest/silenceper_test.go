package sdktest

import (
	"strconv"
	"testing"
	"time"

	"github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/officialaccount"
	"github.com/silenceper/wechat/v2/officialaccount/basic"
	"github.com/silenceper/wechat/v2/officialaccount/broadcast"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/officialaccount/customerservice"
	"github.com/silenceper/wechat/v2/officialaccount/draft"
	"github.com/silenceper/wechat/v2/officialaccount/freepublish"
	"github.com/silenceper/wechat/v2/officialaccount/material"
	"github.com/silenceper/wechat/v2/officialaccount/menu"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/officialaccount/user"
	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// silenceperAccount is the account as the SDK's README makes it.
func silenceperAccount(stable bool) *officialaccount.OfficialAccount {
	return wechat.NewWechat().GetOfficialAccount(&config.Config{
		AppID: appID, AppSecret: secret, Token: pushToken, EncodingAESKey: aesKey,
		Cache: cache.NewMemory(), UseStableAK: stable,
	})
}

func TestSilenceperGetsATokenEitherWay(t *testing.T) {
	w := loose(t)
	for _, stable := range []bool{false, true} {
		oa := silenceperAccount(stable)
		token, err := oa.GetAccessToken()
		require.NoError(t, err)
		require.NotEmpty(t, token)
		again, err := oa.GetAccessToken()
		require.NoError(t, err)
		require.Equal(t, token, again)
		ips, err := oa.GetBasic().GetCallbackIP()
		require.NoError(t, err)
		require.NotEmpty(t, ips)
		require.NoError(t, oa.GetBasic().ClearQuota())
	}
	require.Len(t, w.sim.Calls(simulator.Filter{Path: simulator.PathToken}), 1, "the SDK caches")
	wrong := wechat.NewWechat().GetOfficialAccount(&config.Config{AppID: appID, AppSecret: "wrong", Cache: cache.NewMemory()})
	_, err := wrong.GetAccessToken()
	require.ErrorContains(t, err, "40125")
}

func TestSilenceperSendsCustomerServiceMessages(t *testing.T) {
	w := loose(t)
	manager := silenceperAccount(true).GetCustomerMessageManager()
	msgs := []*message.CustomerMessage{
		message.NewCustomerTextMessage(w.fan, "a < b & c"),
		message.NewCustomerImgMessage(w.fan, "MEDIA"),
		message.NewCustomerVoiceMessage(w.fan, "MEDIA"),
		{ToUser: w.fan, Msgtype: message.MsgTypeNews, News: &message.MediaNews{Articles: []message.MediaArticles{
			{Title: "t", Description: "d", URL: "https://shop.example.com/", Picurl: "https://shop.example.com/a.jpg"}}}},
		{ToUser: w.fan, Msgtype: "msgmenu", Msgmenu: &message.MediaMsgmenu{
			HeadContent: "h", List: []message.MsgmenuItem{{ID: "101", Content: "yes"}}, TailContent: "t"}},
	}
	for _, m := range msgs {
		require.NoError(t, manager.Send(m), m.Msgtype)
		require.Equal(t, string(m.Msgtype), w.lastArrival(w.fan).Kind)
	}
	require.Equal(t, "a < b & c", w.sim.AcceptedTexts(w.fan)[0])
	w.refused(manager.Send(msgs[0]), simulator.PathSend, 45047)
	other := w.writer()
	for _, m := range []*message.CustomerMessage{
		message.NewCustomerMiniprogrampageMessage(other, "t", "wxmini0123456789", "pages/a", "MEDIA"),
		{ToUser: other, Msgtype: "video", Video: &message.MediaVideo{MediaID: "V", ThumbMediaID: "T", Title: "t", Description: "d"}},
		{ToUser: other, Msgtype: "music", Music: &message.MediaMusic{Musicurl: "https://a.example.com/", Hqmusicurl: "https://a.example.com/", ThumbMediaID: "T"}},
		{ToUser: other, Msgtype: "mpnews", Mpnews: &message.MediaResource{MediaID: "M"}},
		{ToUser: other, Msgtype: "mpnewsarticle", Mpnewsarticle: &message.MediaArticle{ArticleID: "A"}},
	} {
		require.NoError(t, manager.Send(m), m.Msgtype)
	}
	last := w.writer()
	require.NoError(t, manager.Send(&message.CustomerMessage{ToUser: last, Msgtype: "wxcard", Wxcard: &message.MediaWxcard{CardID: "C"}}))
}

func TestSilenceperManagesAgents(t *testing.T) {
	w := loose(t)
	agents := silenceperAccount(true).GetCustomerServiceManager()
	require.NoError(t, agents.SendTypingStatus(w.fan, customerservice.Typing))
	require.NoError(t, agents.Add("new@test", "小雁"))
	require.NoError(t, agents.Update("new@test", "小鸿"))
	require.NoError(t, agents.UploadHeadImg("new@test", w.file("a.jpg", jpegBytes)))
	require.NoError(t, agents.InviteBind("new@test", "wx_somebody"))
	list, err := agents.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "小鸿", list[1].KfNick)
	require.Equal(t, "waiting", list[1].InviteStatus)
	online, err := agents.OnlineList()
	require.NoError(t, err)
	require.Len(t, online, 1)
	require.Equal(t, agent, online[0].KfAccount)
	require.NoError(t, agents.Delete("new@test"))
	w.refused(agents.Delete("new@test"), simulator.PathAgentDelete, 65401)
}

func TestSilenceperSendsTemplateMessages(t *testing.T) {
	w := loose(t)
	tpl := silenceperAccount(true).GetTemplate()
	id, err := tpl.Add("43216", []string{"商品名称", "发货时间"})
	require.NoError(t, err)
	list, err := tpl.List()
	require.NoError(t, err)
	require.Equal(t, id, list[0].TemplateID)
	require.Contains(t, list[0].Content, "{{thing1.DATA}}")
	msg := &message.TemplateMessage{ToUser: w.fan, TemplateID: id, URL: "https://shop.example.com/", ClientMsgID: "one",
		Data: map[string]*message.TemplateDataItem{"thing1": {Value: "燕麦"}, "time2": {Value: "2026年1月2日 15:04"}}}
	msgID, err := tpl.Send(msg)
	require.NoError(t, err)
	require.NotZero(t, msgID)
	require.NoError(t, tpl.Delete(id))
	w.refused(tpl.Delete(id), "/cgi-bin/template/del_private_template", 40037)
}

func TestSilenceperSendsSubscriptionNotices(t *testing.T) {
	w := loose(t)
	notices := silenceperAccount(true).GetSubscribe()
	categories, err := notices.GetCategory()
	require.NoError(t, err)
	require.NotEmpty(t, categories)
	n, titles, err := notices.GetPublicTemplateTitleList("616", 0, 30)
	require.NoError(t, err)
	require.Len(t, titles, n)
	words, err := notices.GetPubTplKeyWordsByID("43216")
	require.NoError(t, err)
	require.Equal(t, "thing", words[0].Rule)
	id, err := notices.Add("43216", []int{1, 2}, "发货")
	require.NoError(t, err)
	list, err := notices.List()
	require.NoError(t, err)
	require.Equal(t, id, list[0].PriTmplID)
	require.Equal(t, 2, list[0].SubType)
	err = notices.Send(&message.SubscribeMessage{ToUser: w.fan, TemplateID: id, Page: "https://shop.example.com/",
		Data: map[string]*message.SubscribeDataItem{"thing1": {Value: "燕麦"}, "time2": {Value: "2026年1月2日 15:04"}}})
	w.refused(err, "/cgi-bin/message/subscribe/bizsend", 43101)
	require.NoError(t, notices.Delete(id))
}

func TestSilenceperSendsToMany(t *testing.T) {
	w := loose(t)
	ids, err := w.sim.AddFans(appID, 2, true)
	require.NoError(t, err)
	oa := silenceperAccount(true)
	mass := oa.GetBroadcast()
	res, err := mass.SendText(nil, "to all")
	require.NoError(t, err)
	require.NotZero(t, res.MsgID)
	w.clock.Advance(time.Minute)
	w.sim.RunMass(t.Context())
	res, err = mass.SendText(&broadcast.User{OpenID: ids}, "to two")
	require.NoError(t, err)
	require.NotZero(t, res.MsgID)
	_, err = mass.SendImage(&broadcast.User{OpenID: ids}, &broadcast.Image{MediaIDs: []string{"M1", "M2"}})
	require.NoError(t, err)
	_, err = mass.SendVoice(&broadcast.User{OpenID: ids}, "M")
	require.NoError(t, err)
	speed, err := mass.GetSpeed()
	require.NoError(t, err)
	require.Zero(t, speed.Speed)
	_, err = mass.SetSpeed(2)
	require.NoError(t, err)
	speed, err = mass.GetSpeed()
	require.NoError(t, err)
	require.EqualValues(t, 2, speed.Speed)
	articles := &draft.Article{Title: "t", Content: "<p>c</p>", ThumbMediaID: w.thumb()}
	id, err := oa.GetDraft().AddDraft([]*draft.Article{articles})
	require.NoError(t, err)
	news, err := mass.SendNews(&broadcast.User{OpenID: ids}, id, true)
	require.NoError(t, err)
	require.NotZero(t, news.MsgDataID)
	w.clock.Advance(time.Minute)
	w.sim.RunMass(t.Context())
	status, err := mass.GetMassStatus(strconv.FormatInt(news.MsgID, 10))
	require.NoError(t, err)
	require.Equal(t, "SEND_SUCCESS", status.MsgStatus)
	require.NoError(t, mass.Delete(news.MsgID, 1))
	status, err = mass.GetMassStatus(strconv.FormatInt(news.MsgID, 10))
	require.NoError(t, err)
	require.Equal(t, "DELETE", status.MsgStatus)
	preview := broadcast.NewBroadcast(oa.GetContext()).Preview()
	_, err = preview.SendText(&broadcast.User{OpenID: ids[:1]}, "look")
	require.NoError(t, err)
}

func TestSilenceperKeepsDraftsAndPublishes(t *testing.T) {
	w := loose(t)
	oa := silenceperAccount(true)
	drafts, publishing := oa.GetDraft(), oa.GetFreePublish()
	article := &draft.Article{Title: "t", Author: "a", Digest: "d", Content: "<p>c</p>", ThumbMediaID: w.thumb()}
	id, err := drafts.AddDraft([]*draft.Article{article})
	require.NoError(t, err)
	article.Title = "t2"
	require.NoError(t, drafts.UpdateDraft(article, id, 0))
	got, err := drafts.GetDraft(id)
	require.NoError(t, err)
	require.Equal(t, "t2", got[0].Title)
	total, err := drafts.CountDraft()
	require.NoError(t, err)
	require.EqualValues(t, 1, total)
	page, err := drafts.PaginateDraft(0, 20, false)
	require.NoError(t, err)
	require.Equal(t, id, page.Item[0].MediaID)
	require.Equal(t, "t2", page.Item[0].Content.NewsItem[0].Title)
	job, err := publishing.Publish(id)
	require.NoError(t, err)
	w.clock.Advance(time.Minute)
	_, err = w.sim.FinishPublications(t.Context(), appID)
	require.NoError(t, err)
	status, err := publishing.SelectStatus(job)
	require.NoError(t, err)
	require.Equal(t, freepublish.PublishStatusSuccess, status.PublishStatus)
	require.NotEmpty(t, status.ArticleDetail.Items[0].ArticleURL)
	articles, err := publishing.First(status.ArticleID)
	require.NoError(t, err)
	require.Equal(t, "t2", articles[0].Title)
	published, err := publishing.Paginate(0, 20, true)
	require.NoError(t, err)
	require.Equal(t, status.ArticleID, published.Item[0].ArticleID)
	require.NoError(t, publishing.Delete(status.ArticleID, 0))
	_, err = publishing.First(status.ArticleID)
	w.refused(err, simulator.PathPublishArticle, 53600)
}

func TestSilenceperMakesMenus(t *testing.T) {
	w := loose(t)
	m := silenceperAccount(true).GetMenu()
	buttons := []*menu.Button{
		menu.NewClickButton("点我", "K1"),
		menu.NewSubButton("更多", []*menu.Button{
			menu.NewViewButton("网页", "https://shop.example.com/?a=1&b=2"), menu.NewScanCodePushButton("扫码", "K2"),
			menu.NewPicWeixinButton("相册", "K3"), menu.NewLocationSelectButton("位置", "K4"),
			menu.NewScanCodeWaitMsgButton("扫码等", "K5"),
		}),
	}
	require.NoError(t, m.SetMenu(buttons))
	got, err := m.GetMenu()
	require.NoError(t, err)
	require.Equal(t, "K1", got.Menu.Button[0].Key)
	require.Equal(t, "https://shop.example.com/?a=1&b=2", got.Menu.Button[1].SubButtons[0].URL)
	self, err := m.GetCurrentSelfMenuInfo()
	require.NoError(t, err)
	require.EqualValues(t, 1, self.IsMenuOpen)
	require.Len(t, self.SelfMenuInfo.Button[1].SubButton.List, 5)
	require.NoError(t, m.AddConditional(buttons[:1], &menu.MatchRule{ClientPlatformType: "2"}))
	require.NoError(t, w.sim.SetClient(w.fan, 2))
	seen, err := m.MenuTryMatch(w.fan)
	require.NoError(t, err)
	require.Len(t, seen, 1)
	got, err = m.GetMenu()
	require.NoError(t, err)
	require.NoError(t, m.DeleteConditional(got.Conditionalmenu[0].MenuID))
	require.NoError(t, m.DeleteMenu())
	_, err = m.GetMenu()
	w.refused(err, simulator.PathMenuGet, 46003)
}

func TestSilenceperStoresMedia(t *testing.T) {
	w := loose(t)
	m := silenceperAccount(true).GetMaterial()
	jpg := w.file("a.jpg", jpegBytes)
	up, err := m.MediaUpload(material.MediaTypeImage, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, up.MediaID)
	require.Equal(t, start.Unix(), up.CreatedAt)
	thumb, err := m.MediaUpload(material.MediaTypeThumb, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, thumb.ThumbMediaID)
	address, err := m.GetMediaURL(up.MediaID)
	require.NoError(t, err)
	require.Equal(t, jpegBytes, w.download(address))
	picture, err := m.ImageUpload(jpg)
	require.NoError(t, err)
	require.NotEmpty(t, picture)
	id, address, err := m.AddMaterial(material.MediaTypeImage, jpg)
	require.NoError(t, err)
	require.NotEmpty(t, address)
	count, err := m.GetMaterialCount()
	require.NoError(t, err)
	require.EqualValues(t, 1, count.ImageCount)
	page, err := m.BatchGetMaterial(material.PermanentMaterialTypeImage, 0, 20)
	require.NoError(t, err)
	require.Equal(t, id, page.Item[0].MediaID)
	require.Equal(t, address, page.Item[0].URL)
	require.NoError(t, m.DeleteMaterial(id))
	w.refused(m.DeleteMaterial(id), simulator.PathMaterialDelete, 40007)
}

func TestSilenceperManagesFans(t *testing.T) {
	w := loose(t)
	u := silenceperAccount(true).GetUser()
	list, err := u.ListUserOpenIDs()
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, list.Data.OpenIDs)
	all, err := u.ListAllUserOpenIDs()
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, all)
	require.NoError(t, u.UpdateRemark(w.fan, "老友"))
	tag, err := u.CreateTag("VIP")
	require.NoError(t, err)
	require.NoError(t, u.BatchTag([]string{w.fan}, tag.ID))
	info, err := u.GetUserInfo(w.fan)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Subscribe)
	require.Equal(t, "老友", info.Remark)
	require.Equal(t, []int32{tag.ID}, info.TagIDList)
	batch, err := u.BatchGetUserInfo(user.BatchGetUserInfoParams{UserList: []user.BatchGetUserListItem{{OpenID: w.fan, Lang: "zh_CN"}}})
	require.NoError(t, err)
	require.Equal(t, w.fan, batch.UserInfoList[0].OpenID)
	require.NoError(t, u.UpdateTag(tag.ID, "SVIP"))
	tags, err := u.GetTag()
	require.NoError(t, err)
	require.Equal(t, "SVIP", tags[len(tags)-1].Name)
	require.EqualValues(t, 1, tags[len(tags)-1].Count)
	tagged, err := u.OpenIDListByTag(tag.ID)
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, tagged.Data.OpenIDs)
	require.NoError(t, u.BatchUntag([]string{w.fan}, tag.ID))
	require.NoError(t, u.DeleteTag(tag.ID))
	require.NoError(t, u.BatchBlackList(w.fan))
	black, err := u.GetBlackList()
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, black.Data.OpenIDs)
	require.NoError(t, u.BatchUnBlackList(w.fan))
	none, err := u.GetAllBlackList()
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestSilenceperMakesQRCodes(t *testing.T) {
	w := loose(t)
	b := silenceperAccount(true).GetBasic()
	for _, request := range []*basic.Request{
		basic.NewTmpQrRequest(time.Hour, "s1"), basic.NewTmpQrRequest(time.Hour, 7),
		basic.NewLimitQrRequest("s2"), basic.NewLimitQrRequest(8),
	} {
		ticket, err := b.GetQRTicket(request)
		require.NoError(t, err)
		require.NotEmpty(t, ticket.URL)
		require.Equal(t, request.ExpireSeconds, ticket.ExpireSeconds)
		require.Equal(t, "\xff\xd8\xff", w.download(basic.ShowQRCode(ticket))[:3])
	}
}
