package wechat

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// CodeWords says an errcode to a member, with the code: what it means and what to do. A code that nobody has described
// is called unknown. Source: platform.md 3.5, 4.5, 5.4, 7.2, 8.2, 10.2, 12.3.
func CodeWords(code int, l lang.Lang) string { return codeLine(code, sayingOf(code), l) }

// Problem says e to a member: what happened, what to do, the errcode and the platform's request id.
func (e *Error) Problem(l lang.Lang) fault.Problem {
	return fault.Problem{Code: e.faultCode(), Text: e.words(l) + e.evidence(l), ErrCode: e.Code, RID: e.RID}
}

// Problem says e to a member.
func (e *TicketError) Problem(l lang.Lang) fault.Problem {
	return fault.Problem{Code: fault.Unavailable, Text: e.saying().line(l)}
}

// faultCode is what e is to programs.
func (e *Error) faultCode() fault.Code {
	switch e.Class() {
	case ClassRetry, ClassSlow, ClassQuota, ClassToken:
		return fault.Unavailable
	case ClassMessage:
		return fault.Invalid
	case ClassStopAccount, ClassStopFeature, ClassReauthorise:
		return fault.Forbidden
	case ClassBug:
		return fault.Internal
	case ClassOK, ClassDone, ClassFan, ClassStopCampaign, ClassIgnore:
		return fault.Conflict
	}
	return fault.Internal
}

func (e *Error) words(l lang.Lang) string {
	if ticket, ok := errors.AsType[*TicketError](e.Err); ok {
		return codeLine(e.Code, ticket.saying(), l)
	}
	switch {
	case e.TokenRefused:
		return codeLine(e.Code, refusedTwice, l)
	case e.Code == codeBadCredential && e.Class() == ClassStopAccount:
		return codeLine(e.Code, sayingOf(codeBadSecret), l) // on the token's own API this code means the secret
	case e.Code != 0:
		return CodeWords(e.Code, l)
	case fault.Is(e.Err, fault.Invalid), errors.Is(e.Err, ErrNotAuthorised):
		return fault.Words(e.Err, l)
	}
	return e.unanswered().line(l)
}

// unanswered says why there is no code. The advice of a call that may have been carried out is never to repeat it.
func (e *Error) unanswered() saying {
	var timeout net.Error
	late := errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &timeout) && timeout.Timeout()
	var wire *net.OpError
	switch {
	case isTokenAPI(e.API):
		return noToken
	case e.Outcome == OutcomeNotSent && errors.Is(e.Err, context.Canceled):
		return cancelled
	case e.Outcome == OutcomeNotSent && (late || errors.As(e.Err, &wire)):
		return noConnection
	case e.Outcome == OutcomeNotSent:
		return notPrepared
	case late:
		return noAnswer
	case e.HTTPStatus >= http.StatusInternalServerError:
		return brokenPlatform
	}
	return badAnswer
}

// evidence is what the platform's support asks for, and its own text where that names something: an address, a field.
func (e *Error) evidence(l lang.Lang) string {
	said, rid := "", ""
	if _, known := codeWords[e.Code]; e.Msg != "" && (!known || slices.Contains([]int{codeBadIP, codeComponentIP, codeBadValue}, e.Code)) {
		said = lang.Text{ZH: "微信原文：", EN: "WeChat says: "}.In(l) + cut(e.Msg)
	}
	if e.RID != "" {
		rid = "rid " + cut(e.RID)
	}
	switch {
	case said == "" && rid == "":
		return ""
	case said != "" && rid != "":
		said += lang.Text{ZH: "，", EN: ", "}.In(l)
	}
	return lang.Text{ZH: "（" + said + rid + "）", EN: " (" + said + rid + ")"}.In(l)
}

// maxQuoted bounds a quotation of the platform, in characters.
const maxQuoted = 200

func cut(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		return string(r[:maxQuoted]) + "…"
	}
	return s
}

// Codes whose words depend on more than the code.
const (
	codeBadSecret   = 40125
	codeBadIP       = 40164
	codeBadValue    = 47003
	codeComponentIP = 61004
)

func isTokenAPI(api string) bool {
	return api == apiStableToken || api == apiComponentToken || api == apiAuthorizerToken
}

// line is s in one language.
func (s saying) line(l lang.Lang) string {
	return lang.Text{ZH: s.zh + "；" + s.zhAdvice, EN: s.en + "; " + s.enAdvice}.In(l)
}

// codeLine is s with the code that it is about; 0 for none.
func codeLine(code int, s saying, l lang.Lang) string {
	if code == 0 {
		return s.line(l)
	}
	number := strconv.Itoa(code)
	return lang.Text{ZH: "微信错误 " + number + "：", EN: "WeChat error " + number + ": "}.In(l) + s.line(l)
}

