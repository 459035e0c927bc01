package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"hongyan/internal/fault"
)

const (
	apiMenuCreate      = "/cgi-bin/menu/create"
	apiMenuGet         = "/cgi-bin/menu/get"
	apiMenuDelete      = "/cgi-bin/menu/delete"
	apiMenuAddRule     = "/cgi-bin/menu/addconditional"
	apiMenuDeleteRule  = "/cgi-bin/menu/delconditional"
	apiMenuTryMatch    = "/cgi-bin/menu/trymatch"
	apiMenuCurrentInfo = "/cgi-bin/get_current_selfmenu_info"
)

// ButtonType is what a tap on a menu's button does (platform.md 8.1).
type ButtonType string

// The types.
const (
	ButtonClick         ButtonType = "click"
	ButtonView          ButtonType = "view"
	ButtonScanPush      ButtonType = "scancode_push"
	ButtonScanWait      ButtonType = "scancode_waitmsg"
	ButtonCamera        ButtonType = "pic_sysphoto"
	ButtonCameraOrAlbum ButtonType = "pic_photo_or_album"
	ButtonAlbum         ButtonType = "pic_weixin"
	ButtonLocation      ButtonType = "location_select"
	ButtonMedia         ButtonType = "media_id"
	ButtonArticle       ButtonType = "article_id"           // sends the published article
	ButtonArticleView   ButtonType = "article_view_limited" // opens it
	ButtonViewLimited   ButtonType = "view_limited"         // legacy: opens an old article list
	ButtonMiniProgram   ButtonType = "miniprogram"
)

// MenuButton is a button of the menu below the chat. One with Sub opens them and has
// nothing else but a name. Its JSON is the platform's.
type MenuButton struct {
	Type      ButtonType   `json:"type,omitempty"`
	Name      string       `json:"name"`
	Key       string       `json:"key,omitempty"`        // comes back in the event of a tap; of click, scancode, pic and location types
	URL       string       `json:"url,omitempty"`        // of view; of miniprogram for old clients
	AppID     string       `json:"appid,omitempty"`      // of miniprogram
	PagePath  string       `json:"pagepath,omitempty"`   // of miniprogram
	MediaID   string       `json:"media_id,omitempty"`   // permanent material; of media_id and view_limited
	ArticleID string       `json:"article_id,omitempty"` // of article_id and article_view_limited
	Sub       []MenuButton `json:"sub_button,omitempty"`
}

// Platform is the kind of a fan's client, a condition of a MatchRule.
type Platform int

// The kinds; the zero value is any.
const (
	PlatformIOS     Platform = 1
	PlatformAndroid Platform = 2
	PlatformOther   Platform = 3
)

// MatchRule says which fans see a conditional menu. At least one condition is set; all
// that are set must hold. Sex, place and language are no conditions any more (65320).
type MatchRule struct {
	TagID    int64    // of a fan with several tags, the one given last counts; 0 is any
	Platform Platform // 0 is any
}

// MarshalJSON implements json.Marshaler: the platform's samples write both as strings.
func (r MatchRule) MarshalJSON() ([]byte, error) {
	var wire struct {
		TagID    string `json:"tag_id,omitempty"`
		Platform string `json:"client_platform_type,omitempty"`
	}
	if r.TagID != 0 {
		wire.TagID = strconv.FormatInt(r.TagID, 10)
	}
	if r.Platform != 0 {
		wire.Platform = strconv.Itoa(int(r.Platform))
	}
	return json.Marshal(wire)
}

