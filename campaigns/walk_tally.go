package campaigns

import (
	"cmp"
	"maps"
	"slices"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/clock"
)

// tally counts what becomes of imagined fans in one drip: the counters that the ledger would keep of real ones. It implements witness.
type tally struct {
	drip     int64
	days     *guard.Policy // for its zone
	runs     map[runFigure]int64
	steps    map[stepFigure]int64
	messages map[messageFigure]int64

	fans, entered, reached int64 // fans looked at, those who entered, and those to whom a message went
	enters, reaches        bool  // of them the one in hand
	waits                  [holders]HeldUp

	day   int // of dayAt
	dayAt int64
}

// begin takes the next fan.
func (t *tally) begin() {
	t.fans++
	t.enters, t.reaches = false, false
}

// one adds the fan in hand to a number of fans, unless counted before.
func one(counted *bool, n *int64) {
	if !*counted {
		*counted = true
		*n++
	}
}

// messageFigure is a counter of messages.
type messageFigure struct {
	day, stepNo, messageNo int
	figure                 deliveries.Figure
	reason                 guard.Reason
}

// stopped reports whether it counts messages that were due and did not go.
func (k messageFigure) stopped() bool {
	state := deliveries.State(k.figure)
	return state == deliveries.StateSkipped || state == deliveries.StateExpired
}

func newTally(drip int64, days *guard.Policy) *tally {
	return &tally{drip: drip, days: days, runs: map[runFigure]int64{}, steps: map[stepFigure]int64{}, messages: map[messageFigure]int64{}}
}

// dayOf numbers the day of a moment; many come to the same one.
func (t *tally) dayOf(at int64) int {
	if t.dayAt != at {
		t.day, t.dayAt = t.days.Day(clock.FromMillis(at)), at
	}
	return t.day
}

func (t *tally) began(r *run) {
	t.run(r, begun)
	if r.campaignID == t.drip {
		one(&t.enters, &t.entered)
	}
}

func (t *tally) over(r *run) { t.run(r, ended) }

func (t *tally) run(r *run, as func(*run) (runState, string, int64)) {
	if r.campaignID != t.drip {
		return
	}
	state, reason, at := as(r)
	t.runs[runFigure{day: t.dayOf(at), state: state, reason: reason}]++
}

func (t *tally) passed(p *Passed) {
	if p.CampaignID == t.drip {
		t.steps[stepFigure{day: t.dayOf(p.At), stepNo: p.StepNo, outcome: p.Outcome}]++
	}
}

func (t *tally) planned(d *deliveries.Delivery) {
	t.message(d, deliveries.FigurePlanned, guard.ReasonNone, d.PlannedAt)
}

func (t *tally) ended(d *deliveries.Delivery) {
	t.message(d, deliveries.Figure(d.State), d.Reason, d.EndedAt)
	if d.Source.ID == t.drip && d.State == deliveries.StateSent {
		one(&t.reaches, &t.reached)
	}
}

func (t *tally) held(d *deliveries.Delivery, by holder, n int, until int64) {
	if d.Source.ID == t.drip {
		t.waits[by].Messages += int64(n)
		t.waits[by].Until = max(t.waits[by].Until, until)
	}
}

func (t *tally) message(d *deliveries.Delivery, f deliveries.Figure, reason guard.Reason, at int64) {
	if d.Source.ID == t.drip {
		t.messages[messageFigure{t.dayOf(at), d.StepNo, d.MessageNo, f, reason}]++
	}
}

// report is what was counted, as Report tells it of real fans.
func (t *tally) report(v *version, number int) Report {
	out := Report{Steps: v.stepReports(number)}
	for k, n := range t.messages {
		c := deliveries.Counter{FigureKey: deliveries.FigureKey{Figure: k.figure, Reason: k.reason}, N: n}
		out.Steps[k.stepNo-1].add(k.messageNo, &c)
		out.Total.add(&c)
	}
	out.Total.sort()
	for i := range out.Steps {
		out.Steps[i].sort()
	}
	runs := sumDays(t.runs, func(k runFigure) runFigure { k.day = 0; return k })
	for _, k := range slices.SortedFunc(maps.Keys(runs), runFigures().compare) {
		out.Runs.add(k.state, k.reason, runs[k], 0)
	}
	steps := sumDays(t.steps, func(k stepFigure) stepFigure { k.day = 0; return k })
	for _, k := range slices.SortedFunc(maps.Keys(steps), stepFigures().compare) {
		out.Steps[k.stepNo-1].outcome(k.outcome, steps[k])
	}
	return out
}

// sumDays adds counters up that differ in their days only.
func sumDays[K comparable](counters map[K]int64, without func(K) K) map[K]int64 {
	out := make(map[K]int64, len(counters))
	for k, n := range counters {
		out[without(k)] += n
	}
	return out
}

// ForecastDay is what would happen on one day, numbered as by guard.Policy.Day.
type ForecastDay struct {
	Day     int
	Entered int64 // runs that begin
	Sent    int64 // messages that go
	Stopped int64 // messages that are due and do not go
}

// lost is what each rule costs.
func (t *tally) lost(account *accounts.Account, number int) []LostReason {
	l := lost{}
	for k, n := range t.messages {
		if k.stopped() {
			l.add(messagePlace{dripID: t.drip, number: number, stepNo: k.stepNo, messageNo: k.messageNo}, &deliveries.Counter{FigureKey: deliveries.FigureKey{Reason: k.reason}, N: n})
			l.of(k.reason).days[k.day] += n
		}
	}
	return l.reasons(account)
}

// perDay is what was counted on each day on which anything was.
func (t *tally) perDay() []ForecastDay {
	days := map[int]*ForecastDay{}
	of := func(day int) *ForecastDay {
		if days[day] == nil {
			days[day] = &ForecastDay{Day: day}
		}
		return days[day]
	}
	for k, n := range t.runs {
		if k.state == runRunning {
			of(k.day).Entered += n
		}
	}
	for k, n := range t.messages {
		if k.stopped() {
			of(k.day).Stopped += n
		}
		if k.figure == deliveries.Figure(deliveries.StateSent) {
			of(k.day).Sent += n
		}
	}
	out := make([]ForecastDay, 0, len(days))
	for _, d := range days {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b ForecastDay) int { return cmp.Compare(a.Day, b.Day) })
	return out
}
