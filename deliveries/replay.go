package deliveries

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// Marked is what the ledger keeps of a message that was ever marked: what a replay of reservations takes.
type Marked struct {
	ID       int64
	FanID    int64
	Source   Source
	Channel  guard.Channel
	Class    guard.Class
	State    State
	MarkedAt int64 // of the last attempt
	EndedAt  int64
	Attempt  int
	Reserved Reservation // of the last attempt; nothing once that was given back to be tried again
	ErrCode  int
}

// Holds reports whether what was reserved for the message has not been given back: it went out, may have, or is on its way.
func (m *Marked) Holds() bool {
	switch m.State {
	case StateSending, StateSent, StateDelivered, StateRejected, StateUnknown:
		return true
	default:
		return false
	}
}

// Counts reports whether the message counts in the fan's caps.
func (m *Marked) Counts() bool {
	r := guard.Request{Class: m.Class, Campaign: m.Source.Campaign(), Channel: m.Channel, Messages: 1}
	return r.Counts()
}

// MarkedOf reads the messages of fans that were ever marked, by fan, oldest first.
func (s *Store) MarkedOf(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64][]Marked, error) {
	out := make(map[int64][]Marked, len(fanIDs))
	for chunk := range slices.Chunk(fanIDs, database.ChunkSize) {
		among, args := database.Among("fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var m Marked
			err := rows.Scan(&m.ID, &m.FanID, &m.Source.Kind, &m.Source.ID, &m.Channel, &m.Class, &m.State, &m.MarkedAt, &m.EndedAt, &m.Attempt,
				&m.Reserved.Buckets, &m.Reserved.Generation, &m.Reserved.CapDay, &m.ErrCode)
			out[m.FanID] = append(out[m.FanID], m)
			return err
		}, "SELECT id, fan_id, source_kind, source_id, channel, class, state, marked_at, ended_at, attempt, reserved, reserved_generation, cap_day, errcode "+
			"FROM deliveries WHERE "+among+" AND +account_id = ? AND marked_at > 0", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read marked deliveries: %w", err)
		}
	}
	for _, rows := range out {
		slices.SortFunc(rows, func(a, b Marked) int { return cmp.Compare(a.ID, b.ID) })
	}
	return out, nil
}
