// Package startstop is the one protocol by which background services begin and end.
//
// A service embeds Base and gets Start and Stop with their rules, in two phases: first nothing new is
// taken and what is running may finish, then what is still running is cancelled. The package imports nothing of ours.
package startstop

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Service runs in the background.
type Service interface {
	// Start begins the work and returns once it runs; the work goes on in goroutines of its own. It may
	// fail, and has then left nothing running. Starting a service that runs is an error. ctx bounds
	// the start only.
	Start(ctx context.Context) error
	// Stop ends the work and returns when it has ended: the service takes nothing new and finishes what it has
	// begun. When ctx ends first, the work is cancelled; Stop still waits for it and returns ctx's
	// error. Stopping twice, or before a start, does nothing. A stopped service can start again.
	Stop(ctx context.Context) error
}

// ErrRunning is returned by Start when the service runs already.
var ErrRunning = errors.New("the service is running already")

// Run is the work of a service. It returns when stopping is closed and what it has begun is
// finished, or as soon as ctx ends. It may return early with an error when it cannot go on.
type Run func(ctx context.Context, stopping <-chan struct{}) error

// Base implements Service for one goroutine. Embed it and set the fields before Start. A service with several
// goroutines starts and waits for the others inside Run.
type Base struct {
	Name string // for errors
	// Prepare does what may fail at the start, before Run begins; it may be nil.
	Prepare func(ctx context.Context) error
	Run     Run
	// Failed is called in the service's goroutine when Run returns an error or panics although nobody
	// stopped it. It may be nil, and must not call Stop and wait for it.
	Failed func(error)

	mu      sync.Mutex
	current *run
}

// run is one life of a service, from Start to the end of its goroutine.
type run struct {
	stopping chan struct{}
	stopOnce sync.Once
	cancel   context.CancelFunc
	done     chan struct{}
}

// Start implements Service.
func (b *Base) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		return fmt.Errorf("%s: %w", b.Name, ErrRunning)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start %s: %w", b.Name, err)
	}
	if b.Prepare != nil {
		if err := b.Prepare(ctx); err != nil {
			return fmt.Errorf("start %s: %w", b.Name, err)
		}
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &run{stopping: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	b.current = r
	go b.live(work, r)
	return nil
}

func (b *Base) live(ctx context.Context, r *run) {
	defer close(r.done)
	defer r.cancel()
	err := b.call(ctx, r.stopping)
	select {
	case <-r.stopping:
	default:
		if err != nil && b.Failed != nil {
			b.Failed(fmt.Errorf("%s: %w", b.Name, err))
		}
	}
}

// call runs the work and turns a panic into an error: one broken service must be reported, not
// take the sends of all others with it.
func (b *Base) call(ctx context.Context, stopping <-chan struct{}) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return b.Run(ctx, stopping)
}

// Stop implements Service.
func (b *Base) Stop(ctx context.Context) error {
	b.mu.Lock()
	r := b.current
	b.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stopOnce.Do(func() { close(r.stopping) })
	var err error
	select {
	case <-r.done:
	case <-ctx.Done():
		r.cancel()
		<-r.done
		err = fmt.Errorf("stop %s: work was cancelled: %w", b.Name, ctx.Err())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == r { // a second Stop may have been here, and a Start after it
		b.current = nil
	}
	return err
}

// Done is closed when the work has ended, by Stop or by itself. It is nil before the first start.
func (b *Base) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == nil {
		return nil
	}
	return b.current.done
}
