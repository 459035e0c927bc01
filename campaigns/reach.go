package campaigns

import (
	"cmp"
	"slices"
	"time"

	"hongyan/accounts"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/wechat"
)

// Reachability says whether a step can arrive at a fan who does nothing but the act that started the drip.
type Reachability string

// The answers, from best to worst.
const (
	Reachable  Reachability = "reachable"
	NeedsReply Reachability = "needs_reply" // only if the fan does something more before the step is due
	Never      Reachability = "never"
)

// Reach is the answer for one step with messages after one trigger.
type Reach struct {
	Trigger int          `json:"trigger"` // index in the definition
	Step    int          `json:"step"`    // number, from 1; see Numbered
	Path    string       `json:"path"`    // "steps[2].then[0]"
	State   Reachability `json:"state"`
	Reason  string       `json:"reason"` // the guard's reason, "none" if reachable
	Zh      string       `json:"zh"`
	En      string       `json:"en"`
	// RemedyZh and RemedyEn say what to change so that the step can arrive; "" if it can.
	RemedyZh string `json:"remedy_zh,omitempty"`
	RemedyEn string `json:"remedy_en,omitempty"`
}

// Reaches asks the guard itself, for every trigger and step with messages, whether the step can go: with the grants that the trigger
// and only it opens under the rules of now, used up by the steps before, at the time at which the step is due, with the
// account's caps and what it keeps for agents. Quiet hours are left out: they move a step, and the moment depends on
// when the fan comes. Steps with a clock time are tried for acts at every hour of a day. Of all ways through the branches the worst counts: a wait takes
// its whole time, what it waits for opens the grant that such an act opens (a tap on a tracked link opens none), and an ask is answered or not. A day that depends on
// the fan counts as one on which the windows of all acts before are closed.
func Reaches(d Definition, account *accounts.Account, now time.Time) ([]Reach, error) {
	v, err := d.compile()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the definition is not complete")
	}
	spec := guard.PolicySpec{
		DailyCap: account.Spec.DailyCap, WeeklyCap: account.Spec.WeeklyCap, MonthlyCap: account.Spec.MonthlyCap, HoldForAgents: account.Spec.HoldForAgents,
	}
	policy, err := spec.Compile(account.Zone)
	if err != nil {
		return nil, err
	}
	steps := d.Numbered()
	var out []Reach
	for i := range v.triggers {
		w := walker{version: v, policy: policy, blocked: !account.MaySendKefu(), rules: wechat.RulesAt(now), worst: make([]finding, len(v.steps))}
		for _, at := range v.tryAt(now) {
			w.from(&v.triggers[i], at.UnixMilli())
		}
		for j, f := range w.worst {
			if f.state != "" {
				out = append(out, f.reach(&w, i, steps[j]))
			}
		}
	}
	return out, nil
}

// tryAt lists the moments of an act that are tried.
func (v *version) tryAt(now time.Time) []time.Time {
	clocked := false
	for i := range v.steps {
		clocked = clocked || v.steps[i].clock >= 0 || v.steps[i].date != nil
	}
	if !clocked {
		return []time.Time{now}
	}
	out := make([]time.Time, 24)
	for h := range out {
		out[h] = now.Add(time.Duration(h) * time.Hour)
	}
	return out
}

// walker sends imagined fans through a version, for one trigger.
type walker struct {
	version *version
	policy  *guard.Policy
	rules   wechat.RuleSet
	blocked bool // the account may not send customer-service messages
	worst   []finding
	ways    [][]way // by step number: how fans come there
}

// finding is what was found out about a step.
type finding struct {
	state  Reachability
	reason guard.Reason
	first  guard.Reason // what the guard said before a reply was imagined
	asked  int
}

// worse reports whether f is worse news than g. That a step needs a reply even of fans who answered all asks is worse than that it needs one of the others.
func (f *finding) worse(g *finding) bool {
	return rank(f.state) > rank(g.state) || f.state == g.state && f.asked == 0 && g.asked > 0
}

// way is how an imagined fan comes to a step.
type way struct {
	at      int64 // end of the previous step
	grants  guard.Grants
	counted guard.Counted
	asked   int // number of the latest ask that the fan did not answer, 0: none
}

// maxWays is how many different ways to a step are followed. Of more, those that come last are: the later, the more windows are closed.
const maxWays = 64

