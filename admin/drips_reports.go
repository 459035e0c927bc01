package admin

import (
	"context"
	"net/http"
	"time"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
)

// FunnelView counts messages.
type FunnelView struct {
	Entered    int64      `json:"entered" doc:"Put into the ledger"`
	Waiting    int64      `json:"waiting" doc:"Not ended at the end of the last day"`
	Due        int64      `json:"due" doc:"Came to their turn"`
	Sent       int64      `json:"sent"`
	Delivered  int64      `json:"delivered"`
	Rejected   int64      `json:"rejected"`
	Skipped    int64      `json:"skipped"`
	Expired    int64      `json:"expired"`
	Failed     int64      `json:"failed"`
	Unknown    int64      `json:"unknown"`
	Cancelled  int64      `json:"cancelled"`
	Replied    int64      `json:"replied" doc:"Sent ones after which the fan wrote within 48 hours"`
	Clicked    int64      `json:"clicked" doc:"… tapped a menu, or a tracked link in the message itself"`
	Unfollowed int64      `json:"unfollowed" doc:"… left"`
	Stops      []stopView `json:"stops" nullable:"false" doc:"Why messages did not arrive, the most frequent first"`
}

// stopView is how many messages ended for a reason.
type stopView struct {
	State   string `json:"state"`
	Reason  string `json:"reason"`
	ErrCode int    `json:"errcode,omitempty"`
	Words   string `json:"words"`
	N       int64  `json:"n"`
}

func showFunnel(f *campaigns.Funnel, l lang.Lang) FunnelView {
	out := FunnelView{
		Entered: f.Entered, Waiting: f.Waiting, Due: f.Due, Sent: f.Sent, Delivered: f.Delivered, Rejected: f.Rejected, Skipped: f.Skipped, Expired: f.Expired, Failed: f.Failed,
		Unknown: f.Unknown, Cancelled: f.Cancelled, Replied: f.Replied, Clicked: f.Clicked, Unfollowed: f.Unfollowed, Stops: make([]stopView, len(f.Stops)),
	}
	for i := range f.Stops {
		s := &f.Stops[i]
		out.Stops[i] = stopView{State: s.State.String(), Reason: s.Reason.String(), ErrCode: s.ErrCode, Words: s.Words(l), N: s.N}
	}
	return out
}

// outcomeView is how many runs a step led to an outcome.
type outcomeView struct {
	Outcome string `json:"outcome" example:"happened" doc:"done, no_date, then, else, waiting, happened, timeout, or arm_1 and further"`
	Words   string `json:"words"`
	N       int64  `json:"n"`
}

// exitView is how many runs ended for a reason before their last step.
type exitView struct {
	Reason string `json:"reason"`
	Words  string `json:"words"`
	N      int64  `json:"n"`
}

// messageFigures are those of one message of a step.
type messageFigures struct {
	MessageNo int   `json:"message_no"`
	MessageID int64 `json:"message_id"`
	FunnelView
}

// linkFigures are those of a tracked link.
type linkFigures struct {
	URL    string `json:"url" example:"https://shop.example.com/coupon"`
	People int64  `json:"people" doc:"Messages in which the fan opened it: a fan counts once for each"`
	Taps   int64  `json:"taps" doc:"How often fans did"`
	Others int64  `json:"others" doc:"How often something else did: robots, previews, browsers outside of WeChat"`
}

// stepFigures are those of a step.
type stepFigures struct {
	Version int    `json:"version"`
	StepNo  int    `json:"step_no"`
	Kind    string `json:"kind"`
	Fans    int64  `json:"fans" doc:"Runs that came to it"`
	FunnelView
	Messages []messageFigures `json:"messages" nullable:"false" doc:"Of a step with several"`
	Links    []linkFigures    `json:"links" nullable:"false" doc:"Of a step that tracks links"`
	Outcomes []outcomeView    `json:"outcomes" nullable:"false" doc:"Of conditions, waits, replies asked for"`
}

// runFigures count enrolments.
type runFigures struct {
	Entered   int64      `json:"entered"`
	Running   int64      `json:"running" doc:"At the end of the last day"`
	Finished  int64      `json:"finished"`
	Cancelled int64      `json:"cancelled"`
	Exited    int64      `json:"exited"`
	Exits     []exitView `json:"exits" nullable:"false"`
}

