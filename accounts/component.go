package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Component is a third-party platform 第三方平台 that this installation runs: the owners of accounts authorise it with a scan (platform.md 1.5). It holds
// its secrets in the clear: never log it whole.
type Component struct { //nolint:recvcheck // String and its kin take values, so that a copied component keeps its secrets too
	ID      int64
	AppID   string
	Name    string // for members; the AppID where nobody gave one
	BaseURL string // "" is the platform's own
	Secret  string `json:"-"`
	// Callback is that of the authorisation events, and of the messages of all accounts that authorised the component. Its mode is always ModeSafe.
	Callback  Callback `json:"-"`
	Revision  int64
	CreatedAt int64
	UpdatedAt int64

	// platform acts for accounts; authorising is for taking authorisations only: its store takes refresh tokens of accounts that withdrew before.
	platform, authorising *wechat.Component
}

// String names the component without its secrets.
func (c Component) String() string { return fmt.Sprintf("component %d (%s)", c.ID, c.AppID) }

// GoString keeps secrets out of %#v.
func (c Component) GoString() string { return c.String() }

// LogValue keeps secrets out of logs.
func (c Component) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Platform is what calls of the component, and in the name of its accounts, need; nil for a component that did not come from a Store.
func (c *Component) Platform() *wechat.Component {
	if c == nil {
		return nil
	}
	return c.platform
}

// maxComponentName is how many characters a component's name may have.
const maxComponentName = 64

// validate checks everything about a component at once.
func (c *Component) validate() error {
	var errs []error
	if c.AppID == "" || len(c.AppID) > 32 {
		errs = append(errs, fault.BadField("appid", "required", "give the component's AppID, such as wx0123456789abcdef"))
	}
	if len([]rune(c.Name)) > maxComponentName {
		errs = append(errs, fault.BadField("name", "length", "a component's name has at most %d characters", maxComponentName))
	}
	if c.Secret == "" {
		errs = append(errs, fault.BadField("secret", "required", "give the component's AppSecret"))
	}
	c.Callback.Mode = ModeSafe
	return errors.Join(append(errs, c.Callback.validate())...)
}

// connect gives the component its stores.
func (c *Component) connect(db *database.DB, clk clock.Clock, vault *Vault) {
	platform := func(authorising bool) *wechat.Component {
		store := &ComponentStore{db: db, clock: clk, sealer: vault, id: c.ID, tokens: componentTokens(db, vault), authorising: authorising}
		return &wechat.Component{AppID: c.AppID, Secret: c.Secret, BaseURL: c.BaseURL, Store: store}
	}
	c.platform, c.authorising = platform(false), platform(true)
}

// componentRow is a component as the table keeps it, without its ticket: see ComponentStore.
type componentRow struct {
	ID             int64 `gorm:"primaryKey"`
	Appid          string
	Name           string
	BaseURL        string
	Secret         []byte
	CallbackToken  []byte
	AESKey         []byte `gorm:"column:aes_key"`
	PreviousAESKey []byte `gorm:"column:previous_aes_key"`
	Ticket         []byte `gorm:"<-:create"`
	Revision       int64
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
}

// TableName implements gorm's Tabler.
func (*componentRow) TableName() string { return "components" }

func (c *Component) seal(v *Vault) (*componentRow, error) {
	r := &componentRow{
		ID: c.ID, Appid: c.AppID, Name: c.Name, BaseURL: c.BaseURL, Ticket: []byte{}, Revision: c.Revision, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	var err error
	if r.Secret, err = v.Seal([]byte(c.Secret)); err != nil {
		return nil, err
	}
	err = c.Callback.seal(v, &r.CallbackToken, &r.AESKey, &r.PreviousAESKey)
	return r, err
}

func (r *componentRow) open(v *Vault) (*Component, error) {
	c := &Component{ID: r.ID, AppID: r.Appid, Name: cmp.Or(r.Name, r.Appid), BaseURL: r.BaseURL, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	secret, err := v.Open(r.Secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	c.Secret = string(secret)
	if c.Callback, err = openCallback(v, ModeSafe, r.CallbackToken, r.AESKey, r.PreviousAESKey); err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	return c, nil
}
