package scheduler

import (
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/wechat/callback"
)

// replayFacts is what is kept of a fan.
type replayFacts struct {
	live   fans.Live
	acts   []*fans.Act // by push
	kept   []fans.KeptAct
	marked []deliveries.Marked
	caps   map[int64]guard.Counted // of campaigns that count the fan's messages for themselves

	steps []replayStep
	// lost is the last interaction that cannot be replayed, because its push is not kept any more or another's that happened after it; nil when all can.
	// lostEvent is when the latest of these happened.
	lost      *fans.KeptAct
	lostEvent int64

	pushes, waiting, parked int
	idle                    map[int64]string // pushes on which nobody acts yet, or any more
}

// readPush makes a push or own event of the inbox into an act, as acting upon it does; false when it is none.
func readPush(r *fans.InboxRow) (*fans.Act, bool, error) {
	if r.Origin != fans.OriginPlatform {
		act, err := fans.ReadOwn(r)
		return act, err == nil, err
	}
	e, err := callback.Parse(r.Body)
	if err != nil {
		return nil, false, fmt.Errorf("read push %d: %w", r.ID, err)
	}
	var taken consents
	if taken.take(r.ID, &e) {
		return nil, false, nil
	}
	act, ok := actOf(r.ID, &e)
	return act, ok, nil
}

// facts reads what is kept of fans: a few queries for all of them.
func (r *Replay) facts(tx *gorm.DB, lives map[int64]fans.Live, ids []int64) (map[int64]*replayFacts, error) {
	out := make(map[int64]*replayFacts, len(ids))
	byOpenID := make(map[string]*replayFacts, len(ids))
	openids := make([]string, 0, len(ids))
	for _, id := range ids {
		live := lives[id]
		f := &replayFacts{live: live, idle: map[int64]string{}, caps: map[int64]guard.Counted{}}
		out[id], byOpenID[live.Fan.OpenID] = f, f
		openids = append(openids, live.Fan.OpenID)
	}
	slices.Sort(openids)
	if err := r.inbox.PushesOf(tx, r.o.AccountID, openids, func(p *fans.StoredPush) error { return byOpenID[p.OpenID].push(p) }); err != nil {
		return nil, err
	}
	kept, err := r.fans.KeptActs(tx, r.o.AccountID, ids)
	if err != nil {
		return nil, err
	}
	marked, err := r.ledger.MarkedOf(tx, r.o.AccountID, ids)
	if err != nil {
		return nil, err
	}
	for id, f := range out {
		f.kept, f.marked = kept[id], marked[id]
	}
	return out, r.campaignCaps(tx, out, ids)
}

// push takes a row of the inbox.
func (f *replayFacts) push(p *fans.StoredPush) error {
	f.pushes++
	switch {
	case p.Parked:
		f.idle[p.ID] = "parked"
	case p.Pending:
		f.idle[p.ID] = "waiting"
	}
	act, ok, err := readPush(&p.InboxRow)
	switch {
	case err != nil && f.idle[p.ID] != "":
		return nil // that is why it is parked, or will be
	case err != nil:
		return err
	case ok && (act.Own == nil || p.ReceivedAt >= f.live.Fan.CreatedAt): // an own event makes nobody a fan, and is not recorded of who is none
		f.acts = append(f.acts, act)
	}
	return nil
}

// campaignCaps reads what campaigns have counted for themselves: of those whose marketing messages the fans got.
func (r *Replay) campaignCaps(tx *gorm.DB, facts map[int64]*replayFacts, ids []int64) error {
	campaigns := map[int64]bool{}
	for _, f := range facts {
		for i := range f.marked {
			if m := &f.marked[i]; m.Source.Campaign() && m.Counts() {
				campaigns[m.Source.ID] = true
			}
		}
	}
	for id := range campaigns {
		counted, err := r.limits.CampaignCounted(tx, id, ids)
		if err != nil {
			return err
		}
		for fan, c := range counted {
			facts[fan].caps[id] = c
		}
	}
	return nil
}

// pair puts acts and interactions side by side, in the order in which they were recorded. lostBefore is the time before which pushes are not kept.
func (f *replayFacts) pair(lostBefore int64, c *comparison) {
	acts := make(map[int64]*fans.Act, len(f.acts))
	for _, a := range f.acts {
		acts[a.InboxID] = a
	}
	var steps []replayStep
	for i := range f.kept {
		k := &f.kept[i]
		act := acts[k.InboxID]
		switch {
		case act == nil && k.RecordedAt >= lostBefore:
			c.differs(fmt.Sprintf("push %d", k.InboxID), "an interaction: "+k.Kind, "no push")
			f.lost, steps = k, nil
		case act == nil, k.Generation == fans.GenerationUnknown:
			f.lost, steps = k, nil // what is before it is believed
		default:
			steps = append(steps, replayStep{act: act, kept: k, at: k.RecordedAt})
		}
		delete(acts, k.InboxID)
	}
	for _, id := range slices.Sorted(maps.Keys(acts)) {
		switch f.idle[id] {
		case "waiting":
			f.waiting++
		case "parked":
			f.parked++
		default:
			c.differs(fmt.Sprintf("push %d", id), "no interaction", "an interaction: "+acts[id].Kind)
			at := slices.IndexFunc(steps, func(s replayStep) bool { return s.act.InboxID > id })
			if at < 0 {
				at = len(steps)
			}
			steps = slices.Insert(steps, at, replayStep{act: acts[id], at: acts[id].EventAt})
		}
	}
	f.steps = steps
	f.forget()
	f.together()
}

// forget leaves out steps that happened before something that cannot be replayed, and what was recorded before them: what they did depends on it.
func (f *replayFacts) forget() {
	if f.lost == nil {
		return
	}
	for i := range f.kept {
		if f.kept[i].ID <= f.lost.ID {
			f.lostEvent = max(f.lostEvent, f.kept[i].EventAt)
		}
	}
	latest, from := f.lostEvent, 0
	for i, s := range f.steps {
		if latest = max(latest, s.act.EventAt); s.kept != nil && s.act.EventAt < f.lostEvent {
			f.lost, f.lostEvent, from = s.kept, latest, i+1
		}
	}
	f.steps = f.steps[from:]
}

// together finds out from when on sends may have counted after acts that may have been recorded in one set: for all of a fan's, that is the first one's.
func (f *replayFacts) together() {
	since := map[int64]int64{}
	for _, s := range f.steps {
		if len(s.act.Triggers) == 0 {
			continue
		}
		at := guard.CountedSince(s.act.EventAt)
		if before, known := since[s.at]; !known || at < before {
			since[s.at] = at
		}
	}
	for i := range f.steps {
		f.steps[i].since = since[f.steps[i].at]
	}
}
