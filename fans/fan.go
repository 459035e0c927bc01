package fans

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/limits"
)

// Fan is a person as one account sees them.
type Fan struct {
	ID        int64
	AccountID int64
	OpenID    string
	Nickname  string
	Remark    string
	Language  string
	// Scene is that of the code through which the fan came, "" if none.
	Scene          string
	Subscribed     bool
	Blacklisted    bool
	OptedOut       bool
	Refused        bool  // the platform said that the fan switched messages off (48002)
	SubscribedAt   int64 // latest follow known
	UnsubscribedAt int64 // latest unfollow known
	InteractedAt   int64 // latest interaction
	CreatedAt      int64
}

// Store reads and writes fans.
type Store struct {
	db     *database.DB
	clock  clock.Clock
	limits *limits.Store
}

// New returns the fans kept in db.
func New(db *database.DB, clk clock.Clock, lim *limits.Store) *Store {
	return &Store{db: db, clock: clk, limits: lim}
}

const fanColumns = "id, account_id, openid, nickname, remark, language, scene, subscribed, blacklisted, opted_out, refused, " +
	"subscribed_at, unsubscribed_at, interacted_at, created_at"

func (f *Fan) fields() []any {
	return []any{
		&f.ID, &f.AccountID, &f.OpenID, &f.Nickname, &f.Remark, &f.Language, &f.Scene, &f.Subscribed, &f.Blacklisted, &f.OptedOut, &f.Refused,
		&f.SubscribedAt, &f.UnsubscribedAt, &f.InteractedAt, &f.CreatedAt,
	}
}

func scanFan(into func(*Fan)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		f := &Fan{}
		if err := rows.Scan(f.fields()...); err != nil {
			return err
		}
		into(f)
		return nil
	}
}

// ByIDs reads fans of an account. Unknown ids are missing from the result.
func (s *Store) ByIDs(tx *gorm.DB, accountID int64, ids []int64) (map[int64]*Fan, error) {
	out := make(map[int64]*Fan, len(ids))
	// The plus keeps SQLite from walking the account's index instead of looking the ids up; so everywhere that rows are asked for by id.
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		err := database.EachRow(tx, scanFan(func(f *Fan) { out[f.ID] = f }),
			"SELECT "+fanColumns+" FROM fans WHERE id IN ? AND +account_id = ?", chunk, accountID)
		if err != nil {
			return nil, fmt.Errorf("read fans: %w", err)
		}
	}
	return out, nil
}

func (s *Store) byOpenIDs(tx *gorm.DB, accountID int64, openids []string) (map[string]*Fan, error) {
	out := make(map[string]*Fan, len(openids))
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		err := database.EachRow(tx, scanFan(func(f *Fan) { out[f.OpenID] = f }),
			"SELECT "+fanColumns+" FROM fans WHERE account_id = ? AND openid IN ?", accountID, chunk)
		if err != nil {
			return nil, fmt.Errorf("read fans: %w", err)
		}
	}
	return out, nil
}

// FindFanByOpenID finds one fan. Errors: NotFound.
func (s *Store) FindFanByOpenID(ctx context.Context, accountID int64, openid string) (*Fan, error) {
	found, err := s.byOpenIDs(s.db.Read(ctx), accountID, []string{openid})
	if err != nil {
		return nil, err
	}
	if found[openid] == nil {
		return nil, fault.New(fault.NotFound, "this account has no fan with that openid")
	}
	return found[openid], nil
}

// FanFilter narrows FindFans. The zero value takes everybody.
type FanFilter struct {
	AfterID int64 // fans with a greater id
	Limit   int   // at most; 0 means 50
}

// FindFans lists fans of an account by id.
func (s *Store) FindFans(ctx context.Context, accountID int64, filter FanFilter) ([]*Fan, error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	var out []*Fan
	err := database.EachRow(s.db.Read(ctx), scanFan(func(f *Fan) { out = append(out, f) }),
		"SELECT "+fanColumns+" FROM fans WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?", accountID, filter.AfterID, filter.Limit)
	if err != nil {
		return nil, fmt.Errorf("list fans: %w", err)
	}
	return out, nil
}

// Learn records what the platform's answers to sends taught about fans.
func (s *Store) Learn(tx *gorm.DB, now, accountID int64, gone, refused []int64) error {
	if len(gone) > 0 {
		err := tx.Exec("UPDATE fans SET subscribed = 0, unsubscribed_at = ? WHERE account_id = ? AND id IN ? AND subscribed = 1", now, accountID, gone).Error
		if err != nil {
			return fmt.Errorf("mark fans as gone: %w", err)
		}
	}
	if len(refused) > 0 {
		if err := tx.Exec("UPDATE fans SET refused = 1 WHERE account_id = ? AND id IN ?", accountID, refused).Error; err != nil {
			return fmt.Errorf("mark fans as refusing: %w", err)
		}
	}
	return nil
}

// CountSubscribed counts the people who follow the account now.
func (s *Store) CountSubscribed(ctx context.Context, accountID int64) (int64, error) {
	var n int64
	if err := s.db.Read(ctx).Raw("SELECT COUNT(*) FROM fans WHERE account_id = ? AND subscribed = 1", accountID).Scan(&n).Error; err != nil {
		return 0, fmt.Errorf("count fans: %w", err)
	}
	return n, nil
}
