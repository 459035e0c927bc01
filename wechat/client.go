package wechat

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"hongyan/internal/clock"
)

// DefaultBaseURL is the platform's nearest entrance.
const DefaultBaseURL = "https://api.weixin.qq.com"

// DefaultTimeout bounds one request, connecting included.
const DefaultTimeout = 10 * time.Second

const (
	apiKefuSend    = "/cgi-bin/message/custom/send"
	apiTyping      = "/cgi-bin/message/custom/typing"
	apiStableToken = "/cgi-bin/stable_token"

	httpOK          = http.StatusOK
	maxAnswer       = 4 << 20  // bytes; the longest known answer is a page of 10,000 openids
	maxFile         = 32 << 20 // bytes of a downloaded file; the platform's largest is a video of 10 MB
	defaultMaxConns = 200
	usualBody       = 512 // bytes
)

// Account is what a call needs to know of an account.
type Account struct {
	ID      int64
	AppID   string
	Secret  string
	BaseURL string // "" means DefaultBaseURL; the simulator's address otherwise
	// Component is the third-party platform that the account is authorised to by a scan;
	// Secret is then not needed. nil means access by the account's own secret.
	Component *Component
}

// Options configure a Client. The zero value is usable.
type Options struct {
	Transport http.RoundTripper // nil means NewTransport(200)
	Clock     clock.Clock       // nil means the wall clock
	Tokens    TokenStore        // nil keeps tokens in this process only
	Timeout   time.Duration     // of one request; 0 means DefaultTimeout
	Observe   func(CallInfo)    // called after each request, from its goroutine; must not block
}

// CallInfo describes one request that ended.
type CallInfo struct {
	API       string // path: "/cgi-bin/message/custom/send"
	AccountID int64
	Code      int // errcode, 0 also when there was no answer
	Outcome   Outcome
	Duration  time.Duration
}

// Client calls the platform for any number of accounts. It is safe for concurrent use
// and holds no goroutine while no call is running. Every error of a call is an *Error,
// except a fault.Invalid error about a message that cannot be rendered.
type Client struct {
	transport http.RoundTripper
	clock     clock.Clock
	timeout   time.Duration
	observe   func(CallInfo)
	tokens    *tokens
	tickets   ticketTable
	bases     sync.Map  // base URL as given -> *url.URL
	buffers   sync.Pool // of *bytes.Buffer, for answers
}

// New returns a Client.
func New(o Options) *Client {
	c := &Client{transport: o.Transport, clock: o.Clock, timeout: o.Timeout, observe: o.Observe}
	if c.transport == nil {
		c.transport = NewTransport(defaultMaxConns)
	}
	if c.clock == nil {
		c.clock = clock.System()
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	store := o.Tokens
	if store == nil {
		store = NewMemoryTokens()
	}
	c.buffers.New = func() any { return new(bytes.Buffer) }
	c.tokens = &tokens{client: c, store: store, owner: rand.Text(), entries: map[tokenKey]*tokenEntry{}}
	return c
}

// SendKefu sends a customer-service message to one fan. nil means that the platform
// took it; OutcomeOf tells what any error means. It sends at most once, except that a
// refused access token, which is a definite answer, is refreshed and the call repeated
// one time.
func (c *Client) SendKefu(ctx context.Context, acc Account, openid string, m Message) error {
	body, err := AppendKefu(make([]byte, 0, usualBody), openid, &m)
	if err != nil {
		return err
	}
	return c.SendKefuJSON(ctx, acc, body)
}

// SendKefuJSON is SendKefu with a body that AppendKefu made. body must not be changed
// after an error: the transport may still be reading it.
func (c *Client) SendKefuJSON(ctx context.Context, acc Account, body []byte) error {
	return c.call(ctx, acc, &exchange{api: apiKefuSend, body: body, strict: true})
}

// Typing shows or hides "the other side is typing" at the fan's end. The platform
// accepts it only while the fan has been active in the last 30 seconds (45080).
func (c *Client) Typing(ctx context.Context, acc Account, openid string, on bool) error {
	o := object{[]byte(`{`)}
	o.field("touser", openid)
	if on {
		o.field("command", "Typing")
	} else {
		o.field("command", "CancelTyping")
	}
	return c.call(ctx, acc, &exchange{api: apiTyping, body: append(o.b, '}'), strict: true})
}

// Token returns a usable access token of acc, refreshing it if need be.
func (c *Client) Token(ctx context.Context, acc Account) (string, error) {
	token, err := c.tokens.get(ctx, acc, "")
	if err != nil {
		return "", notSent(tokenAPI(acc), err)
	}
	return token, nil
}

// call makes an exchange with an access token. A refused token is replaced once.
func (c *Client) call(ctx context.Context, acc Account, x *exchange) error {
	var err error
	if x.token, err = c.tokens.get(ctx, acc, ""); err != nil {
		return notSent(x.api, err)
	}
	failure := c.do(ctx, acc, x)
	if failure == nil {
		return nil
	}
	if failure.Outcome == OutcomeFailed && acc.rejected(failure.Code) {
		if x.token, err = c.tokens.get(ctx, acc, x.token); err != nil {
			return notSent(x.api, err)
		}
		if failure = c.do(ctx, acc, x); failure == nil {
			return nil
		}
		failure.TokenRefused = acc.rejected(failure.Code)
	}
	return failure
}

// do makes one request and reports it to the observer.
func (c *Client) do(ctx context.Context, acc Account, x *exchange) *Error {
	if c.observe == nil {
		return c.roundTrip(ctx, acc, x)
	}
	start := c.clock.Now()
	failure := c.roundTrip(ctx, acc, x)
	info := CallInfo{API: x.api, AccountID: acc.ID, Duration: c.clock.Now().Sub(start)}
	if failure != nil {
		info.Code, info.Outcome = failure.Code, failure.outcome()
	}
	c.observe(info)
	return failure
}

func (c *Client) roundTrip(ctx context.Context, acc Account, x *exchange) *Error {
	if err := ctx.Err(); err != nil {
		return notSent(x.api, err)
	}
	target, err := c.target(acc.BaseURL, x)
	if err != nil {
		return notSent(x.api, err)
	}
	// Wall time on purpose: it bounds a real connection, whatever clock the caller lives by.
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	w := new(wire)
	req, err := http.NewRequestWithContext(w.watch(ctx), cmp.Or(x.method, http.MethodPost), "", bytes.NewReader(x.body))
	if err != nil {
		return notSent(x.api, err)
	}
	// The URL is put in as parsed: parsing it per call costs time, and a failure would
	// put the access token into an error text.
	req.URL, req.Host = target, target.Host
	req.Header["Content-Type"] = []string{cmp.Or(x.form, "application/json; charset=utf-8")}
	// The transport itself, not http.Client: a redirect must not repeat a send.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return &Error{API: x.api, Outcome: w.outcome(err), Err: err}
	}
	return c.answer(resp, x)
}

