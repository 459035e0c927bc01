package deliveries

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
	"hongyan/limits"
)

const account = int64(1)

// ledger is a Store on an empty database with a clock that the test moves.
type ledger struct {
	*Store
	t      *testing.T
	clk    *clock.Manual
	limits *limits.Store
	policy *guard.Policy
}

func eachLedger(t *testing.T, test func(t *testing.T, l *ledger)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		test(t, newLedger(t, db))
	})
}

func newLedger(t *testing.T, db *database.DB) *ledger {
	t.Helper()
	clk := clock.NewManual(time.Date(2026, 3, 2, 10, 3, 12, 0, time.UTC))
	policy, err := guard.PolicySpec{}.Compile("UTC")
	require.NoError(t, err)
	return &ledger{Store: New(db, clk), t: t, clk: clk, limits: limits.New(db), policy: policy}
}

func (l *ledger) now() time.Time { return l.clk.Now() }

func (l *ledger) ms(after time.Duration) int64 { return l.now().Add(after).UnixMilli() }

func (l *ledger) tx(fn func(tx *gorm.DB) error) error {
	return l.db.Tx(l.t.Context(), fn)
}

func (l *ledger) do(fn func(tx *gorm.DB) error) {
	l.t.Helper()
	require.NoError(l.t, l.tx(fn))
}

// message is a marketing message of drip 7 for a fan, due now.
func (l *ledger) message(fan int64, change ...func(*Planned)) Planned {
	p := Planned{
		Key:      Key{AccountID: account, Source: Source{SourceDrip, 7}, FanID: fan, Occurrence: 1, StepNo: 1, MessageNo: 1},
		StepSize: 1, Channel: guard.ChannelKefu, Class: guard.ClassMarketing, MessageID: 1,
		DueAt: l.ms(0), NotAfter: l.ms(24 * time.Hour), Deadline: l.ms(24 * time.Hour), State: StatePlanned,
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

// step is n messages of one step for a fan.
func (l *ledger) step(fan int64, n int, change ...func(*Planned)) []Planned {
	out := make([]Planned, n)
	for i := range out {
		out[i] = l.message(fan, change...)
		out[i].StepSize, out[i].MessageNo = n, i+1
	}
	return out
}

func (l *ledger) plan(rows ...Planned) []Delivery {
	l.t.Helper()
	out := make([]Delivery, len(rows))
	l.do(func(tx *gorm.DB) error {
		ids := make([]int64, 0, len(rows))
		for i := range rows {
			ids = append(ids, rows[i].FanID)
		}
		if err := l.limits.Ensure(tx, account, database.SortedSet(ids)); err != nil {
			return err
		}
		if err := l.Plan(tx, l.now(), rows); err != nil {
			return err
		}
		for i := range rows {
			id, err := l.FindByKey(tx, rows[i].Key)
			if err != nil {
				return err
			}
			found, err := read(tx, "id = ?", id)
			if err != nil {
				return err
			}
			out[i] = found[0]
		}
		return nil
	})
	return out
}

func (l *ledger) get(id int64) *Delivery {
	l.t.Helper()
	d, err := l.FindDelivery(l.t.Context(), account, id)
	require.NoError(l.t, err)
	return d
}

// place reads in which lane a row stands; lane 0 is none.
func (l *ledger) place(id int64) (lane limits.Lane, source, at int64) {
	l.t.Helper()
	err := l.db.Read(l.t.Context()).Raw("SELECT COALESCE(lane, 0), COALESCE(lane_source, 0), COALESCE(lane_at, 0) FROM deliveries WHERE id = ?", id).
		Row().Scan(&lane, &source, &at)
	require.NoError(l.t, err)
	return lane, source, at
}

func (l *ledger) lane(id int64) limits.Lane {
	l.t.Helper()
	lane, _, _ := l.place(id)
	return lane
}

// batch stores a batch of rows and gives it to owner for 30 seconds.
func (l *ledger) batch(owner string, rows ...Delivery) Batch {
	l.t.Helper()
	b := Batch{AccountID: account, Lane: limits.LaneBulk, CreatedAt: l.ms(0), Rows: rows}
	l.do(func(tx *gorm.DB) error { return l.CreateBatch(tx, &b) })
	l.do(func(tx *gorm.DB) error {
		claimed, ok, err := l.ClaimBatch(tx, b.ID, owner, l.now().Add(30*time.Second))
		b = claimed
		require.True(l.t, ok)
		return err
	})
	return b
}

// mark marks rows for a batch.
func (l *ledger) mark(batchID int64, rows ...*Delivery) {
	l.t.Helper()
	l.do(func(tx *gorm.DB) error { return l.Mark(tx, Marking{Now: l.now(), BatchID: batchID}, rows) })
}

func (l *ledger) record(outcomes ...Outcome) error {
	return l.tx(func(tx *gorm.DB) error { return l.Record(tx, l.now(), outcomes) })
}

func (l *ledger) count(query string, args ...any) int {
	l.t.Helper()
	var n int
	require.NoError(l.t, l.db.Read(l.t.Context()).Raw(query, args...).Row().Scan(&n))
	return n
}
