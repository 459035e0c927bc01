package simulator

import (
	"encoding/json"
	"slices"
	"strconv"

	"hongyan/wechat"
)

// The paths of menus.
const (
	PathMenuCreate     = "/cgi-bin/menu/create"
	PathMenuGet        = "/cgi-bin/menu/get"
	PathMenuDelete     = "/cgi-bin/menu/delete"
	PathMenuAddRule    = "/cgi-bin/menu/addconditional"
	PathMenuDeleteRule = "/cgi-bin/menu/delconditional"
	PathMenuTryMatch   = "/cgi-bin/menu/trymatch"
	PathMenuCurrent    = "/cgi-bin/get_current_selfmenu_info"
)

// The codes of menus (platform.md 8.2).
const (
	codeButtonCount     = 40016
	codeButtonType      = 40017
	codeButtonName      = 40018
	codeButtonKey       = 40019
	codeButtonURL       = 40020
	codeButtonDepth     = 40022
	codeSubButtonCount  = 40023
	codeSubButtonType   = 40024
	codeSubButtonName   = 40025
	codeSubButtonKey    = 40026
	codeSubButtonURL    = 40027
	codeMenuEscapes     = 40033
	codeSubButtonDomain = 40054
	codeButtonDomain    = 40055
	codeMenuNotLinked   = 45064
	codeNoMenu          = 46003
	codeNoSuchRuledMenu = 65301
	codeNoSuchMenuUser  = 65302
	codeNoDefaultMenu   = 65303
	codeNoMatchRule     = 65304
	codeRuledMenuLimit  = 65305
	codeRuledMenuEmpty  = 65307
	codeTooManyDomains  = 65316
	codeMatchRuleGone   = 65320
)

// menuRoutes are menus (platform.md 8).
func menuRoutes() []route {
	return []route{
		{PathMenuCreate, Limit{Daily: 1_000}, (*Simulator).serveMenuCreate},
		{PathMenuGet, Limit{Daily: 10_000}, (*Simulator).serveMenuGet},
		{PathMenuDelete, Limit{Daily: 1_000}, (*Simulator).serveMenuDelete},
		{PathMenuAddRule, Limit{Daily: 2_000}, (*Simulator).serveMenuAddRule},
		{PathMenuDeleteRule, Limit{Daily: 2_000}, (*Simulator).serveMenuDeleteRule},
		{PathMenuTryMatch, Limit{Daily: 20_000}, (*Simulator).serveMenuTryMatch},
		{PathMenuCurrent, Limit{}, (*Simulator).serveMenuCurrent},
	}
}

// menuState is what an account keeps for menus (platform.md 8); it is guarded by the account's mutex.
type menuState struct {
	standard *menu
	ruled    []*menu // in order of creation
	made     int64
	website  json.RawMessage
	clients  map[string]wechat.Platform // of fans, by openid
}

// menu is the default menu or a conditional one.
type menu struct {
	id      int64
	buttons []wechat.MenuButton
	rule    matchRule
}

// next numbers a menu; the account is locked.
func (m *menuState) next() int64 {
	const first = 208_396_938
	m.made++
	return first + m.made
}

// uses reports whether a button of any menu shows the material; the account is locked.
func (m *menuState) uses(mediaID string) bool {
	uses := func(one *menu) bool {
		return anyButton(one.buttons, func(b *wechat.MenuButton) bool { return b.MediaID == mediaID })
	}
	return m.standard != nil && uses(m.standard) || slices.ContainsFunc(m.ruled, uses)
}

// anyButton looks at buttons and those inside them.
func anyButton(buttons []wechat.MenuButton, found func(*wechat.MenuButton) bool) bool {
	for i := range buttons {
		if found(&buttons[i]) || anyButton(buttons[i].Sub, found) {
			return true
		}
	}
	return false
}

// enterMenu is what menu APIs begin with: subscription accounts need to be verified, and
// for conditional menus service accounts as well (platform.md 0.2).
func (s *Simulator) enterMenu(c *call, method string, verifiedOnly bool) (*account, bool) {
	a, ok := s.enter(c, method, verifiedOnly)
	if ok && a.config().Type == Subscription && !a.config().Verified {
		c.refuse(codeUnauthorized)
		return nil, false
	}
	return a, ok
}

// parseMenuBody is parseObject with the code that menus have for escapes.
func parseMenuBody(body []byte) (map[string]json.RawMessage, int) {
	top, code := parseObject(body)
	if code == codeEscapes {
		code = codeMenuEscapes
	}
	return top, code
}

// parseMenuName reads a body that holds one text and nothing else.
func parseMenuName(body []byte, name string) (value string, code int) {
	top, code := parseMenuBody(body)
	if code == codeOK {
		code = readString(top, name, &value)
	}
	if code == codeOK && len(top) > 1 {
		code = codeUnknownField
	}
	return value, code
}

