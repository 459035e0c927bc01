package simulator

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"hongyan/wechat"
)

// massForm is which of the three calls a body belongs to.
type massForm uint8

const (
	massToFilter massForm = iota
	massToList
	massToOne
)

// massCall is a mass send or preview that passed the checks of form.
type massCall struct {
	toAll    bool
	tag      int64
	openIDs  []string // nil for a send to all or to a tag
	wxName   string
	kind     string
	content  string
	media    []string
	draft    string // media_id of a mpnews
	id       string
	listCode int // what is wrong with the audience

	ignoreReprint bool
}

// parseMass checks the form of a body, strictly: exact names, no unknown members, one
// content. idBytes bounds the clientmsgid.
func parseMass(body []byte, form massForm, idBytes int) (massCall, int) {
	var m massCall
	top, code := parseObject(body)
	if code != codeOK {
		return m, code
	}
	if code := readString(top, "msgtype", &m.kind); code != codeOK {
		return m, code
	}
	name, code := massContentName(m.kind, form)
	if code != codeOK {
		return m, code
	}
	if code := m.readAround(top, name, form); code != codeOK {
		return m, code
	}
	if len(m.id) > idBytes {
		return m, codeMassIDTooLong
	}
	raw, ok := top[name]
	if !ok {
		return m, emptyCode(m.kind)
	}
	content, code := members(raw)
	if code != codeOK {
		return m, codeBadJSON
	}
	return m, m.readContent(name, string(raw), content)
}

// massContentName is the member that holds the content of a kind. Pictures are called
// "images" in a send and "image" in a preview.
func massContentName(kind string, form massForm) (string, int) {
	switch kind {
	case "mpnews", "text", "voice", "mpvideo":
		return kind, codeOK
	case "image":
		if form == massToOne {
			return kind, codeOK
		}
		return "images", codeOK
	case "wxcard":
		return "", codeMassNoCards
	}
	return "", codeBadMessageType
}

// readAround reads what stands beside the content.
func (m *massCall) readAround(top map[string]json.RawMessage, content string, form massForm) int {
	names := map[massForm][]string{
		massToFilter: {"filter", "send_ignore_reprint", "clientmsgid"},
		massToList:   {"touser", "send_ignore_reprint", "clientmsgid"},
		massToOne:    {"touser", "towxname"},
	}[form]
	if code := onlyMembers(top, append(names, "msgtype", content)...); code != codeOK {
		return code
	}
	if code := readString(top, "clientmsgid", &m.id); code != codeOK {
		return code
	}
	var code int
	if m.ignoreReprint, code = readBit(top, "send_ignore_reprint"); code != codeOK {
		return code
	}
	switch form {
	case massToFilter:
		return m.readFilter(top["filter"])
	case massToList:
		return m.readList(top["touser"])
	default:
		return m.readReceiver(top)
	}
}

func (m *massCall) readFilter(raw json.RawMessage) int {
	if raw == nil {
		return codeBadParameter
	}
	filter, code := members(raw)
	if code != codeOK {
		return code
	}
	if code := onlyMembers(filter, "is_to_all", "tag_id"); code != codeOK {
		return code
	}
	switch string(filter["is_to_all"]) {
	case "true":
		m.toAll = true
	case "false", "":
	default:
		return codeBadJSON
	}
	tag, given := filter["tag_id"]
	switch {
	case given:
		if m.tag, code = readWhole(tag); code != codeOK {
			return code
		}
	case !m.toAll:
		return codeMassBadTag
	}
	if m.toAll {
		m.tag = 0
	}
	return codeOK
}

func (m *massCall) readList(raw json.RawMessage) int {
	if raw == nil {
		return codeMassFewOpenIDs
	}
	if json.Unmarshal(raw, &m.openIDs) != nil || m.openIDs == nil {
		return codeBadJSON
	}
	switch n := len(m.openIDs); {
	case n < wechat.MinMassFans:
		return codeMassFewOpenIDs
	case n > wechat.MaxMassFans:
		return codeMassManyOpenIDs
	}
	return codeOK
}

// readReceiver reads the one receiver of a preview; the WeChat id goes before the openid.
func (m *massCall) readReceiver(top map[string]json.RawMessage) int {
	var to string
	if readString(top, "touser", &to) != codeOK || readString(top, "towxname", &m.wxName) != codeOK {
		return codeBadJSON
	}
	if to == "" && m.wxName == "" {
		return codeBadOpenID
	}
	m.openIDs = []string{to}
	return codeOK
}

func (m *massCall) readContent(name, raw string, content map[string]json.RawMessage) int {
	m.content = raw
	switch name {
	case "images":
		return m.readImages(content)
	case "mpvideo":
		return m.readVideo(content)
	}
	// The other kinds look as they do in a customer-service message, without its limit for texts.
	kefu := kefuMessage{kind: m.kind, content: raw}
	code := kefu.checkContent(content, &wechat.RuleSet{})
	m.content, m.media = kefu.content, kefu.media
	if code == codeOK && m.kind == "mpnews" {
		m.draft = m.media[0]
	}
	return code
}

func (m *massCall) readImages(content map[string]json.RawMessage) int {
	var recommend string
	for name, raw := range content {
		code := codeOK
		switch name {
		case "media_ids":
			if json.Unmarshal(raw, &m.media) != nil {
				code = codeBadJSON
			}
		case "recommend":
			code = readString(content, name, &recommend)
		case "need_open_comment", "only_fans_can_comment":
			_, code = readBit(content, name)
		default:
			code = codeUnknownField
		}
		if code != codeOK {
			return code
		}
	}
	if n := len(m.media); n == 0 || n > wechat.MaxMassImages {
		return codeMassImageCount
	}
	if slices.Contains(m.media, "") {
		return codeBadMediaID
	}
	return codeOK
}

func (m *massCall) readVideo(content map[string]json.RawMessage) int {
	if code := onlyMembers(content, "media_id", "title", "description"); code != codeOK {
		return code
	}
	var id, text string
	for name, to := range map[string]*string{"media_id": &id, "title": &text, "description": &text} {
		if code := readString(content, name, to); code != codeOK {
			return code
		}
	}
	if id == "" {
		return codeBadMediaID
	}
	m.media = []string{id}
	return codeOK
}

// readBit reads a 0 or 1; a missing one is 0.
func readBit(from map[string]json.RawMessage, name string) (bool, int) {
	switch string(from[name]) {
	case "", "0":
		return false, codeOK
	case "1":
		return true, codeOK
	}
	return false, codeBadParameter
}

// readWhole reads a whole number.
func readWhole(raw json.RawMessage) (int64, int) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	if err != nil {
		return 0, codeBadJSON
	}
	return n, codeOK
}
