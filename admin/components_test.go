package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/accounts"
	"hongyan/wechat"
)

const componentsPath = prefixV1 + "/components"

func newComponentBody(appid string) map[string]any {
	return map[string]any{"appid": appid, "secret": "very-secret-of-component", "token": "token-of-component", "aes_keys": []string{strings.Repeat("k", 43)}}
}

// secretsOut are what no answer and no log line may hold.
func secretsOut() []string {
	return []string{"very-secret", "next-secret", "token-of-component", "next-token", "kkkk", "nnnn", "ticket-text"}
}

func TestAComponentsSecretsGoInAndNeverOutAndItsChangesNeedTheRevision(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		made := w.ask(http.MethodPost, componentsPath, newComponentBody("wxc1"))
		require.Equal(t, http.StatusCreated, made.status, string(made.raw))
		var view componentView
		made.into(t, &view)
		require.Equal(t, []any{"wxc1", false, false, ""}, []any{view.Name, view.TicketSeen, view.PreviousKey, view.EventURL})
		at := fmt.Sprintf("%s/%d", componentsPath, view.ID)
		stored, err := w.o.Accounts.FindComponent(t.Context(), view.ID)
		require.NoError(t, err)
		require.NoError(t, stored.Platform().Store.SaveTicket(t.Context(), wechat.Ticket{Value: "ticket-text", At: w.clock.Now()}))

		change := map[string]any{"name": "开放平台", "secret": "next-secret", "token": "next-token", "aes_keys": []string{strings.Repeat("n", 43)}}
		require.Equal(t, http.StatusPreconditionRequired, w.ask(http.MethodPatch, at, change).status)
		patched := w.ask(http.MethodPatch, at, change, "If-Match", made.header.Get("ETag"))
		require.Equal(t, http.StatusOK, patched.status, string(patched.raw))
		patched.into(t, &view)
		require.Equal(t, []any{"开放平台", true, true, w.clock.Now().UnixMilli()}, []any{view.Name, view.PreviousKey, view.TicketSeen, view.TicketAt})
		stale := w.ask(http.MethodPatch, at, change, "If-Match", made.header.Get("ETag"))
		require.Equal(t, []any{http.StatusPreconditionFailed, patched.header.Get("ETag")}, []any{stale.status, stale.header.Get("ETag")})
		stored, err = w.o.Accounts.FindComponent(t.Context(), view.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"next-secret", "next-token", []string{strings.Repeat("n", 43), strings.Repeat("k", 43)}},
			[]any{stored.Secret, stored.Callback.Token, stored.Callback.AESKeys})

		again := w.ask(http.MethodPost, componentsPath, newComponentBody("wxc1"))
		require.Equal(t, []any{http.StatusConflict, "appid"}, []any{again.status, again.problem(t).Errors[0].Field})
		got, list := w.ask(http.MethodGet, at, nil), w.ask(http.MethodGet, componentsPath, nil)
		require.Equal(t, patched.raw, got.raw)
		for _, raw := range []string{string(made.raw), string(patched.raw), string(stale.raw), string(again.raw), string(got.raw), string(list.raw), w.log.String()} {
			for _, secret := range secretsOut() {
				require.NotContains(t, raw, secret)
			}
		}
	})
}

func TestWhatIsWrongWithAComponentStandsAtItsFields(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		body := newComponentBody("wxc1")
		body["aes_keys"] = []string{"short"}
		p := w.ask(http.MethodPost, componentsPath, body).problem(t)
		require.Equal(t, "aes_keys[0]", p.Errors[0].Field)
		require.Empty(t, idsOf(t, w, componentsPath+"?", 1), "nothing is half-stored")
		for i := range 3 {
			require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, componentsPath, newComponentBody(fmt.Sprintf("wxc%d", i))).status)
		}
		require.Len(t, idsOf(t, w, componentsPath+"?", 2), 3)
		r := w.ask(http.MethodPatch, componentsPath+"/1", map[string]any{"aes_keys": []string{"short"}}, "If-Match", `"1"`)
		require.Equal(t, "aes_keys[0]", r.problem(t).Errors[0].Field)
		for _, path := range []string{"/99", "/99/authorisation-links"} {
			method, body := http.MethodGet, any(nil)
			if path != "/99" {
				method, body = http.MethodPost, map[string]any{"page": "scan"}
			}
			require.Equal(t, http.StatusNotFound, w.ask(method, componentsPath+path, body).status)
		}
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPatch, componentsPath+"/99", map[string]any{}, "If-Match", `"1"`).status)
	})
}

