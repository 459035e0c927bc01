package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = 7
	kind    = "count"
	items   = 40
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// office is a job that counts to forty, a number a step, and writes each into its result and into a table of the test.
type office struct {
	t     *testing.T
	db    *database.DB
	clk   *clock.Manual
	store *jobs.Store
	log   bytes.Buffer

	before func(n int64) error // called before each step
	within func(n int64) error // called in each step's transaction
}

func each(t *testing.T, test func(o *office)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(start)
		o := &office{t: t, db: db, clk: clk, store: jobs.New(db, clk)}
		o.before, o.within = func(int64) error { return nil }, func(int64) error { return nil }
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("CREATE TABLE counted (job_id INTEGER NOT NULL, n INTEGER NOT NULL)").Error
		}))
		test(o)
	})
}

func (o *office) count(ctx context.Context, r *jobs.Run) error {
	for r.Done < items {
		n := r.Done + 1
		if err := o.before(n); err != nil {
			return err
		}
		err := r.Step(ctx, func(tx *gorm.DB) (jobs.Progress, error) {
			if err := tx.Exec("INSERT INTO counted (job_id, n) VALUES (?, ?)", r.ID, n).Error; err != nil {
				return jobs.Progress{}, err
			}
			p := jobs.Progress{Cursor: strconv.FormatInt(n, 10), Done: 1, Total: items, Result: fmt.Appendf(nil, "%d\n", n)}
			if n%10 == 0 {
				p.Failed = 1
			}
			return p, o.within(n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *office) worker(owner string) *jobs.Worker {
	return &jobs.Worker{Store: o.store, Owner: owner, Log: slog.New(slog.DiscardHandler), Runners: map[string]jobs.Runner{kind: o.count}}
}

func (o *office) create() *jobs.Job {
	o.t.Helper()
	j := &jobs.Job{AccountID: account, Kind: kind, Params: []byte(`{"to":40}`)}
	require.NoError(o.t, o.store.Create(o.t.Context(), j))
	return j
}

func (o *office) find(id int64) *jobs.Job {
	o.t.Helper()
	j, err := o.store.FindJob(o.t.Context(), account, id)
	require.NoError(o.t, err)
	return j
}

// finished checks that every number was counted once, by the table and by the result file.
func (o *office) finished(id int64) {
	o.t.Helper()
	j := o.find(id)
	require.Equal(o.t, jobs.StateFinished, j.State, j.Error)
	require.Equal(o.t, []int64{items, items / 10, items}, []int64{j.Done, j.Failed, j.Total})
	require.Equal(o.t, strconv.Itoa(items), j.Cursor)
	var rows, distinct int64
	require.NoError(o.t, o.db.Read(o.t.Context()).Raw("SELECT COUNT(*), COUNT(DISTINCT n) FROM counted WHERE job_id = ?", id).Row().Scan(&rows, &distinct))
	require.Equal(o.t, []int64{items, items}, []int64{rows, distinct})
	var want strings.Builder
	for n := 1; n <= items; n++ {
		fmt.Fprintln(&want, n)
	}
	var got strings.Builder
	require.NoError(o.t, o.store.WriteResult(o.t.Context(), account, id, &got))
	require.Equal(o.t, want.String(), got.String())
}

func (o *office) run(w *jobs.Worker) bool {
	o.t.Helper()
	ran, err := w.RunOnce(o.t.Context())
	require.NoError(o.t, err)
	return ran
}

func TestAJobRunsToItsEndOnceAndKeepsItsResult(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		require.Equal(t, jobs.StateWaiting, j.State)
		require.EqualValues(t, -1, j.Total)
		require.True(t, o.run(o.worker("a")))
		o.finished(j.ID)
		require.False(t, o.run(o.worker("a")), "nothing is left to do")
	})
}

func TestARunnerCanAskWhetherItsWorkWasEverDone(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		var before []bool
		w := o.worker("a")
		w.Runners[kind] = func(ctx context.Context, r *jobs.Run) error {
			done, err := r.FinishedBefore(ctx)
			before = append(before, done)
			return err
		}
		require.NoError(t, o.store.Create(t.Context(), &jobs.Job{AccountID: account + 1, Kind: kind}))
		require.True(t, o.run(w))
		require.NoError(t, o.store.Cancel(t.Context(), account, o.create().ID))
		for range 2 {
			o.create()
			require.True(t, o.run(w))
		}
		require.Equal(t, []bool{false, false, true}, before, "another account's does not count, nor does a cancelled one")
	})
}

