package sdktest

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/openplatform"
	openconfig "github.com/silenceper/wechat/v2/openplatform/config"
	"github.com/stretchr/testify/require"

	platformclient "hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestSilenceperLetsPeopleIn(t *testing.T) {
	w := loose(t)
	require.NoError(t, w.sim.SetWebDomains(appID, pageHost))
	require.NoError(t, w.sim.SetWebVisitor(appID, simulator.WebVisitor{OpenID: w.fan}))
	oauth := silenceperAccount(true).GetOauth()
	address, err := oauth.GetRedirectURL("https://"+pageHost+"/in?a=1", "snsapi_userinfo", "st")
	require.NoError(t, err)
	back, err := url.Parse(w.browse(address))
	require.NoError(t, err)
	require.Equal(t, "st", back.Query().Get("state"))
	token, err := oauth.GetUserAccessToken(back.Query().Get("code"))
	require.NoError(t, err)
	require.Equal(t, w.fan, token.OpenID)
	require.Equal(t, "snsapi_userinfo", token.Scope)
	good, err := oauth.CheckAccessToken(token.AccessToken, w.fan)
	require.NoError(t, err)
	require.True(t, good)
	info, err := oauth.GetUserInfo(token.AccessToken, w.fan, "zh_CN")
	require.NoError(t, err)
	require.Equal(t, w.fan, info.OpenID)
	require.NotEmpty(t, info.Nickname)
	renewed, err := oauth.RefreshAccessToken(token.RefreshToken)
	require.NoError(t, err)
	require.Equal(t, w.fan, renewed.OpenID)
	_, err = oauth.GetUserAccessToken(back.Query().Get("code"))
	w.refused(err, simulator.PathPersonToken, 40163)
}

func TestSilenceperSignsPages(t *testing.T) {
	w := loose(t)
	require.NoError(t, w.sim.SetJSDomains(appID, pageHost))
	page := "https://" + pageHost + "/a?b=c"
	cfg, err := silenceperAccount(true).GetJs().GetConfig(page)
	require.NoError(t, err)
	require.NoError(t, w.sim.CheckJSConfig(page, platformclient.JSConfig{
		AppID: cfg.AppID, Timestamp: cfg.Timestamp, Nonce: cfg.NonceStr, Signature: cfg.Signature,
	}))
}

func TestSilenceperReadsStatistics(t *testing.T) {
	w := loose(t)
	cube := silenceperAccount(true).GetDataCube()
	strangers, err := w.sim.AddFans(appID, 1, false)
	require.NoError(t, err)
	_, err = w.sim.Follow(t.Context(), strangers[0], "")
	require.NoError(t, err)
	w.clock.Advance(24 * time.Hour)
	const day = "2026-03-02"
	sum, err := cube.GetUserSummary(day, day)
	require.NoError(t, err)
	require.Equal(t, 1, sum.List[0].NewUser)
	all, err := cube.GetUserAccumulate(day, day)
	require.NoError(t, err)
	require.Equal(t, 2, all.List[0].CumulateUser)
	require.Equal(t, day, all.List[0].RefDate)
	messages, err := cube.GetUpstreamMsg(day, day)
	require.NoError(t, err)
	require.Equal(t, 1, messages.List[0].MsgCount)
	require.Equal(t, 1, messages.List[0].MsgType)
	hours, err := cube.GetUpstreamMsgHour(day, day)
	require.NoError(t, err)
	require.Equal(t, 900, hours.List[0].RefHour)
	dist, err := cube.GetUpstreamMsgDist(day, day)
	require.NoError(t, err)
	require.Len(t, dist.List, 1)
	for name, call := range map[string]func(string, string) error{
		"interface":      func(b, e string) error { _, err := cube.GetInterfaceSummary(b, e); return err },
		"interface hour": func(b, e string) error { _, err := cube.GetInterfaceSummaryHour(b, e); return err },
		"article":        func(b, e string) error { _, err := cube.GetArticleSummary(b, e); return err },
		"article total":  func(b, e string) error { _, err := cube.GetArticleTotal(b, e); return err },
		"read":           func(b, e string) error { _, err := cube.GetUserRead(b, e); return err },
		"read hour":      func(b, e string) error { _, err := cube.GetUserReadHour(b, e); return err },
		"share":          func(b, e string) error { _, err := cube.GetUserShare(b, e); return err },
		"share hour":     func(b, e string) error { _, err := cube.GetUserShareHour(b, e); return err },
	} {
		require.NoError(t, call(day, day), name)
	}
	_, err = cube.GetUserSummary("2026-03-03", "2026-03-03")
	require.ErrorContains(t, err, "6150")
}

