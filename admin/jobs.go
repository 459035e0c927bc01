package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/lang"
)

const (
	tagJobs = "Jobs"
	// downloadTimeout bounds the download of a result, however slow the line.
	downloadTimeout = 10 * time.Minute
)

// jobView is a piece of long work.
type jobView struct {
	ID        int64      `json:"id"`
	Kind      string     `json:"kind"`
	State     jobs.State `json:"state" enum:"waiting,running,paused,finished,failed,cancelled"`
	Words     string     `json:"state_words"`
	Done      int64      `json:"done" doc:"Items"`
	Failed    int64      `json:"failed" doc:"Of them, those that failed by themselves: see the result"`
	Total     int64      `json:"total" doc:"Items in all; -1 while that is unknown"`
	Tries     int        `json:"tries" doc:"In a row that failed"`
	Error     string     `json:"error,omitempty" doc:"What the last try failed of"`
	CreatedAt int64      `json:"created_at"`
	StartedAt int64      `json:"started_at,omitempty"`
	EndedAt   int64      `json:"ended_at,omitempty"`
}

var jobStateWords = map[jobs.State]lang.Text{
	jobs.StateWaiting:   {ZH: "等待执行", EN: "waiting"},
	jobs.StateRunning:   {ZH: "执行中", EN: "running"},
	jobs.StatePaused:    {ZH: "已暂停", EN: "paused"},
	jobs.StateFinished:  {ZH: "已完成", EN: "finished"},
	jobs.StateFailed:    {ZH: "失败", EN: "failed"},
	jobs.StateCancelled: {ZH: "已取消", EN: "cancelled"},
}

func showJob(j *jobs.Job, l lang.Lang) jobView {
	return jobView{
		ID: j.ID, Kind: j.Kind, State: j.State, Words: jobStateWords[j.State].In(l), Done: j.Done, Failed: j.Failed, Total: j.Total, Tries: j.Tries, Error: j.Error,
		CreatedAt: j.CreatedAt, StartedAt: j.StartedAt, EndedAt: j.EndedAt,
	}
}

type jobOut struct{ Body jobView }

type jobIn struct {
	Job int64 `path:"job"`
}

type listJobsIn struct {
	PageParams
	Kind  string     `query:"kind" maxLength:"32" doc:"Only jobs of this kind" example:"fans.sync"`
	State jobs.State `query:"state" enum:"waiting,running,paused,finished,failed,cancelled" doc:"Only jobs in this state"`
}

func (a *API) jobOps() {
	register(a, Op{
		ID: "list-jobs", Method: http.MethodGet, Path: inAccount + "/jobs", Tag: tagJobs, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出长任务", EN: "List the jobs of an account, newest first"},
	}, a.listJobs)
	register(a, Op{
		ID: "get-job", Method: http.MethodGet, Path: inAccount + "/jobs/{job}", Tag: tagJobs, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看长任务的进度", EN: "Show how far a job has come"},
	}, func(ctx context.Context, c *Call, in *jobIn) (*jobOut, error) { return a.findJob(ctx, c, in.Job) })
	register(a, Op{
		ID: "download-job-result", Method: http.MethodGet, Path: inAccount + "/jobs/{job}/result", Tag: tagJobs, Scope: ScopeRead,
		Summary: lang.Text{ZH: "下载长任务的结果", EN: "Download the result file of a job, as far as it has come: CSV in UTF-8"},
		Content: "text/csv",
	}, a.downloadJob)
	for _, change := range []struct {
		id      string
		summary lang.Text
		do      func(ctx context.Context, accountID, id int64) error
	}{
		{"pause", lang.Text{ZH: "暂停长任务", EN: "Pause a job before its next step"}, a.o.Jobs.Pause},
		{"resume", lang.Text{ZH: "继续长任务", EN: "Let a paused job go on where it was"}, a.o.Jobs.Resume},
		{"cancel", lang.Text{ZH: "取消长任务", EN: "Cancel a job; what it has done stays done"}, a.o.Jobs.Cancel},
	} {
		register(a, Op{
			ID: change.id + "-job", Method: http.MethodPost, Path: inAccount + "/jobs/{job}/" + change.id, Tag: tagJobs, Scope: ScopeWrite, Summary: change.summary,
		}, func(ctx context.Context, c *Call, in *jobIn) (*jobOut, error) {
			if err := change.do(ctx, c.Account.ID, in.Job); err != nil {
				return nil, err
			}
			return a.findJob(ctx, c, in.Job)
		})
	}
	a.jobStarts()
}

func (a *API) listJobs(ctx context.Context, c *Call, in *listJobsIn) (*pageOut[jobView], error) {
	return paged(c, in.PageParams, func(after *int64, n int) ([]jobs.Job, error) {
		f := jobs.Filter{AccountID: c.Account.ID, Kind: in.Kind, State: in.State}
		if after != nil {
			f.Before = *after
		}
		return a.o.Jobs.FindJobs(ctx, f, n)
	}, func(j *jobs.Job) int64 { return j.ID }, func(j *jobs.Job) jobView { return showJob(j, c.Lang) })
}

func (a *API) findJob(ctx context.Context, c *Call, id int64) (*jobOut, error) {
	j, err := a.o.Jobs.FindJob(ctx, c.Account.ID, id)
	if err != nil {
		return nil, err
	}
	return &jobOut{Body: showJob(j, c.Lang)}, nil
}

type downloadOut struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        func(huma.Context)
}

