package accounts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// LastCheck returns the report of an account's last check. Errors: NotFound when there was none.
func (c *Checker) LastCheck(ctx context.Context, accountID int64) (*Report, error) {
	report, _, err := c.load(ctx, accountID)
	if err != nil {
		return nil, err
	}
	if report.StartedAt == 0 {
		return nil, fault.New(fault.NotFound, "account %d has not been checked yet", accountID)
	}
	return report, nil
}

// load reads what the last check left, an empty report when there was none.
func (c *Checker) load(ctx context.Context, accountID int64) (*Report, refusal, error) {
	report, ref := &Report{AccountID: accountID}, refusal{}
	var raw []byte
	err := c.o.DB.Read(ctx).Raw("SELECT report, refused_at, refused_reason FROM account_checks WHERE account_id = ?", accountID).
		Row().Scan(&raw, &ref.at, &ref.reason)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return report, ref, nil
	case err != nil:
		return nil, ref, fmt.Errorf("read the check of account %d: %w", accountID, err)
	case len(raw) == 0: // pushes were refused, but nothing has been checked yet
		return report, ref, nil
	}
	if err := json.Unmarshal(raw, report); err != nil {
		return nil, ref, fmt.Errorf("read the check of account %d: %w", accountID, err)
	}
	return report, ref, nil
}

// save stores a report unless a newer one is there: a check by hand and the hour's may overlap.
func (c *Checker) save(ctx context.Context, report *Report) error {
	raw, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("store the check of account %d: %w", report.AccountID, err)
	}
	err = c.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		if err := c.firstRow(tx, report.AccountID); err != nil {
			return err
		}
		// No row means that a newer report is there, which is as good.
		return tx.Exec("UPDATE account_checks SET checked_at = ?, report = ? WHERE account_id = ? AND checked_at <= ?",
			report.StartedAt, string(raw), report.AccountID, report.StartedAt).Error
	})
	if err != nil {
		return fmt.Errorf("store the check of account %d: %w", report.AccountID, err)
	}
	return nil
}

func (c *Checker) firstRow(tx *gorm.DB, accountID int64) error {
	return tx.Exec(c.o.DB.Dialect().InsertIgnore()+" account_checks (account_id, checked_at, report, refused_at, refused_reason) VALUES (?, 0, '', 0, '')",
		accountID).Error
}

// PushRefusal is why a push to an account was refused, as far as it tells something about the account's settings. The
// names are stored.
type PushRefusal string

// The refusals. The first two can be provoked by anybody who knows the address; the others come from somebody who knows
// the account's Token.
const (
	RefusedSignature PushRefusal = "signature" // made with another Token
	RefusedMode      PushRefusal = "mode"      // clear where it should be encrypted, or the other way round
	RefusedCipher    PushRefusal = "cipher"    // made with another EncodingAESKey
	RefusedAppID     PushRefusal = "appid"     // made for another appid
	RefusedStale     PushRefusal = "stale"     // its time is far from ours
	RefusedReceiver  PushRefusal = "receiver"  // addressed to another original id
)

// refusal is the newest refused push of an account.
type refusal struct {
	at     int64 // unix ms
	reason PushRefusal
}

// noteEvery is how often a process writes refusals of an account and reason down: refused pushes can be sent by anybody,
// as many as they like.
const noteEvery = time.Minute

// noted holds when refusals were written down last.
type noted struct {
	mu sync.Mutex
	at map[notedKey]int64
}

type notedKey struct {
	accountID int64
	reason    PushRefusal
}

// due reports whether a refusal is to be written down now.
func (n *noted) due(key notedKey, now int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last, ok := n.at[key]; ok && now-last < noteEvery.Milliseconds() {
		return false
	}
	if n.at == nil {
		n.at = map[notedKey]int64{}
	}
	n.at[key] = now
	return true
}

// Refused notes that a push was refused, for the account's next check. It writes at most once a minute for each account
// and reason.
func (c *Checker) Refused(ctx context.Context, accountID int64, why PushRefusal) error {
	now := c.o.Clock.Now().UnixMilli()
	if !c.refused.due(notedKey{accountID, why}, now) {
		return nil
	}
	err := c.o.DB.Tx(ctx, func(tx *gorm.DB) error {
		if err := c.firstRow(tx, accountID); err != nil {
			return err
		}
		// No row means that another process has noted a later one.
		return tx.Exec("UPDATE account_checks SET refused_at = ?, refused_reason = ? WHERE account_id = ? AND refused_at <= ?",
			now, why, accountID, now).Error
	})
	if err != nil {
		return fmt.Errorf("note a refused push of account %d: %w", accountID, err)
	}
	return nil
}

// tokenVersion counts the access tokens of an account that were stored.
func tokenVersion(ctx context.Context, db *database.DB, accountID int64) (int64, error) {
	var version []int64
	if err := db.Read(ctx).Raw("SELECT version FROM access_tokens WHERE account_id = ?", accountID).Scan(&version).Error; err != nil {
		return 0, fmt.Errorf("read the version of the access token: %w", err)
	}
	if len(version) == 0 {
		return 0, nil
	}
	return version[0], nil
}

// correct changes the standing of an account that nobody has changed since it was read. It reports whether it did.
func (s *Store) correct(ctx context.Context, a *Account, to standing) (done bool, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("UPDATE accounts SET kind = ?, verified = ?, permissions = ?, revision = revision + 1, updated_at = ? WHERE id = ? AND revision = ?",
			to.kind, to.verified, formatPermissions(to.sets), s.clock.Now().UnixMilli(), a.ID, a.Revision)
		done = res.RowsAffected == 1
		return res.Error
	})
	if err != nil {
		return false, fmt.Errorf("correct account %d: %w", a.ID, err)
	}
	s.forget()
	return done, nil
}
