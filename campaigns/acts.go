package campaigns

import (
	"slices"
	"strconv"

	"hongyan/fans"
	"hongyan/wechat"
)

// Acted is what a fan did as drips see it: kind is that of the interaction, text what was written or the item that was tapped. wrote tells that a location was
// sent as a message: the report of where a fan is has the same kind, and only the message opens a grant.
func Acted(kind, text, scene string, wrote bool) Act {
	switch kind {
	case "subscribe":
		return Act{Kind: ActFollow, Scene: scene}
	case "unsubscribe":
		return Act{Kind: ActLeft}
	case "scan":
		return Act{Kind: ActScan, Scene: scene}
	case "text":
		return Act{Kind: ActText, Text: text}
	case "image", "voice", "video", "shortvideo", "link", "file":
		return Act{Kind: ActMessage}
	case "location":
		return Act{Kind: ActLocation, Wrote: wrote}
	case "click", "view", "view_miniprogram", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select":
		return Act{Kind: ActMenu, Key: text}
	}
	return Act{}
}

// actAgain is a recorded interaction, but a silence, as something that happens. A detail that was cut is compared as it is kept.
func actAgain(k *fans.KeptAct) happening {
	h := happening{at: k.RecordedAt, interactionID: k.ID}
	switch k.Kind {
	case fans.KindTagged:
		h.act = Act{Kind: ActTagged}
		if tag, err := strconv.ParseInt(k.Detail, 10, 64); err == nil { // erased otherwise
			h.act.TagID = tag
		}
	case fans.KindEvent:
		h.act = Act{Kind: ActEvent, Name: k.Detail}
		if k.Detail == EventPayment {
			h.act.Kind = ActPaid
		}
	case fans.KindLinkTap:
		h.act = Act{Kind: ActLink, Key: k.Detail}
	default:
		wrote := k.Kind == "location" && k.Touched > 0
		scene := ""
		if k.Kind == "subscribe" || k.Kind == "scan" {
			scene = k.Detail
		}
		h.act = Acted(k.Kind, k.Detail, scene, wrote)
		h.did = &fans.Act{
			Kind: k.Kind, Detail: k.Detail, Scene: scene, EventAt: k.EventAt, Followed: k.Kind == "subscribe", Left: k.Kind == "unsubscribe",
			Session: sessionOf(k.Kind), Triggers: opensAgain(k, scene, wrote),
		}
	}
	h.act.EventAt = k.EventAt
	return h
}

// sessionOf is what an interaction tells of a human agent's session.
func sessionOf(kind string) fans.Session {
	switch kind {
	case "kf_create_session", "kf_switch_session":
		return fans.SessionOpened
	case "kf_close_session":
		return fans.SessionClosed
	}
	return fans.SessionNone
}

// opensAgain is what an interaction counted as for grants. A text that was a tap on an in-chat menu is taken for a written one: what is kept does not tell.
func opensAgain(k *fans.KeptAct, scene string, wrote bool) []wechat.Trigger {
	switch {
	case slices.Contains([]string{"text", "image", "voice", "video", "shortvideo", "link"}, k.Kind) || wrote:
		return []wechat.Trigger{wechat.TriggerMessage}
	case slices.Contains([]string{"click", "scancode_push", "scancode_waitmsg"}, k.Kind):
		return []wechat.Trigger{wechat.TriggerMenu}
	case k.Kind == "scan":
		return []wechat.Trigger{wechat.TriggerScan}
	case k.Kind == "subscribe" && scene != "":
		return []wechat.Trigger{wechat.TriggerFollow, wechat.TriggerScan}
	case k.Kind == "subscribe":
		return []wechat.Trigger{wechat.TriggerFollow}
	}
	return nil
}
