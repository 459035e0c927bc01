package main

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// remote is the address of who made a request: the other end of the connection or, where that is a trusted proxy, whom it names in X-Forwarded-For.
func (s *Server) remote(c *fiber.Ctx) string {
	peer, ok := netip.AddrFromSlice(c.Context().RemoteIP())
	if !ok {
		return ""
	}
	var named []string
	for _, line := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) { // a proxy may add a line of its own
		named = append(named, strings.Split(string(line), ",")...)
	}
	return clientOf(peer.Unmap(), named, s.Config.TrustedProxies).String()
}

// clientOf walks from the peer backwards through the addresses that each proxy has added at the end, and stops at the first that is no trusted proxy: what
// stands before it was written by nobody knows whom. What cannot be read counts as not there, and so does all before it.
func clientOf(peer netip.Addr, named []string, trusted []netip.Prefix) netip.Addr {
	at := peer
	for _, text := range slices.Backward(named) {
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(at) }) {
			return at
		}
		next, ok := forwarded(text)
		if !ok {
			return at
		}
		at = next
	}
	return at
}

// forwarded reads one address of X-Forwarded-For. Some proxies write the port too.
func forwarded(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		both, withPort := netip.ParseAddrPort(text)
		addr, err = both.Addr(), withPort
	}
	return addr.Unmap().WithZone(""), err == nil
}

// proxyTexts are trusted proxies as Fiber wants them.
func proxyTexts(trusted []netip.Prefix) []string {
	out := make([]string, len(trusted))
	for i, p := range trusted {
		out[i] = p.String()
	}
	return out
}
