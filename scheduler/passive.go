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
	"hongyan/templates"
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
	given   map[int64]given // by push
	err     error
}

// given is a passive reply that was taken.
type given struct {
	key      deliveries.Key
	template *templates.Template
	vars     templates.Vars
}

// begin starts anew: a transaction may be repeated.
func (p *passive) begin(tx *gorm.DB, now time.Time, over []int64) {
	p.tx, p.now, p.err = tx, now, nil
	p.inboxOf, p.given, p.taken = map[int64]int64{}, map[int64]given{}, limits.NewReservations(now)
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
	if _, fits := callback.FromMessage(message); !fits {
		return false
	}
	own, may := p.allowed(act, row)
	if !may {
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
	p.take(act, row, own)
	p.given[push] = given{row.Key, template, vars}
	return true
}

// allowed asks the guard, for the step as a whole: a passive reply is free of grants, not of the account's own rules. It tells the campaign's own caps in
// which the message counts, if there are any.
func (p *passive) allowed(act *campaigns.Act, row *deliveries.Planned) (own guard.Caps, may bool) {
	moment := p.account.Policy.At(p.now)
	req := p.request(row)
	facts := guard.Facts{
		Gone: !act.Fan.Subscribed, Blacklisted: act.Fan.Blacklisted, OptedOut: act.Fan.OptedOut || act.Fan.Refused,
		AgentUntil: act.Usage.AgentUntil, Used: act.Usage.Counted.At(moment.Day), CampaignCaps: guard.NoCaps(), MarketingAt: act.Usage.MarketingAt,
		Grants: act.Usage.Grants,
	}
	sending, err := p.in.campaigns.Sending(p.tx, p.account.ID, []int64{row.Source.ID})
	if err != nil {
		p.err = err
		return own, false
	}
	if s, drip := sending[row.Source.ID]; drip && req.Counts() && !s.Caps.None() {
		counted, err := p.in.limits.CampaignCounted(p.tx, row.Source.ID, []int64{row.FanID})
		if err != nil {
			p.err = err
			return own, false
		}
		used := counted[row.FanID]
		facts.CampaignCaps, facts.CampaignUsed = s.Caps, used.At(act.Usage.Counted.DayAt(moment.Day))
	}
	return facts.CampaignCaps, guard.Decide(&moment, p.account.Policy, &req, &facts).Kind == guard.Allow
}

func (p *passive) request(row *deliveries.Planned) guard.Request {
	return guard.Request{
		Class: row.Class, Campaign: row.Source.Campaign(), Channel: guard.ChannelPassive, Messages: row.StepSize, NotAfter: row.NotAfter,
	}
}

// take turns the row into a passive reply that is being given, and counts it, in the campaign's own caps too.
func (p *passive) take(act *campaigns.Act, row *deliveries.Planned, own guard.Caps) {
	req := p.request(row)
	t := limits.Take{Messages: 1, Free: true}
	if req.Counts() {
		t.CapDay = act.Usage.Counted.DayAt(p.account.Policy.Day(p.now))
	}
	p.taken.Take(act.Usage, t)
	if !own.None() {
		p.err = p.in.limits.CountCampaign(p.tx, row.Source.ID, map[int64]limits.CampaignTake{row.FanID: {CapDay: t.CapDay, Messages: t.Messages}})
	}
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
	for push, g := range p.given {
		id, err := p.in.ledger.FindByKey(tx, g.key)
		if err != nil {
			return err
		}
		if err := p.track(tx, push, id, g); err != nil {
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

// track puts tracked addresses into a reply, now that its delivery has a number. If it does not fit with them, it stays as it is.
func (p *passive) track(tx *gorm.DB, push, deliveryID int64, g given) error {
	var err error
	if g.vars.Links, err = linksOf(p.ctx, p.in.links, g.template, g.key, deliveryID); err != nil || len(g.vars.Links) == 0 {
		return err
	}
	message, err := g.template.Message(&g.vars)
	if err != nil {
		return nil //nolint:nilerr // too long with them
	}
	if _, fits := callback.FromMessage(message); !fits {
		return nil
	}
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("store a passive reply: %w", err)
	}
	return p.in.inbox.RewriteReply(tx, push, body)
}
