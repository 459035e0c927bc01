package accounts

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Codes of the platform that decide what becomes of an authorisation (platform.md 1.5).
const (
	codeNotAuthorised = 61003
	codeAuthInvalid   = 61009
	codeAuthExpired   = 61010
)

const (
	// exchangeEvery is the pause before the second try to exchange a code; it doubles with each try up to exchangeMost.
	exchangeEvery = time.Minute
	exchangeMost  = time.Hour
	// exchangeTries is after how many tries, in about a day, a code is given up: its owner has to scan again.
	exchangeTries = 24
	// pageSpare is what is left for the way back from the authorisation page that was opened last thing: the life of an authorisation code.
	pageSpare = 10 * time.Minute
)

// Authoriser takes and ends authorisations: owners of accounts let a component act for them with a scan 扫码接入, change what it may do, and withdraw
// (platform.md 1.5). What the platform tells it may be repeated and come in any order: the times of the events decide.
type Authoriser struct {
	o     AuthoriserOptions
	store *Store
}

// AuthoriserOptions are what an Authoriser is made of.
type AuthoriserOptions struct {
	Accounts *Store
	Client   *wechat.Client
	Log      *slog.Logger
	// Withdrawn is called, outside of transactions, after the owner of an account withdrew: it sees to it that the fans' personal data are erased, as the
	// platform demands. While it fails it is called again by RunOnce, so it may be called more than once for one withdrawal.
	Withdrawn func(ctx context.Context, accountID int64) error
}

// NewAuthoriser returns an Authoriser.
func NewAuthoriser(o AuthoriserOptions) *Authoriser { return &Authoriser{o: o, store: o.Accounts} }

// Page says what the owner of an account is shown.
type Page struct {
	// Redirect is where the browser goes afterwards: the route of this installation that ends in /authorised. Its host must be the component's
	// registered domain.
	Redirect string
	// Phone is for WeChat's own browser; otherwise the page shows a code to be scanned.
	Phone bool
	// AccountAppID is the only account that may be chosen, "" for any.
	AccountAppID string
}

// Address makes the address of the authorisation page. It can be used once, until the time given. Errors: NotFound without such a component, Invalid, and
// those of the platform, among them *wechat.TicketError.
func (z *Authoriser) Address(ctx context.Context, componentID int64, in Page) (address string, until time.Time, err error) {
	comp, err := z.store.FindComponent(ctx, componentID)
	if err != nil {
		return "", time.Time{}, err
	}
	back, err := url.Parse(in.Redirect)
	if err != nil {
		return "", time.Time{}, fault.BadField("redirect", "shape", "give the address of the page that this installation shows afterwards")
	}
	pre, err := z.o.Client.CreatePreAuthCode(ctx, comp.Platform())
	if err != nil {
		return "", time.Time{}, fmt.Errorf("ask for a pre-auth code: %w", err)
	}
	state, err := z.state(comp, pre.ExpiresAt.Add(pageSpare))
	if err != nil {
		return "", time.Time{}, err
	}
	query := back.Query()
	query.Set("state", state)
	back.RawQuery = query.Encode()
	page := wechat.ComponentPage{
		Component: comp.AppID, PreAuthCode: pre.Code, RedirectURL: back.String(), AccountAppID: in.AccountAppID, BaseURL: comp.BaseURL,
	}
	if in.Phone {
		address, err = page.Phone()
	} else {
		address, err = page.Scan()
	}
	return address, pre.ExpiresAt, err
}

const statePrefix = "authorise "

// state ties the way back from the page to this installation: nobody else's links make it call the platform.
func (z *Authoriser) state(comp *Component, until time.Time) (string, error) {
	sealed, err := z.store.vault.Seal([]byte(statePrefix + strconv.FormatInt(comp.ID, 10) + " " + strconv.FormatInt(until.UnixMilli(), 10)))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// CheckState tells whether a browser comes back from a page that Address led to, in time. Errors: Forbidden.
func (z *Authoriser) CheckState(comp *Component, state string) error {
	refused := fault.New(fault.Forbidden, "this link is not from here, or it is too old; start anew")
	sealed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		return refused
	}
	plain, err := z.store.vault.Open(sealed)
	if err != nil {
		return refused
	}
	whose, until, found := strings.Cut(strings.TrimPrefix(string(plain), statePrefix), " ")
	end, err := strconv.ParseInt(until, 10, 64)
	if !found || err != nil || !strings.HasPrefix(string(plain), statePrefix) || whose != strconv.FormatInt(comp.ID, 10) || z.store.clock.Now().UnixMilli() >= end {
		return refused
	}
	return nil
}

// Granted is an authorized or updateauthorized event.
type Granted struct {
	AppID   string // the account's
	Code    string
	At      time.Time // when the platform made the event
	Updated bool      // only the permission sets changed
}

// Note stores what an event brings, so that it can be acknowledged; Finish then does what it asks for. An event that was overtaken by a withdrawal or by a
// newer code, and one that was acted upon, change nothing. Errors: Invalid; Unavailable when it could not be stored.
func (z *Authoriser) Note(ctx context.Context, comp *Component, g Granted) error {
	sealed, err := z.store.vault.Seal([]byte(g.Code))
	if err != nil {
		return err
	}
	now, at, hash := z.store.clock.Now().UnixMilli(), clock.Millis(g.At), hashCode(g.Code)
	err = z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		a, err := lockAuthorisation(tx, z.store.db.Dialect(), comp.ID, g.AppID, now)
		switch {
		case err != nil:
			return err
		case at < a.WithdrawnAt:
			return nil
		case a.CodeHash == hash && a.DueAt == 0 && a.State == stateAuthorised:
			if !g.Updated {
				a.AuthorisedAt, a.CodeAt = at, at // the browser brought the code first, and our clock's time with it
			}
		case a.CodeHash == hash || at < a.CodeAt:
			return nil
		default:
			a.Code, a.CodeHash, a.CodeAt, a.DueAt, a.Tries = sealed, hash, at, now, 0
		}
		return a.save(tx, now)
	})
	if fault.Is(err, fault.Invalid) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "store an authorisation of %s", g.AppID)
}

