package simulator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// raw makes a call and returns its answer as it came.
func (w *world) raw(method, path, body string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, base+path, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := w.http.Do(req)
	require.NoError(w.t, err)
	return resp
}

func TestWhatOnlySDKsSendIsTakenBySwitchOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	fan := w.writer()
	id, err := w.sim.AddTemplate(appID, simulator.Template{Title: "t", Content: "{{thing1.DATA}}"})
	require.NoError(t, err)
	covers, err := w.sim.AddWebsiteMaterial(appID, "thumb", 1)
	require.NoError(t, err)
	require.Zero(t, w.post(simulator.PathMenuCreate, `{"button":[{"type":"click","name":"n","key":"K"}]}`).ErrCode)
	message := `{"touser":"` + fan + `","template_id":"` + id + `","data":{"thing1":{"value":"x"}}`
	for _, c := range []struct {
		path, body    string
		strict, loose int
	}{
		{simulator.PathSend, `{"touser":"` + fan + `","msgtype":"image","image":{"media_id":"M","required":["media_id"]}}`, 40097, 0},
		{
			simulator.PathSend,
			`{"touser":"` + fan + `","msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[{"id":101,"content":"a"}],"tail_content":"t"}}`, 47001, 0,
		},
		{simulator.PathSend, `{"touser":"` + fan + `","msgtype":"text","text":{"content":"x"},"colour":1}`, 40097, 40097},
		{simulator.PathSend, `{"touser":"` + fan + `","msgtype":"text","text":{"content":"\u0041"}}`, 47002, 47002},
		{simulator.PathTemplateSend, message + `,"miniprogram":{"appid":"","pagepath":""}}`, 40013, 0},
		{simulator.PathTemplateSend, message + `,"miniprogram":{"appid":"","pagepath":"x"}}`, 40013, 40013},
		{simulator.PathTemplateSend, message + `,"miniprogram":null}`, 47001, 0},
		{simulator.PathTemplateSend, message + `,"color":"#173177"}`, 40097, 0},
		{simulator.PathDraftAdd, `{"articles":[{"title":"t","content":"c","thumb_media_id":"` + covers[0] + `","show_cover_pic":0}]}`, 40097, 0},
		{simulator.PathDraftList, `{"offset":0,"count":1,"no_content":true}`, 47001, 0},
		{simulator.PathMenuDeleteRule, `{"menuid":1}`, 47001, 65301},
		{simulator.PathMassGet, `{"msg_id":1}`, 47001, 40059},
		{simulator.PathPublishGet, `{"publish_id":1}`, 47001, 40035},
		{simulator.PathSetIndustry, `{"industry_id1":1,"industry_id2":4}`, 47001, 0},
	} {
		for _, sw := range []simulator.Switches{{}, {LooseRequests: true}} {
			require.NoError(t, w.sim.SetSwitches(sw))
			want := c.strict
			if sw.LooseRequests {
				want = c.loose
			}
			require.Equal(t, want, w.post(c.path, c.body).ErrCode, "loose %v: %s %s", sw.LooseRequests, c.path, c.body)
		}
	}
}

func TestPostsForGetsAreTakenBySwitchOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	for _, path := range []string{simulator.PathMaterialCount, simulator.PathGetIndustry, simulator.PathPrivateTemplates} {
		require.NoError(t, w.sim.SetSwitches(simulator.Switches{}))
		require.Equal(t, 43001, w.post(path, "").ErrCode, path)
		require.NoError(t, w.sim.SetSwitches(simulator.Switches{LooseRequests: true}))
		require.Zero(t, w.post(path, "").ErrCode, path)
		require.Equal(t, 43001, w.post(simulator.PathUserGet, "").ErrCode, "no other path")
	}
}

func TestIDsAreNumbersBySwitchOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	list := func(path string) string {
		resp := w.raw("GET", path+"?access_token="+w.token, "")
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return string(body)
	}
	require.Contains(t, list(simulator.PathAgents), `"kf_id":"1001"`)
	require.Contains(t, list(simulator.PathAgentsOnline), `"kf_id":1001`)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{NumberIDs: true}))
	require.Contains(t, list(simulator.PathAgents), `"kf_id":1001`)
	require.Contains(t, list(simulator.PathAgentsOnline), `"kf_id":1001`)
}

func TestAFileIsAnAttachmentAndATicketWithoutACodeIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	require.NoError(t, w.sim.PutMedia(appID, "MINE", "image", []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")))
	file := simulator.PathMediaGet + "?media_id=MINE&access_token=" + w.token
	code := simulator.PathShowQRCode + "?ticket=gQnothing"
	resp := w.raw("GET", file, "")
	require.NoError(t, resp.Body.Close())
	require.Equal(t, `attachment; filename="MINE.jpg"`, resp.Header.Get("Content-Disposition"))
	resp = w.raw("GET", code, "")
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	rec := w.page(file)
	require.Equal(t, `attachment; filename="MINE.jpg"`, rec.Header().Get("Content-Disposition"))
	require.Equal(t, http.StatusNotFound, w.page(code).Code)
	fan := w.fan()
	require.NoError(t, w.sim.GrantFan(fan, 0))
	rec = httptest.NewRecorder()
	w.sim.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, simulator.PathSend+"?access_token="+w.token,
		strings.NewReader(textBody(fan, "x"))))
	require.Equal(t, http.StatusOK, rec.Code)
	require.Empty(t, rec.Header().Get("Content-Disposition"))
}
