package wechat_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func massText(id string) wechat.MassSend {
	return wechat.MassSend{ClientMsgID: id, Message: wechat.MassMessage{
		Kind: wechat.MassText, Text: &wechat.Text{Content: "满 100 减 20 <b>&</b>"},
	}}
}

func massNews(id, mediaID string) wechat.MassSend {
	return wechat.MassSend{ClientMsgID: id, Message: wechat.MassMessage{
		Kind: wechat.MassNews, News: &wechat.Media{MediaID: mediaID},
	}}
}

// massDraft puts a draft of n articles into the account's box.
func massDraft(t *testing.T, w *fansWorld, n int) string {
	t.Helper()
	articles := make([]wechat.DraftArticle, n)
	for i := range articles {
		articles[i] = wechat.DraftArticle{Title: fmt.Sprint("title ", i), Content: "<p>x</p>", CoverMediaID: "cover"}
	}
	id, err := w.client.AddDraft(t.Context(), w.acc, articles)
	require.NoError(t, err)
	return id
}

// massCode is the errcode in an error, whatever its outcome.
func massCode(err error) int {
	if failure, ok := errors.AsType[*wechat.Error](err); ok {
		return failure.Code
	}
	return 0
}

// massRun lets every send that waits for nobody come to its end.
func massRun(t *testing.T, w *fansWorld) {
	t.Helper()
	require.NoError(t, w.sim.Advance(2*time.Minute))
	w.sim.RunMass(t.Context())
}

func TestAMassSendLooksAsThePlatformWantsIt(t *testing.T) {
	t.Parallel()
	tag := int64(2)
	for _, c := range []struct {
		name, path, want string
		send             func(t *testing.T, w *fansWorld) error
	}{
		{
			"articles to a tag", simulator.PathMassAll,
			`{"filter":{"is_to_all":false,"tag_id":2},"mpnews":{"media_id":"DRAFT_MEDIA_ID"},"msgtype":"mpnews",
			  "send_ignore_reprint":0,"clientmsgid":"cmp-42-20260102"}`,
			func(t *testing.T, w *fansWorld) error {
				_, err := w.client.SendMassToTag(t.Context(), w.acc, tag, massNews("cmp-42-20260102", "DRAFT_MEDIA_ID"))
				return err
			},
		},
		{
			"a text to all", simulator.PathMassAll,
			`{"filter":{"is_to_all":true},"text":{"content":"满 100 减 20 <b>&</b>"},"msgtype":"text",
			  "send_ignore_reprint":1,"clientmsgid":"c"}`,
			func(t *testing.T, w *fansWorld) error {
				m := massText("c")
				m.IgnoreReprint = true
				_, err := w.client.SendMassToAll(t.Context(), w.acc, m)
				return err
			},
		},
		{
			"pictures to a list", simulator.PathMassList,
			`{"touser":["OPENID1","OPENID2"],"msgtype":"image","images":{"media_ids":["a","b"],"recommend":"text",
			  "need_open_comment":1,"only_fans_can_comment":0},"send_ignore_reprint":0,"clientmsgid":"c"}`,
			func(t *testing.T, w *fansWorld) error {
				m := wechat.MassMessage{Kind: wechat.MassImage, Images: &wechat.MassImages{
					MediaIDs: []string{"a", "b"}, Recommend: "text", OpenComments: true,
				}}
				_, err := w.client.SendMassToFans(t.Context(), w.acc, []string{"OPENID1", "OPENID2"},
					wechat.MassSend{Message: m, ClientMsgID: "c"})
				return err
			},
		},
		{
			"a preview of a video", simulator.PathMassPreview,
			`{"touser":"OPENID1","msgtype":"mpvideo","mpvideo":{"media_id":"v","title":"t","description":"d"}}`,
			func(t *testing.T, w *fansWorld) error {
				m := wechat.MassMessage{Kind: wechat.MassVideo, Video: &wechat.MassVideoFile{MediaID: "v", Title: "t", Description: "d"}}
				return w.client.PreviewMass(t.Context(), w.acc, wechat.MassPreview{OpenID: "OPENID1", Message: m})
			},
		},
		{
			"a preview of pictures", simulator.PathMassPreview,
			`{"towxname":"somebody","msgtype":"image","image":{"media_id":"a"}}`,
			func(t *testing.T, w *fansWorld) error {
				m := wechat.MassMessage{Kind: wechat.MassImage, Images: &wechat.MassImages{MediaIDs: []string{"a", "b"}}}
				return w.client.PreviewMass(t.Context(), w.acc, wechat.MassPreview{WxName: "somebody", Message: m})
			},
		},
		{
			"deletion of an article", simulator.PathMassDelete, `{"msg_id":30124,"article_idx":2}`,
			func(t *testing.T, w *fansWorld) error { return w.client.DeleteMass(t.Context(), w.acc, 30124, 2) },
		},
		{
			"deletion of all", simulator.PathMassDelete, `{"msg_id":30124}`,
			func(t *testing.T, w *fansWorld) error { return w.client.DeleteMass(t.Context(), w.acc, 30124, 0) },
		},
		{
			"deletion by address", simulator.PathMassDelete, `{"url":"http://mp.weixin.qq.com/s?a=1&b=2"}`,
			func(t *testing.T, w *fansWorld) error {
				return w.client.DeleteMassArticle(t.Context(), w.acc, "http://mp.weixin.qq.com/s?a=1&b=2")
			},
		},
		{
			"the state", simulator.PathMassGet, `{"msg_id":"201053012"}`,
			func(t *testing.T, w *fansWorld) error {
				_, err := w.client.MassState(t.Context(), w.acc, 201053012)
				return err
			},
		},
		{
			"the speed", simulator.PathMassSpeedGet, `{}`,
			func(t *testing.T, w *fansWorld) error { _, err := w.client.MassSpeed(t.Context(), w.acc); return err },
		},
		{
			"a new speed", simulator.PathMassSpeedSet, `{"speed":0}`,
			func(t *testing.T, w *fansWorld) error { return w.client.SetMassSpeed(t.Context(), w.acc, 0) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newFansWorld(t, simulator.Switches{})
			err := c.send(t, w)
			require.False(t, fault.Is(err, fault.Invalid), "%v", err)
			bodies := w.bodies(c.path)
			require.Len(t, bodies, 1)
			require.JSONEq(t, c.want, bodies[0])
			require.NotContains(t, bodies[0], `\u`)
		})
	}
}

