package wechat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hongyan/internal/fault"
)

// Outcome is what is known of a send after the call. Its zero value is success, so that
// OutcomeOf(nil) is OutcomeSent.
type Outcome uint8

// The outcomes.
const (
	OutcomeSent    Outcome = iota // the platform took it
	OutcomeFailed                 // the platform answered that it did not send
	OutcomeLost                   // it may have been sent: the answer is missing, broken, or says nothing
	OutcomeNotSent                // nothing left this machine
)

var outcomeNames = [...]string{"sent", "failed", "lost", "not_sent"}

// String is the name used in logs and metrics.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// Error is any failure of a call: what the platform answered, or why there is no answer.
// Its text holds no token and no secret.
type Error struct {
	Code       int     // errcode, 0 when there was no answer to read
	Msg        string  // errmsg without the request id
	RID        string  // the platform's request id, for its support and for rid/get
	API        string  // path of the API: "/cgi-bin/message/custom/send"
	HTTPStatus int     // 0 without an answer
	Outcome    Outcome // see OutcomeOf
	// TokenRefused: a fresh access token was refused like the one before, so the account
	// cannot go on without a human.
	TokenRefused bool
	Err          error // the cause, when it is not the platform's answer
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat: ")
	b.WriteString(e.API)
	if e.Code != 0 {
		b.WriteString(": ")
		b.WriteString(strconv.Itoa(e.Code))
		b.WriteString(" ")
		b.WriteString(e.Msg)
	}
	if e.RID != "" {
		b.WriteString(" (rid " + e.RID + ")")
	}
	if e.HTTPStatus != 0 && e.HTTPStatus != httpOK {
		fmt.Fprintf(&b, ": HTTP status %d", e.HTTPStatus)
	}
	if e.TokenRefused {
		b.WriteString(": a fresh access token was refused as well")
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Class says what to do about e. It differs from ClassOf(e.Code) where the API or what
// was tried before changes the meaning (platform.md 1.2).
func (e *Error) Class() Class {
	switch {
	case e.TokenRefused:
		return ClassStopAccount
	case (e.API == apiStableToken || e.API == apiComponentToken) && e.Code == codeBadCredential:
		return ClassStopAccount // the AppSecret is wrong
	case errors.Is(e.Err, ErrNotAuthorised):
		return ClassReauthorise
	case e.Code == 0:
		return ClassRetry
	}
	return ClassOf(e.Code)
}

// Classify returns the class of any error of this package: ClassOK for nil,
// ClassMessage for a message that breaks a rule.
func Classify(err error) Class {
	var e *Error
	switch {
	case err == nil:
		return ClassOK
	case errors.As(err, &e):
		return e.Class()
	case fault.Is(err, fault.Invalid):
		return ClassMessage
	}
	return ClassRetry
}

// OutcomeOf tells what is known of a send that returned err. An error that is not from
// this package proves nothing and counts as lost, so that it is never sent twice.
func OutcomeOf(err error) Outcome {
	var e *Error
	switch {
	case err == nil:
		return OutcomeSent
	case errors.As(err, &e):
		return e.outcome()
	case fault.Is(err, fault.Invalid):
		return OutcomeNotSent
	}
	return OutcomeLost
}

func (e *Error) outcome() Outcome {
	switch {
	case e.Outcome != OutcomeSent:
		return e.Outcome
	case ClassOf(e.Code) == ClassDone:
		return OutcomeSent
	case e.Code == 0 || e.Code == codeBusy:
		return OutcomeLost
	}
	return OutcomeFailed
}

// notSent returns err as the failure of a call to api that never left this machine. An
// *Error is copied, because one refresh of a token fails many calls at once.
func notSent(api string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		moved := *e
		moved.Outcome = OutcomeNotSent
		return &moved
	}
	return &Error{API: api, Outcome: OutcomeNotSent, Err: err}
}

// splitRID takes the request id out of an errmsg: "… rid: 61725984-6126f6f9-040f19c4",
// on older APIs "… hint: [abcd1234]".
func splitRID(msg string) (text, rid string) {
	if at := strings.LastIndex(msg, "rid: "); at >= 0 {
		text, rid = msg[:at], msg[at+len("rid: "):]
	} else if at := strings.LastIndex(msg, "hint: ["); at >= 0 {
		text, rid = msg[:at], msg[at+len("hint: ["):]
		if end := strings.IndexByte(rid, ']'); end >= 0 {
			text, rid = text+strings.TrimSpace(rid[end+1:]), rid[:end] // 61004 names the caller's address behind it
		}
	} else {
		return msg, ""
	}
	return strings.TrimRight(strings.TrimSpace(text), " ,;"), strings.TrimSpace(rid)
}
