package admin

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/internal/lang"
)

// counting registers an operation that sends, and counts how often it did.
type counting struct {
	sent atomic.Int64
	path string
	fail func() error
}

type countingIn struct {
	Body struct {
		To string `json:"to"`
	}
}

type countingOut struct {
	ETag string `header:"ETag"`
	Body struct {
		Sent int64  `json:"sent"`
		To   string `json:"to"`
	}
}

func (w *world) counting(id string) *counting {
	n := &counting{path: prefixV1 + "/test/" + id, fail: func() error { return nil }}
	register(w.api, Op{ID: id, Method: http.MethodPost, Path: "/test/" + id, Tag: "Test", Scope: ScopeSend, Sends: true, Status: http.StatusCreated, Summary: lang.Text{ZH: "测试", EN: "Test"}},
		func(_ context.Context, _ *Call, in *countingIn) (*countingOut, error) {
			if err := n.fail(); err != nil {
				return nil, err
			}
			out := &countingOut{ETag: etag(9)}
			out.Body.Sent, out.Body.To = n.sent.Add(1), in.Body.To
			return out, nil
		})
	return n
}

func TestTheSameKeyGetsTheSameAnswerAndSendsOnce(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		n := w.counting("once")
		first := w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1")
		require.Equal(t, http.StatusCreated, first.status, string(first.raw))
		require.Empty(t, first.header.Get("Idempotent-Replayed"))
		w.clock.Advance(23 * time.Hour)
		again := w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1")
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		require.Equal(t, first.status, again.status)
		require.Equal(t, first.raw, again.raw)
		for _, name := range []string{"Content-Type", "ETag"} {
			require.Equal(t, first.header.Get(name), again.header.Get(name))
		}
		require.EqualValues(t, 1, n.sent.Load())

		_, w.token = w.member("bo", allScopes()...)
		require.Empty(t, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").header.Get("Idempotent-Replayed"), "another caller has keys of their own")
		require.EqualValues(t, 2, n.sent.Load())
	})
}

func TestAKeyBelongsToOneRequest(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		n, other := w.counting("one"), w.counting("other")
		require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").status)
		for name, r := range map[string]*answer{
			"another body":      w.ask(http.MethodPost, n.path, `{"to":"b"}`, keyHeader, "k1"),
			"another operation": w.ask(http.MethodPost, other.path, `{"to":"a"}`, keyHeader, "k1"),
		} {
			require.Equal(t, http.StatusUnprocessableEntity, r.status, name)
			require.Equal(t, problemPath+kindKeyReused, r.problem(t).Type)
			require.Equal(t, "header."+keyHeader, r.problem(t).Errors[0].Field)
		}
		require.EqualValues(t, 1, n.sent.Load()+other.sent.Load())
		w.clock.Advance(keyLife)
		require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, n.path, `{"to":"b"}`, keyHeader, "k1").status, "a day later it is new")
	})
}

func TestWhatSendsNeedsAKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.counting("need")
		for _, key := range []string{"", "with space", "鸿", strings.Repeat("k", maxKey+1)} {
			r := w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, key)
			require.Equal(t, http.StatusBadRequest, r.status, key)
			require.Equal(t, "idempotency_key", r.problem(t).Errors[0].Rule)
		}
		require.Zero(t, n.sent.Load())
	})
}

func TestASecondRequestWaitsForTheFirst(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		n := w.counting("slow")
		began, release := make(chan struct{}), make(chan struct{})
		n.fail = func() error { close(began); <-release; return nil }
		done := make(chan *answer)
		go func() { done <- w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1") }()
		<-began
		second := w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1")
		require.Equal(t, http.StatusConflict, second.status)
		require.Equal(t, problemPath+kindBusy, second.problem(t).Type)
		require.NotEmpty(t, second.header.Get("Retry-After"))
		close(release)
		first := <-done
		require.Equal(t, http.StatusCreated, first.status)
		require.Equal(t, first.raw, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").raw)
		require.EqualValues(t, 1, n.sent.Load())
	})
}

func TestAKeyOfACrashedRequestIsFreeAfterItsLease(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		n := w.counting("crash")
		require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").status)
		// What a process leaves that dies in the middle: its key, without an answer.
		require.NoError(t, w.o.DB.Tx(t.Context(), exec("UPDATE idempotency_keys SET status = 0, headers = NULL, body = NULL")))
		r := w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1")
		require.Equal(t, http.StatusConflict, r.status)
		require.Equal(t, "5", r.header.Get("Retry-After"))
		w.clock.Advance(keyLease)
		require.Equal(t, problemPath+kindKeyReused, w.ask(http.MethodPost, n.path, `{"to":"b"}`, keyHeader, "k1").problem(t).Type, "it still is another request's")
		require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").status)
		require.EqualValues(t, 2, n.sent.Load())
		require.Less(t, sendTimeout, keyLease, "a living request always ends before others think that it is dead")
	})
}

func TestARefusedRequestGivesItsKeyBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.counting("refused")
		for status, fail := range map[int]func() error{
			http.StatusConflict:            func() error { return fault.New(fault.Conflict, "not now") },
			http.StatusInternalServerError: func() error { panic("oh") },
		} {
			n.fail = fail
			require.Equal(t, status, w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "k1").status)
		}
		require.Equal(t, http.StatusUnprocessableEntity, w.ask(http.MethodPost, n.path, `{"from":"a"}`, keyHeader, "k1").status)
		n.fail = func() error { return nil }
		require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, n.path, `{"to":"b"}`, keyHeader, "k1").status)
	})
}

func TestWhatNobodyCanUseAnyMoreIsForgotten(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		n := w.counting("forget")
		w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "old")
		_, _, err := w.api.members.StartSession(t.Context(), w.mira.ID)
		require.NoError(t, err)
		w.clock.Advance(keyLife + time.Millisecond)
		w.ask(http.MethodPost, n.path, `{"to":"a"}`, keyHeader, "new")
		secret, _, err := w.api.members.StartSession(t.Context(), w.mira.ID)
		require.NoError(t, err)
		require.NoError(t, Forget(t.Context(), w.o.DB, w.clock))
		require.Equal(t, []string{"new"}, w.column("SELECT idempotency_key FROM idempotency_keys"))
		require.Equal(t, []string{hashSecret(secret)}, w.column("SELECT hash FROM sessions"))
	})
}
