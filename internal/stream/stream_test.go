package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/startstop/startstoptest"
	"hongyan/internal/stream"
	"hongyan/internal/testdb"
)

func TestAConnectionIsToldWhatIsPublishedFromNowOn(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		h.publish(1)
		c := h.connect(stream.Filter{}, stream.FromNow)
		ready := c.next()
		require.Equal(t, []any{"ready", "{}"}, []any{ready.event, ready.data})
		// The first may have been read by then or not: it is told only if it came after the connection.
		h.publish(2)
		b := c.next()
		if b.number(t) == 1 {
			b = c.next()
		}
		require.Equal(t, "jobs", b.event)
		require.JSONEq(t, fmt.Sprintf(`{"account_id":7,"at":%d,"data":2}`, start.UnixMilli()), b.data)
		require.Greater(t, b.id, ready.id)
		c.leave()
	})
}

func TestAnEventIsToldWithItsTransactionOrNotAtAll(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		c := h.connect(stream.Filter{}, 0)
		undone := errors.New("undone")
		require.ErrorIs(t, h.db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, stream.Publish(tx, 1, account, stream.Jobs, 1))
			return undone
		}), undone)
		h.publish(2)
		b := c.next()
		require.Equal(t, 2, b.number(t))
		c.leave()
		for _, data := range []any{strings.Repeat("x", stream.MaxPayload), make(chan int)} {
			require.Error(t, stream.Publish(nil, 1, account, stream.Jobs, data))
		}
		require.Error(t, stream.Publish(nil, 1, account, "gossip", 1))
	})
}

func TestAConnectionIsToldOfItsAccountAndTopicsOnly(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		f := stream.Filter{AccountID: account, Topics: []stream.Topic{stream.Drips, stream.Checks}}
		tell := func(n int) {
			h.tell(account, stream.Jobs, n)
			h.tell(account+1, stream.Drips, n+1)
			h.tell(account, stream.Checks, n+2)
			h.hub.Ring()
		}
		tell(0)
		c := h.connect(f, 0) // half of it by catching up, half of it as it happens, whichever it is
		tell(10)
		for _, want := range []int{2, 12} {
			b := c.next()
			require.Equal(t, want, b.number(t))
		}
		c.leave()
	})
}

// Ids are given when a transaction inserts, and seen when it commits: the lower id commits last here.
func TestAnEventThatCommitsLateIsNotPassedOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, testdb.MySQL(t))
	c := h.connect(stream.Filter{}, 0)
	inserted, commit := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	slow.Go(func() {
		err := h.db.Tx(context.Background(), func(tx *gorm.DB) error {
			if err := stream.Publish(tx, 1, account, stream.Jobs, 1); err != nil {
				return err
			}
			close(inserted)
			<-commit
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inserted
	h.publish(2)
	first := c.next()
	require.Equal(t, 2, first.number(t), "it is told while the other is under way")
	close(commit)
	slow.Wait()
	h.hub.Ring()
	second := c.next()
	require.Equal(t, 1, second.number(t))
	require.Greater(t, second.id, first.id)
	var ids []int64
	require.NoError(t, h.db.Read(t.Context()).Raw("SELECT id FROM stream_events ORDER BY seq").Scan(&ids).Error)
	require.Greater(t, ids[0], ids[1], "the ids stand the other way round: a reader by id would have missed one")
	c.leave()
	again := h.connect(stream.Filter{}, first.id)
	b := again.next()
	require.Equal(t, 1, b.number(t))
	again.leave()
}

// Two processes serve the same stream to a client that is sent to one or the other, and loses its connection again and again.
func TestAClientThatReconnectsMissesNothingAndGetsNothingTwice(t *testing.T) {
	t.Parallel()
	const publishers, total = 4, 10_000
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		houses := []*house{newHouse(t, db), newHouse(t, db)}
		var published atomic.Int64
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for n := p; n < total; {
					most := n + publishers*(1+rand.IntN(40))
					err := db.Tx(context.Background(), func(tx *gorm.DB) error {
						for i := n; i < min(most, total); i += publishers {
							if err := stream.Publish(tx, 1, account, stream.Jobs, i); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
					n = most
					published.Add(1)
					houses[0].hub.Ring()
					houses[1].hub.Ring()
				}
			})
		}
		seen := make(map[int]bool, total)
		last, connections := int64(0), 0
		for len(seen) < total {
			connections++
			c := houses[rand.IntN(2)].connect(stream.Filter{}, last)
			for range 1 + rand.IntN(300) {
				b := c.next()
				if b.event == "" {
					break // a process ended it: it was too slow
				}
				require.Equal(t, "jobs", b.event)
				require.Greater(t, b.id, last)
				last = b.id
				n := b.number(t)
				require.False(t, seen[n], "%d comes twice", n)
				seen[n] = true
				if len(seen) == total {
					break
				}
			}
			c.leave()
		}
		all.Wait()
		require.Greater(t, connections, 30)
	})
}

func TestAnIdleConnectionGetsASignOfLifeThatMovesItsPositionOn(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		c := h.connect(stream.Filter{Topics: []stream.Topic{stream.Drips}}, stream.FromNow)
		ready := c.next()
		other := h.connect(stream.Filter{}, ready.id)
		h.publish(1, 2, 3) // of another topic
		var last int64
		for range 3 {
			last = other.next().id
		}
		other.leave()
		beat := make(chan block)
		go func() { beat <- c.next() }()
		var b block
		require.Eventually(t, func() bool {
			h.clk.Advance(stream.Heartbeat)
			select {
			case b = <-beat:
				return true
			default:
				return false
			}
		}, time.Minute, 2*time.Millisecond)
		require.Equal(t, []any{last, "", "still here"}, []any{b.id, b.event, b.note})
		c.leave()
	})
}

