package campaigns

import "slices"

// State is where a drip stands.
type State string

// The states of a drip (design 6). Finished and cancelled are final.
const (
	StateDraft     State = "draft"     // being written; nobody enters
	StateRunning   State = "running"   // fans enter, messages go out
	StatePaused    State = "paused"    // nobody enters, nothing goes out; fans keep their places
	StateFinished  State = "finished"  // its end has come
	StateCancelled State = "cancelled" // stopped by a member: what was planned is cancelled
)

// CanMove reports whether a drip may go from one state to another; docs/states.md draws it.
func CanMove(from, to State) bool {
	switch from {
	case StateDraft:
		return to == StateRunning || to == StateCancelled
	case StateRunning:
		return to == StatePaused || to == StateFinished || to == StateCancelled
	case StatePaused:
		return to == StateRunning || to == StateFinished || to == StateCancelled
	case StateFinished, StateCancelled:
	}
	return false
}

// ofRuns is what becomes of the runs of a drip in this state; running while it is not over.
func (s State) ofRuns() runState {
	switch s {
	case StateFinished:
		return runFinished
	case StateCancelled:
		return runCancelled
	case StateDraft, StateRunning, StatePaused:
	}
	return runRunning
}

// States lists all states.
func States() []State {
	return []State{StateDraft, StateRunning, StatePaused, StateFinished, StateCancelled}
}

// sources lists the states from which a drip may go to another.
func sources(to State) []State {
	return slices.DeleteFunc(States(), func(from State) bool { return !CanMove(from, to) })
}

// runState is where an enrolment stands.
type runState string

const (
	runRunning   runState = "running"
	runFinished  runState = "finished"  // its last step has ended
	runExited    runState = "exited"    // the fan is gone
	runCancelled runState = "cancelled" // the drip was stopped
)

// StateWords names a state for people, in "zh" or else in English.
func StateWords(s State, lang string) string {
	words, known := map[State][2]string{
		StateDraft: {"草稿", "draft"}, StateRunning: {"运行中", "running"}, StatePaused: {"已暂停", "paused"},
		StateFinished: {"已结束", "finished"}, StateCancelled: {"已停止", "stopped"},
	}[s]
	switch {
	case !known:
		return string(s)
	case lang == "zh":
		return words[0]
	default:
		return words[1]
	}
}
