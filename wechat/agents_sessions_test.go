package wechat_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestASessionSwallowsWhatTheFanWritesAndIsRecorded(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	fan := d.fans(1)[0]
	none, err := d.client.AgentSessionOf(ctx, d.acc, fan)
	require.NoError(t, err)
	require.Equal(t, wechat.AgentSession{OpenID: fan}, none)
	requireCode(t, 65413, d.client.CloseAgentSession(ctx, d.acc, agentOne, fan))
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentOne, fan))
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentOne, fan)) // it is open
	requireCode(t, 65414, d.client.OpenAgentSession(ctx, d.acc, agentTwo, fan))
	requireCode(t, 65414, d.client.CloseAgentSession(ctx, d.acc, agentTwo, fan))
	since := d.clock.Now()
	d.clock.Advance(time.Minute)
	push, err := d.sim.Text(ctx, fan, "你好，有什么事情？")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeSwallowed, push.Outcome)
	_, err = d.sim.Do(ctx, simulator.Act{OpenID: fan, Kind: simulator.ActImage})
	require.NoError(t, err)
	require.NoError(t, d.sim.AgentSays(fan, "您好，客服test1为您服务。"))

	session, err := d.client.AgentSessionOf(ctx, d.acc, fan)
	require.NoError(t, err)
	require.Equal(t, wechat.AgentSession{OpenID: fan, Agent: agentOne, Since: since}, session)
	sessions, err := d.client.AgentSessions(ctx, d.acc, agentOne)
	require.NoError(t, err)
	require.Equal(t, []wechat.AgentSession{session}, sessions)
	online, err := d.client.OnlineAgents(ctx, d.acc)
	require.NoError(t, err)
	require.Equal(t, 1, online[0].Sessions)

	require.NoError(t, d.client.CloseAgentSession(ctx, d.acc, agentOne, fan))
	push, err = d.sim.Text(ctx, fan, "bye")
	require.NoError(t, err)
	require.NotEqual(t, simulator.OutcomeSwallowed, push.Outcome)
	require.Equal(t, []string{"kf_create_session " + agentOne, "kf_close_session " + agentOne}, d.sessionEvents(fan))

	at := d.clock.Now()
	page, err := d.client.ChatRecords(ctx, d.acc, wechat.ChatQuery{From: at.Add(-time.Hour), To: at})
	require.NoError(t, err)
	require.Equal(t, []wechat.ChatRecord{
		{OpenID: fan, Agent: agentOne, Text: "你好，有什么事情？", At: at, Operation: wechat.OperationFan},
		{OpenID: fan, Agent: agentOne, Text: "[image]", At: at, Operation: wechat.OperationFan},
		{OpenID: fan, Agent: agentOne, Text: "您好，客服test1为您服务。", At: at, Operation: wechat.OperationAgent},
	}, page.Records)
	require.False(t, page.More)
}

func TestASessionThatNobodyTouchesEndsAfterHalfAnHour(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	fan := d.fans(1)[0]
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentOne, fan))
	d.clock.Advance(30*time.Minute - time.Millisecond)
	session, err := d.client.AgentSessionOf(ctx, d.acc, fan)
	require.NoError(t, err)
	require.Equal(t, agentOne, session.Agent)
	d.clock.Advance(time.Millisecond)
	session, err = d.client.AgentSessionOf(ctx, d.acc, fan)
	require.NoError(t, err)
	require.Empty(t, session.Agent)
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentTwo, fan))
	require.Equal(t, []string{
		"kf_create_session " + agentOne, "kf_close_session " + agentOne, "kf_create_session " + agentTwo,
	}, d.sessionEvents(fan))
}

