package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/database"
	"hongyan/internal/lease"
)

const (
	// silenceEvery is how often silence is looked for. A drip that silence starts begins that much late at the most.
	silenceEvery = 30 * time.Second
	// silenceLease is how long a process that looks for silence keeps the others from it without a sign of life.
	silenceLease = 2 * silenceEvery
	// silenceTurn is how many slices one kind of silence of an account has before the next one's turn.
	silenceTurn = 100
)

// Silences tells, by own events, that fans have been silent, or that their windows are about to close, as far as running drips ask. One process of all
// does it. It may be killed at any point: how far it has come is stored with what it found.
type Silences struct {
	db        *database.DB
	owner     string
	accounts  *accounts.Store
	fans      *fans.Store
	campaigns *campaigns.Store
	leases    *lease.Store
}

// RunOnce looks at everything that has become due and returns how many fans it found.
func (s *Silences) RunOnce(ctx context.Context) (int, error) {
	asked, err := s.asked(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.fans.KeepSilences(ctx, asked); err != nil {
		return 0, fmt.Errorf("forget silences: %w", err)
	}
	total := 0
	var errs []error
	for len(asked) > 0 && ctx.Err() == nil {
		if _, mine, err := s.leases.Acquire(ctx, "silence", s.owner, silenceLease); err != nil || !mine {
			return total, errors.Join(append(errs, err)...)
		}
		var open []fans.Silence
		for _, q := range asked {
			n, more, err := s.turn(ctx, q)
			total += n
			if err != nil {
				errs = append(errs, fmt.Errorf("look for silence in account %d: %w", q.AccountID, err))
			} else if more {
				open = append(open, q)
			}
		}
		asked = open
	}
	return total, errors.Join(errs...)
}

func (s *Silences) turn(ctx context.Context, q fans.Silence) (total int, more bool, err error) {
	for range silenceTurn {
		var n int64
		n, more, err = s.fans.FindSilence(ctx, q)
		total += int(n)
		if err != nil || !more || ctx.Err() != nil {
			break
		}
	}
	return total, more, err
}

// asked lists what running drips of all accounts wait for.
func (s *Silences) asked(ctx context.Context) ([]fans.Silence, error) {
	all, err := s.accounts.FindAccounts(ctx)
	if err != nil {
		return nil, err
	}
	var out []fans.Silence
	for _, a := range all {
		found, err := s.campaigns.Silences(s.db.Read(ctx), a.ID)
		if err != nil {
			return nil, err
		}
		for _, q := range found {
			kind := fans.KindSilent
			if q.Kind == campaigns.TriggerClosing {
				kind = fans.KindClosing
			}
			out = append(out, fans.Silence{AccountID: a.ID, Kind: kind, N: q.N})
		}
	}
	return out, nil
}

// silenceLoop looks for silence until ctx ends.
func (s *Scheduler) silenceLoop(ctx context.Context) {
	for {
		timer := s.o.Clock.NewTimer(silenceEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if _, err := s.silences.RunOnce(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("cannot look for silent fans", "error", err)
		}
	}
}
