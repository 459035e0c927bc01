package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/stops"
	"hongyan/wechat"
)

// open lets every call to the platform pass.
type open struct{}

func (open) Begin(stops.Scope) bool { return true }
func (open) End(stops.Scope)        {}

func (w *world) joinFans() {
	platform := &fans.Platform{Client: w.o.Client, Accounts: w.o.Accounts, Gate: open{}, Clock: w.clock}
	w.o.Mirror, w.o.Blacklister, w.o.Events = fans.NewMirror(w.o.Fans, platform), fans.NewBlacklister(w.o.Fans, platform), fans.NewEvents(w.o.Fans)
}

// path is a path below an account.
func path(a *accounts.Account, format string, args ...any) string {
	return fmt.Sprintf("/api/v1/accounts/%d", a.ID) + fmt.Sprintf(format, args...)
}

// fan makes a fan who wrote a moment ago, and returns their id.
func (w *world) fan(a *accounts.Account, openid, text string) int64 {
	w.t.Helper()
	var id int64
	now := w.clock.Now()
	require.NoError(w.t, w.o.DB.Tx(w.t.Context(), func(tx *gorm.DB) error {
		out, err := w.o.Fans.Record(tx, fans.Recorder{
			AccountID: a.ID, Now: now.UnixMilli(), Rules: wechat.RulesAt(now), Uncounted: w.o.Ledger.Uncounted,
		}, []*fans.Act{{
			InboxID: int64(len(openid))*1_000_000 + now.UnixMilli()%1_000_000 + int64(openid[len(openid)-1]), OpenID: openid, Kind: "text", Detail: text, EventAt: now.UnixMilli(),
			Triggers: []wechat.Trigger{wechat.TriggerMessage},
		}})
		if err == nil {
			id = out[0].Fan.ID
		}
		return err
	}))
	return id
}

// planned puts n deliveries to a fan into the ledger, the last of them skipped, and returns the last one's id.
func (w *world) planned(a *accounts.Account, fan int64, n int, text string) int64 {
	w.t.Helper()
	now := w.clock.Now()
	rows := make([]deliveries.Planned, n)
	require.NoError(w.t, w.o.DB.Tx(w.t.Context(), func(tx *gorm.DB) error {
		messages, err := w.o.Templates.Save(tx, a.ID, []wechat.Message{wechat.TextMessage(text)})
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i] = deliveries.Planned{
				Key:      deliveries.Key{AccountID: a.ID, Source: deliveries.Source{Kind: deliveries.SourceAPI, ID: 7}, FanID: fan, Occurrence: int64(i), StepNo: 1, MessageNo: 1},
				StepSize: 1, Channel: guard.ChannelKefu, Class: guard.ClassMarketing, MessageID: messages[0], DueAt: now.UnixMilli(), NotAfter: now.Add(time.Hour).UnixMilli(),
				Deadline: now.Add(time.Hour).UnixMilli(), State: deliveries.StatePlanned,
			}
		}
		last := &rows[n-1]
		last.State, last.Reason, last.Verdict, last.Values = deliveries.StateSkipped, guard.ReasonCap, guard.Skip, []guard.Value{{Name: "cap", Number: 3}}
		return w.o.Ledger.Plan(tx, now, rows)
	}))
	id, err := w.o.Ledger.FindByKey(w.o.DB.Read(w.t.Context()), rows[n-1].Key)
	require.NoError(w.t, err)
	return id
}

// fanSamples are a fan, tag, attribute and delivery of each account.
func (w *world) fanSamples(out map[string]sample) {
	w.t.Helper()
	var of [2]map[string]string
	for i, a := range []*accounts.Account{w.ours, w.other} {
		text := []string{"hi", theirMark}[i]
		fan := w.fan(a, "o"+text, text)
		tag, err := w.o.Mirror.CreateTag(w.t.Context(), a.ID, fans.NewTag{Name: text})
		require.NoError(w.t, err)
		_, err = w.o.Mirror.TagFans(w.t.Context(), a.ID, fans.Tagging{TagID: tag.ID, FanIDs: []int64{fan}})
		require.NoError(w.t, err)
		_, err = w.o.Mirror.CreateTag(w.t.Context(), a.ID, fans.NewTag{Name: text + " 2"})
		require.NoError(w.t, err)
		attribute, err := w.o.Fans.CreateAttribute(w.t.Context(), a.ID, fans.NewAttribute{Name: "note", Label: text, Type: fans.TypeText})
		require.NoError(w.t, err)
		require.NoError(w.t, w.o.Fans.SetAttribute(w.t.Context(), a.ID, attribute.ID, text, []int64{fan}))
		id := func(n int64) string { return strconv.FormatInt(n, 10) }
		of[i] = map[string]string{"fan": id(fan), "tag": id(tag.ID), "attribute": id(attribute.ID), "delivery": id(w.planned(a, fan, 2, text))}
	}
	for name := range of[0] {
		out[name] = sample{of[0][name], of[1][name]}
	}
}

