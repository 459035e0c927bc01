package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
)

// What the migrations make is kept for the life of a test binary, and each test gets a copy: under the race detector the migrations take
// half a second of a processor on SQLite, a copy some milliseconds.
var (
	migratedSQLite once[[]byte]
	migratedMySQL  once[[]statement]
)

// once makes a value at its first use. Where making it ends a test, the next test tries again.
type once[T any] struct {
	mu    sync.Mutex
	made  bool
	value T
}

func (o *once[T]) get(create func() T) T {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.made {
		o.value = create()
		o.made = true
	}
	return o.value
}

type statement struct {
	query string
	args  []any
}

// sqliteFile is the content of a migrated SQLite file.
func sqliteFile(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "migrated.db")
	migrate(t, database.Options{Path: path}, func(*database.DB) {})
	require.NoFileExists(t, path+"-wal", "closing the last connection moves all into the file")
	content, err := os.ReadFile(path) //nolint:gosec // a path of this test
	require.NoError(t, err)
	return content
}

// mysqlStatements are what makes an empty database one that is migrated: the tables in one exchange, then the rows that migrations leave.
func mysqlStatements(t testing.TB) (out []statement) {
	t.Helper()
	migrate(t, database.Options{DSN: MySQLDSN(t)}, func(db *database.DB) {
		var tables, creates []string
		var rows []statement
		require.NoError(t, db.Read(t.Context()).Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name").
			Scan(&tables).Error)
		for _, table := range tables {
			require.NoError(t, database.EachRow(db.Read(t.Context()), func(row *sql.Rows) error {
				var name, create string
				err := row.Scan(&name, &create)
				creates = append(creates, create)
				return err
			}, "SHOW CREATE TABLE "+table))
			rows = append(rows, inserts(t, db, table)...)
		}
		out = append([]statement{{query: strings.Join(creates, ";\n")}}, rows...)
	})
	return out
}

// inserts is one statement that writes the rows of a table, none where it is empty.
func inserts(t testing.TB, db *database.DB, table string) []statement {
	t.Helper()
	var marks []string
	var args []any
	require.NoError(t, database.EachRow(db.Read(t.Context()), func(rows *sql.Rows) error {
		columns, texts, err := scanTexts(rows)
		if err != nil {
			return err
		}
		for _, text := range texts {
			args = append(args, text)
		}
		marks = append(marks, "(?"+strings.Repeat(",?", len(columns)-1)+")")
		return nil
	}, "SELECT * FROM "+table)) //nolint:unqueryvet // whatever the columns are
	if len(marks) == 0 {
		return nil
	}
	return []statement{{query: fmt.Sprintf("INSERT INTO %s VALUES %s", table, strings.Join(marks, ",")), args: args}}
}

// migrate takes the real path: it opens the database, migrates it, and closes it after look.
func migrate(t testing.TB, opts database.Options, look func(db *database.DB)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := database.Open(ctx, opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.Migrate(ctx)
	require.NoError(t, err)
	look(db)
}

// fill runs statements in the empty database of dsn.
func fill(t testing.TB, dsn string, statements []statement) {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	cfg.MultiStatements, cfg.InterpolateParams = true, true
	server, err := sql.Open("mysql", cfg.FormatDSN())
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	for _, s := range statements {
		_, err := server.ExecContext(context.Background(), s.query, s.args...)
		require.NoError(t, err)
	}
}
