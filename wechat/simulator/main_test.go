package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	appID  = "wx0123456789abcdef"
	secret = "s3cret"
	base   = "https://api.weixin.qq.com"
	aesKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

var start = time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC) // Monday, 9 o'clock in Beijing

// world is a simulator with one verified service account on a clock moved by hand.
type world struct {
	t     *testing.T
	sim   *simulator.Simulator
	clock *clock.Manual
	http  *http.Client
	token string
}

func newWorld(t *testing.T, o simulator.Options) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(start)}
	if o.Clock == nil {
		o.Clock = w.clock
	}
	w.sim = simulator.New(o)
	t.Cleanup(w.sim.Close)
	require.NoError(t, w.sim.AddAccount(simulator.Account{
		AppID: appID, Secret: secret, Verified: true, Agents: []string{"test1@test"},
	}))
	w.http = &http.Client{Transport: w.sim.RoundTripper()}
	w.token = w.stableToken(false)
	return w
}

type answer struct {
	ErrCode     int    `json:"errcode"`
	ErrMsg      string `json:"errmsg"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

// try makes a call and returns the transport's error.
func (w *world) try(method, path, body string) (answer, error) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, base+path, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, resp.Body.Close())
	if err != nil {
		return answer{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	var a answer
	require.NoError(w.t, json.Unmarshal(raw, &a), "%s", raw)
	return a, nil
}

func (w *world) call(method, path, body string) answer {
	w.t.Helper()
	a, err := w.try(method, path, body)
	require.NoError(w.t, err)
	return a
}

func (w *world) stableToken(force bool) string {
	w.t.Helper()
	a := w.call("POST", simulator.PathStableToken, fmt.Sprintf(
		`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":%v}`, appID, secret, force))
	require.Zero(w.t, a.ErrCode, a.ErrMsg)
	require.NotEmpty(w.t, a.AccessToken)
	return a.AccessToken
}

func (w *world) post(path, body string) answer {
	w.t.Helper()
	return w.call("POST", path+"?access_token="+w.token, body)
}

func textBody(openID, text string) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]any{
		"touser": openID, "msgtype": "text", "text": map[string]string{"content": text},
	})
	if err != nil {
		panic(err)
	}
	return out.String()
}

// send sends a text and returns the errcode.
func (w *world) send(openID, text string) int {
	w.t.Helper()
	return w.post(simulator.PathSend, textBody(openID, text)).ErrCode
}

// fan adds a fan who follows, without an open window.
func (w *world) fan() string {
	w.t.Helper()
	ids, err := w.sim.AddFans(appID, 1, true)
	require.NoError(w.t, err)
	return ids[0]
}

// writer adds a fan who has just written.
func (w *world) writer() string {
	w.t.Helper()
	id := w.fan()
	_, err := w.sim.Text(w.t.Context(), id, "hi")
	require.NoError(w.t, err)
	return id
}
