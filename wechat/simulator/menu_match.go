package simulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// matchRule says which fans see a conditional menu (platform.md 8.2); "" is any.
type matchRule struct {
	TagID    string `json:"tag_id,omitempty"`
	Platform string `json:"client_platform_type,omitempty"`
}

// parseRuledMenu reads the body of addconditional.
func parseRuledMenu(body []byte) (menu, int) {
	var m menu
	top, code := parseMenuBody(body)
	if code != codeOK {
		return m, code
	}
	if raw, ok := top["button"]; !ok || string(raw) == "[]" {
		return m, codeRuledMenuEmpty
	}
	if m.buttons, code = parseButtons(top["button"], topLevel()); code != codeOK {
		return m, code
	}
	raw, ok := top["matchrule"]
	if !ok {
		return m, codeNoMatchRule
	}
	if m.rule, code = parseMatchRule(raw); code != codeOK {
		return m, code
	}
	switch {
	case len(top) != 2:
		return m, codeUnknownField
	case countDomains(m.buttons) > maxMenuDomains:
		return m, codeTooManyDomains
	}
	return m, codeOK
}

// maxMenuDomains is how many domains the links of a conditional menu may lead to.
const maxMenuDomains = 3

// parseMatchRule reads a rule, whose values come as strings or numbers. Conditions that
// there used to be have a code of their own.
func parseMatchRule(raw json.RawMessage) (matchRule, int) {
	var r matchRule
	m, code := members(raw)
	if code != codeOK {
		return r, code
	}
	for _, gone := range []string{"sex", "country", "province", "city", "language"} {
		if _, ok := m[gone]; ok {
			return r, codeMatchRuleGone
		}
	}
	if _, ok := m["tag_id"]; !ok {
		m["tag_id"] = m["group_id"] // its old name
	}
	delete(m, "group_id")
	if r.TagID, code = readNumeral(m["tag_id"]); code != codeOK {
		return r, code
	}
	if r.Platform, code = readNumeral(m["client_platform_type"]); code != codeOK {
		return r, code
	}
	delete(m, "tag_id")
	delete(m, "client_platform_type")
	switch {
	case len(m) > 0:
		return r, codeUnknownField
	case r == matchRule{}:
		return r, codeNoMatchRule
	case !slices.Contains([]string{"", "1", "2", "3"}, r.Platform):
		return r, codeBadParameter
	}
	return r, codeOK
}

// readNumeral reads a whole number that may stand in quotes; "" when there is none.
func readNumeral(raw json.RawMessage) (string, int) {
	if raw == nil {
		return "", codeOK
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	if text == "" {
		return "", codeOK
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return "", codeBadParameter
	}
	return strconv.FormatInt(n, 10), codeOK
}

func countDomains(buttons []wechat.MenuButton) int {
	var hosts []string
	anyButton(buttons, func(b *wechat.MenuButton) bool {
		u, err := url.Parse(b.URL)
		if err == nil && b.Type == wechat.ButtonView && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
		return false
	})
	return len(hosts)
}

// matches reports whether a rule applies to a fan who has the tag that was given last.
func (r matchRule) matches(tag string, platform wechat.Platform) bool {
	return (r.TagID == "" || r.TagID == tag) && (r.Platform == "" || r.Platform == strconv.Itoa(int(platform)))
}

// menuOf is the menu that a fan sees: of the conditional menus the newest that matches,
// else the default one.
func (s *Simulator) menuOf(a *account, openID string) (*menu, int) {
	var tag string
	found := false
	// The fan first: nobody waits for an account's lock while holding a fan's.
	err := s.withFan(openID, func(f *fan) {
		found = f.account == a
		if tags := f.tagIDs(); len(tags) > 0 {
			tag = strconv.Itoa(tags[len(tags)-1])
		}
	})
	if err != nil || !found {
		return nil, codeNoSuchMenuUser
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.menu.standard == nil {
		return nil, codeNoMenu
	}
	platform, ok := a.menu.clients[openID]
	if !ok {
		platform = wechat.PlatformOther
	}
	for _, m := range slices.Backward(a.menu.ruled) {
		if m.rule.matches(tag, platform) {
			return m, codeOK
		}
	}
	return a.menu.standard, codeOK
}

// FanMenu is what a fan sees below the chat.
type FanMenu struct {
	MenuID      int64               `json:"menuid"`
	Conditional bool                `json:"conditional"`
	Buttons     []wechat.MenuButton `json:"button"`
}

// MenuOf returns the menu that a fan sees: what trymatch answers, without a call. It
// answers NotFound for an unknown fan and for an account without a menu.
func (s *Simulator) MenuOf(openID string) (FanMenu, error) {
	var a *account
	if err := s.withFan(openID, func(f *fan) { a = f.account }); err != nil {
		return FanMenu{}, err
	}
	m, code := s.menuOf(a, openID)
	if code != codeOK {
		return FanMenu{}, fault.New(fault.NotFound, "account %s has no menu", a.config().AppID)
	}
	return FanMenu{MenuID: m.id, Conditional: m.rule != matchRule{}, Buttons: m.buttons}, nil
}

// SetClient says what kind of client a fan uses; without it, it is PlatformOther. It
// answers NotFound and Invalid.
func (s *Simulator) SetClient(openID string, p wechat.Platform) error {
	if p < wechat.PlatformIOS || p > wechat.PlatformOther {
		return fault.BadField("platform", "range", "must be 1 (iOS), 2 (Android) or 3 (other)")
	}
	var a *account
	if err := s.withFan(openID, func(f *fan) { a = f.account }); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.menu.clients == nil {
		a.menu.clients = map[string]wechat.Platform{}
	}
	a.menu.clients[openID] = p
	return nil
}

// SetWebsiteMenu is what a member of the account does on the platform's website: it makes
// the menu that get_current_selfmenu_info shows while there is none by the API. selfMenu
// is the JSON object of selfmenu_info. It answers NotFound and Invalid.
func (s *Simulator) SetWebsiteMenu(appID string, selfMenu json.RawMessage) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	if _, code := members(selfMenu); code != codeOK {
		return fault.BadField("selfmenu_info", "shape", "must be a JSON object")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.menu.website = slices.Clone(selfMenu)
	return nil
}