// UnmarshalJSON implements json.Unmarshaler. It knows the old name of a tag as well.
func (r *MatchRule) UnmarshalJSON(raw []byte) error {
	var wire struct {
		TagID    looseInt `json:"tag_id"`
		GroupID  looseInt `json:"group_id"`
		Platform looseInt `json:"client_platform_type"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return fault.Wrap(fault.Invalid, err, "read a match rule")
	}
	*r = MatchRule{TagID: int64(wire.TagID), Platform: Platform(wire.Platform)}
	if r.TagID == 0 {
		r.TagID = int64(wire.GroupID)
	}
	return nil
}

// CustomMenus are all the menus that were made by the API.
type CustomMenus struct {
	Default     []MenuButton
	DefaultID   string            // "" when the platform does not tell
	Conditional []ConditionalMenu // in the platform's order
}

// ConditionalMenu is what fans see to whom its rule applies.
type ConditionalMenu struct {
	ID      string
	Buttons []MenuButton
	Rule    MatchRule
}

// CreateMenu replaces the default menu; conditional menus stay. Fans see it within minutes
// or when they follow again. What the platform would refuse is a fault.Invalid error, see
// ValidateMenu. A menu with a mini-program that is not linked answers 45064.
func (c *Client) CreateMenu(ctx context.Context, acc Account, buttons []MenuButton) error {
	if err := ValidateMenu(buttons); err != nil {
		return err
	}
	return c.post(ctx, acc, apiMenuCreate, menuIn{Buttons: buttons}, nil)
}

type menuIn struct {
	Buttons []MenuButton `json:"button"`
	Rule    *MatchRule   `json:"matchrule,omitempty"`
}

// Menus fetches the default menu and all conditional ones. It answers 46003 when the
// account has none that was made by the API.
func (c *Client) Menus(ctx context.Context, acc Account) (CustomMenus, error) {
	type wireMenu struct {
		ID      looseInt     `json:"menuid"`
		Buttons []MenuButton `json:"button"`
		Rule    MatchRule    `json:"matchrule"`
	}
	var out struct {
		Menu        *wireMenu  `json:"menu"`
		Conditional []wireMenu `json:"conditionalmenu"`
	}
	if err := c.get(ctx, acc, apiMenuGet, nil, &out); err != nil {
		return CustomMenus{}, err
	}
	if out.Menu == nil {
		return CustomMenus{}, withoutProof(apiMenuGet, "menu")
	}
	menus := CustomMenus{Default: out.Menu.Buttons, DefaultID: out.Menu.ID.id()}
	for _, m := range out.Conditional {
		menus.Conditional = append(menus.Conditional, ConditionalMenu{ID: m.ID.id(), Buttons: m.Buttons, Rule: m.Rule})
	}
	return menus, nil
}

// id is a number that serves as a name; 0 is none.
func (n looseInt) id() string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// DeleteMenus deletes the default menu and every conditional one.
func (c *Client) DeleteMenus(ctx context.Context, acc Account) error {
	return c.get(ctx, acc, apiMenuDelete, nil, nil)
}

// AddConditionalMenu adds a menu for the fans to whom rule applies and returns its id
// (platform.md 8.2). The newest rule is tried first. It answers 65303 without a default
// menu. After OutcomeLost the menu may be there: look at Menus before trying again.
func (c *Client) AddConditionalMenu(ctx context.Context, acc Account, buttons []MenuButton, rule MatchRule) (string, error) {
	if err := errors.Join(ValidateMenu(buttons), validateRule(rule), validateDomains(buttons)); err != nil {
		return "", err
	}
	var out struct {
		ID looseInt `json:"menuid"`
	}
	if err := c.post(ctx, acc, apiMenuAddRule, menuIn{Buttons: buttons, Rule: &rule}, &out); err != nil {
		return "", err
	}
	if out.ID == 0 {
		return "", withoutProof(apiMenuAddRule, "menuid")
	}
	return out.ID.id(), nil
}

// DeleteConditionalMenu deletes one conditional menu. It answers 65301 when there is none
// of this id.
func (c *Client) DeleteConditionalMenu(ctx context.Context, acc Account, menuID string) error {
	if menuID == "" {
		return needed("menuid")
	}
	in := struct {
		ID string `json:"menuid"`
	}{menuID}
	return c.post(ctx, acc, apiMenuDeleteRule, in, nil)
}

// TryMatchMenu returns the buttons that a fan sees, named by openid or WeChat id. It
// answers 65302 for an unknown one and 46003 without a menu.
func (c *Client) TryMatchMenu(ctx context.Context, acc Account, userID string) ([]MenuButton, error) {
	if userID == "" {
		return nil, needed("user_id")
	}
	in := struct {
		UserID string `json:"user_id"`
	}{userID}
	var out struct {
		Buttons []MenuButton `json:"button"`
	}
	if err := c.post(ctx, acc, apiMenuTryMatch, in, &out); err != nil {
		return nil, err
	}
	if out.Buttons == nil {
		return nil, withoutProof(apiMenuTryMatch, "button")
	}
	return out.Buttons, nil
}

// CurrentMenu is the menu in use, wherever it was made.
type CurrentMenu struct {
	Open    bool // false: the account shows no menu
	Buttons []CurrentButton
}

// CurrentButton is a button of a CurrentMenu. Buttons made on the platform's website have
// types that the API does not take (text, img, voice, video, news) and a Value: a text, a
// media id or an address.
type CurrentButton struct {
	MenuButton
	Value    string
	Articles []CurrentArticle // of news
	Sub      []CurrentButton  // stands for MenuButton.Sub, which is empty
}

// CurrentArticle is an article that a button made on the website shows.
type CurrentArticle struct {
	Title      string `json:"title"`
	Author     string `json:"author"`
	Digest     string `json:"digest"`
	ShowCover  int    `json:"show_cover"`
	CoverURL   string `json:"cover_url"`
	ContentURL string `json:"content_url"`
	SourceURL  string `json:"source_url"`
}

// UnmarshalJSON implements json.Unmarshaler: this one answer wraps its lists in objects.
func (b *CurrentButton) UnmarshalJSON(raw []byte) error {
	var wire struct {
		Type      ButtonType `json:"type"`
		Name      string     `json:"name"`
		Key       string     `json:"key"`
		URL       string     `json:"url"`
		AppID     string     `json:"appid"`
		PagePath  string     `json:"pagepath"`
		MediaID   string     `json:"media_id"`
		ArticleID string     `json:"article_id"`
		Value     string     `json:"value"`
		News      struct {
			List []CurrentArticle `json:"list"`
		} `json:"news_info"`
		Sub struct {
			List []CurrentButton `json:"list"`
		} `json:"sub_button"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return fault.Wrap(fault.Invalid, err, "read a button")
	}
	*b = CurrentButton{
		MenuButton: MenuButton{
			Type: wire.Type, Name: wire.Name, Key: wire.Key, URL: wire.URL, AppID: wire.AppID,
			PagePath: wire.PagePath, MediaID: wire.MediaID, ArticleID: wire.ArticleID,
		},
		Value: wire.Value, Articles: wire.News.List, Sub: wire.Sub.List,
	}
	return nil
}

// CurrentMenu fetches the menu in use, also one that was made on the platform's website.
func (c *Client) CurrentMenu(ctx context.Context, acc Account) (CurrentMenu, error) {
	var out struct {
		Open *int `json:"is_menu_open"`
		Info struct {
			Buttons []CurrentButton `json:"button"`
		} `json:"selfmenu_info"`
	}
	if err := c.get(ctx, acc, apiMenuCurrentInfo, nil, &out); err != nil {
		return CurrentMenu{}, err
	}
	if out.Open == nil {
		return CurrentMenu{}, withoutProof(apiMenuCurrentInfo, "is_menu_open")
	}
	return CurrentMenu{Open: *out.Open == 1, Buttons: out.Info.Buttons}, nil
}
