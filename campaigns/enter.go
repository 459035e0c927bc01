package campaigns

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// EnterInput is a set of acts of one account's fans, in the order in which they happened.
type EnterInput struct {
	Now     time.Time
	Account *accounts.Account
	Acts    []Act
	// Passive, if set, is offered the first message of the answer to each act that is due now. To give it as the passive
	// reply to the act it turns the message into one that is being sent (state, channel, reservation) and returns true. Like
	// the transaction around it, it may be called again for the same act.
	Passive func(*Act, *deliveries.Planned) bool
}

// Entered is a fan who has entered a drip.
type Entered struct {
	Act         int // index in EnterInput.Acts
	CampaignID  int64
	EnrolmentID int64
	// Winner tells that the drip answers the act; Immediate are then its messages that are due now, and Passive tells that
	// the first of them is given as the passive reply.
	Winner    bool
	Passive   bool
	Immediate []deliveries.Planned
}

// actSlice is how many acts are worked on at a time.
const actSlice = 200

// Enter lets fans into the running drips that their acts trigger, as far as sources and re-entry allow, and takes them as far as they come at once. Of
// the drips that would answer an act at once, the first in the order of Match does; the others' first messages are recorded as
// superseded. Entering twice by the same interaction is impossible, so that Enter can be repeated.
func (s *Store) Enter(tx *gorm.DB, in EnterInput) ([]Entered, error) {
	running, err := s.runningDrips(tx, in.Account.ID)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	var out []Entered
	for first := 0; first < len(in.Acts); first += actSlice {
		e := entry{store: s, tx: tx, in: &in}
		for i := first; i < min(first+actSlice, len(in.Acts)); i++ {
			for _, m := range match(running, &in.Acts[i]) {
				e.waiting = append(e.waiting, candidate{act: i, drip: m.drip, by: m.by})
			}
		}
		entered, err := e.enter()
		if err != nil {
			return nil, fmt.Errorf("enter drips: %w", err)
		}
		out = append(out, entered...)
	}
	return out, nil
}

// candidate is a drip that an act triggers.
type candidate struct {
	act  int
	drip *Running
	by   string // kind of the trigger
	run  *run
}

// winner reports whether the drip answers the act.
func (c *candidate) winner() bool { return c.run.answer != 0 }

// entry is one call of Enter.
type entry struct {
	store    *Store
	tx       *gorm.DB
	in       *EnterInput
	waiting  []candidate
	answered map[int]bool // acts that have a winner
	entered  []candidate
}

// enterTries bounds how often a fan's place is sought again because another worker took it: it recorded another act of the
// same fan for the same drip at the same time. Whenever one has to try again, another has got through.
const enterTries = 16

func (e *entry) enter() ([]Entered, error) {
	if err := e.dropStopped(); err != nil {
		return nil, err
	}
	e.answered = map[int]bool{}
	for range enterTries {
		if len(e.waiting) == 0 {
			return e.plan()
		}
		past, err := e.history()
		if err != nil {
			return nil, err
		}
		chosen := e.choose(past)
		if err := e.place(chosen); err != nil {
			return nil, err
		}
		if err := e.insert(chosen); err != nil {
			return nil, err
		}
		if err := e.sortOut(chosen); err != nil {
			return nil, err
		}
	}
	if len(e.waiting) > 0 {
		return nil, fault.New(fault.Conflict, "other acts of the same fans are being recorded; repeat")
	}
	return e.plan()
}

// dropStopped leaves out drips that stopped after the index was read, and keeps the others from stopping meanwhile.
func (e *entry) dropStopped() error {
	if len(e.waiting) == 0 {
		return nil
	}
	ids := make([]int64, len(e.waiting))
	for i, c := range e.waiting {
		ids[i] = c.drip.ID
	}
	states, _, err := e.store.states(e.tx, e.in.Account.ID, ids, e.store.share())
	e.waiting = slices.DeleteFunc(e.waiting, func(c candidate) bool { return states[c.drip.ID] != StateRunning })
	return err
}

