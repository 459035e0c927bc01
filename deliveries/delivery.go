package deliveries

import (
	"slices"

	"hongyan/guard"
)

// SourceKind says what a delivery was planned by. The numbers are stored.
type SourceKind uint8

// The kinds of source.
const (
	SourceDrip SourceKind = iota + 1
	SourceBroadcast
	SourceReply
	SourceChannel
	SourcePoster
	SourceAPI
	SourceTest
	SourceInbox
)

var sourceNames = map[SourceKind]string{
	SourceDrip: "drip", SourceBroadcast: "broadcast", SourceReply: "reply", SourceChannel: "channel",
	SourcePoster: "poster", SourceAPI: "api", SourceTest: "test", SourceInbox: "inbox",
}

// String is the name used in the API and figures.
func (k SourceKind) String() string { return sourceNames[k] }

// Source is what a delivery was planned by: a campaign, a channel, a rule.
type Source struct {
	Kind SourceKind
	ID   int64
}

// Campaign reports whether the source is a campaign: a drip or a broadcast.
func (s Source) Campaign() bool { return s.Kind == SourceDrip || s.Kind == SourceBroadcast }

// key packs a source into the one number that the bulk lane is ordered by.
func (s Source) key() int64 { return s.ID<<4 | int64(s.Kind) }

func sourceOf(key int64) Source { return Source{Kind: SourceKind(key & 15), ID: key >> 4} }

// State is where a delivery stands. The numbers are stored.
type State uint8

// The states of a delivery (design 6). Everything from StateSent on is terminal.
const (
	StatePlanned State = iota + 1
	StateSending
	StateSent
	StateDelivered
	StateRejected
	StateFailed
	StateUnknown
	StateSkipped
	StateExpired
	StateCancelled
)

var stateNames = map[State]string{
	StatePlanned: "planned", StateSending: "sending", StateSent: "sent", StateDelivered: "delivered", StateRejected: "rejected",
	StateFailed: "failed", StateUnknown: "unknown", StateSkipped: "skipped", StateExpired: "expired", StateCancelled: "cancelled",
}

// String is the name used in the API and figures.
func (s State) String() string { return stateNames[s] }

// Terminal reports whether a delivery in this state has come to its end.
func (s State) Terminal() bool { return s >= StateSent }

// moves lists the allowed changes of state; docs/states.md draws them.
var moves = map[State][]State{
	StatePlanned: {StatePlanned, StateSending, StateSkipped, StateExpired, StateCancelled},
	StateSending: {StateSent, StateFailed, StateUnknown, StatePlanned, StateSkipped},
	StateUnknown: {StateSent, StateFailed},
	StateSent:    {StateDelivered, StateRejected},
}

// CanMove reports whether a delivery may go from one state to another.
func CanMove(from, to State) bool {
	return slices.Contains(moves[from], to)
}

// Key names the one message that a row stands for: unique in the ledger.
type Key struct {
	AccountID  int64
	Source     Source
	FanID      int64
	Occurrence int64 // which run: the enrolment's occurrence for a drip, the interaction for a reply
	StepNo     int
	MessageNo  int
	Resend     int
}

// Planned is a message to put into the ledger.
type Planned struct {
	Key
	StepSize  int // how many messages the step has for this fan; they travel together
	Channel   guard.Channel
	Class     guard.Class
	Options   guard.Option
	MessageID int64 // its content, in the table messages
	DueAt     int64
	NotAfter  int64 // hard deadline
	Deadline  int64 // effective deadline: the hard one, or the end of the grant it relies on
	// State is StatePlanned; or, for a message that ends or starts as it is planned, StateSkipped with Reason and Values,
	// or StateSending for a passive reply that is being given.
	State  State
	Reason guard.Reason
	// Moved and Values say what planning decided: a due time moved out of quiet hours, a skip.
	Verdict guard.Kind
	Values  []guard.Value
	// Reserved is what a passive reply has reserved; see Reservation.
	Reserved Reservation
}

// Reservation is what was taken for a message, so that a release gives back the same.
type Reservation struct {
	Buckets    uint8 // bits, by wechat.Trigger
	Generation int   // the fan's generation at the time
	CapDay     int   // the day whose cap it counts in; 0: none
}

// Delivery is a row of the ledger.
type Delivery struct {
	ID int64
	Key
	StepSize  int
	Channel   guard.Channel
	Class     guard.Class
	Options   guard.Option
	MessageID int64
	State     State
	Reason    guard.Reason
	DueAt     int64
	NotAfter  int64
	Deadline  int64
	PlannedAt int64
	MarkedAt  int64
	EndedAt   int64
	Attempt   int   // how many times a call was made or about to be made
	BatchID   int64 // negative until it is first marked: which insertion put it there
	Reserved  Reservation
	ErrCode   int // the platform's code, 0 if none
}

// SameStep reports whether two deliveries are messages of one step for one fan: what must travel together.
func (d *Delivery) SameStep(o *Delivery) bool {
	return d.Source == o.Source && d.FanID == o.FanID && d.Occurrence == o.Occurrence && d.StepNo == o.StepNo
}

// Ended is a delivery that has just come to its end: what its source needs to go on.
type Ended struct {
	Key
	State  State
	Reason guard.Reason
	At     int64
}
