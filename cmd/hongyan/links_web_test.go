package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/admin"
	"hongyan/campaigns"
	"hongyan/internal/clock"
	"hongyan/links"
)

const (
	linkedPage = "https://shop.example.com/优惠?from=wx&x=%20"
	linkDrip   = `{"triggers": [{"kind": "keyword", "keywords": ["跟踪链接"]}], "steps": [{"delay": "0s", "class": "reply", "track_links": true,
		"messages": [{"msgtype": "text", "text": {"content": "<a href=\"` + linkedPage + `\">领取</a>"}}]}]}`
	wechatBrowser = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.43(0x18002b2f) NetType/WIFI Language/zh_CN"
)

// tracker is a server on whose sandbox a fan has got a tracked link.
type tracker struct {
	*Server
	t    *testing.T
	path string // of the tracked address
	http http.Client
}

func newTracker(t *testing.T) *tracker {
	t.Helper()
	cfg, err := loadConfig(env{args: []string{"--data-dir", t.TempDir(), "--addr", "127.0.0.1:0", "--sandbox", "on", "--public-url", "https://h.example.com"}, err: io.Discard})
	require.NoError(t, err)
	s := &Server{Config: cfg, Clock: clock.System(), Log: slog.New(slog.DiscardHandler), Timing: shortTiming()}
	require.NoError(t, s.Open(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
		require.NoError(t, s.Close())
	})
	account, err := s.Scheduler.Accounts.FindAccountByAppID(t.Context(), sandboxAppID)
	require.NoError(t, err)
	drip, err := s.Scheduler.Campaigns.CreateDrip(t.Context(), account, campaigns.NewDrip{Name: "links", Priority: 1000, Definition: []byte(linkDrip)})
	require.NoError(t, err)
	require.NoError(t, s.Scheduler.Campaigns.StartDrip(t.Context(), account, campaigns.Change{ID: drip.ID}))
	out := &tracker{Server: s, t: t, http: http.Client{
		Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	out.path = out.tracked(s.sandbox.openids[0])
	return out
}

// tracked lets a fan write, and returns the tracked address in what they get.
func (s *tracker) tracked(openid string) (path string) {
	s.t.Helper()
	control := sandboxControl{s.sandbox.sim}
	if _, err := control.Act(s.t.Context(), sandboxAppID, &admin.SandboxAct{OpenID: openid, Kind: "follow"}); err != nil {
		s.t.Logf("the script was faster: %v", err)
	}
	_, err := control.Act(s.t.Context(), sandboxAppID, &admin.SandboxAct{OpenID: openid, Kind: "text", Text: "跟踪链接"})
	require.NoError(s.t, err)
	address := regexp.MustCompile(`href="https://h\.example\.com(/l/[A-Za-z0-9_-]+)"`)
	require.Eventually(s.t, func() bool {
		arrivals, err := s.sandbox.sim.Arrivals(openid)
		require.NoError(s.t, err)
		for _, a := range arrivals {
			if found := address.FindStringSubmatch(a.Content); found != nil {
				path = found[1]
			}
		}
		return path != ""
	}, 20*time.Second, 20*time.Millisecond)
	return path
}

// page is what a request was answered with.
type page struct {
	status int
	header http.Header
	body   string
}

func (s *tracker) ask(method, path string, headers map[string]string) page {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL()+path, http.NoBody)
	require.NoError(s.t, err)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := s.http.Do(req)
	require.NoError(s.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	return page{resp.StatusCode, resp.Header, string(body)}
}

func (s *tracker) counts() [2]int64 {
	s.t.Helper()
	return [2]int64{s.number(s.t, "SELECT COALESCE(SUM(taps), 0) FROM link_clicks"), s.number(s.t, "SELECT COALESCE(SUM(others), 0) FROM link_clicks")}
}

func TestATrackedAddressLeadsOnAndCountsPersonsAndOthersApart(t *testing.T) {
	t.Parallel()
	s := newTracker(t)
	person := map[string]string{"User-Agent": wechatBrowser}
	for _, c := range []struct {
		method  string
		headers map[string]string
		counts  [2]int64
	}{
		{http.MethodHead, person, [2]int64{0, 0}},
		{http.MethodGet, map[string]string{"User-Agent": "curl/8"}, [2]int64{0, 1}},
		{http.MethodGet, map[string]string{"User-Agent": wechatBrowser, "Sec-Purpose": "prefetch;prerender"}, [2]int64{0, 2}},
		{http.MethodGet, person, [2]int64{1, 2}},
		{http.MethodGet, person, [2]int64{2, 2}},
	} {
		resp := s.ask(c.method, s.path+"?next=https://evil.example.com&url=x", c.headers)
		require.Equal(t, http.StatusFound, resp.status)
		require.Equal(t, "https://shop.example.com/%E4%BC%98%E6%83%A0?from=wx&x=%20", resp.header.Get("Location"), "what the request says is not passed on")
		require.Equal(t, "no-store", resp.header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", resp.header.Get("Referrer-Policy"))
		require.Equal(t, c.counts, s.counts())
	}
	resp := s.ask(http.MethodPost, s.path, person)
	require.Equal(t, http.StatusMethodNotAllowed, resp.status)
	require.Equal(t, [2]int64{2, 2}, s.counts())
	require.Eventually(t, func() bool {
		return s.number(t, "SELECT COUNT(*) FROM interactions WHERE kind = 'link_tap'") == 1 && s.number(t, "SELECT COUNT(*) FROM reactions WHERE kind = 2") == 1
	}, 20*time.Second, 20*time.Millisecond, "it is acted upon, once")
}

func TestAnAddressThatWasNotMadeHereLeadsNowhere(t *testing.T) {
	t.Parallel()
	s := newTracker(t)
	token := strings.TrimPrefix(s.path, links.Path)
	altered := []string{"x", token + "A", token[:len(token)-1], "AA" + token, url.PathEscape("https://evil.example.com"), strings.Repeat("A", 500), token + "%0d%0aX:1"}
	for i := range token {
		other := byte('A')
		if token[i] == other {
			other = 'B'
		}
		altered = append(altered, token[:i]+string(other)+token[i+1:])
	}
	for _, bad := range altered {
		resp := s.ask(http.MethodGet, links.Path+bad, map[string]string{"User-Agent": wechatBrowser})
		require.Equal(t, http.StatusNotFound, resp.status, bad)
		require.Empty(t, resp.header.Get("Location"))
		require.Equal(t, string(unknownLink), resp.body, "the page tells nothing of what is wrong")
		require.Equal(t, "no-store", resp.header.Get("Cache-Control"))
	}
	require.Equal(t, [2]int64{}, s.counts())
}

func TestAFloodOfOneAddressIsLedOnAndWritesLittle(t *testing.T) {
	t.Parallel()
	s := newTracker(t)
	other := s.tracked(s.sandbox.openids[1])
	for range 4 * tapsCounted {
		resp := s.ask(http.MethodGet, s.path, map[string]string{"User-Agent": "curl/8"})
		require.Equal(t, http.StatusFound, resp.status)
	}
	require.Less(t, s.counts()[1], int64(3*tapsCounted))
	for _, path := range []string{s.path, other} {
		resp := s.ask(http.MethodGet, path, map[string]string{"User-Agent": wechatBrowser})
		require.Equal(t, http.StatusFound, resp.status)
	}
	require.EqualValues(t, 2, s.counts()[0], "robots use up nothing of persons, nor one address of another")
}
