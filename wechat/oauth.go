package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"hongyan/internal/fault"
)

const (
	pageAuthorize    = "/connect/oauth2/authorize"
	pageHost         = "https://open.weixin.qq.com"
	apiPersonToken   = "/sns/oauth2/access_token"
	apiPersonRefresh = "/sns/oauth2/refresh_token"
	apiPersonInfo    = "/sns/userinfo"
	apiPersonCheck   = "/sns/auth"

	// The same two for an account that authorised a component (platform.md 7.4).
	apiComponentPersonToken   = "/sns/oauth2/component/access_token"
	apiComponentPersonRefresh = "/sns/oauth2/component/refresh_token"

	maxPersonToken = 30 * 24 * 3600 // seconds; a longer life is a broken answer
)

// Scope is what a web page asks of the person who opens it (platform.md 7.4).
type Scope string

// The scopes.
const (
	ScopeBase     Scope = "snsapi_base"     // the openid, silently, of fans and strangers alike
	ScopeUserInfo Scope = "snsapi_userinfo" // name and picture as well, with the person's consent
)

// Authorize says what the page that a person comes back to needs.
type Authorize struct {
	// Redirect is where the platform sends the person, with code and state in its query:
	// an absolute address whose host is registered with the account, or with the component
	// that it authorised. A person who refuses comes back with a state and no code.
	Redirect string
	Scope    Scope
	// State comes back unchanged: 1 to 128 letters and digits. The platform would do
	// without, but nothing else ties the answer to the browser that was sent away.
	State string
	// Popup asks for consent in a box, also of a person who has given it before.
	Popup bool
}

var stateShape = regexp.MustCompile(`^[a-zA-Z0-9]{1,128}$`)

// AuthorizeURL is the address that a page sends a person's browser to (platform.md 7.4). It
// is on the platform's own host, or on acc.BaseURL when that is no host of the platform:
// the simulator serves the page itself. It makes no call.
func AuthorizeURL(acc Account, in Authorize) (string, error) {
	check := &checker{}
	check.required("appid", acc.AppID)
	back, err := url.Parse(in.Redirect)
	if err != nil || back.Host == "" || back.Scheme != "http" && back.Scheme != "https" {
		check.badf("redirect_uri", "address", "the platform sends people back to an http or https address")
	}
	if in.Scope != ScopeBase && in.Scope != ScopeUserInfo {
		check.badf("scope", "unknown", "a page can ask for %s or %s", ScopeBase, ScopeUserInfo)
	}
	if !stateShape.MatchString(in.State) {
		check.badf("state", "state", "a state has 1 to 128 letters and digits")
	}
	base, err := pageBase(acc.BaseURL)
	if err := errors.Join(append(check.errs, err)...); err != nil {
		return "", err
	}
	// In this order: the platform matches the address against a pattern.
	out := base + pageAuthorize + "?appid=" + url.QueryEscape(acc.AppID) + "&redirect_uri=" + url.QueryEscape(in.Redirect) +
		"&response_type=code&scope=" + string(in.Scope) + "&state=" + in.State
	if in.Popup {
		out += "&forcePopup=true"
	}
	if acc.Component != nil {
		out += "&component_appid=" + url.QueryEscape(acc.Component.AppID)
	}
	return out + "#wechat_redirect", nil
}

// pageBase is the host of the platform's pages that goes with a host of its API.
func pageBase(base string) (string, error) {
	if base == "" {
		return pageHost, nil
	}
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "":
		return "", fault.BadField("base_url", "address", "the account's base URL is not an address")
	case strings.HasSuffix(u.Hostname(), ".weixin.qq.com"):
		return pageHost, nil
	}
	return strings.TrimRight(base, "/"), nil
}

// PersonToken is what a person who came back has given to the account. Its tokens are
// secrets: it prints without them.
type PersonToken struct {
	AccessToken  string
	RefreshToken string // renews AccessToken for 30 days after the consent
	OpenID       string
	UnionID      string // only with ScopeUserInfo and an Open Platform account
	Scope        Scope
	Expires      time.Time // of AccessToken
	// Snapshot marks an invented identity: the platform showed a read-only copy of the
	// page, because consent was asked for without need. It is nobody's openid.
	Snapshot bool
}

// String implements fmt.Stringer, without the tokens.
func (t PersonToken) String() string { return "token of a person, scope " + string(t.Scope) }