type items struct {
	Items []map[string]any `json:"items"`
	Next  string           `json:"next"`
}

// list reads all pages of a list, in pages of two.
func (w *world) list(path string) (all []map[string]any) {
	w.t.Helper()
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	for cursor := ""; ; {
		r := w.ask(http.MethodGet, path+sign+"limit=2"+cursor, nil)
		require.Equal(w.t, http.StatusOK, r.status, string(r.raw))
		var page items
		r.into(w.t, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

func ids(all []map[string]any) []int64 {
	out := []int64{}
	for _, item := range all {
		out = append(out, int64(item["id"].(float64))) //nolint:forcetypeassert // a test
	}
	return out
}

func TestFansAreListedWithTheirTagsPageByPage(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		var want []int64
		for i := range 5 {
			want = append([]int64{w.fan(w.ours, fmt.Sprint("o", i), "hi")}, want...)
		}
		w.fan(w.other, "o9", theirMark)
		all := w.list(path(w.ours, "/fans"))
		require.Equal(t, want, ids(all))
		require.Equal(t, []any{}, all[0]["tags"])
		made := w.ask(http.MethodPost, path(w.ours, "/tags"), map[string]any{"name": "VIP"})
		require.Equal(t, http.StatusCreated, made.status, string(made.raw))
		var tag tagView
		made.into(t, &tag)
		done := w.ask(http.MethodPost, path(w.ours, "/tags/%d/fans", tag.ID), map[string]any{"fan_ids": want[1:4]})
		require.JSONEq(t, `{"done":3,"refused":[]}`, string(done.raw))
		all = w.list(path(w.ours, "/fans?tag=%d&window_open=true&sort=newest", tag.ID))
		require.Equal(t, want[1:4], ids(all))
		require.Equal(t, []any{float64(tag.ID)}, all[0]["tags"])
		require.Empty(t, w.list(path(w.ours, "/fans?tag=%d&window_open=false", tag.ID)))
		require.Equal(t, want[4:], ids(w.list(path(w.ours, "/fans?q=o0"))))
		require.Empty(t, w.list(path(w.ours, "/fans?subscribed=false")))
		done = w.ask(http.MethodPost, path(w.ours, "/tags/%d/fans/remove", tag.ID), map[string]any{"fan_ids": want[1:2]})
		require.JSONEq(t, `{"done":1,"refused":[]}`, string(done.raw))
		require.Equal(t, want[2:4], ids(w.list(path(w.ours, "/fans?tag=%d", tag.ID))))
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, path(w.other, "/fans?tag=%d", tag.ID), nil).status)
	})
}

func TestACursorIsOfItsListOnly(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			w.fan(w.ours, fmt.Sprint("o", i), "hi")
		}
		var page items
		w.ask(http.MethodGet, path(w.ours, "/fans?limit=1"), nil).into(t, &page)
		require.NotEmpty(t, page.Next)
		for _, other := range []string{path(w.other, "/fans?cursor="), path(w.ours, "/fans?subscribed=true&cursor="), path(w.ours, "/interactions?cursor=")} {
			r := w.ask(http.MethodGet, other+page.Next, nil)
			require.Equal(t, http.StatusUnprocessableEntity, r.status)
			require.Equal(t, "query.cursor", r.problem(t).Errors[0].Field)
		}
	})
}

