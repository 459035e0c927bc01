package simulator

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// personAnswer is what the calls for a person's token answer.
type personAnswer struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	OpenID       string `json:"openid"`
	Scope        string `json:"scope"`
	Snapshot     int    `json:"is_snapshotuser,omitempty"`
	UnionID      string `json:"unionid,omitempty"`
}

// enterPersons reads the query of a call about a person.
func (c *call) enterPersons(names ...string) (url.Values, bool) {
	if c.method != "GET" {
		c.refuse(codeRequireGet)
		return nil, false
	}
	if code := c.checkQuery(names...); code != codeOK {
		c.refuse(code)
		return nil, false
	}
	query, err := url.ParseQuery(c.query)
	if err != nil {
		c.refuse(codeBadParameter)
		return nil, false
	}
	return query, true
}

// servePersonToken is GET /sns/oauth2/access_token.
func (s *Simulator) servePersonToken(c *call) {
	query, ok := c.enterPersons("appid", "secret", "code", "grant_type")
	if !ok {
		return
	}
	if query.Get("grant_type") != "authorization_code" {
		c.refuse(codeBadGrantType)
		return
	}
	// Appid and secret are judged as those of the token API are.
	a := s.credentials(c, credentials{GrantType: "client_credential", AppID: query.Get("appid"), Secret: query.Get("secret")})
	if a == nil {
		return
	}
	x, code := s.redeem(a, query.Get("code"), "", c.at)
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.answerPerson(c, a, &x)
}

