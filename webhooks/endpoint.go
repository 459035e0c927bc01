package webhooks

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"hongyan/internal/fault"
)

// The limits of webhooks. Lengths are in characters.
const (
	MaxEndpoints = 20 // of an account
	MaxName      = 64
	MaxURL       = 1024
	MinSecret    = 16
	MaxSecret    = 128
)

// Endpoint is a webhook: an address to which events are posted. It does not hold the secret that signs them: CreateEndpoint
// shows that once.
type Endpoint struct {
	ID        int64
	AccountID int64
	Name      string
	URL       string
	Revision  int64 // grows with every change
	CreatedAt int64 // unix ms
}

// NewEndpoint is a webhook to make.
type NewEndpoint struct {
	Name   string
	URL    string
	Secret string // "" has one made
}

// EndpointPatch says what of a webhook changes. What is nil stays. Events that wait go to the new address, signed with the new secret.
type EndpointPatch struct {
	Name   *string
	URL    *string
	Secret *string
}

// newSecret has 256 random bits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails: it ends the process instead
	return "whsec_" + base64.RawURLEncoding.EncodeToString(b[:])
}

func checkName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case strings.TrimSpace(name) == "":
		return fault.BadField("name", "required", "give the webhook a name")
	case n > MaxName:
		return fault.BadField("name", "length", "a name has at most %d characters, not %d", MaxName, n)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fault.BadField("name", "characters", "the text holds control characters; use letters, digits and signs in one line")
	}
	return nil
}

func checkSecret(secret string) error {
	if n := len(secret); n < MinSecret || n > MaxSecret || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.BadField("secret", "shape", "a secret has %d to %d ASCII letters, digits and signs without spaces; leave it out to have one made", MinSecret, MaxSecret)
	}
	return nil
}

// checkURL checks what can be told without looking the name up; the rest is checked at every connection.
func (s *Store) checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return fault.BadField("url", "format", "write an address that begins with https:// or http://")
	case u.User != nil:
		return fault.BadField("url", "credentials", "an address holds neither user name nor password; check the signature of what arrives instead")
	case u.Fragment != "":
		return fault.BadField("url", "fragment", "the part behind # is never sent; take it away")
	case utf8.RuneCountInString(raw) > MaxURL:
		return fault.BadField("url", "length", "an address has at most %d characters", MaxURL)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && !s.allowPrivate && !public(ip) {
		return fault.BadField("url", "private", "%s is an address inside of a network; webhooks reach public addresses only, unless the server runs with HONGYAN_WEBHOOKS_INSIDE=on", u.Hostname())
	}
	return nil
}

func (s *Store) checkNew(in NewEndpoint) error {
	return errors.Join(checkName(in.Name), s.checkURL(in.URL), checkSecret(in.Secret))
}
