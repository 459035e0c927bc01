package database

import "strings"

// Dialect names an engine and knows the words in which its SQL differs from the other's.
type Dialect string

// The engines. MySQL stands for MariaDB too.
const (
	SQLite Dialect = "sqlite"
	MySQL  Dialect = "mysql"
)

// ChunkSize is how many ids or rows go into one statement, for slices.Chunk: far below
// the 32,766 variables of SQLite and the 16 MB packet of MariaDB, and large enough that
// the round trip no longer counts.
const ChunkSize = 500

// InsertIgnore returns the start of an INSERT that leaves rows with an existing key as
// they are: "INSERT IGNORE INTO" or "INSERT OR IGNORE INTO". RowsAffected is then the
// number of rows that were new, on both engines. Values must be valid beforehand: MySQL
// also forgives too long or missing values in such a statement.
func (d Dialect) InsertIgnore() string {
	if d == SQLite {
		return "INSERT OR IGNORE INTO"
	}
	return "INSERT IGNORE INTO"
}

// ForUpdate returns the end of a SELECT that locks its rows: " FOR UPDATE", or nothing
// on SQLite, which has a single writer.
func (d Dialect) ForUpdate() string {
	if d == SQLite {
		return ""
	}
	return " FOR UPDATE"
}

// Limit returns the end of a SELECT with a limit that changes from call to call: " LIMIT ?". SQLite looks at such a value when it plans, and would plan
// anew each time; in a sum it does not.
func (d Dialect) Limit() string {
	if d == SQLite {
		return " LIMIT 0 + ?"
	}
	return " LIMIT ?"
}

// By returns the part of a SELECT, behind the table's name, that keeps a server to one index: " FORCE INDEX (name)". It is for a range whose end is the primary
// key: where the primary key alone seems to have fewer rows in that range, MariaDB takes the index's first columns without it, and walks over all rows that
// share them. SQLite plans such a range as it should.
func (d Dialect) By(index string) string {
	if d == SQLite {
		return ""
	}
	return " FORCE INDEX (" + index + ")"
}

// Upsert returns the end of an INSERT that updates the row with the same key instead.
// keys are the columns of the unique key; each set is a column that takes the new row's
// value ("name"), or an assignment in which {column} stands for the new row's value
// ("used = used + {used}"). On SQLite an INSERT … SELECT in front of it needs a WHERE.
// RowsAffected is 1 per new row on both engines, but differs for updated ones: do not read it.
func (d Dialect) Upsert(keys []string, sets ...string) string {
	var b strings.Builder
	incoming := strings.NewReplacer("{", "VALUES(", "}", ")")
	if d == SQLite {
		incoming = strings.NewReplacer("{", "excluded.", "}", "")
		b.WriteString(" ON CONFLICT (" + strings.Join(keys, ", ") + ") DO UPDATE SET ")
	} else {
		b.WriteString(" ON DUPLICATE KEY UPDATE ")
	}
	for i, set := range sets {
		if i > 0 {
			b.WriteString(", ")
		}
		if !strings.Contains(set, "=") {
			set += " = {" + set + "}"
		}
		b.WriteString(incoming.Replace(set))
	}
	return b.String()
}
