package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/testdb"
	"hongyan/webhooks"
)

func TestAnEventIsPostedSignedAndOnceWhenItIsTaken(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, secret := o.create(r.URL + "/hook")
		o.enqueue(e.ID, webhooks.Event{Type: "drip.step", FanID: 3, Data: map[string]string{"名": "<a>"}})
		require.Equal(t, 1, o.run(o.worker("a")))
		require.Zero(t, o.run(o.worker("a")), "nothing is left")
		posts := r.posts()
		require.Len(t, posts, 1)
		require.Equal(t, "application/json", posts[0].contentType)
		require.True(t, verify(secret, posts[0]))
		require.True(t, strings.HasPrefix(posts[0].signature, fmt.Sprintf("t=%d,", start.Unix())))
		require.Equal(t, posts[0].signature, webhooks.Sign(secret, start, []byte(posts[0].body)))
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(posts[0].body), &body))
		require.Equal(t, map[string]any{
			"id": posts[0].id, "type": "drip.step", "account_id": float64(account), "at": float64(start.UnixMilli()), "data": map[string]any{"名": "<a>"},
		}, body)
		done := o.entries(e.ID, webhooks.StateDone)
		require.Len(t, done, 1)
		require.Equal(t, []any{posts[0].id, 1, int64(0), start.UnixMilli()}, []any{done[0].EventID, done[0].Tries, done[0].DueAt, done[0].EndedAt})
		require.Equal(t, []webhooks.Attempt{{Try: 1, At: start.UnixMilli(), Status: 200}}, o.attempts(&done[0]))
	})
}

func TestAnEventIsStoredWithItsTransactionOrNotAtAll(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		e, _ := o.create("https://example.com")
		undone := errors.New("undone")
		require.ErrorIs(t, o.db.Tx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, o.Enqueue(tx, account, e.ID, events(120)))
			return undone
		}), undone)
		require.Empty(t, o.entries(e.ID, webhooks.StateWaiting))
		require.Zero(t, o.run(o.worker("a")))
		enqueue := func(accountID, id int64, event webhooks.Event) error {
			return o.db.Tx(t.Context(), func(tx *gorm.DB) error { return o.Enqueue(tx, accountID, id, []webhooks.Event{event}) })
		}
		require.True(t, fault.Is(enqueue(account+1, e.ID, events(1)[0]), fault.NotFound), "another account's webhook")
		requireField(t, enqueue(account, e.ID, webhooks.Event{Type: "Drip Step"}), "type", "shape")
		requireField(t, enqueue(account, e.ID, webhooks.Event{Type: "a", Data: strings.Repeat("x", webhooks.MaxBody)}), "data", "length")
		require.True(t, fault.Is(enqueue(account, e.ID, webhooks.Event{Type: "a", Data: make(chan int)}), fault.Invalid))
		require.Empty(t, o.entries(e.ID, webhooks.StateWaiting))
		require.NoError(t, enqueue(account, e.ID, webhooks.Event{Type: "a", Data: strings.Repeat("x", webhooks.MaxBody-200)}))
	})
}

func TestARefusedEventIsRepeatedWithTheSameIDLessAndLessOftenAndGivenUpAfterTenTries(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		r.answer = status(500)
		e, secret := o.create(r.URL)
		o.enqueue(e.ID, events(1)...)
		w := o.worker("a")
		for try, wait := range []time.Duration{
			time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
		} {
			require.Equal(t, 1, o.run(w))
			waiting := o.entries(e.ID, webhooks.StateWaiting)
			require.Len(t, waiting, 1)
			require.Equal(t, []any{try + 1, o.clk.Now().Add(wait).UnixMilli()}, []any{waiting[0].Tries, waiting[0].DueAt})
			o.clk.Advance(wait - time.Millisecond)
			require.Zero(t, o.run(w), "not before its time")
			o.clk.Advance(time.Millisecond)
		}
		require.Equal(t, 1, o.run(w))
		failed := o.entries(e.ID, webhooks.StateFailed)
		require.Len(t, failed, 1)
		o.clk.Advance(365 * 24 * time.Hour)
		require.Zero(t, o.run(w))
		posts := r.posts()
		require.Len(t, posts, 10)
		for _, post := range posts {
			require.Equal(t, []string{posts[0].id, posts[0].body}, []string{post.id, post.body})
			require.True(t, verify(secret, post))
		}
		require.NotEqual(t, posts[0].signature, posts[1].signature, "each try is signed with its own time")
		log := o.attempts(&failed[0])
		require.Len(t, log, 10)
		require.Equal(t, webhooks.Attempt{Try: 10, At: failed[0].EndedAt, Status: 500}, log[9])
	})
}

