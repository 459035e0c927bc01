package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

const controlPrefix = "/_sim/"

// controlRouter adds a route to the control API.
type controlRouter func(pattern string, serve func(*http.Request) (any, error))

// controlHandler is the control API: what the Go methods do, as JSON. It is for a
// developer's machine and has no protection. An answer of HTTP 200 is what the method
// returns, any other has code and message. Bodies with unknown members are refused.
//
//	fans      fans, fan, act, post, grant, session, popup, client, tag
//	accounts  accounts, account, callback, limits, supersede, open-platform, agent, statistics/delay, qrcodes/use, tags
//	web       web/domains, web/visitor, web/end-consents, js/domains, js/check, menu, menu/website
//	media     media, media/refuse, material
//	component components, component, component/ticket, component/tickets, component/authorise, component/withdraw
//	mass      mass, mass/run, mass/answer, mass/fail, mass/reprint, mass/agreement, mass/name, mass/received
//	templates templates, template, template/off, template-faults, categories, mini-programs, marketing-words, receipts,
//	          notices/reject, notices/consents
//	drafts    drafts, publishing, publishing/finish, publishing/ban
//	record    arrivals, duplicates, pushes, calls, counts, reset, wait, redeliver
//	platform  faults, push-faults, switches, rules, clock
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, serve func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			result, err := serve(r)
			writeControl(w, result, err)
		})
	}
	s.accountControl(route)
	s.webControl(route)
	s.mediaControl(route)
	s.componentControl(route)
	s.massControl(route)
	s.templateControl(route)
	s.publishControl(route)
	s.pushControl(route)
	route("GET /_sim/accounts", func(*http.Request) (any, error) { return s.Accounts(), nil })
	route("POST /_sim/accounts", withBody(func(_ *http.Request, in Account) (any, error) {
		return empty{}, s.AddAccount(in)
	}))
	route("POST /_sim/callback", withBody(s.controlCallback))
	route("POST /_sim/supersede", withBody(func(_ *http.Request, in accountRef) (any, error) {
		return empty{}, s.Supersede(in.AppID)
	}))
	route("POST /_sim/limits", withBody(func(_ *http.Request, in limitIn) (any, error) {
		return empty{}, s.SetLimit(in.AppID, in.Path, in.Limit)
	}))
	route("GET /_sim/fans", s.controlFans)
	route("POST /_sim/fans", withBody(s.controlAddFans))
	route("POST /_sim/fan", withBody(s.controlFlags))
	route("POST /_sim/grant", withBody(s.controlGrant))
	route("POST /_sim/act", withBody(func(r *http.Request, in Act) (any, error) { return s.Do(r.Context(), in) }))
	route("POST /_sim/session", withBody(s.controlSession))
	route("GET /_sim/arrivals", func(r *http.Request) (any, error) { return list(s.Arrivals(r.FormValue("openid"))) })
	route("GET /_sim/duplicates", func(*http.Request) (any, error) { return list(s.Duplicates(), nil) })
	route("GET /_sim/pushes", func(r *http.Request) (any, error) { return list(s.Pushes(r.FormValue("openid")), nil) })
	route("GET /_sim/calls", s.controlCalls)
	route("GET /_sim/counts", func(*http.Request) (any, error) { return s.Counts(), nil })
	route("POST /_sim/reset", func(*http.Request) (any, error) { s.ResetRecord(); return empty{}, nil })
	route("GET /_sim/faults", func(*http.Request) (any, error) { return s.FaultsSet(), nil })
	route("POST /_sim/faults", withBody(func(_ *http.Request, in faultsIn) (any, error) {
		return empty{}, s.SetFaults(in.Path, in.Faults)
	}))
	route("POST /_sim/push-faults", withBody(func(_ *http.Request, in PushFaults) (any, error) {
		return empty{}, s.SetPushFaults(in)
	}))
	route("GET /_sim/switches", func(*http.Request) (any, error) { return s.Switches(), nil })
	route("POST /_sim/switches", withBody(func(_ *http.Request, in Switches) (any, error) {
		return empty{}, s.SetSwitches(in)
	}))
	route("GET /_sim/clock", func(*http.Request) (any, error) { return clockOut{s.clock.Now()}, nil })
	route("POST /_sim/clock", withBody(func(_ *http.Request, in clockIn) (any, error) {
		err := s.Advance(time.Duration(in.Advance))
		return clockOut{s.clock.Now()}, err
	}))
	return mux
}

