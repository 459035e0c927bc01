package simulator

import (
	"context"
	"net/url"
	"strings"
	"time"

	"hongyan/internal/clock"
)

// api numbers the platform's APIs that the simulator has.
type api uint8

const (
	apiToken api = iota
	apiStableToken
	apiSend
	apiTyping
	apiQuotaGet
	apiClearQuota
	apiCallbackIP
	apiUnknown
)

const apiCount = int(apiUnknown) + 1

// The paths of the APIs, as SetLimit, SetFaults and filters of the record name them.
const (
	PathToken       = "/cgi-bin/token"
	PathStableToken = "/cgi-bin/stable_token"
	PathSend        = "/cgi-bin/message/custom/send"
	PathTyping      = "/cgi-bin/message/custom/typing"
	PathQuotaGet    = "/cgi-bin/openapi/quota/get"
	PathClearQuota  = "/cgi-bin/clear_quota"
	PathCallbackIP  = "/cgi-bin/getcallbackip"
)

// apiOf finds an API by its path.
func apiOf(path string) (api, bool) {
	switch path {
	case PathSend:
		return apiSend, true
	case PathStableToken:
		return apiStableToken, true
	case PathToken:
		return apiToken, true
	case PathTyping:
		return apiTyping, true
	case PathQuotaGet:
		return apiQuotaGet, true
	case PathClearQuota:
		return apiClearQuota, true
	case PathCallbackIP:
		return apiCallbackIP, true
	}
	return apiUnknown, false
}

func (a api) path() string {
	return [apiCount]string{
		PathToken, PathStableToken, PathSend, PathTyping, PathQuotaGet, PathClearQuota, PathCallbackIP, "",
	}[a]
}

// call is one request on its way through the simulator.
type call struct {
	api    api
	seq    uint64
	at     time.Time
	method string
	path   string
	query  string // raw
	body   []byte

	appID    string
	openID   string
	kind     string
	content  string
	code     int
	accepted bool   // the platform did what was asked
	answer   []byte // "" until refused or answered
	plan     plan
	slot     int // place in the record
}

// begin notes the arrival of a call and draws its fate.
func (s *Simulator) begin(method, path, query string, body []byte) *call {
	which, _ := apiOf(path)
	c := &call{
		api: which, seq: s.calls.Add(1), at: s.clock.Now(),
		method: method, path: path, query: query, body: body,
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
			c.code, c.answer = c.plan.code, nil
		}
	}
	switch {
	case c.answer != nil:
	case c.code == codeOK:
		c.answer = answerBody(codeOK, "")
	default:
		c.answer = answerBody(c.code, requestID(c.at.Unix(), s.seed, c.seq))
	}
}

func (s *Simulator) dispatch(c *call) {
	switch c.api {
	case apiSend:
		s.serveSend(c)
	case apiStableToken:
		s.serveStableToken(c)
	case apiToken:
		s.serveToken(c)
	case apiTyping:
		s.serveTyping(c)
	case apiQuotaGet:
		s.serveQuotaGet(c)
	case apiClearQuota:
		s.serveClearQuota(c)
	case apiCallbackIP:
		s.serveCallbackIP(c)
	default:
		c.refuse(codeBadPath)
	}
	if c.api != apiSend {
		c.accepted = c.code == codeOK
	}
}

func (c *call) refuse(code int) { c.code = code }

// enter is what every API with an access token begins with: method, token, rights, limits.
func (s *Simulator) enter(c *call, method string, verifiedOnly bool) (*account, bool) {
	if c.method != method {
		c.refuse(map[string]int{"GET": codeRequireGet, "POST": codeRequirePost}[method])
		return nil, false
	}
	a, code := s.authorise(queryValue(c.query, "access_token"), c.at)
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
