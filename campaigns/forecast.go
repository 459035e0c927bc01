package campaigns

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Audience says of whom a forecast is made. The names are used in the API.
type Audience string

// The audiences.
const (
	AudienceFans Audience = "fans" // the fans of today, who all set off a trigger
	AudienceWeek Audience = "week" // those who did something in the last seven days: they do it again in the next seven
)

// Limits of a forecast.
const (
	DefaultForecastDays = 7
	MaxForecastDays     = 30
	// forecastSlice is how many fans are in memory at a time.
	forecastSlice = 500
	// week is how much of the past AudienceWeek replays, ms.
	week = 7 * msDay
)

// ForecastQuery says what is forecast, and for whom.
type ForecastQuery struct {
	DripID     int64  // the drip; 0 for one that does not exist yet
	Definition []byte // JSON, instead of the drip's current one; needed without a drip
	Audience   Audience

	// At is when the fans of AudienceFans set the trigger off, unix ms; 0 is now. With OverDay they do so one after another, spread over the 24 hours from then on.
	At      int64
	OverDay bool
	Trigger int   // which, by its index in the definition
	TagID   int64 // only fans who have this tag; 0: all

	Days   int // how long each fan is followed, 1 to MaxForecastDays; 0 is DefaultForecastDays
	WhatIf []RuleChange
}

// Forecast is what would become of a drip. Nobody was sent anything, and nothing was stored.
type Forecast struct {
	Audience Audience
	From     int64 // unix ms
	Until    int64 // where fans are left: what is not over by then counts as waiting
	Fans     int64 // who were looked at
	Entered  int64 // those of them who would enter the drip
	Reached  int64 // those of them to whom at least one message would go
	// Report counts runs and messages as Report does for a drip that has run. Nothing fails, and nobody reacts.
	Report Report
	Days   []ForecastDay
	Lost   []LostReason // what each rule costs, the most expensive first
	WhatIf []RuleEffect // by RuleChange
	// RateHeld and BudgetHeld are the drip's messages that wait for the account's rate or calls in flight, or for the platform's next day because the budget of calls is used up.
	// They count in Report as what becomes of them then.
	RateHeld, BudgetHeld HeldUp
}

// Forecast tells what would become of a drip if an audience did what it is assumed to do, by the rules by which drips run: with what the fans may be sent now, and
// beside the account's other running drips, at the account's rate and within the platform's daily budget, of which today's part that is used is known. What waits in the ledger already is left out.
// The platform accepts everything. Errors: Invalid with a field; NotFound for the drip.
func (s *Store) Forecast(ctx context.Context, account *accounts.Account, q ForecastQuery) (*Forecast, error) {
	if q.Audience == AudienceShadow {
		return nil, fault.BadField("audience", "one_of", "the audience is %s or %s", string(AudienceFans), string(AudienceWeek))
	}
	p, err := s.prepare(ctx, account, &q)
	if err != nil {
		return nil, err
	}
	if err := p.play(ctx, q.TagID); err != nil {
		return nil, err
	}
	return p.forecast(&q), nil
}

