package callback

import (
	"strconv"
	"strings"
	"time"
)

// TemplateResult tells what became of a template message; FromUser is the receiver.
type TemplateResult struct {
	MsgID  int64
	Status string // "success", "failed:user block", "failed: system failed", "failed:freq limit"
}

// Delivered reports whether the fan got the message.
func (t TemplateResult) Delivered() bool {
	return strings.EqualFold(strings.TrimSpace(t.Status), "success")
}

// MassResult tells what became of a mass send. The counts are those of the platform at
// the time of the push, slightly before the job ends.
type MassResult struct {
	MsgID                                          int64 // msg_id of the call
	Status                                         string
	TotalCount, FilterCount, SentCount, ErrorCount int
	CopyrightState                                 int // CheckState: 3 means a reprint that may not be sent; 0 when absent
	Copyright                                      []CopyrightResult
	Articles                                       []ArticleURL
}

// Sent reports whether the platform sent it. The blank in "send success" is not always there.
func (m MassResult) Sent() bool {
	return strings.EqualFold(strings.ReplaceAll(m.Status, " ", ""), "sendsuccess")
}

// ErrCode is the number in a status like "err(30003)", 0 in any other.
func (m MassResult) ErrCode() int {
	inner, ok := strings.CutPrefix(strings.TrimSpace(m.Status), "err(")
	if !ok {
		return 0
	}
	code, err := strconv.Atoi(strings.TrimSuffix(inner, ")"))
	if err != nil {
		return 0
	}
	return code
}

// CopyrightResult is the originality check of one article. The meanings of the three
// state numbers are not published.
type CopyrightResult struct {
	ArticleNo                                             int // from 1
	UserDeclareState, AuditState                          int
	OriginalArticleURL                                    string
	OriginalArticleType                                   int
	CanReprint, NeedReplaceContent, NeedShowReprintSource bool
}

// ArticleURL is where an article of a mass send or a publication can be read.
type ArticleURL struct {
	ArticleNo int // from 1
	URL       string
}

// PublishResult tells what became of a publication; Status 0 is success.
type PublishResult struct {
	PublishID int64
	Status    int
	ArticleID string
	Articles  []ArticleURL
	Failed    []int // numbers of the articles that failed, from 1
}

// Consent is one entry of subscribe_msg_popup_event or subscribe_msg_change_event.
type Consent struct {
	TemplateID string
	Accepted   bool
	PopupScene int // 1 a web page, 2 an article; 0 in change events
}

// Consents is the payload of subscribe_msg_popup_event and, with Changed, of
// subscribe_msg_change_event.
type Consents struct {
	Changed bool
	List    []Consent
}

// NoticeResult is one entry of subscribe_msg_sent_event; ErrorCode 0 is success.
type NoticeResult struct {
	TemplateID  string
	MsgID       int64
	ErrorCode   int
	ErrorStatus string
}

// NoticeResults is the payload of subscribe_msg_sent_event.
type NoticeResults struct{ List []NoticeResult }

// Verification is the payload of the events about the account's own verification:
// qualification_verify_success and _fail, naming_verify_success and _fail, annual_renew,
// verify_expired. ExpiredAt is set by good news and by the expiry, FailedAt by failures.
type Verification struct {
	ExpiredAt, FailedAt time.Time // UTC
	FailReason          string
}

const (
	popupWrapper  = "SubscribeMsgPopupEvent"
	changeWrapper = "SubscribeMsgChangeEvent"
	sentWrapper   = "SubscribeMsgSentEvent"
)

func isNoticeWrapper(name string) bool {
	return name == popupWrapper || name == changeWrapper || name == sentWrapper
}

func reportDecoder(name string) decoder {
	switch name {
	case "templatesendjobfinish":
		return func(n *node, f *fields) any { return TemplateResult{f.int64(n, "MsgID"), n.str("Status")} }
	case "masssendjobfinish":
		return decodeMassResult
	case "publishjobfinish", "freepublishjobfinish":
		return decodePublishResult
	case "subscribe_msg_popup_event":
		return func(n *node, f *fields) any { return decodeConsents(n, f, popupWrapper) }
	case "subscribe_msg_change_event":
		return func(n *node, f *fields) any { return decodeConsents(n, f, changeWrapper) }
	case "subscribe_msg_sent_event":
		return decodeNoticeResults
	case "qualification_verify_success", "qualification_verify_fail", "naming_verify_success",
		"naming_verify_fail", "annual_renew", "verify_expired":
		return func(n *node, f *fields) any {
			return Verification{f.time(n, "ExpiredTime"), f.time(n, "FailTime"), n.str("FailReason")}
		}
	}
	return nil
}

func decodeMassResult(n *node, f *fields) any {
	check := n.child("CopyrightCheckResult")
	m := MassResult{
		MsgID: f.int64(n, "MsgID"), Status: n.str("Status"),
		TotalCount: f.int(n, "TotalCount"), FilterCount: f.int(n, "FilterCount"),
		SentCount: f.int(n, "SentCount"), ErrorCount: f.int(n, "ErrorCount"),
		CopyrightState: f.int(check, "CheckState"),
	}
	for _, item := range check.items("ResultList") {
		m.Copyright = append(m.Copyright, CopyrightResult{
			ArticleNo:             f.int(item, "ArticleIdx"),
			UserDeclareState:      f.int(item, "UserDeclareState"),
			AuditState:            f.int(item, "AuditState"),
			OriginalArticleURL:    item.str("OriginalArticleUrl"),
			OriginalArticleType:   f.int(item, "OriginalArticleType"),
			CanReprint:            f.bool(item, "CanReprint"),
			NeedReplaceContent:    f.bool(item, "NeedReplaceContent"),
			NeedShowReprintSource: f.bool(item, "NeedShowReprintSource"),
		})
	}
	for _, item := range n.child("ArticleUrlResult").items("ResultList") {
		m.Articles = append(m.Articles, ArticleURL{f.int(item, "ArticleIdx"), item.str("ArticleUrl")})
	}
	return m
}

