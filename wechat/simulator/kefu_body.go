package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"hongyan/wechat"
)

// kefuMessage is a customer-service message that passed the checks of form.
type kefuMessage struct {
	to      string
	kind    string
	content string // the text, or the raw content of other kinds
	media   []string
	article string // id of a published article
	agent   string
}

// field is a member of a content object. A missing or empty one is refused with its code;
// 0 makes it optional.
type field struct {
	name  string
	code  int
	media bool
}

// contentFields lists the members of each kind's content (platform.md 3.1). news and
// msgmenu, which hold lists, have functions of their own.
func contentFields(kind string) ([]field, bool) {
	media := field{"media_id", codeBadMediaID, true}
	thumb := field{"thumb_media_id", codeBadMediaID, true}
	title, description := field{name: "title"}, field{name: "description"}
	switch kind {
	case "text":
		return []field{{name: "content", code: codeEmptyText}}, true
	case "image", "voice", "mpnews":
		return []field{media}, true
	case "video":
		return []field{media, thumb, title, description}, true
	case "music":
		return []field{thumb, title, description, {name: "musicurl"}, {name: "hqmusicurl"}}, true
	case "mpnewsarticle":
		return []field{{name: "article_id", code: codeBadArticleID}}, true
	case "wxcard":
		return []field{{name: "card_id", code: codeBadParameter}}, true
	case "miniprogrampage":
		return []field{
			title, {name: "appid", code: codeBadParameter}, {name: "pagepath", code: codeBadParameter}, thumb,
		}, true
	case "news", "msgmenu":
		return nil, true
	}
	return nil, false
}

// parseKefu checks the form of a body, strictly: exact names, no unknown members, one
// content. It answers the code of the first broken rule.
func parseKefu(body []byte, rules *wechat.RuleSet, sw *Switches) (kefuMessage, int) {
	var m kefuMessage
	top, code := parseObject(body)
	if code != codeOK {
		return m, code
	}
	if code := readString(top, "touser", &m.to); code != codeOK {
		return m, code
	}
	if code := readString(top, "msgtype", &m.kind); code != codeOK {
		return m, code
	}
	if m.to == "" {
		return m, codeBadOpenID
	}
	if _, known := contentFields(m.kind); !known {
		return m, codeBadMessageType
	}
	if code := m.readExtras(top); code != codeOK {
		return m, code
	}
	raw, ok := top[m.kind]
	if !ok {
		return m, emptyCode(m.kind)
	}
	content, code := members(raw)
	if code != codeOK {
		return m, codeBadJSON
	}
	m.content = string(raw)
	switch m.kind {
	case "news":
		return m, checkNews(content)
	case "msgmenu":
		return m, checkMenu(content, sw)
	}
	return m, m.checkContent(content, rules)
}

func emptyCode(kind string) int {
	switch kind {
	case "text":
		return codeEmptyText
	case "news":
		return codeEmptyNews
	}
	return codeBadParameter
}

// readExtras checks what may stand beside the content.
func (m *kefuMessage) readExtras(top map[string]json.RawMessage) int {
	for name, raw := range top {
		switch name {
		case "touser", "msgtype", m.kind:
		case "customservice":
			agent, code := members(raw)
			if code != codeOK || len(agent) != 1 {
				return codeBadJSON
			}
			if code := readString(agent, "kf_account", &m.agent); code != codeOK || m.agent == "" {
				return codeBadAgent
			}
		case "aimsgcontext":
			ai, code := members(raw)
			if code != codeOK || len(ai) != 1 {
				return codeBadJSON
			}
			if flag := string(ai["is_ai_msg"]); flag != "0" && flag != "1" {
				return codeBadParameter
			}
		case "businessid":
			var id int
			if json.Unmarshal(raw, &id) != nil {
				return codeBadJSON
			}
		default:
			return codeUnknownField
		}
	}
	return codeOK
}

