package wechat

import "time"

// Trigger is an act of a fan that opens a grant: the right to send the fan some
// customer-service messages for a while.
type Trigger uint8

// The triggers, in the order in which limits keeps their buckets. The numbers are stored.
// Source: platform.md 3.2 (doc/service/guide/product/kf/intro).
const (
	TriggerMessage Trigger = iota // the fan wrote: text, image, voice, video, location, link
	TriggerMenu                   // a tap on a click or scan-code menu item, or on an item of an in-chat menu message
	TriggerFollow                 // the fan followed
	TriggerScan                   // the fan scanned a parametric QR code
	TriggerPayment                // the fan paid; off unless a rule set says otherwise
	TriggerCount   = iota         // how many there are
)

var triggerNames = [TriggerCount]string{"message", "menu", "follow", "scan", "payment"}

// String is the name used in logs, traces and definitions.
func (t Trigger) String() string {
	if int(t) < len(triggerNames) {
		return triggerNames[t]
	}
	return "unknown"
}

// Allowance is what a trigger grants: Messages, for Lifetime from the push's CreateTime.
// A zero Allowance grants nothing.
type Allowance struct {
	Messages int
	Lifetime time.Duration
}

// RuleSet is what the platform granted from a day on. Rule sets are data, so that old
// logs can be replayed under the rules of their time and an account can set its own.
type RuleSet struct {
	Name string
	From time.Time // first moment at which it holds
	// Grants is indexed by Trigger.
	Grants [TriggerCount]Allowance
	// TextBytes is the most UTF-8 bytes of a customer-service text (45002 beyond).
	// 2,048 is the old documentation's figure for passive text and unconfirmed for kefu.
	TextBytes int
}

// marginShort and marginLong are taken off a grant's lifetime before we rely on it,
// because our clock and the platform's differ and a call takes time: 60 s count as
// 50 s, 48 h as 47 h 50 min (platform.md 3.4).
const (
	marginShort   = 10 * time.Second
	marginLong    = 10 * time.Minute
	shortLifetime = time.Hour
)

// Usable is the part of a lifetime that we rely on.
func (a Allowance) Usable() time.Duration {
	switch {
	case a.Lifetime <= 0:
		return 0
	case a.Lifetime <= shortLifetime:
		return max(0, a.Lifetime-marginShort)
	default:
		return a.Lifetime - marginLong
	}
}

// RuleSets returns the published rules, oldest first (platform.md 3.3). The 2021 day is
// that of copies of the page; existing accounts moved to the 2023 rules in batches until
// August 2023, new ones on the day given here.
func RuleSets() []RuleSet {
	const day = 24 * time.Hour
	beijing := time.FixedZone("CST", 8*3600)
	all20 := Allowance{Messages: 20, Lifetime: 2 * day}
	minute := Allowance{Messages: 3, Lifetime: time.Minute}
	return []RuleSet{
		{
			Name:      "2016",
			Grants:    [TriggerCount]Allowance{all20, all20, all20, all20, all20},
			TextBytes: 2048,
		},
		{
			Name: "2021-06", From: time.Date(2021, 6, 1, 0, 0, 0, 0, beijing),
			Grants:    [TriggerCount]Allowance{all20, minute, minute, minute, all20},
			TextBytes: 2048,
		},
		{
			Name: "2023-06", From: time.Date(2023, 6, 12, 0, 0, 0, 0, beijing),
			Grants:    [TriggerCount]Allowance{{Messages: 5, Lifetime: 2 * day}, minute, minute, minute, {}},
			TextBytes: 2048,
		},
	}
}

// RulesAt returns the published rules that hold at t.
func RulesAt(t time.Time) RuleSet {
	sets := RuleSets()
	for i := len(sets) - 1; i > 0; i-- {
		if !t.Before(sets[i].From) {
			return sets[i]
		}
	}
	return sets[0]
}