// reportView is how far fans have come in a drip, and why not further.
type reportView struct {
	Runs  runFigures    `json:"runs"`
	Steps []stepFigures `json:"steps" nullable:"false"`
	Total FunnelView    `json:"total"`
}

func showReport(r *campaigns.Report, l lang.Lang) reportView {
	out := reportView{
		Runs: runFigures{
			Entered: r.Runs.Entered, Running: r.Runs.Running, Finished: r.Runs.Finished, Cancelled: r.Runs.Cancelled, Exited: r.Runs.Exited, Exits: make([]exitView, len(r.Runs.Exits)),
		},
		Steps: make([]stepFigures, len(r.Steps)), Total: showFunnel(&r.Total, l),
	}
	for i, e := range r.Runs.Exits {
		out.Runs.Exits[i] = exitView{Reason: e.Reason, Words: campaigns.ExitWords(e.Reason, l), N: e.N}
	}
	for i := range r.Steps {
		out.Steps[i] = showStepFigures(&r.Steps[i], l)
	}
	return out
}

func showStepFigures(s *campaigns.StepReport, l lang.Lang) stepFigures {
	out := stepFigures{
		Version: s.Version, StepNo: s.StepNo, Kind: s.Kind, Fans: s.Fans, FunnelView: showFunnel(&s.Funnel, l),
		Messages: make([]messageFigures, len(s.Messages)), Outcomes: make([]outcomeView, len(s.Outcomes)), Links: make([]linkFigures, len(s.Links)),
	}
	for i := range s.Messages {
		m := &s.Messages[i]
		out.Messages[i] = messageFigures{MessageNo: m.MessageNo, MessageID: m.MessageID, FunnelView: showFunnel(&m.Funnel, l)}
	}
	for i, l := range s.Links {
		out.Links[i] = linkFigures(l)
	}
	for i, o := range s.Outcomes {
		out.Outcomes[i] = outcomeView{Outcome: o.Outcome.String(), Words: campaigns.OutcomeWords(o.Outcome, l), N: o.N}
	}
	return out
}

// DayParams bound a report by days of the account's zone.
type DayParams struct {
	From string `query:"from" maxLength:"10" example:"2026-10-01" doc:"First day, in the account's time zone"`
	To   string `query:"to" maxLength:"10" doc:"Last day"`
}

func (p DayParams) days(policy *guard.Policy) (from, to int, err error) {
	if from, err = dayOf("query.from", p.From, policy); err != nil {
		return 0, 0, err
	}
	to, err = dayOf("query.to", p.To, policy)
	return from, to, err
}

func dayOf(field, text string, policy *guard.Policy) (int, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, policy.Zone)
	if err != nil {
		return 0, fault.BadField(field, "date", "%q is not a day such as 2026-10-01", text)
	}
	return policy.Day(t), nil
}

func (a *API) dripReportOps() {
	register(a, Op{
		ID: "get-drip-report", Method: http.MethodGet, Path: dripPath + "/report", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "智能推送报表", EN: "Report: the funnel of each step, and why messages did not arrive"},
	}, a.dripReport)
	register(a, Op{
		ID: "list-drip-report-deliveries", Method: http.MethodGet, Path: dripPath + "/report/deliveries", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看某个数字背后的发送记录", EN: "List the deliveries behind a number of the report, by fan"}, Details: shortPages,
	}, a.dripWho)
	register(a, Op{
		ID: "get-lost-reach", Method: http.MethodGet, Path: inAccount + "/lost-reach", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "流失触达报表", EN: "What each sending rule cost: messages that were due and did not go"},
	}, a.lostReach)
}

type (
	reportIn struct {
		Drip int64 `path:"drip"`
		DayParams
		Version int `query:"version" minimum:"0" doc:"Its number; none: all"`
	}
	reportOut struct{ Body reportView }
)

