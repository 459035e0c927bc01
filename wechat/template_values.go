package wechat

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// keywordShown is how many characters of an untyped value (keyword1) a fan sees since 2023-05-04 (platform.md 4.3).
const keywordShown = 20

var (
	templateMarker = regexp.MustCompile(`\{\{\s*([A-Za-z_]+\d*)\.DATA\s*\}\}`)
	templateKey    = regexp.MustCompile(`^[A-Za-z_]+\d*$`)
)

// TemplateKeys returns the keys of a template's content in their order: "thing1" of {{thing1.DATA}}. The number behind
// a type is arbitrary, so keys are always read from the content (platform.md 4.2).
func TemplateKeys(content string) []string {
	var keys []string
	for _, m := range templateMarker.FindAllStringSubmatch(content, -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// FillTemplate replaces the markers of a template's content by what shown returns for their keys.
func FillTemplate(content string, shown func(key string) string) string {
	return templateMarker.ReplaceAllStringFunc(content, func(marker string) string {
		return shown(templateMarker.FindStringSubmatch(marker)[1])
	})
}

// TemplateKeyType is the type of a key: "thing" of "thing1", "character_string" of "character_string3".
func TemplateKeyType(key string) string { return strings.TrimRight(key, "0123456789") }

// valueRule is what the platform takes as a value of one type (platform.md 4.2).
type valueRule struct {
	most  int            // characters
	shape *regexp.Regexp // nil: any
	says  lang.Text
}

const (
	datePattern = `(\d{4}年\d{1,2}月\d{1,2}日|\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2})`
	timePattern = `([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?`
	rangeJoin   = `\s?~\s?`
)

// valueRules is the table of platform.md 4.2. const and enum take one of the keyword's own values, which the key does
// not tell; keys of the old industry templates have no type.
var valueRules = map[string]valueRule{
	"thing":            {20, nil, lang.Text{ZH: "最多 20 个字符", EN: "at most 20 characters"}},
	"number":           {32, regexp.MustCompile(`^-?\d+(\.\d+)?$`), lang.Text{ZH: "最多 32 位数字，可带小数", EN: "at most 32 digits, with decimals if need be"}},
	"letter":           {32, regexp.MustCompile(`^[A-Za-z]+$`), lang.Text{ZH: "最多 32 个字母", EN: "at most 32 letters"}},
	"symbol":           {5, regexp.MustCompile(`^[^\pL\pN]+$`), lang.Text{ZH: "最多 5 个符号", EN: "at most 5 symbols"}},
	"character_string": {32, regexp.MustCompile(`^[ -~]+$`), lang.Text{ZH: "最多 32 个数字、字母或符号", EN: "at most 32 digits, letters or symbols"}},
	"time": {
		0, ranged(`(` + datePattern + `\s?)?` + timePattern), lang.Text{ZH: "时间，例如 15:01 或 2019年10月1日 15:01，也可以用 ~ 连接两个时间", EN: "a time like 15:01 or 2019年10月1日 15:01, or two joined by ~"},
	},
	"date": {
		0, ranged(datePattern + `(\s?` + timePattern + `)?`), lang.Text{ZH: "日期，例如 2019年10月1日，可带时间，也可以用 ~ 连接两个日期", EN: "a date like 2019年10月1日, with a time if need be, or two joined by ~"},
	},
	"amount":       {0, regexp.MustCompile(`^\p{Sc}?\d{1,10}(\.\d+)?元?$`), lang.Text{ZH: "一个币种符号和最多 10 位数字，可带小数和“元”", EN: "one currency sign and at most 10 digits, decimals and 元 if need be"}},
	"phone_number": {17, regexp.MustCompile(`^[0-9+\-() ]+$`), lang.Text{ZH: "最多 17 位数字或符号", EN: "at most 17 digits or symbols"}},
	"car_number":   {8, nil, lang.Text{ZH: "最多 8 个字符", EN: "at most 8 characters"}},
	"name":         {0, regexp.MustCompile(`^([^\pN]{1,10}|[^\p{Han}\pN]{1,20})$`), lang.Text{ZH: "含汉字时最多 10 个字，否则最多 20 个字母或符号", EN: "at most 10 characters with Chinese ones among them, or 20 letters or symbols"}},
	"phrase":       {5, regexp.MustCompile(`^\p{Han}+$`), lang.Text{ZH: "最多 5 个汉字", EN: "at most 5 Chinese characters"}},
}

func ranged(moment string) *regexp.Regexp {
	return regexp.MustCompile(`^` + moment + `(` + rangeJoin + moment + `)?$`)
}

// CheckTemplateValue checks a value by the type of its key (platform.md 4.2), as template/send and bizsend do (47003).
// A key without a known type takes any value but an empty one. The error is fault.Invalid with the field
// "data.thing1.value".
func CheckTemplateValue(key, value string) error {
	field := "data." + key + ".value"
	if strings.TrimSpace(value) == "" {
		return fault.BadField(field, "required", "this is needed")
	}
	rule, typed := valueRules[TemplateKeyType(key)]
	switch {
	case !typed:
		return nil
	case rule.most > 0 && utf8.RuneCountInString(value) > rule.most:
		return fault.BadField(field, "value_length", "%s takes %s, here are %d", key, rule.says, utf8.RuneCountInString(value))
	case rule.shape != nil && !rule.shape.MatchString(value):
		return fault.BadField(field, "value_shape", "%s takes %s", key, rule.says)
	}
	return nil
}

// CutTemplateValue cuts a value to what a fan can see of it: typed values to the length of their type, others to 20
// characters. Whether the platform cuts an over-long value itself or refuses it with 47003 is not known, so that
// whoever sends cuts before (platform.md 13.3).
func CutTemplateValue(key, value string) string {
	most := keywordShown
	if rule, typed := valueRules[TemplateKeyType(key)]; typed {
		most = rule.most
	}
	if TemplateKeyType(key) == "name" {
		most = 20
		if strings.ContainsFunc(value, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			most = 10
		}
	}
	if most == 0 || utf8.RuneCountInString(value) <= most {
		return value
	}
	return string([]rune(value)[:most])
}
