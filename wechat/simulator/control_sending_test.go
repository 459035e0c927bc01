package simulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

func cutRoute(route string) (method, path string, ok bool) { return strings.Cut(route, " ") }

// page opens a page of the platform.
func (w *world) page(path string) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.sim.ServeHTTP(rec, httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, http.NoBody))
	return rec
}

func TestControlAPIConfirmsAndFailsMassSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Switches: simulator.Switches{Mass: simulator.MassSwitches{Confirm: true}}})
	fan := w.fan()
	toAll := func(text string) int {
		return w.post(simulator.PathMassAll, `{"filter":{"is_to_all":true},"msgtype":"text","text":{"content":"`+text+`"}}`).ErrCode
	}
	toAll("first")
	var sends []simulator.MassSend
	w.do("GET /_sim/mass?appid="+appID, "", &sends)
	require.True(t, sends[0].Waiting)
	w.do("POST /_sim/mass/answer", fmt.Sprintf(`{"appid":%q,"msg_id":%d,"answer":"confirmed"}`, appID, sends[0].MsgID), nil)
	w.clock.Advance(time.Minute)
	w.do("POST /_sim/mass/run", `{}`, nil)
	w.do("GET /_sim/mass?appid="+appID, "", &sends)
	require.Equal(t, "SEND_SUCCESS", sends[0].State)
	var got struct{ Received int }
	w.do("GET /_sim/mass/received?openid="+fan, "", &got)
	require.Equal(t, 1, got.Received)
	w.do("POST /_sim/mass/name", `{"openid":"`+fan+`","name":"wx_fan"}`, nil)
	require.Zero(t, w.post(simulator.PathMassPreview, `{"towxname":"wx_fan","msgtype":"text","text":{"content":"x"}}`).ErrCode)
	w.do("POST /_sim/mass/reprint", `{"appid":"`+appID+`","media_id":"M","reprint":"forbidden"}`, nil)
	w.do("POST /_sim/mass/fail", `{"appid":"`+appID+`","status":"err(10001)"}`, nil)
	w.do("POST /_sim/mass/agreement", `{"appid":"`+appID+`","on":false}`, nil)
	w.clock.Advance(24 * time.Hour)
	w.token = w.stableToken(false)
	require.Equal(t, 48003, toAll("second"))
}

func TestControlAPIJudgesTemplatesAndAsksForConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{Switches: simulator.Switches{ReceiptDelay: simulator.Duration(time.Hour)}})
	fan := w.fan()
	var made struct {
		ID string `json:"template_id"`
	}
	w.do("POST /_sim/templates", `{"appid":"`+appID+`","title":"t","content":"{{thing1.DATA}}"}`, &made)
	send := func() int {
		return w.post(simulator.PathTemplateSend, `{"touser":"`+fan+`","template_id":"`+made.ID+`","data":{"thing1":{"value":"x"}}}`).ErrCode
	}
	w.do("POST /_sim/template", `{"appid":"`+appID+`","template_id":"`+made.ID+`","state":"banned"}`, nil)
	require.Equal(t, 43116, send())
	w.do("POST /_sim/template", `{"appid":"`+appID+`","template_id":"`+made.ID+`","state":""}`, nil)
	w.do("POST /_sim/template/off", `{"openid":"`+fan+`","template_id":"`+made.ID+`","off":true}`, nil)
	require.Zero(t, send())
	var receipts []simulator.Push
	w.do("POST /_sim/receipts", `{"appid":"`+appID+`"}`, &receipts)
	require.Contains(t, receipts[0].Body, "user block")
	w.do("POST /_sim/template-faults", `{"appid":"`+appID+`","system_failed":1}`, nil)
	w.do("POST /_sim/categories", `{"appid":"`+appID+`","ids":[616]}`, nil)
	w.do("POST /_sim/mini-programs", `{"appid":"`+appID+`","mini_appids":["wxmini0123456789"]}`, nil)
	w.do("POST /_sim/marketing-words", `{"appid":"`+appID+`","words":["x"]}`, nil)
	require.Equal(t, 40249, send())
	w.do("POST /_sim/templates", `{"appid":"`+appID+`","notice":true,"title":"n","content":"{{thing1.DATA}}"}`, &made)
	w.do("POST /_sim/popup", `{"openid":"`+fan+`","answers":[{"template_id":"`+made.ID+`","accepted":true,"scene":1}]}`, nil)
	var left struct{ Consents int }
	query := "GET /_sim/notices/consents?openid=" + fan + "&template_id=" + made.ID
	w.do(query, "", &left)
	require.Equal(t, 1, left.Consents)
	w.do("POST /_sim/notices/reject", `{"openid":"`+fan+`","template_ids":["`+made.ID+`"]}`, nil)
	w.do(query, "", &left)
	require.Zero(t, left.Consents)
}

