package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
)

// forecastTimeout bounds a forecast: it goes through every fan of its audience.
const forecastTimeout = 3 * time.Minute

// forecastView is what would become of a drip.
type forecastView struct {
	Audience campaigns.Audience `json:"audience" enum:"fans,week,shadow"`
	From     int64              `json:"from"`
	Until    int64              `json:"until" doc:"What is not over by then counts as waiting"`
	Fans     int64              `json:"fans" doc:"Who were looked at"`
	Entered  int64              `json:"entered" doc:"Of them, who would enter"`
	Reached  int64              `json:"reached" doc:"Of them, to whom at least one message would go"`
	Report   reportView         `json:"report"`
	Days     []forecastDay      `json:"days" nullable:"false"`
	Lost     []lostView         `json:"lost" nullable:"false" doc:"What each rule costs, the most expensive first"`
	WhatIf   []whatIfView       `json:"what_if" nullable:"false"`
	// Both count in report as what becomes of them after the wait.
	RateHeld   heldView `json:"rate_held" doc:"Messages of the drip that wait because the account's rate or its calls in flight are used up"`
	BudgetHeld heldView `json:"budget_held" doc:"Messages that are due when the platform's daily budget of customer-service messages is used up: they wait for the next Beijing day or, if they cannot, are skipped as api_budget"`
}

type (
	heldView struct {
		Messages int64 `json:"messages"`
		Until    int64 `json:"until,omitempty" doc:"The last moment to which one was put off"`
	}
	forecastDay struct {
		Day     string `json:"day" example:"2026-10-01"`
		Entered int64  `json:"entered"`
		Sent    int64  `json:"sent"`
		Stopped int64  `json:"stopped" doc:"Messages that are due and do not go"`
	}
	// ruleChange is a rule as it might be.
	ruleChange struct {
		Rule  string `json:"rule" enum:"daily_cap,weekly_cap,monthly_cap,drip_daily_cap,drip_weekly_cap,drip_monthly_cap,gap_minutes,hold_for_agents,quiet_hours"`
		Value *int   `json:"value,omitempty" doc:"None: without the rule"`
	}
	whatIfView struct {
		ruleChange
		Sent        int64 `json:"sent"`
		SentMore    int64 `json:"sent_more" doc:"Than under the rules as they are; negative for fewer"`
		Reached     int64 `json:"reached"`
		ReachedMore int64 `json:"reached_more"`
	}
	// forecastOut is a forecast, or the job that makes it.
	forecastOut struct {
		Status int
		Body   struct {
			Forecast *forecastView `json:"forecast,omitempty"`
			Job      *jobView      `json:"job,omitempty" doc:"The audience is large: when this has finished, get-forecast shows the forecast"`
		}
	}
	madeForecastOut struct{ Body forecastView }
)

func showForecast(c *Call, f *campaigns.Forecast) forecastView {
	out := forecastView{
		Audience: f.Audience, From: f.From, Until: f.Until, Fans: f.Fans, Entered: f.Entered, Reached: f.Reached, Report: showReport(&f.Report, c.Lang),
		RateHeld: heldView(f.RateHeld), BudgetHeld: heldView(f.BudgetHeld), Days: make([]forecastDay, len(f.Days)), Lost: make([]lostView, len(f.Lost)), WhatIf: make([]whatIfView, len(f.WhatIf)),
	}
	for i, d := range f.Days {
		out.Days[i] = forecastDay{Day: c.Account.Policy.DayStart(d.Day).Format(time.DateOnly), Entered: d.Entered, Sent: d.Sent, Stopped: d.Stopped}
	}
	for i := range f.Lost {
		out.Lost[i] = showLost(c, &f.Lost[i])
	}
	for i, w := range f.WhatIf {
		out.WhatIf[i] = whatIfView{ruleChange{w.Rule, w.Value}, w.Sent, w.SentMore, w.Reached, w.ReachedMore}
	}
	return out
}

