package scheduler

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/stops"
	"hongyan/limits"
)

// markTries is how often a slice is marked anew because rows were cancelled in the middle of it.
const markTries = 3

// passiveWait is how long a message waits before it asks again whether the passive reply before it has been handed over.
const passiveWait = 500 * time.Millisecond

// mark decides about a slice of steps and, in one transaction, reserves, defers, skips and marks. It returns the steps to send.
func (s *Sender) mark(ctx context.Context, run *batchRun, slice [][]*deliveries.Delivery) ([]*step, error) {
	stale := false
	for try := 1; ; try++ {
		m := &marker{sender: s, run: run, steps: slice, stale: stale}
		err := s.db.Tx(ctx, m.do)
		switch {
		case err == nil:
			m.remember()
			run.budget -= m.calls
			s.metrics.verdicts(m.stopped, m.calls)
			return m.marked, nil
		case errors.Is(err, limits.ErrStale) && try < markTries:
			stale = true
			continue
		case !errors.Is(err, deliveries.ErrMoved) || try == markTries:
			return nil, err
		}
		epoch, err := stops.Epoch(s.db.Read(ctx))
		if err != nil || epoch != m.snapshot.Epoch {
			return nil, err // somebody stopped something a moment ago: nothing is marked until the watch has seen what
		}
		if slice, err = s.reread(ctx, run, slice); err != nil {
			return nil, err
		}
	}
}

// reread keeps what is still planned of a slice.
func (s *Sender) reread(ctx context.Context, run *batchRun, slice [][]*deliveries.Delivery) ([][]*deliveries.Delivery, error) {
	rows, err := s.ledger.StillPlanned(s.db.Read(ctx), run.account.ID, slices.Concat(slice...))
	return groupSteps(rows), err
}

// marker is one attempt at marking a slice. Its results are set anew each time the transaction is repeated.
//
// The fans' limits are those that were read with the batch, without locks. Reserving checks that they are still so; only when the guard stops a
// step, for which nothing is reserved, or a campaign counts its own cap, are they locked and compared first.
type marker struct {
	sender *Sender
	run    *batchRun
	steps  [][]*deliveries.Delivery
	stale  bool // what was read with the batch has turned out to be old

	moment   guard.Moment
	snapshot stops.Snapshot
	fanIDs   []int64
	known    map[int64]fans.Known
	locked   bool
	usages   map[int64]*limits.Usage // as the decisions change them
	caps     map[deliveries.Source]*campaignCap
	tried    map[int64]int64 // when rows that were tried before were last marked, by id
	taken    *limits.Reservations

	marked  []*step
	stopped []deliveries.Stopped
	calls   int
}

func (m *marker) do(tx *gorm.DB) error {
	s, account := m.sender, m.run.account
	now := s.clock.Now()
	m.moment, m.snapshot = account.Policy.At(now), s.watch.Snapshot()
	if err := m.facts(tx); err != nil {
		return err
	}
	if err := m.decideAll(tx, now); err != nil {
		return err
	}
	if len(m.stopped) > 0 && !m.locked {
		changed, err := m.lock(tx)
		if err != nil {
			return err
		}
		if changed {
			if err := m.decideAll(tx, now); err != nil {
				return err
			}
		}
	}
	return m.store(tx, now)
}

// store writes what was decided.
func (m *marker) store(tx *gorm.DB, now time.Time) error {
	s := m.sender
	if err := s.limits.Reserve(tx, m.taken); err != nil {
		return err
	}
	if err := m.reserveCampaigns(tx); err != nil {
		return err
	}
	var rows []*deliveries.Delivery
	for _, st := range m.marked {
		rows = append(rows, st.messages...)
	}
	if err := s.ledger.Mark(tx, deliveries.Marking{Now: now, BatchID: m.run.batch.ID, Epoch: m.snapshot.Epoch}, rows); err != nil {
		return err
	}
	ended, err := s.ledger.Stop(tx, now, m.stopped)
	if err != nil {
		return err
	}
	return s.campaigns.Advance(tx, now, m.run.account, ended)
}

// facts gathers what the decisions need.
func (m *marker) facts(tx *gorm.DB) error {
	m.locked = false
	m.fanIDs = m.fanIDs[:0]
	m.known = make(map[int64]fans.Known, len(m.steps))
	for _, step := range m.steps {
		id := step[0].FanID
		if k, found := m.run.known[id]; found {
			m.known[id] = k
		}
		m.fanIDs = append(m.fanIDs, id)
	}
	m.fanIDs = database.SortedSet(m.fanIDs)
	if m.stale {
		if _, err := m.lock(tx); err != nil {
			return err
		}
	}
	if err := m.lastTries(tx); err != nil {
		return err
	}
	return m.campaignCaps(tx)
}

