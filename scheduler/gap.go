package scheduler

import (
	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/limits"
)

// lastTries reads when the steps that were tried before were last marked. Only a gap asks for it, and only for tries that came back.
func (m *marker) lastTries(tx *gorm.DB) (err error) {
	m.tried = nil
	var again []int64
	for _, step := range m.steps {
		if step[0].Attempt > 0 {
			again = append(again, step[0].ID)
		}
	}
	if m.run.account.Policy.Gap == 0 || len(again) == 0 {
		return nil
	}
	m.tried, err = m.sender.ledger.MarkedAt(tx, m.run.account.ID, again)
	return err
}

// marketingBefore is when the last marketing message before this step was reserved. If that was the step's own first try, whatever was before it is a gap away
// already, and what is left of the step follows what arrived of it: the gap is between steps.
func (m *marker) marketingBefore(d *deliveries.Delivery, u *limits.Usage) int64 {
	if at, tried := m.tried[d.ID]; tried && at == u.MarketingAt {
		return 0
	}
	return u.MarketingAt
}
