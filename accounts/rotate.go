package accounts

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// sealedTable is a table that keeps secrets sealed by a Vault.
type sealedTable struct {
	name, key string   // and its primary key, one column
	columns   []string // an empty or NULL value holds no secret
}

// sealedTables are all of them. A binary column that is missing here and in the list of unsealed ones fails TestEveryBinaryColumnIsSealedOrKnownNotToBe.
func sealedTables() []sealedTable {
	return []sealedTable{
		{name: "accounts", key: "id", columns: []string{"secret", "callback_token", "aes_key", "previous_aes_key"}},
		{name: "access_tokens", key: "account_id", columns: []string{"token"}},
		{name: "components", key: "id", columns: []string{"secret", "callback_token", "aes_key", "previous_aes_key", "ticket"}},
		{name: "component_tokens", key: "component_id", columns: []string{"token"}},
		{name: "authorisations", key: "id", columns: []string{"refresh_token", "previous_token", "code"}},
		{name: "webhooks", key: "id", columns: []string{"secret"}},
		{name: "link_keys", key: "id", columns: []string{"secret"}},
	}
}

const (
	// rotateSlice is how many rows are read at once and, if they have to be, changed in one transaction.
	rotateSlice = 200
	// rotateRounds bounds how often the tables are walked because somebody else changed a row in between.
	rotateRounds = 5
)

// Rotation seals all stored secrets again that the Vault's current key has not sealed. It may be killed at any point and run again, and run beside
// processes at work: these need both keys, whichever of the two they seal with.
type Rotation struct {
	DB    *database.DB
	Vault *Vault
	// Slice is how many rows share a transaction; 0 means 200.
	Slice int
	// Changed is called after each transaction with the number of secrets that it has sealed again; nil: nobody asks.
	Changed func(n int)
}

// Run seals again, and tells how many secrets that were. Errors: Unavailable when the database is away. Secrets that open with none of
// the keys are left as they are: Inspect names them.
func (r Rotation) Run(ctx context.Context) (resealed int, err error) {
	for range rotateRounds {
		beaten := 0
		for _, table := range sealedTables() {
			done, lost, err := r.table(ctx, &table)
			resealed += done
			beaten += lost
			if err != nil {
				return resealed, err
			}
		}
		if beaten == 0 {
			break
		}
	}
	return resealed, nil
}

// table walks one table. beaten counts the rows that somebody else changed between reading and writing.
func (r Rotation) table(ctx context.Context, t *sealedTable) (resealed, beaten int, err error) {
	err = t.walk(ctx, r.DB, cmp.Or(r.Slice, rotateSlice), func(rows []sealedRow) error {
		changes, err := r.changes(t, rows)
		if err != nil || len(changes) == 0 {
			return err
		}
		done, lost, err := r.write(ctx, changes)
		if err != nil {
			return fmt.Errorf("seal table %s again: %w", t.name, err)
		}
		resealed += done
		beaten += lost
		if r.Changed != nil {
			r.Changed(done)
		}
		return nil
	})
	return resealed, beaten, err
}

// reseal is a row's change: only where the sealed bytes are still those that were read, so that no secret is put back that was replaced meanwhile.
type reseal struct {
	query  string
	args   []any
	values int
}

func (r Rotation) changes(t *sealedTable, rows []sealedRow) ([]reseal, error) {
	var out []reseal
	for i := range rows {
		var set, where []string
		var fresh, read []any
		for c, sealed := range rows[i].values {
			if len(sealed) == 0 || r.Vault.current(sealed) {
				continue
			}
			secret, err := r.Vault.Open(sealed)
			if err != nil {
				continue // Inspect names it; the others need not wait for it
			}
			again, err := r.Vault.Seal(secret)
			if err != nil {
				return nil, err
			}
			set, fresh = append(set, t.columns[c]+" = ?"), append(fresh, again)
			where, read = append(where, t.columns[c]+" = ?"), append(read, sealed)
		}
		if len(set) > 0 {
			out = append(out, reseal{
				query:  "UPDATE " + t.name + " SET " + strings.Join(set, ", ") + " WHERE " + t.key + " = ? AND " + strings.Join(where, " AND "),
				args:   slices.Concat(fresh, []any{rows[i].key}, read),
				values: len(set),
			})
		}
	}
	return out, nil
}

