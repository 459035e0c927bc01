package callback

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	cdataOpen    = "<![CDATA["
	cdataClose   = "]]>"
	commentOpen  = "<!--"
	commentClose = "-->"
)

// parseXML reads the small part of XML that WeChat uses: nested elements, text, CDATA,
// the five named references and numeric ones. encoding/xml is not used because it
// refuses control characters, which fans can type, and because everything beyond this
// subset is an attack here and gets ErrMarkup.
func parseXML(body string) (node, error) {
	p := &xmlParser{s: body}
	if err := p.prolog(); err != nil {
		return node{}, err
	}
	root, err := p.element(0)
	if err != nil {
		return node{}, err
	}
	if err := p.misc(); err != nil {
		return node{}, err
	}
	if p.i != len(p.s) {
		return node{}, p.malformed("text after the last element")
	}
	return root, nil
}

type xmlParser struct {
	s     string
	i     int
	nodes int
}

func (p *xmlParser) malformed(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, p.i)
}

func (p *xmlParser) has(prefix string) bool { return strings.HasPrefix(p.s[p.i:], prefix) }

func (p *xmlParser) spaces() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// prolog skips a byte order mark and an XML declaration, which change nothing for us.
func (p *xmlParser) prolog() error {
	if p.has("\ufeff") {
		p.i += len("\ufeff")
	}
	p.spaces()
	if p.has("<?xml ") {
		if !p.skipPast("?>") {
			return p.malformed("an open XML declaration")
		}
	}
	if err := p.misc(); err != nil {
		return err
	}
	if p.i >= len(p.s) || p.s[p.i] != '<' {
		return p.malformed("no element")
	}
	return nil
}

// misc skips blanks and comments and refuses all other markup that is not an element.
func (p *xmlParser) misc() error {
	for {
		p.spaces()
		switch {
		case p.has(commentOpen):
			if !p.skipPast(commentClose) {
				return p.malformed("an open comment")
			}
		case p.has("<!"), p.has("<?"):
			return fmt.Errorf("%w: at byte %d", ErrMarkup, p.i)
		default:
			return nil
		}
	}
}

func (p *xmlParser) skipPast(end string) bool {
	at := strings.Index(p.s[p.i:], end)
	if at < 0 {
		return false
	}
	p.i += at + len(end)
	return true
}

func (p *xmlParser) name() string {
	start := p.i
	for p.i < len(p.s) && !isSpace(p.s[p.i]) && !strings.ContainsRune("<>/=\"'&!?", rune(p.s[p.i])) {
		p.i++
	}
	return p.s[start:p.i]
}

// element reads one element; p.i stands at its "<".
func (p *xmlParser) element(depth int) (node, error) {
	p.nodes++
	if depth >= maxDepth || p.nodes > maxNodes {
		return node{}, fmt.Errorf("%w: too many or too deeply nested elements", ErrTooLarge)
	}
	p.i++
	n := node{name: p.name()}
	if n.name == "" {
		return node{}, p.malformed("an element without a name")
	}
	empty, err := p.endOfTag()
	if err != nil || empty {
		return n, err
	}
	return n, p.content(&n, depth)
}

// endOfTag skips attributes, which no push has and none of which we need.
func (p *xmlParser) endOfTag() (empty bool, err error) {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '>':
			p.i++
			return false, nil
		case '/':
			if p.has("/>") {
				p.i += 2
				return true, nil
			}
			return false, p.malformed("a stray slash")
		case '"', '\'':
			p.i++
			if !p.skipPast(string(c)) {
				return false, p.malformed("an open quote")
			}
		case '<':
			return false, p.malformed("an open tag")
		default:
			p.i++
		}
	}
	return false, p.malformed("an open tag")
}

// content reads what stands between a start tag and its end tag, and the end tag.
func (p *xmlParser) content(n *node, depth int) error {
	var run textRun
	for p.i < len(p.s) {
		switch {
		case p.s[p.i] != '<':
			if err := p.characters(&run); err != nil {
				return err
			}
		case p.has("</"):
			if len(n.kids) == 0 {
				n.text = run.String()
			}
			return p.endTag(n.name)
		case p.has(cdataOpen):
			start := p.i + len(cdataOpen)
			if !p.skipPast(cdataClose) {
				return p.malformed("an open CDATA section")
			}
			run.cdata(p.s[start : p.i-len(cdataClose)])
		case p.has("<!"), p.has("<?"):
			if err := p.misc(); err != nil {
				return err
			}
		default:
			kid, err := p.element(depth + 1)
			if err != nil {
				return err
			}
			n.kids = append(n.kids, kid)
		}
	}
	return p.malformed("an element without an end")
}

