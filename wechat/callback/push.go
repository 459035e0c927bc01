package callback

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Mode is the message encryption mode set on the account (platform.md 2.2).
type Mode uint8

// The modes.
const (
	ModePlain      Mode = iota // clear bodies
	ModeCompatible             // clear fields and a ciphertext side by side
	ModeSafe                   // ciphertext only
)

// DefaultMaxAge is how far a push's timestamp may be from now when Config.MaxAge is
// zero. The platform gives up on a push after three tries of five seconds; the rest is
// for clocks that differ.
const DefaultMaxAge = 5 * time.Minute

const aesEncrypted = "aes"

// Config is what an account's console says about pushes.
type Config struct {
	AppID   string
	Token   string
	AESKeys []string // EncodingAESKeys: the current one, then the previous one while rotating
	Mode    Mode
	MaxAge  time.Duration // 0 means DefaultMaxAge
}

// Push is one HTTP request of the platform: the query's values and the body.
type Push struct {
	Signature, Timestamp, Nonce string
	EncryptType, MsgSignature   string // compatible and safe mode only
	OpenID                      string
	EchoStr                     string // URL check only
	Body                        []byte
}

// Encrypted reports whether the push says that it holds a ciphertext.
func (p Push) Encrypted() bool { return p.EncryptType == aesEncrypted }

// CheckURL answers the request that the platform sends when the server URL is saved:
// the echo string to write back, or ErrSignature.
func CheckURL(cfg *Config, p Push) (string, error) {
	if !cfg.signed(p.Signature, p.Timestamp, p.Nonce) {
		return "", ErrSignature
	}
	return p.EchoStr, nil
}

// signed checks a signature over the Token and parts. Without a Token anybody could sign.
func (c *Config) signed(signature string, parts ...string) bool {
	return c.Token != "" && equal(signature, Sign(append(parts, c.Token)...))
}

// Verify checks that p comes from the platform and is recent, without opening it. It
// fails with ErrTooLarge, ErrMode, ErrSignature, ErrStale, or what reading the envelope
// gives.
func (c *Config) Verify(now time.Time, p Push) error {
	_, err := c.verified(now, p)
	return err
}

// Open verifies p and returns its clear body, XML or JSON, for Parse. It changes nothing
// and refuses with the Err values of this package.
func (c *Config) Open(now time.Time, p Push) ([]byte, error) {
	sealed, err := c.verified(now, p)
	if err != nil {
		return nil, err
	}
	body := p.Body
	if c.opens(p) {
		if body, err = c.decrypt(sealed); err != nil {
			return nil, err
		}
	}
	// The clear body is read once here, so that markup is refused before anything is stored.
	root, err := parseTree(body)
	if err != nil {
		return nil, err
	}
	if root.child("MsgType") == nil {
		if root.child("Encrypt") != nil {
			return nil, ErrMode
		}
		return nil, fmt.Errorf("%w: no MsgType", ErrMalformed)
	}
	return body, nil
}

// opens tells whether the ciphertext is what counts: always in safe mode; in compatible
// mode when there is one, because it is what the signature covers.
func (c *Config) opens(p Push) bool {
	return c.Mode == ModeSafe || c.Mode == ModeCompatible && p.Encrypted()
}

// verified checks size, signature and age, and returns the ciphertext if there is one to open.
func (c *Config) verified(now time.Time, p Push) (sealed string, err error) {
	if len(p.Body) > MaxBody {
		return "", ErrTooLarge
	}
	if c.opens(p) {
		if !p.Encrypted() {
			return "", ErrMode
		}
		envelope, err := parseTree(p.Body)
		if err != nil {
			return "", err
		}
		sealed = strings.TrimSpace(envelope.str("Encrypt"))
		if !c.signed(p.MsgSignature, p.Timestamp, p.Nonce, sealed) {
			return "", ErrSignature
		}
	} else if !c.signed(p.Signature, p.Timestamp, p.Nonce) {
		return "", ErrSignature
	}
	return sealed, c.checkAge(now, p.Timestamp)
}

func (c *Config) checkAge(now time.Time, timestamp string) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || seconds > maxUnix {
		return fmt.Errorf("%w: %.20q", ErrStale, timestamp)
	}
	maxAge := c.MaxAge
	if maxAge <= 0 {
		maxAge = DefaultMaxAge
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > maxAge {
		return fmt.Errorf("%w: it is %s away from now, %s is the limit", ErrStale, age.Round(time.Second), maxAge)
	}
	return nil
}

// decrypt tries the keys in order. A push made with the previous key may arrive for a
// while after the key was changed.
func (c *Config) decrypt(sealed string) ([]byte, error) {
	if len(c.AESKeys) == 0 {
		return nil, ErrKey
	}
	refusal := ErrCipher
	for i, encoded := range c.AESKeys {
		crypto, err := NewCrypto(encoded)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKey, i+1, err)
		}
		plain, err := crypto.Decrypt(c.AppID, sealed)
		if err == nil {
			return plain, nil
		}
		// The more telling reason wins: a wrong key nearly always fails with ErrCipher.
		if i == 0 || errors.Is(err, ErrAppID) {
			refusal = err
		}
	}
	return nil, refusal
}

// SealMeta is what a push carries beside its body.
type SealMeta struct {
	ToUser string    // gh_… id, clear in the envelope
	OpenID string    // query value
	Now    time.Time // signed timestamp
	Nonce  string
	Random [randomLen]byte // of the ciphertext; seeded by a simulator
}

// Seal makes the signed push that the platform would send for body: the inverse of
// Open, used by the simulator and by tests. It needs a usable key unless Mode is
// ModePlain.
func (c *Config) Seal(meta SealMeta, body []byte) (Push, error) {
	p := Push{Timestamp: strconv.FormatInt(meta.Now.Unix(), 10), Nonce: meta.Nonce, OpenID: meta.OpenID, Body: body}
	p.Signature = Sign(c.Token, p.Timestamp, p.Nonce)
	if c.Mode == ModePlain {
		return p, nil
	}
	sealed, err := c.encrypt(meta.Random, body)
	if err != nil {
		return Push{}, err
	}
	p.EncryptType, p.MsgSignature = aesEncrypted, Sign(c.Token, p.Timestamp, p.Nonce, sealed)
	envelope := group("xml", text("ToUserName", meta.ToUser))
	if c.Mode == ModeCompatible {
		if envelope, err = parseTree(body); err != nil {
			return Push{}, err
		}
	}
	envelope.add(text("Encrypt", sealed))
	if isJSON(body) {
		p.Body = appendJSON(nil, &envelope)
	} else {
		p.Body = appendXML(nil, &envelope)
	}
	return p, nil
}

func (c *Config) encrypt(random [randomLen]byte, body []byte) (string, error) {
	if len(c.AESKeys) == 0 {
		return "", ErrKey
	}
	crypto, err := NewCrypto(c.AESKeys[0])
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return crypto.Encrypt(c.AppID, random, body), nil
}
