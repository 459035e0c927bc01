package wechat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func FuzzTemplateSendBodies(f *testing.F) {
	for _, seed := range []string{
		`{"touser":"OPENID","template_id":"` + sampleTemplate + `","data":{"thing1":{"value":"x"}}}`,
		`{"touser":"OPENID","template_id":"` + sampleTemplate + `","client_msg_id":"a","url":"https://x","miniprogram":{"appid":"wx12345"},"data":{}}`,
		`{"data":{"thing1":{"value":"x","color":"#fff"}}}`, `{"data":null}`, `[]`, `{"touser":"\u0007"}`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := newTemplateWorld(t, simulator.Switches{})
		w.named(simulator.NewFan{OpenID: "OPENID", Subscribed: true})
		for _, path := range []string{simulator.PathTemplateSend, simulator.PathNoticeSend, pathAddTemplate, pathAddNotice, pathDelNotice} {
			code, answer := w.raw(http.MethodPost, path, body)
			require.Equal(t, strings.Contains(answer, `"errcode":0`), code == 0, "an answer tells success or a code")
			if code != 0 {
				require.Contains(t, answer, " rid: ")
			}
		}
		require.LessOrEqual(t, len(w.arrivals("OPENID")), 1)
	})
}

func FuzzTemplateAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"errcode":0,"errmsg":"ok","msgid":200228332}`, `{"errcode":45065,"msgid":1}`, `{"errcode":45065,"msgid":"1"}`, `{"msgid":1e3}`,
		`{"template_list":[{"template_id":1}]}`, `{"data":[{"priTmplId":"x"}]}`, `{"data":{}}`, `null`, `{"errcode":0,"template_id":null}`, `<html>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "token") {
				return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
			}
			return saysJSON(body), nil
		})})
		acc := wechat.Account{ID: 1, AppID: "wx1", Secret: "s"}
		sent, err := client.SendTemplate(t.Context(), acc, wechat.TemplateMessage{OpenID: "o", TemplateID: "t", Data: map[string]string{"thing1": "x"}})
		require.Equal(t, err == nil, sent.MsgID != 0 && !sent.Repeated, "success has a msgid: %v", err)
		id, err := client.AddTemplate(t.Context(), acc, "1", []string{"x"})
		require.Equal(t, err == nil, id != "")
		id, err = client.AddNoticeTemplate(t.Context(), acc, wechat.NewNoticeTemplate{TID: 1, Keywords: []int{1, 2}, Scene: "x"})
		require.Equal(t, err == nil, id != "")
		list, err := client.PrivateTemplates(t.Context(), acc)
		require.True(t, err == nil || len(list) == 0 || !json.Valid([]byte(body)) || wechat.OutcomeOf(err) != wechat.OutcomeSent)
		page, err := client.NoticeTitles(t.Context(), acc, wechat.NoticeTitlesQuery{Categories: []int{1}})
		require.True(t, err != nil || page.Next >= 0)
		err = client.SendNotice(t.Context(), acc, wechat.Notice{OpenID: "o", TemplateID: "t", Data: map[string]string{"thing1": "x"}})
		var head struct {
			Code *int `json:"errcode"`
		}
		if err == nil {
			require.NoError(t, json.Unmarshal([]byte(body), &head))
			require.NotNil(t, head.Code)
			require.Zero(t, *head.Code)
		}
	})
}