// Finish does what a noted event asks for, if that is still to be done: it exchanges the code, reads the account, and connects it. What fails for a
// while is done later by RunOnce. Errors: those of the platform; Conflict when the owner has withdrawn; Invalid when the platform
// tells something of the account that cannot be stored.
func (z *Authoriser) Finish(ctx context.Context, comp *Component, appID string) error {
	a, err := z.claim(ctx, comp, appID)
	if err != nil || a == nil {
		return err
	}
	code, err := openText(z.store.vault, a.Code)
	if err != nil {
		return err
	}
	_, err = z.o.Client.QueryAuth(ctx, comp.authorising, code)
	if err != nil && !usedUp(err) {
		return z.failed(ctx, a, err)
	}
	// A code that is used up, by the browser or before a crash, is no loss: the platform tells whether the account is authorised, and its list of accounts
	// has the refresh token.
	_, err = z.connect(ctx, comp, exchanged{appID: appID, hash: a.CodeHash, at: a.CodeAt})
	return z.failed(ctx, a, err)
}

// claim takes a noted code for as long as trying takes, nil when there is none or somebody else has it.
func (z *Authoriser) claim(ctx context.Context, comp *Component, appID string) (*authorisation, error) {
	var mine *authorisation
	now := z.store.clock.Now()
	err := z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		mine = nil
		a, err := findAuthorisation(tx, comp.ID, appID)
		if err != nil || a == nil || a.DueAt == 0 || a.DueAt > now.UnixMilli() {
			return err
		}
		next := now.Add(min(exchangeEvery<<min(a.Tries, 10), exchangeMost)).UnixMilli()
		res := tx.Exec("UPDATE authorisations SET due_at = ?, tries = tries + 1 WHERE id = ? AND due_at = ? AND code_hash = ?", next, a.ID, a.DueAt, a.CodeHash)
		if res.Error == nil && res.RowsAffected > 0 {
			a.Tries++
			mine = a
		}
		return res.Error
	})
	return mine, fault.Wrap(fault.Unavailable, err, "take up an authorisation of %s", appID)
}

// failed notes when a failure is final. It returns err.
func (z *Authoriser) failed(ctx context.Context, a *authorisation, err error) error {
	final := fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) || platformCode(err) == codeNotAuthorised || a.Tries >= exchangeTries
	if err == nil || !final {
		return err
	}
	gone := z.store.db.Tx(ctx, func(tx *gorm.DB) error {
		// No row changes when a newer code has come: that one is tried.
		return tx.Exec("UPDATE authorisations SET code = ?, due_at = 0, tries = 0 WHERE id = ? AND code_hash = ?", []byte{}, a.ID, a.CodeHash).Error
	})
	return errors.Join(err, gone)
}

// TakeCode takes the code that the authorisation page's redirect brought, and returns the account that it connects. The same code twice, or after its event,
// is harmless. Errors: Conflict when the code is unknown, too old, or used up by somebody else, or the owner has withdrawn; those of the platform.
func (z *Authoriser) TakeCode(ctx context.Context, comp *Component, code string) (*Account, error) {
	hash := hashCode(code)
	known, err := z.byCode(ctx, comp, hash)
	switch {
	case err != nil:
		return nil, err
	case known != nil && known.State == stateAuthorised && known.DueAt == 0 && known.AccountID > 0:
		return z.store.read(ctx, known.AccountID)
	}
	// Whole seconds, as the event's: it replaces this time when it comes.
	in := exchanged{hash: hash, at: z.store.clock.Now().Truncate(time.Second).UnixMilli()}
	grant, err := z.o.Client.QueryAuth(ctx, comp.authorising, code)
	switch {
	case err == nil:
		in.appID = grant.AppID
	case !usedUp(err):
		return nil, err
	case known == nil:
		return nil, fault.Wrap(fault.Conflict, err, "the authorisation code is used up or too old; scan again")
	default:
		in.appID = known.Appid
	}
	if known != nil {
		in.at = cmp.Or(known.CodeAt, in.at)
	}
	return z.connect(ctx, comp, in)
}

func (z *Authoriser) byCode(ctx context.Context, comp *Component, hash string) (*authorisation, error) {
	var found []authorisation
	err := z.store.db.Read(ctx).Raw(readAuthorisation+"component_id = ? AND code_hash = ?", comp.ID, hash).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return nil, fault.Wrap(fault.Unavailable, err, "look for an authorisation code")
	}
	return &found[0], nil
}

// usedUp reports whether the platform does not take a code, or not any more.
func usedUp(err error) bool {
	code := platformCode(err)
	return code == codeAuthInvalid || code == codeAuthExpired
}

// platformCode is the errcode in err, 0 without one.
func platformCode(err error) int {
	if e, ok := errors.AsType[*wechat.Error](err); ok {
		return e.Code
	}
	return 0
}
