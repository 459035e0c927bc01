package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

// member runs `hongyan member` on a data directory.
func member(t *testing.T, dir, input string, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), env{
		args: append(append([]string{"member"}, args...), "--data-dir", dir, "--log-level", "error"), in: strings.NewReader(input), out: &out, err: &out,
	})
	return code, out.String()
}

func TestAMemberIsAddedWithAPasswordOfTheirsOrOneThatIsMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, said := member(t, dir, "correct horse battery\n", "add", "mira", "--password-stdin")
	require.Equal(t, 0, code, said)
	require.NotContains(t, said, "horse")
	code, said = member(t, dir, "", "add", "bo")
	require.Equal(t, 0, code, said)
	require.Regexp(t, `password: [A-Z2-7]{26}\n`, said)
	code, said = member(t, dir, "", "add", "bo")
	require.Equal(t, 1, code)
	require.Contains(t, said, `there is a member "bo" already`)
	code, said = member(t, dir, "short\n", "add", "cy", "--password-stdin")
	require.Equal(t, 1, code)
	require.Contains(t, said, "10 to 200 characters")
	for _, wrong := range [][]string{{}, {"add"}, {"remove", "bo"}, {"add", "--password-stdin"}} {
		code, said = member(t, dir, "", wrong...)
		require.Equal(t, 2, code, said)
		require.Contains(t, said, "usage")
	}
}

// apiMember talks to a server as a member who is logged in.
type apiMember struct {
	t    *testing.T
	url  string
	http http.Client
}

func (c *apiMember) ask(method, path string, body, out any) int {
	c.t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(c.t, err)
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, in)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hongyan", "1")
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, errors.Join(err, resp.Body.Close()))
	require.NoError(c.t, json.Unmarshal(raw, out), string(raw))
	return resp.StatusCode
}

// startSandbox starts a server with the sandbox, and a member's program that has not logged in.
func startSandbox(t *testing.T) (*Server, *apiMember) {
	t.Helper()
	dir := t.TempDir()
	code, said := member(t, dir, "correct horse battery\n", "add", "mira", "--password-stdin")
	require.Equal(t, 0, code, said)
	cfg, err := loadConfig(env{args: []string{"--data-dir", dir, "--addr", "127.0.0.1:0", "--sandbox", "on"}, err: io.Discard})
	require.NoError(t, err)
	s := &Server{Config: cfg, Clock: clock.System(), Log: slog.New(slog.DiscardHandler), Timing: shortTiming()}
	require.NoError(t, s.Open(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() {
		require.NoError(t, s.Stop(context.Background()))
		require.NoError(t, s.Close())
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &apiMember{t: t, url: s.URL() + "/api/v1", http: http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}}
}

func TestAMemberPlaysTheSandboxThroughTheAPI(t *testing.T) {
	t.Parallel()
	s, c := startSandbox(t)
	var problem struct {
		Type string `json:"type"`
	}
	require.Equal(t, http.StatusUnauthorized, c.ask(http.MethodGet, "/accounts", nil, &problem))
	require.Equal(t, http.StatusOK, c.ask(http.MethodPost, "/login", map[string]string{"name": "mira", "password": "correct horse battery"}, &struct{}{}))
	var list struct {
		Items []struct {
			ID      int64  `json:"id"`
			AppID   string `json:"appid"`
			OpenID  string `json:"openid"`
			Via     string `json:"via"`
			Content string `json:"content"`
		} `json:"items"`
	}
	require.Equal(t, http.StatusOK, c.ask(http.MethodGet, "/accounts", nil, &list))
	require.Equal(t, sandboxAppID, list.Items[0].AppID)

	openid, err := s.sandbox.sim.AddFans(sandboxAppID, 1, false) // a new one, whom the script does not know
	require.NoError(t, err)
	var push struct {
		Outcome string `json:"outcome"`
	}
	act := func(kind, text string) int {
		return c.ask(http.MethodPost, "/accounts/1/sandbox/acts", map[string]string{"openid": openid[0], "kind": kind, "text": text}, &push)
	}
	require.Equal(t, http.StatusConflict, act("text", "优惠"), "a stranger cannot write")
	require.Equal(t, http.StatusOK, act("follow", ""))
	require.Equal(t, http.StatusOK, act("text", "优惠"))
	require.Eventually(t, func() bool {
		c.ask(http.MethodGet, "/accounts/1/sandbox/arrivals?openid="+openid[0], nil, &list)
		return len(list.Items) >= 3 // the welcome, and the two messages of the coupon
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, list.Items[0].Content, "回复「优惠」领取新人券")

	faults := map[string]any{"path": "/cgi-bin/user/info", "busy": 1, "latency": "1ms"}
	var set struct {
		Items []map[string]any `json:"items"`
	}
	require.Equal(t, http.StatusOK, c.ask(http.MethodPut, "/accounts/1/sandbox/faults", faults, &set))
	require.Equal(t, []map[string]any{{"path": "/cgi-bin/user/info", "busy": 1.0, "latency": "1ms"}}, set.Items)
	require.Equal(t, http.StatusConflict, c.ask(http.MethodPost, "/accounts/1/sandbox/clock", map[string]int{"seconds": 5}, &problem), "real time is not moved")
	require.Equal(t, http.StatusNotFound, c.ask(http.MethodGet, "/accounts/1/sandbox/arrivals?openid=nobody", nil, &problem))
	require.Equal(t, http.StatusNotFound, c.ask(http.MethodGet, "/nowhere", nil, &problem))
	require.Equal(t, "/api/problems/not_found", problem.Type)
}

// otherAppID is of an account that is not the sandbox.
const otherAppID = "wx0123456789abcdef"

func TestASandboxShowsAFanOnlyToTheirAccount(t *testing.T) {
	t.Parallel()
	box := newSandbox(clock.System(), slog.New(slog.DiscardHandler))
	defer box.sim.Close()
	for _, appid := range []string{sandboxAppID, otherAppID} {
		require.NoError(t, box.sim.AddAccount(simulator.Account{AppID: appid, Secret: "s", OriginalID: "gh_" + appid[2:14], Type: simulator.Service, Verified: true}))
	}
	theirs, err := box.sim.AddFans(otherAppID, 1, true)
	require.NoError(t, err)
	control := sandboxControl{box.sim}
	found, err := control.Fans(t.Context(), sandboxAppID, 0, 10)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = control.Fans(t.Context(), otherAppID, 0, 10)
	require.NoError(t, err)
	require.Equal(t, theirs[0], found[0].OpenID)
	_, err = control.Arrivals(t.Context(), sandboxAppID, theirs[0])
	require.ErrorContains(t, err, "no fan")
	_, err = control.Arrivals(t.Context(), otherAppID, theirs[0])
	require.NoError(t, err)
}
