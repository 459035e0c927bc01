package admin

import (
	"context"
	"net/http"
	"net/url"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/lang"
)

const (
	tagComponents = "Components"
	inComponent   = "/components/{component}"
)

// componentView is a third-party platform as the API shows it: without secrets.
type componentView struct {
	ID    int64  `json:"id"`
	AppID string `json:"appid"`
	Name  string `json:"name" doc:"The AppID where nobody gave one"`
	// What the console of the open platform asks for.
	EventURL     string `json:"event_url,omitempty" doc:"授权事件接收URL; none while the server has no HONGYAN_PUBLIC_URL"`
	MessageURL   string `json:"message_url,omitempty" doc:"消息与事件接收URL, with $APPID$ as it stands"`
	Domain       string `json:"domain,omitempty" doc:"授权发起页域名"`
	PreviousKey  bool   `json:"previous_key" doc:"The EncodingAESKey of before is still accepted"`
	TicketSeen   bool   `json:"ticket_seen" doc:"WeChat has pushed a verify ticket; without one nothing can be asked of it"`
	TicketAt     int64  `json:"ticket_at,omitempty" doc:"When the newest ticket was made; one comes every ten minutes and is good for 12 hours"`
	AccountCount int    `json:"account_count" doc:"Accounts that it connects"`
	CreatedAt    int64  `json:"created_at"`
	UpdatedAt    int64  `json:"updated_at"`
}

type (
	componentIn struct {
		Component int64 `path:"component"`
	}
	componentOut struct {
		ETag string `header:"ETag"`
		Body componentView
	}
	listComponentsIn  struct{ PageParams }
	createComponentIn struct {
		Body struct {
			AppID   string   `json:"appid" minLength:"1" maxLength:"32"`
			Name    string   `json:"name,omitempty" maxLength:"64"`
			Secret  string   `json:"secret" minLength:"1" maxLength:"64" writeOnly:"true" doc:"AppSecret"`
			Token   string   `json:"token" minLength:"3" maxLength:"32" writeOnly:"true" doc:"消息校验Token"`
			AESKeys []string `json:"aes_keys" minItems:"1" maxItems:"2" writeOnly:"true" doc:"消息加解密Key, and the previous one while it is changed"`
		}
	}
	updateComponentIn struct {
		Component int64 `path:"component"`
		Body      struct {
			Name           *string  `json:"name,omitempty" minLength:"1" maxLength:"64"`
			Secret         *string  `json:"secret,omitempty" minLength:"1" maxLength:"64" writeOnly:"true"`
			Token          *string  `json:"token,omitempty" minLength:"3" maxLength:"32" writeOnly:"true"`
			AESKeys        []string `json:"aes_keys,omitempty" maxItems:"2" writeOnly:"true" doc:"The new EncodingAESKey; the one in use stays accepted as the previous one. Two are both of them"`
			ForgetPrevious bool     `json:"forget_previous_key,omitempty" writeOnly:"true" doc:"Accept the previous key no more"`
		}
	}
)

func (a *API) componentOps() {
	register(a, Op{
		ID: "list-components", Method: http.MethodGet, Path: "/components", Tag: tagComponents, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出第三方平台", EN: "List the components, by id"},
	}, a.listComponents)
	register(a, Op{
		ID: "create-component", Method: http.MethodPost, Path: "/components", Tag: tagComponents, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "登记第三方平台", EN: "Register a component, by which accounts are connected with a scan"},
		Details: "The secret, the token and the keys go in and are never shown again. The answer has the addresses to enter in the console of the open platform; " +
			"within ten minutes of that WeChat pushes a verify ticket, and ticket_seen is true.",
	}, a.createComponent)
	register(a, Op{
		ID: "get-component", Method: http.MethodGet, Path: inComponent, Tag: tagComponents, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看第三方平台", EN: "Show a component: its addresses, and whether a verify ticket has come"},
	}, func(ctx context.Context, _ *Call, in *componentIn) (*componentOut, error) {
		x, err := a.o.Accounts.FindComponent(ctx, in.Component)
		if err != nil {
			return nil, err
		}
		return a.componentAnswer(ctx, x)
	})
	register(a, Op{
		ID: "update-component", Method: http.MethodPatch, Path: inComponent, Tag: tagComponents, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改第三方平台", EN: "Change a component's name, secret, token or keys"},
		Details: "Change the keys here first, and then in the console: pushes with the key in use are accepted until forget_previous_key.",
	}, a.updateComponent)
	a.authorisationOps()
}

