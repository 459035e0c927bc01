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

// Connection is how an account is connected.
type Connection string

// The connections: 手动接入 by the account's own AppSecret, and 扫码接入 by a component that the owner authorised (platform.md 1.5).
const (
	ConnectionManual    Connection = "manual"
	ConnectionComponent Connection = "component"
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
	Sandbox    bool   // lives on the simulator
	BaseURL    string // "" is the platform's own
	// Secret and Callback are those of the manual connection. An account that moved to a component keeps what it had, unused.
	Secret     string     `json:"-"`
	Callback   Callback   `json:"-"`
	Connection Connection // "" of a new account is ConnectionManual
	// ComponentID and Component are set with ConnectionComponent only, and so are Permissions: the ids of the permission sets 权限集 that the
	// owner granted, ascending; none after a withdrawal.
	ComponentID int64
	Component   *Component
	Permissions []int
	Zone        string
	Spec        guard.PolicySpec
	Policy      *guard.Policy // Spec, compiled
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
	if a.Connection == ConnectionComponent {
		return wechat.Account{ID: a.ID, AppID: a.AppID, BaseURL: a.BaseURL, Component: a.Component.Platform()}
	}
	return wechat.Account{ID: a.ID, AppID: a.AppID, Secret: a.Secret, BaseURL: a.BaseURL}
}

// Pushes is what the account's pushes are signed and encrypted with, and the appid inside them: the component's where one connects the account
// (platform.md 1.5).
func (a *Account) Pushes() (appID string, c Callback) {
	if a.Component != nil {
		return a.Component.AppID, a.Component.Callback
	}
	return a.AppID, a.Callback
}

// validate checks everything about an account at once and compiles its policy.
func (a *Account) validate() error {
	var errs []error
	require := func(ok bool, field, rule, format string, args ...any) {
		if !ok {
			errs = append(errs, fault.BadField(field, rule, format, args...))
		}
	}
	require(a.AppID != "" && len(a.AppID) <= 32, "appid", "required", "give the account's AppID, such as wx0123456789abcdef")
	require(a.OriginalID != "", "original_id", "required", "give the account's original id, such as gh_0123456789ab")
	require(a.Name != "", "name", "required", "give the account a name")
	require(a.Kind == KindService || a.Kind == KindSubscription, "kind", "one_of", `the kind is "service" or "subscription"`)
	require(a.RatePerSecond > 0, "rate_per_second", "range", "the rate is at least 1 call per second")
	require(a.InFlight > 1, "in_flight", "range", "at least 2 calls may be in flight: one for each lane")
	switch a.Connection {
	case ConnectionManual:
		require(a.Secret != "", "secret", "required", "give the account's AppSecret")
		errs = append(errs, a.Callback.validate())
	case ConnectionComponent:
		require(a.ComponentID > 0, "component_id", "required", "name the component that the account authorised")
	default:
		require(false, "connection", "one_of", `the connection is "manual" or "component"`)
	}
	policy, err := a.Spec.Compile(a.Zone)
	if err != nil {
		errs = append(errs, err)
	}
	a.Policy = policy
	return errors.Join(errs...)
}

func (c Callback) validate() error {
	var token error
	if len(c.Token) < 3 || len(c.Token) > 32 {
		token = fault.BadField("callback.token", "length", "the callback token has 3 to 32 characters")
	}
	return errors.Join(token, c.validateKeys())
}

func (c Callback) validateKeys() error {
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
	Connection     string
	ComponentID    int64
	Permissions    string
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
		Connection: string(a.Connection), ComponentID: a.ComponentID, Permissions: formatPermissions(a.Permissions),
		RatePerSecond: a.RatePerSecond, InFlight: a.InFlight, Stopped: a.Stopped, StoppedReason: a.StoppedReason,
		Revision: a.Revision, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	if r.Secret, err = v.Seal([]byte(a.Secret)); err != nil {
		return nil, err
	}
	err = a.Callback.seal(v, &r.CallbackToken, &r.AESKey, &r.PreviousAESKey)
	return r, err
}

// seal writes the callback's secrets as tables keep them.
func (c Callback) seal(v *Vault, token, key, previous *[]byte) (err error) {
	keys := append(append([]string{}, c.AESKeys...), "", "")
	for _, s := range []struct {
		into   *[]byte
		secret string
	}{{token, c.Token}, {key, keys[0]}, {previous, keys[1]}} {
		if *s.into, err = v.Seal([]byte(s.secret)); err != nil {
			return err
		}
	}
	return nil
}

// openCallback is the inverse of Callback.seal.
func openCallback(v *Vault, mode Mode, token, key, previous []byte) (Callback, error) {
	var plain [3]string
	for i, sealed := range [][]byte{token, key, previous} {
		secret, err := v.Open(sealed)
		if err != nil {
			return Callback{}, err
		}
		plain[i] = string(secret)
	}
	c := Callback{Mode: mode, Token: plain[0]}
	for _, key := range plain[1:] {
		if key != "" {
			c.AESKeys = append(c.AESKeys, key)
		}
	}
	return c, nil
}

// open is the inverse of seal. components are all there are, by id.
func (r *row) open(v *Vault, components map[int64]*Component) (*Account, error) {
	a := &Account{
		ID: r.ID, AppID: r.Appid, OriginalID: r.OriginalID, Name: r.Name, Kind: Kind(r.Kind), Verified: r.Verified, Sandbox: r.Sandbox,
		BaseURL: r.BaseURL, Zone: r.TimeZone, RatePerSecond: r.RatePerSecond, InFlight: r.InFlight,
		Connection: Connection(r.Connection), ComponentID: r.ComponentID, Component: components[r.ComponentID],
		Stopped: r.Stopped, StoppedReason: r.StoppedReason, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if a.Connection == ConnectionComponent && a.Component == nil {
		return nil, fault.New(fault.Internal, "%s: there is no component %d, by which it is connected", a, r.ComponentID)
	}
	secret, err := v.Open(r.Secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	a.Secret = string(secret)
	if a.Callback, err = openCallback(v, Mode(r.CallbackMode), r.CallbackToken, r.AESKey, r.PreviousAESKey); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	if a.Permissions, err = parsePermissions(r.Permissions); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	if a.Spec, err = guard.ParsePolicy([]byte(r.Policy)); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	if a.Policy, err = a.Spec.Compile(a.Zone); err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return a, nil
}
