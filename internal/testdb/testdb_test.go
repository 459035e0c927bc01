package testdb_test

import (
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
			}, 5*time.Second, 20*time.Millisecond)
		})
	}
}
