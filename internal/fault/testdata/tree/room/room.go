// Package room is read by the test of the catalogue and built by nobody.
package room

import "hongyan/internal/fault"

const elsewhere = "written elsewhere"

func addf(field, format string, args ...any) error {
	return fault.BadField(field, "rule", format, args...)
}

func add(format string) error { return addf("field", format) }

func errs(message string) []error {
	a := fault.New(fault.Conflict, "plain")
	b := fault.Wrap(fault.Invalid, a, "in two pieces"+
		" of %d", 1)
	c := addf("field", "handed on %s", "x")
	d := add("handed on twice")
	require := func(ok bool, format string) error { return addf("field", format) }
	e := require(true, "by a literal")
	f := fault.New(fault.Invalid, "%s", message)
	g := fault.New(fault.Invalid, elsewhere)
	h := &fault.Error{Code: fault.Conflict, Message: "literal"}
	return []error{a, b, c, d, e, f, g, h, fault.New(fault.Internal, "not shown")}
}
