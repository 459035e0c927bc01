package admin

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnEditNeedsTheRevisionThatItsCallerHasSeen(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for _, thing := range []struct{ path, good, other string }{
			{"sending-policy", `{"daily_cap":3,"time_zone":"Asia/Shanghai","rate_per_second":50,"in_flight":4}`, `{"time_zone":"Asia/Tokyo","rate_per_second":5,"in_flight":4}`},
			{"retention-policy", `{"inbox_days":40,"interaction_days":400,"trace_days":90,"left_fan_days":30}`, `{"inbox_days":41,"interaction_days":400,"trace_days":90,"left_fan_days":30}`},
		} {
			path := fmt.Sprintf("%s/accounts/%d/%s", prefixV1, w.ours.ID, thing.path)
			before := w.ask(http.MethodGet, path, nil)
			tag := before.header.Get("ETag")
			require.NotEmpty(t, tag)

			r := w.ask(http.MethodPut, path, thing.good)
			require.Equal(t, http.StatusPreconditionRequired, r.status)
			require.Equal(t, "header.If-Match", r.problem(t).Errors[0].Field)

			r = w.ask(http.MethodPut, path, thing.good, "If-Match", tag)
			require.Equal(t, http.StatusOK, r.status, string(r.raw))
			next := r.header.Get("ETag")
			require.NotEqual(t, tag, next)
			require.Equal(t, string(r.raw), string(w.ask(http.MethodGet, path, nil).raw))

			r = w.ask(http.MethodPut, path, thing.other, "If-Match", tag)
			require.Equal(t, http.StatusPreconditionFailed, r.status)
			require.Equal(t, next, r.header.Get("ETag"), "the caller is told what is there now")
			for _, junk := range []string{"*", "1", `"x"`, `W/"1"`} {
				require.Equal(t, http.StatusPreconditionFailed, w.ask(http.MethodPut, path, thing.other, "If-Match", junk).status, junk)
			}
			r = w.ask(http.MethodGet, path, nil)
			require.Equal(t, next, r.header.Get("ETag"), "nothing was changed by a refused edit")
			require.JSONEq(t, thing.good, string(r.raw))

			r = w.ask(http.MethodGet, path, nil, "If-None-Match", next)
			require.Equal(t, http.StatusNotModified, r.status)
			require.Empty(t, r.raw)
			require.Equal(t, http.StatusOK, w.ask(http.MethodGet, path, nil, "If-None-Match", tag).status)
		}
	})
}

func TestOfEditsAtTheSameTimeOneWins(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		path := fmt.Sprintf("%s/accounts/%d/sending-policy", prefixV1, w.ours.ID)
		tag := w.ask(http.MethodGet, path, nil).header.Get("ETag")
		var all sync.WaitGroup
		got := make([]int, 8)
		for i := range got {
			all.Go(func() {
				got[i] = w.ask(http.MethodPut, path, fmt.Sprintf(`{"time_zone":"Asia/Shanghai","rate_per_second":%d,"in_flight":4}`, i+1), "If-Match", tag).status
			})
		}
		all.Wait()
		won := 0
		for _, status := range got {
			if status == http.StatusOK {
				won++
			} else {
				require.Equal(t, http.StatusPreconditionFailed, status)
			}
		}
		require.Equal(t, 1, won)
	})
}
