package testdb

import (
	"bytes"
	"database/sql"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
)

// Search finds words in all columns of all tables, and returns where, as "table.column": the proof that something was removed.
func Search(t testing.TB, db *database.DB, words ...string) []string {
	t.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if db.Dialect() == database.MySQL {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
	}
	var tables, out []string
	require.NoError(t, db.Read(t.Context()).Raw(list).Scan(&tables).Error)
	for _, table := range tables {
		err := database.EachRow(db.Read(t.Context()), func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			texts := make([][]byte, len(columns))
			cells := make([]any, len(columns))
			for i := range cells {
				cells[i] = &texts[i]
			}
			if err := rows.Scan(cells...); err != nil {
				return err
			}
			for i, text := range texts {
				if slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(text, []byte(word)) }) {
					out = append(out, table+"."+columns[i])
				}
			}
			return nil
		}, "SELECT * FROM "+table) //nolint:unqueryvet // whatever the columns are
		require.NoError(t, err)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
