package campaigns

import "slices"

// Awaited is an act that ends a run, or for which a step waits.
type Awaited struct {
	On          string   `json:"on"`
	Keywords    []string `json:"keywords,omitempty"` // replied: one of them was written; without, any message will do
	Match       string   `json:"match,omitempty"`
	Key         string   `json:"key,omitempty"` // clicked: of a menu item, or the address of a tracked link; without, any will do
	Scene       string   `json:"scene,omitempty"`
	ScenePrefix string   `json:"scene_prefix,omitempty"`
	Tag         int64    `json:"tag,omitempty"`
	Event       string   `json:"event,omitempty"` // goal and event: its name
}

// What a run may end on, or a step wait for.
const (
	OnReplied = "replied" // the fan sent a message
	OnClicked = "clicked" // the fan tapped an item of the custom menu, or a tracked link in a message
	OnScanned = "scanned" // the fan scanned a code of the account; waits only
	OnTagged  = "tagged"  // the fan got a tag
	OnEvent   = "event"   // the API reported an event of the fan; waits only
	OnGoal    = "goal"    // the same as an end of the run: what the drip is for has come about
)

// Why a run ended before its last step. The names are stored.
const (
	ExitReplied = "replied"
	ExitClicked = "clicked"
	ExitTagged  = "tagged"
	ExitGoal    = "goal"
	ExitFanGone = "fan_gone" // the fan unfollowed
	ExitStep    = "exit"     // a step of kind exit
)

// exitsOn and waitsOn list what an exit and a wait may be about.
func exitsOn() []string { return []string{OnReplied, OnClicked, OnTagged, OnGoal} }

func waitsOn() []string { return []string{OnReplied, OnClicked, OnScanned, OnTagged, OnEvent} }

func decodeAwaited(o object) Awaited {
	var a Awaited
	var t Trigger
	o.read("on", &a.On)
	decodeDetails(o, &t)
	a.Keywords, a.Match, a.Key, a.Scene, a.ScenePrefix, a.Tag, a.Event = t.Keywords, t.Match, t.Key, t.Scene, t.ScenePrefix, t.Tag, t.Event
	return a
}

// asTrigger is the trigger that is set off by the same act.
func (a *Awaited) asTrigger() Trigger {
	t := Trigger{Keywords: a.Keywords, Match: a.Match, Key: a.Key, Scene: a.Scene, ScenePrefix: a.ScenePrefix, Tag: a.Tag, Event: a.Event}
	switch a.On {
	case OnReplied:
		t.Kind = TriggerMessage
		if len(a.Keywords) > 0 || a.Match != "" {
			t.Kind = TriggerKeyword
		}
	case OnClicked:
		t.Kind = TriggerMenu
	case OnScanned:
		t.Kind = TriggerScan
	case OnTagged:
		t.Kind = TriggerTag
	case OnEvent, OnGoal:
		t.Kind = TriggerEvent
	}
	return t
}

// awaited checks an act that ends a run or for which a step waits; allowed lists what it may be about.
func (p *problems) awaited(at string, a Awaited, allowed []string) {
	p.oneOf(at+".on", a.On, allowed...)
	if !slices.Contains(allowed, a.On) {
		return
	}
	t := a.asTrigger()
	p.foreign(at, t, fieldsOf(t.Kind))
	p.details(at, t, t.Kind, false)
}

// compile makes a checked Awaited fit for use.
func (a *Awaited) compile() trigger {
	t := a.asTrigger()
	out := t.compile()
	out.links = a.On == OnClicked
	return out
}

// exits checks what ends a run.
func (p *problems) exits(list []Awaited) {
	if len(list) > maxExits {
		p.addf("exits", "count", "at most %d are possible, not %d", maxExits, len(list))
	}
	for i, a := range list {
		p.awaited(index("exits", i), a, exitsOn())
	}
}

// exit is an act that ends a run, and as what.
type exit struct {
	trigger
	reason string
}

func compileExits(list []Awaited) []exit {
	var out []exit
	for i := range list {
		out = append(out, exit{trigger: list[i].compile(), reason: list[i].On}) // an exit is named by what it is on
	}
	return out
}

// exitBy is the reason for which the act ends a run, "" if it does not. An unfollow always does.
func (v *version) exitBy(act *Act, folded string) string {
	if act.Kind == ActLeft {
		return ExitFanGone
	}
	for i := range v.exits {
		if e := &v.exits[i]; e.matches(act, folded) {
			return e.reason
		}
	}
	return ""
}
