package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hongyan/internal/clock"
)

// call is one request on its way through the simulator.
type call struct {
	api    api
	seq    uint64
	at     time.Time
	method string
	path   string
	query  string // raw
	form   string // Content-Type of the request
	body   []byte

	appID    string
	openID   string
	kind     string
	content  string
	code     int
	accepted bool   // the platform did what was asked
	answer   []byte // "" until refused or answered
	typed    string // Content-Type of the answer, "" for the platform's JSON
	redirect string // where a page sends the browser instead of answering
	status   int    // HTTP status of the answer, 0 for 200
	file     string // name that a file is answered under
	plan     plan
	slot     int // place in the record
}

// begin notes the arrival of a call and draws its fate.
func (s *Simulator) begin(r *http.Request, body []byte) *call {
	which, _ := s.apiOf(r.URL.Path)
	c := &call{
		api: which, seq: s.calls.Add(1), at: s.clock.Now(),
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, form: r.Header.Get("Content-Type"), body: body,
	}
	if s.record.mode != RecordCompact && (which == apiSend || which == apiTyping) {
		// Also for calls that are never processed, so that a fan's calls can be counted.
		c.openID = string(touser(body))
	}
	c.plan = s.faults.draw(which)
	s.record.begin(c)
	return c
}

// process does what the platform does with a call, as far as its fate lets it come.
func (s *Simulator) process(c *call) {
	switch {
	case c.plan.code != 0 && !c.plan.processed:
		c.code = c.plan.code
	case !c.plan.processed:
	default:
		s.dispatch(c)
		if c.plan.code != 0 {
			c.code, c.answer, c.typed, c.redirect, c.status, c.file = c.plan.code, nil, "", "", 0, ""
		}
	}
	switch {
	case c.answer != nil, c.redirect != "":
	case c.code == codeOK:
		c.answer = answerBody(codeOK, "")
	default:
		c.answer = answerBody(c.code, requestID(c.at.Unix(), s.seed, c.seq))
	}
}

func (s *Simulator) dispatch(c *call) {
	if c.api == apiUnknown {
		c.refuse(codeBadPath)
	} else {
		sw := s.switches.Load()
		if sw.LooseRequests {
			c.loosen()
		}
		s.routes[c.api].serve(s, c)
		if sw.NumberIDs {
			c.numberIDs()
		}
	}
	if c.api != apiSend {
		c.accepted = c.code == codeOK
	}
}

func (c *call) refuse(code int) { c.code = code }

// answerJSON answers with v as the platform writes JSON: characters as they are.
func (c *call) answerJSON(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		c.refuse(codeBusy)
		return
	}
	c.answer = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// enter is what every API with an access token begins with: method, token, rights, limits.
func (s *Simulator) enter(c *call, method string, verifiedOnly bool) (*account, bool) {
	if c.method != method {
		c.refuse(map[string]int{"GET": codeRequireGet, "POST": codeRequirePost}[method])
		return nil, false
	}
	token := queryValue(c.query, "access_token")
	a, code := s.authorise(token, c.at)
	if code == codeOK {
		code = s.components.allow(token, c.path)
	}
	if code == codeOK && !s.components.given(token) && !a.config().admits(callerIP) {
		code = codeIPNotListed
	}
	if code != codeOK {
		c.refuse(code)
		return nil, false
	}
	cfg := a.config()
	c.appID = cfg.AppID
	if verifiedOnly && !cfg.Verified {
		c.refuse(codeUnauthorized)
		return nil, false
	}
	code = a.use[c.api].take(c.at)
	if code == codeBusy && s.switches.Load().BurstDelivers {
		// The answer says busy, and the message goes out all the same.
		c.plan.code, code = codeBusy, codeOK
	}
	if code != codeOK {
		c.refuse(code)
		return nil, false
	}
	return a, true
}

// enterService is enter for APIs that only verified service accounts have (platform.md 0.2).
func (s *Simulator) enterService(c *call, method string) (*account, bool) {
	a, ok := s.enter(c, method, true)
	if ok && a.config().Type != Service {
		c.refuse(codeUnauthorized)
		return nil, false
	}
	return a, ok
}

// queryValue reads one value of a raw query without building a map: sends take this path.
func queryValue(raw, name string) string {
	for part := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(part, "=")
		if key != name {
			continue
		}
		if !strings.ContainsAny(value, "%+") {
			return value
		}
		if text, err := url.QueryUnescape(value); err == nil {
			return text
		}
		return ""
	}
	return ""
}

// sleep waits for d on the clock and reports whether ctx and the simulator outlived it.
func (s *Simulator) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	return wait(ctx, s.done, s.clock.NewTimer(d))
}

func wait(ctx context.Context, done <-chan struct{}, t *clock.Timer) bool {
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-done:
	}
	return false
}
