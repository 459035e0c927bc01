package lang

import "strings"

// Fold makes texts that people write comparable: lower case, full-width letters and digits (as Chinese keyboards write them)
// as plain ones, without spaces around.
func Fold(s string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '\u3000':
			return ' '
		case r >= '\uff01' && r <= '\uff5e':
			return r - 0xfee0
		}
		return r
	}, s)
	return strings.TrimSpace(strings.ToLower(plain))
}
