package scheduler

import (
	"context"

	"hongyan/limits"
)

// Ticket is what the queue carries: which batch is ready.
type Ticket struct {
	BatchID int64       `json:"batch_id"`
	Attempt int         `json:"attempt"`
	Lane    limits.Lane `json:"lane"`
}

// Queue brings tickets to workers. Losing one or bringing one twice is harmless: a batch is claimed in SQL, and a
// sweeper puts forgotten ones into the queue again.
type Queue interface {
	Put(ctx context.Context, t Ticket) error
}

// Direct is a Queue that keeps tickets until Drain runs them in the caller's goroutine: virtual time for demos, forecasts and rule tests.
type Direct struct{ tickets []Ticket }

// Put implements Queue.
func (d *Direct) Put(_ context.Context, t Ticket) error {
	d.tickets = append(d.tickets, t)
	return nil
}

// Drain runs all tickets, in order, and those that they put in meanwhile.
func (d *Direct) Drain(ctx context.Context, run func(context.Context, Ticket) error) error {
	for len(d.tickets) > 0 {
		t := d.tickets[0]
		d.tickets = d.tickets[1:]
		if err := run(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
