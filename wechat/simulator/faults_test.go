package simulator_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat/simulator"
)

// fates lists each fault alone, with what the caller sees and whether the message arrived.
var fates = map[string]struct {
	faults   simulator.Faults
	accepted bool
	code     int    // the errcode answered; 0 when the answer is lost
	status   int    // the HTTP status, 0 for none
	err      string // in-process error
}{
	"reset before":      {faults: simulator.Faults{ResetBefore: 1}, err: "connection reset"},
	"reset after":       {faults: simulator.Faults{ResetAfter: 1}, accepted: true, err: "connection reset"},
	"half an answer":    {faults: simulator.Faults{HalfAnswer: 1}, accepted: true, status: 200, err: "unexpected EOF"},
	"bad gateway":       {faults: simulator.Faults{BadGateway: 1}, status: 502, err: "HTTP 502"},
	"bad gateway after": {faults: simulator.Faults{BadGatewayAfter: 1}, accepted: true, status: 502, err: "HTTP 502"},
	"hang":              {faults: simulator.Faults{Hang: 1}, err: "timeout"},
	"hang after":        {faults: simulator.Faults{HangAfter: 1}, accepted: true, err: "timeout"},
	"busy":              {faults: simulator.Faults{Busy: 1}, code: -1},
	"busy after":        {faults: simulator.Faults{BusyAfter: 1}, accepted: true, code: -1},
	"code":              {faults: simulator.Faults{Codes: []simulator.CodeShare{{Code: 45011, Share: 1}}}, code: 45011},
}

func requireCounted(t *testing.T, s *simulator.Simulator, accepted bool, code int) {
	t.Helper()
	c := s.Counts().Send()
	n := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	require.Equal(t, n(accepted), c.Accepted)
	require.Equal(t, n(code == 0 && accepted), c.LostAccepted)
	require.Equal(t, n(code == 0 && !accepted), c.LostNotAccepted)
	require.Equal(t, n(code == -1 && accepted), c.BusyAccepted)
	require.Equal(t, n(code == -1 && !accepted), c.BusyNotAccepted)
	require.Equal(t, n(code != 45011), c.Unknowable())
	require.Zero(t, c.InFlight)
}

func TestFaultsInProcess(t *testing.T) {
	t.Parallel()
	for name, c := range fates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{})
			fan := w.writer()
			require.NoError(t, w.sim.SetFaults(simulator.PathSend, c.faults))
			a, err := w.try("POST", simulator.PathSend+"?access_token="+w.token, textBody(fan, "x"))
			if c.code != 0 {
				require.NoError(t, err)
				require.Equal(t, c.code, a.ErrCode)
			} else {
				require.ErrorContains(t, err, c.err)
			}
			requireCounted(t, w.sim, c.accepted, c.code)
			calls := w.sim.Calls(simulator.Filter{OpenID: fan})
			require.Len(t, calls, 1, "also calls that were never processed name their fan")
			require.Equal(t, c.accepted, calls[0].Accepted)
			require.Equal(t, c.code == 0, calls[0].Lost)
			require.Len(t, w.sim.FaultsSet(), 1)
			require.NoError(t, w.sim.SetFaults("", simulator.Faults{}))
			require.Empty(t, w.sim.FaultsSet())
			require.Zero(t, w.send(fan, "y"))
		})
	}
}

// served is a simulator behind a real server on the wall clock.
func served(t *testing.T, o simulator.Options) (*world, *http.Client) {
	t.Helper()
	o.Clock = clock.System()
	w := newWorld(t, o)
	srv := httptest.NewServer(w.sim)
	t.Cleanup(srv.Close)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return w, &http.Client{Transport: tr}
}

func TestFaultsOverTheWire(t *testing.T) {
	t.Parallel()
	for name, c := range fates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := served(t, simulator.Options{})
			fan := w.writer()
			require.NoError(t, w.sim.SetFaults(simulator.PathSend, c.faults))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost,
				"http://sim"+simulator.PathSend+"?access_token="+w.token, strings.NewReader(textBody(fan, "x")))
			require.NoError(t, err)
			resp, err := client.Do(req)
			if c.status == 0 && c.code == 0 {
				require.Error(t, err)
				require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) ||
					errors.Is(err, context.DeadlineExceeded), "%v", err)
			} else {
				require.NoError(t, err)
				raw, readErr := io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, c.faults.HalfAnswer > 0, readErr != nil)
				if c.status != 0 {
					require.Equal(t, c.status, resp.StatusCode)
				} else {
					require.Contains(t, string(raw), `"errcode":`+strconv.Itoa(c.code))
				}
			}
			require.Eventually(t, func() bool { return w.sim.Counts().Send().InFlight == 0 }, time.Minute, 5*time.Millisecond)
			requireCounted(t, w.sim, c.accepted, c.code)
		})
	}
}

func TestCallerWhoHangsUpDuringTheLatencyIsALostAnswer(t *testing.T) {
	t.Parallel()
	w, client := served(t, simulator.Options{})
	fan := w.writer()
	require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{Latency: simulator.Duration(time.Hour)}))
	for name, transport := range map[string]http.RoundTripper{"wire": client.Transport, "in-process": w.sim.RoundTripper()} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost,
			"http://sim"+simulator.PathSend+"?access_token="+w.token, strings.NewReader(textBody(fan, name)))
		require.NoError(t, err)
		_, err = transport.RoundTrip(req) //nolint:bodyclose // no answer comes
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.Eventually(t, func() bool { return w.sim.Counts().Send().LostAccepted == 2 }, time.Minute, 5*time.Millisecond)
}

func TestFaultsAreSeededAndBounded(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		w := newWorld(t, simulator.Options{Seed: seed})
		require.NoError(t, w.sim.SetFaults(simulator.PathSend, simulator.Faults{
			ResetBefore: 0.2, ResetAfter: 0.2, Busy: 0.1, Codes: []simulator.CodeShare{{Code: 45011, Share: 0.1}}, Most: 40,
		}))
		var out strings.Builder
		for range 200 {
			a, err := w.try("POST", simulator.PathSend+"?access_token="+w.token, textBody(w.writer(), "x"))
			if err != nil {
				out.WriteString("e ")
				continue
			}
			out.WriteString(strconv.Itoa(a.ErrCode) + " ")
		}
		c := w.sim.Counts().Send()
		require.Equal(t, 40, 200-c.OK, "Most bounds the faults")
		require.Equal(t, c.OK+c.LostAccepted, c.Accepted)
		return out.String()
	}
	first := run(1)
	require.Equal(t, first, run(1))
	require.NotEqual(t, first, run(2))
}

func TestServeStopsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulator.Options{})
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	taken := simulator.Serve(t.Context(), ln.Addr().String(), w.sim)
	require.True(t, fault.Is(taken, fault.Unavailable), "%v", taken)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- simulator.ServeListener(ctx, ln, w.sim) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ln.Addr().String()+"/_sim/accounts", nil)
	require.NoError(t, err)
	tr := &http.Transport{}
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	tr.CloseIdleConnections()
	cancel()
	require.NoError(t, <-done)
}
