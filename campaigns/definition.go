package campaigns

import (
	"bytes"
	"cmp"
	"encoding/json"
)

// Definition is what a drip says and to whom, as members write it.
type Definition struct {
	Triggers []Trigger `json:"triggers"`
	// Sources are the ways of following (ADD_SCENE_…, platform.md 7.1) of the fans who may enter; none means all fans.
	Sources []string `json:"sources,omitempty"`
	// Exits are the acts that end a run before its last step; an unfollow always does.
	Exits   []Awaited `json:"exits,omitempty"`
	Steps   []Step    `json:"steps"`
	ReEntry ReEntry   `json:"re_entry"`
	// DailyCap, WeeklyCap and MonthlyCap are the drip's own caps of marketing messages per fan, with the ranges of the account's and not above them;
	// where one is unset, only the account's holds.
	DailyCap   *int `json:"daily_cap,omitempty"`
	WeeklyCap  *int `json:"weekly_cap,omitempty"`
	MonthlyCap *int `json:"monthly_cap,omitempty"`
	// EndsAt is when the drip ends, RFC 3339; "" means never. Nobody enters and nothing is sent from then on.
	EndsAt string `json:"ends_at,omitempty"`
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
	maxMessages     = 5
	maxDays         = 365
	defaultLateness = "24h"
)

// decodeDefinition reads a definition strictly. Unknown fields and values of a wrong type are noted in p.
func decodeDefinition(raw []byte, p *problems) Definition {
	var d Definition
	o := p.object("", raw)
	p.each("triggers", o.list("triggers"), func(t object) { d.Triggers = append(d.Triggers, decodeTrigger(t)) })
	d.Sources = decodeSources(o)
	p.each("exits", o.list("exits"), func(e object) { d.Exits = append(d.Exits, decodeAwaited(e)) })
	d.Steps = p.decodeSteps("steps", o.list("steps"), 1)
	if raw, given := o.take("re_entry"); given {
		r := p.object("re_entry", raw)
		r.read("mode", &d.ReEntry.Mode)
		r.read("days", &d.ReEntry.Days)
		r.done()
	}
	d.ReEntry.Mode = cmp.Or(d.ReEntry.Mode, ReEntryOnce)
	o.read("daily_cap", &d.DailyCap)
	o.read("weekly_cap", &d.WeeklyCap)
	o.read("monthly_cap", &d.MonthlyCap)
	o.read("ends_at", &d.EndsAt)
	o.done()
	return d
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
