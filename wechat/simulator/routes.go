package simulator

import "slices"

// api numbers the platform's APIs: its place in the table of routes.
type api uint8

// The APIs that other code asks for by name; they are the first routes, in this order.
const (
	apiToken api = iota
	apiStableToken
	apiSend
	apiTyping
)

// apiUnknown stands for a path that is no API.
const apiUnknown api = 255

// apiCount bounds the routes: tables by API are arrays, so that counting a call takes no lock.
const apiCount = int(apiUnknown) + 1

// The paths that SetLimit, SetFaults and filters of the record are asked for by name.
const (
	PathToken       = "/cgi-bin/token"
	PathStableToken = "/cgi-bin/stable_token"
	PathSend        = "/cgi-bin/message/custom/send"
	PathTyping      = "/cgi-bin/message/custom/typing"
	PathQuotaGet    = "/cgi-bin/openapi/quota/get"
	PathClearQuota  = "/cgi-bin/clear_quota"
	PathCallbackIP  = "/cgi-bin/getcallbackip"
)

// route is one API of the platform.
type route struct {
	path  string
	limit Limit // of a fresh verified account (platform.md 12.1, 1.1); the zero value where no figure is published
	serve func(*Simulator, *call)
}

// allRoutes lists every API. Each family of APIs has a file of its own with its routes.
func allRoutes() []route {
	return slices.Concat(
		[]route{
			{PathToken, Limit{Daily: 2_000}, (*Simulator).serveToken},
			{PathStableToken, Limit{Daily: 500_000, PerMinute: 10_000}, (*Simulator).serveStableToken},
			{PathSend, Limit{Daily: 500_000}, (*Simulator).serveSend},
			{PathTyping, Limit{}, (*Simulator).serveTyping},
			{PathQuotaGet, Limit{}, (*Simulator).serveQuotaGet},
			{PathClearQuota, Limit{}, (*Simulator).serveClearQuota},
			{PathCallbackIP, Limit{}, (*Simulator).serveCallbackIP},
		},
		usersRoutes(),
		tagsRoutes(),
		blacklistRoutes(),
		templateRoutes(),
		noticeRoutes(),
		massRoutes(),
		draftRoutes(),
		qrcodeRoutes(),
		menuRoutes(),
		mediaRoutes(),
		agentRoutes(),
		diagnosisRoutes(),
		oauthRoutes(),
		jssdkRoutes(),
		datacubeRoutes(),
		componentRoutes(),
	)
}

// apiOf finds an API by its path.
func (s *Simulator) apiOf(path string) (api, bool) {
	if which, known := s.byPath[path]; known {
		return which, true
	}
	return apiUnknown, false
}

// pathOf is the path of an API, "" for an unknown one.
func (s *Simulator) pathOf(which int) string {
	if which < len(s.routes) {
		return s.routes[which].path
	}
	return ""
}

func indexRoutes(routes []route) map[string]api {
	byPath := make(map[string]api, len(routes))
	for i := range routes {
		byPath[routes[i].path] = api(i)
	}
	return byPath
}
