package fans

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = int64(1)

func start() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

func eachInbox(t *testing.T, test func(t *testing.T, in *Inbox, clk *clock.Manual)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(start())
		test(t, NewInbox(db, clk), clk)
	})
}

// together runs n goroutines that begin at the same moment, and waits for them.
func together(n int, work func(i int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			work(i)
		})
	}
	close(begin)
	wg.Wait()
}

func push(key int) *Push {
	return &Push{AccountID: account + int64(key%2), DedupeKey: fmt.Sprint("m:", key), OpenID: "o", Body: fmt.Append(nil, "body ", key), EventAt: 1}
}

func (b *Inbox) put(t *testing.T, key int) *InboxRow {
	t.Helper()
	row, err := b.Put(t.Context(), push(key))
	require.NoError(t, err)
	return row
}

func TestRepeatedPushesAreStoredOnce(t *testing.T) {
	t.Parallel()
	eachInbox(t, func(t *testing.T, in *Inbox, _ *clock.Manual) {
		const keys = 40
		var mu sync.Mutex
		ids := map[int]int64{}
		together(50, func(i int) {
			for n := range 8 {
				key := (i*7 + n*3) % keys
				row, err := in.Put(t.Context(), push(key))
				if err != nil {
					t.Error(err)
					return
				}
				require.Equal(t, *push(key), row.Push, "each caller gets its own push")
				require.True(t, row.Pending)
				mu.Lock()
				if before, known := ids[key]; known {
					require.Equal(t, before, row.ID)
				}
				ids[key] = row.ID
				mu.Unlock()
			}
		})
		require.Len(t, ids, keys)
		var n int
		require.NoError(t, in.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM inbox").Row().Scan(&n))
		require.Equal(t, keys, n)
	})
}

func TestTheFailureOfAGroupReachesEverybodyInIt(t *testing.T) {
	t.Parallel()
	eachInbox(t, func(t *testing.T, in *Inbox, _ *clock.Manual) {
		in.turn <- struct{}{} // another group is being stored
		var failed atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if row, err := in.Put(t.Context(), push(i)); err != nil && row == nil {
					failed.Add(1)
				}
			})
		}
		require.Eventually(t, func() bool {
			in.mu.Lock()
			defer in.mu.Unlock()
			return in.pending != nil && len(in.pending.pushes) == 20
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, in.db.Close())
		<-in.turn
		wg.Wait()
		require.EqualValues(t, 20, failed.Load(), "WeChat repeats a push only if it hears of the failure")
	})
}

func TestAPushThatIsGivenUpWaitingIsStoredAllTheSame(t *testing.T) {
	t.Parallel()
	eachInbox(t, func(t *testing.T, in *Inbox, _ *clock.Manual) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := in.Put(ctx, push(1))
		require.True(t, err == nil || errors.Is(err, context.Canceled))
		require.NotZero(t, in.put(t, 1).ID)
		var n int
		require.NoError(t, in.db.Read(t.Context()).Raw("SELECT COUNT(*) FROM inbox").Row().Scan(&n))
		require.Equal(t, 1, n)
	})
}

func TestAPushIsClaimedByOneAtATime(t *testing.T) {
	t.Parallel()
	eachInbox(t, func(t *testing.T, in *Inbox, clk *clock.Manual) {
		var ids []int64
		for i := range 10 {
			ids = append(ids, in.put(t, i).ID)
		}
		var mu sync.Mutex
		held := map[int64]int{}
		together(16, func(i int) {
			// Two goroutines of one process ask under the same name and in the same millisecond.
			rows, err := in.Claim(t.Context(), fmt.Sprint("p", i/2), ids, time.Minute)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rows {
				held[r.ID]++
				require.Equal(t, 1, r.Tries)
			}
		})
		require.Len(t, held, len(ids))
		for _, n := range held {
			require.Equal(t, 1, n)
		}
		require.Empty(t, in.leftover(t, clk.Now().Add(time.Second)), "somebody holds them")
		require.NoError(t, in.db.Tx(t.Context(), func(tx *gorm.DB) error { return in.Done(tx, ids[:8]) }))
		clk.Advance(time.Minute + time.Millisecond)
		require.Equal(t, ids[8:], in.leftover(t, clk.Now()))
		again, err := in.Claim(t.Context(), "q", ids, time.Minute)
		require.NoError(t, err)
		require.Len(t, again, 2, "what is done is not claimed")
		require.Equal(t, 2, again[0].Tries)
		require.NoError(t, in.Park(t.Context(), ids[8], string(make([]byte, 249))+"界 and more than fits"))
		clk.Advance(time.Minute + time.Millisecond)
		require.Equal(t, ids[9:], in.leftover(t, clk.Now()), "parked for a member to see")
	})
}

func (b *Inbox) leftover(t *testing.T, before time.Time) []int64 {
	t.Helper()
	ids, err := b.Leftover(t.Context(), before, 100)
	require.NoError(t, err)
	return ids
}

func TestAPushIsAnsweredEitherByAReplyOrBySuccess(t *testing.T) {
	t.Parallel()
	eachInbox(t, func(t *testing.T, in *Inbox, _ *clock.Manual) {
		for round := range 20 {
			id := in.put(t, round).ID
			var took, closed atomic.Int32
			together(8, func(i int) {
				if i%2 == 0 {
					row, err := in.CloseReply(t.Context(), id)
					require.NoError(t, err)
					if row.ReplyState == ReplyClosed {
						closed.Add(1)
						require.Empty(t, row.Reply)
					} else {
						require.Equal(t, ReplyTaken, row.ReplyState)
						require.NotEmpty(t, row.Reply, "the repeat of the push gets the same reply")
					}
					return
				}
				var won bool
				err := in.db.Tx(t.Context(), func(tx *gorm.DB) (err error) {
					won, err = in.TakeReply(tx, id, fmt.Append(nil, "reply ", i))
					return err
				})
				require.NoError(t, err)
				if won {
					took.Add(1)
				}
			})
			if closed.Load() > 0 {
				require.Zero(t, took.Load(), "never both")
			} else {
				require.EqualValues(t, 1, took.Load())
			}
		}
		id := in.put(t, 100).ID
		require.NoError(t, in.db.Tx(t.Context(), func(tx *gorm.DB) error { return in.GiveBy(tx, id, 77) }))
		require.EqualValues(t, 77, in.put(t, 100).ReplyDeliveryID)
	})
}
