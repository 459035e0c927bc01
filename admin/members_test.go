package admin

import (
	"database/sql"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

func exec(query string, args ...any) func(*gorm.DB) error {
	return func(tx *gorm.DB) error { return tx.Exec(query, args...).Error }
}

// column reads the texts of a query.
func (w *world) column(query string, args ...any) []string {
	w.t.Helper()
	var out []string
	require.NoError(w.t, database.EachRow(w.o.DB.Read(w.t.Context()), func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		out = append(out, s)
		return err
	}, query, args...))
	return out
}

// logIn returns the answer and the cookie's value.
func (w *world) logIn(name, password string) (r *answer, cookie string) {
	w.t.Helper()
	r = w.ask(http.MethodPost, prefixV1+"/login", map[string]string{"name": name, "password": password}, "Authorization", "", ownHeader, "1")
	set := &http.Response{Header: r.header}
	for _, c := range set.Cookies() {
		cookie = c.Value
	}
	return r, cookie
}

func (w *world) asMember(method, path, cookie string, headers ...string) *answer {
	w.t.Helper()
	return w.ask(method, path, nil, append([]string{"Authorization", "", "Cookie", sessionCookie + "=" + cookie}, headers...)...)
}

func TestAMemberIsLoggedInUntilTheSessionEnds(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		r, cookie := w.logIn("mira", goodPassword)
		require.Equal(t, http.StatusOK, r.status)
		set := r.header.Get("Set-Cookie")
		require.Contains(t, set, "HttpOnly")
		require.Contains(t, set, "SameSite=Lax")
		require.NotContains(t, set, "Secure", "the server is not behind https")
		me := prefixV1 + "/me"
		require.Contains(t, string(w.asMember(http.MethodGet, me, cookie).raw), `"name":"mira"`)
		require.NotContains(t, w.column("SELECT hash FROM sessions"), cookie, "only its hash is stored")

		w.clock.Advance(sessionIdle - time.Millisecond)
		require.Equal(t, http.StatusOK, w.asMember(http.MethodGet, me, cookie).status)
		for range 14 { // more than seven days, never idle for long
			w.clock.Advance(sessionIdle - time.Millisecond)
			if w.asMember(http.MethodGet, me, cookie).status != http.StatusOK {
				break
			}
		}
		require.Equal(t, http.StatusUnauthorized, w.asMember(http.MethodGet, me, cookie).status, "seven days are over")

		_, cookie = w.logIn("mira", goodPassword)
		w.clock.Advance(sessionIdle)
		require.Equal(t, http.StatusUnauthorized, w.asMember(http.MethodGet, me, cookie).status, "idle for too long")

		_, cookie = w.logIn("mira", goodPassword)
		out := w.asMember(http.MethodPost, prefixV1+"/logout", cookie, ownHeader, "1")
		require.Equal(t, http.StatusNoContent, out.status)
		require.Contains(t, out.header.Get("Set-Cookie"), "Max-Age=0")
		require.Equal(t, http.StatusUnauthorized, w.asMember(http.MethodGet, me, cookie).status)
	})
}

func TestADisabledMemberIsOutAtOnce(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		_, cookie := w.logIn("mira", goodPassword)
		require.NoError(t, w.o.DB.Tx(t.Context(), exec("UPDATE members SET disabled_at = 1 WHERE name = 'mira'")))
		require.Equal(t, http.StatusUnauthorized, w.asMember(http.MethodGet, prefixV1+"/me", cookie).status)
		require.Equal(t, http.StatusUnauthorized, w.ask(http.MethodGet, prefixV1+"/me", nil).status, "tokens are of a member")
		r, _ := w.logIn("mira", goodPassword)
		require.Equal(t, http.StatusUnauthorized, r.status)
	})
}

func TestAnotherSitesPageChangesNothingWithAMembersCookie(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, cookie := w.logIn("mira", goodPassword)
		for _, op := range w.api.ops {
			if op.Method == http.MethodGet {
				continue
			}
			w.clock.Advance(time.Second)
			path := strings.NewReplacer("{account}", strconv.FormatInt(w.ours.ID, 10)).Replace(prefixV1 + op.Path)
			r := w.asMember(op.Method, path, cookie, "Origin", "https://evil.example")
			require.Equal(t, http.StatusForbidden, r.status, op.ID)
			require.Contains(t, r.problem(t).Detail, ownHeader)
		}
		require.Equal(t, http.StatusOK, w.asMember(http.MethodGet, prefixV1+"/me", cookie).status, "reading needs no header")
	})
}

func TestBehindHTTPSTheCookieIsForHTTPSOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.o.PublicURL = "https://hongyan.example.com"
		w.mount()
		r, _ := w.logIn("mira", goodPassword)
		require.Contains(t, r.header.Get("Set-Cookie"), "Secure")
	})
}

func TestAWrongNameAndAWrongPasswordAreAnsweredAlike(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		wrong, _ := w.logIn("mira", "not the password")
		unknown, _ := w.logIn("nobody there", goodPassword)
		require.Equal(t, http.StatusUnauthorized, wrong.status)
		require.Equal(t, wrong.status, unknown.status)
		require.Equal(t, wrong.problem(t).Detail, unknown.problem(t).Detail)
		// Both cost one hash: the decoy's parameters are those of real ones.
		stored := w.column("SELECT password FROM members WHERE name = 'mira'")[0]
		require.Equal(t, strings.Split(stored, "$")[:4], strings.Split(w.api.members.decoy(), "$")[:4])
	})
}

func TestLogInsAreFewAndRequestsAreMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range loginRate.burst {
			r, _ := w.logIn("mira", "not the password")
			require.Equal(t, http.StatusUnauthorized, r.status)
			require.Equal(t, strconv.Itoa(loginRate.burst-1-i), r.header.Get(headerRateLeft))
		}
		w.mount() // another process
		r, _ := w.logIn("mira", goodPassword)
		require.Equal(t, http.StatusTooManyRequests, r.status)
		require.Equal(t, "6", r.header.Get("Retry-After"))
		require.Equal(t, problemPath+kindTooMany, r.problem(t).Type)
		require.Equal(t, http.StatusOK, w.ask(http.MethodGet, prefixV1+"/me", nil).status, "others are not held up")
		w.clock.Advance(6 * time.Second)
		r, _ = w.logIn("mira", goodPassword)
		require.Equal(t, http.StatusOK, r.status)

		seen := 0
		for range callerRate.burst {
			if w.ask(http.MethodGet, prefixV1+"/me", nil).status == http.StatusTooManyRequests {
				break
			}
			seen++
		}
		require.InDelta(t, callerRate.burst-1, seen, 2)
		require.Equal(t, http.StatusTooManyRequests, w.ask(http.MethodGet, prefixV1+"/me", nil).status)
	})
}

func TestATokenIsGoodUntilItExpiresOrIsRemoved(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		_, cookie := w.logIn("mira", goodPassword)
		create := func(body any, headers ...string) *answer {
			return w.ask(http.MethodPost, prefixV1+"/tokens", body, append([]string{"Authorization", "", "Cookie", sessionCookie + "=" + cookie, ownHeader, "1"}, headers...)...)
		}
		until := clock.Millis(w.clock.Now()) + 5000
		r := create(map[string]any{"name": "CI", "scopes": []string{"write", "read"}, "expires_at": until})
		require.Equal(t, http.StatusCreated, r.status, string(r.raw))
		var made struct {
			ID     int64   `json:"id"`
			Token  string  `json:"token"`
			Scopes []Scope `json:"scopes"`
		}
		r.into(t, &made)
		require.True(t, strings.HasPrefix(made.Token, tokenPrefix))
		require.NotContains(t, string(w.ask(http.MethodGet, prefixV1+"/tokens", nil).raw), made.Token, "it is shown once")
		require.NotContains(t, w.column("SELECT hash FROM api_tokens"), made.Token)

		good := []string{"Authorization", "Bearer " + made.Token}
		require.Equal(t, http.StatusOK, w.ask(http.MethodGet, prefixV1+"/me", nil, good...).status)
		w.clock.Advance(5 * time.Second)
		require.Equal(t, http.StatusUnauthorized, w.ask(http.MethodGet, prefixV1+"/me", nil, good...).status, "expired")

		create(map[string]any{"name": "forever", "scopes": []string{"read"}}).into(t, &made)
		good[1] = "Bearer " + made.Token
		require.Equal(t, http.StatusOK, w.ask(http.MethodGet, prefixV1+"/me", nil, good...).status)
		require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, fmt.Sprintf("%s/tokens/%d", prefixV1, made.ID), nil).status)
		require.Equal(t, http.StatusUnauthorized, w.ask(http.MethodGet, prefixV1+"/me", nil, good...).status, "removed")

		require.Equal(t, http.StatusForbidden, w.ask(http.MethodPost, prefixV1+"/tokens", map[string]any{"name": "x", "scopes": []string{"read"}}).status, "a token makes none")
		for field, body := range map[string]map[string]any{
			"name":       {"name": " x", "scopes": []string{"read"}},
			"scopes[0]":  {"name": "x", "scopes": []string{"everything"}},
			"scopes[1]":  {"name": "x", "scopes": []string{"read", "read"}},
			"expires_at": {"name": "x", "scopes": []string{"read"}, "expires_at": 5},
		} {
			require.Equal(t, field, create(body).problem(t).Errors[0].Field)
		}
	})
}

func TestTheUseOfATokenIsNotedOnceAMinute(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		used := func() string { return w.column("SELECT used_at FROM api_tokens")[0] }
		w.ask(http.MethodGet, prefixV1+"/me", nil)
		first := used()
		require.Equal(t, strconv.FormatInt(clock.Millis(w.clock.Now()), 10), first)
		w.clock.Advance(noteEvery - time.Millisecond)
		w.ask(http.MethodGet, prefixV1+"/me", nil)
		require.Equal(t, first, used())
		w.clock.Advance(time.Millisecond)
		w.ask(http.MethodGet, prefixV1+"/me", nil)
		require.NotEqual(t, first, used())
	})
}

func TestAMemberHasAGoodNameAndPassword(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for field, in := range map[string][2]string{"name": {"", goodPassword}, "password": {"bo", "short"}} {
			_, err := w.api.members.AddMember(t.Context(), in[0], in[1])
			require.Equal(t, field, fault.Fields(err)[0].Field)
		}
		_, err := w.api.members.AddMember(t.Context(), "mira", goodPassword)
		require.True(t, fault.Is(err, fault.Conflict))
	})
}

func TestAPasswordFitsOnlyItsOwnHash(t *testing.T) {
	t.Parallel()
	cheap := cost{kib: 64, rounds: 1, lanes: 1}
	stored := hashPassword("secret one", cheap)
	require.True(t, strings.HasPrefix(stored, "$argon2id$v=19$m=64,t=1,p=1$"))
	require.True(t, checkPassword(stored, "secret one"))
	require.False(t, checkPassword(stored, "secret two"))
	require.NotEqual(t, stored, hashPassword("secret one", cheap), "each has a salt of its own")
	for _, junk := range []string{"", "x", "$argon2id$v=19$m=64,t=0,p=1$AAAA$AAAA", strings.Replace(stored, "argon2id", "argon2i", 1), strings.Replace(stored, "v=19", "v=16", 1), stored[:len(stored)-2]} {
		require.False(t, checkPassword(junk, "secret one"), junk)
	}
}
