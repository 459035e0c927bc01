package wechat_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAReprintStopsTheSendOrGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		finding simulator.Reprint
		ignore  bool
		status  string
	}{
		{"", false, "send success"},
		{simulator.ReprintAllowed, false, "err(30003)"},
		{simulator.ReprintAllowed, true, "send success"},
		{simulator.ReprintForbidden, false, "err(30003)"},
		{simulator.ReprintForbidden, true, "err(30002)"},
		{simulator.ReprintUnchecked, false, "err(30001)"},
		{simulator.ReprintUnchecked, true, "send success"},
	} {
		w := newFansWorld(t, simulator.Switches{})
		fans := w.fans(2)
		m := massNews("news", massDraft(t, w, 1))
		m.IgnoreReprint = c.ignore
		require.NoError(t, w.sim.SetReprint(w.acc.AppID, m.Message.News.MediaID, c.finding))
		job, err := w.client.SendMassToFans(t.Context(), w.acc, fans, m)
		require.NoError(t, err)
		massRun(t, w)
		sends, err := w.sim.MassSends(w.acc.AppID)
		require.NoError(t, err)
		require.Equal(t, c.status, sends[0].Status)
		state, err := w.client.MassState(t.Context(), w.acc, job.MsgID)
		require.NoError(t, err)
		want := map[bool]wechat.MassState{true: wechat.MassSent, false: wechat.MassFailed}[c.status == "send success"]
		require.Equal(t, want, state)
	}
}

func TestAPreviewReachesOneAndCountsForNobodysMonth(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(2)
	require.NoError(t, w.sim.SetWxName(fans[1], "somebody"))
	message := massText("").Message
	preview := func(p wechat.MassPreview) error {
		p.Message = message
		return w.client.PreviewMass(t.Context(), w.acc, p)
	}
	require.NoError(t, preview(wechat.MassPreview{OpenID: fans[0]}))
	require.NoError(t, preview(wechat.MassPreview{WxName: "somebody"}))
	for _, fan := range fans {
		arrivals, err := w.sim.Arrivals(fan)
		require.NoError(t, err)
		require.Len(t, arrivals, 1)
		require.Equal(t, simulator.ViaPreview, arrivals[0].Via)
		n, err := w.sim.MassReceived(fan)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	requireCode(t, 40132, preview(wechat.MassPreview{WxName: "nobody"}))
	requireCode(t, 40003, preview(wechat.MassPreview{OpenID: w.foreign()}))
	w.unfollow(fans[0])
	requireCode(t, 43004, preview(wechat.MassPreview{OpenID: fans[0]}))
	draft := massDraft(t, w, 1)
	message = massNews("", draft).Message
	require.NoError(t, preview(wechat.MassPreview{OpenID: fans[1]}))
	require.NoError(t, preview(wechat.MassPreview{OpenID: fans[1]}), "a preview leaves the draft")
	require.NoError(t, w.sim.RefuseMedia(w.acc.AppID, draft))
	requireCode(t, 40007, preview(wechat.MassPreview{OpenID: fans[1]}))
	for range 92 {
		require.Error(t, preview(wechat.MassPreview{OpenID: fans[1]}))
	}
	requireCode(t, 45009, preview(wechat.MassPreview{OpenID: fans[1]}))
}

func TestTheSpeedOfMassSendsIsSetAndRead(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	for level, perMinute := range []int{800_000, 600_000, 450_000, 300_000, 100_000} {
		require.NoError(t, w.client.SetMassSpeed(t.Context(), w.acc, level))
		speed, err := w.client.MassSpeed(t.Context(), w.acc)
		require.NoError(t, err)
		require.Equal(t, wechat.MassSpeed{Level: level, PerMinute: perMinute}, speed)
	}
}

// massAnswering is a client whose calls get one body.
func massAnswering(t *testing.T, body string) *fansWorld {
	t.Helper()
	w := newFansWorld(t, simulator.Switches{})
	w.through(func(int, *http.Request) *http.Response { return saysJSON(body) })
	return w
}

func TestAnAnswerToAMassSendMustProveIt(t *testing.T) {
	t.Parallel()
	fans := []string{"o1", "o2"}
	for body, want := range map[string]wechat.MassJob{
		`{"errcode":0,"errmsg":"send job submission success","msg_id":34182,"msg_data_id":206227730}`: {MsgID: 34182, MsgDataID: 206227730},
		`{"errcode":0,"msg_id":"3147483655","msg_data_id":"2247483727"}`:                              {MsgID: 3147483655, MsgDataID: 2247483727},
		`{"errcode":0,"msg_id":3487542469355618313}`:                                                  {MsgID: 3487542469355618313},
	} {
		w := massAnswering(t, body)
		job, err := w.client.SendMassToFans(t.Context(), w.acc, fans, massText("c"))
		require.NoError(t, err, body)
		require.Equal(t, want, job)
	}
	for _, body := range []string{
		`{"errcode":0,"errmsg":"ok"}`, `{"msg_id":1}`, `{"errcode":0,"msg_id":0}`, `{"errcode":0,"msg_id":"x"}`,
		`{"errcode":0,"msg_id":1.5}`, `{"errcode":0,"msg_id":1,"msg_data_id":1.5}`, `{}`, ``, `[]`, `{"errcode":-1}`,
	} {
		w := massAnswering(t, body)
		job, err := w.client.SendMassToFans(t.Context(), w.acc, fans, massText("c"))
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), body)
		require.Zero(t, job, body)
	}
	for _, body := range []string{`{}`, `{"errcode":0}`, `{"speed":1}`, `{"speed":"1","realspeed":2}`} {
		w := massAnswering(t, body)
		_, err := w.client.MassSpeed(t.Context(), w.acc)
		require.Error(t, err, body)
		_, err = w.client.MassState(t.Context(), w.acc, 1)
		require.Error(t, err, body)
	}
	w := massAnswering(t, `{"speed":3,"realspeed":15}`)
	speed, err := w.client.MassSpeed(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, wechat.MassSpeed{Level: 3, PerMinute: 150_000}, speed)
}

