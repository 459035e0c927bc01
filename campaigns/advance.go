package campaigns

import (
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
// state counts, an unknown outcome as sent. A run whose fan is gone ends, and what was planned for it is cancelled.
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
		m.runs = append(m.runs, r)
		if e.gone {
			m.exit(r, runExited)
		}
	}
	return m.move()
}

func (r *run) key() deliveries.OpenKey {
	return deliveries.OpenKey{FanID: r.fanID, Occurrence: r.occurrence}
}

// lockRuns reads the running enrolments of fans and keeps them locked: who holds them sees every end that was recorded before, so
// that of two workers that end a step's last two messages at once, one moves the run on.
func (s *Store) lockRuns(tx *gorm.DB, accountID, campaignID int64, fanIDs []int64) ([]*run, error) {
	var out []*run
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), database.ChunkSize) {
		err := database.EachRow(tx, scanRun(func(r *run) { out = append(out, r) }),
			"SELECT "+runColumns+" FROM enrolments WHERE campaign_id = ? AND fan_id IN ? AND account_id = ? AND state = ? ORDER BY fan_id, occurrence"+s.DB.Dialect().ForUpdate(),
			campaignID, chunk, accountID, runRunning)
		if err != nil {
			return nil, fmt.Errorf("lock runs: %w", err)
		}
	}
	return out, nil
}

// mover moves locked runs of one drip on, as far as the ledger says that they have come.
type mover struct {
	store      *Store
	tx         *gorm.DB
	now        time.Time
	account    *accounts.Account
	campaignID int64
	runs       []*run
	changed    []*run
	cancel     []int64       // fans whose planned messages of this drip are to be cancelled
	look       time.Duration // put off the sweeper's next look at runs that are not over; 0: leave it
}

// exit ends a run before its last step.
func (m *mover) exit(r *run, state runState) {
	r.end(state, m.now.UnixMilli())
	m.changed = append(m.changed, r)
	m.cancel = append(m.cancel, r.fanID)
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
		case r.state != runRunning: // the fan is gone
		case states[m.campaignID].ofRuns() != runRunning:
			m.exit(r, states[m.campaignID].ofRuns())
		default:
			over = append(over, r)
		}
	}
	if err := m.goOn(over); err != nil {
		return err
	}
	return m.save()
}

// goOn plans what comes next for each run whose step is over.
func (m *mover) goOn(runs []*run) error {
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
	for _, r := range runs {
		p := placer{now: m.now, accountID: m.account.ID, policy: m.account.Policy, version: versions[r.versionID]}
		var grants *guard.Grants
		if u := usages[r.fanID]; u != nil {
			grants = &u.Grants
		}
		m.next(&p, r, open[r.key()], grants)
	}
	return nil
}

// next moves one run on. at is how far the ledger has come with it.
func (m *mover) next(p *placer, r *run, at deliveries.OpenStep, grants *guard.Grants) {
	r.step = max(r.step, at.StepNo)
	base := r.startedAt
	switch {
	case at.StepNo < r.step: // nothing of the step is in the ledger: it is planned again
		if at.StepNo > 0 {
			base = at.LastEnd
		}
	case at.Open > 0:
		if m.look > 0 {
			r.wake = max(at.DueAt, m.now.Add(m.look).UnixMilli())
			m.changed = append(m.changed, r)
		}
		return
	default:
		r.step++
		base = at.LastEnd
	}
	p.place(r, base, grants, false)
	m.changed = append(m.changed, r)
}

// save stores what has changed, in as few statements as there are slices.
func (m *mover) save() error {
	if len(m.cancel) > 0 {
		if err := m.store.cancelPlanned(m.tx, source(m.campaignID), m.account.ID, database.SortedSet(m.cancel)); err != nil {
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
	return nil
}

// saveSlice is how many runs one statement updates.
const saveSlice = 100

// saveRuns writes runs that are locked, each with its own values, in one statement.
func saveRuns(tx *gorm.DB, runs []*run) error {
	var args []any
	column := func(name string, value func(*run) any) string {
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
