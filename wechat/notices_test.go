package wechat_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

const (
	sampleNotice         = "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc"
	pathNoticeCategories = "/wxaapi/newtmpl/getcategory"
	pathNoticeTitles     = "/wxaapi/newtmpl/getpubtemplatetitles"
	pathNoticeKeywords   = "/wxaapi/newtmpl/getpubtemplatekeywords"
	pathAddNotice        = "/wxaapi/newtmpl/addtemplate"
	pathNotices          = "/wxaapi/newtmpl/gettemplate"
	pathDelNotice        = "/wxaapi/newtmpl/deltemplate"
)

// newNoticeWorld is a templateWorld whose account also has a template for notices.
func newNoticeWorld(t *testing.T, sw simulator.Switches) *templateWorld {
	t.Helper()
	w := newTemplateWorld(t, sw)
	_, err := w.sim.AddNoticeTemplate(w.acc.AppID, simulator.Template{ID: sampleNotice, Title: "开课提醒", Content: "课程:{{thing1.DATA}}\n"})
	require.NoError(t, err)
	return w
}

func (w *templateWorld) notice() wechat.Notice {
	return wechat.Notice{OpenID: w.fan, TemplateID: sampleNotice, Data: map[string]string{"thing1": "亲子烘焙"}}
}

func (w *templateWorld) sendNotice(change ...func(*wechat.Notice)) error {
	w.t.Helper()
	n := w.notice()
	for _, fn := range change {
		fn(&n)
	}
	return w.client.SendNotice(w.t.Context(), w.acc, n)
}

func (w *templateWorld) accept(openid, templateID string) {
	w.t.Helper()
	push, err := w.sim.AnswerPopup(w.t.Context(), openid, callback.Consent{TemplateID: templateID, Accepted: true, PopupScene: 1})
	require.NoError(w.t, err)
	require.Equal(w.t, simulator.OutcomeAcknowledged, push.Outcome)
}

func (w *templateWorld) consents(templateID string) int {
	w.t.Helper()
	n, err := w.sim.NoticeConsents(w.fan, templateID)
	require.NoError(w.t, err)
	return n
}

func TestANoticeGoesOutAsDocumentedAndUsesAConsentUp(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.LinkMiniPrograms(w.acc.AppID, linkedApp))
	requireCode(t, 43101, w.sendNotice())
	w.accept(w.fan, sampleNotice)
	require.Equal(t, 1, w.consents(sampleNotice))
	require.NoError(t, w.sendNotice(func(n *wechat.Notice) {
		n.Page, n.MiniProgram = "https://example.com/?a=1&b=2", &wechat.TemplateMiniProgram{AppID: linkedApp, PagePath: "index?foo=bar"}
	}))
	require.Equal(t, `{"touser":"`+w.fan+`","template_id":"`+sampleNotice+`","page":"https://example.com/?a=1&b=2",`+
		`"miniprogram":{"appid":"`+linkedApp+`","pagepath":"index?foo=bar"},"data":{"thing1":{"value":"亲子烘焙"}}}`,
		w.bodies(simulator.PathNoticeSend)[1])
	requireCode(t, 43101, w.sendNotice())
	require.Zero(t, w.consents(sampleNotice))
	events := w.receipts()
	require.Len(t, events, 2)
	require.Equal(t, callback.Consents{List: []callback.Consent{{TemplateID: sampleNotice, Accepted: true, PopupScene: 1}}}, events[0])
	result, ok := events[1].(callback.NoticeResults)
	require.True(t, ok)
	require.Len(t, result.List, 1)
	require.Greater(t, result.List[0].MsgID, int64(1)<<53)
	result.List[0].MsgID = 0
	require.Equal(t, callback.NoticeResult{TemplateID: sampleNotice, ErrorStatus: "success"}, result.List[0])
	arrivals := w.arrivals(w.fan)
	require.Len(t, arrivals, 1)
	require.Equal(t, simulator.ViaNotice, arrivals[0].Via)
	require.Equal(t, "开课提醒\n课程:亲子烘焙\n", arrivals[0].Content)
}

