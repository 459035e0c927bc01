package scheduler

import (
	"context"

	"gorm.io/gorm"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/internal/fault"
	"hongyan/links"
	"hongyan/templates"
)

// linkLedger lets tracked links know the deliveries in which they stand.
type linkLedger struct{ *deliveries.Store }

// DeliveryOf implements links.Ledger.
func (l linkLedger) DeliveryOf(ctx context.Context, accountID, id int64) (fanID, messageID int64, err error) {
	d, err := l.FindDelivery(ctx, accountID, id)
	if err != nil {
		return 0, 0, err
	}
	return d.FanID, d.MessageID, nil
}

// linkFans lets tracked links tell that fans opened them.
type linkFans struct{ *fans.Store }

// Tapped implements links.Fans.
func (f linkFans) Tapped(tx *gorm.DB, t links.Tap) error { return f.PutTap(tx, fans.LinkTap(t)) }

// stepLinks lets the steps of drips track links.
type stepLinks struct{ *links.Store }

// Figures implements campaigns.Links.
func (s stepLinks) Figures(ctx context.Context, q campaigns.LinkQuery) ([]campaigns.LinkFigure, error) {
	found, err := s.Store.Figures(ctx, links.Query(q))
	if err != nil {
		return nil, err
	}
	out := make([]campaigns.LinkFigure, len(found))
	for i, f := range found {
		out[i] = campaigns.LinkFigure(f)
	}
	return out, nil
}

// linksOf are the tracked addresses in a delivery of a campaign; messages of other sources, tests among them, have the addresses as they are written.
func linksOf(ctx context.Context, store *links.Store, template *templates.Template, d deliveries.Key, id int64) (tracked map[string]string, err error) {
	if !d.Source.Campaign() || len(template.Tracked()) == 0 {
		return tracked, nil
	}
	return store.Tracked(ctx, d.AccountID, id, template.Tracked())
}

// appendKefu renders a message. One that does not fit with tracked addresses and this fan's values goes with the addresses as they are written: that it
// arrives is worth more than that it is counted.
func appendKefu(dst []byte, t *templates.Template, openid string, vars *templates.Vars) ([]byte, error) {
	out, err := t.AppendKefu(dst, openid, vars)
	if err == nil || len(vars.Links) == 0 || !fault.Is(err, fault.Invalid) {
		return out, err
	}
	plain := *vars
	plain.Links = nil
	return t.AppendKefu(dst, openid, &plain)
}
