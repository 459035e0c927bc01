package callback

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/wechat"
)

func replies() []Reply {
	return []Reply{
		ReplyNone{}, ReplyText{"hi <b> & ]]> 中"}, ReplyImage{"m"}, ReplyVoice{"m"}, ReplyVideo{"m", "t", "d"}, ReplyVideo{MediaID: "m"},
		ReplyMusic{"t", "d", "u", "h", "m"}, ReplyMusic{ThumbMediaID: "m"},
		ReplyNews{[]wechat.Article{{Title: "t", Description: "d", URL: "u", PicURL: "p"}}},
		ReplyTransfer{}, ReplyTransfer{"test1@test"}, ReplyAI{},
	}
}

func meta() ReplyMeta {
	return ReplyMeta{To: "oX", From: "gh_a", Now: time.Unix(12345678, 0).UTC(), Nonce: "n1"}
}

func TestRepliesLookAsDocumented(t *testing.T) {
	t.Parallel()
	const start = `<xml><ToUserName><![CDATA[oX]]></ToUserName><FromUserName><![CDATA[gh_a]]></FromUserName><CreateTime>12345678</CreateTime>`
	cases := []struct {
		reply Reply
		want  string
	}{
		{ReplyNone{}, "success"},
		{ReplyText{"hi"}, start + `<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hi]]></Content></xml>`},
		{ReplyText{"a]]>b"}, start + `<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[a]]]]><![CDATA[>b]]></Content></xml>`},
		{ReplyImage{"m"}, start + `<MsgType><![CDATA[image]]></MsgType><Image><MediaId><![CDATA[m]]></MediaId></Image></xml>`},
		{ReplyVoice{"m"}, start + `<MsgType><![CDATA[voice]]></MsgType><Voice><MediaId><![CDATA[m]]></MediaId></Voice></xml>`},
		{ReplyVideo{"m", "t", "d"}, start + `<MsgType><![CDATA[video]]></MsgType><Video><MediaId><![CDATA[m]]></MediaId><Title><![CDATA[t]]></Title><Description><![CDATA[d]]></Description></Video></xml>`},
		{ReplyMusic{ThumbMediaID: "m"}, start + `<MsgType><![CDATA[music]]></MsgType><Music><ThumbMediaId><![CDATA[m]]></ThumbMediaId></Music></xml>`},
		{ReplyNews{[]wechat.Article{{Title: "t", URL: "u"}}}, start + `<MsgType><![CDATA[news]]></MsgType><ArticleCount>1</ArticleCount><Articles><item><Title><![CDATA[t]]></Title><Description><![CDATA[]]></Description><PicUrl><![CDATA[]]></PicUrl><Url><![CDATA[u]]></Url></item></Articles></xml>`},
		{ReplyTransfer{}, start + `<MsgType><![CDATA[transfer_customer_service]]></MsgType></xml>`},
		{ReplyTransfer{"test1@test"}, start + `<MsgType><![CDATA[transfer_customer_service]]></MsgType><TransInfo><KfAccount><![CDATA[test1@test]]></KfAccount></TransInfo></xml>`},
		{ReplyAI{}, start + `<MsgType><![CDATA[transfer_biz_ai_ivr]]></MsgType></xml>`},
	}
	for _, c := range cases {
		body, err := RenderReply(config(ModePlain), meta(), c.reply)
		require.NoError(t, err)
		require.Equal(t, c.want, string(body))
	}
}

func TestEveryReplySurvivesEveryModeAndFormat(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{ModePlain, ModeCompatible, ModeSafe} {
		for _, inJSON := range []bool{false, true} {
			for _, encrypted := range []bool{false, true} {
				for _, want := range replies() {
					cfg, m := config(mode), meta()
					m.JSON, m.Encrypted = inJSON, encrypted
					body, err := RenderReply(cfg, m, want)
					require.NoError(t, err)
					_, none := want.(ReplyNone)
					hidden := !none && (mode == ModeSafe || mode == ModeCompatible && encrypted)
					require.Equal(t, hidden, bytes.Contains(body, []byte("Encrypt")), "%d %v: %s", mode, encrypted, body)
					if inJSON && !none {
						require.True(t, json.Valid(body), string(body))
					}
					open, err := cfg.OpenReply(body)
					require.NoError(t, err)
					gotMeta, got, err := ParseReply(open)
					require.NoError(t, err)
					require.Equal(t, want, got)
					if !none {
						require.Equal(t, ReplyMeta{To: "oX", From: "gh_a", Now: m.Now, JSON: inJSON}, gotMeta)
					}
				}
			}
		}
	}
}

func TestTheOfficialEncryptedReplyIsMade(t *testing.T) {
	t.Parallel()
	cfg := &Config{AppID: "wxba5fad812f8e6fb9", Token: "AAAAA", AESKeys: []string{aKey()}, Mode: ModeSafe}
	body, err := cfg.sealReply(ReplyMeta{Now: time.Unix(1713424427, 0), Nonce: "415670741", JSON: true},
		[16]byte([]byte("707722b803182950")), []byte(`{"demo_resp":"good luck"}`))
	require.NoError(t, err)
	want := `{"Encrypt":"` + replySealed + `","MsgSignature":"1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",` +
		`"TimeStamp":1713424427,"Nonce":"415670741"}`
	require.Equal(t, []byte(want), body)
}

