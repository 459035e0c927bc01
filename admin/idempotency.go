package admin

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 128
	// keyLife is how long an answer is kept for those who ask again.
	keyLife = 24 * time.Hour
	// keyLease is how long a request keeps others with its key away when its process dies. No operation that sends lasts as long: see sendTimeout.
	keyLease    = time.Minute
	sendTimeout = 45 * time.Second
)

// keys keeps what was asked for under which Idempotency-Key, and the answer.
type keys struct {
	db    *database.DB
	clock clock.Clock
}

func newKeys(db *database.DB, clk clock.Clock) *keys { return &keys{db: db, clock: clk} }

// readKey reads the key of an operation that sends.
func (op *Op) readKey(ctx huma.Context, c *Call) error {
	if !op.Sends {
		return nil
	}
	key := ctx.Header(keyHeader)
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return refuse(kindMalformed, fault.BadField("header."+keyHeader, "idempotency_key",
			"send an Idempotency-Key of 1 to %d letters, digits or signs, new for each thing to do: it keeps a repeated request from sending twice", maxKey))
	}
	c.Key = key
	return nil
}

// asked is a request under a key.
type asked struct {
	account     int64
	caller, key string
	hash        string // of method, address and body
	owner       string // this request
}

// answered is what a request was answered with.
type answered struct {
	status  int
	headers map[string]string
	body    string
}

// once lets one request with a key through, and gives the others its answer. Only successes are kept: what was refused did nothing, and may be tried again.
func (a *API) once(ctx huma.Context, c *Call, next func(huma.Context)) {
	web := humafiber.Unwrap(ctx)
	q := &asked{caller: c.By.key(), key: c.Key, owner: c.RequestID, hash: hashRequest(web)}
	if c.Account != nil {
		q.account = c.Account.ID
	}
	old, err := a.keys.begin(ctx.Context(), q)
	if err != nil {
		a.refuse(ctx, c, err)
		return
	}
	if old != nil {
		old.write(ctx, a)
		return
	}
	// A request that was admitted has to settle its key also when its time is over, or its handler panics.
	settling := context.WithoutCancel(ctx.Context())
	done := false
	defer func() {
		if !done {
			a.settle(c, a.keys.release(settling, q))
		}
	}()
	next(ctx)
	if status := web.Response().StatusCode(); status >= http.StatusOK && status < http.StatusMultipleChoices {
		done = true
		a.settle(c, a.keys.keep(settling, q, answerOf(web)))
	}
}

func (a *API) settle(c *Call, err error) {
	if err != nil {
		a.o.Log.Error("what a request was answered is not kept for its key; a repetition waits for the lease", "request", c.RequestID, "error", err)
	}
}

func hashRequest(web *fiber.Ctx) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", web.Method(), web.OriginalURL())
	h.Write(web.Body())
	return hex.EncodeToString(h.Sum(nil))
}

func answerOf(web *fiber.Ctx) *answered {
	out := &answered{status: web.Response().StatusCode(), body: string(web.Response().Body()), headers: map[string]string{}}
	for _, name := range []string{fiber.HeaderContentType, fiber.HeaderETag, fiber.HeaderLocation} {
		if v := string(web.Response().Header.Peek(name)); v != "" {
			out.headers[name] = v
		}
	}
	return out
}

func (r *answered) write(ctx huma.Context, a *API) {
	for name, value := range r.headers {
		ctx.SetHeader(name, value)
	}
	ctx.SetHeader("Idempotent-Replayed", "true")
	ctx.SetStatus(r.status)
	if _, err := ctx.BodyWriter().Write([]byte(r.body)); err != nil {
		a.o.Log.Error("an answer could not be written", "error", err)
	}
}

