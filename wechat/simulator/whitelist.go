package simulator

import (
	"fmt"
	"net"

	"hongyan/internal/fault"
)

// codeIPNotListed is given for calls from an address that is not on the account's whitelist.
const codeIPNotListed = 40164

// checkWhitelist applies the form of the platform's settings page: single addresses and networks, without ports and
// without asterisks (platform.md 1.4).
func checkWhitelist(list []string) error {
	for _, entry := range list {
		_, _, err := net.ParseCIDR(entry)
		if err != nil && net.ParseIP(entry) == nil {
			return fault.BadField("whitelist", "shape", "%q is neither an address nor a network such as 172.16.0.0/24", entry)
		}
	}
	return nil
}

// admits says whether calls may come from an address. An account without a whitelist takes all.
func (a *Account) admits(address string) bool {
	if len(a.Whitelist) == 0 {
		return true // sends take this path
	}
	ip := net.ParseIP(address)
	for _, entry := range a.Whitelist {
		if _, network, err := net.ParseCIDR(entry); err == nil && network.Contains(ip) || ip.Equal(net.ParseIP(entry)) {
			return true
		}
	}
	return false
}

// refusalText is the platform's wording of a refusal. Those that concern the caller's address name it.
func refusalText(code int) string {
	switch code {
	case codeIPNotListed:
		return fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", callerIP, callerIP)
	case codeComponentIP:
		return errText(code) + " requestIP: " + callerIP
	default:
		return errText(code)
	}
}
