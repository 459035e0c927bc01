package deliveries

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/trim"
)

func (l *ledger) forgetAll(forget func(context.Context, trim.Slice) (trim.Cut, error), s trim.Slice) (removed int64) {
	l.t.Helper()
	for {
		cut, err := forget(l.t.Context(), s)
		require.NoError(l.t, err)
		removed += cut.Removed
		if s.After = cut.Next; cut.End {
			return removed
		}
	}
}

func TestTracesOfWhatEndedLongAgoGoAndTheLedgerStays(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		skipped := func(p *Planned) {
			p.State, p.Reason, p.Verdict = StateSkipped, guard.ReasonCap, guard.Skip
			p.Values = []guard.Value{{Name: "cap", Number: 3}}
		}
		moved := func(p *Planned) { p.Verdict, p.Reason = guard.Defer, guard.ReasonQuietHours }
		old := l.plan(l.message(1, skipped), l.message(2, moved), l.message(3, skipped, func(p *Planned) { p.AccountID = 2 }), l.message(4, skipped), l.message(6, moved))
		begun := l.ms(0)
		l.clk.Advance(10 * 24 * time.Hour)
		l.do(func(tx *gorm.DB) error { // this one was moved long ago and ended just now
			_, err := l.Cancel(tx, Source{SourceDrip, 7}, account, []int64{6}, l.now())
			return err
		})
		fresh := l.plan(l.message(5, skipped))
		require.Equal(t, 6, l.count("SELECT COUNT(*) FROM decisions"))

		require.EqualValues(t, 2, l.forgetAll(l.ForgetTraces, trim.Slice{AccountID: account, Before: begun + 1, Most: 2}))
		for i, want := range []int{0, 1, 1, 0, 1} {
			require.Equal(t, want, l.count("SELECT COUNT(*) FROM decisions WHERE delivery_id = ?", old[i].ID), "delivery %d", i)
		}
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM decisions WHERE delivery_id = ?", fresh[0].ID))
		require.Equal(t, 6, l.count("SELECT COUNT(*) FROM deliveries"), "figures and the ledger stay")
		story, err := l.Explain(t.Context(), account, old[0].ID)
		require.NoError(t, err)
		require.Equal(t, EventSkipped, story.Steps[len(story.Steps)-1].Event, "the row tells the end")
		require.Equal(t, guard.ReasonCap, story.Steps[len(story.Steps)-1].Reason)

		l.clk.Advance(10 * 24 * time.Hour)
		require.EqualValues(t, 2, l.forgetAll(l.ForgetTraces, trim.Slice{AccountID: account, Before: l.ms(-time.Hour), Most: 2}))
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM decisions WHERE delivery_id = ?", old[1].ID), "what is planned keeps its trace at any age")
	})
}

func TestReactionsOfLongAgoGoAndTheirCountsStay(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		act := func(fan int64, kinds ...Reaction) FanAct { return FanAct{FanID: fan, At: l.ms(0), Kinds: kinds} }
		late := l.plan(l.message(1))[0] // planned before all others, and the last to be sent
		for fan := range int64(5) {
			l.sent(l.message(fan + 2))
		}
		l.react(act(2, ReactionReplied, ReactionClicked), act(3, ReactionReplied), act(4, ReactionClicked), act(5, ReactionClicked))
		other := l.sent(l.message(7, func(p *Planned) { p.AccountID = 2 }))
		l.do(func(tx *gorm.DB) error { return l.React(tx, 2, []FanAct{act(7, ReactionReplied)}) })
		l.clk.Advance(47 * time.Hour)
		l.react(act(2, ReactionUnfollowed), act(6, ReactionReplied))
		before := l.ms(0)
		l.clk.Advance(10 * 24 * time.Hour)
		b := l.batch("w", late)
		l.mark(b.ID, &late)
		require.NoError(t, l.record(Outcome{Delivery: &late, State: StateSent}))
		l.react(act(1, ReactionReplied))
		figures := l.reactions()

		old := trim.Slice{AccountID: account, Before: before, Most: 1}
		require.EqualValues(t, 5, l.forgetAll(l.ForgetReactions, old), "one delivery at a time, and both reactions to the first")
		require.Zero(t, l.forgetAll(l.ForgetReactions, old))
		var left []int64
		require.NoError(t, l.db.Read(t.Context()).Raw("SELECT fan_id FROM reactions ORDER BY fan_id").Scan(&left).Error)
		require.Equal(t, []int64{1, 2, 6, 7}, left, "what is younger, although its message was planned first, and the other account's")
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM reactions WHERE delivery_id = ?", other.ID))
		require.Equal(t, figures, l.reactions())

		old.Before = l.ms(time.Minute)
		require.EqualValues(t, 3, l.forgetAll(l.ForgetReactions, old))
		require.Equal(t, figures, l.reactions())
	})
}
