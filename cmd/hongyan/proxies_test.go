package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
)

func TestTheClientIsTheRightMostAddressThatIsNoTrustedProxy(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}
	for name, c := range map[string]struct{ peer, header, want string }{
		"no proxy":                    {"192.0.2.9", "", "192.0.2.9"},
		"a stranger who claims":       {"192.0.2.9", "203.0.113.7", "192.0.2.9"},
		"one proxy":                   {"10.0.0.1", "203.0.113.7", "203.0.113.7"},
		"claimed behind a proxy":      {"10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		"two proxies":                 {"10.0.0.1", "198.51.100.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"},
		"a proxy's own request":       {"10.0.0.1", "", "10.0.0.1"},
		"all inside":                  {"10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"},
		"what cannot be read":         {"10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"},
		"an empty one":                {"10.0.0.1", "203.0.113.7,", "10.0.0.1"},
		"with a port":                 {"10.0.0.1", "203.0.113.7:4711", "203.0.113.7"},
		"IPv6":                        {"2001:db8::1", "2001:db8::77", "2001:db8::77"},
		"IPv6 with a port":            {"10.0.0.1", "[2001:db8::77]:4711", "2001:db8::77"},
		"IPv6 in brackets":            {"10.0.0.1", "[2001:db8::77]", "2001:db8::77"},
		"IPv4 in IPv6":                {"10.0.0.1", "203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"},
		"a zone makes no other proxy": {"10.0.0.1", "203.0.113.7, 2001:db8::1%eth0", "203.0.113.7"},
	} {
		var named []string
		if c.header != "" {
			named = strings.Split(c.header, ",")
		}
		require.Equal(t, c.want, clientOf(netip.MustParseAddr(c.peer), named, trusted).String(), name)
	}
	require.Equal(t, "10.0.0.1", clientOf(netip.MustParseAddr("10.0.0.1"), []string{"203.0.113.7"}, nil).String(), "nobody is trusted unless named")
}

// proxied is a server that trusts 127.0.0.1 as its proxy, on a real socket.
type proxied struct {
	t   *testing.T
	url string
}

func newProxied(t *testing.T) *proxied {
	t.Helper()
	in := &install{t: t, dataDir: t.TempDir()}
	cfg := in.config()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	s := &Server{Config: cfg, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}
	require.NoError(t, s.Open(t.Context()))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	s.intake = &intake{listener: listener, app: s.routes()}
	s.intake.start()
	t.Cleanup(func() {
		require.NoError(t, s.intake.stop(cfg.ShutdownTimeout))
		require.NoError(t, s.Close())
	})
	return &proxied{t, "http://" + listener.Addr().String()}
}

// left tries to log in from an address of this machine, and tells how many tries the server leaves it.
func (p *proxied) left(from string, forwarded ...string) int {
	p.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/api/v1/login", strings.NewReader(`{"name":"nobody","password":"wrong password"}`))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hongyan", "1")
	for _, line := range forwarded {
		req.Header.Add("X-Forwarded-For", line)
	}
	resp, err := transport.RoundTrip(req)
	require.NoError(p.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, resp.Body.Close())
	left, err := strconv.Atoi(resp.Header.Get("Ratelimit-Remaining"))
	require.NoError(p.t, err, "%d", resp.StatusCode)
	return left
}

func TestLogInsAreCountedByTheAddressThatATrustedProxySaysAndNobodyElse(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	require.Equal(t, 9, p.left("127.0.0.2", "203.0.113.1"))
	require.Equal(t, 8, p.left("127.0.0.2", "203.0.113.2"), "a stranger is who they are, whatever they claim")
	require.Equal(t, 9, p.left("127.0.0.1", "203.0.113.7"))
	require.Equal(t, 9, p.left("127.0.0.1", "203.0.113.8"), "two members behind one proxy")
	require.Equal(t, 8, p.left("127.0.0.1", "198.51.100.1, 203.0.113.7"), "what a member claims stands before what the proxy says")
	require.Equal(t, 7, p.left("127.0.0.1", "198.51.100.2", "203.0.113.7"), "also in a line of its own")
}
