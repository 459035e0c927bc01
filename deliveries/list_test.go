package deliveries

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/internal/walk"
	"hongyan/limits"
)

// heap is the deliveries of two accounts, mixed, as the database has them and as a test filters them by hand.
type heap struct {
	*Store

	mine int64
	rows []*Delivery // by id
	lane map[int64]place
	at   int64 // when the last one was planned
}

var heaps atomic.Int64

func newHeap(t *testing.T, rt *rapid.T, s *Store) *heap {
	h := &heap{Store: s, mine: 10 * heaps.Add(1), lane: map[int64]place{}, at: 1_800_000_000_000}
	h.add(t, rt, rapid.IntRange(0, 40).Draw(rt, "rows"))
	return h
}

func (h *heap) add(t *testing.T, rt *rapid.T, n int) {
	require.NoError(rt, h.db.Tx(t.Context(), func(tx *gorm.DB) error {
		for range n {
			if err := h.insert(tx, rt); err != nil {
				return err
			}
		}
		return nil
	}))
}

// insert adds a row as the ledger leaves it behind.
func (h *heap) insert(tx *gorm.DB, rt *rapid.T) error {
	h.at += rapid.Int64Range(0, 8*60_000).Draw(rt, "later")
	account := h.mine + rapid.Int64Range(0, 1).Draw(rt, "account")
	d := &Delivery{
		Key: Key{
			AccountID: account, Source: Source{SourceDrip, rapid.Int64Range(1, 2).Draw(rt, "source")}, FanID: 10*account + rapid.Int64Range(1, 3).Draw(rt, "fan"),
			Occurrence: rapid.Int64Range(1, 2).Draw(rt, "occurrence"), StepNo: rapid.IntRange(1, 2).Draw(rt, "step"), MessageNo: rapid.IntRange(1, 2).Draw(rt, "message"), Resend: len(h.rows),
		},
		State: rapid.SampledFrom(allStates()).Draw(rt, "state"), Class: guard.Class(rapid.IntRange(1, 3).Draw(rt, "class")),
		Reason:    rapid.SampledFrom([]guard.Reason{0, guard.ReasonCap, guard.ReasonPlatform}).Draw(rt, "reason"),
		PlannedAt: h.at - rapid.Int64Range(0, disorder.Milliseconds()).Draw(rt, "disorder"),
	}
	var lane, source, at, look any
	var pl place
	switch {
	case d.State == StatePlanned:
		pl = rapid.SampledFrom([]place{{limits.LaneUrgent, 0, 0}, {limits.LaneBulk, 17, 0}, {limits.LaneBulk, 33, 0}, {laneWaiting, 0, 0}}).Draw(rt, "lane")
		pl.at = rapid.Int64Range(1, 3).Draw(rt, "lane at")
		lane, source, at = pl.lane, pl.source, pl.at
	case needsLook(d.State):
		look = d.State
	}
	if lane == nil {
		source = look
	}
	err := tx.Exec("INSERT INTO deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, message_id, "+
		"state, reason, due_at, not_after, deadline_at, lane, lane_source, lane_at, planned_at) VALUES (?,?,?,?,?,?,?,?,1,1,?,1,?,?,1,1,1,?,?,?,?)",
		append(d.Key.args(), d.Class, d.State, d.Reason, lane, source, at, d.PlannedAt)...).Error
	if err != nil {
		return err
	}
	h.rows = append(h.rows, d)
	err = tx.Raw("SELECT id FROM deliveries WHERE "+whereKey, d.Key.args()...).Scan(&d.ID).Error
	h.lane[d.ID] = pl
	return err
}

func allStates() (out []State) {
	for s := StatePlanned; s <= StateCancelled; s++ {
		out = append(out, s)
	}
	return out
}

