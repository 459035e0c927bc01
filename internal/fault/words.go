package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hongyan/internal/lang"
)

// Problem is an error as a person and a program are told of it, by a page or the API.
type Problem struct {
	Code    Code           `json:"code"`
	Text    string         `json:"text"` // what is wrong and what to do, one line for each thing that is wrong
	Fields  []FieldProblem `json:"fields,omitempty"`
	ErrCode int            `json:"errcode,omitempty"` // of the platform, 0 without one
	RID     string         `json:"rid,omitempty"`     // the platform's request id, for its support
}

// FieldProblem is what is wrong with one field of the input.
type FieldProblem struct {
	Field string `json:"field"` // its path, as in "steps[2].delay"
	Rule  string `json:"rule"`  // the stable name of the broken rule
	Text  string `json:"text"`  // without the field's name
}

// Refusal is an error of another room that knows how to be said to a person: those of the platform do.
type Refusal interface {
	error
	// Problem says it in a language. Its Text is shown whatever its Code.
	Problem(l lang.Lang) Problem
}

// ProblemOf says any error: to a person in l, and to programs. The zero Problem for nil. The text of an Internal error and of one
// without a code never leaves the process.
func ProblemOf(err error, l lang.Lang) Problem {
	p := Problem{Code: CodeOf(err), Text: Words(err, l)}
	if refusal, ok := errors.AsType[Refusal](err); ok {
		q := refusal.Problem(l)
		p.ErrCode, p.RID = q.ErrCode, q.RID
		if _, coded := errors.AsType[*Error](err); !coded {
			p.Code = q.Code
		}
	}
	for _, f := range Fields(err) {
		p.Fields = append(p.Fields, FieldProblem{Field: f.Field, Rule: f.Rule, Text: f.say(l)})
	}
	return p
}

// Words says err to a person: what is wrong and what to do, with the field in front, one line for each error that is joined
// in it. "" for nil.
func Words(err error, l lang.Lang) string { return strings.Join(lines(err, l), "\n") }

var (
	internalWords = lang.Text{
		ZH: "系统内部出错，请稍后重试；如果反复出现，请联系系统管理员查看日志",
		EN: "something went wrong here; try again, and if it goes on ask your administrator to look into the log",
	}
	undone = lang.Text{ZH: "暂时无法完成（%s）", EN: "this cannot be done just now (%s)"}
)

// advice is what to do about errors of a code whose messages say only what is wrong.
var advice = map[Code]lang.Text{
	NotFound:    {ZH: "；可能已被删除，请刷新后再试", EN: "; it may have been removed, so reload and try again"},
	Unavailable: {ZH: "；请稍后重试", EN: "; try again in a moment"},
}

// lines is each error in the tree of err in words, none of them twice.
func lines(err error, l lang.Lang) []string {
	var out []string
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, level by level
	case nil:
	case Refusal:
		out = append(out, e.Problem(l).Text)
	case *Error:
		out = e.lines(l)
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			out = append(out, lines(sub, l)...)
		}
	default:
		if inner := errors.Unwrap(err); inner != nil {
			return lines(inner, l)
		}
		out = append(out, internalWords.In(l))
	}
	seen := make(map[string]bool, len(out))
	return slices.DeleteFunc(out, func(line string) bool {
		twice := seen[line]
		seen[line] = true
		return twice
	})
}

// lines is e, followed by its cause where that can be said as well: bad fields, or a refusal of the platform.
func (e *Error) lines(l lang.Lang) []string {
	if e.Code == Internal {
		return []string{internalWords.In(l)}
	}
	text := e.say(l)
	if e.Field != "" {
		text = e.Field + lang.Text{ZH: "：", EN: ": "}.In(l) + text
	}
	if e.Err != nil && sayable(e.Err) {
		return append([]string{text}, lines(e.Err, l)...)
	}
	return []string{text + advice[e.Code].In(l)}
}

// say is what e itself says, without its field and what to do in general.
func (e *Error) say(l lang.Lang) string {
	text := e.Message
	if l == lang.ZH {
		if chinese, known := chineseOf(e.format); known {
			text = fill(chinese, e.args, l)
		}
	}
	switch {
	case e.Err == nil:
	case e.Code == Unavailable:
		text = fmt.Sprintf(undone.In(l), text)
	case e.Code == Invalid && !sayable(e.Err):
		// What a parser says of the input is in English, and still the best hint at where to look.
		text += lang.Text{ZH: "（" + e.Err.Error() + "）", EN: " (" + e.Err.Error() + ")"}.In(l)
	}
	return text
}

func sayable(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code != Internal
	}
	_, ok := errors.AsType[Refusal](err)
	return ok
}

// chineseOf is the Chinese format for an English one.
func chineseOf(format string) (string, bool) {
	for _, part := range catalogue() {
		if chinese, known := part[format]; known {
			return chinese, true
		}
	}
	return "", false
}

// fill puts args into a format, saying those that know both languages in l.
func fill(format string, args []any, l lang.Lang) string {
	said := slices.Clone(args)
	for i, arg := range said {
		if both, ok := arg.(interface{ In(l lang.Lang) string }); ok {
			said[i] = both.In(l)
		}
	}
	return fmt.Sprintf(format, said...)
}
