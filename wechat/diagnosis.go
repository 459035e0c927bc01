package wechat

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"hongyan/internal/clock"
)

const (
	apiQuotaGet      = "/cgi-bin/openapi/quota/get"
	apiQuotaClear    = "/cgi-bin/openapi/quota/clear"
	apiClearAll      = "/cgi-bin/clear_quota"
	apiClearBySecret = "/cgi-bin/clear_quota/v2"
	apiRequestGet    = "/cgi-bin/openapi/rid/get"
	apiCallbackIPs   = "/cgi-bin/getcallbackip"
	apiDomainIPs     = "/cgi-bin/get_api_domain_ip"
	apiCallbackCheck = "/cgi-bin/callback/check"

	formType = "application/x-www-form-urlencoded"
)

// Budget is what an account may use of one API and has used (platform.md 12.2).
type Budget struct {
	Daily  int // calls a Beijing day
	Used   int
	Remain int
	// PerWindow calls are allowed in each Window; 0 when the API has no such bound.
	PerWindow int
	Window    time.Duration
}

// Budget asks what is left of one API, named by its path: "/cgi-bin/message/custom/send".
// The platform knows no budgets of paths under /sns/ (76022) and answers 76021 for a path
// it does not know.
func (c *Client) Budget(ctx context.Context, acc Account, path string) (Budget, error) {
	if err := checkPath(path); err != nil {
		return Budget{}, err
	}
	var answer struct {
		Quota *struct {
			Daily  int `json:"daily_limit"`
			Used   int `json:"used"`
			Remain int `json:"remain"`
		} `json:"quota"`
		Rate struct {
			Calls   int   `json:"call_count"`
			Seconds int64 `json:"refresh_second"`
		} `json:"rate_limit"`
	}
	if err := c.post(ctx, acc, apiQuotaGet, pathIn{path}, &answer); err != nil {
		return Budget{}, err
	}
	if answer.Quota == nil {
		return Budget{}, withoutProof(apiQuotaGet, "quota")
	}
	return Budget{
		Daily: answer.Quota.Daily, Used: answer.Quota.Used, Remain: answer.Quota.Remain,
		PerWindow: answer.Rate.Calls, Window: time.Duration(answer.Rate.Seconds) * time.Second,
	}, nil
}

// ClearBudget sets the day's count of one API back: 50 times a month (48006 beyond).
// Repeating it wastes one of them.
func (c *Client) ClearBudget(ctx context.Context, acc Account, path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	return c.post(ctx, acc, apiQuotaClear, pathIn{path}, nil)
}

// ClearBudgets sets the day's counts of all APIs back: ten times a month, those from the
// platform's own pages included (48006 beyond). Repeating it wastes one of them.
func (c *Client) ClearBudgets(ctx context.Context, acc Account) error {
	return c.post(ctx, acc, apiClearAll, struct {
		AppID string `json:"appid"`
	}{acc.AppID}, nil)
}

// ClearBudgetsBySecret is ClearBudgets for an account that cannot get an access token any
// more, because that API's budget is used up as well. It counts as one of the ten. The
// secret travels in the body, where no log of addresses sees it.
func (c *Client) ClearBudgetsBySecret(ctx context.Context, acc Account) error {
	check := &checker{}
	check.required("secret", acc.Secret)
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	form := url.Values{"appid": {acc.AppID}, "appsecret": {acc.Secret}}
	x := &exchange{api: apiClearBySecret, form: formType, body: []byte(form.Encode()), strict: true}
	if failure := c.do(ctx, acc, x); failure != nil {
		return failure
	}
	return nil
}

// Request is what the platform remembers of a call of ours.
type Request struct {
	At       time.Time
	Cost     time.Duration // on the platform's side
	URL      string        // the platform hides most of the access token
	Body     string
	Answer   string
	ClientIP string
}

var ridShape = regexp.MustCompile(`^[0-9A-Za-z]+(-[0-9A-Za-z]+)*$`)

