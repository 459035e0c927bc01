package admin

import (
	"context"
	"net/http"
	"time"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/lang"
	"hongyan/templates"
	"hongyan/wechat"
)

const tagMeta = "Meta"

// reasonView is why something is not sent, or not now.
type reasonView struct {
	Reason  string `json:"reason"`
	Words   string `json:"words"`
	Decided bool   `json:"decided" doc:"The guard stops a delivery with it; the others are of what happened after it allowed"`
}

// grantView is what an act of a fan grants.
type grantView struct {
	Trigger       string `json:"trigger"`
	Words         string `json:"words"`
	Messages      int    `json:"messages"`
	Seconds       int64  `json:"seconds"`
	UsableSeconds int64  `json:"usable_seconds" doc:"What is relied on, with a margin for clocks and calls"`
}

// rulesView is what the platform granted from a day on.
type rulesView struct {
	Name      string      `json:"name"`
	From      int64       `json:"from,omitempty" doc:"Unix ms; none for the oldest"`
	Grants    []grantView `json:"grants" nullable:"false"`
	TextBytes int         `json:"text_bytes" doc:"Most UTF-8 bytes of a customer-service text"`
}

// limitView is a limit of the platform's, or of ours.
type limitView struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
	Unit  string `json:"unit" enum:"bytes,characters,items,seconds"`
}

// variableView is a name that a message may hold.
type variableView struct {
	Name       string `json:"name"`
	Words      string `json:"words"`
	MayBeEmpty bool   `json:"may_be_empty" doc:"It needs a fallback: {{name|fallback}}"`
}

type (
	reasonsOut struct {
		Body struct {
			Items []reasonView `json:"items" nullable:"false"`
		}
	}
	rulesOut struct {
		Body struct {
			Current string      `json:"current" doc:"Name of the rules that hold now"`
			Sets    []rulesView `json:"sets" nullable:"false" doc:"Oldest first"`
			Limits  []limitView `json:"limits" nullable:"false"`
		}
	}
	variablesOut struct {
		Body struct {
			Items []variableView `json:"items" nullable:"false"`
		}
	}
)

func (a *API) metaOps() {
	register(a, Op{
		ID: "list-reasons", Method: http.MethodGet, Path: "/meta/reasons", Tag: tagMeta, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出未发送的原因", EN: "List the reasons for which something is not sent"},
	}, func(_ context.Context, c *Call, _ *none) (*reasonsOut, error) {
		out := &reasonsOut{}
		for _, r := range guard.Reasons() {
			out.Body.Items = append(out.Body.Items, reasonView{Reason: r.String(), Words: deliveries.ReasonWords(r, c.Lang), Decided: r < guard.ReasonPlatform})
		}
		return out, nil
	})
	register(a, Op{
		ID: "get-rules", Method: http.MethodGet, Path: "/meta/rules", Tag: tagMeta, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看平台规则", EN: "Show the platform's rules by date, and its limits"},
	}, a.rules)
	register(a, Op{
		ID: "list-variables", Method: http.MethodGet, Path: "/meta/variables", Tag: tagMeta, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出消息变量", EN: "List the variables that a message may hold"},
	}, func(_ context.Context, c *Call, _ *none) (*variablesOut, error) {
		out := &variablesOut{}
		for _, v := range templates.Variables() {
			out.Body.Items = append(out.Body.Items, variableView{Name: v.Name, Words: variableWords[v.Name].In(c.Lang), MayBeEmpty: v.MayBeEmpty})
		}
		return out, nil
	})
}

var variableWords = map[string]lang.Text{
	"nickname":     {ZH: "昵称", EN: "the fan's nickname"},
	"remark":       {ZH: "备注名", EN: "the remark that members have given the fan"},
	"scene":        {ZH: "关注时的场景值", EN: "the scene of the code by which the fan followed"},
	"follow_days":  {ZH: "已关注天数", EN: "for how many days the fan has followed"},
	"account_name": {ZH: "公众号名称", EN: "the account's name"},
	"date":         {ZH: "当天日期", EN: "today's date"},
}

var triggerWords = map[wechat.Trigger]lang.Text{
	wechat.TriggerMessage: {ZH: "粉丝发来消息", EN: "the fan writes"},
	wechat.TriggerMenu:    {ZH: "粉丝点击菜单", EN: "the fan taps a menu item"},
	wechat.TriggerFollow:  {ZH: "粉丝关注", EN: "the fan follows"},
	wechat.TriggerScan:    {ZH: "粉丝扫码", EN: "the fan scans a code"},
	wechat.TriggerPayment: {ZH: "粉丝支付", EN: "the fan pays"},
}

func (a *API) rules(_ context.Context, c *Call, _ *none) (*rulesOut, error) {
	out := &rulesOut{}
	out.Body.Current = wechat.RulesAt(a.o.Clock.Now()).Name
	for _, set := range wechat.RuleSets() {
		shown := rulesView{Name: set.Name, TextBytes: set.TextBytes}
		if !set.From.IsZero() {
			shown.From = set.From.UnixMilli()
		}
		for i, g := range set.Grants {
			t := wechat.Trigger(i)
			shown.Grants = append(shown.Grants, grantView{
				Trigger: t.String(), Words: triggerWords[t].In(c.Lang), Messages: g.Messages,
				Seconds: int64(g.Lifetime / time.Second), UsableSeconds: int64(g.Usable() / time.Second),
			})
		}
		out.Body.Sets = append(out.Body.Sets, shown)
	}
	out.Body.Limits = []limitView{
		{"daily_cap", guard.MaxDailyCap, "items"},
		{"image_bytes", wechat.MaxImageBytes, "bytes"},
		{"voice_bytes", wechat.MaxVoiceBytes, "bytes"},
		{"voice_seconds", int64(wechat.MaxVoiceTime / time.Second), "seconds"},
		{"video_bytes", wechat.MaxVideoBytes, "bytes"},
		{"menu_buttons", wechat.MaxMenuButtons, "items"},
		{"menu_sub_buttons", wechat.MaxSubButtons, "items"},
		{"menu_name_bytes", wechat.MaxButtonNameBytes, "bytes"},
		{"menu_key_bytes", wechat.MaxButtonKeyBytes, "bytes"},
		{"scene_characters", wechat.MaxSceneLength, "characters"},
		{"mass_list_fans", wechat.MaxMassFans, "items"},
		{"article_title_characters", wechat.MaxArticleTitle, "characters"},
	}
	return out, nil
}