func TestSilenceperReadsPushesAndReplies(t *testing.T) {
	for _, mode := range []simulator.Mode{simulator.ModePlain, simulator.ModeSafe} {
		t.Run(string(mode), func(t *testing.T) {
			w := loose(t)
			oa := silenceperAccount(true)
			var seen []*message.MixMessage
			w.callback(mode, func(rw http.ResponseWriter, r *http.Request) {
				server := oa.GetServer(r, rw)
				server.SetMessageHandler(func(m *message.MixMessage) *message.Reply {
					seen = append(seen, m)
					if m.MsgType != message.MsgTypeText {
						return nil
					}
					return &message.Reply{MsgType: message.MsgTypeText, MsgData: message.NewText("got " + m.Content)}
				})
				if server.Serve() == nil {
					if err := server.Send(); err != nil {
						http.Error(rw, err.Error(), http.StatusInternalServerError)
					}
				}
			})
			require.NoError(t, w.sim.CheckURL(t.Context(), appID))
			push, err := w.sim.Text(t.Context(), w.fan, "你好")
			require.NoError(t, err)
			require.Equal(t, simulator.OutcomeReplied, push.Outcome)
			require.Equal(t, "got 你好", push.Reply.Content)
			require.Equal(t, w.fan, string(seen[0].FromUserName))
			require.NotZero(t, seen[0].MsgID)
			for _, act := range []simulator.Act{
				{Kind: simulator.ActClick, Key: "K"}, {Kind: simulator.ActScan, Scene: "s1"},
				{Kind: simulator.ActPlace, Latitude: 23.1, Longitude: 113.3}, {Kind: simulator.ActImage},
				{Kind: simulator.ActUnfollow},
			} {
				act.OpenID = w.fan
				_, err := w.sim.Do(t.Context(), act)
				require.NoError(t, err)
			}
			require.EqualValues(t, "CLICK", seen[1].Event)
			require.Equal(t, "K", seen[1].EventKey)
			require.EqualValues(t, "SCAN", seen[2].Event)
			require.Equal(t, "s1", seen[2].EventKey)
			require.InDelta(t, 23.1, seen[3].LocationX, 0.001)
			require.NotEmpty(t, seen[4].MediaID)
			require.EqualValues(t, "unsubscribe", seen[5].Event)
		})
	}
}

func TestSilenceperActsForAnAccount(t *testing.T) {
	w := loose(t)
	var platform *openplatform.OpenPlatform
	var events []string
	w.component(func(rw http.ResponseWriter, r *http.Request) {
		server := platform.GetServer(r, rw)
		server.SetMessageHandler(func(m *message.MixMessage) *message.Reply {
			events = append(events, string(m.InfoType))
			if m.InfoType == message.InfoTypeVerifyTicket {
				if _, err := platform.SetComponentAccessToken(r.Context(), m.ComponentVerifyTicket); err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
				}
			}
			return nil
		})
		if err := server.Serve(); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = rw.Write([]byte("success"))
	})
	platform = wechat.NewWechat().GetOpenPlatform(&openconfig.Config{
		AppID: componentID, AppSecret: secret, Token: pushToken, EncodingAESKey: aesKey, Cache: cache.NewMemory(),
	})
	push, err := w.sim.PushTicket(t.Context(), componentID)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, push.Reason)
	login, err := platform.GetComponentLoginPage("https://"+pageHost+"/back", 1, appID)
	require.NoError(t, err)
	back, err := url.Parse(w.browse(login + "&agree=1&authorizer_appid=" + appID))
	require.NoError(t, err)
	require.NoError(t, w.sim.Wait(t.Context()))
	grant, err := platform.QueryAuthCode(back.Query().Get("auth_code"))
	require.NoError(t, err)
	require.Equal(t, appID, grant.Appid)
	require.NotEmpty(t, grant.FuncInfo)
	token, err := platform.RefreshAuthrToken(appID, grant.RefreshToken)
	require.NoError(t, err)
	require.NotEmpty(t, token.AccessToken)
	info, _, err := platform.GetAuthrInfo(appID)
	require.NoError(t, err)
	require.Equal(t, 2, info.ServiceTypeInfo.ID)
	require.Zero(t, info.VerifyTypeInfo.ID)
	oa := platform.GetOfficialAccount(appID)
	require.NoError(t, oa.GetCustomerMessageManager().Send(message.NewCustomerTextMessage(w.fan, "for the account")))
	require.Equal(t, "for the account", w.lastArrival(w.fan).Content)
	w.silenceperLetsIn(platform)
	_, err = w.sim.Withdraw(t.Context(), componentID, appID)
	require.NoError(t, err)
	require.ErrorContains(t, oa.GetCustomerMessageManager().Send(message.NewCustomerTextMessage(w.fan, "x")), "61003")
	require.Equal(t, []string{"component_verify_ticket", "authorized", "unauthorized"}, events)
}

// silenceperLetsIn opens a page of the account in the component's name.
func (w *world) silenceperLetsIn(platform *openplatform.OpenPlatform) {
	w.t.Helper()
	oauth := platform.GetOfficialAccount(appID).PlatformOauth()
	require.NoError(w.t, w.sim.UpdateComponent(componentID, func(c *simulator.Component) { c.WebDomains = []string{pageHost} }))
	require.NoError(w.t, w.sim.SetWebVisitor(appID, simulator.WebVisitor{OpenID: w.fan}))
	address, err := oauth.GetRedirectURL("https://"+pageHost+"/in", "snsapi_userinfo", "st", appID)
	require.NoError(w.t, err)
	in, err := url.Parse(w.browse(address))
	require.NoError(w.t, err)
	componentToken, err := platform.GetComponentAccessToken()
	require.NoError(w.t, err)
	person, err := oauth.GetUserAccessToken(in.Query().Get("code"), appID, componentToken)
	require.NoError(w.t, err)
	require.Equal(w.t, w.fan, person.OpenID)
}
