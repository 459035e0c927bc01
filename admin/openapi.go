package admin

import (
	"maps"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// Extensions of the document: a summary in Chinese, and the scope that an operation needs.
const (
	summaryZH      = "x-summary-zh"
	scopeExtension = "x-scope"
)

// The names of the ways to log in, in the document.
const (
	securitySession = "session"
	securityToken   = "token"
)

func describeAPI(doc *huma.OpenAPI) {
	doc.Info.Description = "Errors are application/problem+json (RFC 9457), in Chinese or English by Accept-Language. " +
		"Lists have limit and cursor, and next in the answer. What has an ETag is edited with If-Match. What sends needs an Idempotency-Key. " +
		"Times are unix milliseconds."
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securitySession: {
			Type: "apiKey", In: "cookie", Name: sessionCookie,
			Description: "The cookie of a log-in. Requests that change something also need the header X-Hongyan: 1, which a page of another site cannot send.",
		},
		securityToken: {Type: "http", Scheme: "bearer", Description: "An API token, hy_…, with the scopes read, write, send."},
	}
	problem := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	doc.Components.Responses = map[string]*huma.Response{"Problem": {
		Description: "What went wrong, and what to do",
		Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
	}}
}

func problemResponse() *huma.Response { return &huma.Response{Ref: "#/components/responses/Problem"} }

func (op *Op) security() []map[string][]string {
	if op.Scope == "" {
		return []map[string][]string{}
	}
	return []map[string][]string{{securitySession: {}}, {securityToken: {string(op.Scope)}}}
}

// parameters are those that the operation's options bring along.
func (op *Op) parameters() []*huma.Param {
	var out []*huma.Param
	if op.inAccount() {
		out = append(out, &huma.Param{Name: "account", In: "path", Required: true, Description: "The account's id", Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}})
	}
	if op.Edits {
		out = append(out, &huma.Param{
			Name: "If-Match", In: "header", Required: true, Description: "The ETag of the last read",
			Schema: &huma.Schema{Type: huma.TypeString}, Example: etag(3),
		})
	}
	if op.Sends {
		out = append(out, &huma.Param{
			Name: keyHeader, In: "header", Required: true,
			Description: "Chosen by the caller, new for each thing to do. With the same key the same request is answered as the first time, for 24 hours.",
			Schema:      &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(maxKey)},
		})
	}
	return out
}

// forgetHumaErrors takes the schemas of huma's own errors out of the document: nobody gets one.
func forgetHumaErrors(doc *huma.OpenAPI) {
	maps.DeleteFunc(doc.Components.Schemas.Map(), func(name string, _ *huma.Schema) bool {
		return slices.Contains([]string{"ErrorModel", "ErrorDetail"}, name)
	})
}
