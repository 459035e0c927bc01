package links

import "strings"

// Visit is a request for a tracked address, as far as it tells who makes it.
type Visit struct {
	UserAgent string
	// Purposes are what the headers Purpose, Sec-Purpose, X-Purpose and X-Moz say.
	Purposes []string
}

// wechatAgent is in the User-Agent of every page that is opened in WeChat, on telephones and on desktops.
const wechatAgent = "micromessenger"

// robots are parts of the User-Agent, in small letters, of programs that fetch addresses by themselves. Some call themselves a WeChat as well. "bot" alone would
// hit telephones whose maker is called so.
func robots() []string {
	return []string{
		"bot/", "bot;", "robot", // Googlebot/2.1, bingbot/2.0, AdsBot
		"spider",         // Baiduspider, Sogou web spider, Bytespider
		"crawl",          // Mpcrawler, which looks at articles for WeChat's search
		"headless",       // browsers without a person in front of them
		"qq-url-manager", // Tencent's check of addresses for fraud
		"prefetch",
	}
}

// Person reports whether a request counts as that of a person who opened the link in WeChat. It is pure, and errs on the side of not counting.
func (v Visit) Person() bool {
	agent := strings.ToLower(v.UserAgent)
	if !strings.Contains(agent, wechatAgent) {
		return false
	}
	for _, r := range robots() {
		if strings.Contains(agent, r) {
			return false
		}
	}
	for _, p := range v.Purposes {
		p = strings.ToLower(p)
		if strings.Contains(p, "prefetch") || strings.Contains(p, "preview") || strings.Contains(p, "prerender") {
			return false
		}
	}
	return true
}
