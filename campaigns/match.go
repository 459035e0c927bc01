package campaigns

import (
	"cmp"
	"slices"
	"strings"

	"hongyan/fans"
	"hongyan/internal/lang"
	"hongyan/limits"
)

// Act is something a fan did, or something that is told of a fan, that may start drips, end runs or let them go on.
type Act struct {
	Fan           *fans.Fan
	InteractionID int64
	EventAt       int64  // when it happened, unix ms, by the platform's clock
	Kind          string // one of the kinds below; any other starts nothing
	Text          string // what the fan wrote
	// Wrote tells that a location was sent as a message.
	Wrote   bool
	Scene   string // of the code that was scanned, or by which the fan came
	Key     string // of the menu item that was tapped, or the address that it opens
	TagID   int64
	Name    string // of an API event
	Hours   int    // of silence
	Minutes int    // before the window for messages closes
	// Usage is what the fan has been sent, with the grant that this act opened. Nil counts as no grant.
	Usage *limits.Usage
	// Answered tells that another room has answered the act already: no drip answers it then.
	Answered bool
}

// The kinds of act.
const (
	ActFollow   = "follow"   // with a scene: by a code
	ActText     = "text"     // wrote a text, or tapped an item of an in-chat menu
	ActMessage  = "message"  // sent any other message
	ActScan     = "scan"     // scanned a code, who was a fan before
	ActMenu     = "menu"     // tapped an item of the custom menu
	ActLink     = "link"     // opened a tracked link in a message
	ActLocation = "location" // told where they are: as a message, or by opening the chat
	ActTagged   = "tagged"   // got a tag
	ActPaid     = "paid"     // the API event EventPayment
	ActEvent    = "event"    // any other API event
	ActSilent   = "silent"   // has done nothing for some hours
	ActClosing  = "closing"  // their window for messages is about to close
	ActLeft     = "left"     // unfollowed
)

// EventPayment is the name of the API event that says that a fan paid. The platform pushes nothing about payments to the account (platform.md 3.2): who runs
// the shop is told of them, and tells us.
const EventPayment = "payment"

// own reports whether the act is one of which the platform tells nothing, but something that we were told, or found out, of the fan.
func (a *Act) own() bool {
	switch a.Kind {
	case ActTagged, ActPaid, ActEvent, ActSilent, ActClosing, ActLink:
		return true
	}
	return false
}

// wrote reports whether the act is a message of the fan.
func (a *Act) wrote() bool {
	return a.Kind == ActText || a.Kind == ActMessage || a.Kind == ActLocation && a.Wrote
}

// Match lists the drips of running that the act triggers and that take the fan in, in the order in which they may answer it. It is pure, and says nothing of
// re-entry.
//
// One winner answers an act (design 2). The priority that members gave the drips decides first. Among equals the most specific trigger does, in the order
// of the design: scene > menu key > keyword > follow > location > any message; a scene before its prefix, and that before any scan; of a drip with several
// triggers the best counts. What is left is settled by age: the lower id. Answers of other rooms come before: see Act.Answered.
func Match(running []*Running, act *Act) []*Running {
	found := match(running, act)
	out := make([]*Running, len(found))
	for i, m := range found {
		out[i] = m.drip
	}
	return out
}

// matched is a drip that an act triggers, and the kind of trigger by which it does.
type matched struct {
	drip *Running
	by   string
	rank triggerRank
}

func match(running []*Running, act *Act) []matched {
	var found []matched
	folded := act.folded()
	for _, r := range running {
		if r.endsAt != 0 && act.EventAt >= r.endsAt || !r.takes(act) {
			continue
		}
		if t := r.matches(act, folded); t != nil {
			found = append(found, matched{r, t.kind, t.rank})
		}
	}
	slices.SortFunc(found, func(a, b matched) int {
		return cmp.Or(cmp.Compare(b.drip.Priority, a.drip.Priority), cmp.Compare(a.rank, b.rank), cmp.Compare(a.drip.ID, b.drip.ID))
	})
	return found
}

