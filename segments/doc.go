// Package segments owns rules over what is known of a fan: a tree of conditions, read strictly from JSON, that holds for a
// fan or does not. The fields that conditions may ask are a registry's, which the user of the package fills, so that rules know
// no other room. Everything here is pure: no clock, no database; whoever asks brings the facts.
//
// A rule is one of
//
//	{"all": [rule, …]}                              every one holds
//	{"any": [rule, …]}                              at least one holds
//	{"not": rule}                                   it does not hold
//	{"field": "fan.language", "op": "is", "value": "zh_CN"}
//
// The operators of a field by its type:
//
//	text     is, is_not, in, contains     the value is a text, for in a list of texts
//	number   is, is_not, in, gt, gte, lt, lte
//	bool     is, is_not
//	date     is, is_not, before, after    a day of the calendar, "2026-03-04"; before and after leave the day itself out
//	date     within_days                  days from today: 7 is today and the next seven, -7 today and the last seven, 0 today
//	tag      exists
//	all      exists                       the value is true (also when left out) or false
//
// Texts are compared as keywords are: case, full-width forms and spaces around make no difference.
//
// What is not known of a fan fulfils no condition but two: exists with the value false, and is_not. A not around a condition turns
// this round like any other answer. A tag that the fan does not have, a blank text, and a fact of another type than the field's
// count as not known. So {"op": "is_not"} reaches fans of whom nothing is known, and who wants to leave them out adds exists.
//
// It imports internal only.
package segments
