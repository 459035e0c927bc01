package fans

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/wechat/simulator"
)

func TestASynchronisationThatIsPausedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(300, true)
		j := w.begin()
		w.onAnswer(simulator.PathUserGet, func(*http.Response) {
			if err := w.jobs.Pause(t.Context(), account, j.ID); err != nil {
				t.Error(err)
			}
		})
		w.run()
		require.Equal(t, []any{jobs.StatePaused, "", int64(0)}, []any{w.job(j.ID).State, w.job(j.ID).Cursor, w.job(j.ID).Done})
		require.Empty(t, w.all(), "a pause takes hold at the next step")
		require.NoError(t, w.jobs.Resume(t.Context(), account, j.ID))

		w.onAnswer(simulator.PathUserInfoBatch, func(*http.Response) {
			if err := w.jobs.Pause(t.Context(), account, j.ID); err != nil {
				t.Error(err)
			}
		})
		w.run()
		require.Equal(t, jobs.StatePaused, w.job(j.ID).State)
		require.Len(t, w.all(), 300)
		require.NoError(t, w.jobs.Resume(t.Context(), account, j.ID))
		w.run()
		require.Empty(t, w.finished(j))
		require.EqualValues(t, 300, w.job(j.ID).Done)
		w.agrees()
	})
}

func TestASynchronisationThatIsCancelledLeavesWhatItHasDone(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		gone := w.people(1, false)[0]
		w.people(30, true)
		w.known(gone, true)
		j := w.begin()
		w.onAnswer(simulator.PathUserInfoBatch, func(*http.Response) {
			if err := w.jobs.Cancel(t.Context(), account, j.ID); err != nil {
				t.Error(err)
			}
		})
		w.run()
		require.Equal(t, jobs.StateCancelled, w.job(j.ID).State)
		require.Len(t, w.all(), 31)
		require.True(t, w.fan(gone).Subscribed, "by absence alone nobody is gone")
		require.Equal(t, [][]string{{gone, "unfollowed", ""}}, w.sync(), "the next begins anew")
		w.agrees()
	})
}

func TestAQuotaThatIsUsedUpMakesTheSynchronisationWaitForTheNextDay(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(1000, true)
		require.NoError(t, w.sim.SetLimit(syncAppID, simulator.PathUserInfoBatch, simulator.Limit{Daily: 4}))
		j := w.begin() // 11:00 UTC, 19:00 in Beijing
		for day := range 2 {
			w.run()
			half := w.job(j.ID)
			require.Equal(t, []any{jobs.StateWaiting, 0}, []any{half.State, half.Tries}, half.Error)
			require.Contains(t, half.Error, "45009")
			midnight := time.Date(2026, 3, 2+day, 16, 5, 0, 0, time.UTC)
			w.clk.Set(midnight.Add(-time.Millisecond))
			ran, err := w.worker.RunOnce(t.Context())
			require.NoError(t, err)
			require.False(t, ran, "not before the platform's day is over")
			w.clk.Set(midnight)
		}
		w.run()
		require.Empty(t, w.finished(j))
		w.agrees()
		require.Equal(t, 10, w.answers(simulator.PathUserInfoBatch), "no answer was thrown away")
		require.EqualValues(t, 1000, w.job(j.ID).Done)
	})
}

// answers counts the calls that were answered without an error code.
func (w *syncWorld) answers(path string) int {
	code := 0
	return len(w.sim.Calls(simulator.Filter{Path: path, Code: &code}))
}

func TestAMinutesQuotaIsWaitedForToo(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(1000, true)
		require.NoError(t, w.sim.SetLimit(syncAppID, simulator.PathUserInfoBatch, simulator.Limit{PerMinute: 6}))
		j := w.begin()
		w.run()
		require.Equal(t, []any{jobs.StateWaiting, 0}, []any{w.job(j.ID).State, w.job(j.ID).Tries})
		require.Contains(t, w.job(j.ID).Error, "45011")
		w.clk.Advance(time.Minute)
		w.run()
		require.Empty(t, w.finished(j))
		require.Equal(t, 10, w.answers(simulator.PathUserInfoBatch))
	})
}

func TestTheDaysPagesOfTheListAreBudgeted(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(5, true)
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error {
			return tx.Exec("INSERT INTO api_budgets (account_id, api, day, used, most) VALUES (?, ?, 20260302, 500, 500)", account, fansAPI).Error
		}))
		j := w.begin()
		w.run()
		require.Equal(t, []any{jobs.StateWaiting, 0}, []any{w.job(j.ID).State, w.job(j.ID).Tries})
		require.Zero(t, w.calls(simulator.PathUserGet), "the platform is not even asked")
		w.clk.Advance(6 * time.Hour)
		require.NoError(t, w.sim.SetFaults(simulator.PathUserGet, simulator.Faults{Codes: []simulator.CodeShare{{Code: 45009, Share: 1}}, Most: 1}))
		w.run()
		require.Contains(t, w.job(j.ID).Error, "45009", "others share the quota")
		w.clk.Advance(24 * time.Hour)
		w.run()
		require.Empty(t, w.finished(j))
		w.agrees()
	})
}

func (w *syncWorld) calls(path string) int { return len(w.sim.Calls(simulator.Filter{Path: path})) }

