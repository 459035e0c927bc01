package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"hongyan/campaigns"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

const (
	tagDrips = "Drips"
	dripPath = inAccount + "/drips/{drip}"
)

// DripRowView is a drip in a list.
type DripRowView struct {
	ID            int64           `json:"id"`
	Name          string          `json:"name"`
	State         campaigns.State `json:"state" enum:"draft,running,paused,finished,cancelled"`
	StateWords    string          `json:"state_words"`
	StoppedReason string          `json:"stopped_reason,omitempty" doc:"Why it is paused, if no member did it"`
	Priority      int             `json:"priority" doc:"Of several drips that could answer an act, the highest does"`
	Version       int             `json:"version" doc:"Number of the version that fans enter now, from 1"`
	Revision      int64           `json:"revision" doc:"What the ETag is made of"`
	CreatedAt     int64           `json:"created_at"`
	UpdatedAt     int64           `json:"updated_at"`
	ArchivedAt    int64           `json:"archived_at,omitempty"`
	ShadowSince   int64           `json:"shadow_since,omitempty" doc:"Since when the draft is tried in shadow mode"`
}

// reachView says whether a step can arrive after a trigger.
type reachView struct {
	Trigger int                    `json:"trigger" doc:"Index of the trigger in the definition"`
	Step    int                    `json:"step" doc:"Number of the step, from 1 over the whole tree"`
	Path    string                 `json:"path" example:"steps[2].then[0]"`
	State   campaigns.Reachability `json:"state" enum:"reachable,needs_reply,never"`
	Reason  string                 `json:"reason" doc:"The guard's, one of /meta/reasons; none if it can arrive"`
	Words   string                 `json:"words"`
	Remedy  string                 `json:"remedy,omitempty" doc:"What to change so that it can arrive"`
}

// dripDetail is a drip with what it says.
type dripDetail struct {
	DripRowView
	Definition campaigns.Definition `json:"definition" doc:"See /meta/drip for the kinds"`
	Reaches    []reachView          `json:"reaches" nullable:"false" doc:"Which steps can arrive, by trigger"`
}

func showDripRow(d *campaigns.Drip, l lang.Lang) DripRowView {
	return DripRowView{
		ID: d.ID, Name: d.Name, State: d.State, StateWords: campaigns.StateWords(d.State, l), StoppedReason: d.StoppedReason, Priority: d.Priority, Version: d.Version,
		Revision: d.Revision, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, ArchivedAt: d.ArchivedAt, ShadowSince: d.ShadowSince,
	}
}

func showReaches(reaches []campaigns.Reach, l lang.Lang) []reachView {
	out := make([]reachView, len(reaches))
	for i, r := range reaches {
		out[i] = reachView{
			Trigger: r.Trigger, Step: r.Step, Path: r.Path, State: r.State, Reason: r.Reason,
			Words: lang.Text{ZH: r.Zh, EN: r.En}.In(l), Remedy: lang.Text{ZH: r.RemedyZh, EN: r.RemedyEn}.In(l),
		}
	}
	return out
}

type dripOut struct {
	ETag string `header:"ETag"`
	Body dripDetail
}

type dripIn struct {
	Drip int64 `path:"drip"`
}

// dripAnswer shows a drip, with the reachability of its steps as of now.
func (a *API) dripAnswer(c *Call, d *campaigns.Drip) (*dripOut, error) {
	reaches := d.Reaches
	if reaches == nil {
		var err error
		if reaches, err = campaigns.Reaches(d.Definition, c.Account, a.o.Clock.Now()); err != nil {
			return nil, err
		}
	}
	return &dripOut{ETag: etag(d.Revision), Body: dripDetail{DripRowView: showDripRow(d, c.Lang), Definition: d.Definition, Reaches: showReaches(reaches, c.Lang)}}, nil
}

func (a *API) dripOps() {
	a.dripFieldOps() // before {drip}, which would take its address
	register(a, Op{
		ID: "list-drips", Method: http.MethodGet, Path: inAccount + "/drips", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出智能推送", EN: "List drips, newest first"},
	}, a.listDrips)
	register(a, Op{
		ID: "create-drip", Method: http.MethodPost, Path: inAccount + "/drips", Tag: tagDrips, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "新建智能推送草稿", EN: "Write a drip; it is a draft until it is started"},
		Details: "Everything that is wrong with the definition is told at once, each with its field, and nothing is stored then.",
	}, a.createDrip)
	register(a, Op{
		ID: "check-drip", Method: http.MethodPost, Path: inAccount + "/drips/check", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "检查定义并计算可达性", EN: "Check a definition without storing it, and tell which steps can arrive"},
	}, a.checkDrip)
	register(a, Op{
		ID: "get-drip", Method: http.MethodGet, Path: dripPath, Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看智能推送", EN: "Show a drip"},
	}, func(ctx context.Context, c *Call, in *dripIn) (*dripOut, error) {
		d, err := a.o.Campaigns.FindDrip(ctx, c.Account.ID, in.Drip)
		if err != nil {
			return nil, err
		}
		return a.dripAnswer(c, d)
	})
	register(a, Op{
		ID: "update-drip", Method: http.MethodPatch, Path: dripPath, Tag: tagDrips, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "修改智能推送", EN: "Change a drip"},
		Details: "A new definition becomes a new version: fans who are in the middle of a run keep theirs.",
	}, a.updateDrip)
	a.dripStateOps()
	a.dripVersionOps()
	a.dripReportOps()
	a.dripForecastOps()
}

