package simulator

import (
	"crypto/sha1" //nolint:gosec // the platform's choice
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// PathJSTicket is the path of the JS-SDK ticket.
const PathJSTicket = "/cgi-bin/ticket/getticket"

const (
	jsTicketLife    = 7200 * time.Second
	jsTicketLetters = 86
)

// jssdkRoutes are the JS-SDK ticket (platform.md 7.5).
func jssdkRoutes() []route {
	return []route{{PathJSTicket, Limit{Daily: 1_000_000}, (*Simulator).serveJSTicket}}
}

// jssdkState is what an account keeps for the JS-SDK ticket (platform.md 7.5); it is guarded by the account's mutex.
type jssdkState struct {
	domains []string
	ticket  string
	ends    time.Time
	minted  uint64
}

// serveJSTicket is GET /cgi-bin/ticket/getticket. Until a ticket ends, everybody gets the
// same one and is told what is left of its life.
func (s *Simulator) serveJSTicket(c *call) {
	a, ok := s.enter(c, "GET", false)
	if !ok {
		return
	}
	if code := c.checkQuery("type"); code != codeOK {
		c.refuse(code)
		return
	}
	if queryValue(c.query, "type") != "jsapi" {
		c.refuse(codeBadParameter)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st := &a.jssdk
	if st.ends.Sub(c.at) < time.Second {
		st.minted++
		st.ticket = letters(jsTicketLetters, s.seed, hashText(c.appID), 0x715d, st.minted)
		st.ends = c.at.Add(jsTicketLife)
	}
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","ticket":%q,"expires_in":%d}`,
		st.ticket, int64(st.ends.Sub(c.at).Seconds()))
}

// SetJSDomains registers the hosts whose pages may use the JS-SDK, without scheme and port;
// a fresh account has none. It answers NotFound and Invalid.
func (s *Simulator) SetJSDomains(appID string, hosts ...string) error {
	return s.setDomains(appID, hosts, func(a *account) *[]string { return &a.jssdk.domains })
}

// CheckJSConfig does what wx.config does in the browser that shows a page. It answers
// NotFound for an unknown account, Forbidden for a page on a host that is not registered and
// Invalid for a signature that does not fit.
func (s *Simulator) CheckJSConfig(page string, cfg wechat.JSConfig) error {
	a, err := s.account(cfg.AppID)
	if err != nil {
		return err
	}
	u, err := url.Parse(page)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the page's address")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.jssdk.domains, u.Hostname()) {
		return fault.New(fault.Forbidden, "config:fail, invalid url domain: %s", u.Hostname())
	}
	address, _, _ := strings.Cut(page, "#")
	text := fmt.Sprintf("jsapi_ticket=%s&noncestr=%s&timestamp=%d&url=%s", a.jssdk.ticket, cfg.Nonce, cfg.Timestamp, address)
	sum := sha1.Sum([]byte(text)) //nolint:gosec // the platform's choice
	if a.jssdk.ticket == "" || !s.clock.Now().Before(a.jssdk.ends) || cfg.Signature != hex.EncodeToString(sum[:]) {
		return fault.New(fault.Invalid, "config:fail, invalid signature")
	}
	return nil
}
