package segments_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/segments"
)

// fields is a registry of one field of each type, and a second text.
type fields struct{}

func (fields) Field(name string) (segments.Field, bool) {
	kinds := map[string]segments.Type{
		"lang": segments.TypeText, "city": segments.TypeText, "points": segments.TypeNumber, "vip": segments.TypeBool,
		"birthday": segments.TypeDate, "tag.1": segments.TypeTag,
	}
	kind, known := kinds[name]
	return segments.Field{Name: name, Type: kind}, known
}

// known is what is known of a fan.
type known map[string]segments.Value

func (k known) Fact(field string) (segments.Value, bool) {
	v, there := k[field]
	return v, there
}

func parse(t require.TestingT, raw string) *segments.Rule {
	rule, err := segments.Parse("rule", []byte(raw), fields{})
	require.NoError(t, err, raw)
	return rule
}

// problems are the fields and rules of everything that is wrong.
func problems(err error) []string {
	var out []string
	for _, f := range fault.Fields(err) {
		out = append(out, f.Field+" "+f.Rule)
	}
	return out
}

// day reads a date.
func day(t require.TestingT, s string) segments.Day {
	at, err := time.Parse(time.DateOnly, s)
	require.NoError(t, err)
	return segments.DayOf(at.UnixMilli(), time.UTC)
}

func TestOperatorsAnswerByTypeAndBound(t *testing.T) {
	t.Parallel()
	fan := known{
		"lang": segments.Text(" zh_CN"), "points": segments.Decimal(15_000), "vip": segments.Bool(false),
		"birthday": segments.Date(day(t, "2026-03-08"), day(t, "2026-03-01")), "tag.1": segments.Bool(true),
	}
	for raw, want := range map[string]bool{
		`{"field":"lang","op":"is","value":"ZH_cn "}`:                                           true,
		`{"field":"lang","op":"is","value":"ｚｈ＿ＣＮ"}`:                                            true,
		`{"field":"lang","op":"is","value":"zh"}`:                                               false,
		`{"field":"lang","op":"is_not","value":"zh_cn"}`:                                        false,
		`{"field":"lang","op":"in","value":["en","zh_CN"]}`:                                     true,
		`{"field":"lang","op":"in","value":["en","zh"]}`:                                        false,
		`{"field":"lang","op":"contains","value":"Ｈ_"}`:                                         true,
		`{"field":"lang","op":"contains","value":"zh cn"}`:                                      false,
		`{"field":"points","op":"is","value":1.50}`:                                             true,
		`{"field":"points","op":"in","value":[1,1.5]}`:                                          true,
		`{"field":"points","op":"gt","value":1.5}`:                                              false,
		`{"field":"points","op":"gte","value":1.5}`:                                             true,
		`{"field":"points","op":"gt","value":1.4999}`:                                           true,
		`{"field":"points","op":"lt","value":1.5}`:                                              false,
		`{"field":"points","op":"lte","value":1.5}`:                                             true,
		`{"field":"points","op":"lt","value":-1.5}`:                                             false,
		`{"field":"vip","op":"is","value":false}`:                                               true,
		`{"field":"vip","op":"is_not","value":false}`:                                           false,
		`{"field":"vip","op":"exists"}`:                                                         true,
		`{"field":"birthday","op":"is","value":"2026-03-08"}`:                                   true,
		`{"field":"birthday","op":"before","value":"2026-03-08"}`:                               false,
		`{"field":"birthday","op":"before","value":"2026-03-09"}`:                               true,
		`{"field":"birthday","op":"after","value":"2026-03-08"}`:                                false,
		`{"field":"birthday","op":"after","value":"1969-12-31"}`:                                true,
		`{"field":"birthday","op":"within_days","value":7}`:                                     true,
		`{"field":"birthday","op":"within_days","value":6}`:                                     false,
		`{"field":"birthday","op":"within_days","value":-7}`:                                    false,
		`{"field":"birthday","op":"within_days","value":0}`:                                     false,
		`{"field":"tag.1","op":"exists"}`:                                                       true,
		`{"field":"tag.1","op":"exists","value":false}`:                                         false,
		`{"not":{"field":"tag.1","op":"exists"}}`:                                               false,
		`{"all":[{"field":"tag.1","op":"exists"},{"field":"vip","op":"exists","value":false}]}`: false,
		`{"any":[{"field":"tag.1","op":"exists"},{"field":"vip","op":"exists","value":false}]}`: true,
	} {
		require.Equal(t, want, parse(t, raw).Match(fan), raw)
	}
	past := known{"birthday": segments.Date(day(t, "2026-02-22"), day(t, "2026-03-01"))}
	require.True(t, parse(t, `{"field":"birthday","op":"within_days","value":-7}`).Match(past))
	require.False(t, parse(t, `{"field":"birthday","op":"within_days","value":-6}`).Match(past))
	require.False(t, parse(t, `{"field":"birthday","op":"within_days","value":7}`).Match(past))
	today := known{"birthday": segments.Date(5, 5)}
	for _, days := range []string{"-3", "0", "3"} {
		require.True(t, parse(t, `{"field":"birthday","op":"within_days","value":`+days+`}`).Match(today), days)
	}
}