func (m *kefuMessage) checkContent(content map[string]json.RawMessage, rules *wechat.RuleSet) int {
	fields, _ := contentFields(m.kind)
	known := 0
	for _, f := range fields {
		var value string
		if _, ok := content[f.name]; ok {
			known++
		}
		if code := readString(content, f.name, &value); code != codeOK {
			return code
		}
		if value == "" && f.code != 0 {
			return f.code
		}
		if f.media && value != "" {
			m.media = append(m.media, value)
		}
		switch m.kind {
		case "text":
			m.content = value
		case "mpnewsarticle":
			m.article = value
		}
	}
	if known != len(content) {
		return codeUnknownField
	}
	if m.kind == "text" {
		if rules.TextBytes > 0 && len(m.content) > rules.TextBytes {
			return codeTooLong
		}
		return checkLinks(m.content)
	}
	return codeOK
}

// checkNews allows exactly one article (platform.md 3.1, since 2018-10-12).
func checkNews(content map[string]json.RawMessage) int {
	var articles []json.RawMessage
	if len(content) != 1 || content["articles"] == nil {
		return codeEmptyNews
	}
	if json.Unmarshal(content["articles"], &articles) != nil {
		return codeBadJSON
	}
	switch {
	case len(articles) == 0:
		return codeEmptyNews
	case len(articles) > 1:
		return codeTooManyArticles
	}
	article, code := members(articles[0])
	if code != codeOK {
		return codeBadJSON
	}
	for name := range article {
		var value string
		if !slices.Contains([]string{"title", "description", "url", "picurl"}, name) {
			return codeUnknownField
		}
		if code := readString(article, name, &value); code != codeOK {
			return code
		}
		if strings.HasSuffix(name, "url") && value != "" && !isWeb(value) {
			return codeBadURL
		}
	}
	return codeOK
}

// checkMenu wants at least one item, each with an id and a text.
func checkMenu(content map[string]json.RawMessage, sw *Switches) int {
	var items []json.RawMessage
	for name, raw := range content {
		var text string
		switch name {
		case "list":
			if json.Unmarshal(raw, &items) != nil {
				return codeBadJSON
			}
		case "head_content", "tail_content":
			if json.Unmarshal(raw, &text) != nil {
				return codeBadJSON
			}
		default:
			return codeUnknownField
		}
	}
	if len(items) == 0 {
		return codeBadParameter
	}
	if sw.MenuItems > 0 && len(items) > sw.MenuItems {
		return codeMenuList
	}
	for _, raw := range items {
		var id, text string
		item, code := members(raw)
		if code != codeOK || readString(item, "id", &id) != codeOK || readString(item, "content", &text) != codeOK {
			return codeBadJSON
		}
		switch {
		case len(item) != 2:
			return codeUnknownField
		case id == "" || text == "":
			return codeBadParameter
		case sw.MenuItemBytes > 0 && len(text) > sw.MenuItemBytes:
			return codeMenuItem
		}
	}
	return codeOK
}

// parseObject reads a JSON object with exact names. The platform refuses \u escapes of
// what can be written plainly (platform.md 0.3), so they are looked for first.
func parseObject(raw []byte) (map[string]json.RawMessage, int) {
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, codeEmptyBody
	case !utf8.Valid(raw):
		return nil, codeBadJSON
	case needlessEscape(raw):
		return nil, codeEscapes
	}
	return members(raw)
}

// members reads an object inside a body that parseObject has looked at.
func members(raw []byte) (map[string]json.RawMessage, int) {
	var out map[string]json.RawMessage
	if json.Unmarshal(raw, &out) != nil || out == nil {
		return nil, codeBadJSON
	}
	return out, codeOK
}

func readString(from map[string]json.RawMessage, name string, to *string) int {
	raw, ok := from[name]
	if !ok {
		return codeOK
	}
	if len(raw) < 2 || raw[0] != '"' {
		return codeBadJSON
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		*to = string(raw[1 : len(raw)-1]) // the outer decoding has checked its form
		return codeOK
	}
	if json.Unmarshal(raw, to) != nil {
		return codeBadJSON
	}
	return codeOK
}

// needlessEscape reports a \uXXXX of a character that JSON lets stand as it is. Control
// characters must be escaped; U+2028 and U+2029 are let pass, because encoders escape
// them whatever they are told.
func needlessEscape(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return false
		}
		if raw[i+1] == 'u' && i+6 <= len(raw) {
			code := string(raw[i+2 : i+6])
			control := code < "0020"
			if !control && code != "2028" && code != "2029" {
				return true
			}
		}
		raw = raw[i+2:]
	}
}

func isWeb(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}
