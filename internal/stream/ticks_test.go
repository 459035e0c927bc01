package stream_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/stream"
)

func TestTicksTellFiguresOnceTheLatestOfAThingAndTheFirstFewOfMany(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		ticks := stream.NewTicks(h.db, h.clk, slog.New(slog.DiscardHandler))
		for n := range 100 {
			ticks.Count(account, stream.Deliveries, map[string]int64{"sent": 1, "failed": int64(n % 2)})
			ticks.Latest(account, stream.Jobs, "job 1", n)
			ticks.Sample(account, stream.Interactions, n)
		}
		ticks.Latest(account, stream.Jobs, "job 2", 200)
		ticks.Sample(account+1, stream.Interactions, 300)
		ticks.Count(account, stream.Checks, nil)
		c := h.connect(stream.Filter{}, 0)
		require.NoError(t, ticks.Flush(t.Context()))
		require.NoError(t, ticks.Flush(t.Context()), "nothing is left")
		h.hub.Ring()
		got := map[string][]string{}
		for range 1 + 2 + 10 + 1 {
			b := c.next()
			got[b.event] = append(got[b.event], b.data)
		}
		c.leave()
		require.Len(t, got["deliveries"], 1)
		require.Contains(t, got["deliveries"][0], `"data":{"failed":50,"sent":100}`)
		require.Len(t, got["jobs"], 2)
		require.Contains(t, got["jobs"][0]+got["jobs"][1], `"data":99}`)
		require.Contains(t, got["jobs"][0]+got["jobs"][1], `"data":200}`)
		require.Len(t, got["interactions"], 11)
		var rows int64
		require.NoError(t, h.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM stream_events").Row().Scan(&rows))
		require.EqualValues(t, 14, rows)
	})
}

func TestTicksPublishOnceASecondAndOnceMoreAtTheEnd(t *testing.T) {
	t.Parallel()
	each(t, func(h *house) {
		ticks := stream.NewTicks(h.db, h.clk, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { ticks.Loop(ctx) })
		count := func() (n int64) {
			require.NoError(t, h.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM stream_events").Row().Scan(&n))
			return n
		}
		ticks.Latest(account, stream.Jobs, "a", 1)
		require.Zero(t, count())
		require.Eventually(t, func() bool { h.clk.Advance(time.Second); return count() == 1 }, time.Minute, 2*time.Millisecond)
		ticks.Latest(account, stream.Jobs, "a", 2)
		cancel()
		loop.Wait()
		require.EqualValues(t, 2, count())
	})
}

func TestNoTicksGatherNothing(t *testing.T) {
	t.Parallel()
	var none *stream.Ticks
	none.Latest(account, stream.Jobs, "a", 1)
	none.Count(account, stream.Jobs, map[string]int64{"a": 1})
	none.Sample(account, stream.Jobs, 1)
}
