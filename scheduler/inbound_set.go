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
	var taken consents
	for _, r := range rows {
		if r.ReplyState == fans.ReplyTaken { // acted upon before; nobody fetched the reply in time
			if err := in.confirm(ctx, r, false); err != nil {
				return err
			}
			continue
		}
		if r.Origin != fans.OriginPlatform {
			act, err := fans.ReadOwn(r)
			if err != nil {
				return err
			}
			acts, over = append(acts, act), append(over, r.ID)
			continue
		}
		e, err := callback.Parse(r.Body)
		if err != nil {
			return fmt.Errorf("read push %d: %w", r.ID, err)
		}
		if taken.take(r.ID, &e) {
			continue
		}
		over = append(over, r.ID)
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
	if err := in.consent(ctx, account.ID, &taken); err != nil {
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
		if err := in.ledger.React(tx, account.ID, reactionsOf(out)); err != nil {
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
	if err == nil {
		in.told.acted(account.ID, out)
	}
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
		for _, wave := range waves(acts) {
			set := campaigns.EnterInput{Now: now, Account: account, Acts: wave, Passive: p.offer}
			if err := in.campaigns.React(tx, set); err != nil {
				return err
			}
			if _, err := in.campaigns.Enter(tx, set); err != nil {
				return err
			}
		}
		return p.finish(tx)
	})
	if err != nil {
		return err
	}
	return nil
}

// waves parts acts so that no fan has two in one part, in their order: what a fan entered by one act, the next may end. Mostly that is one part.
func waves(acts []campaigns.Act) [][]campaigns.Act {
	var out [][]campaigns.Act
	seen := make(map[int64]int, len(acts))
	for i := range acts {
		n := seen[acts[i].Fan.ID]
		seen[acts[i].Fan.ID]++
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], acts[i])
	}
	return out
}

func fanIDs(recorded []*fans.Recorded) []int64 {
	out := make([]int64, 0, len(recorded))
	for _, r := range recorded {
		out = append(out, r.Fan.ID)
	}
	return database.SortedSet(out)
}
