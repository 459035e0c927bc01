package admin

import (
	"context"
	"net/http"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/lang"
)

// sendingBody is how an account sends. It is read and written whole.
type sendingBody struct {
	guard.PolicySpec
	TimeZone      string `json:"time_zone" maxLength:"64" example:"Asia/Shanghai" doc:"IANA zone of caps, quiet hours and reports"`
	RatePerSecond int    `json:"rate_per_second" minimum:"1" maximum:"5000"`
	InFlight      int    `json:"in_flight" minimum:"2" maximum:"1000" doc:"Most calls on the wire at once"`
}

type sendingOut struct {
	ETag string `header:"ETag"`
	Body sendingBody
}

type sendingIn struct{ Body sendingBody }

// retentionBody is for how many days an account keeps what; 0 means for ever.
type retentionBody struct {
	InboxDays       int `json:"inbox_days" minimum:"0" doc:"Pushes as they came"`
	InteractionDays int `json:"interaction_days" minimum:"0"`
	TraceDays       int `json:"trace_days" minimum:"0" doc:"Why deliveries went as they did, and what fans did after messages; how many did is kept for ever"`
	LeftFanDays     int `json:"left_fan_days" minimum:"0" doc:"Fans who do not follow any more"`
}

type retentionOut struct {
	ETag string `header:"ETag"`
	Body retentionBody
}

type retentionIn struct{ Body retentionBody }

func (a *API) policyOps() {
	register(a, Op{
		ID: "get-sending-policy", Method: http.MethodGet, Path: inAccount + "/sending-policy", Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看发送规则", EN: "Show how an account sends: caps, quiet hours, rate"},
	}, func(_ context.Context, c *Call, _ *none) (*sendingOut, error) { return showSending(c.Account), nil })
	register(a, Op{
		ID: "put-sending-policy", Method: http.MethodPut, Path: inAccount + "/sending-policy", Tag: tagAccounts, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改发送规则", EN: "Change how an account sends"},
		Details: "What is left out is not limited. Planned messages are decided by the new policy when they are due.",
	}, a.putSending)
	register(a, Op{
		ID: "get-retention-policy", Method: http.MethodGet, Path: inAccount + "/retention-policy", Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看数据保留规则", EN: "Show for how long an account keeps what"},
	}, func(ctx context.Context, c *Call, _ *none) (*retentionOut, error) {
		r, err := a.o.Accounts.FindRetention(ctx, c.Account.ID)
		return showRetention(&r), err
	})
	register(a, Op{
		ID: "put-retention-policy", Method: http.MethodPut, Path: inAccount + "/retention-policy", Tag: tagAccounts, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改数据保留规则", EN: "Change for how long an account keeps what"},
		Details: "What is older is removed in the following night, and cannot be had again.",
	}, a.putRetention)
}

func showSending(x *accounts.Account) *sendingOut {
	return &sendingOut{ETag: etag(x.Revision), Body: sendingBody{PolicySpec: x.Spec, TimeZone: x.Zone, RatePerSecond: x.RatePerSecond, InFlight: x.InFlight}}
}

func (a *API) putSending(ctx context.Context, c *Call, in *sendingIn) (*sendingOut, error) {
	var changed *accounts.Account
	err := c.Edit(ctx, func(ctx context.Context, revision int64) (err error) {
		changed, err = a.o.Accounts.UpdateSending(ctx, c.Account.ID, revision, func(x *accounts.Account) {
			x.Spec, x.Zone, x.RatePerSecond, x.InFlight = in.Body.PolicySpec, in.Body.TimeZone, in.Body.RatePerSecond, in.Body.InFlight
		})
		return err
	}, func(ctx context.Context) (int64, error) {
		x, err := a.o.Accounts.ReadAccount(ctx, c.Account.ID)
		if err != nil {
			return 0, err
		}
		return x.Revision, nil
	})
	if err != nil {
		return nil, err
	}
	return showSending(changed), nil
}

func showRetention(r *accounts.Retention) *retentionOut {
	return &retentionOut{ETag: etag(r.Revision), Body: retentionBody{
		InboxDays: r.InboxDays, InteractionDays: r.InteractionDays, TraceDays: r.TraceDays, LeftFanDays: r.LeftFanDays,
	}}
}

func (a *API) putRetention(ctx context.Context, c *Call, in *retentionIn) (*retentionOut, error) {
	b := in.Body
	var changed accounts.Retention
	err := c.Edit(ctx, func(ctx context.Context, revision int64) (err error) {
		changed, err = a.o.Accounts.UpdateRetention(ctx, accounts.Retention{
			AccountID: c.Account.ID, InboxDays: b.InboxDays, InteractionDays: b.InteractionDays, TraceDays: b.TraceDays, LeftFanDays: b.LeftFanDays, Revision: revision,
		})
		return err
	}, func(ctx context.Context) (int64, error) {
		r, err := a.o.Accounts.FindRetention(ctx, c.Account.ID)
		return r.Revision, err
	})
	if err != nil {
		return nil, err
	}
	return showRetention(&changed), nil
}
