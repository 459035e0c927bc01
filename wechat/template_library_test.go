package wechat_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestTheCallsOfTheTemplateLibraryLookAsDocumented(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	ctx := t.Context()
	require.NoError(t, w.client.SetIndustry(ctx, w.acc, 1, 4))
	require.Equal(t, []string{`{"industry_id1":"1","industry_id2":"4"}`}, w.bodies(pathSetIndustry))
	industries, err := w.client.Industries(ctx, w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.Industries{
		Primary:   wechat.Industry{FirstClass: "IT科技", SecondClass: "互联网|电子商务"},
		Secondary: wechat.Industry{FirstClass: "IT科技", SecondClass: "电子技术"},
	}, industries)
	_, err = w.client.AddTemplate(ctx, w.acc, "TM00015", []string{"订单号", "时间"})
	requireCode(t, 40247, err)
	require.Equal(t, []string{`{"template_id_short":"TM00015","keyword_name_list":["订单号","时间"]}`}, w.bodies(pathAddTemplate))
	id, err := w.client.AddTemplate(ctx, w.acc, "43216", []string{"快递单号", "商品名称"})
	require.NoError(t, err)
	list, err := w.client.PrivateTemplates(ctx, w.acc)
	require.NoError(t, err)
	require.Equal(t, []wechat.PrivateTemplate{{
		TemplateID: id, Title: "订单发货通知", Content: "快递单号:{{character_string3.DATA}}\n商品名称:{{thing1.DATA}}\n",
		Example: "快递单号:SF1234567890\n商品名称:有机燕麦 500g\n",
	}}, list, "the old template went with the change of industry")
	require.Equal(t, []string{"character_string3", "thing1"}, wechat.TemplateKeys(list[0].Content))
	w.mustSend(func(m *wechat.TemplateMessage) {
		m.TemplateID, m.Data = id, map[string]string{"character_string3": "SF1", "thing1": "燕麦"}
	})
	require.NoError(t, w.client.DeleteTemplate(ctx, w.acc, id))
	require.Equal(t, []string{`{"template_id":"` + id + `"}`}, w.bodies(pathDelTemplate))
	requireCode(t, 40037, w.client.DeleteTemplate(ctx, w.acc, id))
	_, err = w.send(func(m *wechat.TemplateMessage) { m.TemplateID = id })
	requireCode(t, 40037, err)
	list, err = w.client.PrivateTemplates(ctx, w.acc)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAnAccountHasTwentyFiveTemplates(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	seen := map[string]bool{sampleTemplate: true}
	for range wechat.MaxPrivateTemplates - 1 {
		id, err := w.client.AddTemplate(t.Context(), w.acc, "43216", []string{"商品名称"})
		require.NoError(t, err)
		require.False(t, seen[id])
		seen[id] = true
	}
	_, err := w.client.AddTemplate(t.Context(), w.acc, "43216", []string{"商品名称"})
	requireCode(t, 45026, err)
	require.Equal(t, wechat.ClassStopFeature, wechat.Classify(err))
}

func TestEachRefusalOfTheTemplateLibraryHasItsCode(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	for body, want := range map[string]int{
		`{"template_id_short":"43216","keyword_name_list":["没有的"]}`:         40246,
		`{"template_id_short":"43216","keyword_name_list":["商品名称","商品名称"]}`: 40246,
		`{"template_id_short":"43216","keyword_name_list":[]}`:              40246,
		`{"template_id_short":"43216"}`:                                     40246,
		`{"template_id_short":"OPENTM207509450"}`:                           40247,
		`{"template_id_short":"1","keyword_name_list":["商品名称"]}`:            40037,
		`{"template_id_short":"x","keyword_name_list":["商品名称"]}`:            40037,
		`{"template_id_short":"49001","keyword_name_list":["线路"]}`:          45027,
		`{"template_id_short":43216}`:                                       47001,
		`{"template_id_short":"43216","keyword_name_list":"商品名称"}`:          47001,
		`{"template_id_short":"43216","keyword_name_list":["商品名称"],"x":1}`:  40097,
	} {
		code, answer := w.raw("POST", pathAddTemplate, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
	for body, want := range map[string]int{
		`{"industry_id1":"0","industry_id2":"4"}`: 40102, `{"industry_id1":"1","industry_id2":"42"}`: 40102, `{"industry_id1":"1"}`: 40097,
		`{"industry_id1":1,"industry_id2":"4"}`: 47001, `{"industry_id1":"x","industry_id2":"4"}`: 40102,
	} {
		code, answer := w.raw("POST", pathSetIndustry, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
	for body, want := range map[string]int{`{}`: 40037, `{"template_id":7}`: 47001, `{"x":"y"}`: 40097} {
		code, answer := w.raw("POST", pathDelTemplate, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
}

func TestIndustriesChangeOnceABeijingMonth(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	industries, err := w.client.Industries(t.Context(), w.acc)
	require.NoError(t, err)
	require.Zero(t, industries)
	require.NoError(t, w.client.SetIndustry(t.Context(), w.acc, 41, 41))
	w.clock.Set(time.Date(2026, 3, 31, 15, 59, 59, 0, time.UTC))
	requireCode(t, 43100, w.client.SetIndustry(t.Context(), w.acc, 1, 4))
	w.clock.Advance(time.Second)
	require.NoError(t, w.client.SetIndustry(t.Context(), w.acc, 1, 4))
}

func TestTemplatesGoWithTheirCategory(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	_, err := w.client.AddTemplate(t.Context(), w.acc, "43216", []string{"商品名称"})
	require.NoError(t, err)
	require.NoError(t, w.sim.SetCategories(w.acc.AppID, 2))
	list, err := w.client.PrivateTemplates(t.Context(), w.acc)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, sampleTemplate, list[0].TemplateID)
	_, err = w.client.AddTemplate(t.Context(), w.acc, "49001", []string{"方向"})
	require.NoError(t, err)
	require.True(t, fault.Is(w.sim.SetCategories(w.acc.AppID, 1), fault.Invalid))
	require.True(t, fault.Is(w.sim.SetCategories(w.acc.AppID, 2, 303, 307, 402, 511, 616), fault.Invalid))
	for range 4 {
		require.NoError(t, w.sim.SetCategories(w.acc.AppID, 2, 303, 307, 402, 511))
	}
	require.True(t, fault.Is(w.sim.SetCategories(w.acc.AppID), fault.Conflict), "five changes a month")
	w.clock.Advance(31 * 24 * time.Hour)
	require.NoError(t, w.sim.SetCategories(w.acc.AppID))
}

func TestTheLibrarysOwnExamplesFollowTheRules(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.SetCategories(w.acc.AppID, 616, 307, 303, 402, 511))
	page, err := w.client.NoticeTitles(t.Context(), w.acc, wechat.NoticeTitlesQuery{Categories: []int{616, 307, 303, 402, 511}})
	require.NoError(t, err)
	require.NotEmpty(t, page.Titles)
	for _, title := range page.Titles {
		keywords, err := w.client.NoticeKeywords(t.Context(), w.acc, title.TID)
		require.NoError(t, err)
		names, data := []string{}, map[string]string{}
		for _, k := range keywords {
			names = append(names, k.Name)
			data[k.Rule+strconv.Itoa(k.KID)] = k.Example
		}
		id, err := w.client.AddTemplate(t.Context(), w.acc, strconv.Itoa(title.TID), names)
		require.NoError(t, err)
		w.mustSend(func(m *wechat.TemplateMessage) { m.TemplateID, m.Data = id, data })
	}
}

func TestRequestsToTheTemplateLibraryAreCheckedFirst(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	ctx := t.Context()
	requireBadField(t, "industry_id1", "range", w.client.SetIndustry(ctx, w.acc, 0, 41))
	requireBadField(t, "industry_id2", "range", w.client.SetIndustry(ctx, w.acc, 1, 42))
	requireBadField(t, "template_id", "required", w.client.DeleteTemplate(ctx, w.acc, " "))
	_, err := w.client.AddTemplate(ctx, w.acc, "", []string{"x"})
	requireBadField(t, "template_id_short", "required", err)
	_, err = w.client.AddTemplate(ctx, w.acc, "43216", nil)
	requireBadField(t, "keyword_name_list", "required", err)
	_, err = w.client.AddTemplate(ctx, w.acc, "43216", []string{"x", ""})
	requireBadField(t, "keyword_name_list[1]", "required", err)
	require.Empty(t, w.sim.Calls(simulator.Filter{AppID: w.acc.AppID, Path: pathAddTemplate}))
}

func TestReadingsOfTemplatesThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	for _, sw := range []simulator.Switches{{TemplateRepeat: "maybe"}, {TemplateWindow: -1}, {TemplateGap: -1}, {ReceiptDelay: -1}} {
		require.True(t, fault.Is(w.sim.SetSwitches(sw), fault.Invalid))
	}
	require.True(t, fault.Is(w.sim.SetTemplateState(w.acc.AppID, sampleTemplate, "odd"), fault.Invalid))
	require.True(t, fault.Is(w.sim.SetTemplateState(w.acc.AppID, "none", simulator.TemplateBanned), fault.NotFound))
	require.True(t, fault.Is(w.sim.TurnTemplateOff("nobody", sampleTemplate, true), fault.NotFound))
	require.True(t, fault.Is(w.sim.SetMarketingWords("nobody"), fault.NotFound))
}
