package campaigns

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"hongyan/internal/database"
)

// runFigure is a counter of enrolments: of those that began on a day (runRunning), or that ended on it in a state, for a reason.
type runFigure struct {
	campaignID int64
	day        int
	versionID  int64
	state      runState
	reason     string
}

// stepFigure is a counter of what became of runs in a step without messages.
type stepFigure struct {
	campaignID int64
	day        int
	versionID  int64
	stepNo     int
	outcome    Outcome
}

// figureTable is a table of counters: all columns but the account in front, and shard and n behind.
type figureTable[K comparable] struct {
	name    string
	columns []string
	values  func(K) []any
	compare func(a, b K) int
}

func runFigures() figureTable[runFigure] {
	return figureTable[runFigure]{
		name: "enrolment_figures", columns: []string{"campaign_id", "day", "version_id", "state", "exit_reason"},
		values: func(k runFigure) []any { return []any{k.campaignID, k.day, k.versionID, string(k.state), k.reason} },
		compare: func(a, b runFigure) int {
			return cmp.Or(cmp.Compare(a.campaignID, b.campaignID), cmp.Compare(a.day, b.day), cmp.Compare(a.versionID, b.versionID),
				cmp.Compare(a.state, b.state), cmp.Compare(a.reason, b.reason))
		},
	}
}

func stepFigures() figureTable[stepFigure] {
	return figureTable[stepFigure]{
		name: "step_figures", columns: []string{"campaign_id", "day", "version_id", "step_no", "outcome"},
		values: func(k stepFigure) []any { return []any{k.campaignID, k.day, k.versionID, k.stepNo, k.outcome} },
		compare: func(a, b stepFigure) int {
			return cmp.Or(cmp.Compare(a.campaignID, b.campaignID), cmp.Compare(a.day, b.day), cmp.Compare(a.versionID, b.versionID),
				cmp.Compare(a.stepNo, b.stepNo), cmp.Compare(a.outcome, b.outcome))
		},
	}
}

// add raises counters in one of a counter's shards, sorted, so that transactions that count the same at once do not wait for each other in a circle.
func (t figureTable[K]) add(tx *gorm.DB, dialect database.Dialect, accountID int64, shard int, sums map[K]int64) error {
	maps.DeleteFunc(sums, func(_ K, n int64) bool { return n == 0 })
	keys := slices.Concat([]string{"account_id"}, t.columns, []string{"shard"})
	for chunk := range slices.Chunk(slices.SortedFunc(maps.Keys(sums), t.compare), database.ChunkSize) {
		var args []any
		for _, k := range chunk {
			args = append(append(append(args, accountID), t.values(k)...), shard, sums[k])
		}
		row := "(" + strings.Repeat("?,", len(keys)) + "?)"
		q := "INSERT INTO " + t.name + " (" + strings.Join(keys, ", ") + ", n) VALUES " + row + strings.Repeat(","+row, len(chunk)-1) + dialect.Upsert(keys, "n = n + {n}")
		if err := tx.Exec(q, args...).Error; err != nil {
			return fmt.Errorf("count runs: %w", err)
		}
	}
	return nil
}

// begun and ended are what a run is counted as.
func begun(r *run) (runState, string, int64) { return runRunning, "", r.startedAt }

func ended(r *run) (runState, string, int64) { return r.state, r.reason, r.ended }

// countEntered counts runs that have begun, within the transaction that stores them.
func (s *Store) countEntered(tx *gorm.DB, accountID int64, runs []*run) error {
	return s.countRuns(tx, accountID, runs, begun)
}

// countEnded counts those of the runs that have ended, within the transaction that ends them.
func (s *Store) countEnded(tx *gorm.DB, accountID int64, runs []*run) error {
	return s.countRuns(tx, accountID, slices.DeleteFunc(slices.Clone(runs), func(r *run) bool { return r.state == runRunning }), ended)
}

func (s *Store) countRuns(tx *gorm.DB, accountID int64, runs []*run, as func(*run) (runState, string, int64)) error {
	if len(runs) == 0 {
		return nil
	}
	sums := map[runFigure]int64{}
	if err := s.sumRuns(tx, accountID, runs, as, sums); err != nil {
		return err
	}
	return runFigures().add(tx, s.DB.Dialect(), accountID, s.Ledger.Shard(), sums)
}

// sumRuns adds up runs; what has not ended has no moment as which it could be counted.
func (s *Store) sumRuns(tx *gorm.DB, accountID int64, runs []*run, as func(*run) (runState, string, int64), into map[runFigure]int64) error {
	for _, r := range runs {
		state, reason, at := as(r)
		if at == 0 {
			continue
		}
		day, err := s.Ledger.Day(tx, accountID, at)
		if err != nil {
			return err
		}
		into[runFigure{r.campaignID, day, r.versionID, state, reason}]++
	}
	return nil
}

// countPassed counts what became of runs in their steps, within the transaction that moves them on.
func (s *Store) countPassed(tx *gorm.DB, accountID int64, passed []Passed) error {
	if len(passed) == 0 {
		return nil
	}
	sums := map[stepFigure]int64{}
	for i := range passed {
		p := &passed[i]
		day, err := s.Ledger.Day(tx, accountID, p.At)
		if err != nil {
			return err
		}
		sums[stepFigure{p.CampaignID, day, p.VersionID, p.StepNo, p.Outcome}]++
	}
	return stepFigures().add(tx, s.DB.Dialect(), accountID, s.Ledger.Shard(), sums)
}

// runsEnd is an end that comes to runs from outside: their drip was stopped, or their fan is being erased.
type runsEnd struct {
	accountID int64
	state     runState
	reason    string
	at        int64
}

// endRuns ends, within tx, those of the runs that still go on, and counts them. The ids are sorted.
func (s *Store) endRuns(tx *gorm.DB, e runsEnd, ids []int64) error {
	var runs []*run
	still := make([]int64, 0, len(ids))
	err := database.EachRow(tx, scanRun(func(r *run) {
		r.reason = e.reason
		r.end(e.state, e.at)
		runs, still = append(runs, r), append(still, r.id)
	}), "SELECT "+runColumns+" FROM enrolments WHERE id IN ? AND state = ? ORDER BY id"+s.DB.Dialect().ForUpdate(), ids, runRunning)
	if err != nil || len(runs) == 0 {
		return err
	}
	err = tx.Exec("UPDATE enrolments SET state = ?, exit_reason = ?, wake_at = NULL, timer_at = NULL, waiting = 0, ended_at = ? WHERE id IN ? AND state = ?",
		e.state, e.reason, e.at, still, runRunning).Error
	if err != nil {
		return fmt.Errorf("end runs: %w", err)
	}
	return s.countEnded(tx, e.accountID, runs)
}
