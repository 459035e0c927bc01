package campaigns

import (
	"encoding/json"

	"hongyan/internal/lang"
	"hongyan/wechat"
)

// Recipe is a drip to begin with: members change its texts and start it.
type Recipe struct {
	ID         string
	Name       lang.Text
	About      lang.Text
	Definition Definition
}

// Recipes lists the recipes, with texts in a language.
func Recipes(l lang.Lang) []Recipe {
	return []Recipe{welcome(l), channelFollowUp(l), wakeTheSilent(l)}
}

// say is a step of one text.
func say(delay string, text lang.Text, l lang.Lang) Step {
	return Step{Delay: delay, Messages: []wechat.Message{{Kind: wechat.KindText, Text: &wechat.Text{Content: text.In(l)}}}}
}

// welcome stays within the minute and the three messages that a follow allows, and asks for a reply, which opens 48 hours.
func welcome(l lang.Lang) Recipe {
	hello := say("0s", lang.Text{ZH: "{{nickname|你好}}，欢迎关注！", EN: "Welcome, {{nickname|there}}!"}, l)
	hello.Class = "reply"
	ask := say("20s", lang.Text{ZH: "想先了解哪方面？回复 1 看产品，回复 2 看优惠。", EN: "What would you like to see first? Reply 1 for products, 2 for offers."}, l)
	ask.Kind, ask.Timeout = StepAsk, "1d"
	next := say("1d", lang.Text{ZH: "昨天聊到的内容，这里有一份更详细的介绍，需要就回复“介绍”。", EN: "Here is more about what you asked yesterday. Reply “more” for the whole of it."}, l)
	return Recipe{
		ID:    "welcome",
		Name:  lang.Text{ZH: "新粉丝欢迎", EN: "Welcome"},
		About: lang.Text{ZH: "关注后马上问候，20 秒后请粉丝回复；回复后再跟进。", EN: "Greets at once, asks for a reply after 20 seconds, follows up with those who reply."},
		Definition: Definition{
			Triggers: []Trigger{{Kind: TriggerFollow}}, ReEntry: ReEntry{Mode: ReEntryOnce},
			Steps: []Step{hello, ask, {Kind: StepIf, Condition: json.RawMessage(`{"field":"run.replied","op":"is","value":true}`), Then: []Step{next}}},
		},
	}
}

// channelFollowUp answers a scan and waits for what the fan does with it.
func channelFollowUp(l lang.Lang) Recipe {
	hello := say("0s", lang.Text{ZH: "感谢扫码！回复“领取”获取资料。", EN: "Thank you for scanning! Reply “get” for the guide."}, l)
	hello.Class = "reply"
	thanks := say("0s", lang.Text{ZH: "资料已为你准备好，有问题直接回复。", EN: "Here it is. Just reply if you have a question."}, l)
	later := say("1d", lang.Text{ZH: "资料看得怎么样？需要的话可以约一次讲解。", EN: "How was it? We can walk you through if you like."}, l)
	return Recipe{
		ID:    "channel_follow_up",
		Name:  lang.Text{ZH: "渠道扫码跟进", EN: "Channel follow-up"},
		About: lang.Text{ZH: "扫码后马上回复，等待粉丝回复；回复的人第二天再跟进。", EN: "Answers a scan at once, waits for a reply, follows up the next day with those who reply."},
		Definition: Definition{
			Triggers: []Trigger{{Kind: TriggerScan}}, ReEntry: ReEntry{Mode: ReEntryAfter, Days: 30},
			Steps: []Step{hello, {Kind: StepWaitFor, For: &Awaited{On: OnReplied}, Timeout: "2d", Then: []Step{thanks, later}}},
		},
	}
}

// wakeTheSilent writes before the window closes, while it is still allowed.
func wakeTheSilent(l lang.Lang) Recipe {
	hello := say("0s", lang.Text{ZH: "{{nickname|你好}}，还有什么可以帮你的吗？回复任意内容，我们随时都在。", EN: "{{nickname|Hello}}, is there anything we can do for you? Just reply, we are here."}, l)
	return Recipe{
		ID:    "wake_the_silent",
		Name:  lang.Text{ZH: "唤醒沉默粉丝", EN: "Wake the silent"},
		About: lang.Text{ZH: "粉丝 40 小时没有互动时提醒一次，此时 48 小时窗口还开着；粉丝一回复就结束。", EN: "Writes once after 40 hours of silence, while the 48-hour window is still open; ends when the fan replies."},
		Definition: Definition{
			Triggers: []Trigger{{Kind: TriggerSilent, Hours: 40}}, Exits: []Awaited{{On: OnReplied}}, ReEntry: ReEntry{Mode: ReEntryAfter, Days: 30},
			Steps: []Step{hello},
		},
	}
}