func TestARejectionInTheSettingsEndsConsents(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	w.accept(w.fan, sampleNotice)
	w.accept(w.fan, sampleNotice)
	_, err := w.sim.AnswerPopup(t.Context(), w.fan, callback.Consent{TemplateID: sampleNotice, PopupScene: 2})
	require.NoError(t, err)
	require.Equal(t, 2, w.consents(sampleNotice), "a refused pop-up takes nothing away")
	_, err = w.sim.RejectNotices(t.Context(), w.fan, sampleNotice)
	require.NoError(t, err)
	requireCode(t, 43101, w.sendNotice())
	events := w.receipts()
	require.Equal(t, callback.Consents{List: []callback.Consent{{TemplateID: sampleNotice, PopupScene: 2}}}, events[2])
	require.Equal(t, callback.Consents{Changed: true, List: []callback.Consent{{TemplateID: sampleNotice}}}, events[3])
	_, err = w.sim.AnswerPopup(t.Context(), w.fan, callback.Consent{TemplateID: "nothing", Accepted: true})
	require.True(t, fault.Is(err, fault.NotFound))
	_, err = w.sim.RejectNotices(t.Context(), "nobody", sampleNotice)
	require.True(t, fault.Is(err, fault.NotFound))
	_, err = w.sim.NoticeConsents("nobody", sampleNotice)
	require.True(t, fault.Is(err, fault.NotFound))
}

func TestALongTermConsentLasts(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.SetCategories(w.acc.AppID, 2))
	id, err := w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 49001, Keywords: []int{2, 3}, Scene: "到站提醒"})
	require.NoError(t, err)
	w.accept(w.fan, id)
	for range 3 {
		require.NoError(t, w.sendNotice(func(n *wechat.Notice) {
			n.TemplateID, n.Data = id, map[string]string{"enum_string2": "上行", "time3": "15:01"}
		}))
	}
	requireCode(t, 47003, w.sendNotice(func(n *wechat.Notice) {
		n.TemplateID, n.Data = id, map[string]string{"enum_string2": "左行", "time3": "15:01"}
	}))
	_, err = w.sim.RejectNotices(t.Context(), w.fan, id)
	require.NoError(t, err)
	requireCode(t, 43101, w.sendNotice(func(n *wechat.Notice) {
		n.TemplateID, n.Data = id, map[string]string{"enum_string2": "上行", "time3": "15:01"}
	}))
}

func TestANoticeMayReachSomebodyWhoDoesNotFollow(t *testing.T) {
	t.Parallel()
	for _, needs := range []bool{false, true} {
		w := newNoticeWorld(t, simulator.Switches{NoticeNeedsFan: needs})
		w.accept(w.fan, sampleNotice)
		w.unfollow(w.fan)
		if needs {
			requireCode(t, 43004, w.sendNotice())
			require.Equal(t, 1, w.consents(sampleNotice))
			continue
		}
		require.NoError(t, w.sendNotice())
		require.Len(t, w.arrivals(w.fan), 1)
	}
}

func TestTheEventOfANoticeTellsOfItsFailure(t *testing.T) {
	t.Parallel()
	for want, before := range map[callback.NoticeResult]func(*templateWorld) error{
		{ErrorCode: 48002, ErrorStatus: "user block receive message"}: func(w *templateWorld) error {
			return w.sim.SetFanFlags(w.fan, simulator.FanFlags{Blocked: true})
		},
		{ErrorCode: -1, ErrorStatus: "system error"}: func(w *templateWorld) error {
			return w.sim.SetTemplateFaults(w.acc.AppID, simulator.TemplateFaults{SystemFailed: 1})
		},
	} {
		w := newNoticeWorld(t, simulator.Switches{ReceiptFirst: true})
		w.accept(w.fan, sampleNotice)
		require.NoError(t, before(w))
		require.NoError(t, w.sendNotice())
		got, ok := w.receipts()[1].(callback.NoticeResults)
		require.True(t, ok)
		want.TemplateID, want.MsgID = sampleNotice, got.List[0].MsgID
		require.Equal(t, []callback.NoticeResult{want}, got.List)
		require.Empty(t, w.arrivals(w.fan))
	}
	w := newNoticeWorld(t, simulator.Switches{})
	w.accept(w.fan, sampleNotice)
	require.NoError(t, w.sim.SetTemplateFaults(w.acc.AppID, simulator.TemplateFaults{NoReceipt: 1}))
	require.NoError(t, w.sendNotice())
	require.Len(t, w.receipts(), 1)
}

