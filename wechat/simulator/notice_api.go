package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PathNoticeSend is the path of subscription notices.
const PathNoticeSend = "/cgi-bin/message/subscribe/bizsend"

// The codes of this family (platform.md 4.6).
const (
	codeBadNoticePage   = 41030
	codeNoticeCount     = 200012
	codeNoticeBadTID    = 200014
	codeNoticeStart     = 200016
	codeNoticeLimit     = 200017
	codeNoticeNoIDs     = 200018
	codeNoticeBadIDs    = 200019
	codeNoticeKeywords  = 200020
	codeNoticeSceneDesc = 200021
)

const (
	maxNoticeTemplates = 50
	maxNoticeTitles    = 30
	maxNoticeScene     = 15 // characters
	noticeOnce         = 2
	noticeLongTerm     = 3
)

// noticeRoutes are subscription notices (platform.md 4.6).
func noticeRoutes() []route {
	return []route{
		{PathNoticeSend, Limit{}, (*Simulator).serveNoticeSend},
		{"/wxaapi/newtmpl/getcategory", Limit{}, (*Simulator).serveNoticeCategories},
		{"/wxaapi/newtmpl/getpubtemplatetitles", Limit{}, (*Simulator).serveNoticeTitles},
		{"/wxaapi/newtmpl/getpubtemplatekeywords", Limit{}, (*Simulator).serveNoticeKeywords},
		{"/wxaapi/newtmpl/addtemplate", Limit{}, (*Simulator).serveAddNotice},
		{"/wxaapi/newtmpl/gettemplate", Limit{}, (*Simulator).serveNoticeTemplates},
		{"/wxaapi/newtmpl/deltemplate", Limit{}, (*Simulator).serveDeleteNotice},
	}
}

// noticeState is what an account keeps for subscription notices (platform.md 4.6); it is guarded by the account's mutex.
type noticeState struct {
	private  []*privateTemplate // in order of adding
	consents map[[2]string]int  // person and template: notices that may still be sent
}

// noticeData is the answer of the calls whose list is called data.
type noticeData[T any] struct {
	Code  int    `json:"errcode"`
	Msg   string `json:"errmsg"`
	Count int    `json:"count,omitempty"`
	Data  []T    `json:"data"`
}

func (s *Simulator) serveNoticeCategories(c *call) {
	a, ok := s.enterService(c, http.MethodGet)
	if !ok {
		return
	}
	type entry struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	out := noticeData[entry]{Msg: errText(codeOK), Data: []entry{}}
	a.mu.Lock()
	mine := a.categories()
	a.mu.Unlock()
	for _, known := range allCategories() {
		if slices.Contains(mine, known.id) {
			out.Data = append(out.Data, entry{known.id, known.name})
		}
	}
	c.answerJSON(out)
}

