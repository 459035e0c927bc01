package sdktest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	silenceper "github.com/silenceper/wechat/v2/util"
	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

const (
	appID         = "wx0123456789abcdef"
	secret        = "s3cret"
	agent         = "test1@test"
	pushToken     = "pushtoken"
	aesKey        = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	componentID   = "wxc0ffee0123456789"
	pageHost      = "shop.example.com"
	callbackURL   = "http://127.0.0.1/callback"
	newsThumbType = "thumb"
)

var start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC) // Monday, 9 o'clock in Beijing

func TestMain(m *testing.M) {
	// Whatever does not come by a world's transport would go to the network.
	http.DefaultTransport = nowhere{}
	os.Exit(m.Run())
}

// nowhere refuses to leave the process.
type nowhere struct{}

func (nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s %s was about to leave the process", r.Method, r.URL)
}

// world is a simulator with one verified service account, a fan who has just written, and a
// client whose calls of the platform reach it without sockets.
type world struct {
	t      *testing.T
	sim    *simulator.Simulator
	clock  *clock.Manual
	http   *http.Client
	fan    string
	pushed atomic.Pointer[http.Handler] // what the account's callback is
}

// newWorld returns a world. Three of the SDKs keep their client, or a part of them, in a
// package variable, so tests run one after another.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(start)}
	w.sim = simulator.New(simulator.Options{
		Clock: w.clock,
		Push:  simulator.HandlerTransport(http.HandlerFunc(w.serve)),
	})
	t.Cleanup(w.sim.Close)
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: appID, Secret: secret, Verified: true, Agents: []string{agent},
	}))
	w.http = &http.Client{Transport: platform{t: t, to: w.sim.RoundTripper()}}
	former := silenceper.DefaultHTTPClient
	silenceper.DefaultHTTPClient, http.DefaultTransport = w.http, w.http.Transport
	t.Cleanup(func() { silenceper.DefaultHTTPClient, http.DefaultTransport = former, nowhere{} })
	w.fan = w.writer()
	return w
}

// loose is a world that takes what the SDKs send beside the pages, see README.md.
func loose(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{LooseRequests: true, NumberIDs: true}))
	return w
}

// platform carries calls of the platform's hosts to the simulator. Any other call fails the test.
type platform struct {
	t  *testing.T
	to http.RoundTripper
}

func (p platform) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Host {
	case "api.weixin.qq.com", "mp.weixin.qq.com", "open.weixin.qq.com":
		return p.to.RoundTrip(r)
	}
	p.t.Errorf("%s %s does not go to the platform", r.Method, r.URL)
	return nowhere{}.RoundTrip(r)
}

// writer adds a fan who has just written: five messages may be sent to them.
func (w *world) writer() string {
	w.t.Helper()
	ids, err := w.sim.AddFans(appID, 1, true)
	require.NoError(w.t, err)
	_, err = w.sim.Text(w.t.Context(), ids[0], "hi")
	require.NoError(w.t, err)
	return ids[0]
}

// callback makes h the account's callback.
func (w *world) callback(mode simulator.Mode, h http.HandlerFunc) {
	w.t.Helper()
	handler := http.Handler(h)
	w.pushed.Store(&handler)
	cb := simulator.Callback{URL: callbackURL, Token: pushToken, Mode: mode}
	if mode != simulator.ModePlain {
		cb.AESKey = aesKey
	}
	require.NoError(w.t, w.sim.SetCallback(appID, cb))
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	if h := w.pushed.Load(); h != nil {
		(*h).ServeHTTP(rw, r)
	}
}

// lastArrival is the newest message that reached the fan.
func (w *world) lastArrival(openID string) simulator.Arrival {
	w.t.Helper()
	all, err := w.sim.Arrivals(openID)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, all)
	return all[len(all)-1]
}

// lastCode is the code of the newest call of an API.
func (w *world) lastCode(path string) int {
	w.t.Helper()
	calls := w.sim.Calls(simulator.Filter{Path: path})
	require.NotEmpty(w.t, calls, path)
	return calls[len(calls)-1].Code
}

// refused checks that an SDK reported a refusal and that the platform gave this code.
func (w *world) refused(err error, path string, code int) {
	w.t.Helper()
	require.Error(w.t, err)
	require.Equal(w.t, code, w.lastCode(path), err)
	require.Contains(w.t, err.Error(), strconv.Itoa(code))
}

// browse opens a page as a browser does and returns where it is sent.
func (w *world) browse(address string) string {
	w.t.Helper()
	address, _, _ = strings.Cut(address, "#")
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, address, http.NoBody)
	req.RequestURI = ""
	resp, err := w.http.Transport.RoundTrip(req)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	require.Equal(w.t, http.StatusFound, resp.StatusCode, address)
	return resp.Header.Get("Location")
}

// component registers a third-party platform and makes h its authorisation event URL.
func (w *world) component(h http.HandlerFunc) {
	w.t.Helper()
	handler := http.Handler(h)
	w.pushed.Store(&handler)
	require.NoError(w.t, w.sim.AddComponent(simulator.Component{
		AppID: componentID, Secret: secret, Domain: pageHost,
		Callback: simulator.Callback{URL: callbackURL, Token: pushToken, AESKey: aesKey},
	}))
}

// The smallest files that the platform takes.
const (
	jpegBytes = "\xff\xd8\xff\xe0\x00\x10JFIF\x00"
	amrBytes  = "#!AMR\n\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	mp4Bytes  = "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
)

// file writes a file and returns its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// thumb adds a permanent cover picture.
func (w *world) thumb() string {
	w.t.Helper()
	ids, err := w.sim.AddWebsiteMaterial(appID, newsThumbType, 1)
	require.NoError(w.t, err)
	return ids[0]
}

// download fetches what an address says.
func (w *world) download(address string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(w.t, err)
	resp, err := w.http.Do(req)
	require.NoError(w.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	require.Equal(w.t, http.StatusOK, resp.StatusCode)
	return string(body)
}

func readAll(t *testing.T, r *http.Request) []byte {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return body
}

func TestNothingLeavesTheProcess(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.weixin.qq.com/cgi-bin/token", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		require.NoError(t, resp.Body.Close())
	}
	require.ErrorContains(t, err, "about to leave the process")
}
