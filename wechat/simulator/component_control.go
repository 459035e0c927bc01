package simulator

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat/callback"
)

// ticketEvery is how often the platform pushes a verify ticket.
const ticketEvery = 10 * time.Minute

// The acts of pushes to a component.
const (
	ActTicket     ActKind = "component_verify_ticket"
	ActAuthorised ActKind = "authorized"
	ActUpdated    ActKind = "updateauthorized"
	ActWithdrawn  ActKind = "unauthorized"
)

// Component is a third-party platform 第三方平台 on the simulated platform (platform.md 1.5).
type Component struct {
	AppID  string `json:"appid"`
	Secret string `json:"secret"`
	// Callback is the authorisation event URL with its Token and AESKey. Its pushes are
	// always encrypted, whatever Mode says.
	Callback Callback `json:"callback"`
	// MessageURL is where the messages of the accounts go that granted set 1, encrypted
	// with the component's key and appid; $APPID$ in it stands for the account. "" leaves
	// them with the accounts' own callbacks.
	MessageURL string `json:"message_url,omitempty"`
	// Domain is the host that the authorisation page may send a browser back to, "" for any.
	Domain string `json:"domain,omitempty"`
	// WebDomains are the hosts, without scheme and port, that people may be sent back to by
	// the pages of OAuth that are opened in the component's name; none by default.
	WebDomains []string `json:"web_domains,omitempty"`
	// Permissions are the permission sets that the component has; nil is DefaultPermissions.
	Permissions []int `json:"permissions,omitempty"`
	// IPRefused: the component's calls come from an address that is not on its list (61004).
	IPRefused bool `json:"ip_refused,omitempty"`
	// TicketsStopped: RunTickets pushes nothing until api_start_push_ticket is called.
	TicketsStopped bool `json:"tickets_stopped,omitempty"`
}

// DefaultPermissions are the permission sets that concern official accounts.
func DefaultPermissions() []int { return []int{1, 2, 3, 4, 6, 7, 11, 15} }

func (c *Component) complete() error {
	if c.Permissions == nil {
		c.Permissions = DefaultPermissions()
	}
	c.Callback.Mode = ModeSafe
	for _, host := range c.WebDomains {
		if !hostShape.MatchString(host) {
			return fault.BadField("web_domains", "shape", "%q is not a host by itself", host)
		}
	}
	as := Account{AppID: c.AppID, Secret: c.Secret, Type: Service, Callback: c.Callback}
	if err := as.validate(); err != nil || c.MessageURL == "" {
		return err
	}
	messages := c.Callback
	messages.URL = c.MessageURL
	return fault.Prefix("message_url", messages.validate())
}

// AddComponent creates a component. It answers Invalid for a bad field and Conflict when
// the appid exists.
func (s *Simulator) AddComponent(cfg Component) error {
	if err := cfg.complete(); err != nil {
		return err
	}
	_, taken := s.accounts.get(cfg.AppID)
	t := &s.components
	t.mu.Lock()
	defer t.mu.Unlock()
	if taken || t.find(cfg.AppID) != nil {
		return fault.New(fault.Conflict, "%s exists", cfg.AppID)
	}
	if t.tokens == nil {
		t.tokens = map[string]*componentToken{}
		t.codes = map[string]*componentCode{}
		t.pre = map[string]*componentPreAuthCode{}
	}
	t.list = append(t.list, &component{cfg: cfg})
	t.used.Store(true)
	return nil
}

// UpdateComponent replaces a component's settings; change must not touch the appid. It
// answers NotFound and Invalid.
func (s *Simulator) UpdateComponent(appID string, change func(*Component)) error {
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp, err := s.components.get(appID)
	if err != nil {
		return err
	}
	next := comp.cfg
	change(&next)
	if next.AppID != appID {
		return fault.BadField("appid", "fixed", "an appid cannot be changed")
	}
	if err := next.complete(); err != nil {
		return err
	}
	comp.cfg = next
	return nil
}

func (t *componentTable) get(appID string) (*component, error) {
	if c := t.find(appID); c != nil {
		return c, nil
	}
	return nil, fault.New(fault.NotFound, "no component %q", appID)
}

// PushTicket makes a new verify ticket and pushes it; former ones stay good for their 12
// hours. It answers NotFound.
func (s *Simulator) PushTicket(ctx context.Context, appID string) (Push, error) {
	p, err := s.ticketPush(appID)
	if err != nil {
		return Push{}, err
	}
	return s.deliverPush(ctx, p), nil
}

func (s *Simulator) ticketPush(appID string) (*Push, error) {
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp, err := s.components.get(appID)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	comp.tickets = slices.DeleteFunc(comp.tickets, func(k componentTicket) bool {
		return now.Sub(k.at) > 2*componentTicketLife
	})
	ticket := componentTicket{value: s.invent(comp, "ticket@@@"), at: now}
	comp.tickets = append(comp.tickets, ticket)
	return s.componentPush(comp, ActTicket, callback.ComponentTicket{Ticket: ticket.value})
}

// componentPush prepares a push to the authorisation event URL.
func (s *Simulator) componentPush(comp *component, act ActKind, payload any) (*Push, error) {
	now := s.clock.Now()
	body, err := callback.BuildComponentXML(callback.ComponentEvent{
		AppID: comp.cfg.AppID, CreatedAt: now.Truncate(time.Second), Payload: payload,
	})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "simulator: build the push")
	}
	return &Push{
		Seq: s.push.seq.Add(1), AppID: comp.cfg.AppID, Act: act, At: now, Body: string(body),
		to: &Account{AppID: comp.cfg.AppID, Callback: comp.cfg.Callback},
	}, nil
}

