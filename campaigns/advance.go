package campaigns

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// Advance moves enrolments on whose current step has come to its end: the next step is planned, or the run ends. Any terminal
// state counts, an unknown outcome as sent. A run whose fan is gone ends, and what was planned for it is skipped.
// It belongs into the transaction that records the ends; repeating it, and telling it of steps that are over, is harmless.
func (s *Store) Advance(tx *gorm.DB, now time.Time, account *accounts.Account, ended []deliveries.Ended) error {
	drips := map[int64]map[deliveries.OpenKey]*endedStep{}
	for _, d := range ended {
		if d.Source.Kind != deliveries.SourceDrip || d.AccountID != account.ID {
			continue
		}
		runs := drips[d.Source.ID]
		if runs == nil {
			runs = map[deliveries.OpenKey]*endedStep{}
			drips[d.Source.ID] = runs
		}
		key := deliveries.OpenKey{FanID: d.FanID, Occurrence: d.Occurrence}
		if runs[key] == nil {
			runs[key] = &endedStep{steps: map[int]bool{}}
		}
		runs[key].steps[d.StepNo] = true
		runs[key].gone = runs[key].gone || d.Reason == guard.ReasonFanGone
	}
	ids := make([]int64, 0, len(drips))
	for id := range drips {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := s.advanceDrip(tx, now, account, id, drips[id]); err != nil {
			return fmt.Errorf("advance drip %d: %w", id, err)
		}
	}
	return nil
}

// endedStep is what has ended of one run.
type endedStep struct {
	steps map[int]bool
	gone  bool
}

func (s *Store) advanceDrip(tx *gorm.DB, now time.Time, account *accounts.Account, id int64, ended map[deliveries.OpenKey]*endedStep) error {
	fanIDs := make([]int64, 0, len(ended))
	for key := range ended {
		fanIDs = append(fanIDs, key.FanID)
	}
	runs, err := s.lockRuns(tx, account.ID, id, fanIDs)
	if err != nil {
		return err
	}
	m := mover{store: s, tx: tx, now: now, account: account, campaignID: id}
	for _, r := range runs {
		e := ended[r.key()]
		if e == nil || !e.steps[r.step] {
			continue
		}
		if e.gone {
			m.leave(r, ExitFanGone)
			continue
		}
		m.runs = append(m.runs, r)
	}
	return m.move()
}

func (r *run) key() deliveries.OpenKey {
	return deliveries.OpenKey{FanID: r.fanID, Occurrence: r.occurrence}
}

// fanSlice is how many fans' runs in drips are read by one statement. MariaDB reads the whole table for a longer list when its statistics are old, as they are
// while very many enter at once, or walks all runs of a drip and waits for those that are locked.
const fanSlice = 100

// lockRuns reads the running enrolments of fans and keeps them locked: who holds them sees every end that was recorded before, so
// that of two workers that end a step's last two messages at once, one moves the run on.
func (s *Store) lockRuns(tx *gorm.DB, accountID, campaignID int64, fanIDs []int64) ([]*run, error) {
	var out []*run
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), fanSlice) {
		err := database.EachRow(tx, scanRun(func(r *run) { out = append(out, r) }),
			"SELECT "+runColumns+" FROM enrolments WHERE campaign_id = ? AND fan_id IN ? AND +account_id = ? AND state = ? ORDER BY fan_id, occurrence"+s.DB.Dialect().ForUpdate(),
			campaignID, chunk, accountID, runRunning)
		if err != nil {
			return nil, fmt.Errorf("lock runs: %w", err)
		}
	}
	return out, nil
}

// mover moves locked runs of one drip on, as far as the ledger, their timers and the acts that they wait for say that they have come.
type mover struct {
	store      *Store
	tx         *gorm.DB
	now        time.Time
	account    *accounts.Account
	campaignID int64
	runs       []*run
	changed    []*run
	cancel     map[bool][]deliveries.OpenKey // runs whose planned messages are to be ended, by whether the fan is gone
	look       time.Duration                 // put off the sweeper's next look at runs that are not over; 0: leave it
}

// exit ends a run before its last step, for a reason if the fan gave it.
func (m *mover) exit(r *run, state runState, reason string) {
	r.reason = reason
	r.end(state, m.now.UnixMilli())
	m.changed = append(m.changed, r)
	if m.cancel == nil {
		m.cancel = map[bool][]deliveries.OpenKey{}
	}
	gone := reason == ExitFanGone
	m.cancel[gone] = append(m.cancel[gone], r.key())
}

// leave ends a run of which the fan did something that ends it; move stores that.
func (m *mover) leave(r *run, reason string) {
	m.runs = append(m.runs, r)
	m.exit(r, runExited, reason)
}

func (m *mover) move() error {
	if len(m.runs) == 0 {
		return nil
	}
	states, _, err := m.store.states(m.tx, m.account.ID, []int64{m.campaignID}, m.store.share())
	if err != nil {
		return err
	}
	var over []*run
	for _, r := range m.runs {
		switch {
		case r.state != runRunning: // the fan is gone, or did what ends the run
		case states[m.campaignID].ofRuns() != runRunning:
			m.exit(r, states[m.campaignID].ofRuns(), "")
		default:
			over = append(over, r)
		}
	}
	if err := m.goOn(over, states[m.campaignID] != StateRunning); err != nil {
		return err
	}
	return m.save()
}