func TestControlAPIDecidesAboutPublications(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	covers, err := w.sim.AddWebsiteMaterial(appID, "thumb", 1)
	require.NoError(t, err)
	publish := func() []simulator.Push {
		t.Helper()
		require.Zero(t, w.post(simulator.PathDraftAdd, `{"articles":[{"title":"t","content":"c","thumb_media_id":"`+covers[0]+`"}]}`).ErrCode)
		var drafts []string
		w.do("GET /_sim/drafts?appid="+appID, "", &drafts)
		require.Zero(t, w.post(simulator.PathPublishSubmit, `{"media_id":"`+drafts[len(drafts)-1]+`"}`).ErrCode)
		w.clock.Advance(time.Minute)
		var ended []simulator.Push
		w.do("POST /_sim/publishing/finish", `{"appid":"`+appID+`"}`, &ended)
		return ended
	}
	w.do("POST /_sim/publishing", `{"appid":"`+appID+`","delay":"30s","status":4,"failed":[1]}`, nil)
	require.Contains(t, publish()[0].Body, "<publish_status>4</publish_status>")
	w.do("POST /_sim/publishing", `{"appid":"`+appID+`"}`, nil)
	body := publish()[0].Body
	_, rest, _ := strings.Cut(body, "<article_id><![CDATA[")
	id, _, _ := strings.Cut(rest, "]]>")
	w.do("POST /_sim/publishing/ban", `{"appid":"`+appID+`","article_id":"`+id+`"}`, nil)
}

func TestControlAPIQueuesAndRepeatsPushes(t *testing.T) {
	t.Parallel()
	var bodies []string
	w := newWorld(t, simulator.Options{Push: simulator.HandlerTransport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		bodies = append(bodies, r.URL.Query().Get("openid"))
	}))})
	fan := w.fan()
	w.do("POST /_sim/callback", `{"appid":"`+appID+`","callback":{"url":"http://127.0.0.1/x","token":"abc"}}`, nil)
	w.do("POST /_sim/post", `{"openid":"`+fan+`","kind":"text","text":"hi"}`, nil)
	w.do("POST /_sim/wait", `{}`, nil)
	require.Equal(t, []string{fan}, bodies)
	var pushes []simulator.Push
	w.do("GET /_sim/pushes?openid="+fan, "", &pushes)
	w.do("POST /_sim/redeliver", fmt.Sprintf(`{"seq":%d}`, pushes[0].Seq), nil)
	require.Len(t, bodies, 2)
	require.Equal(t, 404, w.control("POST", "/_sim/redeliver", `{"seq":999}`, nil))
}

func TestControlAPIRefusesWhatTheNewRoutesDoNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/_sim/account", `{"appid":"wxnobody","secret":"x"}`, 404},
		{"/_sim/account", `{"appid":"` + appID + `","secret":"x","colour":1}`, 400},
		{"/_sim/client", `{"openid":"` + w.fan() + `","platform":9}`, 400},
		{"/_sim/material", `{"appid":"` + appID + `","type":"image","count":0}`, 400},
		{"/_sim/material", `{"appid":"` + appID + `","type":"image","count":100001}`, 400},
		{"/_sim/media", `{"appid":"` + appID + `","media_id":"x","type":"image","body":"eA=="}`, 400},
		{"/_sim/menu/website", `{"appid":"` + appID + `"}`, 400},
		{"/_sim/mass/answer", `{"appid":"` + appID + `","msg_id":1,"answer":"confirmed"}`, 404},
		{"/_sim/mass/answer", `{"appid":"` + appID + `","msg_id":"1","answer":"confirmed"}`, 400},
		{"/_sim/mass/reprint", `{"appid":"` + appID + `","media_id":"x","reprint":"maybe"}`, 400},
		{"/_sim/mass/run", `{"at":1}`, 400},
		{"/_sim/publishing", `{"appid":"` + appID + `","delay":5}`, 400},
		{"/_sim/publishing", `{"appid":"` + appID + `","status":1}`, 400},
		{"/_sim/template", `{"appid":"` + appID + `","template_id":"x","state":"odd"}`, 400},
		{"/_sim/template-faults", `{"appid":"` + appID + `","system_failed":2}`, 400},
		{"/_sim/popup", `{"openid":"oNOBODY","answers":[]}`, 404},
		{"/_sim/component/withdraw", `{"component":"wxnobody","appid":"` + appID + `"}`, 404},
		{"/_sim/component/tickets", `{"appid":"wxnobody","on":true}`, 404},
		{"/_sim/web/domains", `{"appid":"` + appID + `","hosts":["https://a.example.com/"]}`, 400},
	} {
		var out struct{ Code, Message string }
		require.Equal(t, c.want, w.control("POST", c.path, c.body, &out), "%s %s: %+v", c.path, c.body, out)
		require.NotEmpty(t, out.Message)
	}
}

// goOnly are the methods without a route, and why.
func goOnly() map[string]string {
	acts := "do is an act by its kind"
	return map[string]string{
		"Follow": acts, "Unfollow": acts, "Text": acts, "Click": acts, "Scan": acts, "ScanTicket": acts, "Tap": acts,
		"AcceptedTexts": "arrivals tell them", "Dump": "arrivals tell it",
		"Run": "a script is a program", "OnArrival": "a function of the caller's",
		"ServeHTTP": "the way in", "RoundTripper": "another way in", "Close": "its owner's",
	}
}

func TestEveryMethodOfTheSimulatorHasARouteOrAReason(t *testing.T) {
	t.Parallel()
	routed := controlRoutes()
	w := newWorld(t, simulator.Options{})
	for method := range reflect.TypeOf(w.sim).Methods() {
		route, why := routed[method.Name], goOnly()[method.Name]
		require.NotEqual(t, route == "", why == "", "%s has neither route nor reason, or both", method.Name)
		if route == "" {
			continue
		}
		verb, path, _ := cutRoute(route)
		rec := httptest.NewRecorder()
		w.sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), verb, path, strings.NewReader(`{"nobody":"knows"}`)))
		require.NotContains(t, rec.Body.String(), "404 page not found", method.Name)
		require.NotEqual(t, http.StatusMethodNotAllowed, rec.Code, method.Name)
	}
}
