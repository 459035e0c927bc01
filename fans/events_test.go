package fans

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// own are the own events of the inbox, oldest first: origin, openid, body and how long after the start they happened.
func (r *room) own() []string {
	r.t.Helper()
	rows, err := scanInbox(r.db.Read(r.t.Context()), "SELECT "+inboxColumns+" FROM inbox WHERE origin <> 'platform' ORDER BY event_at, id")
	require.NoError(r.t, err)
	out := []string{}
	for _, row := range rows {
		act, err := ReadOwn(row)
		require.NoError(r.t, err)
		require.Equal(r.t, ReplyClosed, row.ReplyState, "nobody waits for a reply to it")
		out = append(out, fmt.Sprintf("%s %s %s(%s) %s", row.Origin, row.OpenID, act.Kind, act.Detail, time.UnixMilli(row.EventAt).Sub(start())))
	}
	return out
}

func event(key, name string) Event { return Event{Key: key, OpenID: "o1", Name: name} }

func TestAnEventIsStoredOnceByItsKey(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.text(1, 0))
		events := NewEvents(r.Store)
		in := event("order 7", "order.paid")
		in.Data = []byte(` {"total": 5} `)
		first, err := events.Put(t.Context(), account, in)
		require.NoError(t, err)
		require.False(t, first.Repeated)
		r.clk.Advance(time.Hour)
		in.OpenID, in.FanID, in.Data = "", r.fan("o1").ID, []byte(`{"total":5}`)
		again, err := events.Put(t.Context(), account, in)
		require.NoError(t, err)
		require.True(t, again.Repeated)
		require.Equal(t, []int64{first.ID, first.FanID, first.EventAt}, []int64{again.ID, again.FanID, again.EventAt}, "the same event, however it is written")
		require.Equal(t, []string{"api o1 event(order.paid) 0s"}, r.own())
		ids, err := NewInbox(r.db, r.clk).OwnWaiting(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []int64{first.ID}, ids)
	})
}

func TestAKeyIsOfOneEventOnly(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.text(1, 0), &Act{InboxID: 2, OpenID: "o2", Kind: "text", EventAt: r.at(0)})
		events := NewEvents(r.Store)
		_, err := events.Put(t.Context(), account, event("k", "visit"))
		require.NoError(t, err)
		for name, change := range map[string]func(*Event){
			"fan": func(e *Event) { e.OpenID = "o2" }, "name": func(e *Event) { e.Name = "order" }, "data": func(e *Event) { e.Data = []byte(`{}`) },
			"time": func(e *Event) { e.At = r.clk.Now() },
		} {
			in := event("k", "visit")
			change(&in)
			_, err := events.Put(t.Context(), account, in)
			require.True(t, fault.Is(err, fault.Conflict), "%s: %v", name, err)
			requireField(t, err, "idempotency_key", "reused")
		}
		require.Len(t, r.own(), 1)
	})
}

func TestAnEventOfNobodyIsNotFound(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.text(1, 0), &Act{InboxID: 2, OpenID: "o2", Kind: "text", EventAt: r.at(0)})
		events := NewEvents(r.Store)
		id := r.fan("o1").ID
		erased := r.fan("o2").ID
		require.NoError(t, r.EraseFans(t.Context(), account, []int64{erased}))
		for _, in := range []struct {
			account int64
			event   Event
		}{
			{account, Event{Key: "a", OpenID: "nobody", Name: "visit"}}, {account, Event{Key: "b", FanID: 99_999, Name: "visit"}}, {account, Event{Key: "c", FanID: erased, Name: "visit"}},
			{account, Event{Key: "d", OpenID: fmt.Sprint(erasedPrefix, erased), Name: "visit"}},
			{account + 1, Event{Key: "e", OpenID: "o1", Name: "visit"}}, {account + 1, Event{Key: "f", FanID: id, Name: "visit"}},
		} {
			_, err := events.Put(t.Context(), in.account, in.event)
			require.True(t, fault.Is(err, fault.NotFound), "%+v: %v", in, err)
		}
		require.Empty(t, r.own())
	})
}

