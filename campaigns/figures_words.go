package campaigns

import (
	"strconv"
	"strings"

	"hongyan/deliveries"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// Words says why messages ended so.
func (c *StopCount) Words(l lang.Lang) string {
	if c.ErrCode != 0 {
		return wechat.CodeWords(c.ErrCode, l)
	}
	return deliveries.ReasonWords(c.Reason, l)
}

// ExitWords says why runs ended before their last step.
func ExitWords(reason string, l lang.Lang) string {
	return map[string]lang.Text{
		ExitReplied: {ZH: "粉丝回复了", EN: "the fan replied"},
		ExitClicked: {ZH: "粉丝点击了菜单或跟踪链接", EN: "the fan tapped the menu or a tracked link"},
		ExitTagged:  {ZH: "粉丝被打上标签", EN: "the fan got a tag"},
		ExitGoal:    {ZH: "达成目标", EN: "the goal was reached"},
		ExitStep:    {ZH: "走到结束步骤", EN: "came to a step that ends the run"},
		ExitFanGone: {ZH: "粉丝已取消关注", EN: "the fan is gone"},
	}[reason].In(l)
}

// String is the name used in the API: "happened", "arm_2".
func (o Outcome) String() string {
	if o >= OutcomeArm {
		return "arm_" + strconv.Itoa(int(o-OutcomeArm)+1)
	}
	return map[Outcome]string{
		OutcomeDone: "done", OutcomeNoDate: "no_date", OutcomeThen: "then", OutcomeElse: "else", OutcomeWaiting: "waiting", OutcomeHappened: "happened", OutcomeTimeout: "timeout",
	}[o]
}

// OutcomeWords says what became of runs in a step that is no message.
func OutcomeWords(o Outcome, l lang.Lang) string {
	if o >= OutcomeArm {
		return strings.ReplaceAll(lang.Text{ZH: "走第 # 个分支", EN: "took arm #"}.In(l), "#", strconv.Itoa(int(o-OutcomeArm)+1))
	}
	return map[Outcome]lang.Text{
		OutcomeDone:     {ZH: "已执行", EN: "done"},
		OutcomeNoDate:   {ZH: "没有日期，已跳过", EN: "passed over, the date is not known"},
		OutcomeThen:     {ZH: "条件成立", EN: "the condition held"},
		OutcomeElse:     {ZH: "条件不成立", EN: "the condition did not hold"},
		OutcomeWaiting:  {ZH: "开始等待", EN: "began to wait"},
		OutcomeHappened: {ZH: "等到了", EN: "it happened"},
		OutcomeTimeout:  {ZH: "等待超时", EN: "the time was over"},
	}[o].In(l)
}
