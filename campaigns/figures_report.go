package campaigns

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"gorm.io/gorm"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/database"
)

// ReportQuery narrows a report. The zero value covers all versions since the drip began.
type ReportQuery struct {
	Version int // its number; 0: all
	// From and To are the first and last day in the account's zone, numbered as by guard.Policy.Day; 0 is no bound.
	From, To int
}

// Report tells how far fans have come in a drip, and why not further. It counts what happened in its days, each thing on the day on which it did; what is still going
// on is as of the end of the last day.
type Report struct {
	Runs  RunReport
	Steps []StepReport // by version, then by number
	Total Funnel       // of all steps
}

// RunReport counts enrolments.
type RunReport struct {
	Entered   int64
	Running   int64 // at the end of the last day
	Finished  int64
	Cancelled int64
	Exited    int64
	Exits     []ExitCount // of those that exited, by reason
}

// ExitCount is how many runs ended for a reason before their last step.
type ExitCount struct {
	Reason string // ExitReplied and others
	N      int64
}

// StepReport counts what became of a step.
type StepReport struct {
	Version int
	StepNo  int
	Kind    string // StepMessage and others
	Fans    int64  // runs that came to it; of a step without messages, the sum of its outcomes that are an end
	Funnel
	Messages []MessageReport // of a step with several
	Links    []LinkReport    // of a step that tracks links
	Outcomes []OutcomeCount  // of what is not a message: conditions, waits, replies asked for
}

// MessageReport counts what became of one message of a step.
type MessageReport struct {
	MessageNo int
	MessageID int64
	Funnel
}

// OutcomeCount is how many runs a step led to an outcome.
type OutcomeCount struct {
	Outcome Outcome
	N       int64
}

// Funnel counts messages.
type Funnel struct {
	Entered    int64 // put into the ledger
	Waiting    int64 // not ended at the end of the last day: not due yet, put off, or on their way
	Due        int64 // came to their turn: sent, failed, unknown, skipped and expired
	Sent       int64 // accepted by the platform, whatever it reported later
	Delivered  int64 // of the sent, those reported as delivered
	Rejected   int64 // of the sent, those reported as not delivered
	Skipped    int64
	Expired    int64
	Failed     int64
	Unknown    int64
	Cancelled  int64
	Replied    int64       // sent ones after which the fan wrote within deliveries.ReactWithin
	Clicked    int64       // … tapped a menu key or item, or a tracked link in the message itself
	Unfollowed int64       // … left
	Stops      []StopCount // why messages were skipped, expired, failed, unknown or cancelled: the most frequent first
}

// StopCount is how many messages ended in a state for a reason or a code of the platform.
type StopCount struct {
	State   deliveries.State
	Reason  guard.Reason
	ErrCode int // 0 if the platform gave none
	N       int64
}

// Report counts what became of a drip. It reads counters that are kept with the ledger, so that it is exact and costs the same however many fans there are.
// Errors: NotFound for the drip or the version.
func (s *Store) Report(ctx context.Context, accountID, dripID int64, q ReportQuery) (*Report, error) {
	tx := s.DB.Read(ctx)
	x, err := s.indexOf(tx, accountID, []int64{dripID})
	if err != nil {
		return nil, err
	}
	versionID, err := x.versionOf(dripID, q.Version)
	if err != nil {
		return nil, err
	}
	counters, err := s.Ledger.ReadFigures(ctx, deliveries.Figures{AccountID: accountID, Kind: deliveries.SourceDrip, SourceIDs: []int64{dripID}, From: q.From, To: q.To})
	if err != nil {
		return nil, err
	}
	out := &Report{Steps: x.steps(dripID, versionID)}
	at := map[[2]int]*StepReport{}
	for i := range out.Steps {
		at[[2]int{out.Steps[i].Version, out.Steps[i].StepNo}] = &out.Steps[i]
	}
	for i := range counters {
		place, known := x.places[counters[i].MessageID]
		if step := at[[2]int{place.number, place.stepNo}]; known && step != nil {
			step.add(place.messageNo, &counters[i])
			out.Total.add(&counters[i])
		}
	}
	out.Total.sort()
	for i := range out.Steps {
		out.Steps[i].sort()
	}
	read := figuresOf{accountID, dripID, versionID, q.From, cmp.Or(q.To, math.MaxInt32)}
	if out.Runs, err = s.reportRuns(tx, read); err != nil {
		return nil, err
	}
	if err := s.reportLinks(ctx, read, x, at); err != nil {
		return nil, err
	}
	return out, s.reportOutcomes(tx, read, x, at)
}

func (r *StepReport) add(messageNo int, c *deliveries.Counter) {
	r.Funnel.add(c)
	if messageNo == 1 && c.Figure == deliveries.FigurePlanned {
		r.Fans += c.N
	}
	if len(r.Messages) > 0 {
		r.Messages[messageNo-1].add(c)
	}
}

func (r *StepReport) sort() {
	r.Funnel.sort()
	for i := range r.Messages {
		r.Messages[i].sort()
	}
}