// serveMenuCreate is POST /cgi-bin/menu/create (platform.md 8.1).
func (s *Simulator) serveMenuCreate(c *call) {
	a, ok := s.enterMenu(c, "POST", false)
	if !ok {
		return
	}
	var buttons []wechat.MenuButton
	top, code := parseMenuBody(c.body)
	if code == codeOK {
		buttons, code = parseButtons(top["button"], topLevel())
	}
	if code == codeOK && len(top) != 1 {
		code = codeUnknownField
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if code := s.checkButtons(a, buttons, c); code != codeOK {
		c.refuse(code)
		return
	}
	a.menu.standard = &menu{id: a.menu.next(), buttons: buttons}
}

// checkButtons checks what buttons refer to; the account is locked.
func (s *Simulator) checkButtons(a *account, buttons []wechat.MenuButton, c *call) int {
	code := codeOK
	strict := s.switches.Load().StrictMedia
	anyButton(buttons, func(b *wechat.MenuButton) bool {
		use := mediaUse{permanent: true, strict: strict, at: c.at}
		switch b.Type {
		case wechat.ButtonMedia:
			use.kinds = []wechat.MediaType{wechat.MediaImage, wechat.MediaVoice, wechat.MediaVideo}
		case wechat.ButtonViewLimited:
			use.kinds = []wechat.MediaType{wechat.MaterialNews}
		case wechat.ButtonMiniProgram:
			if !slices.Contains(a.template.linked, b.AppID) { // see LinkMiniPrograms
				code = codeMenuNotLinked
			}
			return code != codeOK
		default:
			return false
		}
		if !a.mediaUsable(b.MediaID, use) {
			code = codeBadMediaID
		}
		return code != codeOK
	})
	return code
}

// shownMenu is a menu as menu/get writes it.
type shownMenu struct {
	Buttons []shownButton `json:"button"`
	Rule    *matchRule    `json:"matchrule,omitempty"`
	ID      int64         `json:"menuid,omitempty"`
}

// serveMenuGet is GET /cgi-bin/menu/get. Ids are shown only when there are conditional
// menus, and those the newest first, as they are tried.
func (s *Simulator) serveMenuGet(c *call) {
	a, ok := s.enterMenu(c, "GET", false)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.menu.standard == nil {
		c.refuse(codeNoMenu)
		return
	}
	var out struct {
		Menu  shownMenu   `json:"menu"`
		Ruled []shownMenu `json:"conditionalmenu,omitempty"`
	}
	out.Menu.Buttons = showButtons(a.menu.standard.buttons)
	for _, m := range slices.Backward(a.menu.ruled) {
		out.Menu.ID = a.menu.standard.id
		out.Ruled = append(out.Ruled, shownMenu{Buttons: showButtons(m.buttons), Rule: &m.rule, ID: m.id})
	}
	c.answerJSON(out)
}

// serveMenuDelete is GET /cgi-bin/menu/delete: conditional menus go as well.
func (s *Simulator) serveMenuDelete(c *call) {
	a, ok := s.enterMenu(c, "GET", false)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.menu.standard, a.menu.ruled = nil, nil
}

// serveMenuAddRule is POST /cgi-bin/menu/addconditional (platform.md 8.2).
func (s *Simulator) serveMenuAddRule(c *call) {
	a, ok := s.enterMenu(c, "POST", true)
	if !ok {
		return
	}
	m, code := parseRuledMenu(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	most := s.switches.Load().ConditionalMenus
	a.mu.Lock()
	defer a.mu.Unlock()
	code = s.checkButtons(a, m.buttons, c)
	switch {
	case code != codeOK:
	case a.menu.standard == nil:
		code = codeNoDefaultMenu
	case most > 0 && len(a.menu.ruled) >= most:
		code = codeRuledMenuLimit
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	m.id = a.menu.next()
	a.menu.ruled = append(a.menu.ruled, &m)
	c.answer = []byte(`{"menuid":"` + strconv.FormatInt(m.id, 10) + `"}`)
}

// serveMenuDeleteRule is POST /cgi-bin/menu/delconditional.
func (s *Simulator) serveMenuDeleteRule(c *call) {
	a, ok := s.enterMenu(c, "POST", true)
	if !ok {
		return
	}
	id, code := parseMenuName(c.body, "menuid")
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.menu.ruled, func(m *menu) bool { return strconv.FormatInt(m.id, 10) == id })
	if at < 0 {
		c.refuse(codeNoSuchRuledMenu)
		return
	}
	a.menu.ruled = slices.Delete(a.menu.ruled, at, at+1)
}

// serveMenuTryMatch is POST /cgi-bin/menu/trymatch. It knows fans by openid only.
func (s *Simulator) serveMenuTryMatch(c *call) {
	a, ok := s.enterMenu(c, "POST", true)
	if !ok {
		return
	}
	id, code := parseMenuName(c.body, "user_id")
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.openID = id
	m, code := s.menuOf(a, id)
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(shownMenu{Buttons: showButtons(m.buttons)})
}

// serveMenuCurrent is GET /cgi-bin/get_current_selfmenu_info, which every account may
// call: it shows what was made on the website as well.
func (s *Simulator) serveMenuCurrent(c *call) {
	a, ok := s.enter(c, "GET", false)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var out struct {
		Open int             `json:"is_menu_open"`
		Info json.RawMessage `json:"selfmenu_info"`
	}
	out.Open, out.Info = 1, a.menu.website
	switch {
	case a.menu.standard != nil:
		c.answerJSON(struct {
			Open int         `json:"is_menu_open"`
			Info wrappedMenu `json:"selfmenu_info"`
		}{1, wrappedMenu{wrapButtons(a.menu.standard.buttons)}})
		return
	case out.Info == nil:
		out.Open, out.Info = 0, json.RawMessage(`{}`)
	}
	c.answerJSON(out)
}
