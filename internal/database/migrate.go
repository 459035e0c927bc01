package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"hongyan/internal/fault"
)

//go:embed migrations
var migrations embed.FS

// lockWait is how many seconds a process waits for another one that is migrating.
const lockWait = 600

// Migrate brings the tables to this version of the program. Several processes may call it
// at once: one migrates, the others wait for it. It returns the number of migrations applied.
func (db *DB) Migrate(ctx context.Context) (applied int, err error) {
	err = db.withProvider(ctx, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		applied = len(results)
		return err
	})
	return applied, fault.Wrap(fault.Unavailable, err, "migrate the database")
}

// Pending returns the number of migrations that Migrate would apply. It changes no
// table of ours; goose creates its own table of versions when it is missing.
func (db *DB) Pending(ctx context.Context) (pending int, err error) {
	err = db.withProvider(ctx, func(p *goose.Provider) error {
		statuses, err := p.Status(ctx)
		for _, s := range statuses {
			if s.State == goose.StatePending {
				pending++
			}
		}
		return err
	})
	return pending, fault.Wrap(fault.Unavailable, err, "read the state of the migrations")
}

// withProvider gives fn a goose provider on connections of its own: the writer's are taken.
func (db *DB) withProvider(ctx context.Context, fn func(*goose.Provider) error) (err error) {
	pool, err := db.migrator(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	dir, err := fs.Sub(migrations, "migrations/"+string(db.dialect))
	if err != nil {
		return err
	}
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.dialect == MySQL {
		dialect = goose.DialectMySQL
		opts = append(opts, goose.WithSessionLocker(namedLock{}))
	}
	provider, err := goose.NewProvider(dialect, pool, dir, opts...)
	if err != nil {
		return err
	}
	return fn(provider)
}

// namedLock is a MySQL user lock: it belongs to a connection, so a process that dies while
// migrating does not leave it behind. The name holds the database's, since the lock is per server.
type namedLock struct{}

const lockName = "CONCAT('hongyan:', LEFT(SHA1(DATABASE()), 40))"

// SessionLock implements goose's lock.SessionLocker.
func (namedLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+lockName+", ?)", lockWait).Scan(&got); err != nil {
		return fmt.Errorf("wait for the migration lock: %w", err)
	}
	if got.Int64 != 1 {
		return errors.New("another process has been migrating for ten minutes")
	}
	return nil
}

// SessionUnlock implements goose's lock.SessionLocker.
func (namedLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var released sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT RELEASE_LOCK("+lockName+")").Scan(&released); err != nil {
		return fmt.Errorf("release the migration lock: %w", err)
	}
	return nil
}
