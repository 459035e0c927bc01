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
	UnionID   string // the same person at the other accounts of one Open Platform account; "" if unknown
	Nickname  string // by OAuth, with the fan's consent; the platform gives it no other way
	AvatarURL string // likewise
	Remark    string
	Language  string
	// FollowSource is how the fan found the account, as the platform names it (ADD_SCENE_…, platform.md 7.1); "" if unknown.
	FollowSource string
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
	db         *database.DB
	clock      clock.Clock
	limits     *limits.Store
	forgetters []Forgetter // see Tell
	watcher    TagWatcher  // see Watch
}

// New returns the fans kept in db.
func New(db *database.DB, clk clock.Clock, lim *limits.Store) *Store {
	return &Store{db: db, clock: clk, limits: lim}
}

const fanColumns = "id, account_id, openid, unionid, nickname, avatar_url, remark, language, follow_source, scene, subscribed, blacklisted, opted_out, refused, " +
	"subscribed_at, unsubscribed_at, interacted_at, created_at"

func (f *Fan) fields() []any {
	return []any{
		database.Int(&f.ID), database.Int(&f.AccountID), &f.OpenID, &f.UnionID, &f.Nickname, &f.AvatarURL, &f.Remark, &f.Language, &f.FollowSource, &f.Scene, &f.Subscribed, &f.Blacklisted, &f.OptedOut, &f.Refused,
		database.Int(&f.SubscribedAt), database.Int(&f.UnsubscribedAt), database.Int(&f.InteractedAt), database.Int(&f.CreatedAt),
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
	for chunk := range slices.Chunk(database.SortedSet(ids), database.ChunkSize) {
		among, args := database.Among("id", chunk)
		err := database.EachRow(tx, scanFan(func(f *Fan) { out[f.ID] = f }),
			"SELECT "+fanColumns+" FROM fans WHERE "+among+" AND +account_id = ?", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read fans: %w", err)
		}
	}
	return out, nil
}

// Known is a fan and its limits, as one statement saw them.
type Known struct {
	Fan   *Fan
	Usage limits.Usage
}

// reachColumns is what sending to a fan takes, and no more: the read of the send path.
const reachColumns = "f.id, f.account_id, f.openid, f.nickname, f.remark, f.scene, f.subscribed, f.blacklisted, f.opted_out, f.refused, f.subscribed_at, "

// WithLimits reads how fans of an account may be reached. A fan without limits has those of one who never did anything; unknown ids are missing
// from the result. Of a fan, only what its variables and the guard need is read.
func (s *Store) WithLimits(tx *gorm.DB, accountID int64, ids []int64) (map[int64]Known, error) {
	out := make(map[int64]Known, len(ids))
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		among, args := database.Among("f.id", chunk)
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			k := Known{Fan: &Fan{}}
			f := k.Fan
			err := rows.Scan(append([]any{
				database.Int(&f.ID), database.Int(&f.AccountID), &f.OpenID, &f.Nickname, &f.Remark, &f.Scene, &f.Subscribed, &f.Blacklisted, &f.OptedOut, &f.Refused,
				database.Int(&f.SubscribedAt),
			}, k.Usage.Fields()...)...)
			out[f.ID] = k
			return err
		}, "SELECT "+reachColumns+limits.Columns("l.")+" FROM fans f JOIN fan_limits l ON l.fan_id = f.id WHERE "+among+" AND +f.account_id = ?", append(args, accountID)...)
		if err != nil {
			return nil, fmt.Errorf("read fans with their limits: %w", err)
		}
	}
	return out, s.withoutLimits(tx, accountID, ids, out)
}

// withoutLimits adds the fans who have no limits yet.
func (s *Store) withoutLimits(tx *gorm.DB, accountID int64, ids []int64, out map[int64]Known) error {
	missing := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return out[id].Fan != nil })
	if len(missing) == 0 {
		return nil
	}
	found, err := s.ByIDs(tx, accountID, missing)
	for id, f := range found {
		out[id] = Known{Fan: f, Usage: limits.Usage{FanID: id, AccountID: accountID}}
	}
	return err
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
	if err := s.db.Read(ctx).Raw("SELECT COUNT(*) FROM fans WHERE blacklisted IN (0, 1) AND subscribed = 1 AND account_id = ?", accountID).Scan(&n).Error; err != nil {
		return 0, fmt.Errorf("count fans: %w", err)
	}
	return n, nil
}
