package fans

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/trim"
)

// days is n days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func (r *room) count(query string, args ...any) int {
	r.t.Helper()
	var n int
	require.NoError(r.t, r.db.Read(r.t.Context()).Raw(query, args...).Row().Scan(&n))
	return n
}

// forget walks a table in slices of two and returns how many rows went.
func (r *room) forget(forget func(trim.Slice) (trim.Cut, error), before time.Duration) (removed int64) {
	r.t.Helper()
	s := trim.Slice{AccountID: account, Before: r.at(before), Most: 2}
	for {
		cut, err := forget(s)
		require.NoError(r.t, err)
		removed += cut.Removed
		if s.After = cut.Next; cut.End {
			return removed
		}
	}
}

func (r *room) forgetPushes(before time.Duration) int64 {
	in := NewInbox(r.db, r.clk)
	return r.forget(func(s trim.Slice) (trim.Cut, error) { return in.ForgetPushes(r.t.Context(), s) }, before)
}

func (r *room) forgetInteractions(before time.Duration) int64 {
	return r.forget(func(s trim.Slice) (trim.Cut, error) { return r.ForgetInteractions(r.t.Context(), s) }, before)
}

func (r *room) forgetLeft(before time.Duration) int64 {
	return r.forget(func(s trim.Slice) (trim.Cut, error) { return r.ForgetLeft(r.t.Context(), s) }, before)
}

func TestOldPushesOfTheAccountGoOnceTheyAreDone(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		in := NewInbox(r.db, r.clk)
		done := func(keys ...int) {
			ids := make([]int64, 0, len(keys))
			for _, k := range keys {
				ids = append(ids, in.put(t, k).ID)
			}
			require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error { return in.Done(tx, ids) }))
		}
		done(2, 4, 5, 8, 10) // 5 is another account's
		in.put(t, 6)         // waits
		r.clk.Advance(days(3))
		done(12)
		require.EqualValues(t, 4, r.forgetPushes(days(1)))
		require.Zero(t, r.forgetPushes(days(1)))
		for key, want := range map[int]int{2: 0, 4: 0, 5: 1, 6: 1, 8: 0, 10: 0, 12: 1} {
			require.Equal(t, want, r.count("SELECT COUNT(*) FROM inbox WHERE dedupe_key = ?", fmt.Sprint("m:", key)), "push %d", key)
		}
		done(6)
		require.EqualValues(t, 1, r.forgetPushes(days(1)), "when it is done it goes")
	})
}

func TestAnInteractionWhosePushWaitsStaysSoThatItIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		in := NewInbox(r.db, r.clk)
		waiting, gone := in.put(t, 2).ID, int64(1000)
		r.record(r.text(waiting, 0))
		r.record(r.text(gone, time.Minute))
		r.clk.Advance(days(400))
		r.record(r.text(gone+1, days(400)))
		require.EqualValues(t, 1, r.forgetInteractions(days(399)))
		require.Equal(t, 0, r.count("SELECT COUNT(*) FROM interactions WHERE inbox_id = ?", gone))
		require.False(t, r.record(r.text(waiting, 0))[0].Fresh, "the push is acted upon again, and changes nothing")

		require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error { return in.Done(tx, []int64{waiting}) }))
		require.EqualValues(t, 1, r.forgetInteractions(days(399)))
		require.Equal(t, 1, r.count("SELECT COUNT(*) FROM interactions"))
	})
}

func TestFansWhoLeftLongAgoAreErasedAndNobodyElse(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		act := func(openid string, a *Act) {
			a.OpenID = openid
			r.record(a)
		}
		act("stays", r.follow(1, 0, ""))
		act("left", r.follow(2, 0, "poster"))
		act("left", r.leave(3, time.Hour))
		act("back", r.leave(4, time.Hour))
		act("back", r.follow(5, 2*time.Hour, ""))
		act("late", r.leave(6, days(9)))
		require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error {
			if err := r.Add(tx, account, r.at(0), []string{"never"}); err != nil {
				return err
			}
			if err := r.Add(tx, account+1, r.at(0), []string{"other"}); err != nil {
				return err
			}
			if err := tx.Exec("UPDATE fans SET unsubscribed_at = 5 WHERE account_id = ?", account+1).Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE fans SET nickname = 'Li', remark = 'vip'").Error
		}))
		left := r.fan("left").ID
		require.EqualValues(t, 1, r.forgetLeft(days(8)))
		require.Zero(t, r.forgetLeft(days(8)), "once")
		require.Equal(t, 0, r.count("SELECT COUNT(*) FROM fans WHERE id = ? AND (openid = 'left' OR nickname <> '' OR remark <> '' OR scene <> '')", left))
		require.Equal(t, 5, r.count("SELECT COUNT(*) FROM fans WHERE nickname = 'Li'"))
		require.Equal(t, 6, r.count("SELECT COUNT(*) FROM interactions"), "what counts stays")

		done, err := r.FindErasures(t.Context(), account, 0, 10)
		require.NoError(t, err)
		require.Len(t, done, 1)
		require.Equal(t, []any{CauseRetention, int64(1)}, []any{done[0].Cause, done[0].Fans})
	})
}

// The fan came back between the reading of the slice and its transaction.
func TestAFanWhoCameBackInTheMeantimeIsNotErased(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.follow(1, 0, ""))
		r.record(r.leave(2, time.Hour))
		id := r.fan("o1").ID
		r.record(r.follow(3, 2*time.Hour, ""))
		require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error {
			n, err := r.eraseLeft(tx, trim.Slice{AccountID: account, Before: r.at(days(8))}, []int64{id})
			require.Zero(t, n)
			return err
		}))
		require.True(t, r.fan("o1").Subscribed)
	})
}