func (a *API) dripForecastOps() {
	const details = "Audience fans: the fans of today all set off a trigger. Audience week: those who did something in the last seven days do it again. " +
		"Nothing is sent or stored. It decides by the same code as sending does, with what the fans may be sent now and beside the other running drips, " +
		"at the account's rate and within the daily budget of customer-service messages. The platform is assumed to accept everything. Of more than 5,000 fans a job makes it."
	register(a, Op{
		ID: "forecast-definition", Method: http.MethodPost, Path: inAccount + "/drips/forecast", Tag: tagDrips, Scope: ScopeRead, Timeout: forecastTimeout,
		Summary: lang.Text{ZH: "预测未保存的定义", EN: "Forecast a drip that does not exist yet"}, Details: details,
	}, func(ctx context.Context, c *Call, in *forecastNewIn) (*forecastOut, error) {
		q := in.Body.query()
		q.Definition = in.Body.Definition
		return a.forecast(ctx, c, q)
	})
	register(a, Op{
		ID: "forecast-drip", Method: http.MethodPost, Path: dripPath + "/forecast", Tag: tagDrips, Scope: ScopeRead, Timeout: forecastTimeout,
		Summary: lang.Text{ZH: "预测效果", EN: "Forecast what would become of a drip, and what other rules would change"}, Details: details,
	}, func(ctx context.Context, c *Call, in *forecastIn) (*forecastOut, error) {
		q := in.Body.query()
		q.DripID, q.Definition = in.Drip, in.Body.Definition
		return a.forecast(ctx, c, q)
	})
	register(a, Op{
		ID: "get-forecast", Method: http.MethodGet, Path: inAccount + "/jobs/{job}/forecast", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看长任务做出的预测", EN: "Show the forecast that a job has made"},
	}, a.madeForecast)
	a.dripShadowOps()
}

// ForecastParams are what every forecast asks.
type ForecastParams struct {
	Audience campaigns.Audience `json:"audience" enum:"fans,week"`
	At       int64              `json:"at,omitempty" minimum:"0" doc:"fans: when they set the trigger off, unix ms; none: now"`
	OverDay  bool               `json:"over_day,omitempty" doc:"fans: one after another over 24 hours, instead of all at once"`
	Trigger  int                `json:"trigger,omitempty" minimum:"0" doc:"fans: index of the trigger in the definition"`
	Tag      int64              `json:"tag,omitempty" minimum:"0" doc:"Only fans who have this tag"`
	Days     int                `json:"days,omitempty" minimum:"0" maximum:"30" doc:"How long each fan is followed; none: 7"`
	WhatIf   []ruleChange       `json:"what_if,omitempty" maxItems:"8" doc:"One rule changed at a time, the others as they are"`
}

func (p *ForecastParams) query() campaigns.ForecastQuery {
	q := campaigns.ForecastQuery{Audience: p.Audience, At: p.At, OverDay: p.OverDay, Trigger: p.Trigger, TagID: p.Tag, Days: p.Days}
	for _, w := range p.WhatIf {
		q.WhatIf = append(q.WhatIf, campaigns.RuleChange{Rule: w.Rule, Value: w.Value})
	}
	return q
}

type forecastNewIn struct {
	Body struct {
		ForecastParams
		Definition json.RawMessage `json:"definition"`
	}
}

type forecastIn struct {
	Drip int64 `path:"drip"`
	Body struct {
		ForecastParams
		Definition json.RawMessage `json:"definition,omitempty" doc:"Instead of what the drip says now"`
	}
}

func (a *API) forecast(ctx context.Context, c *Call, q campaigns.ForecastQuery) (*forecastOut, error) {
	out, err := a.forecastOrJob(ctx, c, q, a.o.Campaigns.Forecast)
	if err != nil {
		return nil, inDefinition(err, "audience", "at", "trigger", "tag", "days", "what_if")
	}
	return out, nil
}

// forecastOrJob makes a forecast of few fans, and has a job make one of many.
func (a *API) forecastOrJob(ctx context.Context, c *Call, q campaigns.ForecastQuery,
	now func(context.Context, *accounts.Account, campaigns.ForecastQuery) (*campaigns.Forecast, error),
) (*forecastOut, error) {
	few, err := a.o.Campaigns.FewToForecast(ctx, c.Account.ID, q)
	if err != nil {
		return nil, err
	}
	out := &forecastOut{Status: http.StatusOK}
	if few {
		f, err := now(ctx, c.Account, q)
		if err != nil {
			return nil, err
		}
		view := showForecast(c, f)
		out.Body.Forecast = &view
		return out, nil
	}
	job, err := a.o.Campaigns.NewForecasting(ctx, c.Account, q)
	if err != nil {
		return nil, err
	}
	if err := a.o.Jobs.Create(ctx, job); err != nil {
		return nil, err
	}
	view := showJob(job, c.Lang)
	out.Status, out.Body.Job = http.StatusAccepted, &view
	return out, nil
}

// madeForecast shows what a job has made.
func (a *API) madeForecast(ctx context.Context, c *Call, in *jobIn) (*madeForecastOut, error) {
	j, err := a.o.Jobs.FindJob(ctx, c.Account.ID, in.Job)
	if err != nil {
		return nil, err
	}
	if j.Kind != campaigns.ForecastKind || j.State != jobs.StateFinished {
		return nil, fault.New(fault.Conflict, "job %d has made no forecast; see its kind and state", j.ID)
	}
	var raw bytes.Buffer
	if err := a.o.Jobs.WriteResult(ctx, c.Account.ID, j.ID, &raw); err != nil {
		return nil, err
	}
	f, err := campaigns.ReadForecast(raw.Bytes())
	if err != nil {
		return nil, err
	}
	return &madeForecastOut{Body: showForecast(c, f)}, nil
}

