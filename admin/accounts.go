package admin

import (
	"context"
	"net/http"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/lang"
	"hongyan/internal/stops"
)

// accountView is an account as the API shows it: without secrets.
type accountView struct {
	ID            int64                 `json:"id"`
	AppID         string                `json:"appid"`
	OriginalID    string                `json:"original_id" doc:"gh_…: what pushes are addressed to"`
	Name          string                `json:"name"`
	Kind          accounts.Kind         `json:"kind" enum:"service,subscription"`
	Verified      bool                  `json:"verified"`
	Sandbox       bool                  `json:"sandbox" doc:"Its fans are invented and its platform is simulated"`
	Connection    accounts.Connection   `json:"connection" enum:"manual,component"`
	ComponentID   int64                 `json:"component_id,omitempty" doc:"The component that connects it"`
	Authorised    bool                  `json:"authorised" doc:"Something may be done in its name: always by its own secret, by a component until the owner withdraws"`
	CallbackMode  accounts.Mode         `json:"callback_mode" enum:"plain,compatible,safe"`
	CallbackURL   string                `json:"callback_url,omitempty" doc:"What WeChat's console is given: 服务器地址(URL), or the component's; none while the server has no HONGYAN_PUBLIC_URL"`
	PreviousKey   bool                  `json:"previous_key" doc:"The EncodingAESKey of before is still accepted"`
	TimeZone      string                `json:"time_zone"`
	RatePerSecond int                   `json:"rate_per_second"`
	InFlight      int                   `json:"in_flight" doc:"Most calls on the wire at once"`
	Stopped       bool                  `json:"stopped"`
	StoppedReason string                `json:"stopped_reason,omitempty"`
	Capabilities  []accounts.Capability `json:"capabilities" nullable:"false" doc:"What the account may do for certain"`
	CreatedAt     int64                 `json:"created_at"`
	UpdatedAt     int64                 `json:"updated_at"`
}

func (a *API) showAccount(of **accounts.Account) accountView {
	x := *of
	_, callback := x.Pushes()
	v := accountView{
		ID: x.ID, AppID: x.AppID, OriginalID: x.OriginalID, Name: x.Name, Kind: x.Kind, Verified: x.Verified, Sandbox: x.Sandbox, Connection: x.Connection,
		ComponentID: x.ComponentID, Authorised: x.Authorised(), CallbackMode: callback.Mode, PreviousKey: len(callback.AESKeys) > 1, TimeZone: x.Zone, RatePerSecond: x.RatePerSecond, InFlight: x.InFlight, Stopped: x.Stopped, StoppedReason: x.StoppedReason,
		Capabilities: append([]accounts.Capability{}, x.Capabilities()...), CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt,
	}
	if a.o.CallbackURL != nil && !x.Sandbox {
		v.CallbackURL = a.o.CallbackURL(x)
	}
	return v
}

// accountOut is one account. Its ETag is that of the sending policy too: both are one row.
type accountOut struct {
	ETag string `header:"ETag"`
	Body accountView
}

func (a *API) accountAnswer(x *accounts.Account) *accountOut {
	return &accountOut{ETag: etag(x.Revision), Body: a.showAccount(&x)}
}

type none struct{}

const tagAccounts = "Accounts"

func (a *API) accountOps() {
	register(a, Op{
		ID: "list-accounts", Method: http.MethodGet, Path: "/accounts", Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出公众号", EN: "List the accounts, by id"},
	}, a.listAccounts)
	register(a, Op{
		ID: "create-account", Method: http.MethodPost, Path: "/accounts", Tag: tagAccounts, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "手动接入公众号", EN: "Connect an account by its AppSecret"},
		Details: "The secret, the token and the keys go in and are never shown again.",
	}, a.createAccount)
	register(a, Op{
		ID: "get-account", Method: http.MethodGet, Path: inAccount, Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看公众号", EN: "Show an account"},
	}, func(_ context.Context, c *Call, _ *none) (*accountOut, error) { return a.accountAnswer(c.Account), nil })
	a.accountEditOps()
	register(a, Op{
		ID: "stop-account", Method: http.MethodPost, Path: inAccount + "/stop", Tag: tagAccounts, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "停止发送", EN: "Stop all sending of an account"},
		Details: "The answer comes when all processes have stopped. It tells how many calls were still on the wire; those are finished.",
	}, a.stopAccount)
	register(a, Op{
		ID: "resume-account", Method: http.MethodPost, Path: inAccount + "/resume", Tag: tagAccounts, Scope: ScopeSend, Sends: true,
		Summary: lang.Text{ZH: "恢复发送", EN: "Let an account send again"},
	}, a.resumeAccount)
}

