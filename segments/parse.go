package segments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"hongyan/internal/fault"
)

// The limits of a rule.
const (
	MaxDepth      = 5  // groups inside each other; a condition alone has none
	MaxConditions = 50 // in the whole tree
	MaxValues     = 100
	MaxText       = 200 // characters
	MaxDays       = 3650

	maxProblems = 50 // that are reported at once
)

// Parse reads a rule strictly: what it does not know, or what is there twice, is an error. Path is where the rule stands in
// what was written, as in "steps[2].condition"; it is not empty. Every problem is a fault.Invalid error that names its field,
// as in "steps[2].condition.all[1].value", and its rule; the first 50 are reported at once.
func Parse(path string, raw []byte, r Registry) (*Rule, error) {
	p := &parser{registry: r, path: path}
	root := p.rule(path, raw, 0)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return &Rule{root: root}, nil
}

type parser struct {
	registry   Registry
	path       string
	conditions int
	errs       []error
}

func (p *parser) addf(field, rule, format string, args ...any) {
	if len(p.errs) < maxProblems {
		p.errs = append(p.errs, fault.BadField(field, rule, format, args...))
	}
}

// rule reads one rule that stands inside depth groups.
func (p *parser) rule(at string, raw json.RawMessage, depth int) node {
	fields, twice, err := members(raw)
	if err != nil {
		if broken, ok := errors.AsType[*json.SyntaxError](err); ok {
			p.addf(at, "wrong_type", "this is not JSON: it cannot be read from byte %d on", broken.Offset)
		} else {
			p.addf(at, "wrong_type", "this is not a JSON object; write one in braces")
		}
		return node{}
	}
	for _, name := range twice {
		p.addf(at+"."+name, "duplicate", "%q is listed twice", name)
	}
	var n node
	switch kind := kindOf(fields); kind {
	case "":
		p.addf(at, "one_of", "a rule is all, any, not, or a condition with field and op; write exactly one of them")
		return n
	case "field":
		n.condition = p.condition(at, fields)
	default:
		n = p.group(at, group(kind), fields, depth)
	}
	for _, name := range left(fields) {
		p.addf(at+"."+name, "unknown_field", "this field is not known here")
	}
	return n
}

// kindOf is the one of the four names that says what an object is, "" if there is not exactly one.
func kindOf(fields map[string]json.RawMessage) string {
	kind := ""
	for _, name := range []string{string(groupAll), string(groupAny), string(groupNot), "field"} {
		if _, there := fields[name]; there {
			if kind != "" {
				return ""
			}
			kind = name
		}
	}
	return kind
}

func left(fields map[string]json.RawMessage) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *parser) group(at string, kind group, fields map[string]json.RawMessage, depth int) node {
	n := node{group: kind}
	raw := take(fields, string(kind))
	at += "." + string(kind)
	if depth == MaxDepth {
		p.addf(at, "depth", "all, any and not can stand at most %d deep inside each other; take a level away", MaxDepth)
		return n
	}
	if kind == groupNot {
		n.parts = []node{p.rule(at, raw, depth+1)}
		return n
	}
	parts, ok := list(raw)
	switch {
	case !ok:
		p.addf(at, "wrong_type", "write a list in square brackets here")
	case len(parts) == 0:
		p.addf(at, "required", "at least one is needed")
	}
	for i, part := range parts {
		if p.conditions > MaxConditions {
			break
		}
		n.parts = append(n.parts, p.rule(fmt.Sprintf("%s[%d]", at, i), part, depth+1))
	}
	return n
}

func (p *parser) condition(at string, fields map[string]json.RawMessage) condition {
	var c condition
	p.conditions++
	if p.conditions == MaxConditions+1 {
		p.addf(p.path, "count", "a rule has at most %d conditions; leave some out", MaxConditions)
	}
	name, nameOK := text(take(fields, "field"))
	op, opOK := text(take(fields, "op"))
	raw, given := fields["value"]
	delete(fields, "value")
	field, known := p.registry.Field(name)
	switch {
	case !nameOK:
		p.addf(at+".field", "wrong_type", "write a text in quotation marks")
		return c
	case !known:
		p.addf(at+".field", "unknown", "there is no field %q to ask; take one that the list of fields offers", name)
		return c
	}
	c = condition{field: name, kind: field.Type, op: Op(op)}
	if !opOK || !slices.Contains(Operators(c.kind), c.op) {
		p.addf(at+".op", "one_of", "%q does not go with a field of type %s; take one of %s", op, c.kind, offered(c.kind))
		return c
	}
	p.value(at+".value", &c, raw, given)
	return c
}

func offered(t Type) string {
	names := make([]string, 0, len(Operators(t)))
	for _, op := range Operators(t) {
		names = append(names, string(op))
	}
	return strings.Join(names, ", ")
}

// members takes an object apart, and lists the names that are in it more than once.
func members(raw []byte) (fields map[string]json.RawMessage, twice []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, nil, cannot(err)
	}
	fields = map[string]json.RawMessage{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, nil, cannot(nil)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, nil, err
		}
		if _, there := fields[name]; there && !slices.Contains(twice, name) {
			twice = append(twice, name)
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows it")
	}
	return fields, twice, nil
}

// cannot is err, or that something else stands where an object should.
func cannot(err error) error {
	if err != nil {
		return err
	}
	return errors.New("something else stands here")
}

func take(fields map[string]json.RawMessage, name string) json.RawMessage {
	raw := fields[name]
	delete(fields, name)
	return raw
}
