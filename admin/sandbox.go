package admin

import (
	"context"
	"net/http"
	"time"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// Sandbox plays the platform for sandbox accounts: it lets their invented fans act, and tells what arrived at them. The AppID says whose. Errors: NotFound for
// a fan or an account that it does not have, Invalid, Conflict for what the fan's state forbids.
type Sandbox interface {
	// Fans lists the account's invented fans, always in the same order, n of them after the first skip.
	Fans(ctx context.Context, appid string, skip, n int) ([]SandboxFan, error)
	// Act lets a fan do something, and returns how the push of it was answered.
	Act(ctx context.Context, appid string, act *SandboxAct) (SandboxPush, error)
	// Arrivals lists what a fan has received, oldest first.
	Arrivals(ctx context.Context, appid, openid string) ([]SandboxArrival, error)
	// Faults lists what goes wrong at the platform on purpose, for all sandbox accounts together.
	Faults(ctx context.Context) ([]SandboxFaults, error)
	// SetFaults replaces the faults of f.Path.
	SetFaults(ctx context.Context, f *SandboxFaults) error
	// Now is the platform's time; Advance moves it on. Errors of Advance: Conflict when the platform has the real time.
	Now(ctx context.Context) time.Time
	Advance(ctx context.Context, by time.Duration) error
}

// SandboxFan is an invented fan. Times are unix ms.
type SandboxFan struct {
	OpenID      string `json:"openid"`
	Nickname    string `json:"nickname"`
	Subscribed  bool   `json:"subscribed"`
	Blocked     bool   `json:"blocked" doc:"The fan has switched messages off"`
	Blacklisted bool   `json:"blacklisted"`
	Received    int    `json:"received" doc:"Messages that arrived"`
	FollowedAt  int64  `json:"followed_at,omitempty"`
}

// SandboxAct is something that an invented fan does.
type SandboxAct struct {
	OpenID    string  `json:"openid" maxLength:"64"`
	Kind      string  `json:"kind" enum:"follow,unfollow,text,image,voice,video,place,link,click,view,scan,location,tap,pay"`
	Text      string  `json:"text,omitempty" maxLength:"2000" doc:"Of text and tap"`
	Scene     string  `json:"scene,omitempty" maxLength:"64" doc:"Of scan, or of a follow by a code"`
	Key       string  `json:"key,omitempty" maxLength:"1024" doc:"Of click: the menu item's; of view: its address"`
	ItemID    string  `json:"item_id,omitempty" maxLength:"64" doc:"Of tap: the item of an in-chat menu"`
	Latitude  float64 `json:"latitude,omitempty" minimum:"-90" maximum:"90"`
	Longitude float64 `json:"longitude,omitempty" minimum:"-180" maximum:"180"`
}

// SandboxPush is how the push of an act was answered.
type SandboxPush struct {
	At      int64  `json:"at"`
	Outcome string `json:"outcome" enum:"acknowledged,replied,transferred,unavailable,swallowed,not_pushed"`
	Reason  string `json:"reason,omitempty"`
	Tries   int    `json:"tries"`
	Reply   string `json:"reply,omitempty" doc:"The passive reply, as the fan reads it"`
}

// SandboxArrival is a message that reached an invented fan.
type SandboxArrival struct {
	Seq     uint64 `json:"seq"`
	Via     string `json:"via" doc:"How it came: a customer-service message, a passive reply, a template message, …"`
	Kind    string `json:"kind"`
	Content string `json:"content"`
	At      int64  `json:"at"`
}

// SandboxFaults is what goes wrong in the calls of an API of the simulated platform. Shares are 0 to 1 of the calls.
type SandboxFaults struct {
	Path            string             `json:"path" maxLength:"100" example:"/cgi-bin/message/custom/send" doc:"Of the API; empty for all"`
	Latency         string             `json:"latency,omitempty" maxLength:"16" example:"200ms"`
	LatencyMax      string             `json:"latency_max,omitempty" maxLength:"16"`
	ResetBefore     float64            `json:"reset_before,omitempty" minimum:"0" maximum:"1" doc:"Connection reset, not processed"`
	ResetAfter      float64            `json:"reset_after,omitempty" minimum:"0" maximum:"1" doc:"Connection reset, processed"`
	HalfAnswer      float64            `json:"half_answer,omitempty" minimum:"0" maximum:"1"`
	BadGateway      float64            `json:"bad_gateway,omitempty" minimum:"0" maximum:"1"`
	BadGatewayAfter float64            `json:"bad_gateway_after,omitempty" minimum:"0" maximum:"1"`
	Hang            float64            `json:"hang,omitempty" minimum:"0" maximum:"1"`
	HangAfter       float64            `json:"hang_after,omitempty" minimum:"0" maximum:"1"`
	Busy            float64            `json:"busy,omitempty" minimum:"0" maximum:"1" doc:"-1, not processed"`
	BusyAfter       float64            `json:"busy_after,omitempty" minimum:"0" maximum:"1"`
	Codes           []SandboxCodeShare `json:"codes,omitempty" maxItems:"20" doc:"Error codes given instead of processing"`
	Most            int                `json:"most,omitempty" minimum:"0" doc:"Stop after so many faults; 0 does not stop"`
}

// SandboxCodeShare is the share of calls that get one error code.
type SandboxCodeShare struct {
	Code  int     `json:"code"`
	Share float64 `json:"share" minimum:"0" maximum:"1"`
}

const (
	tagSandbox = "Sandbox"
	sandboxAt  = inAccount + "/sandbox"
	// actTimeout is more than the platform waits for the answers to a push, its repetitions included.
	actTimeout = 30 * time.Second
)

type (
	sandboxActIn  struct{ Body SandboxAct }
	sandboxActOut struct{ Body SandboxPush }
	arrivalsIn    struct {
		PageParams
		OpenID string `query:"openid" required:"true" minLength:"1" maxLength:"64"`
	}
	sandboxFaultsIn  struct{ Body SandboxFaults }
	sandboxFaultsOut struct {
		Body struct {
			Items []SandboxFaults `json:"items" nullable:"false"`
		}
	}
	sandboxClockOut struct {
		Body struct {
			Now int64 `json:"now"`
		}
	}
	sandboxClockIn struct {
		Body struct {
			Seconds int64 `json:"seconds" minimum:"1" maximum:"31536000"`
		}
	}
	sandboxFansIn struct{ PageParams }
)

func (a *API) sandboxOps() {
	op := func(id, method, path string, scope Scope, summary lang.Text) Op {
		return Op{ID: id, Method: method, Path: sandboxAt + path, Tag: tagSandbox, Scope: scope, Summary: summary, Timeout: actTimeout}
	}
	register(a, op("list-sandbox-fans", http.MethodGet, "/fans", ScopeRead, lang.Text{ZH: "列出沙箱粉丝", EN: "List the invented fans of a sandbox account"}), a.sandboxFans)
	register(a, op("act-as-sandbox-fan", http.MethodPost, "/acts", ScopeWrite, lang.Text{ZH: "扮演沙箱粉丝", EN: "Let an invented fan do something"}), a.sandboxAct)
	register(a, op("list-sandbox-arrivals", http.MethodGet, "/arrivals", ScopeRead, lang.Text{ZH: "列出沙箱粉丝收到的消息", EN: "List what an invented fan has received"}), a.sandboxArrivals)
	register(a, op("list-sandbox-faults", http.MethodGet, "/faults", ScopeRead, lang.Text{ZH: "列出模拟故障", EN: "List what goes wrong on purpose at the simulated platform"}), a.sandboxFaults)
	register(a, op("put-sandbox-faults", http.MethodPut, "/faults", ScopeWrite, lang.Text{ZH: "设置模拟故障", EN: "Set what goes wrong in an API; nothing heals it"}), a.putSandboxFaults)
	register(a, op("get-sandbox-clock", http.MethodGet, "/clock", ScopeRead, lang.Text{ZH: "查看沙箱时间", EN: "Show the simulated platform's time"}), a.sandboxClock)
	register(a, op("advance-sandbox-clock", http.MethodPost, "/clock", ScopeWrite, lang.Text{ZH: "快进沙箱时间", EN: "Move the simulated platform's time on, where it is not the real one"}), a.advanceSandbox)
}

// sandbox is that of the call's account. Only sandbox accounts have one.
func (a *API) sandbox(c *Call) (Sandbox, error) {
	switch {
	case !c.Account.Sandbox:
		return nil, fault.New(fault.Conflict, "this is a real account; only a sandbox account has invented fans")
	case a.o.Sandbox == nil:
		return nil, fault.New(fault.Conflict, "this process runs without a sandbox; start it with HONGYAN_SANDBOX=on")
	}
	return a.o.Sandbox, nil
}

func (a *API) sandboxFans(ctx context.Context, c *Call, in *sandboxFansIn) (*pageOut[SandboxFan], error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	skip := 0
	return paged(c, in.PageParams, func(after *int, n int) ([]SandboxFan, error) {
		if after != nil {
			skip = max(0, *after)
		}
		return box.Fans(ctx, c.Account.AppID, skip, n)
	}, func(*SandboxFan) int { return skip + in.Limit }, func(f *SandboxFan) SandboxFan { return *f })
}

func (a *API) sandboxAct(ctx context.Context, c *Call, in *sandboxActIn) (*sandboxActOut, error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	push, err := box.Act(ctx, c.Account.AppID, &in.Body)
	return &sandboxActOut{Body: push}, err
}

func (a *API) sandboxArrivals(ctx context.Context, c *Call, in *arrivalsIn) (*pageOut[SandboxArrival], error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	return paged(c, in.PageParams, func(after *uint64, n int) ([]SandboxArrival, error) {
		all, err := box.Arrivals(ctx, c.Account.AppID, in.OpenID)
		var out []SandboxArrival
		for _, x := range all {
			if (after == nil || x.Seq > *after) && len(out) < n {
				out = append(out, x)
			}
		}
		return out, err
	}, func(x *SandboxArrival) uint64 { return x.Seq }, func(x *SandboxArrival) SandboxArrival { return *x })
}

func (a *API) sandboxFaults(ctx context.Context, c *Call, _ *none) (*sandboxFaultsOut, error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	out := &sandboxFaultsOut{}
	found, err := box.Faults(ctx)
	out.Body.Items = append([]SandboxFaults{}, found...)
	return out, err
}

func (a *API) putSandboxFaults(ctx context.Context, c *Call, in *sandboxFaultsIn) (*sandboxFaultsOut, error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	if err := box.SetFaults(ctx, &in.Body); err != nil {
		return nil, err
	}
	return a.sandboxFaults(ctx, c, nil)
}

func (a *API) sandboxClock(ctx context.Context, c *Call, _ *none) (*sandboxClockOut, error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	out := &sandboxClockOut{}
	out.Body.Now = box.Now(ctx).UnixMilli()
	return out, nil
}

func (a *API) advanceSandbox(ctx context.Context, c *Call, in *sandboxClockIn) (*sandboxClockOut, error) {
	box, err := a.sandbox(c)
	if err != nil {
		return nil, err
	}
	if err := box.Advance(ctx, time.Duration(in.Body.Seconds)*time.Second); err != nil {
		return nil, err
	}
	return a.sandboxClock(ctx, c, nil)
}
