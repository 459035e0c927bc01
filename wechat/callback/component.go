package callback

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ComponentEvent is what a push to a component's authorisation event URL says
// (platform.md 1.5). It must be answered with "success".
type ComponentEvent struct {
	AppID     string    // the component's
	CreatedAt time.Time // UTC, whole seconds, by the platform's clock
	Name      string    // InfoType, lower-cased
	// Payload is a ComponentTicket, ComponentGranted or ComponentWithdrawn, by value;
	// Unknown when none fits.
	Payload any
	Raw     []byte // the decrypted body
}

// ComponentTicket is component_verify_ticket: it comes every 10 minutes, and the newest is
// what a component proves itself with. It is a secret.
type ComponentTicket struct{ Ticket string }

// ComponentGranted is authorized, or with Updated updateauthorized: an account's owner
// gave the component permission sets, or changed them. Code is exchanged for what was given.
type ComponentGranted struct {
	AccountAppID string
	Code         string
	ExpiresAt    time.Time // of Code
	PreAuthCode  string    // that the authorisation page was opened with
	Updated      bool
}

// ComponentWithdrawn is unauthorized: the account's tokens are of no use any more.
type ComponentWithdrawn struct{ AccountAppID string }

const (
	infoTicket   = "component_verify_ticket"
	infoGranted  = "authorized"
	infoUpdated  = "updateauthorized"
	infoWithdraw = "unauthorized"
)

// OpenComponent verifies a push to the authorisation event URL and returns its clear body
// for ParseComponent. c holds the component's appid, Token and keys; its Mode does not
// count, because these pushes are always encrypted. It changes nothing and refuses with
// the Err values of this package.
func (c *Config) OpenComponent(now time.Time, p Push) ([]byte, error) {
	safe := *c
	safe.Mode = ModeSafe
	sealed, err := safe.verified(now, p)
	if err != nil {
		return nil, err
	}
	body, err := safe.decrypt(sealed)
	if err != nil {
		return nil, err
	}
	e, err := ParseComponent(body)
	if err != nil {
		return nil, err
	}
	if e.AppID != c.AppID {
		return nil, ErrAppID
	}
	return body, nil
}

// ParseComponent reads the body of a push as OpenComponent returns it. It fails only when
// the body as a whole cannot be read: ErrTooLarge, ErrMarkup or ErrMalformed. A push that
// is unknown or lacks a field yields an event with Unknown, which must be acknowledged
// like any other.
func ParseComponent(body []byte) (ComponentEvent, error) {
	raw := slices.Clone(body)
	root, err := parseTree(raw)
	if err != nil {
		return ComponentEvent{}, err
	}
	var f fields
	e := ComponentEvent{
		AppID:     strings.TrimSpace(root.str("AppId")),
		CreatedAt: f.time(&root, "CreateTime"),
		Name:      strings.ToLower(strings.TrimSpace(root.str("InfoType"))),
		Raw:       raw,
	}
	switch {
	case f.err != nil:
		return ComponentEvent{}, f.err
	case e.Name == "":
		return ComponentEvent{}, fmt.Errorf("%w: no InfoType", ErrMalformed)
	}
	if e.Payload, err = componentPayload(&e, &root); err != nil {
		e.Payload = Unknown{Raw: raw, Reason: err.Error()}
	}
	return e, nil
}

func componentPayload(e *ComponentEvent, root *node) (any, error) {
	account := strings.TrimSpace(root.str("AuthorizerAppid"))
	switch e.Name {
	case infoTicket:
		ticket := strings.TrimSpace(root.str("ComponentVerifyTicket"))
		if ticket == "" {
			return nil, errors.New("no ComponentVerifyTicket")
		}
		return ComponentTicket{ticket}, nil
	case infoGranted, infoUpdated:
		var f fields
		g := ComponentGranted{
			AccountAppID: account, Code: strings.TrimSpace(root.str("AuthorizationCode")),
			PreAuthCode: strings.TrimSpace(root.str("PreAuthCode")), Updated: e.Name == infoUpdated,
			ExpiresAt: codeEnd(&f, root, e.CreatedAt),
		}
		if f.err == nil && (g.AccountAppID == "" || g.Code == "") {
			return nil, errors.New("no AuthorizerAppid or no AuthorizationCode")
		}
		return g, f.err
	case infoWithdraw:
		if account == "" {
			return nil, errors.New("no AuthorizerAppid")
		}
		return ComponentWithdrawn{account}, nil
	}
	return Unknown{Raw: e.Raw}, nil
}

// longestCode is more seconds than any code lasts and fewer than any date of this century has.
const longestCode = 1_000_000_000

// codeEnd reads AuthorizationCodeExpiredTime. Samples have a number of seconds, and some a
// time: the two cannot be mistaken for each other.
func codeEnd(f *fields, root *node, created time.Time) time.Time {
	const name = "AuthorizationCodeExpiredTime"
	if v := f.int64(root, name); v >= 0 && v < longestCode {
		return created.Add(time.Duration(v) * time.Second)
	}
	return f.time(root, name)
}

// BuildComponentXML writes e as the platform would push it: the inverse of ParseComponent,
// up to Raw. A payload of Unknown is written as it came.
func BuildComponentXML(e ComponentEvent) ([]byte, error) {
	root := group("xml", text("AppId", e.AppID), number("CreateTime", unix(e.CreatedAt)))
	switch p := e.Payload.(type) {
	case ComponentTicket:
		root.add(text("InfoType", infoTicket), text("ComponentVerifyTicket", p.Ticket))
	case ComponentGranted:
		name := infoGranted
		if p.Updated {
			name = infoUpdated
		}
		left := strconv.FormatInt(int64(p.ExpiresAt.Sub(e.CreatedAt)/time.Second), 10)
		root.add(text("InfoType", name), text("AuthorizerAppid", p.AccountAppID), text("AuthorizationCode", p.Code),
			text("AuthorizationCodeExpiredTime", left))
		root.add(optional("PreAuthCode", p.PreAuthCode)...)
	case ComponentWithdrawn:
		root.add(text("InfoType", infoWithdraw), text("AuthorizerAppid", p.AccountAppID))
	case Unknown:
		return slices.Clone(p.Raw), nil
	default:
		return nil, fmt.Errorf("%w: %T", errNotBuildable, e.Payload)
	}
	return appendXML(nil, &root), nil
}

// SealComponent makes the signed push that the platform would send to the authorisation
// event URL for body: the inverse of OpenComponent, used by tests. meta.ToUser and
// meta.OpenID do not count.
func (c *Config) SealComponent(meta SealMeta, body []byte) (Push, error) {
	sealed, err := c.encrypt(meta.Random, body)
	if err != nil {
		return Push{}, err
	}
	envelope := group("xml", text("AppId", c.AppID), text("Encrypt", sealed))
	p := Push{
		Timestamp: strconv.FormatInt(meta.Now.Unix(), 10), Nonce: meta.Nonce,
		EncryptType: aesEncrypted, Body: appendXML(nil, &envelope),
	}
	p.Signature = Sign(c.Token, p.Timestamp, p.Nonce)
	p.MsgSignature = Sign(c.Token, p.Timestamp, p.Nonce, sealed)
	return p, nil
}
