package wechat

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the platform's choice
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"hongyan/internal/fault"
)

const (
	apiJSTicket = "/cgi-bin/ticket/getticket"

	// ticketMargin is taken off a ticket's life: a page that was signed must still load.
	ticketMargin  = 5 * time.Minute
	maxTicketLife = 24 * 3600 // seconds; a longer life is a broken answer
)

// JSTicket is what an account signs its web pages with (platform.md 7.5). It is a secret.
type JSTicket struct {
	Value    string
	UseUntil time.Time // the margin is already taken off
}

// Sign returns the signature under which a page may use the JS-SDK. page is the page's
// address as the browser has it; what follows a # does not count. timestamp is in unix
// seconds, and it and nonce stand in wx.config as they are here.
func (t JSTicket) Sign(page, nonce string, timestamp int64) string {
	page, _, _ = strings.Cut(page, "#")
	sum := sha1.Sum([]byte("jsapi_ticket=" + t.Value + "&noncestr=" + nonce + //nolint:gosec // the platform's choice
		"&timestamp=" + strconv.FormatInt(timestamp, 10) + "&url=" + page))
	return hex.EncodeToString(sum[:])
}

// JSConfig is what a page hands to wx.config, together with the list of what it wants to
// use. Its JSON has the names of wx.config.
type JSConfig struct {
	AppID     string `json:"appId"`
	Timestamp int64  `json:"timestamp"` // unix s
	Nonce     string `json:"nonceStr"`
	Signature string `json:"signature"`
}

// JSConfig signs a page of the account for the JS-SDK. The page's host must be registered
// with the account; whether it is, only the browser learns.
func (c *Client) JSConfig(ctx context.Context, acc Account, page string) (JSConfig, error) {
	u, err := url.Parse(page)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return JSConfig{}, fault.BadField("url", "address", "a page has an http or https address")
	}
	ticket, err := c.JSTicket(ctx, acc)
	if err != nil {
		return JSConfig{}, err
	}
	out := JSConfig{AppID: acc.AppID, Timestamp: c.clock.Now().Unix(), Nonce: rand.Text()}
	out.Signature = ticket.Sign(page, out.Nonce, out.Timestamp)
	return out, nil
}

// JSTicket returns a usable ticket of the account. It is kept in this process until it ends.
// One call at a time asks the platform, and those who waited for it share what it got, a
// failure as well. That is enough for a ticket: one for each process is far inside the
// platform's limit, and a new ticket does not end an older one's life.
func (c *Client) JSTicket(ctx context.Context, acc Account) (JSTicket, error) {
	e := c.tickets.entry(tokenKey{acc.ID, acc.AppID})
	ticket, seen, ok := e.look(c.clock.Now())
	if ok {
		return ticket, nil
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return JSTicket{}, notSent(apiJSTicket, ctx.Err())
	}
	defer func() { <-e.turn }()
	ticket, asked, ok := e.look(c.clock.Now())
	if ok {
		return ticket, nil
	}
	if err := e.failure(); err != nil && asked != seen {
		return JSTicket{}, err
	}
	ticket, err := c.fetchTicket(ctx, acc)
	if err == nil || ctx.Err() == nil { // that this caller gave up is no answer for the others
		e.keep(ticket, err)
	}
	return ticket, err
}

func (c *Client) fetchTicket(ctx context.Context, acc Account) (JSTicket, error) {
	var answer struct {
		Ticket    string      `json:"ticket"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	now := c.clock.Now()
	if err := c.get(ctx, acc, apiJSTicket, url.Values{"type": {"jsapi"}}, &answer); err != nil {
		return JSTicket{}, err
	}
	seconds, err := answer.ExpiresIn.Int64()
	if err != nil || seconds <= 0 || seconds > maxTicketLife || answer.Ticket == "" {
		return JSTicket{}, withoutProof(apiJSTicket, "ticket")
	}
	life := time.Duration(seconds) * time.Second
	return JSTicket{Value: answer.Ticket, UseUntil: now.Add(life - min(ticketMargin, life/2))}, nil
}

// ticketTable keeps the tickets of all accounts. Its zero value is empty.
type ticketTable struct {
	mu      sync.Mutex
	entries map[tokenKey]*ticketEntry
}

// ticketEntry is what is known of one account's ticket.
type ticketEntry struct {
	turn chan struct{} // holds one value while somebody asks the platform

	mu     sync.Mutex
	ticket JSTicket
	asked  int   // how often the platform was asked
	err    error // of the last time
}

func (t *ticketTable) entry(key tokenKey) *ticketEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e == nil {
		if t.entries == nil {
			t.entries = map[tokenKey]*ticketEntry{}
		}
		e = &ticketEntry{turn: make(chan struct{}, 1)}
		t.entries[key] = e
	}
	return e
}

func (e *ticketEntry) look(now time.Time) (ticket JSTicket, asked int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ticket, e.asked, e.ticket.Value != "" && now.Before(e.ticket.UseUntil)
}

func (e *ticketEntry) keep(ticket JSTicket, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	e.ticket, e.err = ticket, err
}

func (e *ticketEntry) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
