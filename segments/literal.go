package segments

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/internal/lang"
)

// value reads what a condition compares with, and keeps it in one form.
func (p *parser) value(at string, c *condition, raw json.RawMessage, given bool) {
	switch {
	case c.op == OpExists && !given:
		c.exists, c.written = true, json.RawMessage("true")
	case !given:
		p.addf(at, "required", "write the value to compare with")
	case c.op == OpExists:
		v, written, _ := p.literal(at, TypeBool, raw)
		c.exists, c.written = v.number == 1, written
	case c.op == OpWithinDays:
		c.days, c.written = p.days(at, raw)
	case c.op == OpIn:
		p.values(at, c, raw)
	default:
		v, written, _ := p.literal(at, c.kind, raw)
		c.values, c.written = []Value{v}, written
	}
}

func (p *parser) values(at string, c *condition, raw json.RawMessage) {
	raws, ok := list(raw)
	switch {
	case !ok:
		p.addf(at, "wrong_type", "write a list in square brackets here")
	case len(raws) == 0:
		p.addf(at, "required", "at least one is needed")
	case len(raws) > MaxValues:
		p.addf(at, "count", "at most %d are possible, not %d", MaxValues, len(raws))
		return
	}
	written := make([]string, 0, len(raws))
	for i, raw := range raws {
		field := fmt.Sprintf("%s[%d]", at, i)
		v, w, ok := p.literal(field, c.kind, raw)
		if ok && slices.ContainsFunc(c.values, v.is) {
			p.addf(field, "duplicate", "%s is listed twice", w)
		}
		c.values, written = append(c.values, v), append(written, string(w))
	}
	c.written = json.RawMessage("[" + strings.Join(written, ",") + "]")
}

// literal reads one value of a type.
func (p *parser) literal(at string, t Type, raw json.RawMessage) (v Value, written json.RawMessage, ok bool) {
	before := len(p.errs)
	switch t {
	case TypeNumber:
		n, ok := decimal(raw)
		if !ok {
			p.addf(at, "number", "the value is a number such as -12.5, with at most %d digits, and %d behind the point", maxWhole, Decimals)
		}
		v, written = Decimal(n), json.RawMessage(formatDecimal(n))
	case TypeBool:
		if s := string(raw); s != "true" && s != "false" {
			p.addf(at, "wrong_type", "write true or false, without quotation marks")
		}
		v, written = Bool(string(raw) == "true"), raw
	case TypeDate:
		s, _ := text(raw)
		day, err := time.Parse(time.DateOnly, s)
		if err != nil {
			p.addf(at, "date", "%q is not a date such as 2026-10-01", s)
		}
		v, written = Date(dayOf(day), 0), quoted(s)
	default:
		s, ok := text(raw)
		p.checkText(at, s, ok)
		v, written = Text(s), quoted(s)
	}
	return v, written, len(p.errs) == before
}

func (p *parser) checkText(at, s string, ok bool) {
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		p.addf(at, "wrong_type", "write a text in quotation marks")
	case lang.Fold(s) == "":
		p.addf(at, "required", "the text is blank; to ask whether there is one, take the operator exists")
	case n > MaxText:
		p.addf(at, "length", "the text has %d characters; at most %d are allowed", n, MaxText)
	}
}

// days reads a whole number of days.
func (p *parser) days(at string, raw json.RawMessage) (int64, json.RawMessage) {
	n, ok := decimal(raw)
	if days := n / unit; ok && n%unit == 0 && -MaxDays <= days && days <= MaxDays {
		return days, json.RawMessage(formatDecimal(n))
	}
	p.addf(at, "range", "write whole days from -%d to %d: below zero for the past, above for what is to come", MaxDays, MaxDays)
	return 0, nil
}

// text is a JSON string; what else stands there is none, null included.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// list is a JSON list, not null.
func list(raw json.RawMessage) ([]json.RawMessage, bool) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	var out []json.RawMessage
	err := json.Unmarshal(raw, &out)
	return out, err == nil
}

func quoted(s string) json.RawMessage {
	raw, err := encode(s)
	if err != nil {
		return nil // a string can always be written
	}
	return raw
}

// decimal reads a JSON number in ten-thousandths. It is exact, so more decimals, more digits and exponents are refused.
func decimal(raw json.RawMessage) (int64, bool) {
	digits := strings.TrimPrefix(string(raw), "-")
	whole, part, _ := strings.Cut(digits, ".")
	if whole == "" || strings.Trim(whole+part, "0123456789") != "" || len(whole) > maxWhole || len(part) > Decimals {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", Decimals-len(part)), 10, 64)
	if len(digits) < len(raw) {
		n = -n
	}
	return n, err == nil
}

func formatDecimal(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	out := sign + strconv.FormatInt(n/unit, 10)
	if rest := n % unit; rest != 0 {
		out += "." + strings.TrimRight(strconv.FormatInt(unit+rest, 10)[1:], "0")
	}
	return out
}