// lock locks the fans' limits and reads again the fans about whom something has changed: whatever changes how a fan may be reached raises the
// version of its limits.
func (m *marker) lock(tx *gorm.DB) (changed bool, err error) {
	account := m.run.account.ID
	versions, err := m.sender.limits.LockVersions(tx, account, m.fanIDs)
	if err != nil {
		return false, err
	}
	m.locked = true
	var stale []int64
	for _, id := range m.fanIDs {
		if k, found := m.known[id]; !found || k.Usage.Version != versions[id] {
			stale = append(stale, id)
		}
	}
	if len(stale) == 0 {
		return false, nil
	}
	read, err := m.sender.fans.WithLimits(tx, account, stale)
	maps.Copy(m.known, read)
	return true, err
}

// remember keeps what the fans have left for the batch's next slice.
func (m *marker) remember() {
	for _, st := range m.marked {
		id := st.messages[0].FanID
		m.run.known[id] = fans.Known{Fan: st.fan, Usage: *m.usages[id]}
	}
}

// readFans reads a batch's fans and their limits, without locks.
func (s *Sender) readFans(ctx context.Context, accountID int64, rows []deliveries.Delivery) (map[int64]fans.Known, error) {
	ids := make([]int64, len(rows))
	for i := range rows {
		ids[i] = rows[i].FanID
	}
	return s.fans.WithLimits(s.db.Read(ctx), accountID, database.SortedSet(ids))
}

// decideAll decides about all steps, in their order.
func (m *marker) decideAll(tx *gorm.DB, now time.Time) error {
	m.marked, m.stopped, m.calls = nil, nil, 0
	m.taken = limits.NewReservations(now)
	for _, c := range m.caps {
		c.restart()
	}
	copies := make([]limits.Usage, len(m.fanIDs))
	m.usages = make(map[int64]*limits.Usage, len(m.fanIDs))
	for i, id := range m.fanIDs {
		copies[i] = limits.Usage{FanID: id, AccountID: m.run.account.ID}
		if k, found := m.known[id]; found {
			copies[i] = k.Usage
		}
		m.usages[id] = &copies[i]
	}
	for _, step := range m.steps {
		if err := m.decide(tx, step); err != nil {
			return err
		}
	}
	return nil
}

// decide asks the guard about one step and notes what follows.
func (m *marker) decide(tx *gorm.DB, rows []*deliveries.Delivery) error {
	first := rows[0]
	account := m.run.account
	fan, usage := m.known[first.FanID].Fan, m.usages[first.FanID]
	req := guard.Request{
		Class: first.Class, Campaign: scopeOf(account.ID, first.Source).CampaignID != 0, Channel: first.Channel, Options: first.Options, Messages: len(rows), NotAfter: first.NotAfter,
		Spread: guard.Spread(first.Source.ID, first.FanID),
	}
	facts := m.factsOf(first, fan, usage)
	if first.MessageNo > 1 {
		failed, open, err := m.sender.ledger.Previous(tx, first)
		if err != nil {
			return err
		}
		if open {
			// Its turn has not come: the passive reply before it is being handed over, or nobody fetches it. Left in its place it would be asked about again
			// and again, and use up rate tokens that others need.
			m.stop(rows, guard.Verdict{Kind: guard.Defer, Until: m.moment.Now + passiveWait.Milliseconds()}, nil)
			return nil
		}
		facts.PreviousFailed = failed
	}
	v := guard.Decide(&m.moment, account.Policy, &req, &facts)
	if v.Kind != guard.Allow {
		m.stop(rows, v, guard.Values(&m.moment, account.Policy, &req, &facts, v))
		return nil
	}
	m.allow(&req, rows, fan, v.Messages)
	if v.Messages < len(rows) { // as many as fit: the rest of the step is capped or out of grants
		facts = m.factsOf(first, fan, usage)
		rest, over := guard.Rest(&m.moment, account.Policy, &req, &facts, v.Messages)
		m.stop(rows[v.Messages:], over, guard.Values(&m.moment, account.Policy, &rest, &facts, over))
	}
	return nil
}

func (m *marker) stop(rows []*deliveries.Delivery, v guard.Verdict, values []guard.Value) {
	for _, d := range rows {
		m.stopped = append(m.stopped, deliveries.Stopped{Delivery: d, Verdict: v, Values: values})
	}
}

