package callback

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
)

const head = `<xml><ToUserName><![CDATA[gh_a]]></ToUserName><FromUserName><![CDATA[oX]]></FromUserName>` +
	`<CreateTime>1348831860</CreateTime>`

func message(msgType, rest string) string {
	return head + "<MsgType><![CDATA[" + msgType + "]]></MsgType>" + rest + "</xml>"
}

func event(name, rest string) string {
	return message("event", "<Event><![CDATA["+name+"]]></Event>"+rest)
}

// documented holds the pushes of platform.md 2.4 and 2.5 as they are documented.
func documented() []struct {
	body    string
	payload any
} {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	return []struct {
		body    string
		payload any
	}{
		{message("text", `<Content><![CDATA[this is a test]]></Content><MsgId>1234567890123456</MsgId>`), Text{Content: "this is a test"}},
		{message("text", `<Content><![CDATA[ok]]></Content><MsgId>1</MsgId><bizmsgmenuid>101</bizmsgmenuid>`), Text{Content: "ok", MenuID: "101"}},
		{message("image", `<PicUrl><![CDATA[http://p]]></PicUrl><MediaId><![CDATA[m]]></MediaId><MsgId>1</MsgId>`), Image{"http://p", "m"}},
		{message("voice", `<MediaId><![CDATA[m]]></MediaId><Format><![CDATA[amr]]></Format><MediaId16K><![CDATA[m16]]></MediaId16K><MsgId>1</MsgId>`),
			Voice{MediaID: "m", Format: "amr", MediaID16K: "m16"}},
		{message("video", `<MediaId><![CDATA[m]]></MediaId><ThumbMediaId><![CDATA[t]]></ThumbMediaId><MsgId>1</MsgId>`), Video{"m", "t"}},
		{message("shortvideo", `<MediaId><![CDATA[m]]></MediaId><ThumbMediaId><![CDATA[t]]></ThumbMediaId><MsgId>1</MsgId>`), Video{"m", "t"}},
		{message("location", `<Location_X>23.134521</Location_X><Location_Y>113.358803</Location_Y><Scale>20</Scale><Label><![CDATA[where]]></Label><MsgId>1</MsgId>`),
			Location{23.134521, 113.358803, 20, "where"}},
		{message("link", `<Title><![CDATA[t]]></Title><Description><![CDATA[d]]></Description><Url><![CDATA[http://u]]></Url><MsgId>1</MsgId>`), Link{"t", "d", "http://u"}},
		{message("file", `<Title>t</Title><Description>d</Description><FileKey>k</FileKey><FileMd5>5</FileMd5><FileTotalLen>77</FileTotalLen><MsgId>1</MsgId>`),
			File{"t", "d", "k", "5", 77}},

		{event("subscribe", ""), Subscribe{}},
		{event("subscribe", `<EventKey><![CDATA[]]></EventKey>`), Subscribe{}},
		{event("subscribe", `<EventKey><![CDATA[qrscene_123123]]></EventKey><Ticket><![CDATA[TICKET]]></Ticket>`), Subscribe{"qrscene_123123", "TICKET"}},
		{event("unsubscribe", `<EventKey><![CDATA[]]></EventKey>`), Unsubscribe{}},
		{event("SCAN", `<EventKey><![CDATA[SCENE_VALUE]]></EventKey><Ticket><![CDATA[TICKET]]></Ticket>`), Scan{"SCENE_VALUE", "TICKET"}},
		{event("scan", `<EventKey><![CDATA[7]]></EventKey>`), Scan{"7", ""}},
		{event("LOCATION", `<Latitude>23.137466</Latitude><Longitude>113.352425</Longitude><Precision>119.385040</Precision>`), Position{23.137466, 113.352425, 119.38504}},
		{event("CLICK", `<EventKey><![CDATA[MY_KEY]]></EventKey>`), Click{"MY_KEY"}},
		{event("VIEW", `<EventKey><![CDATA[https://www.qq.com]]></EventKey><MenuId>MENUID</MenuId>`), View{"https://www.qq.com", "MENUID"}},
		{event("view_miniprogram", `<EventKey><![CDATA[pages/index/index]]></EventKey><MenuId>MENUID</MenuId>`), View{"pages/index/index", "MENUID"}},
		{event("scancode_push", `<EventKey><![CDATA[6]]></EventKey><ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType><ScanResult><![CDATA[1]]></ScanResult></ScanCodeInfo>`), ScanCode{"6", "qrcode", "1"}},
		{event("scancode_waitmsg", `<EventKey><![CDATA[6]]></EventKey><ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType><ScanResult><![CDATA[2]]></ScanResult></ScanCodeInfo>`), ScanCode{"6", "qrcode", "2"}},
		{event("pic_sysphoto", `<EventKey><![CDATA[6]]></EventKey><SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum><![CDATA[1b5f]]></PicMd5Sum></item><item><PicMd5Sum><![CDATA[2c]]></PicMd5Sum></item></PicList></SendPicsInfo>`),
			SendPics{"6", 2, []string{"1b5f", "2c"}}},
		{event("pic_photo_or_album", `<EventKey>6</EventKey><SendPicsInfo><Count>0</Count><PicList></PicList></SendPicsInfo>`), SendPics{EventKey: "6"}},
		{event("location_select", `<EventKey><![CDATA[6]]></EventKey><SendLocationInfo><Location_X><![CDATA[23]]></Location_X><Location_Y><![CDATA[113]]></Location_Y><Scale><![CDATA[15]]></Scale><Label><![CDATA[addr]]></Label><Poiname><![CDATA[]]></Poiname></SendLocationInfo>`),
			LocationSelect{"6", 23, 113, 15, "addr", ""}},

		{event("TEMPLATESENDJOBFINISH", `<MsgID>3487542469355618313</MsgID><Status><![CDATA[failed:user block]]></Status>`), TemplateResult{3487542469355618313, "failed:user block"}},
		{event("MASSSENDJOBFINISH", massResult), MassResult{
			MsgID: 1000001625, Status: "err(30003)", TotalCount: 4, FilterCount: 3, SentCount: 2, ErrorCount: 1, CopyrightState: 2,
			Copyright: []CopyrightResult{
				{1, 0, 2, "Url_1", 1, true, true, true},
				{ArticleNo: 2, UserDeclareState: 1, OriginalArticleURL: "Url_2"},
			},
			Articles: []ArticleURL{{1, "Url"}},
		}},
		{event("PUBLISHJOBFINISH", `<PublishEventInfo><publish_id>2247503051</publish_id><publish_status>0</publish_status><article_id><![CDATA[b5O2]]></article_id><article_detail><count>1</count><item><idx>1</idx><article_url><![CDATA[ARTICLE_URL]]></article_url></item></article_detail></PublishEventInfo>`),
			PublishResult{PublishID: 2247503051, ArticleID: "b5O2", Articles: []ArticleURL{{1, "ARTICLE_URL"}}}},
		{event("FREEPUBLISHJOBFINISH", `<PublishEventInfo><publish_id>5</publish_id><publish_status>2</publish_status><fail_idx>1</fail_idx><fail_idx>2</fail_idx></PublishEventInfo>`),
			PublishResult{PublishID: 5, Status: 2, Failed: []int{1, 2}}},

		{event("kf_create_session", `<KfAccount><![CDATA[test1@test]]></KfAccount>`), KfSession{Account: "test1@test"}},
		{event("kf_close_session", `<KfAccount><![CDATA[test1@test]]></KfAccount>`), KfSession{Account: "test1@test"}},
		{event("kf_switch_session", `<FromKfAccount><![CDATA[test1@test]]></FromKfAccount><ToKfAccount><![CDATA[test2@test]]></ToKfAccount>`), KfSession{FromAccount: "test1@test", ToAccount: "test2@test"}},

		{event("subscribe_msg_popup_event", `<SubscribeMsgPopupEvent> <List><TemplateId><![CDATA[VRR0]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>2</PopupScene></List> <List><TemplateId><![CDATA[9n]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene>0</PopupScene></List></SubscribeMsgPopupEvent>`),
			Consents{List: []Consent{{"VRR0", true, 2}, {"9n", false, 0}}}},
		{event("subscribe_msg_change_event", `<SubscribeMsgChangeEvent><List><TemplateId><![CDATA[VRR0]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString></List></SubscribeMsgChangeEvent>`),
			Consents{Changed: true, List: []Consent{{"VRR0", false, 0}}}},
		{event("subscribe_msg_sent_event", `<SubscribeMsgSentEvent><List><TemplateId><![CDATA[VRR0]]></TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode><ErrorStatus><![CDATA[success]]></ErrorStatus></List></SubscribeMsgSentEvent>`),
			NoticeResults{[]NoticeResult{{"VRR0", 1700827132819554304, 0, "success"}}}},

		{event("qualification_verify_success", `<ExpiredTime>1442401156</ExpiredTime>`), Verification{ExpiredAt: at(1442401156)}},
		{event("qualification_verify_fail", `<FailTime>1442401122</FailTime><FailReason><![CDATA[by time]]></FailReason>`), Verification{FailedAt: at(1442401122), FailReason: "by time"}},
		{event("naming_verify_success", `<ExpiredTime>1442401093</ExpiredTime>`), Verification{ExpiredAt: at(1442401093)}},
		{event("naming_verify_fail", `<FailTime>1442401061</FailTime><FailReason><![CDATA[by time]]></FailReason>`), Verification{FailedAt: at(1442401061), FailReason: "by time"}},
		{event("annual_renew", `<ExpiredTime>1442401004</ExpiredTime>`), Verification{ExpiredAt: at(1442401004)}},
		{event("verify_expired", `<ExpiredTime>1442400900</ExpiredTime>`), Verification{ExpiredAt: at(1442400900)}},

		{event("user_info_modified", `<OpenID>o1</OpenID><AppID>wx1</AppID>`), Authorization{OpenID: "o1", AppID: "wx1"}},
		{event("user_authorization_revoke", `<OpenID>o1</OpenID><UnionID>u1</UnionID><AppID>wx1</AppID><RevokeInfo>205</RevokeInfo>`), Authorization{"o1", "u1", "wx1", "205"}},
		{event("user_authorization_cancellation", `<OpenID>o1</OpenID><AppID>wx1</AppID>`), Authorization{OpenID: "o1", AppID: "wx1"}},
		{event("user_enter_tempsession", `<SessionFrom>sess</SessionFrom>`), TempSession{"sess"}},
		{event("kf_msg_or_event", `<Token>ENCApHxnGDNAVNY4</Token><OpenKfId>wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw</OpenKfId>`), WeComBell{"ENCApHxnGDNAVNY4", "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw"}},
	}
}

