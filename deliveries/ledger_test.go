package deliveries

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/wechat"
)

func TestPlanningTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		moved := l.message(2, func(p *Planned) {
			p.Verdict, p.Reason, p.Values = guard.Defer, guard.ReasonQuietHours, []guard.Value{{Name: "due_at", Number: p.DueAt}}
		})
		first := l.plan(l.message(1), moved)
		again := l.plan(l.message(1, func(p *Planned) { p.MessageID = 99 }), moved, l.message(1, func(p *Planned) { p.Resend = 1 }))
		require.Equal(t, first, again[:2], "what is there stays as it is")
		require.Equal(t, 3, l.count("SELECT COUNT(*) FROM deliveries"), "a repetition is a row of its own")
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM decisions"))
		l.clk.Advance(time.Second)
		l.plan(moved)
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM decisions"))
	})
}

func TestARowThatEndsAsItIsPlannedIsInNoLane(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(
			l.message(1, func(p *Planned) { p.State, p.Verdict, p.Reason = StateSkipped, guard.Skip, guard.ReasonSuperseded }),
			l.message(2, func(p *Planned) { p.State, p.Channel = StateSending, guard.ChannelPassive }))
		require.Equal(t, l.ms(0), rows[0].EndedAt)
		require.Equal(t, l.ms(0), rows[1].MarkedAt)
		require.Equal(t, 1, rows[1].Attempt)
		require.Zero(t, l.lane(rows[0].ID))
		require.Zero(t, l.lane(rows[1].ID))
	})
}

func TestOnlyPlannedRowsAreMarked(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2))
		for i := range rows {
			rows[i].Reserved = Reservation{Buckets: 1 << wechat.TriggerScan, Generation: 40 + int(rows[i].FanID), CapDay: 20_000}
		}
		// The transaction is repeated after a deadlock: the attempt is counted once all the same.
		undone := errors.New("undone")
		require.ErrorIs(t, l.tx(func(tx *gorm.DB) error {
			require.NoError(t, l.Mark(tx, Marking{Now: l.now(), BatchID: 5}, []*Delivery{&rows[0], &rows[1]}))
			return undone
		}), undone)
		l.mark(5, &rows[0], &rows[1])
		for i := range rows {
			got := l.get(rows[i].ID)
			require.Equal(t, StateSending, got.State)
			require.Equal(t, Reservation{1 << wechat.TriggerScan, 40 + int(rows[i].FanID), 20_000}, got.Reserved)
			require.EqualValues(t, 5, got.BatchID)
			require.Equal(t, 1, got.Attempt)
			require.Equal(t, got.Attempt, rows[i].Attempt)
			require.Zero(t, l.lane(got.ID))
		}
		third := l.plan(l.message(3))
		err := l.tx(func(tx *gorm.DB) error {
			return l.Mark(tx, Marking{Now: l.now(), BatchID: 6}, []*Delivery{&third[0], l.get(rows[0].ID)})
		})
		require.ErrorIs(t, err, ErrMoved)
		require.Equal(t, StatePlanned, l.get(third[0].ID).State, "all or none")
		require.EqualValues(t, 5, l.get(rows[0].ID).BatchID)
	})
}