// LogValue implements slog.LogValuer, without the tokens.
func (t PersonToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Person is what a person lets the account know of them. Sex and place are not given any more.
type Person struct {
	OpenID    string `json:"openid"`
	UnionID   string `json:"unionid"`
	Nickname  string `json:"nickname"`
	AvatarURL string `json:"headimgurl"`
}

// ExchangeCode trades the code that a person came back with for their token. A code lives
// five minutes and works once: 40029 for a code that is unknown or too old, 40163 for one
// that was used. After OutcomeLost it may have been used, and the person has to be sent to
// the page again, as NeedsConsent says.
func (c *Client) ExchangeCode(ctx context.Context, acc Account, code string) (PersonToken, error) {
	check := &checker{}
	check.required("code", code)
	query := url.Values{"appid": {acc.AppID}, "code": {code}, "grant_type": {"authorization_code"}}
	api := apiComponentPersonToken
	if acc.Component == nil {
		check.required("secret", acc.Secret)
		query.Set("secret", acc.Secret)
		api = apiPersonToken
	}
	if err := errors.Join(check.errs...); err != nil {
		return PersonToken{}, err
	}
	return c.personToken(ctx, acc, api, query)
}

// RefreshPersonToken renews a person's access token. It answers 40030 for a bad and 42002
// for an expired refresh token; see NeedsConsent. It can be repeated.
func (c *Client) RefreshPersonToken(ctx context.Context, acc Account, refreshToken string) (PersonToken, error) {
	check := &checker{}
	check.required("refresh_token", refreshToken)
	if err := errors.Join(check.errs...); err != nil {
		return PersonToken{}, err
	}
	api := apiComponentPersonRefresh
	if acc.Component == nil {
		api = apiPersonRefresh
	}
	return c.personToken(ctx, acc, api, url.Values{
		"appid": {acc.AppID}, "grant_type": {"refresh_token"}, "refresh_token": {refreshToken},
	})
}

// askPerson makes a call about a person's token. A component proves itself with its own
// access token, an account with its secret in the query.
func (c *Client) askPerson(ctx context.Context, acc Account, x *exchange) error {
	if acc.Component == nil {
		if failure := c.do(ctx, acc, x); failure != nil {
			return failure
		}
		return nil
	}
	if err := acc.Component.check(); err != nil {
		return err
	}
	x.tokenName = componentTokenName
	x.query.Set("component_appid", acc.Component.AppID)
	return c.call(ctx, acc.Component.account(), x)
}

func (c *Client) personToken(ctx context.Context, acc Account, api string, query url.Values) (PersonToken, error) {
	var answer struct {
		AccessToken  string      `json:"access_token"`
		RefreshToken string      `json:"refresh_token"`
		ExpiresIn    json.Number `json:"expires_in"`
		OpenID       string      `json:"openid"`
		UnionID      string      `json:"unionid"`
		Scope        Scope       `json:"scope"`
		Snapshot     int         `json:"is_snapshotuser"`
	}
	now := c.clock.Now()
	if err := c.askPerson(ctx, acc, &exchange{api: api, method: http.MethodGet, query: query, out: &answer}); err != nil {
		return PersonToken{}, err
	}
	seconds, err := answer.ExpiresIn.Int64()
	if err != nil || seconds <= 0 || seconds > maxPersonToken || answer.AccessToken == "" || answer.OpenID == "" {
		return PersonToken{}, withoutProof(api, "token of a person")
	}
	return PersonToken{
		AccessToken: answer.AccessToken, RefreshToken: answer.RefreshToken, OpenID: answer.OpenID, UnionID: answer.UnionID,
		Scope: answer.Scope, Expires: now.Add(time.Duration(seconds) * time.Second), Snapshot: answer.Snapshot == 1,
	}, nil
}

// PersonInfo asks for a person's name and picture, under a token of ScopeUserInfo (48001
// under ScopeBase).
func (c *Client) PersonInfo(ctx context.Context, acc Account, t PersonToken) (Person, error) {
	if err := t.usable(); err != nil {
		return Person{}, err
	}
	var out Person
	query := url.Values{"openid": {t.OpenID}, "lang": {"zh_CN"}}
	x := &exchange{api: apiPersonInfo, method: http.MethodGet, query: query, token: t.AccessToken, out: &out}
	if failure := c.do(ctx, acc, x); failure != nil {
		return Person{}, failure
	}
	if out.OpenID == "" {
		return Person{}, withoutProof(apiPersonInfo, "openid")
	}
	return out, nil
}

// CheckPersonToken asks whether a person's access token is still good; nil means that it is.
func (c *Client) CheckPersonToken(ctx context.Context, acc Account, t PersonToken) error {
	if err := t.usable(); err != nil {
		return err
	}
	query := url.Values{"openid": {t.OpenID}}
	x := &exchange{api: apiPersonCheck, method: http.MethodGet, query: query, token: t.AccessToken, strict: true}
	if failure := c.do(ctx, acc, x); failure != nil {
		return failure
	}
	return nil
}

func (t PersonToken) usable() error {
	check := &checker{}
	check.required("access_token", t.AccessToken)
	check.required("openid", t.OpenID)
	return errors.Join(check.errs...)
}

// NeedsConsent reports whether err, of a call about a person, means that the person has to
// be sent to the page of AuthorizeURL again. The codes of a bad access token mean that here,
// and not what Classify says: they are about the person's token and not the account's.
func NeedsConsent(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.HasPrefix(e.API, "/sns/") {
		return false
	}
	exchanges := e.API == apiPersonToken || e.API == apiComponentPersonToken
	switch e.Code {
	case 40029, 40030, 40163, 42002, 42003, 42007:
		return true
	case codeBadToken, codeTokenExpired: // of the component, where its token is part of the call
		return !strings.HasPrefix(e.API, "/sns/oauth2/component/")
	case codeBadCredential: // of the AppSecret or the component, where they are part of the call
		return !exchanges && e.API != apiComponentPersonRefresh
	}
	return exchanges && e.outcome() == OutcomeLost
}
