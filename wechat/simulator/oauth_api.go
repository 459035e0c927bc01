package simulator

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/fault"
)

// The paths of the authorisation page and of the calls about persons.
const (
	PathAuthorize     = "/connect/oauth2/authorize"
	PathPersonToken   = "/sns/oauth2/access_token"
	PathPersonRefresh = "/sns/oauth2/refresh_token"
	PathPersonInfo    = "/sns/userinfo"
	PathPersonCheck   = "/sns/auth"

	// In the name of an account that authorised a component.
	PathComponentPersonToken   = "/sns/oauth2/component/access_token"
	PathComponentPersonRefresh = "/sns/oauth2/component/refresh_token"
)

// The codes of OAuth: the page's own, which it shows to the person, and the calls'.
const (
	codePageDomain     = 10003
	codePageScope      = 10005
	codeBadCode        = 40029
	codeBadRefresh     = 40030
	codeCodeUsed       = 40163
	codeRefreshMissing = 41003
	codeCodeMissing    = 41008
	codeRefreshEnded   = 42002
	codeConsentEnded   = 42007
)

const (
	scopeBase     = "snsapi_base"
	scopeUserInfo = "snsapi_userinfo"

	webCodeLife    = 5 * time.Minute
	personLife     = 7200 * time.Second
	refreshLife    = 30 * 24 * time.Hour
	personLetters  = 86
	webCodeLetters = 31
)

// oauthRoutes are pages and calls of OAuth (platform.md 7.4).
func oauthRoutes() []route {
	perMinute := Limit{PerMinute: 50_000}
	return []route{
		{PathComponentPersonToken, perMinute, (*Simulator).serveComponentPersonToken},
		{PathComponentPersonRefresh, perMinute, (*Simulator).serveComponentPersonRefresh},
		{PathAuthorize, Limit{}, (*Simulator).serveAuthorize},
		{PathPersonToken, perMinute, (*Simulator).servePersonToken},
		{PathPersonRefresh, perMinute, (*Simulator).servePersonRefresh},
		{PathPersonInfo, perMinute, (*Simulator).servePersonInfo},
		{PathPersonCheck, Limit{}, (*Simulator).servePersonCheck},
	}
}

// oauthState is what an account keeps for pages and calls of OAuth (platform.md 7.4); it is guarded by the account's mutex.
type oauthState struct {
	domains  []string
	visitor  WebVisitor
	codes    []*webCode // oldest first
	consents []*consent // oldest first
	minted   uint64     // codes and tokens
}

// webCode is what a person comes back to the account's page with.
type webCode struct {
	value     string
	openID    string
	scope     string
	component string // in whose name the page was opened, "" for the account itself
	snapshot  bool
	ends      int64 // unix ms
	used      bool
}

// consent is a person's token and what renews it.
type consent struct {
	openID      string
	scope       string
	component   string // that alone can renew it, "" for the account itself
	snapshot    bool
	access      string
	accessEnds  int64 // unix ms
	refresh     string
	refreshEnds int64
	revoked     bool
}

// WebVisitor is the person who opens an account's pages in WeChat's browser.
type WebVisitor struct {
	OpenID   string `json:"openid"`             // a fan or a stranger; "" for a browser outside of WeChat
	Refuses  bool   `json:"refuses,omitempty"`  // says no when asked for name and picture
	Snapshot bool   `json:"snapshot,omitempty"` // is shown a snapshot page when asked for them (platform.md 7.4)
}

// SetWebVisitor says who opens the account's pages from now on. It answers NotFound.
func (s *Simulator) SetWebVisitor(appID string, v WebVisitor) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	if v.OpenID != "" && s.accountFan(a, v.OpenID, codeBadOpenID, func(*fan) int { return codeOK }) != codeOK {
		return fault.New(fault.NotFound, "account %s has no fan %q", appID, v.OpenID)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.oauth.visitor = v
	return nil
}

// SetWebDomains registers the hosts that people may be sent back to, without scheme and
// port; a fresh account has none. It answers NotFound and Invalid.
func (s *Simulator) SetWebDomains(appID string, hosts ...string) error {
	return s.setDomains(appID, hosts, func(a *account) *[]string { return &a.oauth.domains })
}

var hostShape = regexp.MustCompile(`^[0-9A-Za-z]([-.0-9A-Za-z]*[0-9A-Za-z])?$`)