func (p *xmlParser) endTag(name string) error {
	p.i += len("</")
	if got := p.name(); got != name {
		return p.malformed("an end tag of another element")
	}
	p.spaces()
	if !p.has(">") {
		return p.malformed("an open end tag")
	}
	p.i++
	return nil
}

// characters reads text up to the next "<".
func (p *xmlParser) characters(run *textRun) error {
	end := strings.IndexByte(p.s[p.i:], '<')
	if end < 0 {
		end = len(p.s) - p.i
	}
	chunk := p.s[p.i : p.i+end]
	for {
		amp := strings.IndexByte(chunk, '&')
		if amp < 0 {
			run.plain(chunk)
			p.i += len(chunk)
			return nil
		}
		run.plain(chunk[:amp])
		p.i += amp
		semicolon := strings.IndexByte(chunk[amp:], ';')
		if semicolon < 0 {
			return fmt.Errorf("%w: a bare & at byte %d", ErrMarkup, p.i)
		}
		value, ok := reference(chunk[amp+1 : amp+semicolon])
		if !ok {
			return fmt.Errorf("%w: an entity at byte %d", ErrMarkup, p.i)
		}
		run.add(value)
		p.i += semicolon + 1
		chunk = chunk[amp+semicolon+1:]
	}
}

// reference is the text that &name; stands for.
func reference(name string) (string, bool) {
	switch name {
	case "amp":
		return "&", true
	case "lt":
		return "<", true
	case "gt":
		return ">", true
	case "quot":
		return `"`, true
	case "apos":
		return "'", true
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return "", false
	}
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	v, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(v)) {
		return "", false
	}
	return string(rune(v)), true
}

// textRun collects an element's text. Blanks beside a CDATA section are layout and
// dropped. The usual case, a single section, costs no copy.
type textRun struct {
	only   string
	more   strings.Builder
	parts  int
	marked bool // holds CDATA
}

func (t *textRun) plain(s string) {
	if s == "" {
		return
	}
	if t.marked && strings.TrimSpace(s) == "" {
		return
	}
	t.add(s)
}

func (t *textRun) cdata(s string) {
	if !t.marked && strings.TrimSpace(t.only) == "" && t.parts == 1 {
		t.parts, t.only = 0, ""
	}
	t.marked = true
	t.add(s)
}

func (t *textRun) add(s string) {
	switch t.parts {
	case 0:
		t.only = s
	case 1:
		t.more.WriteString(t.only)
		t.more.WriteString(s)
	default:
		t.more.WriteString(s)
	}
	t.parts++
}

func (t *textRun) String() string {
	s := t.only
	if t.parts > 1 {
		s = t.more.String()
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// appendXML renders n. Numbers stand bare, all other text is in CDATA.
func appendXML(dst []byte, n *node) []byte {
	dst = append(append(append(dst, '<'), n.name...), '>')
	switch {
	case len(n.kids) > 0:
		for i := range n.kids {
			dst = appendXML(dst, &n.kids[i])
		}
	case n.number:
		dst = append(dst, n.text...)
	default:
		dst = appendCDATA(dst, n.text)
	}
	return append(append(append(dst, "</"...), n.name...), '>')
}

// appendCDATA writes s as CDATA. The end marker inside s is split over two sections;
// characters that XML 1.0 cannot hold are left out, as the reader at the other end
// would refuse the whole document.
func appendCDATA(dst []byte, s string) []byte {
	dst = append(dst, cdataOpen...)
	for _, r := range s {
		if !xmlRune(r) {
			continue
		}
		if r == '>' && bytes.HasSuffix(dst, []byte("]]")) {
			dst = append(dst, cdataClose...)
			dst = append(dst, cdataOpen...)
		}
		dst = utf8.AppendRune(dst, r)
	}
	return append(dst, cdataClose...)
}

func xmlRune(r rune) bool {
	switch r {
	case '\t', '\n', '\r':
		return true
	case 0xFFFE, 0xFFFF:
		return false
	default:
		return r >= 0x20
	}
}
