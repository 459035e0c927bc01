package scheduler

import (
	"slices"

	"hongyan/campaigns"
	"hongyan/fans"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// messageKinds and actEvents are the pushes that are acts of a fan. Everything else is a report of the platform.
var messageKinds = map[string]bool{
	"text": true, "image": true, "voice": true, "video": true, "shortvideo": true, "location": true, "link": true, "file": true,
}

var actEvents = map[string]bool{
	"subscribe": true, "unsubscribe": true, "scan": true, "location": true, "click": true, "view": true, "view_miniprogram": true,
	"scancode_push": true, "scancode_waitmsg": true, "pic_sysphoto": true, "pic_photo_or_album": true, "pic_weixin": true, "location_select": true,
	"kf_create_session": true, "kf_close_session": true, "kf_switch_session": true,
}

// actOf turns a push into plain facts for the rooms; false when it is no act of a fan.
func actOf(inboxID int64, e *callback.Event) (*fans.Act, bool) {
	a := &fans.Act{
		InboxID: inboxID, OpenID: e.FromUser, Kind: e.MsgType, Scene: e.Scene(), EventAt: e.CreatedAt.UnixMilli(), Triggers: e.Triggers(),
	}
	if e.Name == "" {
		a.Detail = e.Text()
		return a, messageKinds[e.MsgType]
	}
	a.Kind = e.Name
	a.Detail = e.MenuKey()
	if v, ok := e.Payload.(callback.View); ok {
		a.Detail = v.EventKey // the address that the menu item opens is its key
	}
	if a.Scene != "" {
		a.Detail = a.Scene
	}
	switch e.Name {
	case "subscribe":
		a.Followed = true
	case "unsubscribe":
		a.Left = true
	case "kf_create_session", "kf_switch_session":
		a.Session = fans.SessionOpened
	case "kf_close_session":
		a.Session = fans.SessionClosed
	}
	return a, actEvents[e.Name]
}

// triggerOf is an act as drips see it.
func triggerOf(r *fans.Recorded) campaigns.Act {
	act := campaigns.Act{Fan: r.Fan, InteractionID: r.InteractionID, EventAt: r.Act.EventAt, Usage: r.Usage}
	if r.Act.Own != nil {
		ownTrigger(&act, r.Act.Own)
		return act
	}
	did := campaigns.Acted(r.Act.Kind, r.Act.Detail, r.Act.Scene, slices.Contains(r.Act.Triggers, wechat.TriggerMessage))
	act.Kind, act.Text, act.Wrote, act.Scene, act.Key = did.Kind, did.Text, did.Wrote, did.Scene, did.Key
	return act
}

// ownTrigger is an own event as drips see it.
func ownTrigger(act *campaigns.Act, o *fans.Own) {
	act.TagID, act.Name, act.Hours, act.Minutes = o.TagID, o.Name, o.Hours, o.Minutes
	switch o.Kind {
	case fans.KindEvent:
		act.Kind = campaigns.ActEvent
		if o.Name == campaigns.EventPayment {
			act.Kind = campaigns.ActPaid
		}
	case fans.KindTagged:
		act.Kind = campaigns.ActTagged
	case fans.KindSilent:
		act.Kind = campaigns.ActSilent
	case fans.KindClosing:
		act.Kind = campaigns.ActClosing
	case fans.KindLinkTap:
		act.Kind, act.Key = campaigns.ActLink, o.URL
	}
}
