package campaigns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"hongyan/internal/fault"
)

// problems collects everything that is wrong with an input, one error per field: a field of a wrong type is not
// reported as missing as well.
type problems struct {
	errs []error
	seen map[string]bool
}

func (p *problems) addf(field, rule, format string, args ...any) {
	if p.seen[field] {
		return
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[field] = true
	p.errs = append(p.errs, fault.BadField(field, rule, format, args...))
}

// nested adds the field errors of a part under its path.
func (p *problems) nested(path string, err error) {
	fields := fault.Fields(err)
	if len(fields) == 0 {
		p.addf(path, "json", "this cannot be read: %v", err)
		return
	}
	if p.seen[path] {
		return
	}
	p.errs = append(p.errs, fault.Prefix(path, err))
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[path] = true
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// object is a JSON object whose fields are taken one by one; what is left at the end is unknown.
type object struct {
	p      *problems
	path   string
	fields map[string]json.RawMessage
}

func (p *problems) object(path string, raw []byte) object {
	o := object{p: p, path: path}
	if err := json.Unmarshal(raw, &o.fields); err != nil {
		p.addf(cmp.Or(path, "definition"), "wrong_type", "this is not a JSON object: %v", err)
	}
	return o
}

func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o object) take(name string) (json.RawMessage, bool) {
	raw, given := o.fields[name]
	delete(o.fields, name)
	return raw, given
}

func (o object) read(name string, into any) {
	raw, given := o.take(name)
	if !given {
		return
	}
	var wrong *json.UnmarshalTypeError
	err := json.Unmarshal(raw, into)
	switch {
	case errors.As(err, &wrong):
		o.p.addf(o.at(name), "wrong_type", "a %s cannot stand here", wrong.Value)
	case err != nil:
		o.p.addf(o.at(name), "wrong_type", "this cannot be read: %v", err)
	}
}

func (o object) list(name string) []json.RawMessage {
	var out []json.RawMessage
	o.read(name, &out)
	return out
}

func (o object) done() {
	left := make([]string, 0, len(o.fields))
	for name := range o.fields {
		left = append(left, name)
	}
	slices.Sort(left)
	for _, name := range left {
		o.p.addf(o.at(name), "unknown_field", "this field is not known here")
	}
}

// each reads a list of objects.
func (p *problems) each(path string, raws []json.RawMessage, read func(object)) {
	for i, raw := range raws {
		o := p.object(index(path, i), raw)
		read(o)
		o.done()
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
