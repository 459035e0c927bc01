package fans

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/testdb"
	"hongyan/limits"
	"hongyan/wechat"
)

// told is a room that is told of erasures.
type told struct {
	ids []int64
	err error
}

func (f *told) Forget(_ *gorm.DB, _, accountID int64, ids []int64) error {
	if accountID != account {
		return fmt.Errorf("account %d", accountID)
	}
	f.ids = slices.Clone(ids)
	return f.err
}

// full makes a fan of whom everything is known that can be known, and returns the words by which to find it.
func (w *tagWorld) full(n int) (f *Fan, words []string) {
	w.t.Helper()
	openid := w.stranger("")
	words = []string{openid}
	word := func(what string) string {
		out := fmt.Sprint(what, "of", n)
		words = append(words, out)
		return out
	}
	token := wechat.PersonToken{OpenID: openid}
	_, err := w.KeepProfile(w.t.Context(), account, token, wechat.Person{OpenID: openid, Nickname: word("nickname"), AvatarURL: word("https://avatar"), UnionID: word("union")})
	require.NoError(w.t, err)
	in := NewInbox(w.db, w.clk)
	text := word("text")
	row, err := in.Put(w.t.Context(), &Push{AccountID: account, DedupeKey: fmt.Sprint("key", n), OpenID: openid, Body: []byte("<xml>" + openid + text + "</xml>"), EventAt: w.at(0)})
	require.NoError(w.t, err)
	w.record(&Act{InboxID: row.ID, OpenID: openid, Kind: "subscribe", Scene: word("scene"), Followed: true, Detail: text, EventAt: w.at(0), Triggers: []wechat.Trigger{wechat.TriggerFollow}})
	require.NoError(w.t, w.db.Tx(w.t.Context(), func(tx *gorm.DB) error {
		if _, err := in.TakeReply(tx, row.ID, []byte(word("reply"))); err != nil {
			return err
		}
		return tx.Exec("UPDATE fans SET remark = ?, language = ?, follow_source = ? WHERE openid = ?", word("remark"), word("lang"), word("ADD_SCENE"), openid).Error
	}))
	return w.fan(openid), words
}

func TestNothingOfAnErasedFanIsLeftInAnyTable(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		gone, words := w.full(1)
		stays, others := w.full(2)
		own, there := w.tag("own", false), w.tag("there", true)
		w.setWeChatTags(map[int64][]int{gone.ID: {there.WeChatID}, stays.ID: {there.WeChatID}})
		w.add(own, gone.ID, stays.ID)
		a := w.attribute(NewAttribute{Name: "note", Type: TypeText})
		require.NoError(t, w.SetAttribute(t.Context(), account, a.ID, "attribute-of-1", []int64{gone.ID}))
		require.NoError(t, w.SetAttribute(t.Context(), account, a.ID, "attribute-of-2", []int64{stays.ID}))
		words, others = append(words, "attribute-of-1"), append(others, "attribute-of-2")
		before := testdb.Search(t, w.db, words...)
		require.Equal(t, []string{
			"fan_attributes.text", "fans.avatar_url", "fans.follow_source", "fans.language", "fans.nickname", "fans.openid", "fans.remark", "fans.scene", "fans.unionid",
			"inbox.body", "inbox.openid", "inbox.reply", "interactions.detail",
		}, before, "the search finds what is there")

		room := &told{}
		w.Tell(room)
		require.NoError(t, w.EraseFans(t.Context(), account, []int64{gone.ID}))
		require.Empty(t, testdb.Search(t, w.db, words...))
		require.Equal(t, before, testdb.Search(t, w.db, others...), "the other fan is as before")
		require.Equal(t, []int64{gone.ID}, room.ids)

		// The rows and the counts stay.
		found, err := w.ByIDs(w.db.Read(t.Context()), account, []int64{gone.ID})
		require.NoError(t, err)
		f := found[gone.ID]
		require.True(t, f.Erased())
		require.False(t, f.Subscribed)
		require.Equal(t, []int64{gone.CreatedAt, gone.SubscribedAt, w.at(0)}, []int64{f.CreatedAt, f.SubscribedAt, f.UnsubscribedAt})
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM interactions WHERE fan_id = ? AND kind = 'subscribe'", gone.ID))
		require.Equal(t, []string{"0 own 1", "100 there 1"}, w.tags())
		require.Empty(t, w.values(gone.ID))
		done, err := w.FindErasures(t.Context(), account, 0, 10)
		require.NoError(t, err)
		require.Len(t, done, 1)
		require.Equal(t, Erasure{ID: done[0].ID, AccountID: account, Cause: CauseMember, Fans: 1, At: w.at(0)}, done[0])

		// Again there is nothing to do, and nothing new can be said about nobody.
		require.NoError(t, w.EraseFans(t.Context(), account, []int64{gone.ID}))
		require.EqualValues(t, 1, w.number("SELECT COUNT(*) FROM erasures"))
		require.True(t, fault.Is(w.SetAttribute(t.Context(), account, a.ID, "x", []int64{gone.ID}), fault.NotFound))
		_, err = w.mirror.TagFans(t.Context(), account, Tagging{TagID: own.ID, FanIDs: []int64{gone.ID}})
		require.True(t, fault.Is(err, fault.NotFound))
		require.True(t, fault.Is(w.mirror.SetRemark(t.Context(), account, gone.ID, "x"), fault.NotFound))
		w.setWeChatTags(map[int64][]int{gone.ID: {there.WeChatID}})
		require.Equal(t, []string{"0 own 1", "100 there 1"}, w.tags())
	})
}

