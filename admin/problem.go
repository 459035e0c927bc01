package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/oklog/ulid/v2"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

// Problem is an error as the API tells it (RFC 9457), in the language of the request.
type Problem struct { //nolint:errname // the name that RFC 9457 gives it
	Type      string         `json:"type" format:"uri-reference" example:"/api/problems/invalid" doc:"Stable; a page says what it means"`
	Title     string         `json:"title" doc:"What kind of problem it is"`
	Status    int            `json:"status" doc:"The status of the answer"`
	Detail    string         `json:"detail" doc:"What is wrong and what to do, one line for each thing that is wrong"`
	RequestID string         `json:"request_id" doc:"Names the request in the server's log"`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"Which fields are wrong"`
	Wechat    *WechatProblem `json:"wechat,omitempty" doc:"What WeChat answered, where that is the cause"`

	header http.Header
}

// FieldProblem is what is wrong with one field.
type FieldProblem struct {
	Field   string `json:"field" example:"quiet_hours[0].start" doc:"Path in the body; with path., query. or header. in front for other parts of the request"`
	Rule    string `json:"rule" example:"range" doc:"Stable name of the broken rule"`
	Message string `json:"message"`
}

// WechatProblem is an error of the platform.
type WechatProblem struct {
	ErrCode int    `json:"errcode"`
	ErrMsg  string `json:"errmsg,omitempty"`
	RID     string `json:"rid,omitempty" doc:"The platform's request id, for its support"`
	Meaning string `json:"meaning" doc:"What the code means and what to do"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (*Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// kind is a sort of problem: the end of its type, its status, its title.
type kind struct {
	name   string
	status int
	title  lang.Text
}

// The kinds that are not codes of fault.
const (
	kindMalformed       = "malformed"
	kindUnauthenticated = "unauthenticated"
	kindNotAllowed      = "method_not_allowed"
	kindSlow            = "request_timeout"
	kindBusy            = "in_progress"
	kindChanged         = "changed"
	kindTooLarge        = "too_large"
	kindWrongType       = "unsupported_type"
	kindKeyReused       = "key_reused"
	kindUnconditional   = "precondition_required"
	kindTooMany         = "too_many_requests"
	kindPlatform        = "platform"
)

// kinds are all there are, by status. StatusOf reads them too, so that this is the one table from errors to HTTP.
var kinds = []kind{
	{kindMalformed, http.StatusBadRequest, lang.Text{ZH: "请求无法读取", EN: "The request cannot be read"}},
	{kindUnauthenticated, http.StatusUnauthorized, lang.Text{ZH: "需要登录", EN: "Log in first"}},
	{string(fault.Forbidden), http.StatusForbidden, lang.Text{ZH: "没有权限", EN: "Not allowed"}},
	{string(fault.NotFound), http.StatusNotFound, lang.Text{ZH: "没有找到", EN: "Not found"}},
	{kindNotAllowed, http.StatusMethodNotAllowed, lang.Text{ZH: "不支持这种请求方法", EN: "Method not allowed"}},
	{kindSlow, http.StatusRequestTimeout, lang.Text{ZH: "请求没有及时传完", EN: "The request took too long"}},
	{string(fault.Conflict), http.StatusConflict, lang.Text{ZH: "当前状态下无法完成", EN: "Not possible as things stand"}},
	{kindBusy, http.StatusConflict, lang.Text{ZH: "相同的请求正在处理", EN: "The same request is being worked on"}},
	{kindChanged, http.StatusPreconditionFailed, lang.Text{ZH: "内容已被修改", EN: "Changed by somebody else"}},
	{kindTooLarge, http.StatusRequestEntityTooLarge, lang.Text{ZH: "请求太大", EN: "The request is too large"}},
	{kindWrongType, http.StatusUnsupportedMediaType, lang.Text{ZH: "不支持这种内容类型", EN: "Unsupported content type"}},
	{string(fault.Invalid), http.StatusUnprocessableEntity, lang.Text{ZH: "内容有误", EN: "Something is not valid"}},
	{kindKeyReused, http.StatusUnprocessableEntity, lang.Text{ZH: "幂等键已用于其他请求", EN: "The idempotency key belongs to another request"}},
	{kindUnconditional, http.StatusPreconditionRequired, lang.Text{ZH: "缺少 If-Match", EN: "If-Match is missing"}},
	{kindTooMany, http.StatusTooManyRequests, lang.Text{ZH: "请求过于频繁", EN: "Too many requests"}},
	{string(fault.Internal), http.StatusInternalServerError, lang.Text{ZH: "系统内部出错", EN: "Something went wrong here"}},
	{kindPlatform, http.StatusBadGateway, lang.Text{ZH: "微信拒绝了请求", EN: "WeChat refused"}},
	{string(fault.Unavailable), http.StatusServiceUnavailable, lang.Text{ZH: "暂时无法完成", EN: "Not possible just now"}},
}

func kindNamed(name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return kindNamed(string(fault.Internal))
}

// refusal is an error with a kind of its own, and headers that go with the answer.
type refusal struct {
	kind   string
	err    error
	header http.Header
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse gives err a kind.
func refuse(kind string, err error) *refusal {
	return &refusal{kind: kind, err: err, header: http.Header{}}
}

// with adds a header.
func (r *refusal) with(name, value string) *refusal {
	r.header.Set(name, value)
	return r
}

// kindOf finds the kind of any error.
func kindOf(err error) kind {
	if r, ok := errors.AsType[*refusal](err); ok {
		return kindNamed(r.kind)
	}
	if web, ok := errors.AsType[*fiber.Error](err); ok {
		return kindOfStatus(web.Code)
	}
	p := fault.ProblemOf(err, lang.EN)
	if platform, ok := errors.AsType[*wechat.Error](err); ok && p.Code == fault.Internal && platform != nil {
		return kindNamed(kindPlatform)
	}
	return kindNamed(string(p.Code))
}

func kindOfStatus(status int) kind {
	for _, k := range kinds {
		if k.status == status {
			return k
		}
	}
	if status < http.StatusInternalServerError {
		return kindNamed(kindMalformed)
	}
	return kindNamed(string(fault.Internal))
}

// StatusOf is the HTTP status that an error is answered with: by the API, and by every other page of this program.
func StatusOf(err error) int {
	if web, ok := errors.AsType[*fiber.Error](err); ok {
		return web.Code
	}
	return kindOf(err).status
}

// problem says err to the caller, and logs what the caller is not shown.
func (a *API) problem(ctx context.Context, c *Call, err error) *Problem {
	k := kindOf(err)
	said := fault.ProblemOf(err, c.Lang)
	p := &Problem{Type: problemPath + k.name, Title: k.title.In(c.Lang), Status: k.status, Detail: said.Text, RequestID: c.RequestID}
	if web, ok := errors.AsType[*fiber.Error](err); ok {
		p.Detail = fault.Words(webError(web), c.Lang)
	}
	for _, f := range said.Fields {
		p.Errors = append(p.Errors, FieldProblem{Field: f.Field, Rule: f.Rule, Message: f.Text})
	}
	if platform, ok := errors.AsType[*wechat.Error](err); ok && platform.Code != 0 {
		p.Wechat = &WechatProblem{ErrCode: platform.Code, ErrMsg: platform.Msg, RID: platform.RID, Meaning: wechat.CodeWords(platform.Code, c.Lang)}
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		p.header = r.header
	}
	if k.status >= http.StatusInternalServerError {
		a.o.Log.LogAttrs(ctx, slog.LevelError, "a request failed",
			slog.String("request", c.RequestID), slog.String("operation", c.operation), slog.Int("status", k.status), slog.String("error", err.Error()))
	}
	return p
}

// webError says what Fiber refuses by itself.
func webError(e *fiber.Error) error {
	switch e.Code {
	case http.StatusNotFound:
		// Not NotFound, whose advice is about things that were there once.
		return fault.New(fault.Invalid, "there is nothing at this address; see %s", referencePath)
	case http.StatusMethodNotAllowed:
		return fault.New(fault.Invalid, "this address does not know the method; see %s", referencePath)
	case http.StatusRequestEntityTooLarge:
		return errTooLarge
	default:
		return e
	}
}

// Failed answers an error of Fiber's under the API's prefix: an unknown address, a body that is too large.
func (a *API) Failed(c *fiber.Ctx, err error) error {
	p := a.problem(c.UserContext(), newCall(c.Get(fiber.HeaderAcceptLanguage), ulid.Make().String()), err)
	c.Set(fiber.HeaderContentType, problemType)
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return c.Status(p.Status).Send(body)
}

// Owns reports whether a path is the API's.
func Owns(path string) bool { return path == Prefix || strings.HasPrefix(path, Prefix+"/") }

// refuse ends a request that does not get as far as its handler.
func (a *API) refuse(ctx huma.Context, c *Call, err error) {
	p := a.problem(ctx.Context(), c, err)
	for name, values := range p.header {
		for _, v := range values {
			ctx.SetHeader(name, v)
		}
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if err := json.NewEncoder(ctx.BodyWriter()).Encode(p); err != nil {
		a.o.Log.Error("an answer could not be written", "request", c.RequestID, "error", err)
	}
}
