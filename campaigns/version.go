package campaigns

import (
	"encoding/json"
	"fmt"
	"time"

	"hongyan/deliveries"
	"hongyan/guard"
	"hongyan/internal/fault"
)

// stored is what the column definition of campaign_versions holds.
type stored struct {
	Definition Definition `json:"definition"`
	MessageIDs [][]int64  `json:"message_ids"` // by step, in the table messages
}

// version is a stored definition, ready for use. It is immutable.
type version struct {
	id       int64
	triggers []trigger
	steps    []step
	reEntry  ReEntry
	cap      int   // the drip's own daily cap; -1: none
	endsAt   int64 // 0: never
}

type step struct {
	clock      int // minutes after midnight; -1: delay counts instead
	days       int
	delay      int64 // ms
	lateness   int64 // ms
	class      guard.Class
	options    guard.Option
	messageIDs []int64
}

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
	if len(s.MessageIDs) != len(s.Definition.Steps) {
		return nil, fault.New(fault.Internal, "version %d has %d steps and messages for %d", id, len(s.Definition.Steps), len(s.MessageIDs))
	}
	v, err := s.Definition.compile()
	if err != nil {
		return nil, fmt.Errorf("read version %d: %w", id, err)
	}
	v.id = id
	for i := range v.steps {
		v.steps[i].messageIDs = s.MessageIDs[i]
	}
	return v, nil
}

// compile makes a checked definition fit for use. Message ids are those of the store.
func (d *Definition) compile() (*version, error) {
	v := &version{reEntry: d.ReEntry, cap: -1}
	if d.DailyCap != nil {
		v.cap = *d.DailyCap
	}
	if d.EndsAt != "" {
		end, err := time.Parse(time.RFC3339, d.EndsAt)
		if err != nil {
			return nil, fmt.Errorf("ends_at: %w", err)
		}
		v.endsAt = end.UnixMilli()
	}
	for _, t := range d.Triggers {
		out := trigger{kind: t.Kind, match: t.Match}
		for _, k := range t.Keywords {
			out.keywords = append(out.keywords, fold(k))
		}
		v.triggers = append(v.triggers, out)
	}
	for i := range d.Steps {
		s, err := d.Steps[i].compile()
		if err != nil {
			return nil, fmt.Errorf("steps[%d]: %w", i, err)
		}
		v.steps = append(v.steps, s)
	}
	return v, nil
}

func (s *Step) compile() (step, error) {
	out := step{clock: -1, days: s.Days, class: guard.ClassMarketing, messageIDs: make([]int64, len(s.Messages))}
	var ok bool
	if s.At != "" {
		out.clock, ok = parseClock(s.At)
	} else {
		out.delay, ok = parseSpan(s.Delay)
	}
	if !ok {
		return out, fault.New(fault.Invalid, "it is not said when the step is due")
	}
	lateness := s.Lateness
	if lateness == "" {
		lateness = defaultLateness
	}
	if out.lateness, ok = parseSpan(lateness); !ok {
		return out, fault.New(fault.Invalid, "%q is not a duration", lateness)
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

// immediate reports whether the step goes out as soon as it can.
func (s *step) immediate() bool { return s.clock < 0 && s.delay == 0 }

// due is when the step is wished for, base being the end of the previous step or the act.
func (s *step) due(base int64, zone *time.Location) int64 {
	if s.clock < 0 {
		return base + s.delay
	}
	return clockAfter(time.UnixMilli(base), zone, s.clock, s.days).UnixMilli()
}

// request is what the guard is asked about the step wished for at due.
func (v *version) request(s *step, due int64, spread uint32) guard.Request {
	notAfter := due + s.lateness
	if v.endsAt != 0 {
		notAfter = min(notAfter, v.endsAt)
	}
	return guard.Request{
		Class: s.class, Channel: guard.ChannelKefu, Options: s.options, Messages: len(s.messageIDs), NotAfter: notAfter, Spread: spread,
	}
}

// source names a drip in the ledger.
func source(campaignID int64) deliveries.Source {
	return deliveries.Source{Kind: deliveries.SourceDrip, ID: campaignID}
}
