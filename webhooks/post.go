package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The headers of a post.
const (
	HeaderEventID   = "Hongyan-Event-Id"
	HeaderSignature = "Hongyan-Signature"
)

const (
	postTimeout = 10 * time.Second
	// readAnswer is how much of an answer is read, so that the connection can be used again after a short one.
	readAnswer = 4 << 10
	// maxAnswer is how many bytes of an answer, and of an error, are kept.
	maxAnswer = 200
)

// Sign is the header Hongyan-Signature of a post: at is when it is posted.
func Sign(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// target is where a worker posts to; gone tells that the webhook was removed.
type target struct {
	url    string
	secret string
	gone   bool
}

// post posts an event once.
func (w *Worker) post(ctx context.Context, to *target, e *Entry) Attempt {
	a := Attempt{Try: e.Tries}
	if to.gone {
		a.At, a.Error = w.store.now(), "the webhook was removed"
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	began := w.store.clock.Now()
	status, answer, err := w.exchange(ctx, to, e, began)
	ended := w.store.clock.Now()
	a.At, a.Took, a.Status = ended.UnixMilli(), ended.Sub(began).Milliseconds(), status
	a.Answer = cut(strings.ReplaceAll(answer, to.secret, "[secret]"))
	if err != nil {
		a.Error = cut(reason(err))
	}
	return a
}

func (w *Worker) exchange(ctx context.Context, to *target, e *Entry, at time.Time) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, strings.NewReader(e.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Hongyan-Webhook/1")
	req.Header.Set(HeaderEventID, e.EventID)
	req.Header.Set(HeaderSignature, Sign(to.secret, at, []byte(e.Body)))
	res, err := w.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }() // what it says is read, or does not matter
	// An answer that breaks off has its status all the same.
	body, _ := io.ReadAll(io.LimitReader(res.Body, readAnswer)) //nolint:errcheck // see above
	return res.StatusCode, string(body), nil
}

// reason is what went wrong, without the address: a part of it may be a secret of the receiver's.
func reason(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + postTimeout.String()
	}
	return err.Error()
}

// cut keeps the beginning of a text, whole characters only.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= maxAnswer {
		return text
	}
	n := maxAnswer
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