func TestWhoCannotBeGivenToAnAgent(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	stranger, err := d.sim.AddFan(d.acc.AppID, simulator.NewFan{})
	require.NoError(t, err)
	requireCode(t, 43004, d.client.OpenAgentSession(ctx, d.acc, agentOne, stranger))
	requireCode(t, 40003, d.client.OpenAgentSession(ctx, d.acc, agentOne, "nobody"))
	_, err = d.client.AgentSessionOf(ctx, d.acc, "nobody")
	requireCode(t, 40003, err)
	require.NoError(t, d.sim.SetAgentOnline(d.acc.AppID, agentOne, false))
	require.Error(t, d.sim.SetAgentOnline(d.acc.AppID, "nobody@test", false))
	require.Equal(t, []string{agentTwo}, d.online())
	requireCode(t, 65415, d.client.OpenAgentSession(ctx, d.acc, agentOne, d.fans(1)[0]))
	requireBadField(t, "openid", "required", d.client.OpenAgentSession(ctx, d.acc, agentOne, ""))
	_, err = d.client.AgentSessionOf(ctx, d.acc, "")
	requireBadField(t, "openid", "required", err)
	_, err = d.client.AgentSessions(ctx, d.acc, "x")
	requireBadField(t, "kf_account", "kf_account", err)
	code, _ := d.raw(http.MethodGet, simulator.PathSessionList+"?kf_account="+agentOne+"&x=1", "")
	require.Equal(t, 40097, code)
}

func TestFansWaitInTheQueueWhileNobodyIsOnline(t *testing.T) {
	t.Parallel()
	transfer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fan := r.URL.Query().Get("openid")
		fmt.Fprintf(w, `<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[gh_desk]]></FromUserName>`+
			`<CreateTime>1</CreateTime><MsgType><![CDATA[transfer_customer_service]]></MsgType></xml>`, fan)
	})
	d := newDesk(t, nil)
	d.sim = simulator.New(simulator.Options{Clock: d.clock, Push: simulator.HandlerTransport(transfer)})
	t.Cleanup(d.sim.Close)
	require.NoError(t, d.sim.AddAccount(simulator.Account{
		AppID: d.acc.AppID, Secret: d.acc.Secret, OriginalID: "gh_desk", Verified: true, Agents: []string{agentOne, agentTwo},
		Callback: simulator.Callback{URL: "http://callback.example.com/", Token: "token"},
	}))
	d.client = wechat.New(wechat.Options{Transport: d.sim.RoundTripper(), Clock: d.clock})
	ctx, fans := t.Context(), d.fans(102)
	for _, agent := range []string{agentOne, agentTwo} {
		require.NoError(t, d.sim.SetAgentOnline(d.acc.AppID, agent, false))
	}
	for _, fan := range fans[:101] {
		_, err := d.sim.Text(ctx, fan, "is anybody there?")
		require.NoError(t, err)
		d.clock.Advance(time.Second)
	}
	waiting, err := d.client.WaitingFans(ctx, d.acc)
	require.NoError(t, err)
	require.Equal(t, 101, waiting.Count)
	require.Len(t, waiting.Fans, 100)
	require.Equal(t, fans[0], waiting.Fans[0].OpenID)
	require.Equal(t, d.clock.Now().Add(-101*time.Second), waiting.Fans[0].Since)

	require.NoError(t, d.sim.SetAgentOnline(d.acc.AppID, agentTwo, true))
	push, err := d.sim.Text(ctx, fans[101], "hi")
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeTransferred, push.Outcome)
	session, err := d.client.AgentSessionOf(ctx, d.acc, fans[101])
	require.NoError(t, err)
	require.Equal(t, agentTwo, session.Agent)
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentTwo, fans[0]))
	waiting, err = d.client.WaitingFans(ctx, d.acc)
	require.NoError(t, err)
	require.Equal(t, 100, waiting.Count)
	require.Equal(t, fans[1], waiting.Fans[0].OpenID)
}

func TestSessionsAndRecordsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	ctx, acc := t.Context(), wechat.Account{AppID: "wx1", Secret: "s"}
	at := time.Unix(123456789, 0).UTC()
	platform, client := cannedClient(`{"createtime":123456789,"errcode":0,"errmsg":"ok","kf_account":"test1@test"}`)
	session, err := client.AgentSessionOf(ctx, acc, "O1")
	require.NoError(t, err)
	require.Equal(t, wechat.AgentSession{OpenID: "O1", Agent: "test1@test", Since: at}, session)
	require.Equal(t, []string{"GET /customservice/kfsession/getsession openid=O1"}, platform.calls)

	platform, client = cannedClient(`{"sessionlist":[{"createtime":123456789,"openid":"O1"},{"createtime":123456789,"openid":"O2"}]}`)
	sessions, err := client.AgentSessions(ctx, acc, "test1@test")
	require.NoError(t, err)
	require.Equal(t, []wechat.AgentSession{{"O1", "test1@test", at}, {"O2", "test1@test", at}}, sessions)
	require.Equal(t, []string{"GET /customservice/kfsession/getsessionlist kf_account=test1%40test"}, platform.calls)

	platform, client = cannedClient(`{"count":150,"waitcaselist":[{"latest_time":123456789,"openid":"O1"}]}`)
	waiting, err := client.WaitingFans(ctx, acc)
	require.NoError(t, err)
	require.Equal(t, wechat.WaitingFans{Count: 150, Fans: []wechat.WaitingFan{{"O1", at}}}, waiting)
	require.Equal(t, []string{"GET /customservice/kfsession/getwaitcase"}, platform.calls)

	platform, client = cannedClient(`{"recordlist":[
		{"openid":"oDF3","opercode":2002,"text":" 您好，客服test1为您服务。","time":1400563710,"worker":"test1@test"},
		{"openid":"oDF3","opercode":2003,"text":"你好，有什么事情？","time":1400563731,"worker":"test1@test"}],"number":2,"msgid":20165267}`)
	query := wechat.ChatQuery{From: time.Unix(987654321, 0), To: time.Unix(987654322, 0)}
	page, err := client.ChatRecords(ctx, acc, query)
	require.NoError(t, err)
	require.Equal(t, []string{
		`POST /customservice/msgrecord/getmsglist  {"starttime":987654321,"endtime":987654322,"msgid":1,"number":10000}`,
	}, platform.calls)
	require.Equal(t, wechat.ChatPage{Next: 20165267, Records: []wechat.ChatRecord{
		{"oDF3", "test1@test", " 您好，客服test1为您服务。", time.Unix(1400563710, 0).UTC(), 2002},
		{"oDF3", "test1@test", "你好，有什么事情？", time.Unix(1400563731, 0).UTC(), 2003},
	}}, page)
	query.Limit = 2
	page, err = client.ChatRecords(ctx, acc, query)
	require.NoError(t, err)
	require.True(t, page.More)
	query.Cursor = page.Next
	_, err = client.ChatRecords(ctx, acc, query) // the cursor stands still
	requireLost(t, err)
	_, client = cannedClient(`{}`)
	_, err = client.ChatRecords(ctx, acc, query)
	requireLost(t, err)
	_, err = client.AgentSessionOf(ctx, acc, "O1")
	requireLost(t, err)
}

func TestChatRecordsCome10000AtATimeOf24Hours(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	fan := d.fans(1)[0]
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, agentOne, fan))
	for i := range 7 {
		_, err := d.sim.Text(ctx, fan, strconv.Itoa(i))
		require.NoError(t, err)
		d.clock.Advance(time.Second)
	}
	to := d.clock.Now()
	q := wechat.ChatQuery{From: to.Add(-wechat.MaxChatRange), To: to, Limit: 3}
	var texts, pages []string
	for {
		page, err := d.client.ChatRecords(ctx, d.acc, q)
		require.NoError(t, err)
		for _, r := range page.Records {
			texts = append(texts, r.Text)
		}
		pages = append(pages, strconv.Itoa(len(page.Records)))
		if !page.More {
			break
		}
		q.Cursor = page.Next
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6"}, texts)
	require.Equal(t, []string{"3", "3", "1"}, pages)

	q = wechat.ChatQuery{From: to.Add(-wechat.MaxChatRange - time.Second), To: to}
	_, err := d.client.ChatRecords(ctx, d.acc, q)
	requireBadField(t, "endtime", "range", err)
	_, err = d.client.ChatRecords(ctx, d.acc, wechat.ChatQuery{From: to, To: to})
	requireBadField(t, "endtime", "order", err)
	for _, limit := range []int{-1, wechat.MaxChatRecords + 1} {
		_, err = d.client.ChatRecords(ctx, d.acc, wechat.ChatQuery{From: to.Add(-time.Hour), To: to, Limit: limit})
		requireBadField(t, "number", "range", err)
	}
	_, err = d.client.ChatRecords(ctx, d.acc, wechat.ChatQuery{From: to.Add(-time.Hour), To: to, Cursor: -1})
	requireBadField(t, "msgid", "range", err)
	for body, want := range map[string]int{
		`{"starttime":1000,"endtime":87400,"msgid":1,"number":10000}`:         0,
		`{"starttime":1000,"endtime":87401,"msgid":1,"number":10000}`:         65417,
		`{"starttime":1000,"endtime":1000,"msgid":1,"number":10000}`:          65416,
		`{"starttime":1000,"endtime":2000,"msgid":1,"number":10001}`:          65416,
		`{"starttime":1000,"endtime":2000,"msgid":0,"number":1}`:              65416,
		`{"starttime":1000,"endtime":2000,"msgid":1}`:                         65416,
		`{"starttime":1000,"endtime":2000,"msgid":1,"number":"1"}`:            47001,
		`{"starttime":1000,"endtime":2000,"msgid":1,"number":null}`:           47001,
		`{"starttime":1000,"endtime":2000,"msgid":1,"number":1,"pagesize":1}`: 40097,
	} {
		code, answer := d.raw(http.MethodPost, simulator.PathChatRecords, body)
		require.Equal(t, want, code, "%s: %s", body, answer)
	}
}

