package deliveries

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

const columns = "id, account_id, source_kind, source_id, fan_id, occurrence, step_no, message_no, resend, step_size, channel, class, options, message_id, " +
	"state, reason, due_at, not_after, deadline_at, planned_at, marked_at, ended_at, attempt, batch_id, reserved, reserved_generation, cap_day, errcode"

func (d *Delivery) fields() []any {
	return []any{
		database.Int(&d.ID), database.Int(&d.AccountID), database.Int(&d.Source.Kind), database.Int(&d.Source.ID), database.Int(&d.FanID),
		database.Int(&d.Occurrence), database.Int(&d.StepNo), database.Int(&d.MessageNo), database.Int(&d.Resend), database.Int(&d.StepSize),
		database.Int(&d.Channel), database.Int(&d.Class), database.Int(&d.Options), database.Int(&d.MessageID), database.Int(&d.State),
		database.Int(&d.Reason), database.Int(&d.DueAt), database.Int(&d.NotAfter), database.Int(&d.Deadline), database.Int(&d.PlannedAt),
		database.Int(&d.MarkedAt), database.Int(&d.EndedAt), database.Int(&d.Attempt), database.Int(&d.BatchID), database.Int(&d.Reserved.Buckets),
		database.Int(&d.Reserved.Generation), database.Int(&d.Reserved.CapDay), database.Int(&d.ErrCode),
	}
}

func clockTime(ms int64) time.Time { return clock.FromMillis(ms) }

// read reads rows that fulfil a condition, by id.
func read(tx *gorm.DB, where string, args ...any) ([]Delivery, error) {
	return readLocked(tx, "", where, args...)
}

// readLocked is read with an end of the statement that may lock the rows.
func readLocked(tx *gorm.DB, lock, where string, args ...any) ([]Delivery, error) {
	var out []Delivery
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		out = append(out, Delivery{})
		return rows.Scan(out[len(out)-1].fields()...)
	}, "SELECT "+columns+" FROM deliveries WHERE "+where+" ORDER BY id"+lock, args...)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}

// FindDelivery finds one delivery of an account. Errors: NotFound.
func (s *Store) FindDelivery(ctx context.Context, accountID, id int64) (*Delivery, error) {
	found, err := read(s.db.Read(ctx), "id = ? AND account_id = ?", id, accountID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "this account has no delivery %d", id)
	}
	return &found[0], nil
}

// Timeline lists a fan's deliveries, oldest first.
func (s *Store) Timeline(ctx context.Context, accountID, fanID int64) ([]Delivery, error) {
	return read(s.db.Read(ctx), "fan_id = ? AND +account_id = ?", fanID, accountID)
}

// NextDue is when the first of an account's waiting deliveries falls due; false when none waits. It tells a dispatcher whether
// there is anything to promote, and a virtual clock how far to go.
func (s *Store) NextDue(ctx context.Context, accountID int64) (time.Time, bool, error) {
	var at []int64
	err := s.db.Read(ctx).Raw("SELECT lane_at FROM deliveries WHERE account_id = ? AND lane = ? AND lane_source = 0 ORDER BY lane_at LIMIT 1",
		accountID, laneWaiting).Scan(&at).Error
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the next due delivery: %w", err)
	}
	if len(at) == 0 {
		return time.Time{}, false, nil
	}
	return clockTime(at[0]), true, nil
}

// Latest lists an account's newest deliveries that have ended or are under way, newest first.
func (s *Store) Latest(ctx context.Context, accountID int64, limit int) ([]Delivery, error) {
	var ids []int64
	err := s.db.Read(ctx).Raw("SELECT id FROM deliveries WHERE account_id = ? AND state <> ? ORDER BY id DESC LIMIT ?", accountID, StatePlanned, limit).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	out, err := read(s.db.Read(ctx), "id IN ?", ids)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, err
}

// Count is how many deliveries stand in a state for a reason.
type Count struct {
	State  State
	Reason guard.Reason
	Number int64
}

// CountSource counts a source's deliveries by state and reason.
func (s *Store) CountSource(ctx context.Context, accountID int64, src Source) ([]Count, error) {
	return s.count(ctx, "account_id = ? AND source_kind = ? AND source_id = ?", accountID, src.Kind, src.ID)
}

// CountAccount counts all of an account's deliveries by state and reason. It reads every row: for small accounts, demos and tests.
func (s *Store) CountAccount(ctx context.Context, accountID int64) ([]Count, error) {
	return s.count(ctx, "account_id = ?", accountID)
}

func (s *Store) count(ctx context.Context, where string, args ...any) ([]Count, error) {
	var out []Count
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		var d Delivery
		var n int64
		if err := rows.Scan(&d.State, &d.Reason, &n); err != nil {
			return err
		}
		out = append(out, Count{d.State, d.Reason, n})
		return nil
	}, "SELECT state, reason, COUNT(*) FROM deliveries WHERE "+where+" GROUP BY state, reason ORDER BY state, reason", args...)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	return out, nil
}
