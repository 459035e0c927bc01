package wechat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

const (
	agentOne = "test1@test"
	agentTwo = "test2@test"
)

// desk is a verified service account with two agents on a clock moved by hand.
type desk struct {
	t      *testing.T
	sim    *simulator.Simulator
	clock  *clock.Manual
	client *wechat.Client
	acc    wechat.Account
}

func newDesk(t *testing.T, change func(*simulator.Account)) *desk {
	t.Helper()
	d := &desk{t: t, clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))}
	d.acc = wechat.Account{ID: 7, AppID: "wxdesk", Secret: "s3cret-of-desk"}
	d.sim = simulator.New(simulator.Options{Clock: d.clock})
	t.Cleanup(d.sim.Close)
	account := simulator.Account{AppID: d.acc.AppID, Secret: d.acc.Secret, Verified: true, Agents: []string{agentOne, agentTwo}}
	if change != nil {
		change(&account)
	}
	require.NoError(t, d.sim.AddAccount(account))
	d.client = wechat.New(wechat.Options{Transport: d.sim.RoundTripper(), Clock: d.clock})
	return d
}

func (d *desk) fans(n int) []string {
	d.t.Helper()
	out, err := d.sim.AddFans(d.acc.AppID, n, true)
	require.NoError(d.t, err)
	return out
}

// raw makes a call that the client would not make and returns errcode and answer.
func (d *desk) raw(method, path, body string) (int, string) {
	d.t.Helper()
	token, err := d.client.Token(d.t.Context(), d.acc)
	require.NoError(d.t, err)
	address := wechat.DefaultBaseURL + path + "?access_token=" + token
	if path, query, ok := strings.Cut(path, "?"); ok {
		address = wechat.DefaultBaseURL + path + "?access_token=" + token + "&" + query
	}
	return d.bare(method, address, body)
}

// bare is raw without an access token.
func (d *desk) bare(method, address, body string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, address, strings.NewReader(body))
	require.NoError(d.t, err)
	resp, err := d.sim.RoundTripper().RoundTrip(req)
	require.NoError(d.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	require.NoError(d.t, resp.Body.Close())
	var out struct {
		ErrCode int `json:"errcode"`
	}
	require.NoError(d.t, json.Unmarshal(raw, &out), "%s", raw)
	return out.ErrCode, string(raw)
}

// canned is a platform that answers every call but those for a token with one body.
type canned struct {
	answer string

	mu    sync.Mutex
	calls []string // method, path, query without the token, body
}

func (p *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/stable_token") {
		return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	query.Del("access_token")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, strings.TrimSpace(strings.Join([]string{r.Method, r.URL.Path, query.Encode(), string(body)}, " ")))
	return saysJSON(p.answer), nil
}

func cannedClient(answer string) (*canned, *wechat.Client) {
	p := &canned{answer: answer}
	return p, wechat.New(wechat.Options{Transport: p, Clock: clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))})
}

func requireLost(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), err.Error())
}

// jpeg is a file that is a JPEG by its first bytes and has n of them.
func jpeg(n int) wechat.File {
	body := make([]byte, n)
	copy(body, "\xff\xd8\xff\xe0\x00\x10JFIF\x00")
	return wechat.File{Name: "head.jpg", Body: body}
}

func TestCallsAboutAgentsLookAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	cases := []struct {
		name string
		call func(context.Context, *wechat.Client) error
		want string
	}{
		{"add", func(ctx context.Context, c *wechat.Client) error {
			return c.AddAgent(ctx, acc, "test1@test", "客服1")
		},
			`POST /customservice/kfaccount/add  {"kf_account":"test1@test","nickname":"客服1"}`},
		{"update", func(ctx context.Context, c *wechat.Client) error { return c.RenameAgent(ctx, acc, "test1@test", "A&B") },
			`POST /customservice/kfaccount/update  {"kf_account":"test1@test","nickname":"A&B"}`},
		{"del", func(ctx context.Context, c *wechat.Client) error { return c.DeleteAgent(ctx, acc, "test1@test") },
			`POST /customservice/kfaccount/del  {"kf_account":"test1@test"}`},
		{"invite", func(ctx context.Context, c *wechat.Client) error {
			return c.InviteAgent(ctx, acc, "test1@test", "test_kfwx")
		}, `POST /customservice/kfaccount/inviteworker  {"kf_account":"test1@test","invite_wx":"test_kfwx"}`},
		{"open", func(ctx context.Context, c *wechat.Client) error {
			return c.OpenAgentSession(ctx, acc, "test1@test", "OPENID")
		}, `POST /customservice/kfsession/create  {"kf_account":"test1@test","openid":"OPENID"}`},
		{"close", func(ctx context.Context, c *wechat.Client) error {
			return c.CloseAgentSession(ctx, acc, "test1@test", "OPENID")
		}, `POST /customservice/kfsession/close  {"kf_account":"test1@test","openid":"OPENID"}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			platform, client := cannedClient(`{"errcode":0,"errmsg":"ok"}`)
			require.NoError(t, c.call(t.Context(), client))
			require.Equal(t, []string{c.want}, platform.calls)
			_, client = cannedClient(`{}`)
			requireLost(t, c.call(t.Context(), client)) // without errcode it proves nothing
		})
	}
}

func TestListsOfAgentsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	acc := wechat.Account{AppID: "wx1", Secret: "s"}
	platform, client := cannedClient(`{"kf_list":[
		{"kf_account":"test1@test","kf_headimgurl":"http://mmbiz.qpic.cn/x","kf_id":"1001","kf_nick":"ntest1","kf_wx":"kfwx1"},
		{"kf_account":"test3@test","kf_headimgurl":"","kf_id":1003,"kf_nick":"ntest3",
		 "invite_wx":"kfwx3","invite_expire_time":1456390800,"invite_status":"waiting"}]}`)
	agents, err := client.Agents(t.Context(), acc)
	require.NoError(t, err)
	require.Equal(t, []string{"GET /cgi-bin/customservice/getkflist"}, platform.calls)
	require.Equal(t, []wechat.Agent{
		{Account: "test1@test", Nick: "ntest1", ID: "1001", AvatarURL: "http://mmbiz.qpic.cn/x", WeChatID: "kfwx1"},
		{Account: "test3@test", Nick: "ntest3", ID: "1003", Invitation: &wechat.AgentInvitation{
			WeChatID: "kfwx3", Status: "waiting", Expires: time.Unix(1456390800, 0).UTC(),
		}},
	}, agents)

	platform, client = cannedClient(`{"kf_online_list":[{"kf_account":"test1@test","status":1,"kf_id":"1001","accepted_case":3}]}`)
	online, err := client.OnlineAgents(t.Context(), acc)
	require.NoError(t, err)
	require.Equal(t, []string{"GET /cgi-bin/customservice/getonlinekflist"}, platform.calls)
	require.Equal(t, []wechat.OnlineAgent{{Account: "test1@test", ID: "1001", Status: 1, Sessions: 3}}, online)
}

func TestAnAgentIsAddedInvitedAndDeleted(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	require.NoError(t, d.client.AddAgent(ctx, d.acc, "new@test", "小雁"))
	requireCode(t, 65406, d.client.AddAgent(ctx, d.acc, "new@test", "小雁"))
	require.NoError(t, d.client.RenameAgent(ctx, d.acc, "new@test", "大雁"))
	require.NoError(t, d.client.SetAgentAvatar(ctx, d.acc, "new@test", jpeg(2_000)))
	fan := d.fans(1)[0]
	requireCode(t, 65402, d.client.OpenAgentSession(ctx, d.acc, "new@test", fan))

	require.NoError(t, d.client.InviteAgent(ctx, d.acc, "new@test", "person_1"))
	requireCode(t, 65411, d.client.InviteAgent(ctx, d.acc, "new@test", "person_2"))
	require.NoError(t, d.client.AddAgent(ctx, d.acc, "other@test", "x"))
	requireCode(t, 65408, d.client.InviteAgent(ctx, d.acc, "other@test", "person_1"))
	agent := d.agent("new@test")
	require.Equal(t, "大雁", agent.Nick)
	require.Contains(t, agent.AvatarURL, "http://")
	require.Equal(t, &wechat.AgentInvitation{WeChatID: "person_1", Status: "waiting", Expires: d.clock.Now().Add(24 * time.Hour)}, agent.Invitation)
	require.NotContains(t, d.online(), "new@test")

	require.NoError(t, d.sim.AnswerInvitation(d.acc.AppID, "new@test", true))
	require.Error(t, d.sim.AnswerInvitation(d.acc.AppID, "new@test", true))
	agent = d.agent("new@test")
	require.Nil(t, agent.Invitation)
	require.Equal(t, "person_1", agent.WeChatID)
	require.Contains(t, d.online(), "new@test")
	requireCode(t, 65412, d.client.InviteAgent(ctx, d.acc, "new@test", "person_3"))
	requireCode(t, 65407, d.client.InviteAgent(ctx, d.acc, "other@test", "person_1"))
	requireCode(t, 65409, d.client.InviteAgent(ctx, d.acc, "other@test", "1"))

	_, err := d.sim.Text(ctx, fan, "hi")
	require.NoError(t, err)
	message := wechat.TextMessage("under a name")
	message.KfAccount = "new@test"
	require.NoError(t, d.client.SendKefu(ctx, d.acc, fan, message))
	require.NoError(t, d.client.OpenAgentSession(ctx, d.acc, "new@test", fan))
	require.NoError(t, d.client.DeleteAgent(ctx, d.acc, "new@test"))
	requireCode(t, 65401, d.client.DeleteAgent(ctx, d.acc, "new@test"))
	requireCode(t, 65401, d.client.SendKefu(ctx, d.acc, fan, message))
	require.Equal(t, []string{"kf_create_session new@test", "kf_close_session new@test"}, d.sessionEvents(fan))
	for _, do := range []func() error{
		func() error { return d.client.RenameAgent(ctx, d.acc, "new@test", "x") },
		func() error { return d.client.SetAgentAvatar(ctx, d.acc, "new@test", jpeg(100)) },
		func() error { return d.client.InviteAgent(ctx, d.acc, "new@test", "person_9") },
		func() error { return d.client.OpenAgentSession(ctx, d.acc, "new@test", fan) },
		func() error { _, err := d.client.AgentSessions(ctx, d.acc, "new@test"); return err },
	} {
		requireCode(t, 65401, do())
	}
}

func (d *desk) agent(account string) wechat.Agent {
	d.t.Helper()
	agents, err := d.client.Agents(d.t.Context(), d.acc)
	require.NoError(d.t, err)
	for _, a := range agents {
		if a.Account == account {
			return a
		}
	}
	require.Fail(d.t, "no agent "+account)
	return wechat.Agent{}
}

func (d *desk) online() (out []string) {
	d.t.Helper()
	agents, err := d.client.OnlineAgents(d.t.Context(), d.acc)
	require.NoError(d.t, err)
	for _, a := range agents {
		out = append(out, a.Account)
	}
	return out
}

// sessionEvents are the events about a fan's sessions, once all have arrived.
func (d *desk) sessionEvents(fan string) (out []string) {
	d.t.Helper()
	require.NoError(d.t, d.sim.Wait(d.t.Context()))
	for _, p := range d.sim.Pushes(fan) {
		if _, rest, ok := strings.Cut(p.Body, "<KfAccount><![CDATA["); ok {
			agent, _, _ := strings.Cut(rest, "]]")
			require.Contains(d.t, p.Body, "<Event><![CDATA["+string(p.Act)+"]]></Event>")
			out = append(out, string(p.Act)+" "+agent)
		}
	}
	return out
}

func TestAnInvitationIsRejectedOrExpiresAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	require.NoError(t, d.client.AddAgent(ctx, d.acc, "new@test", "x"))
	require.NoError(t, d.client.InviteAgent(ctx, d.acc, "new@test", "person_1"))
	require.NoError(t, d.sim.AnswerInvitation(d.acc.AppID, "new@test", false))
	require.Equal(t, "rejected", d.agent("new@test").Invitation.Status)
	require.NoError(t, d.client.InviteAgent(ctx, d.acc, "new@test", "person_2"))
	require.Equal(t, "waiting", d.agent("new@test").Invitation.Status)
	d.clock.Advance(24 * time.Hour)
	require.Equal(t, "expired", d.agent("new@test").Invitation.Status)
	require.Error(t, d.sim.AnswerInvitation(d.acc.AppID, "new@test", true))
	require.NoError(t, d.client.InviteAgent(ctx, d.acc, "new@test", "person_2"))
}

func TestAnAccountMayHave100Agents(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	for i := range wechat.MaxAgents - 2 {
		require.NoError(t, d.client.AddAgent(ctx, d.acc, fmt.Sprintf("a%d@test", i), "x"))
	}
	requireCode(t, 65405, d.client.AddAgent(ctx, d.acc, "last@test", "x"))
	agents, err := d.client.Agents(ctx, d.acc)
	require.NoError(t, err)
	require.Len(t, agents, wechat.MaxAgents)
}

func TestAnAgentsNameAndNicknameHaveBounds(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	nick := strings.Repeat("雁", wechat.MaxAgentNick)
	require.NoError(t, d.client.AddAgent(ctx, d.acc, "a234567890@test", nick))
	require.NoError(t, d.client.RenameAgent(ctx, d.acc, agentOne, nick))
	add := func(account, nick string) error { return d.client.AddAgent(ctx, d.acc, account, nick) }
	requireBadField(t, "kf_account", "kf_account", add("a2345678901@test", "x"))
	requireBadField(t, "kf_account", "kf_account", add("a_b@test", "x"))
	requireBadField(t, "kf_account", "kf_account", add("test", "x"))
	requireBadField(t, "nickname", "characters", add("a@test", nick+"雁"))
	requireBadField(t, "nickname", "required", add("a@test", ""))
	requireBadField(t, "nickname", "characters", d.client.RenameAgent(ctx, d.acc, agentOne, nick+"雁"))
	requireBadField(t, "kf_account", "kf_account", d.client.RenameAgent(ctx, d.acc, "test1", "x"))
	requireBadField(t, "kf_account", "kf_account", d.client.DeleteAgent(ctx, d.acc, "@test"))
	requireBadField(t, "invite_wx", "required", d.client.InviteAgent(ctx, d.acc, agentOne, " "))
	requireCode(t, 65404, add("a@other", "x"))
	cases := []struct {
		path, body string
		want       int
	}{
		{simulator.PathAgentAdd, `{"kf_account":"a2345678901@test","nickname":"x"}`, 65404},
		{simulator.PathAgentAdd, `{"kf_account":"a_b@test","nickname":"x"}`, 65404},
		{simulator.PathAgentAdd, `{"kf_account":"ab","nickname":"x"}`, 65404},
		{simulator.PathAgentAdd, `{"kf_account":"ab@test","nickname":"` + nick + `1"}`, 65403},
		{simulator.PathAgentAdd, `{"kf_account":"ab@test","nickname":""}`, 65403},
		{simulator.PathAgentAdd, `{"kf_account":"ab@test"}`, 40035},
		{simulator.PathAgentAdd, `{"kf_account":"ab@test","nickname":"x","password":"y"}`, 40097},
		{simulator.PathAgentAdd, `{"kf_account":1,"nickname":"x"}`, 47001},
		{simulator.PathAgentAdd, `[]`, 47001},
		{simulator.PathAgentAdd, ``, 44002},
		{simulator.PathAgentUpdate, `{"kf_account":"test1@test","nickname":"` + nick + `1"}`, 65403},
		{simulator.PathAgentUpdate, `{"kf_account":"nobody@test","nickname":"x"}`, 65401},
	}
	for _, c := range cases {
		code, answer := d.raw(http.MethodPost, c.path, c.body)
		require.Equal(t, c.want, code, "%s %s: %s", c.path, c.body, answer)
	}
	code, _ := d.raw(http.MethodGet, simulator.PathAgentDelete, "")
	require.Equal(t, 43002, code)
}

func TestAnAgentsPictureIsAJPEGOfUpTo5MB(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, nil), t.Context()
	require.NoError(t, d.client.SetAgentAvatar(ctx, d.acc, agentOne, jpeg(wechat.MaxAgentAvatar)))
	nameless := jpeg(100)
	nameless.Name = "picture"
	require.NoError(t, d.client.SetAgentAvatar(ctx, d.acc, agentOne, nameless))
	requireBadField(t, "media", "file_bytes", d.client.SetAgentAvatar(ctx, d.acc, agentOne, jpeg(wechat.MaxAgentAvatar+1)))
	png := wechat.File{Name: "a.jpg", Body: []byte("\x89PNG\x0d\x0a\x1a\x0a0000")}
	requireBadField(t, "media", "jpeg", d.client.SetAgentAvatar(ctx, d.acc, agentOne, png))
	form := func(file wechat.File, field, name string) int {
		t.Helper()
		token, err := d.client.Token(ctx, d.acc)
		require.NoError(t, err)
		body := "--b\r\nContent-Disposition: form-data; name=\"" + field + "\"; filename=\"" + name + "\"\r\n\r\n" + string(file.Body) + "\r\n--b--\r\n"
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, wechat.DefaultBaseURL+simulator.PathAgentAvatar+
			"?kf_account="+url.QueryEscape(agentOne)+"&access_token="+token, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		resp, err := d.sim.RoundTripper().RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		var out struct{ Errcode int }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
		return out.Errcode
	}
	require.Equal(t, 0, form(jpeg(100), "media", "a.jpg"))
	require.Equal(t, 40009, form(jpeg(wechat.MaxAgentAvatar+1), "media", "a.jpg"))
	require.Equal(t, 40137, form(png, "media", "a.jpg"))
	require.Equal(t, 40005, form(jpeg(100), "media", "a.png"))
	require.Equal(t, 40097, form(jpeg(100), "picture", "a.jpg"))
	code, _ := d.raw(http.MethodPost, simulator.PathAgentAvatar+"?kf_account="+agentOne, "no form")
	require.Equal(t, 41005, code)
}
