package stops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// PollEvery is how often a process looks for stops, and PermitFor how long it may go on without having seen that there is none.
const (
	PollEvery = 200 * time.Millisecond
	PermitFor = 3 * time.Second
)

// Bump raises the epoch, within the transaction that changes a stop, and returns it.
func Bump(tx *gorm.DB) (int64, error) {
	if err := tx.Exec("UPDATE installation SET stop_epoch = stop_epoch + 1 WHERE id = 1").Error; err != nil {
		return 0, fmt.Errorf("bump the stop epoch: %w", err)
	}
	return Epoch(tx)
}

// Unchanged is a condition for the WHERE of an update that may happen only if the epoch, its argument, still holds: what a
// transaction needs that acts on what a Watch knows, without a query of its own.
const Unchanged = "COALESCE((SELECT stop_epoch FROM installation WHERE id = 1), 0) = ?"

// Epoch reads the current epoch.
func Epoch(tx *gorm.DB) (int64, error) {
	var epoch int64
	if err := tx.Raw("SELECT stop_epoch FROM installation WHERE id = 1").Scan(&epoch).Error; err != nil {
		return 0, fmt.Errorf("read the stop epoch: %w", err)
	}
	return epoch, nil
}

// Snapshot is what is stopped at an epoch.
type Snapshot struct {
	Epoch        int64
	Installation bool
	Accounts     map[int64]bool // stopped ones
	Running      map[int64]bool // campaigns that may send; every other may not
}

// Scope is in whose name a call is made.
type Scope struct {
	AccountID  int64
	CampaignID int64 // 0 when no campaign can stop it
}

// Stopped reports whether calls of the scope may not be made.
func (s *Snapshot) Stopped(sc Scope) bool {
	return s.Installation || s.Accounts[sc.AccountID] || sc.CampaignID != 0 && !s.Running[sc.CampaignID]
}

// Loader reads which accounts are stopped and which campaigns run.
type Loader func(tx *gorm.DB) (accounts, running []int64, err error)

// Watch follows the stops for one process that sends.
type Watch struct {
	id    string
	db    *database.DB
	clock clock.Clock
	load  Loader
	log   *slog.Logger
	local bool // sending is refused in this process alone: see Check

	mu     sync.Mutex
	now    Snapshot
	permit time.Time
	wire   map[Scope]int

	cancel context.CancelFunc
	done   chan struct{}
}

// WatchOptions are what a Watch needs.
type WatchOptions struct {
	WorkerID string // unique per process run
	DB       *database.DB
	Clock    clock.Clock
	Load     Loader
	Log      *slog.Logger
	Refused  bool // this copy of the installation may not send; see Check
}

// NewWatch returns a Watch that permits nothing until it has looked once.
func NewWatch(o WatchOptions) *Watch {
	return &Watch{id: o.WorkerID, db: o.DB, clock: o.Clock, load: o.Load, log: o.Log, local: o.Refused, wire: map[Scope]int{}}
}

// Start looks once and goes on looking until Stop.
func (w *Watch) Start(ctx context.Context) error {
	if err := w.RunOnce(ctx); err != nil {
		return err
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel, w.done = cancel, make(chan struct{})
	go w.loop(loop)
	return nil
}

func (w *Watch) loop(ctx context.Context) {
	defer close(w.done)
	for {
		timer := w.clock.NewTimer(PollEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := w.RunOnce(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("cannot look for stops; calls end when the permit does", "error", err)
		}
	}
}

// Stop ends the watch and takes the process off the list of those that a stop waits for.
func (w *Watch) Stop(ctx context.Context) error {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
	w.mu.Lock()
	w.permit = time.Time{}
	w.mu.Unlock()
	return w.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM workers WHERE id = ?", w.id).Error
	})
}

// RunOnce looks at the epoch, takes over what changed, and acknowledges it.
func (w *Watch) RunOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, PermitFor)
	defer cancel()
	epoch, err := Epoch(w.db.Read(ctx))
	if err != nil {
		return err
	}
	for {
		asked := w.clock.Now()
		if w.stale(epoch) {
			if err := w.reload(ctx); err != nil {
				return err
			}
		}
		seen, onWire := w.seen()
		if epoch, err = w.acknowledge(ctx, asked, seen, onWire); err != nil {
			return fmt.Errorf("acknowledge stops: %w", err)
		}
		if epoch == seen {
			return nil
		}
	}
}

