package admin

import (
	"context"
	"net/http"

	"hongyan/fans"
	"hongyan/internal/lang"
)

// tagView is a tag.
type tagView struct {
	ID        int64  `json:"id"`
	WeChatID  int    `json:"wechat_id,omitempty" doc:"The platform's number; none for a tag that only we know"`
	Name      string `json:"name" doc:"Empty for a tag of the platform of which only the number is known yet"`
	Fans      int64  `json:"fans" doc:"How many have it"`
	CreatedAt int64  `json:"created_at"`
}

func showTag(t **fans.Tag) tagView {
	x := *t
	return tagView{ID: x.ID, WeChatID: x.WeChatID, Name: x.Name, Fans: x.Fans, CreatedAt: x.CreatedAt}
}

type (
	tagIn struct {
		Tag int64 `path:"tag"`
	}
	tagOut     struct{ Body tagView }
	listTagsIn struct{ PageParams }
)

func (a *API) tagOps() {
	register(a, Op{
		ID: "list-tags", Method: http.MethodGet, Path: inAccount + "/tags", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出标签", EN: "List the tags with their counts, oldest first"},
	}, a.listTags)
	register(a, Op{
		ID: "create-tag", Method: http.MethodPost, Path: inAccount + "/tags", Tag: tagFans, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "新建标签", EN: "Make a tag, here alone or at the platform too"},
	}, a.createTag)
	register(a, Op{
		ID: "get-tag", Method: http.MethodGet, Path: inAccount + "/tags/{tag}", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看标签", EN: "Show a tag"},
	}, func(ctx context.Context, c *Call, in *tagIn) (*tagOut, error) { return a.findTag(ctx, c, in.Tag) })
	register(a, Op{
		ID: "rename-tag", Method: http.MethodPatch, Path: inAccount + "/tags/{tag}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "重命名标签", EN: "Rename a tag, at the platform too if it has it"},
	}, a.renameTag)
	register(a, Op{
		ID: "delete-tag", Method: http.MethodDelete, Path: inAccount + "/tags/{tag}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "删除标签", EN: "Delete a tag: its fans have it no more"},
	}, func(ctx context.Context, c *Call, in *tagIn) (*none, error) {
		return &none{}, a.o.Mirror.DeleteTag(ctx, c.Account.ID, in.Tag)
	})
	for _, change := range []struct {
		id, path string
		summary  lang.Text
		do       func(context.Context, int64, fans.Tagging) (fans.Tagged, error)
	}{
		{"tag-fans", "/fans", lang.Text{ZH: "打标签", EN: "Give a tag to fans"}, a.o.Mirror.TagFans},
		{"untag-fans", "/fans/remove", lang.Text{ZH: "去标签", EN: "Take a tag from fans"}, a.o.Mirror.UntagFans},
	} {
		register(a, Op{
			ID: change.id, Method: http.MethodPost, Path: inAccount + "/tags/{tag}" + change.path, Tag: tagFans, Scope: ScopeWrite, Summary: change.summary,
			Details: "For more fans than one request takes, start the job. A fan who is refused does not keep the others from it.",
		}, func(ctx context.Context, c *Call, in *tagFansIn) (*changedOut, error) {
			came, err := change.do(ctx, c.Account.ID, fans.Tagging{TagID: in.Tag, FanIDs: in.Body.FanIDs})
			if err != nil {
				return nil, err
			}
			return showTagged(came, c.Lang), nil
		})
	}
}

// listTags pages through the tags in memory: an account has some hundreds at most.
func (a *API) listTags(ctx context.Context, c *Call, in *listTagsIn) (*pageOut[tagView], error) {
	return paged(c, in.PageParams, func(after *int64, n int) (out []*fans.Tag, err error) {
		all, err := a.o.Fans.FindTags(ctx, c.Account.ID)
		for _, t := range all {
			if (after == nil || t.ID > *after) && len(out) < n {
				out = append(out, t)
			}
		}
		return out, err
	}, func(t **fans.Tag) int64 { return (*t).ID }, showTag)
}

func (a *API) findTag(ctx context.Context, c *Call, id int64) (*tagOut, error) {
	t, err := a.o.Fans.FindTag(ctx, c.Account.ID, id)
	if err != nil {
		return nil, err
	}
	return &tagOut{showTag(&t)}, nil
}

type createTagIn struct {
	Body struct {
		Name   string `json:"name" minLength:"1" maxLength:"64" doc:"Up to 30 characters"`
		WeChat bool   `json:"wechat,omitempty" doc:"At the platform too, which has at most 100 of an account"`
	}
}

func (a *API) createTag(ctx context.Context, c *Call, in *createTagIn) (*tagOut, error) {
	t, err := a.o.Mirror.CreateTag(ctx, c.Account.ID, fans.NewTag{Name: in.Body.Name, WeChat: in.Body.WeChat})
	if err != nil {
		return nil, err
	}
	return &tagOut{showTag(&t)}, nil
}

type renameTagIn struct {
	Tag  int64 `path:"tag"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"64"`
	}
}

func (a *API) renameTag(ctx context.Context, c *Call, in *renameTagIn) (*tagOut, error) {
	if err := a.o.Mirror.RenameTag(ctx, c.Account.ID, in.Tag, in.Body.Name); err != nil {
		return nil, err
	}
	return a.findTag(ctx, c, in.Tag)
}

type tagFansIn struct {
	Tag  int64 `path:"tag"`
	Body struct {
		FanIDs []int64 `json:"fan_ids" minItems:"1" maxItems:"1000"`
	}
}

func showTagged(came fans.Tagged, l lang.Lang) *changedOut {
	out := &changedOut{}
	out.Body.Done, out.Body.Refused = came.Done, []refusedView{}
	for _, r := range came.Refused {
		out.Body.Refused = append(out.Body.Refused, refusedView{FanID: r.FanID, ErrCode: r.Code, Words: r.Reason.In(l)})
	}
	return out
}
