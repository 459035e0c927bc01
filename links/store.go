package links

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gorm.io/gorm"

	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Sealer encrypts secrets for the database. An accounts.Vault is one.
type Sealer interface {
	Seal(secret []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// Ledger knows the deliveries in which tracked addresses stand.
type Ledger interface {
	// DeliveryOf finds a delivery of an account: its fan and its message. Errors: NotFound.
	DeliveryOf(ctx context.Context, accountID, id int64) (fanID, messageID int64, err error)
	// Day numbers the calendar day of a moment, unix ms, in the account's zone.
	Day(tx *gorm.DB, accountID, at int64) (int, error)
}

// Fans knows the persons who open links.
type Fans interface {
	// Hold locks a fan until the end of the transaction; false for one who was erased.
	Hold(tx *gorm.DB, accountID, fanID int64) (bool, error)
	// Tapped takes that a fan opened a link of a delivery for the first time. The fan is held.
	Tapped(tx *gorm.DB, t Tap) error
}

// Tap is that a person opened a link.
type Tap struct {
	AccountID  int64
	FanID      int64
	DeliveryID int64
	LinkID     int64
	URL        string // where it led
	At         int64  // unix ms
}

// Options are what a Store is made of.
type Options struct {
	DB     *database.DB
	Clock  clock.Clock
	Sealer Sealer
	Ledger Ledger
	Fans   Fans
	// PublicURL is where fans reach this installation, without a slash at the end. "" while that is not known: nothing can be tracked then.
	PublicURL string
}

// Store makes tracked addresses and counts who opens them. It is safe for concurrent use.
type Store struct {
	o Options

	mu     sync.Mutex
	tokens *tokens // nil until the key has been read
	ids    map[place]int64
	links  map[int64]link
}

// place is an address of an account.
type place struct {
	accountID int64
	url       string
}

// link is a row of the table links.
type link struct {
	id int64
	place
}

// remembered is how many links a Store keeps in memory, each under its id and under its address.
const remembered = 10_000

// keyID is the row of the installation's signing key.
const keyID = 1

// New returns the tracked links kept in a database.
func New(o Options) *Store {
	return &Store{o: o, ids: map[place]int64{}, links: map[int64]link{}}
}

func (s *Store) now() int64 { return s.o.Clock.Now().UnixMilli() }

// Longest is the most bytes that a tracked address has; 0 while nothing can be tracked, because no public address is set.
func (s *Store) Longest() int {
	if s.o.PublicURL == "" {
		return 0
	}
	return len(s.o.PublicURL) + len(Path) + longestToken()
}

// Keep stores addresses of an account, those that are not there yet, so that tracked ones can lead to them. It is called when a drip is stored that tracks
// them.
func (s *Store) Keep(tx *gorm.DB, accountID int64, urls []string) error {
	if len(urls) == 0 {
		return nil
	}
	if err := s.makeKey(tx); err != nil {
		return err
	}
	sorted := slices.Clone(urls)
	slices.Sort(sorted)
	for _, url := range slices.Compact(sorted) {
		err := tx.Exec(s.o.DB.Dialect().InsertIgnore()+" links (account_id, url, url_hash, created_at) VALUES (?, ?, ?, ?)", accountID, url, hashOf(url), s.now()).Error
		if err != nil {
			return fmt.Errorf("store a link: %w", err)
		}
	}
	return nil
}

// hashOf stands for an address in the unique key, which cannot hold it whole.
func hashOf(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:])
}

// makeKey makes the signing key, unless there is one.
func (s *Store) makeKey(tx *gorm.DB) error {
	var there int64
	if err := tx.Raw("SELECT COUNT(*) FROM link_keys WHERE id = ?", keyID).Scan(&there).Error; err != nil || there > 0 {
		return err
	}
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make the key of links: %w", err)
	}
	sealed, err := s.o.Sealer.Seal(key)
	if err != nil {
		return fmt.Errorf("make the key of links: %w", err)
	}
	if err := tx.Exec(s.o.DB.Dialect().InsertIgnore()+" link_keys (id, secret, created_at) VALUES (?, ?, ?)", keyID, sealed, s.now()).Error; err != nil {
		return fmt.Errorf("make the key of links: %w", err)
	}
	return nil
}

// errNoKey tells that this installation has never tracked anything.
var errNoKey = errors.New("there is no key of links: no drip that tracks links has been stored")

// signer reads the key, once: it never changes.
func (s *Store) signer(ctx context.Context) (*tokens, error) {
	s.mu.Lock()
	found := s.tokens
	s.mu.Unlock()
	if found != nil {
		return found, nil
	}
	var sealed []byte
	err := database.EachRow(s.o.DB.Read(ctx), func(rows *sql.Rows) error { return rows.Scan(&sealed) }, "SELECT secret FROM link_keys WHERE id = ?", keyID)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "read the key of links")
	}
	if sealed == nil {
		return nil, errNoKey
	}
	key, err := s.o.Sealer.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("read the key of links: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = &tokens{key: key}
	return s.tokens, nil
}

// Tracked returns the tracked addresses that stand for addresses in a delivery. Addresses that were not kept are missing from it, and so are all while no public
// address is set: they are sent as they are. Mostly it reads nothing. Errors: Unavailable.
func (s *Store) Tracked(ctx context.Context, accountID, deliveryID int64, urls []string) (map[string]string, error) {
	out := make(map[string]string, len(urls))
	if s.o.PublicURL == "" {
		return out, nil
	}
	t, err := s.signer(ctx)
	if errors.Is(err, errNoKey) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, url := range urls {
		id, err := s.idOf(ctx, place{accountID, url})
		if err != nil {
			return nil, err
		}
		if id != 0 {
			out[url] = s.o.PublicURL + Path + t.write(id, deliveryID)
		}
	}
	return out, nil
}

// idOf finds a link by its address; 0 when there is none.
func (s *Store) idOf(ctx context.Context, p place) (int64, error) {
	s.mu.Lock()
	id, known := s.ids[p]
	s.mu.Unlock()
	if known {
		return id, nil
	}
	found, err := s.find(ctx, "account_id = ? AND url_hash = ?", p.accountID, hashOf(p.url))
	return found.id, err
}

// linkOf finds a link by its id; the zero link when there is none.
func (s *Store) linkOf(ctx context.Context, id int64) (link, error) {
	s.mu.Lock()
	found, known := s.links[id]
	s.mu.Unlock()
	if known {
		return found, nil
	}
	return s.find(ctx, "id = ?", id)
}

// find reads a link and remembers it: links never change.
func (s *Store) find(ctx context.Context, where string, args ...any) (link, error) {
	var out link
	err := database.EachRow(s.o.DB.Read(ctx), func(rows *sql.Rows) error { return rows.Scan(&out.id, &out.accountID, &out.url) },
		"SELECT id, account_id, url FROM links WHERE "+where, args...)
	if err != nil {
		return link{}, fault.Wrap(fault.Unavailable, err, "read a link")
	}
	if out.id == 0 {
		return out, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.links) >= remembered {
		clear(s.links)
		clear(s.ids)
	}
	s.links[out.id], s.ids[out.place] = out, out.id
	return out, nil
}
