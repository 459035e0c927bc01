package wechat

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/fault"
)

const (
	apiStartPushTicket = "/cgi-bin/component/api_start_push_ticket"
	apiComponentToken  = "/cgi-bin/component/api_component_token"
	apiPreAuthCode     = "/cgi-bin/component/api_create_preauthcode"
	apiQueryAuth       = "/cgi-bin/component/api_query_auth"
	apiAuthorizerToken = "/cgi-bin/component/api_authorizer_token"
	apiAuthorizerInfo  = "/cgi-bin/component/api_get_authorizer_info"
	apiGetOption       = "/cgi-bin/component/api_get_authorizer_option"
	apiSetOption       = "/cgi-bin/component/api_set_authorizer_option"
	apiAuthorizerList  = "/cgi-bin/component/api_get_authorizer_list"

	componentTokenName = "component_access_token"
)

// MaxAuthorisedPage is the most accounts of one page of AuthorisedAccounts.
const MaxAuthorisedPage = 500

// Component is a third-party platform 第三方平台: an application whose right to act for an
// account is given by the account's owner with a scan 扫码接入, without the account's
// secret (platform.md 1.5).
type Component struct { //nolint:recvcheck // String and its kin take values, so that a copied component keeps its secret too
	AppID   string
	Secret  string
	BaseURL string // "" means DefaultBaseURL; the simulator's address otherwise
	// Store keeps what belongs to this component, and to no other.
	Store ComponentStore
}

func (comp *Component) check() error {
	switch {
	case comp == nil:
		return fault.New(fault.Invalid, "a component is needed")
	case comp.AppID == "":
		return fault.BadField("component.appid", "required", "a component has an appid")
	case comp.Secret == "":
		return fault.BadField("component.secret", "required", "a component has a secret")
	case comp.Store == nil:
		return fault.BadField("component.store", "required", "a component needs a store for its ticket and tokens")
	}
	return nil
}

// account is the component as the holder of its own access token: row 0 of its store.
func (comp *Component) account() Account {
	return Account{AppID: comp.AppID, BaseURL: comp.BaseURL, Component: comp}
}

// StartPushTicket asks the platform to push a verify ticket every 10 minutes to the
// component's authorisation event URL. It needs no ticket.
func (c *Client) StartPushTicket(ctx context.Context, comp *Component) error {
	if err := comp.check(); err != nil {
		return err
	}
	body, err := encode(struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_secret"`
	}{comp.AppID, comp.Secret})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "write the body of %s", apiStartPushTicket)
	}
	if failure := c.do(ctx, comp.account(), &exchange{api: apiStartPushTicket, body: body, strict: true}); failure != nil {
		return failure
	}
	return nil
}

// ComponentToken returns a usable component_access_token, refreshing it if need be. Without
// a verify ticket that is good the error holds a *TicketError.
func (c *Client) ComponentToken(ctx context.Context, comp *Component) (string, error) {
	if err := comp.check(); err != nil {
		return "", err
	}
	return c.Token(ctx, comp.account())
}

// postAs makes a call with the component's own access token.
func (c *Client) postAs(ctx context.Context, comp *Component, api string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "write the body of %s", api)
	}
	return c.call(ctx, comp.account(), &exchange{
		api: api, body: body, tokenName: componentTokenName, strict: out == nil, out: out,
	})
}

// componentRef names the component, and where it is set the account, in a body.
type componentRef struct {
	Component string `json:"component_appid"`
	Account   string `json:"authorizer_appid,omitempty"`
}

// PreAuthCode opens the authorisation page once, until ExpiresAt.
type PreAuthCode struct {
	Code      string
	ExpiresAt time.Time
}

// CreatePreAuthCode makes the code that the authorisation page needs (platform.md 1.5). How
// long it is good varies between the platform's pages; the answer counts.
func (c *Client) CreatePreAuthCode(ctx context.Context, comp *Component) (PreAuthCode, error) {
	if err := comp.check(); err != nil {
		return PreAuthCode{}, err
	}
	var out struct {
		Code      string `json:"pre_auth_code"`
		ExpiresIn int64  `json:"expires_in"`
	}
	now := c.clock.Now()
	if err := c.postAs(ctx, comp, apiPreAuthCode, componentRef{Component: comp.AppID}, &out); err != nil {
		return PreAuthCode{}, err
	}
	if out.Code == "" || out.ExpiresIn <= 0 || out.ExpiresIn > 24*3600 {
		return PreAuthCode{}, withoutProof(apiPreAuthCode, "pre_auth_code")
	}
	return PreAuthCode{Code: out.Code, ExpiresAt: now.Add(time.Duration(out.ExpiresIn) * time.Second)}, nil
}

// AuthType says which kinds of accounts the authorisation page offers.
type AuthType int

