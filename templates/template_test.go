package templates_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/fault"
	"hongyan/templates"
	"hongyan/wechat"
)

func rules() wechat.RuleSet {
	return wechat.RuleSet{TextBytes: 2048}
}

func text(content string) wechat.Message { return wechat.TextMessage(content) }

func compile(t testing.TB, m wechat.Message) *templates.Template {
	t.Helper()
	c, err := templates.Compile(m, rules())
	require.NoError(t, err)
	return c
}

func kefu(t testing.TB, m wechat.Message, v templates.Vars) string {
	t.Helper()
	body, err := compile(t, m).AppendKefu(nil, "o1", &v)
	require.NoError(t, err)
	require.True(t, json.Valid(body), "%s", body)
	return string(body)
}

func TestVariablesTakeTheFansValuesOrTheFallback(t *testing.T) {
	t.Parallel()
	shanghai := time.FixedZone("CST", 8*3600)
	now := time.Date(2026, 3, 2, 0, 30, 0, 0, shanghai)
	full := templates.Vars{
		Nickname: "小雁", Remark: "VIP", Scene: "shop-7", AccountName: "鸿雁",
		FollowedAt: time.Date(2026, 3, 1, 23, 59, 0, 0, shanghai).UnixMilli(), Now: now,
	}
	for name, c := range map[string]struct {
		content string
		vars    templates.Vars
		want    string
	}{
		"value":                  {"你好，{{nickname|朋友}}！", full, "你好，小雁！"},
		"fallback":               {"你好，{{nickname|朋友}}！", templates.Vars{}, "你好，朋友！"},
		"blank counts as none":   {"{{nickname|朋友}}", templates.Vars{Nickname: " \u3000"}, "朋友"},
		"fallback may be empty":  {"hi {{ nickname |}}!", templates.Vars{}, "hi !"},
		"spaces around the name": {"{{ remark | x }}", templates.Vars{}, " x "},
		"fallback keeps its bar": {"{{scene|a|b}}", templates.Vars{}, "a|b"},
		"always has a value":     {"{{account_name}} {{date}}", full, "鸿雁 2026-03-02"},
		"calendar days":          {"day {{follow_days|-}}", full, "day 2"},
		"follow day unknown":     {"day {{follow_days|-}}", templates.Vars{Now: now}, "day -"},
		"values are not scanned": {"{{nickname|x}}", templates.Vars{Nickname: "{{remark|y}}"}, "{{remark|y}}"},
		"one brace is text":      {"{nickname} }} {", full, "{nickname} }} {"},
		"several":                {"{{remark|a}}{{scene|b}}{{remark|c}}", full, "VIPshop-7VIP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := compile(t, text(c.content)).Message(&c.vars)
			require.NoError(t, err)
			require.Equal(t, c.want, m.Text.Content)
		})
	}
}

func TestKefuBodyIsThePlatformsJSONWithoutHTMLEscapes(t *testing.T) {
	t.Parallel()
	news := wechat.Message{
		Kind:       wechat.KindNews,
		News:       &wechat.News{Articles: []wechat.Article{{Title: "给{{nickname|你}}", URL: "https://x.cn/?who={{nickname|none}}"}}},
		KfAccount:  "a@b",
		IsAI:       true,
		BusinessID: 1,
	}
	for _, c := range []struct {
		message  wechat.Message
		nickname string
		want     string
	}{
		{
			text("<a href=\"https://x.cn/?a=1&b=2\">hi</a> {{nickname|x}} \\ \n"), "\"A\x01&B\"",
			`{"touser":"o1","msgtype":"text","text":{"content":"<a href=\"https://x.cn/?a=1&b=2\">hi</a> \"A&B\" \\ \n"}}`,
		},
		{
			news, "a/雁",
			`{"touser":"o1","msgtype":"news","news":{"articles":[{"title":"给a/雁","url":"https://x.cn/?who=a%2F%E9%9B%81"}]},` +
				`"customservice":{"kf_account":"a@b"},"aimsgcontext":{"is_ai_msg":1},"businessid":1}`,
		},
	} {
		require.Equal(t, c.want, kefu(t, c.message, templates.Vars{Nickname: c.nickname}))
	}
}

func TestANicknameCannotOpenALink(t *testing.T) {
	t.Parallel()
	evil := templates.Vars{Nickname: `<a href="https://evil.cn">tap</a>`}
	m, err := compile(t, text("hi {{nickname|you}}")).Message(&evil)
	require.NoError(t, err)
	require.Equal(t, `hi ＜a href="https://evil.cn">tap＜/a>`, m.Text.Content)
	m, err = compile(t, text(`<a href="https://x.cn/?n={{nickname|you}}">go {{nickname|you}}</a>`)).Message(&templates.Vars{Nickname: `"><b>`})
	require.NoError(t, err)
	require.Equal(t, `<a href="https://x.cn/?n=%22%3E%3Cb%3E">go ">＜b></a>`, m.Text.Content)
}

