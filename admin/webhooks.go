package admin

import (
	"context"
	"net/http"

	"hongyan/internal/lang"
	"hongyan/webhooks"
)

const tagWebhooks = "Webhooks"

// WebhookView is an address to which events are posted.
type WebhookView struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	URL       string `json:"url"`
	CreatedAt int64  `json:"created_at"`
}

func showWebhook(e **webhooks.Endpoint) WebhookView {
	x := *e
	return WebhookView{ID: x.ID, Name: x.Name, URL: x.URL, CreatedAt: x.CreatedAt}
}

type (
	webhookIn struct {
		Webhook int64 `path:"webhook"`
	}
	webhookOut struct {
		ETag string `header:"ETag"`
		Body WebhookView
	}
	webhookMadeView struct {
		WebhookView
		Secret string `json:"secret" doc:"Signs what is posted; shown this once"`
	}
	webhookMadeOut struct {
		ETag string `header:"ETag"`
		Body webhookMadeView
	}
	createWebhookIn struct {
		Body struct {
			Name   string `json:"name" minLength:"1" maxLength:"64"`
			URL    string `json:"url" minLength:"8" maxLength:"1024" example:"https://crm.example.com/hongyan"`
			Secret string `json:"secret,omitempty" maxLength:"128" writeOnly:"true" doc:"16 to 128 ASCII characters; leave it out to have one made"`
		}
	}
	updateWebhookIn struct {
		Webhook int64 `path:"webhook"`
		Body    struct {
			Name   *string `json:"name,omitempty" minLength:"1" maxLength:"64"`
			URL    *string `json:"url,omitempty" minLength:"8" maxLength:"1024"`
			Secret *string `json:"secret,omitempty" maxLength:"128" writeOnly:"true"`
		}
	}
	listWebhooksIn struct{ PageParams }
)

func webhookAnswer(e *webhooks.Endpoint) *webhookOut {
	return &webhookOut{ETag: etag(e.Revision), Body: showWebhook(&e)}
}

func (a *API) webhookOps() {
	register(a, Op{
		ID: "list-webhooks", Method: http.MethodGet, Path: inAccount + "/webhooks", Tag: tagWebhooks, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出事件推送地址", EN: "List the webhooks, oldest first"},
	}, a.listWebhooks)
	register(a, Op{
		ID: "create-webhook", Method: http.MethodPost, Path: inAccount + "/webhooks", Tag: tagWebhooks, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "新建事件推送地址", EN: "Make a webhook; its secret is shown this once"},
		Details: "Events are posted as JSON with the headers Hongyan-Event-Id, the same at every try, and Hongyan-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256 over \"t.body\" with the secret>. " +
			"Any answer 2xx within ten seconds is a yes; otherwise the event is posted again, ten times in 28 hours. An event may arrive more than once, and in any order.",
	}, a.createWebhook)
	register(a, Op{
		ID: "get-webhook", Method: http.MethodGet, Path: inAccount + "/webhooks/{webhook}", Tag: tagWebhooks, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看事件推送地址", EN: "Show a webhook"},
	}, func(ctx context.Context, c *Call, in *webhookIn) (*webhookOut, error) {
		e, err := a.o.Webhooks.FindEndpoint(ctx, c.Account.ID, in.Webhook)
		if err != nil {
			return nil, err
		}
		return webhookAnswer(e), nil
	})
	register(a, Op{
		ID: "update-webhook", Method: http.MethodPatch, Path: inAccount + "/webhooks/{webhook}", Tag: tagWebhooks, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改事件推送地址", EN: "Change a webhook's name, address or secret"},
	}, a.updateWebhook)
	register(a, Op{
		ID: "delete-webhook", Method: http.MethodDelete, Path: inAccount + "/webhooks/{webhook}", Tag: tagWebhooks, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "删除事件推送地址", EN: "Delete a webhook; events that wait for it are given up"},
	}, func(ctx context.Context, c *Call, in *webhookIn) (*none, error) {
		return &none{}, a.editWebhook(ctx, c, in.Webhook, a.o.Webhooks.DeleteEndpoint)
	})
	a.webhookEventOps()
}

// listWebhooks pages in memory: an account has at most webhooks.MaxEndpoints.
func (a *API) listWebhooks(ctx context.Context, c *Call, in *listWebhooksIn) (*pageOut[WebhookView], error) {
	return paged(c, in.PageParams, func(after *int64, n int) (out []*webhooks.Endpoint, err error) {
		all, err := a.o.Webhooks.FindEndpoints(ctx, c.Account.ID)
		for _, e := range all {
			if (after == nil || e.ID > *after) && len(out) < n {
				out = append(out, e)
			}
		}
		return out, err
	}, func(e **webhooks.Endpoint) int64 { return (*e).ID }, showWebhook)
}

func (a *API) createWebhook(ctx context.Context, c *Call, in *createWebhookIn) (*webhookMadeOut, error) {
	b := &in.Body
	e, secret, err := a.o.Webhooks.CreateEndpoint(ctx, c.Account.ID, webhooks.NewEndpoint{Name: b.Name, URL: b.URL, Secret: b.Secret})
	if err != nil {
		return nil, err
	}
	return &webhookMadeOut{ETag: etag(e.Revision), Body: webhookMadeView{showWebhook(&e), secret}}, nil
}

func (a *API) updateWebhook(ctx context.Context, c *Call, in *updateWebhookIn) (*webhookOut, error) {
	b := &in.Body
	var changed *webhooks.Endpoint
	err := a.editWebhook(ctx, c, in.Webhook, func(ctx context.Context, e *webhooks.Endpoint) (err error) {
		changed, err = a.o.Webhooks.UpdateEndpoint(ctx, e, webhooks.EndpointPatch{Name: b.Name, URL: b.URL, Secret: b.Secret})
		return err
	})
	if err != nil {
		return nil, err
	}
	return webhookAnswer(changed), nil
}

// editWebhook changes a webhook as the caller has seen it.
func (a *API) editWebhook(ctx context.Context, c *Call, id int64, change func(context.Context, *webhooks.Endpoint) error) error {
	return c.Edit(ctx, func(ctx context.Context, revision int64) error {
		e, err := a.o.Webhooks.FindEndpoint(ctx, c.Account.ID, id)
		if err != nil {
			return err
		}
		e.Revision = revision
		return change(ctx, e)
	}, func(ctx context.Context) (int64, error) {
		e, err := a.o.Webhooks.FindEndpoint(ctx, c.Account.ID, id)
		if err != nil {
			return 0, err
		}
		return e.Revision, nil
	})
}
