package segments_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"hongyan/segments"
)

// model is a fan as the reference knows it: values as people write them, by field. A field that is missing is not known.
type model map[string]any

const modelToday = 15

func (m model) Fact(field string) (segments.Value, bool) {
	switch v := m[field].(type) {
	case string:
		return segments.Text(v), true
	case float64: // quarters of a hundred at most: exact
		return segments.Decimal(int64(v * 10_000)), true
	case bool:
		return segments.Bool(v), true
	case int: // a day
		return segments.Date(segments.Day(v), modelToday), true
	default:
		return segments.Value{}, false
	}
}

// plain is what the reference compares texts by: those that drawFan and drawCondition draw need no more.
func plain(v any) any {
	if s, ok := v.(string); ok {
		return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "ａ", "a")
	}
	return v
}

// reference evaluates a rule as it reads, over the decoded JSON.
func reference(rule map[string]any, fan model) bool {
	if parts, ok := rule["all"].([]any); ok {
		return !slices.ContainsFunc(parts, func(p any) bool { return !reference(p.(map[string]any), fan) })
	}
	if parts, ok := rule["any"].([]any); ok {
		return slices.ContainsFunc(parts, func(p any) bool { return reference(p.(map[string]any), fan) })
	}
	if part, ok := rule["not"].(map[string]any); ok {
		return !reference(part, fan)
	}
	field := rule["field"].(string)
	fact, known := fan[field]
	if field == "tag.1" {
		has, _ := fact.(bool)
		known = known && has
	}
	value := rule["value"]
	switch rule["op"] {
	case "exists":
		return known == value.(bool)
	case "is_not":
		return !known || !same(fact, value)
	}
	return known && referenceCompare(rule["op"].(string), fact, value)
}

func same(fact, value any) bool {
	if day, ok := fact.(int); ok {
		return fmt.Sprintf("1970-01-%02d", day+1) == value
	}
	return plain(fact) == plain(value)
}

func referenceCompare(op string, fact, value any) bool {
	switch op {
	case "is":
		return same(fact, value)
	case "in":
		return slices.ContainsFunc(value.([]any), func(v any) bool { return same(fact, v) })
	case "contains":
		return strings.Contains(plain(fact).(string), plain(value).(string))
	case "before":
		return fmt.Sprintf("1970-01-%02d", fact.(int)+1) < value.(string)
	case "after":
		return fmt.Sprintf("1970-01-%02d", fact.(int)+1) > value.(string)
	case "within_days":
		from, to := modelToday, modelToday+int(value.(float64))
		return min(from, to) <= fact.(int) && fact.(int) <= max(from, to)
	}
	a, b := fact.(float64), value.(float64)
	return map[string]bool{"gt": a > b, "gte": a >= b, "lt": a < b, "lte": a <= b}[op]
}

var modelTexts = []string{"a", "ａb", " B", "ab ", "ba"}

func drawFan(t *rapid.T, everything bool) model {
	fan := model{}
	for field, draw := range map[string]*rapid.Generator[any]{
		"lang":     rapid.SampledFrom(modelTexts).AsAny(),
		"city":     rapid.SampledFrom(modelTexts).AsAny(),
		"points":   rapid.Map(rapid.IntRange(-8, 8), func(n int) float64 { return float64(n) / 4 }).AsAny(),
		"vip":      rapid.Bool().AsAny(),
		"birthday": rapid.IntRange(0, 30).AsAny(),
		"tag.1":    rapid.Bool().AsAny(),
	} {
		if everything || rapid.Bool().Draw(t, field+" known") {
			fan[field] = draw.Draw(t, field)
		}
	}
	return fan
}

func drawRule(t *rapid.T, depth int) map[string]any {
	kind := "field"
	if depth < segments.MaxDepth {
		kind = rapid.SampledFrom([]string{"all", "any", "not", "field"}).Draw(t, "kind")
	}
	switch kind {
	case "not":
		return map[string]any{"not": drawRule(t, depth+1)}
	case "field":
		return drawCondition(t)
	}
	parts := make([]any, rapid.IntRange(1, 2).Draw(t, "parts"))
	for i := range parts {
		parts[i] = drawRule(t, depth+1)
	}
	return map[string]any{kind: parts}
}

func drawCondition(t *rapid.T) map[string]any {
	field := rapid.SampledFrom([]string{"lang", "city", "points", "vip", "birthday", "tag.1"}).Draw(t, "field")
	of, _ := fields{}.Field(field)
	op := rapid.SampledFrom(segments.Operators(of.Type)).Draw(t, "op")
	one := func() any {
		switch of.Type {
		case segments.TypeText:
			return rapid.SampledFrom(modelTexts).Draw(t, "text")
		case segments.TypeNumber:
			return float64(rapid.IntRange(-8, 8).Draw(t, "quarters")) / 4
		case segments.TypeDate:
			return fmt.Sprintf("1970-01-%02d", rapid.IntRange(1, 31).Draw(t, "date"))
		default:
			return rapid.Bool().Draw(t, "bool")
		}
	}
	var value any
	switch op {
	case segments.OpExists:
		value = rapid.Bool().Draw(t, "exists")
	case segments.OpWithinDays:
		value = float64(rapid.IntRange(-10, 10).Draw(t, "days"))
	case segments.OpIn:
		value = []any{one()}
	default:
		value = one()
	}
	return map[string]any{"field": field, "op": string(op), "value": value}
}

func match(t *rapid.T, rule map[string]any, fan model) bool {
	raw, err := json.Marshal(rule)
	require.NoError(t, err)
	return parse(t, string(raw)).Match(fan)
}

func TestPropertyMatchEqualsTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fan, rule := drawFan(t, false), drawRule(t, 0)
		require.Equal(t, reference(rule, fan), match(t, rule, fan))
	})
}

func TestPropertyDeMorgan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fan := drawFan(t, rapid.Bool().Draw(t, "everything"))
		a, b := drawRule(t, 2), drawRule(t, 2)
		neither := map[string]any{"not": map[string]any{"any": []any{a, b}}}
		bothNot := map[string]any{"all": []any{map[string]any{"not": a}, map[string]any{"not": b}}}
		require.Equal(t, match(t, neither, fan), match(t, bothNot, fan))
		notBoth := map[string]any{"not": map[string]any{"all": []any{a, b}}}
		oneNot := map[string]any{"any": []any{map[string]any{"not": a}, map[string]any{"not": b}}}
		require.Equal(t, match(t, notBoth, fan), match(t, oneNot, fan))
	})
}

// For a fan of whom everything is known, an operator and its opposite divide the fans.
func TestPropertyOppositesDivideWhatIsKnown(t *testing.T) {
	t.Parallel()
	opposite := map[string]string{"is": "is_not", "gt": "lte", "lt": "gte"}
	rapid.Check(t, func(t *rapid.T) {
		fan := drawFan(t, true)
		rule := drawCondition(t)
		other, has := opposite[rule["op"].(string)]
		if !has {
			t.Skip("an operator without an opposite")
		}
		holds := match(t, rule, fan)
		rule["op"] = other
		require.NotEqual(t, holds, match(t, rule, fan))
	})
}
