package campaigns

import (
	"context"
	"slices"
	"strings"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/walk"
)

// WhoQuery names a number of a report.
type WhoQuery struct {
	Version int // its number; 0: all
	StepNo  int
	// Outcome is one of WhoOutcomes: the name of the number in Funnel.
	Outcome string
	Reason  guard.Reason // of the messages that ended for it; ReasonNone: all
	ErrCode int          // of those to which the platform gave it; 0: all
	// From and To are the first and last day, as in ReportQuery. They do not bound what is waiting.
	From, To int
	After    walk.Place // where a page begins; see package walk
	Limit    int
}

// whoStates are the states behind the numbers of a Funnel that count states, by name.
func whoStates() map[string][]deliveries.State {
	return map[string][]deliveries.State{
		"entered":   nil,
		"waiting":   {deliveries.StatePlanned, deliveries.StateSending},
		"due":       {deliveries.StateSent, deliveries.StateDelivered, deliveries.StateRejected, deliveries.StateFailed, deliveries.StateUnknown, deliveries.StateSkipped, deliveries.StateExpired},
		"sent":      {deliveries.StateSent, deliveries.StateDelivered, deliveries.StateRejected},
		"delivered": {deliveries.StateDelivered},
		"rejected":  {deliveries.StateRejected},
		"skipped":   {deliveries.StateSkipped},
		"expired":   {deliveries.StateExpired},
		"failed":    {deliveries.StateFailed},
		"unknown":   {deliveries.StateUnknown},
		"cancelled": {deliveries.StateCancelled},
	}
}

// whoReactions are the reactions behind the others.
func whoReactions() map[string]deliveries.Reaction {
	return map[string]deliveries.Reaction{
		"replied": deliveries.ReactionReplied, "clicked": deliveries.ReactionClicked, "unfollowed": deliveries.ReactionUnfollowed,
	}
}

// WhoOutcomes lists the names of numbers that Who can tell of.
func WhoOutcomes() []string {
	return slices.Concat(sortedKeys(whoStates()), sortedKeys(whoReactions()))
}

// Who reads a page of the deliveries behind a number of a step, by fan; deliveries.Explain says of each why. A page costs the same however rare they are: it may be short or
// empty and still have a next one. Errors: NotFound for the drip, its version or step; Invalid for the outcome.
func (s *Store) Who(ctx context.Context, accountID, dripID int64, q WhoQuery) (walk.Page[*deliveries.Delivery], error) {
	var none walk.Page[*deliveries.Delivery]
	states, isState := whoStates()[q.Outcome]
	reaction, isReaction := whoReactions()[q.Outcome]
	if !isState && !isReaction {
		return none, fault.BadField("outcome", "unknown", "%q is not one of %s", q.Outcome, strings.Join(WhoOutcomes(), ", "))
	}
	x, err := s.indexOf(s.DB.Read(ctx), accountID, []int64{dripID})
	if err != nil {
		return none, err
	}
	versionID, err := x.versionOf(dripID, q.Version)
	if err != nil {
		return none, err
	}
	who := deliveries.Who{
		AccountID: accountID, Source: source(dripID), StepNo: q.StepNo, States: states, Reaction: reaction, Reason: q.Reason, ErrCode: q.ErrCode,
		From: q.From, To: q.To, After: q.After, Limit: q.Limit,
	}
	if q.Outcome == "waiting" {
		who.From, who.To = 0, 0
	}
	known := false
	for _, id := range x.byDrip[dripID] {
		if v := x.versions[id]; q.StepNo >= 1 && q.StepNo <= len(v.steps) && (versionID == 0 || versionID == id) {
			known = true
			if versionID != 0 {
				who.MessageIDs = v.steps[q.StepNo-1].messageIDs
			}
		}
	}
	if !known {
		return none, fault.New(fault.NotFound, "drip %d has no step %d there", dripID, q.StepNo)
	}
	if versionID != 0 && len(who.MessageIDs) == 0 {
		return none, nil // a step without messages
	}
	return s.Ledger.FindWho(ctx, who)
}
