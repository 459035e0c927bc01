package fans

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Limits of events.
const (
	MaxEventName = 64
	MaxEventKey  = 128
	MaxEventData = 4096 // bytes
	// eventAhead is how far the clock of a program that reports events may be ahead of ours, and eventBehind how late it may be.
	eventAhead  = 5 * time.Minute
	eventBehind = 30 * 24 * time.Hour
)

// Event is something that a program reports of a fan: an order, a payment, a visit.
type Event struct {
	// Key is what the program calls this very event, at most MaxEventKey bytes: reported again, it is the same event.
	Key    string
	FanID  int64  // the fan, or
	OpenID string // the fan's openid
	Name   string // what happened: 1 to MaxEventName of a-z, 0-9 and _ . : -, beginning with a letter
	Data   []byte // a JSON object with more about it, at most MaxEventData bytes; may be empty
	// At is when it happened; zero means now. At most five minutes ahead and 30 days ago.
	At time.Time
}

// EventRow is an event that has been taken.
type EventRow struct {
	ID         int64 // in the inbox
	FanID      int64
	EventAt    int64 // unix ms
	ReceivedAt int64
	Repeated   bool // it had been reported before
}

// Events takes what programs report of fans. It is safe for concurrent use.
type Events struct {
	db    *database.DB
	clock clock.Clock
	fans  *Store
}

// NewEvents returns the door for events of the fans of s.
func NewEvents(s *Store) *Events { return &Events{db: s.db, clock: s.clock, fans: s} }

// Put stores an event, if it is not there yet, and returns after the commit; within a second it is acted upon. The same key with the same content is the same
// event, whenever it comes, as long as the account's policy keeps pushes. Errors: Invalid with the field; NotFound for the fan; Conflict with the field
// idempotency_key when the key was used for another event.
func (e *Events) Put(ctx context.Context, accountID int64, in Event) (*EventRow, error) {
	now := e.clock.Now()
	own, err := in.check(now)
	if err != nil {
		return nil, err
	}
	var out *EventRow
	err = e.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		out, err = e.put(tx, now, accountID, in, own)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (e *Events) put(tx *gorm.DB, now time.Time, accountID int64, in Event, own Own) (*EventRow, error) {
	fan, err := e.fan(tx, accountID, &in)
	if err != nil {
		return nil, err
	}
	row := ownRow{accountID: accountID, origin: OriginAPI, key: hashKey(in.Key), openID: fan.OpenID, eventAt: now.UnixMilli(), own: own}
	if own.At != 0 {
		row.eventAt = min(own.At, now.UnixMilli())
	}
	stored, err := putOwn(tx, e.db.Dialect(), now.UnixMilli(), []ownRow{row})
	if err != nil {
		return nil, err
	}
	found, err := scanInbox(tx, "SELECT "+inboxColumns+" FROM inbox WHERE account_id = ? AND dedupe_key = ?", accountID, ownKey+string(OriginAPI)+":"+row.key)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("event %s was not stored", row.key)
	}
	body, err := json.Marshal(&own)
	if err != nil {
		return nil, fmt.Errorf("store an event: %w", err)
	}
	if found[0].OpenID != fan.OpenID || !bytes.Equal(found[0].Body, body) {
		return nil, fault.At("idempotency_key", "reused", fault.New(fault.Conflict, "the key was used for another event; give each event a key of its own"))
	}
	return &EventRow{ID: found[0].ID, FanID: fan.ID, EventAt: found[0].EventAt, ReceivedAt: found[0].ReceivedAt, Repeated: stored == 0}, nil
}

// fan finds whom the event is about.
func (e *Events) fan(tx *gorm.DB, accountID int64, in *Event) (*Fan, error) {
	if in.OpenID != "" {
		found, err := e.fans.byOpenIDs(tx, accountID, []string{in.OpenID})
		if err != nil {
			return nil, err
		}
		if f := found[in.OpenID]; f != nil && !f.Erased() {
			return f, nil
		}
		return nil, fault.New(fault.NotFound, "this account has no fan with the openid %q", in.OpenID)
	}
	found, err := e.fans.ByIDs(tx, accountID, []int64{in.FanID})
	if err != nil {
		return nil, err
	}
	switch f := found[in.FanID]; {
	case f == nil:
		return nil, fault.New(fault.NotFound, "this account has no fan %d", in.FanID)
	case f.Erased():
		return nil, fault.New(fault.NotFound, "fan %d was erased", in.FanID)
	default:
		return f, nil
	}
}

// check checks an event and returns what the inbox keeps of it.
func (in *Event) check(now time.Time) (Own, error) {
	own := Own{Kind: KindEvent, Name: in.Name}
	switch {
	case in.Key == "" || len(in.Key) > MaxEventKey || !printable(in.Key):
		return own, fault.BadField("idempotency_key", "key", "give the event a key of its own, 1 to %d printable ASCII characters", MaxEventKey)
	case (in.FanID == 0) == (in.OpenID == ""):
		return own, fault.BadField("fan_id", "one_of", "say whom the event is about: either by fan_id or by openid")
	case !ValidEventName(in.Name):
		return own, fault.BadField("event", "event_name", "an event's name has 1 to %d small letters, digits and _ . : -, and begins with a letter", MaxEventName)
	case len(in.Data) > MaxEventData:
		return own, fault.BadField("data", "length", "the data of an event have at most %d bytes, not %d", MaxEventData, len(in.Data))
	}
	if len(bytes.TrimSpace(in.Data)) > 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, in.Data); err != nil || compact.Bytes()[0] != '{' || !utf8.Valid(in.Data) {
			return own, fault.BadField("data", "json_object", "the data of an event are a JSON object")
		}
		own.Data = compact.Bytes()
	}
	if !in.At.IsZero() {
		if in.At.After(now.Add(eventAhead)) || in.At.Before(now.Add(-eventBehind)) {
			return own, fault.BadField("at", "range", "an event happened at most 30 days ago, and not in the future")
		}
		own.At = in.At.UnixMilli()
	}
	return own, nil
}

// ValidEventName reports whether an event may have this name.
func ValidEventName(name string) bool {
	if name == "" || len(name) > MaxEventName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '.', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// hashKey makes a program's key fit for the inbox.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
