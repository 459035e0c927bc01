package simulator

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
)

func FuzzParseKefu(f *testing.F) {
	for _, seed := range []string{
		`{"touser":"o1","msgtype":"text","text":{"content":"a\u0007\\u0026"}}`,
		`{"touser":"o1","msgtype":"msgmenu","msgmenu":{"list":[{"id":"1","content":"x"}]}}`,
		`{"touser":"o1","msgtype":"news","news":{"articles":[{"title":"t","url":"http://x"}]}}`,
		`{"touser":"o1","msgtype":"text","text":{"content":"<a href=\"https://x\">y</a>"},"customservice":{"kf_account":"a@b"}}`,
		`null`, `[]`, `{"touser":`, `{"msgtype":"text","text":null,"touser":"o"}`,
	} {
		f.Add([]byte(seed))
	}
	rules := wechat.RulesAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, code := parseKefu(body, &rules, &Switches{})
		if code != codeOK {
			return
		}
		require.True(t, json.Valid(body) && utf8.Valid(body))
		require.NotEmpty(t, m.to)
		require.NotEmpty(t, m.content)
		var plain struct{ Text struct{ Content string } }
		if m.kind == "text" && json.Unmarshal(body, &plain) == nil && plain.Text.Content != "" {
			require.LessOrEqual(t, len(m.content), rules.TextBytes)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add("<xml><ToUserName>o1</ToUserName><FromUserName>gh_1</FromUserName><CreateTime>1</CreateTime>" +
		"<MsgType><![CDATA[text]]></MsgType><Content>x</Content></xml>")
	f.Add("<xml><Encrypt>AA==</Encrypt></xml>")
	f.Add("<xml><a></xml>")
	s := New(Options{})
	f.Cleanup(s.Close)
	p := &Push{OpenID: "o1"}
	f.Fuzz(func(t *testing.T, body string) {
		for _, mode := range []Mode{ModePlain, ModeSafe} {
			cfg := &Account{OriginalID: "gh_1", Callback: Callback{
				Mode: mode, Token: "abc", AESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
			}}
			reply, err := s.readReply(cfg, p, []byte(body))
			if err == nil {
				require.NotEmpty(t, reply.kind)
			}
		}
	})
}
