package scheduler

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// set acts upon a set of one account's pushes: it records what the fans did, and then lets them into drips.
func (in *Inbound) set(ctx context.Context, account *accounts.Account, rows []*fans.InboxRow) error {
	var acts []*fans.Act
	var over []int64 // pushes on which there is nothing more to do after this
	for _, r := range rows {
		if r.ReplyState == fans.ReplyTaken { // acted upon before; nobody fetched the reply in time
			if err := in.confirm(ctx, r, false); err != nil {
				return err
			}
			continue
		}
		over = append(over, r.ID)
		e, err := callback.Parse(r.Body)
		if err != nil {
			return fmt.Errorf("read push %d: %w", r.ID, err)
		}
		if act, ok := actOf(r.ID, &e); ok {
			acts = append(acts, act)
		}
	}
	recorded, err := in.record(ctx, account, acts)
	if err != nil {
		return err
	}
	if err := in.enter(ctx, account, recorded, over); err != nil {
		return err
	}
	for _, r := range rows {
		in.answered(r.ID)
	}
	return nil
}

// record stores what the fans did and what it allows.
func (in *Inbound) record(ctx context.Context, account *accounts.Account, acts []*fans.Act) ([]*fans.Recorded, error) {
	if len(acts) == 0 {
		return nil, nil
	}
	var out []*fans.Recorded
	err := in.db.Tx(ctx, func(tx *gorm.DB) (err error) {
		now := in.clock.Now()
		out, err = in.fans.Record(tx, fans.Recorder{
			AccountID: account.ID, Now: now.UnixMilli(), Rules: wechat.RulesAt(now), Uncounted: in.ledger.Uncounted,
		}, acts)
		if err != nil {
			return err
		}
		changed := map[int64]*limits.Usage{}
		for _, r := range out {
			if r.GrantsChanged {
				changed[r.Fan.ID] = r.Usage
			}
		}
		return in.ledger.Regrant(tx, now, account.Policy, account.ID, changed)
	})
	return out, err
}

// enter lets the fans into drips and ends the work on the pushes, in one transaction that holds the fans' limits.
func (in *Inbound) enter(ctx context.Context, account *accounts.Account, recorded []*fans.Recorded, over []int64) error {
	p := &passive{in: in, ctx: ctx, account: account}
	err := in.db.Tx(ctx, func(tx *gorm.DB) error {
		now := in.clock.Now()
		p.begin(tx, now, over)
		acts := make([]campaigns.Act, 0, len(recorded))
		usages, err := in.limits.Lock(tx, account.ID, fanIDs(recorded))
		if err != nil {
			return err
		}
		for _, r := range recorded {
			r.Usage = usages[r.Fan.ID]
			acts = append(acts, triggerOf(r))
			p.inboxOf[r.InteractionID] = r.Act.InboxID
		}
		if _, err := in.campaigns.Enter(tx, campaigns.EnterInput{Now: now, Account: account, Acts: acts, Passive: p.offer}); err != nil {
			return err
		}
		return p.finish(tx)
	})
	if err != nil {
		return err
	}
	return nil
}

func fanIDs(recorded []*fans.Recorded) []int64 {
	out := make([]int64, 0, len(recorded))
	for _, r := range recorded {
		out = append(out, r.Fan.ID)
	}
	return database.SortedSet(out)
}
