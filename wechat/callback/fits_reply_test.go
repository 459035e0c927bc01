package callback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/callback"
)

func TestAMessageFitsAReplyWheneverOneCanBeMadeOfIt(t *testing.T) {
	t.Parallel()
	full := wechat.Message{Text: &wechat.Text{}, Image: &wechat.Media{}, Voice: &wechat.Media{}, Video: &wechat.Video{}, Music: &wechat.Music{}, News: &wechat.News{}}
	fit := 0
	for _, kind := range []wechat.Kind{"", "nonsense", wechat.KindText, wechat.KindImage, wechat.KindVoice, wechat.KindVideo, wechat.KindMusic, wechat.KindNews} {
		with := full
		with.Kind = kind
		for _, m := range []wechat.Message{with, {Kind: kind}, {Kind: kind, Text: full.Text, KfAccount: "a@b"}} {
			_, made := callback.FromMessage(m)
			require.Equal(t, made, m.FitsReply(), "%+v", m)
			if made {
				fit++
			}
		}
	}
	require.Equal(t, 6, fit)
}
