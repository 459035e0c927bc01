package wechat_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestCallsAboutFansAreReadStrictly(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	w.named(simulator.NewFan{OpenID: "o1", Subscribed: true})
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/cgi-bin/user/get", "", 43001},
		{"GET", "/cgi-bin/user/get?next=o1", "", 40097},
		{"GET", "/cgi-bin/user/get?next_openid=o1&next_openid=o1", "", 40097},
		{"GET", "/cgi-bin/user/get?next_openid=%zz", "", 40035},
		{"POST", "/cgi-bin/user/info?openid=o1", "", 43001},
		{"GET", "/cgi-bin/user/info", "", 41009},
		{"GET", "/cgi-bin/user/info?openid=o1&lang=fr", "", 40035},
		{"GET", "/cgi-bin/user/info?openid=o1&x=1", "", 40097},
		{"GET", "/cgi-bin/user/info?openid=nobody", "", 40003},
		{"GET", "/cgi-bin/user/info/batchget", "", 43002},
		{"POST", "/cgi-bin/user/info/batchget", "", 44002},
		{"POST", "/cgi-bin/user/info/batchget", `[]`, 47001},
		{"POST", "/cgi-bin/user/info/batchget", `{}`, 40032},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":{}}`, 47001},
		{"POST", "/cgi-bin/user/info/batchget", `{"users":[]}`, 40097},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"o1"}],"x":1}`, 40097},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":["o1"]}`, 47001},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":1}]}`, 47001},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"o1","x":1}]}`, 40097},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"o1","lang":"fr"}]}`, 40035},
		{"POST", "/cgi-bin/user/info/batchget", `{"user_list":[{"lang":"en"}]}`, 40003},
		{"GET", "/cgi-bin/user/info/updateremark", "", 43002},
		{"POST", "/cgi-bin/user/info/updateremark", `{"openid":"o1","remark":"\u0041"}`, 47002},
		{"POST", "/cgi-bin/user/info/updateremark", `{"openid":"o1"}`, 40097},
		{"POST", "/cgi-bin/user/info/updateremark", `{"openid":"o1","remark":7}`, 47001},
		{"POST", "/cgi-bin/user/info/updateremark", `{"openid":"o1","remark":"r","x":1}`, 40097},
	} {
		code, body := w.raw(c.method, c.path, c.body)
		require.Equal(t, c.want, code, "%s %s %s: %s", c.method, c.path, c.body, body)
	}
}

func TestOnlyVerifiedAccountsMayAskForFans(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	gets := map[string]bool{simulator.PathUserGet: true, simulator.PathUserInfo: true, simulator.PathTagsGet: true}
	paths := []string{
		simulator.PathUserGet, simulator.PathUserInfo, simulator.PathUserInfoBatch, simulator.PathUserRemark,
		simulator.PathTagsCreate, simulator.PathTagsGet, simulator.PathTagsUpdate, simulator.PathTagsDelete, simulator.PathTagFans,
		simulator.PathBatchTagging, simulator.PathBatchUntagging, simulator.PathTagsOfFan,
		simulator.PathBlacklistGet, simulator.PathBlacklistAdd, simulator.PathBlacklistRemove,
	}
	for _, kind := range []simulator.AccountType{simulator.Service, simulator.Subscription} {
		for _, verified := range []bool{true, false} {
			require.NoError(t, w.sim.UpdateAccount(w.acc.AppID, func(a *simulator.Account) { a.Type, a.Verified = kind, verified }))
			for _, path := range paths {
				method := "POST"
				if gets[path] {
					method = "GET"
				}
				code, _ := w.raw(method, path, "")
				require.Equal(t, !verified, code == 48001, "%s %s verified %v: %d", kind, path, verified, code)
			}
		}
	}
}

func TestTheListOfFansMayBeAskedFor500TimesADay(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	w.fans(1)
	for range 500 {
		_, err := w.client.Fans(t.Context(), w.acc, "")
		require.NoError(t, err)
	}
	_, err := w.client.Fans(t.Context(), w.acc, "")
	requireCode(t, 45009, err)
	require.Equal(t, wechat.ClassQuota, wechat.Classify(err))
	for path, daily := range map[string]int{
		simulator.PathUserInfo: 5_000_000, simulator.PathUserRemark: 10_000, simulator.PathTagsCreate: 1_000,
		simulator.PathBatchTagging: 100_000,
	} {
		_, body := w.raw("POST", simulator.PathQuotaGet, `{"cgi_path":"`+path+`"}`)
		require.Contains(t, body, fmt.Sprintf(`"daily_limit":%d,`, daily), path)
	}
}

