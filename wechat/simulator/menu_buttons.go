package simulator

import (
	"encoding/json"
	"slices"

	"hongyan/wechat"
)

// buttonLevel is the rules of the menu's own buttons, or of those inside one (platform.md 8.1).
type buttonLevel struct {
	most, nameBytes                            int
	count, kind, name, key, url, domain, depth int // codes
	inner                                      func() buttonLevel
}

func topLevel() buttonLevel {
	return buttonLevel{
		most: 3, nameBytes: 16,
		count: codeButtonCount, kind: codeButtonType, name: codeButtonName,
		key: codeButtonKey, url: codeButtonURL, domain: codeButtonDomain, inner: subLevel,
	}
}

func subLevel() buttonLevel {
	return buttonLevel{
		most: 5, nameBytes: 60,
		count: codeSubButtonCount, kind: codeSubButtonType, name: codeSubButtonName,
		key: codeSubButtonKey, url: codeSubButtonURL, domain: codeSubButtonDomain, depth: codeButtonDepth,
	}
}

// The bounds of what a button holds, in bytes (platform.md 8.1).
const (
	maxButtonKey = 128
	maxButtonURL = 1024
)

// parseButtons reads a list of buttons, strictly.
func parseButtons(raw json.RawMessage, level buttonLevel) ([]wechat.MenuButton, int) {
	if raw == nil {
		return nil, level.count
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, codeBadJSON
	}
	if len(list) < 1 || len(list) > level.most {
		return nil, level.count
	}
	out := make([]wechat.MenuButton, len(list))
	for i, raw := range list {
		code := parseButton(raw, level, &out[i])
		if code != codeOK {
			return nil, code
		}
	}
	return out, codeOK
}

func parseButton(raw json.RawMessage, level buttonLevel, b *wechat.MenuButton) int {
	m, code := members(raw)
	if code != codeOK {
		return code
	}
	var kind string
	known := 0
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"type", &kind}, {"name", &b.Name}, {"key", &b.Key}, {"url", &b.URL}, {"appid", &b.AppID},
		{"pagepath", &b.PagePath}, {"media_id", &b.MediaID}, {"article_id", &b.ArticleID},
	} {
		if _, ok := m[f.name]; ok {
			known++
		}
		if code := readString(m, f.name, f.to); code != codeOK {
			return code
		}
	}
	b.Type = wechat.ButtonType(kind)
	sub, code := parseSub(m, level)
	if _, ok := m["sub_button"]; ok {
		known++
	}
	b.Sub = sub
	switch {
	case code != codeOK:
		return code
	case known != len(m):
		return codeUnknownField
	case b.Name == "" || len(b.Name) > level.nameBytes:
		return level.name
	}
	return checkButton(b, level)
}

// parseSub reads what a button opens. An empty list is what menu/get shows for buttons
// that open nothing.
func parseSub(m map[string]json.RawMessage, level buttonLevel) ([]wechat.MenuButton, int) {
	raw, ok := m["sub_button"]
	if !ok {
		return nil, codeOK
	}
	var list []json.RawMessage
	switch {
	case json.Unmarshal(raw, &list) != nil:
		return nil, codeBadJSON
	case len(list) == 0:
		return nil, codeOK
	case level.inner == nil:
		return nil, level.depth
	}
	return parseButtons(raw, level.inner())
}

// checkButton checks that a button has what its type needs, and nothing else.
func checkButton(b *wechat.MenuButton, level buttonLevel) int {
	need, known := needsOf(b.Type)
	if len(b.Sub) > 0 {
		need, known = "", b.Type == ""
	}
	if !known {
		return level.kind
	}
	for _, f := range []struct {
		letter byte
		value  string
		code   int // when it is missing
	}{
		{'k', b.Key, level.key}, {'u', b.URL, level.url}, {'a', b.AppID, codeBadAppID}, {'p', b.PagePath, codeBadParameter},
		{'m', b.MediaID, codeBadMediaID}, {'n', b.ArticleID, codeBadArticleID},
	} {
		switch wanted := slices.Contains([]byte(need), f.letter); {
		case wanted && f.value == "":
			return f.code
		case !wanted && f.value != "":
			return codeBadParameter
		}
	}
	switch {
	case len(b.Key) > maxButtonKey:
		return level.key
	case len(b.URL) > maxButtonURL:
		return level.url
	case b.URL != "" && !isWeb(b.URL):
		return level.domain
	case b.AppID != "" && !appIDShape.MatchString(b.AppID), hasUpper(b.AppID):
		return codeBadAppID
	}
	return codeOK
}

// needsOf says what a type of button holds: k key, u url, a appid, p pagepath, m media_id,
// n article_id. Any account that may have menus may use every type: media_id and
// article_id were made for accounts without verification, and others have them too.
func needsOf(t wechat.ButtonType) (string, bool) {
	switch t {
	case wechat.ButtonClick, wechat.ButtonScanPush, wechat.ButtonScanWait, wechat.ButtonCamera,
		wechat.ButtonCameraOrAlbum, wechat.ButtonAlbum, wechat.ButtonLocation:
		return "k", true
	case wechat.ButtonView:
		return "u", true
	case wechat.ButtonMiniProgram:
		return "uap", true
	case wechat.ButtonMedia, wechat.ButtonViewLimited:
		return "m", true
	case wechat.ButtonArticle, wechat.ButtonArticleView:
		return "n", true
	}
	return "", false
}

func hasUpper(text string) bool {
	return slices.ContainsFunc([]byte(text), func(b byte) bool { return 'A' <= b && b <= 'Z' })
}

// shownButton is a button as the platform shows it: always with a list of what it opens.
type shownButton struct {
	Type      wechat.ButtonType `json:"type,omitempty"`
	Name      string            `json:"name"`
	Key       string            `json:"key,omitempty"`
	URL       string            `json:"url,omitempty"`
	AppID     string            `json:"appid,omitempty"`
	PagePath  string            `json:"pagepath,omitempty"`
	MediaID   string            `json:"media_id,omitempty"`
	ArticleID string            `json:"article_id,omitempty"`
	Sub       []shownButton     `json:"sub_button"`
}

func showButtons(buttons []wechat.MenuButton) []shownButton {
	out := make([]shownButton, len(buttons))
	for i, b := range buttons {
		out[i] = shownButton{
			Type: b.Type, Name: b.Name, Key: b.Key, URL: b.URL, AppID: b.AppID, PagePath: b.PagePath,
			MediaID: b.MediaID, ArticleID: b.ArticleID, Sub: showButtons(b.Sub),
		}
	}
	return out
}

// wrappedMenu is a menu as get_current_selfmenu_info writes it: inner lists are in an object.
type wrappedMenu struct {
	Buttons []wrappedButton `json:"button"`
}

type wrappedButton struct {
	wechat.MenuButton
	Sub *wrappedList `json:"sub_button,omitempty"` // stands for the list of the embedded button
}

type wrappedList struct {
	List []wrappedButton `json:"list"`
}

func wrapButtons(buttons []wechat.MenuButton) []wrappedButton {
	out := make([]wrappedButton, len(buttons))
	for i, b := range buttons {
		out[i].MenuButton = b
		if len(b.Sub) > 0 {
			out[i].Sub = &wrappedList{wrapButtons(b.Sub)}
		}
	}
	return out
}
