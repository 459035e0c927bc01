package wechat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

const miniProgram = "wx286b93c14bbf93aa"

// sampleMenu is the platform's sample, of every type of button.
func sampleMenu(mediaID string) []wechat.MenuButton {
	return []wechat.MenuButton{
		{Type: wechat.ButtonClick, Name: "今日", Key: "V1001"},
		{Name: "更多", Sub: []wechat.MenuButton{
			{Type: wechat.ButtonView, Name: "搜索", URL: "https://example.com/?a=1&b=<2>"},
			{
				Type: wechat.ButtonMiniProgram, Name: "小程序", URL: "https://example.com/fallback",
				AppID: miniProgram, PagePath: "pages/lunar/index",
			},
			{Type: wechat.ButtonScanWait, Name: "扫码带提示", Key: "k0"},
			{Type: wechat.ButtonScanPush, Name: "扫码", Key: "k1"},
			{Type: wechat.ButtonLocation, Name: "位置", Key: "k2"},
		}},
		{Name: "发图", Sub: []wechat.MenuButton{
			{Type: wechat.ButtonCamera, Name: "拍照", Key: "p0"},
			{Type: wechat.ButtonCameraOrAlbum, Name: "拍照或相册", Key: "p1"},
			{Type: wechat.ButtonAlbum, Name: "相册", Key: "p2"},
			{Type: wechat.ButtonMedia, Name: "图片", MediaID: mediaID},
			{Type: wechat.ButtonArticle, Name: "文章", ArticleID: "A"},
		}},
	}
}

const sampleMenuBody = `{"button":[{"type":"click","name":"今日","key":"V1001"},` +
	`{"name":"更多","sub_button":[{"type":"view","name":"搜索","url":"https://example.com/?a=1&b=<2>"},` +
	`{"type":"miniprogram","name":"小程序","url":"https://example.com/fallback","appid":"wx286b93c14bbf93aa","pagepath":"pages/lunar/index"},` +
	`{"type":"scancode_waitmsg","name":"扫码带提示","key":"k0"},{"type":"scancode_push","name":"扫码","key":"k1"},` +
	`{"type":"location_select","name":"位置","key":"k2"}]},` +
	`{"name":"发图","sub_button":[{"type":"pic_sysphoto","name":"拍照","key":"p0"},` +
	`{"type":"pic_photo_or_album","name":"拍照或相册","key":"p1"},{"type":"pic_weixin","name":"相册","key":"p2"},` +
	`{"type":"media_id","name":"图片","media_id":"M"},{"type":"article_id","name":"文章","article_id":"A"}]}]}`

func clickMenu(name string) []wechat.MenuButton {
	return []wechat.MenuButton{{Type: wechat.ButtonClick, Name: name, Key: "k"}}
}

// menuWorld is a storeWorld whose account has a default menu.
func menuWorld(t *testing.T, sw simulator.Switches) *storeWorld {
	t.Helper()
	w := newStoreWorld(t, sw)
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("默认")))
	return w
}

// withoutLists makes empty lists nil, which are the same on the wire.
func withoutLists(buttons []wechat.MenuButton) []wechat.MenuButton {
	for i := range buttons {
		if len(buttons[i].Sub) == 0 {
			buttons[i].Sub = nil
		}
		withoutLists(buttons[i].Sub)
	}
	return buttons
}

func TestAMenuGoesOutAsDocumentedAndComesBack(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	_, err := w.client.Menus(t.Context(), w.acc)
	requireCode(t, 46003, err)
	requireCode(t, 45064, w.client.CreateMenu(t.Context(), w.acc, sampleMenu("M")))
	require.NoError(t, w.sim.LinkMiniPrograms(w.acc.AppID, miniProgram))
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, sampleMenu("M")))
	require.Equal(t, []string{sampleMenuBody, sampleMenuBody}, w.bodies(simulator.PathMenuCreate))

	menus, err := w.client.Menus(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.CustomMenus{Default: sampleMenu("M")}, wechat.CustomMenus{Default: withoutLists(menus.Default)})
	current, err := w.client.CurrentMenu(t.Context(), w.acc)
	require.NoError(t, err)
	require.True(t, current.Open)
	require.Equal(t, sampleMenu("M")[2].Sub[3], current.Buttons[2].Sub[3].MenuButton)
	require.Equal(t, "更多", current.Buttons[1].Name)
	require.Len(t, current.Buttons[1].Sub, 5)
}

