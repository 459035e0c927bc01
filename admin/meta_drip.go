package admin

import (
	"context"
	"net/http"

	"hongyan/campaigns"
	"hongyan/internal/lang"
)

// kindView is one of the kinds of something in a drip's definition.
type kindView struct {
	Kind  string `json:"kind"`
	Words string `json:"words"`
}

// dripView is what a drip's definition is put together from.
type dripView struct {
	Triggers  []kindView `json:"triggers" nullable:"false" doc:"What starts a drip for a fan"`
	Steps     []kindView `json:"steps" nullable:"false"`
	Exits     []kindView `json:"exits" nullable:"false" doc:"What ends a run before its last step"`
	Waits     []kindView `json:"waits" nullable:"false" doc:"What a step wait_for waits for"`
	ReEntries []kindView `json:"re_entries" nullable:"false" doc:"Whether a fan may enter again"`
}

type dripMetaOut struct{ Body dripView }

// kindOfDrip is a kind and what it is called.
type kindOfDrip struct {
	kind  string
	words lang.Text
}

func dripTriggers() []kindOfDrip {
	return []kindOfDrip{
		{campaigns.TriggerFollow, lang.Text{ZH: "关注公众号", EN: "the fan follows the account"}},
		{campaigns.TriggerScan, lang.Text{ZH: "扫描渠道二维码", EN: "the fan scans a code of the account"}},
		{campaigns.TriggerMenu, lang.Text{ZH: "点击菜单", EN: "the fan taps a menu item"}},
		{campaigns.TriggerKeyword, lang.Text{ZH: "发送关键词", EN: "the fan writes a keyword"}},
		{campaigns.TriggerMessage, lang.Text{ZH: "发送任意消息", EN: "the fan sends any message"}},
		{campaigns.TriggerLocation, lang.Text{ZH: "上报地理位置", EN: "the fan tells where they are"}},
		{campaigns.TriggerTag, lang.Text{ZH: "被打上标签", EN: "the fan gets a tag"}},
		{campaigns.TriggerPayment, lang.Text{ZH: "完成支付", EN: "the fan pays"}},
		{campaigns.TriggerEvent, lang.Text{ZH: "收到 API 事件", EN: "a program reports an event of the fan"}},
		{campaigns.TriggerSilent, lang.Text{ZH: "长时间没有互动", EN: "the fan has done nothing for some hours"}},
		{campaigns.TriggerClosing, lang.Text{ZH: "48 小时窗口即将关闭", EN: "the fan's 48-hour window is about to close"}},
	}
}

func dripSteps() []kindOfDrip {
	return []kindOfDrip{
		{campaigns.StepMessage, lang.Text{ZH: "发送消息", EN: "send messages"}},
		{campaigns.StepAsk, lang.Text{ZH: "请粉丝回复", EN: "send messages and wait for a reply"}},
		{campaigns.StepIf, lang.Text{ZH: "条件分支", EN: "go one of two ways by a condition"}},
		{campaigns.StepSplit, lang.Text{ZH: "随机分流", EN: "go one of several ways by chance"}},
		{campaigns.StepWaitFor, lang.Text{ZH: "等待粉丝动作", EN: "wait for something the fan does"}},
		{campaigns.StepTag, lang.Text{ZH: "打标签", EN: "give a tag"}},
		{campaigns.StepUntag, lang.Text{ZH: "去标签", EN: "take a tag away"}},
		{campaigns.StepWebhook, lang.Text{ZH: "事件推送", EN: "tell another program"}},
		{campaigns.StepExit, lang.Text{ZH: "结束流程", EN: "end the run"}},
	}
}

func dripWaits() []kindOfDrip {
	return []kindOfDrip{
		{campaigns.OnReplied, lang.Text{ZH: "粉丝回复", EN: "the fan replies"}},
		{campaigns.OnClicked, lang.Text{ZH: "粉丝点击菜单或跟踪链接", EN: "the fan taps a menu item or a tracked link"}},
		{campaigns.OnScanned, lang.Text{ZH: "粉丝扫码", EN: "the fan scans a code"}},
		{campaigns.OnTagged, lang.Text{ZH: "被打上标签", EN: "the fan gets a tag"}},
		{campaigns.OnEvent, lang.Text{ZH: "收到 API 事件", EN: "a program reports an event of the fan"}},
	}
}

func dripExits() []kindOfDrip {
	return []kindOfDrip{
		{campaigns.OnReplied, lang.Text{ZH: "粉丝回复", EN: "the fan replies"}},
		{campaigns.OnClicked, lang.Text{ZH: "粉丝点击菜单或跟踪链接", EN: "the fan taps a menu item or a tracked link"}},
		{campaigns.OnTagged, lang.Text{ZH: "被打上标签", EN: "the fan gets a tag"}},
		{campaigns.OnGoal, lang.Text{ZH: "达成目标（API 事件）", EN: "the goal is reached: a program reports the event"}},
	}
}

func dripReEntries() []kindOfDrip {
	return []kindOfDrip{
		{campaigns.ReEntryOnce, lang.Text{ZH: "只进入一次", EN: "only once"}},
		{campaigns.ReEntryAfter, lang.Text{ZH: "若干天后可再次进入", EN: "again after some days"}},
		{campaigns.ReEntryAlways, lang.Text{ZH: "每次都进入", EN: "every time"}},
	}
}

func (a *API) metaDripOps() {
	register(a, Op{
		ID: "get-drip-kinds", Method: http.MethodGet, Path: "/meta/drip", Tag: tagMeta, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出智能推送的触发、步骤和退出方式", EN: "List the kinds of triggers, steps and exits of a drip"},
	}, func(_ context.Context, c *Call, _ *none) (*dripMetaOut, error) {
		return &dripMetaOut{Body: dripView{
			Triggers: showKinds(dripTriggers(), c.Lang), Steps: showKinds(dripSteps(), c.Lang), Exits: showKinds(dripExits(), c.Lang),
			Waits: showKinds(dripWaits(), c.Lang), ReEntries: showKinds(dripReEntries(), c.Lang),
		}}, nil
	})
}

func showKinds(kinds []kindOfDrip, l lang.Lang) []kindView {
	out := make([]kindView, len(kinds))
	for i, k := range kinds {
		out[i] = kindView{Kind: k.kind, Words: k.words.In(l)}
	}
	return out
}