func TestAStopSkipsExpiresOrPutsOff(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2), l.message(3), l.message(4), l.message(5))
		verdicts := []guard.Verdict{
			{Kind: guard.Skip, Reason: guard.ReasonCap},
			{Kind: guard.Skip, Reason: guard.ReasonTooLate},
			{Kind: guard.Defer, Reason: guard.ReasonGap, Until: l.ms(time.Hour)},
			{Kind: guard.Defer, Reason: guard.ReasonGrantClosed},
			{Kind: guard.Defer, Reason: guard.ReasonCampaignStopped},
		}
		stopped := make([]Stopped, len(rows))
		for i := range rows {
			stopped[i] = Stopped{Delivery: &rows[i], Verdict: verdicts[i]}
		}
		var ended []Ended
		l.do(func(tx *gorm.DB) (err error) {
			ended, err = l.Stop(tx, l.now(), stopped)
			return err
		})
		require.Equal(t, []Ended{
			{rows[0].Key, StateSkipped, guard.ReasonCap, l.ms(0)}, {rows[1].Key, StateExpired, guard.ReasonTooLate, l.ms(0)},
		}, ended)
		require.Equal(t, StateSkipped, l.get(rows[0].ID).State)
		require.Equal(t, StateExpired, l.get(rows[1].ID).State)
		require.Zero(t, l.lane(rows[0].ID))
		later := l.get(rows[2].ID)
		require.Equal(t, l.ms(time.Hour), later.DueAt)
		require.Equal(t, StatePlanned, later.State)
		require.Equal(t, laneWaiting, l.lane(later.ID))
		require.Equal(t, rows[3].NotAfter, l.get(rows[3].ID).DueAt, "nothing but an interaction makes it due before")
		require.Equal(t, rows[4], *l.get(rows[4].ID), "what waits for the end of a stop keeps its place")
		require.Equal(t, 4, l.count("SELECT COUNT(*) FROM decisions"))
		err := l.tx(func(tx *gorm.DB) error {
			_, err := l.Stop(tx, l.now(), stopped[:1])
			return err
		})
		require.ErrorIs(t, err, ErrMoved)
	})
}

func TestOnlyTheOwnerRecords(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2))
		l.mark(5, &rows[0])
		l.mark(6, &rows[1])
		foreign := rows[0]
		foreign.BatchID = 6
		// The set holds an outcome of batch 6 that is right, which must not let the wrong one pass.
		err := l.record(Outcome{Delivery: &foreign, State: StateSent}, Outcome{Delivery: &rows[1], State: StateSent})
		require.ErrorIs(t, err, ErrMoved)
		require.NoError(t, l.record(Outcome{Delivery: &rows[0], State: StateFailed, Reason: guard.ReasonPlatform, ErrCode: 45002, RID: "r"}, Outcome{Delivery: &rows[1], State: StateSent}))
		require.Equal(t, 45002, l.get(rows[0].ID).ErrCode)
		require.Equal(t, StateSent, l.get(rows[1].ID).State)
		require.ErrorIs(t, l.record(Outcome{Delivery: &rows[1], State: StateFailed}), ErrMoved, "once")
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM decisions"), "what was sent needs no reason")
	})
}

func TestALateAnswerOfTheOwnerReplacesUnknown(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2), l.message(3))
		l.mark(5, &rows[0], &rows[1], &rows[2])
		for i := range rows {
			require.NoError(t, l.record(Outcome{Delivery: &rows[i], State: StateUnknown, Reason: guard.ReasonWorkerDied}))
		}
		require.NoError(t, l.record(Outcome{Delivery: &rows[0], State: StateSent}))
		require.Equal(t, StateSent, l.get(rows[0].ID).State)
		require.Equal(t, guard.ReasonNone, l.get(rows[0].ID).Reason)
		require.NoError(t, l.record(Outcome{Delivery: &rows[1], State: StateFailed, Reason: guard.ReasonPlatform}))
		retry := Outcome{Delivery: &rows[2], State: StatePlanned, Reason: guard.ReasonNotSent, RetryAt: l.ms(time.Second)}
		require.ErrorIs(t, l.record(retry), ErrMoved, "what was given up is not sent again")
		foreign := rows[2]
		foreign.BatchID = 8
		require.ErrorIs(t, l.record(Outcome{Delivery: &foreign, State: StateSent}), ErrMoved)
	})
}

