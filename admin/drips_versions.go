package admin

import (
	"context"
	"net/http"

	"hongyan/campaigns"
	"hongyan/internal/lang"
)

// versionView is what a drip said from some time on.
type versionView struct {
	ID         int64                `json:"id"`
	Number     int                  `json:"number" doc:"From 1"`
	Definition campaigns.Definition `json:"definition"`
	CreatedAt  int64                `json:"created_at"`
}

func showVersion(v **campaigns.Version) versionView {
	x := *v
	return versionView{ID: x.ID, Number: x.Number, Definition: x.Definition, CreatedAt: x.CreatedAt}
}

// recipeView is a drip to begin with.
type recipeView struct {
	ID         string               `json:"id" example:"welcome"`
	Name       string               `json:"name"`
	About      string               `json:"about"`
	Definition campaigns.Definition `json:"definition" doc:"Send it to create-drip, with your own texts"`
}

type recipesOut struct {
	Body struct {
		Items []recipeView `json:"items" nullable:"false"`
	}
}

func (a *API) dripVersionOps() {
	register(a, Op{
		ID: "list-drip-versions", Method: http.MethodGet, Path: dripPath + "/versions", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出版本", EN: "List what a drip said, newest first"},
	}, func(ctx context.Context, c *Call, in *listVersionsIn) (*pageOut[versionView], error) {
		return paged(c, in.PageParams, func(before *int64, n int) ([]*campaigns.Version, error) {
			var id int64
			if before != nil {
				id = *before
			}
			return a.o.Campaigns.FindVersions(ctx, c.Account.ID, campaigns.VersionList{DripID: in.Drip, BeforeID: id, Limit: n})
		}, func(v **campaigns.Version) int64 { return (*v).ID }, showVersion)
	})
	register(a, Op{
		ID: "get-drip-version", Method: http.MethodGet, Path: dripPath + "/versions/{version}", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看版本", EN: "Show a version of a drip, by its id"},
	}, func(ctx context.Context, c *Call, in *versionIn) (*versionOut, error) {
		v, err := a.o.Campaigns.FindVersion(ctx, c.Account.ID, in.Drip, in.Version)
		if err != nil {
			return nil, err
		}
		return &versionOut{Body: showVersion(&v)}, nil
	})
	register(a, Op{
		ID: "list-recipes", Method: http.MethodGet, Path: "/meta/recipes", Tag: tagMeta, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出智能推送模板", EN: "List drips to begin with, in the reader's language"},
	}, func(_ context.Context, c *Call, _ *none) (*recipesOut, error) {
		out := &recipesOut{}
		for _, r := range campaigns.Recipes(c.Lang) {
			out.Body.Items = append(out.Body.Items, recipeView{ID: r.ID, Name: r.Name.In(c.Lang), About: r.About.In(c.Lang), Definition: r.Definition})
		}
		return out, nil
	})
}

type listVersionsIn struct {
	PageParams
	Drip int64 `path:"drip"`
}

type (
	versionIn struct {
		Drip    int64 `path:"drip"`
		Version int64 `path:"version"`
	}
	versionOut struct{ Body versionView }
)
