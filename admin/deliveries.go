package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
	"hongyan/templates"
	"hongyan/wechat"
)

const tagDeliveries = "Deliveries"

// DeliveryView is a row of the ledger.
type DeliveryView struct {
	ID          int64  `json:"id"`
	FanID       int64  `json:"fan_id"`
	SourceKind  string `json:"source_kind" enum:"drip,broadcast,reply,channel,poster,api,test,inbox"`
	SourceID    int64  `json:"source_id"`
	Occurrence  int64  `json:"occurrence" doc:"Which run of the source it belongs to"`
	StepNo      int    `json:"step_no"`
	MessageNo   int    `json:"message_no"`
	Resend      int    `json:"resend" doc:"How often it had been sent again by a member"`
	MessageID   int64  `json:"message_id"`
	Channel     string `json:"channel" enum:"kefu,passive"`
	Class       string `json:"class" enum:"reply,service,marketing"`
	State       string `json:"state" enum:"planned,sending,sent,delivered,rejected,failed,unknown,skipped,expired,cancelled"`
	StateWords  string `json:"state_words"`
	Reason      string `json:"reason,omitempty"`
	ReasonWords string `json:"reason_words,omitempty"`
	ErrCode     int    `json:"errcode,omitempty" doc:"The platform's"`
	Attempt     int    `json:"attempt" doc:"How many times a call was made"`
	DueAt       int64  `json:"due_at"`
	NotAfter    int64  `json:"not_after"`
	PlannedAt   int64  `json:"planned_at"`
	MarkedAt    int64  `json:"marked_at,omitempty"`
	EndedAt     int64  `json:"ended_at,omitempty"`
}

var (
	channelNames = map[guard.Channel]string{guard.ChannelKefu: "kefu", guard.ChannelPassive: "passive"}
	classNames   = map[guard.Class]string{guard.ClassReply: "reply", guard.ClassService: "service", guard.ClassMarketing: "marketing"}
)

func showDelivery(d *deliveries.Delivery, l lang.Lang) DeliveryView {
	out := DeliveryView{
		ID: d.ID, FanID: d.FanID, SourceKind: d.Source.Kind.String(), SourceID: d.Source.ID, Occurrence: d.Occurrence, StepNo: d.StepNo, MessageNo: d.MessageNo, Resend: d.Resend,
		MessageID: d.MessageID, Channel: channelNames[d.Channel], Class: classNames[d.Class], State: d.State.String(), StateWords: deliveries.StateWords(d.State, l), ErrCode: d.ErrCode,
		Attempt: d.Attempt, DueAt: d.DueAt, NotAfter: d.NotAfter, PlannedAt: d.PlannedAt, MarkedAt: d.MarkedAt, EndedAt: d.EndedAt,
	}
	if d.Reason != guard.ReasonNone {
		out.Reason, out.ReasonWords = d.Reason.String(), deliveries.ReasonWords(d.Reason, l)
	}
	return out
}