func TestABadEventIsRefusedWithItsField(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.text(1, 0))
		for field, change := range map[string]func(*Event){
			"idempotency_key key":    func(e *Event) { e.Key = "" },
			"idempotency_key key ":   func(e *Event) { e.Key = "订单" },
			"idempotency_key key  ":  func(e *Event) { e.Key = strings.Repeat("k", 129) },
			"fan_id one_of":          func(e *Event) { e.FanID = 1 },
			"fan_id one_of ":         func(e *Event) { e.OpenID = "" },
			"event event_name":       func(e *Event) { e.Name = "Paid" },
			"event event_name ":      func(e *Event) { e.Name = "" },
			"event event_name  ":     func(e *Event) { e.Name = "a" + strings.Repeat("b", 64) },
			"event event_name   ":    func(e *Event) { e.Name = "7up" },
			"data length":            func(e *Event) { e.Data = []byte(`{"a":"` + strings.Repeat("x", 4096) + `"}`) },
			"data json_object":       func(e *Event) { e.Data = []byte(`[1]`) },
			"data json_object ":      func(e *Event) { e.Data = []byte(`{"a":1`) },
			"data json_object   ":    func(e *Event) { e.Data = []byte(`{"a":1}{}`) },
			"at range":               func(e *Event) { e.At = r.clk.Now().Add(6 * time.Minute) },
			"at range ":              func(e *Event) { e.At = r.clk.Now().Add(-31 * 24 * time.Hour) },
			"data json_object      ": func(e *Event) { e.Data = []byte("{\"a\":\"\xff\"}") },
		} {
			in := event("k", "visit")
			change(&in)
			_, err := NewEvents(r.Store).Put(t.Context(), account, in)
			require.True(t, fault.Is(err, fault.Invalid), "%s: %v", field, err)
			rule := strings.Fields(field)
			requireField(t, err, rule[0], rule[1])
		}
		require.Empty(t, r.own())
	})
}

// tell is an own event of a fan, as the inbox holds it.
func (r *room) tell(inbox int64, openid string, after time.Duration, o Own) *Act {
	return &Act{InboxID: inbox, OpenID: openid, Kind: o.Kind, Detail: o.detail(), EventAt: r.at(after), Own: &o}
}

func TestAnOwnEventIsRecordedAndMovesNothingOfTheFan(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.follow(1, 0, ""), r.text(2, time.Second), r.leave(3, time.Minute))
		before, limits := r.fan("o1"), r.usage("o1")
		got := r.record(
			r.tell(4, "o1", time.Hour, Own{Kind: KindEvent, Name: "visit"}), r.tell(5, "o1", time.Hour, Own{Kind: KindTagged, TagID: 7}),
			r.tell(6, "o1", time.Hour, Own{Kind: KindSilent, Hours: 3}), r.tell(7, "o1", time.Hour, Own{Kind: KindClosing, Minutes: 30}),
			r.tell(8, "o9", time.Hour, Own{Kind: KindEvent, Name: "visit"}),
		)
		require.Len(t, got, 4, "an own event makes nobody a fan")
		require.Equal(t, before, r.fan("o1"))
		require.Equal(t, limits, r.usage("o1"))
		var kept []string
		require.NoError(t, r.db.Read(t.Context()).Raw("SELECT CONCAT(kind, '(', detail, ')') FROM interactions WHERE inbox_id > 3 ORDER BY id").Scan(&kept).Error)
		require.Equal(t, []string{"event(visit)", "tagged(7)", "silent(3)", "closing(30)"}, kept)
	})
}

func TestAnOwnEventIsReadByItsOriginOnly(t *testing.T) {
	t.Parallel()
	good := map[Origin]string{OriginAPI: `{"kind":"event","name":"visit"}`, OriginTag: `{"kind":"tagged","tag_id":1}`, OriginSilence: `{"kind":"silent","hours":1}`}
	for origin, body := range good {
		for _, from := range []Origin{OriginPlatform, OriginAPI, OriginTag, OriginSilence, "other"} {
			_, err := ReadOwn(&InboxRow{Push: Push{Body: []byte(body)}, Origin: from})
			require.Equal(t, from == origin, err == nil, "%s from %s: %v", body, from, err)
		}
		for _, bad := range []string{"", "{}", "null", "<xml></xml>", body + "x", body + body, strings.Replace(body, `"kind"`, `"more":1,"kind"`, 1)} {
			_, err := ReadOwn(&InboxRow{Push: Push{Body: []byte(bad)}, Origin: origin})
			require.Error(t, err, bad)
		}
	}
}

