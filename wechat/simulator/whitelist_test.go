package simulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAWhitelistIsAskedWithSecretAndWithTokenAndNamesTheCaller(t *testing.T) {
	t.Parallel()
	clk := clock.NewManual(time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC))
	sim := simulator.New(simulator.Options{Clock: clk})
	t.Cleanup(sim.Close)
	acc := wechat.Account{ID: 1, AppID: "wx0123456789abcdef", Secret: "s", BaseURL: "http://platform.invalid"}
	require.NoError(t, sim.AddAccount(simulator.Account{AppID: acc.AppID, Secret: acc.Secret, Verified: true}))
	list := func(entries ...string) error {
		return sim.UpdateAccount(acc.AppID, func(a *simulator.Account) { a.Whitelist = entries })
	}
	fresh := func() *wechat.Client { return wechat.New(wechat.Options{Transport: sim.RoundTripper(), Clock: clk}) }
	refused := func(err error) {
		t.Helper()
		var e *wechat.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 40164, e.Code)
		require.Equal(t, "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist", e.Msg)
		require.NotEmpty(t, e.RID)
	}
	client := fresh()
	_, err := client.Tags(t.Context(), acc)
	require.NoError(t, err)

	require.NoError(t, list("192.0.2.1", "10.0.0.0/8"))
	_, err = client.Tags(t.Context(), acc)
	refused(err) // with an access token that was good
	_, err = fresh().Token(t.Context(), acc)
	refused(err)

	for _, good := range []string{"127.0.0.1", "127.0.0.0/24"} {
		require.NoError(t, list("192.0.2.1", good))
		_, err = fresh().Tags(t.Context(), acc)
		require.NoError(t, err)
	}
	for _, bad := range []string{"172.0.0.*", "127.0.0.1:80", "", "host"} {
		require.True(t, fault.Is(list(bad), fault.Invalid), bad)
	}
}

func TestAnswersTellThePlatformsTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC)
	sim := simulator.New(simulator.Options{Clock: clock.NewManual(at)})
	t.Cleanup(sim.Close)
	for _, transport := range []http.RoundTripper{sim.RoundTripper(), simulator.HandlerTransport(sim)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://platform.invalid"+simulator.PathToken, http.NoBody)
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "Wed, 04 Mar 2026 02:00:00 GMT", resp.Header.Get("Date"))
	}
}

func TestACallbacksHostCanBeAwayOrUnknown(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Options{Clock: clock.NewManual(time.Date(2026, 3, 4, 2, 0, 0, 0, time.UTC))})
	t.Cleanup(sim.Close)
	acc := wechat.Account{ID: 1, AppID: "wx0123456789abcdef", Secret: "s", BaseURL: "http://platform.invalid"}
	client := wechat.New(wechat.Options{Transport: sim.RoundTripper(), Clock: sim.Clock()})
	require.NoError(t, sim.AddAccount(simulator.Account{
		AppID: acc.AppID, Secret: acc.Secret, HostAway: true, Callback: simulator.Callback{URL: "http://192.0.2.7/push", Token: "token"},
	}))
	seen, err := client.CheckCallback(t.Context(), acc, wechat.CheckAll, wechat.OperatorDefault)
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.7", "100%"}, []string{seen.DNS[0].IP, seen.Ping[0].Loss})
	require.NoError(t, sim.UpdateAccount(acc.AppID, func(a *simulator.Account) { a.HostUnknown = true }))
	seen, err = client.CheckCallback(t.Context(), acc, wechat.CheckAll, wechat.OperatorDefault)
	require.NoError(t, err)
	require.Empty(t, seen.DNS)
	require.Empty(t, seen.Ping)
}
