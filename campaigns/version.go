package campaigns

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/segments"
)

// stored is what the column definition of campaign_versions holds.
type stored struct {
	Definition Definition `json:"definition"`
	MessageIDs [][]int64  `json:"message_ids"` // by step number, in the table messages
	// Attributes are the types of the attributes that conditions ask, as they were when the version was made.
	Attributes map[string]segments.Type `json:"attributes,omitempty"`
}

// version is a stored definition, ready for use. It is immutable.
type version struct {
	id       int64
	triggers []trigger
	sources  []string // none: fans of any
	exits    []exit
	steps    []step
	reEntry  ReEntry
	caps     guard.Caps // the drip's own
	endsAt   int64      // 0: never
	tracks   bool       // some step tracks links
}

// step is a Step, ready for use. Where a run goes from it is told by numbers, 0 for the end of the run; they are higher than the step's own.
type step struct {
	no    int
	kind  string
	clock int // minutes after midnight; -1: delay counts instead
	days  int
	delay int64  // ms
	date  *dated // counts instead of clock and delay

	lateness   int64 // ms
	class      guard.Class
	options    guard.Option
	messageIDs []int64
	links      []string // that are tracked

	timeout int64 // ask, wait_for: ms
	waits   trigger
	rule    *segments.Rule // if
	tag     int64
	webhook int64

	next int   // what follows the step and all inside it
	then int   // if: it holds; wait_for: it happened
	els  int   // if: it does not; wait_for: the time is over
	arms []arm // split

	asks  need // what must be known of a fan to do the step
	ahead need // the same of the step and those that may come at once after it
}

// arm is one way of a split: that of the fans whose lot is below so much.
type arm struct{ below, to int }

// dated is a StepDate, ready for use.
type dated struct {
	attribute string
	days      int
	clock     int
	yearly    bool
}

// step is the step with a number, which exists.
func (v *version) step(no int) *step { return &v.steps[no-1] }

// sends reports whether the step sends messages.
func (s *step) sends() bool { return s.kind == StepMessage || s.kind == StepAsk }

// Running is a drip that fans can enter now.
type Running struct {
	ID       int64
	Priority int
	*version
}

// VersionID is the version that fans enter.
func (r *Running) VersionID() int64 { return r.id }

func compileStored(id int64, raw string) (*version, error) {
	var s stored
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return nil, fmt.Errorf("read version %d: %w", id, err)
	}
	v, err := s.Definition.compile()
	if err != nil {
		return nil, fmt.Errorf("read version %d: %w", id, err)
	}
	if len(s.MessageIDs) != len(v.steps) {
		return nil, fault.New(fault.Internal, "version %d has %d steps and messages for %d", id, len(v.steps), len(s.MessageIDs))
	}
	v.id = id
	for i, n := range s.Definition.Numbered() {
		v.steps[i].messageIDs = s.MessageIDs[i]
		if n.kind() != StepIf {
			continue
		}
		if v.steps[i].rule, err = segments.Parse(n.Path+".condition", n.Condition, registry{attributes: s.Attributes}); err != nil {
			return nil, fmt.Errorf("read version %d: %w", id, err)
		}
		v.steps[i].asks |= needsOf(v.steps[i].rule)
	}
	v.lookAhead()
	return v, nil
}

// compile makes a checked definition fit for use, all but its conditions. Message ids are those of the store.
func (d *Definition) compile() (*version, error) {
	caps, err := guard.CapsOf(d.DailyCap, d.WeeklyCap, d.MonthlyCap)
	if err != nil {
		return nil, err
	}
	v := &version{reEntry: d.ReEntry, caps: caps}
	if d.EndsAt != "" {
		end, err := time.Parse(time.RFC3339, d.EndsAt)
		if err != nil {
			return nil, fmt.Errorf("ends_at: %w", err)
		}
		v.endsAt = end.UnixMilli()
	}
	for i := range d.Triggers {
		v.triggers = append(v.triggers, d.Triggers[i].compile())
	}
	v.sources, v.exits = d.Sources, compileExits(d.Exits)
	return v, v.number("steps", d.Steps, 0)
}

