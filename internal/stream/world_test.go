package stream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/stream"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = 7

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// house is a process that serves connections.
type house struct {
	t   *testing.T
	db  *database.DB
	clk *clock.Manual
	hub *stream.Hub
}

func each(t *testing.T, test func(h *house)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) { test(newHouse(t, db)) })
}

func newHouse(t *testing.T, db *database.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, clk: clock.NewManual(start)}
	h.hub = stream.NewHub(db, h.clk, slog.New(slog.DiscardHandler))
	require.NoError(t, h.hub.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, h.hub.Stop(context.Background())) })
	return h
}

// publish publishes numbers, each in a transaction of its own, and rings.
func (h *house) publish(numbers ...int) {
	h.t.Helper()
	for _, n := range numbers {
		h.tell(account, stream.Jobs, n)
	}
	h.hub.Ring()
}

func (h *house) tell(accountID int64, topic stream.Topic, n int) {
	h.t.Helper()
	require.NoError(h.t, h.db.Tx(h.t.Context(), func(tx *gorm.DB) error {
		return stream.Publish(tx, h.clk.Now().UnixMilli(), accountID, topic, n)
	}))
}

// block is what stands between two empty lines on the wire.
type block struct {
	id    int64 // 0 without one
	event string
	data  string
	note  string // a comment
	retry string
}

func (b *block) number(t require.TestingT) int {
	var d struct{ Data int }
	require.NoError(t, json.Unmarshal([]byte(b.data), &d))
	return d.Data
}

// client is a browser.
type client struct {
	t      *testing.T
	lines  *bufio.Reader
	cancel context.CancelFunc
	served chan error
	close  func() error
}

// connect connects behind an event.
func (h *house) connect(f stream.Filter, after int64) *client {
	h.t.Helper()
	s, err := h.hub.Subscribe(f, after)
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(h.t.Context())
	r, w := io.Pipe()
	c := &client{t: h.t, lines: bufio.NewReader(r), cancel: cancel, served: make(chan error, 1), close: r.Close}
	go func() {
		c.served <- s.Serve(ctx, bufio.NewWriter(w))
		_ = w.Close()
	}()
	require.NotEmpty(h.t, c.next().retry)
	return c
}

// next reads a block; the zero block at the end.
func (c *client) next() block {
	c.t.Helper()
	var b block
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return block{}
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "":
			if line == "" {
				return b
			}
			b.note = value
		case "id":
			b.id, err = strconv.ParseInt(value, 10, 64)
			require.NoError(c.t, err)
		case "event":
			b.event = value
		case "data":
			b.data = value
		case "retry":
			b.retry = value
		default:
			require.Fail(c.t, "an unknown field", line)
		}
	}
}

// leave goes away without a word.
func (c *client) leave() {
	c.cancel()
	require.NoError(c.t, c.close())
	<-c.served
}
