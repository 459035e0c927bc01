package webhooks_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/webhooks"
)

func TestAWebhookIsItsAccountsAndItsSecretIsShownOnceAndStoredSealed(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		e, secret := o.create("https://example.com/hook?a=1")
		require.GreaterOrEqual(t, len(secret), 40)
		require.Equal(t, []any{"CRM", "https://example.com/hook?a=1", int64(1), start.UnixMilli()}, []any{e.Name, e.URL, e.Revision, e.CreatedAt})
		require.Empty(t, testdb.Search(t, o.db, secret))
		_, other := o.create("https://example.com")
		require.NotEqual(t, secret, other)

		_, err := o.FindEndpoint(t.Context(), account+1, e.ID)
		require.True(t, fault.Is(err, fault.NotFound))
		list, err := o.FindEndpoints(t.Context(), account+1)
		require.NoError(t, err)
		require.Empty(t, list)
		stranger := *e
		stranger.AccountID++
		require.True(t, fault.Is(o.DeleteEndpoint(t.Context(), &stranger), fault.NotFound))
		_, err = o.UpdateEndpoint(t.Context(), &stranger, webhooks.EndpointPatch{Name: new("x")})
		require.True(t, fault.Is(err, fault.NotFound))

		list, err = o.FindEndpoints(t.Context(), account)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, e, list[0])
	})
}

func TestAnOldRevisionChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		e, _ := o.create("https://example.com")
		next, err := o.UpdateEndpoint(t.Context(), e, webhooks.EndpointPatch{Name: new("ERP"), URL: new("http://example.org"), Secret: new("0123456789abcdef")})
		require.NoError(t, err)
		found, err := o.FindEndpoint(t.Context(), account, e.ID)
		require.NoError(t, err)
		require.Equal(t, next, found)
		require.Equal(t, []any{"ERP", "http://example.org", int64(2)}, []any{found.Name, found.URL, found.Revision})
		_, err = o.UpdateEndpoint(t.Context(), e, webhooks.EndpointPatch{Name: new("old")})
		require.True(t, fault.Is(err, fault.Conflict))
		require.True(t, fault.Is(o.DeleteEndpoint(t.Context(), e), fault.Conflict))
		require.NoError(t, o.DeleteEndpoint(t.Context(), next))
		_, err = o.FindEndpoint(t.Context(), account, e.ID)
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestAnAccountHasAFewWebhooks(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		for range webhooks.MaxEndpoints {
			o.create("https://example.com")
		}
		_, _, err := o.CreateEndpoint(t.Context(), account, webhooks.NewEndpoint{Name: "one more", URL: "https://example.com"})
		require.True(t, fault.Is(err, fault.Conflict))
		_, _, err = o.CreateEndpoint(t.Context(), account+1, webhooks.NewEndpoint{Name: "another's", URL: "https://example.com"})
		require.NoError(t, err)
	})
}

func TestBadWebhooksAreRefusedWithFieldAndRule(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db, false)
		for _, c := range []struct{ name, url, secret, field, rule string }{
			{" ", "https://example.com", "", "name", "required"},
			{strings.Repeat("名", 65), "https://example.com", "", "name", "length"},
			{"a\nb", "https://example.com", "", "name", "characters"},
			{"a", "ftp://example.com", "", "url", "format"},
			{"a", "example.com/hook", "", "url", "format"},
			{"a", "https://", "", "url", "format"},
			{"a", "https:example.com", "", "url", "format"},
			{"a", "https://exa mple.com", "", "url", "format"},
			{"a", "https://user:pass@example.com", "", "url", "credentials"},
			{"a", "https://example.com/#top", "", "url", "fragment"},
			{"a", "https://example.com/" + strings.Repeat("x", 1024), "", "url", "length"},
			{"a", "https://127.0.0.1/", "", "url", "private"},
			{"a", "http://[::1]:80/", "", "url", "private"},
			{"a", "http://[::ffff:10.0.0.1]/", "", "url", "private"},
			{"a", "http://169.254.169.254/latest", "", "url", "private"},
			{"a", "https://example.com", "short", "secret", "shape"},
			{"a", "https://example.com", strings.Repeat("密", 20), "secret", "shape"},
			{"a", "https://example.com", "has a space in the middle", "secret", "shape"},
		} {
			_, _, err := o.CreateEndpoint(t.Context(), account, webhooks.NewEndpoint{Name: c.name, URL: c.url, Secret: c.secret})
			requireField(t, err, c.field, c.rule)
		}
		_, _, err := o.CreateEndpoint(t.Context(), account, webhooks.NewEndpoint{Name: "a", URL: "https://127.0.0.1/"})
		require.ErrorContains(t, err, "HONGYAN_WEBHOOKS_INSIDE=on", "it says what allows such an address")
		e, _ := o.create("https://example.com")
		for _, c := range []struct {
			patch       webhooks.EndpointPatch
			field, rule string
		}{
			{webhooks.EndpointPatch{Name: new("")}, "name", "required"},
			{webhooks.EndpointPatch{URL: new("https://10.1.2.3")}, "url", "private"},
			{webhooks.EndpointPatch{Secret: new("")}, "secret", "shape"},
		} {
			_, err := o.UpdateEndpoint(t.Context(), e, c.patch)
			requireField(t, err, c.field, c.rule)
		}
		found, err := o.FindEndpoint(t.Context(), account, e.ID)
		require.NoError(t, err)
		require.Equal(t, e, found, "nothing was stored")
	})
}
