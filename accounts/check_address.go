package accounts

import (
	"net/netip"
	"strings"
)

// maxErrmsg bounds what is read of an errmsg; the real ones have about a hundred bytes.
const maxErrmsg = 512

// refusedAddress finds the address of ours that the platform refused in the errmsg of 40164, "invalid ip 1.2.3.4 ipv6
// ::ffff:1.2.3.4, not in whitelist", or 61004, "access clientip is not registered requestIP: 1.2.3.4" (platform.md 1.2). It
// takes nothing but these forms: what it returns is shown to people who will enter it into a list of trusted addresses.
func refusedAddress(errmsg string) (netip.Addr, bool) {
	if len(errmsg) > maxErrmsg {
		return netip.Addr{}, false
	}
	if rest, ok := strings.CutPrefix(errmsg, "invalid ip "); ok {
		return listedAddress(rest)
	}
	if _, rest, ok := strings.Cut(errmsg, "requestIP: "); ok {
		word, more, _ := strings.Cut(rest, " ")
		if strings.TrimSpace(more) == "" {
			return publicAddress(word)
		}
	}
	return netip.Addr{}, false
}

// listedAddress reads "1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist" or "1.2.3.4, not in whitelist". Where both forms of
// the address stand, they must be the same.
func listedAddress(text string) (netip.Addr, bool) {
	text, _, ok := strings.Cut(text, ", not in whitelist")
	if !ok {
		return netip.Addr{}, false
	}
	first, second, both := strings.Cut(text, " ipv6 ")
	addr, ok := publicAddress(first)
	if !ok || !both {
		return addr, ok
	}
	again, ok := publicAddress(second)
	if !ok || again != addr {
		return netip.Addr{}, false
	}
	return addr, true
}

func publicAddress(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