func TestAnAnswerThatWouldMakeFansLookGoneIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := func(after string) func() error {
		return func() error { _, err := w.client.Fans(t.Context(), w.acc, after); return err }
	}
	info := func() error { _, err := w.client.FanInfo(t.Context(), w.acc, "o1"); return err }
	infos := func() error { _, _, err := w.client.FanInfos(t.Context(), w.acc, []string{"o1"}); return err }
	for _, c := range []struct {
		body string
		call func() error
	}{
		{`{}`, fans("")},
		{`{"total":3,"count":0,"next_openid":""}`, fans("")},
		{`{"total":3,"count":2,"data":{"openid":["o1"]},"next_openid":"o1"}`, fans("")},
		{`{"total":3,"count":1000,"data":{"openid":["` + strings.Repeat(`o2","`, 999) + `o1"]},"next_openid":"o1"}`, fans("o1")},
		{`{"total":"3"}`, fans("")},
		{`[]`, fans("")},
		{`{"subscribe":0,"openid":"o2"}`, info},
		{`{"openid":"o1"}`, info},
		{`{}`, info},
		{`{}`, infos},
		{`{"user_info_list":[{"subscribe":0,"openid":"o2"}]}`, infos},
		{`{"user_info_list":[{"openid":"o1"}]}`, infos},
	} {
		w.through(func(int, *http.Request) *http.Response { return saysJSON(c.body) })
		err := c.call()
		require.Error(t, err, c.body)
		require.Equal(t, wechat.OutcomeLost, wechat.OutcomeOf(err), c.body)
		require.Equal(t, wechat.ClassRetry, wechat.Classify(err), c.body)
	}
}

func TestOpenIDsAreNeededBeforeACall(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	_, err := w.client.FanInfo(t.Context(), w.acc, "")
	requireBadField(t, "openid", "required", err)
	_, _, err = w.client.FanInfos(t.Context(), w.acc, []string{"o1", ""})
	requireBadField(t, "openids[1]", "required", err)
	require.Empty(t, w.sim.Calls(simulator.Filter{}))
}

func TestFansTagsAndBlacklistOverARealConnection(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	transport := wechat.NewTransport(4)
	t.Cleanup(transport.CloseIdleConnections)
	client := wechat.New(wechat.Options{Transport: transport, Clock: w.sim.Clock()})
	acc := w.acc
	acc.BaseURL = server.URL
	fans := w.fans(60)
	page, err := client.Fans(t.Context(), acc, "")
	require.NoError(t, err)
	require.Equal(t, fans, page.OpenIDs)
	infos, _, err := client.FanInfos(t.Context(), acc, fans)
	require.NoError(t, err)
	require.Len(t, infos, 60)
	tag, err := client.CreateTag(t.Context(), acc, "广东 & <香港>")
	require.NoError(t, err)
	done, err := client.AddTag(t.Context(), acc, tag.ID, fans)
	require.NoError(t, err)
	require.Equal(t, 60, done.Done)
	tags, err := client.Tags(t.Context(), acc)
	require.NoError(t, err)
	require.Equal(t, wechat.Tag{ID: tag.ID, Name: "广东 & <香港>", Fans: 60}, tags[1])
	_, err = client.AddToBlacklist(t.Context(), acc, fans[:21])
	require.NoError(t, err)
	black, err := client.Blacklist(t.Context(), acc, "")
	require.NoError(t, err)
	require.Equal(t, fans[:21], black.OpenIDs)
}

// FuzzAnswersAboutFans: whatever the platform answers, nothing panics, an error is the
// client's own, and a page that is believed holds what it says.
func FuzzAnswersAboutFans(f *testing.F) {
	for _, seed := range []string{
		`{"total":2,"count":2,"data":{"openid":["o1","o2"]},"next_openid":"o2"}`, `{"count":0}`, `{}`, `null`, `[`,
		`{"subscribe":1,"openid":"o1","tagid_list":[1,2],"subscribe_time":1382694957}`,
		`{"user_info_list":[{"subscribe":1,"openid":"o1"}]}`, `{"tags":[{"id":2,"name":"x","count":0}]}`,
		`{"tag":{"id":134,"name":"广东"}}`, `{"tagid_list":[134,2]}`, `{"errcode":45171,"fail_openid_list":["o1"]}`,
	} {
		f.Add(seed)
	}
	acc := wechat.Account{ID: 1, AppID: "wx1", Secret: "s"}
	f.Fuzz(func(t *testing.T, body string) {
		client := wechat.New(wechat.Options{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "token") {
				return saysJSON(`{"access_token":"T","expires_in":7200}`), nil
			}
			return saysJSON(body), nil
		})})
		check := func(err error) {
			var e *wechat.Error
			if err != nil {
				require.ErrorAs(t, err, &e)
			}
		}
		page, err := client.Fans(t.Context(), acc, "o1")
		check(err)
		require.NotEqual(t, "o1", page.Next)
		info, err := client.FanInfo(t.Context(), acc, "o1")
		check(err)
		require.True(t, err != nil || info.OpenID == "o1")
		infos, done, err := client.FanInfos(t.Context(), acc, []string{"o1", "o2"})
		check(err)
		require.Len(t, infos, done.Done-len(done.Refused))
		tag, err := client.CreateTag(t.Context(), acc, "x")
		check(err)
		require.True(t, err != nil || tag.ID > 0)
		_, err = client.Tags(t.Context(), acc)
		check(err)
		_, err = client.TagsOf(t.Context(), acc, "o1")
		check(err)
		_, err = client.AddTag(t.Context(), acc, 100, []string{"o1", "o2"})
		check(err)
		_, err = client.Blacklist(t.Context(), acc, "")
		check(err)
	})
}
