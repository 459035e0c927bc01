package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/internal/lang"
	"hongyan/wechat"
)

func plainDrip(text string) map[string]any {
	return map[string]any{
		"triggers": []any{map[string]any{"kind": "follow"}},
		"steps": []any{map[string]any{
			"delay": "0s", "messages": []any{map[string]any{"msgtype": "text", "text": map[string]any{"content": text}}},
		}},
	}
}

// drip makes a draft.
func (w *world) drip(a *accounts.Account, name, text string) *campaigns.Drip {
	w.t.Helper()
	raw, err := json.Marshal(plainDrip(text))
	require.NoError(w.t, err)
	d, err := w.o.Campaigns.CreateDrip(w.t.Context(), a, campaigns.NewDrip{Name: name, Definition: raw})
	require.NoError(w.t, err)
	return d
}

func (w *world) dripSamples(out map[string]sample) {
	ours, theirs := w.drip(w.ours, "welcome", "hello"), w.drip(w.other, theirMark, theirMark)
	id := func(n int64) string { return strconv.FormatInt(n, 10) }
	out["drip"] = sample{id(ours.ID), id(theirs.ID)}
	out["version"] = sample{id(ours.VersionID), id(theirs.VersionID)}
}

func TestADripIsWrittenStartedChangedAndArchivedByTheAPI(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		r := w.ask(http.MethodPost, path(w.ours, "/drips"), map[string]any{"name": "welcome", "definition": plainDrip("hello")})
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		var d dripDetail
		r.into(t, &d)
		require.Equal(t, []any{campaigns.StateDraft, 1, 1}, []any{d.State, d.Version, len(d.Reaches)})
		require.Equal(t, campaigns.Reachable, d.Reaches[0].State)
		at := path(w.ours, "/drips/%d", d.ID)

		r = w.ask(http.MethodPost, at+"/start", nil, "Idempotency-Key", "start-1")
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		r.into(t, &d)
		require.Equal(t, campaigns.StateRunning, d.State)

		old := r.header.Get("ETag")
		r = w.ask(http.MethodPatch, at, map[string]any{"definition": plainDrip("good morning")}, "If-Match", old)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		r.into(t, &d)
		require.Equal(t, 2, d.Version)
		require.Equal(t, http.StatusPreconditionFailed, w.ask(http.MethodPatch, at, map[string]any{"name": "x"}, "If-Match", old).status, "somebody else's change is not lost")

		var versions Page[versionView]
		w.ask(http.MethodGet, at+"/versions", nil).into(t, &versions)
		require.Equal(t, []int{2, 1}, []int{versions.Items[0].Number, versions.Items[1].Number})
		r = w.ask(http.MethodGet, at+"/versions/"+strconv.FormatInt(versions.Items[1].ID, 10), nil)
		require.Contains(t, string(r.raw), "hello")

		require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, at+"/archive", nil, "If-Match", etag(d.Revision)).status, "it is running")
		clone := w.ask(http.MethodPost, at+"/clone", map[string]any{"name": "again"})
		require.Equal(t, http.StatusCreated, clone.status, string(clone.raw))
		clone.into(t, &d)
		r = w.ask(http.MethodPost, path(w.ours, "/drips/%d/archive", d.ID), nil, "If-Match", clone.header.Get("ETag"))
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		var listed Page[DripRowView]
		w.ask(http.MethodGet, path(w.ours, "/drips"), nil).into(t, &listed)
		require.Len(t, listed.Items, 1)
	})
}

func TestEveryProblemOfADefinitionIsNamedByItsPlaceInTheBody(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		bad := plainDrip("hello")
		bad["triggers"] = []any{}
		bad["steps"] = []any{map[string]any{"delay": "soon", "messages": []any{map[string]any{"msgtype": "text", "text": map[string]any{"content": "{{nickname}}"}}}}}
		r := w.ask(http.MethodPost, path(w.ours, "/drips"), map[string]any{"name": " ", "definition": bad})
		require.Equal(t, http.StatusUnprocessableEntity, r.status, string(r.raw))
		var fields []string
		for _, e := range r.problem(t).Errors {
			fields = append(fields, e.Field)
		}
		require.Contains(t, fields, "name")
		require.Contains(t, fields, "definition.triggers")
		require.Contains(t, fields, "definition.steps[0].delay")
		var listed Page[DripRowView]
		w.ask(http.MethodGet, path(w.ours, "/drips"), nil).into(t, &listed)
		require.Empty(t, listed.Items, "nothing is half-stored")

		r = w.ask(http.MethodPost, path(w.ours, "/drips/check"), map[string]any{"definition": bad})
		require.Equal(t, http.StatusUnprocessableEntity, r.status)
	})
}

