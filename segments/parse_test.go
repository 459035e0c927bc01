package segments_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/segments"
)

func TestBadRulesAreRefusedWithFieldRuleAndRemedy(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:                                       "rule wrong_type",
		`null`:                                   "rule wrong_type",
		`[]`:                                     "rule wrong_type",
		`{`:                                      "rule wrong_type",
		`{"not":{}} x`:                           "rule wrong_type",
		`{}`:                                     "rule one_of",
		`{"op":"is","value":1}`:                  "rule one_of",
		`{"all":[],"any":[]}`:                    "rule one_of",
		`{"All":[]}`:                             "rule one_of",
		`{"all":null}`:                           "rule.all wrong_type",
		`{"any":[]}`:                             "rule.any required",
		`{"not":[]}`:                             "rule.not wrong_type",
		`{"all":[{"not":{}}]}`:                   "rule.all[0].not one_of",
		`{"field":7,"op":"is"}`:                  "rule.field wrong_type",
		`{"field":"age","op":"exists"}`:          "rule.field unknown",
		`{"field":"Lang","op":"exists"}`:         "rule.field unknown",
		`{"field":"lang"}`:                       "rule.op one_of",
		`{"field":"lang","op":"gt","value":"a"}`: "rule.op one_of",
		`{"field":"tag.1","op":"is","value":true}`:                   "rule.op one_of",
		`{"field":"points","op":"contains","value":1}`:               "rule.op one_of",
		`{"field":"lang","op":"is"}`:                                 "rule.value required",
		`{"field":"lang","op":"is","value":null}`:                    "rule.value wrong_type",
		`{"field":"lang","op":"is","value":1}`:                       "rule.value wrong_type",
		`{"field":"lang","op":"is","value":" \u3000 "}`:              "rule.value required",
		`{"field":"lang","op":"is","value":"` + long(201) + `"}`:     "rule.value length",
		`{"field":"lang","op":"in","value":"a"}`:                     "rule.value wrong_type",
		`{"field":"lang","op":"in","value":[]}`:                      "rule.value required",
		`{"field":"lang","op":"in","value":["a",2]}`:                 "rule.value[1] wrong_type",
		`{"field":"lang","op":"in","value":["a","Ａ"]}`:               "rule.value[1] duplicate",
		`{"field":"lang","op":"in","value":[` + list(101) + `]}`:     "rule.value count",
		`{"field":"points","op":"gt","value":"1"}`:                   "rule.value number",
		`{"field":"points","op":"gt","value":1e3}`:                   "rule.value number",
		`{"field":"points","op":"gt","value":1.00001}`:               "rule.value number",
		`{"field":"points","op":"gt","value":100000000000000}`:       "rule.value number",
		`{"field":"vip","op":"is","value":"true"}`:                   "rule.value wrong_type",
		`{"field":"vip","op":"exists","value":1}`:                    "rule.value wrong_type",
		`{"field":"birthday","op":"is","value":"2026-02-30"}`:        "rule.value date",
		`{"field":"birthday","op":"is","value":20260230}`:            "rule.value date",
		`{"field":"birthday","op":"within_days","value":1.5}`:        "rule.value range",
		`{"field":"birthday","op":"within_days","value":3651}`:       "rule.value range",
		`{"field":"birthday","op":"within_days","value":"7"}`:        "rule.value range",
		`{"field":"vip","op":"exists","values":true}`:                "rule.values unknown_field",
		`{"any":[{"field":"vip","op":"exists"}],"op":"is"}`:          "rule.op unknown_field",
		`{"field":"vip","op":"exists","value":true,"value":false}`:   "rule.value duplicate",
		nested(segments.MaxDepth+1, `{"field":"vip","op":"exists"}`): "rule" + strings.Repeat(".not", segments.MaxDepth+1) + " depth",
		`{"all":[` + strings.Repeat(`{"field":"vip","op":"exists"},`, segments.MaxConditions) + `{"field":"vip","op":"exists"}]}`: "rule count",
	} {
		_, err := segments.Parse("rule", []byte(raw), fields{})
		require.Equal(t, []string{want}, problems(err), raw)
		for _, words := range []string{fault.Words(err, lang.EN), fault.Words(err, lang.ZH)} {
			require.NotEmpty(t, words)
		}
	}
}

