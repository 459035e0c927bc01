package fans

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/wechat"
)

// room is a Store on an empty database.
type room struct {
	*Store
	t         *testing.T
	clk       *clock.Manual
	uncounted map[int64]int
	since     map[int64]int64 // what was asked of Uncounted
}

func eachRoom(t *testing.T, test func(t *testing.T, r *room)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		clk := clock.NewManual(start())
		test(t, &room{Store: New(db, clk, limits.New(db)), t: t, clk: clk})
	})
}

func (r *room) record(acts ...*Act) []*Recorded {
	r.t.Helper()
	var out []*Recorded
	rec := Recorder{
		AccountID: account, Now: r.clk.Now().UnixMilli(), Rules: wechat.RulesAt(r.clk.Now()),
		Uncounted: func(_ *gorm.DB, since map[int64]int64) (map[int64]int, error) {
			r.since = since
			return r.uncounted, nil
		},
	}
	require.NoError(r.t, r.db.Tx(r.t.Context(), func(tx *gorm.DB) (err error) {
		out, err = r.Record(tx, rec, acts)
		return err
	}))
	return out
}

func (r *room) fan(openid string) *Fan {
	r.t.Helper()
	f, err := r.FindFanByOpenID(r.t.Context(), account, openid)
	require.NoError(r.t, err)
	return f
}

func (r *room) usage(openid string) *limits.Usage {
	r.t.Helper()
	u, err := r.limits.Available(r.t.Context(), account, r.fan(openid).ID)
	require.NoError(r.t, err)
	return u
}

func (r *room) at(after time.Duration) int64 { return start().Add(after).UnixMilli() }

func (r *room) text(inbox int64, after time.Duration) *Act {
	return &Act{InboxID: inbox, OpenID: "o1", Kind: "text", EventAt: r.at(after), Triggers: []wechat.Trigger{wechat.TriggerMessage}}
}

func (r *room) follow(inbox int64, after time.Duration, scene string) *Act {
	return &Act{InboxID: inbox, OpenID: "o1", Kind: "subscribe", Scene: scene, Followed: true, EventAt: r.at(after), Triggers: []wechat.Trigger{wechat.TriggerFollow}}
}

func (r *room) leave(inbox int64, after time.Duration) *Act {
	return &Act{InboxID: inbox, OpenID: "o1", Kind: "unsubscribe", Left: true, EventAt: r.at(after)}
}

func (r *room) left(trigger wechat.Trigger, after time.Duration) int {
	r.t.Helper()
	b := r.usage("o1").Grants.Buckets[trigger]
	if !b.Open(r.at(after)) {
		return 0
	}
	return b.Left
}

func TestAnActIsRecordedOnce(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		text := r.text(1, 0)
		text.Detail = strings.Repeat("字", 200)
		first := r.record(text, &Act{InboxID: 2, OpenID: "o2", Kind: "text", EventAt: r.at(0), Triggers: []wechat.Trigger{wechat.TriggerMessage}})
		require.True(t, first[0].Fresh)
		require.True(t, first[0].GrantsChanged)
		require.NotEqual(t, first[0].Fan.ID, first[1].Fan.ID)
		require.Equal(t, 5, r.left(wechat.TriggerMessage, time.Minute))
		spent := r.usage("o1")
		spent.Grants.Take(r.at(0), 4)
		require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error { return r.limits.Save(tx, []*limits.Usage{spent}) }))

		again := r.record(text, r.text(3, time.Second))
		require.False(t, again[0].Fresh)
		require.False(t, again[0].GrantsChanged)
		require.Equal(t, first[0].InteractionID, again[0].InteractionID)
		require.True(t, again[1].Fresh)
		require.Equal(t, 5, r.left(wechat.TriggerMessage, time.Minute))
		again = r.record(text)
		require.False(t, again[0].Fresh)
		require.Equal(t, 5, r.left(wechat.TriggerMessage, time.Minute), "a repeat opens nothing")
		var n int
		var detail string
		require.NoError(t, r.db.Read(t.Context()).Raw("SELECT COUNT(*), MAX(detail) FROM interactions").Row().Scan(&n, &detail))
		require.Equal(t, 3, n)
		require.Equal(t, strings.Repeat("字", 191), detail)
	})
}

