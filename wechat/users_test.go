package wechat_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// fansWorld is a simulator with two verified accounts, and a client of the first.
type fansWorld struct {
	t      *testing.T
	sim    *simulator.Simulator
	client *wechat.Client
	acc    wechat.Account
	http   http.RoundTripper
}

const foreignAppID = "wxforeign"

func newFansWorld(t *testing.T, sw simulator.Switches) *fansWorld {
	t.Helper()
	manual := clock.NewManual(time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC))
	w := &fansWorld{t: t, acc: wechat.Account{ID: 1, AppID: "wxfans", Secret: "s3cret"}}
	w.sim = simulator.New(simulator.Options{Clock: manual, Switches: sw})
	t.Cleanup(w.sim.Close)
	w.http = w.sim.RoundTripper()
	w.client = wechat.New(wechat.Options{Transport: w.http, Clock: manual})
	for _, appID := range []string{w.acc.AppID, foreignAppID} {
		require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: appID, Secret: w.acc.Secret, Verified: true}))
	}
	return w
}

// through makes the client's calls go through fn, which answers nil to let them pass.
func (w *fansWorld) through(fn func(n int, r *http.Request) *http.Response) {
	n := 0
	inner := w.http
	w.client = wechat.New(wechat.Options{Clock: w.sim.Clock(), Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "token") {
			return inner.RoundTrip(r)
		}
		n++
		if resp := fn(n, r); resp != nil {
			return resp, nil
		}
		return inner.RoundTrip(r)
	})})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func saysJSON(body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// raw makes a call without the client and returns errcode and answer.
func (w *fansWorld) raw(method, path, body string) (int, string) {
	w.t.Helper()
	token, err := w.client.Token(w.t.Context(), w.acc)
	require.NoError(w.t, err)
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, wechat.DefaultBaseURL+path+sep+"access_token="+token, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := w.http.RoundTrip(req)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	var out struct {
		ErrCode int `json:"errcode"`
	}
	require.NoError(w.t, json.Unmarshal(raw, &out), "%s", raw)
	return out.ErrCode, string(raw)
}

func (w *fansWorld) fans(n int) []string {
	w.t.Helper()
	out, err := w.sim.AddFans(w.acc.AppID, n, true)
	require.NoError(w.t, err)
	return out
}

func (w *fansWorld) named(in simulator.NewFan) string {
	w.t.Helper()
	_, err := w.sim.AddFan(w.acc.AppID, in)
	require.NoError(w.t, err)
	return in.OpenID
}

// foreign is a fan of another account.
func (w *fansWorld) foreign() string {
	w.t.Helper()
	out, err := w.sim.AddFans(foreignAppID, 1, true)
	require.NoError(w.t, err)
	return out[0]
}

// bodies are the requests to a path.
func (w *fansWorld) bodies(path string) []string {
	var out []string
	for _, c := range w.sim.Calls(simulator.Filter{Path: path}) {
		out = append(out, c.Body)
	}
	return out
}

func (w *fansWorld) unfollow(openid string) {
	w.t.Helper()
	_, err := w.sim.Unfollow(w.t.Context(), openid)
	require.NoError(w.t, err)
}

func (w *fansWorld) follow(openid, scene string) {
	w.t.Helper()
	_, err := w.sim.Follow(w.t.Context(), openid, scene)
	require.NoError(w.t, err)
}

// readAll reads a request's body and leaves it as it was.
func readAll(r *http.Request) string {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return string(raw)
}

func requireCode(t *testing.T, want int, err error) {
	t.Helper()
	var e *wechat.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code, err.Error())
	require.Equal(t, wechat.OutcomeFailed, e.Outcome)
}

func requireBadField(t *testing.T, field, rule string, err error) {
	t.Helper()
	fields := fault.Fields(err)
	require.Len(t, fields, 1, "%v", err)
	require.Equal(t, [2]string{field, rule}, [2]string{fields[0].Field, fields[0].Rule})
}

// list collects all pages of a list.
func list(t *testing.T, page func(after string) (wechat.FanPage, error)) (all []string, pages int) {
	t.Helper()
	for after := ""; ; pages++ {
		p, err := page(after)
		require.NoError(t, err)
		all = append(all, p.OpenIDs...)
		if p.Next == "" {
			return all, pages + 1
		}
		after = p.Next
	}
}

func (w *fansWorld) allFans() ([]string, int) {
	return list(w.t, func(after string) (wechat.FanPage, error) { return w.client.Fans(w.t.Context(), w.acc, after) })
}

func TestTheListOfFansIsReadInPagesOfTenThousand(t *testing.T) {
	t.Parallel()
	for n, wantPages := range map[int]int{0: 1, 2: 1, 9_999: 1, 10_000: 2, 20_001: 3} {
		w := newFansWorld(t, simulator.Switches{})
		want := w.fans(n)
		got, pages := w.allFans()
		require.Equal(t, wantPages, pages, "%d fans", n)
		require.Len(t, got, n)
		if n > 0 {
			require.Equal(t, want, got, "in order of their follows")
		}
	}
}

func TestTheListOfFansLooksAsDocumented(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	_, body := w.raw("GET", "/cgi-bin/user/get?next_openid=", "")
	require.JSONEq(t, `{"total":0,"count":0,"next_openid":""}`, body)
	w.named(simulator.NewFan{OpenID: "O1", Subscribed: true})
	w.named(simulator.NewFan{OpenID: "O2", Subscribed: true})
	w.named(simulator.NewFan{OpenID: "O3"})
	_, body = w.raw("GET", "/cgi-bin/user/get?next_openid=", "")
	require.JSONEq(t, `{"total":2,"count":2,"data":{"openid":["O1","O2"]},"next_openid":"O2"}`, body)
	_, body = w.raw("GET", "/cgi-bin/user/get?next_openid=O2", "")
	require.JSONEq(t, `{"total":2,"count":0,"next_openid":""}`, body)
	page, err := w.client.Fans(t.Context(), w.acc, "O1")
	require.NoError(t, err)
	require.Equal(t, wechat.FanPage{Total: 2, OpenIDs: []string{"O2"}}, page)
	for _, cursor := range []string{"O3", "nobody", w.foreign()} {
		_, err = w.client.Fans(t.Context(), w.acc, cursor)
		requireCode(t, 40003, err)
	}
}

func TestNobodyIsMissedWhenFansComeAndLeaveBetweenTwoPages(t *testing.T) {
	t.Parallel()
	w := newFansWorld(t, simulator.Switches{})
	fans := w.fans(10_010)
	stranger := w.named(simulator.NewFan{OpenID: "oStranger"})
	first, err := w.client.Fans(t.Context(), w.acc, "")
	require.NoError(t, err)
	require.Equal(t, 10_010, first.Total)
	require.Equal(t, fans[9_999], first.Next)
	w.unfollow(fans[3])
	w.unfollow(first.Next)
	w.unfollow(fans[10_005])
	w.follow(stranger, "")
	second, err := w.client.Fans(t.Context(), w.acc, first.Next)
	require.NoError(t, err)
	require.Equal(t, append(append([]string{}, fans[10_000:10_005]...), append(fans[10_006:], stranger)...), second.OpenIDs)
	require.Equal(t, 10_008, second.Total)

	w.follow(first.Next, "") // the cursor's fan stands at the end now
	again, err := w.client.Fans(t.Context(), w.acc, first.Next)
	require.NoError(t, err)
	require.Equal(t, append(append([]string{}, second.OpenIDs...), first.Next), again.OpenIDs)
	require.Empty(t, again.Next)
}
