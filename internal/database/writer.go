package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

// A group is closed at the first of these bounds, so that the first transaction in it does not wait
// long for its commit.
const (
	maxGroup     = 64
	maxGroupTime = 10 * time.Millisecond
)

// errGroupLost is what a transaction gets when SQLite undid the whole group under it, because the
// disk is full or failing.
var errGroupLost = errors.New("SQLite rolled the transaction group back")

// errEnded is what a closure gets that ended its goroutine, as a failing test does.
var errEnded = errors.New("the transaction's function ended its goroutine")

// request is one call of Tx on its way through the writer.
type request struct {
	ctx  context.Context //nolint:containedctx // it travels with the call it belongs to
	fn   func(tx *gorm.DB) error
	done chan error // buffered: the writer never waits for a caller
}

// writer is the only one that writes a SQLite file. It runs the transactions that are waiting
// one after the other inside one SQLite transaction, each in a savepoint, commits once,
// and then answers them all: they share the fsync, which costs more than their work.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	stmts    *stmtPool
	gorm     *gorm.DB
	log      *slog.Logger
	counters *counters

	queue chan *request
	stop  chan struct{} // closed when no request can come any more
	done  chan struct{} // closed when the writer's goroutine has ended

	mu       sync.RWMutex // guards closed against the arrival of callers
	closed   bool
	callers  sync.WaitGroup
	closeErr error
	once     sync.Once
}

func openWriter(ctx context.Context, opts Options, counters *counters) (_ *writer, err error) {
	w := &writer{
		log: opts.Log, counters: counters, queue: make(chan *request),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	if w.db, err = sql.Open("sqlite", sqliteDSN(opts.Path, false)); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "open the SQLite file for writing")
	}
	if w.conn, err = w.db.Conn(ctx); err != nil {
		err = fault.Wrap(fault.Unavailable, err, "open the SQLite file for writing")
		return nil, errors.Join(err, w.db.Close())
	}
	w.stmts = &stmtPool{conn: w.conn, stmts: map[string]*pooledStmt{}}
	w.gorm, err = gorm.Open(sqliteDialector{&gormsqlite.Dialector{Conn: writerPool{w.stmts}}}, gormConfig(opts))
	if err != nil {
		err = fault.Wrap(fault.Unavailable, err, "open the SQLite file for writing")
		return nil, errors.Join(err, w.stmts.close(), w.conn.Close(), w.db.Close())
	}
	go w.run() //nolint:contextcheck // the writer outlives the context of its opening
	return w, nil
}

// submit hands fn to the writer and waits for its answer. A caller whose ctx ends while it waits
// for its turn leaves, and fn does not run; once fn has started, its outcome is waited for.
func (w *writer) submit(ctx context.Context, fn func(tx *gorm.DB) error) error {
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return ErrClosed
	}
	w.callers.Add(1)
	w.mu.RUnlock()
	defer w.callers.Done()

	r := &request{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case w.queue <- r:
		return <-r.done
	case <-ctx.Done():
		return fmt.Errorf("transaction not started: %w", ctx.Err())
	}
}

func (w *writer) run() {
	for {
		select {
		case r := <-w.queue:
			if !w.group(r) {
				return // another goroutine carries on
			}
		case <-w.stop:
			close(w.done)
			return
		}
	}
}

// group runs first and whoever else is waiting, commits, and answers. It reports false when
// a closure ended this goroutine.
func (w *writer) group(first *request) (alive bool) {
	var members []*request
	current := first
	defer func() {
		if current == nil {
			return
		}
		// Only runtime.Goexit in a closure gets here: the goroutine cannot be saved, the writer can.
		w.abort(append(members, current), errEnded)
		go w.run()
	}()
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		current = nil
		first.done <- fault.Wrap(fault.Unavailable, err, "begin a SQLite transaction")
		return true
	}
	began := clock.System().Now()
	for current != nil {
		err := w.member(current)
		switch {
		case errors.Is(err, errGroupLost):
			members = append(members, current)
			current = nil
			w.abort(members, err)
			return true
		case err != nil:
			current.done <- err
		default:
			members = append(members, current)
		}
		current = w.next(len(members), began)
	}
	w.commit(members)
	return true
}

// next is the request that may still join the group, or nil.
func (w *writer) next(members int, began time.Time) *request {
	if members >= maxGroup || clock.System().Now().Sub(began) >= maxGroupTime {
		return nil
	}
	select {
	case r := <-w.queue:
		return r
	default:
		return nil
	}
}

// member runs one closure in its own savepoint, so that its failure is its own.
func (w *writer) member(r *request) error {
	if err := w.exec("SAVEPOINT member"); err != nil {
		return fmt.Errorf("%w: %w", errGroupLost, err)
	}
	tx := w.gorm.Session(&gorm.Session{NewDB: true, Context: r.ctx})
	failed := call(r.fn, tx)
	if failed != nil {
		if err := w.exec("ROLLBACK TO member"); err != nil {
			return fmt.Errorf("%w: %w, after: %w", errGroupLost, err, failed)
		}
	}
	if err := w.exec("RELEASE member"); err != nil {
		return fmt.Errorf("%w: %w", errGroupLost, err)
	}
	return failed
}

func (w *writer) commit(members []*request) {
	if len(members) == 0 {
		w.abort(nil, nil)
		return
	}
	if err := w.exec("COMMIT"); err != nil {
		w.abort(members, fault.Wrap(fault.Unavailable, err, "commit a SQLite transaction"))
		return
	}
	w.counters.commits.Add(1)
	for _, r := range members {
		r.done <- nil
	}
}

// abort undoes what is left of the open transaction and gives err to everybody in it.
func (w *writer) abort(members []*request, err error) {
	// SQLite may have rolled back by itself already; then there is nothing to undo, and it says so.
	if rollbackErr := w.exec("ROLLBACK"); rollbackErr != nil && err == nil {
		w.log.Error("roll back an empty SQLite transaction", "error", rollbackErr)
	}
	for _, r := range members {
		r.done <- err
	}
}

func (w *writer) exec(query string) error {
	_, err := w.stmts.ExecContext(context.Background(), query)
	return err
}

// close refuses new transactions, waits for the accepted ones and closes the file.
func (w *writer) close() error {
	w.once.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.callers.Wait()
		close(w.stop)
		<-w.done
		w.closeErr = errors.Join(w.stmts.close(), w.conn.Close(), w.db.Close())
	})
	return w.closeErr
}

// writerPool is the connection as closures see it. A statement that is interrupted in the
// middle makes SQLite roll back the whole group, so a context counts between statements only.
type writerPool struct{ *stmtPool }

// PrepareContext implements gorm.ConnPool.
func (p writerPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.stmtPool.PrepareContext(context.WithoutCancel(ctx), query)
}

// ExecContext implements gorm.ConnPool.
func (p writerPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.stmtPool.ExecContext(context.WithoutCancel(ctx), query, args...)
}

// QueryContext implements gorm.ConnPool.
func (p writerPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p.stmtPool.QueryContext(context.WithoutCancel(ctx), query, args...)
}

// QueryRowContext implements gorm.ConnPool.
func (p writerPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.stmtPool.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}

// Commit and Rollback make gorm treat the handle as a transaction, so that tx.Transaction inside
// a closure nests by savepoint. Ending the group is the writer's business alone.
func (p writerPool) Commit() error { return errNotYours }

// Rollback implements gorm.TxCommitter.
func (p writerPool) Rollback() error { return errNotYours }

var errNotYours = errors.New("the transaction ends when its function returns")