func TestAnAccountHasOneOpenJobOfAKind(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		first := o.create()
		again := &jobs.Job{AccountID: account, Kind: kind}
		require.True(t, fault.Is(o.store.Create(t.Context(), again), fault.Conflict))
		require.NoError(t, o.store.Create(t.Context(), &jobs.Job{AccountID: account + 1, Kind: kind}))
		require.NoError(t, o.store.Cancel(t.Context(), account, first.ID))
		require.NoError(t, o.store.Create(t.Context(), again), "the first has ended")
		list, err := o.store.FindJobs(t.Context(), jobs.Filter{AccountID: account}, 10)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, again.ID, list[0].ID, "newest first")
		list, err = o.store.FindJobs(t.Context(), jobs.Filter{AccountID: account, Before: list[0].ID}, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

func TestAJobIsItsAccountsOnly(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		_, err := o.store.FindJob(t.Context(), account+1, j.ID)
		require.True(t, fault.Is(err, fault.NotFound))
		for _, do := range []func(context.Context, int64, int64) error{o.store.Pause, o.store.Resume, o.store.Cancel} {
			require.True(t, fault.Is(do(t.Context(), account+1, j.ID), fault.NotFound))
		}
		require.True(t, fault.Is(o.store.WriteResult(t.Context(), account+1, j.ID, &o.log), fault.NotFound))
		require.Equal(t, jobs.StateWaiting, o.find(j.ID).State)
	})
}

func TestAPauseTakesHoldAtTheNextStepAndResumingGoesOnThere(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		o.before = func(n int64) error {
			if n == 15 {
				return o.store.Pause(t.Context(), account, j.ID)
			}
			return nil
		}
		require.True(t, o.run(o.worker("a")))
		paused := o.find(j.ID)
		require.Equal(t, []any{jobs.StatePaused, int64(14), "14"}, []any{paused.State, paused.Done, paused.Cursor})
		o.clk.Advance(24 * time.Hour)
		require.False(t, o.run(o.worker("b")), "a paused job is nobody's")
		require.True(t, fault.Is(o.store.Pause(t.Context(), account, j.ID), fault.Conflict))
		o.before = func(int64) error { return nil }
		require.NoError(t, o.store.Resume(t.Context(), account, j.ID))
		require.True(t, fault.Is(o.store.Resume(t.Context(), account, j.ID), fault.Conflict), "it waits already")
		require.True(t, o.run(o.worker("b")))
		o.finished(j.ID)
		require.True(t, fault.Is(o.store.Cancel(t.Context(), account, j.ID), fault.Conflict), "it has ended")
	})
}

func TestACancelledJobStopsAtTheNextStep(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		o.before = func(n int64) error {
			if n == 3 {
				return o.store.Cancel(t.Context(), account, j.ID)
			}
			return nil
		}
		require.True(t, o.run(o.worker("a")))
		end := o.find(j.ID)
		require.Equal(t, []any{jobs.StateCancelled, int64(2)}, []any{end.State, end.Done})
		require.NotZero(t, end.EndedAt)
	})
}

func TestAStepThatFailsChangesNothingAndIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		broken := true
		o.within = func(n int64) error {
			if n == 20 && broken {
				return errors.New("the platform is away")
			}
			return nil
		}
		for try, wait := range []time.Duration{5 * time.Second, 30 * time.Second} {
			require.True(t, o.run(o.worker("a")))
			half := o.find(j.ID)
			require.Equal(t, []any{jobs.StateWaiting, int64(19), try + 1}, []any{half.State, half.Done, half.Tries})
			require.Contains(t, half.Error, "the platform is away")
			o.clk.Advance(wait - time.Millisecond)
			require.False(t, o.run(o.worker("a")), "not before its time")
			o.clk.Advance(time.Millisecond)
		}
		broken = false
		require.True(t, o.run(o.worker("a")))
		o.finished(j.ID)
		require.Empty(t, o.find(j.ID).Error)
	})
}

func TestAStepThatSucceedsBeginsTheCountOfTriesAnew(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		for _, at := range []int64{3, 7, 11, 15, 19, 23, 27, 31} { // more failures than a job may have in a row
			o.before = func(n int64) error {
				if n == at {
					return errors.New("away")
				}
				return nil
			}
			require.True(t, o.run(o.worker("a")))
			require.Equal(t, []any{jobs.StateWaiting, 1}, []any{o.find(j.ID).State, o.find(j.ID).Tries})
			o.clk.Advance(5 * time.Second)
		}
		o.before = func(int64) error { return nil }
		require.True(t, o.run(o.worker("b")))
		o.finished(j.ID)
	})
}

func TestAJobThatCanOnlyGoOnLaterWaitsUntilThenAndIsNeverGivenUp(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		used := true
		o.before = func(n int64) error {
			if n == 8 && used {
				return fmt.Errorf("step %d: %w", n, jobs.Later(o.clk.Now().Add(5*time.Hour), fault.New(fault.Forbidden, "the day's quota is used up")))
			}
			return nil
		}
		for range 8 { // more often than a job may fail
			require.True(t, o.run(o.worker("a")))
			half := o.find(j.ID)
			require.Equal(t, []any{jobs.StateWaiting, int64(7), 0}, []any{half.State, half.Done, half.Tries})
			require.Contains(t, half.Error, "quota is used up")
			o.clk.Advance(5*time.Hour - time.Millisecond)
			require.False(t, o.run(o.worker("a")), "not before its time")
			o.clk.Advance(time.Millisecond)
		}
		used = false
		require.True(t, o.run(o.worker("a")))
		o.finished(j.ID)
		require.NoError(t, jobs.Later(o.clk.Now(), nil))
	})
}

