package campaigns

import (
	"cmp"
	"slices"
	"strings"

	"hongyan/fans"
	"hongyan/limits"
)

// Act is something a fan did that may start drips.
type Act struct {
	Fan           *fans.Fan
	InteractionID int64
	EventAt       int64  // when the fan did it, unix ms, by the platform's clock
	Kind          string // "follow", "text", or another kind, which starts nothing
	Text          string // what the fan wrote
	// Usage is what the fan has been sent, with the grant that this act opened. Nil counts as no grant.
	Usage *limits.Usage
	// Answered tells that another room has answered the act already: no drip answers it then.
	Answered bool
}

// The kinds of act that start drips.
const (
	ActFollow = "follow"
	ActText   = "text"
)

// Match lists the drips of running that the act triggers, in the order in which they may answer it: highest
// priority first, then lowest id. It is pure, and says nothing of re-entry.
func Match(running []*Running, act *Act) []*Running {
	var out []*Running
	var text string
	if act.Kind == ActText {
		text = fold(act.Text)
	}
	for _, r := range running {
		if (r.endsAt == 0 || act.EventAt < r.endsAt) && r.matches(act.Kind, text) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Running) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (v *version) matches(kind, foldedText string) bool {
	for i := range v.triggers {
		if v.triggers[i].matches(kind, foldedText) {
			return true
		}
	}
	return false
}

// trigger is a Trigger with folded keywords.
type trigger struct {
	kind     string
	match    string
	keywords []string
}

func (t *trigger) matches(kind, foldedText string) bool {
	if t.kind == TriggerFollow {
		return kind == ActFollow
	}
	if kind != ActText {
		return false
	}
	for _, k := range t.keywords {
		switch t.match {
		case MatchContains:
			if strings.Contains(foldedText, k) {
				return true
			}
		case MatchPrefix:
			if strings.HasPrefix(foldedText, k) {
				return true
			}
		default:
			if foldedText == k {
				return true
			}
		}
	}
	return false
}

// fold makes texts comparable: lower case, full-width letters and digits (as Chinese keyboards write them) as plain
// ones, without spaces around.
func fold(s string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '\u3000':
			return ' '
		case r >= '\uff01' && r <= '\uff5e':
			return r - 0xfee0
		}
		return r
	}, s)
	return strings.TrimSpace(strings.ToLower(plain))
}
