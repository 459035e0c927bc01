package simulator

import (
	"slices"
	"strconv"
	"time"
)

// componentLogin reads what a component proves itself with: its appid and secret.
func (s *Simulator) componentLogin(c *call, secret string, more ...string) (*component, map[string]string) {
	if c.method != "POST" {
		c.refuse(codeRequirePost)
		return nil, nil
	}
	in, code := parseComponentBody(c.body, append([]string{"component_appid", secret}, more...))
	if code != codeOK {
		c.refuse(code)
		return nil, nil
	}
	comp := s.components.find(in["component_appid"])
	switch {
	case comp == nil:
		c.refuse(codeBadAppID)
		return nil, nil
	case comp.cfg.Secret != in[secret]:
		c.refuse(codeBadSecret)
		return nil, nil
	case comp.cfg.IPRefused:
		c.refuse(codeComponentIP)
		return nil, nil
	}
	c.appID = comp.cfg.AppID
	return comp, in
}

// serveStartPushTicket is POST api_start_push_ticket: tickets are pushed again, the first at once.
func (s *Simulator) serveStartPushTicket(c *call) {
	s.components.mu.Lock()
	comp, _ := s.componentLogin(c, "component_secret")
	if comp != nil {
		comp.cfg.TicketsStopped = false
	}
	s.components.mu.Unlock()
	if comp == nil {
		return
	}
	if p, err := s.ticketPush(c.appID); err != nil || s.push.enqueue(s.push.base, s, p) != nil {
		c.refuse(codeBusy)
	}
}

// serveComponentToken is POST api_component_token. The former token is accepted for five
// minutes more, as an account's is.
func (s *Simulator) serveComponentToken(c *call) {
	t := &s.components
	t.mu.Lock()
	defer t.mu.Unlock()
	comp, in := s.componentLogin(c, "component_appsecret", "component_verify_ticket")
	if comp == nil {
		return
	}
	i := slices.IndexFunc(comp.tickets, func(k componentTicket) bool { return k.value == in["component_verify_ticket"] })
	switch {
	case i < 0:
		c.refuse(codeTicketInvalid)
		return
	case c.at.Sub(comp.tickets[i].at) >= componentTicketLife:
		c.refuse(codeTicketExpired)
		return
	}
	if comp.current != nil {
		comp.current.dead = c.at.Add(tokenOverlap)
	}
	comp.current = &componentToken{component: comp, expires: c.at.Add(tokenLife)}
	value := s.tokenValue(comp)
	t.tokens[value] = comp.current
	c.answerJSON(struct {
		Token     string `json:"component_access_token"`
		ExpiresIn int    `json:"expires_in"`
	}{value, seconds(tokenLife)})
}