func (m *marker) allow(req *guard.Request, rows []*deliveries.Delivery, fan *fans.Fan, n int) {
	take := limits.Take{Messages: n}
	usage := m.usages[rows[0].FanID]
	if req.Counts() {
		take.CapDay = usage.Counted.DayAt(m.moment.Day)
	}
	for _, d := range rows[:n] {
		d.Reserved = deliveries.Reservation{Buckets: usage.Grants.TakenBy(m.moment.Now), Generation: usage.Grants.Generation, CapDay: take.CapDay}
	}
	m.taken.Take(usage, take)
	if c := m.caps[rows[0].Source]; c != nil && take.CapDay != 0 {
		c.take(usage.FanID, take)
	}
	m.calls += n
	m.marked = append(m.marked, &step{run: m.run, fan: fan, messages: rows[:n]})
}

func (m *marker) factsOf(d *deliveries.Delivery, fan *fans.Fan, u *limits.Usage) guard.Facts {
	scope := scopeOf(m.run.account.ID, d.Source)
	facts := guard.Facts{
		InstallationStopped: m.snapshot.Installation,
		AccountStopped:      m.snapshot.Accounts[scope.AccountID],
		CampaignStopped:     scope.CampaignID != 0 && !m.snapshot.Running[scope.CampaignID],
		NoPermission:        !m.run.account.MaySendKefu(),
		AgentUntil:          u.AgentUntil,
		Used:                u.Counted.At(m.moment.Day),
		CampaignCaps:        guard.NoCaps(),
		MarketingAt:         m.marketingBefore(d, u),
		Grants:              u.Grants,
		BudgetLeft:          m.budget(),
	}
	if fan == nil {
		facts.Gone = true
	} else {
		facts.Gone, facts.Blacklisted, facts.OptedOut = !fan.Subscribed, fan.Blacklisted, fan.OptedOut || fan.Refused
	}
	if c := m.caps[d.Source]; c != nil {
		facts.CampaignCaps, facts.CampaignUsed = c.caps, c.used(d.FanID, u.Counted.DayAt(m.moment.Day))
	}
	return facts
}

// budget is how many more calls the day's quota allows: none from the moment on at which the platform said so, whatever the batch had reserved before.
func (m *marker) budget() int {
	if m.sender.holds.used(m.run.account.ID, m.sender.clock.Now()) {
		return 0
	}
	return m.run.budget - m.calls
}

// campaignCap is what a campaign's own caps are, and what the slice's fans have used of them.
type campaignCap struct {
	id      int64
	caps    guard.Caps
	counted map[int64]guard.Counted // before this slice
	took    map[int64]limits.CampaignTake
}

func (c *campaignCap) take(fan int64, t limits.Take) {
	c.took[fan] = limits.CampaignTake{CapDay: t.CapDay, Messages: c.took[fan].Messages + t.Messages}
}

// used is what a fan has used in the periods of a day.
func (c *campaignCap) used(fan int64, day int) guard.Counts {
	counted := c.counted[fan]
	counted.Add(day, c.took[fan].Messages)
	return counted.Used
}

// restart forgets what was taken, before the decisions are made anew.
func (c *campaignCap) restart() { clear(c.took) }

// campaignCaps reads what the fans have used of the campaigns' own caps. The fans' limits are locked for that.
func (m *marker) campaignCaps(tx *gorm.DB) error {
	m.caps = map[deliveries.Source]*campaignCap{}
	var ids []int64
	for _, step := range m.steps {
		if src := step[0].Source; src.Campaign() {
			ids = append(ids, src.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	caps, err := m.sender.caps.read(tx, m.run.account.ID, m.snapshot.Epoch, database.SortedSet(ids))
	if err != nil {
		return err
	}
	for id, own := range caps {
		if own.None() {
			continue
		}
		if !m.locked {
			if _, err := m.lock(tx); err != nil {
				return err
			}
		}
		counted, err := m.sender.limits.CampaignCounted(tx, id, m.fanIDs)
		if err != nil {
			return err
		}
		src := deliveries.Source{Kind: deliveries.SourceDrip, ID: id}
		m.caps[src] = &campaignCap{id: id, caps: own, counted: counted, took: map[int64]limits.CampaignTake{}}
	}
	return nil
}

func (m *marker) reserveCampaigns(tx *gorm.DB) error {
	for _, c := range m.caps {
		if err := m.sender.limits.CountCampaign(tx, c.id, c.took); err != nil {
			return err
		}
	}
	return nil
}

func sortByMessage(step []*deliveries.Delivery) {
	slices.SortFunc(step, func(a, b *deliveries.Delivery) int { return cmp.Compare(a.MessageNo, b.MessageNo) })
}
