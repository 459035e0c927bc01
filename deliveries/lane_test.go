package deliveries

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/internal/testdb"
	"hongyan/limits"
)

func TestDueRowsStandInTheUrgentLaneByClassOrDeadline(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*ledger, *Planned)
		lane   limits.Lane
	}{
		{"marketing with time", func(*ledger, *Planned) {}, limits.LaneBulk},
		{"a reply", func(_ *ledger, p *Planned) { p.Class = guard.ClassReply }, limits.LaneUrgent},
		{"a near deadline", func(l *ledger, p *Planned) { p.Deadline = l.ms(UrgentWithin) - 1 }, limits.LaneUrgent},
		{"a deadline in exactly two minutes", func(l *ledger, p *Planned) { p.Deadline = l.ms(UrgentWithin) }, limits.LaneBulk},
		{"a service notice", func(_ *ledger, p *Planned) { p.Class = guard.ClassService }, limits.LaneBulk},
	}
	eachLedger(t, func(t *testing.T, l *ledger) {
		for i, c := range cases {
			now := l.message(int64(i+1), func(p *Planned) { c.change(l, p) })
			later := now
			later.Occurrence, later.DueAt = 2, l.ms(time.Second)
			rows := l.plan(now, later)
			lane, source, at := l.place(rows[0].ID)
			require.Equal(t, c.lane, lane, c.name)
			require.Equal(t, now.Deadline, at, c.name)
			if lane == limits.LaneBulk {
				require.Equal(t, now.Source, sourceOf(source), c.name)
			}
			require.Equal(t, laneWaiting, l.lane(rows[1].ID), c.name)

			// What falls due later comes to the same place.
			due := l.now().Add(time.Second)
			want := c.lane
			if now.Deadline < due.Add(UrgentWithin).UnixMilli() {
				want = limits.LaneUrgent
			}
			l.do(func(tx *gorm.DB) error {
				moved, full, err := l.Promote(tx, account, due)
				require.Equal(t, 1, moved, c.name)
				require.False(t, full)
				return err
			})
			lane, source, at = l.place(rows[1].ID)
			require.Equal(t, want, lane, c.name)
			require.Equal(t, later.Deadline, at, c.name)
			if lane == limits.LaneBulk {
				require.Equal(t, later.Source.key(), source, c.name)
			} else {
				require.Zero(t, source, c.name)
			}
		}
	})
}

func TestPromoteMovesOnlyWhatIsDueOfItsAccount(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		at := func(after time.Duration) func(*Planned) { return func(p *Planned) { p.DueAt = l.ms(after) } }
		rows := l.plan(l.message(1, at(time.Minute)), l.message(2, at(time.Minute+time.Millisecond)), l.message(3, at(time.Second), func(p *Planned) { p.AccountID = 2 }))
		l.do(func(tx *gorm.DB) error {
			moved, full, err := l.Promote(tx, account, l.now().Add(time.Minute))
			require.Equal(t, 1, moved)
			require.False(t, full)
			return err
		})
		require.Equal(t, limits.LaneBulk, l.lane(rows[0].ID))
		require.Equal(t, laneWaiting, l.lane(rows[1].ID))
		require.Equal(t, laneWaiting, l.lane(rows[2].ID))
	})
}

func TestHastenAndParkMoveBetweenTheLanes(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		deadline := func(after time.Duration) func(*Planned) { return func(p *Planned) { p.Deadline = l.ms(after) } }
		rows := l.plan(l.message(1, deadline(5*time.Minute)), l.message(2, deadline(time.Hour)), l.message(3, deadline(5*time.Minute), func(p *Planned) { p.Source.ID = 8 }))
		l.clk.Advance(3*time.Minute + time.Millisecond)
		l.do(func(tx *gorm.DB) error {
			moved, err := l.Hasten(tx, account, Source{SourceDrip, 7}, l.now())
			require.Equal(t, 1, moved)
			return err
		})
		lane, source, at := l.place(rows[0].ID)
		require.Equal(t, limits.LaneUrgent, lane)
		require.Zero(t, source)
		require.Equal(t, rows[0].Deadline, at)
		require.Equal(t, limits.LaneBulk, l.lane(rows[1].ID))
		require.Equal(t, limits.LaneBulk, l.lane(rows[2].ID), "another source's turn comes by itself")

		l.do(func(tx *gorm.DB) error { return l.Park(tx, []int64{rows[0].ID}) })
		lane, source, at = l.place(rows[0].ID)
		require.Equal(t, limits.LaneBulk, lane)
		require.Equal(t, Source{SourceDrip, 7}, sourceOf(source))
		require.Equal(t, rows[0].Deadline, at)
	})
}

