package database

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// EachRow runs a query and calls scan for each of its rows: for hot paths, where gorm's
// own scanning by reflection costs more than the query.
func EachRow(tx *gorm.DB, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := tx.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// SortedSet returns ids sorted and without repeats: the order in which every transaction
// locks rows, so that two of them never wait for each other.
func SortedSet(ids []int64) []int64 {
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}

// runLeast is the shortest run of consecutive ids that Among asks for as a range.
const runLeast = 8

// Among returns a condition that holds for rows whose column is one of ids, which are sorted and without repeats, and its arguments. Runs of consecutive
// ids become ranges: a server walks a range in about half the time that it takes to look its members up one by one.
func Among(column string, ids []int64) (condition string, args []any) {
	var ranges []string
	var single []int64
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && ids[n] == ids[0]+int64(n) {
			n++
		}
		if n >= runLeast {
			ranges = append(ranges, column+" BETWEEN ? AND ?")
			args = append(args, ids[0], ids[n-1])
		} else {
			single = append(single, ids[:n]...)
		}
		ids = ids[n:]
	}
	if len(single) > 0 || len(ranges) == 0 {
		ranges = append(ranges, column+" IN ?")
		args = append(args, single)
	}
	if len(ranges) == 1 {
		return ranges[0], args
	}
	return "(" + strings.Join(ranges, " OR ") + ")", args
}

// PerRow is the SQL of a value that may differ from row to row, and its arguments: one placeholder when it is the same for all ids, as it mostly is in
// a broadcast. ids are not empty.
func PerRow(column string, ids []int64, value func(id int64) int64) (expression string, args []any) {
	first := value(ids[0])
	if !slices.ContainsFunc(ids, func(id int64) bool { return value(id) != first }) {
		return "?", []any{first}
	}
	for _, id := range ids {
		args = append(args, id, value(id))
	}
	return "CASE " + column + strings.Repeat(" WHEN ? THEN ?", len(ids)) + " END", args
}

// number scans an integer column without the detours of database/sql, by reflection for an int64 and by way of text for the others.
type number[T integer] struct{ to *T }

type integer interface {
	~int | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32
}

// Int returns a destination for Rows.Scan that stores an integer column in p.
func Int[T integer](p *T) sql.Scanner { return number[T]{p} }

// Scan implements sql.Scanner.
func (n number[T]) Scan(v any) error {
	i, ok := v.(int64)
	if !ok || int64(T(i)) != i {
		return fmt.Errorf("cannot store %v (%T) in %T", v, v, *n.to)
	}
	*n.to = T(i)
	return nil
}
