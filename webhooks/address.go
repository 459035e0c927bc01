package webhooks

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// inside are the networks that are nobody's public address and that netip does not know by a method (IANA's special-purpose registries).
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this host
	netip.MustParsePrefix("100.64.0.0/10"),   // between a provider and its customers; some clouds answer about the machine here
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("::/96"),           // IPv4 inside, obsolete
	netip.MustParsePrefix("64:ff9b::/96"),    // IPv4 inside, by a translator that may stand in the own network
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same, local
	netip.MustParsePrefix("100::/64"),        // discarded
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, IPv4 inside of Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // IPv4 inside of 6to4
	netip.MustParsePrefix("fec0::/10"),       // site-local
}

// public reports whether an address belongs to the Internet at large.
func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false // neither loopback, link-local, multicast, unspecified nor broadcast is global unicast
	}
	return !slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// guardDial refuses to connect to what is not public. It sees the address that is connected to, whatever the name was.
func guardDial(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("cannot tell whose address %s is: %w", address, err)
	}
	if !public(to.Addr()) {
		return fmt.Errorf("refused: %s is an address inside of a network; HONGYAN_WEBHOOKS_INSIDE=on allows it", to.Addr())
	}
	return nil
}

// newClient returns the client for posts: no proxy, which would connect on our behalf, and no redirects, which would lead anywhere.
func newClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if !allowPrivate {
		dialer.ControlContext = guardDial
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConns: 2 * mostEndpoints, MaxIdleConnsPerHost: atOnce, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