func TestATestSendIsPlannedOnceHoweverOftenItIsAsked(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		d, fan := w.drip(w.ours, "welcome", "hello"), w.fan(w.ours, "o-fan-1", "hi")
		ask := func(key string) *answer {
			return w.ask(http.MethodPost, path(w.ours, "/drips/%d/test", d.ID), map[string]any{"fans": []int64{fan}}, "Idempotency-Key", key)
		}
		r := ask("a")
		require.Equal(t, http.StatusAccepted, r.status, string(r.raw))
		require.JSONEq(t, `{"planned":1}`, string(r.raw))
		ask("a")
		require.EqualValues(t, 1, w.count("deliveries"))
		n, err := w.o.Campaigns.SendTest(t.Context(), w.ours, d.ID, campaigns.TestSend{FanIDs: []int64{fan}, Key: w.callerKey() + ":a"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.EqualValues(t, 1, w.count("deliveries"), "a process that died before it answered: the ledger knows the key")
		ask("b")
		require.EqualValues(t, 2, w.count("deliveries"))

		var listed Page[DeliveryView]
		w.ask(http.MethodGet, path(w.ours, "/deliveries?source_kind=test&source=%d", d.ID), nil).into(t, &listed)
		require.Len(t, listed.Items, 2)
		require.Equal(t, deliveries.StatePlanned.String(), listed.Items[0].State)

		r = w.ask(http.MethodPost, path(w.ours, "/drips/%d/test", d.ID), map[string]any{"fans": []int64{fan + 1000}}, "Idempotency-Key", "c")
		require.Equal(t, "fans[0]", r.problem(t).Errors[0].Field)
	})
}

func TestAReportAndWhatRulesCostAreShownInWords(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		d := w.drip(w.ours, "welcome", "hello")
		r := w.ask(http.MethodGet, path(w.ours, "/drips/%d/report?from=2026-03-01&to=2026-03-31", d.ID), nil)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		var report reportView
		r.into(t, &report)
		require.Len(t, report.Steps, 1)
		r = w.ask(http.MethodGet, path(w.ours, "/drips/%d/report?from=march", d.ID), nil)
		require.Equal(t, "query.from", r.problem(t).Errors[0].Field)
		require.Equal(t, http.StatusOK, w.ask(http.MethodGet, path(w.ours, "/lost-reach"), nil).status)
		require.Equal(t, http.StatusOK, w.ask(http.MethodGet, path(w.ours, "/drips/%d/report/deliveries?step=1&outcome=sent", d.ID), nil).status)
	})
}

func TestRecipesSpeakTheReadersLanguage(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		for l, text := range map[lang.Lang]string{lang.ZH: "新粉丝欢迎", lang.EN: "Welcome"} {
			r := w.ask(http.MethodGet, "/api/v1/meta/recipes", nil, "Accept-Language", string(l))
			require.Contains(t, string(r.raw), text)
		}
	})
}

func (w *world) count(table string) (n int64) {
	w.t.Helper()
	require.NoError(w.t, w.o.DB.Read(w.t.Context()).Raw("SELECT COUNT(*) FROM "+table).Scan(&n).Error)
	return n
}

// callerKey names the world's token as idempotent rooms know it.
func (w *world) callerKey() string {
	w.t.Helper()
	found, err := w.api.members.FindTokens(w.t.Context(), w.mira.ID, 0, 1)
	require.NoError(w.t, err)
	return (&Caller{TokenID: found[0].ID}).key()
}