// redeem trades a code for a consent, in the name of the component or account that the page was opened for.
func (s *Simulator) redeem(a *account, value, component string, now time.Time) (consent, int) {
	if value == "" {
		return consent{}, codeCodeMissing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st, ms := &a.oauth, now.UnixMilli()
	i := slices.IndexFunc(st.codes, func(x *webCode) bool { return x.value == value && x.component == component && ms < x.ends })
	switch {
	case i < 0:
		return consent{}, codeBadCode
	case st.codes[i].used:
		return consent{}, codeCodeUsed
	}
	from := st.codes[i]
	from.used = true
	st.consents = slices.DeleteFunc(st.consents, func(x *consent) bool { return forgotten(x, ms) })
	x := &consent{
		openID: from.openID, scope: from.scope, component: from.component, snapshot: from.snapshot,
		access: s.personToken(a), accessEnds: ms + personLife.Milliseconds(),
		refresh: s.personToken(a), refreshEnds: ms + refreshLife.Milliseconds(),
	}
	st.consents = append(st.consents, x)
	return *x, codeOK
}

// forgotten: a token that ended long ago is unknown, and no longer one that has expired.
func forgotten(x *consent, ms int64) bool { return ms > x.refreshEnds+refreshLife.Milliseconds() }

// personToken invents a token that looks like an account's; the account is locked.
func (s *Simulator) personToken(a *account) string {
	return strconv.FormatUint(40+a.oauth.minted%60, 10) + "_" + s.secretText(a, personLetters)
}

func (s *Simulator) answerPerson(c *call, a *account, x *consent) {
	c.openID, c.kind = x.openID, x.scope
	out := personAnswer{
		AccessToken: x.access, ExpiresIn: (x.accessEnds - c.at.UnixMilli()) / 1000, RefreshToken: x.refresh,
		OpenID: x.openID, Scope: x.scope, UnionID: s.unionIDFor(a, x),
	}
	if x.snapshot {
		out.Snapshot = 1
	}
	c.answerJSON(out)
}

// unionIDFor is what a person who agreed to more than the openid shows beyond the account.
func (s *Simulator) unionIDFor(a *account, x *consent) string {
	if x.scope != scopeUserInfo || x.snapshot || !a.tellsUnionID() {
		return ""
	}
	id := ""
	s.accountFan(a, x.openID, codeBadOpenID, func(f *fan) int {
		id = s.unionID(f)
		return codeOK
	})
	return id
}

// servePersonRefresh is GET /sns/oauth2/refresh_token. An access token that is still good
// stays and lives longer; one that has ended is replaced. The refresh token is not renewed.
func (s *Simulator) servePersonRefresh(c *call) {
	query, ok := c.enterPersons("appid", "grant_type", "refresh_token")
	if !ok {
		return
	}
	a, known := s.accounts.get(query.Get("appid"))
	switch {
	case query.Get("appid") == "":
		c.refuse(codeAppIDMissing)
		return
	case query.Get("grant_type") != "refresh_token":
		c.refuse(codeBadGrantType)
		return
	case !known:
		c.refuse(codeBadAppID)
		return
	}
	c.appID = query.Get("appid")
	code := a.use[c.api].take(c.at)
	var x consent
	if code == codeOK {
		x, code = s.renew(a, query.Get("refresh_token"), "", c.at)
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	s.answerPerson(c, a, &x)
}

func (s *Simulator) renew(a *account, refresh, component string, now time.Time) (consent, int) {
	if refresh == "" {
		return consent{}, codeRefreshMissing
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st, ms := &a.oauth, now.UnixMilli()
	i := slices.IndexFunc(st.consents, func(x *consent) bool { return x.refresh == refresh && x.component == component })
	if i < 0 {
		return consent{}, codeBadRefresh
	}
	x := st.consents[i]
	switch {
	case x.revoked:
		return consent{}, codeConsentEnded
	case ms >= x.refreshEnds:
		return consent{}, codeRefreshEnded
	case ms >= x.accessEnds:
		x.access = s.personToken(a)
	}
	x.accessEnds = ms + personLife.Milliseconds()
	return *x, codeOK
}

// person finds out whose token a call bears, and whether the openid fits.
func (s *Simulator) person(c *call, query url.Values) (*account, consent, int) {
	value := query.Get("access_token")
	if value == "" {
		return nil, consent{}, codeTokenMissing
	}
	a, x, ok := s.consentOf(value)
	switch {
	case !ok && tokenLooksReal(value):
		return nil, x, codeBadCredential
	case !ok:
		return nil, x, codeBadToken
	}
	c.appID, c.openID = a.config().AppID, x.openID
	switch {
	case x.revoked:
		return nil, x, codeConsentEnded
	case c.at.UnixMilli() >= x.accessEnds:
		return nil, x, codeTokenExpired
	case query.Get("openid") == "":
		return nil, x, codeOpenIDMissing
	case query.Get("openid") != x.openID:
		return nil, x, codeBadOpenID
	}
	return a, x, a.use[c.api].take(c.at)
}

// consentOf looks for a person's token in all accounts.
func (s *Simulator) consentOf(access string) (*account, consent, bool) {
	s.accounts.mu.RLock()
	list := slices.Clone(s.accounts.list)
	s.accounts.mu.RUnlock()
	for _, a := range list {
		a.mu.Lock()
		i := slices.IndexFunc(a.oauth.consents, func(x *consent) bool { return x.access == access })
		if i >= 0 {
			x := *a.oauth.consents[i]
			a.mu.Unlock()
			return a, x, true
		}
		a.mu.Unlock()
	}
	return nil, consent{}, false
}

// servePersonCheck is GET /sns/auth.
func (s *Simulator) servePersonCheck(c *call) {
	query, ok := c.enterPersons("openid")
	if !ok {
		return
	}
	_, _, code := s.person(c, query)
	c.refuse(code)
}

// servePersonInfo is GET /sns/userinfo. Name and picture are real, sex and place are not
// told any more.
func (s *Simulator) servePersonInfo(c *call) {
	query, ok := c.enterPersons("openid", "lang")
	if !ok {
		return
	}
	a, x, code := s.person(c, query)
	switch {
	case code != codeOK:
	case x.scope != scopeUserInfo:
		code = codeUnauthorized
	case !knownLang(query.Get("lang")):
		code = codeBadParameter
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	nickname := "微信用户" // what a snapshot page tells
	if !x.snapshot {
		s.accountFan(a, x.openID, codeBadOpenID, func(f *fan) int {
			nickname = f.nickname
			return codeOK
		})
	}
	c.answerJSON(struct {
		OpenID    string   `json:"openid"`
		Nickname  string   `json:"nickname"`
		Sex       int      `json:"sex"`
		Province  string   `json:"province"`
		City      string   `json:"city"`
		Country   string   `json:"country"`
		Avatar    string   `json:"headimgurl"`
		Privilege []string `json:"privilege"`
		UnionID   string   `json:"unionid,omitempty"`
	}{
		OpenID: x.openID, Nickname: nickname, Privilege: []string{}, UnionID: s.unionIDFor(a, &x),
		Avatar: "https://thirdwx.qlogo.cn/mmopen/vi_32/" + letters(64, s.seed, hashText(x.openID), 0xa7a) + "/132",
	})
}
