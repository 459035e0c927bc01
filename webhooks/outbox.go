package webhooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// MaxBody is how many bytes a post has at the most.
const MaxBody = 64 << 10

// insertChunk is how many events one statement stores: of the longest, escaped, less than a packet of MariaDB.
const insertChunk = 50

// Event is something that another system is told.
type Event struct {
	Type  string // small letters, digits, _ and points, 1 to 64: "drip.step"
	FanID int64  // of whom it tells, 0 for none: the event goes when the fan is erased
	Data  any    // becomes JSON
}

// State is where an event stands. The names are stored.
type State string

// The states. An event that waits may be in a worker's hands.
const (
	StateWaiting State = "waiting"
	StateDone    State = "done"   // the receiver has taken it
	StateFailed  State = "failed" // given up, see its attempts
)

// Entry is an event in the outbox.
type Entry struct {
	ID        int64 // of the row, by which lists go on
	EventID   string
	AccountID int64
	WebhookID int64
	FanID     int64
	Type      string
	Body      string // as it is posted
	State     State
	Tries     int   // begun so far
	DueAt     int64 // of the next try, or when a worker that gives no sign of life loses it; 0 at the end
	CreatedAt int64
	EndedAt   int64 // 0 before the end
}

var eventType = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,63}$`)

// Enqueue stores events for a webhook, in the caller's transaction: they are posted once that is committed, and not at all if it
// is undone. Events for a webhook that was removed are stored and given up, so that whoever looks for them finds them. Errors:
// NotFound when the account never had this webhook; Invalid for a wrong type and for data that is no JSON or above MaxBody.
func (s *Store) Enqueue(tx *gorm.DB, accountID, webhookID int64, events []Event) error {
	var found []int64
	if err := tx.Raw("SELECT id FROM webhooks WHERE id = ? AND account_id = ?", webhookID, accountID).Scan(&found).Error; err != nil {
		return fmt.Errorf("find a webhook: %w", err)
	}
	if len(found) == 0 {
		return noEndpoint(webhookID)
	}
	now := s.now()
	for chunk := range slices.Chunk(events, insertChunk) {
		args := make([]any, 0, len(chunk)*9)
		for i := range chunk {
			id, body, err := pack(now, accountID, &chunk[i])
			if err != nil {
				return err
			}
			args = append(args, accountID, webhookID, chunk[i].FanID, id, chunk[i].Type, body, StateWaiting, now, now)
		}
		rows := strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?, ?)", len(chunk))[2:]
		err := tx.Exec("INSERT INTO webhook_events (account_id, webhook_id, fan_id, event_id, type, body, state, due_at, created_at) VALUES "+rows, args...).Error
		if err != nil {
			return fmt.Errorf("store events for a webhook: %w", err)
		}
	}
	return nil
}

// pack writes what is posted. It is stored as it is, so that every try posts the same bytes.
func pack(now, accountID int64, e *Event) (id, body string, err error) {
	if !eventType.MatchString(e.Type) {
		return "", "", fault.BadField("type", "shape", "a type of event has 1 to 64 small letters, digits, _ and points, and begins with a letter")
	}
	made, err := ulid.New(ulid.Timestamp(clock.FromMillis(now)), ulid.DefaultEntropy())
	if err != nil {
		return "", "", fmt.Errorf("make the id of an event: %w", err)
	}
	raw, err := json.Marshal(struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		AccountID int64  `json:"account_id"`
		At        int64  `json:"at"`
		Data      any    `json:"data"`
	}{made.String(), e.Type, accountID, now, e.Data})
	switch {
	case err != nil:
		return "", "", fault.Wrap(fault.Invalid, err, "the data of an event cannot be written as JSON; use plain values")
	case len(raw) > MaxBody:
		return "", "", fault.BadField("data", "length", "an event has %d bytes, more than %d; tell less", len(raw), MaxBody)
	}
	return made.String(), string(raw), nil
}

const entryColumns = "id, event_id, account_id, webhook_id, fan_id, type, body, state, tries, COALESCE(due_at, 0), created_at, ended_at"

func readEntries(tx *gorm.DB, where string, args ...any) ([]Entry, error) {
	var out []Entry
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var e Entry
		err := rows.Scan(&e.ID, &e.EventID, &e.AccountID, &e.WebhookID, &e.FanID, &e.Type, &e.Body, &e.State, &e.Tries, &e.DueAt, &e.CreatedAt, &e.EndedAt)
		out = append(out, e)
		return err
	}, "SELECT "+entryColumns+" FROM webhook_events WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return out, nil
}

// Filter says which events of a webhook are listed.
type Filter struct {
	AccountID int64
	WebhookID int64
	State     State
	Before    int64 // entries with an id below this one; 0 means from the newest on
	Most      int
}

// FindEntries lists the events of a webhook in a state, newest first.
func (s *Store) FindEntries(ctx context.Context, f Filter) ([]Entry, error) {
	if f.Before <= 0 {
		f.Before = 1<<63 - 1
	}
	return readEntries(s.db.Read(ctx), "webhook_id = ? AND state = ? AND id < ? AND +account_id = ? ORDER BY id DESC"+s.db.Dialect().Limit(),
		f.WebhookID, f.State, f.Before, f.AccountID, f.Most)
}

// Attempt is one try to post an event. A try that is missing between others was begun by a worker that died.
type Attempt struct {
	Try    int   // from 1
	At     int64 // unix ms: when the answer was there
	Took   int64 // ms
	Status int   // of HTTP; 0 without an answer
	Answer string
	Error  string // what was wrong without an answer; "" with one
}

// FindAttempts lists the tries to post an event, oldest first. Errors: NotFound.
func (s *Store) FindAttempts(ctx context.Context, accountID, entryID int64) ([]Attempt, error) {
	tx := s.db.Read(ctx)
	found, err := readEntries(tx, "id = ? AND account_id = ?", entryID, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this account has no webhook event %d", entryID)
	}
	var out []Attempt
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		var a Attempt
		err := rows.Scan(&a.Try, &a.At, &a.Took, &a.Status, &a.Answer, &a.Error)
		out = append(out, a)
		return err
	}, "SELECT try_no, at, took, status, answer, error FROM webhook_attempts WHERE event_id = ? ORDER BY try_no", entryID)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return out, nil
}
