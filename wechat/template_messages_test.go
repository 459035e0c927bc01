package wechat_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

// The paths and ids of this family's tests.
const (
	sampleTemplate  = "ngqIpbwh8bUfcSsECmogfXcV14J0tQlEpBO27izEYtY"
	linkedApp       = "wx0123456789abcdef"
	pathAddTemplate = "/cgi-bin/template/api_add_template"
	pathTemplates   = "/cgi-bin/template/get_all_private_template"
	pathDelTemplate = "/cgi-bin/template/del_private_template"
	pathSetIndustry = "/cgi-bin/template/api_set_industry"
	pathGetIndustry = "/cgi-bin/template/get_industry"
)

// templateWorld is a fansWorld whose account has a template, and a callback that notes events.
type templateWorld struct {
	*fansWorld
	clock *clock.Manual
	fan   string

	mu     sync.Mutex
	events []callback.Event
	arrive func(callback.Event) // told of each event before it is acknowledged; nil: nobody
}

func newTemplateWorld(t *testing.T, sw simulator.Switches) *templateWorld {
	t.Helper()
	w := &templateWorld{clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	w.fansWorld = &fansWorld{t: t, acc: wechat.Account{ID: 1, AppID: "wxtemplates", Secret: "s3cret"}}
	w.sim = simulator.New(simulator.Options{Clock: w.clock, Switches: sw, Push: simulator.HandlerTransport(w)})
	t.Cleanup(w.sim.Close)
	w.http = w.sim.RoundTripper()
	w.client = wechat.New(wechat.Options{Transport: w.http, Clock: w.clock})
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: w.acc.AppID, Secret: w.acc.Secret, Verified: true,
		Callback: simulator.Callback{URL: "https://hongyan.example.com/wechat", Token: "pushtoken"},
	}))
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: foreignAppID, Secret: w.acc.Secret, Verified: true}))
	_, err := w.sim.AddTemplate(w.acc.AppID, simulator.Template{
		ID: sampleTemplate, Title: "订单发货通知", Content: "商品:{{thing1.DATA}}\n时间:{{time2.DATA}}\n单号:{{character_string3.DATA}}\n",
	})
	require.NoError(t, err)
	w.fan = w.fans(1)[0]
	return w
}

func (w *templateWorld) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	e, err := callback.Parse(body)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	w.events = append(w.events, e)
	arrive := w.arrive
	w.mu.Unlock()
	if arrive != nil {
		arrive(e)
	}
}

// receipts waits for what is on its way and returns the payloads of all events.
func (w *templateWorld) receipts() []any {
	w.t.Helper()
	require.NoError(w.t, w.sim.Wait(w.t.Context()))
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []any
	for _, e := range w.events {
		out = append(out, e.Payload)
	}
	return out
}

func (w *templateWorld) message() wechat.TemplateMessage {
	return wechat.TemplateMessage{
		OpenID: w.fan, TemplateID: sampleTemplate,
		Data: map[string]string{"thing1": "Order shipped", "time2": "2026年1月2日 15:04", "character_string3": "A123"},
	}
}

func (w *templateWorld) send(change ...func(*wechat.TemplateMessage)) (wechat.TemplateSent, error) {
	w.t.Helper()
	m := w.message()
	for _, fn := range change {
		fn(&m)
	}
	return w.client.SendTemplate(w.t.Context(), w.acc, m)
}

func (w *templateWorld) mustSend(change ...func(*wechat.TemplateMessage)) int64 {
	w.t.Helper()
	sent, err := w.send(change...)
	require.NoError(w.t, err)
	require.False(w.t, sent.Repeated)
	return sent.MsgID
}

func (w *templateWorld) arrivals(openid string) []simulator.Arrival {
	w.t.Helper()
	out, err := w.sim.Arrivals(openid)
	require.NoError(w.t, err)
	return out
}

func withID(id string) func(*wechat.TemplateMessage) {
	return func(m *wechat.TemplateMessage) { m.ClientMsgID = id }
}

