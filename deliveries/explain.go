package deliveries

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/wechat"
)

// Event is what happened to a delivery in one step of its trace.
type Event string

// The events.
const (
	EventPlanned   Event = "planned"
	EventMoved     Event = "moved"    // its due time was changed by quiet hours before it was due
	EventDeferred  Event = "deferred" // it was due, and has to wait
	EventSkipped   Event = "skipped"
	EventMarked    Event = "marked" // a worker reserved for it and began to send it
	EventSent      Event = "sent"
	EventDelivered Event = "delivered"
	EventRejected  Event = "rejected" // the platform took it, and reported later that it did not arrive
	EventFailed    Event = "failed"
	EventUnknown   Event = "unknown"
	EventRetried   Event = "retried" // it was definitely not sent and is due again
	EventExpired   Event = "expired"
	EventCancelled Event = "cancelled"
)

// Events lists the closed list, for tests and forms.
func Events() []Event {
	return []Event{
		EventPlanned, EventMoved, EventDeferred, EventSkipped, EventMarked, EventSent, EventDelivered, EventRejected,
		EventFailed, EventUnknown, EventRetried, EventExpired, EventCancelled,
	}
}

// Reserved is what was reserved for a delivery, in words that people know.
type Reserved struct {
	Buckets []wechat.Trigger // the grants that it took one message from
	CapDay  int              // the day whose cap it counts in, by guard.Policy.Day; 0: it counts in none
}

// TraceStep is one thing that happened to a delivery.
type TraceStep struct {
	At       int64 // unix ms
	Attempt  int   // of how many calls it was; 0 before the first
	Event    Event
	Verdict  guard.Kind   // what the guard said; 0 where it was not asked
	Reason   guard.Reason // ReasonNone where nothing went wrong
	Values   []guard.Value
	ErrCode  int    // the platform's code, 0 if none
	RID      string // the platform's request id, "" if none
	Reserved Reserved
}

// Explanation is the whole story of a delivery.
type Explanation struct {
	Delivery *Delivery
	Steps    []TraceStep // in the order in which they happened
}

// Explain tells what happened to a delivery and why. Of a delivery that was marked several times it knows when the last one
// was. Errors: NotFound.
func (s *Store) Explain(ctx context.Context, accountID, id int64) (*Explanation, error) {
	d, err := s.FindDelivery(ctx, accountID, id)
	if err != nil {
		return nil, err
	}
	steps, err := s.decided(ctx, d)
	if err != nil {
		return nil, err
	}
	steps = append(steps, TraceStep{At: d.PlannedAt, Event: EventPlanned, Values: []guard.Value{{Name: "not_after_at", Number: d.NotAfter}}})
	if d.MarkedAt > 0 {
		steps = append(steps, TraceStep{At: d.MarkedAt, Attempt: d.Attempt, Event: EventMarked, Reserved: d.Reserved.explained()})
	}
	steps = append(steps, d.end(steps)...)
	slices.SortStableFunc(steps, func(a, b TraceStep) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Event.rank(), b.Event.rank()))
	})
	return &Explanation{Delivery: d, Steps: steps}, nil
}

// decided reads the steps that were recorded as they happened.
func (s *Store) decided(ctx context.Context, d *Delivery) ([]TraceStep, error) {
	var steps []TraceStep
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		step, err := scanStep(rows)
		steps = append(steps, step)
		return err
	}, "SELECT at, attempt, verdict, reason, values_json, errcode, rid FROM decisions WHERE delivery_id = ? ORDER BY id", d.ID)
	if err != nil {
		return nil, fmt.Errorf("read a delivery's trace: %w", err)
	}
	return steps, nil
}

func scanStep(rows *sql.Rows) (TraceStep, error) {
	var step TraceStep
	var values []byte
	if err := rows.Scan(&step.At, &step.Attempt, &step.Verdict, &step.Reason, &values, &step.ErrCode, &step.RID); err != nil {
		return step, err
	}
	if err := json.Unmarshal(values, &step.Values); err != nil {
		return step, err
	}
	step.Event = step.event()
	return step, nil
}

// event tells what a recorded verdict was about.
func (t *TraceStep) event() Event {
	if t.Verdict == guard.Skip {
		return eventOfEnd(t.Reason)
	}
	moved := slices.ContainsFunc(t.Values, func(v guard.Value) bool { return v.Name == "due_at" })
	switch {
	case t.Reason == guard.ReasonQuietHours && moved:
		return EventMoved
	case moved: // only a due time that was set after a call is recorded with anything else
		return EventRetried
	default:
		return EventDeferred
	}
}

// eventOfEnd is how a delivery ended that ended for a reason.
func eventOfEnd(r guard.Reason) Event {
	switch r {
	case guard.ReasonTooLate:
		return EventExpired
	case guard.ReasonPlatform, guard.ReasonContent, guard.ReasonNotSent:
		return EventFailed
	case guard.ReasonAnswerLost, guard.ReasonWorkerDied:
		return EventUnknown
	case guard.ReasonCancelled:
		return EventCancelled
	case guard.ReasonNone: // an answer that says that it was sent before
		return EventSent
	default:
		return EventSkipped
	}
}

// end is the last step as the row tells it, unless it has been recorded.
func (d *Delivery) end(steps []TraceStep) []TraceStep {
	if !d.State.Terminal() {
		return nil
	}
	event := Event(d.State.String())
	if slices.ContainsFunc(steps, func(t TraceStep) bool { return t.Event == event }) {
		return nil
	}
	return []TraceStep{{At: d.EndedAt, Attempt: d.Attempt, Event: event, Reason: d.Reason, ErrCode: d.ErrCode}}
}

// rank orders the steps of one attempt that happened in the same millisecond.
func (e Event) rank() int {
	switch e {
	case EventPlanned:
		return 0
	case EventMarked:
		return 1
	case EventRetried, EventUnknown:
		return 2
	case EventMoved, EventDeferred:
		return 3
	default:
		return 4
	}
}

func (r Reservation) explained() Reserved {
	out := Reserved{CapDay: r.CapDay}
	for t := range wechat.Trigger(wechat.TriggerCount) {
		if r.Buckets&(1<<t) != 0 {
			out.Buckets = append(out.Buckets, t)
		}
	}
	return out
}
