package fans

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"hongyan/accounts"
	"hongyan/internal/database"
)

const (
	// lastPage and lastPages bound how far LastPush looks back: 20,000 pushes of all accounts together.
	lastPage  = 1000
	lastPages = 20
)

// LastPush returns the newest push of an account since a time; it implements accounts.Pushes.
//
// No index orders an account's pushes by time, and one more would cost each push a write. But ids are given in the order in
// which pushes are stored, so the table is walked backwards by its primary key until a push of the account is found, or one
// that is older than since. What an account with pushes costs is one page; what a silent one costs is the others' pushes of
// that time, up to a bound.
func (b *Inbox) LastPush(ctx context.Context, accountID int64, since time.Time) (accounts.LastPush, error) {
	var out accounts.LastPush
	before, read := int64(0), lastPage
	for page := 0; page < lastPages && read == lastPage; page++ {
		var done bool
		var err error
		if before, read, done, err = b.walkBack(ctx, accountID, before, since.UnixMilli(), &out); err != nil {
			return accounts.LastPush{}, fmt.Errorf("look for the last push of account %d: %w", accountID, err)
		}
		if done {
			read = 0
		}
	}
	out.Unclear = !out.Ever && read == lastPage
	if out.Ever {
		return out, nil
	}
	var one []int64
	// The unique key of pushes begins with the account: whether there is one at all takes one look.
	err := b.db.Read(ctx).Raw("SELECT 1 FROM inbox WHERE account_id = ? AND dedupe_key < ? LIMIT 1", accountID, ownKey).Scan(&one).Error
	if err != nil {
		return accounts.LastPush{}, fmt.Errorf("look for pushes of account %d: %w", accountID, err)
	}
	out.Ever = len(one) > 0
	return out, nil
}

// walkBack reads one page below an id, 0 for the newest. done says that nothing further is of interest.
func (b *Inbox) walkBack(ctx context.Context, accountID, before, since int64, out *accounts.LastPush) (lowest int64, read int, done bool, err error) {
	where, args := "", []any{}
	if before > 0 {
		where, args = " WHERE id < ?", append(args, before)
	}
	err = database.EachRow(b.db.Read(ctx), func(rows *sql.Rows) error {
		var account, received int64
		var origin Origin
		if err := rows.Scan(&lowest, &account, &received, &origin); err != nil {
			return err
		}
		read++
		switch {
		case done:
		case received < since:
			done = true
		case account == accountID && origin == OriginPlatform:
			out.Ever, out.ReceivedAt, done = true, received, true
		}
		return nil
	}, "SELECT id, account_id, received_at, origin FROM inbox"+where+" ORDER BY id DESC"+b.db.Dialect().Limit(), append(args, lastPage)...)
	return lowest, read, done, err
}