const massResult = `<MsgID>1000001625</MsgID><Status><![CDATA[err(30003)]]></Status>
<TotalCount>4</TotalCount><FilterCount>3</FilterCount><SentCount>2</SentCount><ErrorCount>1</ErrorCount>
<CopyrightCheckResult><Count>2</Count><ResultList>
 <item><ArticleIdx>1</ArticleIdx><UserDeclareState>0</UserDeclareState><AuditState>2</AuditState>
  <OriginalArticleUrl><![CDATA[Url_1]]></OriginalArticleUrl><OriginalArticleType>1</OriginalArticleType>
  <CanReprint>1</CanReprint><NeedReplaceContent>1</NeedReplaceContent><NeedShowReprintSource>1</NeedShowReprintSource></item>
 <item><ArticleIdx>2</ArticleIdx><UserDeclareState>1</UserDeclareState><AuditState>0</AuditState>
  <OriginalArticleUrl><![CDATA[Url_2]]></OriginalArticleUrl><OriginalArticleType>0</OriginalArticleType>
  <CanReprint>0</CanReprint><NeedReplaceContent>0</NeedReplaceContent><NeedShowReprintSource>0</NeedShowReprintSource></item>
</ResultList><CheckState>2</CheckState></CopyrightCheckResult>
<ArticleUrlResult><Count>1</Count><ResultList><item><ArticleIdx>1</ArticleIdx><ArticleUrl><![CDATA[Url]]></ArticleUrl></item></ResultList></ArticleUrlResult>`

