package campaigns

import (
	"time"

	"hongyan/deliveries"
	"hongyan/guard"
)

// run is one fan's way through a version: what an enrolment's row says, and what planning adds to it.
type run struct {
	id            int64
	campaignID    int64
	versionID     int64
	fanID         int64
	occurrence    int64
	interactionID int64
	startedAt     int64

	state runState
	step  int   // number of the current step, from 1
	wake  int64 // when the sweeper should look at it if nothing has moved it on; 0: never
	ended int64

	rows []deliveries.Planned
}

// placer places steps of one drip version in time. It is pure.
type placer struct {
	now       time.Time
	accountID int64
	policy    *guard.Policy
	version   *version
}

// place plans the first step, from r.step on, that has a time at which it may go, and moves r to it; steps before
// it are planned as skipped, with their reasons. Without any such step the run is finished. base is the moment from which
// the step's delay counts. superseded tells that another answer won: r's first step is then skipped.
func (p *placer) place(r *run, base int64, grants *guard.Grants, superseded bool) {
	for ; r.step <= len(p.version.steps); r.step++ {
		s := &p.version.steps[r.step-1]
		due := s.due(base, p.policy.Zone)
		rows, planned := p.rows(r, s, due, grants, superseded)
		superseded = false
		r.rows = append(r.rows, rows...)
		if planned {
			r.state, r.wake = runRunning, rows[0].DueAt
			return
		}
		base = max(due, p.now.UnixMilli())
	}
	r.step = len(p.version.steps)
	r.end(runFinished, p.now.UnixMilli())
}

func (r *run) end(state runState, at int64) { r.state, r.wake, r.ended = state, 0, at }

// rows is a step's messages for the ledger, and whether they are to be sent.
func (p *placer) rows(r *run, s *step, due int64, grants *guard.Grants, superseded bool) ([]deliveries.Planned, bool) {
	req := p.version.request(s, due, guard.Spread(r.campaignID, r.fanID))
	facts := guard.Facts{CampaignCap: p.version.cap}
	if grants != nil {
		facts.Grants = *grants
	}
	var at guard.Placement
	if superseded {
		at = guard.Placement{DueAt: max(due, p.now.UnixMilli()), Verdict: guard.Verdict{Kind: guard.Skip, Reason: guard.ReasonSuperseded}}
	} else {
		at = guard.Plan(p.policy, p.now, time.UnixMilli(due), &req, &facts)
	}
	row := deliveries.Planned{
		Key: deliveries.Key{
			AccountID: p.accountID, Source: source(r.campaignID), FanID: r.fanID, Occurrence: r.occurrence, StepNo: r.step,
		},
		StepSize: len(s.messageIDs), Channel: req.Channel, Class: req.Class, Options: req.Options,
		DueAt: at.DueAt, NotAfter: req.NotAfter, Deadline: p.deadline(&req, at.DueAt, &facts),
		State: deliveries.StatePlanned, Reason: at.Verdict.Reason, Verdict: at.Verdict.Kind,
	}
	if at.Verdict.Kind == guard.Skip {
		row.State = deliveries.StateSkipped
	}
	if at.Verdict.Kind != guard.Allow {
		row.Values = p.values(due, &req, &facts, at)
	}
	rows := make([]deliveries.Planned, len(s.messageIDs))
	for i, id := range s.messageIDs {
		rows[i] = row
		rows[i].MessageNo, rows[i].MessageID = i+1, id
	}
	return rows, row.State == deliveries.StatePlanned
}

// deadline is when it is no use any more to try. A step that waits for a grant does not depend on the one that is open now.
func (p *placer) deadline(req *guard.Request, due int64, facts *guard.Facts) int64 {
	if req.Options&guard.OptWaitForGrant != 0 {
		return req.NotAfter
	}
	return deliveries.EffectiveDeadline(&facts.Grants, p.policy, req, due)
}

// values are the figures behind a step that was moved or skipped.
func (p *placer) values(wished int64, req *guard.Request, facts *guard.Facts, at guard.Placement) []guard.Value {
	m := p.policy.At(time.UnixMilli(max(wished, p.now.UnixMilli())))
	values := []guard.Value{{Name: "wished_at", Number: wished}}
	if at.DueAt != wished {
		values = append(values, guard.Value{Name: "due_at", Number: at.DueAt})
	}
	return append(values, guard.Values(&m, p.policy, req, facts, at.Verdict)...)
}
