package campaigns

import (
	"slices"
	"strings"
	"unicode/utf8"

	"hongyan/wechat"
)

// The kinds of trigger.
const (
	TriggerFollow   = "follow"   // the fan follows the account
	TriggerScan     = "scan"     // the fan scans a code of the account, or follows by one: with a scene, a scene prefix, or any
	TriggerMenu     = "menu"     // the fan taps the menu item with a key
	TriggerKeyword  = "keyword"  // the fan writes a text that matches one of the keywords
	TriggerMessage  = "message"  // the fan sends any message, a text included
	TriggerLocation = "location" // the fan tells where they are: by a message, or by opening the chat where the account is told of that
	TriggerTag      = "tag"      // the fan gets a tag: from a member, a program, a drip, or on the platform as soon as a synchronisation finds it
	TriggerPayment  = "payment"  // the fan paid: the API event EventPayment
	TriggerEvent    = "event"    // the API reports an event of the fan
	TriggerSilent   = "silent"   // the fan has done nothing for some hours
	TriggerClosing  = "closing"  // the fan's 48-hour window for messages closes in some minutes
)

// The ways in which a keyword matches a text. Case, full-width forms and spaces around the text make no difference.
const (
	MatchExact    = "exact"
	MatchContains = "contains"
	MatchPrefix   = "prefix"
)

// Trigger is an act that starts the drip for a fan.
type Trigger struct {
	Kind        string   `json:"kind"`
	Keywords    []string `json:"keywords,omitempty"`
	Match       string   `json:"match,omitempty"`        // for keywords; "" means exact
	Scene       string   `json:"scene,omitempty"`        // for a scan
	ScenePrefix string   `json:"scene_prefix,omitempty"` // for a scan, instead of Scene; without both, any code will do
	Key         string   `json:"key,omitempty"`          // for a menu: the item's key, or the address that it opens
	Tag         int64    `json:"tag,omitempty"`          // for a tag: its id
	Event       string   `json:"event,omitempty"`        // for an event: its name
	Hours       int      `json:"hours,omitempty"`        // for silence, 1 to 720
	Minutes     int      `json:"minutes,omitempty"`      // for a closing window: how long before it closes, 5 to 1440
}

// Limits of triggers.
const (
	maxScene       = 64
	maxKey         = 1024 // the platform's longest address
	maxEventName   = 64
	maxSilentHours = 720
	minClosing     = 5
	maxClosing     = 1440
	maxExits       = 20
)

// fieldsOf says which of a trigger's fields go with a kind of act.
func fieldsOf(kind string) []string {
	switch kind {
	case TriggerScan:
		return []string{"scene", "scene_prefix"}
	case TriggerMenu:
		return []string{"key"}
	case TriggerKeyword:
		return []string{"keywords", "match"}
	case TriggerTag:
		return []string{"tag"}
	case TriggerEvent:
		return []string{"event"}
	case TriggerSilent:
		return []string{"hours"}
	case TriggerClosing:
		return []string{"minutes"}
	}
	return nil
}

func decodeTrigger(o object) Trigger {
	var t Trigger
	o.read("kind", &t.Kind)
	decodeDetails(o, &t)
	o.read("hours", &t.Hours)
	o.read("minutes", &t.Minutes)
	return t
}

// decodeDetails reads the fields that triggers and awaited acts share.
func decodeDetails(o object, t *Trigger) {
	o.read("keywords", &t.Keywords)
	o.read("match", &t.Match)
	o.read("scene", &t.Scene)
	o.read("scene_prefix", &t.ScenePrefix)
	o.read("key", &t.Key)
	o.read("tag", &t.Tag)
	o.read("event", &t.Event)
}

func decodeSources(o object) []string {
	var sources []string
	o.read("sources", &sources)
	return sources
}