func TestEveryDocumentedPushIsReadAsItsType(t *testing.T) {
	t.Parallel()
	for _, d := range documented() {
		e, err := Parse([]byte(d.body))
		require.NoError(t, err, d.body)
		require.Equal(t, d.payload, e.Payload, d.body)
		require.Equal(t, "gh_a", e.ToUser)
		require.Equal(t, "oX", e.FromUser)
		require.Equal(t, time.Unix(1348831860, 0).UTC(), e.CreatedAt)
		require.Equal(t, d.body, string(e.Raw))
		require.Equal(t, e.MsgType == "event", e.Name != "")
		require.Equal(t, e.MsgType != "event", e.MsgID != 0)
	}
}

func TestEveryKindSurvivesBuildingAndParsingInBothFormats(t *testing.T) {
	t.Parallel()
	for _, d := range documented() {
		want, err := Parse([]byte(d.body))
		require.NoError(t, err)
		for name, build := range map[string]func(Event) ([]byte, error){"xml": BuildXML, "json": BuildJSON} {
			body, err := build(want)
			require.NoError(t, err)
			got, err := Parse(body)
			require.NoError(t, err, string(body))
			got.Raw = want.Raw
			require.Equal(t, want, got, "%s: %s", name, body)
		}
	}
}

func TestFieldsThatComeWithAnArticleAreRead(t *testing.T) {
	t.Parallel()
	e, err := Parse([]byte(message("text", `<Content>a</Content><MsgId>5</MsgId><MsgDataId>d9</MsgDataId><Idx>2</Idx>`)))
	require.NoError(t, err)
	require.Equal(t, "d9", e.MsgDataID)
	require.Equal(t, 2, e.ArticleNo)
	body, err := BuildXML(e)
	require.NoError(t, err)
	again, err := Parse(body)
	require.NoError(t, err)
	require.Equal(t, e.ArticleNo, again.ArticleNo)
	require.Equal(t, e.MsgDataID, again.MsgDataID)
}