func TestARetryIsDueAgainWithoutItsReservation(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1))
		rows[0].Reserved = Reservation{Buckets: 3, CapDay: 20_000}
		l.mark(5, &rows[0])
		retry := Outcome{Delivery: &rows[0], State: StatePlanned, Reason: guard.ReasonNotSent, RetryAt: l.ms(time.Second)}
		require.True(t, retry.Released())
		require.NoError(t, l.record(retry))
		got := l.get(rows[0].ID)
		require.Equal(t, StatePlanned, got.State)
		require.Equal(t, l.ms(time.Second), got.DueAt)
		require.Zero(t, got.Reserved.Buckets)
		require.Zero(t, got.Reserved.CapDay)
		require.Equal(t, laneWaiting, l.lane(got.ID))
		require.Empty(t, Ends(l.now(), []Outcome{retry}))

		// The commit's answer was lost, and the recorder tries again: the outcome is nobody's any more.
		require.ErrorIs(t, l.record(retry), ErrMoved)
		var mine []Outcome
		l.do(func(tx *gorm.DB) (err error) {
			mine, err = l.Mine(tx, []Outcome{retry})
			return err
		})
		require.Empty(t, mine)
	})
}

func TestMineKeepsWhatMayStillBeRecorded(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2), l.message(3))
		l.mark(5, &rows[0], &rows[1], &rows[2])
		require.NoError(t, l.record(Outcome{Delivery: &rows[1], State: StateUnknown, Reason: guard.ReasonWorkerDied}))
		foreign := rows[2]
		foreign.BatchID = 6
		var mine []Outcome
		l.do(func(tx *gorm.DB) (err error) {
			mine, err = l.Mine(tx, []Outcome{
				{Delivery: &rows[0], State: StatePlanned}, {Delivery: &rows[1], State: StatePlanned}, {Delivery: &rows[1], State: StateSent}, {Delivery: &foreign, State: StateSent},
			})
			return err
		})
		require.Len(t, mine, 2)
		require.Equal(t, rows[0].ID, mine[0].Delivery.ID)
		require.Equal(t, StateSent, mine[1].State)
		require.Equal(t, []Ended{{rows[1].Key, StateSent, guard.ReasonNone, l.ms(0)}}, Ends(l.now(), mine))
	})
}

func TestAPassiveReplyIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		passive := func(p *Planned) { p.State, p.Channel = StateSending, guard.ChannelPassive }
		rows := l.plan(l.message(1, passive), l.message(2, passive), l.message(3))
		confirm := func(i int, handed bool) (ended []Ended) {
			l.do(func(tx *gorm.DB) (err error) {
				ended, err = l.ConfirmPassive(tx, l.now(), rows[i].ID, handed)
				return err
			})
			return ended
		}
		require.Len(t, confirm(0, true), 1)
		require.Empty(t, confirm(0, false))
		require.Equal(t, StateSent, l.get(rows[0].ID).State)
		require.Equal(t, StateUnknown, confirm(1, false)[0].State)
		require.Equal(t, StateSent, confirm(1, true)[0].State, "it was handed over after all")
		require.Empty(t, confirm(2, true), "not a passive reply")
	})
}

func TestLaterMessagesLookAtTheEarlierOnesOfTheirStep(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		step := l.plan(l.step(1, 2)...)
		again := l.plan(l.step(1, 2, func(p *Planned) { p.Resend = 1 })...)
		previous := func(d *Delivery) (failed, open bool) {
			l.do(func(tx *gorm.DB) (err error) {
				failed, open, err = l.Previous(tx, d)
				return err
			})
			return failed, open
		}
		failed, open := previous(&step[1])
		require.False(t, failed)
		require.True(t, open)
		l.mark(5, &step[0])
		require.NoError(t, l.record(Outcome{Delivery: &step[0], State: StateFailed, Reason: guard.ReasonPlatform}))
		failed, open = previous(&step[1])
		require.True(t, failed)
		require.False(t, open)
		l.mark(6, &again[0])
		require.NoError(t, l.record(Outcome{Delivery: &again[0], State: StateSent}))
		failed, open = previous(&again[1])
		require.False(t, failed, "the repetition does not fail with what it repeats")
		require.False(t, open)
	})
}

