package admin

import (
	"context"
	"strconv"
	"strings"

	"hongyan/accounts"
	"hongyan/internal/lang"
)

// Call is one request as its handler sees it.
type Call struct {
	// Account is the one in the path; nil where the path has none.
	Account *accounts.Account
	// By is who asks; the zero Caller for operations that need no log-in.
	By   Caller
	Lang lang.Lang
	// RequestID names the request in the log.
	RequestID string
	// Key is the Idempotency-Key, "" for operations that do not send. It is the caller's choice: use it only together with By.
	Key string

	operation string
	list      string // names the list, its filters and its sort: see page.go
	revision  int64  // of If-Match
	remote    string
}

type callKey struct{}

// callOf returns the request that a context belongs to. Every operation has one.
func callOf(ctx context.Context) *Call {
	c, ok := ctx.Value(callKey{}).(*Call)
	if !ok {
		return newCall("", "-")
	}
	return c
}

func newCall(languages, requestID string) *Call {
	return &Call{Lang: languageOf(languages), RequestID: requestID}
}

// languageOf reads Accept-Language. Chinese unless the reader prefers English.
func languageOf(header string) lang.Lang {
	best, quality := lang.ZH, -1.0
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if l := lang.Lang(primary); l == lang.ZH || l == lang.EN {
			if q := qualityOf(params); q > quality {
				best, quality = l, q
			}
		}
	}
	return best
}

// qualityOf reads q of one part of Accept-Language, 1 without it.
func qualityOf(params string) float64 {
	value, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return 0
	}
	return q
}
