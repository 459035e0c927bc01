package admin

import (
	"context"
	"net/http"

	"hongyan/fans"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
)

// interactionView is something that a fan did.
type interactionView struct {
	ID         int64  `json:"id"`
	FanID      int64  `json:"fan_id"`
	Kind       string `json:"kind"`
	Detail     string `json:"detail,omitempty" doc:"What was written, tapped or scanned"`
	EventAt    int64  `json:"event_at" doc:"By the platform's clock"`
	RecordedAt int64  `json:"recorded_at"`
}

func showInteraction(i *fans.Interaction) interactionView {
	return interactionView{ID: i.ID, FanID: i.FanID, Kind: i.Kind, Detail: i.Detail, EventAt: i.EventAt, RecordedAt: i.RecordedAt}
}

func (a *API) interactionOps() {
	register(a, Op{
		ID: "list-interactions", Method: http.MethodGet, Path: inAccount + "/interactions", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出互动", EN: "List what fans did, newest first"}, Details: shortPages,
	}, func(ctx context.Context, c *Call, in *listInteractionsIn) (*pageOut[interactionView], error) {
		return a.listInteractions(ctx, c, in.PageParams, fans.InteractionFilter{Kind: in.Kind})
	})
	register(a, Op{
		ID: "list-fan-interactions", Method: http.MethodGet, Path: inAccount + "/fans/{fan}/interactions", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出粉丝的互动", EN: "List what a fan did, newest first"}, Details: shortPages,
	}, func(ctx context.Context, c *Call, in *listFanInteractionsIn) (*pageOut[interactionView], error) {
		if _, err := a.findFan(ctx, c, in.Fan); err != nil {
			return nil, err
		}
		return a.listInteractions(ctx, c, in.PageParams, fans.InteractionFilter{FanID: in.Fan, Kind: in.Kind})
	})
}

type listInteractionsIn struct {
	PageParams
	Kind string `query:"kind" maxLength:"32" pattern:"^[a-z_]*$" doc:"Only of this kind: text, scan, follow, …"`
}

type listFanInteractionsIn struct {
	PageParams
	Fan  int64  `path:"fan"`
	Kind string `query:"kind" maxLength:"32" pattern:"^[a-z_]*$" doc:"Only of this kind"`
}

func (a *API) listInteractions(ctx context.Context, c *Call, p PageParams, filter fans.InteractionFilter) (*pageOut[interactionView], error) {
	return walked(c, p, func(o walk.Options) (walk.Page[*fans.Interaction], error) {
		return a.o.Fans.ListInteractions(ctx, c.Account.ID, filter, o)
	}, showInteraction)
}