func TestTheDefaultMenuIsReplacedAndDeletedWithAllOthers(t *testing.T) {
	t.Parallel()
	w := menuWorld(t, simulator.Switches{})
	id, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("安卓"), wechat.MatchRule{TagID: 2, Platform: wechat.PlatformAndroid})
	require.NoError(t, err)
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("新")))
	menus, err := w.client.Menus(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, "新", menus.Default[0].Name)
	require.NotEmpty(t, menus.DefaultID)
	withoutLists(menus.Conditional[0].Buttons)
	require.Equal(t, []wechat.ConditionalMenu{
		{ID: id, Buttons: clickMenu("安卓"), Rule: wechat.MatchRule{TagID: 2, Platform: wechat.PlatformAndroid}},
	}, menus.Conditional)
	require.NoError(t, w.client.DeleteMenus(t.Context(), w.acc))
	_, err = w.client.Menus(t.Context(), w.acc)
	requireCode(t, 46003, err)
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("新")))
	menus, err = w.client.Menus(t.Context(), w.acc)
	require.NoError(t, err)
	require.Empty(t, menus.Conditional)
}

// brokenMenus are menus with one mistake each: the field and rule that we name, and the
// platform's code.
func brokenMenus() []struct {
	menu        []wechat.MenuButton
	field, rule string
	code        int
} {
	type broken = struct {
		menu        []wechat.MenuButton
		field, rule string
		code        int
	}
	one := func(b wechat.MenuButton) []wechat.MenuButton { return []wechat.MenuButton{b} }
	sub := func(b ...wechat.MenuButton) []wechat.MenuButton { return one(wechat.MenuButton{Name: "n", Sub: b}) }
	long := func(n int) string { return strings.Repeat("k", n) }
	click := clickMenu("n")[0]
	out := []broken{
		{nil, "button", "count", 40016},
		{[]wechat.MenuButton{click, click, click, click}, "button", "count", 40016},
		{sub(click, click, click, click, click, click), "button[0].sub_button", "count", 40023},
		{sub(wechat.MenuButton{Type: wechat.ButtonClick, Name: "n", Key: "k", Sub: one(click)}), "button[0].sub_button[0].sub_button", "depth", 40022},
		{one(wechat.MenuButton{Type: wechat.ButtonClick, Name: "n", Sub: one(click)}), "button[0].type", "parent", 40017},
		{one(wechat.MenuButton{Name: "n", Key: "k", Sub: one(click)}), "button[0].key", "foreign_content", 40035},
	}
	// Each mistake of one button, above and inside another, with the codes for both.
	for _, c := range []struct {
		b           wechat.MenuButton
		field, rule string
		top, inner  int
	}{
		{wechat.MenuButton{Type: wechat.ButtonClick, Key: "k"}, "name", "required", 40018, 40025},
		{wechat.MenuButton{Type: wechat.ButtonClick, Name: long(61), Key: "k"}, "name", "name_bytes", 40018, 40025},
		{wechat.MenuButton{Name: "n"}, "type", "unknown_type", 40017, 40024},
		{wechat.MenuButton{Type: "dance", Name: "n"}, "type", "unknown_type", 40017, 40024},
		{wechat.MenuButton{Type: wechat.ButtonClick, Name: "n"}, "key", "required", 40019, 40026},
		{wechat.MenuButton{Type: wechat.ButtonAlbum, Name: "n", Key: long(129)}, "key", "key_bytes", 40019, 40026},
		{wechat.MenuButton{Type: wechat.ButtonView, Name: "n"}, "url", "required", 40020, 40027},
		{wechat.MenuButton{Type: wechat.ButtonView, Name: "n", URL: "http://a.b/" + long(1014)}, "url", "url_bytes", 40020, 40027},
		{wechat.MenuButton{Type: wechat.ButtonView, Name: "n", URL: "ftp://a.b/"}, "url", "url", 40055, 40054},
		{wechat.MenuButton{Type: wechat.ButtonView, Name: "n", URL: "http://a.b/", Key: "k"}, "key", "foreign_content", 40035, 40035},
		{wechat.MenuButton{Type: wechat.ButtonMedia, Name: "n"}, "media_id", "required", 40007, 40007},
		{wechat.MenuButton{Type: wechat.ButtonViewLimited, Name: "n"}, "media_id", "required", 40007, 40007},
		{wechat.MenuButton{Type: wechat.ButtonArticle, Name: "n"}, "article_id", "required", 53600, 53600},
		{wechat.MenuButton{Type: wechat.ButtonArticleView, Name: "n"}, "article_id", "required", 53600, 53600},
		{
			wechat.MenuButton{Type: wechat.ButtonMiniProgram, Name: "n", AppID: miniProgram, PagePath: "p"},
			"url", "required", 40020, 40027,
		},
		{
			wechat.MenuButton{Type: wechat.ButtonMiniProgram, Name: "n", URL: "http://a.b/", PagePath: "p"},
			"appid", "required", 40013, 40013,
		},
		{
			wechat.MenuButton{Type: wechat.ButtonMiniProgram, Name: "n", URL: "http://a.b/", PagePath: "p", AppID: "wx286B93"},
			"appid", "lower_case", 40013, 40013,
		},
		{
			wechat.MenuButton{Type: wechat.ButtonMiniProgram, Name: "n", URL: "http://a.b/", AppID: miniProgram},
			"pagepath", "required", 40035, 40035,
		},
	} {
		out = append(out, broken{one(c.b), "button[0]." + c.field, c.rule, c.top}, broken{sub(c.b), "button[0].sub_button[0]." + c.field, c.rule, c.inner})
	}
	top := wechat.MenuButton{Type: wechat.ButtonClick, Name: long(17), Key: "k"}
	return append(out, broken{one(top), "button[0].name", "name_bytes", 40018})
}

