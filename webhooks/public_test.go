package webhooks

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyAddressesOfTheInternetAtLargeArePublic(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "223.5.5.5", "172.32.0.1", "2400:3200::1", "2606:4700::1111", "::ffff:8.8.8.8"} {
		require.True(t, public(netip.MustParseAddr(text)), text)
	}
	for _, text := range []string{
		"127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "0.1.2.3", "::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1",
		"169.254.169.254", "fe80::1", "fe80::1%eth0", "100.64.0.1", "100.100.100.200", "224.0.0.1", "239.1.1.1", "ff02::1", "ff0e::1", "255.255.255.255", "240.0.0.1",
		"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::a00:1",
		"64:ff9b:1::1", "2002:a00:1::", "2001::1", "2001:db8::1", "100::1", "fec0::1",
	} {
		require.False(t, public(netip.MustParseAddr(text)), text)
	}
	require.False(t, public(netip.Addr{}))
}
