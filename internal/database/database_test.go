package database_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each gives test a database of either engine with a table of its own.
func each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		exec(t, db, "CREATE TABLE jars (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, used BIGINT NOT NULL DEFAULT 0)")
		test(t, db)
	})
}

func exec(t *testing.T, db *database.DB, query string, args ...any) {
	t.Helper()
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec(query, args...).Error }))
}

func count(t *testing.T, db *database.DB) int64 {
	t.Helper()
	var n int64
	require.NoError(t, db.Read(t.Context()).Table("jars").Count(&n).Error)
	return n
}

func add(tx *gorm.DB, id int) error {
	return tx.Exec("INSERT INTO jars (id, name) VALUES (?, ?)", id, "jar").Error
}

var errRefused = errors.New("refused")

func TestTxCommitsAllOrNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		err := db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, add(tx, 1))
			return errRefused
		})
		require.ErrorIs(t, err, errRefused)
		require.Zero(t, count(t, db))
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a'), (2, 'b')")
		require.EqualValues(t, 2, count(t, db))
	})
}

func TestPanicInTxBecomesItsErrorAndIsUndone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		err := db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, add(tx, 1))
			panic(errRefused)
		})
		require.ErrorIs(t, err, errRefused)
		require.ErrorContains(t, err, "panic")
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a')")
		require.EqualValues(t, 1, count(t, db))
	})
}

func TestNestedTransactionUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, add(tx, 1))
			inner := tx.Transaction(func(tx *gorm.DB) error {
				require.NoError(t, add(tx, 2))
				return errRefused
			})
			require.ErrorIs(t, inner, errRefused)
			return add(tx, 3)
		}))
		require.EqualValues(t, 2, count(t, db))
	})
}

func TestDuplicateKeyIsTranslatedOnBothEngines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		exec(t, db, "CREATE UNIQUE INDEX jars_name ON jars (name)")
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a')")
		for _, id := range []int{1, 2} {
			err := db.Tx(t.Context(), func(tx *gorm.DB) error {
				return tx.Exec("INSERT INTO jars (id, name) VALUES (?, 'a')", id).Error
			})
			require.ErrorIs(t, err, gorm.ErrDuplicatedKey)
		}
	})
}

func TestNoOpUpdateCountsAsFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a')")
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.EqualValues(t, 1, tx.Exec("UPDATE jars SET name = 'a' WHERE id = 1").RowsAffected)
			require.Zero(t, tx.Exec("UPDATE jars SET name = 'a' WHERE id = 2").RowsAffected)
			return nil
		}))
	})
}

func TestInsertIgnoreCountsOnlyNewRows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a')")
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			result := tx.Exec(db.Dialect().InsertIgnore() + " jars (id, name) VALUES (1, 'b'), (2, 'c'), (3, 'd')")
			require.EqualValues(t, 2, result.RowsAffected)
			return result.Error
		}))
		require.Equal(t, "a", nameOf(t, db, 1))
	})
}

func TestUpsertUpdatesFromTheNewRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		upsert := db.Dialect().Upsert([]string{"id"}, "name", "used = used + {used}")
		for _, name := range []string{"a", "b", "c"} {
			exec(t, db, "INSERT INTO jars (id, name, used) VALUES (1, ?, 5)"+upsert, name)
		}
		var used int64
		require.NoError(t, db.Read(t.Context()).Raw("SELECT used FROM jars WHERE id = 1").Scan(&used).Error)
		require.EqualValues(t, 15, used)
		require.Equal(t, "c", nameOf(t, db, 1))
	})
}

func nameOf(t *testing.T, db *database.DB, id int) string {
	t.Helper()
	var name string
	require.NoError(t, db.Read(t.Context()).Raw("SELECT name FROM jars WHERE id = ?", id).Scan(&name).Error)
	return name
}

func TestCountersAddUpUnderContention(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 20
	each(t, func(t *testing.T, db *database.DB) {
		exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a'), (2, 'b')")
		var wg sync.WaitGroup
		var failures atomic.Int64
		for w := range writers {
			wg.Go(func() {
				for range rounds {
					if touchBoth(t.Context(), db, 1+w%2, 2-w%2) != nil {
						failures.Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.Zero(t, failures.Load(), "deadlocks are repeated, not returned")
		var sum int64
		require.NoError(t, db.Read(t.Context()).Raw("SELECT SUM(used) FROM jars").Scan(&sum).Error)
		require.EqualValues(t, 2*writers*rounds, sum)
	})
}

// touchBoth locks two rows in the given order: opposite orders are how deadlocks are made.
func touchBoth(ctx context.Context, db *database.DB, first, second int) error {
	return db.Tx(ctx, func(tx *gorm.DB) error {
		for _, id := range []int{first, second} {
			var used int64
			if err := db.ForUpdate(tx).Table("jars").Select("used").Where("id = ?", id).Scan(&used).Error; err != nil {
				return err
			}
			if err := tx.Exec("UPDATE jars SET used = ? WHERE id = ?", used+1, id).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func TestCancelledContextRunsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := db.Tx(ctx, func(*gorm.DB) error { panic("must not run") })
		require.ErrorIs(t, err, context.Canceled)
		require.NotContains(t, err.Error(), "panic")
	})
}

func TestContextCancelledInsideTxUndoesIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			if err := add(tx, 1); err != nil {
				return err
			}
			cancel()
			return add(tx, 2)
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, count(t, db))
	})
}

func TestTxAfterCloseIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		require.NoError(t, db.Close())
		require.NoError(t, db.Close())
		require.Error(t, db.Tx(context.Background(), func(tx *gorm.DB) error { return add(tx, 1) }))
	})
}

func TestOpenRefusesWrongOptionsWithoutShowingSecrets(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]database.Options{
		"neither":     {},
		"both":        {Path: "a.db", DSN: "root@tcp(127.0.0.1:3306)/x"},
		"bad DSN":     {DSN: "root:hush-hush@tcp(127.0.0.1:3306"},
		"no database": {DSN: "root:hush-hush@tcp(127.0.0.1:3306)/"},
		"no folder":   {Path: filepath.Join(t.TempDir(), "absent", "a.db")},
	} {
		_, err := database.Open(t.Context(), opts)
		require.True(t, fault.Is(err, fault.Invalid), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "hush-hush")
	}
}

func TestUnreachableServerIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := database.Open(t.Context(), database.Options{DSN: "root:hush-hush@tcp(127.0.0.1:1)/x"})
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	require.NotContains(t, err.Error(), "hush-hush")
}

func TestProcessesMigrateOnce(t *testing.T) {
	t.Parallel()
	dsn := testdb.MySQLDSN(t)
	var dbs []*database.DB
	var wanted int
	for range 3 {
		db, err := database.Open(t.Context(), database.Options{DSN: dsn})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		wanted, err = db.Pending(t.Context())
		require.NoError(t, err)
		require.Positive(t, wanted)
		dbs = append(dbs, db)
	}
	var total atomic.Int64
	var wg sync.WaitGroup
	for _, db := range dbs {
		wg.Go(func() {
			applied, err := db.Migrate(t.Context())
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(applied))
		})
	}
	wg.Wait()
	require.EqualValues(t, wanted, total.Load())
}