func (h *heap) filter(rt *rapid.T) ListFilter {
	f := ListFilter{
		States: rapid.SampledFrom([][]State{nil, nil, {StatePlanned}, {StateFailed}, {StateUnknown, StateSent}, Attention(), {StateSkipped}}).Draw(rt, "want states"),
		Reason: rapid.SampledFrom([]guard.Reason{0, 0, guard.ReasonCap}).Draw(rt, "want reason"),
		Class:  rapid.SampledFrom([]guard.Class{0, 0, guard.ClassReply}).Draw(rt, "want class"),
	}
	if rapid.Bool().Draw(rt, "of a fan") {
		f.FanID = 10*h.mine + 1
	}
	if rapid.Bool().Draw(rt, "of a source") {
		f.Source = Source{SourceDrip, 1}
	}
	if rapid.Bool().Draw(rt, "period") {
		f.Since = 1_800_000_000_000 + rapid.Int64Range(-1, 100).Draw(rt, "since")*60_000
		f.Before = f.Since + rapid.Int64Range(1, 100).Draw(rt, "before")*60_000
	}
	return f
}

func (f *ListFilter) fits(account int64, d *Delivery) bool {
	open := d.State == StatePlanned && f.FanID == 0 && f.Source == (Source{}) && len(f.States) == 0
	return d.AccountID == account && !open && (f.FanID == 0 || d.FanID == f.FanID) && (f.Source == Source{} || d.Source == f.Source) &&
		(len(f.States) == 0 || slices.Contains(f.States, d.State)) && (f.Reason == 0 || d.Reason == f.Reason) && (f.Class == 0 || d.Class == f.Class) &&
		d.PlannedAt >= f.Since && (f.Before == 0 || d.PlannedAt < f.Before)
}

// list lists by hand.
func (h *heap) list(f ListFilter) []int64 {
	fit := slices.DeleteFunc(slices.Clone(h.rows), func(d *Delivery) bool { return !f.fits(h.mine, d) })
	slices.SortFunc(fit, func(a, b *Delivery) int {
		switch {
		case f.FanID != 0:
		case f.Source != Source{}:
			return cmp.Or(cmp.Compare(a.FanID, b.FanID), cmp.Compare(a.Occurrence, b.Occurrence), cmp.Compare(a.StepNo, b.StepNo), cmp.Compare(a.MessageNo, b.MessageNo), cmp.Compare(a.Resend, b.Resend))
		case len(f.States) == 1 && f.States[0] == StatePlanned:
			x, y := h.lane[a.ID], h.lane[b.ID]
			return cmp.Or(cmp.Compare(x.lane, y.lane), cmp.Compare(x.source, y.source), cmp.Compare(x.at, y.at), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(b.ID, a.ID)
	})
	out := []int64{}
	for _, d := range fit {
		out = append(out, d.ID)
	}
	return out
}

func (h *heap) pages(t *testing.T, rt *rapid.T, f ListFilter, between func()) []int64 {
	out := []int64{}
	for o := (walk.Options{Limit: rapid.IntRange(1, 7).Draw(rt, "limit"), Budget: rapid.SampledFrom([]int{3, 10, 0}).Draw(rt, "budget")}); ; between() {
		page, err := h.ListDeliveries(t.Context(), h.mine, f, o)
		require.NoError(rt, err)
		for _, d := range page.Rows {
			out = append(out, d.ID)
		}
		if page.Next == nil {
			return out
		}
		o.After = *page.Next
	}
}

func eachHeap(t *testing.T, test func(t *testing.T, rt *rapid.T, h *heap)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db, clock.NewManual(time.Unix(0, 0)))
		rapid.Check(t, func(rt *rapid.T) {
			// Ids rise with the times over the whole table, so that each world begins with an empty one.
			require.NoError(rt, db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("DELETE FROM deliveries").Error }))
			test(t, rt, newHeap(t, rt, s))
		})
	})
}

func TestAListHasExactlyTheDeliveriesOfTheAccountThatFitInItsOrder(t *testing.T) {
	t.Parallel()
	eachHeap(t, func(t *testing.T, rt *rapid.T, h *heap) {
		for range 4 {
			f := h.filter(rt)
			require.Equal(rt, h.list(f), h.pages(t, rt, f, func() {}), "%+v", f)
		}
	})
}

