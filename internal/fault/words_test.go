package fault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/lang"
)

// refused is what the platform's errors are to this package.
type refused struct{}

func (refused) Error() string { return "refused" }

func (refused) Problem(l lang.Lang) Problem {
	return Problem{Code: Conflict, Text: lang.Text{ZH: "微信拒绝了", EN: "WeChat refused"}.In(l), ErrCode: 45015, RID: "a-b"}
}

func TestAnErrorIsSaidInBothLanguagesWithItsFieldAndWhatToDo(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err    error
		zh, en string
	}{
		"nothing":     {nil, "", ""},
		"a bad field": {BadField("name", "length", "a name has at most %d characters, not %d", 30, 31), "name：名称最多 30 个字符，现在有 31 个", "name: a name has at most 30 characters, not 31"},
		"arguments in both languages": {
			BadField("quiet", "overlap", "two ranges overlap %s; merge them into one", lang.Text{ZH: "在周一", EN: "on Monday"}),
			"quiet：两个时段在周一重叠，请合并成一个", "quiet: two ranges overlap on Monday; merge them into one",
		},
		"no such thing":    {New(NotFound, "there is no message %d", 7), "没有编号为 7 的消息；可能已被删除，请刷新后再试", "there is no message 7; it may have been removed, so reload and try again"},
		"a server is away": {Wrap(Unavailable, errors.New("dial 10.0.0.1"), "read messages"), "暂时无法完成（读取消息）；请稍后重试", "this cannot be done just now (read messages); try again in a moment"},
		"bad syntax":       {Wrap(Invalid, errors.New("unexpected end"), "this is not a message in JSON"), "这不是有效的 JSON 消息，请检查格式（unexpected end）", "this is not a message in JSON (unexpected end)"},
		"joined errors": {
			fmt.Errorf("save: %w", errors.Join(BadField("a", "r", "this is needed"), BadField("b", "r", "this is needed"))),
			"a：请填写这一项\nb：请填写这一项", "a: this is needed\nb: this is needed",
		},
		"fields as the cause": {Wrap(Invalid, BadField("a", "r", "this is needed"), "the definition is not complete"), "定义不完整，请补充后重试\na：请填写这一项", "the definition is not complete\na: this is needed"},
		"a refusal as the cause": {
			Wrap(Unavailable, refused{}, "read messages"), "暂时无法完成（读取消息）\n微信拒绝了", "this cannot be done just now (read messages)\nWeChat refused",
		},
		"without Chinese": {New(Conflict, "nobody translated %d", 1), "nobody translated 1", "nobody translated 1"},
	}
	for name, c := range cases {
		require.Equal(t, c.zh, Words(c.err, lang.ZH), name)
		require.Equal(t, c.en, Words(c.err, lang.EN), name)
	}
}

func TestTheTextOfAnInternalErrorStaysInTheLog(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("password 1234"), fmt.Errorf("open: %w", errors.New("password 1234")), New(Internal, "password 1234"),
		Wrap(Internal, BadField("f", "r", "password 1234"), "password 1234"), Wrap(Unavailable, New(Internal, "password 1234"), "read messages"),
	} {
		for _, l := range []lang.Lang{lang.ZH, lang.EN} {
			require.NotContains(t, Words(err, l), "1234", "%v", err)
			require.NotEmpty(t, Words(err, l))
		}
	}
	require.Equal(t, internalWords.ZH, Words(errors.Join(errors.New("a"), errors.New("b")), lang.ZH), "once")
}

func TestAProblemHasWhatAFormAndTheSupportNeed(t *testing.T) {
	t.Parallel()
	require.Equal(t, Problem{}, ProblemOf(nil, lang.ZH))
	require.Equal(t, Problem{
		Code: Invalid, Text: "steps[0].name：请填写这一项\nb：请填写这一项",
		Fields: []FieldProblem{{"steps[0].name", "required", "请填写这一项"}, {"b", "required", "请填写这一项"}},
	}, ProblemOf(errors.Join(Prefix("steps[0]", BadField("name", "required", "this is needed")), BadField("b", "required", "this is needed")), lang.ZH))
	require.Equal(t, Problem{Code: Conflict, Text: "WeChat refused", ErrCode: 45015, RID: "a-b"}, ProblemOf(fmt.Errorf("send: %w", refused{}), lang.EN))
	require.Equal(t, Unavailable, ProblemOf(Wrap(Unavailable, refused{}, "read messages"), lang.EN).Code, "our own code is nearer")
}

func TestANameThatIsTakenIsAConflictAtItsField(t *testing.T) {
	t.Parallel()
	err := At("appid", "unique", New(Conflict, "account %s exists", "wx1"))
	require.Equal(t, Conflict, CodeOf(err))
	require.Equal(t, []FieldProblem{{"appid", "unique", "账号 wx1 已存在"}}, ProblemOf(err, lang.ZH).Fields)
	require.EqualError(t, err, "appid: account wx1 exists")
	require.NoError(t, At("appid", "unique", nil))
}
