package deliveries

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/limits"
	"hongyan/wechat"
)

// grant opens a grant of three messages for a fan and recomputes its rows.
func (l *ledger) grant(fan int64, trigger wechat.Trigger, until int64) {
	l.t.Helper()
	u := &limits.Usage{FanID: fan, AccountID: account}
	u.Grants.Buckets[trigger] = guard.Bucket{Left: 3, Until: until}
	l.do(func(tx *gorm.DB) error {
		return l.Regrant(tx, l.now(), l.policy, account, map[int64]*limits.Usage{fan: u})
	})
}

func TestTheDeadlineFollowsTheGrant(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		later := func(p *Planned) { p.DueAt, p.Occurrence = l.ms(time.Minute), 2 }
		rows := l.plan(l.message(1), l.message(1, later), l.message(2),
			l.message(1, func(p *Planned) { p.Occurrence, p.Channel, p.State = 3, guard.ChannelPassive, StateSending }))
		until := l.ms(50 * time.Second)
		l.grant(1, wechat.TriggerScan, until)
		require.Equal(t, until, l.get(rows[0].ID).Deadline)
		lane, _, at := l.place(rows[0].ID)
		require.Equal(t, limits.LaneUrgent, lane, "50 seconds are near")
		require.Equal(t, until, at)
		require.Equal(t, rows[1].NotAfter, l.get(rows[1].ID).Deadline, "the grant has ended when it is due")
		require.Equal(t, rows[2], *l.get(rows[2].ID), "another fan's grant")
		require.Equal(t, rows[3], *l.get(rows[3].ID), "a passive reply needs none")

		l.grant(1, wechat.TriggerMessage, l.ms(47*time.Hour))
		require.Equal(t, rows[0].NotAfter, l.get(rows[0].ID).Deadline, "the hard deadline comes first")
		require.Equal(t, limits.LaneBulk, l.lane(rows[0].ID))
		require.Equal(t, laneWaiting, l.lane(rows[1].ID))
	})
}

func TestAnInteractionMakesDueWhatWaitedForIt(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		waiting := func(p *Planned) { p.Options = guard.OptWaitForGrant }
		rows := l.plan(l.message(1, waiting), l.message(1, waiting, func(p *Planned) { p.Occurrence = 2 }))
		reasons := []guard.Verdict{{Kind: guard.Defer, Reason: guard.ReasonGrantExhausted}, {Kind: guard.Defer, Reason: guard.ReasonGap, Until: l.ms(time.Hour)}}
		for i := range rows {
			l.do(func(tx *gorm.DB) error {
				_, err := l.Stop(tx, l.now(), []Stopped{{Delivery: &rows[i], Verdict: reasons[i]}})
				return err
			})
		}
		l.clk.Advance(time.Minute)
		l.grant(1, wechat.TriggerMessage, l.ms(10*time.Hour))
		got := l.get(rows[0].ID)
		require.Equal(t, l.ms(0), got.DueAt)
		require.Equal(t, l.ms(10*time.Hour), got.Deadline)
		require.Equal(t, limits.LaneBulk, l.lane(got.ID))
		require.Equal(t, l.ms(59*time.Minute), l.get(rows[1].ID).DueAt, "a gap does not end by an interaction")
		require.Equal(t, laneWaiting, l.lane(rows[1].ID))
	})
}

func TestAGrantPlacesRowsAgainstQuietHours(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		zero := 0
		var err error
		l.policy, err = guard.PolicySpec{SpreadMinutes: &zero, Quiet: []guard.QuietRange{{Start: "10:00", End: "12:00"}}}.Compile("UTC")
		require.NoError(t, err)
		waiting := func(p *Planned) { p.Options, p.Reason = guard.OptWaitForGrant, guard.ReasonGrantClosed }
		noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).UnixMilli()
		rows := l.plan(l.message(1, waiting), l.message(1, func(p *Planned) { p.Class, p.Occurrence = guard.ClassReply, 2 }))
		l.grant(1, wechat.TriggerMessage, l.ms(30*time.Hour))
		require.Equal(t, noon, l.get(rows[0].ID).DueAt)
		require.Equal(t, laneWaiting, l.lane(rows[0].ID))
		require.Equal(t, l.ms(0), l.get(rows[1].ID).DueAt, "a reply is free of quiet hours")
		steps, err := l.Explain(t.Context(), account, rows[0].ID)
		require.NoError(t, err)
		require.Equal(t, EventMoved, steps.Steps[1].Event)
	})
}

