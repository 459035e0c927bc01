package wechat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestEachTypeOfValueHasItsRule(t *testing.T) {
	t.Parallel()
	for key, c := range map[string]struct{ good, bad []string }{
		"thing1":            {[]string{strings.Repeat("汉", 20), "a & <b>"}, []string{strings.Repeat("汉", 21), "", " "}},
		"number2":           {[]string{strings.Repeat("9", 32), "3.14", "-2"}, []string{strings.Repeat("9", 33), "1,000", "1e5", "一", "."}},
		"letter3":           {[]string{strings.Repeat("a", 32)}, []string{strings.Repeat("a", 33), "a1", "字"}},
		"symbol4":           {[]string{"★★★★★"}, []string{"★★★★★★", "a", "1"}},
		"character_string5": {[]string{strings.Repeat("a", 32), "A-1/2"}, []string{strings.Repeat("a", 33), "单号1"}},
		"time6": {
			[]string{"15:01", "9:05:59", "2019年10月1日 15:01", "2019-10-01 15:01", "2019年10月1日 15:01~2019年10月2日 16:00", "9:00~17:00"},
			[]string{"24:00", "15:60", "2019年10月1日", "15:01~", "1:00~2:00~3:00", "now"},
		},
		"date7":         {[]string{"2019年10月1日", "2019年10月1日 15:01", "2019年10月1日~2019年10月3日"}, []string{"15:01", "10月1日", "2019"}},
		"amount8":       {[]string{"¥128.50", "100", "9999999999元", "$1"}, []string{"12345678901", "¥¥1", "1 元钱", "约100"}},
		"phone_number9": {[]string{"+86-0766-66888866", "13800138000"}, []string{strings.Repeat("1", 18), "138a"}},
		"car_number10":  {[]string{"粤A8Z888挂"}, []string{"粤A8Z888挂了"}},
		"name11":        {[]string{strings.Repeat("汉", 10), strings.Repeat("a", 20), "John O'Neil"}, []string{strings.Repeat("汉", 11), strings.Repeat("a", 21), "李3"}},
		"phrase12":      {[]string{"已付款了吗"}, []string{"已经付款了吗", "ok", "已付!"}},
		"const13":       {[]string{"anything at all that the keyword has"}, []string{""}},
		"keyword1":      {[]string{strings.Repeat("汉", 50)}, []string{" "}},
	} {
		for _, value := range c.good {
			require.NoError(t, wechat.CheckTemplateValue(key, value), "%s %q", key, value)
		}
		for _, value := range c.bad {
			err := wechat.CheckTemplateValue(key, value)
			require.True(t, fault.Is(err, fault.Invalid), "%s %q", key, value)
			require.Equal(t, "data."+key+".value", fault.Fields(err)[0].Field)
		}
	}
}

func TestValuesAreCutToWhatFansSee(t *testing.T) {
	t.Parallel()
	han := strings.Repeat("汉", 50)
	for key, want := range map[string]string{
		"thing1": han[:60], "phrase2": han[:15], "name3": han[:30], "keyword4": han[:60], "car_number5": han[:24], "amount6": han, "time7": han,
	} {
		require.Equal(t, want, wechat.CutTemplateValue(key, han), key)
	}
	require.Equal(t, strings.Repeat("a", 20), wechat.CutTemplateValue("name3", strings.Repeat("a", 21)))
	require.Equal(t, strings.Repeat("a", 32), wechat.CutTemplateValue("character_string1", strings.Repeat("a", 40)))
	require.Equal(t, "short", wechat.CutTemplateValue("thing1", "short"))

	w := newTemplateWorld(t, simulator.Switches{})
	body := fmt.Sprintf(`{"touser":%q,"template_id":%q,"data":{"thing1":{"value":%q},"time2":{"value":"15:01"},"character_string3":{"value":"A"}}}`,
		w.fan, sampleTemplate, han)
	code, answer := w.raw("POST", simulator.PathTemplateSend, body)
	require.Equal(t, 47003, code)
	require.Contains(t, answer, "argument invalid! data.thing1.value invalid rid: ")
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{TemplateCut: true}))
	code, _ = w.raw("POST", simulator.PathTemplateSend, body)
	require.Zero(t, code)
	require.Equal(t, "订单发货通知\n商品:"+han[:60]+"\n时间:15:01\n单号:A\n", w.arrivals(w.fan)[0].Content)
}

func TestOfAnOldTemplateNeitherFirstNorRemarkIsShown(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	id, err := w.sim.AddTemplate(w.acc.AppID, simulator.Template{
		Title: "付款通知", Content: "{{first.DATA}}\n金额：{{ keyword1.DATA }}\n{{remark.DATA}}", PrimaryIndustry: "餐饮", DeputyIndustry: "餐饮",
	})
	require.NoError(t, err)
	require.Len(t, id, 43)
	w.mustSend(func(m *wechat.TemplateMessage) {
		m.TemplateID, m.Data = id, map[string]string{"keyword1": strings.Repeat("9", 25)}
	})
	require.Equal(t, "付款通知\n\n金额："+strings.Repeat("9", 20)+"\n", w.arrivals(w.fan)[0].Content)
	code, _ := w.raw("POST", simulator.PathTemplateSend, fmt.Sprintf(
		`{"touser":%q,"template_id":%q,"data":{"first":{"value":"大字"},"keyword1":{"value":"1"}}}`, w.fan, id))
	require.Zero(t, code)
	require.Equal(t, "付款通知\n\n金额：1\n", w.arrivals(w.fan)[1].Content)
	_, err = w.sim.AddTemplate(w.acc.AppID, simulator.Template{ID: id})
	require.True(t, fault.Is(err, fault.Conflict))
}

func TestAnEnumTakesItsOwnValuesOnly(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	id, err := w.client.AddTemplate(t.Context(), w.acc, "43874", []string{"付款方式"})
	require.NoError(t, err)
	for value, want := range map[string]int{"储值卡": 0, "贝壳": 47003} {
		_, err := w.send(func(m *wechat.TemplateMessage) {
			m.TemplateID, m.Data = id, map[string]string{"const4": value}
		})
		if want == 0 {
			require.NoError(t, err)
		} else {
			requireCode(t, want, err)
		}
	}
}

func TestEveryTypeOfTheTableCanBeCutToSomethingThatFits(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"thing1": "😀", "number1": "1", "letter1": "a", "symbol1": "★", "character_string1": "a", "phone_number1": "1",
		"car_number1": "粤", "name1": "王", "phrase1": "好",
	} {
		require.NoError(t, wechat.CheckTemplateValue(key, wechat.CutTemplateValue(key, strings.Repeat(value, 50))), key)
	}
	require.Equal(t, "a=1, b=2", wechat.FillTemplate("a={{a.DATA}}, b={{ b2.DATA }}", func(key string) string {
		return map[string]string{"a": "1", "b2": "2"}[key]
	}))
	require.Empty(t, wechat.TemplateKeys("{{a}} {{a.data}} {a.DATA}"))
	require.Equal(t, "character_string", wechat.TemplateKeyType("character_string12"))
}
