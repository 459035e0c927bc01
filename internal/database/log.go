package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"hongyan/internal/clock"
)

// slowQuery is the duration from which a statement is worth a line in the log.
const slowQuery = time.Second

// queryLog writes failed and slow statements, without their values: those may be
// secrets or people's data.
type queryLog struct{ log *slog.Logger }

// LogMode implements logger.Interface; the level is the slog handler's business.
func (q queryLog) LogMode(logger.LogLevel) logger.Interface { return q }

// Info implements logger.Interface. gorm's own chatter is not for operators.
func (q queryLog) Info(context.Context, string, ...any) {}

// Warn implements logger.Interface.
//
//nolint:goprintffuncname // gorm names it
func (q queryLog) Warn(ctx context.Context, format string, args ...any) {
	q.log.WarnContext(ctx, "gorm: "+fmt.Sprintf(format, args...))
}

// Error implements logger.Interface.
//
//nolint:goprintffuncname // gorm names it
func (q queryLog) Error(ctx context.Context, format string, args ...any) {
	q.log.ErrorContext(ctx, "gorm: "+fmt.Sprintf(format, args...))
}

// ParamsFilter keeps values out of the log.
func (q queryLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Trace implements logger.Interface. begin is gorm's reading of the wall clock.
func (q queryLog) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), err error) {
	took := max(0, clock.System().Now().Sub(begin)) // our clock is cut to milliseconds, begin is not
	if err != nil && !expected(err) {
		query, _ := statement()
		q.log.ErrorContext(ctx, "query failed", "sql", shorten(query), "took", took, "error", err)
		return
	}
	if took >= slowQuery {
		query, rows := statement()
		q.log.WarnContext(ctx, "slow query", "sql", shorten(query), "took", took, "rows", rows)
	}
}

// expected errors are answers that callers act upon, not faults of the database.
func expected(err error) bool {
	return errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, gorm.ErrDuplicatedKey) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || isLockConflict(err)
}

func shorten(query string) string {
	const limit = 500
	if len(query) <= limit {
		return query
	}
	return query[:limit] + "…"
}

func panicError(r any) error {
	if err, ok := r.(error); ok {
		return fmt.Errorf("panic in a transaction: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("panic in a transaction: %v\n%s", r, debug.Stack())
}
