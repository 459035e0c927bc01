package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// cited are the documents that comments cite by section, by the word that stands for them.
func cited() map[string]string {
	return map[string]string{"platform.md": "platform.md", "design": "design.md"}
}

// The patterns of citations: "platform.md 3.4", "design 5.2, 5.3", and documents by their name alone.
const (
	citationPattern = `\b(platform\.md|design) (\d+(?:\.\d+)*(?:(?:, | and )\d+\.\d+)*)`
	numberPattern   = `\d+(?:\.\d+)*`
	headingPattern  = `(?m)^#{2,3} (\d+(?:\.\d+)*) `
	documentPattern = `\b([a-z][a-z0-9-]*\.md)\b`
	wrapPattern     = `\n\s*(?://|--|#)\s?`
)

// sections returns the numbers of a document's headings.
func sections(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", document))
	require.NoError(t, err)
	var out []string
	for _, m := range regexp.MustCompile(headingPattern).FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, out, m[1], "docs/%s has two sections %s", document, m[1])
		out = append(out, m[1])
	}
	return out
}

// dangling returns the citations in text whose section is not among those of the document.
func dangling(text string, known map[string][]string) []string {
	text = regexp.MustCompile(wrapPattern).ReplaceAllString(text, " ") // a citation may be broken over two lines of a comment
	var out []string
	for _, m := range regexp.MustCompile(citationPattern).FindAllStringSubmatch(text, -1) {
		for _, number := range regexp.MustCompile(numberPattern).FindAllString(m[2], -1) {
			if !slices.Contains(known[m[1]], number) {
				out = append(out, m[1]+" "+number)
			}
		}
	}
	return out
}

// eachText calls visit with every text of the repository in which a document may be cited.
func eachText(t *testing.T, visit func(name, text string)) {
	t.Helper()
	kinds := []string{".go", ".sql", ".md", ".yml", ".yaml", ".sh"}
	err := filepath.WalkDir("../..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter("../..", name, entry)
		}
		if base := entry.Name(); !slices.Contains(kinds, filepath.Ext(base)) && base != "Makefile" && base != "Dockerfile" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		visit(strings.TrimPrefix(filepath.ToSlash(name), "../../"), string(text))
		return nil
	})
	require.NoError(t, err)
}

func TestEveryCitedSectionIsThere(t *testing.T) {
	t.Parallel()
	known := map[string][]string{}
	for word, document := range cited() {
		known[word] = sections(t, document)
		require.NotEmpty(t, known[word], "docs/%s has no numbered headings", document)
	}
	var found []string
	eachText(t, func(name, text string) {
		for _, citation := range dangling(text, known) {
			found = append(found, name+": "+citation)
		}
	})
	require.Empty(t, found, "a reader cannot follow these:\n"+strings.Join(found, "\n"))
}

func TestEveryDocumentThatCodeNamesIsThere(t *testing.T) {
	t.Parallel()
	var there, found []string
	eachText(t, func(name, _ string) {
		if strings.HasSuffix(name, ".md") {
			there = append(there, filepath.Base(name))
		}
	})
	eachText(t, func(name, text string) {
		if strings.HasSuffix(name, ".md") {
			return
		}
		for _, m := range regexp.MustCompile(documentPattern).FindAllString(text, -1) {
			if !slices.Contains(there, m) {
				found = append(found, name+": "+m)
			}
		}
	})
	require.Empty(t, found, "these documents are not in the repository:\n"+strings.Join(found, "\n"))
}

func TestDanglingCitationsAreFound(t *testing.T) {
	t.Parallel()
	known := map[string][]string{"platform.md": {"3.4", "12.1"}, "design": {"2", "5.2"}}
	facts := "platform" + ".md" // written apart, so that the tests above do not take these for citations
	rules := "des" + "ign"
	for text, want := range map[string][]string{
		"// see " + facts + " 3.4":                 nil,
		"// see " + facts + " 12.1, 3.4 and 3.5":   {facts + " 3.5"},
		"// see " + facts + " 3.4, since 2018":     nil,
		"// see (" + facts + "\n// 9.9)":           {facts + " 9.9"},
		"-- " + rules + " 5.2, 5.3":                {rules + " 5.3"},
		"// (" + rules + " 2, \"Outcomes\")":       nil,
		"// (" + rules + " 3).":                    {rules + " 3"},
		"the " + rules + " of 5 steps":             nil,
		"// " + facts + " 3.4 and " + rules + " 2": nil,
	} {
		require.Equal(t, want, dangling(text, known), text)
	}
}
