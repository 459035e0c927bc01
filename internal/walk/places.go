package walk

import (
	"database/sql"
	"fmt"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Chain reads n places by several queries, the later ones only while there are fewer: a place in an order of two columns is "the rest of the same first one,
// then the others", because "greater than either" is no range of an index.
func Chain(n int, queries ...func(n int) ([]Place, error)) (out []Place, err error) {
	for _, query := range queries {
		if len(out) == n {
			break
		}
		more, err := query(n - len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// ByID is for a query that selects the id.
func ByID(p *Place) []any { return []any{database.Int(&p.ID)} }

// BySort is for a query that selects the id and Sort.
func BySort(p *Place) []any { return []any{database.Int(&p.ID), database.Int(&p.Sort)} }

// ByName is for a query that selects the id and Name.
func ByName(p *Place) []any { return []any{database.Int(&p.ID), &p.Name} }

// ByGroup is for a query that selects the id, Group and Sort.
func ByGroup(p *Place) []any {
	return []any{database.Int(&p.ID), database.Int(&p.Group), database.Int(&p.Sort)}
}

// Places reads the places that a query finds; fields says which columns it selects.
func Places(tx *gorm.DB, fields func(*Place) []any, query string, args ...any) (out []Place, err error) {
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		var p Place
		err := rows.Scan(fields(&p)...)
		out = append(out, p)
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read a list: %w", err)
	}
	return out, nil
}
