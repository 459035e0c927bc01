package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// do makes calls of the control API that must succeed: "POST /_sim/x" and a body.
func (w *world) do(route, body string, into any) {
	w.t.Helper()
	method, path, _ := cutRoute(route)
	var raw json.RawMessage
	require.Equal(w.t, 200, w.control(method, path, body, &raw), "%s: %s", route, raw)
	if into != nil {
		require.NoError(w.t, json.Unmarshal(raw, into), "%s", raw)
	}
}

func TestControlAPIChangesAnAccountAndItsAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	w.do("POST /_sim/account", `{"appid":"`+appID+`","secret":"s3cret","type":"subscription","verified":true,"agents":["test1@test"]}`, nil)
	require.Equal(t, simulator.Subscription, w.sim.Accounts()[0].Type)
	w.do("POST /_sim/account", `{"appid":"`+appID+`","secret":"s3cret","verified":true,"agents":["test1@test"]}`, nil)
	w.do("POST /_sim/open-platform", `{"appid":"`+appID+`","on":true}`, nil)
	w.do("POST /_sim/statistics/delay", `{"appid":"`+appID+`","on":true}`, nil)
	w.do("POST /_sim/qrcodes/use", `{"appid":"`+appID+`","count":100000}`, nil)
	require.Equal(t, 45029, w.post(simulator.PathQRCodeCreate,
		`{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"s"}}}`).ErrCode)
	w.do("POST /_sim/agent", `{"appid":"`+appID+`","agent":"test1@test","online":false}`, nil)
	require.Equal(t, 65415, w.post(simulator.PathSessionOpen, `{"kf_account":"test1@test","openid":"`+fan+`"}`).ErrCode)
	require.Zero(t, w.post(simulator.PathAgentAdd, `{"kf_account":"new@test","nickname":"n"}`).ErrCode)
	require.Zero(t, w.post(simulator.PathAgentInvite, `{"kf_account":"new@test","invite_wx":"wx_somebody"}`).ErrCode)
	w.do("POST /_sim/agent/invitation", `{"appid":"`+appID+`","agent":"new@test","accept":true}`, nil)
	require.Contains(t, w.sim.Accounts()[0].Agents, "new@test")
	require.Zero(t, w.post(simulator.PathTagsCreate, `{"tag":{"name":"VIP"}}`).ErrCode)
	var tags []simulator.Tag
	w.do("GET /_sim/tags?appid="+appID, "", &tags)
	vip := tags[len(tags)-1]
	w.do("POST /_sim/tag", fmt.Sprintf(`{"openid":%q,"tag_id":%d}`, fan, vip.ID), nil)
	w.do("GET /_sim/tags?appid="+appID, "", &tags)
	require.Equal(t, 1, tags[len(tags)-1].Fans)
	w.do("POST /_sim/fans", `{"appid":"`+appID+`","persons":[{"openid":"oNAMED","nickname":"小雁","subscribed":true}]}`, nil)
	_, err := w.sim.Fan("oNAMED")
	require.NoError(t, err)
}

func TestControlAPISetsUpPagesAndMenus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.fan()
	w.do("POST /_sim/web/domains", `{"appid":"`+appID+`","hosts":["shop.example.com"]}`, nil)
	w.do("POST /_sim/web/visitor", `{"appid":"`+appID+`","openid":"`+fan+`"}`, nil)
	page := simulator.PathAuthorize + "?appid=" + appID + "&redirect_uri=" + url.QueryEscape("https://shop.example.com/in") +
		"&response_type=code&scope=snsapi_base&state=s"
	rec := w.page(page)
	back, err := url.Parse(rec.Header().Get("Location"))
	require.NoError(t, err)
	require.NotEmpty(t, back.Query().Get("code"))
	w.do("POST /_sim/web/end-consents", `{"openid":"`+fan+`"}`, nil)
	w.do("POST /_sim/js/domains", `{"appid":"`+appID+`","hosts":["shop.example.com"]}`, nil)
	check := `{"page":"https://%s/a","config":{"appId":"` + appID + `","timestamp":1,"nonceStr":"n","signature":"x"}}`
	require.Equal(t, 403, w.control("POST", "/_sim/js/check", fmt.Sprintf(check, "other.example.com"), nil))
	require.Equal(t, 400, w.control("POST", "/_sim/js/check", fmt.Sprintf(check, "shop.example.com"), nil))
	w.do("POST /_sim/menu/website", `{"appid":"`+appID+`","selfmenu_info":{"button":[]}}`, nil)
	require.Equal(t, 404, w.control("GET", "/_sim/menu?openid="+fan, "", nil))
	const button = `"button":[{"type":"click","name":"n","key":"%s"}]`
	require.Zero(t, w.post(simulator.PathMenuCreate, `{`+fmt.Sprintf(button, "ALL")+`}`).ErrCode)
	require.Zero(t, w.post(simulator.PathMenuAddRule, `{`+fmt.Sprintf(button, "IOS")+`,"matchrule":{"client_platform_type":"1"}}`).ErrCode)
	w.do("POST /_sim/client", `{"openid":"`+fan+`","platform":1}`, nil)
	var seen simulator.FanMenu
	w.do("GET /_sim/menu?openid="+fan, "", &seen)
	require.True(t, seen.Conditional)
	require.Equal(t, "IOS", seen.Buttons[0].Key)
}

