package simulator

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"

	"hongyan/internal/fault"
)

// AccountType is the kind of an Official Account (platform.md 0.1).
type AccountType string

// The kinds.
const (
	Service      AccountType = "service"
	Subscription AccountType = "subscription"
)

// Mode is how pushes to a callback are protected (platform.md 2.2).
type Mode string

// The modes.
const (
	ModePlain      Mode = "plain"
	ModeCompatible Mode = "compatible"
	ModeSafe       Mode = "safe"
)

// Callback is where the platform pushes an account's messages and events. An empty URL
// pushes nothing.
type Callback struct {
	URL    string `json:"url"`
	Token  string `json:"token"`
	AESKey string `json:"aes_key"` // 43 letters; needed in compatible and safe mode
	Mode   Mode   `json:"mode"`    // "" is ModePlain
}

// Account is an Official Account on the simulated platform.
type Account struct {
	AppID      string      `json:"appid"`
	Secret     string      `json:"secret"`
	OriginalID string      `json:"original_id"` // gh_…; "" derives one
	Type       AccountType `json:"type"`        // "" is Service
	Verified   bool        `json:"verified"`
	Callback   Callback    `json:"callback"`
	// Agents are the human agents' accounts (test1@test) a message may be sent under.
	Agents []string `json:"agents,omitempty"`
	// Whitelist are the addresses and networks that calls may come from; none lets all in. It is not asked for calls of
	// a component, which has its own. The simulator's callers all have the address 127.0.0.1.
	Whitelist []string `json:"whitelist,omitempty"`
	// HostAway: the callback's host answers no ping of the platform.
	HostAway bool `json:"host_away,omitempty"`
	// HostUnknown: the callback's host has no address.
	HostUnknown bool `json:"host_unknown,omitempty"`
}

// account is an Account with what the platform remembers of it.
type account struct {
	cfg    atomic.Pointer[Account]
	use    [apiCount]usage
	clears windowCounter

	mu      sync.Mutex // guards what follows
	chains  [chainCount]chain
	refused map[string]bool // media ids
	fans    []*fan          // in order of creation

	// What each family of APIs keeps; see its file.
	users     usersState
	tags      tagsState
	blacklist blacklistState
	template  templateState
	notice    noticeState
	mass      massState
	draft     draftState
	qrcode    qrcodeState
	menu      menuState
	media     mediaState
	agent     agentState
	diagnosis diagnosisState
	oauth     oauthState
	jssdk     jssdkState
	datacube  datacubeState
	component componentState
}

func (a *account) config() *Account { return a.cfg.Load() }

// accountTable holds the accounts in order of creation.
type accountTable struct {
	mu   sync.RWMutex
	byID map[string]*account
	list []*account
}

func (t *accountTable) get(appID string) (*account, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a, ok := t.byID[appID]
	return a, ok
}

// AddAccount creates an account. It answers Invalid for a bad field and Conflict when the
// appid exists.
func (s *Simulator) AddAccount(cfg Account) error {
	cfg = withDefaults(s.seed, cfg)
	if err := cfg.validate(); err != nil {
		return err
	}
	a := &account{refused: map[string]bool{}}
	a.cfg.Store(&cfg)
	for i := range a.use {
		var l Limit
		if i < len(s.routes) {
			l = s.routes[i].limit
		}
		a.use[i].limit.Store(&l)
	}
	t := &s.accounts
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[cfg.AppID] != nil {
		return fault.New(fault.Conflict, "account %s exists", cfg.AppID)
	}
	t.byID[cfg.AppID] = a
	t.list = append(t.list, a)
	return nil
}

// Accounts lists the accounts in order of creation, with their secrets: they are invented.
func (s *Simulator) Accounts() []Account {
	t := &s.accounts
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]Account, len(t.list))
	for i, a := range t.list {
		out[i] = *a.config()
	}
	return out
}

