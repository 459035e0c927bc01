package deliveries

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/limits"
)

func TestOneOfManyWorkersClaimsABatch(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		for round := range 5 {
			rows := l.plan(l.message(int64(round+1)), l.message(int64(round+100)))
			b := Batch{AccountID: account, Lane: limits.LaneBulk, CreatedAt: l.ms(0), Rows: rows}
			l.do(func(tx *gorm.DB) error { return l.CreateBatch(tx, &b) })
			var won atomic.Int32
			var wg sync.WaitGroup
			for w := range 16 {
				wg.Go(func() {
					owner := fmt.Sprint("w", w)
					var got Batch
					var ok bool
					err := l.tx(func(tx *gorm.DB) (err error) {
						got, ok, err = l.ClaimBatch(tx, b.ID, owner, l.now().Add(time.Minute))
						return err
					})
					require.NoError(t, err)
					if ok {
						won.Add(1)
						require.Equal(t, owner, got.Owner)
						require.Equal(t, b.Items, got.Items)
						require.Equal(t, BatchRunning, got.State)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, won.Load())
		}
	})
}

func TestABatchIsRenewedAndFinishedByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		b := l.batch("a", l.plan(l.message(1))...)
		renew := func(owner string) (ok bool) {
			l.do(func(tx *gorm.DB) (err error) {
				ok, err = l.RenewBatch(tx, b.ID, owner, l.now().Add(time.Minute))
				return err
			})
			return ok
		}
		require.False(t, renew("b"))
		require.True(t, renew("a"))
		require.True(t, renew("a"), "a renewal that changes nothing is one all the same")
		l.clk.Advance(59 * time.Second)
		stale, err := l.StaleBatches(l.db.Read(t.Context()), l.now())
		require.NoError(t, err)
		require.Empty(t, stale, "the renewed lease holds")

		l.do(func(tx *gorm.DB) error { return l.FinishBatch(tx, b.ID, "b") })
		live, err := l.LiveBatches(l.db.Read(t.Context()), account)
		require.NoError(t, err)
		require.Len(t, live, 1)
		l.do(func(tx *gorm.DB) error { return l.FinishBatch(tx, b.ID, "a") })
		require.False(t, renew("a"))
		require.Zero(t, l.count("SELECT COUNT(*) FROM batches"))
	})
}

func TestAWaitingBatchIsRequeuedUntilSomebodyTakesIt(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1))
		b := Batch{AccountID: account, Lane: limits.LaneUrgent, CreatedAt: l.ms(0), Rows: rows}
		l.do(func(tx *gorm.DB) error { return l.CreateBatch(tx, &b) })
		waiting, err := l.WaitingBatches(l.db.Read(t.Context()), l.now())
		require.NoError(t, err)
		require.Empty(t, waiting, "created just now")
		waiting, err = l.WaitingBatches(l.db.Read(t.Context()), l.now().Add(time.Second))
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		require.Equal(t, limits.LaneUrgent, waiting[0].Lane)
		l.do(func(tx *gorm.DB) error { return l.Requeued(tx, &waiting[0]) })
		require.Equal(t, 1, waiting[0].Attempt)
		require.Equal(t, 1, l.count("SELECT attempt FROM batches"))
		l.do(func(tx *gorm.DB) error {
			_, ok, err := l.ClaimBatch(tx, b.ID, "a", l.now().Add(time.Minute))
			require.True(t, ok)
			return err
		})
		waiting, err = l.WaitingBatches(l.db.Read(t.Context()), l.now().Add(time.Second))
		require.NoError(t, err)
		require.Empty(t, waiting)
	})
}

