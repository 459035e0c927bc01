package deliveries

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// Reaction is what a fan did after a message had arrived. The numbers are stored.
type Reaction uint8

// The kinds of reaction.
const (
	ReactionReplied    Reaction = iota + 1 // the fan wrote, or tapped an item of an in-chat menu
	ReactionClicked                        // the fan tapped a menu key, an item of an in-chat menu, or a tracked link in the message
	ReactionUnfollowed                     // the fan left
)

// ReactWithin is how long after a message an act counts as a reaction to it.
const ReactWithin = 48 * time.Hour

// FanAct is an act that may be a reaction.
type FanAct struct {
	FanID int64
	At    int64 // unix ms, in whole seconds as the platform counts
	Kinds []Reaction
	// DeliveryID is the message that the act is a reaction to, where the act itself tells; 0: the latest one.
	DeliveryID int64
}

// reactedTo is the message to which the act is a reaction, of those that had reached the fan, which are in the order of time; nil for none.
func (a *FanAct) reactedTo(reached []candidate) *candidate {
	if a.DeliveryID == 0 {
		return latest(reached, a.At)
	}
	i := slices.IndexFunc(reached, func(c candidate) bool { return c.id == a.DeliveryID })
	if i < 0 || reached[i].endedAt < a.At-ReactWithin.Milliseconds() {
		return nil
	}
	return &reached[i]
}

// candidate is a message that has arrived, as a reaction needs it.
type candidate struct {
	id      int64
	message int64
	endedAt int64
	key     Key
}

// React notes that acts are reactions, each to the message that it names, or to the latest message of a campaign, if that had reached the fan at most ReactWithin
// before; of several acts of a kind after the same message the first counts. An act that has been noted changes nothing. The fans' limits are locked by tx.
func (s *Store) React(tx *gorm.DB, accountID int64, acts []FanAct) error {
	acts = slices.DeleteFunc(slices.Clone(acts), func(a FanAct) bool { return len(a.Kinds) == 0 })
	slices.SortStableFunc(acts, func(a, b FanAct) int { return cmp.Or(cmp.Compare(a.FanID, b.FanID), cmp.Compare(a.At, b.At)) })
	for chunk := range slices.Chunk(acts, database.ChunkSize) {
		if err := s.react(tx, accountID, chunk); err != nil {
			return fmt.Errorf("note reactions: %w", err)
		}
	}
	return nil
}

type reactionKey struct {
	deliveryID int64
	kind       Reaction
}

func (s *Store) react(tx *gorm.DB, accountID int64, acts []FanAct) error {
	reached, err := s.reached(tx, accountID, acts)
	if err != nil {
		return err
	}
	to := make([]*candidate, len(acts)) // what each act is a reaction to
	var ids []int64
	for i := range acts {
		if to[i] = acts[i].reactedTo(reached[acts[i].FanID]); to[i] != nil {
			ids = append(ids, to[i].id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := knownReactions(tx, database.SortedSet(ids))
	if err != nil {
		return err
	}
	var args []any
	var counts []happened
	for i, a := range acts {
		for _, kind := range a.Kinds {
			if to[i] == nil || known[reactionKey{to[i].id, kind}] {
				continue
			}
			known[reactionKey{to[i].id, kind}] = true
			args = append(args, to[i].id, kind, a.FanID, a.At)
			counts = append(counts, happened{key: &to[i].key, message: to[i].message, figure: Figure(100 + kind), at: a.At, n: 1})
		}
	}
	if len(counts) == 0 {
		return nil
	}
	q := "INSERT INTO reactions (delivery_id, kind, fan_id, at) VALUES (?,?,?,?)" + strings.Repeat(",(?,?,?,?)", len(counts)-1)
	if err := tx.Exec(q, args...).Error; err != nil {
		return err
	}
	return s.tally(tx, counts)
}

// reached reads which messages of campaigns have reached the fans of acts lately, through the index of fans' rows, as Uncounted does.
func (s *Store) reached(tx *gorm.DB, accountID int64, acts []FanAct) (map[int64][]candidate, error) {
	ids := make([]int64, 0, len(acts))
	first := acts[0].At
	for _, a := range acts {
		ids, first = append(ids, a.FanID), min(first, a.At)
	}
	out := map[int64][]candidate{}
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		c := candidate{key: Key{AccountID: accountID}}
		err := rows.Scan(&c.id, &c.key.FanID, &c.key.Source.Kind, &c.key.Source.ID, &c.message, &c.endedAt)
		out[c.key.FanID] = append(out[c.key.FanID], c)
		return err
	}, "SELECT id, fan_id, source_kind, source_id, message_id, ended_at FROM deliveries WHERE fan_id IN ? AND +account_id = ? AND source_kind IN ? AND state IN ? AND ended_at >= ?",
		database.SortedSet(ids), accountID, []SourceKind{SourceDrip, SourceBroadcast}, []State{StateSent, StateDelivered}, first-ReactWithin.Milliseconds())
	for _, messages := range out {
		slices.SortFunc(messages, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.endedAt, b.endedAt), cmp.Compare(a.id, b.id)) })
	}
	return out, err
}

// latest is the last of a fan's messages, which are in the order of time, that had arrived when the fan acted; nil if that was too long ago. Acts are timed in whole
// seconds, so that one of the same second comes after the message.
func latest(reached []candidate, at int64) *candidate {
	for i := len(reached) - 1; i >= 0; i-- {
		c := &reached[i]
		if c.endedAt/1000 <= at/1000 {
			if c.endedAt < at-ReactWithin.Milliseconds() {
				return nil
			}
			return c
		}
	}
	return nil
}

// knownReactions reads what is noted of messages.
func knownReactions(tx *gorm.DB, ids []int64) (map[reactionKey]bool, error) {
	out := map[reactionKey]bool{}
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var k reactionKey
		err := rows.Scan(&k.deliveryID, &k.kind)
		out[k] = true
		return err
	}, "SELECT delivery_id, kind FROM reactions WHERE delivery_id IN ?", ids)
	return out, err
}

// forgetReactions removes what fans did after messages; the figures keep how many did.
func forgetReactions(tx *gorm.DB, fanIDs []int64) error {
	if err := tx.Exec("DELETE FROM reactions WHERE fan_id IN ?", fanIDs).Error; err != nil {
		return fmt.Errorf("forget fans' reactions: %w", err)
	}
	return nil
}
