package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Kind is the platform's type of account.
type Kind string

// The kinds: 服务号 and 订阅号.
const (
	KindService      Kind = "service"
	KindSubscription Kind = "subscription"
)

// Defaults of a new account. The rate is low on purpose: nobody outside knows where the platform's limit is (design 5.8).
const (
	DefaultRate     = 50
	DefaultInFlight = 20
	DefaultZone     = "Asia/Shanghai"
)

// Mode is how pushes of the platform are encrypted: 明文, 兼容 or 安全模式.
type Mode string

// The modes.
const (
	ModePlain      Mode = "plain"
	ModeCompatible Mode = "compatible"
	ModeSafe       Mode = "safe"
)

// Callback is what the platform's console says about pushes.
type Callback struct {
	Mode    Mode
	Token   string   `json:"-"`
	AESKeys []string `json:"-"` // EncodingAESKeys: the current one, then the previous one while rotating
}

// Account is one Official Account with its secrets in the clear: never log it whole.
type Account struct { //nolint:recvcheck // String and its kin take values, so that a copied account keeps its secrets too
	ID         int64
	AppID      string
	OriginalID string // gh_…: what pushes are addressed to
	Name       string
	Kind       Kind
	Verified   bool
	Sandbox    bool     // lives on the simulator
	BaseURL    string   // "" is the platform's own
	Secret     string   `json:"-"`
	Callback   Callback `json:"-"`
	Zone       string
	Spec       guard.PolicySpec
	Policy     *guard.Policy // Spec, compiled
	// RatePerSecond and InFlight bound the calls of all workers together.
	RatePerSecond int
	InFlight      int
	Stopped       bool
	StoppedReason string
	Revision      int64
	CreatedAt     int64
	UpdatedAt     int64
}

// String names the account without its secrets.
func (a Account) String() string { return fmt.Sprintf("account %d (%s)", a.ID, a.AppID) }

// GoString keeps secrets out of %#v.
func (a Account) GoString() string { return a.String() }

// LogValue keeps secrets out of logs.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String names the mode without the secrets.
func (c Callback) String() string { return "callback (" + string(c.Mode) + ")" }

// GoString keeps secrets out of %#v.
func (c Callback) GoString() string { return c.String() }

// LogValue keeps secrets out of logs.
func (c Callback) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Platform is what a call in the account's name needs.
func (a *Account) Platform() wechat.Account {
	return wechat.Account{ID: a.ID, AppID: a.AppID, Secret: a.Secret, BaseURL: a.BaseURL}
}

// MaySendKefu reports whether the account's type has the right to customer-service messages (platform.md 0.2).
func (a *Account) MaySendKefu() bool { return a.Verified }

// validate checks everything about an account at once and compiles its policy.
func (a *Account) validate() error {
	var errs []error
	require := func(ok bool, field, rule, message string) {
		if !ok {
			errs = append(errs, fault.BadField(field, rule, "%s", message))
		}
	}
	require(a.AppID != "" && len(a.AppID) <= 32, "appid", "required", "give the account's AppID, such as wx0123456789abcdef")
	require(a.OriginalID != "", "original_id", "required", "give the account's original id, such as gh_0123456789ab")
	require(a.Name != "", "name", "required", "give the account a name")
	require(a.Secret != "", "secret", "required", "give the account's AppSecret")
	require(a.Kind == KindService || a.Kind == KindSubscription, "kind", "one_of", `the kind is "service" or "subscription"`)
	require(a.RatePerSecond > 0, "rate_per_second", "range", "the rate is at least 1 call per second")
	require(a.InFlight > 1, "in_flight", "range", "at least 2 calls may be in flight: one for each lane")
	require(len(a.Callback.Token) >= 3 && len(a.Callback.Token) <= 32, "callback.token", "length", "the callback token has 3 to 32 characters")
	errs = append(errs, a.Callback.validate())
	policy, err := a.Spec.Compile(a.Zone)
	if err != nil {
		errs = append(errs, err)
	}
	a.Policy = policy
	return errors.Join(errs...)
}

