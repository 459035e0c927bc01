package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Template is a message that is ready to be rendered. It is immutable and safe for concurrent use.
type Template struct {
	source   wechat.Message
	segments []segment
	tail     []byte // JSON after the last variable
	// textBytes is how many bytes the literal parts of a text have, textLimit the most that the whole may have; 0 for
	// messages of other kinds and for no limit.
	textBytes int
	textLimit int
	tracked   []string // addresses, each once
}

// segment is JSON up to a variable or a tracked address, and that.
type segment struct {
	literal       []byte
	link          string // a tracked address; "" for a variable
	variable      variable
	mode          mode
	fallback      []byte // as JSON, escaped for its mode
	fallbackBytes int    // of text
}

// Compile finds the variables of m and checks the message as a fan without any values would get it. Every problem is
// a fault.Invalid error that names its field, like "text.content": rules variable_malformed, variable_unknown,
// variable_fallback (one is missing), variable_not_here, and those of wechat.Message.Validate. rules gives the
// length limit of texts; it is checked again whenever the template is rendered.
func Compile(m wechat.Message, rules wechat.RuleSet) (*Template, error) {
	return CompileTracked(m, rules, 0)
}

// CompileTracked is Compile for a message whose links are tracked: its addresses become others, up to longest bytes long, and the message has to fit with these.
// 0 is Compile.
func CompileTracked(m wechat.Message, rules wechat.RuleSet, longest int) (*Template, error) {
	t, err := compile(m, rules, longest > 0)
	if t == nil {
		return nil, err
	}
	vars := Vars{AccountName: "-", Links: map[string]string{}}
	for _, url := range t.tracked {
		vars.Links[url] = strings.Repeat("-", longest)
	}
	sample, sampleErr := t.message(&vars)
	if sampleErr != nil {
		return nil, errors.Join(err, sampleErr)
	}
	if err = errors.Join(err, sample.Validate(rules)); err != nil {
		return nil, err
	}
	return t, nil
}

// compile finds the variables. It returns a template as well when some of them are wrong; those then stand in it as
// they are written.
func compile(m wechat.Message, rules wechat.RuleSet, tracked bool) (*Template, error) {
	raw, err := m.MarshalJSON()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the message cannot be written as JSON")
	}
	b := &builder{dec: json.NewDecoder(bytes.NewReader(raw)), t: &Template{source: m}, tracked: tracked}
	b.dec.UseNumber()
	if err := b.value("", ""); err != nil {
		return nil, fmt.Errorf("compile a message: %w", err)
	}
	b.t.tail = b.literal
	if m.Kind == wechat.KindText {
		b.t.textLimit = rules.TextBytes
	}
	return b.t, errors.Join(b.errs...)
}

// Source is the message as it was written, with its placeholders.
func (t *Template) Source() wechat.Message { return t.source }

// builder writes a message's JSON again, cutting it at the variables.
type builder struct {
	dec     *json.Decoder
	t       *Template
	literal []byte
	errs    []error
	tracked bool // addresses are cut out as well
}

func (b *builder) value(path, key string) error {
	token, err := b.dec.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return b.object(path)
		}
		return b.list(path)
	case string:
		b.text(path, key, v)
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		b.literal = append(b.literal, raw...)
	}
	return nil
}

func (b *builder) object(path string) error {
	b.literal = append(b.literal, '{')
	for i := 0; b.dec.More(); i++ {
		if i > 0 {
			b.literal = append(b.literal, ',')
		}
		name, err := b.dec.Token()
		if err != nil {
			return err
		}
		key := fmt.Sprint(name)
		b.quote(key)
		b.literal = append(b.literal, ':')
		below := key
		if path != "" {
			below = path + "." + key
		}
		if err := b.value(below, key); err != nil {
			return err
		}
	}
	return b.end('}')
}

func (b *builder) list(path string) error {
	b.literal = append(b.literal, '[')
	for i := 0; b.dec.More(); i++ {
		if i > 0 {
			b.literal = append(b.literal, ',')
		}
		if err := b.value(fmt.Sprintf("%s[%d]", path, i), ""); err != nil {
			return err
		}
	}
	return b.end(']')
}

// end reads the token that closes an object or a list, and writes it.
func (b *builder) end(closing byte) error {
	_, err := b.dec.Token()
	b.literal = append(b.literal, closing)
	return err
}

func (b *builder) quote(s string) {
	b.literal = append(b.literal, '"')
	b.literal, _ = appendLiteral(b.literal, s)
	b.literal = append(b.literal, '"')
}

func (b *builder) text(path, key, s string) {
	m := modeOf(key)
	if m == modeFixed {
		if strings.Contains(s, opening) {
			b.errs = append(b.errs, fault.BadField(path, "variable_not_here", "an identifier cannot hold a variable"))
		}
		b.quote(s)
		return
	}
	pieces, err := parse(path, s)
	if err != nil {
		b.errs = append(b.errs, err)
	}
	var links []span
	if b.tracked {
		links = trackable(path, s)
	}
	b.literal = append(b.literal, '"')
	inTag, at := false, 0
	for _, p := range pieces {
		from := at
		at += len(p.literal)
		if p.variable == 0 {
			inTag = insideTag(inTag, p.literal)
			b.plain(s, span{from, at}, links)
			continue
		}
		in := m
		if inTag { // the value becomes part of a link's attribute
			in = modeURL
		}
		b.variable(p, in)
	}
	b.literal = append(b.literal, '"')
}

// plain writes a stretch of a string in which no variable stands, and cuts it at the addresses that are tracked.
func (b *builder) plain(s string, part span, links []span) {
	write := func(to int) {
		var n int
		b.literal, n = appendLiteral(b.literal, s[part.from:to])
		b.t.textBytes += n
	}
	for _, at := range links {
		if at.from < part.from || at.to > part.to {
			continue
		}
		write(at.from)
		url := s[at.from:at.to]
		b.t.segments = append(b.t.segments, segment{literal: b.literal, link: url})
		if !slices.Contains(b.t.tracked, url) {
			b.t.tracked = append(b.t.tracked, url)
		}
		b.literal, part.from = nil, at.to
	}
	write(part.to)
}

// insideTag tells whether the text after literal stands inside a <…>.
func insideTag(before bool, literal string) bool {
	open, closed := strings.LastIndexByte(literal, '<'), strings.LastIndexByte(literal, '>')
	if open == closed { // neither occurs
		return before
	}
	return open > closed
}

func (b *builder) variable(p piece, m mode) {
	s := segment{literal: b.literal, variable: p.variable, mode: m}
	if m == modeURL {
		s.fallback, s.fallbackBytes = appendPercent(nil, p.fallback)
	} else {
		s.fallback, s.fallbackBytes = appendLiteral(nil, p.fallback)
	}
	b.t.segments = append(b.t.segments, s)
	b.literal = nil
}