// The types that concern official accounts.
const (
	AuthOfficial AuthType = 1 // official accounts only
	AuthBoth     AuthType = 3 // official accounts and mini-programs
	AuthAll      AuthType = 6 // every kind there is
)

// ComponentPage is the page on which an account's owner authorises a component.
type ComponentPage struct {
	Component   string // its appid
	PreAuthCode string
	// RedirectURL is where the browser goes afterwards, with auth_code and expires_in (s)
	// added to its query. Its host must be the component's registered domain.
	RedirectURL  string
	Type         AuthType // 0 means AuthOfficial
	AccountAppID string   // the only account that may be chosen, "" for any
	BaseURL      string   // "" means the platform's; the simulator's address otherwise
}

// Scan is the address of the page for a computer's screen: it shows a code to be scanned
// with the phone of the account's administrator. It answers Invalid.
func (p *ComponentPage) Scan() (string, error) {
	return p.address("https://mp.weixin.qq.com", "/cgi-bin/componentloginpage", "")
}

// Phone is the address of the page for WeChat's own browser on the administrator's phone.
// It answers Invalid.
func (p *ComponentPage) Phone() (string, error) {
	return p.address("https://open.weixin.qq.com", "/wxaopen/safe/bindcomponent", "action=bindcomponent&no_scan=1&")
}

func (p *ComponentPage) address(base, path, first string) (string, error) {
	kind := p.Type
	if kind == 0 {
		kind = AuthOfficial
	}
	back, err := url.Parse(p.RedirectURL)
	switch {
	case p.Component == "":
		return "", fault.BadField("component", "required", "a component has an appid")
	case p.PreAuthCode == "":
		return "", fault.BadField("pre_auth_code", "required", "the page needs a pre_auth_code")
	case err != nil || back.Host == "" || back.Scheme != "http" && back.Scheme != "https":
		return "", fault.BadField("redirect_url", "shape", "must be an http or https address")
	case kind < AuthOfficial || kind > AuthAll:
		return "", fault.BadField("type", "range", "must be between 1 and 6")
	}
	if p.BaseURL != "" {
		base = strings.TrimRight(p.BaseURL, "/")
	}
	address := base + path + "?" + first + "component_appid=" + url.QueryEscape(p.Component) +
		"&pre_auth_code=" + url.QueryEscape(p.PreAuthCode) +
		"&redirect_uri=" + url.QueryEscape(p.RedirectURL) + "&auth_type=" + strconv.Itoa(int(kind))
	if p.AccountAppID != "" {
		address += "&biz_appid=" + url.QueryEscape(p.AccountAppID)
	}
	if first != "" {
		address += "#wechat_redirect"
	}
	return address, nil
}

// ComponentGrant is what an account's owner granted a component.
type ComponentGrant struct {
	AppID string // the account's
	// Permissions are the ids of permission sets 权限集, ascending (platform.md 1.5).
	Permissions []int
}

type componentGrant struct {
	AppID   string `json:"authorizer_appid"`
	Refresh string `json:"authorizer_refresh_token"`
	Sets    []struct {
		Category struct {
			ID int `json:"id"`
		} `json:"funcscope_category"`
	} `json:"func_info"`
}

func (g *componentGrant) grant() ComponentGrant {
	out := ComponentGrant{AppID: g.AppID}
	for _, set := range g.Sets {
		out.Permissions = append(out.Permissions, set.Category.ID)
	}
	slices.Sort(out.Permissions)
	return out
}

// QueryAuth exchanges the code that the authorisation page or the authorized event gave,
// and returns when the account's refresh token is stored. Calls for the account then need
// only its Account with this component. If storing fails the platform's list of accounts
// still has the token, and the account's first call takes it from there.
func (c *Client) QueryAuth(ctx context.Context, comp *Component, code string) (ComponentGrant, error) {
	if err := comp.check(); err != nil {
		return ComponentGrant{}, err
	}
	if code == "" {
		return ComponentGrant{}, fault.BadField("authorization_code", "required", "the authorisation page gives a code")
	}
	var out struct {
		Grant componentGrant `json:"authorization_info"`
	}
	in := struct {
		componentRef
		Code string `json:"authorization_code"`
	}{componentRef{Component: comp.AppID}, code}
	if err := c.postAs(ctx, comp, apiQueryAuth, in, &out); err != nil {
		return ComponentGrant{}, err
	}
	if out.Grant.AppID == "" || out.Grant.Refresh == "" {
		return ComponentGrant{}, withoutProof(apiQueryAuth, "authorizer_refresh_token")
	}
	if err := c.tokens.keepRefresh(ctx, comp, out.Grant.AppID, out.Grant.Refresh); err != nil {
		return ComponentGrant{}, &Error{API: apiQueryAuth, Outcome: OutcomeLost, Err: err}
	}
	return out.Grant.grant(), nil
}