func TestWhatIsKeptForAgentsIsNoGrantExceptForReplies(t *testing.T) {
	t.Parallel()
	policy, err := guard.PolicySpec{HoldForAgents: 5}.Compile("UTC")
	require.NoError(t, err)
	var g guard.Grants
	g.Buckets[wechat.TriggerMessage] = guard.Bucket{Left: 5, Until: 1000}
	require.EqualValues(t, 5000, EffectiveDeadline(&g, policy, &guard.Request{Class: guard.ClassMarketing, Channel: guard.ChannelKefu, NotAfter: 5000}, 10))
	require.EqualValues(t, 1000, EffectiveDeadline(&g, policy, &guard.Request{Class: guard.ClassReply, Channel: guard.ChannelKefu, NotAfter: 5000}, 10))
	require.EqualValues(t, 5000, EffectiveDeadline(&g, policy, &guard.Request{Class: guard.ClassReply, Channel: guard.ChannelPassive, NotAfter: 5000}, 10))
}

// TestCanMoveEqualsWhatTheStatementsDo drives a row of each state through each statement and compares what happened with the table.
func TestCanMoveEqualsWhatTheStatementsDo(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		fan := int64(0)
		in := func(state State) *Delivery {
			fan++
			d := l.plan(l.message(fan))[0]
			l.do(func(tx *gorm.DB) error {
				return tx.Exec("UPDATE deliveries SET state = ?, batch_id = 5 WHERE id = ?", state, d.ID).Error
			})
			return l.get(d.ID)
		}
		record := func(to State) func(*gorm.DB, *Delivery) error {
			return func(tx *gorm.DB, d *Delivery) error {
				return l.Record(tx, l.now(), []Outcome{{Delivery: d, State: to, Reason: guard.ReasonPlatform, RetryAt: l.ms(time.Second)}})
			}
		}
		stop := func(v guard.Verdict) func(*gorm.DB, *Delivery) error {
			return func(tx *gorm.DB, d *Delivery) error {
				_, err := l.Stop(tx, l.now(), []Stopped{{Delivery: d, Verdict: v}})
				return err
			}
		}
		// Each change of state, by the statement that makes it, and the states that the statement starts from.
		changes := []struct {
			to   State
			from []State
			do   func(*gorm.DB, *Delivery) error
		}{
			{StateSending, []State{StatePlanned}, func(tx *gorm.DB, d *Delivery) error {
				return l.Mark(tx, Marking{Now: l.now(), BatchID: 5}, []*Delivery{d})
			}},
			{StatePlanned, []State{StatePlanned}, stop(guard.Verdict{Kind: guard.Defer, Reason: guard.ReasonGap, Until: l.ms(time.Hour)})},
			{StateSkipped, []State{StatePlanned}, stop(guard.Verdict{Kind: guard.Skip, Reason: guard.ReasonCap})},
			{StateExpired, []State{StatePlanned}, stop(guard.Verdict{Kind: guard.Skip, Reason: guard.ReasonTooLate})},
			{StateCancelled, []State{StatePlanned}, func(tx *gorm.DB, d *Delivery) error {
				n, err := l.Cancel(tx, d.Source, account, []int64{d.FanID}, l.now())
				if err == nil && n == 0 {
					return ErrMoved
				}
				return err
			}},
			{StateSent, []State{StateSending, StateUnknown}, record(StateSent)},
			{StateFailed, []State{StateSending, StateUnknown}, record(StateFailed)},
			{StateUnknown, []State{StateSending}, record(StateUnknown)},
			{StatePlanned, []State{StateSending}, record(StatePlanned)},
			{StateSkipped, []State{StateSending}, record(StateSkipped)},
		}
		made := map[[2]State]bool{}
		for _, c := range changes {
			for from := StatePlanned; from <= StateCancelled; from++ {
				d := in(from)
				err := l.tx(func(tx *gorm.DB) error { return c.do(tx, d) })
				allowed := false
				for _, f := range c.from {
					allowed = allowed || f == from
				}
				if !allowed {
					require.ErrorIs(t, err, ErrMoved, "%s to %s", from, c.to)
					require.Equal(t, from, l.get(d.ID).State)
					continue
				}
				require.NoError(t, err, "%s to %s", from, c.to)
				require.Equal(t, c.to, l.get(d.ID).State)
				made[[2]State{from, c.to}] = true
			}
		}
		made[[2]State{StateSent, StateDelivered}], made[[2]State{StateSent, StateRejected}] = true, true // by receipts of templates
		for from := StatePlanned; from <= StateCancelled; from++ {
			for to := StatePlanned; to <= StateCancelled; to++ {
				require.Equal(t, made[[2]State{from, to}], CanMove(from, to), "%s to %s", from, to)
			}
			require.NotEmpty(t, from.String())
			require.Equal(t, from != StatePlanned && from != StateSending, from.Terminal())
		}
	})
}
