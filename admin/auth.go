package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"hongyan/internal/fault"
)

// Scope is what a caller may do. Each stands for itself: an API token that is to read and write has both.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"  // look at things
	ScopeWrite Scope = "write" // change them
	ScopeSend  Scope = "send"  // let messages go out, now or later
)

func allScopes() []Scope { return []Scope{ScopeRead, ScopeWrite, ScopeSend} }

// Caller is who asks: a member who is logged in, or a program with an API token.
type Caller struct {
	MemberID int64
	Member   string // name
	TokenID  int64  // 0 for a member who is logged in
	Scopes   []Scope
	session  string // the hash of the cookie, "" with a token
}

// key names the caller in stored keys and shared rates.
func (c *Caller) key() string {
	if c.TokenID != 0 {
		return "t" + strconv.FormatInt(c.TokenID, 10)
	}
	return "m" + strconv.FormatInt(c.MemberID, 10)
}

const (
	sessionCookie = "hongyan_session"
	ownHeader     = "X-Hongyan"
)

// authenticate finds out who asks, and whether they may.
func (a *API) authenticate(ctx huma.Context, op *Op, c *Call) error {
	if op.ownPage() && ctx.Header(fiber.HeaderAuthorization) == "" && ctx.Header(ownHeader) == "" {
		return fault.New(fault.Forbidden, "a request that changes something needs the header %s: 1; a page of another site cannot send it", ownHeader)
	}
	if op.Scope == "" {
		return nil
	}
	by, err := a.caller(ctx)
	if err != nil {
		return err
	}
	c.By = *by
	if !slices.Contains(by.Scopes, op.Scope) {
		return fault.New(fault.Forbidden, "this token may not do that: it needs the scope %s", op.Scope)
	}
	return nil
}

// ownPage tells the operations that a page of another site must not be able to start with a member's cookie, or to log a member in with.
func (op *Op) ownPage() bool { return op.Method != http.MethodGet && op.Method != http.MethodHead }

func (a *API) caller(ctx huma.Context) (*Caller, error) {
	if header := ctx.Header(fiber.HeaderAuthorization); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errNoCaller()
		}
		return a.members.FindToken(ctx.Context(), strings.TrimSpace(token))
	}
	cookie, err := huma.ReadCookie(ctx, sessionCookie)
	if err != nil || cookie.Value == "" {
		return nil, errNoCaller()
	}
	return a.members.FindSession(ctx.Context(), cookie.Value)
}

// errNoCaller is said of a request whose cookie or token is missing, wrong, or no longer good: which of them is not said.
func errNoCaller() error {
	return refuse(kindUnauthenticated, fault.New(fault.Forbidden, "log in, or send an API token that is still good as Authorization: Bearer hy_…")).
		with(fiber.HeaderWWWAuthenticate, "Bearer")
}

// cookie is what the browser keeps of a session.
func (a *API) cookie(value string, until time.Time) string {
	c := http.Cookie{ //nolint:gosec // without https a cookie for https only would log nobody in
		Name: sessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(a.o.PublicURL, "https://"),
		Expires: until, MaxAge: -1,
	}
	if value != "" {
		c.MaxAge = int(sessionLife / time.Second)
	}
	return c.String()
}