// begin takes the key for a request, or returns the answer that there is. Errors: a key that belongs to another request, or to one that is being worked on.
func (k *keys) begin(ctx context.Context, q *asked) (old *answered, err error) {
	now := k.clock.Now()
	err = k.db.Tx(ctx, func(tx *gorm.DB) error {
		old = nil
		res := tx.Exec(k.db.Dialect().InsertIgnore()+" idempotency_keys (account_id, caller, idempotency_key, hash, owner, lease_until, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			q.account, q.caller, q.key, q.hash, q.owner, clock.Millis(now.Add(keyLease)), clock.Millis(now))
		if res.Error != nil || res.RowsAffected == 1 {
			return res.Error
		}
		var err error
		old, err = k.standing(tx, q, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take an idempotency key: %w", err)
	}
	return old, nil
}

// standing decides about a key that is there: an answer, a request to wait for, one whose process died, or one of yesterday.
func (k *keys) standing(tx *gorm.DB, q *asked, now time.Time) (*answered, error) {
	var hash string
	var lease, created int64
	var headers, body sql.NullString
	out := &answered{}
	err := tx.Raw("SELECT hash, lease_until, created_at, status, headers, body FROM idempotency_keys WHERE account_id = ? AND caller = ? AND idempotency_key = ?"+k.db.Dialect().ForUpdate(),
		q.account, q.caller, q.key).Row().Scan(&hash, &lease, &created, &out.status, &headers, &body)
	if errors.Is(err, sql.ErrNoRows) { // the first one was refused just now, and gave its key back
		return nil, busy(time.Second)
	}
	if err != nil {
		return nil, err
	}
	over := now.Sub(clock.FromMillis(created)) >= keyLife
	free := out.status == 0 && clock.Millis(now) >= lease
	switch {
	case over, free && hash == q.hash:
		return nil, k.takeOver(tx, q, now, lease)
	case hash != q.hash:
		return nil, refuse(kindKeyReused, fault.BadField("header."+keyHeader, "reused", "this key was used for another request; take a new key for a new request"))
	case out.status == 0:
		return nil, busy(clock.FromMillis(lease).Sub(now))
	}
	out.body = body.String
	return out, json.Unmarshal([]byte(headers.String), &out.headers)
}

func busy(wait time.Duration) error {
	seconds := strconv.Itoa(max(1, min(int(wait/time.Second), 5)))
	return refuse(kindBusy, fault.New(fault.Conflict, "the same request is being worked on; ask again in %s seconds", seconds)).with(fiber.HeaderRetryAfter, seconds)
}

func (k *keys) takeOver(tx *gorm.DB, q *asked, now time.Time, lease int64) error {
	res := tx.Exec("UPDATE idempotency_keys SET hash = ?, owner = ?, lease_until = ?, created_at = ?, status = 0, headers = NULL, body = NULL "+
		"WHERE account_id = ? AND caller = ? AND idempotency_key = ? AND lease_until = ?",
		q.hash, q.owner, clock.Millis(now.Add(keyLease)), clock.Millis(now), q.account, q.caller, q.key, lease)
	if res.Error == nil && res.RowsAffected == 0 {
		return busy(time.Second)
	}
	return res.Error
}

// keep stores the answer of a request, unless another one has taken its key over.
func (k *keys) keep(ctx context.Context, q *asked, r *answered) error {
	headers, err := json.Marshal(r.headers)
	if err != nil {
		return fmt.Errorf("keep an answer: %w", err)
	}
	return k.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE idempotency_keys SET status = ?, headers = ?, body = ? WHERE account_id = ? AND caller = ? AND idempotency_key = ? AND owner = ?",
			r.status, string(headers), r.body, q.account, q.caller, q.key, q.owner).Error
	})
}

// release gives the key of a request back that did nothing.
func (k *keys) release(ctx context.Context, q *asked) error {
	return k.db.Tx(ctx, func(tx *gorm.DB) error {
		return tx.Exec("DELETE FROM idempotency_keys WHERE account_id = ? AND caller = ? AND idempotency_key = ? AND owner = ? AND status = 0",
			q.account, q.caller, q.key, q.owner).Error
	})
}
