package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
)

// platform is a small fake of the API: stable tokens and whatever answer says to sends.
type platform struct {
	*httptest.Server
	answer http.HandlerFunc // of everything but the token API; nil: ok

	mu       sync.Mutex
	current  string   // the token that is valid
	minted   int      // how many there were
	requests []string // token requests: "normal" or "force"
	stuck    bool     // the platform hands out current, whatever is asked
	sends    []string // bodies
	refuse   bool     // every token is refused
}

func newPlatform(t *testing.T, answer http.HandlerFunc) *platform {
	t.Helper()
	p := &platform{answer: answer, current: "T0"}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *platform) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == apiStableToken {
		p.token(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	known := r.URL.Query().Get("access_token") == p.current && !p.refuse
	p.sends = append(p.sends, string(body))
	p.mu.Unlock()
	switch {
	case !known:
		fmt.Fprint(w, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: a-b-c"}`)
	case p.answer != nil:
		p.answer(w, r)
	default:
		fmt.Fprint(w, plainOK)
	}
}

func (p *platform) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID string
		Force bool `json:"force_refresh"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := "normal"
	if in.Force {
		kind = "force"
		if !p.stuck {
			p.minted++
			p.current = fmt.Sprintf("T%d", p.minted)
		}
	}
	p.requests = append(p.requests, kind)
	if in.AppID != "wx1" {
		fmt.Fprint(w, `{"errcode":40013,"errmsg":"invalid appid rid: a-b-c"}`)
		return
	}
	fmt.Fprintf(w, `{"access_token":"%s","expires_in":7200}`, p.current)
}

// supersede makes the current token invalid, as another system's forced refresh does.
func (p *platform) supersede() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.minted++
	p.current = fmt.Sprintf("T%d", p.minted)
}

func (p *platform) tokenRequests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

func (p *platform) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sends)
}

func (p *platform) account() Account {
	return Account{ID: 1, AppID: "wx1", Secret: "s", BaseURL: p.URL}
}

// client returns a client of p whose connections end with the test.
func (p *platform) client(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Transport == nil {
		o.Transport = ownTransport(t)
	}
	if o.Clock == nil {
		o.Clock = clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	}
	return New(o)
}

func ownTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport := NewTransport(16)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func hijack(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() {
			if tcp, ok := conn.(*net.TCPConn); ok && bytes == "" {
				if err := tcp.SetLinger(0); err != nil { // an RST, not a polite end
					panic(err)
				}
			}
			if err := conn.Close(); err != nil {
				panic(err)
			}
		}()
		if _, err := io.WriteString(conn, bytes); err != nil {
			panic(err)
		}
	}
}

func TestAnAnswerDecidesOutcomeAndClass(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		answer  http.HandlerFunc
		outcome Outcome
		code    int
		class   Class
	}{
		{"ok", says(200, plainOK), OutcomeSent, 0, ClassOK},
		{"ok in another form", says(200, "{ \"errmsg\": \"ok\", \"errcode\": 0 }\n"), OutcomeSent, 0, ClassOK},
		{"window closed", says(200, `{"errcode":45015,"errmsg":"response out of time limit or subscription is canceled rid: 1-2-3"}`), OutcomeFailed, 45015, ClassFan},
		{"minute quota", says(200, `{"errcode":45011,"errmsg":"api minute-quota reach limit"}`), OutcomeFailed, 45011, ClassSlow},
		{"busy", says(200, `{"errcode":-1,"errmsg":"system error"}`), OutcomeLost, -1, ClassRetry},
		{"server error", says(502, "bad gateway"), OutcomeLost, 0, ClassRetry},
		{"server error with a code", says(500, `{"errcode":45015,"errmsg":""}`), OutcomeLost, 0, ClassRetry},
		{"not json", says(200, "<html>"), OutcomeLost, 0, ClassRetry},
		{"empty", says(200, ""), OutcomeLost, 0, ClassRetry},
		{"no errcode", says(200, "{}"), OutcomeLost, 0, ClassRetry},
		{"half a JSON", says(200, `{"errcode":0,"errm`), OutcomeLost, 0, ClassRetry},
		{"code as text", says(200, `{"errcode":"0"}`), OutcomeLost, 0, ClassRetry},
		{"redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, OutcomeLost, 0, ClassRetry},
		{"ok with a strange status", says(404, plainOK), OutcomeLost, 0, ClassRetry},
		{"reset", hijack(""), OutcomeLost, 0, ClassRetry},
		{"half an answer", hijack("HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"errcode\":0,"), OutcomeLost, 0, ClassRetry},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, c.answer)
			var seen []CallInfo
			client := p.client(t, Options{Observe: func(i CallInfo) { seen = append(seen, i) }})
			err := client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
			require.Equal(t, c.outcome, OutcomeOf(err), "%v", err)
			require.Equal(t, c.class, Classify(err))
			require.Equal(t, 1, p.sent(), "a send is never repeated")
			last := seen[len(seen)-1]
			require.Equal(t, CallInfo{API: apiKefuSend, AccountID: 1, Code: c.code, Outcome: c.outcome}, last)
			if err != nil {
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.code, e.Code)
				require.Equal(t, apiKefuSend, e.API)
				require.NotContains(t, err.Error(), "T0", "an error text holds no token")
			}
		})
	}
}