func TestDeliveriesPlannedBetweenPagesNeitherRepeatNorHideOthers(t *testing.T) {
	t.Parallel()
	eachHeap(t, func(t *testing.T, rt *rapid.T, h *heap) {
		f := h.filter(rt)
		before, left := h.list(f), 5
		got := h.pages(t, rt, f, func() {
			if left--; left >= 0 {
				h.add(t, rt, 3)
			}
		})
		require.Len(rt, slices.Compact(slices.Sorted(slices.Values(got))), len(got), "none twice")
		require.Equal(rt, before, slices.DeleteFunc(slices.Clone(got), func(id int64) bool { return !slices.Contains(before, id) }), "and what was there throughout, in order")
		require.Subset(rt, h.list(f), got)
	})
}

func TestPlannedDeliveriesAreNotMixedIntoTheListOfOthers(t *testing.T) {
	t.Parallel()
	l := newLedger(t, testdb.SQLite(t))
	_, err := l.ListDeliveries(t.Context(), account, ListFilter{States: []State{StatePlanned, StateSent}}, walk.Options{})
	require.ErrorContains(t, err, "state: what is planned is a list of its own")
	_, err = l.ListDeliveries(t.Context(), account, ListFilter{States: []State{StatePlanned, StateSent}, FanID: 1}, walk.Options{})
	require.NoError(t, err, "of a fan they are")
}

func TestWhatFailedOrIsUnknownIsInTheListOfWhatNeedsALook(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		look := func() (out []int64) {
			page, err := l.ListDeliveries(t.Context(), account, ListFilter{States: Attention()}, walk.Options{})
			require.NoError(t, err)
			for _, d := range page.Rows {
				out = append(out, d.ID)
			}
			return out
		}
		rows := l.plan(l.message(1), l.message(2), l.message(3), l.message(4))
		b := l.batch("w", rows...)
		l.mark(b.ID, &rows[0], &rows[1], &rows[2], &rows[3])
		require.Empty(t, look())
		ends := []State{StateSent, StateFailed, StateUnknown, StateUnknown}
		for i, state := range ends {
			require.NoError(t, l.record(Outcome{Delivery: &rows[i], State: state, Reason: guard.ReasonPlatform}))
		}
		require.Equal(t, []int64{rows[3].ID, rows[2].ID, rows[1].ID}, look())
		require.NoError(t, l.record(Outcome{Delivery: &rows[2], State: StateSent}, Outcome{Delivery: &rows[3], State: StateFailed, Reason: guard.ReasonPlatform}))
		require.Equal(t, []int64{rows[3].ID, rows[1].ID}, look(), "a late answer settles it")
		page, err := l.ListDeliveries(t.Context(), account, ListFilter{}, walk.Options{})
		require.NoError(t, err)
		require.Len(t, page.Rows, 4, "and the list of all has each once")
	})
}

func TestLostPassiveRepliesNeedALookUntilTheyAreConfirmed(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		row := l.plan(l.message(1, func(p *Planned) { p.Channel, p.State = guard.ChannelPassive, StateSending }))[0]
		for _, handed := range []bool{false, true} {
			l.do(func(tx *gorm.DB) error {
				_, err := l.ConfirmPassive(tx, l.now(), row.ID, handed)
				return err
			})
			page, err := l.ListDeliveries(t.Context(), account, ListFilter{States: Attention()}, walk.Options{})
			require.NoError(t, err)
			require.Len(t, page.Rows, map[bool]int{false: 1, true: 0}[handed])
		}
	})
}

