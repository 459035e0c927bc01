package webhooks

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

const (
	// lookEvery is how often events that are due are looked for.
	lookEvery = time.Second
	// claimMost events of a webhook are claimed together, and atOnce of them posted at a time: with the longest answers that takes 20 seconds.
	claimMost = 8
	atOnce    = 4
	// claimFor is how long events stay with a worker that died.
	claimFor = time.Minute
	// mostEndpoints is how many webhooks a process posts to at a time. Each has its turn before one has it again.
	mostEndpoints = 32
)

// Worker posts what is due. There may be one in every process.
type Worker struct {
	store  *Store
	owner  string
	log    *slog.Logger
	client *http.Client
	bell   chan struct{}

	mu      sync.Mutex
	busy    map[int64]bool // webhooks that are posted to
	last    int64          // the webhook that had its turn last
	posting sync.WaitGroup
}

// NewWorker returns a worker; owner names its process, and no other's.
func NewWorker(s *Store, owner string, log *slog.Logger) *Worker {
	return &Worker{store: s, owner: owner, log: log, client: newClient(s.allowPrivate), bell: make(chan struct{}, 1), busy: map[int64]bool{}}
}

// Loop posts until ctx ends; what is being posted then is finished and noted, which takes twenty seconds at the most.
func (w *Worker) Loop(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	defer w.posting.Wait()
	for ctx.Err() == nil {
		if _, err := w.begin(ctx); err != nil && ctx.Err() == nil {
			w.log.Error("cannot post to webhooks", "error", err)
		}
		timer := w.store.clock.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.bell:
		}
		timer.Stop()
	}
}

// RunOnce gives each webhook with due events one turn, waits for the end, and reports how many had one.
func (w *Worker) RunOnce(ctx context.Context) (turns int, err error) {
	defer w.client.CloseIdleConnections()
	turns, err = w.begin(ctx)
	w.posting.Wait()
	return turns, err
}

// begin starts a turn for each webhook that has due events and none under way, as far as there is room.
func (w *Worker) begin(ctx context.Context) (int, error) {
	due, err := w.store.due(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, id := range w.choose(due) {
		n++
		w.posting.Go(func() {
			more, err := w.turn(context.WithoutCancel(ctx), id)
			if err != nil {
				w.log.Error("events were not posted, or that is not noted; they are posted again", "webhook", id, "error", err)
			}
			w.mu.Lock()
			delete(w.busy, id)
			w.mu.Unlock()
			if more {
				w.ring()
			}
		})
	}
	return n, nil
}

// choose takes the webhooks whose turn it is, beginning after the one that had the last.
func (w *Worker) choose(due []int64) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, _ := slices.BinarySearch(due, w.last+1)
	var out []int64
	for _, id := range slices.Concat(due[at:], due[:at]) {
		if len(w.busy) == mostEndpoints {
			break
		}
		if !w.busy[id] {
			w.busy[id], w.last = true, id
			out = append(out, id)
		}
	}
	return out
}

func (w *Worker) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// turn posts some events of a webhook. more tells that others may be due.
func (w *Worker) turn(ctx context.Context, webhookID int64) (more bool, err error) {
	claimed, err := w.claim(ctx, webhookID)
	if err != nil || len(claimed) == 0 {
		return false, err
	}
	to, err := w.store.target(ctx, webhookID)
	if err != nil {
		return false, err
	}
	attempts := make([]Attempt, len(claimed))
	next := make(chan int, len(claimed))
	for i := range claimed {
		next <- i
	}
	close(next)
	var lanes sync.WaitGroup
	for range min(atOnce, len(claimed)) {
		lanes.Go(func() {
			for i := range next {
				attempts[i] = w.post(ctx, to, &claimed[i])
			}
		})
	}
	lanes.Wait()
	return len(claimed) == claimMost, w.record(ctx, to, claimed, attempts)
}

// due lists the webhooks that have due events, by id. Each is looked up by itself: joined, an engine would read all entries of the index.
func (s *Store) due(ctx context.Context) ([]int64, error) {
	tx, now := s.db.Read(ctx), s.now()
	var all, out []int64
	if err := tx.Raw("SELECT id FROM webhooks ORDER BY id").Scan(&all).Error; err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	for chunk := range slices.Chunk(all, 100) {
		looks, args := make([]string, 0, len(chunk)), make([]any, 0, 2*len(chunk))
		for _, id := range chunk {
			looks = append(looks, "SELECT webhook_id FROM (SELECT webhook_id FROM webhook_events WHERE webhook_id = ? AND due_at <= ? LIMIT 1) one")
			args = append(args, id, now)
		}
		var some []int64
		if err := tx.Raw(strings.Join(looks, " UNION ALL "), args...).Scan(&some).Error; err != nil {
			return nil, fmt.Errorf("look for due events: %w", err)
		}
		out = append(out, some...)
	}
	slices.Sort(out)
	return out, nil
}

// claim takes the events of a webhook that have been due for longest, and counts the try before it is made: an event that kills its worker
// comes to an end too.
func (w *Worker) claim(ctx context.Context, webhookID int64) (claimed []Entry, err error) {
	err = w.store.db.Tx(ctx, func(tx *gorm.DB) error {
		claimed = nil
		now := w.store.now()
		found, err := readEntries(tx, "webhook_id = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?"+w.store.db.Dialect().ForUpdate(), webhookID, now, claimMost)
		if err != nil {
			return err
		}
		var ids, spent []int64
		for _, e := range found {
			if e.Tries >= len(backoff)+1 {
				spent = append(spent, e.ID)
				continue
			}
			e.Tries++
			ids, claimed = append(ids, e.ID), append(claimed, e)
		}
		if err := end(tx, now, StateFailed, spent); err != nil || len(ids) == 0 {
			return err
		}
		slices.Sort(ids)
		return tx.Exec("UPDATE webhook_events SET owner = ?, due_at = ?, tries = tries + 1 WHERE id IN ? AND state = ? AND due_at <= ?",
			w.owner, now+claimFor.Milliseconds(), ids, StateWaiting, now).Error
	})
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	return claimed, nil
}

// target reads where a webhook's events go.
func (s *Store) target(ctx context.Context, id int64) (*target, error) {
	var to target
	var sealed []byte
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		return rows.Scan(&to.url, &sealed, &to.gone)
	}, "SELECT url, secret, removed_at > 0 FROM webhooks WHERE id = ?", id)
	if err != nil {
		return nil, fmt.Errorf("read a webhook: %w", err)
	}
	if to.gone {
		return &to, nil
	}
	secret, err := s.sealer.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("open the secret of webhook %d: %w", id, err)
	}
	to.secret = string(secret)
	return &to, nil
}