// The bodies of the control API.
type (
	empty      struct{}
	accountRef struct {
		AppID string `json:"appid"`
	}
	callbackIn struct {
		AppID    string   `json:"appid"`
		Callback Callback `json:"callback"`
		Check    bool     `json:"check"` // do the URL check first
	}
	limitIn struct {
		AppID string `json:"appid"`
		Path  string `json:"path"`
		Limit Limit  `json:"limit"`
	}
	fansIn struct {
		AppID      string   `json:"appid"`
		Count      int      `json:"count"`
		OpenIDs    []string `json:"openids"`
		Subscribed bool     `json:"subscribed"`
		Persons    []NewFan `json:"persons"` // with names, scenes, times
	}
	flagsIn struct {
		OpenID string `json:"openid"`
		FanFlags
	}
	grantIn struct {
		OpenID  string `json:"openid"`
		Trigger string `json:"trigger"`
	}
	sessionIn struct {
		OpenID string `json:"openid"`
		Do     string `json:"do"` // open, close or say
		Agent  string `json:"agent"`
		Text   string `json:"text"`
	}
	faultsIn struct {
		Path   string `json:"path"`
		Faults Faults `json:"faults"`
	}
	clockIn struct {
		Advance Duration `json:"advance"`
	}
	clockOut struct {
		Now time.Time `json:"now"`
	}
)

func (s *Simulator) controlCallback(r *http.Request, in callbackIn) (any, error) {
	if err := s.SetCallback(in.AppID, in.Callback); err != nil {
		return nil, err
	}
	if in.Check {
		return empty{}, s.CheckURL(r.Context(), in.AppID)
	}
	return empty{}, nil
}

func (s *Simulator) controlFans(r *http.Request) (any, error) {
	if id := r.FormValue("openid"); id != "" {
		return s.Fan(id)
	}
	return list(s.Fans(r.FormValue("appid")))
}

// maxNewFans bounds one request, so that a slip of the finger does not fill the memory.
const maxNewFans = 1_000_000

func (s *Simulator) controlAddFans(_ *http.Request, in fansIn) (any, error) {
	if in.Count < 0 || in.Count > maxNewFans {
		return nil, fault.BadField("count", "range", "must be between 0 and %d", maxNewFans)
	}
	ids, err := s.AddFans(in.AppID, in.Count, in.Subscribed)
	if err != nil {
		return nil, err
	}
	for _, id := range in.OpenIDs {
		in.Persons = append(in.Persons, NewFan{OpenID: id, Subscribed: in.Subscribed})
	}
	for _, person := range in.Persons {
		id, err := s.AddFan(in.AppID, person)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return map[string][]string{"openids": ids}, nil
}

func (s *Simulator) controlFlags(_ *http.Request, in flagsIn) (any, error) {
	if err := s.SetFanFlags(in.OpenID, in.FanFlags); err != nil {
		return nil, err
	}
	return s.Fan(in.OpenID)
}

func (s *Simulator) controlGrant(_ *http.Request, in grantIn) (any, error) {
	for t := wechat.TriggerMessage; int(t) < wechat.TriggerCount; t++ {
		if t.String() == in.Trigger {
			return empty{}, s.GrantFan(in.OpenID, t)
		}
	}
	return nil, fault.BadField("trigger", "unknown", "no trigger is called %q", in.Trigger)
}

func (s *Simulator) controlSession(r *http.Request, in sessionIn) (any, error) {
	switch in.Do {
	case "open":
		return s.OpenSession(r.Context(), in.OpenID, in.Agent)
	case "close":
		return s.CloseSession(r.Context(), in.OpenID)
	case "say":
		return empty{}, s.AgentSays(in.OpenID, in.Text)
	}
	return nil, fault.BadField("do", "unknown", "must be open, close or say")
}

func (s *Simulator) controlCalls(r *http.Request) (any, error) {
	f := Filter{Path: r.FormValue("path"), AppID: r.FormValue("appid"), OpenID: r.FormValue("openid")}
	if text := r.FormValue("code"); text != "" {
		code, err := strconv.Atoi(text)
		if err != nil {
			return nil, fault.BadField("code", "number", "must be a number")
		}
		f.Code = &code
	}
	if text := r.FormValue("after"); text != "" {
		after, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fault.BadField("after", "number", "must be a number")
		}
		f.AfterSeq = after
	}
	return list(s.Calls(f), nil)
}

// list makes an empty answer [] and not null.
func list[T any](items []T, err error) (any, error) {
	if items == nil {
		items = []T{}
	}
	return items, err
}

// withBody decodes a request strictly.
func withBody[T any](serve func(*http.Request, T) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in T
		dec := json.NewDecoder(io.LimitReader(r.Body, maxRequest))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the body is not what %s wants", r.URL.Path)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Invalid, "the body goes on after its JSON value")
		}
		return serve(r, in)
	}
}

func writeControl(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = controlStatus(fault.CodeOf(err))
		result = map[string]string{"code": string(fault.CodeOf(err)), "message": err.Error()}
	}
	body, err := json.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeOrAbort(w, append(body, '\n'))
}

func controlStatus(code fault.Code) int {
	switch code {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