func TestControlAPIStoresAndKillsMedia(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	w.do("POST /_sim/media", `{"appid":"`+appID+`","media_id":"MINE","type":"voice","body":"IyFBTVIKBAAAAAAAAAAAAAAAAAA="}`, nil)
	var made struct {
		IDs []string `json:"media_ids"`
	}
	w.do("POST /_sim/material", `{"appid":"`+appID+`","type":"image","count":2}`, &made)
	require.Len(t, made.IDs, 2)
	var all []simulator.StoredMedia
	w.do("GET /_sim/media?appid="+appID, "", &all)
	require.Len(t, all, 3)
	require.Equal(t, wechat.MediaVoice, all[0].Type)
	w.do("POST /_sim/media/refuse", `{"appid":"`+appID+`","media_id":"`+made.IDs[0]+`"}`, nil)
	fan := w.writer()
	require.Equal(t, 40007, w.post(simulator.PathSend, `{"touser":"`+fan+`","msgtype":"image","image":{"media_id":"`+made.IDs[0]+`"}}`).ErrCode)
	w.do("POST /_sim/clock", `{"advance":"73h"}`, nil)
	w.do("GET /_sim/media?appid="+appID, "", &all)
	require.Len(t, all, 2, "a temporary file lives for three days")
}

func TestControlAPIRunsAComponent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	const component = "wxc0ffee0123456789"
	body := `{"appid":"` + component + `","secret":"x","callback":{"url":"http://127.0.0.1:1/x","token":"abc","aes_key":"` + aesKey + `"}`
	w.do("POST /_sim/components", body+`}`, nil)
	w.do("POST /_sim/component", body+`,"permissions":[1,2]}`, nil)
	var push simulator.Push
	w.do("POST /_sim/component/ticket", `{"appid":"`+component+`"}`, &push)
	require.Equal(t, simulator.ActTicket, push.Act)
	on, off := `{"appid":"`+component+`","on":true}`, `{"appid":"`+component+`"}`
	require.Equal(t, 409, w.control("POST", "/_sim/component/tickets", off, nil))
	w.do("POST /_sim/component/tickets", on, nil)
	require.Equal(t, 409, w.control("POST", "/_sim/component/tickets", on, nil))
	w.do("POST /_sim/component/tickets", off, nil)
	w.do("POST /_sim/component/tickets", on, nil) // the simulator's end stops them
	var code struct {
		Code string `json:"auth_code"`
	}
	w.do("POST /_sim/component/authorise", `{"component":"`+component+`","appid":"`+appID+`"}`, &code)
	require.NotEmpty(t, code.Code)
	w.do("POST /_sim/component/withdraw", `{"component":"`+component+`","appid":"`+appID+`"}`, &push)
	require.Equal(t, simulator.ActWithdrawn, push.Act)
}

func TestControlAPISwitchesTheRulesOfADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	var now struct{ Name string }
	w.do("POST /_sim/rules", `{"at":"2022-01-01T00:00:00Z"}`, &now)
	require.Equal(t, wechat.RulesAt(time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)).Name, now.Name)
	w.do("GET /_sim/rules", "", &now)
	require.Equal(t, w.sim.Rules().Name, now.Name)
	require.Equal(t, 400, w.control("POST", "/_sim/rules", `{}`, nil))
}