// from sends a fan through the version whose act sets the trigger off at start.
func (w *walker) from(t *trigger, start int64) {
	w.ways = make([][]way, len(w.version.steps)+1)
	first := way{at: start}
	for _, o := range t.opens(w.rules) {
		w.act(&first, o.by, start-o.ago)
	}
	w.come(first, 1)
	for no := 1; no <= len(w.version.steps); no++ {
		s := w.version.step(no)
		slices.SortFunc(w.ways[no], func(a, b way) int { return cmp.Compare(b.at, a.at) })
		for _, y := range w.ways[no][:min(len(w.ways[no]), maxWays)] {
			w.through(s, y)
		}
	}
}

// come lets a fan come to a step.
func (w *walker) come(y way, no int) {
	if no > 0 && !slices.Contains(w.ways[no], y) {
		w.ways[no] = append(w.ways[no], y)
	}
}

// closedBy is after how long all windows are closed.
const closedBy = 3 * msDay

// through takes a fan through a step.
func (w *walker) through(s *step, y way) {
	if s.date != nil {
		y.at = clockAfter(time.UnixMilli(y.at+closedBy), w.policy.Zone, s.date.clock, 0).UnixMilli()
	} else {
		y.at, _ = s.due(y.at, w.policy.Zone, nil)
	}
	switch s.kind {
	case StepMessage, StepAsk:
		if f := w.step(s, &y); f.worse(&w.worst[s.no-1]) {
			w.worst[s.no-1] = f
		}
		if s.kind == StepAsk {
			y.at += s.timeout
			answered := y
			answered.asked = 0
			w.act(&answered, wechat.TriggerMessage, y.at)
			w.come(answered, s.next)
			y.asked = s.no
		}
		w.come(y, s.next)
	case StepWaitFor:
		y.at += s.timeout
		w.come(y, s.els)
		if w.version.awaitsClick(s) {
			w.come(y, s.then)
		}
		for _, o := range s.waits.opens(w.rules) {
			w.act(&y, o.by, y.at)
			y.asked = 0
		}
		w.come(y, s.then)
	default:
		for _, to := range s.ways() {
			w.come(y, to)
		}
	}
}

func (w *walker) act(y *way, t wechat.Trigger, at int64) {
	y.grants.Trigger(t, at, w.rules.Grants[t], 0)
}

// tomorrows is how often a step that waits for tomorrow's cap is followed.
const tomorrows = 3

// step decides about a step that is due at y.at and, if it goes, takes what it uses.
func (w *walker) step(s *step, y *way) finding {
	req := w.version.request(s, y.at, 0)
	verdict := w.ask(&req, y, y.grants)
	for range tomorrows {
		if verdict.Kind != guard.Defer || verdict.Until == 0 {
			break
		}
		y.at = verdict.Until
		verdict = w.ask(&req, y, y.grants)
	}
	if verdict.Kind == guard.Allow {
		y.grants.Take(y.at, verdict.Messages)
		if req.Counts() {
			y.counted.Add(w.policy.Day(time.UnixMilli(y.at)), verdict.Messages)
		}
		return finding{state: Reachable, reason: guard.ReasonNone}
	}
	if !aboutGrants(verdict.Reason) {
		return finding{state: Never, reason: verdict.Reason}
	}
	// Would it go if the fan wrote just before?
	replied := *y
	w.act(&replied, wechat.TriggerMessage, y.at)
	if after := w.ask(&req, y, replied.grants); after.Kind != guard.Allow {
		return finding{state: Never, reason: after.Reason}
	}
	return finding{state: NeedsReply, reason: guard.ReasonGrantClosed, first: verdict.Reason, asked: y.asked}
}

func (w *walker) ask(req *guard.Request, y *way, grants guard.Grants) guard.Verdict {
	m := w.policy.At(time.UnixMilli(y.at))
	used := y.counted.At(m.Day)
	return guard.Decide(&m, w.policy, req, &guard.Facts{
		NoPermission: w.blocked, Grants: grants, Used: used, CampaignCaps: w.version.caps, CampaignUsed: used,
		BudgetLeft: len(w.version.steps) * maxMessages,
	})
}

func aboutGrants(r guard.Reason) bool {
	return r == guard.ReasonGrantClosed || r == guard.ReasonGrantExhausted || r == guard.ReasonGrantReserved
}

// rank orders the answers, the worst last; "" is none yet.
func rank(r Reachability) int {
	return slices.Index([]Reachability{"", Reachable, NeedsReply, Never}, r)
}