// RunTickets pushes a ticket at once and every 10 minutes on the simulator's clock, until
// stop is called or the simulator closed. It answers NotFound and Unavailable.
//
//nolint:contextcheck,nolintlint // contextcheck heeds this and reports nothing here, but at its callers: tickets go on when whoever asked for them is gone
func (s *Simulator) RunTickets(appID string) (stop func(), err error) {
	s.components.mu.Lock()
	comp, err := s.components.get(appID)
	s.components.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.push.mu.RLock()
	defer s.push.mu.RUnlock()
	if s.push.closed {
		return nil, fault.New(fault.Unavailable, "the simulator is closed")
	}
	ctx, cancel := context.WithCancel(s.push.base)
	s.push.workers.Go(func() {
		defer cancel()
		for s.tick(ctx, appID, comp) {
		}
	})
	return cancel, nil
}

// tick pushes one ticket and waits for the next one's time.
func (s *Simulator) tick(ctx context.Context, appID string, comp *component) bool {
	next := s.clock.NewTimer(ticketEvery) // before the push: whoever saw that may move the clock
	s.components.mu.Lock()
	stopped := comp.cfg.TicketsStopped
	s.components.mu.Unlock()
	if !stopped {
		if _, err := s.PushTicket(ctx, appID); err != nil {
			next.Stop()
			return false
		}
	}
	return wait(ctx, s.done, next)
}

// Authorisation is what an account's owner does on the authorisation page.
type Authorisation struct {
	Component string `json:"component"`
	AppID     string `json:"appid"` // the account
	// PreAuthCode is what the page was opened with, "" when the owner started elsewhere.
	PreAuthCode string `json:"pre_auth_code,omitempty"`
	// Permissions are the sets granted, of those the component has; nil grants all.
	Permissions []int `json:"permissions,omitempty"`
}

// Authorise lets an account's owner authorise a component, or change what it may do. It
// returns the code that the page would redirect with. The event, which brings the same
// code, is delivered before it returns: authorized, or updateauthorized when the sets of a
// standing authorisation changed; none when nothing changed. It answers NotFound, Invalid
// for sets that the component does not have, and Conflict for a used or expired PreAuthCode.
func (s *Simulator) Authorise(ctx context.Context, in Authorisation) (string, error) {
	code, push, err := s.authoriseComponent(in)
	if err != nil {
		return "", err
	}
	if push != nil {
		s.deliverPush(ctx, push)
	}
	return code, nil
}

func (s *Simulator) authoriseComponent(in Authorisation) (string, *Push, error) {
	a, err := s.account(in.AppID)
	if err != nil {
		return "", nil, err
	}
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp, err := s.components.get(in.Component)
	if err != nil {
		return "", nil, err
	}
	sets := slices.Clone(in.Permissions)
	if in.Permissions == nil {
		sets = slices.Clone(comp.cfg.Permissions)
	}
	slices.Sort(sets)
	sets = slices.Compact(sets)
	for _, id := range sets {
		if !slices.Contains(comp.cfg.Permissions, id) {
			return "", nil, fault.BadField("permissions", "unknown", "the component does not have set %d", id)
		}
	}
	if in.PreAuthCode != "" {
		pre := s.components.pre[in.PreAuthCode]
		if pre == nil || pre.component != comp || pre.used || !s.clock.Now().Before(pre.expires) {
			return "", nil, fault.New(fault.Conflict, "the pre_auth_code is unknown, used or expired")
		}
		pre.used = true
	}
	return s.settle(comp, a, sets, in.PreAuthCode)
}

// Withdraw lets an account's owner take back what a component was granted. The account's
// tokens are refused with 61003 from now on. The event is delivered before it returns. It
// answers NotFound, and Conflict when there is nothing to take back.
func (s *Simulator) Withdraw(ctx context.Context, componentAppID, appID string) (Push, error) {
	p, err := s.withdraw(componentAppID, appID)
	if err != nil {
		return Push{}, err
	}
	return s.deliverPush(ctx, p), nil
}

func (s *Simulator) withdraw(componentAppID, appID string) (*Push, error) {
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	comp, err := s.components.get(componentAppID)
	if err != nil {
		return nil, err
	}
	g := comp.grantOf(appID)
	if g == nil {
		return nil, fault.New(fault.Conflict, "%s has not authorised %s", appID, componentAppID)
	}
	g.withdrawn = true
	return s.componentPush(comp, ActWithdrawn, callback.ComponentWithdrawn{AccountAppID: appID})
}

// receiver is the callback that a push goes to, as the settings of an account.
func (s *Simulator) receiver(p *Push) (*Account, error) {
	if p.to != nil {
		return p.to, nil
	}
	a, err := s.account(p.AppID)
	if err != nil {
		return nil, err
	}
	cfg := a.config()
	if !s.components.used.Load() {
		return cfg, nil
	}
	s.components.mu.Lock()
	defer s.components.mu.Unlock()
	for _, comp := range s.components.list {
		g := comp.grantOf(cfg.AppID)
		if comp.cfg.MessageURL == "" || g == nil || !slices.Contains(g.sets, 1) {
			continue
		}
		there := *cfg
		there.AppID, there.Callback = comp.cfg.AppID, comp.cfg.Callback
		there.Callback.URL = strings.ReplaceAll(comp.cfg.MessageURL, "$APPID$", url.PathEscape(cfg.AppID))
		return &there, nil
	}
	return cfg, nil
}
