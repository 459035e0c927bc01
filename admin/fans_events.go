package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"hongyan/fans"
	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

func (a *API) fanEventOps() {
	register(a, Op{
		ID: "report-event", Method: http.MethodPost, Path: inAccount + "/events", Tag: tagFans, Scope: ScopeSend, Sends: true, Status: http.StatusAccepted,
		Summary: lang.Text{ZH: "上报粉丝事件", EN: "Report something that a fan did elsewhere: an order, a payment, a visit"},
		Details: "Drips that wait for it act within a second. The Idempotency-Key is the event's own: reported again with the same content, it is the same event.",
	}, a.reportEvent)
}

type reportEventIn struct {
	Body struct {
		FanID  int64          `json:"fan_id,omitempty" minimum:"0" doc:"Whom it is about: this, or openid"`
		OpenID string         `json:"openid,omitempty" maxLength:"64"`
		Event  string         `json:"event" example:"order.paid" doc:"1 to 64 small letters, digits and _ . : -, beginning with a letter"`
		Data   map[string]any `json:"data,omitempty" doc:"More about it, at most 4,096 bytes"`
		At     int64          `json:"at,omitempty" minimum:"0" doc:"Unix ms: when it happened; none: now"`
	}
}

// eventView is an event that was taken.
type eventView struct {
	ID         int64 `json:"id"`
	FanID      int64 `json:"fan_id"`
	EventAt    int64 `json:"event_at"`
	ReceivedAt int64 `json:"received_at"`
	Repeated   bool  `json:"repeated" doc:"It had been reported before, with the same key"`
}

type reportEventOut struct{ Body eventView }

func (a *API) reportEvent(ctx context.Context, c *Call, in *reportEventIn) (*reportEventOut, error) {
	b := &in.Body
	e := fans.Event{Key: c.Key, FanID: b.FanID, OpenID: b.OpenID, Name: b.Event}
	if b.Data != nil {
		var err error
		if e.Data, err = json.Marshal(b.Data); err != nil {
			return nil, fault.BadField("data", "json_object", "the data of an event are a JSON object")
		}
	}
	if b.At != 0 {
		e.At = clock.FromMillis(b.At)
	}
	row, err := a.o.Events.Put(ctx, c.Account.ID, e)
	if err != nil {
		return nil, err
	}
	return &reportEventOut{eventView{ID: row.ID, FanID: row.FanID, EventAt: row.EventAt, ReceivedAt: row.ReceivedAt, Repeated: row.Repeated}}, nil
}
