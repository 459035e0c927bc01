package simulator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat/callback"
	"hongyan/wechat/simulator"
)

// desk is the account's server: it opens pushes with wechat/callback and answers what the
// test wants.
type desk struct {
	w      *world
	cfg    callback.Config
	mu     sync.Mutex
	got    []callback.Event
	bodies []string
	errs   []error
	answer func(n int, e callback.Event, p callback.Push) (status int, body []byte)
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	q := r.URL.Query()
	p := callback.Push{
		Signature: q.Get("signature"), Timestamp: q.Get("timestamp"), Nonce: q.Get("nonce"), EncryptType: q.Get("encrypt_type"),
		MsgSignature: q.Get("msg_signature"), OpenID: q.Get("openid"), EchoStr: q.Get("echostr"), Body: body,
	}
	if r.Method == http.MethodGet {
		echo, err := callback.CheckURL(&d.cfg, p)
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, echo)
		return
	}
	opened, openErr := d.cfg.Open(d.w.sim.Clock().Now(), p)
	e, parseErr := callback.Parse(opened)
	d.mu.Lock()
	for _, err := range []error{err, openErr, parseErr} {
		if err != nil {
			d.errs = append(d.errs, err)
		}
	}
	d.got = append(d.got, e)
	d.bodies = append(d.bodies, string(body))
	n := len(d.got)
	d.mu.Unlock()
	if d.answer == nil {
		return
	}
	status, reply := d.answer(n, e, p)
	w.WriteHeader(status)
	if _, err := w.Write(reply); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// newDesk is a world whose pushes go straight into a desk.
func newDesk(t *testing.T, mode simulator.Mode, o simulator.Options) *desk {
	t.Helper()
	d := &desk{}
	o.Push = simulator.HandlerTransport(d)
	d.w = newWorld(t, o)
	d.cfg = callback.Config{
		AppID: appID, Token: "pushtoken", AESKeys: []string{aesKey},
		Mode: map[simulator.Mode]callback.Mode{
			simulator.ModePlain: callback.ModePlain, simulator.ModeCompatible: callback.ModeCompatible,
			simulator.ModeSafe: callback.ModeSafe,
		}[mode],
	}
	require.NoError(t, d.w.sim.SetCallback(appID, simulator.Callback{
		URL: "https://hongyan.example.com/wechat/1?x=1", Token: "pushtoken", AESKey: aesKey, Mode: mode,
	}))
	return d
}

func (d *desk) reply(r callback.Reply) {
	d.answer = func(_ int, e callback.Event, p callback.Push) (int, []byte) {
		body, err := callback.RenderReply(&d.cfg, callback.ReplyMeta{
			To: e.FromUser, From: e.ToUser, Now: d.w.sim.Clock().Now(), Nonce: p.Nonce, Encrypted: p.Encrypted(),
		}, r)
		if err != nil {
			return http.StatusInternalServerError, nil
		}
		return http.StatusOK, body
	}
}

func TestEveryActIsPushedSignedInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeCompatible, simulator.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, mode, simulator.Options{})
			require.NoError(t, d.w.sim.CheckURL(t.Context(), appID))
			ids, err := d.w.sim.AddFans(appID, 1, false)
			require.NoError(t, err)
			fan := ids[0]
			kinds := []simulator.ActKind{
				"follow", "text", "image", "voice", "video", "shortvideo", "place", "link", "click", "scancode_waitmsg", "view",
				"scan", "location", "tap", "unfollow",
			}
			for _, kind := range kinds {
				push, err := d.w.sim.Do(t.Context(), simulator.Act{
					OpenID: fan, Kind: kind, Text: "a & <b> ]]> 你好", Key: "K", Scene: "poster_1", ItemID: "7", Latitude: 23.5, Longitude: 113.25,
				})
				require.NoError(t, err)
				require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, push.Reason)
			}
			require.Empty(t, d.errs)
			require.Len(t, d.got, len(kinds))
			for i, e := range d.got {
				require.NotContains(t, fmt.Sprintf("%T", e.Payload), "Unknown", kinds[i])
				require.Equal(t, fan, e.FromUser)
				require.True(t, e.CreatedAt.Equal(start))
			}
			require.Equal(t, "poster_1", d.got[0].Scene())
			require.Equal(t, "a & <b> ]]> 你好", d.got[1].Text())
			require.Greater(t, d.got[1].MsgID, int64(1)<<53)
			require.Equal(t, "poster_1", d.got[11].Scene())
			require.Equal(t, callback.Text{Content: "a & <b> ]]> 你好", MenuID: "7"}, d.got[13].Payload)
			require.Equal(t, len(kinds), d.w.sim.Counts().Pushes[simulator.OutcomeAcknowledged])
			require.Len(t, d.w.sim.Pushes(fan), len(kinds))
		})
	}
}

func TestPassiveRepliesArriveInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeCompatible, simulator.ModeSafe} {
		for consumes, left := range map[bool]int{false: 5, true: 4} {
			d := newDesk(t, mode, simulator.Options{Switches: simulator.Switches{PassiveConsumes: consumes}})
			var told []simulator.Arrival
			stop := d.w.sim.OnArrival(func(a simulator.Arrival) { told = append(told, a) })
			d.reply(callback.ReplyText{Content: "欢迎 & <hi>"})
			fan := d.w.fan()
			push, err := d.w.sim.Text(t.Context(), fan, "hi")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeReplied, push.Outcome, push.Reason)
			require.Equal(t, []string{"欢迎 & <hi>"}, d.w.sim.AcceptedTexts(fan))
			require.Len(t, told, 1)
			require.Equal(t, simulator.ViaPassive, told[0].Via)
			state, err := d.w.sim.Fan(fan)
			require.NoError(t, err)
			require.Equal(t, left, state.Windows[0].Left)
			stop()
			_, err = d.w.sim.Text(t.Context(), fan, "hi")
			require.NoError(t, err)
			require.Len(t, told, 1, "the subscription ended")
		}
	}
}

func TestMalformedAnswersMakeTheServiceUnavailable(t *testing.T) {
	t.Parallel()
	head := func(fan, gh string) string {
		return "<xml><ToUserName>" + fan + "</ToUserName><FromUserName>" + gh + "</FromUserName><CreateTime>1</CreateTime>"
	}
	text := "<MsgType>text</MsgType><Content>x</Content></xml>"
	for name, c := range map[string]struct {
		mode simulator.Mode
		body func(fan, gh string) string
		want simulator.Outcome
	}{
		"good":             {"plain", func(f, g string) string { return head(f, g) + text }, simulator.OutcomeReplied},
		"garbage":          {"plain", func(_, _ string) string { return "ok" }, simulator.OutcomeUnavailable},
		"half":             {"plain", func(f, g string) string { return head(f, g) }, simulator.OutcomeUnavailable},
		"to somebody else": {"plain", func(_, g string) string { return head("o1", g) + text }, simulator.OutcomeUnavailable},
		"from another":     {"plain", func(f, _ string) string { return head(f, "gh_x") + text }, simulator.OutcomeUnavailable},
		"stray element":    {"plain", func(f, g string) string { return head(f, g) + "<Extra/>" + text }, simulator.OutcomeUnavailable},
		"repeated element": {"plain", func(f, g string) string { return head(f, g) + "<MsgType>text</MsgType>" + text }, simulator.OutcomeUnavailable},
		"unknown kind":     {"plain", func(f, g string) string { return head(f, g) + "<MsgType>gif</MsgType></xml>" }, simulator.OutcomeUnavailable},
		"empty text":       {"plain", func(f, g string) string { return head(f, g) + "<MsgType>text</MsgType><Content/></xml>" }, simulator.OutcomeUnavailable},
		"DOCTYPE":          {"plain", func(f, g string) string { return "<!DOCTYPE x>" + head(f, g) + text }, simulator.OutcomeUnavailable},
		"image without id": {"plain", func(f, g string) string { return head(f, g) + "<MsgType>image</MsgType><Image/></xml>" }, simulator.OutcomeUnavailable},
		"news of two": {"plain", func(f, g string) string {
			return head(f, g) + "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles><item/><item/></Articles></xml>"
		}, simulator.OutcomeUnavailable},
		"clear in safe":   {"safe", func(f, g string) string { return head(f, g) + text }, simulator.OutcomeUnavailable},
		"clear in compat": {"compatible", func(f, g string) string { return head(f, g) + text }, simulator.OutcomeReplied},
		"unsigned envelope": {"safe", func(_, _ string) string {
			return "<xml><Encrypt>AA==</Encrypt><MsgSignature>x</MsgSignature><TimeStamp>1</TimeStamp><Nonce>1</Nonce></xml>"
		}, simulator.OutcomeUnavailable},
		"envelope in plain": {"plain", func(_, _ string) string { return "<xml><Encrypt>AA==</Encrypt></xml>" }, simulator.OutcomeUnavailable},
		"success in safe":   {"safe", func(_, _ string) string { return "success" }, simulator.OutcomeAcknowledged},
		"empty in safe":     {"safe", func(_, _ string) string { return "" }, simulator.OutcomeAcknowledged},
		"AI hand-over":      {"plain", func(f, g string) string { return head(f, g) + "<MsgType>transfer_biz_ai_ivr</MsgType></xml>" }, simulator.OutcomeAcknowledged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, c.mode, simulator.Options{})
			d.answer = func(_ int, e callback.Event, _ callback.Push) (int, []byte) {
				return http.StatusOK, []byte(c.body(e.FromUser, e.ToUser))
			}
			fan := d.w.fan()
			push, err := d.w.sim.Text(t.Context(), fan, "hi")
			require.NoError(t, err)
			require.Equal(t, c.want, push.Outcome, push.Reason)
			require.Len(t, push.Tries, 1, "an answer, even a bad one, ends the tries")
			require.Equal(t, c.want == simulator.OutcomeReplied, len(d.w.sim.AcceptedTexts(fan)) == 1)
		})
	}
}