func TestAStoppedAccountIsNotSynchronised(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		ids := []int64{w.known(w.people(5, true)[0], true)}
		w.gate.stopped.Store(true)
		j := w.begin()
		w.run()
		require.Equal(t, []any{jobs.StateWaiting, 0}, []any{w.job(j.ID).State, w.job(j.ID).Tries})
		_, err := NewBlacklister(w.Store, w.platform).AddToBlacklist(t.Context(), account, ids)
		require.True(t, fault.Is(err, fault.Unavailable))
		require.Zero(t, w.calls(""))
		w.gate.stopped.Store(false)
		w.clk.Advance(stoppedPause)
		w.run()
		require.Empty(t, w.finished(j))
		w.agrees()
	})
}

func TestAFailureThatMayPassIsTriedAgainAndOneThatWillNotEndsTheSynchronisation(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(500, true)
		require.NoError(t, w.sim.SetFaults(simulator.PathUserInfoBatch, simulator.Faults{BadGateway: 0.3, Busy: 0.3, Most: 4}))
		j := w.begin()
		for w.job(j.ID).State == jobs.StateWaiting {
			w.run()
			w.clk.Advance(time.Hour)
		}
		require.Empty(t, w.finished(j))
		w.agrees()
		require.NoError(t, w.sim.SetFaults(simulator.PathUserGet, simulator.Faults{Codes: []simulator.CodeShare{{Code: 48001, Share: 1}}}))
		j = w.begin()
		w.run()
		require.Equal(t, jobs.StateFailed, w.job(j.ID).State)
		require.Contains(t, w.job(j.ID).Error, "48001")
	})
}

func TestAFanWhomThePlatformRefusesIsReportedAndKept(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		w.people(3, true)
		for i := range 150 { // more than the client takes in a row
			w.known(fmt.Sprintf("oNobodyAtThePlatformKnows%03d", i), true)
		}
		lines := w.sync()
		require.Len(t, lines, 150)
		require.Equal(t, "failed", lines[0][1])
		require.Contains(t, lines[0][2], "40003")
		require.Equal(t, []int64{153, 150}, []int64{w.lastJob().Done, w.lastJob().Failed})
		require.True(t, w.fan("oNobodyAtThePlatformKnows000").Subscribed)
	})
}

func TestAListThatRepeatsItselfMakesNobodyTwice(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(10_200, true)
		pages := 0
		hook := func(path string, resp *http.Response) {
			if path != simulator.PathUserGet {
				return
			}
			if pages++; pages == 2 { // the second page begins with fans of the first
				rewrite(t, resp, func(body map[string]any) {
					data := body["data"].(map[string]any)
					list := data["openid"].([]any)
					for _, openid := range openids[9_900:10_000] {
						list = slices.Insert(list, 0, any(openid))
					}
					data["openid"], body["count"] = list, len(list)
				})
			}
		}
		w.answered.Store(&hook)
		require.NoError(t, w.sim.SetFaults(simulator.PathUserInfoBatch, simulator.Faults{BadGateway: 1}))
		j := w.begin()
		w.run()
		require.Equal(t, 2, pages)
		require.Contains(t, w.job(j.ID).Cursor, `"listed":10200`)
		require.NoError(t, w.jobs.Cancel(t.Context(), account, j.ID))
		w.agrees()
	})
}

func TestAForgottenCursorBeginsTheListAnew(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		for _, openid := range w.people(1001, true) { // two pages of the blacklist
			require.NoError(t, w.sim.SetFanFlags(openid, simulator.FanFlags{Blacklisted: true}))
		}
		forget := func(times int) {
			w.onAnswer(simulator.PathBlacklistGet, func(*http.Response) {
				err := w.sim.SetFaults(simulator.PathBlacklistGet, simulator.Faults{Codes: []simulator.CodeShare{{Code: 40003, Share: 1}}, Most: times})
				if err != nil {
					t.Error(err)
				}
			})
		}
		forget(1)
		require.Len(t, w.sync(), 1001)
		require.Equal(t, 5, w.calls(simulator.PathBlacklistGet), "one page, the second refused, then the two of them and the empty one behind")
		w.agrees()
	})
}

func TestAListThatGoesRoundInACircleEndsTheSynchronisation(t *testing.T) {
	t.Parallel()
	eachSync(t, func(t *testing.T, w *syncWorld) {
		openids := w.people(3, true)
		for _, openid := range openids {
			require.NoError(t, w.sim.SetFanFlags(openid, simulator.FanFlags{Blacklisted: true}))
		}
		pages := 0
		hook := func(path string, resp *http.Response) {
			if path == simulator.PathBlacklistGet {
				pages++
				rewrite(t, resp, func(body map[string]any) { body["next_openid"] = openids[pages%2] })
			}
		}
		w.answered.Store(&hook)
		j := w.begin()
		for w.job(j.ID).State == jobs.StateWaiting {
			w.run()
			w.clk.Advance(time.Hour)
		}
		require.Equal(t, jobs.StateFailed, w.job(j.ID).State)
		require.Contains(t, w.job(j.ID).Error, "circle")
		require.Less(t, pages, 120)
	})
}
