package templates_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/templates"
	"hongyan/wechat"
)

// ours is a tracked address in these tests.
const ours = "https://h.example.com/l/AAAA"

func compileTracked(t testing.TB, m wechat.Message) *templates.Template {
	t.Helper()
	c, err := templates.CompileTracked(m, rules(), len(ours))
	require.NoError(t, err)
	return c
}

// trackAll stands ours in place of everything that is tracked.
func trackAll(t *templates.Template) map[string]string {
	out := map[string]string{}
	for _, url := range t.Tracked() {
		out[url] = ours
	}
	return out
}

func TestTrackedTextsAreWrittenAnewInsideOfLinksOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"link":              {`券：<a href="https://shop.cn/?a=1&b=2">领取</a>。`, `券：<a href="` + ours + `">领取</a>。`},
		"other quotes":      {`<A HREF = 'http://shop.cn/'>x</A>`, `<A HREF = '` + ours + `'>x</A>`},
		"several":           {`<a href="https://a.cn">a</a><a href="https://b.cn">b</a> <a href="https://a.cn">c</a>`, `<a href="` + ours + `">a</a><a href="` + ours + `">b</a> <a href="` + ours + `">c</a>`},
		"other attributes":  {`<a class="x" href="https://a.cn" id='y'>a</a>`, `<a class="x" href="` + ours + `" id='y'>a</a>`},
		"variable beside":   {`{{nickname|你}}：<a href="https://a.cn">{{remark|去}}</a>`, `你：<a href="` + ours + `">去</a>`},
		"variable inside":   {`<a href="https://a.cn/?n={{nickname|x}}">a</a>`, `<a href="https://a.cn/?n=x">a</a>`},
		"in a fallback":     {`{{nickname|<a href="https://a.cn">a</a>}}`, `<a href="https://a.cn">a</a>`},
		"mini program":      {`<a href="https://a.cn" data-miniprogram-appid="wx1" data-miniprogram-path="pages/i">a</a>`, `<a href="https://a.cn" data-miniprogram-appid="wx1" data-miniprogram-path="pages/i">a</a>`},
		"chat menu":         {`<a href="weixin://bizmsgmenu?msgmenucontent=1&msgmenuid=1">1</a>`, `<a href="weixin://bizmsgmenu?msgmenucontent=1&msgmenuid=1">1</a>`},
		"telephone":         {`<a href="tel:10086">call</a>`, `<a href="tel:10086">call</a>`},
		"entity":            {`<a href="https://a.cn/?a=1&amp;b=2">a</a>`, `<a href="https://a.cn/?a=1&amp;b=2">a</a>`},
		"bare address":      {`see https://a.cn/x`, `see https://a.cn/x`},
		"without quotes":    {`<a href=https://a.cn>a</a>`, `<a href=https://a.cn>a</a>`},
		"not closed":        {`<a href="https://a.cn`, `<a href="https://a.cn`},
		"another tag":       {`<abbr href="https://a.cn">a</abbr>`, `<abbr href="https://a.cn">a</abbr>`},
		"user name":         {`<a href="https://bank.cn@evil.cn/">a</a>`, `<a href="https://bank.cn@evil.cn/">a</a>`},
		"host not in ASCII": {`<a href="https://优惠.cn/">a</a>`, `<a href="https://优惠.cn/">a</a>`},
		"path not in ASCII": {`<a href="https://a.cn/优惠">a</a>`, `<a href="` + ours + `">a</a>`},
	} {
		tracked := compileTracked(t, text(c.content))
		m, err := tracked.Message(&templates.Vars{Links: trackAll(tracked)})
		require.NoError(t, err, name)
		require.Equal(t, c.want, m.Text.Content, name)
		plain, err := tracked.Message(&templates.Vars{})
		require.NoError(t, err, name)
		untracked, err := compile(t, text(c.content)).Message(&templates.Vars{})
		require.NoError(t, err, name)
		require.Equal(t, untracked, plain, "%s: without tracked addresses it says what it always did", name)
		body, err := tracked.AppendKefu(nil, "o1", &templates.Vars{Links: trackAll(tracked)})
		require.NoError(t, err, name)
		require.True(t, json.Valid(body), name)
	}
}

func TestTrackedArticlesHaveTheirAddressReplacedAndNothingElse(t *testing.T) {
	t.Parallel()
	m := wechat.Message{Kind: wechat.KindNews, News: &wechat.News{Articles: []wechat.Article{{
		Title: "sale", Description: `<a href="https://b.cn">`, URL: "https://a.cn/sale?x=1", PicURL: "https://a.cn/pic.jpg",
	}}}}
	c := compileTracked(t, m)
	require.Equal(t, []string{"https://a.cn/sale?x=1"}, c.Tracked())
	got, err := c.Message(&templates.Vars{Links: trackAll(c)})
	require.NoError(t, err)
	m.News.Articles[0].URL = ours
	require.Equal(t, m, got)

	mini := wechat.Message{Kind: wechat.KindMiniProgramPage, MiniProgramPage: &wechat.MiniProgramPage{Title: "t", AppID: "wx1", PagePath: "pages/https", ThumbMediaID: "m"}}
	require.Empty(t, compileTracked(t, mini).Tracked())
	music := wechat.Message{Kind: wechat.KindMusic, Music: &wechat.Music{MusicURL: "https://a.cn/x.mp3", ThumbMediaID: "m"}}
	require.Empty(t, compileTracked(t, music).Tracked())
}

