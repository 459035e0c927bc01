package admin

import (
	"context"
	"net/http"

	"hongyan/campaigns"
	"hongyan/internal/lang"
)

func (a *API) dripStateOps() {
	register(a, Op{
		ID: "start-drip", Method: http.MethodPost, Path: dripPath + "/start", Tag: tagDrips, Scope: ScopeSend, Sends: true,
		Summary: lang.Text{ZH: "启动", EN: "Start a draft: from now on fans enter"},
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		return a.o.Campaigns.StartDrip(ctx, c.Account, campaigns.Change{ID: id})
	}))
	register(a, Op{
		ID: "pause-drip", Method: http.MethodPost, Path: dripPath + "/pause", Tag: tagDrips, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "暂停", EN: "Pause: nobody enters and nothing goes out; fans keep their places"},
		Details: "The answer comes when all processes have stopped.",
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		_, err := a.o.Campaigns.PauseDrip(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id})
		return err
	}))
	register(a, Op{
		ID: "resume-drip", Method: http.MethodPost, Path: dripPath + "/resume", Tag: tagDrips, Scope: ScopeSend, Sends: true,
		Summary: lang.Text{ZH: "继续", EN: "Let a paused drip go on; what has become too late is skipped"},
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		return a.o.Campaigns.ResumeDrip(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id})
	}))
	register(a, Op{
		ID: "stop-drip", Method: http.MethodPost, Path: dripPath + "/stop", Tag: tagDrips, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "停止（不可恢复）", EN: "Stop for good: what was planned is cancelled, all runs end"},
	}, a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
		_, err := a.o.Campaigns.StopDrip(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id})
		return err
	}))
	a.dripArchiveOps()
	register(a, Op{
		ID: "clone-drip", Method: http.MethodPost, Path: dripPath + "/clone", Tag: tagDrips, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "复制为新草稿", EN: "Make a new draft that says the same"},
	}, a.cloneDrip)
	register(a, Op{
		ID: "test-drip", Method: http.MethodPost, Path: dripPath + "/test", Tag: tagDrips, Scope: ScopeSend, Sends: true, Status: http.StatusAccepted,
		Summary: lang.Text{ZH: "测试发送给指定粉丝", EN: "Send a drip's messages to named fans now"},
		Details: "They go the way of every delivery: the guard decides and grants are used up. Delays, conditions, caps and quiet hours do not count. " +
			"See list-deliveries with source_kind=test and the drip's id as source for what became of them.",
	}, a.testDrip)
}

func (a *API) dripArchiveOps() {
	archive := func(change func(context.Context, campaigns.Change) error) func(context.Context, *Call, *dripIn) (*dripOut, error) {
		return a.changesDrip(func(ctx context.Context, c *Call, id int64) error {
			return c.Edit(ctx, func(ctx context.Context, revision int64) error {
				return change(ctx, campaigns.Change{AccountID: c.Account.ID, ID: id, Revision: revision})
			}, func(ctx context.Context) (int64, error) { return a.dripRevision(ctx, c, id) })
		})
	}
	register(a, Op{
		ID: "archive-drip", Method: http.MethodPost, Path: dripPath + "/archive", Tag: tagDrips, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "归档", EN: "Put a drip away that is not going on; its figures stay"},
	}, archive(a.o.Campaigns.ArchiveDrip))
	register(a, Op{
		ID: "restore-drip", Method: http.MethodPost, Path: dripPath + "/restore", Tag: tagDrips, Scope: ScopeWrite, Edits: true,
		Summary: lang.Text{ZH: "取消归档", EN: "Take a drip out of the archive"},
	}, archive(a.o.Campaigns.RestoreDrip))
}

// changesDrip is a handler that changes a drip's state and shows it afterwards.
func (a *API) changesDrip(change func(context.Context, *Call, int64) error) func(context.Context, *Call, *dripIn) (*dripOut, error) {
	return func(ctx context.Context, c *Call, in *dripIn) (*dripOut, error) {
		if err := change(ctx, c, in.Drip); err != nil {
			return nil, inDefinition(err)
		}
		d, err := a.o.Campaigns.FindDrip(ctx, c.Account.ID, in.Drip)
		if err != nil {
			return nil, err
		}
		return a.dripAnswer(c, d)
	}
}

type cloneDripIn struct {
	Drip int64 `path:"drip"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"128"`
	}
}

func (a *API) cloneDrip(ctx context.Context, c *Call, in *cloneDripIn) (*dripOut, error) {
	d, err := a.o.Campaigns.CloneDrip(ctx, c.Account, in.Drip, in.Body.Name)
	if err != nil {
		return nil, inDefinition(err)
	}
	return a.dripAnswer(c, d)
}

type testDripIn struct {
	Drip int64 `path:"drip"`
	Body struct {
		Fans []int64 `json:"fans" minItems:"1" maxItems:"20"`
		Step int     `json:"step,omitempty" minimum:"0" doc:"Only this step's messages; none: all, in their order"`
	}
}

type testDripOut struct {
	Body struct {
		Planned int `json:"planned" doc:"Messages put into the ledger"`
	}
}

func (a *API) testDrip(ctx context.Context, c *Call, in *testDripIn) (*testDripOut, error) {
	key := c.By.key() + ":" + c.Key
	n, err := a.o.Campaigns.SendTest(ctx, c.Account, in.Drip, campaigns.TestSend{FanIDs: in.Body.Fans, StepNo: in.Body.Step, Key: key})
	if err != nil {
		return nil, err
	}
	out := &testDripOut{}
	out.Body.Planned = n
	return out, nil
}
