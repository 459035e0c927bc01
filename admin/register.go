package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/oklog/ulid/v2"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// Op describes an operation: all that its handler need not do itself.
type Op struct {
	// ID is the operationId: what is done and to what, as in "list-jobs".
	ID     string
	Method string
	// Path is below /api/v1. One that begins with inAccount is about one account: Call.Account is set, and another account's
	// things are not found.
	Path    string
	Tag     string    // the group that the reference shows it in
	Summary lang.Text // one line
	Details string    // in English, "" when the summary says it all
	// Scope is what a caller must be allowed to do; "" lets everybody in.
	Scope  Scope
	Status int // of success; 0 means 200, or 204 for an answer without a body
	// Edits asks for the revision that the caller has seen, in If-Match: see Call.Edit.
	Edits bool
	// Sends asks for an Idempotency-Key: the same key gets the same answer, and what is done is done once.
	Sends bool
	// Timeout bounds the work; 0 means 15 s. What sends has 45 s: see idempotency.go.
	Timeout time.Duration
	// Content is the type of an answer that is not JSON: of a download.
	Content string
}

// inAccount is how the path of everything begins that belongs to one account.
const inAccount = "/accounts/{account}"

const defaultTimeout = 15 * time.Second

// huma's registration is generic, and methods are not: so this is a function.
//
// The input's fields are what huma knows: path, query and header parameters by tag, and Body. PageParams in it makes a list.
// The output's fields are headers by tag (ETag), and Body. An error of serve is said by problem.go.
func register[I, O any](a *API, op Op, serve func(context.Context, *Call, *I) (*O, error)) {
	a.ops = append(a.ops, &op)
	huma.Register(a.huma, a.describe(&op), func(ctx context.Context, in *I) (*O, error) {
		c := callOf(ctx)
		out, err := serve(ctx, c, in)
		if err != nil {
			return nil, a.problem(ctx, c, err)
		}
		return out, nil
	})
}

// newHuma makes huma without its own pages, links and error shapes.
func newHuma(app *fiber.App, a *API) huma.API {
	cfg := huma.DefaultConfig("Hongyan 鸿雁", "1")
	cfg.CreateHooks = nil // no $schema in bodies
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.RejectUnknownQueryParameters = true
	cfg.Transformers = []huma.Transformer{func(ctx huma.Context, _ string, v any) (any, error) {
		if m, ok := v.(*huma.ErrorModel); ok {
			return a.problem(ctx.Context(), callOf(ctx.Context()), inputError(m)), nil
		}
		return v, nil
	}}
	describeAPI(cfg.OpenAPI)
	describeMessages(cfg.Components.Schemas)
	return humafiber.New(app, cfg)
}

// describe is op as huma wants it.
func (a *API) describe(op *Op) huma.Operation {
	out := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: prefixV1 + op.Path, Tags: []string{op.Tag}, Summary: op.Summary.EN, Description: op.Details,
		DefaultStatus: op.Status, Security: op.security(), Parameters: op.parameters(), Responses: map[string]*huma.Response{"default": problemResponse()},
		Extensions:  map[string]any{summaryZH: op.Summary.ZH},
		Middlewares: huma.Middlewares{a.enter(op)},
	}
	if op.Content != "" {
		out.Responses["200"] = &huma.Response{
			Description: "The file", Content: map[string]*huma.MediaType{op.Content: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}
	}
	if op.Scope != "" {
		out.Extensions[scopeExtension] = string(op.Scope)
	}
	return out
}