func (a *API) dripShadowOps() {
	register(a, Op{
		ID: "start-shadow", Method: http.MethodPost, Path: dripPath + "/shadow", Tag: tagDrips, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "开始影子模式", EN: "Begin the shadow mode of a draft: decide about what fans really do, send nothing"},
		Details: "Begun anew, it forgets what was before. A report covers at most seven days.",
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		return a.o.Campaigns.StartShadow(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id})
	}))
	register(a, Op{
		ID: "end-shadow", Method: http.MethodDelete, Path: dripPath + "/shadow", Tag: tagDrips, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "结束影子模式", EN: "End the shadow mode"},
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		return a.o.Campaigns.EndShadow(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id})
	}))
	register(a, Op{
		ID: "report-shadow", Method: http.MethodPost, Path: dripPath + "/shadow/report", Tag: tagDrips, Scope: ScopeRead, Timeout: forecastTimeout,
		Summary: lang.Text{ZH: "影子模式报表", EN: "Report what a draft in shadow mode would have decided"},
		Details: "Of a large account a job makes it.",
	}, func(ctx context.Context, c *Call, in *dripIn) (*forecastOut, error) {
		q := campaigns.ForecastQuery{DripID: in.Drip, Audience: campaigns.AudienceShadow}
		return a.forecastOrJob(ctx, c, q, func(ctx context.Context, account *accounts.Account, q campaigns.ForecastQuery) (*campaigns.Forecast, error) {
			return a.o.Campaigns.ShadowReport(ctx, account, q.DripID)
		})
	})
	register(a, Op{
		ID: "list-shadow-decisions", Method: http.MethodGet, Path: dripPath + "/shadow/decisions", Tag: tagDrips, Scope: ScopeRead, Timeout: forecastTimeout,
		Summary: lang.Text{ZH: "影子模式的逐条判定", EN: "List the decisions of the shadow mode, by fan"},
		Details: shortPages,
	}, a.shadowDecisions)
}

// shadowView is what the shadow mode decided about one message to one fan.
type shadowView struct {
	FanID       int64  `json:"fan_id"`
	Occurrence  int64  `json:"occurrence" doc:"Of the fan's runs, from 1"`
	StepNo      int    `json:"step_no"`
	MessageNo   int    `json:"message_no"`
	State       string `json:"state" enum:"planned,sent,skipped,expired,cancelled" doc:"sent: it would have been"`
	Reason      string `json:"reason"`
	ReasonWords string `json:"reason_words,omitempty"`
	DueAt       int64  `json:"due_at"`
	DecidedAt   int64  `json:"decided_at,omitempty"`
}

type shadowIn struct {
	Drip int64 `path:"drip"`
	PageParams
	Step    int    `query:"step" minimum:"0" doc:"Only of this step"`
	Outcome string `query:"outcome" enum:"planned,sent,skipped,expired,cancelled"`
	Reason  string `query:"reason" maxLength:"32" doc:"One of /meta/reasons"`
	Fan     int64  `query:"fan" minimum:"0" doc:"Only about this fan"`
}

func (a *API) shadowDecisions(ctx context.Context, c *Call, in *shadowIn) (*pageOut[shadowView], error) {
	reason, err := reasonOf(in.Reason)
	if err != nil {
		return nil, err
	}
	return walked(c, in.PageParams, func(o walk.Options) (walk.Page[campaigns.ShadowDecision], error) {
		return a.o.Campaigns.ShadowWho(ctx, c.Account, in.Drip, campaigns.ShadowWhoQuery{
			StepNo: in.Step, State: stateOf(in.Outcome), Reason: reason, FanID: in.Fan, After: o.After, Limit: o.Limit,
		})
	}, func(d campaigns.ShadowDecision) shadowView { return showShadow(&d, c.Lang) })
}

func showShadow(d *campaigns.ShadowDecision, l lang.Lang) shadowView {
	out := shadowView{
		FanID: d.FanID, Occurrence: d.Occurrence, StepNo: d.StepNo, MessageNo: d.MessageNo, State: d.State.String(), Reason: d.Reason.String(), DueAt: d.DueAt, DecidedAt: d.DecidedAt,
	}
	if d.Reason != guard.ReasonNone {
		out.ReasonWords = deliveries.ReasonWords(d.Reason, l)
	}
	return out
}
