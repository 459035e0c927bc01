package campaigns

import (
	"encoding/json"
	"fmt"

	"hongyan/wechat"
)

// The kinds of step.
const (
	StepMessage = "message"  // sends messages; also ""
	StepAsk     = "ask"      // sends messages and waits for the fan to write
	StepIf      = "if"       // goes one of two ways by a condition
	StepSplit   = "split"    // goes one of several ways by chance
	StepWaitFor = "wait_for" // waits for an act of the fan
	StepTag     = "tag"      // gives the fan a tag
	StepUntag   = "untag"    // takes a tag from the fan
	StepWebhook = "webhook"  // tells another program
	StepExit    = "exit"     // ends the run
)

// Step is something that happens to a fan on the way: messages that go out together, or what the other kinds say. Steps may hold steps; all of a
// definition are numbered from 1 in the order in which they are written.
type Step struct {
	Kind string `json:"kind,omitempty"`
	// Delay counts from the end of the previous step, or from the act for the first: "0s", "90s", "10m", "2h", "3d". Messages need it, or At or
	// Date; other kinds are due at once without.
	Delay string `json:"delay,omitempty"`
	// At is a clock time in the account's zone, instead of Delay: the next such time, or the one Days days later.
	At   string `json:"at,omitempty"`
	Days int    `json:"days,omitempty"`

	Messages []wechat.Message `json:"messages,omitempty"` // 1 to 5

	Class    string `json:"class,omitempty"`    // marketing (default), service, or reply for one that answers at once what the fan just did
	NoGrant  string `json:"no_grant,omitempty"` // due without a grant: skip (default) or wait
	Capped   string `json:"capped,omitempty"`   // capped: skip (default) or tomorrow
	Fit      string `json:"fit,omitempty"`      // not all messages fit: all (default) or nothing, or as_many as do
	Quiet    string `json:"quiet,omitempty"`    // quiet hours end too late: defer only (default, else skipped) or earlier
	Lateness string `json:"lateness,omitempty"` // latest after its due time; default 24h
	// TrackLinks counts who opens the links in the messages: their addresses become the installation's own, which lead on to them.
	TrackLinks bool `json:"track_links,omitempty"`

	// Date is a day that the fan's attribute holds, instead of Delay and At. A fan without the attribute passes the step over, and so does one whose day has
	// passed, if it is no message: that is skipped as too late.
	Date *StepDate `json:"date,omitempty"`

	Timeout   string          `json:"timeout,omitempty"`   // ask, wait_for: how long it waits, 1m to 30d
	Condition json.RawMessage `json:"condition,omitempty"` // if: a rule of package segments over the fields of Fields
	For       *Awaited        `json:"for,omitempty"`       // wait_for: what it waits for
	Then      []Step          `json:"then,omitempty"`      // if: the condition holds; wait_for: it happened
	Else      []Step          `json:"else,omitempty"`      // if: it does not; wait_for: the time is over
	Arms      []Arm           `json:"arms,omitempty"`      // split: 2 to 5
	Tag       int64           `json:"tag,omitempty"`       // tag, untag: the tag's id
	Webhook   int64           `json:"webhook,omitempty"`   // webhook: the endpoint's id
}

// Arm is one way of a split.
type Arm struct {
	Weight int    `json:"weight"` // per cent of the fans who take it
	Steps  []Step `json:"steps"`
}

// StepDate is a day that depends on the fan.
type StepDate struct {
	Attribute string `json:"attribute"`        // name of an attribute of type date
	Days      int    `json:"days,omitempty"`   // so many days after the day; before it if negative
	At        string `json:"at"`               // clock time in the account's zone
	Yearly    bool   `json:"yearly,omitempty"` // every year's such day: the next one counts
}

// The limits of steps.
const (
	maxSteps      = 50 // of the whole tree
	maxStepDepth  = 4  // steps inside each other
	minArms       = 2
	maxArms       = 5
	allWeights    = 100
	minTimeout    = msMinute
	maxTimeout    = 30 * msDay
	maxDateOffset = 365
)

