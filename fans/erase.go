package fans

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Cause says why persons were erased. The names are stored.
type Cause string

// The causes.
const (
	CauseMember    Cause = "member"    // a member did it, mostly because the person asked for it
	CauseWithdrawn Cause = "withdrawn" // the platform told that the person closed their WeChat account
	CauseAccount   Cause = "account"   // the account's owner withdrew the authorisation, or the account is given up
)

// Erasure is the record that persons were erased: nothing of who they were.
type Erasure struct {
	ID        int64
	AccountID int64
	Cause     Cause
	Fans      int64 // how many
	At        int64
}

// Forgetter is a room that plans something for fans, or keeps something about them. Erase tells each, in its transaction.
type Forgetter interface {
	// Forget ends what is planned for fans and removes what it keeps of who they are. Counts stay. ids are sorted; repeating it is harmless.
	Forget(tx *gorm.DB, now, accountID int64, ids []int64) error
}

// Tell makes Erase tell other rooms. It is called once, where the rooms are joined and before the store is used.
func (s *Store) Tell(rooms ...Forgetter) { s.forgetters = append(s.forgetters, rooms...) }

const (
	// erasedPrefix begins what stands in place of an erased fan's openid, before the fan's id: unique as the openid was, and with nothing of it. No
	// openid has a colon.
	erasedPrefix = "erased:"
	// eraseSlice is how many fans are erased in one transaction, with all that is kept of them.
	eraseSlice = 200
	// MaxErased is how many fans EraseFans takes at once; all of an account are erased by a job.
	MaxErased = 1000
)

// Erased reports whether the person behind this row was erased: the row stays for the counts, and nobody can be reached by it.
func (f *Fan) Erased() bool { return strings.HasPrefix(f.OpenID, erasedPrefix) }

// Erase removes what identifies or describes fans of an account: who they are, their tags and attributes, what they wrote and did, and what is planned for
// them. The rows that count stay: interactions by kind and time, the ledger, limits. A send that was decided before is decided anew and skipped; one that is
// on the wire is recorded. The openid is gone as well, so a person who comes back is a new fan. Unknown and erased ids are left out.
//
// now is in unix milliseconds; ids are some hundreds at most, because all that is kept of them is changed at once. What is erased is recorded with CauseMember; the platform keeps what it knows, and a synchronisation finds a person who
// still follows again.
func (s *Store) Erase(tx *gorm.DB, now, accountID int64, ids []int64) error {
	n, err := s.erase(tx, now, accountID, ids)
	if err != nil {
		return err
	}
	return recordErasure(tx, Erasure{AccountID: accountID, Cause: CauseMember, Fans: n, At: now})
}

// EraseFans erases up to MaxErased fans, as a member wishes: see Erase. Errors: Invalid; NotFound when one of them is unknown, and then nobody is erased.
// It may be repeated when it was cut short.
func (s *Store) EraseFans(ctx context.Context, accountID int64, ids []int64) error {
	ids = database.SortedSet(ids)
	if len(ids) == 0 || len(ids) > MaxErased {
		return fault.BadField("fan_ids", "count", "name 1 to %d fans; for all fans of an account start the job %s", MaxErased, EraseAllKind)
	}
	if _, err := s.allKnown(ctx, accountID, ids); err != nil {
		return err
	}
	for slice := range slices.Chunk(ids, eraseSlice) {
		if err := s.db.Tx(ctx, func(tx *gorm.DB) error { return s.Erase(tx, s.now(), accountID, slice) }); err != nil {
			return fmt.Errorf("erase fans: %w", err)
		}
	}
	return nil
}

// allKnown reads fans, and fails when one of the ids is no fan of the account.
func (s *Store) allKnown(ctx context.Context, accountID int64, ids []int64) (map[int64]*Fan, error) {
	found, err := s.ByIDs(s.db.Read(ctx), accountID, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if found[id] == nil {
			return nil, fault.New(fault.NotFound, "this account has no fan %d", id)
		}
	}
	return found, nil
}

// EraseWithdrawn erases the persons with these openids, because the platform told that they closed their WeChat accounts, and what they sent who never
// became fans. It belongs into the transaction that ends the work on the platform's pushes.
func (s *Store) EraseWithdrawn(tx *gorm.DB, now, accountID int64, openids []string) error {
	found, err := s.byOpenIDs(tx, accountID, openids)
	if err != nil {
		return err
	}
	ids := make([]int64, 0, len(found))
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	n, err := s.erase(tx, now, accountID, ids)
	if err != nil {
		return err
	}
	if err := clearPushesOf(tx, accountID, openids); err != nil {
		return err
	}
	return recordErasure(tx, Erasure{AccountID: accountID, Cause: CauseWithdrawn, Fans: n, At: now})
}

