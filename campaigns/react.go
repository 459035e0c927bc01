package campaigns

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/stops"
)

// reactions are the versions whose runs an act may end or move on: all that running and paused drips of an account ever had, because fans in the middle keep
// theirs. They are kept in memory until a drip changes.
type reactions struct {
	epoch     int64
	versions  map[int64]*version
	listening []*version     // those that end or wait on more than an unfollow
	tags      map[int64]bool // whose being given starts, ends or moves on something
}

// concerns reports whether an act may end or move on a run of any version.
func (x *reactions) concerns(act *Act, folded string) bool {
	if act.Kind == ActLeft {
		return len(x.versions) > 0
	}
	return slices.ContainsFunc(x.listening, func(v *version) bool { return v.concerned(act, folded) })
}

// concerned reports whether an act may end or move on a run of the version.
func (v *version) concerned(act *Act, folded string) bool {
	if v.exitBy(act, folded) != "" {
		return true
	}
	for i := range v.steps {
		if v.steps[i].waitsAtAll() && v.waitsFor(i+1, act, folded) {
			return true
		}
	}
	return false
}

// waitsAtAll reports whether a run may wait in the step for an act.
func (s *step) waitsAtAll() bool { return s.kind == StepAsk || s.kind == StepWaitFor }

// React ends the runs that acts of their fans end, with what was planned for them, and moves on those that wait for such an act. It comes before Enter, in the same
// transaction, so that no act ends what it begins; acts that happened before a run began do not concern it. A fan has at most one act in the set. Where no
// drip of the account ends or waits on such acts, it reads nothing.
func (s *Store) React(tx *gorm.DB, in EnterInput) error {
	index, err := s.reactionsOf(tx, in.Account.ID)
	if err != nil || len(index.versions) == 0 {
		return err
	}
	acts := map[int64]*Act{}
	for i := range in.Acts {
		if act := &in.Acts[i]; index.concerns(act, act.folded()) {
			acts[act.Fan.ID] = act
		}
	}
	if len(acts) == 0 {
		return nil
	}
	drips, err := s.concerned(tx, in.Account.ID, index, acts)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(drips)) {
		runs, err := s.lockRuns(tx, in.Account.ID, id, drips[id])
		if err != nil {
			return err
		}
		m := mover{store: s, tx: tx, now: in.Now, account: in.Account, campaignID: id}
		for _, r := range runs {
			if v := index.versions[r.versionID]; v != nil {
				m.react(r, v, acts[r.fanID])
			}
		}
		if err := m.move(); err != nil {
			return fmt.Errorf("react in drip %d: %w", id, err)
		}
	}
	return nil
}

// react ends a run or lets it go on, if the act wants that.
func (m *mover) react(r *run, v *version, act *Act) {
	if act == nil || r.interactionID == act.InteractionID || act.EventAt+clockSlack < r.startedAt {
		return
	}
	folded := act.folded()
	if reason := v.exitBy(act, folded); reason != "" {
		m.leave(r, reason)
		return
	}
	if v.waitsFor(r.step, act, folded) {
		m.answer(r, act)
	}
}

// concerned finds the drips that have runs which the acts may end or move on, with their fans.
func (s *Store) concerned(tx *gorm.DB, accountID int64, index *reactions, acts map[int64]*Act) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(acts)), fanSlice) {
		err := database.EachRow(tx, func(rows *sql.Rows) error {
			var campaignID, versionID, fanID int64
			if err := rows.Scan(&campaignID, &versionID, &fanID); err != nil {
				return err
			}
			act := acts[fanID]
			if v := index.versions[versionID]; v != nil && v.concerned(act, act.folded()) {
				out[campaignID] = append(out[campaignID], fanID)
			}
			return nil
		}, "SELECT campaign_id, version_id, fan_id FROM enrolments WHERE fan_id IN ? AND +account_id = ? AND state = ?", chunk, accountID, runRunning)
		if err != nil {
			return nil, fmt.Errorf("read the runs of fans: %w", err)
		}
	}
	return out, nil
}

// WatchedTags implements fans.TagWatcher.
func (s *Store) WatchedTags(tx *gorm.DB, accountID int64) (map[int64]bool, error) {
	index, err := s.reactionsOf(tx, accountID)
	if err != nil {
		return nil, err
	}
	return index.tags, nil
}

// reactionsOf returns the versions in use. The epoch is read before them, as in runningDrips.
func (s *Store) reactionsOf(tx *gorm.DB, accountID int64) (*reactions, error) {
	epoch, err := stops.Epoch(tx)
	if err != nil {
		return nil, err
	}
	if found := s.cache.reactionsAt(accountID, epoch); found != nil {
		return found, nil
	}
	var ids []int64
	err = tx.Raw("SELECT v.id FROM campaigns c JOIN campaign_versions v ON v.campaign_id = c.id WHERE c.account_id = ? AND c.state IN ? AND c.kind = ? ORDER BY v.id",
		accountID, []State{StateRunning, StatePaused}, kindDrip).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("read drip versions in use: %w", err)
	}
	x := &reactions{epoch: epoch, tags: map[int64]bool{}}
	if x.versions, err = s.versionsByID(tx, accountID, ids); err != nil {
		return nil, err
	}
	for _, id := range ids {
		x.listen(x.versions[id])
	}
	running, err := s.runningDrips(tx, accountID)
	if err != nil {
		return nil, err
	}
	for _, r := range running {
		for i := range r.triggers {
			x.watch(&r.triggers[i])
		}
	}
	s.cache.keepReactions(accountID, x)
	return x, nil
}

// listen notes what runs of a version end and wait on.
func (x *reactions) listen(v *version) {
	waits := slices.ContainsFunc(v.steps, func(s step) bool { return s.waitsAtAll() })
	if len(v.exits) > 0 || waits {
		x.listening = append(x.listening, v)
	}
	for i := range v.exits {
		x.watch(&v.exits[i].trigger)
	}
	for i := range v.steps {
		x.watch(&v.steps[i].waits)
	}
}

func (x *reactions) watch(t *trigger) {
	if t.kind == TriggerTag {
		x.tags[t.tag] = true
	}
}

func (x *cache) reactionsAt(accountID, epoch int64) *reactions {
	x.mu.Lock()
	defer x.mu.Unlock()
	if found := x.reactions[accountID]; found != nil && found.epoch == epoch {
		return found
	}
	return nil
}

func (x *cache) keepReactions(accountID int64, found *reactions) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if before := x.reactions[accountID]; before == nil || found.epoch >= before.epoch {
		x.reactions[accountID] = found
	}
}