type listDripsIn struct {
	PageParams
	State    string `query:"state" enum:"draft,running,paused,finished,cancelled"`
	Archived bool   `query:"archived" doc:"The archived ones instead"`
}

func (a *API) listDrips(ctx context.Context, c *Call, in *listDripsIn) (*pageOut[DripRowView], error) {
	read := func(after *int64, n int) ([]*campaigns.Drip, error) {
		filter := campaigns.DripFilter{Archived: in.Archived, Limit: n}
		if in.State != "" {
			filter.States = []campaigns.State{campaigns.State(in.State)}
		}
		if after != nil {
			filter.BeforeID = *after
		}
		return a.o.Campaigns.FindDrips(ctx, c.Account.ID, filter)
	}
	return paged(c, in.PageParams, read, func(d **campaigns.Drip) int64 { return (*d).ID }, func(d **campaigns.Drip) DripRowView { return showDripRow(*d, c.Lang) })
}

type createDripIn struct {
	Body struct {
		Name       string          `json:"name" minLength:"1" maxLength:"128"`
		Priority   int             `json:"priority,omitempty"`
		Definition json.RawMessage `json:"definition" doc:"As get-drip shows it; see /meta/drip for the kinds and /meta/recipes for examples"`
	}
}

func (a *API) createDrip(ctx context.Context, c *Call, in *createDripIn) (*dripOut, error) {
	d, err := a.o.Campaigns.CreateDrip(ctx, c.Account, campaigns.NewDrip{Name: in.Body.Name, Priority: in.Body.Priority, Definition: in.Body.Definition})
	if err != nil {
		return nil, inDefinition(err)
	}
	return a.dripAnswer(c, d)
}

// inDefinition puts the paths of a definition's fields under the body's field that holds it; what is a field of the body itself stays.
func inDefinition(err error, own ...string) error {
	own = append(own, "name", "priority", "definition")
	fields := fault.Fields(err)
	if len(fields) == 0 {
		return err
	}
	out := make([]error, len(fields))
	for i, f := range fields {
		if out[i] = f; !slices.ContainsFunc(own, func(name string) bool { return f.Field == name || strings.HasPrefix(f.Field, name+"[") }) {
			out[i] = fault.Prefix("definition", f)
		}
	}
	return errors.Join(out...)
}

type checkDripIn struct {
	Body struct {
		Definition json.RawMessage `json:"definition"`
	}
}

// warningView is something that a definition may say and that is probably not meant.
type warningView struct {
	Path  string `json:"path" example:"steps[0].messages[0].text.content"`
	Rule  string `json:"rule" enum:"link_variable,link_entity,link_strange,no_links"`
	Words string `json:"words"`
}

type checkDripOut struct {
	Body struct {
		Reaches  []reachView   `json:"reaches" nullable:"false"`
		Warnings []warningView `json:"warnings" nullable:"false" doc:"What is probably not meant; it keeps nothing from being stored"`
	}
}

func (a *API) checkDrip(ctx context.Context, c *Call, in *checkDripIn) (*checkDripOut, error) {
	found, err := a.o.Campaigns.CheckDrip(ctx, c.Account, in.Body.Definition)
	if err != nil {
		return nil, inDefinition(err)
	}
	out := &checkDripOut{}
	out.Body.Reaches, out.Body.Warnings = showReaches(found.Reaches, c.Lang), make([]warningView, len(found.Warnings))
	for i, w := range found.Warnings {
		out.Body.Warnings[i] = warningView{Path: "definition." + w.Path, Rule: w.Rule, Words: w.Words.In(c.Lang)}
	}
	return out, nil
}

type updateDripIn struct {
	Drip int64 `path:"drip"`
	Body struct {
		Name       *string         `json:"name,omitempty" minLength:"1" maxLength:"128"`
		Priority   *int            `json:"priority,omitempty"`
		Definition json.RawMessage `json:"definition,omitempty"`
	}
}

func (a *API) updateDrip(ctx context.Context, c *Call, in *updateDripIn) (*dripOut, error) {
	var d *campaigns.Drip
	err := c.Edit(ctx, func(ctx context.Context, revision int64) (err error) {
		patch := campaigns.DripPatch{Name: in.Body.Name, Priority: in.Body.Priority, Definition: in.Body.Definition}
		d, err = a.o.Campaigns.UpdateDrip(ctx, c.Account, in.Drip, revision, patch)
		return err
	}, func(ctx context.Context) (int64, error) { return a.dripRevision(ctx, c, in.Drip) })
	if err != nil {
		return nil, inDefinition(err)
	}
	return a.dripAnswer(c, d)
}

func (a *API) dripRevision(ctx context.Context, c *Call, id int64) (int64, error) {
	d, err := a.o.Campaigns.FindDrip(ctx, c.Account.ID, id)
	if err != nil {
		return 0, err
	}
	return d.Revision, nil
}
