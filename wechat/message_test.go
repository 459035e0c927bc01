package wechat

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/internal/fault"
)

// samples holds one whole message of each kind, with the body that the platform documents.
func samples() map[Kind]struct {
	message Message
	body    string
} {
	type sample = struct {
		message Message
		body    string
	}
	return map[Kind]sample{
		KindText: {TextMessage(`<a href="https://a.b/?x=1&y=2">去</a>`),
			`{"touser":"o1","msgtype":"text","text":{"content":"<a href=\"https://a.b/?x=1&y=2\">去</a>"}}`},
		KindImage: {Message{Kind: KindImage, Image: &Media{"m"}}, `{"touser":"o1","msgtype":"image","image":{"media_id":"m"}}`},
		KindVoice: {Message{Kind: KindVoice, Voice: &Media{"m"}}, `{"touser":"o1","msgtype":"voice","voice":{"media_id":"m"}}`},
		KindVideo: {Message{Kind: KindVideo, Video: &Video{"m", "t", "T", "D"}},
			`{"touser":"o1","msgtype":"video","video":{"media_id":"m","thumb_media_id":"t","title":"T","description":"D"}}`},
		KindMusic: {Message{Kind: KindMusic, Music: &Music{"T", "D", "u", "h", "t"}},
			`{"touser":"o1","msgtype":"music","music":{"title":"T","description":"D","musicurl":"u","hqmusicurl":"h","thumb_media_id":"t"}}`},
		KindNews: {Message{Kind: KindNews, News: &News{[]Article{{"T", "D", "u", "p"}}}},
			`{"touser":"o1","msgtype":"news","news":{"articles":[{"title":"T","description":"D","url":"u","picurl":"p"}]}}`},
		KindMPNews: {Message{Kind: KindMPNews, MPNews: &Media{"m"}}, `{"touser":"o1","msgtype":"mpnews","mpnews":{"media_id":"m"}}`},
		KindMPNewsArticle: {Message{Kind: KindMPNewsArticle, MPNewsArticle: &PublishedArticle{"a"}},
			`{"touser":"o1","msgtype":"mpnewsarticle","mpnewsarticle":{"article_id":"a"}}`},
		KindMenu: {Message{Kind: KindMenu, Menu: &Menu{"H", []MenuItem{{"101", "ok"}, {"102", "bad"}}, "T"}},
			`{"touser":"o1","msgtype":"msgmenu","msgmenu":{"head_content":"H","list":[{"id":"101","content":"ok"},{"id":"102","content":"bad"}],"tail_content":"T"}}`},
		KindCard: {Message{Kind: KindCard, Card: &Card{"c"}}, `{"touser":"o1","msgtype":"wxcard","wxcard":{"card_id":"c"}}`},
		KindMiniProgramPage: {Message{Kind: KindMiniProgramPage, MiniProgramPage: &MiniProgramPage{"T", "wx1", "p/i", "t"}},
			`{"touser":"o1","msgtype":"miniprogrampage","miniprogrampage":{"title":"T","appid":"wx1","pagepath":"p/i","thumb_media_id":"t"}}`},
	}
}

func TestEveryKindIsValidRendersAsDocumentedAndSurvivesStorage(t *testing.T) {
	t.Parallel()
	all := samples()
	require.Len(t, all, len(Kinds()))
	for _, kind := range Kinds() {
		s := all[kind]
		require.NoError(t, s.message.Validate(RuleSet{TextBytes: 2048}), kind)
		body, err := AppendKefu(nil, "o1", &s.message)
		require.NoError(t, err)
		require.Equal(t, s.body, string(body))

		stored, err := json.Marshal(s.message)
		require.NoError(t, err)
		var read Message
		require.NoError(t, json.Unmarshal(stored, &read))
		require.Equal(t, s.message, read)
	}
}

func TestOptionalPartsOfAMessageRenderAndSurviveStorage(t *testing.T) {
	t.Parallel()
	m := TextMessage("hi")
	m.KfAccount, m.IsAI, m.BusinessID = "test1@test", true, 7
	body, err := AppendKefu([]byte("x"), "o1", &m)
	require.NoError(t, err)
	require.Equal(t, `x{"touser":"o1","msgtype":"text","text":{"content":"hi"},`+
		`"customservice":{"kf_account":"test1@test"},"aimsgcontext":{"is_ai_msg":1},"businessid":7}`, string(body))
	stored, err := json.Marshal(&m)
	require.NoError(t, err)
	var read Message
	require.NoError(t, json.Unmarshal(stored, &read))
	require.Equal(t, m, read)
}

func TestAMessageWithoutItsContentIsNotRendered(t *testing.T) {
	t.Parallel()
	for _, kind := range append(Kinds(), "", "hologram") {
		body, err := AppendKefu(nil, "o1", &Message{Kind: kind})
		require.Empty(t, body)
		require.True(t, fault.Is(err, fault.Invalid), "%q: %v", kind, err)
	}
}

