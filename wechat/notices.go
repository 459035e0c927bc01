package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	apiNoticeSend       = "/cgi-bin/message/subscribe/bizsend"
	apiNoticeCategories = "/wxaapi/newtmpl/getcategory"
	apiNoticeTitles     = "/wxaapi/newtmpl/getpubtemplatetitles"
	apiNoticeKeywords   = "/wxaapi/newtmpl/getpubtemplatekeywords"
	apiAddNotice        = "/wxaapi/newtmpl/addtemplate"
	apiNoticeTemplates  = "/wxaapi/newtmpl/gettemplate"
	apiDeleteNotice     = "/wxaapi/newtmpl/deltemplate"

	minNoticeKeywords = 2
	maxNoticeKeywords = 5
	maxNoticeScene    = 15 // characters
)

// MaxNoticeTitles is the longest page of NoticeTitles (platform.md 4.6).
const MaxNoticeTitles = 30

// MaxNoticeTemplates is how many notice templates an account can have at once (200012).
const MaxNoticeTemplates = 50

// Notice is a subscription notice 订阅通知 to one person (platform.md 4.6).
type Notice struct {
	OpenID      string
	TemplateID  string
	Page        string // the web address that a tap opens, "" for nothing; MiniProgram wins over it
	MiniProgram *TemplateMiniProgram
	Data        map[string]string // as in TemplateMessage
}

// NoticeKind says how long a consent to a notice lasts.
type NoticeKind int

// The kinds.
const (
	NoticeOnce     NoticeKind = 2 // one consent, one notice
	NoticeLongTerm NoticeKind = 3 // until it is withdrawn; public services only
)

// NoticeCategory is a category of the account, from which its templates come.
type NoticeCategory struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// NoticeTitle is a template of the public library.
type NoticeTitle struct {
	TID        int        `json:"tid"`
	Title      string     `json:"title"`
	Kind       NoticeKind `json:"type"`
	CategoryID string     `json:"categoryId"`
}

// NoticeTitlesQuery selects a page of the public library.
type NoticeTitlesQuery struct {
	Categories []int // at least one
	Start      int   // from 0
	Limit      int   // 1 to 30; 0 means 30
}

// NoticeTitlePage is a page of the public library.
type NoticeTitlePage struct {
	Total  int // of all pages
	Titles []NoticeTitle
	Next   int // Start of the next page, 0 after the last
}

// NoticeKeyword is a keyword of a template of the public library.
type NoticeKeyword struct {
	KID     int    `json:"kid"`
	Name    string `json:"name"`
	Example string `json:"example"`
	Rule    string `json:"rule"` // type of its values: "thing"
}

// NewNoticeTemplate says what to take over from the public library.
type NewNoticeTemplate struct {
	TID      int
	Keywords []int  // 2 to 5 ids (KID), in the order in which fans shall see them
	Scene    string // what the notices are for: 1 to 15 characters
}

// NoticeTemplate is a notice template of the account.
type NoticeTemplate struct {
	TemplateID string       `json:"priTmplId"`
	Title      string       `json:"title"`
	Content    string       `json:"content"` // with markers; TemplateKeys reads the keys
	Example    string       `json:"example"`
	Kind       NoticeKind   `json:"type"`
	Enums      []NoticeEnum `json:"keywordEnumValueList"`
}

// NoticeEnum lists the values that an enum keyword takes.
type NoticeEnum struct {
	Keyword string   `json:"keywordCode"` // with its suffix: "enum_string2.DATA"
	Values  []string `json:"enumValueList"`
}

// Validate checks n against the platform's rules; errors as of TemplateMessage.Validate.
func (n *Notice) Validate() error {
	c := &checker{}
	c.templateParts(templateParts{n.OpenID, n.TemplateID, "page", n.Page, n.MiniProgram, n.Data})
	return errors.Join(c.errs...)
}

// SendNotice sends a subscription notice; verified service accounts only. It has no id of ours, so that a lost one must
// not be sent again. The event callback.NoticeResults tells what became of it. Errors: 43101 the person refused or has no
// consent left, 40003, 40037, 41030 (page), 47003 (platform.md 4.6).
func (c *Client) SendNotice(ctx context.Context, acc Account, n Notice) error {
	if err := n.Validate(); err != nil {
		return err
	}
	return c.post(ctx, acc, apiNoticeSend, wireTemplate{
		OpenID: n.OpenID, TemplateID: n.TemplateID, Page: n.Page, MiniProgram: n.MiniProgram, Data: wireData(n.Data),
	}, nil)
}

// NoticeCategories lists the account's categories (platform.md 4.6).
func (c *Client) NoticeCategories(ctx context.Context, acc Account) ([]NoticeCategory, error) {
	return noticeList[NoticeCategory](ctx, c, acc, apiNoticeCategories, nil)
}

