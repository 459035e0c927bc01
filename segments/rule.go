package segments

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Op is an operator of conditions.
type Op string

// The operators; the package's comment says what they do.
const (
	OpIs         Op = "is"
	OpIsNot      Op = "is_not"
	OpIn         Op = "in"
	OpContains   Op = "contains"
	OpGT         Op = "gt"
	OpGTE        Op = "gte"
	OpLT         Op = "lt"
	OpLTE        Op = "lte"
	OpBefore     Op = "before"
	OpAfter      Op = "after"
	OpWithinDays Op = "within_days"
	OpExists     Op = "exists"
)

// Operators are those of fields of a type, in the order in which a form offers them.
func Operators(t Type) []Op {
	switch t {
	case TypeText:
		return []Op{OpIs, OpIsNot, OpIn, OpContains, OpExists}
	case TypeNumber:
		return []Op{OpIs, OpIsNot, OpIn, OpGT, OpGTE, OpLT, OpLTE, OpExists}
	case TypeBool:
		return []Op{OpIs, OpIsNot, OpExists}
	case TypeDate:
		return []Op{OpIs, OpIsNot, OpBefore, OpAfter, OpWithinDays, OpExists}
	case TypeTag:
		return []Op{OpExists}
	default:
		return nil
	}
}

// Rule is a tree of conditions, made by Parse. It does not change, and can be asked from everywhere at once.
type Rule struct {
	root node
}

// node is a group of rules, or a condition.
type node struct {
	group group
	parts []node // of a group; one of not
	condition
}

// group is how the parts of a node are joined.
type group string

const (
	groupAll  group = "all"
	groupAny  group = "any"
	groupNot  group = "not"
	groupNone group = "" // a condition
)

type condition struct {
	field   string
	kind    Type
	op      Op
	values  []Value         // what is compared with; several of in, none of exists and within_days
	days    int64           // of within_days
	exists  bool            // of exists
	written json.RawMessage // the value as JSON
}

// Fields lists the fields that the rule asks, each once, sorted.
func (r *Rule) Fields() []string {
	fields := r.root.fields(nil)
	slices.Sort(fields)
	return slices.Compact(fields)
}

func (n *node) fields(to []string) []string {
	if n.group == groupNone {
		return append(to, n.field)
	}
	for i := range n.parts {
		to = n.parts[i].fields(to)
	}
	return to
}

// Match reports whether the rule holds for a fan.
func (r *Rule) Match(f Facts) bool { return r.root.holds(f) }

func (n *node) holds(f Facts) bool {
	switch n.group {
	case groupAll:
		for i := range n.parts {
			if !n.parts[i].holds(f) {
				return false
			}
		}
		return true
	case groupAny:
		for i := range n.parts {
			if n.parts[i].holds(f) {
				return true
			}
		}
		return false
	case groupNot:
		return !n.parts[0].holds(f)
	default:
		v, known := f.Fact(n.field)
		return n.asks(v, known && v.known(n.kind))
	}
}

// asks is the condition's answer for a value, which may be unknown.
func (c *condition) asks(v Value, known bool) bool {
	switch c.op {
	case OpExists:
		return known == c.exists
	case OpIsNot:
		return !known || !v.is(c.values[0])
	default:
		return known && c.compare(v)
	}
}

func (c *condition) compare(v Value) bool {
	switch c.op {
	case OpIs, OpIn:
		return slices.ContainsFunc(c.values, v.is)
	case OpContains:
		return v.contains(c.values[0])
	case OpGT, OpAfter:
		return v.number > c.values[0].number
	case OpGTE:
		return v.number >= c.values[0].number
	case OpLT, OpBefore:
		return v.number < c.values[0].number
	case OpLTE:
		return v.number <= c.values[0].number
	case OpWithinDays:
		ahead := v.number - int64(v.today)
		return min(c.days, 0) <= ahead && ahead <= max(c.days, 0)
	default:
		return false
	}
}

// MarshalJSON writes the rule as Parse reads it, in one form: numbers without needless digits, the value of exists always.
func (r *Rule) MarshalJSON() ([]byte, error) { return encode(r.root.tree()) }

func (n *node) tree() any {
	switch n.group {
	case groupNone:
		return struct {
			Field string          `json:"field"`
			Op    Op              `json:"op"`
			Value json.RawMessage `json:"value"`
		}{n.field, n.op, n.written}
	case groupNot:
		return map[group]any{groupNot: n.parts[0].tree()}
	default:
		parts := make([]any, len(n.parts))
		for i := range n.parts {
			parts[i] = n.parts[i].tree()
		}
		return map[group]any{n.group: parts}
	}
}

// encode writes JSON without HTML escaping, so that what is stored reads like what was written.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