// serveNoticeTitles pages through the library's templates of some of the account's categories.
func (s *Simulator) serveNoticeTitles(c *call) {
	a, ok := s.enterService(c, http.MethodGet)
	if !ok {
		return
	}
	ids, start, limit, code := readTitlesQuery(c.query)
	a.mu.Lock()
	mine := a.categories()
	a.mu.Unlock()
	for _, id := range ids {
		if code == codeOK && !slices.Contains(mine, id) {
			code = codeNoticeBadIDs
		}
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	type entry struct {
		TID      int    `json:"tid"`
		Title    string `json:"title"`
		Kind     int    `json:"type"`
		Category string `json:"categoryId"`
	}
	out := noticeData[entry]{Msg: errText(codeOK), Data: []entry{}}
	for _, t := range templateLibrary() {
		if !slices.Contains(ids, t.category) {
			continue
		}
		if out.Count >= start && len(out.Data) < limit {
			out.Data = append(out.Data, entry{t.tid, t.title, noticeKind(t.longTerm), strconv.Itoa(t.category)})
		}
		out.Count++
	}
	c.answerJSON(out)
}

func noticeKind(longTerm bool) int {
	if longTerm {
		return noticeLongTerm
	}
	return noticeOnce
}

func readTitlesQuery(query string) (ids []int, start, limit, code int) {
	list := strings.Trim(queryValue(query, "ids"), `"`) // the documentation's example has quotes
	if list == "" {
		return nil, 0, 0, codeNoticeNoIDs
	}
	for part := range strings.SplitSeq(list, ",") {
		id, err := strconv.Atoi(part)
		if err != nil {
			return nil, 0, 0, codeNoticeBadIDs
		}
		ids = append(ids, id)
	}
	start, err := strconv.Atoi(queryValue(query, "start"))
	if err != nil || start < 0 {
		return nil, 0, 0, codeNoticeStart
	}
	limit, err = strconv.Atoi(queryValue(query, "limit"))
	if err != nil || limit < 1 || limit > maxNoticeTitles {
		return nil, 0, 0, codeNoticeLimit
	}
	return ids, start, limit, codeOK
}

func (s *Simulator) serveNoticeKeywords(c *call) {
	if _, ok := s.enterService(c, http.MethodGet); !ok {
		return
	}
	tid, err := strconv.Atoi(queryValue(c.query, "tid"))
	entry, known := libraryTemplateOf(tid)
	if err != nil || !known {
		c.refuse(codeNoticeBadTID)
		return
	}
	type keyword struct {
		KID     int    `json:"kid"`
		Name    string `json:"name"`
		Example string `json:"example"`
		Rule    string `json:"rule"`
	}
	out := noticeData[keyword]{Msg: errText(codeOK), Count: len(entry.keywords)}
	for _, k := range entry.keywords {
		out.Data = append(out.Data, keyword{k.kid, k.name, k.example, k.rule})
	}
	c.answerJSON(out)
}

// serveAddNotice is POST /wxaapi/newtmpl/addtemplate.
func (s *Simulator) serveAddNotice(c *call) {
	a, ok := s.enterService(c, http.MethodPost)
	if !ok {
		return
	}
	tid, kids, code := readNewNotice(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, known := libraryTemplateOf(tid)
	switch {
	case !known || !slices.Contains(a.categories(), entry.category):
		c.refuse(codeNoticeBadTID)
		return
	case len(a.notice.private) >= maxNoticeTemplates:
		c.refuse(codeNoticeCount)
		return
	}
	keywords := make([]libraryKeyword, 0, len(kids))
	for i, kid := range kids {
		at := slices.IndexFunc(entry.keywords, func(k libraryKeyword) bool { return k.kid == kid })
		if at < 0 || slices.Contains(kids[:i], kid) {
			c.refuse(codeNoticeKeywords)
			return
		}
		keywords = append(keywords, entry.keywords[at])
	}
	t := entry.take(keywords)
	t.ID = s.templateID(a)
	a.notice.private = append(a.notice.private, t)
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","priTmplId":%q}`, t.ID)
}

func readNewNotice(body []byte) (tid int, kids []int, code int) {
	var number, scene string
	top, code := parseObject(body)
	if code == codeOK {
		code = readString(top, "tid", &number)
	}
	if code == codeOK {
		code = readString(top, "sceneDesc", &scene)
	}
	if code != codeOK {
		return 0, nil, code
	}
	for name := range top {
		if name != "tid" && name != "sceneDesc" && name != "kidList" {
			return 0, nil, codeUnknownField
		}
	}
	tid, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return 0, nil, codeNoticeBadTID
	case json.Unmarshal(top["kidList"], &kids) != nil || len(kids) < 2 || len(kids) > 5:
		return 0, nil, codeNoticeKeywords
	case strings.TrimSpace(scene) == "" || utf8.RuneCountInString(scene) > maxNoticeScene:
		return 0, nil, codeNoticeSceneDesc
	}
	return tid, kids, codeOK
}

func (s *Simulator) serveNoticeTemplates(c *call) {
	a, ok := s.enterService(c, http.MethodGet)
	if !ok {
		return
	}
	type enum struct {
		Values  []string `json:"enumValueList"`
		Keyword string   `json:"keywordCode"`
	}
	type entry struct {
		ID      string `json:"priTmplId"`
		Title   string `json:"title"`
		Content string `json:"content"`
		Example string `json:"example"`
		Kind    int    `json:"type"`
		Enums   []enum `json:"keywordEnumValueList,omitempty"`
	}
	out := noticeData[entry]{Msg: errText(codeOK), Data: []entry{}}
	a.mu.Lock()
	for _, t := range a.notice.private {
		e := entry{ID: t.ID, Title: t.Title, Content: t.Content, Example: t.Example, Kind: noticeKind(t.LongTerm)}
		for _, k := range t.enums {
			e.Enums = append(e.Enums, enum{k.values, k.key + ".DATA"})
		}
		out.Data = append(out.Data, e)
	}
	a.mu.Unlock()
	c.answerJSON(out)
}

func (s *Simulator) serveDeleteNotice(c *call) {
	if a, ok := s.enterService(c, http.MethodPost); ok {
		deleteTemplate(c, a, "priTmplId", &a.notice.private)
	}
}
