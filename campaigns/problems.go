package campaigns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hongyan/internal/fault"
)

// problems collects everything that is wrong with an input, one error per field: a field of a wrong type is not
// reported as missing as well.
type problems struct {
	errs  []error
	seen  map[string]bool
	names *catalogue // what the account has; nil: not known
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
	if p.seen[path] {
		return
	}
	if len(fault.Fields(err)) == 0 {
		err = fault.At(path, "json", err)
	} else {
		err = fault.Prefix(path, err)
	}
	p.errs = append(p.errs, err)
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
	known  map[string]bool // the names that were asked for
}

func (p *problems) object(path string, raw []byte) object {
	o := object{p: p, path: path, known: map[string]bool{}}
	err := json.Unmarshal(raw, &o.fields)
	if err == nil {
		return o
	}
	if broken, ok := errors.AsType[*json.SyntaxError](err); ok {
		p.addf(cmp.Or(path, "definition"), "wrong_type", "this is not JSON: it cannot be read from byte %d on", broken.Offset)
	} else {
		p.addf(cmp.Or(path, "definition"), "wrong_type", "this is not a JSON object; write one in braces")
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
	o.known[name] = true
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

// maxListed is how many known names an error may list: more of them nobody reads.
const maxListed = 12

// done reports what was not asked for.
func (o object) done() {
	left := make([]string, 0, len(o.fields))
	for name := range o.fields {
		left = append(left, name)
	}
	slices.Sort(left)
	for _, name := range left {
		if len(o.known) <= maxListed {
			o.p.addf(o.at(name), "unknown_field", "this field is not known here; known are %s", strings.Join(slices.Sorted(maps.Keys(o.known)), ", "))
		} else {
			o.p.addf(o.at(name), "unknown_field", "this field is not known here")
		}
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