// prepare gets everything ready that a query takes. Errors: as Forecast's.
func (s *Store) prepare(ctx context.Context, account *accounts.Account, q *ForecastQuery) (*production, error) {
	if q.Audience == AudienceShadow {
		return s.shadow(ctx, account, q)
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	p, err := s.production(ctx, account, q)
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now().UnixMilli()
	p.from = cmp.Or(q.At, now)
	p.before = max(p.from, now) + 1
	p.until = p.from + int64(cmp.Or(q.Days, DefaultForecastDays))*msDay
	if q.Audience == AudienceWeek {
		p.until += week
		p.before = now - week
		p.span = &replaySpan{from: now - week, until: now, later: week}
		return p, p.gates(ctx, q)
	}
	if q.Trigger < 0 || q.Trigger >= len(p.subject.triggers) {
		return nil, fault.BadField("trigger", "range", "the drip has %d triggers; take one of 0 to %d", len(p.subject.triggers), len(p.subject.triggers)-1)
	}
	p.ready = p.fansAct(q)
	if q.OverDay {
		p.until += msDay
	}
	return p, p.gates(ctx, q)
}

func (q *ForecastQuery) check() error {
	switch {
	case q.Audience != AudienceFans && q.Audience != AudienceWeek:
		return fault.BadField("audience", "one_of", "the audience is %s or %s", string(AudienceFans), string(AudienceWeek))
	case q.Days < 0 || q.Days > MaxForecastDays:
		return fault.BadField("days", "range", "fans are followed for 1 to %d days, not %d", MaxForecastDays, q.Days)
	case q.Audience == AudienceWeek && q.At != 0:
		return fault.BadField("at", "not_allowed", "a week is replayed from now on; leave the moment out")
	case q.DripID == 0 && len(q.Definition) == 0:
		return fault.BadField("definition", "required", "name a drip, or write a definition")
	}
	return nil
}

// production is a rehearsal with everything that it takes: the drips, the rules as they are and as they might be, and who reads the fans.
type production struct {
	store   *Store
	account *accounts.Account
	subject *Running // the drip that is forecast
	number  int      // of its version
	drips   []*Running
	needs   need
	tags    map[int64]bool // see rehearsal
	passive map[int64]bool
	// messages are those of a definition that is not stored, by the ids that were made up for them.
	messages map[int64]*wechat.Message
	stages   []*stage // the first with the rules as they are
	from     int64
	until    int64
	before   int64 // runs that began from then on are not what fans have been in before
	// span is what part of the past happens again; nil: none, and ready says what happens.
	span *replaySpan
	// ready gets a slice of fans ready, who stand as they do now, with what of the past happens to them; nil: that is all.
	ready func(tx *gorm.DB, people map[int64]*imagined) error
}

// stage is one rehearsal under one set of rules.
type stage struct {
	rehearsal

	tally   *tally
	before  *tally // of the pass before
	settled bool   // the next pass would count the same
}

// production gets the drips and the rules ready.
func (s *Store) production(ctx context.Context, account *accounts.Account, q *ForecastQuery) (*production, error) {
	p := &production{store: s, account: account, number: 1}
	if err := s.find(ctx, account, q, p); err != nil {
		return nil, err
	}
	running, err := s.runningDrips(s.DB.Read(ctx), account.ID)
	if err != nil {
		return nil, err
	}
	p.drips = []*Running{p.subject}
	for _, r := range running {
		if r.ID != p.subject.ID {
			p.drips = append(p.drips, r)
		}
	}
	p.listen()
	if p.passive, err = p.passives(ctx); err != nil {
		return nil, err
	}
	p.stage(p.drips, account)
	return p, p.whatIf(q.WhatIf)
}

// listen notes what of the fans the drips ask, and what is an act for them.
func (p *production) listen() {
	x := reactions{tags: map[int64]bool{}}
	for _, r := range p.drips {
		x.listen(r.version)
		for i := range r.triggers {
			x.watch(&r.triggers[i])
		}
		for i := range r.steps {
			p.needs |= r.steps[i].asks
			if r.steps[i].kind == StepTag || r.steps[i].kind == StepUntag {
				p.needs |= needTags
			}
		}
	}
	p.tags = x.tags
}

// passives finds the messages that can be the reply to a push: first ones of steps, of kinds that a reply can have.
func (p *production) passives(ctx context.Context) (map[int64]bool, error) {
	out := map[int64]bool{}
	for _, r := range p.drips {
		for i := range r.steps {
			if len(r.steps[i].messageIDs) == 0 {
				continue
			}
			id := r.steps[i].messageIDs[0]
			message := p.messages[id]
			if message == nil {
				t, err := p.store.Templates.Get(ctx, p.account.ID, id)
				if err != nil {
					return nil, err
				}
				source := t.Source()
				message = &source
			}
			out[id] = message.FitsReply()
		}
	}
	return out, nil
}

// newDripID stands for the id of a drip that does not exist yet: it is younger than all others.
const newDripID = int64(1) << 40

// find finds the drip that is forecast.
func (s *Store) find(ctx context.Context, account *accounts.Account, q *ForecastQuery, p *production) error {
	p.subject = &Running{ID: newDripID}
	if q.DripID != 0 {
		d, err := s.FindDrip(ctx, account.ID, q.DripID)
		if err != nil {
			return err
		}
		p.subject.ID, p.subject.Priority, p.number = d.ID, d.Priority, d.Version
		if len(q.Definition) == 0 {
			versions, err := s.versionsByID(s.DB.Read(ctx), account.ID, []int64{d.VersionID})
			if err != nil {
				return err
			}
			p.subject.version = versions[d.VersionID]
			return nil
		}
		p.number++
	}
	def, names, err := s.parse(ctx, q.Definition, account, s.Clock.Now())
	if err != nil {
		return err
	}
	p.messages = map[int64]*wechat.Message{}
	keep := names.keep(def)
	for _, n := range def.Numbered() {
		ids := make([]int64, len(n.Messages))
		for i := range ids {
			ids[i] = -1 - int64(len(p.messages)) // they are stored nowhere
			p.messages[ids[i]] = &n.Messages[i]
		}
		keep.MessageIDs = append(keep.MessageIDs, ids)
	}
	raw, err := encode(keep)
	if err != nil {
		return err
	}
	p.subject.version, err = compileStored(0, raw)
	return err
}

// stage adds a set of rules.
func (p *production) stage(drips []*Running, account *accounts.Account) {
	x := &stage{tally: newTally(p.subject.ID, account.Policy)}
	x.rehearsal = rehearsal{account: account, drips: drips, passive: p.passive, tags: p.tags, silences: silencesOf(drips), sees: x.tally}
	p.stages = append(p.stages, x)
}

// play takes the fans through everything, until who stands in line before whom is settled: mostly once, because nobody has to wait.
func (p *production) play(ctx context.Context, tagID int64) error {
	for range mostPasses {
		if err := p.pass(ctx, tagID); err != nil {
			return err
		}
		settled := true
		for _, x := range p.stages {
			x.settled = x.settled || !x.again()
			settled = settled && x.settled
		}
		if settled {
			return nil
		}
	}
	for _, x := range p.stages {
		if !x.settled {
			x.tally = x.before
		}
	}
	return nil
}

// pass takes the fans through the stages that are not settled, slice by slice.
func (p *production) pass(ctx context.Context, tagID int64) error {
	tx := p.store.DB.Read(ctx)
	for after := int64(0); ; {
		ids, err := p.slice(ctx, tagID, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		people, err := p.gather(tx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if f := people[id]; f != nil && len(f.to) > 0 {
				p.perform(f)
			}
		}
	}
}

// gather reads those of a slice of fans to whom something happens, and what that is. Where the past happens again, the others are not read.
func (p *production) gather(tx *gorm.DB, ids []int64) (map[int64]*imagined, error) {
	var acts map[int64][]happening
	if p.span != nil {
		var err error
		if acts, err = p.replayed(tx, ids); err != nil {
			return nil, err
		}
		ids = slices.Sorted(maps.Keys(acts))
	}
	people, err := p.cast(tx, ids)
	if err != nil {
		return nil, err
	}
	for id, f := range people {
		f.to = acts[id]
	}
	if p.ready == nil {
		return people, nil
	}
	return people, p.ready(tx, people)
}

// slice lists the next fans by id.
func (p *production) slice(ctx context.Context, tagID, after int64) ([]int64, error) {
	if tagID != 0 {
		return p.store.Fans.FansWithTag(ctx, p.account.ID, tagID, after, forecastSlice)
	}
	return p.store.Fans.IDsAfter(p.store.DB.Read(ctx), p.account.ID, after, forecastSlice)
}

// perform takes a fan through all stages.
func (p *production) perform(f *imagined) {
	for _, x := range p.stages {
		if x.settled {
			continue
		}
		x.since, x.until = p.from, p.until
		x.tally.begin()
		f.again(&x.rehearsal).live()
	}
}

func (p *production) forecast(q *ForecastQuery) *Forecast {
	t := p.stages[0].tally
	out := &Forecast{
		Audience: q.Audience, From: p.from, Until: p.until, Fans: t.fans, Entered: t.entered, Reached: t.reached,
		Report: t.report(p.subject.version, p.number), Days: t.perDay(), Lost: t.lost(p.account, p.number),
		RateHeld: t.waits[heldByRate], BudgetHeld: t.waits[heldByBudget],
	}
	for i, c := range q.WhatIf {
		other := p.stages[i+1].tally
		r := other.report(p.subject.version, p.number)
		out.WhatIf = append(out.WhatIf, RuleEffect{
			RuleChange: c, Sent: r.Total.Sent, SentMore: r.Total.Sent - out.Report.Total.Sent, Reached: other.reached, ReachedMore: other.reached - t.reached,
		})
	}
	return out
}