type listAccountsIn struct {
	PageParams
	Kind    string `query:"kind" enum:"service,subscription" doc:"Only accounts of this kind"`
	Sandbox string `query:"sandbox" enum:"true,false" doc:"Only sandbox accounts, or only others"`
}

func (a *API) listAccounts(ctx context.Context, c *Call, in *listAccountsIn) (*pageOut[accountView], error) {
	read := func(after *int64, n int) ([]*accounts.Account, error) {
		all, err := a.o.Accounts.FindAccounts(ctx) // kept in memory: an installation has a few
		var out []*accounts.Account
		for _, x := range all {
			wanted := (in.Kind == "" || string(x.Kind) == in.Kind) && (in.Sandbox == "" || (in.Sandbox == "true") == x.Sandbox)
			if wanted && (after == nil || x.ID > *after) && len(out) < n {
				out = append(out, x)
			}
		}
		return out, err
	}
	return paged(c, in.PageParams, read, func(x **accounts.Account) int64 { return (*x).ID }, a.showAccount)
}

type createAccountIn struct {
	Body struct {
		AppID         string        `json:"appid" maxLength:"32"`
		OriginalID    string        `json:"original_id" maxLength:"32"`
		Name          string        `json:"name" maxLength:"64"`
		Kind          accounts.Kind `json:"kind" enum:"service,subscription"`
		Verified      bool          `json:"verified,omitempty"`
		Secret        string        `json:"secret" maxLength:"64" writeOnly:"true" doc:"AppSecret"`
		Callback      callbackIn    `json:"callback"`
		TimeZone      string        `json:"time_zone,omitempty" maxLength:"64" example:"Asia/Shanghai"`
		RatePerSecond int           `json:"rate_per_second,omitempty" minimum:"0" maximum:"5000"`
		InFlight      int           `json:"in_flight,omitempty" minimum:"0" maximum:"1000"`
	}
}

// callbackIn is what the platform's console says about pushes.
type callbackIn struct {
	Mode    accounts.Mode `json:"mode" enum:"plain,compatible,safe"`
	Token   string        `json:"token" minLength:"3" maxLength:"32" writeOnly:"true"`
	AESKeys []string      `json:"aes_keys,omitempty" maxItems:"2" writeOnly:"true" doc:"EncodingAESKey, and the previous one while it is changed"`
}

func (a *API) createAccount(ctx context.Context, _ *Call, in *createAccountIn) (*accountOut, error) {
	b := &in.Body
	x := &accounts.Account{
		AppID: b.AppID, OriginalID: b.OriginalID, Name: b.Name, Kind: b.Kind, Verified: b.Verified, Secret: b.Secret, Zone: b.TimeZone,
		RatePerSecond: b.RatePerSecond, InFlight: b.InFlight,
		Callback: accounts.Callback{Mode: b.Callback.Mode, Token: b.Callback.Token, AESKeys: b.Callback.AESKeys},
	}
	if err := a.o.Accounts.CreateAccount(ctx, x); err != nil {
		return nil, err
	}
	return a.accountAnswer(x), nil
}

type stopAccountOut struct {
	Body struct {
		OnWire int `json:"on_wire" doc:"Calls that had begun and are being finished"`
	}
}

// stoppedByMember is the reason of a stop that somebody asked for.
const stoppedByMember = "member"

func (a *API) stopAccount(ctx context.Context, c *Call, _ *none) (*stopAccountOut, error) {
	epoch, err := a.setStopped(ctx, c, true, stoppedByMember)
	if err != nil {
		return nil, err
	}
	out := &stopAccountOut{}
	out.Body.OnWire, err = a.o.Stops.Wait(ctx, epoch)
	return out, err
}

func (a *API) resumeAccount(ctx context.Context, c *Call, _ *none) (*accountOut, error) {
	if _, err := a.setStopped(ctx, c, false, ""); err != nil {
		return nil, err
	}
	x, err := a.o.Accounts.FindAccount(ctx, c.Account.ID)
	if err != nil {
		return nil, err
	}
	return a.accountAnswer(x), nil
}

func (a *API) setStopped(ctx context.Context, c *Call, stopped bool, reason string) (epoch int64, err error) {
	err = a.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		if err := a.o.Accounts.SetStopped(tx, c.Account.ID, stopped, reason); err != nil {
			return err
		}
		epoch, err = stops.Bump(tx)
		return err
	})
	return epoch, err
}
