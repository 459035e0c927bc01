package admin

import (
	"context"
	"net/http"
	"time"

	"hongyan/internal/lang"
)

const (
	tagSession = "Log-in"
	loginID    = "log-in"
)

// meView is who is logged in.
type meView struct {
	MemberID int64   `json:"member_id"`
	Name     string  `json:"name"`
	TokenID  int64   `json:"token_id,omitempty" doc:"Set when an API token was used"`
	Scopes   []Scope `json:"scopes" nullable:"false"`
}

type meOut struct{ Body meView }

type loginIn struct {
	Body struct {
		Name     string `json:"name" maxLength:"256"`
		Password string `json:"password" maxLength:"1024" writeOnly:"true"`
	}
}

type loginOut struct {
	SetCookie string `header:"Set-Cookie"`
	Body      meView
}

type logoutOut struct {
	SetCookie string `header:"Set-Cookie"`
}

func (a *API) sessionOps() {
	register(a, Op{
		ID: loginID, Method: http.MethodPost, Path: "/login", Tag: tagSession,
		Summary: lang.Text{ZH: "登录", EN: "Log in"},
		Details: "Sets the session's cookie: 12 hours from the last request, at most 7 days. Ten attempts a minute from one address.",
	}, a.logIn)
	register(a, Op{
		ID: "log-out", Method: http.MethodPost, Path: "/logout", Tag: tagSession, Scope: ScopeRead,
		Summary: lang.Text{ZH: "退出登录", EN: "Log out"},
	}, a.logOut)
	register(a, Op{
		ID: "get-me", Method: http.MethodGet, Path: "/me", Tag: tagSession, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看当前身份", EN: "Show who is logged in"},
	}, func(_ context.Context, c *Call, _ *none) (*meOut, error) {
		return &meOut{Body: meView{MemberID: c.By.MemberID, Name: c.By.Member, TokenID: c.By.TokenID, Scopes: c.By.Scopes}}, nil
	})
}

func (a *API) logIn(ctx context.Context, _ *Call, in *loginIn) (*loginOut, error) {
	member, err := a.members.LogIn(ctx, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	secret, until, err := a.members.StartSession(ctx, member.ID)
	if err != nil {
		return nil, err
	}
	return &loginOut{
		SetCookie: a.cookie(secret, until), Body: meView{MemberID: member.ID, Name: member.Name, Scopes: allScopes()},
	}, nil
}

func (a *API) logOut(ctx context.Context, c *Call, _ *none) (*logoutOut, error) {
	if err := a.members.EndSession(ctx, &c.By); err != nil {
		return nil, err
	}
	return &logoutOut{SetCookie: a.cookie("", time.Time{})}, nil
}