func TestAnEncryptedReplyIsDifferentEachTime(t *testing.T) {
	t.Parallel()
	a, err := RenderReply(config(ModeSafe), meta(), ReplyText{"hi"})
	require.NoError(t, err)
	b, err := RenderReply(config(ModeSafe), meta(), ReplyText{"hi"})
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestRepliesThatThePlatformWouldRefuseAreRefused(t *testing.T) {
	t.Parallel()
	open, err := RenderReply(config(ModePlain), meta(), ReplyText{"hi"})
	require.NoError(t, err)
	_, err = config(ModeSafe).OpenReply(open)
	require.ErrorIs(t, err, ErrMode)
	hidden, err := RenderReply(config(ModeSafe), meta(), ReplyText{"hi"})
	require.NoError(t, err)
	_, err = config(ModeSafe).OpenReply([]byte(strings.Replace(string(hidden), "<![CDATA[n1]]>", "n2", 1)))
	require.ErrorIs(t, err, ErrSignature)
	_, err = config(ModeSafe).OpenReply([]byte("<xml>"))
	require.ErrorIs(t, err, ErrMalformed)
	for _, body := range []string{"<xml><MsgType>hologram</MsgType></xml>", "<xml>", "ok"} {
		_, _, err = ParseReply([]byte(body))
		require.ErrorIs(t, err, ErrMalformed, body)
	}
	_, err = RenderReply(&Config{Mode: ModeSafe}, meta(), ReplyText{"hi"})
	require.ErrorIs(t, err, ErrKey)
}

func TestOnlyMessagesThatLoseNothingBecomeReplies(t *testing.T) {
	t.Parallel()
	article := wechat.Article{Title: "t", URL: "u"}
	good := map[wechat.Kind]struct {
		m    wechat.Message
		want Reply
	}{
		wechat.KindText:  {wechat.TextMessage("hi"), ReplyText{"hi"}},
		wechat.KindImage: {wechat.Message{Kind: wechat.KindImage, Image: &wechat.Media{MediaID: "m"}}, ReplyImage{"m"}},
		wechat.KindVoice: {wechat.Message{Kind: wechat.KindVoice, Voice: &wechat.Media{MediaID: "m"}}, ReplyVoice{"m"}},
		wechat.KindVideo: {wechat.Message{Kind: wechat.KindVideo, Video: &wechat.Video{MediaID: "m", Title: "t"}}, ReplyVideo{"m", "t", ""}},
		wechat.KindMusic: {wechat.Message{Kind: wechat.KindMusic, Music: &wechat.Music{ThumbMediaID: "m"}}, ReplyMusic{ThumbMediaID: "m"}},
		wechat.KindNews:  {wechat.Message{Kind: wechat.KindNews, News: &wechat.News{Articles: []wechat.Article{article}}}, ReplyNews{[]wechat.Article{article}}},
	}
	for _, kind := range wechat.Kinds() {
		got, ok := FromMessage(good[kind].m)
		require.Equal(t, good[kind].want != nil, ok, kind)
		require.Equal(t, good[kind].want, got)
		_, ok = FromMessage(wechat.Message{Kind: kind})
		require.False(t, ok, "a message without content")
	}
	signed := wechat.TextMessage("hi")
	signed.KfAccount = "a@b"
	_, ok := FromMessage(signed)
	require.False(t, ok)
	marked := wechat.TextMessage("hi")
	marked.IsAI = true
	_, ok = FromMessage(marked)
	require.False(t, ok)
}

// Whatever a template or a fan puts into a text must not break out of its element, for
// our parser and for a strict one.
func TestAnyTextSurvivesXMLAndJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(rapid.String(), rapid.StringMatching(`(\]|>|<|!|\[CDATA\[|&|;|"|\\|a| )*`)).Draw(t, "content")
		want := strings.Map(func(r rune) rune {
			if !xmlRune(r) {
				return -1
			}
			return r
		}, content)
		m := meta()
		body, err := RenderReply(config(ModePlain), m, ReplyText{content})
		require.NoError(t, err)
		_, got, err := ParseReply(body)
		require.NoError(t, err)
		require.Equal(t, ReplyText{want}, got)

		var strict struct{ Content string }
		require.NoError(t, xml.Unmarshal(body, &strict))
		require.Equal(t, strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(want), strict.Content)

		m.JSON = true
		body, err = RenderReply(config(ModePlain), m, ReplyText{content})
		require.NoError(t, err)
		var loose struct{ Content string }
		require.NoError(t, json.Unmarshal(body, &loose))
		_, got, err = ParseReply(body)
		require.NoError(t, err)
		require.Equal(t, ReplyText{loose.Content}, got)
	})
}

func FuzzParse(f *testing.F) {
	for _, d := range documented() {
		f.Add([]byte(d.body))
		if e, err := Parse([]byte(d.body)); err == nil {
			if body, err := BuildJSON(e); err == nil {
				f.Add(body)
			}
		}
	}
	f.Add([]byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><xml><MsgType>&b;</MsgType></xml>`))
	f.Add([]byte(`<xml a="/>"><MsgType>t&#x41;</MsgType><!-- c --></xml>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Parse(body)
		if err != nil {
			require.True(t, known(err), "%v", err)
			return
		}
		require.LessOrEqual(t, len(e.DedupeKey()), 64)
		e.Triggers()
		for _, build := range []func(Event) ([]byte, error){BuildXML, BuildJSON} {
			rebuilt, err := build(e)
			require.NoError(t, err)
			if _, unknown := e.Payload.(Unknown); unknown {
				continue
			}
			again, err := Parse(rebuilt)
			require.NoError(t, err, "%s", rebuilt)
			require.Equal(t, e.MsgID, again.MsgID)
			require.Equal(t, e.Name, again.Name)
			require.Equal(t, e.CreatedAt, again.CreatedAt)
			require.IsType(t, e.Payload, again.Payload)
		}
	})
}
