// Package testdb gives each test a private, migrated database or Redis, so that tests run
// in parallel and on both storages. It is test support: only _test.go files and
// test helpers import it. It may import database and nothing else of ours.
//
// The servers are found by HONGYAN_TEST_MYSQL_DSN (default root@tcp(127.0.0.1:3306)/) and
// HONGYAN_TEST_REDIS_URL (default redis://127.0.0.1:6379/0). Without them the tests that
// need one are skipped at a desk and fail when CI=true.
package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
)

const (
	mysqlVariable = "HONGYAN_TEST_MYSQL_DSN"
	mysqlDefault  = "root@tcp(127.0.0.1:3306)/"
	reach         = 5 * time.Second // how long a server may take to answer before it counts as missing
)

// Each runs test on SQLite and on MySQL, as parallel subtests with an empty, migrated database each.
func Each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		test(t, MySQL(t))
	})
}

// SQLite returns an empty, migrated database in a file that is removed after the test.
func SQLite(t testing.TB) *database.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hongyan.db")
	require.NoError(t, os.WriteFile(path, migratedSQLite.get(func() []byte { return sqliteFile(t) }), 0o600))
	return open(t, database.Options{Path: path})
}

// MySQL returns an empty, migrated database on the server, dropped after the test.
func MySQL(t testing.TB) *database.DB {
	t.Helper()
	dsn := MySQLDSN(t)
	fill(t, dsn, migratedMySQL.get(func() []statement { return mysqlStatements(t) }))
	return open(t, database.Options{DSN: dsn, MaxConns: 16})
}

// MySQLDSN creates an empty database that is not migrated yet, for tests that open it themselves
// or from another process. It is dropped after the test.
func MySQLDSN(t testing.TB) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(env(mysqlVariable, mysqlDefault))
	require.NoError(t, err, mysqlVariable)
	cfg.DBName = ""
	cfg.Timeout = reach
	cfg.Logger = &mysql.NopLogger{}
	server, err := sql.Open("mysql", cfg.FormatDSN())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), reach)
	defer cancel()
	if err := server.PingContext(ctx); err != nil {
		require.NoError(t, server.Close())
		missing(t, "MySQL", mysqlVariable, err)
	}
	name := "hongyan_test_" + random()
	exec(t, server, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
	t.Cleanup(func() {
		exec(t, server, "DROP DATABASE "+name)
		require.NoError(t, server.Close())
	})
	private := cfg.Clone()
	private.DBName = name
	return private.FormatDSN()
}

func open(t testing.TB, opts database.Options) *database.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := database.Open(ctx, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func exec(t testing.TB, server *sql.DB, query string) {
	t.Helper()
	_, err := server.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

// missing ends the test: the server it needs is not there.
func missing(t testing.TB, server, variable string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("no %s: %v. CI must have one; %s says where it is.", server, err, variable)
	}
	t.Skipf("skipped, no %s: %v. Start one, or set %s.", server, err, variable)
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func random() string {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // never happens: crypto/rand ends the process instead
	}
	return hex.EncodeToString(b[:])
}
