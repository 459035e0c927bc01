package testdb

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Access is how a server reads one table of a statement.
type Access struct {
	Statement string
	Table     string
	Type      string // const, eq_ref, ref, range, index (the whole index), ALL (the whole table)
	Key       string // the index, "" if none
	Extra     string
}

// Planner tells how a MySQL server reads what queries ask for.
type Planner struct {
	db         *database.DB
	statements []string
}

// NewPlanner watches the queries that are made through db.Read from now on. It is not for parallel use.
func NewPlanner(t testing.TB, db *database.DB) *Planner {
	t.Helper()
	p := &Planner{db: db}
	note := func(tx *gorm.DB) {
		p.statements = append(p.statements, tx.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...))
	}
	callbacks := db.Read(t.Context()).Callback()
	require.NoError(t, callbacks.Row().After("gorm:row").Register("testdb:plans", note))
	require.NoError(t, callbacks.Query().After("gorm:query").Register("testdb:plans", note))
	return p
}

// Plans runs do and returns how the server would read each table of the queries that do made. What merges derived tables is left out.
func (p *Planner) Plans(t testing.TB, do func()) (out []Access) {
	t.Helper()
	p.statements = nil
	do()
	for _, statement := range slices.Clone(p.statements) {
		out = append(out, explain(t, p.db, statement)...)
	}
	return out
}

// scanTexts reads a row as texts, whatever its columns are.
func scanTexts(rows *sql.Rows) (columns []string, texts []sql.NullString, err error) {
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	texts = make([]sql.NullString, len(columns))
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = &texts[i]
	}
	return columns, texts, rows.Scan(cells...)
}

func explain(t testing.TB, db *database.DB, statement string) (out []Access) {
	t.Helper()
	err := database.EachRow(db.Read(t.Context()), func(rows *sql.Rows) error {
		columns, texts, err := scanTexts(rows)
		if err != nil {
			return err
		}
		at := map[string]string{}
		for i, column := range columns {
			at[strings.ToLower(column)] = texts[i].String
		}
		if at["table"] != "" && !strings.HasPrefix(at["table"], "<") {
			out = append(out, Access{Statement: statement, Table: at["table"], Type: at["type"], Key: at["key"], Extra: at["extra"]})
		}
		return nil
	}, "EXPLAIN "+statement)
	require.NoError(t, err, statement)
	return out
}