func TestSourcesWalksOverThoseWithDueRows(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		from := func(kind SourceKind, id int64) func(*Planned) {
			return func(p *Planned) { p.Source = Source{kind, id} }
		}
		l.plan(
			l.message(1, from(SourceDrip, 7)), l.message(2, from(SourceDrip, 7)), l.message(1, from(SourceBroadcast, 7)), l.message(1, from(SourceInbox, 1<<40)),
			l.message(1, from(SourceDrip, 9), func(p *Planned) { p.DueAt = l.ms(time.Hour) }),
			l.message(1, from(SourceReply, 3), func(p *Planned) { p.Class = guard.ClassReply }),
			l.message(1, from(SourceDrip, 11), func(p *Planned) { p.AccountID = 2 }))
		got, err := l.Sources(l.db.Read(t.Context()), account)
		require.NoError(t, err)
		require.Equal(t, []Source{{SourceDrip, 7}, {SourceBroadcast, 7}, {SourceInbox, 1 << 40}}, got)
	})
}

func TestPickWithItsCursorEqualsASort(t *testing.T) {
	t.Parallel()
	l := newLedger(t, testdb.SQLite(t))
	source := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		source++
		offsets := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 40).Draw(rt, "deadlines")
		limit := rapid.IntRange(1, 9).Draw(rt, "limit")
		var rows []Planned
		for i, o := range offsets {
			size := 1 + o%3
			rows = append(rows, l.step(int64(i+1), size, func(p *Planned) {
				p.Source.ID, p.Deadline = source, l.ms(time.Hour+time.Duration(o)*time.Second)
			})...)
		}
		type place struct{ deadline, id int64 }
		var want, got []place
		for _, d := range l.plan(rows...) {
			want = append(want, place{d.Deadline, d.ID})
		}
		slices.SortFunc(want, func(a, b place) int { return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.id, b.id)) })
		var after Cursor
		for {
			page, err := l.Pick(l.db.Read(t.Context()), account, Page{limits.LaneBulk, Source{SourceDrip, source}, after, limit})
			require.NoError(rt, err)
			if len(page) == 0 {
				break
			}
			counts := map[int64]int{}
			for _, c := range page {
				got = append(got, place{c.Deadline, c.ID})
				counts[c.FanID]++
			}
			for _, c := range page {
				require.Equal(rt, c.StepSize, counts[c.FanID], "a step is never cut")
			}
			require.LessOrEqual(rt, len(page), max(limit, page[0].StepSize))
			last := page[len(page)-1]
			after = Cursor{last.Deadline, last.ID}
		}
		require.Equal(rt, want, got)
	})
}

func TestAPageEndsWithAWholeStep(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		l.plan(append(l.step(1, 2), l.step(2, 3)...)...)
		l.plan(l.message(3, func(p *Planned) { p.Deadline++ }))
		sizes := map[int]int{1: 2, 2: 2, 3: 2, 4: 2, 5: 5, 6: 6, 7: 6}
		for limit, want := range sizes {
			page, err := l.Pick(l.db.Read(t.Context()), account, Page{Lane: limits.LaneBulk, Source: Source{SourceDrip, 7}, Limit: limit})
			require.NoError(t, err)
			require.Len(t, page, want, "limit %d", limit)
		}
		page, err := l.Pick(l.db.Read(t.Context()), account, Page{Lane: limits.LaneUrgent, Source: Source{SourceDrip, 7}, Limit: 5})
		require.NoError(t, err)
		require.Empty(t, page)
	})
}

func TestReadyAndNextDueLookAtOneAccount(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		looks := func() (ready bool, next time.Time, waits bool) {
			ready, err := l.Ready(l.db.Read(t.Context()), account)
			require.NoError(t, err)
			next, waits, err = l.NextDue(t.Context(), account)
			require.NoError(t, err)
			return ready, next, waits
		}
		l.plan(l.message(1, func(p *Planned) { p.AccountID = 2 }), l.message(2, func(p *Planned) { p.AccountID, p.DueAt = 2, l.ms(time.Second) }))
		ready, _, waits := looks()
		require.False(t, ready)
		require.False(t, waits)
		l.plan(l.message(1, func(p *Planned) { p.DueAt = l.ms(time.Hour) }), l.message(2, func(p *Planned) { p.DueAt = l.ms(time.Minute) }))
		ready, next, waits := looks()
		require.False(t, ready)
		require.True(t, waits)
		require.Equal(t, l.now().Add(time.Minute), next)
		l.plan(l.message(3))
		ready, _, _ = looks()
		require.True(t, ready)
	})
}
