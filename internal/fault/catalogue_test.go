package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

func TestEveryMessageOfTheTreeCanBeSaidInChinese(t *testing.T) {
	t.Parallel()
	found, err := scan("../..")
	require.NoError(t, err)
	require.Empty(t, found.wrong, strings.Join(found.wrong, "\n"))
	var missing, unused []string
	for _, format := range slices.Sorted(maps.Keys(found.at)) {
		if _, known := chineseOf(format); !known {
			missing = append(missing, found.at[format]+": "+format)
		}
	}
	for _, part := range catalogue() {
		for format := range part {
			if found.at[format] == "" {
				unused = append(unused, format)
			}
		}
	}
	require.Empty(t, missing, "without Chinese:\n"+strings.Join(missing, "\n"))
	require.Empty(t, unused, "in the catalogue and nowhere else:\n"+strings.Join(unused, "\n"))
}

func TestTheChineseOfAMessageShowsTheSameArguments(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, part := range catalogue() {
		for english, chinese := range part {
			require.False(t, seen[english], "%q is in two parts of the catalogue", english)
			seen[english] = true
			require.Equal(t, verbs(english), verbs(chinese), english)
			require.True(t, strings.ContainsFunc(chinese, isHan), "%q is not Chinese", chinese)
			require.NotRegexp(t, `[。；，\s]$`, chinese, "the advice of the code follows")
			require.NotRegexp(t, `\p{Han}[,;:!?]`, chinese, "Chinese has punctuation of its own")
		}
	}
}

func TestThePartsOfTheCatalogueAreSorted(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("zh_*.go")
	require.NoError(t, err)
	require.Len(t, names, len(catalogue()))
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		var keys []string
		ast.Inspect(file, func(n ast.Node) bool {
			if pair, ok := n.(*ast.KeyValueExpr); ok {
				key, constant := literal(pair.Key)
				require.True(t, constant, name)
				keys = append(keys, key)
			}
			return true
		})
		require.True(t, slices.IsSorted(keys), "%s is to be sorted by the English formats", name)
	}
}

func TestMessagesThatCannotBeSaidInChineseAreFound(t *testing.T) {
	t.Parallel()
	found, err := scan("testdata/tree")
	require.NoError(t, err)
	require.Equal(t, []string{
		"room/room.go:22: an error has its message in an argument, which cannot be said in Chinese",
		"room/room.go:23: an error has a format that is not written here",
		"room/room.go:24: an error is made without New, Wrap or BadField, and has no format",
	}, found.wrong)
	require.Equal(t, map[string]string{
		"plain":               "room/room.go:15",
		"in two pieces of %d": "room/room.go:16",
		"handed on %s":        "room/room.go:18",
		"handed on twice":     "room/room.go:19",
		"by a literal":        "room/room.go:21",
	}, found.at)
}

func TestVerbsAreComparedByArgument(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"1d", "2q"}, verbs("%d of %q, 100%%"))
	require.Equal(t, verbs("%d of %q"), verbs("%[2]q 中的 %[1]d"))
	require.NotEqual(t, verbs("%d of %q"), verbs("%q 中的 %d"))
}
