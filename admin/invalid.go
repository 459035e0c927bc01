package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/internal/fault"
)

// errTooLarge is said of a body that nobody wants to read.
var errTooLarge = fault.New(fault.Invalid, "the request is larger than a request may be; send less at a time")

// inputError is what huma says of a request that does not fit its operation, in our words.
func inputError(m *huma.ErrorModel) error {
	var errs []error
	for _, d := range m.Errors {
		errs = append(errs, fieldError(d))
	}
	err := errors.Join(errs...)
	switch m.Status {
	case http.StatusBadRequest:
		if err == nil {
			err = fault.BadField("body", "required", "the request needs a body: a JSON object")
		}
		return refuse(kindMalformed, err)
	case http.StatusRequestEntityTooLarge:
		return refuse(kindTooLarge, errTooLarge)
	case http.StatusUnsupportedMediaType:
		return refuse(kindWrongType, fault.BadField("header.Content-Type", "json", "the body is to be JSON: send Content-Type: application/json"))
	case http.StatusRequestTimeout:
		return refuse(kindSlow, fault.New(fault.Invalid, "the body did not come in time; send it again"))
	case http.StatusUnprocessableEntity:
		if err == nil {
			err = fault.New(fault.Invalid, "the request is not valid; compare it with %s", referencePath)
		}
		return err
	}
	return fault.New(fault.Internal, "%s: %v", m.Detail, err)
}

// fieldOf is the path that members read: of the body without its name in front.
func fieldOf(location string) string {
	if rest, ok := strings.CutPrefix(location, "body."); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(location, "body["); ok {
		return "[" + rest
	}
	return location
}

// fieldError is one complaint of huma's in our words.
func fieldError(d *huma.ErrorDetail) error {
	field := fieldOf(d.Location)
	if body, ok := d.Value.(string); ok && d.Location == "body" {
		broken, ok := errors.AsType[*json.SyntaxError](json.Unmarshal([]byte(body), new(any)))
		if ok && broken.Error() == d.Message { // and not a body that is a text
			return fault.BadField(field, "json", "this is not JSON: it cannot be read from byte %d on", broken.Offset)
		}
	}
	if rest, ok := strings.CutPrefix(d.Message, "json: cannot unmarshal "); ok {
		return wrongType(field, rest)
	}
	for _, c := range complaints {
		rest, ok := strings.CutPrefix(d.Message, c.prefix)
		if !ok {
			continue
		}
		return c.say(field, strings.Trim(rest, `"`))
	}
	return fault.BadField(field, "invalid", "this does not fit: %s", d.Message)
}

// wrongType is what encoding/json says of a value of another type, "number 1.5 into Go struct field T.a.b of type int64", in our words.
func wrongType(field, said string) error {
	value, into, _ := strings.Cut(said, " into Go ")
	if path, ok := strings.CutPrefix(into, "struct field "); ok {
		path, _, _ = strings.Cut(path, " of type ")
		if _, inner, ok := strings.Cut(path, "."); ok {
			field = inner
		}
	}
	kind, _, _ := strings.Cut(value, " ")
	return fault.BadField(field, "type", "a %s cannot stand here", kind)
}

// complaint is a sentence of huma's, up to where its value begins.
type complaint struct {
	prefix string
	say    func(field, value string) error
}

// A sentence that begins like another stands before it.
var complaints = []complaint{
	{"unexpected property", func(f, _ string) error {
		return fault.BadField(f, "unknown_field", "there is no such field; remove it, or correct its name")
	}},
	{"unknown query parameter", func(f, _ string) error {
		return fault.BadField(f, "unknown_field", "there is no such parameter; remove it, or correct its name")
	}},
	{"expected required property ", func(f, v string) error {
		name := strings.TrimSuffix(v, " to be present")
		if f != "body" && f != "" {
			name = f + "." + name
		}
		return fault.BadField(name, "required", "this is needed; give it a value")
	}},
	{"required ", func(f, _ string) error { return fault.BadField(f, "required", "this is needed; give it a value") }},
	{"expected value to be one of ", func(f, v string) error {
		return fault.BadField(f, "one_of", "take one of these: %s", strings.ReplaceAll(v, `"`, ""))
	}},
	{"expected number >= ", func(f, v string) error { return fault.BadField(f, "range", "at least %s is possible", v) }},
	{"expected number > ", func(f, v string) error { return fault.BadField(f, "range", "more than %s is needed", v) }},
	{"expected number <= ", func(f, v string) error { return fault.BadField(f, "range", "at most %s is possible", v) }},
	{"expected number < ", func(f, v string) error { return fault.BadField(f, "range", "less than %s is needed", v) }},
	{"expected number", func(f, _ string) error { return fault.BadField(f, "type", "this is to be a number") }},
	{"expected length >= ", func(f, v string) error { return fault.BadField(f, "length", "at least %s characters are needed", v) }},
	{"expected length <= ", func(f, v string) error { return fault.BadField(f, "length", "at most %s characters are possible", v) }},
	{"expected array length >= ", func(f, v string) error { return fault.BadField(f, "count", "at least %s items are needed", v) }},
	{"expected array length <= ", func(f, v string) error { return fault.BadField(f, "count", "at most %s items are possible", v) }},
	{"expected array items to be unique", func(f, _ string) error { return fault.BadField(f, "unique", "no item may be there twice") }},
	{"expected array", func(f, _ string) error { return fault.BadField(f, "type", "this is to be a list") }},
	{"expected object", func(f, _ string) error { return fault.BadField(f, "type", "this is to be an object") }},
	{"expected boolean", func(f, _ string) error { return fault.BadField(f, "type", "this is to be true or false") }},
	{"invalid boolean", func(f, _ string) error { return fault.BadField(f, "type", "this is to be true or false") }},
	{"expected integer", func(f, _ string) error { return fault.BadField(f, "type", "this is to be a whole number") }},
	{"invalid integer", func(f, _ string) error { return fault.BadField(f, "type", "this is to be a whole number") }},
	{"expected string to match pattern ^[a-z_]*$", func(f, _ string) error {
		return fault.BadField(f, "pattern", "only small letters and _ are possible here")
	}},
	{"expected string to match pattern ^[0-9]*$", func(f, _ string) error { return fault.BadField(f, "pattern", "only digits are possible here") }},
	{"expected string to match pattern ", func(f, v string) error { return fault.BadField(f, "pattern", "this is to look like %s", v) }},
	{"expected string to be ", func(f, v string) error { return fault.BadField(f, "format", "this is to be written as %s", v) }},
	{"expected string", func(f, _ string) error { return fault.BadField(f, "type", "this is to be a text") }},
}
