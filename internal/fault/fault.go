// Package fault is the vocabulary of errors: every error that crosses a room's
// border carries a code, and bad input names its field and the rule it broke.
//
// Error says an error in English, for logs. Words and ProblemOf say it to a person, in either language: the
// English format of a message is the key of its Chinese one (zh_*.go), as in gettext.
//
// One table maps codes to HTTP (package cmd/hongyan and later admin), one to queue
// outcomes (package scheduler). Of ours it imports internal/lang alone.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what kind of error it is, for programs.
type Code string

// The codes. Internal is what any other error counts as; its text never leaves the process.
const (
	Invalid     Code = "invalid"     // the input breaks a rule; see Field
	NotFound    Code = "not_found"   // no such thing in this account
	Conflict    Code = "conflict"    // the thing is not in the state the change needs
	Forbidden   Code = "forbidden"   // known, but not allowed
	Unavailable Code = "unavailable" // try again later: a server we need is away
	Internal    Code = "internal"    // a bug or a broken machine
)

// Error is an error with a code. Field and Rule are set for Invalid. Errors are made by New, Wrap, BadField and At, so that
// they can be said in both languages.
type Error struct {
	Code    Code
	Field   string // path of the offending field, as the caller wrote it: "steps[2].delay"
	Rule    string // stable name of the broken rule: "quiet_hours_overlap"
	Message string // one sentence in English that says what is wrong and what to do
	Err     error  // the cause, for logs

	format string
	args   []any
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the given code. The message is a sentence. An argument that has a method In(lang.Lang) string,
// as lang.Text has, is said in the reader's language.
func New(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), format: format, args: args}
}

// Wrap gives err a code and says what was being done, or what is wrong. A nil err stays nil.
func Wrap(code Code, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err, format: format, args: args}
}

// BadField returns an Invalid error about one field.
func BadField(field, rule, format string, args ...any) error {
	return &Error{Code: Invalid, Field: field, Rule: rule, Message: fmt.Sprintf(format, args...), format: format, args: args}
}

// At names the field that an error of New or Wrap is about, and the rule that it breaks: a name that is taken is a
// Conflict at a field. Any other error, and nil, stay as they are.
func At(field, rule string, err error) error {
	e, ok := err.(*Error) //nolint:errorlint // what is wrapped inside another error is about something else
	if !ok {
		return err
	}
	at := *e
	at.Field, at.Rule = field, rule
	return &at
}

// CodeOf returns the code of err: Internal when it has none, "" when err is nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// Fields lists every field error joined in err, for a form that shows them all at once.
func Fields(err error) []*Error {
	var out []*Error
	collect(err, &out)
	return out
}

func collect(err error, out *[]*Error) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, level by level
	case nil:
	case *Error:
		if e.Field != "" {
			*out = append(*out, e)
			return
		}
		collect(e.Err, out)
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			collect(sub, out)
		}
	case interface{ Unwrap() error }:
		collect(e.Unwrap(), out)
	}
}

// Prefix puts prefix before the field of every field error in err: how a nested
// validation reports its place in the whole.
func Prefix(prefix string, err error) error {
	fields := Fields(err)
	if len(fields) == 0 {
		return err
	}
	joined := make([]error, len(fields))
	for i, f := range fields {
		moved := *f
		moved.Field = prefix + "." + f.Field
		joined[i] = &moved
	}
	return errors.Join(joined...)
}