// In JSON the wrapper of a subscription notice is missing, List is an array or a single
// object, and numbers come as strings.
func TestSubscriptionNoticesInJSONAreReadInAllTheirForms(t *testing.T) {
	t.Parallel()
	const start = `{"ToUserName":"gh_a","FromUserName":"oX","CreateTime":"1348831860","MsgType":"event","Event":`
	cases := []struct {
		body string
		want any
	}{
		{`"subscribe_msg_popup_event","List":[{"TemplateId":"a","SubscribeStatusString":"accept","PopupScene":"1"},{"TemplateId":"b","SubscribeStatusString":"reject","PopupScene":0}]}`,
			Consents{List: []Consent{{"a", true, 1}, {"b", false, 0}}}},
		{`"subscribe_msg_popup_event","List":{"TemplateId":"a","SubscribeStatusString":"accept","PopupScene":"1"}}`,
			Consents{List: []Consent{{"a", true, 1}}}},
		{`"subscribe_msg_change_event","List":{"TemplateId":"a","SubscribeStatusString":"reject"}}`,
			Consents{Changed: true, List: []Consent{{"a", false, 0}}}},
		{`"subscribe_msg_sent_event","List":[{"TemplateId":"a","MsgID":"1700827132819554304","ErrorCode":"43101","ErrorStatus":"refused"}]}`,
			NoticeResults{[]NoticeResult{{"a", 1700827132819554304, 43101, "refused"}}}},
		{`"subscribe_msg_sent_event","SubscribeMsgSentEvent":{"List":{"TemplateId":"a","MsgID":1700827132819554304,"ErrorCode":0,"ErrorStatus":"success"}}}`,
			NoticeResults{[]NoticeResult{{"a", 1700827132819554304, 0, "success"}}}},
		{`"user_authorization_revoke"," OpenID":"o1"," AppID":"wx1"," RevokeInfo":"201"}`,
			Authorization{OpenID: "o1", AppID: "wx1", RevokeInfo: "201"}},
	}
	for _, c := range cases {
		e, err := Parse([]byte(start + c.body))
		require.NoError(t, err, c.body)
		require.Equal(t, c.want, e.Payload)
		require.Equal(t, int64(1348831860), e.CreatedAt.Unix())
	}
}

func TestWhatIsUnknownOrStrangeIsKeptRaw(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		event("card_pass_check", `<CardId>c</CardId>`), event("guide_qrcode_scan_event", ""), event("ENTER", ""),
		event("", ""), message("hologram", `<MsgId>5</MsgId>`),
		`{"ToUserName":"gh_97417a04a28d","FromUserName":"o9","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`,
	} {
		e, err := Parse([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, Unknown{Raw: []byte(body)}, e.Payload)
		require.Empty(t, e.Triggers())
		built, err := BuildXML(e)
		require.NoError(t, err)
		require.Equal(t, body, string(built))
	}
	strange := event("MASSSENDJOBFINISH", `<MsgID>12x</MsgID>`)
	e, err := Parse([]byte(strange))
	require.NoError(t, err)
	u, ok := e.Payload.(Unknown)
	require.True(t, ok)
	require.Contains(t, u.Reason, "MsgID")
}

func TestABodyThatIsNoPushIsRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1)
	cases := []struct {
		name, body string
		want       error
	}{
		{"empty", "", ErrMalformed},
		{"text", "hello", ErrMalformed},
		{"open element", "<xml><MsgType>text</MsgType>", ErrMalformed},
		{"wrong end", "<xml><a></b></xml>", ErrMalformed},
		{"open cdata", "<xml><a><![CDATA[x</a></xml>", ErrMalformed},
		{"two roots", "<xml></xml><xml></xml>", ErrMalformed},
		{"no type", "<xml><a>1</a></xml>", ErrMalformed},
		{"bad time", message("text", "") + "x", ErrMalformed},
		{"bad id", message("text", "<MsgId>99999999999999999999</MsgId>"), ErrMalformed},
		{"doctype", `<!DOCTYPE xml><xml><MsgType>text</MsgType></xml>`, ErrMarkup},
		{"doctype after a declaration", "<?xml version=\"1.0\"?>\n<!DOCTYPE x [<!ENTITY a \"b\">]><xml><MsgType>&a;</MsgType></xml>", ErrMarkup},
		{"doctype inside", `<xml><!DOCTYPE x><MsgType>text</MsgType></xml>`, ErrMarkup},
		{"entity", `<xml><MsgType>&xxe;</MsgType></xml>`, ErrMarkup},
		{"bare ampersand", `<xml><MsgType>a & b</MsgType></xml>`, ErrMarkup},
		{"processing instruction", `<?xml-stylesheet href="x"?><xml><MsgType>text</MsgType></xml>`, ErrMarkup},
		{"processing instruction inside", `<xml><?php x ?><MsgType>text</MsgType></xml>`, ErrMarkup},
		{"too deep", "<xml>" + deep + "</xml>", ErrTooLarge},
		{"too many", "<xml>" + strings.Repeat("<a/>", maxNodes) + "</xml>", ErrTooLarge},
		{"too large", "<xml>" + strings.Repeat(" ", MaxBody) + "</xml>", ErrTooLarge},
		{"json array", `[{"MsgType":"text"}]`, ErrMalformed},
		{"json cut", `{"MsgType":"text"`, ErrMalformed},
		{"json and more", `{"MsgType":"text"} {}`, ErrMalformed},
		{"json too deep", `{"MsgType":"text","a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", ErrTooLarge},
		{"json too many", `{"MsgType":"text","a":[` + strings.Repeat("1,", maxNodes) + "1]}", ErrTooLarge},
		{"json bad number", `{"MsgType":"text","CreateTime":1e99}`, ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.body))
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestOnlyWhatIsHarmlessIsSkipped(t *testing.T) {
	t.Parallel()
	body := "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- hi -->\n<xml a='>' b=\"1\">\n <MsgType> <![CDATA[text]]> </MsgType><!-- <!DOCTYPE> -->" +
		"<Content><![CDATA[<!DOCTYPE x [<!ENTITY a 'b'>]> & &a; <?php]]></Content><MsgId> 7 </MsgId><x/></xml>\n"
	e, err := Parse([]byte(body))
	require.NoError(t, err)
	require.Equal(t, "<!DOCTYPE x [<!ENTITY a 'b'>]> & &a; <?php", e.Text(), "a fan may write anything")
	require.Equal(t, int64(7), e.MsgID)

	e, err = Parse([]byte(message("text", "<Content>a &lt;b&gt; &amp;&#33;&#x4e2d;&quot;&apos;<![CDATA[ c]]>\x01\xff</Content><MsgId>1</MsgId>")))
	require.NoError(t, err)
	require.Equal(t, "a <b> &!中\"' c\x01\ufffd", e.Text())
}

func TestTriggersFollowTheRulesOfGrants(t *testing.T) {
	t.Parallel()
	cases := []struct {
		body string
		want []wechat.Trigger
	}{
		{message("text", `<Content>a</Content><MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("text", `<Content>a</Content><bizmsgmenuid>1</bizmsgmenuid><MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMenu}},
		{message("image", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("voice", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("video", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("shortvideo", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("location", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("link", `<MsgId>1</MsgId>`), []wechat.Trigger{wechat.TriggerMessage}},
		{message("file", `<MsgId>1</MsgId>`), nil},
		{event("subscribe", ""), []wechat.Trigger{wechat.TriggerFollow}},
		{event("subscribe", `<EventKey>qrscene_9</EventKey>`), []wechat.Trigger{wechat.TriggerFollow, wechat.TriggerScan}},
		{event("SCAN", `<EventKey>9</EventKey>`), []wechat.Trigger{wechat.TriggerScan}},
		{event("CLICK", ""), []wechat.Trigger{wechat.TriggerMenu}},
		{event("scancode_push", ""), []wechat.Trigger{wechat.TriggerMenu}},
		{event("scancode_waitmsg", ""), []wechat.Trigger{wechat.TriggerMenu}},
		{event("VIEW", ""), nil},
		{event("view_miniprogram", ""), nil},
		{event("pic_weixin", ""), nil},
		{event("location_select", ""), nil},
		{event("LOCATION", ""), nil},
		{event("unsubscribe", ""), nil},
		{event("TEMPLATESENDJOBFINISH", ""), nil},
	}
	for _, c := range cases {
		e, err := Parse([]byte(c.body))
		require.NoError(t, err)
		require.Equal(t, c.want, e.Triggers(), c.body)
		first, ok := e.Trigger()
		require.Equal(t, len(c.want) > 0, ok)
		if ok {
			require.Equal(t, c.want[0], first)
		}
	}
}

func TestSceneTextAndMenuKeyComeFromWhereTheyAre(t *testing.T) {
	t.Parallel()
	cases := []struct{ body, scene, text, key string }{
		{event("subscribe", `<EventKey>qrscene_abc</EventKey>`), "abc", "", ""},
		{event("subscribe", `<EventKey>last_trade_no_1</EventKey>`), "", "", ""},
		{event("SCAN", `<EventKey>qrscene_x</EventKey>`), "qrscene_x", "", ""},
		{event("click", `<EventKey>K</EventKey>`), "", "", "K"},
		{event("scancode_push", `<EventKey>K</EventKey>`), "", "", "K"},
		{event("pic_weixin", `<EventKey>K</EventKey>`), "", "", "K"},
		{event("location_select", `<EventKey>K</EventKey>`), "", "", "K"},
		{event("view", `<EventKey>https://a</EventKey>`), "", "", ""},
		{message("text", `<Content>hi</Content><MsgId>1</MsgId>`), "", "hi", ""},
	}
	for _, c := range cases {
		e, err := Parse([]byte(c.body))
		require.NoError(t, err)
		require.Equal(t, c.scene, e.Scene(), c.body)
		require.Equal(t, c.text, e.Text(), c.body)
		require.Equal(t, c.key, e.MenuKey(), c.body)
	}
}

func TestDedupeKeysTellPushesApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, body := range []string{
		message("text", `<MsgId>1</MsgId>`), message("text", `<MsgId>2</MsgId>`), message("text", ""),
		event("CLICK", "<EventKey>a</EventKey>"), event("CLICK", "<EventKey>b</EventKey>"),
	} {
		for range 2 {
			e, err := Parse([]byte(body))
			require.NoError(t, err)
			key := e.DedupeKey()
			require.LessOrEqual(t, len(key), 64)
			require.Regexp(t, `^[me]:[A-Za-z0-9_-]+$`, key)
			if other, known := seen[key]; known {
				require.Equal(t, other, body)
			}
			seen[key] = body
		}
	}
	require.Len(t, seen, 5)
	require.Contains(t, seen, "m:1")
}

func TestResultsSayWhetherTheyAreGood(t *testing.T) {
	t.Parallel()
	require.True(t, TemplateResult{Status: " success"}.Delivered())
	require.False(t, TemplateResult{Status: "failed: system failed"}.Delivered())
	require.True(t, MassResult{Status: "send success"}.Sent())
	require.True(t, MassResult{Status: "sendsuccess"}.Sent())
	require.False(t, MassResult{Status: "send fail"}.Sent())
	require.Equal(t, 30003, MassResult{Status: "err(30003)"}.ErrCode())
	require.Zero(t, MassResult{Status: "err(x)"}.ErrCode())
	require.Zero(t, MassResult{Status: "send success"}.ErrCode())
}

func TestAForeignPayloadCannotBeBuilt(t *testing.T) {
	t.Parallel()
	_, err := BuildXML(Event{MsgType: "text", Payload: 5})
	require.Error(t, err)
	_, err = BuildJSON(Event{MsgType: "text"})
	require.Error(t, err)
}
