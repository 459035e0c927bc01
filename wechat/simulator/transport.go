package simulator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// maxRequest bounds a request body: no call that the simulator knows is larger. Videos may have 10 MB (platform.md 9).
const maxRequest = 12 << 20

// contentType is what the platform sends with JSON.
const contentType = "application/json; encoding=utf-8"

// RoundTripper answers calls in the caller's goroutine, without sockets. Whatever the host,
// the platform API is reached; the control API is not. On a clock that is moved by hand it
// never waits: latency is left out, and a call that would hang fails with a timeout at once.
func (s *Simulator) RoundTripper() http.RoundTripper { return roundTripper{s} }

type roundTripper struct{ s *Simulator }

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	body, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("simulator: before the call: %w", err)
	}
	c := t.s.begin(r, body)
	t.s.process(c)
	t.s.record.processed(c)
	resp, lost, err := t.finish(ctx, r, c)
	t.s.record.end(c, lost)
	return resp, err
}

func readRequest(r *http.Request) (body []byte, err error) {
	if r.Body == nil {
		return nil, nil
	}
	defer func() { err = errors.Join(err, r.Body.Close()) }()
	if n := r.ContentLength; n > 0 && n <= maxRequest {
		body = make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, fmt.Errorf("simulator: request body: %w", err)
		}
		return body, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return nil, fmt.Errorf("simulator: request body: %w", err)
	}
	return body, nil
}

// finish lets the answer arrive, or not.
func (t roundTripper) finish(ctx context.Context, r *http.Request, c *call) (_ *http.Response, lost bool, _ error) {
	if !t.s.virtual() && c.plan.delay > 0 && !t.s.sleep(ctx, c.plan.delay) {
		return nil, true, t.hungUp(ctx)
	}
	switch c.plan.fate {
	case fateReset:
		return nil, true, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case fateHang:
		if t.s.virtual() {
			return nil, true, &net.OpError{Op: "read", Net: "tcp", Err: timeoutError{}}
		}
		select {
		case <-ctx.Done():
		case <-t.s.done:
		}
		return nil, true, t.hungUp(ctx)
	case fateBadGateway:
		return response(r, http.StatusBadGateway, strings.NewReader(badGateway), len(badGateway)), true, nil
	case fateHalf:
		half := io.MultiReader(bytes.NewReader(c.answer[:len(c.answer)/2]), brokenReader{})
		return response(r, http.StatusOK, half, len(c.answer)), true, nil
	default:
		resp := response(r, cmp.Or(c.status, http.StatusOK), bytes.NewReader(c.answer), len(c.answer))
		resp.Header.Set("Content-Type", cmp.Or(c.typed, contentType))
		if c.file != "" {
			resp.Header.Set("Content-Disposition", attachment(c.file))
		}
		resp.Header.Set("Date", t.s.date())
		if c.redirect != "" {
			resp.StatusCode, resp.Status = http.StatusFound, http.StatusText(http.StatusFound)
			resp.Header.Set("Location", c.redirect)
		}
		return resp, false, nil
	}
}

// attachment is the header by which the platform names a file that it answers with.
func attachment(name string) string { return `attachment; filename="` + name + `"` }

func (t roundTripper) hungUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("simulator: waiting for the answer: %w", err)
	}
	return &net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}
}

func response(r *http.Request, status int, body io.Reader, length int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {contentType}},
		Body:          io.NopCloser(body),
		ContentLength: int64(length),
		Request:       r,
	}
}

const badGateway = "<html><body>502 Bad Gateway</body></html>"

// brokenReader is a connection that ends in the middle of an answer.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// timeoutError is a net.Error that reports a timeout, as a read deadline does.
type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// HandlerTransport carries requests straight into a handler, in the caller's goroutine: a
// push delivery without sockets. A handler that panics is a broken connection.
func HandlerTransport(h http.Handler) http.RoundTripper { return handlerTransport{h} }

type handlerTransport struct{ h http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, fmt.Errorf("simulator: before the push: %w", err)
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &memoryWriter{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, fmt.Errorf("simulator: the callback panicked: %v", p)
		}
	}()
	t.h.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, fmt.Errorf("simulator: the callback answered too late: %w", err)
	}
	w.WriteHeader(http.StatusOK)
	out := response(r, w.status, &w.body, w.body.Len())
	out.Header = w.header
	return out, nil
}

// memoryWriter is an http.ResponseWriter that keeps the answer.
type memoryWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p) //nolint:wrapcheck // a Buffer does not fail
}
