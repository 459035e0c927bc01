package jobs

import (
	"database/sql"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/fault"
)

// State is where a job stands. The names are stored.
type State string

// The states. Everything from StateFinished on is the end.
const (
	StateWaiting   State = "waiting"   // for a worker, or for its next try
	StateRunning   State = "running"   // in a worker's hands, until the worker's deadline
	StatePaused    State = "paused"    // by a member
	StateFinished  State = "finished"  // all done; single items may have failed, see Failed and the result
	StateFailed    State = "failed"    // given up, see Error
	StateCancelled State = "cancelled" // by a member
)

var moves = map[State][]State{
	StateWaiting: {StateRunning, StatePaused, StateCancelled},
	StateRunning: {StateWaiting, StatePaused, StateFinished, StateFailed, StateCancelled},
	StatePaused:  {StateWaiting, StateCancelled},
}

// CanMove reports whether a job may go from one state to another. A running job whose worker died runs on in another's hands.
func CanMove(from, to State) bool { return slices.Contains(moves[from], to) }

// Ended reports whether nothing more happens to a job in this state.
func (s State) Ended() bool { return s == StateFinished || s == StateFailed || s == StateCancelled }

// Job is one piece of long work.
type Job struct {
	ID        int64
	AccountID int64 // 0 for work that concerns the whole installation
	Kind      string
	Params    []byte // JSON, as its kind defines it
	State     State
	Cursor    string // how far it has come, as its kind defines it; "" at the start
	Done      int64  // items
	Failed    int64  // of them, those that failed by themselves
	Total     int64  // items in all; -1 while that is unknown
	Tries     int    // in a row without a step that succeeded
	Error     string // what the last try failed of
	CreatedAt int64
	StartedAt int64 // 0 before the first try
	EndedAt   int64 // 0 before the end

	owner string
	parts int
}

const jobColumns = "id, account_id, kind, params, state, progress, done, failed, total, tries, error, created_at, started_at, ended_at, owner, parts"

func readJobs(tx *gorm.DB, where string, args ...any) ([]Job, error) {
	var out []Job
	err := database.EachRow(tx, func(rows *sql.Rows) error {
		var j Job
		err := rows.Scan(&j.ID, &j.AccountID, &j.Kind, &j.Params, &j.State, &j.Cursor, &j.Done, &j.Failed, &j.Total, &j.Tries, &j.Error,
			&j.CreatedAt, &j.StartedAt, &j.EndedAt, &j.owner, &j.parts)
		out = append(out, j)
		return err
	}, "SELECT "+jobColumns+" FROM jobs WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return out, nil
}

const maxKind = 32

func (j *Job) validate() error {
	switch {
	case j.Kind == "" || len(j.Kind) > maxKind:
		return fault.BadField("kind", "length", "a job's kind has 1 to %d letters", maxKind)
	case j.AccountID < 0:
		return fault.BadField("account_id", "range", "an account's id is not negative")
	}
	return nil
}
