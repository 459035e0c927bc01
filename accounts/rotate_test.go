package accounts

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/wechat"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func vaultOf(t testing.TB, keys ...byte) *Vault {
	t.Helper()
	var previous [][]byte
	for _, b := range keys[1:] {
		previous = append(previous, key(b))
	}
	v, err := NewVault(key(keys[0]), previous...)
	require.NoError(t, err)
	return v
}

// sealUnnamed seals as it was done before sealed texts named their key.
func sealUnnamed(t testing.TB, v *Vault, secret string) []byte {
	t.Helper()
	nonce := make([]byte, v.keys[0].aead.NonceSize())
	_, err := rand.Read(nonce)
	require.NoError(t, err)
	return v.keys[0].aead.Seal(nonce, nonce, []byte(secret), nil)
}

func TestAVaultSealsWithTheCurrentKeyAndOpensWhatAPreviousOneSealed(t *testing.T) {
	t.Parallel()
	before, during, after := vaultOf(t, 1), vaultOf(t, 2, 1), vaultOf(t, 2)
	old, err := before.Seal([]byte("secret"))
	require.NoError(t, err)
	require.True(t, before.current(old))
	require.False(t, during.current(old))
	require.Equal(t, before.Fingerprint(), sealedWith(old))
	for _, sealed := range [][]byte{old, sealUnnamed(t, before, "secret")} {
		plain, err := during.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, "secret", string(plain))
		_, err = after.Open(sealed)
		require.ErrorIs(t, err, errSealed)
	}
	fresh, err := during.Seal([]byte("secret"))
	require.NoError(t, err)
	plain, err := after.Open(fresh)
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))
	require.NotEqual(t, before.Fingerprint(), after.Fingerprint())
	require.NotContains(t, string(fresh), string(key(2)[:fingerprintSize]), "the fingerprint is not a piece of the key")
}

func FuzzVaultOpen(f *testing.F) {
	v := vaultOf(f, 2, 1)
	sealed, err := v.Seal([]byte("secret"))
	require.NoError(f, err)
	f.Add(sealed, 0)
	f.Add(sealed[:headerSize], 3)
	f.Add(sealUnnamed(f, v, "secret"), 20)
	f.Add([]byte(sealMark), 0)
	f.Fuzz(func(t *testing.T, raw []byte, at int) {
		if _, err := v.Open(raw); err != nil && !errors.Is(err, errSealed) {
			t.Fatalf("another error: %v", err)
		}
		if len(raw) == 0 {
			return
		}
		sealed, err := v.Seal(raw)
		require.NoError(t, err)
		plain, err := v.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, raw, plain)
		sealed[uint(at)%uint(len(sealed))] ^= 1
		_, err = v.Open(sealed)
		require.ErrorIs(t, err, errSealed, "a changed text")
	})
}

// column is a column as the schema has it.
type column struct {
	Tbl, Name, Type string
	Required        bool // NOT NULL and without a default
	Key             bool
}

func columns(t *testing.T, db *database.DB) []column {
	t.Helper()
	query := "SELECT m.name AS tbl, c.name AS name, LOWER(c.type) AS type, c.\"notnull\" = 1 AND c.dflt_value IS NULL AS required, c.pk > 0 AS \"key\" " +
		"FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid"
	if db.Dialect() == database.MySQL {
		query = "SELECT table_name AS tbl, column_name AS name, data_type AS type, is_nullable = 'NO' AND column_default IS NULL AS required, column_key = 'PRI' AS `key` " +
			"FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
	}
	var out []column
	require.NoError(t, db.Read(t.Context()).Raw(query).Scan(&out).Error)
	require.NotEmpty(t, out)
	return out
}

// unsealed are the binary columns that hold no secret.
func unsealed() []string {
	return []string{"batches.content", "batches.items", "inbox.body", "inbox.reply", "job_parts.body"}
}