func (p *problems) trigger(at string, t Trigger) {
	kinds := []string{
		TriggerFollow, TriggerScan, TriggerMenu, TriggerKeyword, TriggerMessage, TriggerLocation, TriggerTag, TriggerPayment, TriggerEvent, TriggerSilent, TriggerClosing,
	}
	p.oneOf(at+".kind", t.Kind, kinds...)
	if !slices.Contains(kinds, t.Kind) {
		return
	}
	p.foreign(at, t, fieldsOf(t.Kind))
	p.details(at, t, t.Kind, true)
	switch {
	case t.Kind == TriggerSilent && (t.Hours < 1 || t.Hours > maxSilentHours):
		p.addf(at+".hours", "range", "write after how many hours of silence, 1 to %d", maxSilentHours)
	case t.Kind == TriggerClosing && (t.Minutes < minClosing || t.Minutes > maxClosing):
		p.addf(at+".minutes", "range", "write how many minutes before the window closes, %d to %d", minClosing, maxClosing)
	}
}

// foreign refuses fields that do not go with the kind of act.
func (p *problems) foreign(at string, t Trigger, fit []string) {
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"keywords", len(t.Keywords) > 0}, {"match", t.Match != ""}, {"scene", t.Scene != ""}, {"scene_prefix", t.ScenePrefix != ""}, {"key", t.Key != ""},
		{"tag", t.Tag != 0}, {"event", t.Event != ""}, {"hours", t.Hours != 0}, {"minutes", t.Minutes != 0},
	} {
		if !f.given || slices.Contains(fit, f.name) {
			continue
		}
		switch f.name {
		case "keywords":
			p.addf(at+".keywords", "keyword_only", "only a keyword trigger has keywords")
		case "match":
			p.addf(at+".match", "keyword_only", "only a keyword trigger has a way of matching")
		default:
			p.addf(at+"."+f.name, "other_kind", "%s does not go with this kind; take it away", f.name)
		}
	}
}

// details checks the fields that go with a kind of act. needed tells that what the act is about has to be said.
func (p *problems) details(at string, t Trigger, kind string, needed bool) {
	switch kind {
	case TriggerKeyword:
		p.keywords(at, t)
	case TriggerScan:
		p.scene(at+".scene", t.Scene)
		p.scene(at+".scene_prefix", t.ScenePrefix)
		if t.Scene != "" && t.ScenePrefix != "" {
			p.addf(at+".scene_prefix", "one_of", "write a scene or the beginning of scenes, not both")
		}
	case TriggerMenu:
		switch {
		case t.Key == "" && needed:
			p.addf(at+".key", "required", "write the key of the menu item")
		case len(t.Key) > maxKey:
			p.addf(at+".key", "length", "a key has at most %d bytes", maxKey)
		}
	case TriggerTag:
		if t.Tag <= 0 {
			p.addf(at+".tag", "required", "write the id of the tag")
		}
	case TriggerEvent:
		if !validEventName(t.Event) {
			p.addf(at+".event", "event_name", "an event's name has 1 to %d small letters, digits and _ . : -, and begins with a letter", maxEventName)
		}
	}
}

func (p *problems) scene(field, scene string) {
	if len(scene) > maxScene {
		p.addf(field, "length", "a scene has at most %d bytes", maxScene)
	}
}

// validEventName is the rule that fans.Events has for names.
func validEventName(name string) bool {
	if name == "" || len(name) > maxEventName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.:-") == ""
}

func (p *problems) keywords(at string, t Trigger) {
	p.choice(at+".match", t.Match, MatchExact, MatchContains, MatchPrefix)
	p.count(at+".keywords", len(t.Keywords), maxKeywords)
	seen := map[string]bool{}
	for i, k := range t.Keywords {
		field, folded := index(at+".keywords", i), fold(k)
		switch {
		case folded == "":
			p.addf(field, "required", "a keyword cannot be blank")
		case utf8.RuneCountInString(k) > maxKeywordRunes:
			p.addf(field, "length", "a keyword has at most %d characters", maxKeywordRunes)
		case seen[folded]:
			p.addf(field, "duplicate", "%q is listed twice", k)
		}
		seen[folded] = true
	}
}

