package admin

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/webhooks"
)

// webhookWith makes a webhook with an event that waits.
func (w *world) webhookWith(account *accounts.Account, text string) (endpoint, entry int64) {
	w.t.Helper()
	e, _, err := w.o.Webhooks.CreateEndpoint(w.t.Context(), account.ID, webhooks.NewEndpoint{Name: text, URL: "https://example.com/" + text})
	require.NoError(w.t, err)
	require.NoError(w.t, w.o.DB.Tx(w.t.Context(), func(tx *gorm.DB) error {
		return w.o.Webhooks.Enqueue(tx, account.ID, e.ID, []webhooks.Event{{Type: "drip.step", Data: text}})
	}))
	found, err := w.o.Webhooks.FindEntries(w.t.Context(), webhooks.Filter{AccountID: account.ID, WebhookID: e.ID, State: webhooks.StateWaiting, Most: 1})
	require.NoError(w.t, err)
	return e.ID, found[0].ID
}

func (w *world) webhookSamples(out map[string]sample) {
	w.t.Helper()
	ours, ourEvent := w.webhookWith(w.ours, "ours")
	theirs, theirEvent := w.webhookWith(w.other, theirMark)
	id := func(n int64) string { return strconv.FormatInt(n, 10) }
	out["webhook"] = sample{id(ours), id(theirs)}
	out["webhook_event"] = sample{id(ourEvent), id(theirEvent)}
}

func TestAWebhooksSecretIsShownOnceAndItsChangesNeedTheRevision(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		base := "/api/v1/accounts/" + strconv.FormatInt(w.ours.ID, 10) + "/webhooks"
		made := w.ask(http.MethodPost, base, map[string]any{"name": "CRM", "url": "https://example.com/hook"})
		require.Equal(t, http.StatusCreated, made.status, string(made.raw))
		var one struct {
			ID        int64
			Name, URL string
			Secret    string
			CreatedAt int64 `json:"created_at"`
		}
		made.into(t, &one)
		require.True(t, strings.HasPrefix(one.Secret, "whsec_"))
		path := base + "/" + strconv.FormatInt(one.ID, 10)
		got := w.ask(http.MethodGet, path, nil)
		require.NotContains(t, string(got.raw), "whsec_")
		require.Equal(t, made.header.Get("ETag"), got.header.Get("ETag"))

		require.Equal(t, http.StatusPreconditionRequired, w.ask(http.MethodPatch, path, map[string]any{"name": "ERP"}).status)
		patched := w.ask(http.MethodPatch, path, map[string]any{"name": "ERP"}, "If-Match", got.header.Get("ETag"))
		require.Equal(t, http.StatusOK, patched.status, string(patched.raw))
		require.Equal(t, http.StatusPreconditionFailed, w.ask(http.MethodDelete, path, nil, "If-Match", got.header.Get("ETag")).status)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, path, nil, "If-Match", patched.header.Get("ETag")).status)
		require.Equal(t, http.StatusNotFound, w.ask(http.MethodGet, path, nil).status)

		inside := w.ask(http.MethodPost, base, map[string]any{"name": "CRM", "url": "http://169.254.169.254/latest"})
		require.Equal(t, "url", inside.problem(t).Errors[0].Field)
	})
}

func TestTheEventsOfAWebhookAreListedByState(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		endpoint, entry := w.webhookWith(w.ours, "ours")
		base := "/api/v1/accounts/" + strconv.FormatInt(w.ours.ID, 10)
		list := func(query string) (ids []int64) {
			var page struct{ Items []webhookEventView }
			w.ask(http.MethodGet, base+"/webhooks/"+strconv.FormatInt(endpoint, 10)+"/events"+query, nil).into(t, &page)
			for _, e := range page.Items {
				require.NotEmpty(t, e.Words)
				require.Contains(t, e.Body, `"data":"ours"`)
				ids = append(ids, e.ID)
			}
			return ids
		}
		require.Equal(t, []int64{entry}, list("?state=waiting"))
		require.Empty(t, list(""))
		tries := w.ask(http.MethodGet, base+"/webhook-events/"+strconv.FormatInt(entry, 10)+"/attempts", nil)
		require.Equal(t, http.StatusOK, tries.status, string(tries.raw))
	})
}
