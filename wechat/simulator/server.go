package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hongyan/internal/fault"
)

// ServeHTTP implements http.Handler: the platform API, and the control API under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	body, err := readRequest(r)
	if err != nil {
		// The caller went away before its request was whole: there is nobody to answer.
		panic(http.ErrAbortHandler)
	}
	c := s.begin(r, body)
	s.process(c)
	s.record.processed(c)
	lost := true
	defer func() { s.record.end(c, lost) }()
	lost = !s.reply(r.Context(), w, c)
}

// reply sends the answer as its fate wants and reports whether it went out whole.
func (s *Simulator) reply(ctx context.Context, w http.ResponseWriter, c *call) bool {
	if c.plan.delay > 0 && !s.sleep(ctx, c.plan.delay) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Date", s.date())
	switch c.plan.fate {
	case fateReset:
		resetConnection(w)
	case fateHang:
		select {
		case <-ctx.Done():
		case <-s.done:
		}
		panic(http.ErrAbortHandler)
	case fateBadGateway:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		if _, err := w.Write([]byte(badGateway)); err != nil {
			return false
		}
	default:
		return s.write(ctx, w, c)
	}
	return false
}

// date is the header that tells the platform's time with each answer.
func (s *Simulator) date() string { return s.clock.Now().Format(http.TimeFormat) }

func (s *Simulator) write(ctx context.Context, w http.ResponseWriter, c *call) bool {
	if c.redirect != "" {
		w.Header().Set("Location", c.redirect)
		w.WriteHeader(http.StatusFound)
		return ctx.Err() == nil
	}
	w.Header().Set("Content-Type", cmp.Or(c.typed, contentType))
	if c.file != "" {
		w.Header().Set("Content-Disposition", attachment(c.file))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(c.answer)))
	if c.plan.fate == fateHalf {
		if _, err := w.Write(c.answer[:len(c.answer)/2]); err == nil {
			err = http.NewResponseController(w).Flush()
			if err != nil {
				return false
			}
		}
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(cmp.Or(c.status, http.StatusOK))
	_, err := w.Write(c.answer)
	return err == nil && ctx.Err() == nil
}

// resetConnection drops the connection with a TCP reset where it can, else by closing it.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetLinger(0)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		panic(http.ErrAbortHandler)
	}
}

const (
	headerTimeout = 10 * time.Second
	closeTimeout  = 5 * time.Second
)

// Serve serves the simulator on addr until ctx ends. It answers Unavailable when the
// address cannot be had.
func Serve(ctx context.Context, addr string, s *Simulator) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "simulator: listen on %s", addr)
	}
	return ServeListener(ctx, ln, s)
}

// ServeListener serves a handler, a Simulator or a Sink, on a listener until ctx ends.
// Calls that hang are cut after 5 s. The simulator is left open.
func ServeListener(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fault.Wrap(fault.Unavailable, err, "simulator: serve")
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("simulator: stop: %w", err)
	}
	return nil
}
