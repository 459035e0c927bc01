package admin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"hongyan/internal/lang"
)

// reference is the API's own description, made once: for programs, and for people in each language.
type reference struct {
	document []byte
	page     map[lang.Lang][]byte
}

//go:embed reference.html
var referenceSource string

// publish makes and serves the description. The registered operations do not change any more.
func (a *API) publish(app *fiber.App) {
	doc := a.huma.OpenAPI()
	forgetHumaErrors(doc)
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("the API cannot be described: %v", err)) // its types are wrong, which any start would show
	}
	a.page = reference{document: raw, page: map[lang.Lang][]byte{}}
	for _, l := range []lang.Lang{lang.ZH, lang.EN} {
		if a.page.page[l], err = a.render(doc, l); err != nil {
			panic(fmt.Sprintf("the API's reference cannot be written: %v", err))
		}
	}
	app.Get(documentPath, func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/openapi+json")
		return c.Send(a.page.document)
	})
	app.Get(referencePath, func(c *fiber.Ctx) error {
		l := languageOf(c.Get(fiber.HeaderAcceptLanguage))
		if asked := lang.Lang(c.Query("lang")); asked == lang.ZH || asked == lang.EN {
			l = asked
		}
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		c.Set(fiber.HeaderVary, fiber.HeaderAcceptLanguage)
		c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'")
		return c.Send(a.page.page[l])
	})
	app.Get(problemPath+":kind", func(c *fiber.Ctx) error {
		return c.Redirect(referencePath+"#problem-"+template.URLQueryEscaper(c.Params("kind")), http.StatusFound)
	})
}

// The page's data.
type (
	refPage struct {
		English  bool
		Intro    string
		Groups   []refGroup
		Problems []refProblem
	}
	refGroup struct {
		Name string
		Ops  []refOp
	}
	refOp struct {
		ID, Method, Path, Summary, Details string
		Scope                              string
		Edits, Sends                       bool
		Params, Body, Answer               []refField
		Status                             string
	}
	refField struct {
		Name, Type, Text, Rules string
		Required                bool
	}
	refProblem struct {
		Name, Title string
		Status      int
	}
)

func (a *API) render(doc *huma.OpenAPI, l lang.Lang) ([]byte, error) {
	page := refPage{English: l == lang.EN, Intro: doc.Info.Description}
	for _, op := range a.ops {
		i := slices.IndexFunc(page.Groups, func(g refGroup) bool { return g.Name == op.Tag })
		if i < 0 {
			i = len(page.Groups)
			page.Groups = append(page.Groups, refGroup{Name: op.Tag})
		}
		page.Groups[i].Ops = append(page.Groups[i].Ops, describeOp(doc, op, l))
	}
	for _, k := range kinds {
		page.Problems = append(page.Problems, refProblem{Name: k.name, Title: k.title.In(l), Status: k.status})
	}
	t, err := template.New("reference").Parse(referenceSource)
	if err != nil {
		return nil, fmt.Errorf("read the reference's template: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, page)
	return out.Bytes(), err
}

// operationOf finds what huma has made of an operation.
func operationOf(doc *huma.OpenAPI, op *Op) *huma.Operation {
	item := doc.Paths[prefixV1+op.Path]
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[op.Method]
}

func describeOp(doc *huma.OpenAPI, op *Op, l lang.Lang) refOp {
	found := operationOf(doc, op)
	w := &fieldWalk{schemas: doc.Components.Schemas}
	out := refOp{
		ID: op.ID, Method: op.Method, Path: prefixV1 + op.Path, Summary: op.Summary.In(l), Details: op.Details, Scope: string(op.Scope), Edits: op.Edits, Sends: op.Sends,
	}
	for _, p := range found.Parameters {
		f := w.field(p.Name+" ("+p.In+")", p.Schema, p.Required)
		if p.Description != "" {
			f.Text = p.Description
		}
		out.Params = append(out.Params, f)
	}
	if found.RequestBody != nil {
		out.Body = w.all(found.RequestBody.Content)
	}
	for status, answer := range found.Responses {
		if status != "default" {
			out.Status, out.Answer = status, w.all(answer.Content)
		}
	}
	return out
}

// fieldWalk lists the fields of a schema, each by its path.
type fieldWalk struct {
	schemas huma.Registry
	inside  []*huma.Schema // what is being described: a schema may hold itself
	out     []refField
}

func (w *fieldWalk) all(content map[string]*huma.MediaType) []refField {
	w.out = nil
	for _, media := range content {
		w.walk("", media.Schema)
	}
	return w.out
}

func (w *fieldWalk) resolve(s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return w.schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func (w *fieldWalk) walk(at string, s *huma.Schema) {
	s = w.resolve(s)
	if s == nil || slices.Contains(w.inside, s) {
		return
	}
	w.inside = append(w.inside, s)
	defer func() { w.inside = w.inside[:len(w.inside)-1] }()
	if s.Items != nil {
		w.walk(at+"[]", s.Items)
		return
	}
	for _, name := range propertyNames(s) {
		path := strings.TrimPrefix(at+"."+name, ".")
		sub := s.Properties[name]
		w.out = append(w.out, w.field(path, sub, slices.Contains(s.Required, name)))
		w.walk(path, sub)
	}
}

// propertyNames lists the fields of an object: those that are needed first.
func propertyNames(s *huma.Schema) []string {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := slices.Contains(s.Required, a), slices.Contains(s.Required, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

func (w *fieldWalk) field(path string, s *huma.Schema, required bool) refField {
	f := refField{Name: path, Required: required}
	if s == nil {
		return f
	}
	f.Text = s.Description
	found := w.resolve(s)
	f.Type = typeOf(w, found)
	f.Rules = rulesOf(found)
	return f
}

func typeOf(w *fieldWalk, s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Type == huma.TypeArray:
		return "[" + typeOf(w, w.resolve(s.Items)) + "]"
	case s.Type == "":
		return "any"
	default:
		return s.Type
	}
}

// rulesOf says what a value has to keep to.
func rulesOf(s *huma.Schema) string {
	var out []string
	add := func(format string, v any) { out = append(out, fmt.Sprintf(format, v)) }
	for _, v := range s.Enum {
		add("%v", v)
	}
	if s.Items != nil {
		for _, v := range s.Items.Enum {
			add("%v", v)
		}
	}
	for _, bound := range []struct {
		format string
		value  *float64
	}{{"≥ %v", s.Minimum}, {"≤ %v", s.Maximum}} {
		if bound.value != nil {
			add(bound.format, *bound.value)
		}
	}
	for _, bound := range []struct {
		format string
		value  *int
	}{{"≥ %d chars", s.MinLength}, {"≤ %d chars", s.MaxLength}, {"≥ %d items", s.MinItems}, {"≤ %d items", s.MaxItems}} {
		if bound.value != nil {
			add(bound.format, *bound.value)
		}
	}
	if s.Default != nil {
		add("default %v", s.Default)
	}
	return strings.Join(out, ", ")
}
