package fans

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

// strangers are people of ours of whom the platform knows nothing.
func (w *syncWorld) strangers(n int) (ids []int64) {
	for i := range n {
		ids = append(ids, w.known(fmt.Sprintf("oNobodyAtThePlatformKnows%03d", i), false))
	}
	return ids
}

func (w *syncWorld) idsOf(openids []string) (ids []int64) {
	for _, openid := range openids {
		ids = append(ids, w.fan(openid).ID)
	}
	return ids
}

func (w *syncWorld) blacklisted() (n int) {
	for _, f := range w.all() {
		if f.Blacklisted {
			n++
		}
	}
	return n
}

func TestFansArePutOnTheBlacklistAndTakenOffAndRefusalsAreTold(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(45, true)
		w.sync()
		ids, stranger := w.idsOf(openids), w.strangers(1)[0]
		b := NewBlacklister(w.Store, w.platform)
		stale := w.stale(ids[3])
		got, err := b.AddToBlacklist(t.Context(), account, append(ids[:40:40], stranger, ids[3]))
		require.NoError(t, err)
		require.Equal(t, 40, got.Done)
		require.Len(t, got.Refused, 1)
		require.Equal(t, []any{stranger, 40003}, []any{got.Refused[0].FanID, got.Refused[0].Err.Code})
		require.Error(t, stale(), "how the fan may be reached has changed")
		w.agrees()
		got, err = b.AddToBlacklist(t.Context(), account, ids)
		require.NoError(t, err)
		require.Equal(t, 45, got.Done, "repeating it does no harm")
		got, err = b.RemoveFromBlacklist(t.Context(), account, ids[:44])
		require.NoError(t, err)
		require.Equal(t, Blacklisted{Done: 44}, got)
		w.agrees()
		require.Equal(t, 1, w.blacklisted())
		require.Empty(t, w.sync(), "and that is how the platform sees it")
		got, err = b.AddToBlacklist(t.Context(), account, w.strangers(110))
		require.NoError(t, err, "whom the platform refuses is told, however many they are")
		require.Equal(t, []int{0, 110}, []int{got.Done, len(got.Refused)})
	})
}

func TestWhatThePlatformConfirmedIsStoredWhenTheRestFails(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(150, true)
		w.sync()
		b := NewBlacklister(w.Store, w.platform)
		calls := 0
		hook := func(path string, _ *http.Response) {
			if path == simulator.PathBlacklistAdd {
				if calls++; calls == 6 {
					if err := w.sim.SetFaults(path, simulator.Faults{BadGateway: 1}); err != nil {
						t.Error(err)
					}
				}
			}
		}
		w.answered.Store(&hook)
		got, err := b.AddToBlacklist(t.Context(), account, w.idsOf(openids))
		require.Equal(t, wechat.ClassRetry, wechat.Classify(err))
		require.Equal(t, Blacklisted{Done: 120}, got)
		w.agrees()
	})
}

func TestOnlyTheAccountsOwnFansAreBlacklisted(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(2, true)
		w.sync()
		b, ids := NewBlacklister(w.Store, w.platform), w.idsOf(openids)
		_, err := b.AddToBlacklist(t.Context(), account+1, ids)
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = b.AddToBlacklist(t.Context(), account, append(ids, 1_000_000))
		require.True(t, fault.Is(err, fault.NotFound))
		for _, list := range [][]int64{nil, make([]int64, MaxBlacklist+1)} {
			_, err = b.RemoveFromBlacklist(t.Context(), account, list)
			require.True(t, fault.Is(err, fault.Invalid))
		}
		require.Zero(t, w.calls(simulator.PathBlacklistAdd))
		for _, n := range []int{0, maxBlacklistJob + 1} {
			list := make([]int64, n)
			for i := range list {
				list[i] = int64(i)
			}
			_, err = NewBlacklisting(account, true, list)
			require.True(t, fault.Is(err, fault.Invalid))
		}
	})
}

func TestALongBlacklistIsAJobThatReportsWhoWasRefused(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(330, true)
		w.sync()
		ids := w.idsOf(openids)
		strangers := w.strangers(130) // a whole slice, and more than the client takes in a row
		j, err := NewBlacklisting(account, true, append(append(ids, strangers...), 1_000_000, ids[0]))
		require.NoError(t, err)
		require.NoError(t, w.jobs.Create(t.Context(), j))
		require.NoError(t, w.sim.SetFaults(simulator.PathBlacklistAdd, simulator.Faults{BadGatewayAfter: 0.1, Busy: 0.1, Most: 4}))
		for w.job(j.ID).State == jobs.StateWaiting {
			w.run()
			w.clk.Advance(time.Hour)
		}
		lines := w.finished(j)
		require.Len(t, lines, 131)
		require.Equal(t, []string{"1000000", "failed", "the account has no such fan"}, lines[130])
		end := w.job(j.ID)
		require.Equal(t, []int64{461, 131, 461}, []int64{end.Done, end.Failed, end.Total})
		require.Equal(t, 330, w.blacklisted())
	})
}
