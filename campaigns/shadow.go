package campaigns

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/internal/fault"
	"hongyan/internal/walk"
	"hongyan/limits"
)

// AudienceShadow is that of a report of the shadow mode: the fans who did something since it began, with what they did.
const AudienceShadow Audience = "shadow"

// ShadowDays is how many days of shadow mode a report covers at the most.
const ShadowDays = 7

// StartShadow begins to try a draft in shadow mode: from now on, its ShadowReport tells what it would have decided about what fans really do. Nothing is sent, and
// nothing that other drips need is used up. Begun anew, it forgets what was before. Errors: NotFound; Conflict when the drip is no draft, or changed since revision.
func (s *Store) StartShadow(ctx context.Context, c Change) error {
	return s.setShadow(ctx, c, s.Clock.Now().UnixMilli())
}

// EndShadow ends the shadow mode of a draft; its report is gone with it. Errors: as StartShadow's.
func (s *Store) EndShadow(ctx context.Context, c Change) error { return s.setShadow(ctx, c, 0) }

func (s *Store) setShadow(ctx context.Context, c Change, since int64) error {
	return s.DB.Tx(ctx, func(tx *gorm.DB) error {
		query, args := "id = ? AND account_id = ? AND kind = ? AND state = ? AND archived_at = 0", []any{c.ID, c.AccountID, kindDrip, StateDraft}
		if c.Revision != 0 {
			query, args = query+" AND revision = ?", append(args, c.Revision)
		}
		res := tx.Model(&dripRow{}).Where(query, args...).Updates(map[string]any{
			"shadow_since": since, "revision": gorm.Expr("revision + 1"), "updated_at": s.Clock.Now().UnixMilli(),
		})
		return s.changed(tx, res, c, []State{StateDraft})
	})
}

// ShadowReport tells what a draft in shadow mode would have decided since that began, until now or for ShadowDays: with the drip and the rules as they are now, and the
// fans' windows and counts as they were, as far as interactions and ledger are kept. What other drips sent takes of both. Tags and attributes are those of today; acts that nobody
// listened for at the time, as tags without a running drip that asks for them, are not recorded and so do not happen. Errors: NotFound;
// Conflict when the drip is not in shadow mode.
func (s *Store) ShadowReport(ctx context.Context, account *accounts.Account, dripID int64) (*Forecast, error) {
	q := ForecastQuery{DripID: dripID, Audience: AudienceShadow}
	p, err := s.prepare(ctx, account, &q)
	if err != nil {
		return nil, err
	}
	if err := p.play(ctx, 0); err != nil {
		return nil, err
	}
	return p.forecast(&q), nil
}

// shadow gets the past since a drip's shadow mode began ready.
func (s *Store) shadow(ctx context.Context, account *accounts.Account, q *ForecastQuery) (*production, error) {
	d, err := s.FindDrip(ctx, account.ID, q.DripID)
	if err != nil {
		return nil, err
	}
	if d.ShadowSince == 0 {
		return nil, fault.New(fault.Conflict, "drip %d is not in shadow mode; begin it first", d.ID)
	}
	q.Definition, q.WhatIf, q.TagID = nil, nil, 0
	p, err := s.production(ctx, account, q)
	if err != nil {
		return nil, err
	}
	p.from, p.until = d.ShadowSince, min(s.Clock.Now().UnixMilli(), d.ShadowSince+ShadowDays*msDay)
	p.before = 1 // nobody was in it before
	p.ready = p.asItWas
	only := &p.stages[0].rehearsal
	only.rivals, only.drips, only.since, only.until = p.drips[1:], p.drips[:1], p.from, p.until
	only.silences = silencesOf(only.drips)
	back := closedBy
	for _, q := range only.silences {
		back = max(back, q.age(p.from)+maxActAge)
	}
	p.span = &replaySpan{from: p.from - back, until: p.until + 1}
	return p, nil
}

