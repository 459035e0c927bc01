package templates

import (
	"errors"
	"strings"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

const (
	opening = "{{"
	closing = "}}"
)

// piece is a stretch of a string: literal text, or a placeholder.
type piece struct {
	literal  string // for a placeholder, its source
	variable variable
	fallback string
}

// parse splits s into literal text and placeholders. Each placeholder that is wrong is reported under field, and
// stands in the result as literal text, so that the rest can still be checked.
func parse(field, s string) ([]piece, error) {
	var out []piece
	var errs []error
	for s != "" {
		start := strings.Index(s, opening)
		if start < 0 {
			break
		}
		end := strings.Index(s[start:], closing)
		if end < 0 {
			errs = append(errs, malformed(field, s[start:], lang.Text{ZH: "缺少结尾的 }}", EN: "it has no closing }}"}))
			break
		}
		end += start + len(closing)
		if start > 0 {
			out = append(out, piece{literal: s[:start]})
		}
		p, err := placeholder(field, s[start:end])
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, p)
		s = s[end:]
	}
	if s != "" {
		out = append(out, piece{literal: s})
	}
	return out, errors.Join(errs...)
}

// placeholder reads one {{name|fallback}}.
func placeholder(field, source string) (piece, error) {
	literal := piece{literal: source}
	inner := source[len(opening) : len(source)-len(closing)]
	if strings.Contains(inner, opening) {
		return literal, malformed(field, source, lang.Text{ZH: "变量里不能再写变量", EN: "a variable cannot stand inside another"})
	}
	name, fallback, hasFallback := strings.Cut(inner, "|")
	name = strings.TrimSpace(name)
	if name == "" {
		return literal, malformed(field, source, lang.Text{ZH: "没有变量名", EN: "it has no name"})
	}
	v, known := variableNamed(name)
	if !known {
		return literal, fault.BadField(field, "variable_unknown", "there is no variable %q; the variables are %s", name, variableNames())
	}
	if !hasFallback && v.mayBeEmpty() {
		return literal, fault.BadField(field, "variable_fallback",
			"the variable %q may have no value for a fan; write what stands in for it: {{%s|…}}", name, name)
	}
	return piece{literal: source, variable: v, fallback: fallback}, nil
}

// shown is how much of a broken placeholder an error quotes, in bytes.
const shown = 40

func malformed(field, source string, why lang.Text) error {
	if len(source) > shown {
		source = strings.ToValidUTF8(source[:shown], "") + "…"
	}
	return fault.BadField(field, "variable_malformed", "%q is not a variable: %s", source, why)
}
