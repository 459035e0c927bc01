package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Kept is a kind of data that a retention policy bounds. The names are stored, as beginnings of columns.
type Kept string

// The kinds. Counts are kept for ever: deliveries with their states and reasons, enrolments, figures, what caps and grants have left.
const (
	KeptInbox        Kept = "inbox"       // pushes as they came, from the time they were received
	KeptInteractions Kept = "interaction" // what fans did, from the time it was recorded
	KeptTraces       Kept = "trace"       // why deliveries waited, stopped or failed, from the end of the delivery
	KeptReactions    Kept = "reaction"    // what fans did after messages, from then on: as long as traces, and its walks have no cursor
	KeptClicks       Kept = "click"       // who opened a tracked link, from the first time on: as reactions
	KeptLeftFans     Kept = "left_fan"    // who a fan was, from the unfollow
)

// AllKept lists the kinds.
func AllKept() []Kept {
	return []Kept{KeptInbox, KeptInteractions, KeptTraces, KeptReactions, KeptClicks, KeptLeftFans}
}

// What an account keeps if nobody says otherwise, in days.
//
// Pushes hold what people wrote, and are of use for finding out what went wrong, which nobody looks for after a month. A year of
// interactions lets two seasons be compared. Questions why one message did not arrive come within weeks, a complaint perhaps after months. The platform asks that
// the data of a fan who leaves is deleted (platform.md 2.5); a month lets a fan who left by mistake come back as who they were, and gives a member who sees
// that a synchronisation took fans for gone the time to repeat it, before what cannot be undone.
const (
	DefaultInboxDays       = 30
	DefaultInteractionDays = 365
	DefaultTraceDays       = 180
	DefaultLeftFanDays     = 30
)

// The bounds of a policy, in days. What depends on the rows, and so decides the least:
//
//   - An inbox row is what tells a repeat of the platform from a new push. The platform repeats for some 15 seconds (platform.md 2.3), and pushes older than
//     callback.DefaultMaxAge, 5 minutes, are refused whatever their signature. The self-check looks at the last 24 hours of pushes.
//   - A push that waits, whether for its process or for its passive reply, is not removed at any age; neither is the interaction recorded from it, since acting upon the
//     push again would count it twice. So interactions are kept at least as long as pushes.
//   - Grants live up to 48 hours in fan_limits, and the sends that the platform may still count against them (deliveries.Uncounted) are rows of the ledger, which is
//     not removed at all. Yet while a grant is open its interaction is there to show why.
//   - A trace belongs to a delivery that ended at least as long ago: what is planned or under way has all of it. Late answers and receipts come within 23 hours (design 2).
//   - A reaction keeps a second act of its kind after the same message from being counted. Such an act comes within deliveries.ReactWithin, 48 hours.
//   - A click keeps a second one on the same link of the same message from being told again; after its time it would be.
//   - Of fans who left, what sending needs stays: that they left, and when.
//
// Three days are more than each of these, with a night between. LeftFanDays depends on nothing.
const (
	MinKeptDays    = 3
	MinLeftFanDays = 1
	MaxKeptDays    = 3650
)

// Retention says for how many days an account keeps what. 0 means for ever.
type Retention struct {
	AccountID       int64
	InboxDays       int
	InteractionDays int
	TraceDays       int
	LeftFanDays     int
	Revision        int64 // 0: nobody has said anything, these are the defaults

	cursors map[Kept]int64
}

func defaultRetention(accountID int64) Retention {
	return Retention{
		AccountID: accountID, InboxDays: DefaultInboxDays, InteractionDays: DefaultInteractionDays, TraceDays: DefaultTraceDays, LeftFanDays: DefaultLeftFanDays,
	}
}

// Days is for how many days a kind is kept; 0 means for ever.
func (r *Retention) Days(k Kept) int {
	switch k {
	case KeptInbox:
		return r.InboxDays
	case KeptInteractions:
		return r.InteractionDays
	case KeptTraces, KeptReactions, KeptClicks:
		return r.TraceDays
	case KeptLeftFans:
		return r.LeftFanDays
	default:
		return 0
	}
}

// Before is the time before which data of a kind is not kept, in unix ms; false when it is kept for ever.
func (r *Retention) Before(k Kept, now time.Time) (int64, bool) {
	days := r.Days(k)
	return now.AddDate(0, 0, -days).UnixMilli(), days > 0
}

// Cursor is the id up to which nothing of a kind is left that is not kept; for left fans, where a walk that was cut short goes on.
func (r *Retention) Cursor(k Kept) int64 { return r.cursors[k] }

// Validate returns every problem at once, each with its field and rule.
func (r *Retention) Validate() error {
	errs := []error{
		checkDays("inbox_days", r.InboxDays, MinKeptDays), checkDays("interaction_days", r.InteractionDays, MinKeptDays),
		checkDays("trace_days", r.TraceDays, MinKeptDays), checkDays("left_fan_days", r.LeftFanDays, MinLeftFanDays),
	}
	if r.InteractionDays > 0 && (r.InboxDays == 0 || r.InteractionDays < r.InboxDays) {
		errs = append(errs, fault.BadField("interaction_days", "outlive_inbox",
			"interactions are kept at least as long as the pushes that they were recorded from: give at least inbox_days, or 0 to keep them for ever"))
	}
	return errors.Join(errs...)
}

