package wechat

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"hongyan/internal/fault"
)

const (
	apiTemplateSend = "/cgi-bin/message/template/send"
	codeSentBefore  = 45065
	// maxTemplateClientID bounds client_msg_id. The platform's own figure is not published (platform.md 13.3).
	maxTemplateClientID = 32 // bytes
)

// TemplateMessage is a template message to one fan (platform.md 4.1). It has no first line, no remark and no colour:
// since 2023-05-04 fans do not see them (platform.md 4.3).
type TemplateMessage struct {
	OpenID     string
	TemplateID string
	// URL is what a tap opens, "" for nothing. MiniProgram wins over it; old WeChat versions fall back to URL.
	URL         string
	MiniProgram *TemplateMiniProgram
	// ClientMsgID stops a second send of the same message to the fan: at most 32 bytes, "" for none.
	ClientMsgID string
	// Data is the value of each key of the template, without .DATA: "thing1". CheckTemplateValue says what is allowed.
	Data map[string]string
}

// TemplateMiniProgram is a page of a mini-program that is linked to the account.
type TemplateMiniProgram struct {
	AppID    string `json:"appid"`
	PagePath string `json:"pagepath,omitempty"` // with its parameters: "index?foo=bar"
}

// TemplateSent is the platform's answer to a template message. That the platform took it does not say that the fan got
// it: the event callback.TemplateResult with the same MsgID tells.
type TemplateSent struct {
	MsgID int64 // 0 only when Repeated and the answer did not name it
	// Repeated: the platform said 45065: it had taken a message with this ClientMsgID before, and sent nothing now.
	Repeated bool
}

type wireTemplate struct {
	OpenID      string               `json:"touser"`
	TemplateID  string               `json:"template_id"`
	URL         string               `json:"url,omitempty"`
	Page        string               `json:"page,omitempty"` // the name of URL in notices
	MiniProgram *TemplateMiniProgram `json:"miniprogram,omitempty"`
	ClientMsgID string               `json:"client_msg_id,omitempty"`
	Data        map[string]wireValue `json:"data"`
}

type wireValue struct {
	Value string `json:"value"`
}

// SendTemplate sends a template message; verified service accounts only, 100,000 a day (45009). Its outcome is known
// unless OutcomeOf says OutcomeLost. A lost message that has a ClientMsgID may be sent again unchanged, at most five
// minutes after its first attempt; without one it must not be. A message that was taken before under its ClientMsgID
// is answered with success or with 45065 (OutcomeSent, ClassDone); TemplateSent is returned beside that error. Errors
// about the fan: 40003, 43004, 43101, 43117; about the template: 40037, 40249, 43116, 48011; about the values: 47003
// (platform.md 4.5).
func (c *Client) SendTemplate(ctx context.Context, acc Account, m TemplateMessage) (TemplateSent, error) {
	if err := m.Validate(); err != nil {
		return TemplateSent{}, err
	}
	body, err := encode(wireTemplate{
		OpenID: m.OpenID, TemplateID: m.TemplateID, URL: m.URL, MiniProgram: m.MiniProgram, ClientMsgID: m.ClientMsgID,
		Data: wireData(m.Data),
	})
	if err != nil {
		return TemplateSent{}, fault.Wrap(fault.Invalid, err, "write the body of %s", apiTemplateSend)
	}
	var out struct {
		MsgID int64 `json:"msgid"`
	}
	err = c.call(ctx, acc, &exchange{api: apiTemplateSend, body: body, strict: true, out: &out, refusal: &out})
	switch e, refused := errors.AsType[*Error](err); {
	case refused && e.Code == codeSentBefore:
		return TemplateSent{MsgID: out.MsgID, Repeated: true}, err
	case err != nil:
		return TemplateSent{}, err
	case out.MsgID <= 0:
		return TemplateSent{}, withoutProof(apiTemplateSend, "msgid")
	}
	return TemplateSent{MsgID: out.MsgID}, nil
}

func wireData(data map[string]string) map[string]wireValue {
	out := make(map[string]wireValue, len(data))
	for key, value := range data {
		out[key] = wireValue{Value: value}
	}
	return out
}

// Validate checks m against the platform's rules (platform.md 4.1, 4.2). Every broken rule is a fault.Invalid error whose
// field is its path in the JSON, like "data.thing1.value"; fault.Fields lists them all.
func (m *TemplateMessage) Validate() error {
	c := &checker{}
	c.templateParts(templateParts{m.OpenID, m.TemplateID, "url", m.URL, m.MiniProgram, m.Data})
	if len(m.ClientMsgID) > maxTemplateClientID {
		c.badf("client_msg_id", "id_bytes", "the id has %d bytes, the platform takes at most %d", len(m.ClientMsgID), maxTemplateClientID)
	}
	return errors.Join(c.errs...)
}

// templateParts are what template messages and notices have in common.
type templateParts struct {
	openID, templateID string
	linkField, link    string
	miniProgram        *TemplateMiniProgram
	data               map[string]string
}

func (c *checker) templateParts(p templateParts) {
	c.required("touser", p.openID)
	c.required("template_id", p.templateID)
	if p.link != "" && !strings.HasPrefix(p.link, "https://") && !strings.HasPrefix(p.link, "http://") {
		c.badf(p.linkField, "web_address", "this must be an http or https address")
	}
	if p.miniProgram != nil {
		c.required("miniprogram.appid", p.miniProgram.AppID)
	}
	if len(p.data) == 0 {
		c.badf("data", "required", "a template needs its values")
	}
	for _, key := range slices.Sorted(maps.Keys(p.data)) {
		switch {
		case !templateKey.MatchString(key):
			c.badf("data."+key, "key_shape", "a key is the name of a marker without .DATA, like thing1")
		case key == "first" || key == "remark":
			c.badf("data."+key, "not_shown", "fans do not see %s any more; put it into a value", key)
		default:
			if err := CheckTemplateValue(key, p.data[key]); err != nil {
				c.errs = append(c.errs, err)
			}
		}
	}
}

// templateRule is the error of a broken rule about one field; nil when it holds.
func templateRule(holds bool, field, name, format string, args ...any) error {
	if holds {
		return nil
	}
	return fault.BadField(field, name, format, args...)
}