func TestEachRefusalOfANoticeHasItsCode(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	w.accept(w.fan, sampleNotice)
	requireCode(t, 40003, w.sendNotice(func(n *wechat.Notice) { n.OpenID = "nobody" }))
	requireCode(t, 40037, w.sendNotice(func(n *wechat.Notice) { n.TemplateID = "nothing" }))
	requireCode(t, 40037, w.sendNotice(func(n *wechat.Notice) { n.TemplateID = sampleTemplate }))
	requireCode(t, 47003, w.sendNotice(func(n *wechat.Notice) { n.Data["thing2"] = "x" }))
	requireCode(t, 40249, w.sendNotice(func(n *wechat.Notice) { n.Data["thing1"] = "双十一秒杀" }))
	requireCode(t, 40166, w.sendNotice(func(n *wechat.Notice) { n.MiniProgram = &wechat.TemplateMiniProgram{AppID: linkedApp} }))
	whole := fmt.Sprintf(`"touser":%q,"template_id":%q,"data":{"thing1":{"value":"x"}}`, w.fan, sampleNotice)
	for body, want := range map[string]int{
		`{` + whole + `,"page":"pages/index"}`:                                    41030,
		`{` + whole + `,"url":"https://example.com"}`:                             40097,
		`{` + whole + `,"client_msg_id":"x"}`:                                     40097,
		`{` + whole + `,"page":1}`:                                                47001,
		strings.Replace(`{`+whole+`}`, `"x"`, `"`+strings.Repeat("汉", 21)+`"`, 1): 47003,
	} {
		code, answer := w.raw(http.MethodPost, simulator.PathNoticeSend, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
	require.Equal(t, 1, w.consents(sampleNotice), "a refused notice uses nothing up")
	require.NoError(t, w.sim.SetTemplateState(w.acc.AppID, sampleNotice, simulator.TemplateBanned))
	requireCode(t, 43116, w.sendNotice())
	require.NoError(t, w.sim.SetTemplateState(w.acc.AppID, sampleNotice, simulator.TemplateUsable))
	require.NoError(t, w.sim.SetFanFlags(w.fan, simulator.FanFlags{Limited: true}))
	requireCode(t, 50002, w.sendNotice())
	require.Empty(t, w.arrivals(w.fan))
}

func TestALostNoticeStaysLost(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	w.accept(w.fan, sampleNotice)
	require.NoError(t, w.sim.SetFaults(simulator.PathNoticeSend, simulator.Faults{ResetAfter: 1}))
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(w.sendNotice()))
	require.Len(t, w.bodies(simulator.PathNoticeSend), 1, "it is not sent again by itself")
	w.through(func(int, *http.Request) *http.Response { return saysJSON(`{}`) })
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(w.sendNotice()), "an answer without errcode proves nothing")
	w.through(func(int, *http.Request) *http.Response { return saysJSON(`{"errcode":0,"errmsg":"ok"}`) })
	_, err := w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 1, Keywords: []int{1, 2}, Scene: "x"})
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "an answer without the id proves nothing")
}

