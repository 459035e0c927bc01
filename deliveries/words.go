package deliveries

import (
	"strconv"
	"strings"
	"time"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/wechat"
)

// Lang is the language of an explanation.
type Lang string

// The languages. Any other counts as English.
const (
	LangZH Lang = "zh"
	LangEN Lang = "en"
)

// bilingual is a text in the product's two languages.
type bilingual struct{ zh, en string }

func (b bilingual) in(lang Lang) string {
	if lang == LangZH {
		return b.zh
	}
	return b.en
}

// Words says a step in one sentence that a marketer understands: when, what, why, and the figures behind it. Times are
// shown in zone, the account's.
func Words(step *TraceStep, lang Lang, zone *time.Location) string {
	at := clock.FromMillis(step.At).In(zone)
	var b strings.Builder
	b.WriteString(at.Format(time.TimeOnly) + " " + eventWords[step.Event].in(lang))
	if step.Reason != guard.ReasonNone {
		b.WriteString(bilingual{"：", ": "}.in(lang) + reasonWords[step.Reason].in(lang))
	}
	details := make([]string, 0, len(step.Values)+2)
	for _, v := range step.Values {
		if text := valueText(v, at, lang); text != "" {
			details = append(details, text)
		}
	}
	details = append(details, step.Reserved.words(lang)...)
	if step.Attempt > 1 {
		details = append(details, strings.ReplaceAll(bilingual{"第 # 次尝试", "attempt #"}.in(lang), "#", strconv.Itoa(step.Attempt)))
	}
	if len(details) > 0 {
		open, sep, end := " (", ", ", ")"
		if lang == LangZH {
			open, sep, end = "（", "，", "）"
		}
		b.WriteString(open + strings.Join(details, sep) + end)
	}
	if step.ErrCode != 0 {
		b.WriteString(bilingual{"。", ". "}.in(lang) + CodeWords(step.ErrCode, lang))
	}
	return b.String()
}

var eventWords = map[Event]bilingual{
	EventPlanned:   {"已安排发送", "planned"},
	EventMoved:     {"已改期", "moved"},
	EventDeferred:  {"已推迟", "put off"},
	EventSkipped:   {"未发送", "skipped"},
	EventMarked:    {"开始发送", "sending"},
	EventSent:      {"已发送", "sent"},
	EventDelivered: {"已送达", "delivered"},
	EventRejected:  {"未送达", "not delivered"},
	EventFailed:    {"发送失败", "failed"},
	EventUnknown:   {"结果未知，不会自动重发", "unknown, and not sent again by itself"},
	EventRetried:   {"这次没有发出，稍后重试", "not sent this time, will be tried again"},
	EventExpired:   {"已过期，未发送", "expired, not sent"},
	EventCancelled: {"已取消", "cancelled"},
}

var reasonWords = map[guard.Reason]bilingual{
	guard.ReasonInstallationStopped: {"整个系统已停止发送", "all sending is stopped in this installation"},
	guard.ReasonAccountStopped:      {"该公众号已停止发送", "sending is stopped for this account"},
	guard.ReasonCampaignStopped:     {"活动已暂停", "the campaign is paused"},
	guard.ReasonFanGone:             {"对方未关注或已取消关注", "the person is not a fan, or not any more"},
	guard.ReasonBlacklisted:         {"粉丝在黑名单中", "the fan is on the blacklist"},
	guard.ReasonOptedOut:            {"粉丝不愿接收消息", "the fan does not want messages"},
	guard.ReasonHeldOut:             {"粉丝属于实验对照组", "the fan is in the experiment's control group"},
	guard.ReasonTooLate:             {"已超过最晚发送时间", "its latest time to be sent has passed"},
	guard.ReasonDuplicate:           {"刚刚已发过相同的回复", "the same reply went out a moment ago"},
	guard.ReasonSuperseded:          {"另一条更优先的回复已生效", "another answer with precedence won"},
	guard.ReasonPreviousFailed:      {"同一步骤的前一条消息没有送达", "an earlier message of the same step did not arrive"},
	guard.ReasonAgentSession:        {"人工客服正在接待", "a human agent is talking to the fan"},
	guard.ReasonNoPermission:        {"公众号没有此类消息的发送权限", "the account has no permission for this kind of message"},
	guard.ReasonQuietHours:          {"处于免打扰时段", "quiet hours"},
	guard.ReasonCap:                 {"已达到每日上限", "the daily cap is reached"},
	guard.ReasonGap:                 {"距上一条营销消息太近", "too soon after the last marketing message"},
	guard.ReasonGrantClosed:         {"客服消息额度已关闭（粉丝 48 小时内没有互动）", "no open grant: the fan has not interacted within 48 hours"},
	guard.ReasonGrantExhausted:      {"客服消息额度已用完，要等粉丝再次互动", "the grant is used up until the fan interacts again"},
	guard.ReasonGrantReserved:       {"剩余的客服消息额度留给人工客服", "what is left of the grant is kept for human agents"},
	guard.ReasonMassQuota:           {"粉丝本月的群发次数已用完", "the fan's mass sends of this month are used up"},
	guard.ReasonAPIBudget:           {"今天的接口调用额度已用完", "today's API calls are used up"},
	guard.ReasonPlatform:            {"微信返回了错误", "WeChat answered with an error"},
	guard.ReasonAnswerLost:          {"已请求发送，但没有收到微信的答复", "the call was made, but WeChat's answer was lost"},
	guard.ReasonWorkerDied:          {"发送过程中程序中断，无法得知是否已发出", "the process died while sending; whether it went out cannot be told"},
	guard.ReasonNotSent:             {"请求没有离开本机", "the call did not leave this machine"},
	guard.ReasonContent:             {"消息内容不适用于该粉丝", "the message could not be made for this fan"},
	guard.ReasonCancelled:           {"活动或进入记录已结束", "its campaign or enrolment has ended"},
}