func TestOnlyTwoHundredsAreAYesAndRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		elsewhere := newReceiver(t)
		for code, taken := range map[int]bool{200: true, 202: true, 204: true, 299: true, 302: false, 307: false, 400: false, 404: false, 410: false, 503: false} {
			r := newReceiver(t)
			r.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(code)
			}
			e, _ := o.create(r.URL)
			o.enqueue(e.ID, events(1)...)
			require.Equal(t, 1, o.run(o.worker("a")))
			want := webhooks.StateWaiting
			if taken {
				want = webhooks.StateDone
			}
			entries := o.entries(e.ID, want)
			require.Len(t, entries, 1, code)
			require.Equal(t, code, o.attempts(&entries[0])[0].Status)
			require.NoError(t, o.DeleteEndpoint(t.Context(), e))
		}
		require.Empty(t, elsewhere.posts())
	})
}

func TestTheLogOfAnAttemptHoldsTheBeginningOfTheAnswerAndNoSecret(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, secret := o.create(r.URL + "/hook?key=hunter2")
		r.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(secret + "\xff" + strings.Repeat("鸿", 3000)))
		}
		o.enqueue(e.ID, events(1)...)
		require.Equal(t, 1, o.run(o.worker("a")))
		waiting := o.entries(e.ID, webhooks.StateWaiting)
		answer := o.attempts(&waiting[0])[0].Answer
		require.True(t, strings.HasPrefix(answer, "[secret]\ufffd鸿鸿"), answer)
		require.LessOrEqual(t, len(answer), 200)
		require.Greater(t, len(answer), 196)

		r.Close()
		o.clk.Advance(time.Minute)
		require.Equal(t, 1, o.run(o.worker("a")))
		second := o.attempts(&waiting[0])[1]
		require.Zero(t, second.Status)
		require.Contains(t, second.Error, "refused")
		require.NotContains(t, second.Error, "hunter2", "the address stays out of the log")
	})
}

// The table of attempts is away while the first worker wants to note the answer: for the outbox that is a worker that died just then.
func TestAWorkerThatDiesBetweenPostAndNoteLeavesTheEventToAnotherWithTheSameID(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(3)...)
		rename := func(from, to string) {
			require.NoError(t, o.db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("ALTER TABLE " + from + " RENAME TO " + to).Error }))
		}
		rename("webhook_attempts", "away")
		require.Equal(t, 1, o.run(o.worker("killed")))
		rename("away", "webhook_attempts")
		require.Len(t, o.entries(e.ID, webhooks.StateWaiting), 3)
		require.Zero(t, o.run(o.worker("b")), "they are the dead worker's for a minute")
		o.clk.Advance(time.Minute)
		require.Equal(t, 1, o.run(o.worker("b")))
		require.Zero(t, o.run(o.worker("b")))
		times := map[string]int{}
		for _, post := range r.posts() {
			times[post.id]++
		}
		require.Len(t, times, 3)
		for id, n := range times {
			require.Equal(t, 2, n, id)
		}
		done := o.entries(e.ID, webhooks.StateDone)
		require.Len(t, done, 3)
		require.Equal(t, 2, o.attempts(&done[0])[0].Try, "the first try was never noted")
	})
}

func TestAnEventThatKillsItsWorkersIsGivenUpToo(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(1)...)
		require.NoError(t, o.db.Tx(t.Context(), func(tx *gorm.DB) error { return tx.Exec("ALTER TABLE webhook_attempts RENAME TO away").Error }))
		for range 10 {
			require.Equal(t, 1, o.run(o.worker("killed")))
			o.clk.Advance(time.Minute)
		}
		require.Equal(t, 1, o.run(o.worker("b")))
		require.Len(t, r.posts(), 10)
		require.Len(t, o.entries(e.ID, webhooks.StateFailed), 1)
	})
}