func TestABatchCarriesItsRowsAndTellsWhichAreStillPlanned(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		rows := l.plan(l.message(1), l.message(2), l.message(3), l.message(4))
		picked := []Delivery{rows[3], rows[1], rows[0]}
		b := l.batch("a", picked...)
		require.Equal(t, sending(picked), sending(b.Rows), "in the batch's order, with all that sending takes")
		l.mark(b.ID, &rows[1])
		asked := []*Delivery{&b.Rows[0], &b.Rows[1], &b.Rows[2]}
		got, err := l.StillPlanned(l.db.Read(t.Context()), account, asked)
		require.NoError(t, err)
		require.Equal(t, sending([]Delivery{rows[3], rows[0]}), sending(got))
		got, err = l.StillPlanned(l.db.Read(t.Context()), 2, asked)
		require.NoError(t, err)
		require.Empty(t, got, "another account's rows are not read")
		_, err = l.FindDelivery(t.Context(), 2, rows[0].ID)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

// sending keeps of rows what a batch carries.
func sending(rows []Delivery) []Delivery {
	out := make([]Delivery, len(rows))
	for i := range rows {
		d := &rows[i]
		out[i] = Delivery{
			ID: d.ID, Key: d.Key, StepSize: d.StepSize, Channel: d.Channel, Class: d.Class, Options: d.Options,
			MessageID: d.MessageID, NotAfter: d.NotAfter, Attempt: d.Attempt, State: StatePlanned,
		}
	}
	return out
}

func TestWhatADeadWorkerMarkedIsUnknownAndTheRestStaysPlanned(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		step := l.plan(l.step(1, 3)...)
		rest := l.plan(l.message(2))
		other := l.plan(l.message(3))
		resend := l.plan(l.message(1, func(p *Planned) { p.Resend, p.MessageNo, p.StepSize = 1, 3, 3 }))
		b := l.batch("dead", append(append([]Delivery{}, step...), rest[0])...)
		l.mark(b.ID, &step[0])
		l.mark(b.ID+1, &other[0])
		l.clk.Advance(31 * time.Second)
		stale, err := l.StaleBatches(l.db.Read(t.Context()), l.now())
		require.NoError(t, err)
		require.Len(t, stale, 1)

		var ended []Ended
		recovered := func() (ok bool) {
			l.do(func(tx *gorm.DB) (err error) {
				ended, ok, err = l.Recover(tx, l.now(), &stale[0])
				return err
			})
			return ok
		}
		require.True(t, recovered())
		require.Len(t, ended, 3)
		require.Equal(t, StateUnknown, ended[0].State)
		require.Equal(t, guard.ReasonWorkerDied, l.get(step[0].ID).Reason)
		for _, d := range step[1:] {
			require.Equal(t, StateSkipped, l.get(d.ID).State)
			require.Equal(t, guard.ReasonPreviousFailed, l.get(d.ID).Reason)
		}
		require.Equal(t, StatePlanned, l.get(rest[0].ID).State, "an unmarked row is planned as before")
		require.Equal(t, limits.LaneBulk, l.lane(rest[0].ID))
		require.Equal(t, StateSending, l.get(other[0].ID).State, "a row of a live batch is left alone")
		require.Equal(t, StatePlanned, l.get(resend[0].ID).State, "a repetition is a step of its own")
		require.False(t, recovered(), "only once")
	})
}

func TestABatchWhoseOwnerCameBackIsNotRecovered(t *testing.T) {
	t.Parallel()
	eachLedger(t, func(t *testing.T, l *ledger) {
		b := l.batch("slow", l.plan(l.message(1))...)
		l.clk.Advance(31 * time.Second)
		l.do(func(tx *gorm.DB) error {
			ok, err := l.RenewBatch(tx, b.ID, "slow", l.now().Add(30*time.Second))
			require.True(t, ok)
			return err
		})
		l.do(func(tx *gorm.DB) error {
			_, ok, err := l.Recover(tx, l.now(), &b)
			require.False(t, ok)
			return err
		})
		require.Equal(t, 1, l.count("SELECT COUNT(*) FROM batches"))
	})
}

func TestPackedItemsComeBackTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Item {
			return Item{rapid.Int64().Draw(t, "id"), rapid.Int64().Draw(t, "fan")}
		}), 0, 50).Draw(t, "items")
		got, err := unpackItems(packItems(items))
		require.NoError(t, err)
		require.Len(t, got, len(items))
		for i := range items {
			require.Equal(t, items[i], got[i])
		}
	})
}

func TestPackedContentComesBackTheSame(t *testing.T) {
	t.Parallel()
	small := rapid.Int64Range(0, 3)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Delivery {
			c := content{rapid.Int64().Draw(t, "not after")}
			for i := 1; i < len(c); i++ {
				c[i] = small.Draw(t, "field")
			}
			c[2], c[3], c[11] = rapid.Int64().Draw(t, "source"), rapid.Int64().Draw(t, "occurrence"), rapid.Int64().Draw(t, "message")
			return c.delivery(&Batch{AccountID: 7}, Item{rapid.Int64().Draw(t, "id"), rapid.Int64().Draw(t, "fan")})
		}), 0, 50).Draw(t, "rows")
		got, err := unpackContent(packContent(rows), &Batch{AccountID: 7, Items: itemsOf(rows)})
		require.NoError(t, err)
		require.Equal(t, rows, got)
	})
}

func TestARowOfABroadcastTakesOneByteInABatch(t *testing.T) {
	t.Parallel()
	rows := make([]Delivery, 500)
	for i := range rows {
		rows[i] = Delivery{ID: int64(i), NotAfter: 1 << 40, MessageID: 9, StepSize: 1, Key: Key{Source: Source{SourceBroadcast, 3}, FanID: int64(i), StepNo: 1, MessageNo: 1}}
	}
	require.Less(t, len(packContent(rows)), 520)
}

func FuzzUnpackContent(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(packContent([]Delivery{{NotAfter: 5, Attempt: 3}, {NotAfter: -5, MessageID: 1 << 62}}), uint8(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint8(1))
	f.Fuzz(func(t *testing.T, packed []byte, n uint8) {
		if rows, err := unpackContent(packed, &Batch{Items: make([]Item, n)}); err != nil {
			require.ErrorIs(t, err, errPacked)
		} else {
			require.Len(t, rows, int(n))
		}
	})
}

func FuzzUnpackItems(f *testing.F) {
	f.Add([]byte{})
	f.Add(packItems([]Item{{1, 2}, {3, 4}, {-5, 1 << 62}}))
	f.Add([]byte{0x80})
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, packed []byte) {
		items, err := unpackItems(packed)
		if err != nil {
			require.ErrorIs(t, err, errPacked)
			return
		}
		again, err := unpackItems(packItems(items))
		require.NoError(t, err)
		require.Equal(t, items, again)
	})
}