func decodePublishResult(n *node, f *fields) any {
	info := n.child("PublishEventInfo")
	p := PublishResult{
		PublishID: f.int64(info, "publish_id"), Status: f.int(info, "publish_status"), ArticleID: info.str("article_id"),
	}
	for _, item := range info.child("article_detail").all("item") {
		p.Articles = append(p.Articles, ArticleURL{f.int(item, "idx"), item.str("article_url")})
	}
	for _, idx := range info.all("fail_idx") {
		p.Failed = append(p.Failed, f.int(&node{kids: []node{*idx}}, "fail_idx"))
	}
	return p
}

// notices lists the entries of a subscription notice: under the wrapper in XML, at the
// top level in JSON.
func notices(n *node, wrapper string) []*node {
	if w := n.child(wrapper); w != nil {
		return w.all("List")
	}
	return n.all("List")
}

func decodeConsents(n *node, f *fields, wrapper string) any {
	c := Consents{Changed: wrapper == changeWrapper}
	for _, item := range notices(n, wrapper) {
		c.List = append(c.List, Consent{
			TemplateID: item.str("TemplateId"),
			Accepted:   strings.EqualFold(strings.TrimSpace(item.str("SubscribeStatusString")), "accept"),
			PopupScene: f.int(item, "PopupScene"),
		})
	}
	return c
}

func decodeNoticeResults(n *node, f *fields) any {
	var r NoticeResults
	for _, item := range notices(n, sentWrapper) {
		r.List = append(r.List, NoticeResult{
			TemplateID: item.str("TemplateId"), MsgID: f.int64(item, "MsgID"),
			ErrorCode: f.int(item, "ErrorCode"), ErrorStatus: item.str("ErrorStatus"),
		})
	}
	return r
}

func (t TemplateResult) nodes() []node {
	return []node{number("MsgID", t.MsgID), text("Status", t.Status)}
}

func (m MassResult) nodes() []node {
	out := []node{
		number("MsgID", m.MsgID), text("Status", m.Status),
		number("TotalCount", int64(m.TotalCount)), number("FilterCount", int64(m.FilterCount)),
		number("SentCount", int64(m.SentCount)), number("ErrorCount", int64(m.ErrorCount)),
	}
	if m.CopyrightState != 0 || len(m.Copyright) > 0 {
		list := group("ResultList")
		for _, c := range m.Copyright {
			list.add(c.node())
		}
		out = append(out, group("CopyrightCheckResult", number("Count", int64(len(m.Copyright))), list,
			number("CheckState", int64(m.CopyrightState))))
	}
	if len(m.Articles) > 0 {
		list := group("ResultList")
		for _, a := range m.Articles {
			list.add(group("item", number("ArticleIdx", int64(a.ArticleNo)), text("ArticleUrl", a.URL)))
		}
		out = append(out, group("ArticleUrlResult", number("Count", int64(len(m.Articles))), list))
	}
	return out
}

func (c CopyrightResult) node() node {
	return group("item",
		number("ArticleIdx", int64(c.ArticleNo)),
		number("UserDeclareState", int64(c.UserDeclareState)),
		number("AuditState", int64(c.AuditState)),
		text("OriginalArticleUrl", c.OriginalArticleURL),
		number("OriginalArticleType", int64(c.OriginalArticleType)),
		boolNumber("CanReprint", c.CanReprint),
		boolNumber("NeedReplaceContent", c.NeedReplaceContent),
		boolNumber("NeedShowReprintSource", c.NeedShowReprintSource))
}

func (p PublishResult) nodes() []node {
	info := group("PublishEventInfo", number("publish_id", p.PublishID), number("publish_status", int64(p.Status)))
	info.add(optional("article_id", p.ArticleID)...)
	if len(p.Articles) > 0 {
		detail := group("article_detail", number("count", int64(len(p.Articles))))
		for _, a := range p.Articles {
			detail.add(group("item", number("idx", int64(a.ArticleNo)), text("article_url", a.URL)))
		}
		info.add(detail)
	}
	for _, no := range p.Failed {
		info.add(number("fail_idx", int64(no)))
	}
	return []node{info}
}

func (c Consents) nodes() []node {
	wrapper := group(popupWrapper)
	if c.Changed {
		wrapper.name = changeWrapper
	}
	for _, entry := range c.List {
		status := "reject"
		if entry.Accepted {
			status = "accept"
		}
		item := group("List", text("TemplateId", entry.TemplateID), text("SubscribeStatusString", status))
		if !c.Changed {
			item.add(number("PopupScene", int64(entry.PopupScene)))
		}
		wrapper.add(item)
	}
	return []node{wrapper}
}

func (r NoticeResults) nodes() []node {
	wrapper := group(sentWrapper)
	for _, entry := range r.List {
		wrapper.add(group("List", text("TemplateId", entry.TemplateID), number("MsgID", entry.MsgID),
			number("ErrorCode", int64(entry.ErrorCode)), text("ErrorStatus", entry.ErrorStatus)))
	}
	return []node{wrapper}
}

func (v Verification) nodes() []node {
	var out []node
	if !v.ExpiredAt.IsZero() {
		out = append(out, number("ExpiredTime", unix(v.ExpiredAt)))
	}
	if !v.FailedAt.IsZero() {
		out = append(out, number("FailTime", unix(v.FailedAt)))
	}
	return append(out, optional("FailReason", v.FailReason)...)
}
