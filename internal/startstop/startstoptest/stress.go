// Package startstoptest checks that a service keeps the protocol of startstop.
package startstoptest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/startstop"
)

const limit = 20 * time.Second

// Stress starts and stops service in every order that the protocol allows, also from many goroutines at once,
// and fails when a call hangs, when an order is not tolerated, or when it does not start again.
// Run it with -race and under goleak. The service must be stopped, and is stopped afterwards.
func Stress(t *testing.T, service startstop.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()

	require.NoError(t, service.Stop(ctx), "stop without start")
	for range 10 {
		require.NoError(t, service.Start(ctx))
		require.ErrorIs(t, service.Start(ctx), startstop.ErrRunning)
		require.NoError(t, service.Stop(ctx))
		require.NoError(t, service.Stop(ctx), "stop twice")
	}

	ended, end := context.WithCancel(ctx)
	end()
	require.NoError(t, service.Start(ctx))
	if err := service.Stop(ended); err != nil { // it may have been quick enough
		require.ErrorIs(t, err, context.Canceled)
	}

	together(t, ctx, service)
	require.NoError(t, service.Stop(ctx))
	require.NoError(t, ctx.Err(), "the service hung")
}

func together(t *testing.T, ctx context.Context, service startstop.Service) {
	t.Helper()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := service.Start(ctx); err != nil && !errors.Is(err, startstop.ErrRunning) {
					t.Errorf("start: %v", err)
				}
				if err := service.Stop(ctx); err != nil {
					t.Errorf("stop: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
