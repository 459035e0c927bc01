package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/limits"
	"hongyan/wechat/callback"
)

// passive gives the first message of an answer as the reply to the push itself, where somebody is waiting for that: such a reply needs no
// grant. It lives as long as one transaction.
type passive struct {
	in      *Inbound
	ctx     context.Context //nolint:containedctx // campaigns offers messages by a callback without one
	account *accounts.Account

	tx      *gorm.DB
	now     time.Time
	over    map[int64]bool
	inboxOf map[int64]int64 // push by interaction
	taken   *limits.Reservations
	given   map[int64]deliveries.Key // by push
	err     error
}

// begin starts anew: a transaction may be repeated.
func (p *passive) begin(tx *gorm.DB, now time.Time, over []int64) {
	p.tx, p.now, p.err = tx, now, nil
	p.inboxOf, p.given, p.taken = map[int64]int64{}, map[int64]deliveries.Key{}, limits.NewReservations(now)
	p.over = map[int64]bool{}
	for _, id := range over {
		p.over[id] = true
	}
}

// offer takes the message if it can be the passive reply to the act.
func (p *passive) offer(act *campaigns.Act, row *deliveries.Planned) bool {
	if p.err != nil || act.Usage == nil {
		return false
	}
	push := p.inboxOf[act.InteractionID]
	if !p.in.expected(push) {
		return false
	}
	template, err := p.in.templates.Get(p.ctx, row.AccountID, row.MessageID)
	if err != nil {
		p.err = err
		return false
	}
	vars := VarsOf(p.account, act.Fan, p.now)
	message, err := template.Message(&vars)
	if err != nil {
		return false // the customer-service message meets the same error, and records it
	}
	if _, fits := callback.FromMessage(message); !fits || !p.allowed(act, row) {
		return false
	}
	body, err := json.Marshal(message)
	if err != nil {
		p.err = fmt.Errorf("store a passive reply: %w", err)
		return false
	}
	won, err := p.in.inbox.TakeReply(p.tx, push, body)
	if err != nil || !won {
		p.err = err
		return false
	}
	p.take(act, row)
	p.given[push] = row.Key
	return true
}

// allowed asks the guard, for the step as a whole: a passive reply is free of grants, not of the account's own rules.
func (p *passive) allowed(act *campaigns.Act, row *deliveries.Planned) bool {
	moment := p.account.Policy.At(p.now)
	req := p.request(row)
	facts := guard.Facts{
		Gone: !act.Fan.Subscribed, Blacklisted: act.Fan.Blacklisted, OptedOut: act.Fan.OptedOut || act.Fan.Refused,
		AgentUntil: act.Usage.AgentUntil, CapUsed: act.Usage.UsedOn(moment.Day), CampaignCap: -1, MarketingAt: act.Usage.MarketingAt,
		Grants: act.Usage.Grants,
	}
	sending, err := p.in.campaigns.Sending(p.tx, p.account.ID, []int64{row.Source.ID})
	if err != nil {
		p.err = err
		return false
	}
	if most := sending[row.Source.ID].Cap; most >= 0 {
		used, err := p.in.limits.CampaignUsed(p.tx, row.Source.ID, moment.Day, []int64{row.FanID})
		if err != nil {
			p.err = err
			return false
		}
		facts.CampaignCap, facts.CampaignCapUsed = most, used[row.FanID]
	}
	if guard.Decide(&moment, p.account.Policy, &req, &facts).Kind != guard.Allow {
		return false
	}
	if facts.CampaignCap >= 0 {
		p.err = p.in.limits.AddCampaign(p.tx, row.Source.ID, row.FanID, moment.Day, 1)
	}
	return p.err == nil
}

func (p *passive) request(row *deliveries.Planned) guard.Request {
	return guard.Request{
		Class: row.Class, Campaign: row.Source.Campaign(), Channel: guard.ChannelPassive, Messages: row.StepSize, NotAfter: row.NotAfter,
	}
}

// take turns the row into a passive reply that is being given, and counts it.
func (p *passive) take(act *campaigns.Act, row *deliveries.Planned) {
	req := p.request(row)
	t := limits.Take{Messages: 1, Free: true}
	if req.Counts() {
		t.CapDay = p.account.Policy.Day(p.now)
	}
	p.taken.Take(act.Usage, t)
	row.Channel, row.State = guard.ChannelPassive, deliveries.StateSending
	row.Reserved = deliveries.Reservation{CapDay: t.CapDay}
}

// finish stores what was taken. A push whose reply has been taken stays pending until the reply is handed over; the others are done.
func (p *passive) finish(tx *gorm.DB) error {
	if p.err != nil {
		return p.err
	}
	if err := p.in.limits.Reserve(tx, p.taken); err != nil {
		return err
	}
	for push, key := range p.given {
		id, err := p.in.ledger.FindByKey(tx, key)
		if err != nil {
			return err
		}
		if err := p.in.inbox.GiveBy(tx, push, id); err != nil {
			return err
		}
		delete(p.over, push)
	}
	done := make([]int64, 0, len(p.over))
	for id := range p.over {
		done = append(done, id)
	}
	if len(done) == 0 {
		return nil
	}
	return p.in.inbox.Done(tx, done)
}
