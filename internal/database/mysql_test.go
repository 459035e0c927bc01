package database_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

const (
	waitLimit = 10 * time.Second
	tick      = 2 * time.Millisecond
)

func endGoroutine() { runtime.Goexit() }

func TestEveryConnectionHasTheSettingsTheCodeReliesUpon(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	level := "@@tx_isolation"
	if err := db.Read(t.Context()).Raw("SELECT " + level).Scan(new(string)).Error; err != nil {
		level = "@@transaction_isolation" // its name on MySQL 8
	}
	for expression, want := range map[string]string{
		level:                        "READ-COMMITTED",
		"@@character_set_connection": "utf8mb4",
		"@@session.time_zone":        "+00:00",
	} {
		var got string
		require.NoError(t, db.Read(t.Context()).Raw("SELECT "+expression).Scan(&got).Error)
		require.Equal(t, want, got, expression)
	}
}

func TestValueThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	exec(t, db, "CREATE TABLE jars (id BIGINT PRIMARY KEY, name VARCHAR(3))")
	require.Error(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO jars (id, name) VALUES (1, 'long')").Error
	}))
}

func TestDeadlockIsRepeatedAndCounted(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	var calls atomic.Int64
	require.NoError(t, db.Tx(t.Context(), func(*gorm.DB) error {
		if calls.Add(1) < 3 {
			return &mysql.MySQLError{Number: 1213}
		}
		return nil
	}))
	require.EqualValues(t, 3, calls.Load())
	require.EqualValues(t, 2, db.Stats().Retries)
}

func TestRepetitionIsBounded(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	var calls atomic.Int64
	err := db.Tx(t.Context(), func(*gorm.DB) error {
		calls.Add(1)
		return &mysql.MySQLError{Number: 1205}
	})
	var serverErr *mysql.MySQLError
	require.ErrorAs(t, err, &serverErr)
	require.EqualValues(t, 20, calls.Load())
}

func TestClosureThatEndsItsGoroutineLeavesNoTransactionOpen(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := db.Tx(context.Background(), func(*gorm.DB) error { endGoroutine(); return nil }); err != nil {
			t.Error(err)
		}
	}()
	<-ended
	require.Zero(t, db.Stats().Pool.InUse)
}

// The proxy stands between the driver and the server and cuts the line when told to.
type proxy struct {
	listener net.Listener
	target   string
	cut      atomic.Pointer[func(sent []byte) bool] // true: cut the line instead of sending this on
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		<-done
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		closeAll(client)
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		copyUntil(client, server, func([]byte) bool { return false })
		closeAll(client, server)
	}()
	copyUntil(server, client, func(sent []byte) bool {
		cut := p.cut.Load()
		return cut != nil && (*cut)(sent)
	})
	closeAll(client, server)
	<-back
}

func copyUntil(to, from net.Conn, cut func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if cut(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func closeAll(conns ...net.Conn) {
	for _, c := range conns {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			continue // both directions close both ends: the second close fails
		}
	}
}

// throughProxy opens a database whose line can be cut.
func throughProxy(t *testing.T) (*database.DB, *proxy) {
	t.Helper()
	cfg, err := mysql.ParseDSN(testdb.MySQLDSN(t))
	require.NoError(t, err)
	p := startProxy(t, cfg.Addr)
	cfg.Addr = p.listener.Addr().String()
	db, err := database.Open(t.Context(), database.Options{DSN: cfg.FormatDSN()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	exec(t, db, "CREATE TABLE jars (id BIGINT PRIMARY KEY, name VARCHAR(40))")
	return db, p
}

// cutAt cuts the line at the first packet that holds word.
func (p *proxy) cutAt(word string) {
	var once atomic.Bool
	cut := func(sent []byte) bool {
		return containsFold(sent, word) && once.CompareAndSwap(false, true)
	}
	p.cut.Store(&cut)
}

func TestConnectionLostDuringCommitIsReportedAsUnknown(t *testing.T) {
	t.Parallel()
	db, p := throughProxy(t)
	p.cutAt("COMMIT")
	var calls atomic.Int64
	err := db.Tx(t.Context(), func(tx *gorm.DB) error {
		calls.Add(1)
		return add(tx, 1)
	})
	require.ErrorIs(t, err, database.ErrCommitUnknown)
	require.EqualValues(t, 1, calls.Load(), "it may be stored, so it is not repeated")
}

func TestConnectionLostBeforeCommitIsRepeated(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"START TRANSACTION", "INSERT"} {
		db, p := throughProxy(t)
		p.cutAt(word)
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error { return add(tx, 1) }), word)
		require.EqualValues(t, 1, count(t, db))
	}
}

func containsFold(haystack []byte, word string) bool {
	return bytes.Contains(bytes.ToUpper(haystack), []byte(word))
}
