package jobs_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
)

// told notes what an observer is told.
type told struct {
	states []jobs.State
	done   []int64
	err    error
}

func (o *told) JobChanged(_ *gorm.DB, j *jobs.Job) error {
	if o.err == nil {
		o.states = append(o.states, j.State)
	}
	return o.err
}

func (o *told) JobProgressed(j *jobs.Job) { o.done = append(o.done, j.Done) }

func TestEveryChangeAndStepOfAJobIsToldOnce(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		seen := &told{}
		o.store.Tell(seen)
		j := o.create()
		o.before = func(n int64) error {
			if n == 3 {
				return o.store.Pause(t.Context(), account, j.ID)
			}
			return nil
		}
		require.True(t, o.run(o.worker("a")))
		o.before = func(int64) error { return nil }
		require.NoError(t, o.store.Resume(t.Context(), account, j.ID))
		require.True(t, o.run(o.worker("a")))
		o.finished(j.ID)
		require.Equal(t, []jobs.State{
			jobs.StateWaiting, jobs.StateRunning, jobs.StatePaused, jobs.StateWaiting, jobs.StateRunning, jobs.StateFinished,
		}, slices.Compact(seen.states))
		require.Len(t, seen.done, items)
		require.EqualValues(t, items, seen.done[items-1])
	})
}

func TestAChangeThatCannotBeToldIsUndone(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		j := o.create()
		seen := &told{err: errors.New("no")}
		o.store.Tell(seen)
		require.ErrorIs(t, o.store.Cancel(t.Context(), account, j.ID), seen.err)
		require.Equal(t, jobs.StateWaiting, o.find(j.ID).State)
		other := &jobs.Job{AccountID: account + 1, Kind: kind}
		require.ErrorIs(t, o.store.Create(t.Context(), other), seen.err)
		_, err := o.store.FindJob(t.Context(), account+1, other.ID)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}
