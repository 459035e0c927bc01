package simulator

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The paths of budgets and diagnosis that have no other file.
const (
	PathQuotaClear    = "/cgi-bin/openapi/quota/clear"
	PathClearBySecret = "/cgi-bin/clear_quota/v2"
	PathRequestGet    = "/cgi-bin/openapi/rid/get"
	PathDomainIP      = "/cgi-bin/get_api_domain_ip"
	PathCallbackCheck = "/cgi-bin/callback/check"
)

// The codes of budgets and diagnosis (platform.md 12.2).
const (
	codeCheckNoURL    = 40201
	codeCheckAction   = 40202
	codeCheckOperator = 40203
	codeRIDUnknown    = 76001
	codeRIDMalformed  = 76002
	codeRIDForeign    = 76003
	codeRIDOld        = 76004
	codeNoBudget      = 76022
)

const (
	pathClearsPerMonth = 50
	requestsKept       = 7 * 24 * time.Hour
	callerIP           = "127.0.0.1"
)

// diagnosisRoutes are rid and other diagnosis (platform.md 12.2).
func diagnosisRoutes() []route {
	return []route{
		{PathQuotaClear, Limit{}, (*Simulator).serveQuotaClear},
		{PathClearBySecret, Limit{}, (*Simulator).serveClearBySecret},
		{PathRequestGet, Limit{}, (*Simulator).serveRequestGet},
		{PathDomainIP, Limit{}, (*Simulator).serveDomainIP},
		{PathCallbackCheck, Limit{}, (*Simulator).serveCallbackCheck},
	}
}

// diagnosisState is what an account keeps for rid and other diagnosis (platform.md 12.2); it is guarded by the account's mutex.
type diagnosisState struct {
	clears windowCounter // of single APIs
}

// pathOfBudget reads the API that a call about budgets names.
func (s *Simulator) pathOfBudget(c *call) (api, int) {
	in, code := readTexts(c.body, "cgi_path")
	if code != codeOK {
		return apiUnknown, code
	}
	which, known := s.apiOf(in[0])
	switch {
	case strings.HasPrefix(in[0], "/sns/"):
		return which, codeNoBudget
	case !known || in[0] == PathAuthorize:
		return which, codeBadCGIPath
	}
	return which, codeOK
}

// serveQuotaClear is POST /cgi-bin/openapi/quota/clear: one counter of the account, 50 times a month.
func (s *Simulator) serveQuotaClear(c *call) {
	a, ok := s.enter(c, "POST", false)
	if !ok {
		return
	}
	which, code := s.pathOfBudget(c)
	switch {
	case code != codeOK:
		c.refuse(code)
	case !a.diagnosis.clears.take(monthOf(c.at), pathClearsPerMonth):
		c.refuse(codeClearQuotaLimit)
	default:
		a.use[which].day.clear()
	}
}

// serveClearBySecret is POST /cgi-bin/clear_quota/v2, whose appid and secret come in the
// query or in a form. It shares the ten times with clear_quota.
func (s *Simulator) serveClearBySecret(c *call) {
	if c.method != "POST" {
		c.refuse(codeRequirePost)
		return
	}
	raw := c.query
	if strings.HasPrefix(c.form, "application/x-www-form-urlencoded") && len(c.body) > 0 {
		raw = string(c.body)
	}
	in, err := url.ParseQuery(raw)
	if err != nil {
		c.refuse(codeBadParameter)
		return
	}
	// Appid and secret are judged as those of the token API are.
	a := s.credentials(c, credentials{GrantType: "client_credential", AppID: in.Get("appid"), Secret: in.Get("appsecret")})
	if a != nil {
		c.refuse(a.clearBudgets(c.at))
	}
}

// clearBudgets sets all counters back, ten times a month.
func (a *account) clearBudgets(now time.Time) int {
	if !a.clears.take(monthOf(now), clearsPerMonth) {
		return codeClearQuotaLimit
	}
	for i := range a.use {
		a.use[i].day.clear()
	}
	return codeOK
}

// serveDomainIP is GET /cgi-bin/get_api_domain_ip.
func (s *Simulator) serveDomainIP(c *call) { s.serveIPs(c, callerIP, "::1") }

func (s *Simulator) serveIPs(c *call, list ...string) {
	if _, ok := s.enter(c, "GET", false); ok {
		c.answerJSON(map[string][]string{"ip_list": list})
	}
}