// folded is the act's text, fit to be compared with keywords.
func (a *Act) folded() string {
	if a.Kind != ActText {
		return ""
	}
	return fold(a.Text)
}

// matches is the best trigger that the act sets off, nil without one.
func (v *version) matches(act *Act, folded string) *trigger {
	var best *trigger
	for i := range v.triggers {
		if t := &v.triggers[i]; (best == nil || t.rank < best.rank) && t.matches(act, folded) {
			best = t
		}
	}
	return best
}

// followByCode is the follow source of who came by a code of the account (platform.md 7.1).
const followByCode = "ADD_SCENE_QR_CODE"

// takes reports whether the fan is one whom the drip takes in. What is told of a fan who left starts nothing. By what way a fan came, the push of a follow says
// only if it was by a code; else it is what the last synchronisation told, and unknown before it: such a fan is not taken in by a drip with sources. A
// fan of whom nothing is known yet, who is just asked about, is taken.
func (v *version) takes(act *Act) bool {
	if act.Fan == nil {
		return true
	}
	if act.own() && !act.Fan.Subscribed {
		return false
	}
	if len(v.sources) == 0 {
		return true
	}
	source := act.Fan.FollowSource
	if act.Kind == ActFollow {
		source = ""
		if act.Scene != "" {
			source = followByCode
		}
	}
	return source != "" && slices.Contains(v.sources, source)
}

// triggerRank orders triggers that the same act sets off, the first to answer first.
type triggerRank uint8

const (
	rankScene triggerRank = iota
	rankScenePrefix
	rankScan
	rankMenu
	rankKeyword
	rankFollow
	rankLocation
	rankMessage
	rankOwn // acts that are not the fan's set off nothing else
)

// trigger is a Trigger or an Awaited, ready for use.
type trigger struct {
	kind     string
	rank     triggerRank
	match    string
	keywords []string // folded
	scene    string
	prefix   string // of the scene
	key      string // "": any
	tag      int64
	event    string
	n        int  // hours or minutes
	links    bool // of clicks: a tracked link counts as an item of the menu
}

func (t *trigger) matches(act *Act, folded string) bool {
	switch t.kind {
	case TriggerFollow:
		return act.Kind == ActFollow
	case TriggerScan:
		return (act.Kind == ActScan || act.Kind == ActFollow) && act.Scene != "" &&
			(t.scene == "" || act.Scene == t.scene) && strings.HasPrefix(act.Scene, t.prefix)
	case TriggerMenu:
		return (act.Kind == ActMenu || act.Kind == ActLink && t.links) && (t.key == "" || act.Key == t.key)
	case TriggerKeyword:
		return act.Kind == ActText && t.says(folded)
	case TriggerMessage:
		return act.wrote()
	case TriggerLocation:
		return act.Kind == ActLocation
	case TriggerTag:
		return act.Kind == ActTagged && act.TagID == t.tag
	case TriggerPayment:
		return act.Kind == ActPaid
	case TriggerEvent:
		return (act.Kind == ActEvent || act.Kind == ActPaid) && act.Name == t.event
	case TriggerSilent:
		return act.Kind == ActSilent && act.Hours == t.n
	case TriggerClosing:
		return act.Kind == ActClosing && act.Minutes == t.n
	}
	return false
}

// says reports whether a text matches one of the keywords.
func (t *trigger) says(folded string) bool {
	for _, k := range t.keywords {
		switch t.match {
		case MatchContains:
			if strings.Contains(folded, k) {
				return true
			}
		case MatchPrefix:
			if strings.HasPrefix(folded, k) {
				return true
			}
		default:
			if folded == k {
				return true
			}
		}
	}
	return false
}

// fold makes texts comparable.
func fold(s string) string { return lang.Fold(s) }
