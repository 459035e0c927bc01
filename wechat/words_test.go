package wechat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

// sound checks that a saying is complete in both languages, each in its own field, short, and without an end that the frame adds.
func sound(t *testing.T, of any, s saying) {
	t.Helper()
	for _, zh := range []string{s.zh, s.zhAdvice} {
		require.True(t, strings.ContainsFunc(zh, isHan), "%v: %q is not Chinese", of, zh)
		require.NotRegexp(t, `[。；，\s]$|\p{Han}[,;:!?]`, zh, "%v", of)
		require.LessOrEqual(t, utf8.RuneCountInString(zh), 70, "%v: %q", of, zh)
	}
	for _, en := range []string{s.en, s.enAdvice} {
		require.False(t, strings.ContainsFunc(en, isHan), "%v: %q is not English", of, en)
		require.NotRegexp(t, `^$|[.;,\s]$`, en, "%v", of)
		require.LessOrEqual(t, len(en), 150, "%v: %q", of, en)
	}
	require.NotEqual(t, s.zh, s.zhAdvice, "%v", of)
	require.Regexp(t, doing, s.zhAdvice, "%v says what failed and not what to do", of)
}

// doing are the words by which the Chinese advice says what to do, or that nothing is to be done.
var doing = regexp.MustCompile(`请|无需|系统会|最多|最长|只能|每月`)

func TestEveryCodeOfTheClassTableHasWordsInBothLanguages(t *testing.T) {
	t.Parallel()
	for _, row := range codeClasses {
		for code := row.first; code <= row.last; code++ {
			if code != 0 {
				require.Contains(t, codeWords, code, "a code of class %s", row.class)
			}
		}
	}
	for code := range codeWords {
		sound(t, code, sayingOf(code))
		for _, l := range []lang.Lang{lang.ZH, lang.EN} {
			require.Contains(t, CodeWords(code, l), strconv.Itoa(code))
		}
	}
	for class := ClassOK; class <= ClassIgnore; class++ {
		require.NotEmpty(t, classAdvice[class].ZH, class)
		require.NotEmpty(t, classAdvice[class].EN, class)
	}
}

func TestACodeThatNobodyDescribedIsCalledUnknown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "微信错误 99999："+unknownCode.line(lang.ZH), CodeWords(99_999, lang.ZH))
	p := (&Error{Code: 99_999, Msg: "something new", RID: "a-b"}).Problem(lang.EN)
	require.Contains(t, p.Text, "99999")
	require.Contains(t, p.Text, "(WeChat says: something new, rid a-b)")
}

func TestWhatHappensWithoutACodeIsSaidAsWell(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	ticket := &TicketError{Component: "wx1"}
	cases := map[string]struct {
		err  Error
		want saying
	}{
		"refused":                  {Error{API: apiKefuSend, Outcome: OutcomeNotSent, Err: refused}, noConnection},
		"a deadline before it":     {Error{API: apiKefuSend, Outcome: OutcomeNotSent, Err: context.DeadlineExceeded}, noConnection},
		"cancelled":                {Error{API: apiKefuSend, Outcome: OutcomeNotSent, Err: context.Canceled}, cancelled},
		"the store is away":        {Error{API: apiKefuSend, Outcome: OutcomeNotSent, Err: errors.New("load the access token")}, notPrepared},
		"no token":                 {Error{API: apiStableToken, Outcome: OutcomeNotSent, Err: refused}, noToken},
		"no answer":                {Error{API: apiKefuSend, Outcome: OutcomeLost, Err: fmt.Errorf("the answer broke off: %w", context.DeadlineExceeded)}, noAnswer},
		"a broken platform":        {Error{API: apiKefuSend, Outcome: OutcomeLost, HTTPStatus: 502}, brokenPlatform},
		"an answer of no use":      {Error{API: apiKefuSend, Outcome: OutcomeLost, HTTPStatus: 200, Err: errors.New("is not JSON")}, badAnswer},
		"a token refused for good": {Error{API: apiStableToken, TokenRefused: true, Err: errSameToken}, refusedTwice},
		"no ticket":                {Error{API: apiComponentToken, Outcome: OutcomeNotSent, Err: ticket}, ticket.saying()},
	}
	for name, c := range cases {
		sound(t, name, c.want)
		require.Equal(t, c.want.line(lang.ZH), fault.Words(&c.err, lang.ZH), name)
		require.Equal(t, c.want.line(lang.EN), fault.ProblemOf(fmt.Errorf("send: %w", &c.err), lang.EN).Text, name)
	}
	sound(t, "unknown code", unknownCode)
	old := &TicketError{Component: "wx1", At: time.Unix(0, 0)}
	sound(t, "old ticket", old.saying())
	require.Contains(t, fault.Words(old, lang.ZH), "1970-01-01")
	withdrawn := &Error{API: apiAuthorizerToken, Outcome: OutcomeNotSent, Err: ErrNotAuthorised}
	require.Contains(t, fault.Words(withdrawn, lang.ZH), "重新扫码")
	require.Contains(t, fault.Words(ErrNotAuthorised, lang.ZH), "重新扫码", "also alone")
}

func TestARefusalComesWithItsCodeTheRequestIDAndWhatThePlatformNames(t *testing.T) {
	t.Parallel()
	err := &Error{API: apiTemplateSend, Code: 47003, Msg: "argument invalid! data.thing1.value is empty", RID: "1-2-3", Outcome: OutcomeFailed}
	require.Equal(t, fault.Problem{
		Code: fault.Invalid, ErrCode: 47003, RID: "1-2-3",
		Text: "微信错误 47003：填写的参数不符合要求；请按模板各字段的要求检查内容（微信原文：argument invalid! data.thing1.value is empty，rid 1-2-3）",
	}, fault.ProblemOf(err, lang.ZH))
	require.Equal(t, "WeChat error 45047: the fan's customer-service messages are used up; wait for the fan's next interaction (rid 1-2-3)",
		fault.Words(&Error{API: apiKefuSend, Code: 45047, Msg: "out of response count limit", RID: "1-2-3"}, lang.EN))
	require.Contains(t, fault.Words(&Error{API: apiStableToken, Code: 40001}, lang.ZH), "微信错误 40001：AppSecret 不正确", "on the token's own API it means the secret")
	long := &Error{Code: 99_999, Msg: strings.Repeat("长", 1000)}
	require.Less(t, utf8.RuneCountInString(fault.Words(long, lang.ZH)), 400)
}

func TestEachClassIsACodeForPrograms(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]fault.Code{
		45011: fault.Unavailable, 45009: fault.Unavailable, 42001: fault.Unavailable, 45015: fault.Conflict, 45002: fault.Invalid, 40037: fault.Conflict,
		48001: fault.Forbidden, 45029: fault.Forbidden, 45065: fault.Conflict, 41001: fault.Internal, 61023: fault.Forbidden, 45080: fault.Conflict,
	} {
		require.Equal(t, want, fault.ProblemOf(&Error{API: apiKefuSend, Code: code}, lang.ZH).Code, code)
	}
}
