package simulator

import (
	"encoding/json"
	"net/http"
	"sync"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// done is the answer of an act that tells nothing but whether it was done.
func done(err error) (any, error) { return empty{}, err }

// accountControl is what an account's owner sets on the platform's website, and its agents.
func (s *Simulator) accountControl(route controlRouter) {
	route("POST /_sim/account", withBody(func(_ *http.Request, in Account) (any, error) {
		return done(s.UpdateAccount(in.AppID, func(a *Account) { *a = in }))
	}))
	route("POST /_sim/open-platform", withBody(func(_ *http.Request, in switchIn) (any, error) {
		return done(s.BindOpenPlatform(in.AppID, in.On))
	}))
	route("POST /_sim/statistics/delay", withBody(func(_ *http.Request, in switchIn) (any, error) {
		return done(s.SetStatisticsDelayed(in.AppID, in.On))
	}))
	route("POST /_sim/qrcodes/use", withBody(func(_ *http.Request, in numberIn) (any, error) {
		return done(s.UsePermanentQRCodes(in.AppID, in.Count))
	}))
	route("POST /_sim/agent", withBody(func(_ *http.Request, in agentIn) (any, error) {
		return done(s.SetAgentOnline(in.AppID, in.Agent, in.Online))
	}))
	route("POST /_sim/agent/invitation", withBody(func(_ *http.Request, in invitationIn) (any, error) {
		return done(s.AnswerInvitation(in.AppID, in.Agent, in.Accept))
	}))
	route("GET /_sim/tags", func(r *http.Request) (any, error) { return list(s.Tags(r.FormValue("appid"))) })
	route("POST /_sim/tag", withBody(func(_ *http.Request, in fanTagIn) (any, error) { return done(s.TagFan(in.OpenID, in.TagID)) }))
}

// webControl is about pages in WeChat's browser and about menus.
func (s *Simulator) webControl(route controlRouter) {
	route("POST /_sim/web/domains", withBody(func(_ *http.Request, in hostsIn) (any, error) {
		return done(s.SetWebDomains(in.AppID, in.Hosts...))
	}))
	route("POST /_sim/web/visitor", withBody(func(_ *http.Request, in visitorIn) (any, error) {
		return done(s.SetWebVisitor(in.AppID, in.WebVisitor))
	}))
	route("POST /_sim/web/end-consents", withBody(func(_ *http.Request, in personIn) (any, error) {
		return done(s.EndConsents(in.OpenID))
	}))
	route("POST /_sim/js/domains", withBody(func(_ *http.Request, in hostsIn) (any, error) {
		return done(s.SetJSDomains(in.AppID, in.Hosts...))
	}))
	route("POST /_sim/js/check", withBody(func(_ *http.Request, in jsCheckIn) (any, error) {
		return done(s.CheckJSConfig(in.Page, in.Config))
	}))
	route("GET /_sim/menu", func(r *http.Request) (any, error) { return s.MenuOf(r.FormValue("openid")) })
	route("POST /_sim/menu/website", withBody(func(_ *http.Request, in websiteMenuIn) (any, error) {
		return done(s.SetWebsiteMenu(in.AppID, in.Menu))
	}))
	route("POST /_sim/client", withBody(func(_ *http.Request, in clientIn) (any, error) {
		return done(s.SetClient(in.OpenID, in.Platform))
	}))
}

// mediaControl is about media and material. Temporary media die as the clock moves.
func (s *Simulator) mediaControl(route controlRouter) {
	route("GET /_sim/media", func(r *http.Request) (any, error) { return list(s.Media(r.FormValue("appid"))) })
	route("POST /_sim/media", withBody(func(_ *http.Request, in mediaIn) (any, error) {
		return done(s.PutMedia(in.AppID, in.MediaID, in.Type, in.Body))
	}))
	route("POST /_sim/media/refuse", withBody(func(_ *http.Request, in mediaRef) (any, error) {
		return done(s.RefuseMedia(in.AppID, in.MediaID))
	}))
	route("POST /_sim/material", withBody(func(_ *http.Request, in materialIn) (any, error) {
		if in.Count < 1 || in.Count > maxImages {
			return nil, fault.BadField("count", "range", "must be between 1 and %d", maxImages)
		}
		ids, err := s.AddWebsiteMaterial(in.AppID, in.Type, in.Count)
		return map[string][]string{"media_ids": ids}, err
	}))
}

// componentControl is about third-party platforms.
func (s *Simulator) componentControl(route controlRouter) {
	tickets := ticketRuns{stops: map[string]func(){}}
	route("POST /_sim/components", withBody(func(_ *http.Request, in Component) (any, error) { return done(s.AddComponent(in)) }))
	route("POST /_sim/component", withBody(func(_ *http.Request, in Component) (any, error) {
		return done(s.UpdateComponent(in.AppID, func(c *Component) { *c = in }))
	}))
	route("POST /_sim/component/ticket", withBody(func(r *http.Request, in accountRef) (any, error) {
		return s.PushTicket(r.Context(), in.AppID)
	}))
	route("POST /_sim/component/tickets", withBody(func(_ *http.Request, in switchIn) (any, error) {
		return done(tickets.turn(s, in.AppID, in.On))
	}))
	route("POST /_sim/component/authorise", withBody(func(r *http.Request, in Authorisation) (any, error) {
		code, err := s.Authorise(r.Context(), in)
		return map[string]string{"auth_code": code}, err
	}))
	route("POST /_sim/component/withdraw", withBody(func(r *http.Request, in withdrawIn) (any, error) {
		return s.Withdraw(r.Context(), in.Component, in.AppID)
	}))
}

// ticketRuns are the components whose tickets the control API has started.
type ticketRuns struct {
	mu    sync.Mutex
	stops map[string]func()
}

// turn starts or stops a component's tickets. It answers NotFound, and Conflict when they
// are as wanted already.
func (t *ticketRuns) turn(s *Simulator, appID string, on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	stop, running := t.stops[appID]
	switch {
	case on && running:
		return fault.New(fault.Conflict, "the tickets of %s are pushed already", appID)
	case !on && !running:
		return fault.New(fault.Conflict, "the tickets of %s are not pushed", appID)
	case !on:
		stop()
		delete(t.stops, appID)
		return nil
	}
	stop, err := s.RunTickets(appID)
	if err == nil {
		t.stops[appID] = stop
	}
	return err
}

// The bodies.
type (
	switchIn struct {
		AppID string `json:"appid"`
		On    bool   `json:"on"`
	}
	numberIn struct {
		AppID string `json:"appid"`
		Count int    `json:"count"`
	}
	agentIn struct {
		AppID  string `json:"appid"`
		Agent  string `json:"agent"`
		Online bool   `json:"online"`
	}
	invitationIn struct {
		AppID  string `json:"appid"`
		Agent  string `json:"agent"`
		Accept bool   `json:"accept"`
	}
	personIn struct {
		OpenID string `json:"openid"`
	}
	fanTagIn struct {
		OpenID string `json:"openid"`
		TagID  int    `json:"tag_id"`
	}
	hostsIn struct {
		AppID string   `json:"appid"`
		Hosts []string `json:"hosts"`
	}
	visitorIn struct {
		AppID string `json:"appid"`
		WebVisitor
	}
	jsCheckIn struct {
		Page   string          `json:"page"`
		Config wechat.JSConfig `json:"config"`
	}
	websiteMenuIn struct {
		AppID string          `json:"appid"`
		Menu  json.RawMessage `json:"selfmenu_info"`
	}
	clientIn struct {
		OpenID   string          `json:"openid"`
		Platform wechat.Platform `json:"platform"` // 1 iOS, 2 Android, 3 other
	}
	mediaRef struct {
		AppID   string `json:"appid"`
		MediaID string `json:"media_id"`
	}
	mediaIn struct {
		AppID   string           `json:"appid"`
		MediaID string           `json:"media_id"`
		Type    wechat.MediaType `json:"type"`
		Body    []byte           `json:"body"` // Base64
	}
	materialIn struct {
		AppID string           `json:"appid"`
		Type  wechat.MediaType `json:"type"`
		Count int              `json:"count"`
	}
	withdrawIn struct {
		Component string `json:"component"`
		AppID     string `json:"appid"`
	}
)
