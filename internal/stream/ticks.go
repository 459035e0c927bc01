package stream

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
)

const (
	// tickEvery is how often what was gathered is published.
	tickEvery = time.Second
	// sampleMost is how many events of a sample are published in that time, for each account and topic.
	sampleMost = 10
)

// Ticks gathers what happens too often to be told each time, and publishes it once a second. A nil *Ticks gathers nothing. It is safe
// for concurrent use.
type Ticks struct {
	db    *database.DB
	clock clock.Clock
	log   *slog.Logger

	mu      sync.Mutex
	latest  map[tickKey]tick
	counts  map[tickKey]map[string]int64
	samples map[tickKey][]tick
}

type tickKey struct {
	accountID int64
	topic     Topic
	about     string
}

type tick struct {
	at   int64
	data any
}

// NewTicks returns ticks that are published into db.
func NewTicks(db *database.DB, c clock.Clock, log *slog.Logger) *Ticks {
	t := &Ticks{db: db, clock: c, log: log}
	t.clear()
	return t
}

func (t *Ticks) clear() {
	t.latest, t.counts, t.samples = map[tickKey]tick{}, map[tickKey]map[string]int64{}, map[tickKey][]tick{}
}

// Latest has the newest data about a thing told: how far a job has come.
func (t *Ticks) Latest(accountID int64, topic Topic, about string, data any) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latest[tickKey{accountID, topic, about}] = tick{t.clock.Now().UnixMilli(), data}
}

// Count adds up what is told as one object of figures by name.
func (t *Ticks) Count(accountID int64, topic Topic, figures map[string]int64) {
	if t == nil || len(figures) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tickKey{accountID: accountID, topic: topic}
	if t.counts[key] == nil {
		t.counts[key] = map[string]int64{}
	}
	for name, n := range figures {
		t.counts[key][name] += n
	}
}

// Sample tells the first few of many: ten in a second for each account and topic.
func (t *Ticks) Sample(accountID int64, topic Topic, data any) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tickKey{accountID: accountID, topic: topic}
	if len(t.samples[key]) < sampleMost {
		t.samples[key] = append(t.samples[key], tick{t.clock.Now().UnixMilli(), data})
	}
}

// Loop publishes once a second until ctx ends, and then once more.
func (t *Ticks) Loop(ctx context.Context) {
	if t == nil {
		return
	}
	for ended := false; !ended; {
		timer := t.clock.NewTimer(tickEvery)
		select {
		case <-ctx.Done():
			ended = true
		case <-timer.C:
		}
		timer.Stop()
		// What cannot be published is forgotten: the next second brings new figures, and nobody relies on these.
		if err := t.Flush(context.WithoutCancel(ctx)); err != nil {
			t.log.Warn("cannot publish figures", "error", err)
		}
	}
}

// Flush publishes what was gathered.
func (t *Ticks) Flush(ctx context.Context) error {
	events, err := t.take()
	if err != nil || len(events) == 0 {
		return err
	}
	return t.db.Tx(ctx, func(tx *gorm.DB) error { return insert(tx, events) })
}

// take empties the ticks.
func (t *Ticks) take() ([]Event, error) {
	t.mu.Lock()
	latest, counts, samples := t.latest, t.counts, t.samples
	t.clear()
	t.mu.Unlock()
	now := t.clock.Now().UnixMilli()
	var out []Event
	add := func(key tickKey, one tick) error {
		e, err := newEvent(one.at, key.accountID, key.topic, one.data)
		out = append(out, e)
		return err
	}
	for key, list := range samples {
		for _, one := range list {
			if err := add(key, one); err != nil {
				return nil, err
			}
		}
	}
	for key, one := range latest {
		if err := add(key, one); err != nil {
			return nil, err
		}
	}
	for key, figures := range counts {
		if err := add(key, tick{now, maps.Clone(figures)}); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int { return int(a.At - b.At) })
	return out, nil
}
