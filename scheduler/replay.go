package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/clock"
	"hongyan/internal/database"
	"hongyan/limits"
	"hongyan/wechat"
)

const (
	// replaySlice is how many fans have a hash together.
	replaySlice = 1000
	// replayChunk is how many fans' pushes and deliveries are in memory at once.
	replayChunk = 200
	// replayTries is how often fans are read again that changed while they were read.
	replayTries = 5
	// replayNamed is how many differences are named; the rest is counted.
	replayNamed = 100
	// replayMargin is how much longer than it has to a push may be kept, ms: it is removed in a night after its time, and its interaction is younger than it.
	replayMargin = 24 * 60 * 60 * 1000
)

// Difference is something that is believed, and that pushes and ledger say otherwise.
type Difference struct {
	FanID         int64 // 0 for a figure
	Field         string
	Live, Rebuilt string
}

// ReplayReport is what a replay has found.
type ReplayReport struct {
	Fans, Pushes, Interactions, Deliveries int64
	// Differences are named up to a bound; DifferentFans counts the fans who have any.
	Differences   []Difference
	DifferentFans int64
	// Figures counts the counters that were compared with the ledger, DifferentFigures those that do not equal it.
	Figures, DifferentFigures int64
	Slices                    int
	// DifferentSlices are the slices whose hashes differ.
	DifferentSlices int
	// Live is the hash of what is believed of all fans, Rebuilt that of what pushes and ledger say. They are equal when nothing differs.
	Live, Rebuilt string
	// Partial counts the fans of whom pushes are not kept any more, or were recorded before this could be replayed: what they were before their first push that
	// is, was believed.
	Partial int64
	// Pushless counts the fans of whom nothing was ever recorded: synchronisations and requests made them.
	Pushless int64
	// Told counts the fans of whom something is not what the pushes say, because a synchronisation has learned it of the platform since.
	Told int64
	// Waiting and Parked count acts that are not recorded: they wait to be acted upon, or failed too often.
	Waiting, Parked int64
	// Busy counts the fans who changed each time they were read, BusySources the sources of messages whose figures did: they were not compared.
	Busy, BusySources int64
}

// Equal reports whether everything that was compared is as pushes and ledger say.
func (r *ReplayReport) Equal() bool { return r.Live == r.Rebuilt }

// ReplayOptions are what a Replay is made of.
type ReplayOptions struct {
	DB        *database.DB
	Clock     clock.Clock
	Accounts  *accounts.Store
	AccountID int64
	Slice     int // fans that have a hash together; 0 means 1,000
}

// Replay compares what is believed of an account's fans with what pushes and ledger say. It builds each fan anew with the functions that recorded them, from:
//
//   - pushes and own events of the inbox, in the order of their interactions: subscribed, the times and the scene of the fan, sessions of agents, the
//     interactions themselves, and the grants that acts opened;
//   - the ledger: what was reserved of grants and caps and not given back, the refusals that corrected grants (45047, 45015) or showed that a fan is gone or
//     refuses messages, the time of the last marketing message, and the figures.
//
// Two things cannot be learned from these and are kept with the interaction: the generations that the fan's grants had before and after it, which put acts,
// reservations and corrections of one millisecond in order, and how many sends were taken off what it granted. The latter is compared with the ledger as a
// bound: of a message that was tried again it is not kept when it was on the wire before.
//
// What is compared as a bound only: the caps of a campaign, which count from when the campaign had any and so may have counted less than the ledger. What is
// believed: what a fan was before the first push that is still kept (Partial), and of fans whom a synchronisation has asked about what it learned (Told):
// that they follow, since when, by which scene. That a synchronisation found a fan gone closes the grants, which shows in their generation. What a fan's row holds
// besides (names, tags, attributes, blacklist) is not from pushes.
//
// It reads only, a part of the fans at a time, and may run beside everything else: a fan who changed meanwhile is read again.
type Replay struct {
	o      ReplayOptions
	fans   *fans.Store
	inbox  *fans.Inbox
	limits *limits.Store
	ledger *deliveries.Store

	lostBefore int64
	report     *ReplayReport
	all        [2]hash.Hash
}

// NewReplay makes a replay of one account.
func NewReplay(o ReplayOptions) *Replay {
	if o.Slice <= 0 {
		o.Slice = replaySlice
	}
	lim := limits.New(o.DB)
	r := &Replay{
		o: o, fans: fans.New(o.DB, o.Clock, lim), inbox: fans.NewInbox(o.DB, o.Clock), limits: lim,
		ledger: deliveries.New(o.DB, o.Clock),
	}
	r.ledger.CountIn(o.Accounts)
	return r
}

