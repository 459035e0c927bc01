package admin

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// generator makes requests from the document: good ones, and with a wild share above 0 also bad ones.
type generator struct {
	rng     *rand.Rand
	schemas huma.Registry
	samples map[string]sample
	wild    float64
	// theirs takes ids in bodies and queries from the other account.
	theirs bool
}

func (g *generator) odd() bool { return g.rng.Float64() < g.wild }

func (g *generator) rare() bool { return g.rng.Float64() < g.wild*g.wild }

func pick[T any](g *generator, of ...T) T { return of[g.rng.IntN(len(of))] }

// path fills an operation's path. foreign says whose ids go in after the account.
func (g *generator) path(op *Op, foreign bool) string {
	path := prefixV1 + op.Path
	for name, s := range g.samples {
		value := s.ours
		if foreign && name != "account" {
			value = s.theirs
		}
		if g.odd() {
			value = url.PathEscape(pick(g, s.theirs, "0", "-1", "99999999", "9223372036854775808", "abc", "1e3", "\x00", "../1", "%", "鸿", strings.Repeat("9", 400)))
		}
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// query makes the parameters that an operation declares, those that are needed at least.
func (g *generator) query(op *huma.Operation) string {
	out := url.Values{}
	for _, p := range op.Parameters {
		if p.In != "query" || !p.Required && !g.odd() {
			continue
		}
		out.Set(p.Name, fmt.Sprint(g.value(p.Name, p.Schema, 0)))
	}
	if g.rare() {
		out.Set("unheard_of", "1")
	}
	if len(out) == 0 {
		return ""
	}
	return "?" + out.Encode()
}

// body makes a body that fits the schema, more or less; nil for none.
func (g *generator) body(op *huma.Operation) any {
	if op.RequestBody == nil {
		return nil
	}
	if g.rare() {
		return pick[any](g, "", "{", "null", "[]", "3", `{"a":`, strings.Repeat(`{"a":`, 2000), "\xff\xfe", `{"":{}}`, `"text"`, strings.Repeat("[", 20000))
	}
	return g.value("", op.RequestBody.Content["application/json"].Schema, 0)
}

func (g *generator) value(name string, s *huma.Schema, depth int) any {
	if s.Ref != "" {
		s = g.schemas.SchemaFromRef(s.Ref)
	}
	if g.rare() {
		return pick[any](g, nil, true, -1, 1e308, 0.5, "", "\x00", strings.Repeat("长", 5000), []any{}, []any{nil}, map[string]any{}, map[string]any{"a": []any{1}}, "2026-13-45", "${x}", "{{", "'; DROP TABLE members; --")
	}
	if len(s.Enum) > 0 && !g.odd() {
		return pick(g, s.Enum...)
	}
	switch s.Type {
	case huma.TypeObject:
		return g.object(s, depth)
	case huma.TypeArray:
		return g.array(name, s, depth)
	case huma.TypeBoolean:
		return g.rng.IntN(2) == 0
	case huma.TypeInteger, huma.TypeNumber:
		return g.number(name, s)
	case huma.TypeString:
		return g.text(s)
	}
	return map[string]any{} // anything goes
}

func (g *generator) object(s *huma.Schema, depth int) any {
	out := map[string]any{}
	for name, sub := range s.Properties {
		needed := false
		for _, r := range s.Required {
			needed = needed || r == name
		}
		if needed != g.odd() && (needed || depth < 6) {
			out[name] = g.value(name, sub, depth+1)
		}
	}
	if g.rare() {
		out["unheard_of"] = 1
	}
	return out
}

func (g *generator) array(name string, s *huma.Schema, depth int) any {
	n := 1
	if s.MinItems != nil {
		n = max(n, *s.MinItems)
	}
	if g.odd() {
		n = g.rng.IntN(4)
	}
	out := make([]any, n)
	for i := range out {
		out[i] = g.value(strings.TrimSuffix(name, "s"), s.Items, depth+1)
	}
	return out
}

func (g *generator) number(name string, s *huma.Schema) any {
	if of, known := g.samples[strings.TrimSuffix(name, "_id")]; known && strings.HasSuffix(name, "_id") {
		var n int64
		text := of.ours
		if g.theirs {
			text = of.theirs
		}
		if _, err := fmt.Sscan(text, &n); err == nil {
			return n
		}
	}
	least := 1.0
	if s.Minimum != nil {
		least = *s.Minimum
	}
	if g.odd() {
		return pick(g, least-1, least+1, 0, -9e15, 9e15, 1<<53, 3.7, 1e300)
	}
	if s.Type == huma.TypeInteger {
		return int64(least)
	}
	return least
}

func (g *generator) text(s *huma.Schema) any {
	n := 1
	if s.MinLength != nil {
		n = max(n, *s.MinLength)
	}
	if g.odd() {
		n = pick(g, 0, 1, 30, 300)
	}
	if s.Format == "date-time" {
		return "2026-03-02T10:00:00+08:00"
	}
	return strings.Repeat(pick(g, "a", "a", "一"), n)
}