func (s *Simulator) setDomains(appID string, hosts []string, of func(*account) *[]string) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	for _, host := range hosts {
		if !hostShape.MatchString(host) {
			return fault.BadField("domain", "shape", "%q is not a host by itself", host)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	*of(a) = slices.Clone(hosts)
	return nil
}

// EndConsents makes every token that a person has given to the account useless (42007), as
// a change of their password does. It answers NotFound.
func (s *Simulator) EndConsents(openID string) error {
	var a *account
	if err := s.withFan(openID, func(f *fan) { a = f.account }); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.oauth.consents {
		x.revoked = x.revoked || x.openID == openID
	}
	return nil
}

// authorizeIn is the query of the authorisation page.
type authorizeIn struct {
	appID, redirect, kind, scope, state, popup, component string
}

var webStateShape = regexp.MustCompile(`^[a-zA-Z0-9]{0,128}$`)

// parseAuthorize reads the page's query. The platform matches it against a pattern, so the
// order counts.
func parseAuthorize(raw string) (in authorizeIn, code int) {
	names := []string{"appid", "redirect_uri", "response_type", "scope", "state", "forcePopup", "component_appid"}
	values := []*string{&in.appID, &in.redirect, &in.kind, &in.scope, &in.state, &in.popup, &in.component}
	next := 0
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		i := slices.Index(names, name)
		text, err := url.QueryUnescape(value)
		if i < next || err != nil {
			return in, codeBadParameter
		}
		*values[i], next = text, i+1
	}
	switch {
	case in.appID == "":
		return in, codeAppIDMissing
	case in.redirect == "", in.kind != "code", !webStateShape.MatchString(in.state),
		!slices.Contains([]string{"", "true", "false"}, in.popup):
		return in, codeBadParameter
	}
	return in, codeOK
}

// serveAuthorize is the page that a browser is sent to. It sends the browser back, or shows
// what is wrong to the person.
func (s *Simulator) serveAuthorize(c *call) {
	if c.method != "GET" {
		c.refusePage(codeRequireGet)
		return
	}
	in, code := parseAuthorize(c.query)
	if code != codeOK {
		c.refusePage(code)
		return
	}
	a, known := s.accounts.get(in.appID)
	if !known {
		c.refusePage(codeBadAppID)
		return
	}
	c.appID = in.appID
	domains, code := s.webDomains(&in)
	if code != codeOK {
		c.refusePage(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	back, code := a.sendBack(&in, domains)
	if code != codeOK {
		c.refusePage(code)
		return
	}
	visitor := a.oauth.visitor
	c.openID, c.kind = visitor.OpenID, in.scope
	var query []string
	if back.RawQuery != "" {
		query = append(query, back.RawQuery)
	}
	if in.scope == scopeBase || !visitor.Refuses {
		query = append(query, "code="+s.mintCode(a, &in, c.at))
	}
	query = append(query, "state="+in.state)
	if in.component != "" {
		query = append(query, "appid="+in.appID)
	}
	back.RawQuery = strings.Join(query, "&")
	c.redirect = back.String()
}

// sendBack checks whether a person may be sent back; the account is locked. domains are a
// component's, nil where the account's count.
func (a *account) sendBack(in *authorizeIn, domains []string) (*url.URL, int) {
	if in.component == "" {
		domains = a.oauth.domains
	}
	back, err := url.Parse(in.redirect)
	cfg := a.config()
	switch {
	case err != nil, back.Scheme != "http" && back.Scheme != "https":
		return nil, codeBadParameter
	case in.scope != scopeBase && in.scope != scopeUserInfo, !cfg.Verified, cfg.Type != Service:
		return nil, codePageScope
	case !slices.Contains(domains, back.Hostname()):
		return nil, codePageDomain
	case a.oauth.visitor.OpenID == "":
		return nil, codeBadOpenID
	}
	return back, codeOK
}

// refusePage shows an error to the person, as a page.
func (c *call) refusePage(code int) {
	c.refuse(code)
	text := errText(code)
	if code == codeBadOpenID {
		text = "请在微信客户端打开链接"
	}
	c.typed = "text/html; charset=utf-8"
	c.answer = append(c.answer, `<!DOCTYPE html><html><head><meta charset="utf-8"><title>系统错误</title></head><body><p>`...)
	c.answer = append(c.answer, text...)
	c.answer = append(c.answer, "，错误码:"+strconv.Itoa(code)+"</p></body></html>"...)
}

// mintCode makes a code for the account's visitor; the account is locked.
func (s *Simulator) mintCode(a *account, in *authorizeIn, now time.Time) string {
	st := &a.oauth
	ms := now.UnixMilli()
	st.codes = slices.DeleteFunc(st.codes, func(x *webCode) bool { return x.ends <= ms })
	v := st.visitor
	x := &webCode{
		openID: v.OpenID, scope: in.scope, component: in.component, snapshot: v.Snapshot && in.scope == scopeUserInfo,
		ends: ms + webCodeLife.Milliseconds(),
	}
	if x.snapshot {
		x.openID = "o" + letters(27, s.seed, hashText(v.OpenID), 0x54a9)
	}
	x.value = "0" + s.secretText(a, webCodeLetters)
	st.codes = append(st.codes, x)
	return x.value
}

// secretText invents the next code or token of an account, which is locked.
func (s *Simulator) secretText(a *account, n int) string {
	a.oauth.minted++
	return letters(n, s.seed, hashText(a.config().AppID), 0x0a07, a.oauth.minted)
}