func TestAFollowTellsItsSourceOnlyIfItWasByACode(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		r.record(r.follow(1, 0, "shop"))
		require.Equal(t, "ADD_SCENE_QR_CODE", r.fan("o1").FollowSource)
		r.record(r.text(2, time.Second))
		require.Equal(t, "ADD_SCENE_QR_CODE", r.fan("o1").FollowSource)
		r.record(r.follow(3, time.Hour, ""))
		require.Empty(t, r.fan("o1").FollowSource, "that of the earlier follow is not true any more")
	})
}

// watching waits for some tags.
type watching map[int64]bool

func (w watching) WatchedTags(_ *gorm.DB, accountID int64) (map[int64]bool, error) {
	if accountID != account {
		return map[int64]bool{}, nil
	}
	return w, nil
}

func TestATagThatIsWaitedForMakesAnEventWhoeverGivesIt(t *testing.T) {
	t.Parallel()
	eachTagged(t, func(t *testing.T, w *tagWorld) {
		openids, ids := w.followers(4)
		slices.SortFunc(openids, func(a, b string) int { return cmp.Compare(w.fan(a).ID, w.fan(b).ID) })
		slices.Sort(ids)
		vip, other, there := w.tag("vip", false), w.tag("other", false), w.tag("there", true)
		w.Watch(watching{vip.ID: true, there.ID: true})
		events := func() (out []string) {
			for _, e := range w.own() {
				out = append(out, strings.Join(strings.Fields(e)[1:3], " "))
			}
			return out
		}
		w.add(other, ids...)
		require.Empty(t, w.own(), "nobody waits for it")
		w.add(vip, ids[0], ids[1])
		got := func(fan int, tag *Tag) string { return fmt.Sprintf("%s tagged(%d)", openids[fan], tag.ID) }
		want := []string{got(0, vip), got(1, vip)}
		require.Equal(t, want, events())
		w.clk.Advance(time.Minute)
		w.add(vip, ids[1], ids[2])
		want = append(want, got(2, vip))
		require.Equal(t, want, events(), "who had it before did not get it")
		_, err := w.mirror.UntagFans(t.Context(), account, Tagging{TagID: vip.ID, FanIDs: ids[:1]})
		require.NoError(t, err)
		w.do(w.tagJob(TagJob{TagID: vip.ID, FanIDs: ids}))
		require.Len(t, events(), len(want)+2, "a job gives it to the one who lost it, and to the last")
		require.NoError(t, w.sim.TagFan(openids[3], there.WeChatID))
		w.syncTags()
		require.Equal(t, got(3, there), events()[len(want)+2], "a synchronisation finds it on the platform")
		w.clk.Advance(time.Minute)
		w.setWeChatTags(map[int64][]int{ids[0]: {there.WeChatID}})
		require.Len(t, events(), len(want)+4)
		w.syncTags()
		require.Len(t, events(), len(want)+4, "to lose a tag is no event")
	})
}

func (r *room) silence(kind string, n int) (found int64) {
	r.t.Helper()
	for more := true; more; {
		var part int64
		var err error
		part, more, err = r.FindSilence(r.t.Context(), Silence{AccountID: account, Kind: kind, N: n})
		require.NoError(r.t, err)
		found += part
	}
	return found
}

