package simulator

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The paths of scan to authorise (platform.md 1.5).
const (
	PathStartPushTicket     = "/cgi-bin/component/api_start_push_ticket"
	PathComponentToken      = "/cgi-bin/component/api_component_token"
	PathPreAuthCode         = "/cgi-bin/component/api_create_preauthcode"
	PathQueryAuth           = "/cgi-bin/component/api_query_auth"
	PathAuthorizerToken     = "/cgi-bin/component/api_authorizer_token"
	PathAuthorizerInfo      = "/cgi-bin/component/api_get_authorizer_info"
	PathGetAuthorizerOption = "/cgi-bin/component/api_get_authorizer_option"
	PathSetAuthorizerOption = "/cgi-bin/component/api_set_authorizer_option"
	PathAuthorizerList      = "/cgi-bin/component/api_get_authorizer_list"
	PathComponentLoginPage  = "/cgi-bin/componentloginpage" // on a computer's screen
	PathBindComponent       = "/wxaopen/safe/bindcomponent" // on the administrator's phone
)

// The codes of scan to authorise (platform.md 1.5, 12.3).
const (
	codeArgsCount        = 40170
	codeComponentExpired = 42006
	codeNotAuthorised    = 61003
	codeComponentIP      = 61004
	codeTicketExpired    = 61005
	codeTicketInvalid    = 61006
	codeSetMissing       = 61007
	codeAuthCodeInvalid  = 61009
	codeAuthCodeExpired  = 61010
	codeOptionName       = 61012
	codeOptionValue      = 61013
	codeNeedsComponent   = 61014
	codeRefreshInvalid   = 61023
)

const (
	componentTicketLife = 12 * time.Hour
	componentPreAuth    = 1800 * time.Second
	componentCodeLife   = 600 * time.Second
	componentMaxList    = 500
)

// componentRoutes are scan to authorise (platform.md 1.5).
func componentRoutes() []route {
	return []route{
		{PathStartPushTicket, Limit{}, (*Simulator).serveStartPushTicket},
		{PathComponentToken, Limit{}, (*Simulator).serveComponentToken},
		{PathPreAuthCode, Limit{}, componentServe((*Simulator).createPreAuthCode)},
		{PathQueryAuth, Limit{}, componentServe((*Simulator).queryAuth, "authorization_code")},
		{PathAuthorizerToken, Limit{}, componentServe((*Simulator).authorizerToken, "authorizer_appid", "authorizer_refresh_token")},
		{PathAuthorizerInfo, Limit{}, componentServe((*Simulator).authorizerInfo, "authorizer_appid")},
		{PathGetAuthorizerOption, Limit{}, componentServe((*Simulator).getOption, "authorizer_appid", "option_name")},
		{PathSetAuthorizerOption, Limit{}, componentServe((*Simulator).setOption, "authorizer_appid", "option_name", "option_value")},
		{PathAuthorizerList, Limit{}, componentServe((*Simulator).authorizerList, "#offset", "#count")},
		{PathComponentLoginPage, Limit{}, (*Simulator).serveComponentPage},
		{PathBindComponent, Limit{}, (*Simulator).serveComponentPage},
	}
}

// componentState is what an account keeps for scan to authorise (platform.md 1.5); it is guarded by the account's mutex.
type componentState struct {
	options map[string]string // by name; "0" when it was never set
}

// componentTable holds the components and what was granted to them.
type componentTable struct {
	used   atomic.Bool // whether there are any: sends look no further otherwise
	access sync.Map    // access_token given to a component -> *componentGrant

	mu     sync.Mutex // guards what follows, with all components and grants
	list   []*component
	tokens map[string]*componentToken
	codes  map[string]*componentCode
	pre    map[string]*componentPreAuthCode
}

type component struct {
	cfg     Component
	tickets []componentTicket // the newest last
	current *componentToken
	grants  []*componentGrant // one per account, in order of the first authorisation
	counter uint64            // of everything invented for it
}

type componentTicket struct {
	value string
	at    time.Time
}

type componentToken struct {
	component *component
	expires   time.Time
	dead      time.Time // from which it is superseded, zero while it is not
}

type componentPreAuthCode struct {
	component *component
	expires   time.Time
	used      bool
}

// componentGrant is what an account's owner granted a component.
type componentGrant struct {
	account   *account
	sets      []int
	refresh   string
	at        time.Time
	withdrawn bool
	token     *token
}

type componentCode struct {
	component *component
	grant     *componentGrant
	expires   time.Time
	used      bool
}

func (t *componentTable) find(appID string) *component {
	for _, c := range t.list {
		if c.cfg.AppID == appID {
			return c
		}
	}
	return nil
}

// grantOf finds what an account granted, nil when it did not or withdrew.
func (c *component) grantOf(appID string) *componentGrant {
	for _, g := range c.grants {
		if g.account.config().AppID == appID && !g.withdrawn {
			return g
		}
	}
	return nil
}

// invent makes the next secret of a component; it follows from the seed.
func (s *Simulator) invent(c *component, prefix string) string {
	c.counter++
	return prefix + letters(64, s.seed, hashText(c.cfg.AppID), c.counter)
}

