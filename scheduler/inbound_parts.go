package scheduler

import (
	"context"
	"errors"
	"sync"

	"hongyan/fans"
	"hongyan/internal/database"
)

const (
	// inboundParts is how many sets are worked on side by side on MySQL. SQLite has one writer, and would gain nothing.
	inboundParts = 2
	// partLeast is how many pushes a part has at least: each costs two transactions.
	partLeast = 50
)

// side is how many sets this process works on side by side.
func (in *Inbound) side() int {
	if in.inline || in.db.Dialect() == database.SQLite {
		return 1
	}
	return inboundParts
}

// most is how many pushes are taken at a time.
func (in *Inbound) most() int { return inboundMost * in.side() }

// acts works on claimed pushes, oldest first: in parts side by side when they are many. It returns when all parts are through, so that what is claimed next is
// acted upon after them.
func (in *Inbound) acts(ctx context.Context, rows []*fans.InboxRow) error {
	parts := partByFan(rows, min(in.side(), max(1, len(rows)/partLeast)))
	errs := make([]error, len(parts))
	var working sync.WaitGroup
	for i, part := range parts {
		if i < len(parts)-1 {
			working.Go(func() { errs[i] = in.part(ctx, part) })
		} else {
			errs[i] = in.part(ctx, part)
		}
	}
	working.Wait()
	return errors.Join(errs...)
}

// part works on a part, account by account.
func (in *Inbound) part(ctx context.Context, rows []*fans.InboxRow) error {
	byAccount := map[int64][]*fans.InboxRow{}
	var order []int64
	for _, r := range rows {
		if byAccount[r.AccountID] == nil {
			order = append(order, r.AccountID)
		}
		byAccount[r.AccountID] = append(byAccount[r.AccountID], r)
	}
	var errs []error
	for _, id := range order {
		errs = append(errs, in.account(ctx, id, byAccount[id]))
	}
	return errors.Join(errs...)
}

// partByFan parts pushes into at most n parts of about the same size, in their order. All pushes of one person are in one part. People who come together stay
// together: their rows in the tables are neighbours, and are found as ranges.
func partByFan(rows []*fans.InboxRow, n int) [][]*fans.InboxRow {
	if n <= 1 || len(rows) == 0 {
		return [][]*fans.InboxRow{rows}
	}
	type person struct {
		accountID int64
		openid    string
	}
	parts := make([][]*fans.InboxRow, 1, n)
	of := make(map[person]int, len(rows))
	for i, r := range rows {
		who := person{r.AccountID, r.OpenID}
		p, known := of[who]
		if !known {
			if p = len(parts) - 1; p < n-1 && i*n >= len(parts)*len(rows) {
				parts = append(parts, nil)
				p++
			}
			of[who] = p
		}
		parts[p] = append(parts[p], r)
	}
	return parts
}