func TestAnAccountIsChangedInPartAndItsSecretsNeverComeOut(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		at := fmt.Sprintf("%s/accounts/%d", prefixV1, w.ours.ID)
		before := w.ask(http.MethodGet, at, nil)
		patched := w.ask(http.MethodPatch, at, map[string]any{
			"name": "茶馆", "kind": "subscription", "verified": false, "time_zone": "Asia/Tokyo", "rate_per_second": 7, "in_flight": 3, "secret": "next-secret",
			"callback": map[string]any{"mode": "safe", "token": "next-token", "aes_keys": []string{strings.Repeat("n", 43)}},
		}, "If-Match", before.header.Get("ETag"))
		require.Equal(t, http.StatusOK, patched.status, string(patched.raw))
		var view accountView
		patched.into(t, &view)
		require.Equal(t, []any{"茶馆", accounts.KindSubscription, false, "Asia/Tokyo", 7, 3, accounts.ModeSafe},
			[]any{view.Name, view.Kind, view.Verified, view.TimeZone, view.RatePerSecond, view.InFlight, view.CallbackMode})
		stored, err := w.o.Accounts.FindAccount(t.Context(), w.ours.ID)
		require.NoError(t, err)
		require.Equal(t, []any{"next-secret", "next-token", strings.Repeat("n", 43)}, []any{stored.Secret, stored.Callback.Token, stored.Callback.AESKeys[0]})
		wrong := w.ask(http.MethodPatch, at, map[string]any{"callback": map[string]any{"aes_keys": []string{"nnnn-too-short"}}, "time_zone": "Mars"}, "If-Match", patched.header.Get("ETag"))
		require.Len(t, wrong.problem(t).Errors, 2)
		sandbox := w.sandboxed()
		fixed := w.ask(http.MethodPatch, fmt.Sprintf("%s/accounts/%d", prefixV1, sandbox.ID), map[string]any{"secret": "next-secret"}, "If-Match", `"1"`)
		require.Equal(t, "sandbox", fixed.problem(t).Errors[0].Rule)
		for _, raw := range []string{string(before.raw), string(patched.raw), string(wrong.raw), string(fixed.raw), string(w.ask(http.MethodGet, at, nil).raw), w.log.String()} {
			for _, secret := range append(secretsOut(), w.ours.Secret, w.ours.Callback.Token) {
				require.NotContains(t, raw, secret)
			}
		}
		same := w.ask(http.MethodGet, at+"/sending-policy", nil)
		require.Equal(t, patched.header.Get("ETag"), same.header.Get("ETag"), "one row, one revision")
	})
}

func TestJobsAreListedByKindAndState(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		at := fmt.Sprintf("%s/accounts/%d/jobs", prefixV1, w.ours.ID)
		start := func(kind string) int64 {
			t.Helper()
			var j jobView
			r := w.ask(http.MethodPost, at+"/"+kind, nil)
			require.Equal(t, http.StatusAccepted, r.status, string(r.raw))
			r.into(t, &j)
			return j.ID
		}
		var fans []int64
		for range 3 {
			id := start("fans-sync")
			fans = append([]int64{id}, fans...)
			require.Equal(t, http.StatusOK, w.ask(http.MethodPost, fmt.Sprintf("%s/%d/cancel", at, id), nil).status)
		}
		tags, waiting := start("tags-sync"), start("fans-sync")
		require.Equal(t, append([]int64{waiting, tags}, fans...), idsOf(t, w, at+"?", 2))
		require.Equal(t, fans, idsOf(t, w, at+"?state=cancelled&", 2))
		require.Equal(t, append([]int64{waiting}, fans...), idsOf(t, w, at+"?kind=fans.sync&", 1))
		require.Equal(t, []int64{waiting}, idsOf(t, w, at+"?kind=fans.sync&state=waiting&", 1))
		require.Empty(t, idsOf(t, w, at+"?kind=fans.erase_all&", 1))
		require.Equal(t, "query.state", w.ask(http.MethodGet, at+"?state=lost", nil).problem(t).Errors[0].Field)
		var page struct{ Next string }
		w.ask(http.MethodGet, at+"?state=cancelled&limit=1", nil).into(t, &page)
		other := w.ask(http.MethodGet, at+"?state=waiting&limit=1&cursor="+page.Next, nil)
		require.Equal(t, "other_list", other.problem(t).Errors[0].Rule, "a cursor belongs to its filters")
	})
}