// RequestByID asks for the call that an error's request id (Error.RID) belongs to. The
// platform remembers seven days: 76001 for an unknown id, 76002 for a malformed one, 76003
// for another account's and 76004 for one that is too old.
func (c *Client) RequestByID(ctx context.Context, acc Account, rid string) (Request, error) {
	check := &checker{}
	if !ridShape.MatchString(rid) {
		check.badf("rid", "rid", "a request id has letters, digits and dashes")
	}
	if err := errors.Join(check.errs...); err != nil {
		return Request{}, err
	}
	var answer struct {
		Request *struct {
			At       int64  `json:"invoke_time"` // unix s
			Cost     int64  `json:"cost_in_ms"`
			URL      string `json:"request_url"`
			Body     string `json:"request_body"`
			Answer   string `json:"response_body"`
			ClientIP string `json:"client_ip"`
		} `json:"request"`
	}
	err := c.post(ctx, acc, apiRequestGet, struct {
		RID string `json:"rid"`
	}{rid}, &answer)
	switch {
	case err != nil:
		return Request{}, err
	case answer.Request == nil:
		return Request{}, withoutProof(apiRequestGet, "request")
	}
	r := answer.Request
	return Request{
		At: clock.FromMillis(r.At * 1000), Cost: time.Duration(r.Cost) * time.Millisecond,
		URL: r.URL, Body: r.Body, Answer: r.Answer, ClientIP: r.ClientIP,
	}, nil
}

// CallbackIPs lists the addresses and networks that pushes come from.
func (c *Client) CallbackIPs(ctx context.Context, acc Account) ([]string, error) {
	return c.ips(ctx, acc, apiCallbackIPs)
}

// APIDomainIPs lists the addresses of the API's own hosts, for a firewall that lets nothing
// else out.
func (c *Client) APIDomainIPs(ctx context.Context, acc Account) ([]string, error) {
	return c.ips(ctx, acc, apiDomainIPs)
}

func (c *Client) ips(ctx context.Context, acc Account, api string) ([]string, error) {
	var answer struct {
		List []string `json:"ip_list"`
	}
	if err := c.get(ctx, acc, api, nil, &answer); err != nil {
		return nil, err
	}
	if answer.List == nil {
		return nil, withoutProof(api, "ip_list")
	}
	return answer.List, nil
}

// CheckAction is what a check of the callback does.
type CheckAction string

// The actions.
const (
	CheckDNS  CheckAction = "dns"
	CheckPing CheckAction = "ping"
	CheckAll  CheckAction = "all"
)

// CheckOperator is the network that a check of the callback starts from.
type CheckOperator string

// The operators.
const (
	OperatorChinaNet CheckOperator = "CHINANET"
	OperatorUnicom   CheckOperator = "UNICOM"
	OperatorTencent  CheckOperator = "CAP"
	OperatorDefault  CheckOperator = "DEFAULT" // by the address of the callback
)

// CallbackCheck is what the platform found out about the way to our callback.
type CallbackCheck struct {
	DNS  []ResolvedIP
	Ping []PingedIP
}

// ResolvedIP is an address that the callback's host has.
type ResolvedIP struct {
	IP       string `json:"ip"`
	Operator string `json:"real_operator"`
}

// PingedIP is the answer of such an address.
type PingedIP struct {
	IP       string `json:"ip"`
	Operator string `json:"from_operator"` // where the ping came from
	Loss     string `json:"package_loss"`  // "0%" or "100%": one packet is sent
	Time     string `json:"time"`          // "23.079ms"
}

// CheckCallback lets the platform look for our callback's host. It answers 40201 when the
// account has no callback.
func (c *Client) CheckCallback(ctx context.Context, acc Account, action CheckAction, from CheckOperator) (CallbackCheck, error) {
	check := &checker{}
	switch action {
	case CheckDNS, CheckPing, CheckAll:
	default:
		check.badf("action", "unknown", "must be dns, ping or all")
	}
	switch from {
	case OperatorChinaNet, OperatorUnicom, OperatorTencent, OperatorDefault:
	default:
		check.badf("check_operator", "unknown", "must be CHINANET, UNICOM, CAP or DEFAULT")
	}
	if err := errors.Join(check.errs...); err != nil {
		return CallbackCheck{}, err
	}
	var answer struct {
		DNS  []ResolvedIP `json:"dns"`
		Ping []PingedIP   `json:"ping"`
	}
	err := c.post(ctx, acc, apiCallbackCheck, struct {
		Action   CheckAction   `json:"action"`
		Operator CheckOperator `json:"check_operator"`
	}{action, from}, &answer)
	return CallbackCheck(answer), err
}

type pathIn struct {
	Path string `json:"cgi_path"`
}

// checkPath checks the name of an API as the budgets' APIs want it.
func checkPath(path string) error {
	check := &checker{}
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "?#"):
		check.badf("cgi_path", "path", "an API is named by its path alone, from the first slash on")
	case strings.HasPrefix(path, "/sns/"):
		check.badf("cgi_path", "no_budget", "the platform tells no budgets of calls under /sns/")
	}
	return errors.Join(check.errs...)
}