func TestListsOfDeliveriesReadRangesOfIndexes(t *testing.T) {
	t.Parallel()
	db := testdb.MySQL(t)
	s := New(db, clock.NewManual(time.Unix(0, 0)))
	require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
		const columns = "INSERT INTO deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, message_id, state, reason, " +
			"due_at, not_after, deadline_at, lane, lane_source, lane_at, planned_at) "
		err := tx.Exec(columns + "VALUES (1,1,1,1,0,1,1,0,1,1,1,1,3,0,1,1,1,NULL,NULL,NULL,1)").Error
		for size := 1; size < 1<<14 && err == nil; size *= 2 {
			err = tx.Exec(columns+"SELECT CASE WHEN id % 256 = 7 THEN 2 ELSE 1 END, 1, id % 20, id % 900, ?, 1, 1, id, 1, 1, 1, 1, CASE WHEN id % 10 = 1 THEN 1 WHEN id % 300 = 2 THEN 6 ELSE 3 END, "+
				"0, 1, 1, 1, CASE WHEN id % 10 = 1 THEN 1 + id % 3 END, CASE WHEN id % 10 = 1 THEN (id % 3 = 1) * 17 WHEN id % 300 = 2 THEN 6 END, CASE WHEN id % 10 = 1 THEN id END, id * 60000 "+
				"FROM deliveries", size).Error
		}
		return err
	}))
	require.NoError(t, db.Read(t.Context()).Exec("ANALYZE TABLE deliveries").Error)
	planner := testdb.NewPlanner(t, db)
	for _, account := range []int64{1, 2} {
		for _, f := range []ListFilter{
			{}, {FanID: 7}, {Source: Source{SourceDrip, 7}}, {States: []State{StatePlanned}}, {States: Attention()}, {States: []State{StateSkipped}}, {Reason: guard.ReasonCap},
			{Since: 5_000 * 60_000, Before: 9_000 * 60_000}, {Source: Source{SourceDrip, 7}, States: []State{StateSent}, Since: 5},
		} {
			plans := planner.Plans(t, func() {
				o := walk.Options{Limit: 5}
				for range 4 {
					page, err := s.ListDeliveries(t.Context(), account, f, o)
					require.NoError(t, err)
					if page.Next == nil {
						return
					}
					o.After = *page.Next
				}
			})
			require.NotEmpty(t, plans)
			for _, p := range plans {
				if strings.Contains(p.Extra, "Impossible WHERE") {
					continue
				}
				require.Contains(t, []string{"const", "ref", "range"}, p.Type, "%+v", p)
				require.NotContains(t, p.Extra, "filesort", "%+v", p)
				if strings.Contains(p.Statement, "lane IS NULL") { // with millions of rows MariaDB would take the index without the id, and read all rows that are newer
					require.Equal(t, "range deliveries_lane", p.Type+" "+p.Key, "%+v", p)
					require.Contains(t, p.Statement, "FORCE INDEX (deliveries_lane)")
				}
			}
		}
	}
}

func TestAPeriodBeginsWithItsLatestDeliveryHoweverManyFollow(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		s := New(db, clock.NewManual(time.Unix(0, 0)))
		require.NoError(t, db.Tx(t.Context(), func(tx *gorm.DB) error {
			const columns = "INSERT INTO deliveries (account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, message_id, state, " +
				"due_at, not_after, deadline_at, planned_at) "
			err := tx.Exec(columns + "VALUES (1,1,1,1,0,1,1,0,1,1,1,1,3,1,1,1,1000000)").Error
			for size := 1; size < 1<<12 && err == nil; size *= 2 { // ten a second
				err = tx.Exec(columns+"SELECT 1,1,1,fan_id + ?,0,1,1,0,1,1,1,1,3,1,1,1,1000000 + (fan_id + ? - 1) * 100 FROM deliveries ORDER BY fan_id", size, size).Error
			}
			return err
		}))
		for _, before := range []int64{1_100_000, 1_300_000, 1_000_000 + 4095*100} {
			page, err := s.ListDeliveries(t.Context(), 1, ListFilter{Before: before}, walk.Options{Limit: 5})
			require.NoError(t, err)
			require.Len(t, page.Rows, 5)
			for i, d := range page.Rows {
				require.Equal(t, before-100*int64(i+1), d.PlannedAt)
			}
		}
	})
}