func TestEveryBinaryColumnIsSealedOrKnownNotToBe(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		known, keys := unsealed(), map[string][]string{}
		for _, table := range sealedTables() {
			for _, c := range table.columns {
				known = append(known, table.name+"."+c)
			}
		}
		var found []string
		for _, c := range columns(t, db) {
			if strings.Contains(c.Type, "blob") || strings.Contains(c.Type, "binary") {
				found = append(found, c.Tbl+"."+c.Name)
			}
			if c.Key {
				keys[c.Tbl] = append(keys[c.Tbl], c.Name)
			}
		}
		slices.Sort(known)
		slices.Sort(found)
		require.Equal(t, known, found, "add a column with sealed secrets to sealedTables, so that a rotation finds it; any other to unsealed above")
		for _, table := range sealedTables() {
			require.Equal(t, []string{table.key}, keys[table.name], table.name)
		}
	})
}

// fill puts n rows into every sealed table, the secrets sealed by v; the last row's as it was done before keys were named. The empty value, which is no
// secret, is there too.
func fill(t *testing.T, db *database.DB, v *Vault, n int) {
	t.Helper()
	schema := columns(t, db)
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		for _, table := range sealedTables() {
			for i := range n {
				var names, marks []string
				var args []any
				for _, c := range schema {
					if c.Tbl != table.name || !c.Required && !slices.Contains(table.columns, c.Name) {
						continue
					}
					names, marks = append(names, c.Name), append(marks, "?")
					args = append(args, valueFor(t, &table, &c, i, func(secret string) []byte {
						if i == n-1 {
							return sealUnnamed(t, v, secret)
						}
						sealed, err := v.Seal([]byte(secret))
						require.NoError(t, err)
						return sealed
					}))
				}
				if err := tx.Exec("INSERT INTO "+table.name+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...).Error; err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func valueFor(t *testing.T, table *sealedTable, c *column, i int, seal func(string) []byte) any {
	t.Helper()
	at := slices.Index(table.columns, c.Name)
	switch {
	case at < 0 && strings.Contains(c.Type, "int"):
		return i + 1
	case at < 0:
		return fmt.Sprint("x", i)
	case i == 0 && at > 0:
		return []byte{}
	default:
		return seal(fmt.Sprint(table.name, at, i))
	}
}

// requireOpen checks that v opens what fill put there.
func requireOpen(t *testing.T, db *database.DB, v *Vault, n int) {
	t.Helper()
	for _, table := range sealedTables() {
		rows, err := table.read(db.Read(t.Context()), db.Dialect(), 0, n+1)
		require.NoError(t, err)
		require.Len(t, rows, n)
		for i := range rows {
			for at, sealed := range rows[i].values {
				if i == 0 && at > 0 {
					require.Empty(t, sealed, "what is no secret stays none")
					continue
				}
				plain, err := v.Open(sealed)
				require.NoError(t, err, "%s %v", table.name, rows[i].key)
				require.Equal(t, fmt.Sprint(table.name, at, i), string(plain))
			}
		}
	}
}

func TestARotationKilledBetweenAnyTwoWritesLosesNothingAndIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		const n = 4
		oldOnly, oldProcess, newProcess, newOnly := vaultOf(t, 1), vaultOf(t, 1, 2), vaultOf(t, 2, 1), vaultOf(t, 2)
		fill(t, db, oldOnly, n)
		kills, resealed := 0, 0
		for ; ; kills++ {
			require.Less(t, kills, 100)
			ctx, kill := context.WithCancel(t.Context())
			_, err := Rotation{DB: db, Vault: newProcess, Slice: 1, Changed: func(n int) {
				resealed += n
				kill()
			}}.Run(ctx)
			kill()
			requireOpen(t, db, newProcess, n)
			requireOpen(t, db, oldProcess, n)
			if err == nil {
				break
			}
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, n*len(sealedTables()), kills, "each row is a write")
		requireOpen(t, db, newOnly, n)
		left, err := Inspect(t.Context(), db, newOnly)
		require.NoError(t, err)
		require.Equal(t, Inventory{Current: resealed}, left)
		require.NoError(t, left.Check(newOnly))
	})
}

