package database

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
)

const (
	maxStatements   = 256  // prepared statements kept per pool
	maxStatementLen = 4096 // longer SQL is a list of ids of varying length and would only push out the others
)

// stmtPool is a gorm.ConnPool that prepares each SQL text once: parsing costs SQLite more than
// running a short statement. gorm's own cache is not used, because it starts a
// goroutine that never ends.
type stmtPool struct {
	conn interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}

	mu    sync.Mutex
	stmts map[string]*pooledStmt
}

// pooledStmt is a statement with the number of calls that are using it, so that one pushed out
// of the cache is closed only when the last of them is through.
type pooledStmt struct {
	*sql.Stmt
	users int
	gone  bool
}

func newStmtPool(db *sql.DB) *stmtPool { return &stmtPool{conn: db, stmts: map[string]*pooledStmt{}} }

// acquire returns the statement for query, or nil when it must run unprepared. A query that
// cannot be prepared runs unprepared as well, and fails there with its own error.
func (p *stmtPool) acquire(ctx context.Context, query string) *pooledStmt {
	if len(query) > maxStatementLen {
		return nil
	}
	if stmt := p.cached(query); stmt != nil {
		return stmt
	}
	prepared, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	stmt := &pooledStmt{Stmt: prepared, users: 1}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, raced := p.stmts[query]; raced {
		stmt.gone = true
		return stmt
	}
	if len(p.stmts) >= maxStatements {
		p.evict()
	}
	p.stmts[query] = stmt
	return stmt
}

func (p *stmtPool) cached(query string) *pooledStmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	stmt := p.stmts[query]
	if stmt != nil {
		stmt.users++
	}
	return stmt
}

// evict drops any one statement; map order is as good a choice as any for a cache that is rarely full.
func (p *stmtPool) evict() {
	for query, stmt := range p.stmts {
		delete(p.stmts, query)
		stmt.gone = true
		if stmt.users == 0 {
			closeStmt(stmt)
		}
		return
	}
}

func (p *stmtPool) release(stmt *pooledStmt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stmt.users--
	if stmt.gone && stmt.users == 0 {
		closeStmt(stmt)
	}
}

func closeStmt(stmt *pooledStmt) {
	if err := stmt.Close(); err != nil {
		slog.Default().Warn("close a prepared statement", "error", err)
	}
}

// PrepareContext implements gorm.ConnPool.
func (p *stmtPool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.conn.PrepareContext(ctx, query)
}

// ExecContext implements gorm.ConnPool.
func (p *stmtPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.acquire(ctx, query); stmt != nil {
		defer p.release(stmt)
		return stmt.ExecContext(ctx, args...)
	}
	return p.conn.ExecContext(ctx, query, args...)
}

// QueryContext implements gorm.ConnPool.
func (p *stmtPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.acquire(ctx, query); stmt != nil {
		defer p.release(stmt)
		return stmt.QueryContext(ctx, args...) //nolint:sqlclosecheck // the caller closes the rows; release closes the statement
	}
	return p.conn.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller closes the rows
}

// QueryRowContext implements gorm.ConnPool.
func (p *stmtPool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.acquire(ctx, query); stmt != nil {
		defer p.release(stmt)
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.conn.QueryRowContext(ctx, query, args...)
}

func (p *stmtPool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stmt := range p.stmts {
		errs = append(errs, stmt.Close())
	}
	p.stmts = map[string]*pooledStmt{}
	return errors.Join(errs...)
}