func TestOnlyAPausedJobIsResumed(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		require.True(t, fault.Is(o.store.Resume(t.Context(), account, j.ID), fault.Conflict), "it waits")
		o.before = func(n int64) error {
			if n == 5 {
				require.True(t, fault.Is(o.store.Resume(t.Context(), account, j.ID), fault.Conflict), "it runs: resuming would give it to a second worker")
			}
			return nil
		}
		require.True(t, o.run(o.worker("a")))
		o.finished(j.ID)
	})
}

func TestAJobIsGivenUpAfterItsTriesOrAtOnceWhenTryingCannotHelp(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		o.before = func(int64) error { return fault.BadField("params.to", "range", "too far") }
		require.True(t, o.run(o.worker("a")))
		require.Equal(t, jobs.StateFailed, o.find(j.ID).State)

		j = o.create()
		o.before = func(int64) error { return errors.New(strings.Repeat("长", 600)) }
		tries := 0
		for ; o.find(j.ID).State != jobs.StateFailed; tries++ {
			require.Less(t, tries, 10)
			o.clk.Advance(time.Hour)
			require.True(t, o.run(o.worker("a")))
		}
		require.Equal(t, 6, tries, "five pauses")
		require.Len(t, []rune(o.find(j.ID).Error), 500)
	})
}

func TestARunnerThatPanicsFailsItsTryOnly(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		o.before = func(n int64) error {
			if n == 2 {
				panic("no")
			}
			return nil
		}
		require.True(t, o.run(o.worker("a")))
		require.Equal(t, jobs.StateWaiting, o.find(j.ID).State)
		require.Contains(t, o.find(j.ID).Error, "panicked")
	})
}

// A worker that is killed leaves its job running. Here it ends its goroutine in the middle of a step, so that nothing after that runs.
func TestAJobOfADeadWorkerIsTakenOverAndEachStepIsDoneOnce(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		var died sync.WaitGroup
		for kill := range int64(3) {
			at := 10*kill + 5
			hang, gone := make(chan struct{}), make(chan struct{})
			o.before = func(n int64) error {
				if n == at {
					close(gone)
					<-hang // as good as dead: it says nothing any more
				}
				return nil
			}
			w := o.worker(fmt.Sprint("dead", kill))
			died.Go(func() {
				if _, err := w.RunOnce(context.Background()); err != nil {
					t.Error(err)
				}
			})
			<-gone
			require.False(t, o.run(o.worker("b")), "its time is not over")
			// Its keeper is stopped by moving the clock further than a lease at once: the row is overdue before it wakes.
			o.before = func(int64) error { return nil }
			o.takeOver(j.ID)
			close(hang)
			died.Wait()
		}
		require.True(t, o.run(o.worker("z")))
		o.finished(j.ID)
	})
}

// takeOver gives a running job back as a crash and the passing of the lease would.
func (o *office) takeOver(id int64) {
	o.t.Helper()
	require.NoError(o.t, o.db.Tx(o.t.Context(), func(tx *gorm.DB) error {
		return tx.Exec("UPDATE jobs SET state = 'waiting', owner = '', due_at = 0 WHERE id = ?", id).Error
	}))
}

func TestAWorkerThatIsSilentLosesItsJobAfterTheLease(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		require.NoError(t, o.db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("UPDATE jobs SET state = 'running', owner = 'dead', due_at = ? WHERE id = ?", start.Add(jobs.DefaultLease).UnixMilli(), j.ID).Error
		}))
		o.clk.Advance(jobs.DefaultLease - time.Millisecond)
		require.False(t, o.run(o.worker("b")))
		o.clk.Advance(time.Millisecond)
		require.True(t, o.run(o.worker("b")))
		o.finished(j.ID)
	})
}

func TestOneOfManyWorkersRunsAJob(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		var ran atomic.Int32
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				did, err := o.worker(fmt.Sprint("w", n)).RunOnce(t.Context())
				if err != nil {
					t.Error(err)
				}
				if did {
					ran.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, ran.Load())
		o.finished(j.ID)
	})
}

func TestAStoppedProcessGivesItsJobBackAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		ctx, stop := context.WithCancel(t.Context())
		o.before = func(n int64) error {
			if n == 9 {
				stop()
			}
			return nil
		}
		o.worker("a").Loop(ctx)
		half := o.find(j.ID)
		require.Equal(t, []any{jobs.StateWaiting, int64(8), 0}, []any{half.State, half.Done, half.Tries})
		o.before = func(int64) error { return nil }
		require.True(t, o.run(o.worker("b")), "no lease to wait for")
		o.finished(j.ID)
	})
}

func TestAJobsKindIsChecked(t *testing.T) {
	t.Parallel()
	store := jobs.New(testdb.SQLite(t), clock.NewManual(start))
	for _, j := range []jobs.Job{{Kind: ""}, {Kind: strings.Repeat("k", 33)}, {Kind: kind, AccountID: -1}} {
		require.True(t, fault.Is(store.Create(t.Context(), &j), fault.Invalid), "%+v", j)
	}
}
