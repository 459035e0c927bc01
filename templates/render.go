package templates

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// AppendKefu appends to dst the body of message/custom/send for one fan. It runs once per delivery and allocates
// only to grow dst. A text that is over the platform's length limit with this fan's values is a fault.Invalid error
// of the field text.content; dst is then returned as it was.
func (t *Template) AppendKefu(dst []byte, openid string, v *Vars) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"touser":"`...)
	dst, _ = appendLiteral(dst, openid)
	dst = append(dst, `",`...)
	dst, bytes := t.append(dst, v, 1) // the message's own opening brace is written already
	if err := t.checkLength(bytes); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// Message renders the template for one fan, for passive replies and previews. The errors are AppendKefu's.
func (t *Template) Message(v *Vars) (wechat.Message, error) {
	m, err := t.message(v)
	if err != nil {
		return m, err
	}
	if m.Text != nil {
		err = t.checkLength(len(m.Text.Content))
	}
	return m, err
}

func (t *Template) message(v *Vars) (wechat.Message, error) {
	raw, _ := t.append(nil, v, 0)
	var m wechat.Message
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("read a rendered message: %w", err)
	}
	return m, nil
}

// append renders the message's JSON without its first skip bytes, and counts the bytes of text in it.
func (t *Template) append(dst []byte, v *Vars, skip int) ([]byte, int) {
	total := t.textBytes
	for i := range t.segments {
		s := &t.segments[i]
		dst = append(dst, s.literal[skip:]...)
		skip = 0
		var n int
		if s.link != "" {
			dst, n = appendLiteral(dst, cmp.Or(v.Links[s.link], s.link))
			total += n
			continue
		}
		value := v.value(s.variable)
		if strings.TrimSpace(value) == "" {
			dst = append(dst, s.fallback...)
			total += s.fallbackBytes
			continue
		}
		dst, n = appendValue(dst, value, s.mode)
		total += n
	}
	return append(dst, t.tail[skip:]...), total
}

func (t *Template) checkLength(bytes int) error {
	if t.textLimit > 0 && bytes > t.textLimit {
		return fault.BadField("text.content", "text_bytes", "the text has %d bytes with this fan's values, the platform takes at most %d", bytes, t.textLimit)
	}
	return nil
}