func TestASecretThatWasReplacedDuringARotationIsNotPutBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		fill(t, db, vaultOf(t, 1), 3)
		table := sealedTables()[1]
		require.Equal(t, "access_tokens", table.name)
		r := Rotation{DB: db, Vault: vaultOf(t, 2, 1)}
		rows, err := table.read(db.Read(t.Context()), db.Dialect(), 0, 10)
		require.NoError(t, err)
		changes, err := r.changes(&table, rows)
		require.NoError(t, err)
		require.Len(t, changes, 3)

		fresh, err := vaultOf(t, 1, 2).Seal([]byte("renewed"))
		require.NoError(t, err)
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("UPDATE access_tokens SET token = ? WHERE account_id = 2", fresh).Error
		}))
		resealed, beaten, err := r.write(t.Context(), changes)
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{resealed, beaten})

		_, err = r.Run(t.Context())
		require.NoError(t, err)
		rows, err = table.read(db.Read(t.Context()), db.Dialect(), 0, 10)
		require.NoError(t, err)
		plain, err := vaultOf(t, 2).Open(rows[1].values[0])
		require.NoError(t, err)
		require.Equal(t, "renewed", string(plain))
	})
}

// The old process knows both keys and goes on sealing with the old one.
func TestProcessesAtWorkReadAndRenewTheirTokensDuringARotation(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		fill(t, db, vaultOf(t, 1), 3)
		old, now := NewTokens(db, vaultOf(t, 1, 2)), tokensNow()
		rotated := make(chan error, 1)
		go func() {
			var err error
			for range 20 {
				_, failed := Rotation{DB: db, Vault: vaultOf(t, 2, 1), Slice: 1}.Run(t.Context())
				err = errors.Join(err, failed)
			}
			rotated <- err
		}()
		for i := range 20 {
			at := now.Add(time.Duration(i) * time.Hour)
			mine, err := old.Acquire(t.Context(), 2, "old", at, at.Add(time.Minute))
			require.NoError(t, err)
			require.True(t, mine)
			want := wechat.Token{Value: fmt.Sprint("token", i), AppID: "wx", UseUntil: at.Add(time.Hour)}
			require.NoError(t, old.Save(t.Context(), 2, "old", want))
			got, err := old.Load(t.Context(), 2)
			require.NoError(t, err)
			require.Equal(t, want.Value, got.Value)
		}
		require.NoError(t, <-rotated)
		_, err := Rotation{DB: db, Vault: vaultOf(t, 2, 1)}.Run(t.Context())
		require.NoError(t, err)
		got, err := NewTokens(db, vaultOf(t, 2)).Load(t.Context(), 2)
		require.NoError(t, err)
		require.Equal(t, "token19", got.Value)
	})
}

func TestASecretThatOpensWithNoKeyIsNamedWithItsKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		fill(t, db, vaultOf(t, 1), 2)
		wrong := vaultOf(t, 3, 4)
		n, err := Rotation{DB: db, Vault: wrong}.Run(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "what does not open is left alone")
		found, err := Inspect(t.Context(), db, wrong)
		require.NoError(t, err)
		require.Zero(t, found.Current+found.Previous)
		err = found.Check(wrong)
		require.True(t, fault.Is(err, fault.Conflict), "%v", err)
		for _, word := range []string{"accounts.secret of 1", vaultOf(t, 1).Fingerprint(), wrong.Fingerprint(), vaultOf(t, 4).Fingerprint()} {
			require.ErrorContains(t, err, word)
		}
		requireOpen(t, db, vaultOf(t, 1), 2)

		found, err = Inspect(t.Context(), db, vaultOf(t, 3, 1))
		require.NoError(t, err)
		require.Zero(t, found.Lost)
		require.Positive(t, found.Previous)
		require.NoError(t, found.Check(wrong))
	})
}