func TestAFanIsShownWithWhatIsLeftOfGrantsAndCaps(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		id := w.fan(w.ours, "o1", "hi")
		var detail fanDetail
		r := w.ask(http.MethodPost, path(w.ours, "/attributes"), map[string]any{"name": "level", "label": "等级", "type": "choice", "choices": []string{"金", "银"}})
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		var attribute attributeView
		r.into(t, &attribute)
		one := path(w.ours, "/fans/%d/attributes/%d", id, attribute.ID)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodPut, one, map[string]any{"value": "银"}).status)
		require.Equal(t, "value", w.ask(http.MethodPut, one, map[string]any{"value": "铜"}).problem(t).Errors[0].Field)
		w.clock.Advance(time.Hour)
		w.ask(http.MethodGet, path(w.ours, "/fans/%d", id), nil).into(t, &detail)
		require.Equal(t, 5, detail.Sendable)
		require.Len(t, detail.Grants, 1)
		until := w.clock.Now().Add(47*time.Hour - 10*time.Minute).UnixMilli()
		require.Equal(t, bucketView{Trigger: "message", Words: "粉丝发来消息", Left: 5, Until: until, Open: true}, detail.Grants[0])
		require.Equal(t, []capView{{Period: "day"}, {Period: "week"}, {Period: "month"}}, detail.Caps)
		require.Equal(t, []valueView{{AttributeID: attribute.ID, Name: "level", Label: "等级", Value: "银"}}, detail.Attributes)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, one, nil).status)
		many := path(w.ours, "/attributes/%d/values", attribute.ID)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodPost, many, map[string]any{"value": "金", "fan_ids": []int64{id}}).status)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPost, many, map[string]any{"value": "金", "fan_ids": []int64{id, 4711}}).status)
		w.ask(http.MethodGet, path(w.ours, "/fans/%d", id), nil).into(t, &detail)
		require.Equal(t, "金", detail.Attributes[0].Value)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodPost, many+"/remove", map[string]any{"fan_ids": []int64{id}}).status)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, path(w.ours, "/fans/%d", id), nil).status)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, path(w.ours, "/fans/%d", id), nil).status)
		require.Empty(t, w.list(path(w.ours, "/fans")))
	})
}

func TestAnAttributeIsChangedOnlyByWhoHasSeenIt(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		r := w.ask(http.MethodPost, path(w.ours, "/attributes"), map[string]any{"name": "level", "label": "等级", "type": "choice", "choices": []string{"金"}})
		var x attributeView
		r.into(t, &x)
		one := path(w.ours, "/attributes/%d", x.ID)
		tag := w.ask(http.MethodGet, one, nil).header.Get("ETag")
		change := map[string]any{"choices": []map[string]any{{"id": x.Choices[0].ID, "name": "黄金"}, {"name": "银"}}}
		require.Equal(t, http.StatusPreconditionRequired, w.ask(http.MethodPatch, one, change).status)
		r = w.ask(http.MethodPatch, one, change, "If-Match", tag)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		r.into(t, &x)
		require.Equal(t, []choiceView{{ID: 1, Name: "黄金"}, {ID: 2, Name: "银"}}, x.Choices)
		require.Equal(t, http.StatusPreconditionFailed, w.ask(http.MethodPatch, one, map[string]any{"label": "级"}, "If-Match", tag).status)
		require.Equal(t, http.StatusUnprocessableEntity,
			w.ask(http.MethodPatch, one, map[string]any{"choices": []map[string]any{{"name": "铜"}}}, "If-Match", r.header.Get("ETag")).status, "a choice that fans may have")
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, one, nil).status)
		require.Empty(t, w.list(path(w.ours, "/attributes")))
	})
}

func TestTagsRemarksAndTheBlacklistAreChangedThroughTheRooms(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		id := w.fan(w.ours, "o1", "hi")
		var tag tagView
		w.ask(http.MethodPost, path(w.ours, "/tags"), map[string]any{"name": "VIP"}).into(t, &tag)
		r := w.ask(http.MethodPost, path(w.ours, "/tags"), map[string]any{"name": "VIP"})
		require.Equal(t, "tag_name_taken", r.problem(t).Errors[0].Rule)
		w.ask(http.MethodPatch, path(w.ours, "/tags/%d", tag.ID), map[string]any{"name": "老客户"}).into(t, &tag)
		require.Equal(t, "老客户", tag.Name)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPatch, path(w.other, "/tags/%d", tag.ID), map[string]any{"name": "x"}).status)
		require.Len(t, w.list(path(w.ours, "/tags")), 1)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, path(w.ours, "/tags/%d", tag.ID), nil).status)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, path(w.ours, "/tags/%d", tag.ID), nil).status)
		var detail fanDetail
		w.ask(http.MethodPut, path(w.ours, "/fans/%d/remark", id), map[string]any{"remark": "常客"}).into(t, &detail)
		require.Equal(t, "常客", detail.Remark)
		for _, on := range []bool{true, false} {
			r := w.ask(http.MethodPost, path(w.ours, "/blacklist"), map[string]any{"on": on, "fan_ids": []int64{id}})
			require.JSONEq(t, `{"done":1,"refused":[]}`, string(r.raw))
			require.Len(t, w.list(path(w.ours, "/fans?blacklisted=%t", on)), 1)
		}
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPost, path(w.other, "/blacklist"), map[string]any{"on": true, "fan_ids": []int64{id}}).status)
	})
}