func (a *API) showComponent(ctx context.Context, x *accounts.Component) (componentView, error) {
	at := a.componentURLs(x)
	v := componentView{
		ID: x.ID, AppID: x.AppID, Name: x.Name, EventURL: at.Events, MessageURL: at.Messages, PreviousKey: len(x.Callback.AESKeys) > 1,
		CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt,
	}
	if u, err := url.Parse(at.Events); err == nil {
		v.Domain = u.Hostname()
	}
	ticket, err := x.Platform().Store.Ticket(ctx)
	if err != nil {
		return v, err
	}
	v.TicketSeen, v.TicketAt = ticket.Value != "", clock.Millis(ticket.At)
	all, err := a.o.Accounts.FindAccounts(ctx)
	for _, account := range all {
		if account.ComponentID == x.ID {
			v.AccountCount++
		}
	}
	return v, err
}

func (a *API) componentURLs(x *accounts.Component) ComponentURLs {
	if a.o.ComponentURLs == nil {
		return ComponentURLs{}
	}
	return a.o.ComponentURLs(x.AppID)
}

func (a *API) componentAnswer(ctx context.Context, x *accounts.Component) (*componentOut, error) {
	v, err := a.showComponent(ctx, x)
	if err != nil {
		return nil, err
	}
	return &componentOut{ETag: etag(x.Revision), Body: v}, nil
}

func (a *API) listComponents(ctx context.Context, c *Call, in *listComponentsIn) (*pageOut[componentView], error) {
	read := func(after *int64, n int) ([]componentView, error) {
		all, err := a.o.Accounts.FindComponents(ctx) // kept in memory: an installation has one or two
		if err != nil {
			return nil, err
		}
		var out []componentView
		for _, x := range all {
			if after != nil && x.ID <= *after || len(out) == n {
				continue
			}
			v, err := a.showComponent(ctx, x)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	return paged(c, in.PageParams, read, func(v *componentView) int64 { return v.ID }, func(v *componentView) componentView { return *v })
}

func (a *API) createComponent(ctx context.Context, _ *Call, in *createComponentIn) (*componentOut, error) {
	b := &in.Body
	x := &accounts.Component{AppID: b.AppID, Name: b.Name, Secret: b.Secret, Callback: accounts.Callback{Token: b.Token, AESKeys: b.AESKeys}}
	if err := a.o.Accounts.CreateComponent(ctx, x); err != nil {
		return nil, flatCallback(err)
	}
	return a.componentAnswer(ctx, x)
}

func (a *API) updateComponent(ctx context.Context, c *Call, in *updateComponentIn) (*componentOut, error) {
	b := &in.Body
	var changed *accounts.Component
	err := c.Edit(ctx, func(ctx context.Context, revision int64) (err error) {
		changed, err = a.o.Accounts.UpdateComponent(ctx, in.Component, revision, func(x *accounts.Component) {
			if b.Name != nil {
				x.Name = *b.Name
			}
			if b.Secret != nil {
				x.Secret = *b.Secret
			}
			p := accounts.CallbackPatch{Token: b.Token, AESKeys: b.AESKeys, ForgetPrevious: b.ForgetPrevious}
			x.Callback = p.Apply(x.Callback)
		})
		return flatCallback(err)
	}, func(ctx context.Context) (int64, error) {
		x, err := a.o.Accounts.ReadComponent(ctx, in.Component)
		if err != nil {
			return 0, err
		}
		return x.Revision, nil
	})
	if err != nil {
		return nil, err
	}
	return a.componentAnswer(ctx, changed)
}
