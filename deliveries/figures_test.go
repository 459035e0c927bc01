package deliveries

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/walk"
)

// tallied are the counters; those that are 0 are left out.
func (l *ledger) tallied() map[FigureKey]int64 {
	l.t.Helper()
	out := map[FigureKey]int64{}
	err := database.EachRow(l.db.Read(l.t.Context()), func(rows *sql.Rows) error {
		var k FigureKey
		var n int64
		err := rows.Scan(append(k.fields(), &n)...)
		if out[k] += n; out[k] == 0 {
			delete(out, k)
		}
		return err
	}, "SELECT "+figureColumns+", n FROM delivery_figures")
	require.NoError(l.t, err)
	return out
}

// grouped is what the ledger itself says, counted in the plainest way.
func (l *ledger) grouped() map[FigureKey]int64 {
	l.t.Helper()
	out := map[FigureKey]int64{}
	rows, err := read(l.db.Read(l.t.Context()), "id > 0")
	require.NoError(l.t, err)
	for _, d := range rows {
		k := FigureKey{AccountID: d.AccountID, Source: d.Source, Day: int(d.PlannedAt / 86_400_000), MessageID: d.MessageID, Figure: FigurePlanned}
		out[k]++
		if d.State.Terminal() {
			k.Day, k.Figure, k.Reason, k.ErrCode = int(d.EndedAt/86_400_000), Figure(d.State), d.Reason, d.ErrCode
			if d.State == StateSkipped || d.State == StateExpired || d.State == StateCancelled {
				k.ErrCode = 0
			}
			out[k]++
		}
	}
	return out
}

// history does random things to a ledger, as several workers would.
type history struct {
	*ledger
	rand *rand.Rand
	ctx  context.Context
}

// try runs something that another worker may be faster at.
func (h *history) try(fn func(tx *gorm.DB) error) error {
	err := h.db.Tx(h.ctx, fn)
	if errors.Is(err, ErrMoved) {
		return nil
	}
	return err
}

// message is a planned row of one of a few fans, so that workers meet.
func (h *history) planned() Planned {
	p := h.message(1+h.rand.Int64N(6), func(p *Planned) {
		p.Occurrence, p.StepNo, p.MessageNo, p.StepSize = 1+h.rand.Int64N(40), 1+h.rand.IntN(2), 1+h.rand.IntN(2), 2
		p.MessageID = int64(10*p.StepNo + p.MessageNo)
	})
	switch h.rand.IntN(6) {
	case 0:
		p.State, p.Reason, p.Verdict = StateSkipped, guard.ReasonQuietHours, guard.Skip
	case 1:
		p.State, p.Channel = StateSending, guard.ChannelPassive
	}
	return p
}

// any are some rows in a state, as a worker reads them without a lock.
func (h *history) any(where string, args ...any) ([]Delivery, error) {
	rows, err := read(h.db.Read(h.ctx), where, args...)
	h.rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows[:min(len(rows), 1+h.rand.IntN(8))], err
}

func (h *history) plan() error {
	rows := make([]Planned, 1+h.rand.IntN(12))
	for i := range rows {
		rows[i] = h.planned()
	}
	return h.try(func(tx *gorm.DB) error { return h.Plan(tx, h.now(), rows) })
}

func (h *history) mark() error {
	rows, err := h.any("state = ?", StatePlanned)
	if err != nil || len(rows) == 0 {
		return err
	}
	var pointers []*Delivery
	for i := range rows {
		pointers = append(pointers, &rows[i])
	}
	by := Marking{Now: h.now(), BatchID: 1 + h.rand.Int64N(1<<40)}
	return h.try(func(tx *gorm.DB) error { return h.Mark(tx, by, pointers) })
}

func (h *history) stop() error {
	rows, err := h.any("state = ?", StatePlanned)
	reasons := []guard.Reason{guard.ReasonCap, guard.ReasonTooLate, guard.ReasonGrantClosed}
	stopped := make([]Stopped, len(rows))
	for i := range rows {
		stopped[i] = Stopped{Delivery: &rows[i], Verdict: guard.Verdict{Kind: guard.Skip, Reason: reasons[h.rand.IntN(3)]}}
	}
	if err != nil {
		return err
	}
	return h.try(func(tx *gorm.DB) error {
		_, err := h.Stop(tx, h.now(), stopped)
		return err
	})
}

