// Package lang holds texts in the product's two languages. It imports nothing of ours.
package lang

// Lang is the language of a person who reads. Any value but ZH counts as English.
type Lang string

// The languages.
const (
	ZH Lang = "zh"
	EN Lang = "en"
)

// Text is a text in both languages.
type Text struct{ ZH, EN string }

// In returns the text in a language.
func (t Text) In(l Lang) string {
	if l == ZH {
		return t.ZH
	}
	return t.EN
}

// String is the English text, for logs.
func (t Text) String() string { return t.EN }