func TestProcessesThatRecordTheSameActAgree(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		var fresh [8]int
		together(8, func(i int) {
			rec := Recorder{AccountID: account, Now: r.at(0), Rules: wechat.RulesAt(start()), Uncounted: func(*gorm.DB, map[int64]int64) (map[int64]int, error) { return map[int64]int{}, nil }}
			var acts []*Act
			for n := range 5 {
				acts = append(acts, &Act{InboxID: int64(n + 1), OpenID: fmt.Sprint("o", n%3), Kind: "text", EventAt: r.at(0), Triggers: []wechat.Trigger{wechat.TriggerMessage}})
			}
			err := r.db.Tx(t.Context(), func(tx *gorm.DB) error {
				fresh[i] = 0
				out, err := r.Record(tx, rec, acts)
				for _, o := range out {
					if o.Fresh {
						fresh[i]++
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		sum := 0
		for _, n := range fresh {
			sum += n
		}
		require.Equal(t, 5, sum)
		all, err := r.FindFans(t.Context(), account, FanFilter{})
		require.NoError(t, err)
		require.Len(t, all, 3)
	})
}

func TestTheOrderOfEventsCountsAndNotThatOfTheirArrival(t *testing.T) {
	t.Parallel()
	const s = time.Second
	cases := []struct {
		name       string
		acts       func(r *room) []*Act
		subscribed bool
		message    int // left of the message's grant
		follow     int
		scene      string
	}{
		{"follow, unfollow", func(r *room) []*Act { return []*Act{r.follow(1, s, "a"), r.text(2, 2*s), r.leave(3, 3*s)} }, false, 0, 0, "a"},
		{"unfollow, follow again", func(r *room) []*Act { return []*Act{r.leave(1, s), r.follow(2, 2*s, "b")} }, true, 0, 3, "b"},
		{"the unfollow comes late", func(r *room) []*Act { return []*Act{r.follow(1, 2*s, "b"), r.leave(2, s)} }, true, 0, 3, "b"},
		{"the first follow comes late", func(r *room) []*Act { return []*Act{r.leave(1, 2*s), r.follow(2, s, "a")} }, false, 0, 0, "a"},
		{"an older follow comes late", func(r *room) []*Act { return []*Act{r.follow(1, 2*s, "b"), r.follow(2, s, "a")} }, true, 0, 3, "b"},
		{"a text from before the unfollow comes late", func(r *room) []*Act { return []*Act{r.leave(1, 2*s), r.text(2, s)} }, false, 0, 0, ""},
		{"who writes is a fan", func(r *room) []*Act { return []*Act{r.text(1, s)} }, true, 5, 0, ""},
		{"who wrote later came back", func(r *room) []*Act { return []*Act{r.text(1, 2*s), r.leave(2, s)} }, true, 5, 0, ""},
		{"an agent's later session proves nothing", func(r *room) []*Act {
			closed := &Act{InboxID: 2, OpenID: "o1", Kind: "kf_close_session", EventAt: r.at(3 * s), Session: SessionClosed}
			return []*Act{r.text(1, s), closed, r.leave(3, 2*s)}
		}, false, 0, 0, ""},
	}
	eachRoom(t, func(t *testing.T, r *room) {
		for _, together := range []bool{true, false} {
			for _, c := range cases {
				require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error {
					for _, table := range []string{"fans", "fan_limits", "interactions"} {
						if err := tx.Exec("DELETE FROM " + table).Error; err != nil {
							return err
						}
					}
					return nil
				}))
				acts := c.acts(r)
				if together {
					r.record(acts...)
				} else {
					for _, a := range acts {
						r.record(a)
					}
				}
				f := r.fan("o1")
				require.Equal(t, c.subscribed, f.Subscribed, c.name)
				require.Equal(t, c.scene, f.Scene, c.name)
				require.Equal(t, c.message, r.left(wechat.TriggerMessage, 4*s), c.name)
				require.Equal(t, c.follow, r.left(wechat.TriggerFollow, 4*s), c.name)
			}
		}
	})
}

func TestSendsThatThePlatformMayCountAreTakenOff(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.text(1, 0))
		id := r.fan("o1").ID
		r.uncounted = map[int64]int{id: 2}
		r.record(r.text(2, time.Second), r.text(3, time.Minute), r.leave(4, 0))
		require.Equal(t, map[int64]int64{id: guard.CountedSince(r.at(time.Second))}, r.since, "from the first new act on")
		require.Equal(t, 3, r.left(wechat.TriggerMessage, time.Hour))
	})
}

func TestAnAgentsSessionUsesUpTheFansOwnGrant(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		scan := r.text(2, time.Second)
		scan.Triggers = []wechat.Trigger{wechat.TriggerScan}
		r.record(r.text(1, 0), scan)
		opened := &Act{InboxID: 3, OpenID: "o1", Kind: "kf_create_session", EventAt: r.at(2 * time.Second), Session: SessionOpened}
		require.True(t, r.record(opened)[0].GrantsChanged)
		require.Equal(t, r.at(2*time.Second+guard.AgentSession), r.usage("o1").AgentUntil)
		require.Zero(t, r.left(wechat.TriggerMessage, 3*time.Second))
		require.Equal(t, 3, r.left(wechat.TriggerScan, 3*time.Second), "agents answer what the fan wrote")
		closed := &Act{InboxID: 4, OpenID: "o1", Kind: "kf_close_session", EventAt: r.at(time.Minute), Session: SessionClosed}
		r.record(closed)
		require.Zero(t, r.usage("o1").AgentUntil)
		require.Zero(t, r.left(wechat.TriggerMessage, 2*time.Minute))
		r.record(r.text(5, 2*time.Minute))
		require.Equal(t, 5, r.left(wechat.TriggerMessage, 3*time.Minute), "until the fan writes again")
	})
}

func TestFansAreOfOneAccount(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.follow(1, 0, ""))
		f := r.fan("o1")
		_, err := r.FindFanByOpenID(t.Context(), 2, "o1")
		require.True(t, fault.Is(err, fault.NotFound))
		_, err = r.FindFanByOpenID(t.Context(), account, "O1")
		require.True(t, fault.Is(err, fault.NotFound), "openids are told apart by case")
		others, err := r.ByIDs(r.db.Read(t.Context()), 2, []int64{f.ID})
		require.NoError(t, err)
		require.Empty(t, others)
		learn := func(accountID int64) {
			require.NoError(t, r.db.Tx(t.Context(), func(tx *gorm.DB) error {
				return r.Learn(tx, r.at(time.Hour), accountID, []int64{f.ID}, []int64{f.ID})
			}))
		}
		learn(2)
		require.Equal(t, f, r.fan("o1"))
		learn(account)
		require.False(t, r.fan("o1").Subscribed)
		require.True(t, r.fan("o1").Refused)
		n, err := r.CountSubscribed(t.Context(), account)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
