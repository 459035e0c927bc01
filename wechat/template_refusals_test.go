package wechat_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

func TestEachRefusalOfATemplateMessageHasItsCode(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		code   int
		sw     simulator.Switches
		before func(*templateWorld) error
		change func(*wechat.TemplateMessage)
	}{
		{"unknown person", 40003, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) { m.OpenID = "nobody" }},
		{"somebody who does not follow", 43004, simulator.Switches{}, func(w *templateWorld) error {
			_, err := w.sim.Unfollow(w.t.Context(), w.fan)
			return err
		}, nil},
		{"blacklisted", 43019, simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetFanFlags(w.fan, simulator.FanFlags{Blacklisted: true})
		}, nil},
		{"limited by the platform", 50002, simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetFanFlags(w.fan, simulator.FanFlags{Limited: true})
		}, nil},
		{"turned off by the fan", 43101, simulator.Switches{TemplateRefuses: true}, func(w *templateWorld) error {
			return w.sim.TurnTemplateOff(w.fan, sampleTemplate, true)
		}, nil},
		{"too soon for this fan", 43117, simulator.Switches{TemplateGap: simulator.Duration(time.Minute)}, func(w *templateWorld) error {
			w.mustSend()
			w.clock.Advance(59 * time.Second)
			return nil
		}, nil},
		{"unknown template", 40037, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) { m.TemplateID = "nothing" }},
		{"banned template", 43116, simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetTemplateState(w.acc.AppID, sampleTemplate, simulator.TemplateBanned)
		}, nil},
		{"disabled template", 48011, simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetTemplateState(w.acc.AppID, sampleTemplate, simulator.TemplateDisabled)
		}, nil},
		{"marketing", 40249, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) { m.Data["thing1"] = "全场限时折扣" }},
		{"marketing by our own words", 40249, simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetMarketingWords(w.acc.AppID, "shipped")
		}, nil},
		{"a value is missing", 47003, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) { delete(m.Data, "thing1") }},
		{"a value that the template does not have", 47003, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) { m.Data["thing9"] = "x" }},
		{"no mini-program", 40013, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) {
			m.MiniProgram = &wechat.TemplateMiniProgram{AppID: "gh_1"}
		}},
		{"not linked", 40166, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) {
			m.MiniProgram = &wechat.TemplateMiniProgram{AppID: linkedApp}
		}},
		{"a web page as path", 40165, simulator.Switches{}, nil, func(m *wechat.TemplateMessage) {
			m.MiniProgram = &wechat.TemplateMiniProgram{AppID: linkedApp, PagePath: "https://example.com"}
		}},
		{"daily quota", 45009, simulator.Switches{}, func(w *templateWorld) error {
			err := w.sim.SetLimit(w.acc.AppID, simulator.PathTemplateSend, simulator.Limit{Daily: 1})
			w.mustSend()
			return err
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newTemplateWorld(t, c.sw)
			if c.before != nil {
				require.NoError(t, c.before(w))
			}
			had := len(w.arrivals(w.fan))
			_, err := w.send(func(m *wechat.TemplateMessage) {
				if c.change != nil {
					c.change(m)
				}
			})
			requireCode(t, c.code, err)
			require.Len(t, w.arrivals(w.fan), had)
		})
	}
	w := newTemplateWorld(t, simulator.Switches{})
	stranger := w.foreign()
	_, err := w.send(func(m *wechat.TemplateMessage) { m.OpenID = stranger })
	requireCode(t, 40003, err)
	_, err = w.send(func(m *wechat.TemplateMessage) { delete(m.Data, "thing1") })
	require.ErrorContains(t, err, "argument invalid! data.thing1.value is em")
	_, err = w.send(func(m *wechat.TemplateMessage) { m.Data["thing9"] = "x" })
	require.ErrorContains(t, err, "argument invalid! data.thing9.value invalid")
	require.NoError(t, w.sim.SetMarketingWords(w.acc.AppID))
	w.mustSend(func(m *wechat.TemplateMessage) { m.Data["thing1"] = "全场限时折扣" })
}

func TestTooManyMessagesToAFanCanBeReportedLater(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{TemplateGap: simulator.Duration(time.Minute), TemplateGapLater: true})
	var want []any
	for _, status := range []string{"success", "failed:freq limit", "success"} {
		want = append(want, callback.TemplateResult{MsgID: w.mustSend(), Status: status})
		w.clock.Advance(30 * time.Second)
		require.Equal(t, want, w.receipts())
	}
	require.Len(t, w.arrivals(w.fan), 2)
}

func TestAHundredThousandTemplateMessagesADay(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	w.mustSend()
	_, answer := w.raw(http.MethodPost, "/cgi-bin/openapi/quota/get", `{"cgi_path":"`+simulator.PathTemplateSend+`"}`)
	require.Contains(t, answer, `"daily_limit":100000,"used":1`)
}

func TestOnlyVerifiedServiceAccountsHaveTemplates(t *testing.T) {
	t.Parallel()
	calls := map[string]string{
		simulator.PathTemplateSend: "POST", pathAddTemplate: "POST", pathDelTemplate: "POST", pathSetIndustry: "POST",
		pathTemplates: "GET", pathGetIndustry: "GET", simulator.PathNoticeSend: "POST", pathAddNotice: "POST", pathDelNotice: "POST",
		pathNotices: "GET", pathNoticeCategories: "GET", pathNoticeTitles: "GET", pathNoticeKeywords: "GET",
	}
	for _, cfg := range []simulator.Account{
		{Type: simulator.Service}, {Type: simulator.Subscription}, {Type: simulator.Subscription, Verified: true},
	} {
		w := newTemplateWorld(t, simulator.Switches{})
		require.NoError(t, w.sim.UpdateAccount(w.acc.AppID, func(a *simulator.Account) { a.Type, a.Verified = cfg.Type, cfg.Verified }))
		for path, method := range calls {
			code, _ := w.raw(method, path, `{}`)
			require.Equal(t, 48001, code, path)
		}
	}
	w := newTemplateWorld(t, simulator.Switches{})
	for path, method := range calls {
		wrong, want := "GET", 43002
		if method == "GET" {
			wrong, want = "POST", 43001
		}
		code, _ := w.raw(wrong, path, `{}`)
		require.Equal(t, want, code, path)
	}
}