// erase does the work of Erase and returns how many persons that were.
func (s *Store) erase(tx *gorm.DB, now, accountID int64, ids []int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	// First the limits, as everybody who changes how a fan may be reached: what was decided by them is decided anew.
	if _, err := s.limits.LockVersions(tx, accountID, ids); err != nil {
		return 0, err
	}
	ids, err := s.holdFans(tx, accountID, ids)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if err := s.limits.Touch(tx, accountID, ids); err != nil {
		return 0, err
	}
	fans, err := s.ByIDs(tx, accountID, ids)
	if err != nil {
		return 0, err
	}
	openids := make([]string, 0, len(fans))
	for _, f := range fans {
		openids = append(openids, f.OpenID)
	}
	slices.Sort(openids)
	for _, step := range []func() error{
		func() error { return clearPushesOf(tx, accountID, openids) },
		func() error { return clearInteractions(tx, accountID, ids) },
		func() error { return s.dropAllTags(tx, accountID, ids) },
		func() error { return dropAllAttributes(tx, accountID, ids) },
		func() error { return clearFans(tx, now, accountID, ids) },
	} {
		if err := step(); err != nil {
			return 0, err
		}
	}
	for _, room := range s.forgetters {
		if err := room.Forget(tx, now, accountID, ids); err != nil {
			return 0, fmt.Errorf("erase fans: %w", err)
		}
	}
	return int64(len(ids)), nil
}

// clearFans makes rows of fans into rows of nobody: they count, and cannot be written to. unsubscribed_at comes before subscribed, because MySQL assigns in
// this order.
func clearFans(tx *gorm.DB, now, accountID int64, ids []int64) error {
	err := tx.Exec("UPDATE fans SET openid = CONCAT('"+erasedPrefix+"', id), unionid = '', nickname = '', avatar_url = '', remark = '', language = '', follow_source = '', scene = '', "+
		"unsubscribed_at = CASE WHEN subscribed = 1 THEN ? ELSE unsubscribed_at END, subscribed = 0, blacklisted = 0, opted_out = 0, refused = 0, listed_job = 0 "+
		"WHERE id IN ? AND +account_id = ?", now, ids, accountID).Error
	if err != nil {
		return fmt.Errorf("erase fans: %w", err)
	}
	return nil
}

// clearPushesOf empties the pushes of openids.
func clearPushesOf(tx *gorm.DB, accountID int64, openids []string) error {
	for chunk := range slices.Chunk(openids, database.ChunkSize) {
		// That it is not empty is said because SQLite's index leaves empty ones out.
		if err := clearPushes(tx, "openid IN ? AND openid <> '' AND +account_id = ?", chunk, accountID); err != nil {
			return err
		}
	}
	return nil
}

// clearPushes empties pushes, with the replies that were given. What was not acted upon is not acted upon any more: it would make the person a fan
// again. Only a push whose reply was taken stays open, so that the reply's delivery is ended.
func clearPushes(tx *gorm.DB, where string, args ...any) error {
	err := tx.Exec("UPDATE inbox SET openid = '', body = '', reply = NULL, error = '', pending_at = CASE WHEN reply_state = ? THEN pending_at ELSE NULL END WHERE "+where,
		append([]any{ReplyTaken}, args...)...).Error
	if err != nil {
		return fmt.Errorf("erase pushes: %w", err)
	}
	return nil
}

// clearInteractions keeps that something was done and when, not what was written or chosen.
func clearInteractions(tx *gorm.DB, accountID int64, ids []int64) error {
	if err := tx.Exec("UPDATE interactions SET detail = '' WHERE fan_id IN ? AND +account_id = ? AND detail <> ''", ids, accountID).Error; err != nil {
		return fmt.Errorf("erase interactions: %w", err)
	}
	return nil
}

// dropAllTags relieves locked fans of all tags.
func (s *Store) dropAllTags(tx *gorm.DB, accountID int64, ids []int64) error {
	var drop []member
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var m member
		err := rows.Scan(&m.tag, &m.fan)
		drop = append(drop, m)
		return err
	}, "SELECT tag_id, fan_id FROM fan_tags WHERE fan_id IN ? AND +account_id = ?", ids, accountID)
	if err != nil {
		return fmt.Errorf("read the tags of fans: %w", err)
	}
	return s.dropMembers(tx, drop)
}

func dropAllAttributes(tx *gorm.DB, accountID int64, ids []int64) error {
	if err := tx.Exec("DELETE FROM fan_attributes WHERE fan_id IN ? AND account_id = ?", ids, accountID).Error; err != nil {
		return fmt.Errorf("erase attributes: %w", err)
	}
	return nil
}

func recordErasure(tx *gorm.DB, e Erasure) error {
	if e.Fans == 0 {
		return nil
	}
	if err := tx.Exec("INSERT INTO erasures (account_id, cause, fans, at) VALUES (?, ?, ?, ?)", e.AccountID, e.Cause, e.Fans, e.At).Error; err != nil {
		return fmt.Errorf("record an erasure: %w", err)
	}
	return nil
}

// FindErasures lists the newest records of an account, at most n with an id below before; 0 means from the newest on.
func (s *Store) FindErasures(ctx context.Context, accountID, before int64, n int) ([]Erasure, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	var out []Erasure
	err := database.EachRow(s.db.Read(ctx), func(rows *sql.Rows) error {
		var e Erasure
		err := rows.Scan(&e.ID, &e.AccountID, &e.Cause, &e.Fans, &e.At)
		out = append(out, e)
		return err
	}, "SELECT id, account_id, cause, fans, at FROM erasures WHERE account_id = ? AND id < ? ORDER BY id DESC LIMIT ?", accountID, before, n)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return out, nil
}
