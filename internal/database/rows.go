package database

import (
	"database/sql"
	"errors"
	"slices"

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