func TestTheSimulatorReadsATemplateMessageStrictly(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	whole := fmt.Sprintf(`"touser":%q,"template_id":%q`, w.fan, sampleTemplate)
	data := `"data":{"thing1":{"value":"x"},"time2":{"value":"15:01"},"character_string3":{"value":"A"}}`
	code, body := w.raw("POST", simulator.PathTemplateSend, `{`+whole+`,`+data+`}`)
	require.Zero(t, code, body)
	for body, want := range map[string]int{
		``: 44002, `[]`: 47001, `{`: 47001, `null`: 47001, "{\"touser\":\"\xff\"}": 47001, `{"touser":"\u4f60"}`: 47002,
		`{"template_id":"x",` + data + `}`: 40003, `{"touser":"x",` + data + `}`: 40037, `{"touser":1}`: 47001,
		`{` + whole + `,` + data + `,"topcolor":"#fff"}`:                                 40097,
		`{` + whole + `,` + data + `,"page":"https://example.com"}`:                      40097,
		`{` + whole + `,` + data + `,"url":7}`:                                           47001,
		`{` + whole + `,` + data + `,"miniprogram":"wx"}`:                                47001,
		`{` + whole + `,` + data + `,"miniprogram":{}}`:                                  40013,
		`{` + whole + `,` + data + `,"miniprogram":{"appid":"` + linkedApp + `","x":1}}`: 40097,
		`{` + whole + `,` + data + `,"client_msg_id":"` + strings.Repeat("a", 33) + `"}`: 45067,
		`{` + whole + `}`:                                                   47003,
		`{` + whole + `,"data":[]}`:                                         47001,
		`{` + whole + `,"data":{"thing1":"x"}}`:                             47001,
		`{` + whole + `,"data":{"thing1":{"value":1}}}`:                     47001,
		`{` + whole + `,"data":{"thing1":{"value":"x","color":"#173177"}}}`: 40097,
	} {
		code, answer := w.raw("POST", simulator.PathTemplateSend, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
	require.Len(t, w.arrivals(w.fan), 1)
	code, _ = w.raw("POST", simulator.PathTemplateSend, `{`+whole+`,`+data+`,"client_msg_id":"`+strings.Repeat("a", 32)+`"}`)
	require.Zero(t, code)
}

func TestATemplateMessageThatBreaksARuleIsNotSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, rule string
		change      func(*wechat.TemplateMessage)
	}{
		{"touser", "required", func(m *wechat.TemplateMessage) { m.OpenID = " " }},
		{"template_id", "required", func(m *wechat.TemplateMessage) { m.TemplateID = "" }},
		{"url", "web_address", func(m *wechat.TemplateMessage) { m.URL = "example.com" }},
		{"miniprogram.appid", "required", func(m *wechat.TemplateMessage) { m.MiniProgram = &wechat.TemplateMiniProgram{PagePath: "x"} }},
		{"client_msg_id", "id_bytes", withID(strings.Repeat("a", 33))},
		{"data", "required", func(m *wechat.TemplateMessage) { m.Data = nil }},
		{"data.thing1.DATA", "key_shape", func(m *wechat.TemplateMessage) { m.Data = map[string]string{"thing1.DATA": "x"} }},
		{"data.first", "not_shown", func(m *wechat.TemplateMessage) { m.Data["first"] = "x" }},
		{"data.remark", "not_shown", func(m *wechat.TemplateMessage) { m.Data["remark"] = "x" }},
		{"data.thing1.value", "required", func(m *wechat.TemplateMessage) { m.Data["thing1"] = " " }},
		{"data.thing1.value", "value_length", func(m *wechat.TemplateMessage) { m.Data["thing1"] = strings.Repeat("汉", 21) }},
		{"data.time2.value", "value_shape", func(m *wechat.TemplateMessage) { m.Data["time2"] = "tomorrow" }},
	} {
		w := newTemplateWorld(t, simulator.Switches{})
		_, err := w.send(c.change)
		requireBadField(t, c.field, c.rule, err)
		require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
		require.Empty(t, w.bodies(simulator.PathTemplateSend))
	}
	w := newTemplateWorld(t, simulator.Switches{})
	w.mustSend(withID(strings.Repeat("a", 32)), func(m *wechat.TemplateMessage) { m.Data["thing1"] = strings.Repeat("汉", 20) })
	_, err := w.send(func(m *wechat.TemplateMessage) { m.OpenID, m.TemplateID = "", "" })
	require.Len(t, fault.Fields(err), 2, "all broken rules are told at once")
}

func TestATemplateThatWasTurnedOnAgainArrives(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{TemplateRefuses: true})
	require.NoError(t, w.sim.TurnTemplateOff(w.fan, sampleTemplate, true))
	_, err := w.send()
	requireCode(t, 43101, err)
	require.Equal(t, wechat.ClassFan, wechat.Classify(err))
	require.NoError(t, w.sim.TurnTemplateOff(w.fan, sampleTemplate, false))
	w.mustSend()
}