// asItWas takes fans back to when the shadow mode began: what is known of them now, less what has happened since.
func (p *production) asItWas(tx *gorm.DB, people map[int64]*imagined) error {
	ids := slices.Sorted(maps.Keys(people))
	entered, err := p.entered(tx, ids)
	if err != nil {
		return err
	}
	sent, err := p.store.Ledger.MarkedOf(tx, p.account.ID, ids)
	if err != nil {
		return err
	}
	for id, f := range people {
		if len(p.stages[0].silences) == 0 && !f.after(p.from) {
			f.to = nil
			continue
		}
		f.goBack(p.span.from)
		for i := range f.to {
			h := &f.to[i]
			h.entered = entered[h.interactionID]
			if h.at < p.from {
				h.act.Kind = "" // it opened what it opened, but began nothing
			}
		}
		for i := range sent[id] {
			p.otherSend(f, &sent[id][i])
		}
	}
	return nil
}

// after reports whether anything that the fan did was recorded from a moment on.
func (f *imagined) after(from int64) bool {
	return len(f.to) > 0 && f.to[len(f.to)-1].at >= from
}

// goBack forgets what has become of the fan since a moment. What opened windows before it has closed by the time that matters.
func (f *imagined) goBack(to int64) {
	f.usage = limits.Usage{FanID: f.usage.FanID, AccountID: f.usage.AccountID}
	f.own, f.fan.InteractedAt = map[int64]guard.Counted{}, 0
	for i := range f.to {
		if did := f.to[i].did; did != nil && (did.Followed || did.Left) {
			f.fan.Subscribed = did.Left
			break
		}
	}
	if f.fan.SubscribedAt >= to {
		f.fan.SubscribedAt = 0
	}
	if f.fan.UnsubscribedAt >= to {
		f.fan.UnsubscribedAt = 0
	}
}

// otherSend lets a message of another source take what it took. What went before the period counts in the week's and the month's caps.
func (p *production) otherSend(f *imagined, m *deliveries.Marked) {
	first, _ := guard.PeriodMonth.Span(p.account.Policy.Day(clock.FromMillis(p.from)))
	since := min(p.span.from, p.account.Policy.DayStart(first).UnixMilli())
	ours := m.Source.Kind == deliveries.SourceDrip && m.Source.ID == p.subject.ID
	if ours || !m.Holds() || m.MarkedAt < since || m.MarkedAt > p.until {
		return
	}
	f.comes(happening{at: m.MarkedAt, sent: &otherSend{messages: 1, free: m.Channel == guard.ChannelPassive, counts: m.Counts()}})
}

// entered reads into which of the other drips interactions let fans, by interaction.
func (p *production) entered(tx *gorm.DB, ids []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	for chunk := range slices.Chunk(ids, database.ChunkSize) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var interaction, drip int64
			err := rows.Scan(&interaction, &drip)
			out[interaction] = append(out[interaction], drip)
			return err
		}, "SELECT interaction_id, campaign_id FROM enrolments WHERE fan_id IN ? AND +account_id = ? AND started_at >= ?", chunk, p.account.ID, p.from-maxActAge)
		if err != nil {
			return nil, fmt.Errorf("read what acts began: %w", err)
		}
	}
	return out, nil
}

// ShadowDecision is what a draft in shadow mode decided about one message to one fan.
type ShadowDecision struct {
	FanID      int64
	Occurrence int64 // of the fan's runs, from 1
	StepNo     int
	MessageNo  int
	State      deliveries.State // StatePlanned: not due yet, or put off; StateSent: it would have been sent
	Reason     guard.Reason     // why not, or why it was put off
	DueAt      int64            // unix ms
	DecidedAt  int64            // when it came to its end, unix ms; 0 if it has not
}

// ShadowWhoQuery narrows ShadowWho. The zero value lists all.
type ShadowWhoQuery struct {
	StepNo int              // 0: of all steps
	State  deliveries.State // 0: in all states
	Reason guard.Reason     // ReasonNone: for any
	FanID  int64            // 0: of all fans
	After  walk.Place       // behind the decision with which the page before ended
	Limit  int              // 0 is walk.DefaultLimit, and the most walk.MaxLimit
}