// UpdateAccount replaces an account's settings; change must not touch the appid.
// It answers NotFound and Invalid.
func (s *Simulator) UpdateAccount(appID string, change func(*Account)) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	next := *a.config()
	change(&next)
	next = withDefaults(s.seed, next)
	if next.AppID != appID {
		return fault.BadField("appid", "fixed", "an appid cannot be changed")
	}
	if err := next.validate(); err != nil {
		return err
	}
	a.cfg.Store(&next)
	return nil
}

// SetCallback says where the account's pushes go. It answers NotFound and Invalid.
func (s *Simulator) SetCallback(appID string, cb Callback) error {
	return s.UpdateAccount(appID, func(a *Account) { a.Callback = cb })
}

// SetLimit bounds the calls of one API, named by its path ("/cgi-bin/message/custom/send").
// It answers NotFound for an unknown account or path.
func (s *Simulator) SetLimit(appID, path string, l Limit) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	which, ok := s.apiOf(path)
	if !ok {
		return fault.New(fault.NotFound, "the simulator has no API %q", path)
	}
	a.use[which].limit.Store(&l)
	return nil
}

// RefuseMedia makes the platform answer 40007 for a media id, as after its three days.
func (s *Simulator) RefuseMedia(appID, mediaID string) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[mediaID] = true
	return nil
}

func (s *Simulator) account(appID string) (*account, error) {
	if a, ok := s.accounts.get(appID); ok {
		return a, nil
	}
	return nil, fault.New(fault.NotFound, "no account %q", appID)
}

func withDefaults(seed uint64, cfg Account) Account {
	if cfg.Type == "" {
		cfg.Type = Service
	}
	if cfg.Callback.Mode == "" {
		cfg.Callback.Mode = ModePlain
	}
	if cfg.OriginalID == "" {
		id := make([]byte, 0, 15)
		id = append(id, "gh_"...)
		for h, i := mix(seed, hashText(cfg.AppID)), 0; i < 12; i, h = i+1, h>>4 {
			id = append(id, "0123456789abcdef"[h&15])
		}
		cfg.OriginalID = string(id)
	}
	return cfg
}

var (
	appIDShape  = regexp.MustCompile(`^wx[0-9a-zA-Z]{4,30}$`)
	tokenShape  = regexp.MustCompile(`^[0-9A-Za-z]{3,32}$`)
	aesKeyShape = regexp.MustCompile(`^[0-9A-Za-z]{43}$`)
)

// validate applies the form of the platform's settings page (platform.md 2.1).
func (a *Account) validate() error {
	switch {
	case !appIDShape.MatchString(a.AppID):
		return fault.BadField("appid", "shape", "an appid starts with wx")
	case a.Secret == "":
		return fault.BadField("secret", "required", "an account needs a secret")
	case a.Type != Service && a.Type != Subscription:
		return fault.BadField("type", "unknown", "must be service or subscription")
	}
	if err := checkWhitelist(a.Whitelist); err != nil || a.Callback.URL == "" {
		return err
	}
	return a.Callback.validate()
}

func (c *Callback) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fault.BadField("callback.url", "shape", "must be an http or https address")
	}
	if !tokenShape.MatchString(c.Token) {
		return fault.BadField("callback.token", "shape", "must be 3 to 32 letters or digits")
	}
	switch c.Mode {
	case ModePlain:
		return nil
	case ModeCompatible, ModeSafe:
	default:
		return fault.BadField("callback.mode", "unknown", "must be plain, compatible or safe")
	}
	if !aesKeyShape.MatchString(c.AESKey) {
		return fault.BadField("callback.aes_key", "shape", "must be 43 letters or digits")
	}
	if _, err := c.key(); err != nil {
		return fault.BadField("callback.aes_key", "shape", "must decode to 32 bytes")
	}
	return nil
}

// key is the AES key. The last letter of an EncodingAESKey may carry stray bits, so the
// decoding is not strict.
func (c *Callback) key() ([]byte, error) { return base64.StdEncoding.DecodeString(c.AESKey + "=") }