// allow says whether a component may use an account's access token for an API. Tokens that
// were not given to a component may do everything.
func (t *componentTable) allow(token, path string) int {
	if !t.used.Load() {
		return codeOK
	}
	found, ok := t.access.Load(token)
	if !ok {
		return codeOK
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := found.(*componentGrant) //nolint:forcetypeassert,errcheck // only grants are stored
	switch needs := permissionOf(path); {
	case g.withdrawn:
		return codeNotAuthorised
	case needs != nil && !slices.ContainsFunc(needs, func(id int) bool { return slices.Contains(g.sets, id) }):
		return codeSetMissing
	}
	return codeOK
}

// given says whether an access token was given to a component: then the component's list of addresses counts, and not
// the account's (platform.md 1.4).
func (t *componentTable) given(token string) bool {
	if !t.used.Load() {
		return false
	}
	_, ok := t.access.Load(token)
	return ok
}

// permissionOf lists the permission sets of which one is needed for an API, nil for none
// (platform.md 1.5).
func permissionOf(path string) []int {
	for _, p := range []struct {
		prefix string
		sets   []int
	}{
		{"/cgi-bin/message/custom/", []int{1}},
		{"/cgi-bin/user/", []int{2}},
		{"/cgi-bin/tags/", []int{2}},
		{"/cgi-bin/qrcode/", []int{3}},
		{"/cgi-bin/shorten/", []int{3}},
		{"/cgi-bin/ticket/", []int{4}},
		{"/customservice/", []int{6}},
		{"/cgi-bin/customservice/", []int{6}},
		{"/cgi-bin/message/template/", []int{7, 100, 101}},
		{"/cgi-bin/template/", []int{7, 100, 101}},
		{"/cgi-bin/message/mass/", []int{7}},
		{"/cgi-bin/draft/", []int{7}},
		{"/cgi-bin/freepublish/", []int{7}},
		{"/cgi-bin/material/", []int{11}},
		{"/cgi-bin/media/", []int{11}},
		{"/cgi-bin/menu/", []int{15}},
	} {
		if strings.HasPrefix(path, p.prefix) {
			return p.sets
		}
	}
	return nil
}

// componentCall is a call with a component's access token whose body has the right form.
type componentCall struct {
	*call

	comp *component
	in   map[string]string
}

// componentServe makes a route of an API that a component calls with its own access token.
// names are the members of its body beside component_appid, all required; a # marks a number.
// do runs under the table's lock.
func componentServe(do func(*Simulator, *componentCall), names ...string) func(*Simulator, *call) {
	names = append([]string{"component_appid"}, names...)
	return func(s *Simulator, c *call) {
		s.components.mu.Lock()
		defer s.components.mu.Unlock()
		if c.method != "POST" {
			c.refuse(codeRequirePost)
			return
		}
		comp, code := s.componentOf(c)
		if code != codeOK {
			c.refuse(code)
			return
		}
		c.appID = comp.cfg.AppID
		in, code := parseComponentBody(c.body, names)
		switch {
		case code != codeOK:
			c.refuse(code)
		case in["component_appid"] != comp.cfg.AppID:
			c.refuse(codeBadAppID)
		default:
			do(s, &componentCall{call: c, comp: comp, in: in})
		}
	}
}

// componentOf finds the component of a call by its access token. Its parameter has two
// names: the older pages call it component_access_token.
func (s *Simulator) componentOf(c *call) (*component, int) {
	value := queryValue(c.query, "component_access_token")
	if value == "" {
		value = queryValue(c.query, "access_token")
	}
	t := s.components.tokens[value]
	_, account := s.tokens.Load(value)
	switch {
	case value == "":
		return nil, codeTokenMissing
	case t == nil && account:
		return nil, codeNeedsComponent
	case t == nil && tokenLooksReal(value):
		return nil, s.tokenCode(codeBadCredential)
	case t == nil:
		return nil, s.tokenCode(codeBadToken)
	case !c.at.Before(t.expires):
		return nil, codeComponentExpired
	case !t.dead.IsZero() && !c.at.Before(t.dead):
		return nil, s.tokenCode(codeBadCredential)
	case t.component.cfg.IPRefused:
		return nil, codeComponentIP
	}
	return t.component, codeOK
}

// parseComponentBody reads an object that has exactly these members, texts or, where a
// name is marked with #, numbers.
func parseComponentBody(body []byte, names []string) (map[string]string, int) {
	top, code := parseObject(body)
	if code != codeOK {
		return nil, code
	}
	out := make(map[string]string, len(names))
	for _, name := range names {
		name, number := strings.CutPrefix(name, "#")
		raw, there := top[name]
		if !there {
			return nil, codeBadParameter
		}
		var text string
		if number {
			var n json.Number
			if raw[0] == '"' || json.Unmarshal(raw, &n) != nil {
				return nil, codeBadJSON
			}
			text = n.String()
			if _, err := strconv.Atoi(text); err != nil {
				return nil, codeBadJSON
			}
		} else if code := readString(top, name, &text); code != codeOK {
			return nil, code
		}
		if text == "" {
			return nil, codeBadParameter
		}
		out[name] = text
	}
	if len(top) != len(names) {
		return nil, codeUnknownField
	}
	return out, codeOK
}