// blocked is a line that takes nothing more after the first bytes, until it is released.
type blocked struct {
	started, release chan struct{}
	once             sync.Once
}

func (b *blocked) Write(p []byte) (int, error) { return len(p), nil }

func (b *blocked) Flush() error {
	b.once.Do(func() { close(b.started) })
	<-b.release
	return nil
}

func TestASlowClientIsEndedAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		s, err := h.hub.Subscribe(stream.Filter{}, stream.FromNow)
		require.NoError(t, err)
		line := &blocked{started: make(chan struct{}), release: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(context.Background(), line) }()
		<-line.started
		quick := h.connect(stream.Filter{}, stream.FromNow)
		require.Equal(t, "ready", quick.next().event)
		const many = 600
		require.NoError(t, h.db.Tx(t.Context(), func(tx *gorm.DB) error {
			for n := range many {
				if err := stream.Publish(tx, 1, account, stream.Drips, n); err != nil {
					return err
				}
			}
			return nil
		}))
		h.hub.Ring()
		last, got := int64(0), 0
		for got < many {
			b := quick.next()
			if b.event == "" { // even the quick one may be outrun by six hundred at once; it comes back for the rest
				quick.leave()
				quick = h.connect(stream.Filter{}, last)
				continue
			}
			last = b.id
			require.Equal(t, got, b.number(t))
			got++
		}
		quick.leave()
		close(line.release)
		require.ErrorIs(t, <-served, stream.ErrSlow)
	})
}

func TestWhoWasAwayForTooLongIsToldToLoadEverythingAnew(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		h.publish(1, 2, 3)
		c := h.connect(stream.Filter{}, 0)
		var ids []int64
		for range 3 {
			ids = append(ids, c.next().id)
		}
		c.leave()
		h.clk.Advance(stream.KeepMS*time.Millisecond + time.Millisecond)
		h.publish(4)
		removed, err := stream.Trim(t.Context(), h.db, h.clk.Now().UnixMilli()-stream.KeepMS)
		require.NoError(t, err)
		require.EqualValues(t, 3, removed)

		kept := h.connect(stream.Filter{}, ids[2])
		b := kept.next()
		require.Equal(t, 4, b.number(t), "nothing is missing behind the last that was removed")
		kept.leave()
		for _, after := range []int64{0, ids[1], b.id + 1000} {
			away := h.connect(stream.Filter{}, after)
			reset := away.next()
			require.Equal(t, []any{"reset", b.id}, []any{reset.event, reset.id}, after)
			h.publish(5)
			require.Equal(t, "jobs", away.next().event, "and goes on from there")
			away.leave()
			b.id++
		}
	})
}

// A client that one process has told more than the next knows of yet.
func TestAClientThatIsAheadOfAProcessGetsNothingTwice(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		slow, quick := newHouse(t, db), newHouse(t, db)
		quick.publish(1, 2, 3)
		c := quick.connect(stream.Filter{}, 0)
		var last int64
		for range 3 {
			last = c.next().id
		}
		c.leave()
		c = slow.connect(stream.Filter{}, last)
		slow.publish(4)
		b := c.next()
		require.Equal(t, 4, b.number(t))
		c.leave()
	})
}

func TestTrimmingStopsAtWhatIsNewerAndLeavesNoGap(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		for i, at := range []int64{10, 20, 5000, 30} {
			require.NoError(t, h.db.Tx(t.Context(), func(tx *gorm.DB) error { return stream.Publish(tx, at, account, stream.Jobs, i) }))
		}
		h.hub.Ring()
		c := h.connect(stream.Filter{}, 0)
		for want := range 4 {
			b := c.next()
			require.Equal(t, want, b.number(t))
		}
		c.leave()
		for _, want := range []int64{2, 0} {
			removed, err := stream.Trim(t.Context(), h.db, 1000)
			require.NoError(t, err)
			require.Equal(t, want, removed)
		}
		c = h.connect(stream.Filter{}, 2)
		for _, want := range []int{2, 3} {
			b := c.next()
			require.Equal(t, want, b.number(t))
		}
		c.leave()
	})
}

func TestAStoppedHubEndsItsConnectionsAndTakesNoMore(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		c := h.connect(stream.Filter{}, stream.FromNow)
		require.Equal(t, "ready", c.next().event)
		require.NoError(t, h.hub.Stop(t.Context()))
		require.Equal(t, stream.ErrStopped.Error(), c.next().note)
		require.ErrorIs(t, <-c.served, stream.ErrStopped)
		_, err := h.hub.Subscribe(stream.Filter{}, stream.FromNow)
		require.True(t, fault.Is(err, fault.Unavailable))
	})
}

func TestAHubServesABoundedNumberOfConnections(t *testing.T) {
	t.Parallel()
	h := newHouse(t, testdb.SQLite(t))
	for range stream.MaxConnections {
		_, err := h.hub.Subscribe(stream.Filter{}, stream.FromNow)
		require.NoError(t, err)
	}
	_, err := h.hub.Subscribe(stream.Filter{}, stream.FromNow)
	require.True(t, fault.Is(err, fault.Unavailable))
}

func TestAConnectionWhoseLineBreaksIsForgotten(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		c := h.connect(stream.Filter{}, stream.FromNow)
		require.Equal(t, "ready", c.next().event)
		require.NoError(t, c.close())
		h.publish(1)
		require.ErrorIs(t, <-c.served, io.ErrClosedPipe)
		c.cancel()
	})
}

func TestAHubStartsAndStopsInEveryOrder(t *testing.T) {
	t.Parallel()
	db := testdb.SQLite(t)
	startstoptest.Stress(t, stream.NewHub(db, clock.System(), slog.New(slog.DiscardHandler)))
}