func checkDays(field string, days, least int) error {
	if days == 0 || days >= least && days <= MaxKeptDays {
		return nil
	}
	return fault.BadField(field, "range", "keep it for %d to %d days, or 0 for ever; not %d", least, MaxKeptDays, days)
}

const retentionColumns = "account_id, inbox_days, interaction_days, trace_days, left_fan_days, revision, inbox_cursor, interaction_cursor, trace_cursor, left_fan_cursor"

func readRetentions(tx *gorm.DB, where string, args ...any) (map[int64]Retention, error) {
	out := map[int64]Retention{}
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var r Retention
		var at [4]int64
		err := rows.Scan(&r.AccountID, &r.InboxDays, &r.InteractionDays, &r.TraceDays, &r.LeftFanDays, &r.Revision, &at[0], &at[1], &at[2], &at[3])
		if r.Revision == 0 { // the row is there for its cursors: the defaults are those of the program
			r = defaultRetention(r.AccountID)
		}
		r.cursors = map[Kept]int64{KeptInbox: at[0], KeptInteractions: at[1], KeptTraces: at[2], KeptLeftFans: at[3]}
		out[r.AccountID] = r
		return err
	}, "SELECT "+retentionColumns+" FROM retention_policies"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read retention policies: %w", err)
	}
	return out, nil
}

// FindRetention returns an account's policy: the defaults, with revision 0, until somebody sets one. Errors: NotFound.
func (s *Store) FindRetention(ctx context.Context, accountID int64) (Retention, error) {
	if _, err := s.FindAccount(ctx, accountID); err != nil {
		return Retention{}, err
	}
	found, err := readRetentions(s.db.Read(ctx), " WHERE account_id = ?", accountID)
	if err != nil {
		return Retention{}, err
	}
	if r, ok := found[accountID]; ok {
		return r, nil
	}
	return defaultRetention(accountID), nil
}

// FindRetentions returns the policies of all accounts, by account id.
func (s *Store) FindRetentions(ctx context.Context) ([]Retention, error) {
	all, err := s.FindAccounts(ctx)
	if err != nil {
		return nil, err
	}
	found, err := readRetentions(s.db.Read(ctx), "")
	if err != nil {
		return nil, err
	}
	out := make([]Retention, 0, len(all))
	for _, a := range all {
		r, ok := found[a.ID]
		if !ok {
			r = defaultRetention(a.ID)
		}
		out = append(out, r)
	}
	return out, nil
}

// UpdateRetention sets the policy of r.AccountID and returns it as it is then. Errors: Invalid with a field for each problem; NotFound; Conflict when
// somebody changed the policy since r.Revision.
func (s *Store) UpdateRetention(ctx context.Context, r Retention) (Retention, error) {
	if err := r.Validate(); err != nil {
		return Retention{}, err
	}
	if _, err := s.FindAccount(ctx, r.AccountID); err != nil {
		return Retention{}, err
	}
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := s.ensureRetention(tx, r.AccountID); err != nil {
			return err
		}
		res := tx.Exec("UPDATE retention_policies SET inbox_days = ?, interaction_days = ?, trace_days = ?, left_fan_days = ?, revision = revision + 1, updated_at = ? "+
			"WHERE account_id = ? AND revision = ?",
			r.InboxDays, r.InteractionDays, r.TraceDays, r.LeftFanDays, clock.Millis(s.clock.Now()), r.AccountID, r.Revision)
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "the retention policy was changed by somebody else; read it again")
		}
		return res.Error
	})
	if err != nil {
		return Retention{}, fmt.Errorf("update the retention policy of account %d: %w", r.AccountID, err)
	}
	return s.FindRetention(ctx, r.AccountID)
}

// ensureRetention makes sure that the account has a row. Its days do not count before the first revision.
func (s *Store) ensureRetention(tx *gorm.DB, accountID int64) error {
	d := defaultRetention(accountID)
	return tx.Exec(s.db.Dialect().InsertIgnore()+" retention_policies (account_id, inbox_days, interaction_days, trace_days, left_fan_days, revision, updated_at) "+
		"VALUES (?, ?, ?, ?, ?, 0, ?)", accountID, d.InboxDays, d.InteractionDays, d.TraceDays, d.LeftFanDays, clock.Millis(s.clock.Now())).Error
}

// MoveRetention stores how far the removal of a kind has come, if nobody else has moved it from where r says it was, and notes it in r.
func (s *Store) MoveRetention(ctx context.Context, r *Retention, k Kept, to int64) error {
	column := string(k) + "_cursor"
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := s.ensureRetention(tx, r.AccountID); err != nil {
			return err
		}
		res := tx.Exec("UPDATE retention_policies SET "+column+" = ? WHERE account_id = ? AND "+column+" = ?", to, r.AccountID, r.Cursor(k))
		if res.Error == nil && res.RowsAffected == 0 {
			return fault.New(fault.Conflict, "another process removes the same data")
		}
		return res.Error
	})
	if err != nil {
		return fmt.Errorf("store how far old data of account %d has been removed: %w", r.AccountID, err)
	}
	if r.cursors == nil {
		r.cursors = map[Kept]int64{}
	}
	r.cursors[k] = to
	return nil
}
