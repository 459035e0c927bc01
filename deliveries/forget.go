package deliveries

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/trim"
)

// ForgetTraces removes the traces of the account's deliveries that ended before a time, as far as they lie in a slice of the table decisions. What is planned or
// under way keeps all of its trace. The deliveries themselves stay, with their state, reason and code, so that figures and later plans are as before.
func (s *Store) ForgetTraces(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	cut, err := slice.Do(ctx, s.db, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			return s.readTraces(tx, slice.Before, after, most)
		},
		Remove: removeTraces,
	})
	if err != nil {
		return cut, fmt.Errorf("remove old traces: %w", err)
	}
	return cut, nil
}

// readTraces reads the steps of traces as rows of a walk. A step tells of no account, so its delivery does; a step is as old as it is, and open until its
// delivery has ended and become old as well.
func (s *Store) readTraces(tx *gorm.DB, before, after int64, most int) ([]trim.Row, error) {
	var out []trim.Row
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		var state State
		var ended int64
		err := rows.Scan(database.Int(&r.ID), database.Int(&r.At), database.Int(&r.AccountID), database.Int(&state), database.Int(&ended))
		r.Open = !state.Terminal() || ended >= before
		out = append(out, r)
		return err
	}, "SELECT d.id, d.at, COALESCE(v.account_id, 0), COALESCE(v.state, 0), COALESCE(v.ended_at, 0) FROM decisions d LEFT JOIN deliveries v ON v.id = d.delivery_id "+
		"WHERE d.id > ? ORDER BY d.id"+s.db.Dialect().Limit(), after, most)
	return out, err
}

// ForgetReactions removes what fans of the account did after messages before a time, as far as it lies in a slice of the table reactions, which is walked by delivery.
// How many did it stays counted. Messages come in the order in which they were planned, and a fan may react to one long after that: so a walk ends where all were
// planned later, and begins at the table's begin every time. Clean and Stuck mean nothing here.
func (s *Store) ForgetReactions(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	cut, err := slice.Do(ctx, s.db, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			return s.readReactions(tx, slice.Before, after, most)
		},
		Remove: func(tx *gorm.DB, ids []int64) (int64, error) {
			return removeAmong(tx, ids, "DELETE FROM reactions WHERE at < ? AND ", "delivery_id", slice.Before)
		},
	})
	if err != nil {
		return cut, fmt.Errorf("remove old reactions: %w", err)
	}
	return cut, nil
}

// readReactions reads the deliveries to which fans have reacted as rows of a walk: each is as old as its plan, and open until its first reaction is old as well.
func (s *Store) readReactions(tx *gorm.DB, before, after int64, most int) ([]trim.Row, error) {
	var out []trim.Row
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		var first int64
		err := rows.Scan(database.Int(&r.ID), database.Int(&first), database.Int(&r.AccountID), database.Int(&r.At))
		r.Open = first >= before
		out = append(out, r)
		return err
	}, "SELECT r.delivery_id, r.first_at, COALESCE(v.account_id, 0), COALESCE(v.planned_at, 0) FROM (SELECT delivery_id, MIN(at) AS first_at FROM reactions "+
		"WHERE delivery_id > ? GROUP BY delivery_id ORDER BY delivery_id"+s.db.Dialect().Limit()+") r LEFT JOIN deliveries v ON v.id = r.delivery_id ORDER BY r.delivery_id", after, most)
	return out, err
}

// removeTraces needs no further condition: a delivery that has ended stays ended.
func removeTraces(tx *gorm.DB, ids []int64) (int64, error) {
	return removeAmong(tx, ids, "DELETE FROM decisions WHERE ", "id")
}

// removeAmong removes the rows whose column is one of ids, by a statement that ends with its condition on them; args are those of what stands before.
func removeAmong(tx *gorm.DB, ids []int64, statement, column string, args ...any) (removed int64, err error) {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, of := database.Among(column, chunk)
		res := tx.Exec(statement+among, slices.Concat(args, of)...)
		if res.Error != nil {
			return 0, res.Error
		}
		removed += res.RowsAffected
	}
	return removed, nil
}