func TestChatRecordsMayBeAskedFor5000TimesADay(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	budget, err := d.client.Budget(ctx, d.acc, simulator.PathChatRecords)
	require.NoError(t, err)
	require.Equal(t, 5_000, budget.Daily)
	require.NoError(t, d.sim.SetLimit(d.acc.AppID, simulator.PathChatRecords, simulator.Limit{Daily: 1}))
	q := wechat.ChatQuery{From: d.clock.Now().Add(-time.Hour), To: d.clock.Now()}
	_, err = d.client.ChatRecords(ctx, d.acc, q)
	require.NoError(t, err)
	_, err = d.client.ChatRecords(ctx, d.acc, q)
	requireCode(t, 45009, err)
}

func TestOnlyVerifiedAccountsMayHaveAgents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	unverified := newDesk(t, func(a *simulator.Account) { a.Verified = false })
	_, err := unverified.client.Agents(ctx, unverified.acc)
	requireCode(t, 48001, err)
	d := newDesk(t, func(a *simulator.Account) { a.Type = simulator.Subscription })
	_, err = d.client.Agents(ctx, d.acc)
	require.NoError(t, err)
	require.NoError(t, d.sim.SetSwitches(simulator.Switches{AgentsServiceOnly: true}))
	_, err = d.client.Agents(ctx, d.acc)
	requireCode(t, 48001, err)
}

func TestAgentsAndSessionsOverARealConnection(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	server := httptest.NewServer(d.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	client := wechat.New(wechat.Options{Transport: transport, Clock: d.clock})
	d.acc.BaseURL = server.URL
	fan := d.fans(1)[0]
	require.NoError(t, client.AddAgent(ctx, d.acc, "new@test", "小雁"))
	require.NoError(t, client.SetAgentAvatar(ctx, d.acc, "new@test", jpeg(5_000)))
	require.NoError(t, client.OpenAgentSession(ctx, d.acc, agentOne, fan))
	session, err := client.AgentSessionOf(ctx, d.acc, fan)
	require.NoError(t, err)
	require.Equal(t, agentOne, session.Agent)
	require.NoError(t, d.sim.Wait(ctx))
}

func FuzzAnswersAboutAgents(f *testing.F) {
	f.Add(`{"kf_list":[{"kf_account":"a@b","kf_id":1,"invite_status":"waiting","invite_expire_time":-1}]}`)
	f.Add(`{"recordlist":[{"openid":"o","opercode":2002,"time":9e99}],"number":1,"msgid":5}`)
	f.Add(`{"kf_id":{}}`)
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	f.Fuzz(func(t *testing.T, answer string) {
		_, client := cannedClient(answer)
		ctx := t.Context()
		_, err := client.Agents(ctx, acc)
		require.NotEqual(t, wechat.OutcomeNotSent, wechat.OutcomeOf(err))
		q := wechat.ChatQuery{From: time.Unix(1, 0), To: time.Unix(2, 0), Limit: 1}
		page, err := client.ChatRecords(ctx, acc, q)
		if err == nil && page.More {
			require.Greater(t, page.Next, int64(1))
		}
		for _, do := range []func() error{
			func() error { _, err := client.OnlineAgents(ctx, acc); return err },
			func() error { _, err := client.AgentSessions(ctx, acc, "a@b"); return err },
			func() error { _, err := client.WaitingFans(ctx, acc); return err },
		} {
			require.NotEqual(t, wechat.OutcomeNotSent, wechat.OutcomeOf(do()))
		}
	})
}