func TestAPersonWhoComesBackAfterTheErasureIsANewFan(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		gone, _ := w.full(1)
		require.NoError(t, w.EraseFans(t.Context(), account, []int64{gone.ID}))
		w.clk.Advance(time.Hour)
		w.record(&Act{InboxID: 1000, OpenID: gone.OpenID, Kind: "subscribe", Followed: true, EventAt: w.at(time.Hour), Triggers: []wechat.Trigger{wechat.TriggerFollow}})
		back := w.fan(gone.OpenID)
		require.NotEqual(t, gone.ID, back.ID)
		require.Equal(t, Fan{ID: back.ID, AccountID: account, OpenID: gone.OpenID, Subscribed: true, SubscribedAt: w.at(time.Hour), InteractedAt: w.at(time.Hour), CreatedAt: w.at(time.Hour)}, *back)
		require.NoError(t, w.EraseFans(t.Context(), account, []int64{back.ID}))
		require.Empty(t, testdb.Search(t, w.db, gone.OpenID))
	})
}

func TestASendDecidedBeforeAnErasureIsDecidedAnew(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, ids := w.followers(2)
		reserve, other := w.stale(ids[0]), w.stale(ids[1])
		require.NoError(t, w.EraseFans(t.Context(), account, ids[:1]))
		require.ErrorIs(t, reserve(), limits.ErrStale)
		require.NoError(t, other())
	})
}

func TestAPushThatWaitsDoesNotMakeAnErasedPersonAFanAgain(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		in := NewInbox(w.db, w.clk)
		f, _ := w.full(1) // its push waits for its passive reply to be handed over
		waiting, err := in.Put(t.Context(), &Push{AccountID: account, DedupeKey: "later", OpenID: f.OpenID, Body: []byte("x")})
		require.NoError(t, err)
		require.NoError(t, w.EraseFans(t.Context(), account, []int64{f.ID}))
		pending, err := in.Claim(t.Context(), "me", []int64{waiting.ID - 1, waiting.ID}, time.Minute)
		require.NoError(t, err)
		require.Len(t, pending, 1, "only so that the delivery of the reply is ended")
		require.Equal(t, []any{ReplyTaken, 0, 0}, []any{pending[0].ReplyState, len(pending[0].Body), len(pending[0].Reply)})
		again, err := in.Put(t.Context(), &Push{AccountID: account, DedupeKey: "later", OpenID: f.OpenID, Body: []byte("x")})
		require.NoError(t, err)
		require.False(t, again.Pending, "the platform's repeat of the push changes nothing")
	})
}

func TestAnErasureIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		f, words := w.full(1)
		before := testdb.Search(t, w.db, words...)
		w.Tell(&told{err: fault.New(fault.Conflict, "no")})
		require.True(t, fault.Is(w.EraseFans(t.Context(), account, []int64{f.ID}), fault.Conflict))
		require.Equal(t, before, testdb.Search(t, w.db, words...))
		for _, ids := range [][]int64{nil, upTo(MaxErased + 1)} {
			requireField(t, w.EraseFans(t.Context(), account, ids), "fan_ids", "count")
		}
		require.True(t, fault.Is(w.EraseFans(t.Context(), account, []int64{f.ID, 12345}), fault.NotFound))
		require.True(t, fault.Is(w.EraseFans(t.Context(), account+1, []int64{f.ID}), fault.NotFound))
		require.NoError(t, w.db.Tx(t.Context(), func(tx *gorm.DB) error { return w.Erase(tx, w.at(0), account+1, []int64{f.ID}) }))
		require.Equal(t, before, testdb.Search(t, w.db, words...), "another account cannot erase them")
	})
}

