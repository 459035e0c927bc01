package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Topic is what an event is about. The names are stored.
type Topic string

// The topics.
const (
	Jobs         Topic = "jobs"         // long work: its state at every change, its progress once a second
	Drips        Topic = "drips"        // a drip's state
	Deliveries   Topic = "deliveries"   // how many deliveries of an account ended, by state, once a second
	Interactions Topic = "interactions" // what fans do, ten in a second of an account at the most
	Checks       Topic = "checks"       // what a self-check found
)

// Topics lists them.
func Topics() []Topic { return []Topic{Jobs, Drips, Deliveries, Interactions, Checks} }

// MaxPayload is how many bytes an event's data has at the most.
const MaxPayload = 4 << 10

// Event is something that happened.
type Event struct {
	Seq       int64 // its place in the order of all events
	AccountID int64 // 0 for what concerns the whole installation
	Topic     Topic
	At        int64 // unix ms
	Data      json.RawMessage
}

func newEvent(at, accountID int64, topic Topic, data any) (Event, error) {
	raw, err := json.Marshal(data)
	if err == nil && len(raw) > MaxPayload {
		err = fmt.Errorf("%d bytes are more than %d", len(raw), MaxPayload)
	}
	if err == nil && !slices.Contains(Topics(), topic) {
		err = fmt.Errorf("there is no topic %q", topic)
	}
	if err != nil {
		return Event{}, fmt.Errorf("make an event of topic %s: %w", topic, err)
	}
	return Event{AccountID: accountID, Topic: topic, At: at, Data: raw}, nil
}

// Publish stores an event in the caller's transaction: it is told once that is committed, and not at all if it is undone. at is unix
// milliseconds. Data becomes JSON; errors: when it cannot, or has more than MaxPayload bytes.
func Publish(tx *gorm.DB, at, accountID int64, topic Topic, data any) error {
	e, err := newEvent(at, accountID, topic, data)
	if err != nil {
		return err
	}
	return insert(tx, []Event{e})
}

func insert(tx *gorm.DB, events []Event) error {
	for chunk := range slices.Chunk(events, database.ChunkSize) {
		args := make([]any, 0, 4*len(chunk))
		for _, e := range chunk {
			args = append(args, e.AccountID, e.Topic, e.At, string(e.Data))
		}
		err := tx.Exec("INSERT INTO stream_events (account_id, topic, at, payload) VALUES "+strings.Repeat(", (?, ?, ?, ?)", len(chunk))[2:], args...).Error
		if err != nil {
			return fmt.Errorf("publish events: %w", err)
		}
	}
	return nil
}