func (c Callback) validate() error {
	keys := 0
	switch c.Mode {
	case ModePlain:
	case ModeCompatible, ModeSafe:
		keys = 1
	default:
		return fault.BadField("callback.mode", "one_of", `the mode is "plain", "compatible" or "safe"`)
	}
	if len(c.AESKeys) < keys || len(c.AESKeys) > 2 {
		return fault.BadField("callback.aes_keys", "count", "give the EncodingAESKey, and the previous one while you change it")
	}
	for i, key := range c.AESKeys {
		if len(key) != 43 {
			return fault.BadField(fmt.Sprintf("callback.aes_keys[%d]", i), "length", "an EncodingAESKey has 43 characters, not %d", len(key))
		}
	}
	return nil
}

// row is an account as the table keeps it.
type row struct {
	ID             int64 `gorm:"primaryKey"`
	Appid          string
	OriginalID     string
	Name           string
	Kind           string
	Verified       bool
	Sandbox        bool
	BaseURL        string
	Secret         []byte
	CallbackMode   string
	CallbackToken  []byte
	AESKey         []byte `gorm:"column:aes_key"`
	PreviousAESKey []byte `gorm:"column:previous_aes_key"`
	TimeZone       string
	Policy         string
	RatePerSecond  int
	InFlight       int
	Stopped        bool
	StoppedReason  string
	Revision       int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (*row) TableName() string { return "accounts" }

func (a *Account) seal(v *Vault) (*row, error) {
	policy, err := json.Marshal(a.Spec)
	if err != nil {
		return nil, fmt.Errorf("store a policy: %w", err)
	}
	r := &row{
		ID: a.ID, Appid: a.AppID, OriginalID: a.OriginalID, Name: a.Name, Kind: string(a.Kind), Verified: a.Verified, Sandbox: a.Sandbox,
		BaseURL: a.BaseURL, CallbackMode: string(a.Callback.Mode), TimeZone: a.Zone, Policy: string(policy),
		RatePerSecond: a.RatePerSecond, InFlight: a.InFlight, Stopped: a.Stopped, StoppedReason: a.StoppedReason,
		Revision: a.Revision, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	keys := append(append([]string{}, a.Callback.AESKeys...), "", "")
	for _, s := range []struct {
		into   *[]byte
		secret string
	}{{&r.Secret, a.Secret}, {&r.CallbackToken, a.Callback.Token}, {&r.AESKey, keys[0]}, {&r.PreviousAESKey, keys[1]}} {
		if *s.into, err = v.Seal([]byte(s.secret)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *row) open(v *Vault) (*Account, error) {
	a := &Account{
		ID: r.ID, AppID: r.Appid, OriginalID: r.OriginalID, Name: r.Name, Kind: Kind(r.Kind), Verified: r.Verified, Sandbox: r.Sandbox,
		BaseURL: r.BaseURL, Zone: r.TimeZone, RatePerSecond: r.RatePerSecond, InFlight: r.InFlight,
		Stopped: r.Stopped, StoppedReason: r.StoppedReason, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	var plain [4]string
	for i, sealed := range [][]byte{r.Secret, r.CallbackToken, r.AESKey, r.PreviousAESKey} {
		secret, err := v.Open(sealed)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a, err)
		}
		plain[i] = string(secret)
	}
	a.Secret = plain[0]
	a.Callback = Callback{Mode: Mode(r.CallbackMode), Token: plain[1]}
	for _, key := range plain[2:] {
		if key != "" {
			a.Callback.AESKeys = append(a.Callback.AESKeys, key)
		}
	}
	var err error
	if a.Spec, err = guard.ParsePolicy([]byte(r.Policy)); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	if a.Policy, err = a.Spec.Compile(a.Zone); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return a, nil
}
