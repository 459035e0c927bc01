package fans

import (
	"slices"
	"strings"
	"unicode"

	"hongyan/internal/walk"
)

// beyond is behind every text that begins with what it is put behind: the greatest character there is.
const beyond = "\U0010FFFF"

// searched are the ranges of a search: who has this openid, who has this unionid, whose remark begins so, whose nickname begins so. Who is in one of them is
// left out of those behind it.
func (l *fanList) searched() []walk.Range[*Fan] {
	var other string // what is in none of the ranges before
	var args []any
	var out []walk.Range[*Fan]
	add := func(next func(walk.Place, int) ([]walk.Place, error), found string, values ...any) {
		text, before := other, args
		out = append(out, walk.Range[*Fan]{Next: next, Load: func(p []walk.Place) (map[int64]*Fan, error) { return l.loadIf(p, text, before...) }})
		other, args = other+" AND NOT ("+found+")", append(slices.Clone(args), values...)
	}
	if ascii(l.Search) {
		add(l.nextOpenID, "openid = ?", l.Search)
		add(l.nextUnionID, "unionid = ?", l.Search)
	}
	for _, column := range []string{"remark", "nickname"} {
		next := func(after walk.Place, n int) ([]walk.Place, error) { return l.nextNamed(column, after, n) }
		add(next, column+" >= ? AND "+column+" < ?", l.Search, l.Search+beyond)
	}
	return out
}

// ascii reports whether a text can be an identifier of the platform. MySQL refuses to compare another one with a column of identifiers.
func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

func (l *fanList) nextUnionID(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID, "SELECT id FROM fans"+l.by("fans_unionid")+" WHERE account_id = ? AND unionid = ? AND unionid <> '' AND id < ? ORDER BY id DESC"+l.limit(),
		l.accountID, l.Search, after.Before(), n)
}

func (l *fanList) nextOpenID(after walk.Place, n int) ([]walk.Place, error) {
	return walk.Places(l.tx, walk.ByID, "SELECT id FROM fans WHERE account_id = ? AND openid = ? AND id < ?"+l.limit(), l.accountID, l.Search, after.Before(), n)
}

// nextNamed reads the fans whose name begins with what is searched for, by that name.
func (l *fanList) nextNamed(column string, after walk.Place, n int) ([]walk.Place, error) {
	named := strings.NewReplacer("{name}", column, "{by}", l.by("fans_"+column), "{limit}", l.limit())
	query := func(more string, args ...any) func(int) ([]walk.Place, error) {
		return func(n int) ([]walk.Place, error) {
			return walk.Places(l.tx, walk.ByName, named.Replace("SELECT id, {name} FROM fans{by} WHERE account_id = ? AND {name} <> '' AND "+more+"{limit}"),
				slices.Concat([]any{l.accountID}, args, []any{n})...)
		}
	}
	end := l.Search + beyond
	if !after.Started() {
		return query("{name} >= ? AND {name} < ? ORDER BY {name}, id", l.Search, end)(n)
	}
	return walk.Chain(n, query("{name} = ? AND id > ? ORDER BY id", after.Name, after.ID), query("{name} > ? AND {name} < ? ORDER BY {name}, id", after.Name, end))
}
