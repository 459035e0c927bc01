package campaigns

import (
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

// Reach is the answer for one step after one trigger.
type Reach struct {
	Trigger int          `json:"trigger"` // index in the definition
	Step    int          `json:"step"`    // index in the definition
	State   Reachability `json:"state"`
	Reason  string       `json:"reason"` // the guard's reason, "none" if reachable
	Zh      string       `json:"zh"`
	En      string       `json:"en"`
}

// Reaches asks the guard itself, for every trigger and step, whether the step can go: with the grants that the trigger
// and only it opens under the rules of now, used up by the steps before, at the time at which the step is due, with the
// account's cap and what it keeps for agents. Quiet hours are left out: they move a step, and the moment depends on
// when the fan comes. Steps with a clock time are tried for acts at every hour of a day, and the worst counts.
func Reaches(d Definition, account *accounts.Account, now time.Time) ([]Reach, error) {
	v, err := d.compile()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the definition is not complete")
	}
	spec := guard.PolicySpec{DailyCap: account.Spec.DailyCap, HoldForAgents: account.Spec.HoldForAgents}
	policy, err := spec.Compile(account.Zone)
	if err != nil {
		return nil, err
	}
	var out []Reach
	for i := range v.triggers {
		worst := make([]Reach, len(v.steps))
		for _, at := range v.tryAt(now) {
			w := walk{version: v, policy: policy, blocked: !account.MaySendKefu(), at: at.UnixMilli(), start: at.UnixMilli()}
			w.open(v.triggers[i].kind)
			for j := range v.steps {
				state, reason := w.step(&v.steps[j])
				if r := newReach(i, j, state, reason); worst[j].State == "" || rank(state) > rank(worst[j].State) {
					worst[j] = r
				}
			}
		}
		out = append(out, worst...)
	}
	return out, nil
}

// tryAt lists the moments of an act that are tried.
func (v *version) tryAt(now time.Time) []time.Time {
	clocked := false
	for i := range v.steps {
		clocked = clocked || v.steps[i].clock >= 0
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

// walk is an imagined fan's way through a version.
type walk struct {
	version *version
	policy  *guard.Policy
	blocked bool // the account may not send customer-service messages
	start   int64
	at      int64 // end of the previous step
	grants  guard.Grants
	capDay  int
	capUsed int
}

func (w *walk) open(triggerKind string) {
	t := wechat.TriggerFollow
	if triggerKind == TriggerKeyword {
		t = wechat.TriggerMessage
	}
	w.act(t, w.start)
}

func (w *walk) act(t wechat.Trigger, at int64) {
	w.grants.Trigger(t, at, wechat.RulesAt(time.UnixMilli(at)).Grants[t], 0)
}

// tomorrows is how often a step that waits for tomorrow's cap is followed.
const tomorrows = 3

// step decides about the next step and, if it goes, takes what it uses.
func (w *walk) step(s *step) (Reachability, guard.Reason) {
	w.at = s.due(w.at, w.policy.Zone)
	req := w.version.request(s, w.at, 0)
	verdict := w.ask(&req, w.grants)
	for range tomorrows {
		if verdict.Kind != guard.Defer || verdict.Until == 0 {
			break
		}
		w.at = verdict.Until
		verdict = w.ask(&req, w.grants)
	}
	if verdict.Kind == guard.Allow {
		w.grants.Take(w.at, verdict.Messages)
		if req.Class == guard.ClassMarketing {
			w.capUsed += verdict.Messages
		}
		return Reachable, guard.ReasonNone
	}
	if !aboutGrants(verdict.Reason) {
		return Never, verdict.Reason
	}
	// Would it go if the fan wrote just before?
	before := w.grants
	w.act(wechat.TriggerMessage, w.at)
	replied := w.grants
	w.grants = before
	if verdict = w.ask(&req, replied); verdict.Kind != guard.Allow {
		return Never, verdict.Reason
	}
	return NeedsReply, guard.ReasonGrantClosed
}

func (w *walk) ask(req *guard.Request, grants guard.Grants) guard.Verdict {
	m := w.policy.At(time.UnixMilli(w.at))
	if w.capDay != m.Day {
		w.capDay, w.capUsed = m.Day, 0
	}
	return guard.Decide(&m, w.policy, req, &guard.Facts{
		NoPermission: w.blocked, Grants: grants, CapUsed: w.capUsed, CampaignCap: w.version.cap, CampaignCapUsed: w.capUsed,
		BudgetLeft: len(w.version.steps) * maxMessages,
	})
}

func aboutGrants(r guard.Reason) bool {
	return r == guard.ReasonGrantClosed || r == guard.ReasonGrantExhausted || r == guard.ReasonGrantReserved
}

func rank(r Reachability) int {
	switch r {
	case Reachable:
		return 0
	case NeedsReply:
		return 1
	default:
		return 2
	}
}

func newReach(trigger, step int, state Reachability, reason guard.Reason) Reach {
	r := Reach{Trigger: trigger, Step: step, State: state, Reason: reason.String()}
	switch state {
	case Reachable:
		r.Zh, r.En = "可以送达", "can arrive"
	case NeedsReply:
		r.Zh, r.En = "需要粉丝先互动：到发送时下发额度已关闭或用完", "needs a reply first: by then the grant is closed or used up"
	default:
		zh, en := neverWords(reason)
		r.Zh, r.En = "无法送达："+zh, "cannot arrive: "+en
	}
	return r
}

func neverWords(reason guard.Reason) (zh, en string) {
	switch reason {
	case guard.ReasonNoPermission:
		return "该公众号类型没有客服消息权限", "this type of account may not send customer-service messages"
	case guard.ReasonCap:
		return "超过每日上限", "the step is over the daily cap"
	case guard.ReasonTooLate:
		return "到期时活动已结束", "the drip has ended by then"
	case guard.ReasonGrantExhausted, guard.ReasonGrantReserved, guard.ReasonGrantClosed:
		return "步骤的消息数超过一次互动的下发额度", "the step has more messages than one interaction allows"
	default:
		return reason.String(), reason.String()
	}
}