// number adds the steps of a list, and those inside them, in the order in which they are written; after is the step that follows the list.
func (v *version) number(at string, list []Step, after int) error {
	for i := range list {
		path := index(at, i)
		out, err := list[i].compile()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out.no = len(v.steps) + 1
		if out.next = after; i < len(list)-1 {
			out.next = out.no + list[i].size()
		}
		list[i].connect(&out)
		out.links = list[i].tracked()
		v.tracks = v.tracks || len(out.links) > 0
		v.steps = append(v.steps, out)
		for _, b := range list[i].branches() {
			if err := v.number(path+"."+b.name, b.steps, out.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// size is how many steps a step is with all inside it.
func (s *Step) size() int {
	n := 1
	for _, b := range s.branches() {
		for i := range b.steps {
			n += b.steps[i].size()
		}
	}
	return n
}

// connect tells where the branches of a step begin. An empty one goes on behind the step.
func (s *Step) connect(out *step) {
	begin := out.no + 1
	enter := func(list []Step) int {
		if len(list) == 0 {
			return out.next
		}
		at := begin
		for i := range list {
			begin += list[i].size()
		}
		return at
	}
	out.then, out.els = enter(s.Then), enter(s.Else)
	below := 0
	for _, a := range s.Arms {
		below += a.Weight
		out.arms = append(out.arms, arm{below: below, to: enter(a.Steps)})
	}
}

// ways lists the steps to which a run may go from a step.
func (s *step) ways() []int {
	switch s.kind {
	case StepIf, StepWaitFor:
		return []int{s.then, s.els}
	case StepSplit:
		out := make([]int, len(s.arms))
		for i, a := range s.arms {
			out[i] = a.to
		}
		return out
	case StepExit:
		return []int{0}
	default:
		return []int{s.next}
	}
}

// lookAhead fills in ahead. A run stops at messages and at waits, so that what comes after them is asked later.
func (v *version) lookAhead() {
	for i := len(v.steps) - 1; i >= 0; i-- {
		s := &v.steps[i]
		s.ahead = s.asks
		if s.sends() || s.kind == StepWaitFor {
			continue
		}
		for _, to := range s.ways() {
			if to != 0 {
				s.ahead |= v.step(to).ahead
			}
		}
	}
}

func (s *Step) compile() (step, error) {
	out := step{
		kind: s.kind(), clock: -1, days: s.Days, class: guard.ClassMarketing, messageIDs: make([]int64, len(s.Messages)), tag: s.Tag, webhook: s.Webhook,
	}
	if !s.compileDue(&out) {
		return out, fault.New(fault.Invalid, "it is not said when the step is due")
	}
	var ok bool
	lateness := cmp.Or(s.Lateness, defaultLateness)
	if out.lateness, ok = parseSpan(lateness); !ok {
		return out, fault.New(fault.Invalid, "%q is not a duration", lateness)
	}
	if s.kind() == StepAsk || s.kind() == StepWaitFor {
		if out.timeout, ok = parseSpan(s.Timeout); !ok {
			return out, fault.New(fault.Invalid, "%q is not a duration", s.Timeout)
		}
	}
	if s.For != nil {
		out.waits = s.For.compile()
	}
	switch s.Class {
	case "service":
		out.class = guard.ClassService
	case "reply":
		out.class = guard.ClassReply
	}
	for option, on := range map[guard.Option]bool{
		guard.OptWaitForGrant: s.NoGrant == "wait", guard.OptCapTomorrow: s.Capped == "tomorrow",
		guard.OptAsManyAsFit: s.Fit == "as_many", guard.OptQuietEarlier: s.Quiet == "earlier",
	} {
		if on {
			out.options |= option
		}
	}
	return out, nil
}

// compileDue reports false when it is not said when the step is due.
func (s *Step) compileDue(out *step) (ok bool) {
	switch {
	case s.Date != nil:
		out.date = &dated{attribute: s.Date.Attribute, days: s.Date.Days, yearly: s.Date.Yearly}
		out.date.clock, ok = parseClock(s.Date.At)
		out.asks |= needAttributes
	case s.At != "":
		out.clock, ok = parseClock(s.At)
	case s.Delay == "" && !s.sends():
		return true
	default:
		out.delay, ok = parseSpan(s.Delay)
	}
	return ok
}

// immediate reports whether the step is due as soon as the one before it has ended.
func (s *step) immediate() bool { return s.date == nil && s.clock < 0 && s.delay == 0 }

// due is when the step is wished for, base being the end of the previous step or the act; false for a step whose date is not known for the fan.
func (s *step) due(base int64, zone *time.Location, who *person) (int64, bool) {
	switch {
	case s.date != nil:
		day, known := who.day(s.date.attribute)
		if !known {
			return 0, false
		}
		return s.date.due(base, zone, day), true
	case s.clock >= 0:
		return clockAfter(time.UnixMilli(base), zone, s.clock, s.days).UnixMilli(), true
	default:
		return base + s.delay, true
	}
}

// due is the moment that belongs to a fan's day; a yearly one is the first after base. The 29th of February is the 1st of March in other years.
func (d *dated) due(base int64, zone *time.Location, day segments.Day) int64 {
	y, m, n := time.Unix(int64(day)*msDay/msSecond, 0).UTC().Date()
	in := func(year int) int64 {
		return time.Date(year, m, n+d.days, d.clock/60, d.clock%60, 0, 0, zone).UnixMilli()
	}
	if !d.yearly {
		return in(y)
	}
	year := time.UnixMilli(base).In(zone).Year() - 2 // the offset may reach into the year before or after
	for in(year) <= base {
		year++
	}
	return in(year)
}

// answersAtOnce reports whether the first message of a run may go out as soon as it begins.
func (v *version) answersAtOnce() bool {
	reached := make([]bool, len(v.steps)+1)
	reached[1] = true
	for i := range v.steps {
		s := &v.steps[i]
		if !reached[s.no] || !s.immediate() || s.kind == StepWaitFor {
			continue
		}
		if s.sends() {
			return true
		}
		for _, to := range s.ways() {
			reached[to] = true
		}
	}
	return false
}

// request is what the guard is asked about the step wished for at due.
func (v *version) request(s *step, due int64, spread uint32) guard.Request {
	notAfter := due + s.lateness
	if v.endsAt != 0 {
		notAfter = min(notAfter, v.endsAt)
	}
	return guard.Request{
		Class: s.class, Campaign: true, Channel: guard.ChannelKefu, Options: s.options, Messages: len(s.messageIDs), NotAfter: notAfter, Spread: spread,
	}
}

// source names a drip in the ledger.
func source(campaignID int64) deliveries.Source {
	return deliveries.Source{Kind: deliveries.SourceDrip, ID: campaignID}
}