// shadowSlices is how many slices of fans a page looks at, at most.
const shadowSlices = 20

// ShadowWho lists the single decisions behind a ShadowReport by fan, each fan's as they were planned. Errors: as ShadowReport's.
func (s *Store) ShadowWho(ctx context.Context, account *accounts.Account, dripID int64, q ShadowWhoQuery) (walk.Page[ShadowDecision], error) {
	p, err := s.shadow(ctx, account, &ForecastQuery{DripID: dripID, Audience: AudienceShadow})
	if err != nil {
		return walk.Page[ShadowDecision]{}, err
	}
	w := shadowWho{production: p, q: &q, limit: min(cmp.Or(q.Limit, walk.DefaultLimit), walk.MaxLimit)}
	after := q.After.ID
	if q.After.Sort > 0 {
		after-- // the rest of this fan's
	}
	for range shadowSlices {
		ids, err := w.next(ctx, after)
		if err != nil || len(ids) == 0 {
			return w.page, err
		}
		after = ids[len(ids)-1]
		if full, err := w.look(ctx, ids); err != nil || full {
			return w.page, err
		}
	}
	w.page.Next = &walk.Place{ID: after}
	return w.page, nil
}

// shadowWho is one page of decisions in the making.
type shadowWho struct {
	*production

	q     *ShadowWhoQuery
	limit int
	page  walk.Page[ShadowDecision]
	last  walk.Place // of its last row
}

// next lists the next fans to look at.
func (w *shadowWho) next(ctx context.Context, after int64) ([]int64, error) {
	if w.q.FanID == 0 {
		return w.slice(ctx, 0, after)
	}
	if w.q.FanID <= after {
		return nil, nil
	}
	return []int64{w.q.FanID}, nil
}

// look adds what was decided about fans, and reports whether the page is full.
func (w *shadowWho) look(ctx context.Context, ids []int64) (full bool, err error) {
	people, err := w.gather(w.store.DB.Read(ctx), ids)
	if err != nil {
		return false, err
	}
	only := &w.stages[0].rehearsal
	for _, id := range ids {
		f := people[id]
		if f == nil || len(f.to) == 0 {
			continue
		}
		l := &listener{}
		only.sees = l
		f.again(only).live()
		for i, d := range l.all {
			at := walk.Place{ID: id, Sort: int64(i) + 1}
			if !w.q.lists(d) || id == w.q.After.ID && at.Sort <= w.q.After.Sort {
				continue
			}
			if len(w.page.Rows) == w.limit {
				w.page.Next = &w.last
				return true, nil
			}
			w.page.Rows, w.last = append(w.page.Rows, decisionOf(d)), at
		}
	}
	return false, nil
}

// lists reports whether a message is among those that are asked for.
func (q *ShadowWhoQuery) lists(d *deliveries.Delivery) bool {
	return (q.StepNo == 0 || d.StepNo == q.StepNo) && (q.State == 0 || d.State == q.State) && (q.Reason == guard.ReasonNone || d.Reason == q.Reason)
}

func decisionOf(d *deliveries.Delivery) ShadowDecision {
	return ShadowDecision{
		FanID: d.FanID, Occurrence: d.Occurrence, StepNo: d.StepNo, MessageNo: d.MessageNo, State: d.State, Reason: d.Reason, DueAt: d.DueAt, DecidedAt: d.EndedAt,
	}
}

// listener keeps the messages of one imagined fan. It implements witness.
type listener struct{ all []*deliveries.Delivery }

func (l *listener) began(*run) {}

func (l *listener) over(*run) {}

func (l *listener) passed(*Passed) {}

func (l *listener) planned(d *deliveries.Delivery) { l.all = append(l.all, d) }

func (l *listener) ended(*deliveries.Delivery) {}

func (l *listener) held(*deliveries.Delivery, holder, int, int64) {}
