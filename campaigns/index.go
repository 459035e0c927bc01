package campaigns

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/stops"
)

// keptVersions is how many compiled versions a process keeps: more than an installation has fans in.
const keptVersions = 2048

// cache keeps in memory what would otherwise be parsed for every act of a fan.
type cache struct {
	mu       sync.Mutex
	running  map[int64]indexed   // by account
	lookedAt map[int64]time.Time // when running was last known to be current, by account
	versions map[int64]*version  // by id; versions are immutable
	// reactions are the versions in use, by account; see reactionsOf.
	reactions map[int64]*reactions
}

// indexed is an account's running drips as of a stop epoch: every change of a drip raises it.
type indexed struct {
	epoch int64
	drips []*Running
}

func newCache() cache {
	return cache{running: map[int64]indexed{}, lookedAt: map[int64]time.Time{}, versions: map[int64]*version{}, reactions: map[int64]*reactions{}}
}

func (x *cache) runningAt(accountID, epoch int64) ([]*Running, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	found, known := x.running[accountID]
	return found.drips, known && found.epoch == epoch
}

func (x *cache) keepRunning(accountID int64, found indexed) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if found.epoch >= x.running[accountID].epoch {
		x.running[accountID] = found
	}
}

func (x *cache) version(id int64) *version {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.versions[id]
}

func (x *cache) keepVersion(v *version) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.versions) >= keptVersions {
		for id := range x.versions {
			delete(x.versions, id)
			break
		}
	}
	x.versions[v.id] = v
}

// runningDrips returns the drips that fans of the account can enter. The epoch is read before the drips, so that what is
// kept under it is never older than it says.
func (s *Store) runningDrips(tx *gorm.DB, accountID int64) ([]*Running, error) {
	epoch, err := stops.Epoch(tx)
	if err != nil {
		return nil, err
	}
	if drips, fresh := s.cache.runningAt(accountID, epoch); fresh {
		return drips, nil
	}
	var drips []*Running
	var versionIDs []int64
	err = database.EachRow(tx, func(rows *sql.Rows) error {
		r := &Running{}
		var versionID int64
		err := rows.Scan(&r.ID, &r.Priority, &versionID)
		drips, versionIDs = append(drips, r), append(versionIDs, versionID)
		return err
	}, "SELECT id, priority, version_id FROM campaigns WHERE account_id = ? AND state = ? AND kind = ? ORDER BY id", accountID, StateRunning, kindDrip)
	if err != nil {
		return nil, fmt.Errorf("read running drips: %w", err)
	}
	versions, err := s.versionsByID(tx, accountID, versionIDs)
	if err != nil {
		return nil, err
	}
	for i, r := range drips {
		r.version = versions[versionIDs[i]]
	}
	s.cache.keepRunning(accountID, indexed{epoch: epoch, drips: drips})
	return drips, nil
}

// versionsByID returns compiled versions; all of the ids exist.
func (s *Store) versionsByID(tx *gorm.DB, accountID int64, ids []int64) (map[int64]*version, error) {
	out := make(map[int64]*version, len(ids))
	var missing []int64
	for _, id := range ids {
		if v := s.cache.version(id); v != nil {
			out[id] = v
		} else {
			missing = append(missing, id)
		}
	}
	for chunk := range slices.Chunk(database.SortedSet(missing), database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var id int64
			var raw string
			if err := rows.Scan(&id, &raw); err != nil {
				return err
			}
			v, err := compileStored(id, raw)
			if err != nil {
				return err
			}
			out[id] = v
			s.cache.keepVersion(v)
			return nil
		}, "SELECT id, definition FROM campaign_versions WHERE account_id = ? AND id IN ?", accountID, chunk)
		if err != nil {
			return nil, fmt.Errorf("read drip versions: %w", err)
		}
	}
	for _, id := range ids {
		if out[id] == nil {
			return nil, fmt.Errorf("drip version %d is missing", id)
		}
	}
	return out, nil
}

// Sending is what the worker's guard needs to know of a campaign.
type Sending struct {
	Stopped bool       // in any state but running
	Caps    guard.Caps // its own
}

// Sending reads, for the fact base of a decision, how campaigns of an account stand now. Unknown ids are missing from the result.
func (s *Store) Sending(tx *gorm.DB, accountID int64, ids []int64) (map[int64]Sending, error) {
	states, versionIDs, err := s.states(tx, accountID, ids, "")
	if err != nil {
		return nil, err
	}
	all := make([]int64, 0, len(versionIDs))
	for _, id := range versionIDs {
		all = append(all, id)
	}
	versions, err := s.versionsByID(tx, accountID, all)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]Sending, len(states))
	for id, state := range states {
		out[id] = Sending{Stopped: state != StateRunning, Caps: versions[versionIDs[id]].caps}
	}
	return out, nil
}

// RunningIDs lists the campaigns that may send, of all accounts, for the loader of package stops.
func (s *Store) RunningIDs(tx *gorm.DB) ([]int64, error) {
	var ids []int64
	if err := tx.Raw("SELECT id FROM campaigns WHERE state = ?", StateRunning).Scan(&ids).Error; err != nil {
		return nil, fmt.Errorf("list running campaigns: %w", err)
	}
	return ids, nil
}

// states reads drips' states and versions. With share as suffix, the states cannot change until the transaction ends.
func (s *Store) states(tx *gorm.DB, accountID int64, ids []int64, suffix string) (map[int64]State, map[int64]int64, error) {
	states, versions := make(map[int64]State, len(ids)), make(map[int64]int64, len(ids))
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var id, versionID int64
		var state State
		if err := rows.Scan(&id, &state, &versionID); err != nil {
			return err
		}
		states[id], versions[id] = state, versionID
		return nil
	}, "SELECT id, state, version_id FROM campaigns WHERE account_id = ? AND id IN ? AND kind = ? ORDER BY id"+suffix, accountID, database.SortedSet(ids), kindDrip)
	if err != nil {
		return nil, nil, fmt.Errorf("read drips' states: %w", err)
	}
	return states, versions, nil
}

// share is the end of a SELECT whose rows others may read but not change until the transaction ends: who plans messages
// holds it on the drip, so that a stop never runs past a plan that it does not see. SQLite has one writer and needs none.
func (s *Store) share() string {
	if s.DB.Dialect() == database.SQLite {
		return ""
	}
	return " LOCK IN SHARE MODE"
}

// hintFor is how old the list of running drips may be where it is only a hint.
const hintFor = 200 * time.Millisecond

// recentDrips is runningDrips without a query for each push.
func (s *Store) recentDrips(tx *gorm.DB, accountID int64) ([]*Running, error) {
	now := s.Clock.Now()
	if drips, recent := s.cache.recent(accountID, now); recent {
		return drips, nil
	}
	drips, err := s.runningDrips(tx, accountID)
	if err == nil {
		s.cache.looked(accountID, now)
	}
	return drips, err
}

func (x *cache) recent(accountID int64, now time.Time) ([]*Running, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at, known := x.lookedAt[accountID]
	return x.running[accountID].drips, known && now.Sub(at) < hintFor
}

func (x *cache) looked(accountID int64, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lookedAt[accountID] = now
}

// MayAnswer reports whether a running drip would answer an act at once, so that it is worth while to wait for a passive reply. It says nothing of
// re-entry and policy.
func (s *Store) MayAnswer(tx *gorm.DB, accountID int64, act *Act) (bool, error) {
	running, err := s.recentDrips(tx, accountID)
	if err != nil {
		return false, err
	}
	for _, r := range Match(running, act) {
		if r.answersAtOnce() {
			return true, nil
		}
	}
	return false, nil
}
