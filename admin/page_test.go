package admin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/fans"
	"hongyan/internal/testdb"
)

// idsOf reads a whole list and returns the ids of its items.
func idsOf(t *testing.T, w *world, path string, limit int) []int64 {
	t.Helper()
	var ids []int64
	cursor := ""
	for {
		var page Page[struct {
			ID int64 `json:"id"`
		}]
		r := w.ask(http.MethodGet, path+"limit="+strconv.Itoa(limit)+cursor, nil)
		require.Equal(t, http.StatusOK, r.status, string(r.raw))
		r.into(t, &page)
		require.LessOrEqual(t, len(page.Items), limit)
		for _, x := range page.Items {
			ids = append(ids, x.ID)
		}
		if page.Next == "" {
			return ids
		}
		require.Len(t, page.Items, limit)
		cursor = "&cursor=" + page.Next
	}
}

func TestAListIsReadInPagesWithoutGapsOrRepeats(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for i := range 7 {
			_, err := w.api.members.CreateToken(t.Context(), &Token{MemberID: w.mira.ID, Name: strconv.Itoa(i), Scopes: allScopes()})
			require.NoError(t, err)
		}
		all := idsOf(t, w, prefixV1+"/tokens?", 200)
		require.Len(t, all, 8)
		for limit := 1; limit <= 9; limit++ {
			require.Equal(t, all, idsOf(t, w, prefixV1+"/tokens?", limit), limit)
		}
	})
}

func TestACursorBelongsToItsListFilterAndAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for _, account := range []int64{w.ours.ID, w.other.ID} {
		for range 2 {
			j := fans.NewSync(account)
			require.NoError(t, w.o.Jobs.Create(t.Context(), j))
			require.NoError(t, w.o.Jobs.Cancel(t.Context(), account, j.ID))
		}
	}
	ours, theirs := fmt.Sprintf("%s/accounts/%d/jobs", prefixV1, w.ours.ID), fmt.Sprintf("%s/accounts/%d/jobs", prefixV1, w.other.ID)
	var page Page[jobView]
	w.ask(http.MethodGet, ours+"?limit=1", nil).into(t, &page)
	require.NotEmpty(t, page.Next)
	require.Equal(t, http.StatusOK, w.ask(http.MethodGet, ours+"?limit=7&cursor="+page.Next, nil).status, "the limit may change")
	for name, path := range map[string]string{
		"another account": theirs + "?cursor=" + page.Next,
		"another list":    prefixV1 + "/accounts?cursor=" + page.Next,
	} {
		p := w.ask(http.MethodGet, path, nil, "Accept-Language", "en").problem(t)
		require.Equal(t, []FieldProblem{{Field: "query.cursor", Rule: "other_list", Message: "this cursor belongs to another list, filter or sort; begin without a cursor"}}, p.Errors, name)
	}
	w.ask(http.MethodGet, prefixV1+"/accounts?limit=1&kind=service", nil).into(t, &page)
	require.Equal(t, http.StatusOK, w.ask(http.MethodGet, prefixV1+"/accounts?kind=service&limit=1&cursor="+page.Next, nil).status)
	require.Equal(t, "other_list", w.ask(http.MethodGet, prefixV1+"/accounts?limit=1&cursor="+page.Next, nil).problem(t).Errors[0].Rule, "another filter")
	for _, junk := range []string{"x", "!!", base64.RawURLEncoding.EncodeToString([]byte(`{"l":"","a":1}`)), base64.RawURLEncoding.EncodeToString([]byte(`[]`))} {
		require.Equal(t, "cursor", w.ask(http.MethodGet, ours+"?cursor="+junk, nil).problem(t).Errors[0].Rule, junk)
	}
}

func TestALimitIsOneToTwoHundred(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.SQLite(t))
	for limit, status := range map[string]int{"0": 422, "-1": 422, "201": 422, "x": 422, "1": 200, "200": 200} {
		require.Equal(t, status, w.ask(http.MethodGet, prefixV1+"/accounts?limit="+limit, nil).status, limit)
	}
}