func TestSilenceIsToldOnceAfterItsHours(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		act := func(inbox int64, openid string, after time.Duration) *Act {
			return &Act{InboxID: inbox, OpenID: openid, Kind: "text", EventAt: r.at(after), Triggers: []wechat.Trigger{wechat.TriggerMessage}}
		}
		r.clk.Advance(time.Hour)
		require.Zero(t, r.silence(KindSilent, 2))
		r.record(act(2, "o1", time.Hour), act(3, "o2", time.Hour), act(4, "o2", time.Hour), act(5, "o3", time.Hour))
		r.clk.Advance(2*time.Hour - time.Second)
		r.record(act(6, "o3", 3*time.Hour-time.Second))
		r.record(r.tell(7, "o1", 2*time.Hour, Own{Kind: KindEvent, Name: "visit"}), &Act{InboxID: 8, OpenID: "o2", Kind: "kf_close_session", EventAt: r.at(3 * time.Hour), Session: SessionClosed})
		require.Zero(t, r.silence(KindSilent, 2))
		r.clk.Advance(time.Second)
		require.EqualValues(t, 2, r.silence(KindSilent, 2), "what an agent or another program does is no act of the fan")
		require.Zero(t, r.silence(KindSilent, 2))
		require.Equal(t, []string{"silence o1 silent(2) 3h0m0s", "silence o2 silent(2) 3h0m0s"}, r.own())
		r.record(act(9, "o1", 3*time.Hour), &Act{InboxID: 10, OpenID: "o3", Kind: "unsubscribe", Left: true, EventAt: r.at(3 * time.Hour)})
		r.clk.Advance(3 * time.Hour)
		require.EqualValues(t, 1, r.silence(KindSilent, 2), "who has left is not silent but gone")
		require.Equal(t, "silence o1 silent(2) 5h0m0s", r.own()[2])
	})
}

func TestAClosingWindowIsToldBeforeItsEnd(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		require.Zero(t, r.silence(KindClosing, 60))
		r.record(r.text(1, 0), &Act{InboxID: 2, OpenID: "o2", Kind: "click", EventAt: r.at(0), Triggers: []wechat.Trigger{wechat.TriggerMenu}})
		r.clk.Advance(10 * time.Hour)
		r.record(&Act{InboxID: 3, OpenID: "o3", Kind: "text", EventAt: r.at(10 * time.Hour), Triggers: []wechat.Trigger{wechat.TriggerMessage}})
		r.clk.Advance(36*time.Hour + 49*time.Minute)
		require.Zero(t, r.silence(KindClosing, 60), "the window is the one that we rely on: 47 h 50 min")
		r.clk.Advance(time.Minute)
		require.EqualValues(t, 1, r.silence(KindClosing, 60))
		require.Equal(t, []string{"silence o1 closing(60) 46h50m0s"}, r.own())
		r.clk.Advance(20 * time.Hour)
		require.Zero(t, r.silence(KindClosing, 60), "a window that has closed is not about to")
	})
}

func TestWhoWasSilentBeforeTheSearchBeganIsNotTold(t *testing.T) {
	t.Parallel()
	eachRoom(t, func(t *testing.T, r *room) {
		for i := range 40 {
			r.record(&Act{InboxID: int64(i + 1), OpenID: fmt.Sprint("o", i), Kind: "text", EventAt: r.clk.Now().UnixMilli(), Triggers: []wechat.Trigger{wechat.TriggerMessage}})
			r.clk.Advance(time.Hour)
		}
		require.Zero(t, r.silence(KindSilent, 5), "the 36 first have been silent for longer")
		r.clk.Advance(time.Hour)
		require.EqualValues(t, 1, r.silence(KindSilent, 5))
		r.clk.Advance(100 * time.Hour)
		require.EqualValues(t, 3, r.silence(KindSilent, 5))
		require.NoError(t, r.KeepSilences(t.Context(), []Silence{{account, KindSilent, 5}}))
		require.Equal(t, 1, r.count("SELECT COUNT(*) FROM silence_cursors"))
		require.NoError(t, r.KeepSilences(t.Context(), nil))
		require.Zero(t, r.count("SELECT COUNT(*) FROM silence_cursors"))
	})
}

func TestAnActStoredUnderAWrongClockDoesNotHoldUpTheSearch(t *testing.T) {
	t.Parallel()
	page := func(at ...int64) (out []pastAct) {
		for i, hours := range at {
			out = append(out, pastAct{id: int64(i + 1), recordedAt: hours * time.Hour.Milliseconds()})
		}
		return out
	}
	limit := 10 * time.Hour.Milliseconds()
	for want, at := range map[int][]int64{0: {11, 10}, 1: {10, 11, 9}, 2: {99, 10}, 3: {9, 9, 9, 99}, 4: {1, 99, 99, 10, 11}} {
		require.Len(t, duePart(page(at...), limit), want, "%v", at)
	}
}
