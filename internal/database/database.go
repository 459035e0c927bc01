// Package database opens the SQL ledger and runs transactions on it.
//
// Two engines carry the same tables: SQLite in one file (the embedded default)
// and MySQL 8 or MariaDB (several processes). Rooms write one SQL for both and ask
// Dialect for the few words that differ. The package owns the connections, the
// group-committing SQLite writer, the retry of MySQL transactions and the
// migrations. It imports clock and fault, and no other package of ours.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

// ErrClosed is returned by Tx once Close was called.
var ErrClosed = fault.New(fault.Unavailable, "the database is closed")

// ErrCommitUnknown is wrapped by Tx when the connection was lost while the commit was
// on its way: the transaction may or may not be stored, and the caller must read to know.
var ErrCommitUnknown = errors.New("the connection was lost during commit: it is unknown whether the transaction is stored")

// Options says which database to open. Exactly one of Path and DSN is set.
type Options struct {
	Path     string       // SQLite file; its directory must exist
	DSN      string       // MySQL or MariaDB, in the form user:password@tcp(host:3306)/name
	Clock    clock.Clock  // for gorm's timestamps and the pauses between retries; nil: the system clock
	MaxConns int          // read connections (SQLite) or all connections (MySQL); 0: 8 and 32
	Log      *slog.Logger // errors and slow queries, never their values; nil: slog.Default
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect  Dialect
	clock    clock.Clock
	log      *slog.Logger
	read     *gorm.DB
	engine   engine
	migrator func(context.Context) (*sql.DB, error)
	counters *counters
}

// engine is what differs between SQLite and MySQL in running a transaction.
type engine interface {
	tx(ctx context.Context, fn func(tx *gorm.DB) error) error
	pool() *sql.DB // what answers Ping and Stats
	close() error
}

type counters struct {
	transactions, commits, retries atomic.Int64
}

// Stats counts what a DB has done since it was opened.
type Stats struct {
	Transactions int64       // calls of Tx that were committed
	Commits      int64       // commits sent to the engine; fewer than Transactions where SQLite groups them
	Retries      int64       // transactions repeated after a deadlock, a lock timeout or a lost connection
	Pool         sql.DBStats // connections (SQLite: of the readers)
}

// Open connects and checks the connection. It does not migrate: see Migrate and Pending.
// Errors: Invalid for wrong options, Conflict when another process holds the SQLite file,
// Unavailable when the server cannot be reached.
func Open(ctx context.Context, opts Options) (*DB, error) {
	if (opts.Path == "") == (opts.DSN == "") {
		return nil, fault.New(fault.Invalid, "set either the SQLite path or the MySQL DSN")
	}
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Path != "" {
		return openSQLite(ctx, opts)
	}
	return openMySQL(ctx, opts)
}

// Dialect says which engine this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Read returns a handle for queries outside a transaction, bound to ctx. Writing
// through it is refused on SQLite: use Tx. Inside Tx, read through the closure's tx,
// because Read does not see what the transaction has not committed yet.
func (db *DB) Read(ctx context.Context) *gorm.DB { return db.read.WithContext(ctx) }

// Tx runs fn in a transaction and commits when fn returns nil; any error of fn, or a
// panic in it, undoes what fn did and is returned.
//
// fn may run more than once (deadlocks, lost connections), so it must not change
// anything but the database, and must set its results anew each time. It must use tx and
// no other handle, must not call Tx again, and should be short: on SQLite other writers
// wait for it. The answer comes after the commit is durable. When ctx ends before fn
// started, nothing runs; after that, ctx is checked between statements.
func (db *DB) Tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("transaction not started: %w", err)
	}
	err := db.engine.tx(ctx, fn)
	if err == nil {
		db.counters.transactions.Add(1)
	}
	return err
}

// ForUpdate makes the next query of tx lock the rows it reads until the transaction ends.
// SQLite has a single writer and needs no row locks: there tx is returned as it is.
func (db *DB) ForUpdate(tx *gorm.DB) *gorm.DB {
	if db.dialect == SQLite {
		return tx
	}
	return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate})
}

// Ping checks that the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return fault.Wrap(fault.Unavailable, db.engine.pool().PingContext(ctx), "the database does not answer")
}

// Stats returns the counters since Open.
func (db *DB) Stats() Stats {
	return Stats{
		Transactions: db.counters.transactions.Load(),
		Commits:      db.counters.commits.Load(),
		Retries:      db.counters.retries.Load(),
		Pool:         db.engine.pool().Stats(),
	}
}

// Close waits for the transactions that have been accepted, then closes all connections.
// A second call does nothing.
func (db *DB) Close() error { return db.engine.close() }

func gormConfig(opts Options) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		NowFunc:                func() time.Time { return opts.Clock.Now() },
		Logger:                 queryLog{log: opts.Log},
	}
}

// call runs fn and turns a panic into an error, so that a bug in one closure neither
// kills the process nor leaves a transaction open.
func call(fn func(tx *gorm.DB) error, tx *gorm.DB) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	return fn(tx)
}
