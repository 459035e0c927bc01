package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

// Server error numbers, see https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
const (
	mysqlRecordChanged   = 1020 // MariaDB's snapshot isolation: another transaction was first
	mysqlLockWaitTimeout = 1205
	mysqlDeadlock        = 1213
)

const (
	defaultConns = 32
	maxAttempts  = 20                   // of one transaction; eight were too few for a machine under heavy load
	firstPause   = 5 * time.Millisecond // doubled at each attempt, with jitter
	maxPause     = 250 * time.Millisecond
	connLifetime = 10 * time.Minute // so that connections move to a new primary or out of a proxy's way
)

// mysqlEngine runs transactions on MySQL or MariaDB.
type mysqlEngine struct {
	db       *sql.DB
	gorm     *gorm.DB
	clock    clock.Clock
	counters *counters
	once     sync.Once
	err      error
}

func openMySQL(ctx context.Context, opts Options) (*DB, error) {
	cfg, err := mysqlConfig(opts.DSN)
	if err != nil {
		return nil, err
	}
	conns := opts.MaxConns
	if conns <= 0 {
		conns = defaultConns
	}
	db := &DB{dialect: MySQL, clock: opts.Clock, log: opts.Log, counters: &counters{}}
	pool, err := dialMySQL(ctx, cfg, conns)
	if err != nil {
		return nil, err
	}
	handle, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: pool, DisableWithReturning: true}), gormConfig(opts))
	if err != nil {
		err = fault.Wrap(fault.Unavailable, err, "connect to MySQL at %s", cfg.Addr)
		return nil, errors.Join(err, pool.Close())
	}
	db.read = handle
	db.engine = &mysqlEngine{db: pool, gorm: handle, clock: opts.Clock, counters: db.counters}
	db.migrator = func(ctx context.Context) (*sql.DB, error) {
		patient := cfg.Clone()
		patient.ReadTimeout, patient.WriteTimeout = 0, 0 // changing a large table takes as long as it takes
		patient.ParseTime = true                         // goose reads its own table so
		return dialMySQL(ctx, patient, 2)
	}
	return db, nil
}

func dialMySQL(ctx context.Context, cfg *mysql.Config, conns int) (*sql.DB, error) {
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the MySQL DSN")
	}
	pool := sql.OpenDB(sessionConnector{inner})
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxLifetime(connLifetime)
	if err := pool.PingContext(ctx); err != nil {
		err = fault.Wrap(fault.Unavailable, err, "connect to MySQL at %s", cfg.Addr)
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// mysqlConfig reads a DSN and sets what the code relies upon, whatever the DSN says about it.
func mysqlConfig(dsn string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		// The driver's text may quote the DSN, password included.
		return nil, fault.New(fault.Invalid, "the MySQL DSN cannot be read; write user:password@tcp(host:3306)/name")
	}
	if cfg.DBName == "" {
		return nil, fault.New(fault.Invalid, "the MySQL DSN names no database; write user:password@tcp(host:3306)/name")
	}
	cfg.ClientFoundRows = true   // a no-op update counts as found: compare-and-set reads RowsAffected
	cfg.InterpolateParams = true // one round trip per statement
	cfg.ParseTime = false        // times are BIGINT unix milliseconds
	cfg.Loc = time.UTC
	cfg.Logger = &mysql.NopLogger{} // its errors come back as errors
	if err := cfg.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the MySQL DSN")
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	// Strict: a value that does not fit is an error, not a shorter value.
	cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'"
	cfg.Params["time_zone"] = "'+00:00'"
	if _, set := cfg.Params["innodb_lock_wait_timeout"]; !set {
		cfg.Params["innodb_lock_wait_timeout"] = "10"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = time.Minute
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = time.Minute
	}
	return cfg, nil
}

// sessionConnector sets the isolation level of every new connection. It is a statement and not a
// DSN parameter, because the variable has another name on MySQL 8 than on MariaDB before 11.1.
type sessionConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c sessionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("the MySQL driver cannot run a plain statement"), conn.Close())
	}
	if _, err := execer.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return nil, errors.Join(fmt.Errorf("set the isolation level: %w", err), conn.Close())
	}
	return conn, nil
}

func (e *mysqlEngine) pool() *sql.DB { return e.db }

func (e *mysqlEngine) close() error {
	e.once.Do(func() { e.err = e.db.Close() })
	return e.err
}

// tx repeats fn after a deadlock or a lost connection. Both are safe to repeat: in each case the
// server has undone the attempt, or will when it notices the loss, unless COMMIT was sent.
func (e *mysqlEngine) tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	for n := 1; ; n++ {
		err := e.attempt(ctx, fn)
		if err == nil || n == maxAttempts || !canRepeat(err) || ctx.Err() != nil {
			return err
		}
		if !e.pause(ctx, n) {
			return err
		}
		e.counters.retries.Add(1)
	}
}

// pause waits a random while that grows with each attempt, so that two transactions that
// collided do not collide again. It reports false when ctx ended.
func (e *mysqlEngine) pause(ctx context.Context, attempt int) bool {
	limit := min(firstPause<<attempt, maxPause)
	timer := e.clock.NewTimer(limit/2 + rand.N(limit/2)) //nolint:gosec // jitter, not a secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *mysqlEngine) attempt(ctx context.Context, fn func(tx *gorm.DB) error) (err error) {
	tx := e.gorm.WithContext(ctx).Begin()
	if tx.Error != nil {
		return fmt.Errorf("begin a transaction: %w", tx.Error)
	}
	settled := false
	defer func() {
		if settled {
			return
		}
		// The first error is the one to report; a failed rollback only means that the connection is gone,
		// and with it the transaction. This also runs when fn ended its goroutine.
		if rollbackErr := tx.Rollback().Error; rollbackErr != nil && err != nil && !isLost(rollbackErr) && !errors.Is(rollbackErr, sql.ErrTxDone) {
			err = errors.Join(err, rollbackErr)
		}
	}()
	if err := call(fn, tx.Session(&gorm.Session{NewDB: true})); err != nil {
		return err
	}
	settled = true
	err = tx.Commit().Error
	switch {
	case err == nil:
		e.counters.commits.Add(1)
		return nil
	case isLost(err):
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	default:
		return fmt.Errorf("commit a transaction: %w", err)
	}
}

func canRepeat(err error) bool {
	return isLockConflict(err) || (isLost(err) && !errors.Is(err, ErrCommitUnknown))
}

// isLockConflict reports whether the server gave this transaction up in favour of another.
func isLockConflict(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	return e.Number == mysqlDeadlock || e.Number == mysqlLockWaitTimeout || e.Number == mysqlRecordChanged
}

// isLost reports whether the connection broke.
func isLost(err error) bool {
	var netErr net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr)
}