// AuthorisedAccount is how the platform describes an account to the component that may
// act for it.
type AuthorisedAccount struct {
	ComponentGrant
	OriginalID  string // gh_…
	Nickname    string
	HeadImage   string // address
	Alias       string // the WeChat id that the owner chose, "" without one
	Principal   string // the company or person that owns the account
	Signature   string
	QRCode      string // address of the account's own code
	ServiceType int    // 0 subscription, 1 subscription upgraded from an old one, 2 service account
	VerifyType  int    // −1 not verified, 0 verified by WeChat; others are partial
}

// AuthorisedAccount returns what the platform tells of an account. An account that did not
// authorise the component, or withdrew, is refused with 61003.
func (c *Client) AuthorisedAccount(ctx context.Context, comp *Component, appID string) (AuthorisedAccount, error) {
	if err := checkAuthorised(comp, appID); err != nil {
		return AuthorisedAccount{}, err
	}
	type kind struct {
		ID int `json:"id"`
	}
	var out struct {
		Info struct {
			OriginalID  string `json:"user_name"`
			Nickname    string `json:"nick_name"`
			HeadImage   string `json:"head_img"`
			Alias       string `json:"alias"`
			Principal   string `json:"principal_name"`
			Signature   string `json:"signature"`
			QRCode      string `json:"qrcode_url"`
			ServiceType kind   `json:"service_type_info"`
			VerifyType  kind   `json:"verify_type_info"`
		} `json:"authorizer_info"`
		Grant componentGrant `json:"authorization_info"`
	}
	if err := c.postAs(ctx, comp, apiAuthorizerInfo, componentRef{comp.AppID, appID}, &out); err != nil {
		return AuthorisedAccount{}, err
	}
	if out.Info.OriginalID == "" {
		return AuthorisedAccount{}, withoutProof(apiAuthorizerInfo, "authorizer_info")
	}
	i := out.Info
	return AuthorisedAccount{
		ComponentGrant: out.Grant.grant(), OriginalID: i.OriginalID, Nickname: i.Nickname, HeadImage: i.HeadImage,
		Alias: i.Alias, Principal: i.Principal, Signature: i.Signature, QRCode: i.QRCode,
		ServiceType: i.ServiceType.ID, VerifyType: i.VerifyType.ID,
	}, nil
}

func checkAuthorised(comp *Component, appID string) error {
	if err := comp.check(); err != nil {
		return err
	}
	if appID == "" {
		return fault.BadField("appid", "required", "an account has an appid")
	}
	return nil
}

// AuthorisedPage is a part of the list of accounts that authorised a component.
type AuthorisedPage struct {
	Total    int
	Accounts []AuthorisedSince
	Next     int // the offset of the next page, 0 when there is none
}

// AuthorisedSince is an entry of that list.
type AuthorisedSince struct {
	AppID        string
	RefreshToken string // a secret
	Since        time.Time
}

// AuthorisedAccounts lists the accounts that authorised a component, count of them (1 to
// MaxAuthorisedPage) from offset on. The list may shift while it is read.
func (c *Client) AuthorisedAccounts(ctx context.Context, comp *Component, offset, count int) (AuthorisedPage, error) {
	switch {
	case offset < 0:
		return AuthorisedPage{}, fault.BadField("offset", "range", "must not be negative")
	case count < 1 || count > MaxAuthorisedPage:
		return AuthorisedPage{}, fault.BadField("count", "range", "must be between 1 and %d", MaxAuthorisedPage)
	}
	if err := comp.check(); err != nil {
		return AuthorisedPage{}, err
	}
	in := struct {
		componentRef
		Offset int `json:"offset"`
		Count  int `json:"count"`
	}{componentRef{Component: comp.AppID}, offset, count}
	var out struct {
		Total *int `json:"total_count"`
		List  []struct {
			AppID   string `json:"authorizer_appid"`
			Refresh string `json:"refresh_token"`
			Time    int64  `json:"auth_time"`
		} `json:"list"`
	}
	if err := c.postAs(ctx, comp, apiAuthorizerList, in, &out); err != nil {
		return AuthorisedPage{}, err
	}
	if out.Total == nil {
		return AuthorisedPage{}, withoutProof(apiAuthorizerList, "total_count")
	}
	page := AuthorisedPage{Total: *out.Total}
	for _, a := range out.List {
		page.Accounts = append(page.Accounts, AuthorisedSince{a.AppID, a.Refresh, time.Unix(a.Time, 0).UTC()})
	}
	if end := offset + len(out.List); len(out.List) > 0 && end < page.Total {
		page.Next = end
	}
	return page, nil
}
