package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PathTemplateSend is the path of template messages.
const PathTemplateSend = "/cgi-bin/message/template/send"

// The paths of old templates' industry and of the list of an account's templates.
const (
	PathSetIndustry      = "/cgi-bin/template/api_set_industry"
	PathGetIndustry      = "/cgi-bin/template/get_industry"
	PathPrivateTemplates = "/cgi-bin/template/get_all_private_template"
)

// The codes of this family (platform.md 4.4 to 4.6).
const (
	codeBadTemplateID    = 40037
	codeBadIndustry      = 40102
	codeBadPagePath      = 40165
	codeNotLinked        = 40166
	codeBadKeywordList   = 40246
	codeOldTemplate      = 40247
	codeMarketing        = 40249
	codeIndustryTooOften = 43100
	codeNoticeRefused    = 43101
	codeTemplateBanned   = 43116
	codeFanTooOften      = 43117
	codeTemplateCount    = 45026
	codeTemplateConflict = 45027
	codeTemplateRepeat   = 45065
	codeTemplateIDLong   = 45067
	codeBadArgument      = 47003
	codeTemplateDisabled = 48011
)

const (
	templateDaily       = 100_000
	maxPrivateTemplates = 25
)

// templateRoutes are template messages (platform.md 4).
func templateRoutes() []route {
	return []route{
		{PathTemplateSend, Limit{Daily: templateDaily}, (*Simulator).serveTemplateSend},
		{PathSetIndustry, Limit{}, (*Simulator).serveSetIndustry},
		{PathGetIndustry, Limit{}, (*Simulator).serveGetIndustry},
		{"/cgi-bin/template/api_add_template", Limit{}, (*Simulator).serveAddTemplate},
		{PathPrivateTemplates, Limit{}, (*Simulator).servePrivateTemplates},
		{"/cgi-bin/template/del_private_template", Limit{}, (*Simulator).serveDeleteTemplate},
	}
}

// templateState is what an account keeps for template messages (platform.md 4); it is guarded by the account's mutex.
type templateState struct {
	private    []*privateTemplate // in order of adding
	added      uint64             // how many there ever were, notices included: feeds ids
	accepted   uint64             // how many messages were accepted, notices included: feeds msgids
	industries [2]int             // 0: not declared
	industryAt uint32             // month of the last change
	chosen     []int              // categories; nil: those of a fresh account
	changes    windowCounter      // of categories, per month
	linked     []string           // appids of mini-programs
	faults     TemplateFaults
	marketing  []string           // nil: the usual words
	off        map[[2]string]bool // fan and template: turned off by the fan
	lastToFan  map[string]time.Time
	repeats    templateRepeats
	receipts   receiptQueue
}

// privateTemplate is a template that an account can send, as a message or as a notice.
type privateTemplate struct {
	Template
	category int // 0: an old industry template
	enums    []keywordEnum
	state    TemplateState
}

// keywordEnum lists what a keyword takes.
type keywordEnum struct {
	key    string // "enum_string2"
	values []string
}