func TestAllFansOfAnAccountAreErasedByAJobThatGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		_, words := w.full(1)
		openids, _ := w.followers(950)
		in := NewInbox(w.db, w.clk)
		_, err := in.Put(t.Context(), &Push{AccountID: account, DedupeKey: "stranger", OpenID: "a-stranger", Body: []byte("a-stranger")})
		require.NoError(t, err)
		_, err = in.Put(t.Context(), &Push{AccountID: account + 1, DedupeKey: "other", OpenID: "of-another", Body: []byte("x")})
		require.NoError(t, err)
		killed := 0
		w.Tell(forgetter(func() error {
			if killed++; killed%3 == 0 {
				panic("killed")
			}
			return nil
		}))
		j := &jobs.Job{AccountID: account, Kind: EraseAllKind}
		require.NoError(t, w.jobs.Create(t.Context(), j))
		for w.job(j.ID).State != jobs.StateFinished {
			require.False(t, w.job(j.ID).State.Ended(), w.job(j.ID).Error)
			w.run()
			w.clk.Advance(5 * time.Second)
		}
		require.Equal(t, []int64{951, 951}, []int64{w.job(j.ID).Done, w.job(j.ID).Total})
		require.Empty(t, testdb.Search(t, w.db, append(words, openids[0], openids[949], "a-stranger", strings.TrimSpace(openids[500]))...))
		require.NotEmpty(t, testdb.Search(t, w.db, "of-another"))
		done, err := w.FindErasures(t.Context(), account, 0, 10)
		require.NoError(t, err)
		require.Len(t, done, 1)
		require.Equal(t, []any{CauseAccount, int64(951)}, []any{done[0].Cause, done[0].Fans})
		require.EqualValues(t, 951, w.number("SELECT COUNT(*) FROM fans WHERE subscribed = 0"))
	})
}

// forgetter is a room that has something of its own to do.
type forgetter func() error

func (f forgetter) Forget(*gorm.DB, int64, int64, []int64) error { return f() }

// An erasure finds what it removes by indexes: it must not read the pushes and acts of everybody else.
func TestAnErasureReadsNoTableAsAWhole(t *testing.T) {
	t.Parallel()
	w := newTagWorld(t, testdb.SQLite(t))
	for query, index := range map[string]string{
		"UPDATE inbox SET openid = '' WHERE openid IN ('a', 'b') AND openid <> '' AND +account_id = 1": "inbox_openid (openid=?)",
		"UPDATE interactions SET detail = '' WHERE fan_id IN (1, 2) AND +account_id = 1":               "interactions_fan (fan_id=?)",
		"SELECT tag_id, fan_id FROM fan_tags WHERE fan_id IN (1, 2) AND +account_id = 1":               "fan_tags_fan (fan_id=?)",
		"DELETE FROM fan_tags WHERE tag_id = 1 AND fan_id IN (1) OR tag_id = 2 AND fan_id IN (1, 2)":   "PRIMARY KEY (tag_id=? AND fan_id=?)",
		"DELETE FROM fan_attributes WHERE fan_id IN (1, 2) AND account_id = 1":                         "PRIMARY KEY (fan_id=?)",
		"UPDATE deliveries SET state = 1 WHERE fan_id IN (1, 2) AND +account_id = 1 AND state = 1":     "deliveries_fan (fan_id=?)",
		"UPDATE enrolments SET ended_at = 1 WHERE fan_id IN (1, 2) AND account_id = 1":                 "enrolments_fan (fan_id=?)",
		"UPDATE fans SET subscribed = 0 WHERE id IN (1, 2) AND +account_id = 1":                        "INTEGER PRIMARY KEY (rowid=?)",
	} {
		var plan []struct{ Detail string }
		require.NoError(t, w.db.Read(t.Context()).Raw("EXPLAIN QUERY PLAN "+query).Scan(&plan).Error)
		var details []string
		for _, step := range plan {
			details = append(details, step.Detail)
		}
		require.Contains(t, strings.Join(details, "; "), index, query)
	}
}
