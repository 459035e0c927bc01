package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/clock"
	"hongyan/internal/stops"
	"hongyan/wechat/simulator"
)

// stopWithin is the most that a stop may take on a busy machine; a second is what it takes when all workers are alive.
const stopWithin = stops.PermitFor + 2*time.Second

// A pause under load: after it returned no call of the drip starts, what it says is on the wire ends, the other drip goes on, and a resume sends the rest. The same for the
// account and for the kill switch.
func TestAfterAStopReturnedNoCallStarts(t *testing.T) {
	t.Parallel()
	const messages = 900
	eachStorage(t, func(t *testing.T, at servers) {
		in := newInstall(t, setup{servers: at, fans: 2 * messages, follow: true, rate: 250, inFlight: 30})
		paused := in.drip("one", onKeyword("one"), dripStep(map[string]any{"delay": "0s"}, "message one"))
		in.drip("two", onKeyword("two"), dripStep(map[string]any{"delay": "0s"}, "message two"))
		in.enter(in.openids[:messages], "one")
		in.enter(in.openids[messages:], "two")
		require.NoError(t, in.sim.SetFaults(simulator.PathSend, simulator.Faults{
			Latency: simulator.Duration(20 * time.Millisecond), LatencyMax: simulator.Duration(200 * time.Millisecond),
		}))
		stop := in.serveBeside()
		s := in.rooms.Scheduler
		change := campaigns.Change{AccountID: in.account.ID, ID: paused.ID}

		in.reaches(150, time.Minute)
		in.holds("message one", func(ctx context.Context) (int, error) { return s.Campaigns.PauseDrip(ctx, change) })
		two := in.calls("message two")
		require.Eventually(t, func() bool { return in.calls("message two") > two }, time.Minute, 10*time.Millisecond, "the other drip stopped as well")
		require.NoError(t, s.Campaigns.ResumeDrip(t.Context(), change))

		in.reaches(in.sim.Counts().Send().Accepted+150, time.Minute)
		in.holds("", func(ctx context.Context) (int, error) { return s.Stops.SetInstallation(ctx, true, "a test") })
		_, err := s.Stops.SetInstallation(t.Context(), false, "")
		require.NoError(t, err)

		in.reaches(in.sim.Counts().Send().Accepted+150, time.Minute)
		in.holds("", func(ctx context.Context) (int, error) { return in.stopAccount(ctx, true) })
		_, err = in.stopAccount(t.Context(), false)
		require.NoError(t, err)

		end := in.finished(2*messages, 2*time.Minute)
		in.balanced(end, 0)
		require.EqualValues(t, 2*messages, end[deliveries.StateSent], in.reasons())
		stop()
	})
}

// holds stops something and checks that no call with the given text, of any text when it is empty, starts afterwards.
func (in *install) holds(text string, stop func(context.Context) (onWire int, err error)) {
	t := in.t
	t.Helper()
	began := time.Now()
	onWire, err := stop(t.Context())
	returned := time.Now()
	require.NoError(t, err)
	late := func() int {
		n := 0
		for _, c := range in.sim.Calls(simulator.Filter{Path: simulator.PathSend}) {
			if c.At.After(returned) && (text == "" || c.Content == text) {
				n++
			}
		}
		return n
	}
	require.Never(t, func() bool { return late() > onWire }, 1200*time.Millisecond, 50*time.Millisecond, "calls start after the stop returned")
	t.Logf("the stop took %s; %d calls were on the wire, %d of them reached the platform after it", returned.Sub(began).Round(time.Millisecond), onWire, late())
	require.Less(t, returned.Sub(began), stopWithin)
	require.LessOrEqual(t, onWire, in.account.InFlight)
}

// calls counts the calls with a text.
func (in *install) calls(text string) int {
	n := 0
	for _, c := range in.sim.Calls(simulator.Filter{Path: simulator.PathSend}) {
		if c.Content == text {
			n++
		}
	}
	return n
}

func (in *install) stopAccount(ctx context.Context, stopped bool) (onWire int, err error) {
	s := in.rooms.Scheduler
	var epoch int64
	err = in.rooms.storage.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		if err := s.Accounts.SetStopped(tx, in.account.ID, stopped, ""); err != nil {
			return err
		}
		epoch, err = stops.Bump(tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.Stops.Wait(ctx, epoch)
}

// serveBeside runs a server while the test uses the rooms: a process of its own or, as the embedded storage belongs to one process, a server in this one.
func (in *install) serveBeside() (stop func()) {
	t := in.t
	if in.servers != (servers{}) {
		return in.serve().stop
	}
	in.close()
	cfg := in.config()
	s := &Server{Config: cfg, Clock: clock.System(), Log: cfg.Logger(t.Output()), Timing: shortTiming()}
	require.NoError(t, s.Open(t.Context()))
	in.rooms = s
	require.NoError(t, s.Start(t.Context()))
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(t, s.Stop(context.WithoutCancel(t.Context())))
		}
	}
	t.Cleanup(stop)
	return stop
}
