package templates

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"hongyan/wechat"
)

// Left says why an address is sent as it is written, although the links of its message are tracked.
type Left string

// The reasons. What a fan does not open as a page has none, and is no address here: mini-program paths, weixin:// and tel:.
const (
	LeftNot      Left = ""         // it is tracked
	LeftVariable Left = "variable" // it holds a variable: where it leads is not known before it is sent
	LeftEntity   Left = "entity"   // it holds an HTML entity, such as &amp;: what WeChat makes of it is not documented
	LeftStrange  Left = "strange"  // it is no plain address of a web page: too long, with a user name, with spaces
)

// Address is an address of a web page in a message that a fan can open.
type Address struct {
	Field string // its place in the message's JSON: "text.content", "news.articles[0].url"
	URL   string // as it is written
	Left  Left
}

// MaxAddress is how long an address may be that is tracked, in bytes: the platform takes none that are longer in its menus.
const MaxAddress = 1024

// Addresses lists the addresses of web pages in a message that can be tracked, or that could be if they were written otherwise: those of links in a text, and that
// of an article. Variables are placeholders still.
func Addresses(m wechat.Message) []Address {
	var out []Address
	switch {
	case m.Kind == wechat.KindText && m.Text != nil:
		masked := mask(m.Text.Content)
		for _, at := range hrefs(masked) {
			if isPage(masked[at.from:at.to]) {
				out = append(out, Address{"text.content", m.Text.Content[at.from:at.to], leftOf(masked[at.from:at.to])})
			}
		}
	case m.Kind == wechat.KindNews && m.News != nil:
		for i, a := range m.News.Articles {
			if masked := mask(a.URL); isPage(masked) {
				out = append(out, Address{articleField(i), a.URL, leftOf(masked)})
			}
		}
	}
	return out
}

// masking stands in place of each byte of a placeholder: no address, tag or attribute holds it.
const masking = "\x00"

// mask replaces the variables of a text, so that what follows cannot take their inside for markup. Places stay what they are.
func mask(s string) string {
	pieces, _ := parse("", s) //nolint:errcheck // what is wrong is reported where the message is compiled
	var b strings.Builder
	for _, p := range pieces {
		if p.variable == 0 {
			b.WriteString(p.literal)
			continue
		}
		b.WriteString(strings.Repeat(masking, len(p.literal)))
	}
	return b.String()
}

// span is a stretch of a text, in bytes.
type span struct{ from, to int }

// hrefs finds the values of href in the links <a href="…"> of a text. Only what is surely a link counts: a whole tag whose values stand in quotes. Links that open a
// mini program are left out: their address is for telephones only that cannot.
func hrefs(text string) []span {
	var out []span
	for i := 0; i < len(text); {
		open := strings.IndexByte(text[i:], '<')
		if open < 0 {
			break
		}
		i += open + 1
		tag, end := anchor(text, i)
		if tag != nil {
			out = append(out, *tag)
		}
		i = max(i, end)
	}
	return out
}

// anchor reads the tag whose name begins at i. It returns the value of its href, nil if it is no link, and where the tag ends.
func anchor(text string, i int) (href *span, end int) {
	if i >= len(text) || text[i]|0x20 != 'a' {
		return nil, i
	}
	start := i
	i++
	mini := false
	for {
		gap := i
		i = skip(text, i, isSpace)
		if i >= len(text) {
			return nil, start
		}
		if text[i] == '>' {
			if mini {
				href = nil
			}
			return href, i + 1
		}
		if i == gap { // a name that only begins with a, or values that stick together
			return nil, start
		}
		name := i
		if i = skip(text, i, isName); i == name {
			return nil, start
		}
		attribute := strings.ToLower(text[name:i])
		value, after, ok := quoted(text, i)
		if !ok {
			return nil, start
		}
		i = after
		mini = mini || strings.HasPrefix(attribute, "data-miniprogram")
		if attribute == "href" && href == nil {
			href = &value
		}
	}
}

// quoted reads ="…" or ='…'.
func quoted(text string, i int) (value span, after int, ok bool) {
	i = skip(text, i, isSpace)
	if i >= len(text) || text[i] != '=' {
		return value, i, false
	}
	i = skip(text, i+1, isSpace)
	if i >= len(text) || text[i] != '"' && text[i] != '\'' {
		return value, i, false
	}
	n := strings.IndexByte(text[i+1:], text[i])
	if n < 0 {
		return value, i, false
	}
	return span{i + 1, i + 1 + n}, i + n + 2, true
}

func skip(text string, i int, while func(byte) bool) int {
	for i < len(text) && while(text[i]) {
		i++
	}
	return i
}

// articleField is where the address of an article stands.
func articleField(i int) string { return fmt.Sprintf("news.articles[%d].url", i) }

func isArticle(path string) bool {
	return strings.HasPrefix(path, "news.articles[") && strings.HasSuffix(path, "].url")
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isName(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' }

// isPage reports whether an address is that of a web page. A variable may stand for its beginning.
func isPage(masked string) bool {
	lower := strings.ToLower(masked)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, masking)
}

// entities are what a text of HTML writes signs as.
var entities = regexp.MustCompile(`&(#[0-9xX]|[a-zA-Z][a-zA-Z0-9]*;)`)

// leftOf says whether the address of a page can be tracked.
func leftOf(masked string) Left {
	if strings.Contains(masked, masking) {
		return LeftVariable
	}
	if entities.MatchString(masked) {
		return LeftEntity
	}
	u, err := url.Parse(masked)
	if err != nil || len(masked) > MaxAddress || u.Host == "" || u.User != nil || strings.ContainsAny(masked, " \t\r\n\"'<>\\") || !ascii(u.Host) {
		return LeftStrange
	}
	return LeftNot
}

func ascii(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) }

// Tracked lists the addresses of a template that are tracked, each once. They stand in the result of AppendKefu and Message as Vars.Links says.
func (t *Template) Tracked() []string { return t.tracked }

// trackable says where in a field's string the addresses stand that are tracked.
func trackable(path, s string) []span {
	masked := mask(s)
	var out []span
	switch {
	case path == "text.content":
		out = hrefs(masked)
	case isArticle(path):
		out = []span{{0, len(s)}}
	}
	return slices.DeleteFunc(out, func(at span) bool { return !isPage(masked[at.from:at.to]) || leftOf(masked[at.from:at.to]) != LeftNot })
}