func TestATemplateMessageGoesOutAsDocumentedOverARealConnection(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.LinkMiniPrograms(w.acc.AppID, linkedApp))
	w.named(simulator.NewFan{OpenID: "OPENID", Subscribed: true})
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(2)
	t.Cleanup(transport.CloseIdleConnections)
	w.client, w.acc.BaseURL = wechat.New(wechat.Options{Transport: transport, Clock: w.clock}), server.URL
	msgID := w.mustSend(func(m *wechat.TemplateMessage) {
		m.OpenID, m.URL, m.ClientMsgID = "OPENID", "https://example.com/x?a=1&b=<2>", "MSG_000001"
		m.MiniProgram = &wechat.TemplateMiniProgram{AppID: linkedApp, PagePath: "index?foo=bar"}
	})
	require.Equal(t, []string{`{"touser":"OPENID","template_id":"` + sampleTemplate + `","url":"https://example.com/x?a=1&b=<2>",` +
		`"miniprogram":{"appid":"` + linkedApp + `","pagepath":"index?foo=bar"},"client_msg_id":"MSG_000001",` +
		`"data":{"character_string3":{"value":"A123"},"thing1":{"value":"Order shipped"},"time2":{"value":"2026年1月2日 15:04"}}}`},
		w.bodies(simulator.PathTemplateSend))
	require.Greater(t, msgID, int64(1)<<53)
	require.Equal(t, []any{callback.TemplateResult{MsgID: msgID, Status: "success"}}, w.receipts())
	require.Equal(t, "OPENID", w.events[0].FromUser)
	got := w.arrivals("OPENID")
	require.Len(t, got, 1)
	require.Equal(t, simulator.ViaTemplate, got[0].Via)
	require.Equal(t, "订单发货通知\n商品:Order shipped\n时间:2026年1月2日 15:04\n单号:A123\n", got[0].Content)
}

func TestAReceiptTellsWhatBecameOfAnAcceptedMessage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		status string
		sw     simulator.Switches
		before func(*templateWorld) error
	}{
		{"success", simulator.Switches{}, nil},
		{"failed:user block", simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.TurnTemplateOff(w.fan, sampleTemplate, true)
		}},
		{"failed:user block", simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetFanFlags(w.fan, simulator.FanFlags{Blocked: true})
		}},
		{"failed: system failed", simulator.Switches{}, func(w *templateWorld) error {
			return w.sim.SetTemplateFaults(w.acc.AppID, simulator.TemplateFaults{SystemFailed: 1})
		}},
	}
	for _, c := range cases {
		w := newTemplateWorld(t, c.sw)
		if c.before != nil {
			require.NoError(t, c.before(w))
		}
		msgID := w.mustSend()
		require.Equal(t, []any{callback.TemplateResult{MsgID: msgID, Status: c.status}}, w.receipts())
		require.Equal(t, c.status == "success", len(w.arrivals(w.fan)) == 1, c.status)
	}
	w := newTemplateWorld(t, simulator.Switches{})
	require.NoError(t, w.sim.SetTemplateFaults(w.acc.AppID, simulator.TemplateFaults{NoReceipt: 1}))
	w.mustSend()
	require.Empty(t, w.receipts())
	require.Len(t, w.arrivals(w.fan), 1)
	for _, bad := range []simulator.TemplateFaults{{SystemFailed: -1}, {NoReceipt: 1.1}} {
		require.True(t, fault.Is(w.sim.SetTemplateFaults(w.acc.AppID, bad), fault.Invalid))
	}
}

func TestAReceiptCanOvertakeTheAnswer(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{ReceiptFirst: true, ReceiptDelay: simulator.Duration(time.Hour)})
	answered := false
	w.arrive = func(callback.Event) { require.False(t, answered) }
	msgID := w.mustSend()
	answered = true
	require.Len(t, w.events, 1, "it was there before the answer")
	require.Equal(t, callback.TemplateResult{MsgID: msgID, Status: "success"}, w.events[0].Payload)
	require.Equal(t, w.clock.Now(), w.events[0].CreatedAt)
}