// acknowledge tells what has been seen and extends the permit, unless the epoch has moved on: it returns the one that holds. The lock on the
// epoch's row is what makes a stop wait for a process that gets its permit, its first or one after a silence, at the same moment.
func (w *Watch) acknowledge(ctx context.Context, asked time.Time, seen int64, onWire int) (epoch int64, err error) {
	permit := asked.Add(PermitFor)
	err = w.db.Tx(ctx, func(tx *gorm.DB) error {
		epoch = 0
		err := tx.Raw("SELECT stop_epoch FROM installation WHERE id = 1" + w.db.Dialect().ForUpdate()).Scan(&epoch).Error
		if err != nil || epoch != seen {
			return err
		}
		return tx.Exec("INSERT INTO workers (id, started_at, seen_epoch, permit_until, on_wire) VALUES (?,?,?,?,?)"+
			w.db.Dialect().Upsert([]string{"id"}, "seen_epoch", "permit_until", "on_wire"),
			w.id, asked.UnixMilli(), seen, permit.UnixMilli(), onWire).Error
	})
	if err != nil || epoch != seen {
		return epoch, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.permit = permit
	return epoch, nil
}

// Behind reports whether something was stopped or freed since the watch looked.
func (w *Watch) Behind(ctx context.Context) (bool, error) {
	epoch, err := Epoch(w.db.Read(ctx))
	return err == nil && w.stale(epoch), err
}

func (w *Watch) stale(epoch int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Running == nil || w.now.Epoch != epoch
}

// reload reads what is stopped in one transaction and swaps it in. From the swap on, no call of a stopped scope starts; the calls of stopped
// scopes that are already on the wire are counted in the same moment.
func (w *Watch) reload(ctx context.Context) error {
	var next Snapshot
	err := w.db.Tx(ctx, func(tx *gorm.DB) error {
		next = Snapshot{Accounts: map[int64]bool{}, Running: map[int64]bool{}}
		// The epoch first: a change between the reads then shows as a newer epoch the next time.
		var row struct {
			StopEpoch int64
			Stopped   bool
		}
		if err := tx.Raw("SELECT stop_epoch, stopped FROM installation WHERE id = 1").Scan(&row).Error; err != nil {
			return err
		}
		accounts, running, err := w.load(tx)
		if err != nil {
			return err
		}
		next.Epoch, next.Installation = row.StopEpoch, row.Stopped || w.local
		for _, id := range accounts {
			next.Accounts[id] = true
		}
		for _, id := range running {
			next.Running[id] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what is stopped: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = next
	return nil
}

// seen is the epoch that holds in this process, and how many calls of scopes that it stops are still on the wire.
func (w *Watch) seen() (epoch int64, onWire int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Epoch, w.stoppedOnWire()
}

func (w *Watch) stoppedOnWire() int {
	n := 0
	for sc, calls := range w.wire {
		if w.now.Stopped(sc) {
			n += calls
		}
	}
	return n
}

// OnWire counts the calls of stopped scopes that have started and not ended.
func (w *Watch) OnWire() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stoppedOnWire()
}

// Snapshot returns what is stopped as this process knows it. It is shared: do not change it.
func (w *Watch) Snapshot() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Begin asks for leave to start a call and must be followed by End if it was given.
func (w *Watch) Begin(sc Scope) bool {
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.After(w.permit) || w.now.Stopped(sc) {
		return false
	}
	w.wire[sc]++
	return true
}

// End notes that a call has ended.
func (w *Watch) End(sc Scope) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wire[sc]--; w.wire[sc] == 0 {
		delete(w.wire, sc)
	}
}

// Stops stops and waits.
type Stops struct {
	db    *database.DB
	clock clock.Clock
}

// New returns the stops kept in db.
func New(db *database.DB, clk clock.Clock) *Stops { return &Stops{db: db, clock: clk} }

// waitStep is the pause between two looks for acknowledgements.
const waitStep = 20 * time.Millisecond

// Wait returns when every process that may send has seen the epoch, or has lost its permit because it was silent. onWire counts the calls of
// stopped scopes that had started before; none starts afterwards.
func (s *Stops) Wait(ctx context.Context, epoch int64) (onWire int, err error) {
	for {
		var waiting int
		now := s.clock.Now().UnixMilli()
		err := s.db.Read(ctx).Raw("SELECT COUNT(*) FROM workers WHERE seen_epoch < ? AND permit_until >= ?", epoch, now).Scan(&waiting).Error
		if err != nil {
			return 0, fmt.Errorf("wait for workers to stop: %w", err)
		}
		if waiting == 0 {
			return s.onWire(ctx, now)
		}
		timer := s.clock.NewTimer(waitStep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, fault.Wrap(fault.Unavailable, ctx.Err(), "%d workers have not confirmed the stop yet; it holds all the same once they look", waiting)
		case <-timer.C:
		}
	}
}

func (s *Stops) onWire(ctx context.Context, now int64) (int, error) {
	var n int
	err := s.db.Read(ctx).Raw("SELECT COALESCE(SUM(on_wire), 0) FROM workers WHERE permit_until >= ?", now).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count calls on the wire: %w", err)
	}
	return n, nil
}

// SetInstallation is the kill switch: it stops or frees everything, and waits until that holds.
func (s *Stops) SetInstallation(ctx context.Context, stopped bool, reason string) (onWire int, err error) {
	var epoch int64
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE installation SET stopped = ?, stopped_reason = ? WHERE id = 1", stopped, reason).Error; err != nil {
			return err
		}
		epoch, err = Bump(tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("stop the installation: %w", err)
	}
	return s.Wait(ctx, epoch)
}

// Workers counts the processes that may send now.
func (s *Stops) Workers(ctx context.Context) (int, error) {
	var n int
	err := s.db.Read(ctx).Raw("SELECT COUNT(*) FROM workers WHERE permit_until >= ?", s.clock.Now().UnixMilli()).Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("count workers: %w", err)
	}
	return n, nil
}

var errNoInstallation = errors.New("the installation has no row; run migrate first")
