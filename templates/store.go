package templates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// cached is how many templates a Store keeps in memory: far more than an installation has in use at a time, and at
// about 2 KiB each not a burden.
const cached = 4096

// Store keeps messages. It is safe for concurrent use.
type Store struct {
	db  *database.DB
	clk clock.Clock

	mu    sync.Mutex
	cache map[cacheKey]*Template
}

// cacheKey holds the account, so that no other account can be served from the cache.
type cacheKey struct{ accountID, id int64 }

// New returns the messages kept in db.
func New(db *database.DB, clk clock.Clock) *Store {
	return &Store{db: db, clk: clk, cache: map[cacheKey]*Template{}}
}

// row is a row of the table messages.
type row struct {
	ID         int64 `gorm:"primaryKey"`
	AccountID  int64
	Content    string
	TrackLinks bool
	CreatedAt  int64
}

// TableName names the table for gorm.
func (row) TableName() string { return "messages" }

// Draft is a message to store.
type Draft struct {
	wechat.Message
	TrackLinks bool // its links are tracked
}

// Save stores messages and returns their ids in the same order. Errors are those of Compile, under messages[i].
func (s *Store) Save(tx *gorm.DB, accountID int64, messages []wechat.Message) ([]int64, error) {
	drafts := make([]Draft, len(messages))
	for i, m := range messages {
		drafts[i].Message = m
	}
	return s.SaveDrafts(tx, accountID, drafts)
}

// SaveDrafts is Save for messages whose links may be tracked.
func (s *Store) SaveDrafts(tx *gorm.DB, accountID int64, messages []Draft) ([]int64, error) {
	now := s.clk.Now()
	rules := wechat.RulesAt(now)
	rows := make([]row, len(messages))
	var errs []error
	for i, m := range messages {
		if _, err := Compile(m.Message, rules); err != nil {
			errs = append(errs, fault.Prefix(fmt.Sprintf("messages[%d]", i), err))
			continue
		}
		raw, err := m.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("store a message: %w", err)
		}
		rows[i] = row{AccountID: accountID, Content: string(raw), TrackLinks: m.TrackLinks, CreatedAt: clock.Millis(now)}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	ids := make([]int64, len(rows))
	for i := range rows {
		if err := tx.Create(&rows[i]).Error; err != nil {
			return nil, fmt.Errorf("store a message: %w", err)
		}
		ids[i] = rows[i].ID
	}
	return ids, nil
}

// Get returns one template. Errors: fault.NotFound when the account has no such message.
func (s *Store) Get(ctx context.Context, accountID, id int64) (*Template, error) {
	found, err := s.Load(ctx, accountID, []int64{id})
	if err != nil {
		return nil, err
	}
	if found[id] == nil {
		return nil, fault.New(fault.NotFound, "there is no message %d", id)
	}
	return found[id], nil
}

// Load returns templates by id, with one query for those that are not in memory. Ids that the account does not have
// are missing from the result. The text limit is that of the rule set which holds when a template is first loaded.
func (s *Store) Load(ctx context.Context, accountID int64, ids []int64) (map[int64]*Template, error) {
	out := make(map[int64]*Template, len(ids))
	missing := s.fromCache(accountID, ids, out)
	for chunk := range slices.Chunk(missing, database.ChunkSize) {
		var rows []row
		err := s.db.Read(ctx).Raw("SELECT id, content, track_links FROM messages WHERE account_id = ? AND id IN ?", accountID, chunk).Scan(&rows).Error
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, err, "read messages")
		}
		for _, r := range rows {
			if out[r.ID], err = s.compileStored(r); err != nil {
				return nil, fmt.Errorf("message %d: %w", r.ID, err)
			}
			s.keep(cacheKey{accountID, r.ID}, out[r.ID])
		}
	}
	return out, nil
}

// compileStored does not check the message again: it was checked when it was stored, and the platform is the judge
// of messages that older rules allowed.
func (s *Store) compileStored(r row) (*Template, error) {
	var m wechat.Message
	if err := m.UnmarshalJSON([]byte(r.Content)); err != nil {
		return nil, err
	}
	return compile(m, wechat.RulesAt(s.clk.Now()), r.TrackLinks)
}

func (s *Store) fromCache(accountID int64, ids []int64, out map[int64]*Template) (missing []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if t := s.cache[cacheKey{accountID, id}]; t != nil {
			out[id] = t
		} else if !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
	}
	return missing
}

// keep drops any one template when the cache is full: a map's order is as good a choice as any for a cache that
// rarely is.
func (s *Store) keep(key cacheKey, t *Template) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cache) >= cached {
		for old := range s.cache {
			delete(s.cache, old)
			break
		}
	}
	s.cache[key] = t
}
