package campaigns

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

// cast reads a slice of fans as they are now: what may be sent to them, what conditions ask of them, and what they have been in before.
func (p *production) cast(tx *gorm.DB, ids []int64) (map[int64]*imagined, error) {
	s := p.store
	of := asked{needs: map[int64]need{}}
	for _, id := range ids {
		of.needs[id] = p.needs&^needActs | needFan
	}
	known, err := s.people(tx, p.account, of)
	if err != nil {
		return nil, err
	}
	usages, err := s.Limits.Read(tx, p.account.ID, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*imagined, len(ids))
	for _, id := range ids {
		who := known[id]
		if who.fan == nil || who.fan.Erased() {
			continue
		}
		f := &imagined{fan: *who.fan, who: *who, own: map[int64]guard.Counted{}, last: map[dripFan]*run{}, usage: limits.Usage{FanID: id, AccountID: p.account.ID}}
		if u := usages[id]; u != nil {
			f.usage = *u
		}
		out[id] = f
	}
	if err := p.latestRuns(tx, ids, out); err != nil {
		return nil, err
	}
	return out, p.counted(tx, ids, out)
}

// counted reads what drips with caps of their own have counted for fans.
func (p *production) counted(tx *gorm.DB, ids []int64, into map[int64]*imagined) error {
	for _, r := range p.drips {
		if r.caps.None() {
			continue
		}
		counted, err := p.store.Limits.CampaignCounted(tx, r.ID, ids)
		if err != nil {
			return err
		}
		for id, c := range counted {
			if f := into[id]; f != nil {
				f.own[r.ID] = c
			}
		}
	}
	return nil
}

// latestRuns reads the latest run of each fan in each drip, of those that began before what is replayed.
func (p *production) latestRuns(tx *gorm.DB, ids []int64, into map[int64]*imagined) error {
	drips := make([]int64, len(p.drips))
	for i, r := range p.drips {
		drips[i] = r.ID
	}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		err := database.EachRow(tx, scanRun(func(r *run) {
			if f := into[r.fanID]; f != nil {
				f.last[dripFan{r.campaignID, r.fanID}] = r
			}
		}), "SELECT "+runColumns+" FROM enrolments e WHERE campaign_id IN ? AND fan_id IN ? AND account_id = ? AND occurrence = "+
			"(SELECT MAX(x.occurrence) FROM enrolments x WHERE x.campaign_id = e.campaign_id AND x.fan_id = e.fan_id AND x.started_at < ?)",
			database.SortedSet(drips), chunk, p.account.ID, p.before)
		if err != nil {
			return fmt.Errorf("read earlier runs: %w", err)
		}
	}
	return nil
}

// again is the same fan once more, for one rehearsal.
func (f *imagined) again(x *rehearsal) *imagined {
	g := *f
	g.rehearsal = x
	g.own, g.last, g.to = maps.Clone(f.own), maps.Clone(f.last), slices.Clone(f.to)
	g.tagged = maps.Clone(f.who.tags)
	if g.tagged == nil {
		g.tagged = map[int64]bool{}
	}
	g.who.known = needFan | needTags | needAttributes | needActs
	g.who.fan, g.who.usage = &g.fan, &g.usage
	g.who.tags, g.who.attributes = maps.Clone(g.tagged), maps.Clone(f.who.attributes)
	g.expect()
	return &g
}

// fansAct lets the fans of today set a trigger off.
func (p *production) fansAct(q *ForecastQuery) func(*gorm.DB, map[int64]*imagined) error {
	t := &p.subject.triggers[q.Trigger]
	rules := wechat.RulesAt(clock.FromMillis(p.from))
	return func(_ *gorm.DB, people map[int64]*imagined) error {
		for id, f := range people {
			if !f.fan.Subscribed {
				continue
			}
			at := p.from
			if q.OverDay {
				at += int64(guard.Spread(0, id)) % msDay
			}
			f.to = []happening{t.happening(f, at, rules)}
		}
		return nil
	}
}

// happening is an act of the fan that sets the trigger off.
func (t *trigger) happening(f *imagined, at int64, rules wechat.RuleSet) happening {
	h := happening{at: at, act: Act{EventAt: at}}
	did := fans.Act{EventAt: at}
	for _, o := range t.opens(rules) {
		if o.ago == 0 {
			did.Triggers = append(did.Triggers, o.by)
		}
	}
	h.did = &did
	switch t.kind {
	case TriggerFollow:
		h.act.Kind, did.Kind, did.Followed = ActFollow, "subscribe", true
		if f.fan.FollowSource == followByCode {
			h.act.Scene, did.Scene = f.fan.Scene, f.fan.Scene
		}
	case TriggerScan:
		h.act.Kind, did.Kind, h.act.Scene = ActScan, "scan", cmp.Or(t.scene, t.prefix, f.fan.Scene, "1")
	case TriggerMenu:
		h.act.Kind, did.Kind, h.act.Key = ActMenu, "click", t.key
	case TriggerKeyword:
		h.act.Kind, did.Kind, h.act.Text = ActText, "text", t.keywords[0]
	case TriggerMessage:
		h.act.Kind, did.Kind = ActMessage, "image"
	case TriggerLocation:
		h.act.Kind, did.Kind = ActLocation, "location"
	default:
		h.did = nil
		t.ownAct(&h.act)
	}
	return h
}

// ownAct is the act of what we are told, or find out, of the fan.
func (t *trigger) ownAct(act *Act) {
	switch t.kind {
	case TriggerTag:
		act.Kind, act.TagID = ActTagged, t.tag
	case TriggerPayment:
		act.Kind, act.Name = ActPaid, EventPayment
	case TriggerEvent:
		act.Kind, act.Name = ActEvent, t.event
		if t.event == EventPayment {
			act.Kind = ActPaid
		}
	case TriggerSilent:
		act.Kind, act.Hours = ActSilent, t.n
	case TriggerClosing:
		act.Kind, act.Minutes = ActClosing, t.n
	}
}

// replaySpan is what part of the past is replayed, unix ms, and how much later.
type replaySpan struct{ from, until, later int64 }

// replayed reads what fans did in the span, by fan, in the order in which it was recorded.
func (p *production) replayed(tx *gorm.DB, ids []int64) (map[int64][]happening, error) {
	out := map[int64][]happening{}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var k fans.KeptAct
			if err := rows.Scan(&k.ID, &k.FanID, &k.Kind, &k.Detail, &k.EventAt, &k.RecordedAt, &k.Touched); err != nil {
				return err
			}
			told := k.Kind == fans.KindSilent || k.Kind == fans.KindClosing // they come about again by themselves
			if !told && k.RecordedAt >= p.span.from && k.RecordedAt < p.span.until {
				h := actAgain(&k)
				h.shift(p.span.later)
				out[k.FanID] = append(out[k.FanID], h)
			}
			return nil
		}, "SELECT id, fan_id, kind, detail, event_at, recorded_at, touched FROM interactions WHERE fan_id IN ? AND event_at >= ? AND +account_id = ?",
			chunk, p.span.from-maxActAge, p.account.ID)
		if err != nil {
			return nil, fmt.Errorf("read what fans did: %w", err)
		}
	}
	for _, acts := range out {
		slices.SortFunc(acts, func(a, b happening) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.interactionID, b.interactionID))
		})
	}
	return out, nil
}

// shift makes it happen later.
func (h *happening) shift(by int64) {
	h.at += by
	h.act.EventAt += by
	if h.did != nil {
		h.did.EventAt += by
	}
}