func TestInteractionsOfAnAccountAndOfAFan(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		first := w.fan(w.ours, "o1", "one")
		w.fan(w.ours, "o22", "two")
		w.fan(w.other, "o333", theirMark)
		require.Len(t, w.list(path(w.ours, "/interactions")), 2)
		of := w.list(path(w.ours, "/fans/%d/interactions?kind=text", first))
		require.Len(t, of, 1)
		require.Equal(t, "one", of[0]["detail"])
		require.Empty(t, w.list(path(w.ours, "/interactions?kind=scan")))
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, path(w.other, "/fans/%d/interactions", first), nil).status)
	})
}

func TestAnEventIsTakenOnceByItsKey(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		w.fan(w.ours, "o1", "hi")
		body := map[string]any{"openid": "o1", "event": "order.paid", "data": map[string]any{"amount": 12}}
		require.Equal(t, http.StatusBadRequest, w.ask(http.MethodPost, path(w.ours, "/events"), body).status, "without a key")
		var one, two eventView
		r := w.ask(http.MethodPost, path(w.ours, "/events"), body, "Idempotency-Key", "order-1")
		require.Equal(t, http.StatusAccepted, r.status, string(r.raw))
		r.into(t, &one)
		w.ask(http.MethodPost, path(w.ours, "/events"), body, "Idempotency-Key", "order-1").into(t, &two)
		require.Equal(t, one.ID, two.ID)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPost, path(w.other, "/events"), body, "Idempotency-Key", "order-2").status)
		body["event"] = "Order Paid"
		p := w.ask(http.MethodPost, path(w.ours, "/events"), body, "Idempotency-Key", "order-3").problem(t)
		require.Equal(t, []FieldProblem{{Field: "event", Rule: "event_name", Message: "事件名应为 1 到 64 个小写字母、数字或 _ . : -，并以字母开头"}}, p.Errors)
	})
}

func TestADeliveryTellsItsStoryAndWhatItSays(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		id := w.fan(w.ours, "o1", "hi")
		w.planned(w.ours, id, 3, "你好，{{nickname|朋友}}！")
		ended := w.list(path(w.ours, "/deliveries"))
		require.Len(t, ended, 1)
		require.Equal(t, []any{"skipped", "cap", "marketing", "kefu", "api"}, []any{ended[0]["state"], ended[0]["reason"], ended[0]["class"], ended[0]["channel"], ended[0]["source_kind"]})
		require.Len(t, w.list(path(w.ours, "/deliveries?state=planned")), 2)
		require.Len(t, w.list(path(w.ours, "/deliveries?source_kind=api&source=7")), 3)
		require.Len(t, w.list(path(w.ours, "/fans/%d/deliveries", id)), 3)
		require.Len(t, w.list(path(w.ours, "/fans/%d/deliveries?reason=cap&class=marketing&since=1", id)), 1)
		require.Empty(t, w.list(path(w.ours, "/deliveries?attention=true")))
		require.Empty(t, w.list(path(w.other, "/deliveries?source_kind=api&source=7")))
		var detail deliveryDetail
		one := path(w.ours, "/deliveries/%d", int64(ended[0]["id"].(float64))) //nolint:forcetypeassert // a test
		w.ask(http.MethodGet, one, nil).into(t, &detail)
		require.JSONEq(t, `{"msgtype":"text","text":{"content":"你好，朋友！"}}`, string(detail.Message))
		require.Len(t, detail.Trace, 2)
		require.Equal(t, []figureView{{"cap", 3}}, detail.Trace[1].Figures)
		require.Contains(t, detail.Trace[1].Words, "上限")
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, strings.Replace(one, fmt.Sprint("accounts/", w.ours.ID), fmt.Sprint("accounts/", w.other.ID), 1), nil).status)
		for query, field := range map[string]string{
			"reason=none": "query.reason", "attention=true&state=sent": "query.attention", "source=7": "query.source", "source_kind=api": "query.source", "state=lost": "query.state",
		} {
			require.Equal(t, field, w.ask(http.MethodGet, path(w.ours, "/deliveries?%s", query), nil).problem(t).Errors[0].Field, query)
		}
		require.NoError(t, w.o.Fans.EraseFans(t.Context(), w.ours.ID, []int64{id}))
		detail = deliveryDetail{}
		w.ask(http.MethodGet, one, nil).into(t, &detail)
		require.Empty(t, detail.Message, "an erased fan is written to no more")
	})
}