type dripFan struct{ campaignID, fanID int64 }

type dripAct struct {
	dripFan
	interactionID int64
}

// past is what is known of fans' earlier runs.
type past struct {
	last    map[dripFan]*run
	entered map[dripAct]*run
}

// history reads, for all candidates, the latest run and those that their interactions began.
func (e *entry) history() (past, error) {
	return e.runs(e.waiting, " OR occurrence = (SELECT MAX(x.occurrence) FROM enrolments x WHERE x.campaign_id = e.campaign_id AND x.fan_id = e.fan_id)")
}

// runs reads the runs that the candidates' interactions began, and those for which another condition on enrolments e holds.
func (e *entry) runs(of []candidate, or string) (past, error) {
	p := past{last: map[dripFan]*run{}, entered: map[dripAct]*run{}}
	var campaignIDs, fanIDs, interactionIDs []int64
	for _, c := range of {
		act := &e.in.Acts[c.act]
		campaignIDs, fanIDs, interactionIDs = append(campaignIDs, c.drip.ID), append(fanIDs, act.Fan.ID), append(interactionIDs, act.InteractionID)
	}
	// The zero leaves MariaDB the index of fans: with old statistics it would take the drip for small, and walk all its runs.
	byAct, acts := database.Among("interaction_id", database.SortedSet(interactionIDs))
	for chunk := range slices.Chunk(database.SortedSet(fanIDs), fanSlice) {
		byFan, fans := database.Among("fan_id", chunk)
		err := database.EachRow(e.tx, scanRun(func(r *run) {
			key := dripFan{r.campaignID, r.fanID}
			if p.last[key] == nil || r.occurrence > p.last[key].occurrence {
				p.last[key] = r
			}
			p.entered[dripAct{key, r.interactionID}] = r
		}), "SELECT "+runColumns+" FROM enrolments e WHERE campaign_id + 0 IN ? AND "+byFan+" AND ("+byAct+or+")",
			slices.Concat([]any{database.SortedSet(campaignIDs)}, fans, acts)...)
		if err != nil {
			return p, fmt.Errorf("read earlier runs: %w", err)
		}
	}
	return p, nil
}

// choose makes runs of the candidates that may enter.
func (e *entry) choose(p past) []candidate {
	now := e.in.Now.UnixMilli()
	var out []candidate
	for _, c := range e.waiting {
		act := &e.in.Acts[c.act]
		key := dripFan{c.drip.ID, act.Fan.ID}
		last := p.last[key]
		if p.entered[dripAct{key, act.InteractionID}] != nil || !c.drip.reEntry.allows(last, now) {
			continue
		}
		at := now
		if act.EventAt > 0 {
			at = min(act.EventAt, now) // the platform's clock may be ahead of ours
		}
		c.run = &run{
			campaignID: c.drip.ID, versionID: c.drip.VersionID(), fanID: act.Fan.ID, occurrence: 1, interactionID: act.InteractionID,
			startedAt: at, beganBy: c.by, state: runRunning, step: 1, base: at,
		}
		if last != nil {
			c.run.occurrence = last.occurrence + 1
		}
		p.last[key], p.entered[dripAct{key, act.InteractionID}] = c.run, c.run
		out = append(out, c)
	}
	return out
}

// place takes the chosen runs as far as they come at once.
func (e *entry) place(chosen []candidate) error {
	var of asked
	for _, c := range chosen {
		of.add(c.run, c.drip.step(1).ahead)
	}
	people, err := e.store.people(e.tx, e.in.Account, of)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		e.placeOne(c, people[c.run.fanID])
	}
	return nil
}

// placeOne takes the run of a chosen candidate as far as it comes at once. It is pure.
func (e *entry) placeOne(c candidate, who *person) {
	act := &e.in.Acts[c.act]
	p := placer{now: e.in.Now, accountID: e.in.Account.ID, policy: e.in.Account.Policy, version: c.drip.version, who: who, answers: func() bool {
		won := !act.Answered && !e.answered[c.act]
		e.answered[c.act] = true
		return won
	}}
	p.who.usage = act.Usage
	p.place(c.run)
}