// tokenValue invents the value of the next token that a component gets.
func (s *Simulator) tokenValue(comp *component) string {
	comp.counter++
	return strconv.FormatUint(40+comp.counter%60, 10) + "_" +
		letters(tokenLetters, s.seed, hashText(comp.cfg.AppID), comp.counter)
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func (s *Simulator) createPreAuthCode(c *componentCall) {
	life := time.Duration(s.switches.Load().PreAuthCodeLife)
	if life <= 0 {
		life = componentPreAuth
	}
	code := s.invent(c.comp, "preauthcode@@@")
	s.components.pre[code] = &componentPreAuthCode{component: c.comp, expires: c.at.Add(life)}
	c.answerJSON(struct {
		Code      string `json:"pre_auth_code"`
		ExpiresIn int    `json:"expires_in"`
	}{code, seconds(life)})
}

// componentInfo is authorization_info with what is given only once a code is exchanged.
type componentInfo struct {
	AppID     string             `json:"authorizer_appid"`
	Token     string             `json:"authorizer_access_token,omitempty"`
	ExpiresIn int                `json:"expires_in,omitempty"`
	Refresh   string             `json:"authorizer_refresh_token"`
	Sets      []componentInfoSet `json:"func_info"`
}

type componentInfoSet struct {
	Category componentID `json:"funcscope_category"`
}

type componentID struct {
	ID int `json:"id"`
}

func (g *componentGrant) info() componentInfo {
	out := componentInfo{AppID: g.account.config().AppID, Refresh: g.refresh, Sets: []componentInfoSet{}}
	for _, id := range g.sets {
		out.Sets = append(out.Sets, componentInfoSet{componentID{id}})
	}
	return out
}

func (s *Simulator) queryAuth(c *componentCall) {
	code := s.components.codes[c.in["authorization_code"]]
	switch {
	case code == nil || code.component != c.comp:
		c.refuse(codeAuthCodeInvalid)
	case !c.at.Before(code.expires):
		c.refuse(codeAuthCodeExpired)
	case code.used && s.switches.Load().AuthCodeOnce:
		c.refuse(codeAuthCodeInvalid)
	case code.grant.withdrawn:
		c.refuse(codeNotAuthorised)
	default:
		code.used = true
		info := code.grant.info()
		info.Token, info.ExpiresIn = s.mintFor(c.comp, code.grant, c.at), seconds(tokenLife)
		c.answerJSON(struct {
			Info componentInfo `json:"authorization_info"`
		}{info})
	}
}

// mintFor makes the next access token of a grant. The former one is accepted for five
// minutes more. These tokens are a chain of their own: the account's others live on.
func (s *Simulator) mintFor(comp *component, g *componentGrant, now time.Time) string {
	if g.token != nil {
		g.token.dead.Store(now.Add(tokenOverlap).UnixMilli())
	}
	value := s.tokenValue(comp)
	g.token = &token{account: g.account, value: value, expires: now.Add(tokenLife).UnixMilli()}
	s.components.access.Store(value, g)
	s.tokens.Store(value, g.token)
	return value
}

func (s *Simulator) authorizerToken(c *componentCall) {
	g := c.comp.grantOf(c.in["authorizer_appid"])
	switch {
	case g == nil:
		c.refuse(codeNotAuthorised)
		return
	case g.refresh != c.in["authorizer_refresh_token"]:
		c.refuse(codeRefreshInvalid)
		return
	}
	if s.switches.Load().RotateRefreshTokens {
		g.refresh = s.invent(c.comp, "refreshtoken@@@")
	}
	c.answerJSON(struct {
		Token     string `json:"authorizer_access_token"`
		ExpiresIn int    `json:"expires_in"`
		Refresh   string `json:"authorizer_refresh_token"`
	}{s.mintFor(c.comp, g, c.at), seconds(tokenLife), g.refresh})
}

func (s *Simulator) authorizerInfo(c *componentCall) {
	g := c.comp.grantOf(c.in["authorizer_appid"])
	if g == nil {
		c.refuse(codeNotAuthorised)
		return
	}
	cfg := g.account.config()
	type info struct {
		Nickname    string      `json:"nick_name"`
		HeadImage   string      `json:"head_img"`
		ServiceType componentID `json:"service_type_info"`
		VerifyType  componentID `json:"verify_type_info"`
		OriginalID  string      `json:"user_name"`
		Principal   string      `json:"principal_name"`
		Alias       string      `json:"alias"`
		Signature   string      `json:"signature"`
		QRCode      string      `json:"qrcode_url"`
	}
	out := struct {
		Info  info          `json:"authorizer_info"`
		Grant componentInfo `json:"authorization_info"`
	}{Grant: g.info(), Info: info{
		Nickname: Nickname(s.seed, int(hashText(cfg.AppID)%1_000_000)), HeadImage: "https://wx.qlogo.cn/mmopen/" + cfg.OriginalID + "/0",
		VerifyType: componentID{-1}, OriginalID: cfg.OriginalID, Principal: cfg.AppID + " 公司",
		QRCode: "https://mp.weixin.qq.com/mp/qrcode?scene=" + cfg.OriginalID,
	}}
	if cfg.Type == Service {
		out.Info.ServiceType.ID = 2
	}
	if cfg.Verified {
		out.Info.VerifyType.ID = 0
	}
	c.answerJSON(out)
}

// optionRule tells an option's values and the permission set that it needs.
func optionRule(name string) (values []string, set int) {
	switch name {
	case "location_report":
		return []string{"0", "1", "2"}, 2
	case "voice_recognize":
		return []string{"0", "1"}, 1
	case "customer_service":
		return []string{"0", "1"}, 6
	}
	return nil, 0
}

// optionOf finds the account of a call about an option.
func (c *componentCall) optionOf() (*account, []string) {
	g := c.comp.grantOf(c.in["authorizer_appid"])
	values, set := optionRule(c.in["option_name"])
	switch {
	case g == nil:
		c.refuse(codeNotAuthorised)
	case values == nil:
		c.refuse(codeOptionName)
	case !slices.Contains(g.sets, set):
		c.refuse(codeSetMissing)
	default:
		return g.account, values
	}
	return nil, nil
}

func (s *Simulator) getOption(c *componentCall) {
	a, values := c.optionOf()
	if a == nil {
		return
	}
	a.mu.Lock()
	value := a.component.options[c.in["option_name"]]
	a.mu.Unlock()
	if value == "" {
		value = values[0]
	}
	c.answerJSON(struct {
		AppID string `json:"authorizer_appid"`
		Name  string `json:"option_name"`
		Value string `json:"option_value"`
	}{c.in["authorizer_appid"], c.in["option_name"], value})
}

func (s *Simulator) setOption(c *componentCall) {
	a, values := c.optionOf()
	if a == nil {
		return
	}
	if !slices.Contains(values, c.in["option_value"]) {
		c.refuse(codeOptionValue)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.component.options == nil {
		a.component.options = map[string]string{}
	}
	a.component.options[c.in["option_name"]] = c.in["option_value"]
}

func (s *Simulator) authorizerList(c *componentCall) {
	offset, err := strconv.Atoi(c.in["offset"])
	count, countErr := strconv.Atoi(c.in["count"])
	switch {
	case err != nil || countErr != nil || offset < 0 || count < 1:
		c.refuse(codeBadParameter)
		return
	case count > componentMaxList:
		c.refuse(codeArgsCount)
		return
	}
	type entry struct {
		AppID   string `json:"authorizer_appid"`
		Refresh string `json:"refresh_token"`
		At      int64  `json:"auth_time"`
	}
	all := []entry{}
	for _, g := range c.comp.grants {
		if !g.withdrawn {
			all = append(all, entry{g.account.config().AppID, g.refresh, g.at.Unix()})
		}
	}
	from := min(offset, len(all))
	c.answerJSON(struct {
		Total int     `json:"total_count"`
		List  []entry `json:"list"`
	}{len(all), all[from:min(from+count, len(all))]})
}
