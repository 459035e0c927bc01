package admin

import (
	"context"
	"net/http"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// tokenView is an API token without its secret.
type tokenView struct {
	ID        int64   `json:"id"`
	Name      string  `json:"name"`
	Scopes    []Scope `json:"scopes" nullable:"false"`
	CreatedAt int64   `json:"created_at"`
	ExpiresAt int64   `json:"expires_at,omitempty"`
	UsedAt    int64   `json:"used_at,omitempty" doc:"To the minute"`
}

func showToken(t *Token) tokenView {
	return tokenView{ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, UsedAt: t.UsedAt}
}

type createTokenIn struct {
	Body struct {
		Name      string  `json:"name" minLength:"1" maxLength:"64"`
		Scopes    []Scope `json:"scopes" minItems:"1" maxItems:"3"`
		ExpiresAt int64   `json:"expires_at,omitempty" minimum:"0" doc:"Unix ms; none: good until it is removed"`
	}
}

type createTokenOut struct {
	Body struct {
		tokenView
		Token string `json:"token" doc:"Shown this once"`
	}
}

type tokenIn struct {
	Token int64 `path:"token"`
}

func (a *API) tokenOps() {
	register(a, Op{
		ID: "list-tokens", Method: http.MethodGet, Path: "/tokens", Tag: tagSession, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出我的 API 令牌", EN: "List your API tokens"},
	}, a.listTokens)
	register(a, Op{
		ID: "create-token", Method: http.MethodPost, Path: "/tokens", Tag: tagSession, Scope: ScopeWrite, Status: http.StatusCreated,
		Summary: lang.Text{ZH: "创建 API 令牌", EN: "Create an API token"},
		Details: "Only a member who is logged in can: a token cannot make others.",
	}, a.createToken)
	register(a, Op{
		ID: "remove-token", Method: http.MethodDelete, Path: "/tokens/{token}", Tag: tagSession, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "删除 API 令牌", EN: "Remove an API token; it is no longer good at once"},
	}, func(ctx context.Context, c *Call, in *tokenIn) (*none, error) {
		return &none{}, a.members.RemoveToken(ctx, c.By.MemberID, in.Token)
	})
}

type listTokensIn struct{ PageParams }

func (a *API) listTokens(ctx context.Context, c *Call, in *listTokensIn) (*pageOut[tokenView], error) {
	return paged(c, in.PageParams, func(after *int64, n int) ([]Token, error) {
		from := int64(0)
		if after != nil {
			from = *after
		}
		return a.members.FindTokens(ctx, c.By.MemberID, from, n)
	}, func(t *Token) int64 { return t.ID }, showToken)
}

func (a *API) createToken(ctx context.Context, c *Call, in *createTokenIn) (*createTokenOut, error) {
	if c.By.TokenID != 0 {
		return nil, fault.New(fault.Forbidden, "a token cannot make tokens; log in as a member")
	}
	t := &Token{MemberID: c.By.MemberID, Name: in.Body.Name, Scopes: in.Body.Scopes, ExpiresAt: in.Body.ExpiresAt}
	secret, err := a.members.CreateToken(ctx, t)
	if err != nil {
		return nil, err
	}
	out := &createTokenOut{}
	out.Body.tokenView, out.Body.Token = showToken(t), secret
	return out, nil
}
