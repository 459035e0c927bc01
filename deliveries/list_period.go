package deliveries

import (
	"database/sql"
	"fmt"
	"math"
	"time"

	"hongyan/internal/database"
)

// disorder is by how much the times at which rows were planned may differ from the order of their ids: transactions wait for each other, and the clocks of processes
// differ.
const disorder = 5 * time.Minute

// period gives ids between which the rows of the period lie: above < id < below. Ids are given in the order of time, give or take disorder, so some looks at the
// primary key find them, and no index by time is needed.
func (l *list) period() (above, below int64, err error) {
	above, below = 0, math.MaxInt64
	skew := disorder.Milliseconds()
	if l.Before != 0 {
		if _, below, err = l.search(l.Before+skew, l.Before+3*skew); err != nil {
			return 0, 0, err
		}
		if below, err = l.skipLater(below); err != nil {
			return 0, 0, err
		}
	}
	if l.Since != 0 {
		above, _, err = l.search(l.Since-3*skew, l.Since-skew)
	}
	return above, below, err
}

// skipMost is how many ids are skipped at the most.
const skipMost = 20_000

// skipLater goes down from an id as long as rows were planned after the period. Those lie together, in the primary key, and are passed over there for a small part of
// what a place of a page costs.
func (l *list) skipLater(below int64) (int64, error) {
	if below == math.MaxInt64 {
		return below, nil
	}
	row, err := l.rowAt("AND id < ? AND id > ? AND planned_at < ? ORDER BY id DESC", below, below-skipMost, l.Before)
	if err != nil {
		return 0, err
	}
	if row.id == 0 {
		return max(below-skipMost, 0) + 1, nil
	}
	return row.id + 1, nil
}

// plannedAt is a place in the table, and when a row near it was planned.
type plannedAt struct{ id, at int64 }

// search looks for a row that was planned between two times, and gives its id as both; if there is none, it gives the ids of an earlier row and of a later
// one between which nothing lies. It looks where the row should be if as many were planned at all times, and every other time in the middle.
func (l *list) search(from, to int64) (before, behind int64, err error) {
	first, last, err := l.ends()
	if err != nil || first.id == 0 {
		return 0, math.MaxInt64, err
	}
	first.id--
	last.id++
	for turn := 0; last.id-first.id > 1; turn++ {
		middle := first.id + (last.id-first.id)/2
		if turn%2 == 0 && last.at > first.at {
			part := (float64(from)/2 + float64(to)/2 - float64(first.at)) / float64(last.at-first.at)
			middle = first.id + int64(min(max(part, 0), 1)*float64(last.id-first.id))
		}
		middle = min(max(middle, first.id+1), last.id-1)
		row, err := l.rowAt("AND id >= ? AND id < ? ORDER BY id", middle, last.id)
		switch {
		case err != nil:
			return 0, 0, err
		case row.id == 0:
			last.id = middle
		case row.at > to:
			last = plannedAt{middle, row.at}
		case row.at < from:
			first = row
		default:
			return row.id, row.id, nil
		}
	}
	return first.id, last.id, nil
}

// ends are the first and the last row of the table, which are read once for both bounds; the first one's id is 0 if there is none.
func (l *list) ends() (first, last plannedAt, err error) {
	if l.first.id == 0 {
		if l.first, err = l.rowAt("ORDER BY id"); err != nil {
			return first, last, err
		}
		if l.last, err = l.rowAt("ORDER BY id DESC"); err != nil {
			return first, last, err
		}
	}
	return l.first, l.last, nil
}

// rowAt reads one row; its id is 0 if there is none.
func (l *list) rowAt(rest string, args ...any) (row plannedAt, err error) {
	err = database.EachRow(l.tx, func(rows *sql.Rows) error { return rows.Scan(&row.id, &row.at) }, "SELECT id, planned_at FROM deliveries WHERE id > 0 "+rest+" LIMIT 1", args...)
	if err != nil {
		return row, fmt.Errorf("look for a period: %w", err)
	}
	return row, nil
}