// followSources are the ways in which fans come to follow (platform.md 7.1).
func followSources() []string {
	return []string{
		"ADD_SCENE_SEARCH", "ADD_SCENE_ACCOUNT_MIGRATION", "ADD_SCENE_PROFILE_CARD", followByCode, "ADD_SCENE_PROFILE_LINK", "ADD_SCENE_PROFILE_ITEM",
		"ADD_SCENE_PAID", "ADD_SCENE_WECHAT_ADVERTISEMENT", "ADD_SCENE_REPRINT", "ADD_SCENE_LIVESTREAM", "ADD_SCENE_CHANNELS", "ADD_SCENE_WXA", "ADD_SCENE_OTHERS",
	}
}

// sources checks the follow sources. With follows as the only trigger, a list without codes would let nobody in: see version.takes.
func (p *problems) sources(d Definition) {
	for i, s := range d.Sources {
		field := index("sources", i)
		p.oneOf(field, s, followSources()...)
		if slices.Contains(d.Sources[:i], s) {
			p.addf(field, "duplicate", "%q is listed twice", s)
		}
	}
	byFollowOnly := len(d.Triggers) > 0 && !slices.ContainsFunc(d.Triggers, func(t Trigger) bool { return t.Kind != TriggerFollow })
	if len(d.Sources) > 0 && byFollowOnly && !slices.Contains(d.Sources, followByCode) {
		p.addf("sources", "unknown_at_follow",
			"WeChat does not say at the follow by what way a fan came, unless it was by a code, so nobody would enter; add %s, or another trigger", followByCode)
	}
}

// compile makes a checked trigger fit for use.
func (t *Trigger) compile() trigger {
	out := trigger{
		kind: t.Kind, rank: rankOf(t), match: t.Match, scene: t.Scene, prefix: t.ScenePrefix, key: t.Key, tag: t.Tag, event: t.Event, n: max(t.Hours, t.Minutes),
	}
	for _, k := range t.Keywords {
		out.keywords = append(out.keywords, fold(k))
	}
	return out
}

func rankOf(t *Trigger) triggerRank {
	switch t.Kind {
	case TriggerScan:
		switch {
		case t.Scene != "":
			return rankScene
		case t.ScenePrefix != "":
			return rankScenePrefix
		}
		return rankScan
	case TriggerMenu:
		return rankMenu
	case TriggerKeyword:
		return rankKeyword
	case TriggerFollow:
		return rankFollow
	case TriggerLocation:
		return rankLocation
	case TriggerMessage:
		return rankMessage
	}
	return rankOwn
}

// opened is a grant that the act behind a trigger opened, and how long before the act, ms.
type opened struct {
	by  wechat.Trigger
	ago int64
}

// opens is what may be sent after an act and only it: nothing after acts that are not the fan's. Of a silent fan and of a window about to close, the message
// is assumed with which it began.
func (t *trigger) opens(rules wechat.RuleSet) []opened {
	switch t.kind {
	case TriggerFollow:
		return []opened{{by: wechat.TriggerFollow}}
	case TriggerScan:
		return []opened{{by: wechat.TriggerScan}}
	case TriggerMenu:
		return []opened{{by: wechat.TriggerMenu}}
	case TriggerKeyword, TriggerMessage:
		return []opened{{by: wechat.TriggerMessage}}
	case TriggerSilent:
		return []opened{{by: wechat.TriggerMessage, ago: int64(t.n) * msHour}}
	case TriggerClosing:
		return []opened{{by: wechat.TriggerMessage, ago: max(0, rules.Grants[wechat.TriggerMessage].Usable().Milliseconds()-int64(t.n)*msMinute)}}
	}
	return nil
}