var ridShape = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)

// serveRequestGet is POST /cgi-bin/openapi/rid/get. Only refusals have a request id, and
// only calls that the record has kept are found.
func (s *Simulator) serveRequestGet(c *call) {
	if _, ok := s.enter(c, "POST", false); !ok {
		return
	}
	in, code := readTexts(c.body, "rid")
	if code != codeOK {
		c.refuse(code)
		return
	}
	rid := in[0]
	if !ridShape.MatchString(rid) {
		c.refuse(codeRIDMalformed)
		return
	}
	calls := s.Calls(Filter{})
	i := slices.IndexFunc(calls, func(x Call) bool {
		return x.Code != codeOK && requestID(x.At.Unix(), s.seed, x.Seq) == rid
	})
	switch {
	case i < 0:
		c.refuse(codeRIDUnknown)
		return
	case calls[i].AppID != c.appID:
		c.refuse(codeRIDForeign)
		return
	case c.at.Sub(calls[i].At) > requestsKept:
		c.refuse(codeRIDOld)
		return
	}
	c.answerJSON(struct {
		Code    int         `json:"errcode"`
		Msg     string      `json:"errmsg"`
		Request requestInfo `json:"request"`
	}{codeOK, errText(codeOK), s.requestInfo(&calls[i], rid)})
}

type requestInfo struct {
	At       int64  `json:"invoke_time"`
	Cost     uint64 `json:"cost_in_ms"`
	URL      string `json:"request_url"`
	Body     string `json:"request_body"`
	Answer   string `json:"response_body"`
	ClientIP string `json:"client_ip"`
}

func (s *Simulator) requestInfo(x *Call, rid string) requestInfo {
	return requestInfo{
		At: x.At.Unix(), Cost: 1 + mix(s.seed, x.Seq, 0xc057)%50, URL: x.Path + "?access_token=xxxx", Body: x.Body,
		Answer: string(answerBody(x.Code, rid)), ClientIP: callerIP,
	}
}

// serveCallbackCheck is POST /cgi-bin/callback/check: it looks for the host of the account's
// callback and pings it. Addresses are invented where the host is no address itself.
func (s *Simulator) serveCallbackCheck(c *call) {
	a, ok := s.enter(c, "POST", false)
	if !ok {
		return
	}
	in, code := readTexts(c.body, "action", "check_operator")
	switch {
	case code != codeOK:
	case !slices.Contains([]string{"dns", "ping", "all"}, in[0]):
		code = codeCheckAction
	case in[1] != "DEFAULT" && !slices.Contains(checkOperators(), in[1]):
		code = codeCheckOperator
	case a.config().Callback.URL == "":
		code = codeCheckNoURL
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(s.lookForHost(a.config(), in[0], in[1]))
}

// lookForHost is what the platform finds out about the host of an account's callback: by name, unless the action is ping,
// and by ping, unless it is dns.
func (s *Simulator) lookForHost(cfg *Account, action, operator string) map[string][]map[string]string {
	host := hostOf(cfg.Callback.URL)
	h := mix(s.seed, hashText(host))
	owner := checkOperators()[h%uint64(len(checkOperators()))]
	out := map[string][]map[string]string{}
	if action != "ping" {
		out["dns"] = []map[string]string{}
		if !cfg.HostUnknown {
			out["dns"] = append(out["dns"], map[string]string{"ip": addressOf(host, h), "real_operator": owner})
		}
	}
	if action != "dns" && !cfg.HostUnknown {
		if operator != "DEFAULT" {
			owner = operator
		}
		loss := "0%"
		if cfg.HostAway {
			loss = "100%"
		}
		out["ping"] = []map[string]string{{
			"ip": addressOf(host, h), "from_operator": owner, "package_loss": loss, "time": fmt.Sprintf("%d.%03dms", 5+h%40, h%1000),
		}}
	}
	return out
}

func checkOperators() []string { return []string{"CHINANET", "UNICOM", "CAP"} }

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "" // the settings page has taken the address
	}
	return u.Hostname()
}

func addressOf(host string, h uint64) string {
	if ip := net.ParseIP(host); ip != nil {
		return ip.String()
	}
	return net.IPv4(10, byte(h>>8), byte(h>>16), byte(h>>24)).String()
}
