package database_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func sqliteWithJars(t *testing.T) *database.DB {
	t.Helper()
	db := testdb.SQLite(t)
	exec(t, db, "CREATE TABLE jars (id INTEGER PRIMARY KEY, name TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0)")
	return db
}

// together runs closures so that all of them are waiting while the first one runs: it holds the
// writer until the others have had every chance to queue up.
func together(t *testing.T, db *database.DB, n int, fn func(tx *gorm.DB, i int) error) []error {
	t.Helper()
	errs := make([]error, n)
	running, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Tx(t.Context(), func(*gorm.DB) error {
			close(running)
			<-release
			return nil
		}); err != nil && !fault.Is(err, fault.Unavailable) { // it shares the group's failed commit
			t.Error(err)
		}
	})
	<-running
	var arrived atomic.Int64
	for i := range n {
		wg.Go(func() {
			arrived.Add(1)
			errs[i] = db.Tx(t.Context(), func(tx *gorm.DB) error { return fn(tx, i) })
		})
	}
	require.Eventually(t, func() bool { return arrived.Load() == int64(n) }, waitLimit, tick)
	close(release)
	wg.Wait()
	return errs
}

func TestWritersShareCommits(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	const writers, rounds = 8, 50
	before := db.Stats()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				if err := db.Tx(t.Context(), func(tx *gorm.DB) error { return add(tx, w*rounds+i) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := db.Stats()
	require.EqualValues(t, writers*rounds, after.Transactions-before.Transactions)
	require.Less(t, after.Commits-before.Commits, int64(writers*rounds/2))
	require.EqualValues(t, writers*rounds, count(t, db))
}

func TestFailingMembersOfAGroupUndoOnlyThemselves(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	errs := together(t, db, 9, func(tx *gorm.DB, i int) error {
		if err := add(tx, i); err != nil {
			return err
		}
		switch i % 3 {
		case 1:
			return errRefused
		case 2:
			panic(errRefused)
		}
		return nil
	})
	for i, err := range errs {
		if i%3 == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, errRefused)
		}
	}
	require.EqualValues(t, 3, count(t, db))
}

func TestFailedCommitReachesEveryMember(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	exec(t, db, "CREATE TABLE lids (jar INTEGER REFERENCES jars (id) DEFERRABLE INITIALLY DEFERRED)")
	errs := together(t, db, 5, func(tx *gorm.DB, i int) error {
		if i == 2 { // breaks the rule that SQLite checks at the commit only
			return tx.Exec("INSERT INTO lids (jar) VALUES (999)").Error
		}
		return add(tx, i)
	})
	failed := 0
	for _, err := range errs {
		if err != nil {
			require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
			failed++
		}
	}
	require.Positive(t, failed)
	require.EqualValues(t, 5-failed, count(t, db), "who was told of a failure has left nothing, the others have")
	exec(t, db, "INSERT INTO jars (id, name) VALUES (100, 'the writer goes on')")
}

func TestLostGroupReachesEveryMemberAndTheWriterGoesOn(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	err := db.Tx(t.Context(), func(tx *gorm.DB) error {
		require.NoError(t, add(tx, 1))
		return tx.Exec("ROLLBACK").Error // as SQLite does by itself when the disk is full
	})
	require.Error(t, err)
	exec(t, db, "INSERT INTO jars (id, name) VALUES (2, 'b')")
	require.EqualValues(t, 1, count(t, db))
}

func TestClosureThatEndsItsGoroutineDoesNotStopTheWriter(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	err := db.Tx(t.Context(), func(tx *gorm.DB) error {
		require.NoError(t, add(tx, 1))
		endGoroutine()
		return nil
	})
	require.ErrorContains(t, err, "ended its goroutine")
	exec(t, db, "INSERT INTO jars (id, name) VALUES (2, 'b')")
	require.EqualValues(t, 1, count(t, db))
}

func TestCallerWhoLeavesTheQueueIsNotRun(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	running, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Tx(t.Context(), func(*gorm.DB) error {
			close(running)
			<-release
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-running
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		err := db.Tx(ctx, func(tx *gorm.DB) error { return add(tx, 1) })
		if !fault.Is(err, fault.Internal) { // a plain context error
			t.Error(err)
		}
	})
	cancel()
	close(release)
	wg.Wait()
}

func TestCloseWaitsForAcceptedTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := database.Open(t.Context(), database.Options{Path: path})
	require.NoError(t, err)
	exec(t, db, "CREATE TABLE jars (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
	running, release := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- db.Tx(context.Background(), func(tx *gorm.DB) error {
			close(running)
			<-release
			return add(tx, 1)
		})
	}()
	<-running
	const queued = 100 // more than fit in the group that is open
	answers := make(chan error, queued)
	var arrived atomic.Int64
	for range queued {
		go func() {
			arrived.Add(1)
			answers <- db.Tx(context.Background(), func(*gorm.DB) error { return nil })
		}()
	}
	require.Eventually(t, func() bool { return arrived.Load() == queued }, waitLimit, tick)
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), tick)
		defer cancel()
		return errors.Is(db.Tx(ctx, func(*gorm.DB) error { return nil }), database.ErrClosed)
	}, waitLimit, tick, "new transactions are refused while Close waits")
	close(release)
	require.NoError(t, <-result)
	for range queued {
		if err := answer(t, answers); err != nil {
			require.ErrorIs(t, err, database.ErrClosed, "who was waiting is served, or told")
		}
	}
	require.NoError(t, answer(t, closed))

	again, err := database.Open(t.Context(), database.Options{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Close()) }()
	require.EqualValues(t, 1, count(t, again))
}

func answer(t *testing.T, from <-chan error) error {
	t.Helper()
	select {
	case err := <-from:
		return err
	case <-time.After(waitLimit):
		t.Fatal("no answer")
		return nil
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := database.Open(t.Context(), database.Options{Path: path})
	require.NoError(t, err)
	_, err = database.Open(t.Context(), database.Options{Path: path})
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.ErrorContains(t, err, "another Hongyan process")
	require.NotContains(t, err.Error(), "temporarily", "a person can do nothing with the error of the system call")
	require.NoError(t, db.Close())
	db, err = database.Open(t.Context(), database.Options{Path: path})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestReadHandleCannotWrite(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	require.Error(t, add(db.Read(t.Context()), 1))
}

func TestReadersSeeOnlyCommittedRowsAndDoNotWait(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		require.NoError(t, add(tx, 1))
		require.Zero(t, count(t, db))
		return nil
	}))
	require.EqualValues(t, 1, count(t, db))
}

func TestCommitsAreDurable(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Raw("PRAGMA " + pragma).Scan(&got).Error
		}))
		require.Equal(t, want, got, pragma)
	}
}

func TestManyDifferentStatementsAreEvictedSafely(t *testing.T) {
	t.Parallel()
	db := sqliteWithJars(t)
	exec(t, db, "INSERT INTO jars (id, name) VALUES (1, 'a')")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 300 { // more texts than the cache keeps
				var n int
				err := db.Read(t.Context()).Raw(fmt.Sprintf("SELECT %d + used FROM jars WHERE id = ?", i), 1).Scan(&n).Error
				if err != nil || n != i {
					t.Error(n, err)
				}
			}
		})
	}
	wg.Wait()
}
