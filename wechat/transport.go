package wechat

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// NewTransport returns a transport for maxConns calls at a time to one host. Idle
// connections are kept for all of them: with the default of two, most calls would open
// a new one. HTTP/2 is off, so that a broken connection loses one answer and not all
// that are on the way.
func NewTransport(maxConns int) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if std, ok := http.DefaultTransport.(*http.Transport); ok {
		t = std.Clone()
	}
	t.MaxIdleConns = maxConns
	t.MaxIdleConnsPerHost = maxConns
	t.MaxConnsPerHost = 0 // calls are limited by the sender; waiting here would eat their deadline
	t.IdleConnTimeout = 60 * time.Second
	t.TLSHandshakeTimeout = 5 * time.Second
	t.ResponseHeaderTimeout = 0 // the call's own timeout covers it
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.DisableCompression = true // answers to sends have 27 bytes
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t.Protocols, t.ForceAttemptHTTP2 = protocols, false
	return t
}

// wire watches how far a request got, to tell a send that cannot have left this machine
// from one that may have.
type wire struct {
	state atomic.Uint32
	trace httptrace.ClientTrace
}

const (
	wireUntraced  uint32 = iota // the transport reports nothing
	wireWaiting                 // it looks for a connection
	wireConnected               // it has one
	wireWriting                 // the request was handed to it: bytes may be out
)

// watch returns ctx with w attached.
func (w *wire) watch(ctx context.Context) context.Context {
	// The transport asks for a second connection only when nothing was written to the
	// first, so looking for one always means starting over.
	w.trace.GetConn = func(string) { w.state.Store(wireWaiting) }
	w.trace.GotConn = func(httptrace.GotConnInfo) { w.state.Store(wireConnected) }
	// Called before the buffered headers are flushed. When RoundTrip has returned an
	// error without it, the connection was closed first and nothing can follow.
	w.trace.WroteHeaders = func() { w.state.Store(wireWriting) }
	return httptrace.WithClientTrace(ctx, &w.trace)
}

// outcome is what err of RoundTrip means for a send.
func (w *wire) outcome(err error) Outcome {
	switch w.state.Load() {
	case wireWaiting, wireConnected:
		return OutcomeNotSent
	case wireWriting:
		return OutcomeLost
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return OutcomeNotSent
	}
	return OutcomeLost
}
