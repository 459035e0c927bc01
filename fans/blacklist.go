package fans

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

const (
	// MaxBlacklist is the most fans of one call of a Blacklister; longer lists are a job.
	MaxBlacklist = 500
	// blacklistSlice is how many fans are changed at the platform before that is stored: five calls.
	blacklistSlice = 100
)

// Blacklister puts fans on the platform's blacklist (黑名单) and takes them off, for members.
type Blacklister struct {
	fans     *Store
	platform *Platform
}

// NewBlacklister returns a Blacklister. It needs no closing.
func NewBlacklister(s *Store, p *Platform) *Blacklister { return &Blacklister{fans: s, platform: p} }

// BlacklistRefusal is a fan whom the platform would not put on the blacklist, or take off it.
type BlacklistRefusal struct {
	FanID  int64
	OpenID string
	Err    *wechat.Error // the code tells why (platform.md 7.3)
}

// Blacklisted is what came of a change of the blacklist.
type Blacklisted struct {
	Done    int // fans who are now as was asked, by the platform's word
	Refused []BlacklistRefusal
}

// AddToBlacklist blacklists up to MaxBlacklist fans: the platform delivers nothing to them and nothing from them any more. What the platform confirmed is stored, also
// when an error comes with it; repeating the call does no harm. Errors: Invalid; NotFound for ids that are none of the account's fans, before anything is done;
// Unavailable while the account is stopped; those of the platform, *wechat.Error.
func (b *Blacklister) AddToBlacklist(ctx context.Context, accountID int64, fanIDs []int64) (Blacklisted, error) {
	return b.change(ctx, accountID, true, fanIDs)
}

// RemoveFromBlacklist takes fans off the blacklist; otherwise it is like AddToBlacklist.
func (b *Blacklister) RemoveFromBlacklist(ctx context.Context, accountID int64, fanIDs []int64) (Blacklisted, error) {
	return b.change(ctx, accountID, false, fanIDs)
}

func (b *Blacklister) change(ctx context.Context, accountID int64, on bool, fanIDs []int64) (all Blacklisted, err error) {
	if len(fanIDs) == 0 || len(fanIDs) > MaxBlacklist {
		return all, fault.BadField("fan_ids", "count", "name 1 to %d fans; longer lists are changed by a job", MaxBlacklist)
	}
	ids := database.SortedSet(fanIDs)
	rows, err := b.fans.blackRowsOf(b.fans.db.Read(ctx), accountID, ids)
	switch {
	case err != nil:
		return all, err
	case len(rows) < len(ids):
		return all, fault.New(fault.NotFound, "%d of the %d fans are none of this account's; look them up again", len(ids)-len(rows), len(ids))
	}
	for len(rows) > 0 {
		c := b.ask(ctx, blacklisting{accountID: accountID, on: on, confirmed: true}, rows[:min(len(rows), blacklistSlice)])
		all.Done += len(c.done)
		all.Refused = append(all.Refused, c.refused...)
		stored := b.fans.db.Tx(context.WithoutCancel(ctx), func(tx *gorm.DB) error { return b.store(tx, c) })
		if err := errors.Join(c.failed, stored); err != nil {
			return all, err
		}
		rows = rows[c.settled:]
	}
	return all, nil
}

// blacklistCall is what became of some fans at the platform.
type blacklistCall struct {
	blacklisting
	settled int // from the start of the list: done or refused
	done    []blackRow
	refused []BlacklistRefusal
	failed  error // why the rest was not done
}

// ask changes fans at the platform.
func (b *Blacklister) ask(ctx context.Context, want blacklisting, rows []blackRow) blacklistCall {
	openids := make([]string, len(rows))
	for i, r := range rows {
		openids[i] = r.openid
	}
	c := blacklistCall{blacklisting: want}
	var done wechat.Batched
	c.failed = b.platform.call(ctx, want.accountID, func(acc wechat.Account) (err error) {
		if want.on {
			done, err = b.platform.Client.AddToBlacklist(ctx, acc, openids)
		} else {
			done, err = b.platform.Client.RemoveFromBlacklist(ctx, acc, openids)
		}
		return err
	})
	// After the answer: a page of the blacklist that was asked for before may or may not have the change, one asked for later has it.
	c.at, c.settled = b.platform.Clock.Now().UnixMilli(), done.Done
	refused := make(map[string]*wechat.Error, len(done.Refused))
	for _, r := range done.Refused {
		refused[r.OpenID] = r.Err
	}
	for _, r := range rows[:done.Done] {
		if e := refused[r.openid]; e != nil {
			c.refused = append(c.refused, BlacklistRefusal{FanID: r.id, OpenID: r.openid, Err: e})
		} else {
			c.done = append(c.done, r)
		}
	}
	if done.Done == len(rows) {
		c.failed = nil // the client gives a list up whose fans are all refused; all is said of this one
	}
	return c
}

func (b *Blacklister) store(tx *gorm.DB, c blacklistCall) error {
	_, err := b.fans.setBlacklisted(tx, c.blacklisting, c.done)
	return err
}

func (s *Store) blackRowsOf(tx *gorm.DB, accountID int64, ids []int64) ([]blackRow, error) {
	among, args := database.Among("id", ids)
	return s.blackRows(tx, among+" AND +account_id = ? AND openid NOT LIKE '"+erasedPrefix+"%' ORDER BY id", append(args, accountID)...)
}
