package templates

import (
	"unicode/utf8"
)

// mode says how a value is written into its place.
type mode uint8

const (
	modeText  mode = iota // shown to the fan
	modeURL               // part of a link: percent-encoded
	modeFixed             // an identifier, in which no variable can stand
)

// modeOf is the mode of a field of a message, by its JSON name.
func modeOf(key string) mode {
	switch key {
	case "content", "title", "description", "head_content", "tail_content":
		return modeText
	case "url", "picurl", "musicurl", "hqmusicurl", "pagepath":
		return modeURL
	default:
		return modeFixed
	}
}

// appendLiteral appends s as the inside of a JSON string and returns how many bytes of text it stands for. Only what
// JSON demands is escaped: the platform refuses the \u escapes of &, < and > (platform.md 0.3). Control characters
// without a short escape are left out, and bytes that are not UTF-8 become U+FFFD.
func appendLiteral(dst []byte, s string) ([]byte, int) { return appendText(dst, s, false) }

// appendValue appends a fan's value in a mode and returns how many bytes of text it stands for. In text, the fan's <
// becomes its full-width twin, so that a nickname cannot open a link in our message.
func appendValue(dst []byte, s string, m mode) ([]byte, int) {
	if m == modeURL {
		return appendPercent(dst, s)
	}
	return appendText(dst, s, true)
}

func appendText(dst []byte, s string, guardMarkup bool) ([]byte, int) {
	n, start := 0, 0
	for i := 0; i < len(s); {
		c := s[i]
		width := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, width = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || width > 1 {
				i += width
				continue
			}
		} else if c >= 0x20 && c != '"' && c != '\\' && (c != '<' || !guardMarkup) {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		n += i - start
		escaped, bytes := escape(c)
		dst = append(dst, escaped...)
		n += bytes
		i += width
		start = i
	}
	return append(dst, s[start:]...), n + len(s) - start
}

// escape is how a byte that cannot stand as it is gets written, and how many bytes of text that is.
func escape(c byte) (string, int) {
	switch {
	case c == '"':
		return `\"`, 1
	case c == '\\':
		return `\\`, 1
	case c == '\n':
		return `\n`, 1
	case c == '\r':
		return `\r`, 1
	case c == '\t':
		return `\t`, 1
	case c == '<':
		return "＜", len("＜")
	case c >= utf8.RuneSelf:
		return "\ufffd", len("\ufffd")
	default:
		return "", 0
	}
}

// appendPercent percent-encodes everything but the unreserved characters of RFC 3986, section 2.3.
func appendPercent(dst []byte, s string) ([]byte, int) {
	const hex = "0123456789ABCDEF"
	before := len(dst)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst, len(dst) - before
}
