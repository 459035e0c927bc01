package sdktest

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/ArtisanCloud/PowerWeChat/v3/src/openPlatform"
	openplatform "github.com/ArtisanCloud/PowerWeChat/v3/src/openPlatform/server/callbacks"
	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// powerWeChatPlatform is the component as the SDK's README makes it.
func (w *world) powerWeChatPlatform() *openPlatform.OpenPlatform {
	w.t.Helper()
	dir := w.t.TempDir()
	w.t.Chdir(dir) // the SDK makes a directory for logs where it stands
	app, err := openPlatform.NewOpenPlatform(&openPlatform.UserConfig{
		AppID: componentID, Secret: secret, Token: pushToken, AESKey: aesKey, Cache: &memory{},
		Log:  openPlatform.Log{Level: "error", File: filepath.Join(dir, "info.log"), Error: filepath.Join(dir, "error.log")},
		Http: openPlatform.Http{Timeout: 30, BaseURI: "https://api.weixin.qq.com/", Transport: w.http.Transport},
	})
	require.NoError(w.t, err)
	return app
}

func TestPowerWeChatActsForAnAccount(t *testing.T) {
	w := loose(t)
	app := w.powerWeChatPlatform()
	var events []string
	w.component(func(rw http.ResponseWriter, r *http.Request) {
		writeResponse(rw, func(r *http.Request) (*http.Response, error) {
			return app.Server.Notify(r, func(_ *openplatform.Callback, body []byte, infoType string) any {
				events = append(events, infoType)
				var ticket struct{ ComponentVerifyTicket string }
				if err := xml.Unmarshal(body, &ticket); err == nil && ticket.ComponentVerifyTicket != "" {
					if err := app.VerifyTicket.SetTicket(ticket.ComponentVerifyTicket); err != nil {
						return "failed"
					}
				}
				return "success"
			})
		}, r)
	})
	push, err := w.sim.PushTicket(t.Context(), componentID)
	require.NoError(t, err)
	require.Equal(t, simulator.OutcomeAcknowledged, push.Outcome, "%+v", push)
	pre, err := app.Base.CreatePreAuthorizationCode(t.Context())
	require.NoError(t, err)
	page := "https://mp.weixin.qq.com/cgi-bin/componentloginpage?component_appid=" + componentID + "&pre_auth_code=" +
		url.QueryEscape(pre.PreAuthCode) + "&auth_type=1&redirect_uri=" + url.QueryEscape("https://"+pageHost+"/back")
	back, err := url.Parse(w.browse(page + "&agree=1&authorizer_appid=" + appID))
	require.NoError(t, err)
	require.NoError(t, w.sim.Wait(t.Context()))
	grant, err := app.Base.HandleAuthorize(t.Context(), back.Query().Get("auth_code"))
	require.NoError(t, err)
	require.Equal(t, appID, grant.AuthorizationInfo.AuthorizerAppid)
	info, err := app.Base.GetAuthorizer(t.Context(), appID)
	require.NoError(t, err)
	require.Equal(t, 2, info.AuthorizerInfo.ServiceTypeInfo.ID)
	all, err := app.Base.GetAuthorizers(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Equal(t, 1, all.TotalCount)
	require.Equal(t, []string{"component_verify_ticket", "authorized"}, events)
	account, err := app.OfficialAccount(appID, grant.AuthorizationInfo.AuthorizerRefreshToken, nil)
	require.NoError(t, err)
	fans, err := account.User.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{w.fan}, fans.Data.OpenID)
}