func TestBadMessagesNameFieldAndRule(t *testing.T) {
	t.Parallel()
	menu := wechat.Message{Kind: wechat.KindMenu, Menu: &wechat.Menu{Head: "{{}}", Items: []wechat.MenuItem{{ID: "{{nickname|x}}", Content: "{{who|x}}"}}}}
	image := wechat.Message{Kind: wechat.KindImage, Image: &wechat.Media{MediaID: "{{scene|x}}"}}
	for name, c := range map[string]struct {
		message wechat.Message
		want    []string
	}{
		"unknown":             {text("{{name|x}}"), []string{"text.content variable_unknown"}},
		"no fallback":         {text("{{nickname}} {{remark}}"), []string{"text.content variable_fallback", "text.content variable_fallback"}},
		"not closed":          {text("hi {{nickname|x"), []string{"text.content variable_malformed"}},
		"nested":              {text("{{nickname|{{remark|x}}}}"), []string{"text.content variable_malformed"}},
		"no name":             {text("{{ |x}}"), []string{"text.content variable_malformed"}},
		"case matters":        {text("{{Nickname|x}}"), []string{"text.content variable_unknown"}},
		"all at once":         {menu, []string{"msgmenu.head_content variable_malformed", "msgmenu.list[0].id variable_not_here", "msgmenu.list[0].content variable_unknown"}},
		"identifier":          {image, []string{"image.media_id variable_not_here"}},
		"too long":            {text(strings.Repeat("雁", 683)), []string{"text.content text_bytes"}},
		"too long fallback":   {text("{{nickname|" + strings.Repeat("雁", 683) + "}}"), []string{"text.content text_bytes"}},
		"nothing without one": {text("{{nickname|}}"), []string{"text.content required"}},
		"platform's rules":    {wechat.Message{Kind: "sticker"}, []string{"msgtype unknown_kind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := templates.Compile(c.message, rules())
			require.True(t, fault.Is(err, fault.Invalid), "%v", err)
			var got []string
			for _, f := range fault.Fields(err) {
				got = append(got, f.Field+" "+f.Rule)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestATextThatIsTooLongWithAFansValuesIsRefusedWhenRendered(t *testing.T) {
	t.Parallel()
	c := compile(t, text(strings.Repeat("x", 2040)+"{{nickname|雁}}"))
	for nickname, fits := range map[string]bool{"": true, "12345678": true, "123456789": false, "雁雁": true, "雁雁雁": false, "\x01\x0212345678": true} {
		v := templates.Vars{Nickname: nickname}
		_, err := c.Message(&v)
		require.Equal(t, fits, err == nil, "Message with %q: %v", nickname, err)
		body, err := c.AppendKefu([]byte("before"), "o1", &v)
		require.Equal(t, fits, err == nil, "AppendKefu with %q: %v", nickname, err)
		if !fits {
			require.Equal(t, "before", string(body))
			require.Equal(t, "text_bytes", fault.Fields(err)[0].Rule)
		}
	}
}

func TestBothRenderingsAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.SampledFrom([]string{"{{nickname|朋友}}", "{{remark|\"x\"}}", "{{account_name}}", "<a href=\"", "\">", "</a>", "雁", "\n", "\\", "a&b"}), 1, 12).Draw(t, "content")
		c, err := templates.Compile(text("."+strings.Join(content, "")), rules())
		if err != nil {
			t.Fatalf("compile: %v", err)
		}
		v := templates.Vars{Nickname: rapid.String().Draw(t, "nickname"), Remark: string(rapid.SliceOf(rapid.Byte()).Draw(t, "remark")), AccountName: "鸿雁"}
		m, err := c.Message(&v)
		if err != nil {
			t.Skip("too long")
		}
		want, err := wechat.AppendKefu(nil, "o1", &m)
		if err != nil {
			t.Fatalf("platform's own rendering: %v", err)
		}
		got, err := c.AppendKefu(nil, "o1", &v)
		if err != nil || string(got) != string(want) {
			t.Fatalf("rendered %s (%v), want %s", got, err, want)
		}
	})
}

func TestRenderingAKefuBodyDoesNotAllocate(t *testing.T) {
	c := compile(t, text("你好，{{nickname|朋友}}！{{account_name}}"))
	v := templates.Vars{Nickname: "小雁", AccountName: "鸿雁"}
	buf := make([]byte, 0, 1024)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := c.AppendKefu(buf, "oABCDEF", &v); err != nil {
			t.Error(err)
		}
	}))
}

func BenchmarkAppendKefu(b *testing.B) {
	c := compile(b, text("你好，{{nickname|朋友}}！欢迎关注{{account_name}}。"))
	v := templates.Vars{Nickname: "小雁", AccountName: "鸿雁"}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AppendKefu(buf, "oABCDEF", &v); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTheListOfVariablesIsComplete(t *testing.T) {
	t.Parallel()
	for _, v := range templates.Variables() {
		_, err := templates.Compile(text("x{{"+v.Name+"}}"), rules())
		require.Equal(t, v.MayBeEmpty, err != nil, v.Name)
	}
	require.Len(t, templates.Variables(), 6)
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"{{nickname|x}}", "{{", "}}", "{{|}}", "{{{{nickname|x}}}}", "a{{date}}b{{", "{{nickname|}}x}}", "\xff{{scene|\xff}}"} {
		f.Add(s, "雁")
	}
	f.Fuzz(func(t *testing.T, content, nickname string) {
		c, err := templates.Compile(text(content), wechat.RuleSet{})
		if err != nil {
			require.NotEmpty(t, fault.Fields(err))
			return
		}
		body, err := c.AppendKefu(nil, "o1", &templates.Vars{Nickname: nickname})
		require.NoError(t, err)
		require.True(t, json.Valid(body), "%s", body)
	})
}