// Run replays the account.
func (r *Replay) Run(ctx context.Context) (*ReplayReport, error) {
	policy, err := r.o.Accounts.FindRetention(ctx, r.o.AccountID)
	if err != nil {
		return nil, err
	}
	r.report, r.all, r.lostBefore = &ReplayReport{}, [2]hash.Hash{sha256.New(), sha256.New()}, math.MinInt64
	if before, bounded := policy.Before(accounts.KeptInbox, r.o.Clock.Now()); bounded {
		r.lostBefore = before + replayMargin
	}
	for after := int64(0); ; {
		ids, err := r.fans.IDsAfter(r.o.DB.Read(ctx), r.o.AccountID, after, r.o.Slice)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		if err := r.slice(ctx, ids); err != nil {
			return nil, err
		}
		after = ids[len(ids)-1]
	}
	if err := r.figures(ctx); err != nil {
		return nil, err
	}
	r.report.Live, r.report.Rebuilt = hex.EncodeToString(r.all[0].Sum(nil)), hex.EncodeToString(r.all[1].Sum(nil))
	return r.report, nil
}

// slice replays some fans, who have a hash together.
func (r *Replay) slice(ctx context.Context, ids []int64) error {
	both := [2]hash.Hash{sha256.New(), sha256.New()}
	for chunk := range slices.Chunk(ids, replayChunk) {
		left := chunk
		for try := 0; len(left) > 0 && try < replayTries; try++ {
			var err error
			if left, err = r.chunk(ctx, left, both); err != nil {
				return err
			}
		}
		r.report.Busy += int64(len(left))
	}
	live, rebuilt := both[0].Sum(nil), both[1].Sum(nil)
	r.report.Slices++
	if !slices.Equal(live, rebuilt) {
		r.report.DifferentSlices++
	}
	fmt.Fprintf(r.all[0], "%x\n", live)
	fmt.Fprintf(r.all[1], "%x\n", rebuilt)
	return nil
}

// chunk replays fans and returns those who changed while they were read.
func (r *Replay) chunk(ctx context.Context, ids []int64, both [2]hash.Hash) (changed []int64, err error) {
	tx := r.o.DB.Read(ctx)
	before, err := r.fans.Lives(tx, r.o.AccountID, ids)
	if err != nil {
		return nil, err
	}
	there := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return before[id].Fan.ID == 0 })
	facts, err := r.facts(tx, before, there)
	if err != nil {
		return nil, err
	}
	after, err := r.fans.Lives(tx, r.o.AccountID, there)
	if err != nil {
		return nil, err
	}
	for _, id := range there {
		if after[id] != before[id] {
			changed = append(changed, id)
			continue
		}
		r.one(facts[id], both)
	}
	return changed, nil
}

// one replays a fan.
func (r *Replay) one(f *replayFacts, both [2]hash.Hash) {
	c := &comparison{fanID: f.live.Fan.ID, both: both}
	f.pair(r.lostBefore, c)
	b := newRebuild(f, c)
	b.run(f.steps)
	b.compare(f)

	out := r.report
	out.Fans++
	out.Pushes += int64(f.pushes)
	out.Interactions += int64(len(f.kept))
	out.Deliveries += int64(len(f.marked))
	out.Waiting += int64(f.waiting)
	out.Parked += int64(f.parked)
	count := func(n *int64, holds bool) {
		if holds {
			*n++
		}
	}
	count(&out.Partial, f.lost != nil)
	count(&out.Pushless, len(f.kept) == 0)
	count(&out.Told, b.told)
	count(&out.DifferentFans, len(c.found) > 0)
	out.name(c.found)
}

// name names differences while there is room.
func (r *ReplayReport) name(found []Difference) {
	room := max(0, replayNamed-len(r.Differences))
	r.Differences = append(r.Differences, found[:min(room, len(found))]...)
}

// figures holds the figures of all sources against the ledger.
func (r *Replay) figures(ctx context.Context) error {
	for src := (deliveries.Source{}); ; {
		f, err := r.ledger.ReplayFigures(ctx, r.o.AccountID, src)
		if err != nil {
			return err
		}
		if src = f.Source; src == (deliveries.Source{}) {
			return nil
		}
		if f.Busy {
			r.report.BusySources++
			continue
		}
		c := &comparison{both: r.all}
		for i := range f.Counters {
			c.number(figureName(&f.Counters[i].FigureKey), f.Counters[i].Counted, f.Counters[i].Found)
		}
		r.report.Figures += int64(len(f.Counters))
		r.report.DifferentFigures += int64(len(c.found))
		r.report.name(c.found)
	}
}