// downloadJob streams a result, which may be larger than what should be in memory at once. A stream that is cut short ends in an error at the reader's.
func (a *API) downloadJob(ctx context.Context, c *Call, in *jobIn) (*downloadOut, error) {
	j, err := a.o.Jobs.FindJob(ctx, c.Account.ID, in.Job)
	if err != nil {
		return nil, err
	}
	account := c.Account.ID
	return &downloadOut{
		ContentType: "text/csv; charset=utf-8", Disposition: fmt.Sprintf("attachment; filename=%q", fmt.Sprintf("job-%d.csv", j.ID)),
		Body: func(web huma.Context) {
			out, in := io.Pipe()
			go func() {
				// The handler's context ends before the body has been read.
				sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), downloadTimeout)
				defer cancel()
				in.CloseWithError(a.o.Jobs.WriteResult(sending, account, j.ID, in))
			}()
			fiberOf(web).Context().SetBodyStream(out, -1)
		},
	}, nil
}

// fiberOf is the request as Fiber has it.
func fiberOf(ctx huma.Context) *fiber.Ctx { return humafiber.Unwrap(ctx) }

type blacklistJobIn struct {
	Body struct {
		On     bool    `json:"on" doc:"Put them on the blacklist, or take them off"`
		FanIDs []int64 `json:"fan_ids" minItems:"1" maxItems:"100000"`
	}
}

type tagJobIn struct {
	Body struct {
		TagID   int64   `json:"tag_id" minimum:"1"`
		Remove  bool    `json:"remove,omitempty"`
		FanIDs  []int64 `json:"fan_ids,omitempty" maxItems:"100000"`
		WithTag int64   `json:"with_tag,omitempty" minimum:"0" doc:"Everybody who has this tag"`
		All     bool    `json:"all,omitempty" doc:"Everybody who follows"`
	}
}

type eraseJobIn struct {
	Body struct {
		AppID string `json:"appid" maxLength:"32" doc:"The account's AppID, so that nobody erases the wrong account's fans"`
	}
}

func (a *API) jobStarts() {
	start := func(id, path string, summary lang.Text) Op {
		return Op{ID: "start-" + id, Method: http.MethodPost, Path: inAccount + "/jobs/" + path, Tag: tagJobs, Scope: ScopeWrite, Status: http.StatusAccepted, Summary: summary}
	}
	register(a, start("fans-sync", "fans-sync", lang.Text{ZH: "同步粉丝", EN: "Make our fans those of the platform"}),
		func(ctx context.Context, c *Call, _ *none) (*jobOut, error) {
			return a.startJob(ctx, c, fans.NewSync(c.Account.ID))
		})
	register(a, start("tags-sync", "tags-sync", lang.Text{ZH: "同步标签", EN: "Make our tags those of the platform"}),
		func(ctx context.Context, c *Call, _ *none) (*jobOut, error) {
			return a.startJob(ctx, c, &jobs.Job{AccountID: c.Account.ID, Kind: fans.TagsSyncKind})
		})
	register(a, start("blacklisting", "blacklist", lang.Text{ZH: "批量拉黑或移出黑名单", EN: "Put many fans on the blacklist, or take them off"}),
		func(ctx context.Context, c *Call, in *blacklistJobIn) (*jobOut, error) {
			j, err := fans.NewBlacklisting(c.Account.ID, in.Body.On, in.Body.FanIDs)
			if err != nil {
				return nil, err
			}
			return a.startJob(ctx, c, j)
		})
	register(a, start("tagging", "tag", lang.Text{ZH: "批量打标签或去标签", EN: "Give a tag to many fans, or take it from them"}), a.startTagging)
	register(a, start("figures-recount", "recount-figures", lang.Text{ZH: "重新计算并更正统计数据", EN: "Count the days before today again, and correct the figures; the result names what differed"}),
		func(ctx context.Context, c *Call, _ *none) (*jobOut, error) {
			return a.startJob(ctx, c, &jobs.Job{AccountID: c.Account.ID, Kind: campaigns.RecountKind})
		})
	register(a, start("erasure", "erase-fans", lang.Text{ZH: "删除全部粉丝数据", EN: "Erase all fans of an account; the counts stay"}), a.startErasure)
}

func (a *API) startJob(ctx context.Context, c *Call, j *jobs.Job) (*jobOut, error) {
	if err := a.o.Jobs.Create(ctx, j); err != nil {
		return nil, err
	}
	return &jobOut{Body: showJob(j, c.Lang)}, nil
}

func (a *API) startTagging(ctx context.Context, c *Call, in *tagJobIn) (*jobOut, error) {
	b := in.Body
	j, err := fans.NewTagJob(c.Account.ID, fans.TagJob{TagID: b.TagID, Remove: b.Remove, FanIDs: b.FanIDs, WithTag: b.WithTag, All: b.All})
	if err != nil {
		return nil, err
	}
	for _, tag := range []int64{b.TagID, b.WithTag} {
		if tag == 0 {
			continue
		}
		if _, err := a.o.Fans.FindTag(ctx, c.Account.ID, tag); err != nil {
			return nil, err
		}
	}
	return a.startJob(ctx, c, j)
}

func (a *API) startErasure(ctx context.Context, c *Call, in *eraseJobIn) (*jobOut, error) {
	if in.Body.AppID != c.Account.AppID {
		return nil, fault.BadField("appid", "confirm", "this is not the account's AppID; give it to confirm that all its fans are to be erased")
	}
	return a.startJob(ctx, c, &jobs.Job{AccountID: c.Account.ID, Kind: fans.EraseAllKind})
}
