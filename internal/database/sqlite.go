package database

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"sync"

	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"modernc.org/sqlite"

	"hongyan/internal/fault"
)

// Extended result codes, see https://sqlite.org/rescode.html
const (
	sqliteConstraintForeignKey = 787
	sqliteConstraintPrimaryKey = 1555
	sqliteConstraintUnique     = 2067
)

const defaultReaders = 8

// sqliteDialector is gorm's SQLite dialector on the pure Go driver: the error translation
// of the original knows the cgo driver's errors only.
type sqliteDialector struct{ *gormsqlite.Dialector }

// Translate implements gorm.ErrorTranslator.
func (sqliteDialector) Translate(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqliteConstraintPrimaryKey, sqliteConstraintUnique:
		return gorm.ErrDuplicatedKey
	case sqliteConstraintForeignKey:
		return gorm.ErrForeignKeyViolated
	}
	return err
}

// sqliteEngine is one writer and a pool of readers on one file.
type sqliteEngine struct {
	lock    *fileLock
	readers *sql.DB
	stmts   *stmtPool
	writer  *writer
	once    sync.Once
	err     error
}

func openSQLite(ctx context.Context, opts Options) (_ *DB, err error) {
	lock, err := lockFile(opts.Path + ".lock")
	if err != nil {
		return nil, err
	}
	e := &sqliteEngine{lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	db := &DB{dialect: SQLite, clock: opts.Clock, log: opts.Log, engine: e, counters: &counters{}}
	// The writer comes first: it creates the file and switches it to WAL, which readers cannot.
	if e.writer, err = openWriter(ctx, opts, db.counters); err != nil {
		return nil, err
	}
	if e.readers, err = sql.Open("sqlite", sqliteDSN(opts.Path, true)); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "open the SQLite file for reading")
	}
	conns := opts.MaxConns
	if conns <= 0 {
		conns = defaultReaders
	}
	e.readers.SetMaxOpenConns(conns)
	e.readers.SetMaxIdleConns(conns)
	e.stmts = newStmtPool(e.readers)
	db.read, err = gorm.Open(sqliteDialector{&gormsqlite.Dialector{Conn: e.stmts}}, gormConfig(opts))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "open the SQLite file for reading")
	}
	db.migrator = func(context.Context) (*sql.DB, error) {
		return sql.Open("sqlite", sqliteDSN(opts.Path, false))
	}
	return db, nil
}

// sqliteDSN is the connection string. FULL makes a commit durable against loss of power,
// not only against a crash of the process; group commit pays for it.
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{}
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(1)", "cache_size(-32768)", "temp_store(MEMORY)"}
	if readOnly {
		pragmas = append(pragmas, "query_only(1)")
	} else {
		pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)")
		q.Set("_txlock", "immediate")
	}
	q["_pragma"] = pragmas
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

func (e *sqliteEngine) tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return e.writer.submit(ctx, fn)
}

func (e *sqliteEngine) pool() *sql.DB { return e.readers }

// close drains the writer before anything else goes away. The lock is released last, so
// that a successor never meets a file that is still being written.
func (e *sqliteEngine) close() error {
	e.once.Do(func() {
		var errs []error
		if e.writer != nil {
			errs = append(errs, e.writer.close())
		}
		if e.stmts != nil {
			errs = append(errs, e.stmts.close())
		}
		if e.readers != nil {
			errs = append(errs, e.readers.Close())
		}
		errs = append(errs, e.lock.release())
		e.err = errors.Join(errs...)
	})
	return e.err
}