func menuBody(t *testing.T, buttons []wechat.MenuButton, rule string) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if buttons == nil {
		buttons = []wechat.MenuButton{}
	}
	require.NoError(t, enc.Encode(buttons))
	if rule != "" {
		rule = `,"matchrule":` + rule
	}
	return `{"button":` + b.String() + rule + "}"
}

func TestEachMistakeInAMenuIsNamedHereAndRefusedThere(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	for _, c := range brokenMenus() {
		requireBadField(t, c.field, c.rule, w.client.CreateMenu(t.Context(), w.acc, c.menu))
		body := menuBody(t, c.menu, "")
		require.Equal(t, c.code, w.code(wire{method: http.MethodPost, path: simulator.PathMenuCreate, body: body}), body)
	}
	require.Len(t, w.calls(simulator.PathMenuCreate), len(brokenMenus()), "what is refused here makes no call")
}

func TestTheLongestMenuIsTaken(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	full := make([]wechat.MenuButton, 3)
	for i := range full {
		full[i].Name = strings.Repeat("宽", 5) + "n"
		for range 4 {
			full[i].Sub = append(full[i].Sub, wechat.MenuButton{
				Type: wechat.ButtonClick, Name: strings.Repeat("宽", 20), Key: strings.Repeat("键", 42) + "kk",
			})
		}
		full[i].Sub = append(full[i].Sub, wechat.MenuButton{
			Type: wechat.ButtonView, Name: "n", URL: "https://a.b/" + strings.Repeat("u", 1012),
		})
	}
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, full))
	full[0].Name += "n"
	full[1].Sub[0].Name += "n"
	full[1].Sub[1].Key += "k"
	full[2].Sub[4].URL += "u"
	require.Len(t, fault.Fields(wechat.ValidateMenu(full)), 4, "every mistake is told at once")
}

func TestMenusAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := menuWorld(t, simulator.Switches{})
	const click = `{"type":"click","name":"n","key":"k"}`
	for path, bodies := range map[string]map[string]int{
		simulator.PathMenuCreate: {
			``: 44002, `[]`: 47001, `{}`: 40016, `{"button":{}}`: 47001, `{"menu":{"button":[` + click + `]}}`: 40016,
			`{"button":[` + click + `],"x":1}`: 40097, `{"button":[1]}`: 47001,
			`{"button":[{"type":"click","name":"n","key":"k","x":1}]}`:           40097,
			`{"button":[{"type":"click","name":1,"key":"k"}]}`:                   47001,
			`{"button":[{"type":"click","name":"n","key":"\u0026"}]}`:            40033,
			`{"button":[{"name":"n","sub_button":{}}]}`:                          47001,
			`{"button":[{"name":"n","sub_button":[]}]}`:                          40017,
			`{"button":[{"type":"click","name":"n","key":"k","sub_button":[]}]}`: 0,
		},
		simulator.PathMenuAddRule: {
			`{"button":[` + click + `]}`:                                                   65304,
			`{"button":[` + click + `],"matchrule":{}}`:                                    65304,
			`{"button":[` + click + `],"matchrule":{"tag_id":""}}`:                         65304,
			`{"button":[],"matchrule":{"tag_id":"2"}}`:                                     65307,
			`{"matchrule":{"tag_id":"2"}}`:                                                 65307,
			`{"button":[` + click + `],"matchrule":[]}`:                                    47001,
			`{"button":[` + click + `],"matchrule":{"tag_id":"x"}}`:                        40035,
			`{"button":[` + click + `],"matchrule":{"tag_id":"-2"}}`:                       40035,
			`{"button":[` + click + `],"matchrule":{"client_platform_type":"4"}}`:          40035,
			`{"button":[` + click + `],"matchrule":{"tag_id":"2","language":"zh_CN"}}`:     65320,
			`{"button":[` + click + `],"matchrule":{"sex":"1"}}`:                           65320,
			`{"button":[` + click + `],"matchrule":{"tag_id":"2","country":"中国"}}`:         65320,
			`{"button":[` + click + `],"matchrule":{"tag_id":"2","x":"y"}}`:                40097,
			`{"button":[` + click + `],"matchrule":{"tag_id":"2"},"x":1}`:                  40097,
			`{"button":[` + click + `],"matchrule":{"tag_id":"\u0032"}}`:                   40033,
			`{"button":[` + click + `],"matchrule":{"tag_id":2,"client_platform_type":1}}`: 0,
			`{"button":[` + click + `],"matchrule":{"group_id":"2"}}`:                      0,
			`{"button":[],"matchrule":{"tag_id":"2"},"x":1}`:                               65307,
			`{"button":[{"name":"n"}],"matchrule":{"tag_id":"2"}}`:                         40017,
		},
		simulator.PathMenuDeleteRule: {`{}`: 65301, `{"menuid":"1"}`: 65301, `{"menuid":1}`: 47001, `{"menuid":"1","x":1}`: 40097},
		simulator.PathMenuTryMatch:   {`{}`: 65302, `{"user_id":"nobody"}`: 65302, `{"user_id":1}`: 47001, `{"user_id":"o","x":1}`: 40097},
	} {
		for body, want := range bodies {
			require.Equal(t, want, w.code(wire{method: http.MethodPost, path: path, body: body}), "%s %s", path, body)
		}
	}
	require.Equal(t, 43001, w.code(wire{method: http.MethodPost, path: simulator.PathMenuDelete}))
	require.Equal(t, 43002, w.code(wire{method: http.MethodGet, path: simulator.PathMenuCreate}))
}

func TestAMenuMadeOnTheWebsiteIsSeen(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	got, err := w.client.CurrentMenu(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.CurrentMenu{}, got)
	require.Error(t, w.sim.SetWebsiteMenu(w.acc.AppID, json.RawMessage(`[]`)))
	require.NoError(t, w.sim.SetWebsiteMenu(w.acc.AppID, json.RawMessage(`{"button":[
		{"name":"b","sub_button":{"list":[{"type":"view","name":"v","url":"http://a.b/"},
		 {"type":"news","name":"n","value":"M","news_info":{"list":[{"title":"T","author":"A","digest":"D","show_cover":1,
		  "cover_url":"http://c","content_url":"http://d","source_url":"http://e"}]}}]}},
		{"type":"text","name":"t","value":"words"}]}`)))
	got, err = w.client.CurrentMenu(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.CurrentMenu{Open: true, Buttons: []wechat.CurrentButton{
		{MenuButton: wechat.MenuButton{Name: "b"}, Sub: []wechat.CurrentButton{
			{MenuButton: wechat.MenuButton{Type: "view", Name: "v", URL: "http://a.b/"}},
			{MenuButton: wechat.MenuButton{Type: "news", Name: "n"}, Value: "M", Articles: []wechat.CurrentArticle{{
				Title: "T", Author: "A", Digest: "D", ShowCover: 1, CoverURL: "http://c", ContentURL: "http://d", SourceURL: "http://e",
			}}},
		}},
		{MenuButton: wechat.MenuButton{Type: "text", Name: "t"}, Value: "words"},
	}}, got)
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("n")))
	got, err = w.client.CurrentMenu(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, []wechat.CurrentButton{{MenuButton: clickMenu("n")[0]}}, got.Buttons)
}

func TestAnswersAboutMenusAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1"}
	const both = `{"menu":{"button":[{"type":"click","name":"n","key":"k","sub_button":[]}],"menuid":208396938},` +
		`"conditionalmenu":[{"button":[{"type":"click","name":"n","key":"k"}],"matchrule":{"group_id":2,"sex":1,"client_platform_type":"2"},"menuid":"208396993"}]}`
	menus, err := saying(both, "application/json").Menus(t.Context(), acc)
	require.NoError(t, err)
	require.Equal(t, "208396938", menus.DefaultID)
	require.Equal(t, "208396993", menus.Conditional[0].ID)
	require.Equal(t, wechat.MatchRule{TagID: 2, Platform: wechat.PlatformAndroid}, menus.Conditional[0].Rule)
	for _, answer := range []string{`{"menuid":"208379533"}`, `{"menuid":208379533}`} {
		id, err := saying(answer, "application/json").AddConditionalMenu(t.Context(), acc, clickMenu("n"), wechat.MatchRule{TagID: 2})
		require.NoError(t, err)
		require.Equal(t, "208379533", id)
	}
	empty := saying(`{}`, "application/json")
	_, err = empty.AddConditionalMenu(t.Context(), acc, clickMenu("n"), wechat.MatchRule{TagID: 2})
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err))
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(empty.CreateMenu(t.Context(), acc, clickMenu("n"))))
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(empty.DeleteMenus(t.Context(), acc)))
	_, err = empty.Menus(t.Context(), acc)
	require.Error(t, err)
	_, err = empty.TryMatchMenu(t.Context(), acc, "o1")
	require.Error(t, err)
	_, err = empty.CurrentMenu(t.Context(), acc)
	require.Error(t, err)
}

// FuzzAnswersAboutMenusAndFiles: whatever the platform answers, an error is the client's own.
func FuzzAnswersAboutMenusAndFiles(f *testing.F) {
	for _, seed := range []string{
		`{"menu":{"button":[{"name":"n","sub_button":[]}],"menuid":1},"conditionalmenu":[{"matchrule":{"tag_id":"2"},"menuid":"3"}]}`,
		`{"is_menu_open":1,"selfmenu_info":{"button":[{"name":"b","sub_button":{"list":[{"type":"view"}]}}]}}`,
		`{"menuid":"x"}`, `{"total_count":1,"item":[{"media_id":"m","update_time":"1"}]}`, `{"down_url":"u"}`, `{"news_item":[{}]}`, `[`, `null`,
	} {
		f.Add(seed, "application/json")
	}
	f.Add("\xff\xd8\xff", "image/jpeg")
	acc := wechat.Account{AppID: "wx1"}
	f.Fuzz(func(t *testing.T, body, kind string) {
		client := saying(body, kind)
		var all []error
		note := func(err error) { all = append(all, err) }
		_, err := client.Menus(t.Context(), acc)
		note(err)
		_, err = client.CurrentMenu(t.Context(), acc)
		note(err)
		id, err := client.AddConditionalMenu(t.Context(), acc, clickMenu("n"), wechat.MatchRule{TagID: 2})
		note(err)
		require.True(t, err != nil || id != "")
		_, err = client.TryMatchMenu(t.Context(), acc, "o1")
		note(err)
		page, err := client.Materials(t.Context(), acc, wechat.MediaImage, 20)
		note(err)
		require.True(t, page.Next == 0 || page.Next > 20)
		_, err = client.GetMaterial(t.Context(), acc, "m")
		note(err)
		_, err = client.GetMedia(t.Context(), acc, "m")
		note(err)
		for _, err := range all {
			var e *wechat.Error
			if err != nil {
				require.ErrorAs(t, err, &e)
			}
		}
	})
}

// FuzzMenus: the simulator answers any body, and shows a menu that it took.
func FuzzMenus(f *testing.F) {
	f.Add([]byte(sampleMenuBody))
	f.Add([]byte(`{"button":[{"type":"click","name":"n","key":"k","sub_button":[]}]}`))
	f.Add([]byte(`{"button":[{"type":"view","name":"n","url":"https://%zz"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newStoreWorld(t, simulator.Switches{})
		require.NoError(t, w.sim.LinkMiniPrograms(w.acc.AppID, miniProgram))
		if w.code(wire{method: http.MethodPost, path: simulator.PathMenuCreate, body: string(body)}) != 0 {
			return
		}
		menus, err := w.client.Menus(t.Context(), w.acc)
		require.NoError(t, err)
		require.NotEmpty(t, menus.Default)
	})
}