func (h *history) recordAny() error {
	rows, err := h.any("state IN ? AND batch_id > 0", []State{StateSending, StateUnknown})
	if err != nil {
		return err
	}
	ends := []Outcome{
		{State: StateSent},
		{State: StateFailed, Reason: guard.ReasonPlatform, ErrCode: 45015},
		{State: StateUnknown, Reason: guard.ReasonAnswerLost, ErrCode: -1},
		{State: StatePlanned, Reason: guard.ReasonPlatform, ErrCode: 45066, RetryAt: h.ms(time.Minute)},
		{State: StateSkipped, Reason: guard.ReasonPreviousFailed},
	}
	outcomes := make([]Outcome, len(rows))
	for i := range rows {
		outcomes[i] = ends[h.rand.IntN(len(ends))]
		outcomes[i].Delivery = &rows[i]
	}
	return h.try(func(tx *gorm.DB) error {
		mine, err := h.Mine(tx, outcomes)
		if err != nil {
			return err
		}
		return h.Record(tx, h.now(), mine)
	})
}

func (h *history) passive() error {
	rows, err := h.any("channel = ? AND state IN ?", guard.ChannelPassive, []State{StateSending, StateUnknown})
	if err != nil || len(rows) == 0 {
		return err
	}
	return h.try(func(tx *gorm.DB) error {
		_, err := h.ConfirmPassive(tx, h.now(), rows[0].ID, h.rand.IntN(2) == 0)
		return err
	})
}

func (h *history) cancel() error {
	return h.try(func(tx *gorm.DB) error {
		_, err := h.Cancel(tx, Source{SourceDrip, 7}, account, []int64{1 + h.rand.Int64N(6)}, h.now())
		return err
	})
}

func (h *history) forget() error {
	return h.try(func(tx *gorm.DB) error { return h.Forget(tx, h.ms(0), account, []int64{1 + h.rand.Int64N(6)}) })
}

func TestPropertyFiguresEqualTheLedgerWhateverSeveralWorkersDo(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		for round := range uint64(8) {
			var workers sync.WaitGroup
			errs := make([]error, 4)
			for n := range errs {
				workers.Go(func() {
					h := &history{l, rand.New(rand.NewPCG(round, uint64(n))), t.Context()}
					acts := []func() error{h.plan, h.plan, h.mark, h.mark, h.recordAny, h.recordAny, h.stop, h.passive, h.cancel, h.forget}
					for range 25 {
						errs[n] = errors.Join(errs[n], acts[h.rand.IntN(len(acts))]())
					}
				})
			}
			workers.Wait()
			require.NoError(t, errors.Join(errs...))
			require.Equal(t, l.grouped(), l.tallied())
			l.clk.Advance(7 * time.Hour) // rounds lie on several days
		}
		require.Positive(t, l.count("SELECT COUNT(*) FROM delivery_figures WHERE figure = ? AND n <> 0", StateSent))
		if l.db.Dialect() == database.MySQL {
			require.Greater(t, l.count("SELECT COUNT(DISTINCT shard) FROM delivery_figures"), 1)
		}
	})
}

func TestARowPlannedAgainInTheSameMillisecondIsCountedOnce(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		l.plan(l.message(1), l.message(2))
		l.plan(l.message(2), l.message(3), l.message(3))
		require.EqualValues(t, 3, l.tallied()[FigureKey{AccountID: account, Source: Source{SourceDrip, 7}, Day: 20514, MessageID: 1, Figure: FigurePlanned}])
	})
}

func TestALateAnswerMovesFromOneCounterToAnotherAndToItsOwnDay(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		d := l.plan(l.message(1))[0]
		b := l.batch("w", d)
		l.mark(b.ID, &d)
		l.do(func(tx *gorm.DB) error {
			_, _, err := l.Recover(tx, l.now(), &b)
			return err
		})
		l.clk.Advance(24 * time.Hour)
		require.NoError(t, l.record(Outcome{Delivery: &d, State: StateSent}))
		key := FigureKey{AccountID: account, Source: Source{SourceDrip, 7}, Day: 20514, MessageID: 1, Figure: FigurePlanned}
		sent := key
		sent.Day, sent.Figure = 20515, Figure(StateSent)
		require.Equal(t, map[FigureKey]int64{key: 1, sent: 1}, l.tallied())
	})
}

type fixedZone struct{ *time.Location }

func (z fixedZone) Zone(*gorm.DB, int64) (*time.Location, error) { return z.Location, nil }

func TestDaysAreThoseOfTheAccountsZone(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		l.CountIn(fixedZone{time.FixedZone("far east", 14*3600)})
		l.plan(l.message(1)) // 10:03 UTC is past midnight there
		for k := range l.tallied() {
			require.Equal(t, 20515, k.Day)
		}
	})
}