func TestARepeatedMassSendTellsTheFirstOnesID(t *testing.T) {
	t.Parallel()
	for body, id := range map[string]int64{
		`{"errcode":45065,"errmsg":"clientmsgid exist","msg_id":34182}`: 34182,
		`{"errcode":45065,"errmsg":"clientmsgid exist"}`:                0,
		`{"errcode":45065,"errmsg":"clientmsgid exist","msg_id":{}}`:    0,
	} {
		w := massAnswering(t, body)
		job, err := w.client.SendMassToAll(t.Context(), w.acc, massText("c"))
		require.Equal(t, 45065, massCode(err))
		require.Equal(t, wechat.MassJob{MsgID: id, Repeated: true}, job, body)
		require.Equal(t, wechat.OutcomeSent, wechat.OutcomeOf(err))
		failure, ok := errors.AsType[*wechat.Error](err)
		require.True(t, ok)
		require.Equal(t, id == 0, failure.Err != nil, "what is missing is told")
	}
}

func TestMassSendsThroughARealConnection(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	client := wechat.New(wechat.Options{Transport: transport, Clock: w.sim.Clock()})
	acc := w.acc
	acc.BaseURL = server.URL
	openids := w.fans(10_000)
	job, err := client.SendMassToFans(t.Context(), acc, openids, massText("real"))
	require.NoError(t, err)
	massRun(t, w)
	state, err := client.MassState(t.Context(), acc, job.MsgID)
	require.NoError(t, err)
	require.Equal(t, wechat.MassSent, state)
	require.Len(t, w.sim.AcceptedTexts(openids[9_999]), 1)
}

func FuzzMassAnswer(f *testing.F) {
	f.Add(`{"errcode":0,"errmsg":"send job submission success","msg_id":34182,"msg_data_id":206227730}`)
	f.Add(`{"errcode":45065,"errmsg":"clientmsgid exist","msg_id":"34182"}`)
	f.Add(`{"errcode":45066}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := massAnswering(t, body)
		job, err := w.client.SendMassToFans(t.Context(), w.acc, []string{"o1", "o2"}, massText("c"))
		switch wechat.OutcomeOf(err) {
		case wechat.OutcomeSent:
			require.True(t, json.Valid([]byte(body)))
			require.True(t, job.MsgID > 0 || job.Repeated)
		case wechat.OutcomeLost, wechat.OutcomeFailed, wechat.OutcomeNotSent:
			require.Zero(t, job)
		}
	})
}
