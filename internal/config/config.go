// Package config reads the settings of a process, once, at its start.
//
// A setting comes from, in rising order: its default, the YAML file named by --config or
// HONGYAN_CONFIG, the environment (HONGYAN_ and its name in capitals), a flag. Secrets have no
// flag, because flags show in the process list; instead they can be given as a file by a variable that ends in
// _FILE. The package imports fault and nothing else of ours.
package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"hongyan/internal/fault"
)

// Prefix starts the name of every environment variable of ours.
const Prefix = "HONGYAN_"

// Role says which part of the work this process does.
type Role string

// The roles. Without MySQL and Redis there is one process, and its role is RoleAll.
const (
	RoleAll    Role = "all"    // everything
	RoleAPI    Role = "api"    // HTTP: pushes of the platform, people, programs
	RoleWorker Role = "worker" // sending and everything on a schedule
)

// Switch is on, off, or left to the program.
type Switch string

// The positions of a Switch.
const (
	Auto Switch = "auto"
	On   Switch = "on"
	Off  Switch = "off"
)

// Secret is a value that never shows itself when it is printed, logged or encoded. Convert it to string to use it.
type Secret string

const redacted = "[secret]"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Config is what a process is told. Each field's variable is in the comment.
type Config struct {
	Addr              string        // HONGYAN_ADDR: host:port to listen on; port 0 takes a free one
	DataDir           string        // HONGYAN_DATA_DIR: embedded database, generated key, installation epoch, uploads
	MySQLDSN          Secret        // HONGYAN_MYSQL_DSN: user:password@tcp(host:3306)/name; empty: the embedded database
	RedisURL          Secret        // HONGYAN_REDIS_URL: redis://… ; empty: the embedded queue
	SecretKey         Secret        // HONGYAN_SECRET_KEY: 32 bytes in base64 that encrypt the accounts' secrets; see Key
	SecretKeyPrevious Secret        // HONGYAN_SECRET_KEY_PREVIOUS: the key before that one, while it is being changed; see PreviousKey
	Role              Role          // HONGYAN_ROLE
	LogLevel          slog.Level    // HONGYAN_LOG_LEVEL: debug, info, warn, error
	LogFormat         string        // HONGYAN_LOG_FORMAT: text or json
	ShutdownTimeout   time.Duration // HONGYAN_SHUTDOWN_TIMEOUT: how long running sends may finish when the process stops
	PublicURL         string        // HONGYAN_PUBLIC_URL: where the platform and fans reach this server, without a slash at the end; may be empty
	Sandbox           Switch        // HONGYAN_SANDBOX: an account of invented fans on the simulator
	Workers           int           // HONGYAN_WORKERS: most platform calls in flight in this process
	WebhooksInside    Switch        // HONGYAN_WEBHOOKS_INSIDE: whether webhooks may reach addresses inside of the own network, on or off
	// TrustedProxies, HONGYAN_TRUSTED_PROXIES: whose X-Forwarded-For is believed; none unless it is set.
	TrustedProxies []netip.Prefix
}

// Embedded reports whether database and queue live inside this process.
func (c Config) Embedded() bool { return c.MySQLDSN == "" }

// Key returns the 32 bytes of SecretKey, or nil when it is unset or wrong.
func (c Config) Key() []byte { return decodeKey(c.SecretKey) }

// PreviousKey returns the 32 bytes of SecretKeyPrevious, or nil when it is unset or wrong.
func (c Config) PreviousKey() []byte { return decodeKey(c.SecretKeyPrevious) }

func decodeKey(text Secret) []byte {
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || len(key) != keyLen {
		return nil
	}
	return key
}

// String shows the settings without the secrets, for the log line at the start.
func (c Config) String() string {
	return fmt.Sprintf("addr=%s data_dir=%s mysql_dsn=%s redis_url=%s secret_key=%s secret_key_previous=%s role=%s log_level=%s log_format=%s shutdown_timeout=%s public_url=%s sandbox=%s workers=%d webhooks_inside=%s trusted_proxies=%v",
		c.Addr, c.DataDir, c.MySQLDSN, c.RedisURL, c.SecretKey, c.SecretKeyPrevious, c.Role, c.LogLevel, c.LogFormat, c.ShutdownTimeout, c.PublicURL, c.Sandbox, c.Workers, c.WebhooksInside, c.TrustedProxies)
}

const (
	keyLen      = 32
	maxWorkers  = 2000
	minShutdown = time.Second
	maxShutdown = 10 * time.Minute
)

