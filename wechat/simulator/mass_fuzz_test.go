package simulator

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
)

func FuzzParseMass(f *testing.F) {
	for _, seed := range []string{
		`{"filter":{"is_to_all":false,"tag_id":2},"mpnews":{"media_id":"m"},"msgtype":"mpnews","send_ignore_reprint":0,"clientmsgid":"c"}`,
		`{"touser":["o1","o2"],"msgtype":"image","images":{"media_ids":["a","b"],"recommend":"r","need_open_comment":1}}`,
		`{"touser":"o1","towxname":"w","msgtype":"image","image":{"media_id":"m"}}`,
		`{"filter":{"is_to_all":true},"msgtype":"mpvideo","mpvideo":{"media_id":"m","title":"t","description":"d"}}`,
		`{"filter":null,"msgtype":"text","text":{"content":"x"}}`, `{"touser":[null,1],"msgtype":"text"}`, `[]`, `{"msgtype":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, form := range []massForm{massToFilter, massToList, massToOne} {
			m, code := parseMass(body, form, wechat.MaxClientMsgID)
			if code != codeOK {
				continue
			}
			require.True(t, json.Valid(body) && utf8.Valid(body))
			require.NotEmpty(t, m.content)
			require.LessOrEqual(t, len(m.id), wechat.MaxClientMsgID)
			require.Equal(t, m.kind == "mpnews", m.draft != "")
			require.Equal(t, m.kind != "text", len(m.media) > 0)
			switch form {
			case massToFilter:
				require.Nil(t, m.openIDs)
			case massToList:
				require.GreaterOrEqual(t, len(m.openIDs), wechat.MinMassFans)
				require.LessOrEqual(t, len(m.openIDs), wechat.MaxMassFans)
			case massToOne:
				require.Len(t, m.openIDs, 1)
				require.NotEmpty(t, m.openIDs[0]+m.wxName)
			}
		}
	})
}

func FuzzParseMassCare(f *testing.F) {
	f.Add([]byte(`{"msg_id":30124,"article_idx":2}`))
	f.Add([]byte(`{"url":"http://x"}`))
	f.Add([]byte(`{"msg_id":"201053012"}`))
	f.Add([]byte(`{"speed":3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if in, code := parseMassDelete(body); code == codeOK {
			require.True(t, in.id != 0 || in.url != "")
			require.True(t, in.article >= 0 && in.article <= wechat.MaxDraftArticles)
		}
		if id, code := parseMassGet(body); code == codeOK {
			require.Contains(t, string(body), "msg_id", id)
		}
		if level, code := parseMassSpeed(body); code == codeOK {
			require.True(t, level >= 0 && level < len(massRates))
		}
	})
}
