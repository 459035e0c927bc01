package simulator

import (
	"context"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// ActKind is what a fan can do.
type ActKind string

// The acts. A message act needs a fan who follows; it opens the message grant.
const (
	ActFollow     ActKind = "follow" // Scene: by a parametric QR code
	ActUnfollow   ActKind = "unfollow"
	ActText       ActKind = "text" // Text
	ActImage      ActKind = "image"
	ActVoice      ActKind = "voice"
	ActVideo      ActKind = "video"
	ActShortVideo ActKind = "shortvideo"
	ActPlace      ActKind = "place" // a location sent as a message: Latitude, Longitude
	ActLink       ActKind = "link"
	ActClick      ActKind = "click"            // Key: a menu item of type click
	ActScanCode   ActKind = "scancode_waitmsg" // Key, Text: the scanned text
	ActView       ActKind = "view"             // Key: the address; opens no grant
	ActScan       ActKind = "scan"             // Scene; a stranger follows by it
	ActLocation   ActKind = "location"         // Latitude, Longitude: the LOCATION event, opens no grant
	ActTap        ActKind = "tap"              // ItemID, Text: an item of an in-chat menu message
	ActPay        ActKind = "pay"              // pushes nothing; see Switches.PaymentGrants
)

// Act is something that a fan does.
type Act struct {
	At        time.Time `json:"at,omitzero"` // when a script plans it; Do takes the clock's time
	OpenID    string    `json:"openid"`
	Kind      ActKind   `json:"kind"`
	Text      string    `json:"text,omitempty"`
	Scene     string    `json:"scene,omitempty"`
	Ticket    string    `json:"ticket,omitempty"` // of a code that qrcode/create made; it says the scene
	Key       string    `json:"key,omitempty"`
	ItemID    string    `json:"item_id,omitempty"`
	Latitude  float64   `json:"latitude,omitempty"`
	Longitude float64   `json:"longitude,omitempty"`
}

// Do lets a fan act: grants open at once, and the push is delivered before Do returns.
// It answers NotFound for an unknown fan, Invalid for an unknown or incomplete act and
// Conflict for one that the fan's state forbids (writing without following).
func (s *Simulator) Do(ctx context.Context, a Act) (Push, error) {
	pushes, err := s.perform(a)
	if err != nil {
		return Push{}, err
	}
	var last Push
	for _, p := range pushes {
		last = s.deliverPush(ctx, p)
	}
	return last, nil
}

// Post is Do without waiting for the push: a bounded number of workers delivers it, the
// pushes of one fan in order. It blocks while the queue is full.
func (s *Simulator) Post(ctx context.Context, a Act) error {
	pushes, err := s.perform(a)
	if err != nil {
		return err
	}
	for _, p := range pushes {
		if err := s.push.enqueue(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

// Follow makes a stranger a fan; scene is that of the QR code, "" without one.
func (s *Simulator) Follow(ctx context.Context, openID, scene string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActFollow, Scene: scene})
}

// Unfollow ends a fan's following and every open grant.
func (s *Simulator) Unfollow(ctx context.Context, openID string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActUnfollow})
}

// Text lets a fan write.
func (s *Simulator) Text(ctx context.Context, openID, text string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActText, Text: text})
}

// Click lets a fan tap a menu item of type click.
func (s *Simulator) Click(ctx context.Context, openID, key string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActClick, Key: key})
}

// Scan lets a person scan a parametric QR code; a stranger follows by it.
func (s *Simulator) Scan(ctx context.Context, openID, scene string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActScan, Scene: scene})
}

// ScanTicket lets a person scan a code that qrcode/create made; a stranger follows by it. It
// answers NotFound for a ticket that the account never got and Conflict for an expired one.
func (s *Simulator) ScanTicket(ctx context.Context, openID, ticket string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActScan, Ticket: ticket})
}

// Tap lets a fan tap an item of an in-chat menu message.
func (s *Simulator) Tap(ctx context.Context, openID, itemID, text string) (Push, error) {
	return s.Do(ctx, Act{OpenID: openID, Kind: ActTap, ItemID: itemID, Text: text})
}

// effect is what an act means: the event to push and the grants it opens.
type effect struct {
	event   callback.Event
	opens   []wechat.Trigger
	message bool // goes to the agent while a session is open
	silent  bool // nothing is pushed
}

// perform changes the fan's state and prepares the pushes.
func (s *Simulator) perform(a Act) ([]*Push, error) {
	var out []*Push
	var failed error
	now := s.clock.Now()
	a, err := s.withTicket(a)
	if err != nil {
		return nil, err
	}
	err = s.withFan(a.OpenID, func(f *fan) {
		e, err := s.effectOf(f, a)
		if err != nil {
			failed = err
			return
		}
		f.lastAct = now.UnixMilli()
		for _, t := range e.opens {
			s.openGrant(f, t, now)
		}
		if ended := s.endIdleSession(f, now); ended != nil {
			out = append(out, ended)
		}
		if e.silent {
			out = append(out, s.silentPush(f, a.Kind, OutcomeNotPushed, now))
			return
		}
		if e.message && f.agent != "" {
			f.agentSeen = now.UnixMilli()
			s.note(f, chatFan, chatText(a), now)
			out = append(out, s.silentPush(f, a.Kind, OutcomeSwallowed, now))
			return
		}
		p, err := s.newPush(f, a.Kind, e, now)
		failed = err
		out = append(out, p)
	})
	if err != nil {
		return nil, err
	}
	return out, failed
}