func TestAMassSendThatBreaksARuleIsNotSent(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprint("o", i)
	}
	with := func(change func(*wechat.MassSend)) wechat.MassSend {
		m := massText("c")
		change(&m)
		return m
	}
	toAll := func(m wechat.MassSend) error {
		_, err := w.client.SendMassToAll(t.Context(), w.acc, m)
		return err
	}
	toList := func(openids ...string) error {
		_, err := w.client.SendMassToFans(t.Context(), w.acc, openids, massText("c"))
		return err
	}
	kind := func(m wechat.MassMessage) error { return toAll(wechat.MassSend{ClientMsgID: "c", Message: m}) }
	_, badTag := w.client.SendMassToTag(t.Context(), w.acc, 0, massText("c"))
	_, badState := w.client.MassState(t.Context(), w.acc, 0)
	preview := func(p wechat.MassPreview) error {
		p.Message = massText("").Message
		return w.client.PreviewMass(t.Context(), w.acc, p)
	}
	pictures := func(n int) *wechat.MassImages {
		return &wechat.MassImages{MediaIDs: strings.Split(strings.Repeat("m,", n)+"m", ",")}
	}
	for _, c := range []struct {
		field, rule string
		err         error
	}{
		{"clientmsgid", "required", toAll(with(func(m *wechat.MassSend) { m.ClientMsgID = "" }))},
		{"clientmsgid", "too_long", toAll(with(func(m *wechat.MassSend) { m.ClientMsgID = strings.Repeat("x", 33) }))},
		{"clientmsgid", "ascii", toAll(with(func(m *wechat.MassSend) { m.ClientMsgID = "a b" }))},
		{"clientmsgid", "ascii", toAll(with(func(m *wechat.MassSend) { m.ClientMsgID = "活动" }))},
		{"filter.tag_id", "range", badTag},
		{"touser", "count", toList()},
		{"touser", "count", toList("o1")},
		{"touser", "count", toList(many...)},
		{"touser[1]", "required", toList("o1", "")},
		{"touser[2]", "duplicate", toList("o1", "o2", "o1")},
		{"msgtype", "unknown_kind", kind(wechat.MassMessage{Kind: "wxcard"})},
		{"mpnews", "required", kind(wechat.MassMessage{Kind: wechat.MassNews})},
		{"mpnews.media_id", "required", kind(wechat.MassMessage{Kind: wechat.MassNews, News: &wechat.Media{}})},
		{"voice.media_id", "required", kind(wechat.MassMessage{Kind: wechat.MassVoice, Voice: &wechat.Media{}})},
		{"mpvideo.media_id", "required", kind(wechat.MassMessage{Kind: wechat.MassVideo, Video: &wechat.MassVideoFile{}})},
		{"text.content", "required", kind(wechat.MassMessage{Kind: wechat.MassText, Text: &wechat.Text{}})},
		{"images.media_ids", "count", kind(wechat.MassMessage{Kind: wechat.MassImage, Images: &wechat.MassImages{}})},
		{"images.media_ids", "count", kind(wechat.MassMessage{Kind: wechat.MassImage, Images: pictures(20)})},
		{"images.media_ids[0]", "required", kind(wechat.MassMessage{Kind: wechat.MassImage, Images: &wechat.MassImages{MediaIDs: []string{""}}})},
		{"voice", "foreign_content", toAll(with(func(m *wechat.MassSend) { m.Message.Voice = &wechat.Media{MediaID: "v"} }))},
		{"touser", "one_receiver", preview(wechat.MassPreview{})},
		{"touser", "one_receiver", preview(wechat.MassPreview{OpenID: "o", WxName: "w"})},
		{"msg_id", "required", w.client.DeleteMass(t.Context(), w.acc, 0, 1)},
		{"article_idx", "range", w.client.DeleteMass(t.Context(), w.acc, 1, 9)},
		{"article_idx", "range", w.client.DeleteMass(t.Context(), w.acc, 1, -1)},
		{"url", "required", w.client.DeleteMassArticle(t.Context(), w.acc, "")},
		{"msg_id", "required", badState},
		{"speed", "range", w.client.SetMassSpeed(t.Context(), w.acc, 5)},
		{"speed", "range", w.client.SetMassSpeed(t.Context(), w.acc, -1)},
	} {
		fields := fault.Fields(c.err)
		require.Len(t, fields, 1, "%s %s: %v", c.field, c.rule, c.err)
		require.Equal(t, [2]string{c.field, c.rule}, [2]string{fields[0].Field, fields[0].Rule})
		require.Equal(t, wechat.OutcomeNotSent, wechat.OutcomeOf(c.err))
	}
	require.Empty(t, w.sim.Calls(simulator.Filter{}))
}