// figureView is a figure behind a decision.
type figureView struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// traceView is one thing that happened to a delivery.
type traceView struct {
	At      int64        `json:"at"`
	Event   string       `json:"event"`
	Words   string       `json:"words" doc:"One sentence: when, what, why"`
	Attempt int          `json:"attempt,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Figures []figureView `json:"figures" nullable:"false"`
	ErrCode int          `json:"errcode,omitempty"`
	RID     string       `json:"rid,omitempty" doc:"The platform's request id"`
}

// deliveryDetail is the whole story of a delivery.
type deliveryDetail struct {
	DeliveryView
	Trace        []traceView     `json:"trace" nullable:"false" doc:"In the order in which it happened"`
	Message      json.RawMessage `json:"message,omitempty" doc:"What it says to this fan, by what is known of the fan now. None when the fan was erased"`
	MessageError string          `json:"message_error,omitempty" doc:"Why it could not be made for this fan"`
}

type (
	deliveryOut struct{ Body deliveryDetail }
	deliveryIn  struct {
		Delivery int64 `path:"delivery"`
	}
)

func (a *API) deliveryOps() {
	register(a, Op{
		ID: "list-deliveries", Method: http.MethodGet, Path: inAccount + "/deliveries", Tag: tagDeliveries, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出发送记录", EN: "List deliveries"},
		Details: "Without a state, those that are under way or have ended, newest first by when they were planned. state=planned lists what is to come, by when it goes: ready ones first. " +
			"attention lists what failed and what is unknown. Of a source, planned ones too, by fan. " + shortPages,
	}, a.listDeliveries)
	register(a, Op{
		ID: "list-fan-deliveries", Method: http.MethodGet, Path: inAccount + "/fans/{fan}/deliveries", Tag: tagDeliveries, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出粉丝的发送记录", EN: "List a fan's deliveries, planned ones too, newest first"}, Details: shortPages,
	}, a.listFanDeliveries)
	register(a, Op{
		ID: "get-delivery", Method: http.MethodGet, Path: inAccount + "/deliveries/{delivery}", Tag: tagDeliveries, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看发送记录及原因", EN: "Show a delivery: what it says, what happened to it, and why"},
	}, a.getDelivery)
}

// DeliveryParams are the filters of all lists of deliveries.
type DeliveryParams struct {
	State  string `query:"state" enum:"planned,sending,sent,delivered,rejected,failed,unknown,skipped,expired,cancelled"`
	Reason string `query:"reason" maxLength:"32" doc:"One of /meta/reasons"`
	Class  string `query:"class" enum:"reply,service,marketing"`
	Since  int64  `query:"since" minimum:"0" doc:"Unix ms: planned then or later"`
	Before int64  `query:"before" minimum:"0" doc:"Unix ms: planned before"`
}

func (f *DeliveryParams) read() (out deliveries.ListFilter, err error) {
	out.Since, out.Before = f.Since, f.Before
	if s := stateOf(f.State); s != 0 {
		out.States = []deliveries.State{s}
	}
	for class, name := range classNames {
		if f.Class == name {
			out.Class = class
		}
	}
	out.Reason, err = reasonOf(f.Reason)
	return out, err
}

// stateOf is the state of a name, 0 for another text.
func stateOf(name string) deliveries.State {
	for s := deliveries.StatePlanned; s <= deliveries.StateCancelled; s++ {
		if name == s.String() {
			return s
		}
	}
	return 0
}

// reasonOf reads a filter by reason; "" is none.
func reasonOf(name string) (guard.Reason, error) {
	if name == "" {
		return guard.ReasonNone, nil
	}
	for _, r := range guard.Reasons() {
		if name == r.String() {
			return r, nil
		}
	}
	return guard.ReasonNone, fault.BadField("query.reason", "one_of", "there is no such reason; take one of /meta/reasons")
}

type listDeliveriesIn struct {
	PageParams
	DeliveryParams
	Attention  bool   `query:"attention" doc:"What failed and what is unknown; not together with state"`
	SourceKind string `query:"source_kind" enum:"drip,broadcast,reply,channel,poster,api,test,inbox" doc:"Together with source"`
	Source     int64  `query:"source" minimum:"0"`
}

func (in *listDeliveriesIn) filter() (deliveries.ListFilter, error) {
	out, err := in.read()
	switch {
	case err != nil:
		return out, err
	case in.Attention && in.State != "":
		return out, fault.BadField("query.attention", "not_allowed", "ask for attention or for a state, not for both")
	case in.Attention:
		out.States = deliveries.Attention()
	}
	for kind := deliveries.SourceDrip; kind <= deliveries.SourceInbox; kind++ {
		if in.SourceKind == kind.String() {
			out.Source.Kind = kind
		}
	}
	if (in.SourceKind == "") != (in.Source == 0) {
		return out, fault.BadField("query.source", "required", "name a source by both: source_kind and source")
	}
	out.Source.ID = in.Source
	return out, nil
}

func (a *API) listDeliveries(ctx context.Context, c *Call, in *listDeliveriesIn) (*pageOut[DeliveryView], error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	return a.showDeliveries(ctx, c, in.PageParams, filter)
}

type listFanDeliveriesIn struct {
	PageParams
	DeliveryParams
	Fan int64 `path:"fan"`
}

func (a *API) listFanDeliveries(ctx context.Context, c *Call, in *listFanDeliveriesIn) (*pageOut[DeliveryView], error) {
	filter, err := in.read()
	if err != nil {
		return nil, err
	}
	if _, err := a.findFan(ctx, c, in.Fan); err != nil {
		return nil, err
	}
	filter.FanID = in.Fan
	return a.showDeliveries(ctx, c, in.PageParams, filter)
}

func (a *API) showDeliveries(ctx context.Context, c *Call, p PageParams, filter deliveries.ListFilter) (*pageOut[DeliveryView], error) {
	return walked(c, p, func(o walk.Options) (walk.Page[*deliveries.Delivery], error) {
		return a.o.Ledger.ListDeliveries(ctx, c.Account.ID, filter, o)
	}, func(d *deliveries.Delivery) DeliveryView { return showDelivery(d, c.Lang) })
}

func (a *API) getDelivery(ctx context.Context, c *Call, in *deliveryIn) (*deliveryOut, error) {
	story, err := a.o.Ledger.Explain(ctx, c.Account.ID, in.Delivery)
	if err != nil {
		return nil, err
	}
	out := &deliveryOut{Body: deliveryDetail{DeliveryView: showDelivery(story.Delivery, c.Lang), Trace: []traceView{}}}
	for i := range story.Steps {
		step := &story.Steps[i]
		view := traceView{
			At: step.At, Event: string(step.Event), Words: deliveries.Words(step, c.Lang, c.Account.Policy.Zone), Attempt: step.Attempt, ErrCode: step.ErrCode, RID: step.RID, Figures: []figureView{},
		}
		if step.Reason != guard.ReasonNone {
			view.Reason = step.Reason.String()
		}
		for _, v := range step.Values {
			view.Figures = append(view.Figures, figureView{v.Name, v.Number})
		}
		out.Body.Trace = append(out.Body.Trace, view)
	}
	return out, a.showMessage(ctx, c, story.Delivery, &out.Body)
}

// showMessage makes what a delivery says to its fan. A message that does not fit the fan, and one that is not there, are no reason to show nothing of
// the delivery.
func (a *API) showMessage(ctx context.Context, c *Call, d *deliveries.Delivery, out *deliveryDetail) error {
	found, err := a.o.Fans.ByIDs(a.o.DB.Read(ctx), c.Account.ID, []int64{d.FanID})
	if err != nil {
		return err
	}
	f := found[d.FanID]
	if f == nil || f.Erased() {
		return nil
	}
	message, err := a.messageFor(ctx, c, d.MessageID, f)
	switch {
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound):
		out.MessageError = fault.Words(err, c.Lang)
		return nil
	case err != nil:
		return err
	}
	out.Message, err = json.Marshal(message)
	return err
}

func (a *API) messageFor(ctx context.Context, c *Call, id int64, f *fans.Fan) (wechat.Message, error) {
	t, err := a.o.Templates.Get(ctx, c.Account.ID, id)
	if err != nil {
		return wechat.Message{}, err
	}
	return t.Message(&templates.Vars{
		Nickname: f.Nickname, Remark: f.Remark, Scene: f.Scene, AccountName: c.Account.Name, FollowedAt: f.SubscribedAt, Now: a.o.Clock.Now().In(c.Account.Policy.Zone),
	})
}