// valueWords holds a text for each figure, in which # is the figure: a count, a moment or a span by the end of its name.
var valueWords = map[string]bilingual{
	"now_at":            {"判定时间 #", "decided at #"},
	"not_after_at":      {"最晚 # 发送", "to be sent before #"},
	"session_until":     {"会话最晚 # 结束", "the session ends by #"},
	"quiet_from_at":     {"免打扰自 # 开始", "quiet since #"},
	"quiet_until":       {"免打扰至 # 结束", "quiet until #"},
	"messages":          {"本次 # 条", "# to send"},
	"cap":               {"每日上限 # 条", "daily cap #"},
	"cap_used":          {"今日已用 # 条", "# used today"},
	"campaign_cap":      {"活动每日上限 # 条", "the campaign's daily cap #"},
	"campaign_cap_used": {"该活动今日已用 # 条", "# used today by the campaign"},
	"last_at":           {"上一条在 #", "the last one at #"},
	"gap_ms":            {"间隔至少 #", "gap at least #"},
	"budget_left":       {"今天还可调用 # 次", "# calls left today"},
	"held_for_agents":   {"为人工客服保留 # 条", "# kept for agents"},
	"wished_at":         {"原定 #", "wished for #"},
	"due_at":            {"改为 #", "now due #"},
}

var triggerWords = [wechat.TriggerCount]bilingual{
	wechat.TriggerMessage: {"粉丝发消息", "the fan's message"},
	wechat.TriggerMenu:    {"点击菜单", "menu tap"},
	wechat.TriggerFollow:  {"关注", "follow"},
	wechat.TriggerScan:    {"扫码", "scan"},
	wechat.TriggerPayment: {"支付", "payment"},
}

// wordsOfValue finds a figure's text; the grants' figures are named by their trigger.
func wordsOfValue(name string) (bilingual, bool) {
	if b, known := valueWords[name]; known {
		return b, true
	}
	for t, w := range triggerWords {
		switch name {
		case wechat.Trigger(t).String() + "_left":
			return bilingual{w.zh + "额度剩 # 条", "# left by " + w.en}, true
		case wechat.Trigger(t).String() + "_until":
			return bilingual{w.zh + "额度至 #", w.en + " grant until #"}, true
		}
	}
	return bilingual{}, false
}

// valueText is a figure in words; a figure without words is left out.
func valueText(v guard.Value, at time.Time, lang Lang) string {
	words, known := wordsOfValue(v.Name)
	if !known {
		return ""
	}
	number := strconv.FormatInt(v.Number, 10)
	switch {
	case strings.HasSuffix(v.Name, "_at"), strings.HasSuffix(v.Name, "_until"):
		number = moment(clock.FromMillis(v.Number).In(at.Location()), at)
	case strings.HasSuffix(v.Name, "_ms"):
		number = span(time.Duration(v.Number)*time.Millisecond, lang)
	}
	return strings.ReplaceAll(words.in(lang), "#", number)
}

// moment leaves out the date where it is that of the step.
func moment(t, at time.Time) string {
	if t.Format(time.DateOnly) == at.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func span(d time.Duration, lang Lang) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + bilingual{" 小时", " h"}.in(lang)
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + bilingual{" 分钟", " min"}.in(lang)
	default:
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + bilingual{" 秒", " s"}.in(lang)
	}
}

