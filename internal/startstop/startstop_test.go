package startstop_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"hongyan/internal/startstop"
	"hongyan/internal/startstop/startstoptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// journal records what services do, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// polite finishes when it is told to stop.
func polite(name string, j *journal) *startstop.Base {
	return &startstop.Base{
		Name:    name,
		Prepare: func(context.Context) error { j.add("start " + name); return nil },
		Run: func(_ context.Context, stopping <-chan struct{}) error {
			<-stopping
			j.add("stop " + name)
			return nil
		},
	}
}

func TestProtocolHoldsUnderStress(t *testing.T) {
	t.Parallel()
	var j journal
	t.Run("base", func(t *testing.T) { t.Parallel(); startstoptest.Stress(t, polite("a", &j)) })
	t.Run("service that ends by itself", func(t *testing.T) {
		t.Parallel()
		startstoptest.Stress(t, &startstop.Base{Run: func(context.Context, <-chan struct{}) error { return nil }})
	})
}

func TestStopWaitsUntilTheWorkHasEnded(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	ended := false
	b := &startstop.Base{Run: func(_ context.Context, stopping <-chan struct{}) error {
		<-stopping
		<-finish
		ended = true
		return nil
	}}
	require.NoError(t, b.Start(t.Context()))
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(context.Background()) }()
	select {
	case <-stopped:
		t.Fatal("stopped before the work ended")
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	require.NoError(t, <-stopped)
	require.True(t, ended)
}

func TestWorkOutlivesTheContextOfTheStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var j journal
	b := polite("a", &j)
	require.NoError(t, b.Start(ctx))
	cancel()
	require.NoError(t, b.Stop(t.Context()))
	require.Equal(t, []string{"start a", "stop a"}, j.all())
}

func TestFailureAndPanicAreReported(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]startstop.Run{
		"error": func(context.Context, <-chan struct{}) error { return errBroken },
		"panic": func(context.Context, <-chan struct{}) error { panic(errBroken) },
	} {
		failed := make(chan error, 1)
		b := &startstop.Base{Name: "a", Run: run, Failed: func(err error) { failed <- err }}
		require.NoError(t, b.Start(t.Context()))
		require.ErrorContains(t, <-failed, "broken", name)
		<-b.Done()
		require.NoError(t, b.Stop(t.Context()))
	}
}
