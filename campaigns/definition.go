package campaigns

import (
	"bytes"
	"encoding/json"

	"hongyan/wechat"
)

// Definition is what a drip says and to whom, as members write it.
type Definition struct {
	Triggers []Trigger `json:"triggers"`
	Steps    []Step    `json:"steps"`
	ReEntry  ReEntry   `json:"re_entry"`
	// DailyCap is the drip's own cap of marketing messages per fan and day, 0 to 15 and not above the account's; unset
	// means that only the account's holds.
	DailyCap *int `json:"daily_cap,omitempty"`
	// EndsAt is when the drip ends, RFC 3339; "" means never. Nobody enters and nothing is sent from then on.
	EndsAt string `json:"ends_at,omitempty"`
}

// The kinds of trigger.
const (
	TriggerFollow  = "follow"  // the fan follows the account
	TriggerKeyword = "keyword" // the fan writes a text that matches one of the keywords
)

// The ways in which a keyword matches a text. Case, full-width forms and spaces around the text make no difference.
const (
	MatchExact    = "exact"
	MatchContains = "contains"
	MatchPrefix   = "prefix"
)

// Trigger is an act that starts the drip for a fan.
type Trigger struct {
	Kind     string   `json:"kind"`
	Keywords []string `json:"keywords,omitempty"`
	Match    string   `json:"match,omitempty"` // for keywords; "" means exact
}

// Step is some messages that go out together.
type Step struct {
	// Delay counts from the end of the previous step, or from the act for the first: "0s", "90s", "10m", "2h", "3d".
	Delay string `json:"delay,omitempty"`
	// At is a clock time in the account's zone, instead of Delay: the next such time, or the one Days days later.
	At   string `json:"at,omitempty"`
	Days int    `json:"days,omitempty"`

	Messages []wechat.Message `json:"messages"` // 1 to 5

	Class    string `json:"class,omitempty"`    // marketing (default), service, or reply for a first step that goes at once
	NoGrant  string `json:"no_grant,omitempty"` // due without a grant: skip (default) or wait
	Capped   string `json:"capped,omitempty"`   // capped: skip (default) or tomorrow
	Fit      string `json:"fit,omitempty"`      // not all messages fit: all (default) or nothing, or as_many as do
	Quiet    string `json:"quiet,omitempty"`    // quiet hours end too late: defer only (default, else skipped) or earlier
	Lateness string `json:"lateness,omitempty"` // latest after its due time; default 24h
}

// The ways in which a fan may enter again.
const (
	ReEntryOnce   = "once"   // never
	ReEntryAfter  = "after"  // Days days after the last run began, unless that is still going on
	ReEntryAlways = "always" // on every act, even while a run is going on
)

// ReEntry says whether a fan who has been in the drip may enter again.
type ReEntry struct {
	Mode string `json:"mode"` // "" means once
	Days int    `json:"days,omitempty"`
}

// Limits of a definition.
const (
	maxTriggers     = 20
	maxKeywords     = 100
	maxKeywordRunes = 64
	maxSteps        = 50
	maxMessages     = 5
	maxDays         = 365
	defaultLateness = "24h"
)

// decodeDefinition reads a definition strictly. Unknown fields and values of a wrong type are noted in p.
func decodeDefinition(raw []byte, p *problems) Definition {
	var d Definition
	o := p.object("", raw)
	p.each("triggers", o.list("triggers"), func(t object) {
		var trigger Trigger
		t.read("kind", &trigger.Kind)
		t.read("keywords", &trigger.Keywords)
		t.read("match", &trigger.Match)
		d.Triggers = append(d.Triggers, trigger)
	})
	p.each("steps", o.list("steps"), func(s object) { d.Steps = append(d.Steps, decodeStep(s)) })
	if raw, given := o.take("re_entry"); given {
		r := p.object("re_entry", raw)
		r.read("mode", &d.ReEntry.Mode)
		r.read("days", &d.ReEntry.Days)
		r.done()
	}
	o.read("daily_cap", &d.DailyCap)
	o.read("ends_at", &d.EndsAt)
	o.done()
	return d
}

func decodeStep(o object) Step {
	var s Step
	o.read("delay", &s.Delay)
	o.read("at", &s.At)
	o.read("class", &s.Class)
	o.read("no_grant", &s.NoGrant)
	o.read("capped", &s.Capped)
	o.read("fit", &s.Fit)
	o.read("quiet", &s.Quiet)
	o.read("lateness", &s.Lateness)
	o.read("days", &s.Days)
	for i, raw := range o.list("messages") {
		var m wechat.Message
		if err := m.UnmarshalJSON(raw); err != nil {
			o.p.nested(index(o.at("messages"), i), err)
		}
		s.Messages = append(s.Messages, m)
	}
	return s
}

// encode writes JSON without HTML escaping, so that what is stored reads like what was written.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return b.String(), nil
}