func (r Rotation) write(ctx context.Context, changes []reseal) (resealed, beaten int, err error) {
	err = r.DB.Tx(ctx, func(tx *gorm.DB) error {
		resealed, beaten = 0, 0
		for i := range changes {
			res := tx.Exec(changes[i].query, changes[i].args...)
			if res.Error != nil {
				return res.Error
			}
			if res.RowsAffected == 0 {
				beaten++
				continue
			}
			resealed += changes[i].values
		}
		return nil
	})
	if err != nil {
		return 0, 0, fault.Wrap(fault.Unavailable, err, "store secrets that were sealed again")
	}
	return resealed, beaten, nil
}

// sealedRow is a row of a sealed table, its values in the order of the table's columns.
type sealedRow struct {
	key    int64
	values [][]byte
}

// walk reads a table in slices, in the order of its key, outside of transactions.
func (t *sealedTable) walk(ctx context.Context, db *database.DB, slice int, visit func([]sealedRow) error) error {
	after := int64(math.MinInt64)
	for {
		rows, err := t.read(db.Read(ctx), db.Dialect(), after, slice)
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "read the secrets of table %s", t.name)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := visit(rows); err != nil {
			return err
		}
		after = rows[len(rows)-1].key
	}
}

func (t *sealedTable) read(tx *gorm.DB, dialect database.Dialect, after int64, slice int) ([]sealedRow, error) {
	var out []sealedRow
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		row := sealedRow{values: make([][]byte, len(t.columns))}
		into := []any{&row.key}
		for i := range row.values {
			into = append(into, &row.values[i])
		}
		err := rows.Scan(into...)
		out = append(out, row)
		return err
	}, "SELECT "+t.key+", "+strings.Join(t.columns, ", ")+" FROM "+t.name+" WHERE "+t.key+" > ? ORDER BY "+t.key+dialect.Limit(), after, slice)
	return out, err
}

// Inventory counts the stored secrets by what they open with.
type Inventory struct {
	Current  int // with the current key
	Previous int // with a previous key only
	Lost     int // with none of the keys
	// FirstLost says which the first of the lost ones is, and the fingerprint of its key as far as it tells: "accounts.secret of 1 (sealed with key …)".
	FirstLost string
}

// Inspect opens every stored secret. There are a few per account.
func Inspect(ctx context.Context, db *database.DB, v *Vault) (Inventory, error) {
	var out Inventory
	for _, t := range sealedTables() {
		err := t.walk(ctx, db, rotateSlice, func(rows []sealedRow) error {
			for i := range rows {
				out.add(v, &t, &rows[i])
			}
			return nil
		})
		if err != nil {
			return Inventory{}, err
		}
	}
	return out, nil
}

func (n *Inventory) add(v *Vault, t *sealedTable, row *sealedRow) {
	for c, sealed := range row.values {
		if len(sealed) == 0 {
			continue
		}
		_, key, err := v.open(sealed)
		switch {
		case err == nil && key == 0:
			n.Current++
		case err == nil:
			n.Previous++
		default:
			if n.Lost == 0 {
				n.FirstLost = fmt.Sprintf("%s.%s of %d", t.name, t.columns[c], row.key)
				if by := sealedWith(sealed); by != "" {
					n.FirstLost += " (sealed with key " + by + ")"
				}
			}
			n.Lost++
		}
	}
}

// Check returns an error that says what is wrong when a secret opens with none of the vault's keys, and how to name the keys. Errors: Conflict.
func (n *Inventory) Check(v *Vault) error {
	if n.Lost == 0 {
		return nil
	}
	names := make([]string, len(v.keys))
	for i := range v.keys {
		names[i] = sealedWith(v.keys[i].header)
	}
	return fault.New(fault.Conflict, "%d of %d stored secrets open with none of the keys that this process was given (%s): the first is %s",
		n.Lost, n.Lost+n.Current+n.Previous, strings.Join(names, ", "), n.FirstLost)
}
