package wechat

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
)

func TestClassOfFollowsThePlatformsTable(t *testing.T) {
	t.Parallel()
	cases := map[int]Class{
		0: ClassOK, -1: ClassRetry, 40001: ClassToken, 40014: ClassToken, 42001: ClassToken,
		40002: ClassBug, 40003: ClassFan, 40004: ClassMessage, 40007: ClassMessage, 40008: ClassBug, 40012: ClassMessage,
		40013: ClassStopAccount, 40029: ClassReauthorise, 40030: ClassReauthorise, 40031: ClassBug, 61009: ClassReauthorise, 61013: ClassBug, 40033: ClassBug, 40037: ClassStopCampaign,
		40125: ClassStopAccount, 40152: ClassStopCampaign, 40164: ClassStopAccount, 40200: ClassStopFeature,
		40243: ClassStopAccount, 40249: ClassStopCampaign, 41001: ClassBug, 43004: ClassFan, 43019: ClassFan,
		43101: ClassFan, 43116: ClassStopCampaign, 43117: ClassFan, 45002: ClassMessage, 45008: ClassMessage,
		45009: ClassQuota, 45011: ClassSlow, 45015: ClassFan, 45028: ClassQuota, 45047: ClassFan, 45050: ClassMessage,
		45065: ClassDone, 45066: ClassRetry, 45080: ClassIgnore, 45081: ClassIgnore, 45087: ClassStopAccount,
		45094: ClassStopFeature, 45098: ClassMessage, 45501: ClassStopAccount, 47001: ClassBug, 47003: ClassMessage,
		48001: ClassStopAccount, 48002: ClassFan, 50002: ClassFan, 50005: ClassFan, 50007: ClassStopAccount,
		61503: ClassRetry, 65305: ClassMessage, 70000: ClassFan, 76022: ClassIgnore, 89503: ClassRetry,
		89507: ClassStopAccount, 200011: ClassMessage, 268488001: ClassRetry,
	}
	for code, want := range cases {
		require.Equal(t, want, ClassOf(code), "code %d", code)
	}
	for _, unknown := range []int{-2, 1, 39999, 45082, 99999, 300000000} {
		require.Equal(t, ClassMessage, ClassOf(unknown), "unknown code %d", unknown)
	}
}

func TestTheTableOfClassesIsSortedAndWithoutOverlaps(t *testing.T) {
	t.Parallel()
	for i, c := range codeClasses {
		require.LessOrEqual(t, c.first, c.last)
		if i > 0 {
			require.Less(t, codeClasses[i-1].last, c.first)
		}
	}
}

func TestOutcomeOfNeverCallsASendUndoneWithoutProof(t *testing.T) {
	t.Parallel()
	cases := []struct {
		err  error
		want Outcome
	}{
		{nil, OutcomeSent},
		{&Error{Code: 45015}, OutcomeFailed},
		{fmt.Errorf("send: %w", &Error{Code: 45047}), OutcomeFailed},
		{&Error{Code: -1}, OutcomeLost},
		{&Error{Err: errors.New("reset")}, OutcomeLost},
		{&Error{Code: 45065}, OutcomeSent},
		{&Error{Code: 40125, Outcome: OutcomeNotSent}, OutcomeNotSent},
		{fault.BadField("text.content", "required", "needed"), OutcomeNotSent},
		{context.Canceled, OutcomeLost},
		{errors.New("anything"), OutcomeLost},
	}
	for _, c := range cases {
		require.Equal(t, c.want, OutcomeOf(c.err), "%v", c.err)
	}
}

func TestClassifyKnowsWhatTheAPIMakesOfACode(t *testing.T) {
	t.Parallel()
	require.Equal(t, ClassOK, Classify(nil))
	require.Equal(t, ClassToken, Classify(&Error{API: apiKefuSend, Code: 40001}))
	require.Equal(t, ClassStopAccount, Classify(&Error{API: apiStableToken, Code: 40001}))
	require.Equal(t, ClassStopAccount, Classify(&Error{API: apiKefuSend, Code: 42001, TokenRefused: true}))
	require.Equal(t, ClassRetry, Classify(&Error{Err: errors.New("reset")}))
	require.Equal(t, ClassMessage, Classify(fault.BadField("text", "required", "needed")))
	require.Equal(t, ClassRetry, Classify(errors.New("database away")))
}

func TestTheRequestIDIsTakenOutOfTheErrorText(t *testing.T) {
	t.Parallel()
	cases := []struct{ in, text, rid string }{
		{"invalid credential rid: 61725984-6126f6f9-040f19c4", "invalid credential", "61725984-6126f6f9-040f19c4"},
		{"invalid ip 1.2.3.4, not in whitelist rid: a-b", "invalid ip 1.2.3.4, not in whitelist", "a-b"},
		{"invalid openid hint: [abcd1234]", "invalid openid", "abcd1234"},
		{"invalid openid, hint: [abcd1234 ", "invalid openid", "abcd1234"},
		{"access clientip is not registered hint: [a_b] requestIP: 1.2.3.4", "access clientip is not registered requestIP: 1.2.3.4", "a_b"},
		{"ok", "ok", ""},
		{"", "", ""},
	}
	for _, c := range cases {
		text, rid := splitRID(c.in)
		require.Equal(t, c.text, text)
		require.Equal(t, c.rid, rid)
	}
}

func TestNamesOfClassesAndOutcomesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for c := ClassOK; c <= ClassIgnore; c++ {
		require.False(t, seen[c.String()], c.String())
		seen[c.String()] = true
	}
	require.Len(t, seen, len(classNames))
	require.Equal(t, "unknown", Class(200).String())
	require.Equal(t, "not_sent", OutcomeNotSent.String())
	require.Equal(t, "unknown", Outcome(200).String())
}
