package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// Heartbeat is how often an idle connection gets a sign of life.
	Heartbeat = 15 * time.Second
	// retryMS is after how many milliseconds a client comes back whose connection ended.
	retryMS = 2000
)

// Names of events on the wire that are no topics.
const (
	eventReady = "ready" // the first of a connection that did not resume: from here on everything is told
	eventReset = "reset" // some events cannot be told any more: load everything anew
)

// Writer is where a connection's events go. A bufio.Writer is one.
type Writer interface {
	io.Writer
	Flush() error
}

// Subscription is a connection. It is used by one goroutine.
type Subscription struct {
	hub    *Hub
	filter Filter
	after  int64      // what the client has seen; changed under the hub's lock
	joined int64      // from behind this seq on, events come by the channel
	events chan Event // closed by the hub, after why was set
	why    error
}

// Serve writes events until ctx ends, the hub ends the connection or writing fails, and says which: nil for ctx. An event is
//
//	id: 4711
//	event: jobs
//	data: {"account_id":1,"at":1770000000000,"data":{…}}
//
// A sign of life carries the id of the last event of all topics, so that a client resumes near the end however few it wants.
func (s *Subscription) Serve(ctx context.Context, w Writer) error {
	defer s.leave()
	if err := s.begin(ctx, w); err != nil {
		return s.ended(ctx, w, err)
	}
	for {
		timer := s.hub.clock.NewTimer(Heartbeat)
		var err error
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			err = s.beat(w)
		case e, open := <-s.events:
			timer.Stop()
			err = s.pass(w, e, open)
		}
		if err != nil {
			return s.ended(ctx, w, err)
		}
	}
}

func (s *Subscription) leave() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.drop(s, nil)
}

// begin brings a connection to where it has joined.
func (s *Subscription) begin(ctx context.Context, w Writer) error {
	if _, err := fmt.Fprintf(w, "retry: %d\n\n", retryMS); err != nil {
		return err
	}
	var err error
	switch {
	case s.after == FromNow:
		err = mark(w, eventReady, s.joined)
	case s.after > s.joined:
		err = s.ahead(ctx, w)
	default:
		err = s.catchUp(ctx, w)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// ahead is for a client that has seen more than this process: another one was quicker, and the hub leaves out what the client has seen; or
// the database is a copy of an earlier day, and the client begins anew.
func (s *Subscription) ahead(ctx context.Context, w Writer) error {
	c, err := readCursor(s.hub.db.Read(ctx), "")
	if err != nil || s.after <= c.last {
		return err
	}
	s.hub.mu.Lock()
	s.after = FromNow
	at := s.hub.last
	s.hub.mu.Unlock()
	return mark(w, eventReset, at)
}

// catchUp tells what lies between the last event that the client has seen and those that come by the channel.
func (s *Subscription) catchUp(ctx context.Context, w Writer) error {
	for at := s.after; at < s.joined; {
		tx := s.hub.db.Read(ctx)
		events, err := read(tx, at)
		if err != nil {
			return err
		}
		// Asked after the reading, as in look.
		c, err := readCursor(tx, "")
		if err != nil {
			return err
		}
		if c.trimmed > at || len(events) == 0 {
			return mark(w, eventReset, s.joined)
		}
		for i := range events {
			e := &events[i]
			if at = e.Seq; at > s.joined {
				break
			}
			if s.filter.wants(e) {
				if err := write(w, e); err != nil {
					return err
				}
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// pass writes an event, and those that wait behind it.
func (s *Subscription) pass(w Writer, e Event, open bool) error {
	for {
		if !open {
			return s.why
		}
		if err := write(w, &e); err != nil {
			return err
		}
		select {
		case e, open = <-s.events:
		default:
			return w.Flush()
		}
	}
}

// beat writes a sign of life, with the position if nothing waits to be told up to there.
func (s *Subscription) beat(w Writer) error {
	s.hub.mu.Lock()
	at, behind := max(s.hub.last, s.after), len(s.events) > 0
	s.hub.mu.Unlock()
	if !behind {
		if _, err := fmt.Fprintf(w, "id: %d\n", at); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, ": still here\n\n"); err != nil {
		return err
	}
	return w.Flush()
}

// ended tells the client why the connection ends, as far as it still listens.
func (s *Subscription) ended(ctx context.Context, w Writer, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the caller has ended it
	}
	if errors.Is(err, ErrSlow) || errors.Is(err, ErrStopped) || errors.Is(err, errLost) {
		_, failed := fmt.Fprintf(w, ": %v\n\n", err)
		return errors.Join(err, failed, w.Flush())
	}
	return err
}

func write(w io.Writer, e *Event) error {
	data, err := json.Marshal(struct {
		AccountID int64           `json:"account_id"`
		At        int64           `json:"at"`
		Data      json.RawMessage `json:"data"`
	}{e.AccountID, e.At, e.Data})
	if err == nil {
		_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Topic, data)
	}
	return err
}

func mark(w io.Writer, name string, seq int64) error {
	_, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: {}\n\n", seq, name)
	return err
}
