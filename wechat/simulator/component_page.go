package simulator

import (
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/wechat/callback"
)

// settle notes what an account granted, and prepares the code and the event; the table is locked.
func (s *Simulator) settle(comp *component, a *account, sets []int, pre string) (string, *Push, error) {
	now, appID := s.clock.Now(), a.config().AppID
	g, act := comp.grantOf(appID), ActUpdated
	if g == nil {
		comp.grants = slices.DeleteFunc(comp.grants, func(old *componentGrant) bool { return old.account == a })
		g, act = &componentGrant{account: a, refresh: s.invent(comp, "refreshtoken@@@"), at: now}, ActAuthorised
		comp.grants = append(comp.grants, g)
	}
	unchanged := act == ActUpdated && slices.Equal(g.sets, sets)
	g.sets = sets
	code := s.invent(comp, "queryauthcode@@@")
	s.components.codes[code] = &componentCode{component: comp, grant: g, expires: now.Add(componentCodeLife)}
	if unchanged {
		return code, nil, nil
	}
	push, err := s.componentPush(comp, act, callback.ComponentGranted{
		AccountAppID: appID, Code: code, PreAuthCode: pre,
		ExpiresAt: now.Truncate(time.Second).Add(componentCodeLife), Updated: act == ActUpdated,
	})
	return code, push, err
}

// serveComponentPage is the authorisation page: GET with component_appid, pre_auth_code,
// redirect_uri, auth_type and perhaps biz_appid. The simulator's has a plain form instead
// of a code to scan; with agree=1 and authorizer_appid it does what the owner's consent does.
func (s *Simulator) serveComponentPage(c *call) {
	if c.method != "GET" {
		c.refuse(codeRequireGet)
		return
	}
	q, err := url.ParseQuery(c.query)
	if err != nil {
		c.refuse(codeBadParameter)
		return
	}
	c.appID = q.Get("component_appid")
	if code, problem := s.pageProblem(c.at, q); code != codeOK {
		c.refuse(code)
		c.page("<p>" + html.EscapeString(problem) + "</p>")
		return
	}
	if q.Get("agree") != "1" {
		c.page(s.consentForm(q))
		return
	}
	code, push, err := s.authoriseComponent(Authorisation{
		Component: c.appID, AppID: q.Get("authorizer_appid"), PreAuthCode: q.Get("pre_auth_code"),
	})
	if err != nil {
		c.refuse(codeBadParameter)
		c.page("<p>" + html.EscapeString(err.Error()) + "</p>")
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || push != nil && s.push.enqueue(s.push.base, s, push) != nil {
		c.refuse(codeBusy)
		return
	}
	more := back.Query()
	more.Set("auth_code", code)
	more.Set("expires_in", strconv.Itoa(seconds(componentCodeLife)))
	back.RawQuery = more.Encode()
	c.redirect = back.String()
}

func (c *call) page(body string) {
	c.typed = "text/html; charset=utf-8"
	c.answer = []byte("<!doctype html><meta charset=\"utf-8\"><title>授权</title><body>" + body + "</body>\n")
}

// pageProblem tells why the page shows an error instead of the form.
func (s *Simulator) pageProblem(now time.Time, q url.Values) (int, string) {
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp := s.components.find(q.Get("component_appid"))
	if comp == nil {
		return codeBadAppID, "there is no such component"
	}
	pre := s.components.pre[q.Get("pre_auth_code")]
	back, err := url.Parse(q.Get("redirect_uri"))
	kind, kindErr := strconv.Atoi(q.Get("auth_type"))
	switch {
	case pre == nil || pre.component != comp || pre.used || !now.Before(pre.expires):
		return codeBadParameter, "the pre_auth_code is unknown, used or expired"
	case err != nil || back.Host == "" || !isWeb(q.Get("redirect_uri")):
		return codeBadParameter, "redirect_uri is not an address"
	case comp.cfg.Domain != "" && back.Host != comp.cfg.Domain:
		return codeBadParameter, "redirect_uri is not on the component's domain " + comp.cfg.Domain
	case kindErr != nil || kind < 1 || kind > 6:
		return codeBadParameter, "auth_type must be between 1 and 6"
	case kind == 2:
		return codeBadParameter, "auth_type 2 is for mini-programs, of which there are none here"
	}
	if want, chosen := q.Get("biz_appid"), q.Get("authorizer_appid"); want != "" && chosen != "" && want != chosen {
		return codeBadParameter, "only " + want + " may authorise here"
	}
	return codeOK, ""
}

// consentForm asks which account is to authorise the component.
func (s *Simulator) consentForm(q url.Values) string {
	var b strings.Builder
	b.WriteString(`<h1>` + html.EscapeString(q.Get("component_appid")) + `</h1><form method="get">`)
	for _, name := range []string{"component_appid", "pre_auth_code", "redirect_uri", "auth_type", "biz_appid"} {
		if value := q.Get(name); value != "" {
			b.WriteString(`<input type="hidden" name="` + name + `" value="` + html.EscapeString(value) + `">`)
		}
	}
	b.WriteString(`<select name="authorizer_appid">`)
	for _, a := range s.Accounts() {
		if only := q.Get("biz_appid"); only == "" || only == a.AppID {
			b.WriteString(`<option>` + html.EscapeString(a.AppID) + `</option>`)
		}
	}
	b.WriteString(`</select><button name="agree" value="1">同意授权</button></form>`)
	return b.String()
}