func TestANoticeThatBreaksARuleIsNotSent(t *testing.T) {
	t.Parallel()
	w := newNoticeWorld(t, simulator.Switches{})
	for _, c := range []struct {
		field, rule string
		change      func(*wechat.Notice)
	}{
		{"touser", "required", func(n *wechat.Notice) { n.OpenID = "" }},
		{"template_id", "required", func(n *wechat.Notice) { n.TemplateID = "" }},
		{"page", "web_address", func(n *wechat.Notice) { n.Page = "pages/index" }},
		{"miniprogram.appid", "required", func(n *wechat.Notice) { n.MiniProgram = &wechat.TemplateMiniProgram{} }},
		{"data", "required", func(n *wechat.Notice) { n.Data = nil }},
		{"data.thing1.value", "value_length", func(n *wechat.Notice) { n.Data["thing1"] = strings.Repeat("汉", 21) }},
	} {
		requireBadField(t, c.field, c.rule, w.sendNotice(c.change))
	}
	ctx := t.Context()
	good := wechat.NewNoticeTemplate{TID: 43216, Keywords: []int{1, 2}, Scene: strings.Repeat("汉", 15)}
	for _, c := range []struct {
		field, rule string
		change      func(*wechat.NewNoticeTemplate)
	}{
		{"tid", "required", func(n *wechat.NewNoticeTemplate) { n.TID = 0 }},
		{"kidList", "count", func(n *wechat.NewNoticeTemplate) { n.Keywords = []int{1} }},
		{"kidList", "count", func(n *wechat.NewNoticeTemplate) { n.Keywords = []int{1, 2, 3, 4, 5, 6} }},
		{"kidList[1]", "duplicate", func(n *wechat.NewNoticeTemplate) { n.Keywords = []int{1, 1} }},
		{"sceneDesc", "required", func(n *wechat.NewNoticeTemplate) { n.Scene = " " }},
		{"sceneDesc", "length", func(n *wechat.NewNoticeTemplate) { n.Scene = strings.Repeat("汉", 16) }},
	} {
		n := good
		c.change(&n)
		_, err := w.client.AddNoticeTemplate(ctx, w.acc, n)
		requireBadField(t, c.field, c.rule, err)
	}
	_, err := w.client.AddNoticeTemplate(ctx, w.acc, good)
	require.NoError(t, err)
	for _, c := range []struct {
		field, rule string
		query       wechat.NoticeTitlesQuery
	}{
		{"ids", "required", wechat.NoticeTitlesQuery{}},
		{"start", "range", wechat.NoticeTitlesQuery{Categories: []int{1}, Start: -1}},
		{"limit", "range", wechat.NoticeTitlesQuery{Categories: []int{1}, Limit: 31}},
		{"limit", "range", wechat.NoticeTitlesQuery{Categories: []int{1}, Limit: -1}},
	} {
		_, err := w.client.NoticeTitles(ctx, w.acc, c.query)
		requireBadField(t, c.field, c.rule, err)
	}
	requireBadField(t, "priTmplId", "required", w.client.DeleteNoticeTemplate(ctx, w.acc, ""))
	require.Empty(t, w.bodies(simulator.PathNoticeSend))
	require.Len(t, w.bodies(pathAddNotice), 1)
	require.Empty(t, w.bodies(pathNoticeTitles))
}

