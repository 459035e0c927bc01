package campaigns

import (
	"fmt"
	"time"

	"hongyan/guard"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// reach is what was found out about a step in words.
func (f *finding) reach(w *walker, trigger int, n Numbered) Reach {
	r := Reach{Trigger: trigger, Step: n.No, Path: n.Path, State: f.state, Reason: f.reason.String()}
	var says, remedy lang.Text
	switch f.state {
	case Reachable:
		says = lang.Text{ZH: "可以送达", EN: "can arrive"}
	case NeedsReply:
		says, remedy = f.needsReply(), f.replyRemedy(&w.version.triggers[trigger], n.Step, w.rules)
	default:
		says = neverWords(f.reason)
		says = lang.Text{ZH: "无法送达：" + says.ZH, EN: "cannot arrive: " + says.EN}
		remedy = neverRemedy(f.reason, w.rules)
	}
	r.Zh, r.En, r.RemedyZh, r.RemedyEn = says.ZH, says.EN, remedy.ZH, remedy.EN
	return r
}

func (f *finding) needsReply() lang.Text {
	if f.asked > 0 {
		return lang.Text{
			ZH: fmt.Sprintf("只能送达回复了第 %d 步询问的粉丝：对其他粉丝，到发送时下发额度已关闭或用完", f.asked),
			EN: fmt.Sprintf("arrives only at fans who answer the ask in step %d: for the others the grant is closed or used up by then", f.asked),
		}
	}
	return lang.Text{ZH: "需要粉丝先互动：到发送时下发额度已关闭或用完", EN: "needs a reply first: by then the grant is closed or used up"}
}

// replyRemedy is what to do about a step that only who did something more gets.
func (f *finding) replyRemedy(t *trigger, s *Step, rules wechat.RuleSet) lang.Text {
	wait := lang.Text{ZH: "，或让它等到粉丝再次互动（no_grant：wait）", EN: ", or let it wait for the next interaction (no_grant: wait)"}
	if s.NoGrant == "wait" { // it does so already
		wait = lang.Text{}
	}
	if f.asked > 0 {
		return lang.Text{
			ZH: "如果未回复的粉丝也要收到，请把它提前到额度关闭之前" + wait.ZH,
			EN: "if fans who do not answer should get it too, send it before the grant closes" + wait.EN,
		}
	}
	out := lang.Text{ZH: "在它之前加一个「询问」步骤", EN: "put an ask step before it"}
	if f.first != guard.ReasonGrantClosed {
		return lang.Text{ZH: out.ZH + "，或减少它之前的消息", EN: out.EN + ", or take messages away before it"}
	}
	if by := t.opens(rules); len(by) == 1 && by[0].ago == 0 {
		within := rules.Grants[by[0].by].Usable()
		out.ZH += fmt.Sprintf("，或让它在触发后最多 %s发送", spanWords(within, lang.ZH))
		out.EN += fmt.Sprintf(", or make it at most %s after the act", spanWords(within, lang.EN))
	}
	return lang.Text{ZH: out.ZH + wait.ZH, EN: out.EN + wait.EN}
}

// spanWords writes a time in the units of a language, cut to whole ones: "50 秒", "47 h 50 min".
func spanWords(d time.Duration, l lang.Lang) string {
	second, minute := lang.Text{ZH: "秒", EN: "s"}.In(l), lang.Text{ZH: "分钟", EN: "min"}.In(l)
	hour, days := lang.Text{ZH: "小时", EN: "h"}.In(l), lang.Text{ZH: "天", EN: "days"}.In(l)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d %s", d/time.Second, second)
	case d < time.Hour:
		return fmt.Sprintf("%d %s", d/time.Minute, minute)
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d %s", d/(24*time.Hour), days)
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%d %s", d/time.Hour, hour)
	default:
		return fmt.Sprintf("%d %s %d %s", d/time.Hour, hour, d%time.Hour/time.Minute, minute)
	}
}

func neverWords(reason guard.Reason) lang.Text {
	switch reason {
	case guard.ReasonNoPermission:
		return lang.Text{ZH: "该公众号类型没有客服消息权限", EN: "this type of account may not send customer-service messages"}
	case guard.ReasonCap:
		return lang.Text{ZH: "超过发送上限", EN: "the step is over a cap"}
	case guard.ReasonTooLate:
		return lang.Text{ZH: "到期时活动已结束", EN: "the drip has ended by then"}
	case guard.ReasonGrantExhausted, guard.ReasonGrantReserved, guard.ReasonGrantClosed:
		return lang.Text{ZH: "步骤的消息数超过一次互动的下发额度", EN: "the step has more messages than one interaction allows"}
	default:
		return lang.Text{ZH: reason.String(), EN: reason.String()}
	}
}

func neverRemedy(reason guard.Reason, rules wechat.RuleSet) lang.Text {
	switch reason {
	case guard.ReasonNoPermission:
		return lang.Text{ZH: "请先认证该公众号，或改用它能发送的渠道", EN: "have the account verified, or use a channel that it may use"}
	case guard.ReasonCap:
		return lang.Text{ZH: "减少它之前的消息、提高上限，或让它等到明天（capped：tomorrow）", EN: "take messages away before it, raise the cap, or let it wait for tomorrow (capped: tomorrow)"}
	case guard.ReasonTooLate:
		return lang.Text{ZH: "让它更早发送，或推迟活动的结束时间", EN: "make it earlier, or let the drip end later"}
	case guard.ReasonGrantExhausted, guard.ReasonGrantReserved, guard.ReasonGrantClosed:
		n := rules.Grants[wechat.TriggerMessage].Messages
		return lang.Text{
			ZH: fmt.Sprintf("减少消息：一次互动最多 %d 条，还要减去为人工客服保留的条数", n),
			EN: fmt.Sprintf("take messages away: one interaction allows %d, less what is kept for agents", n),
		}
	default:
		return lang.Text{ZH: "请查看判定给出的原因", EN: "see the reason of the verdict"}
	}
}