func TestALateAnswerOfAWorkerThatLostTheEventChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(1)...)
		first := true
		r.answer = func(w http.ResponseWriter, _ *http.Request) {
			if first {
				first = false
				o.clk.Advance(time.Minute)
				o.run(o.worker("b"))
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		o.run(o.worker("slow"))
		done := o.entries(e.ID, webhooks.StateDone)
		require.Len(t, done, 1)
		require.Len(t, o.attempts(&done[0]), 1)
		require.Equal(t, 2, o.attempts(&done[0])[0].Try)
	})
}

func TestManyWorkersPostEachEventOnce(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(100)...)
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				for o.run(o.worker(strconv.Itoa(n))) > 0 {
				}
			})
		}
		all.Wait()
		ids := map[string]bool{}
		for _, post := range r.posts() {
			ids[post.id] = true
		}
		require.Len(t, ids, 100)
		require.Len(t, r.posts(), 100)
		require.Len(t, o.entries(e.ID, webhooks.StateDone), 100)
	})
}

func TestASlowReceiverHoldsUpNobodyElseAndGetsAFewPostsAtATime(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db, true)
		slow, quick := newReceiver(t), newReceiver(t)
		release := make(chan struct{})
		slow.answer = func(http.ResponseWriter, *http.Request) { <-release }
		a, _ := o.create(slow.URL)
		b, _ := o.create(quick.URL)
		o.enqueue(a.ID, events(30)...)
		o.enqueue(b.ID, events(30)...)
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		w := o.worker("a")
		loop.Go(func() { w.Loop(ctx) })
		require.Eventually(t, func() bool { return len(o.entries(b.ID, webhooks.StateDone)) == 30 && len(slow.posts()) == 4 }, time.Minute, 5*time.Millisecond)
		require.Len(t, slow.posts(), 4, "of the thirty, no more than four at a time")
		cancel()
		close(release)
		loop.Wait()
		require.Len(t, o.entries(a.ID, webhooks.StateDone), 8, "what was begun is finished and noted, and nothing more begun")
	})
}

func TestARemovedWebhookGivesItsEventsUp(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		r := newReceiver(t)
		e, _ := o.create(r.URL)
		o.enqueue(e.ID, events(1)...)
		require.NoError(t, o.DeleteEndpoint(t.Context(), e))
		o.enqueue(e.ID, events(1)...)
		require.Equal(t, 1, o.run(o.worker("a")))
		failed := o.entries(e.ID, webhooks.StateFailed)
		require.Len(t, failed, 2)
		require.Equal(t, "the webhook was removed", o.attempts(&failed[0])[0].Error)
		require.Empty(t, r.posts())
	})
}

func TestListsOfEventsGoOnAndStayInTheirAccount(t *testing.T) {
	t.Parallel()
	each(t, func(o *office) {
		e, _ := o.create("https://example.com")
		o.enqueue(e.ID, events(5)...)
		f := webhooks.Filter{AccountID: account, WebhookID: e.ID, State: webhooks.StateWaiting, Most: 2}
		var seen []int64
		for {
			page, err := o.FindEntries(t.Context(), f)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, entry := range page {
				seen = append(seen, entry.ID)
			}
			f.Before = page[len(page)-1].ID
		}
		require.Len(t, seen, 5)
		require.True(t, slices.IsSortedFunc(seen, func(a, b int64) int { return int(b - a) }))
		f.AccountID, f.Before = account+1, 0
		page, err := o.FindEntries(t.Context(), f)
		require.NoError(t, err)
		require.Empty(t, page)
		_, err = o.FindAttempts(t.Context(), account+1, seen[0])
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

func TestTheLoopPostsWithTheWallClockToo(t *testing.T) {
	t.Parallel()
	db := testdb.SQLite(t)
	o := newOffice(t, db, true)
	o.Store = webhooks.New(webhooks.Options{DB: db, Clock: clock.System(), Sealer: o.vault, AllowPrivate: true})
	r := newReceiver(t)
	e, _ := o.create(r.URL)
	ctx, cancel := context.WithCancel(t.Context())
	w := webhooks.NewWorker(o.Store, "a", slog.New(slog.DiscardHandler))
	var loop sync.WaitGroup
	loop.Go(func() { w.Loop(ctx) })
	o.enqueue(e.ID, events(20)...)
	require.Eventually(t, func() bool { return len(r.posts()) == 20 }, time.Minute, 5*time.Millisecond)
	cancel()
	loop.Wait()
}