// target is where x goes. Base URLs are few and are parsed once.
func (c *Client) target(base string, x *exchange) (*url.URL, error) {
	if base == "" {
		base = DefaultBaseURL
	}
	parsed, ok := c.bases.Load(base)
	if !ok {
		u, err := url.Parse(strings.TrimRight(base, "/"))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the account's base URL %q is not an http or https address", base)
		}
		parsed, _ = c.bases.LoadOrStore(base, u)
	}
	root, ok := parsed.(*url.URL)
	if !ok {
		return nil, errors.New("the table of base URLs holds something else")
	}
	u := *root
	u.Path += x.api
	u.RawPath = ""
	if x.token != "" {
		u.RawQuery = cmp.Or(x.tokenName, "access_token") + "=" + url.QueryEscape(x.token)
	}
	if more := x.query.Encode(); more != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+more, "&")
	}
	return &u, nil
}

// answer reads a response to its end, so that the connection can be used again, and
// judges it.
func (c *Client) answer(resp *http.Response, x *exchange) *Error {
	lost := func(err error) *Error {
		return &Error{API: x.api, HTTPStatus: resp.StatusCode, Outcome: OutcomeLost, Err: err}
	}
	buf, ok := c.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= 2*maxAnswer { // a file's is not kept
			c.buffers.Put(buf)
		}
	}()
	buf.Reset()
	most := int64(maxAnswer)
	if x.file != nil {
		most = maxFile
	}
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, most+1))
	closed := resp.Body.Close()
	switch {
	case err != nil:
		return lost(fmt.Errorf("the answer broke off: %w", err))
	case closed != nil:
		return lost(fmt.Errorf("the answer broke off: %w", closed))
	case int64(buf.Len()) > most:
		return lost(fmt.Errorf("the answer is over %d bytes", most))
	case resp.StatusCode >= http.StatusInternalServerError:
		return lost(nil)
	}
	if x.file != nil && resp.StatusCode == httpOK && !isJSON(resp.Header) {
		*x.file = File{Type: resp.Header.Get("Content-Type"), Name: attachmentName(resp.Header), Body: bytes.Clone(buf.Bytes())}
		return nil
	}
	failure := judge(buf.Bytes(), x)
	if failure != nil {
		failure.HTTPStatus = resp.StatusCode
	} else if resp.StatusCode != httpOK {
		return lost(errors.New("the answer does not look like the platform's"))
	}
	return failure
}

// plainOK is the usual answer to a send, recognised without decoding it.
const plainOK = `{"errcode":0,"errmsg":"ok"}`

// judge reads the platform's answer; nil is success. What cannot be read is lost.
func judge(body []byte, x *exchange) *Error {
	if x.out == nil && string(body) == plainOK {
		return nil
	}
	unreadable := func(why string) *Error {
		return &Error{API: x.api, Outcome: OutcomeLost, Err: fmt.Errorf("the answer of %d bytes %s", len(body), why)}
	}
	var head struct {
		Code *int   `json:"errcode"`
		Msg  string `json:"errmsg"`
	}
	// The text of a decoding error quotes the answer, which can hold a token.
	if json.Unmarshal(body, &head) != nil {
		return unreadable("is not JSON")
	}
	switch {
	case head.Code == nil && x.strict:
		return unreadable("has no errcode")
	case head.Code != nil && *head.Code != 0:
		failure := &Error{Code: *head.Code, API: x.api}
		failure.Msg, failure.RID = splitRID(head.Msg)
		failure.Outcome = failure.outcome()
		if x.refusal != nil && json.Unmarshal(body, x.refusal) != nil {
			failure.Err = errors.New("what came with the errcode has an unexpected form")
		}
		return failure
	case x.out != nil && json.Unmarshal(body, x.out) != nil:
		return unreadable("has an unexpected form")
	}
	return nil
}