// allows reports whether a fan whose latest run is last (nil: none) may enter at now.
func (r ReEntry) allows(last *run, now int64) bool {
	switch {
	case last == nil:
		return true
	case r.Mode == ReEntryAlways:
		return true
	case r.Mode == ReEntryAfter:
		return last.state != runRunning && now >= last.startedAt+int64(r.Days)*msDay
	default:
		return false
	}
}

const insertColumns = "account_id, campaign_id, version_id, fan_id, occurrence, interaction_id, state, step_no, wake_at, started_at, ended_at, base_at, timer_at, waiting, exit_reason, began_by"

// insert stores the chosen runs; one whose place is taken is left out.
func (e *entry) insert(chosen []candidate) error {
	for chunk := range slices.Chunk(chosen, database.ChunkSize) {
		const row = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
		args := make([]any, 0, 16*len(chunk))
		for _, c := range chunk {
			r := c.run
			args = append(args, e.in.Account.ID, r.campaignID, r.versionID, r.fanID, r.occurrence, r.interactionID, r.state, r.step, r.wakeValue(), r.startedAt, r.ended,
				r.base, r.timerValue(), r.waiting, r.reason, r.beganBy)
		}
		q := e.store.DB.Dialect().InsertIgnore() + " enrolments (" + insertColumns + ") VALUES " + row + strings.Repeat(","+row, len(chunk)-1)
		if err := e.tx.Exec(q, args...).Error; err != nil {
			return fmt.Errorf("store runs: %w", err)
		}
	}
	return nil
}

// sortOut keeps the runs that were stored, with their ids. Those whose place another worker took wait for another try.
func (e *entry) sortOut(chosen []candidate) error {
	e.waiting = chosen
	if len(chosen) == 0 {
		return nil
	}
	stored, err := e.runs(chosen, "")
	if err != nil {
		return err
	}
	e.waiting = nil
	for _, c := range chosen {
		r := stored.entered[dripAct{dripFan{c.run.campaignID, c.run.fanID}, c.run.interactionID}]
		if r == nil || r.occurrence != c.run.occurrence {
			if c.winner() {
				e.answered[c.act] = false
			}
			e.waiting = append(e.waiting, candidate{act: c.act, drip: c.drip, by: c.by})
			continue
		}
		c.run.id = r.id
		e.entered = append(e.entered, c)
	}
	return nil
}

// plan puts the entered runs' messages into the ledger and reports who has entered.
func (e *entry) plan() ([]Entered, error) {
	out := make([]Entered, 0, len(e.entered))
	runs := make([]*run, 0, len(e.entered))
	var rows []deliveries.Planned
	now := e.in.Now.UnixMilli()
	for _, c := range e.entered {
		done := Entered{Act: c.act, CampaignID: c.run.campaignID, EnrolmentID: c.run.id, Winner: c.winner()}
		for i := range c.run.rows {
			row := &c.run.rows[i]
			if row.StepNo != c.run.answer || row.State != deliveries.StatePlanned || row.DueAt > now {
				continue
			}
			if row.MessageNo == 1 && e.in.Passive != nil {
				done.Passive = e.in.Passive(&e.in.Acts[c.act], row)
			}
			done.Immediate = append(done.Immediate, *row)
		}
		rows, runs = append(rows, c.run.rows...), append(runs, c.run)
		out = append(out, done)
	}
	if len(rows) > 0 {
		if err := e.store.Ledger.Plan(e.tx, e.in.Now, rows); err != nil {
			return nil, err
		}
	}
	if err := e.store.countEntered(e.tx, e.in.Account.ID, runs); err != nil {
		return nil, err
	}
	return out, e.store.finish(e.tx, e.in.Account, runs)
}