func TestAMassSendIsTakenAndReported(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(3)
	draft := massDraft(t, w, 2)
	news, err := w.client.SendMassToAll(t.Context(), w.acc, massNews("news", draft))
	require.NoError(t, err)
	require.Positive(t, news.MsgID)
	require.Positive(t, news.MsgDataID)
	require.False(t, news.Repeated)
	text, err := w.client.SendMassToFans(t.Context(), w.acc, fans[:2], massText("text"))
	require.NoError(t, err)
	require.Zero(t, text.MsgDataID, "only articles have one")
	state, err := w.client.MassState(t.Context(), w.acc, news.MsgID)
	require.NoError(t, err)
	require.Equal(t, wechat.MassSending, state)
	massRun(t, w)
	state, err = w.client.MassState(t.Context(), w.acc, news.MsgID)
	require.NoError(t, err)
	require.Equal(t, wechat.MassSent, state)
	require.Len(t, w.sim.AcceptedTexts(fans[0]), 2)
	require.Len(t, w.sim.AcceptedTexts(fans[2]), 1)
	_, err = w.client.SendMassToFans(t.Context(), w.acc, fans, massNews("again", draft))
	requireCode(t, 40007, err)
	_, err = w.client.MassState(t.Context(), w.acc, text.MsgID+1)
	requireCode(t, 40059, err)
}

