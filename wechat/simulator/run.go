package simulator

import (
	"context"
	"time"

	"hongyan/internal/fault"
)

// Run plays a script on the simulator's clock until it is over or ctx ends; fans answer
// what reaches them. An act that the fan's state forbids, because somebody acted as that
// fan by hand, is left out.
func (s *Simulator) Run(ctx context.Context, script *Script) error {
	stop := s.OnArrival(script.Received)
	defer stop()
	for {
		at, ok := script.Peek()
		if !ok {
			return s.Wait(ctx)
		}
		switch s.until(ctx, script, at.Sub(s.clock.Now())) {
		case wokeEnded:
			return nil
		case wokeEarly:
			continue
		case wokeDue:
		}
		act, ok := script.Next()
		if !ok {
			continue
		}
		if err := s.Post(ctx, act); err != nil && !fault.Is(err, fault.Conflict) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

type wake uint8

const (
	wokeDue   wake = iota
	wokeEarly      // an answer was planned: look again
	wokeEnded
)

// until waits for the next act to be due.
func (s *Simulator) until(ctx context.Context, script *Script, d time.Duration) wake {
	t := s.clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return wokeDue
	case <-script.wake:
		return wokeEarly
	case <-ctx.Done():
	case <-s.done:
	}
	return wokeEnded
}
