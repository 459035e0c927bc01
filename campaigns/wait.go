package campaigns

// waitsFor reports whether a run that waits in a step waits for the act. folded is the act's text, see Act.folded.
func (v *version) waitsFor(stepNo int, act *Act, folded string) bool {
	switch s := v.step(stepNo); s.kind {
	case StepAsk:
		return act.wrote()
	case StepWaitFor:
		return s.waits.matches(act, folded)
	default:
		return false
	}
}

// answer lets a run go on that waits for the act, with move. An act that happened before the run began to wait is none that it waits for.
func (m *mover) answer(r *run, act *Act) {
	if !r.waiting || act.EventAt+clockSlack < r.base {
		return
	}
	r.answered = true
	m.runs = append(m.runs, r)
}

// clockSlack is how far the platform's clock, which counts in seconds, may be behind ours, ms.
const clockSlack = 2_000