func TestAForecastTellsWhatWouldBecomeOfADripAndStoresNothing(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		for _, openid := range []string{"o-fan-1", "o-fan-2", "o-fan-3"} {
			w.fan(w.ours, openid, "hi")
		}
		d := w.drip(w.ours, "welcome", "hello")
		zero := 0
		r := w.ask(http.MethodPost, path(w.ours, "/drips/%d/forecast", d.ID), map[string]any{
			"audience": "fans", "what_if": []any{map[string]any{"rule": "daily_cap", "value": zero}},
		})
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		var made struct{ Forecast forecastView }
		r.into(t, &made)
		f := made.Forecast
		require.Equal(t, []int64{3, 3, 3, 3}, []int64{f.Fans, f.Entered, f.Reached, f.Report.Total.Sent})
		require.EqualValues(t, -3, f.WhatIf[0].SentMore)
		require.Zero(t, w.count("deliveries")+w.count("enrolments"))

		r = w.ask(http.MethodPost, path(w.ours, "/drips/forecast"), map[string]any{"audience": "fans", "definition": plainDrip("new"), "what_if": []any{map[string]any{"rule": "quiet_hours", "value": 3}}})
		require.Equal(t, http.StatusUnprocessableEntity, r.status, string(r.raw))
		require.Contains(t, r.problem(t).Errors[0].Field, "what_if[0]")
		r = w.ask(http.MethodPost, path(w.ours, "/drips/forecast"), map[string]any{"audience": "fans", "definition": plainDrip("new")})
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
	})
}

func TestTheShadowModeOfADraftDecidesAndSendsNothing(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		raw, err := json.Marshal(map[string]any{"triggers": []any{map[string]any{"kind": "message"}}, "steps": []any{map[string]any{
			"delay": "0s", "messages": []any{wechat.TextMessage("one"), wechat.TextMessage("two"), wechat.TextMessage("three")},
		}}})
		require.NoError(t, err)
		d, err := w.o.Campaigns.CreateDrip(t.Context(), w.ours, campaigns.NewDrip{Name: "welcome", Definition: raw})
		require.NoError(t, err)
		at := path(w.ours, "/drips/%d/shadow", d.ID)
		require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, at+"/report", nil).status, "it has not begun")
		require.Equal(t, http.StatusOK, w.ask(http.MethodPost, at, nil).status)
		r := w.ask(http.MethodPost, at+"/report", nil)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		w.decisionsAreListed(at + "/decisions")
		require.Equal(t, http.StatusOK, w.ask(http.MethodDelete, at, nil).status)
		require.Zero(t, w.count("deliveries"))
	})
}

// decisionsAreListed lists three messages to a fan in pages of two.
func (w *world) decisionsAreListed(at string) {
	w.t.Helper()
	fan := w.fan(w.ours, "o-fan-1", "hi")
	w.fan(w.ours, "o-fan-2", "hi")
	var page Page[shadowView]
	got := func(more string) int {
		r := w.ask(http.MethodGet, at+fmt.Sprintf("?fan=%d&outcome=sent&limit=2", fan)+more, nil)
		require.Equal(w.t, http.StatusOK, r.status, string(r.raw))
		page = Page[shadowView]{}
		r.into(w.t, &page)
		return len(page.Items)
	}
	require.Equal(w.t, 2, got(""))
	require.Equal(w.t, 1, got("&cursor="+page.Next))
	require.Equal(w.t, []any{fan, 3, ""}, []any{page.Items[0].FanID, page.Items[0].MessageNo, page.Next})
	require.Zero(w.t, got("&reason=cap"))
}

func TestAReportTellsWhoOpenedTheLinksOfAStep(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		definition := map[string]any{
			"triggers": []any{map[string]any{"kind": "follow"}},
			"steps": []any{map[string]any{"delay": "0s", "track_links": true, "messages": []any{map[string]any{
				"msgtype": "text", "text": map[string]any{"content": `<a href="https://a.cn">a</a><a href="https://b.cn">b</a><a href="https://c.cn/{{scene|x}}">c</a>`},
			}}}},
		}
		r := w.ask(http.MethodPost, path(w.ours, "/drips/check"), map[string]any{"definition": definition}, "Accept-Language", "en")
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		var checked struct {
			Warnings []warningView `json:"warnings"`
		}
		r.into(t, &checked)
		require.Len(t, checked.Warnings, 1)
		require.Equal(t, "definition.steps[0].messages[0].text.content link_variable", checked.Warnings[0].Path+" "+checked.Warnings[0].Rule)
		require.Contains(t, checked.Warnings[0].Words, "https://c.cn/{{scene|x}} holds a variable")

		r = w.ask(http.MethodPost, path(w.ours, "/drips"), map[string]any{"name": "links", "definition": definition})
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		var d dripDetail
		r.into(t, &d)
		var report reportView
		w.ask(http.MethodGet, path(w.ours, "/drips/%d/report", d.ID), nil).into(t, &report)
		id := w.count("messages")
		require.Equal(t, []linkFigures{{URL: "https://a.cn", People: id, Taps: id + 1, Others: id + 2}, {URL: "https://b.cn"}}, report.Steps[0].Links, "a link that nobody opened is there too")
	})
}