func TestReceiptsWaitForTheirTimeOnTheClock(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{ReceiptDelay: simulator.Duration(time.Minute)})
	got := make(chan callback.Event, 4)
	w.arrive = func(e callback.Event) { got <- e }
	delivered := func(after time.Duration, msgID int64) {
		t.Helper()
		w.clock.Advance(after)
		e := <-got
		require.Equal(t, callback.TemplateResult{MsgID: msgID, Status: "success"}, e.Payload)
		require.True(t, e.CreatedAt.Equal(w.clock.Now()))
	}
	first := w.mustSend()
	w.clock.Advance(30 * time.Second)
	last := w.mustSend()
	delivered(30*time.Second, first)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{ReceiptDelay: simulator.Duration(10 * time.Second)}))
	early := w.mustSend()
	require.Len(t, w.receipts(), 1, "Wait does not wait for what is not due")
	delivered(10*time.Second, early)
	delivered(20*time.Second, last)
	third := w.mustSend()
	pushes, err := w.sim.DeliverReceipts(t.Context(), w.acc.AppID)
	require.NoError(t, err)
	require.Len(t, pushes, 1)
	require.Equal(t, simulator.OutcomeAcknowledged, pushes[0].Outcome)
	require.Equal(t, callback.TemplateResult{MsgID: third, Status: "success"}, (<-got).Payload)
	pushes, err = w.sim.DeliverReceipts(t.Context(), w.acc.AppID)
	require.NoError(t, err)
	require.Empty(t, pushes, "none is pushed twice")
	_, err = w.sim.DeliverReceipts(t.Context(), "nobody")
	require.True(t, fault.Is(err, fault.NotFound))
}

func TestClosingTheSimulatorEndsWaitingReceipts(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{ReceiptDelay: simulator.Duration(time.Hour)})
	w.mustSend()
	w.sim.Close()
	w.clock.Advance(2 * time.Hour)
	require.Empty(t, w.events)
}

func TestAMessageIsSentOncePerClientMsgIDAndFan(t *testing.T) {
	t.Parallel()
	for _, mode := range []simulator.TemplateRepeat{simulator.RepeatRefused, simulator.RepeatOK} {
		w := newTemplateWorld(t, simulator.Switches{TemplateRepeat: mode})
		first := w.mustSend(withID("once"))
		w.clock.Advance(10*time.Minute - time.Millisecond)
		again, err := w.send(withID("once"))
		require.Equal(t, wechat.OutcomeSent, wechat.OutcomeOf(err))
		require.Equal(t, first, again.MsgID)
		if mode == simulator.RepeatRefused {
			require.Equal(t, wechat.ClassDone, wechat.Classify(err))
			require.True(t, again.Repeated)
		} else {
			require.NoError(t, err)
		}
		require.Len(t, w.arrivals(w.fan), 1)
		require.Len(t, w.receipts(), 1)
		other := w.fans(1)[0]
		require.NotEqual(t, first, w.mustSend(withID("once"), func(m *wechat.TemplateMessage) { m.OpenID = other }))
		require.NotEqual(t, first, w.mustSend(withID("twice")))
		w.clock.Advance(time.Millisecond)
		require.NotEqual(t, first, w.mustSend(withID("once")), "the id is forgotten after ten minutes")
		require.Len(t, w.arrivals(w.fan), 3)
	}
	w := newTemplateWorld(t, simulator.Switches{TemplateRepeat: simulator.RepeatSends})
	first := w.mustSend(withID("once"))
	require.NotEqual(t, first, w.mustSend(withID("once")))
	w = newTemplateWorld(t, simulator.Switches{TemplateWindow: simulator.Duration(time.Second)})
	w.mustSend(withID("once"))
	w.clock.Advance(time.Second)
	w.mustSend(withID("once"))
}

func TestARefusedMessageDoesNotUseItsClientMsgIDUp(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	w.unfollow(w.fan)
	_, err := w.send(withID("once"))
	requireCode(t, 43004, err)
	w.follow(w.fan, "")
	w.mustSend(withID("once"))
}

func TestALostMessageWithAClientMsgIDCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	faults := []simulator.Faults{{ResetAfter: 1}, {HangAfter: 1}, {HalfAnswer: 1}, {BadGatewayAfter: 1}, {BusyAfter: 1}, {ResetBefore: 1}, {Busy: 1}}
	for _, f := range faults {
		w := newTemplateWorld(t, simulator.Switches{})
		f.Most = 1
		require.NoError(t, w.sim.SetFaults(simulator.PathTemplateSend, f))
		_, err := w.send(withID("once"))
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), "%v", err)
		require.Equal(t, wechat.ClassRetry, wechat.Classify(err))
		again, err := w.send(withID("once"))
		require.Equal(t, wechat.OutcomeSent, wechat.OutcomeOf(err))
		require.Len(t, w.arrivals(w.fan), 1)
		require.Equal(t, []any{callback.TemplateResult{MsgID: again.MsgID, Status: "success"}}, w.receipts())
	}
}

func TestAnAnswerWithoutAMsgIDProvesNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"errcode":0,"errmsg":"ok"}`, `{"msgid":1}`, `{}`, `{"errcode":0,"msgid":"x"}`, `{"errcode":0,"msgid":0}`} {
		w := newTemplateWorld(t, simulator.Switches{})
		w.through(func(int, *http.Request) *http.Response { return saysJSON(body) })
		_, err := w.send()
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), body)
	}
	w := newTemplateWorld(t, simulator.Switches{})
	w.through(func(int, *http.Request) *http.Response {
		return saysJSON(`{"errcode":45065,"errmsg":"clientmsgid exist"}`)
	})
	sent, err := w.send(withID("x"))
	require.Equal(t, wechat.OutcomeSent, wechat.OutcomeOf(err))
	require.Equal(t, wechat.TemplateSent{Repeated: true}, sent)
	w.through(func(int, *http.Request) *http.Response {
		return saysJSON(`{"errcode":0,"errmsg":"ok","template_id":" "}`)
	})
	_, err = w.client.AddTemplate(t.Context(), w.acc, "43216", []string{"商品名称"})
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err))
	w.through(func(int, *http.Request) *http.Response { return saysJSON(`{}`) })
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(w.client.SetIndustry(t.Context(), w.acc, 1, 4)))
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(w.client.DeleteTemplate(t.Context(), w.acc, "x")))
}

func TestTheSameSeedGivesTheSameTemplateMessages(t *testing.T) {
	t.Parallel()
	run := func() (dump []byte, pushes []string) {
		w := newTemplateWorld(t, simulator.Switches{ReceiptFirst: true})
		require.NoError(t, w.sim.SetTemplateFaults(w.acc.AppID, simulator.TemplateFaults{SystemFailed: 0.3, NoReceipt: 0.2}))
		id, err := w.client.AddTemplate(t.Context(), w.acc, "43216", []string{"商品名称"})
		require.NoError(t, err)
		for i := range 40 {
			w.mustSend(func(m *wechat.TemplateMessage) {
				m.TemplateID, m.Data = id, map[string]string{"thing1": strconv.Itoa(i)}
			})
		}
		dump, err = w.sim.Dump()
		require.NoError(t, err)
		for _, p := range w.sim.Pushes("") {
			pushes = append(pushes, p.Body)
		}
		return dump, pushes
	}
	dump, pushes := run()
	again, pushesAgain := run()
	require.Equal(t, string(dump), string(again))
	require.Equal(t, pushes, pushesAgain)
	require.Less(t, len(pushes), 40)
	require.Contains(t, strings.Join(pushes, ""), "failed: system failed")
}

func TestOneClientMsgIDSendsOneMessageUnderConcurrency(t *testing.T) {
	t.Parallel()
	w := newTemplateWorld(t, simulator.Switches{})
	ids := make([]int64, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			m := w.message()
			m.ClientMsgID = "once"
			sent, err := w.client.SendTemplate(t.Context(), w.acc, m)
			if wechat.OutcomeOf(err) == wechat.OutcomeSent {
				ids[i] = sent.MsgID
			}
		})
	}
	all.Wait()
	require.Len(t, slices.Compact(ids), 1)
	require.NotZero(t, ids[0])
	require.Len(t, w.arrivals(w.fan), 1)
	require.Len(t, w.receipts(), 1)
}
