package deliveries

import (
	"strconv"
	"strings"
	"time"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// Words says a step in one sentence that a marketer understands: when, what, why, and the figures behind it. Times are
// shown in zone, the account's.
func Words(step *TraceStep, l lang.Lang, zone *time.Location) string {
	at := clock.FromMillis(step.At).In(zone)
	var b strings.Builder
	b.WriteString(at.Format(time.TimeOnly) + " " + eventWords[step.Event].In(l))
	if step.Reason != guard.ReasonNone {
		b.WriteString(lang.Text{ZH: "：", EN: ": "}.In(l) + reasonWords[step.Reason].In(l))
	}
	details := make([]string, 0, len(step.Values)+2)
	for _, v := range step.Values {
		if text := valueText(v, at, l); text != "" {
			details = append(details, text)
		}
	}
	details = append(details, step.Reserved.words(l)...)
	if step.Attempt > 1 {
		details = append(details, strings.ReplaceAll(lang.Text{ZH: "第 # 次尝试", EN: "attempt #"}.In(l), "#", strconv.Itoa(step.Attempt)))
	}
	if len(details) > 0 {
		open, sep, end := " (", ", ", ")"
		if l == lang.ZH {
			open, sep, end = "（", "，", "）"
		}
		b.WriteString(open + strings.Join(details, sep) + end)
	}
	if step.ErrCode != 0 {
		b.WriteString(lang.Text{ZH: "。", EN: ". "}.In(l) + wechat.CodeWords(step.ErrCode, l))
	}
	return b.String()
}

var eventWords = map[Event]lang.Text{
	EventPlanned:   {ZH: "已安排发送", EN: "planned"},
	EventMoved:     {ZH: "已改期", EN: "moved"},
	EventDeferred:  {ZH: "已推迟", EN: "put off"},
	EventSkipped:   {ZH: "未发送", EN: "skipped"},
	EventMarked:    {ZH: "开始发送", EN: "sending"},
	EventSent:      {ZH: "已发送", EN: "sent"},
	EventDelivered: {ZH: "已送达", EN: "delivered"},
	EventRejected:  {ZH: "未送达", EN: "not delivered"},
	EventFailed:    {ZH: "发送失败", EN: "failed"},
	EventUnknown:   {ZH: "结果未知，不会自动重发", EN: "unknown, and not sent again by itself"},
	EventRetried:   {ZH: "这次没有发出，稍后重试", EN: "not sent this time, will be tried again"},
	EventExpired:   {ZH: "已过期，未发送", EN: "expired, not sent"},
	EventCancelled: {ZH: "已取消", EN: "cancelled"},
}

var reasonWords = map[guard.Reason]lang.Text{
	guard.ReasonInstallationStopped: {ZH: "整个系统已停止发送", EN: "all sending is stopped in this installation"},
	guard.ReasonAccountStopped:      {ZH: "该公众号已停止发送", EN: "sending is stopped for this account"},
	guard.ReasonCampaignStopped:     {ZH: "活动已暂停", EN: "the campaign is paused"},
	guard.ReasonFanGone:             {ZH: "对方未关注或已取消关注", EN: "the person is not a fan, or not any more"},
	guard.ReasonBlacklisted:         {ZH: "粉丝在黑名单中", EN: "the fan is on the blacklist"},
	guard.ReasonOptedOut:            {ZH: "粉丝不愿接收消息", EN: "the fan does not want messages"},
	guard.ReasonHeldOut:             {ZH: "粉丝属于实验对照组", EN: "the fan is in the experiment's control group"},
	guard.ReasonTooLate:             {ZH: "已超过最晚发送时间", EN: "its latest time to be sent has passed"},
	guard.ReasonDuplicate:           {ZH: "刚刚已发过相同的回复", EN: "the same reply went out a moment ago"},
	guard.ReasonSuperseded:          {ZH: "另一条更优先的回复已生效", EN: "another answer with precedence won"},
	guard.ReasonPreviousFailed:      {ZH: "同一步骤的前一条消息没有送达", EN: "an earlier message of the same step did not arrive"},
	guard.ReasonAgentSession:        {ZH: "人工客服正在接待", EN: "a human agent is talking to the fan"},
	guard.ReasonNoPermission:        {ZH: "公众号没有此类消息的发送权限", EN: "the account has no permission for this kind of message"},
	guard.ReasonQuietHours:          {ZH: "处于免打扰时段", EN: "quiet hours"},
	guard.ReasonCap:                 {ZH: "已达到发送上限", EN: "the cap is reached"},
	guard.ReasonGap:                 {ZH: "距上一条营销消息太近", EN: "too soon after the last marketing message"},
	guard.ReasonGrantClosed:         {ZH: "没有有效的下发额度：发消息后 48 小时内，关注、扫码、点菜单后 1 分钟内可发", EN: "no open grant: one lasts 48 hours after the fan's message, and 1 minute after a follow, a scan or a menu tap"},
	guard.ReasonGrantExhausted:      {ZH: "客服消息额度已用完，要等粉丝再次互动", EN: "the grant is used up until the fan interacts again"},
	guard.ReasonGrantReserved:       {ZH: "剩余的客服消息额度留给人工客服", EN: "what is left of the grant is kept for human agents"},
	guard.ReasonMassQuota:           {ZH: "粉丝本月的群发次数已用完", EN: "the fan's mass sends of this month are used up"},
	guard.ReasonAPIBudget:           {ZH: "今天的接口调用额度已用完", EN: "today's API calls are used up"},
	guard.ReasonPlatform:            {ZH: "微信返回了错误", EN: "WeChat answered with an error"},
	guard.ReasonAnswerLost:          {ZH: "已请求发送，但没有收到微信的答复", EN: "the call was made, but WeChat's answer was lost"},
	guard.ReasonWorkerDied:          {ZH: "发送过程中程序中断，无法得知是否已发出", EN: "the process died while sending; whether it went out cannot be told"},
	guard.ReasonNotSent:             {ZH: "请求没有离开本机", EN: "the call did not leave this machine"},
	guard.ReasonContent:             {ZH: "消息内容不适用于该粉丝", EN: "the message could not be made for this fan"},
	guard.ReasonCancelled:           {ZH: "活动或进入记录已结束", EN: "its campaign or enrolment has ended"},
}

// valueWords holds a text for each figure, in which # is the figure: a count, a moment or a span by the end of its name.
var valueWords = map[string]lang.Text{
	"now_at":                  {ZH: "判定时间 #", EN: "decided at #"},
	"not_after_at":            {ZH: "最晚 # 发送", EN: "to be sent before #"},
	"session_until":           {ZH: "会话最晚 # 结束", EN: "the session ends by #"},
	"quiet_from_at":           {ZH: "免打扰自 # 开始", EN: "quiet since #"},
	"quiet_until":             {ZH: "免打扰至 # 结束", EN: "quiet until #"},
	"messages":                {ZH: "本次 # 条", EN: "# to send"},
	"cap":                     {ZH: "每日上限 # 条", EN: "daily cap #"},
	"cap_used":                {ZH: "今日已用 # 条", EN: "# used today"},
	"week_cap":                {ZH: "每周上限 # 条", EN: "weekly cap #"},
	"week_cap_used":           {ZH: "本周已用 # 条", EN: "# used this week"},
	"month_cap":               {ZH: "每月上限 # 条", EN: "monthly cap #"},
	"month_cap_used":          {ZH: "本月已用 # 条", EN: "# used this month"},
	"campaign_cap":            {ZH: "活动每日上限 # 条", EN: "the campaign's daily cap #"},
	"campaign_cap_used":       {ZH: "该活动今日已用 # 条", EN: "# used today by the campaign"},
	"campaign_week_cap":       {ZH: "活动每周上限 # 条", EN: "the campaign's weekly cap #"},
	"campaign_week_cap_used":  {ZH: "该活动本周已用 # 条", EN: "# used this week by the campaign"},
	"campaign_month_cap":      {ZH: "活动每月上限 # 条", EN: "the campaign's monthly cap #"},
	"campaign_month_cap_used": {ZH: "该活动本月已用 # 条", EN: "# used this month by the campaign"},
	"last_at":                 {ZH: "上一条在 #", EN: "the last one at #"},
	"gap_ms":                  {ZH: "间隔至少 #", EN: "gap at least #"},
	"budget_left":             {ZH: "今天还可调用 # 次", EN: "# calls left today"},
	"held_for_agents":         {ZH: "为人工客服保留 # 条", EN: "# kept for agents"},
	"wished_at":               {ZH: "原定 #", EN: "wished for #"},
	"due_at":                  {ZH: "改为 #", EN: "now due #"},
}

var triggerWords = [wechat.TriggerCount]lang.Text{
	wechat.TriggerMessage: {ZH: "粉丝发消息", EN: "the fan's message"},
	wechat.TriggerMenu:    {ZH: "点击菜单", EN: "menu tap"},
	wechat.TriggerFollow:  {ZH: "关注", EN: "follow"},
	wechat.TriggerScan:    {ZH: "扫码", EN: "scan"},
	wechat.TriggerPayment: {ZH: "支付", EN: "payment"},
}

// wordsOfValue finds a figure's text; the grants' figures are named by their trigger.
func wordsOfValue(name string) (lang.Text, bool) {
	if b, known := valueWords[name]; known {
		return b, true
	}
	for t, w := range triggerWords {
		switch name {
		case wechat.Trigger(t).String() + "_left":
			return lang.Text{ZH: w.ZH + "额度剩 # 条", EN: "# left by " + w.EN}, true
		case wechat.Trigger(t).String() + "_until":
			return lang.Text{ZH: w.ZH + "额度至 #", EN: w.EN + " grant until #"}, true
		case wechat.Trigger(t).String() + ended:
			return lang.Text{ZH: w.ZH + "额度已于 # 到期", EN: "the grant by " + w.EN + " ended at #"}, true
		}
	}
	return lang.Text{}, false
}

// ended is how the name of a moment ends that was to come when it was named, and had passed at the step.
const ended = "_ended_at"

// nameOf is the name of a figure at a moment: a grant's end that has passed is named otherwise.
func nameOf(v guard.Value, at time.Time) string {
	if grant, isEnd := strings.CutSuffix(v.Name, "_until"); isEnd && v.Number <= at.UnixMilli() {
		if _, known := wordsOfValue(grant + ended); known {
			return grant + ended
		}
	}
	return v.Name
}

// valueText is a figure in words; a figure without words is left out.
func valueText(v guard.Value, at time.Time, l lang.Lang) string {
	words, known := wordsOfValue(nameOf(v, at))
	if !known {
		return ""
	}
	number := strconv.FormatInt(v.Number, 10)
	switch {
	case strings.HasSuffix(v.Name, "_at"), strings.HasSuffix(v.Name, "_until"):
		number = moment(clock.FromMillis(v.Number).In(at.Location()), at)
	case strings.HasSuffix(v.Name, "_ms"):
		number = span(time.Duration(v.Number)*time.Millisecond, l)
	}
	return strings.ReplaceAll(words.In(l), "#", number)
}

// moment leaves out the date where it is that of the step.
func moment(t, at time.Time) string {
	if t.Format(time.DateOnly) == at.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func span(d time.Duration, l lang.Lang) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + lang.Text{ZH: " 小时", EN: " h"}.In(l)
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + lang.Text{ZH: " 分钟", EN: " min"}.In(l)
	default:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + lang.Text{ZH: " 秒", EN: " s"}.In(l)
	}
}

func (r Reserved) words(l lang.Lang) []string {
	var out []string
	if len(r.Buckets) > 0 {
		names := make([]string, len(r.Buckets))
		for i, t := range r.Buckets {
			names[i] = triggerWords[t].In(l)
		}
		out = append(out, lang.Text{ZH: "占用额度：", EN: "takes one of the grant by "}.In(l)+strings.Join(names, lang.Text{ZH: "、", EN: " and "}.In(l)))
	}
	if r.CapDay != 0 {
		day := time.Unix(int64(r.CapDay)*86_400, 0).UTC().Format(time.DateOnly)
		out = append(out, strings.ReplaceAll(lang.Text{ZH: "计入 # 的发送上限", EN: "counts in the caps of #"}.In(l), "#", day))
	}
	return out
}