func long(n int) string { return strings.Repeat("字", n) }

func list(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Quote(strconv.Itoa(i))
	}
	return strings.Join(out, ",")
}

func nested(depth int, inner string) string {
	return strings.Repeat(`{"not":`, depth) + inner + strings.Repeat("}", depth)
}

func TestEverythingThatIsWrongIsReportedAtOnceUpToABound(t *testing.T) {
	t.Parallel()
	_, err := segments.Parse("steps[2].condition", []byte(`{"all":[
		{"field":"age","op":"is","value":1},
		{"not":{"field":"lang","op":"in","value":["",2]}}]}`), fields{})
	require.Equal(t, []string{
		"steps[2].condition.all[0].field unknown",
		"steps[2].condition.all[1].not.value[0] required",
		"steps[2].condition.all[1].not.value[1] wrong_type",
	}, problems(err))
	_, err = segments.Parse("rule", []byte(`{"all":[`+strings.Repeat(`{},`, 5000)+`{}]}`), fields{})
	require.Len(t, problems(err), 50)
}

func TestRulesAtTheirLimitsAreTaken(t *testing.T) {
	t.Parallel()
	parse(t, nested(segments.MaxDepth, `{"field":"vip","op":"exists"}`))
	parse(t, `{"all":[`+strings.Repeat(`{"field":"vip","op":"exists"},`, segments.MaxConditions-1)+`{"field":"vip","op":"exists"}]}`)
	parse(t, `{"field":"lang","op":"in","value":[`+list(segments.MaxValues)+`]}`)
	parse(t, `{"field":"lang","op":"is","value":"`+long(segments.MaxText)+`"}`)
	parse(t, `{"field":"points","op":"gt","value":-99999999999999.9999}`)
	parse(t, `{"field":"birthday","op":"within_days","value":-3650}`)
}

func TestARuleIsWrittenInOneForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"value":-0.50, "op":"gt", "field":"points"}`:            `{"field":"points","op":"gt","value":-0.5}`,
		`{"field":"points","op":"in","value":[ 1.0, -0, 2.25 ]}`:  `{"field":"points","op":"in","value":[1,0,2.25]}`,
		`{"field":"vip","op":"exists"}`:                           `{"field":"vip","op":"exists","value":true}`,
		`{"not": {"field":"lang","op":"is","value":"<\u9e3f>"} }`: `{"not":{"field":"lang","op":"is","value":"<鸿>"}}`,
		`{"field":"birthday","op":"within_days","value":7.00}`:    `{"field":"birthday","op":"within_days","value":7}`,
	} {
		out, err := parse(t, raw).MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, want, string(out))
	}
}

// FuzzParse: it never panics, and what it takes is written and read as the same rule.
func FuzzParse(f *testing.F) {
	for raw := range everyCondition() {
		f.Add([]byte(raw))
		f.Add([]byte(`{"all":[` + raw + `,{"any":[{"not":` + raw + `}]}]}`))
	}
	f.Add([]byte(`{"field":"lang","op":"is","value":"a","value":"b"}`))
	f.Add([]byte(`{"all":[{}],"any":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rule, err := segments.Parse("rule", raw, fields{})
		if err != nil {
			require.NotEmpty(t, problems(err))
			require.Nil(t, rule)
			return
		}
		rule.Match(known{})
		written, err := json.Marshal(rule)
		require.NoError(t, err)
		again, err := segments.Parse("rule", written, fields{})
		require.NoError(t, err, "%s", written)
		require.Equal(t, rule, again)
	})
}
