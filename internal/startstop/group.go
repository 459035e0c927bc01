package startstop

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hongyan/internal/clock"
)

// Group starts services in order and stops them in reverse order, so that a service finds what it stands on
// for as long as it runs: put the database's users after the database, the HTTP intake last.
type Group struct {
	clock    clock.Clock
	grace    time.Duration
	services []Service

	mu      sync.Mutex
	started []Service
}

// NewGroup returns a Group whose services together get grace to finish what they have begun when the
// group is stopped; afterwards their work is cancelled.
func NewGroup(c clock.Clock, grace time.Duration, services ...Service) *Group {
	return &Group{clock: c, grace: grace, services: services}
}

// Start implements Service. When one service fails, those before it are stopped again.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.started) > 0 {
		return ErrRunning
	}
	for _, s := range g.services {
		if err := s.Start(ctx); err != nil {
			return errors.Join(err, g.stop(context.WithoutCancel(ctx)))
		}
		g.started = append(g.started, s)
	}
	return nil
}

// Stop implements Service: each service in turn takes nothing new and finishes, within the group's grace
// and for as long as ctx lives. It returns an error for each service whose work had to be cancelled.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stop(ctx)
}

func (g *Group) stop(ctx context.Context) error {
	if len(g.started) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := g.clock.NewTimer(g.grace)
	defer timer.Stop()
	over := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-timer.C:
			cancel(context.DeadlineExceeded)
		case <-over:
		}
	})
	var errs []error
	for _, s := range slices.Backward(g.started) {
		errs = append(errs, s.Stop(ctx))
	}
	close(over)
	watcher.Wait()
	g.started = nil
	return errors.Join(errs...)
}