func sayingOf(code int) saying {
	s, known := codeWords[code]
	if !known {
		return unknownCode
	}
	if usual := classAdvice[ClassOf(code)]; s.zhAdvice == "" {
		s.zhAdvice, s.enAdvice = usual.ZH, usual.EN
	}
	return s
}

// classAdvice is what to do about codes of a class that have no advice of their own.
var classAdvice = map[Class]lang.Text{
	ClassOK:           {ZH: "无需处理", EN: "nothing to do"},
	ClassRetry:        {ZH: "请稍后重试", EN: "try again in a while"},
	ClassSlow:         {ZH: "请一分钟后再试", EN: "try again in a minute"},
	ClassQuota:        {ZH: "请等到额度恢复（北京时间零点）后再试", EN: "wait until the quota comes back at midnight in Beijing"},
	ClassToken:        {ZH: "系统会自动更新，请稍后重试", EN: "it is renewed by itself; try again in a moment"},
	ClassFan:          {ZH: "无需处理，已跳过这位粉丝", EN: "nothing to do: the fan is passed over"},
	ClassMessage:      {ZH: "请检查内容后重试", EN: "check the content and try again"},
	ClassStopCampaign: {ZH: "请修改活动后再恢复", EN: "change the campaign, then resume it"},
	ClassStopAccount:  {ZH: "请登录公众平台查看通知，处理后再恢复发送", EN: "read the notice on the platform's site, and resume once it is settled"},
	ClassStopFeature:  {ZH: "请登录公众平台查看这项功能的权限", EN: "look at the account's permissions on the platform's site"},
	ClassDone:         {ZH: "无需处理", EN: "nothing to do"},
	ClassBug:          {ZH: "这可能是系统问题，请把这条提示发给系统管理员", EN: "this may be a fault of this program; send these words to its administrator"},
	ClassReauthorise:  {ZH: "请重新授权", EN: "ask for the authorisation again"},
	ClassIgnore:       {ZH: "无需处理", EN: "nothing to do"},
}

// What happens without a code, or in spite of it.
var (
	unknownCode = saying{
		"微信返回了系统还不认识的错误", "请在微信公众平台的开发文档中查找这个错误码，或把这条提示发给系统管理员",
		"this error of WeChat is not known here", "look the code up in the platform's list of return codes, or send these words to your administrator",
	}
	refusedTwice = saying{
		"微信接连拒绝了新取得的接口凭证", "请核对 AppSecret，并确认没有其他系统在强制刷新同一公众号的凭证",
		"WeChat refused a fresh access token as well", "check the AppSecret, and that no other system forces new tokens of this account",
	}
	noToken = saying{
		"没有从微信取得接口凭证，请求没有发出", "请检查本系统能否访问微信服务器，稍后重试",
		"no access token could be had from WeChat, so nothing was sent", "check that this machine reaches WeChat's servers, and try again in a while",
	}
	notPrepared = saying{
		"请求没有发出", "请稍后重试；如果反复出现，请联系系统管理员查看日志",
		"nothing was sent", "try again in a while; if this goes on, ask your administrator to look into the log",
	}
	cancelled = saying{
		"操作已取消，请求没有发出", "如仍需要，请重新操作",
		"this was cancelled, and nothing was sent", "do it again if you still want it",
	}
	noConnection = saying{
		"连接不上微信服务器，请求没有发出", "请检查本系统的网络、DNS 和代理设置，稍后重试",
		"WeChat's servers could not be reached, and nothing was sent", "check this machine's network, DNS and proxy, and try again in a while",
	}
	noAnswer = saying{
		"微信没有及时答复，无法确认这次请求是否已生效", "请先核对结果，再决定是否重试",
		"WeChat did not answer in time, and it cannot be told whether this was carried out", "look at the result before you try again",
	}
	brokenPlatform = saying{
		"微信服务器出错，无法确认这次请求是否已生效", "请先核对结果，再决定是否重试",
		"WeChat's servers had an error, and it cannot be told whether this was carried out", "look at the result before you try again",
	}
	badAnswer = saying{
		"没有收到微信的完整答复，无法确认这次请求是否已生效", "请先核对结果，再决定是否重试",
		"WeChat's answer was lost or cannot be read, and it cannot be told whether this was carried out", "look at the result before you try again",
	}
)

func (e *TicketError) saying() saying {
	s := saying{
		"第三方平台还没有收到微信的验证票据", "请检查授权事件接收地址、Token 和 EncodingAESKey，然后等待微信推送（每 10 分钟一次）",
		"the component has received no verify ticket from WeChat", "check its authorisation event URL, Token and EncodingAESKey, then wait for the push that comes every ten minutes",
	}
	if !e.At.IsZero() {
		at := e.At.UTC().Format(time.RFC3339)
		s.zh, s.en = "第三方平台的验证票据已失效（最近一次："+at+"）", "the component's verify ticket is no longer good; the newest is from "+at
	}
	return s
}
