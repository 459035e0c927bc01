package simulator

import (
	"net/url"
	"slices"
)

// webSet is the permission set of web pages (platform.md 1.5).
const webSet = 4

// webDomains are the hosts that a component's page of OAuth may send people back to, nil
// where no component opens it (platform.md 7.4).
func (s *Simulator) webDomains(in *authorizeIn) ([]string, int) {
	if in.component == "" {
		return nil, codeOK
	}
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp := s.components.find(in.component)
	if comp == nil {
		return nil, codeBadAppID
	}
	return comp.cfg.WebDomains, comp.mayOpenPages(in.appID)
}

// mayOpenPages says whether an account granted what its pages need; the table is locked.
func (c *component) mayOpenPages(appID string) int {
	switch g := c.grantOf(appID); {
	case g == nil:
		return codeNotAuthorised
	case !slices.Contains(g.sets, webSet):
		return codeSetMissing
	}
	return codeOK
}

// enterComponentPersons reads the query of a component's call about a person, and finds the account that it is about.
func (s *Simulator) enterComponentPersons(c *call, grantType, secret string) (a *account, component string, query url.Values) {
	query, ok := c.enterPersons("appid", "grant_type", secret, "component_appid", "component_access_token")
	if !ok {
		return nil, "", nil
	}
	if query.Get("appid") == "" {
		c.refuse(codeAppIDMissing)
		return nil, "", nil
	}
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp, code := s.componentOf(c)
	switch {
	case code != codeOK:
	case query.Get("component_appid") != comp.cfg.AppID:
		code = codeBadAppID
	case query.Get("grant_type") != grantType:
		code = codeBadGrantType
	default:
		code = comp.mayOpenPages(query.Get("appid"))
	}
	if code != codeOK {
		c.refuse(code)
		return nil, "", nil
	}
	c.appID = query.Get("appid")
	a, _ = s.accounts.get(c.appID)
	if code := a.use[c.api].take(c.at); code != codeOK {
		c.refuse(code)
		return nil, "", nil
	}
	return a, comp.cfg.AppID, query
}

// serveComponentPersonToken is GET /sns/oauth2/component/access_token.
func (s *Simulator) serveComponentPersonToken(c *call) {
	a, component, query := s.enterComponentPersons(c, "authorization_code", "code")
	if a == nil {
		return
	}
	x, code := s.redeem(a, query.Get("code"), component, c.at)
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.answerPerson(c, a, &x)
}

// serveComponentPersonRefresh is GET /sns/oauth2/component/refresh_token.
func (s *Simulator) serveComponentPersonRefresh(c *call) {
	a, component, query := s.enterComponentPersons(c, "refresh_token", "refresh_token")
	if a == nil {
		return
	}
	x, code := s.renew(a, query.Get("refresh_token"), component, c.at)
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.answerPerson(c, a, &x)
}
