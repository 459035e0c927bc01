package fans

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/trim"
)

// CauseRetention erases fans who left the account longer ago than its policy keeps them.
const CauseRetention Cause = "retention"

// ForgetPushes removes the account's pushes that were received before a time, as far as they lie in a slice of the inbox. Those that wait to be acted upon,
// or for their passive reply to be handed over, stay.
func (b *Inbox) ForgetPushes(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	cut, err := slice.Do(ctx, b.db, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			return readOld(tx, "SELECT id, account_id, received_at, pending_at IS NOT NULL FROM inbox WHERE id > ? ORDER BY id"+b.db.Dialect().Limit(), after, most)
		},
		Remove: func(tx *gorm.DB, ids []int64) (int64, error) {
			return removeOld(tx, "DELETE FROM inbox WHERE pending_at IS NULL AND +account_id = ? AND ", slice.AccountID, ids)
		},
	})
	if err != nil {
		return cut, fmt.Errorf("remove old pushes: %w", err)
	}
	return cut, nil
}

// ForgetInteractions removes the account's interactions that were recorded before a time, as far as they lie in a slice of the table. Those whose push waits to
// be acted upon stay: recorded again, they would open grants and start drips a second time. A push that is done never waits again.
func (s *Store) ForgetInteractions(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	cut, err := slice.Do(ctx, s.db, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			return s.readInteractions(tx, slice, after, most)
		},
		Remove: func(tx *gorm.DB, ids []int64) (int64, error) {
			return removeOld(tx, "DELETE FROM interactions WHERE +account_id = ? AND ", slice.AccountID, ids)
		},
	})
	if err != nil {
		return cut, fmt.Errorf("remove old interactions: %w", err)
	}
	return cut, nil
}

// readInteractions reads a slice, and then which pushes of it wait: joined, MariaDB sorts the whole rest of the table before it takes the first rows.
func (s *Store) readInteractions(tx *gorm.DB, slice trim.Slice, after int64, most int) ([]trim.Row, error) {
	var out []trim.Row
	var pushes, waiting []int64
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		var push int64
		err := rows.Scan(database.Int(&r.ID), database.Int(&r.AccountID), database.Int(&r.At), database.Int(&push))
		out, pushes = append(out, r), append(pushes, push)
		return err
	}, "SELECT id, account_id, recorded_at, inbox_id FROM interactions WHERE id > ? ORDER BY id"+s.db.Dialect().Limit(), after, most)
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(database.SortedSet(pushes), database.ChunkSize) {
		among, args := database.Among("id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			waiting = append(waiting, id)
			return err
		}, "SELECT id FROM inbox WHERE +pending_at IS NOT NULL AND +account_id = ? AND "+among+" ORDER BY id", append([]any{slice.AccountID}, args...)...)
		if err != nil {
			return nil, err
		}
	}
	for i := range out {
		_, out[i].Open = slices.BinarySearch(waiting, pushes[i])
	}
	return out, nil
}

// ForgetLeft erases the account's fans who left before a time, as far as they lie in a slice of the table: see Erase. Fans leave in no order of their ids, so
// a walk looks at all of them; Clean and Stuck mean nothing here.
func (s *Store) ForgetLeft(ctx context.Context, slice trim.Slice) (trim.Cut, error) {
	slice.Most = min(slice.Most, eraseSlice)
	cut, err := slice.Do(ctx, s.db, trim.Table{
		Read: func(tx *gorm.DB, after int64, most int) ([]trim.Row, error) {
			// The time is 0 for all: only the end of the table ends the walk.
			// By the primary key: for one account's fans above an id, MariaDB walks the account's index from its beginning, in every slice.
			return readOld(tx, "SELECT id, account_id, 0, NOT ("+leftBefore+") FROM fans WHERE id > ? ORDER BY id"+s.db.Dialect().Limit(), slice.Before, after, most)
		},
		Remove: func(tx *gorm.DB, ids []int64) (int64, error) { return s.eraseLeft(tx, slice, ids) },
	})
	if err != nil {
		return cut, fmt.Errorf("erase fans who left: %w", err)
	}
	return cut, nil
}

// leftBefore is true of fans who left before a time and have not been erased. Who never followed has not left.
const leftBefore = "subscribed = 0 AND unsubscribed_at > 0 AND unsubscribed_at < ? AND openid NOT LIKE '" + erasedPrefix + "%'"

// eraseLeft erases those of the fans who are still gone: under the lock of their limits, which everybody takes who records that a fan is back.
func (s *Store) eraseLeft(tx *gorm.DB, slice trim.Slice, ids []int64) (int64, error) {
	if _, err := s.limits.LockVersions(tx, slice.AccountID, ids); err != nil {
		return 0, err
	}
	var left []int64
	err := tx.Raw("SELECT id FROM fans WHERE id IN ? AND +account_id = ? AND "+leftBefore+" ORDER BY id", ids, slice.AccountID, slice.Before).Scan(&left).Error
	if err != nil {
		return 0, err
	}
	now := s.clock.Now().UnixMilli()
	n, err := s.erase(tx, now, slice.AccountID, left)
	if err != nil {
		return 0, err
	}
	return n, recordErasure(tx, Erasure{AccountID: slice.AccountID, Cause: CauseRetention, Fans: n, At: now})
}

// readOld reads the rows of a slice: id, account, age, and whether something still needs the row.
func readOld(tx *gorm.DB, query string, args ...any) ([]trim.Row, error) {
	var out []trim.Row
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r trim.Row
		err := rows.Scan(database.Int(&r.ID), database.Int(&r.AccountID), database.Int(&r.At), &r.Open)
		out = append(out, r)
		return err
	}, query, args...)
	return out, err
}

// removeOld runs a DELETE whose condition ends where the ids come, for an account.
func removeOld(tx *gorm.DB, query string, accountID int64, ids []int64) (removed int64, err error) {
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("id", chunk)
		res := tx.Exec(query+among, append([]any{accountID}, args...)...)
		if res.Error != nil {
			return 0, res.Error
		}
		removed += res.RowsAffected
	}
	return removed, nil
}
