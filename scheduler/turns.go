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
	sources, err := d.sources(ctx, r)
	if err != nil || len(sources) == 0 {
		return Ticket{}, 0, err
	}
	t := r.turns
	if r.now.Sub(t.restarted) >= restartEvery {
		clear(t.cursors)
		t.restarted = r.now
	}
	if len(sources) == 1 {
		chosen, err := d.turn(ctx, r, sources[0], r.size)
		if err != nil {
			return Ticket{}, 0, err
		}
		return d.create(ctx, r, limits.LaneBulk, chosen)
	}
	var chosen []deliveries.Candidate
	taken := map[int64]bool{}
	for empty := 0; len(chosen) < r.size && empty < len(sources); {
		src := sources[int(t.next)%len(sources)]
		t.next = (t.next + 1) % int64(len(sources))
		t.credit[src] += max(1, min(quantum, r.size/len(sources)))
		got, err := d.turn(ctx, r, src, min(t.credit[src], r.size-len(chosen)))
		if err != nil {
			return Ticket{}, 0, err
		}
		got = slices.DeleteFunc(got, func(c deliveries.Candidate) bool { return taken[c.FanID] })
		if len(got) == 0 {
			t.credit[src] = 0 // a campaign with nothing to send saves nothing up
			empty++
			continue
		}
		empty = 0
		t.credit[src] = max(0, t.credit[src]-len(got))
		for _, c := range got {
			taken[c.FanID] = true
		}
		chosen = append(chosen, got...)
	}
	return d.create(ctx, r, limits.LaneBulk, chosen)
}

// sources lists the campaigns that have due rows and are not stopped, after moving those of their rows that became urgent.
func (d *Dispatcher) sources(ctx context.Context, r *round) ([]deliveries.Source, error) {
	all, err := d.ledger.Sources(d.db.Read(ctx), r.account.ID)
	if err != nil {
		return nil, err
	}
	sources := slices.DeleteFunc(all, r.stopped)
	for _, src := range sources {
		err := d.db.Tx(ctx, func(tx *gorm.DB) error {
			_, err := d.ledger.Hasten(tx, r.account.ID, src, r.now)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// turn picks up to n rows of a source, from where the last turn ended.
func (d *Dispatcher) turn(ctx context.Context, r *round, src deliveries.Source, n int) ([]deliveries.Candidate, error) {
	t := r.turns
	limit := n
	if t.cursors[src] == (deliveries.Cursor{}) {
		limit += r.liveRows // at the start of the lane, rows of live batches are still in it
	}
	found, err := d.ledger.Pick(d.db.Read(ctx), r.account.ID, deliveries.Page{Lane: limits.LaneBulk, Source: src, After: t.cursors[src], Limit: limit})
	if err != nil {
		return nil, err
	}
	chosen := cutSteps(slices.DeleteFunc(slices.Clone(found), func(c deliveries.Candidate) bool { return !r.free(c) }), n)
	switch {
	case len(chosen) > 0:
		last := chosen[len(chosen)-1]
		t.cursors[src] = deliveries.Cursor{Deadline: last.Deadline, ID: last.ID}
	case len(found) == limit:
		last := found[len(found)-1]
		t.cursors[src] = deliveries.Cursor{Deadline: last.Deadline, ID: last.ID}
	default:
		delete(t.cursors, src)
	}
	return chosen, nil
}
