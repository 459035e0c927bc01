package simulator

import "fmt"

// serveQuotaGet is POST /cgi-bin/openapi/quota/get (platform.md 12.2).
func (s *Simulator) serveQuotaGet(c *call) {
	a, ok := s.enter(c, "POST", false)
	if !ok {
		return
	}
	which, code := s.pathOfBudget(c)
	if code != codeOK {
		c.refuse(code)
		return
	}
	use := &a.use[which]
	limit, used := use.limit.Load(), use.day.used(dayOf(c.at))
	c.answer = fmt.Appendf(nil,
		`{"errcode":0,"errmsg":"ok","quota":{"daily_limit":%d,"used":%d,"remain":%d}`,
		limit.Daily, used, max(0, limit.Daily-used))
	if limit.PerMinute > 0 {
		c.answer = fmt.Appendf(c.answer, `,"rate_limit":{"call_count":%d,"refresh_second":60}`, limit.PerMinute)
	}
	c.answer = append(c.answer, '}')
}

// serveClearQuota is POST /cgi-bin/clear_quota: all counters of the account, ten times a month.
func (s *Simulator) serveClearQuota(c *call) {
	a, ok := s.enter(c, "POST", false)
	if !ok {
		return
	}
	var appID string
	top, code := parseObject(c.body)
	if code == codeOK {
		code = readString(top, "appid", &appID)
	}
	switch {
	case code != codeOK:
		c.refuse(code)
	case len(top) != 1 || appID != c.appID:
		c.refuse(codeBadAppID)
	default:
		c.refuse(a.clearBudgets(c.at))
	}
}

// serveCallbackIP is GET /cgi-bin/getcallbackip: where pushes come from.
func (s *Simulator) serveCallbackIP(c *call) { s.serveIPs(c, callerIP) }