// Validate returns every problem at once, each an Invalid error whose field is the variable's name. No message
// quotes a secret.
func (c Config) Validate() error {
	return errors.Join(
		c.checkAddr(), c.checkStorage(), c.checkKey(), c.checkPublicURL(),
		check(c.DataDir != "", "DATA_DIR", "required", "name a directory"),
		oneOf("ROLE", c.Role, RoleAll, RoleAPI, RoleWorker),
		oneOf("SANDBOX", c.Sandbox, Auto, On, Off),
		oneOf("WEBHOOKS_INSIDE", c.WebhooksInside, On, Off),
		oneOf("LOG_FORMAT", c.LogFormat, "text", "json"),
		check(c.ShutdownTimeout >= minShutdown && c.ShutdownTimeout <= maxShutdown, "SHUTDOWN_TIMEOUT", "range",
			"must be between %s and %s", minShutdown, maxShutdown),
		check(c.Workers >= 1 && c.Workers <= maxWorkers, "WORKERS", "range", "must be between 1 and %d", maxWorkers),
	)
}

func (c Config) checkAddr() error {
	_, port, err := net.SplitHostPort(c.Addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return check(err == nil, "ADDR", "format", "%q is not host:port, as in 127.0.0.1:8080 or :8080", c.Addr)
}

// checkStorage lets both servers be set, or neither. A third combination would be a third way to lose data.
func (c Config) checkStorage() error {
	var errs []error
	switch {
	case c.MySQLDSN != "" && c.RedisURL == "":
		errs = append(errs, bad("REDIS_URL", "together", "must be set, because HONGYAN_MYSQL_DSN is; unset both for the embedded storage"))
	case c.MySQLDSN == "" && c.RedisURL != "":
		errs = append(errs, bad("MYSQL_DSN", "together", "must be set, because HONGYAN_REDIS_URL is; unset both for the embedded storage"))
	case c.Embedded() && (c.Role == RoleAPI || c.Role == RoleWorker):
		errs = append(errs, bad("ROLE", "embedded", "%s needs MySQL and Redis: the embedded storage belongs to a single process, with the role all", c.Role))
	}
	if c.MySQLDSN != "" {
		dsn, err := mysql.ParseDSN(string(c.MySQLDSN))
		errs = append(errs, check(err == nil && dsn.DBName != "", "MYSQL_DSN", "format",
			"cannot be read, or names no database; write user:password@tcp(host:3306)/name"))
	}
	if c.RedisURL != "" {
		u, err := url.Parse(string(c.RedisURL))
		errs = append(errs, check(err == nil && slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme), "REDIS_URL", "format",
			"cannot be read; write redis://:password@host:6379/0, rediss:// for TLS, or unix:///path"))
	}
	return errors.Join(errs...)
}

func (c Config) checkKey() error {
	if c.SecretKey == "" {
		return errors.Join(c.checkPreviousKey(), check(c.Embedded(), "SECRET_KEY", "required",
			"must be set with MySQL, because all processes need the same key; make one with: openssl rand -base64 32"))
	}
	return errors.Join(c.checkPreviousKey(),
		check(c.Key() != nil, "SECRET_KEY", "format", "must be %d bytes in base64; make one with: openssl rand -base64 32", keyLen))
}

func (c Config) checkPreviousKey() error {
	switch {
	case c.SecretKeyPrevious == "":
		return nil
	case c.PreviousKey() == nil:
		return bad("SECRET_KEY_PREVIOUS", "format", "must be %d bytes in base64: the HONGYAN_SECRET_KEY that was in use before", keyLen)
	case c.SecretKey == "":
		return bad("SECRET_KEY_PREVIOUS", "together", "needs HONGYAN_SECRET_KEY, the key that takes its place; keys that the embedded storage made are changed by hongyan rotate-key alone")
	default:
		return check(!bytes.Equal(c.PreviousKey(), c.Key()), "SECRET_KEY_PREVIOUS", "same", "is the same key as HONGYAN_SECRET_KEY; unset it, or give the key that was in use before")
	}
}

func (c Config) checkPublicURL() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
	return check(ok, "PUBLIC_URL", "format", "%q is not an address as in https://hongyan.example.com", c.PublicURL)
}

func oneOf[T ~string](name string, value T, allowed ...T) error {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return check(slices.Contains(allowed, value), name, "one_of", "%q is not one of %s", value, strings.Join(words, ", "))
}

func check(ok bool, name, rule, format string, args ...any) error {
	if ok {
		return nil
	}
	return bad(name, rule, format, args...)
}

func bad(name, rule, format string, args ...any) error {
	return fault.BadField(Prefix+name, rule, format, args...)
}