func TestArticlesOfAMassSendAreDeletedOneByOneOrAllAtOnce(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(2)
	job, err := w.client.SendMassToFans(t.Context(), w.acc, fans, massNews("news", massDraft(t, w, 2)))
	require.NoError(t, err)
	plain, err := w.client.SendMassToFans(t.Context(), w.acc, fans, massText("text"))
	require.NoError(t, err)
	requireCode(t, 40065, w.client.DeleteMass(t.Context(), w.acc, job.MsgID, 0))
	massRun(t, w)
	requireCode(t, 40204, w.client.DeleteMass(t.Context(), w.acc, plain.MsgID, 0))
	requireCode(t, 40060, w.client.DeleteMass(t.Context(), w.acc, job.MsgID, 3))
	state := func() wechat.MassState {
		state, err := w.client.MassState(t.Context(), w.acc, job.MsgID)
		require.NoError(t, err)
		return state
	}
	for range 2 {
		require.NoError(t, w.client.DeleteMass(t.Context(), w.acc, job.MsgID, 2))
		require.Equal(t, wechat.MassSent, state())
	}
	address := fmt.Sprintf("http://mp.weixin.qq.com/s?mid=%d&idx=1", job.MsgDataID)
	require.NoError(t, w.client.DeleteMassArticle(t.Context(), w.acc, address))
	require.Equal(t, wechat.MassDeleted, state())
	for range 4 { // ten a day
		requireCode(t, 40059, w.client.DeleteMass(t.Context(), w.acc, 7, 0))
	}
	requireCode(t, 45009, w.client.DeleteMass(t.Context(), w.acc, 7, 0))
}

func TestALostMassSendIsRepeatedWithTheSameID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		faults simulator.Faults
		taken  bool
	}{
		{"reset after", simulator.Faults{ResetAfter: 1, Most: 1}, true},
		{"half an answer", simulator.Faults{HalfAnswer: 1, Most: 1}, true},
		{"bad gateway", simulator.Faults{BadGateway: 1, Most: 1}, false},
		{"hang after", simulator.Faults{HangAfter: 1, Most: 1}, true},
		{"busy", simulator.Faults{Busy: 1, Most: 1}, false},
		{"busy after", simulator.Faults{BusyAfter: 1, Most: 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newFansWorld(t, simulator.Switches{})
			fans := w.fans(2)
			require.NoError(t, w.sim.SetFaults(simulator.PathMassList, c.faults))
			send := func() (wechat.MassJob, error) {
				return w.client.SendMassToFans(t.Context(), w.acc, fans, massText("id"))
			}
			_, err := send()
			require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "%v", err)
			if c.taken {
				_, err = send()
				require.Equal(t, 45066, massCode(err))
				require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "it proves nothing")
				require.Equal(t, wechat.ClassRetry, wechat.Classify(err))
			}
			require.NoError(t, w.sim.Advance(time.Minute))
			job, err := send()
			require.Equal(t, wechat.OutcomeSent, wechat.OutcomeOf(err))
			require.Equal(t, c.taken, job.Repeated)
			if c.taken {
				require.Equal(t, 45065, massCode(err))
				require.Equal(t, wechat.ClassDone, wechat.Classify(err))
			} else {
				require.NoError(t, err)
			}
			sends, err := w.sim.MassSends(w.acc.AppID)
			require.NoError(t, err)
			require.Len(t, sends, 1)
			require.Equal(t, sends[0].MsgID, job.MsgID)
			massRun(t, w)
			require.Len(t, w.sim.AcceptedTexts(fans[0]), 1)
		})
	}
}

func TestTheCodesOfMassSends(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{Mass: simulator.MassSwitches{Confirm: true}})
	fans := w.fans(2)
	all := func(id string) error { _, err := w.client.SendMassToAll(t.Context(), w.acc, massText(id)); return err }
	_, err := w.client.SendMassToTag(t.Context(), w.acc, 77, massText("tag"))
	requireCode(t, 40152, err)
	_, err = w.client.SendMassToFans(t.Context(), w.acc, []string{fans[0], w.foreign()}, massText("foreign"))
	requireCode(t, 40031, err)
	require.NoError(t, all("one"))
	requireCode(t, 89501, all("two"))
	sends, err := w.sim.MassSends(w.acc.AppID)
	require.NoError(t, err)
	require.NoError(t, w.sim.AnswerMass(t.Context(), w.acc.AppID, sends[0].MsgID, simulator.MassConfirmed))
	requireCode(t, 45028, all("two"))
	require.NoError(t, w.sim.SetMassAgreement(w.acc.AppID, false))
	requireCode(t, 48003, all("three"))
	require.NoError(t, w.sim.UpdateAccount(w.acc.AppID, func(a *simulator.Account) { a.Verified = false }))
	requireCode(t, 48001, all("three"))
}
