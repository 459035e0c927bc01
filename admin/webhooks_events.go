package admin

import (
	"context"
	"net/http"

	"hongyan/internal/lang"
	"hongyan/webhooks"
)

// webhookEventView is an event in the outbox of a webhook.
type webhookEventView struct {
	ID        int64          `json:"id"`
	EventID   string         `json:"event_id" doc:"As the receiver gets it, the same at every try"`
	Type      string         `json:"type"`
	FanID     int64          `json:"fan_id,omitempty"`
	State     webhooks.State `json:"state" enum:"waiting,done,failed"`
	Words     string         `json:"state_words"`
	Tries     int            `json:"tries"`
	DueAt     int64          `json:"due_at,omitempty" doc:"When it is posted next"`
	Body      string         `json:"body" doc:"JSON, as it is posted"`
	CreatedAt int64          `json:"created_at"`
	EndedAt   int64          `json:"ended_at,omitempty"`
}

var webhookStateWords = map[webhooks.State]lang.Text{
	webhooks.StateWaiting: {ZH: "等待推送", EN: "waiting"},
	webhooks.StateDone:    {ZH: "已送达", EN: "taken"},
	webhooks.StateFailed:  {ZH: "已放弃", EN: "given up"},
}

// webhookAttemptView is one try to post an event.
type webhookAttemptView struct {
	Try    int    `json:"try"`
	At     int64  `json:"at"`
	TookMS int64  `json:"took_ms"`
	Status int    `json:"status,omitempty" doc:"Of HTTP; none without an answer"`
	Answer string `json:"answer,omitempty" doc:"How the answer begins"`
	Error  string `json:"error,omitempty" doc:"What was wrong without an answer"`
}

type (
	listWebhookEventsIn struct {
		Webhook int64 `path:"webhook"`
		PageParams
		State webhooks.State `query:"state" enum:"waiting,done,failed" default:"failed" doc:"Only events in this state"`
	}
	webhookEventIn struct {
		Event int64 `path:"webhook_event"`
		PageParams
	}
)

func (a *API) webhookEventOps() {
	register(a, Op{
		ID: "list-webhook-events", Method: http.MethodGet, Path: inAccount + "/webhooks/{webhook}/events", Tag: tagWebhooks, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出推送事件", EN: "List the events of a webhook in a state, newest first"},
		Details: "Events that have ended are kept for 30 days.",
	}, a.listWebhookEvents)
	register(a, Op{
		ID: "list-webhook-attempts", Method: http.MethodGet, Path: inAccount + "/webhook-events/{webhook_event}/attempts", Tag: tagWebhooks, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出推送尝试", EN: "List the tries to post an event, oldest first"},
	}, a.listWebhookAttempts)
}

func (a *API) listWebhookEvents(ctx context.Context, c *Call, in *listWebhookEventsIn) (*pageOut[webhookEventView], error) {
	if _, err := a.o.Webhooks.FindEndpoint(ctx, c.Account.ID, in.Webhook); err != nil {
		return nil, err
	}
	return paged(c, in.PageParams, func(after *int64, n int) ([]webhooks.Entry, error) {
		f := webhooks.Filter{AccountID: c.Account.ID, WebhookID: in.Webhook, State: in.State, Most: n}
		if after != nil {
			f.Before = *after
		}
		return a.o.Webhooks.FindEntries(ctx, f)
	}, func(e *webhooks.Entry) int64 { return e.ID }, func(e *webhooks.Entry) webhookEventView {
		return webhookEventView{
			ID: e.ID, EventID: e.EventID, Type: e.Type, FanID: e.FanID, State: e.State, Words: webhookStateWords[e.State].In(c.Lang), Tries: e.Tries, DueAt: e.DueAt,
			Body: e.Body, CreatedAt: e.CreatedAt, EndedAt: e.EndedAt,
		}
	})
}

// listWebhookAttempts pages in memory: an event has at most ten tries.
func (a *API) listWebhookAttempts(ctx context.Context, c *Call, in *webhookEventIn) (*pageOut[webhookAttemptView], error) {
	return paged(c, in.PageParams, func(after *int, n int) (out []webhooks.Attempt, err error) {
		all, err := a.o.Webhooks.FindAttempts(ctx, c.Account.ID, in.Event)
		for _, x := range all {
			if (after == nil || x.Try > *after) && len(out) < n {
				out = append(out, x)
			}
		}
		return out, err
	}, func(x *webhooks.Attempt) int { return x.Try }, func(x *webhooks.Attempt) webhookAttemptView {
		return webhookAttemptView{Try: x.Try, At: x.At, TookMS: x.Took, Status: x.Status, Answer: x.Answer, Error: x.Error}
	})
}