// enter is what happens to every request before its handler, and to its answer afterwards.
func (a *API) enter(op *Op) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := newCall(ctx.Header(fiber.HeaderAcceptLanguage), ulid.Make().String())
		c.operation = op.ID
		timed, cancel := context.WithTimeout(context.WithValue(ctx.Context(), callKey{}, c), op.timeout())
		defer cancel()
		ctx = plain{huma.WithContext(ctx, timed)}
		defer a.recovered(ctx, c)
		ctx.SetHeader(fiber.HeaderXRequestID, c.RequestID)
		ctx.SetHeader(fiber.HeaderCacheControl, "no-store")
		ctx.SetHeader(fiber.HeaderVary, fiber.HeaderAcceptLanguage)
		if err := a.admit(ctx, op, c); err != nil {
			a.refuse(ctx, c, err)
			return
		}
		if op.Sends {
			a.once(ctx, c, next)
			return
		}
		next(ctx)
		unchanged(ctx, op)
	}
}

func (op *Op) timeout() time.Duration {
	switch {
	case op.Sends:
		return sendTimeout
	case op.Timeout > 0:
		return op.Timeout
	default:
		return defaultTimeout
	}
}

// plain hides from huma which formats a caller would like: every answer is JSON, and huma's reading of a strange Accept header panics, when the work has been done.
type plain struct{ humaContext }

// humaContext is huma.Context under another name, which would hide its method Context.
type humaContext huma.Context

// Header implements huma.Context.
func (p plain) Header(name string) string {
	if name == fiber.HeaderAccept {
		return ""
	}
	return p.humaContext.Header(name)
}

// Unwrap lets humafiber find the request.
func (p plain) Unwrap() huma.Context { return p.humaContext }

// admit decides whether a request may go on, and finds out what it is about.
func (a *API) admit(ctx huma.Context, op *Op, c *Call) error {
	c.remote = a.o.Remote(humafiber.Unwrap(ctx))
	if err := a.authenticate(ctx, op, c); err != nil {
		return err
	}
	if err := a.allow(ctx, op, c); err != nil {
		return err
	}
	if err := a.findAccount(ctx, op, c); err != nil {
		return err
	}
	u := ctx.URL()
	query := u.Query()
	if err := onlyOnce(query); err != nil {
		return err
	}
	c.list = listName(op, c.Account, query)
	if err := op.readRevision(ctx, c); err != nil {
		return err
	}
	return op.readKey(ctx, c)
}

// onlyOnce refuses parameters that are given more than once: no operation has one that takes several values, and huma would take the first.
func onlyOnce(query url.Values) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if len(query[name]) > 1 {
			errs = append(errs, fault.BadField("query."+name, "repeated", "this is there more than once; give it one value"))
		}
	}
	return errors.Join(errs...)
}

// findAccount finds the account in the path. One that is not there, or whose id is no number, is not found.
func (a *API) findAccount(ctx huma.Context, op *Op, c *Call) error {
	if !op.inAccount() {
		return nil
	}
	id, err := strconv.ParseInt(ctx.Param("account"), 10, 64)
	if err != nil {
		return fault.New(fault.NotFound, "there is no such account")
	}
	c.Account, err = a.o.Accounts.FindAccount(ctx.Context(), id)
	return err
}

// recovered answers a request whose handler panicked. The process goes on.
func (a *API) recovered(ctx huma.Context, c *Call) {
	r := recover()
	if r == nil {
		return
	}
	a.o.Log.Error("a request panicked", "request", c.RequestID, "operation", c.operation, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	humafiber.Unwrap(ctx).Response().ResetBody()
	a.refuse(ctx, c, fault.New(fault.Internal, "panic: %v", r))
}

// unchanged answers a read with 304 when the caller has that revision already.
func unchanged(ctx huma.Context, op *Op) {
	answer := humafiber.Unwrap(ctx).Response()
	tag := string(answer.Header.Peek(fiber.HeaderETag))
	if op.Method != http.MethodGet || tag == "" || answer.StatusCode() != http.StatusOK || ctx.Header(fiber.HeaderIfNoneMatch) != tag {
		return
	}
	answer.ResetBody()
	ctx.SetStatus(http.StatusNotModified)
}

// inAccount tells the operations that are about one account.
func (op *Op) inAccount() bool { return strings.HasPrefix(op.Path, inAccount) }