func TestAnErrorCarriesCodeTextAndRequestID(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, says(200, `{"errcode":45047,"errmsg":"out of response count limit rid: 1-2-3"}`))
	err := p.client(t, Options{}).SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, Error{
		Code: 45047, Msg: "out of response count limit", RID: "1-2-3", API: apiKefuSend, HTTPStatus: 200, Outcome: OutcomeFailed,
	}, *e)
	require.EqualError(t, err, "wechat: /cgi-bin/message/custom/send: 45047 out of response count limit (rid 1-2-3)")
}

func TestASendThatTimesOutOnTheWireIsLost(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := newPlatform(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	client := p.client(t, Options{Timeout: 200 * time.Millisecond})
	_, err := client.Token(t.Context(), p.account())
	require.NoError(t, err)
	err = client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, OutcomeLost, OutcomeOf(err))
}

func TestACancelledSendIsLostOnlyIfBytesMayHaveLeft(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	p := newPlatform(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	defer close(release)
	transport := ownTransport(t)
	transport.MaxConnsPerHost = 1
	client := p.client(t, Options{Transport: transport})
	_, err := client.Token(t.Context(), p.account())
	require.NoError(t, err)

	first, cancelFirst := context.WithCancel(t.Context())
	firstErr := make(chan error, 1)
	go func() { firstErr <- client.SendKefu(first, p.account(), "o1", TextMessage("hi")) }()
	<-arrived // the only connection is taken now, and the request is at the platform

	second, cancelSecond := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelSecond()
	err = client.SendKefu(second, p.account(), "o1", TextMessage("hi"))
	require.Equal(t, OutcomeNotSent, OutcomeOf(err), "it waited for a connection: %v", err)

	cancelFirst()
	require.Equal(t, OutcomeLost, OutcomeOf(<-firstErr))

	done, cancel := context.WithCancel(t.Context())
	cancel()
	err = client.SendKefu(done, p.account(), "o1", TextMessage("hi"))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))
}

func TestARefusedConnectionIsNotSent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	transport := ownTransport(t)
	client := p.client(t, Options{Transport: transport})
	_, err := client.Token(t.Context(), p.account())
	require.NoError(t, err)
	p.Close()
	transport.CloseIdleConnections() // or the send would go into a connection that is closing, and be lost
	err = client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	require.Error(t, err)
	require.Equal(t, OutcomeNotSent, OutcomeOf(err), "%v", err)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestATransportThatReportsNothingIsNotTrusted(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	inner := ownTransport(t)
	fail := errors.New("the fault injector cut it")
	var failure error
	client := p.client(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "stable_token") {
			return inner.RoundTrip(r)
		}
		return nil, failure
	})})
	failure = fail
	err := client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))
	require.ErrorIs(t, err, fail)
	require.Equal(t, OutcomeLost, OutcomeOf(err))
	failure = &net.OpError{Op: "dial", Err: fail}
	require.Equal(t, OutcomeNotSent, OutcomeOf(client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi"))))
}

func TestWhatCannotBeCalledIsNotSent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	client := p.client(t, Options{})
	acc := p.account()
	acc.BaseURL = "ftp://x"
	err := client.SendKefu(t.Context(), acc, "o1", TextMessage("hi"))
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))
	require.ErrorContains(t, err, "base URL")

	err = client.SendKefu(t.Context(), p.account(), "o1", Message{Kind: KindText})
	require.Equal(t, OutcomeNotSent, OutcomeOf(err))
	require.Zero(t, p.sent())
}

func TestTypingSaysWhoAndWhat(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	client := p.client(t, Options{})
	require.NoError(t, client.Typing(t.Context(), p.account(), "o1", true))
	require.NoError(t, client.Typing(t.Context(), p.account(), "o1", false))
	require.Equal(t, []string{`{"touser":"o1","command":"Typing"}`, `{"touser":"o1","command":"CancelTyping"}`}, p.sends)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	addresses := map[string]bool{}
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		addresses[r.RemoteAddr] = true
		mu.Unlock()
		fmt.Fprint(w, plainOK)
	})
	client := p.client(t, Options{})
	for range 20 {
		require.NoError(t, client.SendKefu(t.Context(), p.account(), "o1", TextMessage("hi")))
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, addresses, 1)
}
