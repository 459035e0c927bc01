package scheduler

import (
	"slices"

	"hongyan/campaigns"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/wechat"
)

// reactionsOf are the acts of a set, as the ledger counts what fans do after a message. A repeat of an act was counted the first time.
func reactionsOf(recorded []*fans.Recorded) []deliveries.FanAct {
	var out []deliveries.FanAct
	for _, r := range recorded {
		if !r.Fresh {
			continue
		}
		act := triggerOf(r)
		var kinds []deliveries.Reaction
		var to int64
		switch act.Kind {
		case campaigns.ActText, campaigns.ActMessage:
			kinds = append(kinds, deliveries.ReactionReplied)
			if slices.Contains(r.Act.Triggers, wechat.TriggerMenu) { // an item of an in-chat menu
				kinds = append(kinds, deliveries.ReactionClicked)
			}
		case campaigns.ActLocation:
			if act.Wrote {
				kinds = append(kinds, deliveries.ReactionReplied)
			}
		case campaigns.ActMenu:
			kinds = append(kinds, deliveries.ReactionClicked)
		case campaigns.ActLink:
			kinds, to = append(kinds, deliveries.ReactionClicked), r.Act.Own.DeliveryID
		case campaigns.ActLeft:
			kinds = append(kinds, deliveries.ReactionUnfollowed)
		}
		if kinds != nil {
			out = append(out, deliveries.FanAct{FanID: r.Fan.ID, At: r.Act.EventAt, Kinds: kinds, DeliveryID: to})
		}
	}
	return out
}
