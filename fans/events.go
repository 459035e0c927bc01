package fans

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Origin says where a row of the inbox comes from. The names are stored.
type Origin string

// The origins. What does not come from the platform is an own event: something that we were told of a fan, or found out. Own events go the way of pushes, so
// that acting upon the inbox from its beginning comes to the same end.
const (
	OriginPlatform Origin = "platform" // a push
	OriginAPI      Origin = "api"      // a program reported an event of the fan
	OriginTag      Origin = "tag"      // the fan got a tag
	OriginSilence  Origin = "silence"  // the fan has done nothing for a while, or their window is about to close
	OriginLink     Origin = "link"     // the fan opened a tracked link in a message
)

// The kinds of own event. They are also the kinds of the interactions that are recorded of them. No push has such a kind: messages and events of the
// platform keep their own names.
const (
	KindEvent   = "event"
	KindTagged  = "tagged"
	KindSilent  = "silent"
	KindClosing = "closing"
	KindLinkTap = "link_tap"
)

// Own is what an own event says.
type Own struct {
	Kind    string `json:"kind"`
	Name    string `json:"name,omitempty"`    // of an API event
	TagID   int64  `json:"tag_id,omitempty"`  // that the fan got
	Hours   int    `json:"hours,omitempty"`   // of silence
	Minutes int    `json:"minutes,omitempty"` // before the window closes
	// LinkID, DeliveryID and URL are of a tap on a tracked link: where it stood and where it led.
	LinkID     int64  `json:"link_id,omitempty"`
	DeliveryID int64  `json:"delivery_id,omitempty"`
	URL        string `json:"url,omitempty"`

	At   int64           `json:"at,omitempty"`   // when an API event happened, as it was reported; 0: not said
	Data json.RawMessage `json:"data,omitempty"` // of an API event
}

// detail is what an interaction keeps of the event.
func (o *Own) detail() string {
	switch o.Kind {
	case KindTagged:
		return strconv.FormatInt(o.TagID, 10)
	case KindSilent:
		return strconv.Itoa(o.Hours)
	case KindClosing:
		return strconv.Itoa(o.Minutes)
	case KindLinkTap:
		return o.URL
	}
	return o.Name
}

// ReadOwn reads the body of an own event, strictly: only what its origin can have written. Errors: Invalid.
func ReadOwn(r *InboxRow) (*Act, error) {
	var o Own
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.DisallowUnknownFields()
	err := dec.Decode(&o)
	if err == nil {
		if _, after := dec.Token(); after != io.EOF {
			err = fault.New(fault.Invalid, "something follows the end")
		}
	}
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "event %d cannot be read", r.ID)
	case !o.fits(r.Origin):
		return nil, fault.New(fault.Invalid, "event %d is none that can come from %s", r.ID, string(r.Origin))
	}
	return &Act{InboxID: r.ID, OpenID: r.OpenID, Kind: o.Kind, Detail: o.detail(), EventAt: r.EventAt, Own: &o}, nil
}

func (o *Own) fits(origin Origin) bool {
	switch origin {
	case OriginAPI:
		return o.Kind == KindEvent && o.Name != ""
	case OriginTag:
		return o.Kind == KindTagged && o.TagID > 0
	case OriginSilence:
		return o.Kind == KindSilent && o.Hours > 0 || o.Kind == KindClosing && o.Minutes > 0
	case OriginLink:
		return o.Kind == KindLinkTap && o.LinkID > 0 && o.DeliveryID > 0 && o.URL != ""
	case OriginPlatform:
	}
	return false
}

// ownKey begins the dedupe keys of own events; those of pushes sort before it.
const ownKey = "own:"

// ownRow is an own event on its way into the inbox.
type ownRow struct {
	accountID int64
	origin    Origin
	key       string // what the event is, within its origin: the same event has the same key
	openID    string
	eventAt   int64
	own       Own
}

// putOwn stores own events, once each. Nobody waits for a passive reply to them. It returns how many were new.
func putOwn(tx *gorm.DB, dialect database.Dialect, now int64, rows []ownRow) (stored int64, err error) {
	for chunk := range slices.Chunk(rows, database.ChunkSize) {
		args := make([]any, 0, 9*len(chunk))
		for i := range chunk {
			r := &chunk[i]
			body, err := json.Marshal(&r.own)
			if err != nil {
				return 0, fmt.Errorf("store events: %w", err)
			}
			args = append(args, r.accountID, string(r.origin), ownKey+string(r.origin)+":"+r.key, r.openID, body, r.eventAt, now, now, ReplyClosed)
		}
		res := tx.Exec(dialect.InsertIgnore()+" inbox (account_id, origin, dedupe_key, openid, body, event_at, received_at, pending_at, reply_state) VALUES (?,?,?,?,?,?,?,?,?)"+
			strings.Repeat(",(?,?,?,?,?,?,?,?,?)", len(chunk)-1), args...)
		if res.Error != nil {
			return 0, fmt.Errorf("store events: %w", res.Error)
		}
		stored += res.RowsAffected
	}
	return stored, nil
}
