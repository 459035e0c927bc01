package limits

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
)

// Usage is what one fan has used: the row of fan_limits.
type Usage struct {
	FanID       int64
	AccountID   int64
	Grants      guard.Grants
	AgentUntil  int64         // a human agent's session is open until then at most
	Counted     guard.Counted // marketing messages reserved
	MarketingAt int64         // when the last marketing message was reserved
	// Version is raised by every change of the row, so that what was decided by an unlocked read is stored only if the row is still as it was read.
	Version int64
}

// Store reads and writes limits.
type Store struct{ db *database.DB }

// New returns the limits kept in db.
func New(db *database.DB) *Store { return &Store{db: db} }

const usageColumns = "fan_id, account_id, version, generation, " +
	"message_left, message_until, message_generation, menu_left, menu_until, menu_generation, " +
	"follow_left, follow_until, follow_generation, scan_left, scan_until, scan_generation, " +
	"payment_left, payment_until, payment_generation, agent_until, cap_day, cap_used, cap_week_used, cap_month_used, marketing_at"

// usageWidth is how many columns that are.
const usageWidth = 25

// Columns lists the columns of fan_limits that Fields takes, each behind prefix: for a read that joins the fans with their limits.
func Columns(prefix string) string {
	return prefix + strings.ReplaceAll(usageColumns, ", ", ", "+prefix)
}

// Fields lists where the columns of Columns go.
func (u *Usage) Fields() []any {
	out := make([]any, 0, usageWidth)
	out = append(out, database.Int(&u.FanID), database.Int(&u.AccountID), database.Int(&u.Version), database.Int(&u.Grants.Generation))
	for t := range u.Grants.Buckets {
		b := &u.Grants.Buckets[t]
		out = append(out, database.Int(&b.Left), database.Int(&b.Until), database.Int(&b.Generation))
	}
	out = append(out, database.Int(&u.AgentUntil), database.Int(&u.Counted.Day))
	for p := range u.Counted.Used {
		out = append(out, database.Int(&u.Counted.Used[p]))
	}
	return append(out, database.Int(&u.MarketingAt))
}

// Ensure makes a row for each fan that has none.
func (s *Store) Ensure(tx *gorm.DB, accountID int64, fanIDs []int64) error {
	for ids := range slices.Chunk(fanIDs, database.ChunkSize) {
		var b strings.Builder
		b.WriteString(s.db.Dialect().InsertIgnore())
		b.WriteString(" fan_limits (fan_id, account_id) VALUES ")
		args := make([]any, 0, 2*len(ids))
		for i, id := range ids {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("(?,?)")
			args = append(args, id, accountID)
		}
		if err := tx.Exec(b.String(), args...).Error; err != nil {
			return fmt.Errorf("ensure fan limits: %w", err)
		}
	}
	return nil
}

// Lock reads the limits of fans and keeps them locked until the transaction ends. Fans without a row are missing from the result.
func (s *Store) Lock(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]*Usage, error) {
	return s.read(tx, accountID, database.SortedSet(fanIDs), s.db.Dialect().ForUpdate())
}

// Read reads the limits of fans without locking them.
func (s *Store) Read(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]*Usage, error) {
	return s.read(tx, accountID, fanIDs, "")
}

func (s *Store) read(tx *gorm.DB, accountID int64, fanIDs []int64, suffix string) (map[int64]*Usage, error) {
	out := make(map[int64]*Usage, len(fanIDs))
	for ids := range slices.Chunk(fanIDs, database.ChunkSize) {
		among, args := database.Among("fan_id", ids)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			u := &Usage{}
			if err := rows.Scan(u.Fields()...); err != nil {
				return err
			}
			out[u.FanID] = u
			return nil
		}, "SELECT "+usageColumns+" FROM fan_limits WHERE "+among+" AND account_id = ? ORDER BY fan_id"+suffix, append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read fan limits: %w", err)
		}
	}
	return out, nil
}

// LockVersions locks the limits of fans until the transaction ends and reads their versions. Fans without a row are missing from the result.
func (s *Store) LockVersions(tx *gorm.DB, accountID int64, fanIDs []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(fanIDs))
	for ids := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		among, args := database.Among("fan_id", ids)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var fan, version int64
			err := rows.Scan(&fan, &version)
			out[fan] = version
			return err
		}, "SELECT fan_id, version FROM fan_limits WHERE "+among+" AND account_id = ? ORDER BY fan_id"+s.db.Dialect().ForUpdate(), append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("lock fan limits: %w", err)
		}
	}
	return out, nil
}

// Touch raises the version of fans' limits: something about how they may be reached has changed, and workers that know them read them again.
func (s *Store) Touch(tx *gorm.DB, accountID int64, fanIDs []int64) error {
	if len(fanIDs) == 0 {
		return nil
	}
	err := tx.Exec("UPDATE fan_limits SET version = version + 1 WHERE fan_id IN ? AND account_id = ?", database.SortedSet(fanIDs), accountID).Error
	if err != nil {
		return fmt.Errorf("touch fan limits: %w", err)
	}
	return nil
}

// Save stores limits, each under its next version. The caller has locked the rows.
func (s *Store) Save(tx *gorm.DB, usages []*Usage) error {
	if len(usages) == 0 {
		return nil
	}
	for chunk := range slices.Chunk(usages, database.ChunkSize) {
		var b strings.Builder
		b.WriteString("INSERT INTO fan_limits (" + usageColumns + ") VALUES ")
		args := make([]any, 0, usageWidth*len(chunk))
		for i, u := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("(?" + strings.Repeat(",?", usageWidth-1) + ")")
			u.Version++
			args = append(args, u.values()...)
		}
		b.WriteString(s.db.Dialect().Upsert([]string{"fan_id"}, updatable...))
		if err := tx.Exec(b.String(), args...).Error; err != nil {
			return fmt.Errorf("save fan limits: %w", err)
		}
	}
	return nil
}

var updatable = strings.Split(strings.TrimPrefix(usageColumns, "fan_id, account_id, "), ", ")

func (u *Usage) values() []any {
	out := make([]any, 0, usageWidth)
	out = append(out, u.FanID, u.AccountID, u.Version, u.Grants.Generation)
	for _, b := range u.Grants.Buckets {
		out = append(out, b.Left, b.Until, b.Generation)
	}
	out = append(out, u.AgentUntil, u.Counted.Day)
	for _, n := range u.Counted.Used {
		out = append(out, n)
	}
	return append(out, u.MarketingAt)
}

// Available reads, without a lock, how a fan stands: for previews and planning only.
func (s *Store) Available(ctx context.Context, accountID, fanID int64) (*Usage, error) {
	found, err := s.Read(s.db.Read(ctx), accountID, []int64{fanID})
	if err != nil || found[fanID] == nil {
		return &Usage{FanID: fanID, AccountID: accountID}, err
	}
	return found[fanID], nil
}