func TestCancelEndsPlannedRowsSliceBySlice(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := make([]Planned, cancelSlice+5)
		for i := range rows {
			rows[i] = l.message(int64(i + 1))
		}
		l.do(func(tx *gorm.DB) error { return l.Plan(tx, l.now(), rows) })
		others := l.plan(l.message(1, func(p *Planned) { p.Source.ID = 8 }), l.message(1, func(p *Planned) { p.AccountID = 2 }))
		cancel := func(fans []int64) (n int64) {
			l.do(func(tx *gorm.DB) (err error) {
				n, err = l.Cancel(tx, Source{SourceDrip, 7}, account, fans, l.now())
				return err
			})
			return n
		}
		require.EqualValues(t, 2, cancel([]int64{3, 4}))
		first := l.get(int64(l.count("SELECT id FROM deliveries WHERE fan_id = 1 AND source_id = 7 AND account_id = 1")))
		l.mark(5, first)
		require.EqualValues(t, cancelSlice, cancel(nil))
		require.EqualValues(t, 2, cancel(nil))
		require.Zero(t, cancel(nil))
		require.Equal(t, StateSending, l.get(first.ID).State, "a call that is being made is not cancelled")
		require.Equal(t, StatePlanned, l.get(others[0].ID).State)
		require.Equal(t, cancelSlice+4, l.count("SELECT COUNT(*) FROM deliveries WHERE state = ? AND reason = ? AND ended_at > 0 AND lane IS NULL", StateCancelled, guard.ReasonCancelled))
	})
}

func TestOpenTellsHowFarARunHasCome(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		second := func(p *Planned) { p.StepNo, p.DueAt = 2, l.ms(time.Hour) }
		first := l.plan(l.step(1, 2)...)
		l.plan(l.step(1, 2, second)...)
		only := l.plan(l.message(2, func(p *Planned) { p.Occurrence = 3 }))
		l.mark(5, &first[0], &first[1], &only[0])
		l.clk.Advance(time.Minute)
		require.NoError(t, l.record(Outcome{Delivery: &first[0], State: StateSent}, Outcome{Delivery: &first[1], State: StateSent}, Outcome{Delivery: &only[0], State: StateSent}))
		open, err := l.Open(l.db.Read(t.Context()), account, Source{SourceDrip, 7}, []int64{1, 2, 3})
		require.NoError(t, err)
		require.Equal(t, map[OpenKey]OpenStep{
			{1, 1}: {StepNo: 2, Rows: 2, Open: 2, DueAt: l.ms(59 * time.Minute)},
			{2, 3}: {StepNo: 1, Rows: 1, Open: 0, Sent: 1, LastEnd: l.ms(0)},
		}, open)
	})
}

func TestUncountedSendsAreThoseThePlatformMayCountAfterAnAct(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		occurrence := func(n int64) func(*Planned) { return func(p *Planned) { p.Occurrence = n } }
		rows := l.plan(l.message(1, occurrence(1)), l.message(1, occurrence(2)), l.message(1, occurrence(3)), l.message(1, occurrence(4)), l.message(1, occurrence(5)), l.message(2))
		passive := l.plan(l.message(1, occurrence(6), func(p *Planned) { p.Channel, p.State = guard.ChannelPassive, StateSending }))
		l.mark(5, &rows[0], &rows[1], &rows[2], &rows[3])
		require.NoError(t, l.record(Outcome{Delivery: &rows[0], State: StateSent}))
		l.clk.Advance(time.Minute)
		act := l.ms(0)
		require.NoError(t, l.record(Outcome{Delivery: &rows[1], State: StateUnknown}, Outcome{Delivery: &rows[2], State: StateFailed}))
		uncounted := func(since map[int64]int64) (out map[int64]int) {
			l.do(func(tx *gorm.DB) (err error) {
				out, err = l.Uncounted(tx, since)
				return err
			})
			return out
		}
		require.Equal(t, map[int64]int{1: 2}, uncounted(map[int64]int64{1: act, 2: act}), "one unknown, one on the wire")
		require.Equal(t, map[int64]int{1: 3}, uncounted(map[int64]int64{1: act - 60_000, 2: act}), "and the one sent in the very moment")
		require.Equal(t, map[int64]int{1: 1}, uncounted(map[int64]int64{1: act + 1, 2: act - 60_000}), "another fan's earlier time does not count")
		require.Empty(t, uncounted(nil))
		require.Equal(t, StateSending, l.get(passive[0].ID).State)
	})
}