func figureName(k *deliveries.FigureKey) string {
	name := fmt.Sprintf("figure %s %d, message %d, %s: %s", k.Source.Kind, k.Source.ID, k.MessageID, time.Unix(int64(k.Day)*86_400, 0).UTC().Format(time.DateOnly), deliveries.State(k.Figure))
	if k.Reason != guard.ReasonNone {
		name += " " + k.Reason.String()
	}
	if k.ErrCode != 0 {
		name += " " + strconv.Itoa(k.ErrCode)
	}
	return name
}

// comparison holds what is believed of a fan against what was rebuilt, and adds both to their hashes.
type comparison struct {
	fanID int64
	both  [2]hash.Hash
	found []Difference
}

// differs notes something that is not equal, whatever else is.
func (c *comparison) differs(field, live, rebuilt string) {
	fmt.Fprintf(c.both[0], "%d %s=%s\n", c.fanID, field, live)
	fmt.Fprintf(c.both[1], "%d %s=%s\n", c.fanID, field, rebuilt)
	if live != rebuilt {
		c.found = append(c.found, Difference{FanID: c.fanID, Field: field, Live: live, Rebuilt: rebuilt})
	}
}

func (c *comparison) number(field string, live, rebuilt int64) {
	c.differs(field, strconv.FormatInt(live, 10), strconv.FormatInt(rebuilt, 10))
}

func (c *comparison) flag(field string, live, rebuilt bool) {
	c.differs(field, strconv.FormatBool(live), strconv.FormatBool(rebuilt))
}

// compare holds all of a fan against what was rebuilt. The fields have the names of their columns.
func (b *rebuild) compare(f *replayFacts) {
	c, live, now := b.c, &b.live.Fan, &b.fan
	c.flag("subscribed", live.Subscribed, now.Subscribed)
	c.flag("refused", live.Refused, now.Refused)
	c.differs("scene", live.Scene, now.Scene)
	c.differs("follow_source", live.FollowSource, now.FollowSource)
	c.number("subscribed_at", live.SubscribedAt, now.SubscribedAt)
	c.number("unsubscribed_at", live.UnsubscribedAt, now.UnsubscribedAt)
	c.number("interacted_at", live.InteractedAt, now.InteractedAt)
	for i := range f.steps {
		if s := &f.steps[i]; s.kept != nil {
			c.differs(fmt.Sprintf("push %d: interaction", s.act.InboxID), keptText(s.kept), keptText(new(fans.KeptFor(s.act))))
		}
	}
	b.compareLimits()
	b.compareCampaigns(f)
}

func keptText(k *fans.KeptAct) string { return fmt.Sprintf("%s %q at %d", k.Kind, k.Detail, k.EventAt) }

func (b *rebuild) compareLimits() {
	c, live, now := b.c, &b.live.Usage, &b.usage
	c.number("generation", int64(live.Grants.Generation), int64(now.Grants.Generation))
	for t := range live.Grants.Buckets {
		l, n, name := live.Grants.Buckets[t], now.Grants.Buckets[t], wechat.Trigger(t).String()
		c.number(name+"_left", int64(l.Left), int64(n.Left))
		c.number(name+"_until", l.Until, n.Until)
		c.number(name+"_generation", int64(l.Generation), int64(n.Generation))
	}
	c.number("agent_until", live.AgentUntil, now.AgentUntil)
	c.number("marketing_at", live.MarketingAt, now.MarketingAt)
	c.number("cap_day", int64(live.Counted.Day), int64(now.Counted.Day))
	for p, name := range [guard.PeriodCount]string{"cap_used", "cap_week_used", "cap_month_used"} {
		c.number(name, int64(live.Counted.Used[p]), int64(now.Counted.Used[p]))
	}
}

// compareCampaigns bounds what campaigns have counted for themselves by what the ledger counts for them.
func (b *rebuild) compareCampaigns(f *replayFacts) {
	for _, id := range slices.Sorted(maps.Keys(f.caps)) {
		counted := f.caps[id]
		for p, name := range [guard.PeriodCount]string{"used", "week_used", "month_used"} {
			first, next := guard.Period(p).Span(counted.Day)
			most := 0
			for i := range b.marked {
				m := &b.marked[i]
				if m.Holds() && m.Source.Campaign() && m.Source.ID == id && m.Reserved.CapDay >= first && m.Reserved.CapDay < next {
					most++
				}
			}
			if counted.Used[p] > most {
				b.c.differs(fmt.Sprintf("campaign %d: %s", id, name), strconv.Itoa(counted.Used[p]), fmt.Sprintf("at most %d", most))
			}
		}
	}
}