// NoticeTitles returns a page of the public library's templates in some of the account's categories (platform.md 4.6).
func (c *Client) NoticeTitles(ctx context.Context, acc Account, q NoticeTitlesQuery) (NoticeTitlePage, error) {
	if q.Limit == 0 {
		q.Limit = MaxNoticeTitles
	}
	err := errors.Join(
		templateRule(len(q.Categories) > 0, "ids", "required", "at least one category is needed"),
		templateRule(q.Start >= 0, "start", "range", "the first title has the number 0"),
		templateRule(q.Limit >= 1 && q.Limit <= MaxNoticeTitles, "limit", "range", "a page has 1 to 30 titles"),
	)
	if err != nil {
		return NoticeTitlePage{}, err
	}
	ids := make([]string, len(q.Categories))
	for i, id := range q.Categories {
		ids[i] = strconv.Itoa(id)
	}
	var out struct {
		Count int           `json:"count"`
		Data  []NoticeTitle `json:"data"`
	}
	err = c.get(ctx, acc, apiNoticeTitles, url.Values{
		"ids": {strings.Join(ids, ",")}, "start": {strconv.Itoa(q.Start)}, "limit": {strconv.Itoa(q.Limit)},
	}, &out)
	if err != nil {
		return NoticeTitlePage{}, err
	}
	page := NoticeTitlePage{Total: out.Count, Titles: out.Data}
	if end := q.Start + len(out.Data); len(out.Data) > 0 && end < out.Count {
		page.Next = end
	}
	return page, nil
}

// NoticeKeywords lists the keywords of a template of the public library. Error: 200014 no such template.
func (c *Client) NoticeKeywords(ctx context.Context, acc Account, tid int) ([]NoticeKeyword, error) {
	return noticeList[NoticeKeyword](ctx, c, acc, apiNoticeKeywords, url.Values{"tid": {strconv.Itoa(tid)}})
}

// NoticeTemplates lists the notice templates of the account.
func (c *Client) NoticeTemplates(ctx context.Context, acc Account) ([]NoticeTemplate, error) {
	return noticeList[NoticeTemplate](ctx, c, acc, apiNoticeTemplates, nil)
}

// noticeList reads an answer whose list is called data.
func noticeList[T any](ctx context.Context, c *Client, acc Account, api string, query url.Values) ([]T, error) {
	var out struct {
		Data []T `json:"data"`
	}
	err := c.get(ctx, acc, api, query, &out)
	return out.Data, err
}

// AddNoticeTemplate takes a template over from the public library and returns the id to send with. Calling it twice
// makes two templates, so look at NoticeTemplates after a lost answer. Errors: 200011 banned, 200012 the account has 50
// already, 200013 the template is banned, 200014 no such template, 200016 to 200022 bad arguments (platform.md 4.6).
func (c *Client) AddNoticeTemplate(ctx context.Context, acc Account, t NewNoticeTemplate) (string, error) {
	if err := t.validate(); err != nil {
		return "", err
	}
	var out struct {
		TemplateID string `json:"priTmplId"`
	}
	err := c.post(ctx, acc, apiAddNotice, struct {
		TID      int    `json:"tid,string"`
		Keywords []int  `json:"kidList"`
		Scene    string `json:"sceneDesc"`
	}{t.TID, t.Keywords, t.Scene}, &out)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(out.TemplateID) == "":
		return "", withoutProof(apiAddNotice, "priTmplId")
	}
	return out.TemplateID, nil
}

func (t *NewNoticeTemplate) validate() error {
	errs := []error{
		templateRule(t.TID > 0, "tid", "required", "this is needed"),
		templateRule(len(t.Keywords) >= minNoticeKeywords && len(t.Keywords) <= maxNoticeKeywords,
			"kidList", "count", "a notice has 2 to 5 keywords"),
		templateRule(strings.TrimSpace(t.Scene) != "", "sceneDesc", "required", "this is needed"),
		templateRule(utf8.RuneCountInString(t.Scene) <= maxNoticeScene, "sceneDesc", "length", "a scene has at most 15 characters"),
	}
	seen := map[int]bool{}
	for i, kid := range t.Keywords {
		errs = append(errs, templateRule(!seen[kid], fmt.Sprintf("kidList[%d]", i), "duplicate", "a keyword is taken once"))
		seen[kid] = true
	}
	return errors.Join(errs...)
}

// DeleteNoticeTemplate removes a notice template from the account. Error: 40037 it has no such template.
func (c *Client) DeleteNoticeTemplate(ctx context.Context, acc Account, templateID string) error {
	if err := templateRule(strings.TrimSpace(templateID) != "", "priTmplId", "required", "this is needed"); err != nil {
		return err
	}
	return c.post(ctx, acc, apiDeleteNotice, struct {
		TemplateID string `json:"priTmplId"`
	}{templateID}, nil)
}
