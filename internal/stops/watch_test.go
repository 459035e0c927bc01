package stops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an installation with an account 1 and a campaign 1, which runs.
type house struct {
	t     *testing.T
	db    *database.DB
	clock clock.Clock
	stops *Stops
}

func newHouse(t *testing.T, db *database.DB, clk clock.Clock) *house {
	t.Helper()
	refusal, err := Identity{DB: db, Clock: clk, Dir: t.TempDir()}.Check(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Equal(t, RefusalNone, refusal)
	h := &house{t: t, db: db, clock: clk, stops: New(db, clk)}
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		return tx.Exec("INSERT INTO campaigns (id, account_id, kind, name, state, created_at, updated_at) VALUES (1, 1, 'drip', 'd', 'running', 0, 0)").Error
	}))
	return h
}

func eachHouse(t *testing.T, clk func() clock.Clock, test func(t *testing.T, h *house)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(t, newHouse(t, db, clk())) })
}

func manual() clock.Clock { return clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)) }

// load reads campaigns that run; an account counts as stopped when a campaign of that name is.
func load(tx *gorm.DB) (accounts, running []int64, err error) {
	if err := tx.Raw("SELECT id FROM campaigns WHERE state = 'running'").Scan(&running).Error; err != nil {
		return nil, nil, err
	}
	return accounts, running, tx.Raw("SELECT account_id FROM campaigns WHERE state = 'account_stopped'").Scan(&accounts).Error
}

func (h *house) watch(id string) *Watch {
	return NewWatch(WatchOptions{WorkerID: id, DB: h.db, Clock: h.clock, Load: load, Log: slog.New(slog.DiscardHandler)})
}

// set changes the campaign's state and returns the epoch of the change.
func (h *house) set(state string) (epoch int64) {
	h.t.Helper()
	require.NoError(h.t, h.db.Tx(h.t.Context(), func(tx *gorm.DB) (err error) {
		if err := tx.Exec("UPDATE campaigns SET state = ? WHERE id = 1", state).Error; err != nil {
			return err
		}
		epoch, err = Bump(tx)
		return err
	}))
	return epoch
}

func (h *house) wait(epoch int64) int {
	h.t.Helper()
	onWire, err := h.stops.Wait(h.t.Context(), epoch)
	require.NoError(h.t, err)
	return onWire
}

func drip() Scope { return Scope{AccountID: 1, CampaignID: 1} }

// hammer begins and ends calls, in short bursts, until done. The phase is odd while no call may begin.
func (h *house) hammer(done <-chan struct{}, phase *atomic.Int64, w *Watch) (began int, broken bool) {
	for {
		select {
		case <-done:
			return began, broken
		case <-h.clock.NewTimer(300 * time.Microsecond).C:
		}
		for range 20 {
			before := phase.Load()
			if !w.Begin(drip()) {
				continue
			}
			broken = broken || before%2 == 1 && phase.Load() == before
			began++
			w.End(drip())
		}
	}
}

func TestOnceAStopHasReturnedNoCallBegins(t *testing.T) {
	t.Parallel()
	eachHouse(t, clock.System, func(t *testing.T, h *house) {
		rounds := 200
		if testing.Short() {
			rounds = 20
		}
		var phase atomic.Int64
		var began atomic.Int64
		done := make(chan struct{})
		var wg sync.WaitGroup
		run := func(w *Watch, done <-chan struct{}) {
			n, broken := h.hammer(done, &phase, w)
			began.Add(int64(n))
			if broken {
				t.Error("a call of a stopped campaign began")
			}
		}
		for i := range 2 {
			w := h.watch(fmt.Sprint("w", i))
			require.NoError(t, w.RunOnce(t.Context()))
			wg.Go(func() { look(t, w, h.clock, done) })
			wg.Go(func() { run(w, done) })
		}
		for round := range rounds {
			// A process that joins while somebody stops is stopped as well.
			newcomer, leave := h.watch(fmt.Sprint("n", round)), make(chan struct{})
			var joined sync.WaitGroup
			joined.Go(func() {
				if err := newcomer.RunOnce(t.Context()); err != nil {
					t.Error(err)
				}
				run(newcomer, leave)
			})
			h.wait2(t, newcomer, h.set("paused"))
			phase.Add(1)
			h.pause(2 * time.Millisecond)
			close(leave)
			joined.Wait()
			require.NoError(t, newcomer.Stop(t.Context()))
			phase.Add(1)
			h.wait(h.set("running"))
		}
		close(done)
		wg.Wait()
		require.Positive(t, began.Load())
	})
}

// wait2 waits for a stop while the newcomer looks as its loop would.
func (h *house) wait2(t *testing.T, newcomer *Watch, epoch int64) {
	t.Helper()
	over, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		h.pause(time.Millisecond)
		look(t, newcomer, h.clock, over)
	}()
	h.wait(epoch)
	close(over)
	<-looked
}

func (h *house) pause(d time.Duration) { <-h.clock.NewTimer(d).C }

