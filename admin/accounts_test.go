package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/stops"
)

func newAccountBody(appid string) map[string]any {
	return map[string]any{
		"appid": appid, "original_id": "gh_new", "name": "新号", "kind": "service", "verified": true, "secret": "very-secret-appsecret",
		"callback": map[string]any{"mode": "safe", "token": "callback-token", "aes_keys": []string{strings.Repeat("k", 43)}},
	}
}

func TestSecretsOfAnAccountGoInAndNeverOut(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		r := w.ask(http.MethodPost, prefixV1+"/accounts", newAccountBody("wxnew"))
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		var made accountView
		r.into(t, &made)
		stored, err := w.o.Accounts.FindAccount(t.Context(), made.ID)
		require.NoError(t, err)
		require.Equal(t, "very-secret-appsecret", stored.Secret)
		at := fmt.Sprintf("%s/accounts/%d", prefixV1, made.ID)
		for _, raw := range []string{string(r.raw), string(w.ask(http.MethodGet, at, nil).raw), string(w.ask(http.MethodGet, prefixV1+"/accounts", nil).raw), w.log.String()} {
			for _, secret := range []string{"very-secret", "callback-token", "kkkk"} {
				require.NotContains(t, raw, secret)
			}
		}
		again := w.ask(http.MethodPost, prefixV1+"/accounts", newAccountBody("wxnew"))
		require.Equal(t, http.StatusConflict, again.status)
		require.Equal(t, "appid", again.problem(t).Errors[0].Field)
	})
}

func TestAccountsAreListedByTheirFilters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		inside := w.sandboxed()
		require.Equal(t, []int64{w.ours.ID, w.other.ID, inside.ID}, idsOf(t, w, prefixV1+"/accounts?", 2))
		require.Equal(t, []int64{inside.ID}, idsOf(t, w, prefixV1+"/accounts?sandbox=true&", 2))
		require.Equal(t, []int64{w.ours.ID, w.other.ID}, idsOf(t, w, prefixV1+"/accounts?sandbox=false&kind=service&", 1))
		require.Empty(t, idsOf(t, w, prefixV1+"/accounts?kind=subscription&", 1))
	})
}

func TestAnAccountIsStoppedAndResumed(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		at := fmt.Sprintf("%s/accounts/%d", prefixV1, w.ours.ID)
		_, err := stops.Identity{DB: w.o.DB, Clock: w.clock, Dir: t.TempDir()}.Check(t.Context(), time.Hour)
		require.NoError(t, err)
		epoch := w.column("SELECT stop_epoch FROM installation")
		r := w.ask(http.MethodPost, at+"/stop", map[string]any{"reason": "盘点"})
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		require.JSONEq(t, `{"on_wire":0}`, string(r.raw))
		require.NotEqual(t, epoch, w.column("SELECT stop_epoch FROM installation"), "every process hears of it")
		var x accountView
		w.ask(http.MethodGet, at, nil).into(t, &x)
		require.True(t, x.Stopped)
		require.Equal(t, stoppedByMember, x.StoppedReason)
		require.Equal(t, http.StatusOK, w.ask(http.MethodPost, at+"/resume", nil, keyHeader, "r1").status)
		w.ask(http.MethodGet, at, nil).into(t, &x)
		require.False(t, x.Stopped)
	})
}

func TestACheckIsRunAndKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		at := fmt.Sprintf("%s/accounts/%d", prefixV1, w.ours.ID)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, at+"/check", nil).status, "none yet")
		before := w.ask(http.MethodGet, at+"/capabilities", nil)
		require.Contains(t, string(before.raw), `"capability":"customer_service","name":"客服消息","permission":"allowed","source":"type"`)
		r := w.ask(http.MethodPost, at+"/check", nil)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		var ran, kept checkView
		r.into(t, &ran)
		require.NotEmpty(t, ran.Findings)
		require.NotEmpty(t, ran.Findings[0].What)
		w.ask(http.MethodGet, at+"/check", nil).into(t, &kept)
		require.Equal(t, ran, kept)
		require.Contains(t, string(w.ask(http.MethodGet, at+"/capabilities", nil).raw), `"since"`)
	})
}

func TestAJobIsStartedHeldAndItsResultRead(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		at := fmt.Sprintf("%s/accounts/%d/jobs", prefixV1, w.ours.ID)
		r := w.ask(http.MethodPost, at+"/fans-sync", nil)
		require.Equal(t, http.StatusAccepted, r.status, string(r.raw))
		var j jobView
		r.into(t, &j)
		require.Equal(t, "等待执行", j.Words)
		require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, at+"/fans-sync", nil).status, "one at a time")
		one := fmt.Sprintf("%s/%d", at, j.ID)
		for _, step := range []struct{ do, state string }{{"pause", "paused"}, {"resume", "waiting"}, {"cancel", "cancelled"}} {
			w.ask(http.MethodPost, one+"/"+step.do, nil).into(t, &j)
			require.Equal(t, step.state, string(j.State))
		}
		require.Equal(t, http.StatusConflict, w.ask(http.MethodPost, one+"/pause", nil).status)

		for part, body := range []string{"fan_id,what\n", "1,gone\n"} {
			require.NoError(t, w.o.DB.Tx(t.Context(), exec("INSERT INTO job_parts (job_id, part_no, body) VALUES (?, ?, ?)", j.ID, part+1, body)))
		}
		r = w.ask(http.MethodGet, one+"/result", nil)
		require.Equal(t, "fan_id,what\n1,gone\n", string(r.raw))
		require.Equal(t, "text/csv; charset=utf-8", r.header.Get("Content-Type"))

		require.Equal(t, http.StatusAccepted, w.ask(http.MethodPost, at+"/tags-sync", nil).status)
		require.Equal(t, http.StatusAccepted, w.ask(http.MethodPost, at+"/blacklist", map[string]any{"on": true, "fan_ids": []int64{3, 1}}).status)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodPost, at+"/tag", map[string]any{"tag_id": 77, "all": true}).status)
		require.Equal(t, "confirm", w.ask(http.MethodPost, at+"/erase-fans", map[string]any{"appid": w.other.AppID}).problem(t).Errors[0].Rule)
		require.Equal(t, http.StatusAccepted, w.ask(http.MethodPost, at+"/erase-fans", map[string]any{"appid": w.ours.AppID}).status)
		require.Equal(t, http.StatusAccepted, w.ask(http.MethodPost, at+"/recount-figures", nil).status)
		require.Equal(t, []string{fans.SyncKind, fans.TagsSyncKind, fans.BlacklistKind, fans.EraseAllKind, campaigns.RecountKind}, w.column("SELECT kind FROM jobs ORDER BY id"))
	})
}

func TestTheMetaListsHaveWordsForEverything(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, path := range []string{"reasons", "variables", "rules", "drip"} {
			for _, language := range []string{"zh", "en"} {
				r := w.ask(http.MethodGet, prefixV1+"/meta/"+path, nil, "Accept-Language", language)
				require.Equal(t, http.StatusOK, r.status)
				require.NotContains(t, string(r.raw), `"words":""`, path)
				require.Equal(t, language == "zh", strings.ContainsFunc(string(r.raw), func(c rune) bool { return c > 0x4e00 && c < 0x9fff }), path)
			}
		}
		require.Contains(t, string(w.ask(http.MethodGet, prefixV1+"/meta/rules", nil).raw), `"current":"2023-06"`)
	})
}