func TestAddressesTellWhatIsLeftAsItIsAndWhy(t *testing.T) {
	t.Parallel()
	m := text(`<a href="https://a.cn">a</a><a href="https://a.cn/?n={{nickname|x}}">b</a><a href="{{scene|x}}">c</a><a href="https://a.cn/?a&amp;b">d</a>` +
		`<a href="https://a.cn/` + strings.Repeat("x", templates.MaxAddress) + `">e</a><a href="tel:1">f</a>`)
	var left []templates.Left
	for _, a := range templates.Addresses(m) {
		require.Equal(t, "text.content", a.Field)
		left = append(left, a.Left)
	}
	require.Equal(t, []templates.Left{templates.LeftNot, templates.LeftVariable, templates.LeftVariable, templates.LeftEntity, templates.LeftStrange}, left)
	news := wechat.Message{Kind: wechat.KindNews, News: &wechat.News{Articles: []wechat.Article{{Title: "t", URL: "https://a.cn/{{scene|x}}"}}}}
	require.Equal(t, []templates.Address{{Field: "news.articles[0].url", URL: "https://a.cn/{{scene|x}}", Left: templates.LeftVariable}}, templates.Addresses(news))
}

func TestATextHasToFitWithTrackedAddresses(t *testing.T) {
	t.Parallel()
	link := `<a href="https://a.cn">a</a>`
	room := rules().TextBytes - len(link) - len(ours) + len("https://a.cn")
	fits := text(link + strings.Repeat("x", room))
	_, err := templates.CompileTracked(fits, rules(), len(ours))
	require.NoError(t, err)
	over := text(link + strings.Repeat("x", room+1))
	_, err = templates.CompileTracked(over, rules(), len(ours))
	require.ErrorContains(t, err, "the text has 2049 bytes")
	_, err = templates.Compile(over, rules())
	require.NoError(t, err)

	tracked := compileTracked(t, text(link+strings.Repeat("x", room-6)+"{{nickname|}}"))
	_, err = tracked.AppendKefu(nil, "o1", &templates.Vars{Nickname: "七个字节啊", Links: trackAll(tracked)})
	require.Error(t, err, "what is sent is measured with the tracked addresses")
	_, err = tracked.AppendKefu(nil, "o1", &templates.Vars{Nickname: "七个字节啊"})
	require.NoError(t, err)
}

// inHref is what stands around an address that was replaced.
var inHref = regexp.MustCompile(`(?is)[ \t\r\n]href[ \t\r\n]*=[ \t\r\n]*(?:"https://h\.example\.com/l/[0-9]{4}"|'https://h\.example\.com/l/[0-9]{4}')`)

func FuzzTrackedTextsDifferInsideOfHrefsOnly(f *testing.F) {
	for _, seed := range []string{
		`<a href="https://a.cn">a</a>`, `<a href='http://a.cn/?b="c"'>`, `<a href="https://a.cn/{{nickname|x}}"> {{remark|<a href="https://b.cn">}}`,
		`<a data-miniprogram-path="x" href="https://a.cn">`, `<a href="https://a.cn"href="https://b.cn">`, "<a href=\"https://a.cn\x00\">", `<a <a href="https://a.cn">`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) { differsInsideOfHrefsOnly(t, content) })
}

// differsInsideOfHrefsOnly compares what a text says with tracked addresses and without.
func differsInsideOfHrefsOnly(t require.TestingT, content string) {
	tracked, err := templates.CompileTracked(text(content), wechat.RuleSet{}, len(ours))
	if err != nil || strings.Contains(content, "h.example.com") {
		return
	}
	vars := templates.Vars{Nickname: `"><a href="https://evil.cn">`}
	plain, err := tracked.Message(&vars)
	require.NoError(t, err)
	vars.Links = map[string]string{}
	back := []string{}
	for i, url := range tracked.Tracked() { // each has an address of its own, so that it can be told where it stood
		vars.Links[url] = fmt.Sprintf("https://h.example.com/l/%04d", i)
		back = append(back, vars.Links[url], url)
	}
	got, err := tracked.Message(&vars)
	require.NoError(t, err)
	require.Equal(t, plain.Text.Content, strings.NewReplacer(back...).Replace(got.Text.Content), "nothing else has changed")
	n := strings.Count(got.Text.Content, "https://h.example.com/l/")
	require.Len(t, inHref.FindAllString(got.Text.Content, -1), n, "only in an href, between its quotes: %s", got.Text.Content)
	require.GreaterOrEqual(t, n, len(tracked.Tracked()))
	require.LessOrEqual(t, len(got.Text.Content), len(plain.Text.Content)+n*len(ours))
}

func TestPropertyTrackedTextsDifferInsideOfHrefsOnly(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{
		"<", ">", "<a", "<A ", " ", "\n", "href", "HREF=", "=", `"`, "'", `href="https://a.cn/x"`, `href='http://b.cn'`, `href="tel:1"`, "https://c.cn", "</a>", "data-miniprogram-path=", `"x"`,
		"{{nickname|x}}", "{{nickname|", "{{", "}}", `<a href="https://d.cn">`, "&amp;", "\x00", "雁", "/", `\`,
	})
	rapid.Check(t, func(t *rapid.T) {
		differsInsideOfHrefsOnly(t, strings.Join(rapid.SliceOfN(piece, 1, 24).Draw(t, "text"), ""))
	})
}
