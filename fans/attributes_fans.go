package fans

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// MaxSet is how many fans SetAttribute and UnsetAttribute take at once.
const MaxSet = 10_000

// FanValue is an attribute of a fan.
type FanValue struct {
	AttributeID int64
	Value
}

// AttributesOf reads what is known of fans, by the attributes' ids. Fans of whom nothing is known are missing from the result.
func (s *Store) AttributesOf(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64][]FanValue, error) {
	out := map[int64][]FanValue{}
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		among, args := database.Among("f.fan_id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan int64
			var v FanValue
			err := rows.Scan(&fan, &v.AttributeID, &v.Number, &v.Text)
			out[fan] = append(out[fan], v)
			return err
		}, "SELECT f.fan_id, f.attribute_id, f.number, f.text FROM fan_attributes f JOIN attributes a ON a.id = f.attribute_id WHERE "+among+
			" AND +f.account_id = ? AND a.removed_at = 0 ORDER BY f.fan_id, f.attribute_id", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read the attributes of fans: %w", err)
		}
	}
	return out, nil
}

// SetAttribute gives 1 to MaxSet fans the same value. Errors: Invalid with the field value or fan_ids; NotFound for the attribute or a fan, and then
// nothing is stored.
func (s *Store) SetAttribute(ctx context.Context, accountID, attributeID int64, value string, fanIDs []int64) error {
	if err := checkSet(fanIDs); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		a, err := findAttribute(tx, accountID, attributeID, "")
		if err != nil {
			return err
		}
		v, err := a.Parse(value)
		if err != nil {
			return err
		}
		values := make(map[int64]Value, len(fanIDs))
		for _, id := range fanIDs {
			values[id] = v
		}
		return s.SetValues(tx, a, values)
	})
}

// UnsetAttribute takes the value from 1 to MaxSet fans; those who have none stay as they are. Errors: as SetAttribute.
func (s *Store) UnsetAttribute(ctx context.Context, accountID, attributeID int64, fanIDs []int64) error {
	if err := checkSet(fanIDs); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *gorm.DB) error {
		if _, err := findAttribute(tx, accountID, attributeID, ""); err != nil {
			return err
		}
		ids, err := s.holdAll(tx, accountID, fanIDs)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(ids, database.ChunkSize) {
			err := tx.Exec("DELETE FROM fan_attributes WHERE fan_id IN ? AND attribute_id = ? AND +account_id = ?", chunk, attributeID, accountID).Error
			if err != nil {
				return fmt.Errorf("unset an attribute: %w", err)
			}
		}
		return nil
	})
}

func checkSet(fanIDs []int64) error {
	if len(fanIDs) == 0 || len(fanIDs) > MaxSet {
		return fault.BadField("fan_ids", "count", "name 1 to %d fans", MaxSet)
	}
	return nil
}

// holdAll locks fans, and fails when one of them is no fan of the account or is erased.
func (s *Store) holdAll(tx *gorm.DB, accountID int64, fanIDs []int64) ([]int64, error) {
	want := database.SortedSet(fanIDs)
	ids, err := s.holdFans(tx, accountID, want)
	if err != nil {
		return nil, err
	}
	for i, id := range want {
		if i >= len(ids) || ids[i] != id {
			return nil, fault.New(fault.NotFound, "this account has no fan %d", id)
		}
	}
	return ids, nil
}

// SetValues gives fans of the attribute's account their values, which Parse has made: for an import, where each has its own. Errors: NotFound for a fan.
func (s *Store) SetValues(tx *gorm.DB, a *Attribute, values map[int64]Value) error {
	ids, err := s.holdAll(tx, a.AccountID, slices.Collect(maps.Keys(values)))
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		args := make([]any, 0, 5*len(chunk))
		for _, id := range chunk {
			args = append(args, id, a.ID, a.AccountID, values[id].Number, values[id].Text)
		}
		err := tx.Exec("INSERT INTO fan_attributes (fan_id, attribute_id, account_id, number, text) VALUES (?,?,?,?,?)"+strings.Repeat(",(?,?,?,?,?)", len(chunk)-1)+
			s.db.Dialect().Upsert([]string{"fan_id", "attribute_id"}, "number", "text"), args...).Error
		if err != nil {
			return fmt.Errorf("set an attribute: %w", err)
		}
	}
	return nil
}