func TestMessagesMadeForOneFanAreCountedTogether(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		for fan := range int64(3) {
			l.plan(l.message(1+fan, func(p *Planned) { p.Source, p.MessageID = Source{SourceAPI, 4}, 100+fan }))
		}
		require.Equal(t, map[FigureKey]int64{{AccountID: account, Source: Source{SourceAPI, 4}, Day: 20514, Figure: FigurePlanned}: 3}, l.tallied())
	})
}

// recount recounts all, in slices of two rows, and returns what differed.
func (l *ledger) recount(until int) (out []Difference) {
	l.t.Helper()
	for after, end := int64(0), false; !end; {
		l.do(func(tx *gorm.DB) (err error) {
			after, end, err = l.RecountSlice(tx, account, after, 2)
			return err
		})
	}
	for src := (Source{}); ; {
		l.do(func(tx *gorm.DB) error {
			next, differ, err := l.CompareFigures(tx, account, src, until)
			src, out = next, append(out, differ...)
			return err
		})
		if src == (Source{}) {
			return out
		}
	}
}

func TestARecountFindsWhatDiffersAndPutsItRight(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2), l.message(3, func(p *Planned) { p.Source.ID = 8 }), l.message(4, func(p *Planned) { p.AccountID = 2 }))
		b := l.batch("w", rows[0])
		l.mark(b.ID, &rows[0])
		require.NoError(t, l.record(Outcome{Delivery: &rows[0], State: StateFailed, Reason: guard.ReasonPlatform, ErrCode: 45015}))
		require.Empty(t, l.recount(30_000))
		right := l.tallied()
		l.do(func(tx *gorm.DB) error {
			return tx.Exec("UPDATE delivery_figures SET n = n + 5 WHERE figure = 6").Error
		})
		l.do(func(tx *gorm.DB) error { return tx.Exec("DELETE FROM delivery_figures WHERE source_id = 8").Error })
		require.Empty(t, l.recount(20_513), "a day that is not asked for is left alone")
		differ := l.recount(30_000)
		require.Len(t, differ, 2)
		require.Equal(t, []int64{6, 1}, []int64{differ[0].Counted, differ[0].Found})
		require.Equal(t, []int64{0, 1}, []int64{differ[1].Counted, differ[1].Found})
		require.Equal(t, right, l.tallied())
	})
}

func TestARecountThatWasCutShortCountsForNothing(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		l.plan(l.message(1), l.message(2), l.message(3))
		l.do(func(tx *gorm.DB) error {
			_, _, err := l.RecountSlice(tx, account, 0, 2)
			return err
		})
		counters, err := l.ReadFigures(t.Context(), Figures{AccountID: account, Kind: SourceDrip, SourceIDs: []int64{7}})
		require.NoError(t, err)
		require.Len(t, counters, 1)
		require.EqualValues(t, 3, counters[0].N)
		require.Empty(t, l.recount(30_000), "the next begins anew")
	})
}

func TestThoseBehindANumberAreFoundPageByPage(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		var rows []Planned
		for fan := range int64(40) {
			for step := 1; step <= 3; step++ {
				rows = append(rows, l.message(1+fan, func(p *Planned) {
					p.StepNo, p.MessageID = step, int64(step)
					if (int(fan)+step)%3 == 0 {
						p.State, p.Reason, p.Verdict = StateSkipped, guard.ReasonCap, guard.Skip
					}
				}))
			}
		}
		l.plan(append(rows, l.message(3, func(p *Planned) { p.AccountID = 2 }))...)
		who := Who{AccountID: account, Source: Source{SourceDrip, 7}, StepNo: 2, States: []State{StateSkipped}, Reason: guard.ReasonCap, Limit: 4}
		var fans []int64
		for pages := 0; ; pages++ {
			require.Less(t, pages, 10)
			page, err := l.FindWho(t.Context(), who)
			require.NoError(t, err)
			for _, d := range page.Rows {
				require.Equal(t, 2, d.StepNo)
				fans = append(fans, d.FanID)
			}
			if page.Next == nil {
				break
			}
			who.After = *page.Next
		}
		require.Equal(t, []int64{2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38}, fans)
		who.After, who.From = walk.Place{}, 20_515
		page, err := l.FindWho(t.Context(), who)
		require.NoError(t, err)
		require.Empty(t, page.Rows, "nothing ended on that day")
	})
}