func TestRepliesOfEveryKindAreUnderstood(t *testing.T) {
	t.Parallel()
	for _, r := range []callback.Reply{
		callback.ReplyImage{MediaID: "m"}, callback.ReplyVoice{MediaID: "m"}, callback.ReplyVideo{MediaID: "m"},
		callback.ReplyVideo{MediaID: "m", Title: "t", Description: "d"}, callback.ReplyMusic{ThumbMediaID: "m"},
	} {
		d := newDesk(t, simulator.ModeSafe, simulator.Options{})
		d.reply(r)
		push, err := d.w.sim.Text(t.Context(), d.w.fan(), "hi")
		require.NoError(t, err)
		require.Equal(t, simulator.OutcomeReplied, push.Outcome, "%T: %s", r, push.Reason)
		require.Contains(t, push.Reply.Content, "=m")
	}
}

func TestPushIsTriedThreeTimesWithTheSameBody(t *testing.T) {
	t.Parallel()
	for good := 1; good <= 4; good++ {
		d := newDesk(t, simulator.ModeSafe, simulator.Options{})
		d.answer = func(n int, _ callback.Event, _ callback.Push) (int, []byte) {
			if n < good {
				return http.StatusInternalServerError, nil
			}
			return http.StatusOK, []byte("success")
		}
		push, err := d.w.sim.Text(t.Context(), d.w.fan(), "hi")
		require.NoError(t, err)
		require.Len(t, push.Tries, min(good, 3))
		require.Empty(t, d.errs)
		for _, body := range d.bodies {
			require.Equal(t, d.bodies[0], body)
		}
		want := simulator.OutcomeAcknowledged
		if good == 4 {
			want = simulator.OutcomeUnavailable
		}
		require.Equal(t, want, push.Outcome)
	}
}

func TestLostAnswersAndRedeliveryRepeatAPush(t *testing.T) {
	t.Parallel()
	d := newDesk(t, simulator.ModePlain, simulator.Options{})
	d.reply(callback.ReplyText{Content: "once"})
	require.NoError(t, d.w.sim.SetPushFaults(simulator.PushFaults{LoseAnswers: 2, Share: 1}))
	fan := d.w.fan()
	push, err := d.w.sim.Text(t.Context(), fan, "hi")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeReplied, push.Outcome)
	require.Len(t, d.got, 3)
	_, err = d.w.sim.Redeliver(t.Context(), push)
	require.NoError(t, err)
	require.Len(t, d.got, 4)
	for _, e := range d.got {
		require.Equal(t, d.got[0].DedupeKey(), e.DedupeKey())
	}
	require.Equal(t, []string{"once"}, d.w.sim.AcceptedTexts(fan), "the fan reads one answer")
	_, err = d.w.sim.Redeliver(t.Context(), simulator.Push{AppID: appID})
	require.True(t, fault.Is(err, fault.Conflict))
}

func TestPushGivesUpAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{PushWorkers: 2})
	arrived := make(chan struct{}, 3)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	require.NoError(t, w.sim.SetCallback(appID, simulator.Callback{URL: srv.URL, Token: "abc"}))
	require.NoError(t, w.sim.Post(t.Context(), simulator.Act{OpenID: w.fan(), Kind: simulator.ActText, Text: "x"}))
	for range 3 {
		<-arrived
		w.clock.Advance(5 * time.Second)
	}
	require.NoError(t, w.sim.Wait(t.Context()))
	pushes := w.sim.Pushes("")
	require.Len(t, pushes, 1)
	require.Equal(t, simulator.OutcomeUnavailable, pushes[0].Outcome)
	require.Len(t, pushes[0].Tries, 3)
	require.Equal(t, 5*time.Second, pushes[0].Tries[1].At.Sub(pushes[0].Tries[0].At))
}

func TestPostedPushesKeepAFansOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, simulator.ModePlain, simulator.Options{})
	fans := []string{d.w.fan(), d.w.fan(), d.w.fan()}
	for i := range 60 {
		require.NoError(t, d.w.sim.Post(t.Context(), simulator.Act{OpenID: fans[i%3], Kind: simulator.ActText, Text: fmt.Sprintf("%02d", i)}))
	}
	require.NoError(t, d.w.sim.Wait(t.Context()))
	last := map[string]string{}
	for _, e := range d.got {
		require.Greater(t, e.Text(), last[e.FromUser])
		last[e.FromUser] = e.Text()
	}
	require.Len(t, d.got, 60)
	d.w.sim.Close()
	err := d.w.sim.Post(t.Context(), simulator.Act{OpenID: fans[0], Kind: simulator.ActText, Text: "late"})
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestAgentSessionSwallowsMessagesUntilItEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, simulator.ModePlain, simulator.Options{})
	fan := d.w.fan()
	ctx := context.WithoutCancel(t.Context())
	_, err := d.w.sim.OpenSession(ctx, fan, "test1@test")
	require.NoError(t, err)
	push, err := d.w.sim.Text(ctx, fan, "for the agent")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeSwallowed, push.Outcome)
	push, err = d.w.sim.Click(ctx, fan, "K")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "events are pushed all the same")
	require.NoError(t, d.w.sim.AgentSays(fan, "hello"))
	require.Empty(t, d.w.sim.AcceptedTexts(fan), "an agent's words are not ours")
	d.w.clock.Advance(30 * time.Minute)
	push, err = d.w.sim.Text(ctx, fan, "ours again")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome)
	_, err = d.w.sim.CloseSession(ctx, fan)
	require.True(t, fault.Is(err, fault.Conflict))
	names := []string{}
	for _, e := range d.got {
		names = append(names, e.MsgType+":"+e.Name)
	}
	require.Equal(t, []string{"event:kf_create_session", "event:click", "event:kf_close_session", "text:"}, names)
}

func TestTransferHandsAMessageToAnAgent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, simulator.ModeSafe, simulator.Options{})
	d.reply(callback.ReplyTransfer{KfAccount: "test1@test"})
	fan := d.w.fan()
	push, err := d.w.sim.Click(t.Context(), fan, "K")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "an event cannot be transferred")
	push, err = d.w.sim.Text(t.Context(), fan, "help")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeTransferred, push.Outcome, push.Reason)
	push, err = d.w.sim.Text(t.Context(), fan, "hello?")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeSwallowed, push.Outcome)
}

func TestEnvelopesOfSomebodyElseAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*callback.Config){
		"signed with another token":     func(c *callback.Config) { c.Token = "othertoken" },
		"encrypted for another account": func(c *callback.Config) { c.AppID = "wxsomebodyelse" },
		"encrypted with another key":    func(c *callback.Config) { c.AESKeys = []string{"B" + aesKey[1:]} },
		"nothing wrong":                 func(*callback.Config) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, simulator.ModeSafe, simulator.Options{})
			wrong := d.cfg
			change(&wrong)
			d.answer = func(_ int, e callback.Event, p callback.Push) (int, []byte) {
				body, err := callback.RenderReply(&wrong, callback.ReplyMeta{
					To: e.FromUser, From: e.ToUser, Now: start, Nonce: p.Nonce, Encrypted: true,
				}, callback.ReplyText{Content: "x"})
				if err != nil {
					return http.StatusInternalServerError, nil
				}
				return http.StatusOK, body
			}
			push, err := d.w.sim.Text(t.Context(), d.w.fan(), "hi")
			require.NoError(t, err)
			want := simulator.OutcomeUnavailable
			if name == "nothing wrong" {
				want = simulator.OutcomeReplied
			}
			require.Equal(t, want, push.Outcome, push.Reason)
		})
	}
}