// goOn plans what comes next for each run whose step is over.
func (m *mover) goOn(runs []*run, paused bool) error {
	if len(runs) == 0 {
		return nil
	}
	fanIDs, versionIDs := make([]int64, len(runs)), make([]int64, len(runs))
	for i, r := range runs {
		fanIDs[i], versionIDs[i] = r.fanID, r.versionID
	}
	fanIDs = database.SortedSet(fanIDs)
	open, err := m.store.Ledger.Open(m.tx, m.account.ID, source(m.campaignID), fanIDs)
	if err != nil {
		return err
	}
	versions, err := m.store.versionsByID(m.tx, m.account.ID, database.SortedSet(versionIDs))
	if err != nil {
		return err
	}
	usages, err := m.store.Limits.Read(m.tx, m.account.ID, fanIDs)
	if err != nil {
		return err
	}
	var going []*run
	var of asked
	for _, r := range runs {
		v := versions[r.versionID]
		if !m.next(v, r, open[r.key()], paused) {
			continue
		}
		going = append(going, r)
		if !r.over {
			of.add(r, v.step(r.step).ahead)
		}
	}
	people, err := m.store.people(m.tx, m.account, of)
	if err != nil {
		return err
	}
	for _, r := range going {
		p := placer{now: m.now, accountID: m.account.ID, policy: m.account.Policy, version: versions[r.versionID], who: people[r.fanID], paused: paused}
		if p.who != nil {
			p.who.usage = usages[r.fanID]
		}
		p.place(r)
		m.changed = append(m.changed, r)
	}
	return nil
}

// next takes a run to the step that is to be placed now, if there is one. at is how far the ledger has come with it.
func (m *mover) next(v *version, r *run, at deliveries.OpenStep, paused bool) bool {
	r.step = max(r.step, at.StepNo)
	s := v.step(r.step)
	switch {
	case r.answered:
		r.pass(s, OutcomeHappened, m.now)
		r.goTo(s.answered(), m.now.UnixMilli())
	case r.timer != 0:
		if r.timer < 0 || r.timer > m.now.UnixMilli() || paused {
			return false
		}
		m.timeUp(s, r)
	case at.StepNo < r.step: // nothing of the step is in the ledger: it is planned again
		if r.base == 0 {
			r.base = cmp.Or(at.LastEnd, r.startedAt)
		}
	case at.Open > 0:
		if m.look > 0 {
			r.wake = max(at.DueAt, m.now.Add(m.look).UnixMilli())
			m.changed = append(m.changed, r)
		}
		return false
	case s.kind == StepAsk && at.Sent > 0:
		r.pass(s, OutcomeWaiting, m.now)
		r.wait(at.LastEnd, s.timeout)
		m.changed = append(m.changed, r)
		return false
	default:
		r.goTo(s.next, at.LastEnd)
	}
	return true
}

// timeUp takes a run on whose timer has run out: the time of a wait is over, or the step is due.
func (m *mover) timeUp(s *step, r *run) {
	if !r.waiting {
		r.timer = 0
		return
	}
	r.pass(s, OutcomeTimeout, m.now)
	end := r.timer
	if now := m.now.UnixMilli(); now-end > onTime {
		end = now
	}
	r.goTo(s.timedOut(), end)
}

// answered and timedOut are where a run goes on that waited in the step.
func (s *step) answered() int {
	if s.kind == StepWaitFor {
		return s.then
	}
	return s.next
}

func (s *step) timedOut() int {
	if s.kind == StepWaitFor {
		return s.els
	}
	return s.next
}

// save stores what has changed, in as few statements as there are slices.
func (m *mover) save() error {
	for gone, runs := range m.cancel {
		err := m.store.Ledger.CancelRuns(m.tx, m.now, deliveries.RunsOver{AccountID: m.account.ID, Source: source(m.campaignID), Runs: runs, FanGone: gone})
		if err != nil {
			return err
		}
	}
	var rows []deliveries.Planned
	for _, r := range m.changed {
		rows = append(rows, r.rows...)
	}
	if len(rows) > 0 {
		if err := m.store.Ledger.Plan(m.tx, m.now, rows); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(m.changed, saveSlice) {
		if err := saveRuns(m.tx, chunk); err != nil {
			return err
		}
	}
	return m.store.finish(m.tx, m.account, m.changed)
}

// saveSlice is how many runs one statement updates.
const saveSlice = 100

// saveRuns writes runs that are locked, each with its own values, in one statement.
func saveRuns(tx *gorm.DB, runs []*run) error {
	var args []any
	column := func(name string, value func(*run) any) string {
		first := value(runs[0])
		if !slices.ContainsFunc(runs, func(r *run) bool { return value(r) != first }) {
			args = append(args, first)
			return name + " = ?"
		}
		for _, r := range runs {
			args = append(args, r.id, value(r))
		}
		return name + " = CASE id" + strings.Repeat(" WHEN ? THEN ?", len(runs)) + " END"
	}
	ids := make([]int64, len(runs))
	for i, r := range runs {
		ids[i] = r.id
	}
	// state comes last: MySQL sees the new value of a column that was assigned before.
	q := "UPDATE enrolments SET " + strings.Join([]string{
		column("step_no", func(r *run) any { return r.step }),
		column("wake_at", (*run).wakeValue),
		column("base_at", func(r *run) any { return r.base }),
		column("timer_at", (*run).timerValue),
		column("waiting", func(r *run) any { return r.waiting }),
		column("exit_reason", func(r *run) any { return r.reason }),
		column("ended_at", func(r *run) any { return r.ended }),
		column("state", func(r *run) any { return string(r.state) }),
	}, ", ") + " WHERE id IN ? AND state = ?"
	res := tx.Exec(q, append(args, ids, runRunning)...)
	if res.Error != nil {
		return fmt.Errorf("store runs: %w", res.Error)
	}
	if res.RowsAffected != int64(len(runs)) {
		return fault.New(fault.Conflict, "%d of %d runs ended meanwhile", int64(len(runs))-res.RowsAffected, len(runs))
	}
	return nil
}