// look is a watch's loop with less of a pause.
func look(t *testing.T, w *Watch, clk clock.Clock, done <-chan struct{}) {
	t.Helper()
	for {
		select {
		case <-done:
			return
		case <-clk.NewTimer(2 * time.Millisecond).C:
		}
		if err := w.RunOnce(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestAProcessGetsNoPermitForWhatItHasNotSeen(t *testing.T) {
	t.Parallel()
	eachHouse(t, manual, func(t *testing.T, h *house) {
		var w *Watch
		loads := 0
		w = NewWatch(WatchOptions{WorkerID: "w", DB: h.db, Clock: h.clock, Log: slog.New(slog.DiscardHandler), Load: func(tx *gorm.DB) ([]int64, []int64, error) {
			if loads++; loads == 1 {
				return nil, []int64{1}, nil // as it was just before somebody paused it
			}
			return load(tx)
		}})
		require.False(t, w.Begin(drip()), "nothing is permitted before the first look")
		require.NoError(t, w.reload(t.Context()))
		// The stop finds no process to wait for: the only one is about to get its first permit.
		require.Zero(t, h.wait(h.set("paused")))
		epoch, err := w.acknowledge(t.Context(), h.clock.Now(), w.Snapshot().Epoch, 0)
		require.NoError(t, err)
		require.NotEqual(t, w.Snapshot().Epoch, epoch)
		require.False(t, w.Begin(drip()))
		require.NoError(t, w.RunOnce(t.Context()))
		require.False(t, w.Begin(drip()))
		require.True(t, w.Begin(Scope{AccountID: 1}), "what is not stopped goes on")
	})
}

func TestASilentProcessLosesItsPermit(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
		h := newHouse(t, db, clk)
		w := h.watch("silent")
		require.NoError(t, w.RunOnce(t.Context()))
		n, err := h.stops.Workers(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)

		quick, cancel := context.WithCancel(t.Context())
		cancel()
		epoch := h.set("paused")
		_, err = h.stops.Wait(quick, epoch)
		require.Error(t, err)
		returned := make(chan error, 1)
		go func() {
			_, err := h.stops.Wait(t.Context(), epoch)
			returned <- err
		}()
		clk.Advance(PermitFor)
		require.True(t, w.Begin(drip()), "the permit holds to its end")
		require.Empty(t, returned)
		require.Eventually(t, func() bool {
			clk.Advance(waitStep)
			select {
			case err := <-returned:
				require.NoError(t, err)
				return true
			default:
				return false
			}
		}, 10*time.Second, time.Millisecond)
		require.False(t, w.Begin(drip()))
		require.False(t, w.Begin(Scope{AccountID: 9}), "whatever the scope")
		n, err = h.stops.Workers(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestAStopTellsHowManyCallsAreOnTheWire(t *testing.T) {
	t.Parallel()
	eachHouse(t, manual, func(t *testing.T, h *house) {
		w := h.watch("w")
		require.NoError(t, w.RunOnce(t.Context()))
		for range 3 {
			require.True(t, w.Begin(drip()))
		}
		require.True(t, w.Begin(Scope{AccountID: 2}))
		epoch := h.set("paused")
		require.NoError(t, w.RunOnce(t.Context()))
		require.Equal(t, 3, h.wait(epoch))
		w.End(drip())
		require.NoError(t, w.RunOnce(t.Context()))
		require.Equal(t, 2, h.wait(epoch))
		require.Equal(t, 2, w.OnWire())
		h.set("account_stopped")
		require.NoError(t, w.RunOnce(t.Context()))
		require.False(t, w.Begin(Scope{AccountID: 1}))
		require.True(t, w.Begin(Scope{AccountID: 2}))

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := h.stops.Wait(ctx, h.set("paused"))
		require.True(t, fault.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded), "%v", err)
	})
}

func TestTheKillSwitchStopsAndFreesEverything(t *testing.T) {
	t.Parallel()
	eachHouse(t, clock.System, func(t *testing.T, h *house) {
		w := h.watch("w")
		require.NoError(t, w.Start(t.Context()))
		require.True(t, w.Begin(drip()))
		onWire, err := h.stops.SetInstallation(t.Context(), true, "members say so")
		require.NoError(t, err)
		require.Equal(t, 1, onWire)
		w.End(drip())
		require.False(t, w.Begin(drip()))
		require.False(t, w.Begin(Scope{AccountID: 5}))
		_, err = h.stops.SetInstallation(t.Context(), false, "")
		require.NoError(t, err)
		require.True(t, w.Begin(drip()))
		require.NoError(t, w.Stop(t.Context()))
		require.False(t, w.Begin(drip()), "a watch that has ended permits nothing")
		n, err := h.stops.Workers(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestARefusedCopyPermitsNothing(t *testing.T) {
	t.Parallel()
	eachHouse(t, manual, func(t *testing.T, h *house) {
		w := NewWatch(WatchOptions{WorkerID: "copy", DB: h.db, Clock: h.clock, Load: load, Log: slog.New(slog.DiscardHandler), Refused: true})
		require.NoError(t, w.RunOnce(t.Context()))
		require.False(t, w.Begin(drip()))
		require.True(t, w.Snapshot().Installation)
	})
}
