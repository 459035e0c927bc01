package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

const (
	// page is how many events are ordered or read at a time.
	page = 500
	// KeepMS is how long events are kept, in milliseconds: a connection that was away for longer is told to load everything anew.
	KeepMS = 60 * 60 * 1000
)

// cursor is how far the order of events goes.
type cursor struct {
	last    int64 // the last seq that was given
	trimmed int64 // the last that was removed
}

func readCursor(tx *gorm.DB, suffix string) (c cursor, err error) {
	found := false
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&c.last, &c.trimmed)
	}, "SELECT last_seq, trimmed_seq FROM stream_cursor WHERE id = 1"+suffix)
	if err == nil && !found {
		err = errors.New("the row of stream_cursor is missing")
	}
	if err != nil {
		return c, fmt.Errorf("read how far events go: %w", err)
	}
	return c, nil
}

// order gives committed events their place, as many as there are, and is safe to run in several processes. Whoever holds the cursor's
// row sees everything that was committed before, and commits before anybody else orders: a seq that can be read has none below it that
// will yet appear.
func order(ctx context.Context, db *database.DB) error {
	for {
		waiting, err := unordered(db.Read(ctx), 1)
		if err != nil || len(waiting) == 0 {
			return err
		}
		n := 0
		err = db.Tx(ctx, func(tx *gorm.DB) error {
			n = 0
			c, err := readCursor(tx, db.Dialect().ForUpdate())
			if err != nil {
				return err
			}
			ids, err := unordered(tx, page)
			if err != nil || len(ids) == 0 {
				return err
			}
			n = len(ids)
			place := make(map[int64]int64, n)
			for i, id := range ids {
				place[id] = c.last + int64(i) + 1
			}
			seq, args := database.PerRow("id", ids, func(id int64) int64 { return place[id] })
			among, more := database.Among("id", ids)
			if err := tx.Exec("UPDATE stream_events SET seq = "+seq+" WHERE "+among, append(args, more...)...).Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE stream_cursor SET last_seq = ? WHERE id = 1", c.last+int64(n)).Error
		})
		if err != nil {
			return fmt.Errorf("order events: %w", err)
		}
		if n < page {
			return nil
		}
	}
}

func unordered(tx *gorm.DB, most int) (ids []int64, err error) {
	err = tx.Raw("SELECT id FROM stream_events WHERE seq IS NULL ORDER BY id LIMIT ?", most).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("look for new events: %w", err)
	}
	return ids, nil
}

// read returns events behind a seq, in order.
func read(tx *gorm.DB, after int64) ([]Event, error) {
	var out []Event
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var e Event
		var payload []byte
		err := rows.Scan(&e.Seq, &e.AccountID, &e.Topic, &e.At, &payload)
		e.Data = payload
		out = append(out, e)
		return err
	}, "SELECT seq, account_id, topic, at, payload FROM stream_events WHERE seq > ? ORDER BY seq LIMIT ?", after, page)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return out, nil
}

// Trim removes events that happened before a time, in unix milliseconds, and returns how many. It begins with the oldest and stops at the first that
// is newer, so that what is left has no gaps. It may be killed at any point; the next run goes on.
func Trim(ctx context.Context, db *database.DB, before int64) (removed int64, err error) {
	if err := order(ctx, db); err != nil {
		return 0, err
	}
	for {
		n := 0
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			n = 0
			c, err := readCursor(tx, db.Dialect().ForUpdate())
			if err != nil {
				return err
			}
			oldest, err := read(tx, c.trimmed)
			if err != nil {
				return err
			}
			for n < len(oldest) && oldest[n].At < before {
				n++
			}
			if n == 0 {
				return nil
			}
			upTo := oldest[n-1].Seq
			if err := tx.Exec("DELETE FROM stream_events WHERE seq > ? AND seq <= ?", c.trimmed, upTo).Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE stream_cursor SET trimmed_seq = ? WHERE id = 1", upTo).Error
		})
		if err != nil {
			return removed, fmt.Errorf("remove old events: %w", err)
		}
		removed += int64(n)
		if n < page {
			return removed, nil
		}
	}
}
