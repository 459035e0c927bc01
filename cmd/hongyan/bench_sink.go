package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/clock"
	"hongyan/wechat/simulator"
)

// benchSink is the other end: the simulator's sink with a count that costs nothing to ask for and, if wanted, the time at which each fan's message arrived.
type benchSink struct {
	sink  *simulator.Sink
	clock clock.Clock
	total atomic.Int64

	noting bool
	mu     sync.Mutex
	at     map[string]int64 // openid -> unix ms of the first message
}

// sinkCounts is what the sink tells.
type sinkCounts struct {
	simulator.SinkStats

	Arrived int64            `json:"arrived"`
	At      map[string]int64 `json:"at,omitempty"`
}

// listening is a child's first answer.
type listening struct {
	URL string `json:"url"`
}

func benchSinkCommand(_ context.Context, e env) (err error) {
	fs := flag.NewFlagSet(childSink, flag.ContinueOnError)
	latency := fs.Duration("latency", 0, "")
	s := &benchSink{clock: clock.System(), at: map[string]int64{}}
	fs.BoolVar(&s.noting, "note", false, "")
	if err := fs.Parse(e.args); err != nil {
		return errUsage
	}
	s.sink = simulator.NewSink(simulator.SinkOptions{Latency: *latency, Clock: s.clock})
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the process
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	err = serveLines(e, listening{"http://" + listener.Addr().String()}, s.answer)
	closed := server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		closed = errors.Join(closed, ended)
	}
	return errors.Join(err, closed)
}

func (s *benchSink) answer(line string) (any, error) {
	switch line {
	case "arrived":
		return sinkCounts{Arrived: s.total.Load()}, nil
	case "stats":
		s.mu.Lock()
		defer s.mu.Unlock()
		return sinkCounts{SinkStats: s.sink.Stats(), Arrived: s.total.Load(), At: s.at}, nil
	case "reset":
		s.sink.Reset()
		s.total.Store(0)
		return sinkCounts{}, nil
	default:
		return nil, fmt.Errorf("the sink was asked to %q", line)
	}
}

// ServeHTTP implements http.Handler.
func (s *benchSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != simulator.PathSend {
		s.sink.ServeHTTP(w, r)
		return
	}
	if s.noting && !s.note(r) {
		panic(http.ErrAbortHandler)
	}
	s.total.Add(1)
	s.sink.ServeHTTP(w, r)
}

// note keeps when a fan's message arrived.
func (s *benchSink) note(r *http.Request) bool {
	now := s.clock.Now().UnixMilli()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var to struct {
		OpenID string `json:"touser"`
	}
	if json.Unmarshal(body, &to) != nil {
		return false
	}
	if isTimed(to.OpenID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.at[to.OpenID] == 0 {
			s.at[to.OpenID] = now
		}
	}
	return true
}
