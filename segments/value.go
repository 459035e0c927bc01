package segments

import (
	"strings"
	"time"

	"hongyan/internal/lang"
)

// Type is what the values of a field are.
type Type string

// The types of fields.
const (
	TypeText   Type = "text"
	TypeNumber Type = "number" // with up to four decimals
	TypeBool   Type = "bool"
	TypeDate   Type = "date" // a day of the calendar, without a zone
	TypeTag    Type = "tag"  // whether the fan has a tag: its facts are made by Bool
)

// Field is something that conditions may ask.
type Field struct {
	Name string // as rules write it: "fan.language", "tag.12", "attribute.birthday"
	Type Type
}

// Registry knows the fields. It is asked while a rule is parsed only.
type Registry interface {
	// Field finds a field by its name.
	Field(name string) (Field, bool)
}

// Facts are what is known of one fan at one moment.
type Facts interface {
	// Fact is the value of a field, false when it is not known. It is asked for fields that the registry knew when the rule was parsed.
	Fact(field string) (Value, bool)
}

// Day is a day of the calendar: days since 1970-01-01.
type Day int64

// DayOf is the day that it is in zone at a moment, in unix milliseconds.
func DayOf(ms int64, zone *time.Location) Day {
	year, month, day := time.UnixMilli(ms).In(zone).Date()
	return dayOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

const secondsPerDay = 24 * 60 * 60

// dayOf is the day of a midnight in UTC: its seconds are a multiple of a day's, also before 1970.
func dayOf(midnight time.Time) Day { return Day(midnight.Unix() / secondsPerDay) }

// Value is what a fact is. The zero Value is not known.
type Value struct {
	kind   Type
	number int64 // ten-thousandths of a number, the day of a date, 0 or 1 of a bool
	today  Day   // of a date: the day on which it is asked
	text   string
}

// Decimals is how many digits behind the point a number has.
const Decimals = 4

const (
	unit     = 10_000                         // ten-thousandths of one
	maxWhole = 14                             // digits in front of the point: with the decimals they fit into 63 bits
	maxN     = 99_999_999_999_999*unit + 9999 // ten-thousandths
)

// Text is a text. A blank one is not known.
func Text(s string) Value { return Value{kind: TypeText, text: lang.Fold(s)} }

// Number is a whole number. What has more than 14 digits counts as the nearest that has not.
func Number(n int64) Value { return Decimal(max(min(n, maxN/unit), -maxN/unit) * unit) }

// Decimal is a number in ten-thousandths, as fans' attributes are kept: 15000 is 1.5.
func Decimal(n int64) Value { return Value{kind: TypeNumber, number: max(min(n, maxN), -maxN)} }

// Bool is a yes or no, and whether a fan has a tag.
func Bool(b bool) Value {
	v := Value{kind: TypeBool}
	if b {
		v.number = 1
	}
	return v
}

// Date is a day, asked on another day, today, both in the calendar of the account: see DayOf.
func Date(day, today Day) Value { return Value{kind: TypeDate, number: int64(day), today: today} }

// known reports whether v says something about a field of type t.
func (v Value) known(t Type) bool {
	switch t {
	case TypeTag:
		return v.kind == TypeBool && v.number == 1
	case TypeText:
		return v.kind == t && v.text != ""
	default:
		return v.kind == t
	}
}

// is reports whether v and w, both of one type, are the same.
func (v Value) is(w Value) bool { return v.number == w.number && v.text == w.text }

func (v Value) contains(w Value) bool { return strings.Contains(v.text, w.text) }
