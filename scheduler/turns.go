package scheduler

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/limits"
)

// quantum is how many deliveries a campaign may add to the bulk lane at its turn, at most: in a small batch its turn is smaller, so that all get into it.
const quantum = 100

// bulk makes a batch by deficit round-robin: every campaign with due rows gets a quantum at its turn and may keep what a turn left over, so that
// a broadcast to millions does not starve a drip to twenty. Within a campaign the earliest deadline goes first.
func (d *Dispatcher) bulk(ctx context.Context, r *round) (Ticket, int, error) {
	t := r.turns
	if r.now.Sub(t.restarted) >= restartEvery {
		clear(t.cursors)
		t.restarted = r.now
	}
	for {
		sources, looked, err := d.sources(ctx, r)
		if err != nil || len(sources) == 0 {
			return Ticket{}, 0, err
		}
		chosen, err := d.share(ctx, r, sources)
		if err != nil {
			return Ticket{}, 0, err
		}
		if len(chosen) > 0 || looked {
			return d.create(ctx, r, limits.LaneBulk, chosen)
		}
		t.sources = nil // those that were known have nothing left: look for others
	}
}

// share lets sources take turns until the batch is full or none has anything left.
func (d *Dispatcher) share(ctx context.Context, r *round, sources []deliveries.Source) ([]deliveries.Delivery, error) {
	if len(sources) == 1 {
		return d.turn(ctx, r, sources[0], r.size)
	}
	t := r.turns
	var chosen []deliveries.Delivery
	taken := map[int64]bool{}
	for empty := 0; len(chosen) < r.size && empty < len(sources); {
		src := sources[int(t.next)%len(sources)]
		t.next = (t.next + 1) % int64(len(sources))
		t.credit[src] += max(1, min(quantum, r.size/len(sources)))
		got, err := d.turn(ctx, r, src, min(t.credit[src], r.size-len(chosen)))
		if err != nil {
			return nil, err
		}
		got = slices.DeleteFunc(got, func(c deliveries.Delivery) bool { return taken[c.FanID] })
		if len(got) == 0 {
			t.credit[src] = 0 // a campaign with nothing to send saves nothing up
			empty++
			continue
		}
		empty = 0
		t.credit[src] = max(0, t.credit[src]-len(got))
		for i := range got {
			taken[got[i].FanID] = true
		}
		chosen = append(chosen, got...)
	}
	return chosen, nil
}

// sources lists the campaigns that have due rows and are not stopped, after moving those of their rows that became urgent. It looks for new ones
// every lookEvery, and says whether it did.
func (d *Dispatcher) sources(ctx context.Context, r *round) (sources []deliveries.Source, looked bool, err error) {
	t := r.turns
	if len(t.sources) > 0 && r.now.Sub(t.looked) < lookEvery {
		return slices.DeleteFunc(slices.Clone(t.sources), r.stopped), false, nil
	}
	t.sources, err = d.ledger.Sources(d.db.Read(ctx), r.account.ID)
	if err != nil {
		return nil, false, err
	}
	t.looked = r.now
	sources = slices.DeleteFunc(slices.Clone(t.sources), r.stopped)
	for _, src := range sources {
		err := d.db.Tx(ctx, func(tx *gorm.DB) error {
			_, err := d.ledger.Hasten(tx, r.account.ID, src, r.now)
			return err
		})
		if err != nil {
			return nil, false, err
		}
	}
	return sources, true, nil
}

// turn picks up to n rows of a source, from where the last turn ended; at the end of the lane it starts anew, for rows that came, or became free, behind it.
func (d *Dispatcher) turn(ctx context.Context, r *round, src deliveries.Source, n int) ([]deliveries.Delivery, error) {
	cursors := r.turns.cursors
	for {
		start := cursors[src] == (deliveries.Cursor{})
		chosen, err := d.advance(ctx, r, src, n)
		if err != nil || len(chosen) > 0 || start || cursors[src] != (deliveries.Cursor{}) {
			return chosen, err
		}
	}
}

// advance picks up to n rows behind a source's cursor and moves it.
func (d *Dispatcher) advance(ctx context.Context, r *round, src deliveries.Source, n int) ([]deliveries.Delivery, error) {
	cursors := r.turns.cursors
	limit := n
	if cursors[src] == (deliveries.Cursor{}) {
		limit += r.liveRows // at the start of the lane, rows of live batches are still in it
	}
	found, err := d.ledger.Pick(d.db.Read(ctx), r.account.ID, deliveries.Page{Lane: limits.LaneBulk, Source: src, After: cursors[src], Limit: limit})
	if err != nil {
		return nil, err
	}
	chosen := cutSteps(slices.DeleteFunc(slices.Clone(found), func(row deliveries.Delivery) bool { return !r.free(&row) }), n)
	switch {
	case len(chosen) > 0:
		last := chosen[len(chosen)-1]
		cursors[src] = deliveries.Cursor{Deadline: last.Deadline, ID: last.ID}
	case len(found) == limit:
		last := found[len(found)-1]
		cursors[src] = deliveries.Cursor{Deadline: last.Deadline, ID: last.ID}
	default:
		delete(cursors, src)
	}
	return chosen, nil
}