func (f *Funnel) add(c *deliveries.Counter) {
	switch c.Figure {
	case deliveries.FigurePlanned:
		f.Entered += c.N
		f.Waiting += c.Before + c.N
	case deliveries.FigureReplied:
		f.Replied += c.N
	case deliveries.FigureClicked:
		f.Clicked += c.N
	case deliveries.FigureUnfollowed:
		f.Unfollowed += c.N
	default:
		f.Waiting -= c.Before + c.N
		f.end(c)
	}
}

// end counts messages that came to a state.
func (f *Funnel) end(c *deliveries.Counter) {
	state := deliveries.State(c.Figure)
	*f.of(state) += c.N
	if state != deliveries.StateCancelled {
		f.Due += c.N
	}
	switch state {
	case deliveries.StateSent:
	case deliveries.StateDelivered, deliveries.StateRejected:
		f.Sent += c.N
	default:
		f.stop(StopCount{state, c.Reason, c.ErrCode, c.N})
	}
}

func (f *Funnel) of(s deliveries.State) *int64 {
	switch s {
	case deliveries.StateSent:
		return &f.Sent
	case deliveries.StateDelivered:
		return &f.Delivered
	case deliveries.StateRejected:
		return &f.Rejected
	case deliveries.StateFailed:
		return &f.Failed
	case deliveries.StateUnknown:
		return &f.Unknown
	case deliveries.StateExpired:
		return &f.Expired
	case deliveries.StateCancelled:
		return &f.Cancelled
	default:
		return &f.Skipped
	}
}

func (f *Funnel) stop(c StopCount) {
	if c.N == 0 {
		return
	}
	for i := range f.Stops {
		if o := &f.Stops[i]; o.State == c.State && o.Reason == c.Reason && o.ErrCode == c.ErrCode {
			o.N += c.N
			return
		}
	}
	f.Stops = append(f.Stops, c)
}

func (f *Funnel) sort() {
	slices.SortFunc(f.Stops, func(a, b StopCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.ErrCode, b.ErrCode))
	})
}

// figuresOf says which counters of a drip are read; version 0 stands for all.
type figuresOf struct {
	accountID, dripID, versionID int64
	from, to                     int
}

// sums reads counters of a table: for each of its columns' values, how often in the days, and before them.
func (f figuresOf) sums(tx *gorm.DB, table, columns string, scan func(*sql.Rows) error) error {
	where, args := "", []any{f.from, f.from, f.accountID, f.dripID, f.to}
	if f.versionID != 0 {
		where, args = " AND version_id = ?", append(args, f.versionID)
	}
	err := database.EachRow(tx, scan, "SELECT "+columns+", SUM(CASE WHEN day >= ? THEN n ELSE 0 END), SUM(CASE WHEN day < ? THEN n ELSE 0 END) FROM "+table+
		" WHERE account_id = ? AND campaign_id = ? AND day <= ? AND shard >= 0"+where+" GROUP BY "+columns+" ORDER BY "+columns, args...)
	if err != nil {
		return fmt.Errorf("read figures of runs: %w", err)
	}
	return nil
}

func (s *Store) reportRuns(tx *gorm.DB, f figuresOf) (RunReport, error) {
	var out RunReport
	err := f.sums(tx, "enrolment_figures", "state, exit_reason", func(rows *sql.Rows) error {
		var state runState
		var reason string
		var n, before int64
		if err := rows.Scan(&state, &reason, &n, &before); err != nil {
			return err
		}
		out.add(state, reason, n, before)
		return nil
	})
	return out, err
}

func (r *RunReport) add(state runState, reason string, n, before int64) {
	if state == runRunning {
		r.Entered += n
		r.Running += before + n
		return
	}
	r.Running -= before + n
	switch state {
	case runFinished:
		r.Finished += n
	case runCancelled:
		r.Cancelled += n
	default:
		r.Exited += n
		if n != 0 {
			r.Exits = append(r.Exits, ExitCount{reason, n})
		}
	}
}

func (s *Store) reportOutcomes(tx *gorm.DB, f figuresOf, x *figureIndex, at map[[2]int]*StepReport) error {
	return f.sums(tx, "step_figures", "version_id, step_no, outcome", func(rows *sql.Rows) error {
		var versionID, n, before int64
		var stepNo int
		var outcome Outcome
		if err := rows.Scan(&versionID, &stepNo, &outcome, &n, &before); err != nil {
			return err
		}
		if step := at[[2]int{x.numbers[versionID], stepNo}]; step != nil && n != 0 {
			step.outcome(outcome, n)
		}
		return nil
	})
}

func (r *StepReport) outcome(o Outcome, n int64) {
	r.Outcomes = append(r.Outcomes, OutcomeCount{o, n})
	if !r.sends() && (o != OutcomeWaiting || r.Kind != StepWaitFor) {
		r.Fans += n
	}
}

// sends reports whether the step has messages.
func (r *StepReport) sends() bool { return r.Kind == StepMessage || r.Kind == StepAsk }
