package fans

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/jobs"
)

// EraseAllKind is the kind of the job that erases all fans of an account, for instance because its owner withdrew the authorisation. It has no parameters.
const EraseAllKind = "fans.erase_all"

// pushSlice is how many pushes are emptied in one transaction.
const pushSlice = 1000

// The parts of the job: first the pushes, so that none that waits makes a fan again, then the fans. Its cursor is the part and up to where that is
// done, by the pushes' dedupe keys and the fans' ids; "" is the beginning.
const (
	erasePushes = "pushes"
	eraseFans   = "fans"
	eraseEnd    = "end"
)

// EraseAll is the runner of EraseAllKind: all pushes of the account, then all its fans in the order of their ids. The job and a row of the
// erasures are the record.
func (s *Store) EraseAll(ctx context.Context, r *jobs.Run) error {
	for r.Cursor != eraseEnd {
		var err error
		switch part, after, _ := strings.Cut(cmp.Or(r.Cursor, erasePushes), " "); part {
		case erasePushes:
			err = s.emptySome(ctx, r, after)
		case eraseFans:
			err = s.eraseSome(ctx, r, after)
		default:
			err = fmt.Errorf("the job's cursor %q is broken", r.Cursor)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// emptySome empties the next slice of the account's pushes.
func (s *Store) emptySome(ctx context.Context, r *jobs.Run, after string) error {
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		next := jobs.Progress{Cursor: eraseFans}
		var ids []int64
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			var key string
			err := rows.Scan(&id, &key)
			ids, next.Cursor = append(ids, id), erasePushes+" "+key
			return err
		}, "SELECT id, dedupe_key FROM inbox WHERE account_id = ? AND dedupe_key > ? ORDER BY dedupe_key LIMIT ?", r.AccountID, after, pushSlice)
		if err != nil {
			return jobs.Progress{}, fmt.Errorf("list pushes: %w", err)
		}
		if len(ids) == 0 {
			return next, nil
		}
		return next, clearPushes(tx, "id IN ?", database.SortedSet(ids))
	})
}

// eraseSome erases the next slice of fans; when there is none, it records how many that were.
func (s *Store) eraseSome(ctx context.Context, r *jobs.Run, cursor string) error {
	var after, total int64
	var err error
	if cursor == "" {
		total, err = s.countPersons(ctx, r.AccountID)
	} else {
		after, err = strconv.ParseInt(cursor, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("erase all fans: %w", err)
	}
	return r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
		ids, err := s.idsAfter(tx, r.AccountID, after, eraseSlice)
		if err != nil {
			return jobs.Progress{}, err
		}
		if len(ids) == 0 {
			return jobs.Progress{Cursor: eraseEnd}, recordErasure(tx, Erasure{AccountID: r.AccountID, Cause: CauseAccount, Fans: r.Done, At: s.now()})
		}
		n, err := s.erase(tx, s.now(), r.AccountID, ids)
		return jobs.Progress{Cursor: fmt.Sprint(eraseFans, " ", ids[len(ids)-1]), Done: n, Total: total}, err
	})
}

// countPersons counts the fans of an account who are not erased.
func (s *Store) countPersons(ctx context.Context, accountID int64) (n int64, err error) {
	err = s.db.Read(ctx).Raw("SELECT COUNT(*) FROM fans WHERE account_id = ? AND openid NOT LIKE '"+erasedPrefix+"%'", accountID).Scan(&n).Error
	return n, err
}
