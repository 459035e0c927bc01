package campaigns

import (
	"slices"

	"hongyan/internal/lang"
)

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

// StateWords names a state for people.
func StateWords(s State, l lang.Lang) string { return stateText(s).In(l) }

func stateText(s State) lang.Text {
	return map[State]lang.Text{
		StateDraft: {ZH: "草稿", EN: "draft"}, StateRunning: {ZH: "运行中", EN: "running"}, StatePaused: {ZH: "已暂停", EN: "paused"},
		StateFinished: {ZH: "已结束", EN: "finished"}, StateCancelled: {ZH: "已停止", EN: "stopped"},
	}[s]
}

// possible says what a member can do with a drip in a state.
func possible(s State) lang.Text {
	switch s {
	case StateDraft:
		return lang.Text{ZH: "可以启动、停止或归档", EN: "it can be started, stopped or archived"}
	case StateRunning:
		return lang.Text{ZH: "可以暂停或停止", EN: "it can be paused or stopped"}
	case StatePaused:
		return lang.Text{ZH: "可以继续或停止", EN: "it can be resumed or stopped"}
	case StateFinished, StateCancelled:
	}
	return lang.Text{ZH: "只能归档", EN: "it can only be archived"}
}