// kind is the step's kind with the default filled in.
func (s *Step) kind() string {
	if s.Kind == "" {
		return StepMessage
	}
	return s.Kind
}

// sends reports whether the step sends messages.
func (s *Step) sends() bool { return s.kind() == StepMessage || s.kind() == StepAsk }

// branch is one of the lists of steps inside a step.
type branch struct {
	name  string // as in a field path: "then", "arms[1].steps"
	steps []Step
}

// branches lists the steps inside a step, in the order in which they are numbered.
func (s *Step) branches() []branch {
	var out []branch
	if len(s.Then) > 0 {
		out = append(out, branch{"then", s.Then})
	}
	if len(s.Else) > 0 {
		out = append(out, branch{"else", s.Else})
	}
	for i := range s.Arms {
		if len(s.Arms[i].Steps) > 0 {
			out = append(out, branch{fmt.Sprintf("arms[%d].steps", i), s.Arms[i].Steps})
		}
	}
	return out
}

// Numbered is a step of a definition with its number and where it stands.
type Numbered struct {
	No   int    // from 1
	Path string // "steps[2].then[0]"
	*Step
}

// Numbered lists all steps by their numbers: each before those inside it, and those before what follows it.
func (d *Definition) Numbered() []Numbered { return numberSteps(nil, "steps", d.Steps) }

func numberSteps(out []Numbered, at string, list []Step) []Numbered {
	for i := range list {
		path := index(at, i)
		out = append(out, Numbered{No: len(out) + 1, Path: path, Step: &list[i]})
		for _, b := range list[i].branches() {
			out = numberSteps(out, path+"."+b.name, b.steps)
		}
	}
	return out
}

// decodeSteps reads a list of steps that stand depth deep inside others.
func (p *problems) decodeSteps(path string, raws []json.RawMessage, depth int) []Step {
	if len(raws) > 0 && depth > maxStepDepth {
		p.addf(path, "depth", "steps can stand at most %d deep inside each other; take a level away", maxStepDepth)
		return nil
	}
	var out []Step
	p.each(path, raws, func(o object) { out = append(out, decodeStep(o, depth)) })
	return out
}

func decodeStep(o object, depth int) Step {
	var s Step
	for _, field := range []struct {
		name string
		into any
	}{
		{"kind", &s.Kind}, {"delay", &s.Delay}, {"at", &s.At}, {"class", &s.Class}, {"no_grant", &s.NoGrant}, {"capped", &s.Capped}, {"fit", &s.Fit},
		{"quiet", &s.Quiet}, {"lateness", &s.Lateness}, {"days", &s.Days}, {"timeout", &s.Timeout}, {"tag", &s.Tag}, {"webhook", &s.Webhook}, {"track_links", &s.TrackLinks},
	} {
		o.read(field.name, field.into)
	}
	for i, raw := range o.list("messages") {
		var m wechat.Message
		if err := m.UnmarshalJSON(raw); err != nil {
			o.p.nested(index(o.at("messages"), i), err)
		}
		s.Messages = append(s.Messages, m)
	}
	if raw, given := o.take("date"); given {
		s.Date = decodeDate(o.p.object(o.at("date"), raw))
	}
	if raw, given := o.take("for"); given {
		f := o.p.object(o.at("for"), raw)
		awaited := decodeAwaited(f)
		f.done()
		s.For = &awaited
	}
	s.Condition, _ = o.take("condition")
	s.Then = o.p.decodeSteps(o.at("then"), o.list("then"), depth+1)
	s.Else = o.p.decodeSteps(o.at("else"), o.list("else"), depth+1)
	o.p.each(o.at("arms"), o.list("arms"), func(a object) {
		var arm Arm
		a.read("weight", &arm.Weight)
		arm.Steps = a.p.decodeSteps(a.at("steps"), a.list("steps"), depth+1)
		s.Arms = append(s.Arms, arm)
	})
	return s
}

func decodeDate(o object) *StepDate {
	var d StepDate
	o.read("attribute", &d.Attribute)
	o.read("days", &d.Days)
	o.read("at", &d.At)
	o.read("yearly", &d.Yearly)
	o.done()
	return &d
}