func findTemplate(list []*privateTemplate, id string) *privateTemplate {
	for _, t := range list {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// templateID invents an id of 43 letters; the account is locked.
func (s *Simulator) templateID(a *account) string {
	a.template.added++
	return letters(43, s.seed, hashText(a.config().AppID), 0x7e3, a.template.added)
}

func (s *Simulator) serveSetIndustry(c *call) {
	a, ok := s.enterService(c, http.MethodPost)
	if !ok {
		return
	}
	var names [2]string
	top, code := parseObject(c.body)
	for i, field := range []string{"industry_id1", "industry_id2"} {
		if code == codeOK {
			code = readString(top, field, &names[i])
		}
	}
	if code == codeOK && len(top) != 2 {
		code = codeUnknownField
	}
	var ids [2]int
	for i, name := range names {
		id, err := strconv.Atoi(name)
		if code == codeOK && (err != nil || id < 1 || id > len(industries())) {
			code = codeBadIndustry
		}
		ids[i] = id
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.template.industryAt == monthOf(c.at) {
		c.refuse(codeIndustryTooOften)
		return
	}
	a.template.industries, a.template.industryAt = ids, monthOf(c.at)
	a.template.private = slices.DeleteFunc(a.template.private, func(t *privateTemplate) bool { return t.category == 0 })
}

func (s *Simulator) serveGetIndustry(c *call) {
	a, ok := s.enterService(c, http.MethodGet)
	if !ok {
		return
	}
	type class struct {
		First  string `json:"first_class"`
		Second string `json:"second_class"`
	}
	a.mu.Lock()
	ids := a.template.industries
	a.mu.Unlock()
	var classes [2]class
	for i, id := range ids {
		if id > 0 {
			classes[i].First, classes[i].Second, _ = strings.Cut(industries()[id-1], "/")
		}
	}
	c.answerJSON(struct {
		Primary   class `json:"primary_industry"`
		Secondary class `json:"secondary_industry"`
	}{classes[0], classes[1]})
}

// serveAddTemplate takes a category template over. Old industry templates cannot be taken any more (platform.md 4.3).
func (s *Simulator) serveAddTemplate(c *call) {
	a, ok := s.enterService(c, http.MethodPost)
	if !ok {
		return
	}
	var number string
	var names []string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = readString(top, "template_id_short", &number)
	}
	if raw, given := top["keyword_name_list"]; given && code == codeOK && json.Unmarshal(raw, &names) != nil {
		code = codeBadJSON
	}
	for name := range top {
		if name != "template_id_short" && name != "keyword_name_list" && code == codeOK {
			code = codeUnknownField
		}
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t, code := a.takeTemplate(number, names)
	if code != codeOK {
		c.refuse(code)
		return
	}
	t.ID = s.templateID(a)
	a.template.private = append(a.template.private, t)
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","template_id":%q}`, t.ID)
}

// takeTemplate judges what api_add_template asks for; the account is locked.
func (a *account) takeTemplate(number string, names []string) (*privateTemplate, int) {
	if strings.HasPrefix(number, "TM") || strings.HasPrefix(number, "OPENTM") {
		return nil, codeOldTemplate
	}
	tid, err := strconv.Atoi(number)
	entry, known := libraryTemplateOf(tid)
	switch {
	case err != nil || !known:
		return nil, codeBadTemplateID
	case !slices.Contains(a.categories(), entry.category):
		return nil, codeTemplateConflict
	case len(a.template.private) >= maxPrivateTemplates:
		return nil, codeTemplateCount
	}
	keywords := make([]libraryKeyword, 0, len(names))
	for i, name := range names {
		at := slices.IndexFunc(entry.keywords, func(k libraryKeyword) bool { return k.name == name })
		if at < 0 || slices.Contains(names[:i], name) {
			return nil, codeBadKeywordList
		}
		keywords = append(keywords, entry.keywords[at])
	}
	if len(keywords) == 0 {
		return nil, codeBadKeywordList
	}
	return entry.take(keywords), codeOK
}

func (s *Simulator) servePrivateTemplates(c *call) {
	a, ok := s.enterService(c, http.MethodGet)
	if !ok {
		return
	}
	type entry struct {
		ID      string `json:"template_id"`
		Title   string `json:"title"`
		Primary string `json:"primary_industry"`
		Deputy  string `json:"deputy_industry"`
		Content string `json:"content"`
		Example string `json:"example"`
	}
	out := []entry{}
	a.mu.Lock()
	for _, t := range a.template.private {
		out = append(out, entry{t.ID, t.Title, t.PrimaryIndustry, t.DeputyIndustry, t.Content, t.Example})
	}
	a.mu.Unlock()
	c.answerJSON(map[string][]entry{"template_list": out})
}

func (s *Simulator) serveDeleteTemplate(c *call) {
	if a, ok := s.enterService(c, http.MethodPost); ok {
		deleteTemplate(c, a, "template_id", &a.template.private)
	}
}

// deleteTemplate serves a deletion whose body is one id.
func deleteTemplate(c *call, a *account, field string, list *[]*privateTemplate) {
	var id string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = readString(top, field, &id)
	}
	if code == codeOK && (len(top) > 1 || len(top) == 1 && top[field] == nil) {
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(*list, func(t *privateTemplate) bool { return t.ID == id })
	if at < 0 {
		c.refuse(codeBadTemplateID)
		return
	}
	*list = slices.Delete(*list, at, at+1)
}
