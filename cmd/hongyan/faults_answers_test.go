package main

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"hongyan/deliveries"
	"hongyan/wechat/simulator"
)

// A commit that happened although its answer was lost: what it marked does not stay marked for ever, and what it recorded is not recorded twice.
func TestCommitsWhoseAnswersAreLostLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	const messages, cuts, inFlight = 1500, 6, 20
	at := sharedServers(t)
	in := newInstall(t, setup{servers: at, record: simulator.RecordCompact, fans: messages, follow: true, rate: 500, inFlight: inFlight})
	in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "a single message"))
	in.enter(in.openids, "one")
	dsn, err := mysql.ParseDSN(at.dsn)
	require.NoError(t, err)
	line := startProxy(t, dsn.Addr)
	dsn.Addr = line.addr()
	p := in.serve("HONGYAN_MYSQL_DSN=" + dsn.FormatDSN())
	for n := range cuts {
		in.reaches(100+n*messages/(cuts+1), time.Minute)
		line.mute.Store(true)
		<-time.After(200 * time.Millisecond) // what is committed now is committed in silence
		line.cut()
	}
	end := in.finished(messages, time.Minute)
	in.balanced(end, cuts*(inFlight+100))
	require.Zero(t, end[deliveries.StateFailed], in.reasons())
	p.stop()
}

// proxy stands between a process and its database.
type proxy struct {
	t      *testing.T
	listen net.Listener
	to     string
	mute   atomic.Bool // the server's answers are lost
	mu     sync.Mutex
	open   map[net.Conn]bool
	all    sync.WaitGroup
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, listen: l, to: to, open: map[net.Conn]bool{}}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			p.t.Error(err)
			client.Close()
			return
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		p.all.Go(func() { p.copy(server, client, nil) })
		p.all.Go(func() { p.copy(client, server, &p.mute) })
	}
}

// copy carries bytes until one side ends, and then ends the other.
func (p *proxy) copy(to, from net.Conn, lost *atomic.Bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && (lost == nil || !lost.Load()) {
			if _, writeErr := to.Write(buf[:n]); err == nil {
				err = writeErr
			}
		}
		if err != nil {
			break
		}
	}
	p.end(to, from)
}

func (p *proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.open, c)
	}
}

// cut breaks every connection; new ones work.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
		delete(p.open, c)
	}
	p.mute.Store(false)
}
