package stops

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

const lateness = time.Hour

func (i Identity) mustCheck(t *testing.T) Refusal {
	t.Helper()
	refusal, err := i.Check(t.Context(), lateness)
	require.NoError(t, err)
	return refusal
}

func eachIdentity(t *testing.T, test func(t *testing.T, id Identity, clk *clock.Manual)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
		test(t, Identity{DB: db, Clock: clk, Dir: t.TempDir()}, clk)
	})
}

func TestANewInstallationMaySendAndKnowsItselfAgain(t *testing.T) {
	t.Parallel()
	eachIdentity(t, func(t *testing.T, id Identity, clk *clock.Manual) {
		require.Equal(t, RefusalNone, id.mustCheck(t))
		known, err := os.ReadFile(filepath.Join(id.Dir, "epoch"))
		require.NoError(t, err)
		require.Greater(t, len(known), 20)
		clk.Advance(lateness)
		require.Equal(t, RefusalNone, id.mustCheck(t))
		again, err := os.ReadFile(filepath.Join(id.Dir, "epoch"))
		require.NoError(t, err)
		require.Equal(t, known, again)
		clk.Advance(lateness)
		require.Equal(t, RefusalNone, id.mustCheck(t), "a check counts as a heartbeat")
	})
}

func TestACopyIsRefusedUntilAMemberResumes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		refusal Refusal
		harm    func(t *testing.T, id Identity, clk *clock.Manual)
	}{
		{"the file is missing", RefusalNoFile, func(t *testing.T, id Identity, _ *clock.Manual) {
			require.NoError(t, os.Remove(id.path()))
		}},
		{"the file is another's", RefusalDiffer, func(t *testing.T, id Identity, _ *clock.Manual) {
			require.NoError(t, id.write("OTHER"))
		}},
		{"the heartbeat is stale", RefusalOld, func(_ *testing.T, _ Identity, clk *clock.Manual) {
			clk.Advance(lateness + time.Millisecond)
		}},
	}
	eachIdentity(t, func(t *testing.T, id Identity, clk *clock.Manual) {
		require.Equal(t, RefusalNone, id.mustCheck(t))
		for _, c := range cases {
			c.harm(t, id, clk)
			require.Equal(t, c.refusal, id.mustCheck(t), c.name)
			require.Equal(t, c.refusal, id.mustCheck(t), "%s: looking does not heal it", c.name)
			before, err := Epoch(id.DB.Read(t.Context()))
			require.NoError(t, err)
			require.NoError(t, id.DB.Tx(t.Context(), func(tx *gorm.DB) error {
				return tx.Exec("UPDATE installation SET stopped = 1, stopped_reason = 'copy'").Error
			}))
			require.NoError(t, id.Resume(t.Context()), c.name)
			require.Equal(t, RefusalNone, id.mustCheck(t), c.name)
			after, err := Epoch(id.DB.Read(t.Context()))
			require.NoError(t, err)
			require.Greater(t, after, before, "the watches look again")
			var stopped int
			require.NoError(t, id.DB.Read(t.Context()).Raw("SELECT stopped FROM installation").Row().Scan(&stopped))
			require.Zero(t, stopped)
		}
	})
}

func TestHeartbeatsKeepAnInstallationFresh(t *testing.T) {
	t.Parallel()
	eachIdentity(t, func(t *testing.T, id Identity, clk *clock.Manual) {
		require.Equal(t, RefusalNone, id.mustCheck(t))
		clk.Advance(lateness)
		require.NoError(t, id.Heartbeat(t.Context()))
		clk.Advance(lateness)
		require.Equal(t, RefusalNone, id.mustCheck(t))
	})
}

func TestResumingAnEmptyDatabaseMakesTheInstallation(t *testing.T) {
	t.Parallel()
	eachIdentity(t, func(t *testing.T, id Identity, _ *clock.Manual) {
		require.NoError(t, id.Resume(t.Context()))
		require.Equal(t, RefusalNone, id.mustCheck(t))
	})
}

func TestOneOfManyFoundsTheInstallation(t *testing.T) {
	t.Parallel()
	eachIdentity(t, func(t *testing.T, id Identity, clk *clock.Manual) {
		machines := make([]Identity, 8)
		refusals := make([]Refusal, 8)
		var wg sync.WaitGroup
		for i := range machines {
			machines[i] = Identity{DB: id.DB, Clock: clk, Dir: t.TempDir()}
			wg.Go(func() {
				var err error
				if refusals[i], err = machines[i].Check(t.Context(), lateness); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		founders := 0
		for _, r := range refusals {
			if r == RefusalNone {
				founders++
			} else {
				require.Equal(t, RefusalNoFile, r)
			}
		}
		require.Equal(t, 1, founders, "each machine has its own directory here")
	})
}

func TestADamagedDirectoryIsAnError(t *testing.T) {
	t.Parallel()
	eachIdentity(t, func(t *testing.T, id Identity, _ *clock.Manual) {
		require.Equal(t, RefusalNone, id.mustCheck(t))
		require.NoError(t, os.Remove(id.path()))
		require.NoError(t, os.Mkdir(id.path(), 0o700))
		_, err := id.Check(t.Context(), lateness)
		require.Error(t, err)
	})
}
