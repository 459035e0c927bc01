package testdb_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachDatabaseIsPrivateAndMigrated(t *testing.T) {
	t.Parallel()
	for range 2 {
		testdb.Each(t, func(t *testing.T, db *database.DB) {
			pending, err := db.Pending(t.Context())
			require.NoError(t, err)
			require.Zero(t, pending)
			require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
				return tx.Exec("INSERT INTO leases (name, owner, until_at, fence) VALUES ('only', 'me', 1, 1)").Error
			}), "a second test would meet the row of the first here")
		})
	}
}

func TestACopyHasWhatTheMigrationsMake(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (copied, migrated *database.DB){
		"sqlite": func(t *testing.T) (*database.DB, *database.DB) {
			return testdb.SQLite(t), migrated(t, database.Options{Path: filepath.Join(t.TempDir(), "real.db")})
		},
		"mysql": func(t *testing.T) (*database.DB, *database.DB) {
			return testdb.MySQL(t), migrated(t, database.Options{DSN: testdb.MySQLDSN(t)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			copied, migrated := open(t)
			require.Equal(t, schema(t, migrated), schema(t, copied))
			require.Equal(t, versions(t, migrated), versions(t, copied))
			require.NotEmpty(t, versions(t, copied))
			applied, err := copied.Migrate(t.Context())
			require.NoError(t, err)
			require.Zero(t, applied)
		})
	}
}

func migrated(t *testing.T, opts database.Options) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Migrate(t.Context())
	require.NoError(t, err)
	return db
}

func versions(t *testing.T, db *database.DB) (out []int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context()).Raw("SELECT version_id FROM goose_db_version WHERE is_applied = 1 ORDER BY id").Scan(&out).Error)
	return out
}

// schema is how each table and index was created, as the engine tells it.
func schema(t *testing.T, db *database.DB) (out []string) {
	t.Helper()
	if db.Dialect() == database.SQLite {
		require.NoError(t, db.Read(t.Context()).Raw("SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_master ORDER BY name").Scan(&out).Error)
		return out
	}
	var tables []string
	require.NoError(t, db.Read(t.Context()).Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name").
		Scan(&tables).Error)
	for _, table := range tables {
		require.NoError(t, database.EachRow(db.Read(t.Context()), func(row *sql.Rows) error {
			var name, create string
			err := row.Scan(&name, &create)
			out = append(out, create)
			return err
		}, "SHOW CREATE TABLE "+table))
	}
	return out
}

func TestEachRedisIsPrivateAndExpiresKeys(t *testing.T) {
	t.Parallel()
	for range 2 {
		testdb.EachRedis(t, func(t *testing.T, r testdb.Redis) {
			fresh, err := r.Client.SetNX(t.Context(), r.Prefix+":key", "v", 150*time.Millisecond).Result()
			require.NoError(t, err)
			require.True(t, fresh)
			require.Eventually(t, func() bool {
				n, err := r.Client.Exists(t.Context(), r.Prefix+":key").Result()
				return err == nil && n == 0
			}, time.Minute, 20*time.Millisecond)
		})
	}
}
