package admin

import (
	"context"
	"net/http"
	"time"

	"hongyan/accounts"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// checkTimeout is above what a check's calls may take together.
const checkTimeout = time.Minute

// findingView is one thing that a check found.
type findingView struct {
	Code     accounts.FindingCode `json:"code"`
	Severity accounts.Severity    `json:"severity" enum:"ok,warning,error"`
	What     string               `json:"what" doc:"What was found, in words"`
	Do       string               `json:"do,omitempty" doc:"What to do about it"`
	Values   map[string]string    `json:"values,omitempty"`
	ErrCode  int                  `json:"errcode,omitempty" doc:"Of WeChat"`
	RID      string               `json:"rid,omitempty" doc:"WeChat's request id, for its support"`
}

// checkView is the outcome of a check.
type checkView struct {
	StartedAt int64             `json:"started_at"`
	EndedAt   int64             `json:"ended_at"`
	Severity  accounts.Severity `json:"severity" enum:"ok,warning,error" doc:"Of the worst finding"`
	Findings  []findingView     `json:"findings" nullable:"false" doc:"Errors first"`
}

type checkOut struct{ Body checkView }

// rightView is whether an account may use a part of the platform.
type rightView struct {
	Capability accounts.Capability `json:"capability"`
	Name       string              `json:"name" doc:"In words"`
	Permission accounts.Permission `json:"permission" enum:"allowed,not_allowed,unknown"`
	Source     accounts.Source     `json:"source" enum:"type,permission_sets,answer,send" doc:"How it is known"`
	ErrCode    int                 `json:"errcode,omitempty" doc:"WeChat's refusal that says so"`
	Since      int64               `json:"since,omitempty" doc:"Known without a change since then"`
}

type rightsOut struct {
	Body struct {
		Items []rightView `json:"items" nullable:"false"`
	}
}

func (a *API) checkOps() {
	register(a, Op{
		ID: "list-capabilities", Method: http.MethodGet, Path: inAccount + "/capabilities", Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出接口权限", EN: "List what an account may use of the platform"},
		Details: "As the last check found it; before the first check, as the account's kind lets expect.",
	}, a.listCapabilities)
	register(a, Op{
		ID: "get-check", Method: http.MethodGet, Path: inAccount + "/check", Tag: tagAccounts, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看最近一次自检", EN: "Show the last check"},
	}, func(ctx context.Context, c *Call, _ *none) (*checkOut, error) {
		report, err := a.o.Checks.LastCheck(ctx, c.Account.ID)
		if err != nil {
			return nil, err
		}
		return showCheck(report, c.Lang), nil
	})
	register(a, Op{
		ID: "run-check", Method: http.MethodPost, Path: inAccount + "/check", Tag: tagAccounts, Scope: ScopeWrite, Timeout: checkTimeout,
		Summary: lang.Text{ZH: "运行自检", EN: "Check an account now: its secret, callback, rights and quotas"},
	}, func(ctx context.Context, c *Call, _ *none) (*checkOut, error) {
		report, err := a.o.Checks.Check(ctx, c.Account)
		if err != nil {
			return nil, err
		}
		return showCheck(report, c.Lang), nil
	})
}

func showCheck(r *accounts.Report, l lang.Lang) *checkOut {
	out := checkView{StartedAt: r.StartedAt, EndedAt: r.EndedAt, Severity: r.Worst(), Findings: make([]findingView, len(r.Findings))}
	for i, f := range r.Findings {
		out.Findings[i] = findingView{
			Code: f.Code, Severity: f.Severity, What: f.What().In(l), Do: f.Do().In(l), Values: f.Values, ErrCode: f.ErrCode, RID: f.RID,
		}
	}
	return &checkOut{Body: out}
}

func (a *API) listCapabilities(ctx context.Context, c *Call, _ *none) (*rightsOut, error) {
	var rights accounts.Rights
	report, err := a.o.Checks.LastCheck(ctx, c.Account.ID)
	switch {
	case err == nil:
		rights = report.Rights
	case !fault.Is(err, fault.NotFound):
		return nil, err
	default:
		for _, may := range c.Account.Capabilities() {
			rights = append(rights, accounts.Right{Capability: may, Permission: accounts.Allowed, Source: accounts.ByType})
		}
	}
	out := &rightsOut{}
	out.Body.Items = make([]rightView, len(rights))
	for i, r := range rights {
		out.Body.Items[i] = rightView{
			Capability: r.Capability, Name: r.Capability.Text().In(c.Lang), Permission: r.Permission, Source: r.Source, ErrCode: r.ErrCode, Since: r.Since,
		}
	}
	return out, nil
}