func TestTheCallsOfTheNoticeLibraryLookAsDocumented(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	ctx := t.Context()
	require.NoError(t, w.sim.SetCategories(w.acc.AppID, 616, 2))
	categories, err := w.client.NoticeCategories(ctx, w.acc)
	require.NoError(t, err)
	require.Equal(t, []wechat.NoticeCategory{{ID: 616, Name: "线下零售"}, {ID: 2, Name: "公交"}}, categories)
	page, err := w.client.NoticeTitles(ctx, w.acc, wechat.NoticeTitlesQuery{Categories: []int{2, 616}, Start: 3, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, wechat.NoticeTitlePage{
		Total: 4, Titles: []wechat.NoticeTitle{{TID: 49001, Title: "公交到站提醒", Kind: wechat.NoticeLongTerm, CategoryID: "2"}},
	}, page)
	keywords, err := w.client.NoticeKeywords(ctx, w.acc, 49001)
	require.NoError(t, err)
	require.Equal(t, wechat.NoticeKeyword{KID: 2, Name: "方向", Example: "上行", Rule: "enum_string"}, keywords[1])
	id, err := w.client.AddNoticeTemplate(ctx, w.acc, wechat.NewNoticeTemplate{TID: 49001, Keywords: []int{1, 2}, Scene: "测试数据"})
	require.NoError(t, err)
	require.Equal(t, []string{`{"tid":"49001","kidList":[1,2],"sceneDesc":"测试数据"}`}, w.bodies(pathAddNotice))
	list, err := w.client.NoticeTemplates(ctx, w.acc)
	require.NoError(t, err)
	require.Equal(t, []wechat.NoticeTemplate{{
		TemplateID: id, Title: "公交到站提醒", Content: "线路:{{thing1.DATA}}\n方向:{{enum_string2.DATA}}\n", Example: "线路:18 路\n方向:上行\n",
		Kind: wechat.NoticeLongTerm, Enums: []wechat.NoticeEnum{{Keyword: "enum_string2.DATA", Values: []string{"上行", "下行"}}},
	}}, list)
	require.NoError(t, w.client.DeleteNoticeTemplate(ctx, w.acc, id))
	require.Equal(t, []string{`{"priTmplId":"` + id + `"}`}, w.bodies(pathDelNotice))
	requireCode(t, 40037, w.client.DeleteNoticeTemplate(ctx, w.acc, id))
	list, err = w.client.NoticeTemplates(ctx, w.acc)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestTitlesOfThePublicLibraryAreReadPageByPage(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1, 2, 5, 30} {
		w := newTemplateWorld(t, simulator.Switches{})
		var got []int
		query := wechat.NoticeTitlesQuery{Categories: []int{616, 307, 303}, Limit: limit}
		for {
			page, err := w.client.NoticeTitles(t.Context(), w.acc, query)
			require.NoError(t, err)
			require.Equal(t, 6, page.Total)
			for _, title := range page.Titles {
				got = append(got, title.TID)
			}
			if page.Next == 0 {
				break
			}
			query.Start = page.Next
		}
		require.Equal(t, []int{43216, 43874, 45301, 46823, 46902, 47115}, got)
	}
	w := newTemplateWorld(t, simulator.Switches{})
	page, err := w.client.NoticeTitles(t.Context(), w.acc, wechat.NoticeTitlesQuery{Categories: []int{616}, Start: 99})
	require.NoError(t, err)
	require.Zero(t, page.Next, "behind the end there is no page")
	require.Empty(t, page.Titles)
	w.through(func(int, *http.Request) *http.Response {
		return saysJSON(`{"errcode":0,"errmsg":"ok","count":9,"data":[]}`)
	})
	page, err = w.client.NoticeTitles(t.Context(), w.acc, wechat.NoticeTitlesQuery{Categories: []int{616}, Start: 3})
	require.NoError(t, err)
	require.Zero(t, page.Next, "an empty page is the last one, or reading would never end")
}

func TestEachRefusalOfTheNoticeLibraryHasItsCode(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	_, err := w.client.NoticeTitles(t.Context(), w.acc, wechat.NoticeTitlesQuery{Categories: []int{402}})
	requireCode(t, 200019, err)
	_, err = w.client.NoticeKeywords(t.Context(), w.acc, 1)
	requireCode(t, 200014, err)
	_, err = w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 49001, Keywords: []int{1, 2}, Scene: "x"})
	requireCode(t, 200014, err)
	_, err = w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 43216, Keywords: []int{1, 9}, Scene: "x"})
	requireCode(t, 200020, err)
	for query, want := range map[string]int{
		``: 200018, `?ids=&start=0&limit=1`: 200018, `?ids=x&start=0&limit=1`: 200019, `?ids=616&limit=1`: 200016, `?ids=616&start=-1&limit=1`: 200016,
		`?ids=616&start=0`: 200017, `?ids=616&start=0&limit=31`: 200017, `?ids=616&start=0&limit=0`: 200017, `?ids=616,303&start=0&limit=30`: 0,
		`?ids=%22616%22&start=0&limit=30`: 0,
	} {
		code, answer := w.raw(http.MethodGet, pathNoticeTitles+query, "")
		require.Equal(t, want, code, "%s: %s", query, answer)
	}
	whole := `"tid":"43216","kidList":[1,2],"sceneDesc":"x"`
	for body, want := range map[string]int{
		`{` + whole + `}`: 0, `{` + whole + `,"x":1}`: 40097, strings.Replace(`{`+whole+`}`, `"43216"`, `43216`, 1): 47001,
		strings.Replace(`{`+whole+`}`, `43216`, `x`, 1): 200014, strings.Replace(`{`+whole+`}`, `[1,2]`, `[1]`, 1): 200020,
		strings.Replace(`{`+whole+`}`, `[1,2]`, `[1,2,3,4,5,6]`, 1): 200020, strings.Replace(`{`+whole+`}`, `[1,2]`, `[1,1]`, 1): 200020,
		strings.Replace(`{`+whole+`}`, `[1,2]`, `"1,2"`, 1): 200020, strings.Replace(`{`+whole+`}`, `"x"`, `""`, 1): 200021,
		strings.Replace(`{`+whole+`}`, `"x"`, `"`+strings.Repeat("汉", 16)+`"`, 1): 200021,
		strings.Replace(`{`+whole+`}`, `"x"`, `"`+strings.Repeat("汉", 15)+`"`, 1): 0,
	} {
		code, answer := w.raw(http.MethodPost, pathAddNotice, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
}

func TestAnAccountHasFiftyNoticeTemplates(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	for i := range wechat.MaxNoticeTemplates {
		_, err := w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 43216, Keywords: []int{1, 2}, Scene: strconv.Itoa(i)})
		require.NoError(t, err)
	}
	_, err := w.client.AddNoticeTemplate(t.Context(), w.acc, wechat.NewNoticeTemplate{TID: 43216, Keywords: []int{1, 2}, Scene: "x"})
	requireCode(t, 200012, err)
}