func (r Reserved) words(lang Lang) []string {
	var out []string
	if len(r.Buckets) > 0 {
		names := make([]string, len(r.Buckets))
		for i, t := range r.Buckets {
			names[i] = triggerWords[t].in(lang)
		}
		out = append(out, bilingual{"占用额度：", "takes one of the grant by "}.in(lang)+strings.Join(names, bilingual{"、", " and "}.in(lang)))
	}
	if r.CapDay != 0 {
		day := time.Unix(int64(r.CapDay)*86_400, 0).UTC().Format(time.DateOnly)
		out = append(out, strings.ReplaceAll(bilingual{"计入 # 的每日上限", "counts in the cap of #"}.in(lang), "#", day))
	}
	return out
}

// CodeWords explains an error code of the platform and says what to do about it. Source: platform.md 3.5, 12.3.
func CodeWords(code int, lang Lang) string {
	number := strconv.Itoa(code)
	if w, known := codeWords[code]; known {
		return bilingual{"微信错误 ", "WeChat error "}.in(lang) + number + bilingual{"：", ": "}.in(lang) + w.in(lang)
	}
	return bilingual{"微信错误 " + number + "：请查阅微信公众平台的全局返回码", "WeChat error " + number + ": look it up in the platform's list of return codes"}.in(lang)
}

var codeWords = map[int]bilingual{
	-1:    {"微信系统繁忙，消息可能已发出；请查看粉丝的对话后再决定是否重发", "WeChat was busy and the message may have gone out; look at the conversation before sending it again"},
	40001: {"access_token 无效；系统会自动更新，若反复出现请检查 AppSecret 以及是否有其他系统在获取同一公众号的 token", "the access token was refused; it is renewed by itself. If this goes on, check the AppSecret and whether another system fetches tokens of this account"},
	40003: {"openid 无效；请确认粉丝属于这个公众号", "the openid is invalid; check that the fan belongs to this account"},
	40007: {"素材已失效；请重新上传消息中的图片或文件", "the media has expired; upload the message's picture or file again"},
	40008: {"消息类型无效；请联系系统管理员", "the kind of message is invalid; tell the administrator"},
	40013: {"AppID 无效；请检查公众号设置", "the AppID is invalid; check the account's settings"},
	40014: {"access_token 无效；系统会自动更新", "the access token was refused; it is renewed by itself"},
	40125: {"AppSecret 无效；请在公众号设置中更新", "the AppSecret is invalid; update it in the account's settings"},
	40164: {"本机 IP 不在白名单；请在微信公众平台添加", "this machine's IP is not on the whitelist; add it on the platform's site"},
	42001: {"access_token 已过期；系统会自动更新", "the access token has expired; it is renewed by itself"},
	43004: {"粉丝已取消关注；无需处理，已更新粉丝状态", "the person has unfollowed; nothing to do, the fan's state is updated"},
	43019: {"粉丝在公众号黑名单中；移出黑名单后才能发送", "the fan is on the account's blacklist; take them off it to send"},
	45002: {"消息内容过长；请缩短文字后重新发布", "the content is too long; shorten the text"},
	45008: {"图文条数超过限制；请减少文章数", "too many articles; use fewer"},
	45009: {"今天的接口调用次数已用完；明天（北京时间）自动恢复，也可在公众平台清零额度", "the API's daily quota is used up; it comes back at midnight in Beijing, or clear the quota on the platform's site"},
	45011: {"接口调用太频繁；系统会在下一分钟重试，可调低发送速率", "too many calls a minute; it is tried again in the next one. Lower the sending rate if this goes on"},
	45015: {"粉丝 48 小时内没有互动或已取消关注；等待粉丝再次互动", "the fan has not interacted within 48 hours or has unfollowed; wait for the next interaction"},
	45047: {"客服消息条数已达上限；等待粉丝再次互动", "the number of customer-service messages is used up; wait for the fan's next interaction"},
	45050: {"客服消息类型不受支持；请更换消息类型", "this kind of customer-service message is not allowed; use another"},
	45065: {"该消息之前已经发出，不会重复发送", "it was sent before under the same id; nothing to do"},
	45087: {"公众号的客服消息功能被封禁；请登录公众平台查看通知", "the account's customer-service messages are blocked; read the notice on the platform's site"},
	48001: {"公众号没有该接口权限；请检查认证是否到期", "the account may not use this API; check whether its verification has lapsed"},
	48002: {"粉丝关闭了消息接收；无需处理，之后不再发送", "the fan has switched messages off; nothing to do, none will be sent"},
	48004: {"公众号因违规被禁用该接口；请登录公众平台查看通知", "the API is closed to this account for a violation; read the notice on the platform's site"},
	50002: {"用户账号受限；无需处理", "the person's WeChat account is restricted; nothing to do"},
	50005: {"粉丝已取消关注；无需处理，已更新粉丝状态", "the person has unfollowed; nothing to do, the fan's state is updated"},
	70000: {"粉丝受未成年人保护限制；之后不再发送", "the fan is a protected minor; none will be sent"},
}