// effectOf judges an act by the fan's state and changes that.
func (s *Simulator) effectOf(f *fan, a Act) (effect, error) {
	if a.Kind == ActFollow {
		return s.follow(f, a)
	}
	if a.Kind == ActScan {
		return s.scan(f, a)
	}
	if !f.subscribed {
		return effect{}, fault.New(fault.Conflict, "%s does not follow and cannot act: %s", a.OpenID, a.Kind)
	}
	if e, ok := messageEffect(a, s.switches.Load()); ok {
		if a.Text == "" && (a.Kind == ActText || a.Kind == ActTap) {
			return effect{}, fault.BadField("text", "required", "the act needs a text")
		}
		return e, nil
	}
	switch a.Kind {
	case ActUnfollow:
		f.agent = ""
		f.stopFollowing()
		f.grants.close()
		return event("unsubscribe", callback.Unsubscribe{}), nil
	case ActClick:
		return event("click", callback.Click{EventKey: a.Key}, wechat.TriggerMenu), nil
	case ActScanCode:
		return event("scancode_waitmsg",
			callback.ScanCode{EventKey: a.Key, ScanType: "qrcode", ScanResult: a.Text}, wechat.TriggerMenu), nil
	case ActView:
		return event("view", callback.View{EventKey: a.Key}), nil
	case ActLocation:
		return f.locate(a)
	case ActPay:
		return effect{silent: true, opens: []wechat.Trigger{wechat.TriggerPayment}}, nil
	default:
		return effect{}, fault.BadField("kind", "unknown", "a fan cannot do %q", a.Kind)
	}
}

func event(name string, payload any, opens ...wechat.Trigger) effect {
	return effect{event: callback.Event{MsgType: "event", Name: name, Payload: payload}, opens: opens}
}

// follow makes a stranger a fan. Following by a QR code counts as a follow; whether it is
// a scan as well is a switch.
func (s *Simulator) follow(f *fan, a Act) (effect, error) {
	scene := a.Scene
	if f.subscribed {
		return effect{}, fault.New(fault.Conflict, "%s follows already", f.openID)
	}
	if scene == "" {
		f.followBy("", s.clock.Now())
		return event("subscribe", callback.Subscribe{}, wechat.TriggerFollow), nil
	}
	if err := f.mayScan(); err != nil {
		return effect{}, err
	}
	f.followBy(scene, s.clock.Now())
	e := event("subscribe",
		callback.Subscribe{EventKey: "qrscene_" + scene, Ticket: s.ticketOf(a)}, wechat.TriggerFollow)
	if s.switches.Load().ScanFollowBoth {
		e.opens = append(e.opens, wechat.TriggerScan)
	}
	return e, nil
}

func (s *Simulator) scan(f *fan, a Act) (effect, error) {
	if a.Scene == "" {
		return effect{}, fault.BadField("scene", "required", "a parametric QR code has a scene")
	}
	if !f.subscribed {
		return s.follow(f, a)
	}
	if err := f.mayScan(); err != nil {
		return effect{}, err
	}
	return event("scan", callback.Scan{EventKey: a.Scene, Ticket: s.ticketOf(a)}, wechat.TriggerScan), nil
}

// mayScan: only verified service accounts have parametric QR codes (platform.md 0.2).
func (f *fan) mayScan() error {
	if cfg := f.account.config(); cfg.Type != Service || !cfg.Verified {
		return fault.New(fault.Conflict, "account %s cannot have parametric QR codes", cfg.AppID)
	}
	return nil
}

// locate: only verified service accounts get the LOCATION event (platform.md 0.2).
func (f *fan) locate(a Act) (effect, error) {
	if cfg := f.account.config(); cfg.Type != Service || !cfg.Verified {
		return effect{}, fault.New(fault.Conflict, "account %s gets no location events", cfg.AppID)
	}
	return event("location", callback.Position{Latitude: a.Latitude, Longitude: a.Longitude, Precision: 30}), nil
}

// ticketOf is the ticket of a scanned code. A scene that was scanned without one has its own.
func (s *Simulator) ticketOf(a Act) string {
	if a.Ticket != "" {
		return a.Ticket
	}
	return "gQ" + letters(94, s.seed, hashText(a.Scene))
}

// messageEffect handles the acts that arrive as messages.
func messageEffect(a Act, sw *Switches) (effect, bool) {
	e := effect{message: true, opens: []wechat.Trigger{wechat.TriggerMessage}}
	media := "media_" + letters(40, hashText(a.OpenID), hashText(a.Text))
	e.event.MsgType = string(a.Kind)
	switch a.Kind {
	case ActText:
		e.event.Payload = callback.Text{Content: a.Text}
	case ActTap:
		e.event.MsgType = "text"
		e.event.Payload = callback.Text{Content: a.Text, MenuID: a.ItemID}
		if !sw.TapIsMessage {
			e.opens = []wechat.Trigger{wechat.TriggerMenu}
		}
	case ActImage:
		e.event.Payload = callback.Image{PicURL: "http://mmbiz.example.com/" + media, MediaID: media}
	case ActVoice:
		e.event.Payload = callback.Voice{MediaID: media, Format: "amr", MediaID16K: media + "16"}
	case ActVideo, ActShortVideo:
		e.event.Payload = callback.Video{MediaID: media, ThumbMediaID: media + "t"}
	case ActPlace:
		e.event.MsgType = "location"
		e.event.Payload = callback.Location{Latitude: a.Latitude, Longitude: a.Longitude, Scale: 16, Label: a.Text}
	case ActLink:
		e.event.Payload = callback.Link{Title: a.Text, URL: "https://example.com/"}
	default:
		return effect{}, false
	}
	return e, true
}