// everyCondition has each operator of each type once, with whether it holds for a fan of whom nothing is known.
func everyCondition() map[string]bool {
	return map[string]bool{
		`{"field":"lang","op":"is","value":"x"}`:                  false,
		`{"field":"lang","op":"is_not","value":"x"}`:              true,
		`{"field":"lang","op":"in","value":["x"]}`:                false,
		`{"field":"lang","op":"contains","value":"x"}`:            false,
		`{"field":"lang","op":"exists"}`:                          false,
		`{"field":"lang","op":"exists","value":true}`:             false,
		`{"field":"lang","op":"exists","value":false}`:            true,
		`{"field":"points","op":"is","value":0}`:                  false,
		`{"field":"points","op":"is_not","value":0}`:              true,
		`{"field":"points","op":"in","value":[0]}`:                false,
		`{"field":"points","op":"gt","value":-1}`:                 false,
		`{"field":"points","op":"gte","value":0}`:                 false,
		`{"field":"points","op":"lt","value":1}`:                  false,
		`{"field":"points","op":"lte","value":0}`:                 false,
		`{"field":"points","op":"exists","value":false}`:          true,
		`{"field":"vip","op":"is","value":false}`:                 false,
		`{"field":"vip","op":"is_not","value":false}`:             true,
		`{"field":"vip","op":"exists","value":false}`:             true,
		`{"field":"birthday","op":"is","value":"1970-01-01"}`:     false,
		`{"field":"birthday","op":"is_not","value":"1970-01-01"}`: true,
		`{"field":"birthday","op":"before","value":"1970-01-02"}`: false,
		`{"field":"birthday","op":"after","value":"1969-01-01"}`:  false,
		`{"field":"birthday","op":"within_days","value":0}`:       false,
		`{"field":"birthday","op":"exists","value":false}`:        true,
		`{"field":"tag.1","op":"exists"}`:                         false,
		`{"field":"tag.1","op":"exists","value":false}`:           true,
	}
}

func TestWhatIsNotKnownFulfilsOnlyIsNotAndNotExists(t *testing.T) {
	t.Parallel()
	for name, fan := range map[string]known{
		"nothing": {},
		"blank":   {"lang": segments.Text(" \u3000")},
		"other types": {
			"lang": segments.Number(1), "points": segments.Text("0"), "vip": segments.Text("false"), "birthday": segments.Number(0), "tag.1": segments.Number(1),
		},
		"zero values":  {"lang": {}, "points": {}, "vip": {}, "birthday": {}, "tag.1": {}},
		"without tags": {"tag.1": segments.Bool(false)},
	} {
		for raw, want := range everyCondition() {
			require.Equal(t, want, parse(t, raw).Match(fan), "%s: %s", name, raw)
			require.Equal(t, !want, parse(t, `{"not":`+raw+`}`).Match(fan), "%s: not %s", name, raw)
		}
	}
}

func TestTheDayIsTheZonesAndNumbersStopAtTheirBounds(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC).UnixMilli()
	require.Equal(t, segments.DayOf(at, time.UTC)+1, segments.DayOf(at, shanghai))
	require.Equal(t, segments.Day(-1), segments.DayOf(-1, time.UTC))
	require.Equal(t, segments.Number(99_999_999_999_999), segments.Number(1<<62))
	require.Equal(t, segments.Decimal(-1<<62), segments.Decimal(-1<<61))
	require.Equal(t, segments.Number(-3), segments.Decimal(-30_000))
}

func TestFieldsAreListedOnceAndSorted(t *testing.T) {
	t.Parallel()
	rule := parse(t, `{"any":[{"field":"vip","op":"exists"},{"not":{"all":[{"field":"lang","op":"exists"},{"field":"vip","op":"exists"}]}}]}`)
	require.Equal(t, []string{"lang", "vip"}, rule.Fields())
}