func TestValidateNamesEachFieldAndRule(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("汉", 683) // 2,049 bytes
	cases := []struct {
		name    string
		message Message
		want    []string // "field rule"
	}{
		{"unknown kind", Message{Kind: "x"}, []string{"msgtype unknown_kind"}},
		{"no content", Message{Kind: KindText}, []string{"text required"}},
		{"empty text", TextMessage(" \n"), []string{"text.content required"}},
		{"long text", TextMessage(long), []string{"text.content text_bytes"}},
		{"foreign content", Message{Kind: KindText, Text: &Text{"a"}, Image: &Media{"m"}}, []string{"image foreign_content"}},
		{"image", Message{Kind: KindImage, Image: &Media{}}, []string{"image.media_id required"}},
		{"video", Message{Kind: KindVideo, Video: &Video{}}, []string{"video.media_id required", "video.thumb_media_id required"}},
		{"music", Message{Kind: KindMusic, Music: &Music{}}, []string{"music.thumb_media_id required", "music.musicurl required"}},
		{"no article", Message{Kind: KindNews, News: &News{}}, []string{"news.articles one_article"}},
		{"two articles", Message{Kind: KindNews, News: &News{[]Article{{Title: "a", URL: "u"}, {}}}}, []string{
			"news.articles one_article", "news.articles[1].title required", "news.articles[1].url required"}},
		{"menu", Message{Kind: KindMenu, Menu: &Menu{}}, []string{"msgmenu.list required"}},
		{"menu items", Message{Kind: KindMenu, Menu: &Menu{Items: []MenuItem{{"1", "a"}, {"1", ""}}}}, []string{
			"msgmenu.list[1].content required", "msgmenu.list[1].id duplicate"}},
		{"card", Message{Kind: KindCard, Card: &Card{}}, []string{"wxcard.card_id required"}},
		{"agent", Message{Kind: KindText, Text: &Text{"a"}, KfAccount: "x"}, []string{"customservice.kf_account kf_account"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.message.Validate(RuleSet{TextBytes: 2048})
			var got []string
			for _, f := range fault.Fields(err) {
				got = append(got, f.Field+" "+f.Rule)
			}
			require.Equal(t, c.want, got)
		})
	}
	text := TextMessage(long[:2046])
	require.NoError(t, text.Validate(RuleSet{TextBytes: 2046}), "the limit itself is allowed")
	text = TextMessage(long)
	require.NoError(t, text.Validate(RuleSet{}), "no limit is set")
}

func TestDecodingAMessageIsStrict(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, in, field, rule string }{
		{"unknown field", `{"msgtype":"text","text":{"content":"a"},"touser":"o"}`, "touser", "unknown_field"},
		{"unknown inner field", `{"msgtype":"text","text":{"content":"a","colour":"red"}}`, "colour", "unknown_field"},
		{"wrong type", `{"msgtype":"text","text":{"content":5}}`, "text.content", "wrong_type"},
		{"ai mark", `{"msgtype":"text","text":{"content":"a"},"aimsgcontext":{"is_ai_msg":2}}`, "aimsgcontext.is_ai_msg", "zero_or_one"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var m Message
			fields := fault.Fields(json.Unmarshal([]byte(c.in), &m))
			require.Len(t, fields, 1)
			require.Equal(t, c.field, fields[0].Field)
			require.Equal(t, c.rule, fields[0].Rule)
		})
	}
	var m Message
	require.True(t, fault.Is(m.UnmarshalJSON([]byte(`{"msgtype":"text"} {}`)), fault.Invalid))
	require.True(t, fault.Is(m.UnmarshalJSON([]byte(`{"msgtype":`)), fault.Invalid))
}

// The platform answers 47002 to \u escapes, and broken JSON would lose a delivery: any
// text must come out as valid JSON that reads back the same, up to what cannot be shown.
func TestAnyTextRendersAsJSONWithoutUnicodeEscapes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		m := TextMessage(raw)
		body, err := AppendKefu(nil, "o&<>1", &m)
		require.NoError(t, err)
		require.True(t, utf8.Valid(body))
		require.NotContains(t, strings.ReplaceAll(string(body), `\\`, ""), `\u`)
		var read struct {
			ToUser string
			Text   Text
		}
		require.NoError(t, json.Unmarshal(body, &read))
		require.Equal(t, "o&<>1", read.ToUser)
		require.Equal(t, visible(raw), read.Text.Content)
	})
}

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\r' && r != '\t' {
			return -1
		}
		return r
	}, strings.Join(strings.Split(toRunes(s), ""), ""))
}

// toRunes replaces each byte that is not UTF-8 with U+FFFD, as JSON decoders do.
func toRunes(s string) string { return string([]rune(s)) }
