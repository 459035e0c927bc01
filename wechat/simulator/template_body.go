package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"hongyan/wechat"
)

// maxClientMsgID is how many bytes a client_msg_id may have: the common reading (platform.md 13.3).
const maxClientMsgID = 32

// templateCard is a template message or a notice that passed the checks of form.
type templateCard struct {
	to, template, link, clientID string
	miniApp, miniPath            string
	mini                         bool
	data                         map[string]string
}

// templateRefusal is why the platform does not take something. detail replaces the usual wording of the code.
type templateRefusal struct {
	code   int
	detail string
}

// saysEmpty is the platform's wording of an empty value, with its spelling (platform.md 4.2).
const saysEmpty = "is emtpy" //nolint:misspell // it is theirs

func refusedBy(code int) templateRefusal { return templateRefusal{code: code} }

func badValue(key, what string) templateRefusal {
	return templateRefusal{codeBadArgument, "argument invalid! data." + key + ".value " + what}
}

// refuseFor answers a refusal with its own wording.
func (s *Simulator) refuseFor(c *call, r templateRefusal) {
	c.refuse(r.code)
	if r.detail != "" {
		c.answer = refusalBody(r, requestID(c.at.Unix(), s.seed, c.seq), "")
	}
}

// refusalBody is answerBody with another wording and further members.
func refusalBody(r templateRefusal, rid, more string) []byte {
	text, err := json.Marshal(r.detail + " rid: " + rid)
	if err != nil {
		return answerBody(r.code, rid)
	}
	head, err := json.Marshal(r.code)
	if err != nil {
		return answerBody(r.code, rid)
	}
	return slices.Concat([]byte(`{"errcode":`), head, []byte(`,"errmsg":`), text, []byte(more), []byte(`}`))
}

// parseCard checks the form of a body, strictly. link is the name of the address that a tap opens: "url" of messages,
// "page" of notices, which have no client_msg_id. Colours are gone since 2023 and count as unknown (platform.md 4.1).
func parseCard(body []byte, link string) (templateCard, templateRefusal) {
	var m templateCard
	top, code := parseObject(body)
	if code != codeOK {
		return m, refusedBy(code)
	}
	var data json.RawMessage
	for _, name := range slices.Sorted(maps.Keys(top)) {
		code = codeOK
		switch {
		case name == "touser":
			code = readString(top, name, &m.to)
		case name == "template_id":
			code = readString(top, name, &m.template)
		case name == link:
			code = readString(top, name, &m.link)
		case name == "client_msg_id" && link == "url":
			code = readString(top, name, &m.clientID)
		case name == "miniprogram":
			code = m.readMiniProgram(top[name])
		case name == "data":
			data = top[name]
		default:
			code = codeUnknownField
		}
		if code != codeOK {
			return m, refusedBy(code)
		}
	}
	switch {
	case m.to == "":
		return m, refusedBy(codeBadOpenID)
	case m.template == "":
		return m, refusedBy(codeBadTemplateID)
	case len(m.clientID) > maxClientMsgID:
		return m, refusedBy(codeTemplateIDLong)
	}
	return m, m.readData(data)
}

func (m *templateCard) readMiniProgram(raw json.RawMessage) int {
	object, code := members(raw)
	if code != codeOK {
		return codeBadJSON
	}
	m.mini = true
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch name {
		case "appid":
			code = readString(object, name, &m.miniApp)
		case "pagepath":
			code = readString(object, name, &m.miniPath)
		default:
			code = codeUnknownField
		}
		if code != codeOK {
			return code
		}
	}
	switch {
	case !appIDShape.MatchString(m.miniApp):
		return codeBadAppID
	case isWeb(m.miniPath):
		return codeBadPagePath
	}
	return codeOK
}

func (m *templateCard) readData(raw json.RawMessage) templateRefusal {
	if raw == nil {
		return templateRefusal{codeBadArgument, "argument invalid! data " + saysEmpty}
	}
	values, code := members(raw)
	if code != codeOK {
		return refusedBy(codeBadJSON)
	}
	m.data = make(map[string]string, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value, code := members(values[key])
		if code != codeOK {
			return refusedBy(codeBadJSON)
		}
		var text string
		if code := readString(value, "value", &text); code != codeOK {
			return refusedBy(code)
		}
		if len(value) > 1 || len(value) == 1 && value["value"] == nil {
			return refusedBy(codeUnknownField)
		}
		m.data[key] = text
	}
	return templateRefusal{}
}

// fill checks the values by the keys of the template and returns what the fan sees.
func (t *privateTemplate) fill(data map[string]string, sw *Switches) (string, templateRefusal) {
	keys := wechat.TemplateKeys(t.Content)
	shown := make(map[string]string, len(keys))
	for _, key := range keys {
		if notShown(key) {
			continue
		}
		value := data[key]
		if strings.TrimSpace(value) == "" {
			return "", badValue(key, saysEmpty)
		}
		if sw.TemplateCut {
			value = wechat.CutTemplateValue(key, value)
		}
		if wechat.CheckTemplateValue(key, value) != nil || !t.takes(key, value) {
			return "", badValue(key, "invalid")
		}
		shown[key] = wechat.CutTemplateValue(key, value)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if !slices.Contains(keys, key) {
			return "", badValue(key, "invalid")
		}
	}
	return t.Title + "\n" + wechat.FillTemplate(t.Content, func(key string) string { return shown[key] }), templateRefusal{}
}

// notShown reports the keys of old templates that fans do not see since 2023 (platform.md 4.3).
func notShown(key string) bool {
	return strings.EqualFold(key, "first") || strings.EqualFold(key, "remark")
}

// takes checks a value of an enum.
func (t *privateTemplate) takes(key, value string) bool {
	for _, e := range t.enums {
		if e.key == key {
			return slices.Contains(e.values, value)
		}
	}
	return true
}