func (a *API) dripReport(ctx context.Context, c *Call, in *reportIn) (*reportOut, error) {
	from, to, err := in.days(c.Account.Policy)
	if err != nil {
		return nil, err
	}
	r, err := a.o.Campaigns.Report(ctx, c.Account.ID, in.Drip, campaigns.ReportQuery{Version: in.Version, From: from, To: to})
	if err != nil {
		return nil, err
	}
	return &reportOut{Body: showReport(r, c.Lang)}, nil
}

type whoIn struct {
	Drip int64 `path:"drip"`
	PageParams
	DayParams
	Version int    `query:"version" minimum:"0" doc:"Its number; none: all"`
	Step    int    `query:"step" minimum:"1" required:"true" doc:"Number of the step"`
	Outcome string `query:"outcome" required:"true" enum:"entered,waiting,due,sent,delivered,rejected,skipped,expired,failed,unknown,cancelled,replied,clicked,unfollowed"`
	Reason  string `query:"reason" maxLength:"32" doc:"One of /meta/reasons"`
	ErrCode int    `query:"errcode" doc:"The platform's"`
}

func (a *API) dripWho(ctx context.Context, c *Call, in *whoIn) (*pageOut[DeliveryView], error) {
	from, to, err := in.days(c.Account.Policy)
	if err != nil {
		return nil, err
	}
	reason, err := reasonOf(in.Reason)
	if err != nil {
		return nil, err
	}
	return walked(c, in.PageParams, func(o walk.Options) (walk.Page[*deliveries.Delivery], error) {
		return a.o.Campaigns.Who(ctx, c.Account.ID, in.Drip, campaigns.WhoQuery{
			Version: in.Version, StepNo: in.Step, Outcome: in.Outcome, Reason: reason, ErrCode: in.ErrCode, From: from, To: to, After: o.After, Limit: o.Limit,
		})
	}, func(d *deliveries.Delivery) DeliveryView { return showDelivery(d, c.Lang) })
}

// lostView is what one rule cost.
type lostView struct {
	Reason   string     `json:"reason"`
	Words    string     `json:"words"`
	Setting  string     `json:"setting,omitempty" doc:"The rule as it is set now"`
	Messages int64      `json:"messages"`
	Steps    int64      `json:"steps" doc:"How many times a fan missed a step from its beginning"`
	Days     []lostDay  `json:"days" nullable:"false"`
	Places   []lostStep `json:"places" nullable:"false" doc:"The most expensive first"`
}

type (
	lostDay struct {
		Day      string `json:"day" example:"2026-10-01"`
		Messages int64  `json:"messages"`
	}
	lostStep struct {
		DripID   int64 `json:"drip_id"`
		Version  int   `json:"version"`
		StepNo   int   `json:"step_no"`
		Messages int64 `json:"messages"`
	}
	lostIn struct {
		DayParams
		Drip int64 `query:"drip" minimum:"0" doc:"Only of this drip"`
	}
	lostOut struct {
		Body struct {
			Items []lostView `json:"items" nullable:"false" doc:"The most expensive first"`
		}
	}
)

func (a *API) lostReach(ctx context.Context, c *Call, in *lostIn) (*lostOut, error) {
	from, to, err := in.days(c.Account.Policy)
	if err != nil {
		return nil, err
	}
	found, err := a.o.Campaigns.LostReach(ctx, c.Account, campaigns.LostQuery{DripID: in.Drip, From: from, To: to})
	if err != nil {
		return nil, err
	}
	out := &lostOut{}
	out.Body.Items = make([]lostView, len(found))
	for i := range found {
		out.Body.Items[i] = showLost(c, &found[i])
	}
	return out, nil
}

func showLost(c *Call, r *campaigns.LostReason) lostView {
	out := lostView{
		Reason: r.Reason.String(), Words: deliveries.ReasonWords(r.Reason, c.Lang), Setting: r.Setting.In(c.Lang), Messages: r.Messages, Steps: r.Steps,
		Days: make([]lostDay, len(r.Days)), Places: make([]lostStep, len(r.Places)),
	}
	for i, d := range r.Days {
		out.Days[i] = lostDay{Day: c.Account.Policy.DayStart(d.Day).Format(time.DateOnly), Messages: d.Messages}
	}
	for i, p := range r.Places {
		out.Places[i] = lostStep(p)
	}
	return out
}