func TestAPageBehindARareNumberIsFull(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		var rows []Planned
		var want []int64
		for fan := range int64(300) {
			for step := 1; step <= 2; step++ {
				rows = append(rows, l.message(1+fan, func(p *Planned) {
					p.StepNo = step
					if fan%25 == 24 {
						p.State, p.Reason, p.Verdict = StateSkipped, guard.ReasonCap, guard.Skip
					}
				}))
			}
			if fan%25 == 24 {
				want = append(want, 1+fan)
			}
		}
		l.plan(rows...)
		for _, limit := range []int{1, 5, 12, 50} {
			var got []int64
			who := Who{AccountID: account, Source: Source{SourceDrip, 7}, StepNo: 2, States: []State{StateSkipped}, Limit: limit}
			for more := true; more; {
				page, err := l.FindWho(t.Context(), who)
				require.NoError(t, err)
				if more = page.Next != nil; more {
					require.Len(t, page.Rows, limit, "it goes on until it has what it may show")
					who.After = *page.Next
				}
				for _, d := range page.Rows {
					got = append(got, d.FanID)
				}
			}
			require.Equal(t, want, got)
		}
	})
}

// at is a moment of the virtual day.
func (l *ledger) react(acts ...FanAct) {
	l.t.Helper()
	l.do(func(tx *gorm.DB) error { return l.React(tx, account, acts) })
}

func (l *ledger) reactions() map[Figure]int64 {
	out := map[Figure]int64{}
	for k, n := range l.tallied() {
		if k.Figure >= recountedBelow {
			out[k.Figure] += n
		}
	}
	return out
}

// sent is a message that has just reached a fan.
func (l *ledger) sent(p Planned) Delivery {
	l.t.Helper()
	d := l.plan(p)[0]
	b := l.batch("w", d)
	l.mark(b.ID, &d)
	require.NoError(l.t, l.record(Outcome{Delivery: &d, State: StateSent}))
	return d
}

func TestTheFirstActOfAKindWithin48HoursIsAReactionToTheLatestMessage(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		first := l.sent(l.message(1))
		l.clk.Advance(time.Hour)
		second := l.sent(l.message(1, func(p *Planned) { p.StepNo, p.MessageID = 2, 2 }))
		l.plan(l.message(2), l.message(1, func(p *Planned) { p.StepNo = 3 }))
		reply := func(fan int64, after time.Duration) FanAct {
			return FanAct{FanID: fan, At: l.ms(after), Kinds: []Reaction{ReactionReplied}}
		}
		acts := []FanAct{
			reply(1, time.Minute), reply(1, 2*time.Minute), reply(1, -30*time.Minute), reply(2, time.Minute),
			reply(3, 0), {FanID: 1, At: l.ms(time.Hour), Kinds: []Reaction{ReactionUnfollowed, ReactionClicked}}, {FanID: 1, At: l.ms(0)},
		}
		l.react(acts...)
		l.react(acts...)
		l.react(reply(1, 49*time.Hour))
		var noted []struct{ DeliveryID, Kind, At int64 }
		require.NoError(t, l.db.Read(t.Context()).Raw("SELECT delivery_id, kind, at FROM reactions ORDER BY delivery_id, kind").Scan(&noted).Error)
		require.Equal(t, []struct{ DeliveryID, Kind, At int64 }{
			{first.ID, 1, l.ms(-30 * time.Minute)}, {second.ID, 1, l.ms(time.Minute)}, {second.ID, 2, l.ms(time.Hour)}, {second.ID, 3, l.ms(time.Hour)},
		}, noted)
		require.Equal(t, map[Figure]int64{FigureReplied: 2, FigureClicked: 1, FigureUnfollowed: 1}, l.reactions())
		who, err := l.FindWho(t.Context(), Who{AccountID: account, Source: Source{SourceDrip, 7}, StepNo: 2, Reaction: ReactionClicked, From: 20_514})
		require.NoError(t, err)
		require.Len(t, who.Rows, 1)
		l.do(func(tx *gorm.DB) error { return l.Forget(tx, l.ms(0), account, []int64{1}) })
		require.Zero(t, l.count("SELECT COUNT(*) FROM reactions"))
		require.Equal(t, map[Figure]int64{FigureReplied: 2, FigureClicked: 1, FigureUnfollowed: 1}, l.reactions(), "what is counted stays counted")
	})
}

func TestReactionsOfMoreFansThanAStatementTakesAreNoted(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		l.sent(l.message(700))
		acts := make([]FanAct, 700)
		for i := range acts {
			acts[i] = FanAct{FanID: int64(i + 1), At: l.ms(0), Kinds: []Reaction{ReactionReplied}}
		}
		l.react(acts...)
		require.Equal(t, map[Figure]int64{FigureReplied: 1}, l.reactions())
	})
}
