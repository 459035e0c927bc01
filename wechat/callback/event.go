package callback

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hongyan/wechat"
)

// Event is what a push says: a message of a fan, an act of a fan, or a report of the
// platform.
type Event struct {
	ToUser    string    // the account's gh_… id
	FromUser  string    // the fan's openid; a helper id for reports of mass sends
	CreatedAt time.Time // UTC, whole seconds, by the platform's clock
	MsgType   string    // lower-cased: "text", …, "event"
	Name      string    // lower-cased event name, "" for messages
	MsgID     int64     // of messages only
	MsgDataID string    // of messages sent from an article
	ArticleNo int       // which article of that send, from 1 (Idx)
	Payload   any       // one of the types of this package, by value; Unknown when none fits
	Raw       []byte    // the decrypted body
}

// Unknown is the payload of a push that this package has no type for, or whose fields
// do not have the form they should. It must be acknowledged like any other.
type Unknown struct {
	Raw    []byte
	Reason string // why a push of a known kind could not be read; "" for an unknown kind
}

const (
	typeEvent   = "event"
	scenePrefix = "qrscene_"
)

// Parse reads the body of a push, XML or JSON, as Config.Open returns it. It fails only
// when the body as a whole cannot be read: ErrTooLarge, ErrMarkup or ErrMalformed.
// A push that is unknown or has a strange field yields an Event with Unknown, because
// refusing it would only make the platform repeat it.
func Parse(body []byte) (Event, error) {
	raw := slices.Clone(body)
	root, err := parseTree(raw)
	if err != nil {
		return Event{}, err
	}
	var f fields
	e := Event{
		ToUser:    strings.TrimSpace(root.str("ToUserName")),
		FromUser:  strings.TrimSpace(root.str("FromUserName")),
		CreatedAt: f.time(&root, "CreateTime"),
		MsgType:   strings.ToLower(strings.TrimSpace(root.str("MsgType"))),
		Raw:       raw,
	}
	if e.MsgType == "" {
		return Event{}, fmt.Errorf("%w: no MsgType", ErrMalformed)
	}
	if e.MsgType == typeEvent {
		e.Name = strings.ToLower(strings.TrimSpace(root.str("Event")))
	} else {
		e.MsgID = f.int64(&root, "MsgId")
		e.MsgDataID = root.str("MsgDataId")
		e.ArticleNo = f.int(&root, "Idx")
	}
	if f.err != nil {
		return Event{}, f.err
	}
	e.Payload = decodePayload(&e, &root)
	return e, nil
}

func parseTree(body []byte) (node, error) {
	if len(body) > MaxBody {
		return node{}, ErrTooLarge
	}
	s := string(body)
	if isJSON(body) {
		return parseJSON(s)
	}
	return parseXML(s)
}

// isJSON tells the two formats apart by their first character.
func isJSON(body []byte) bool {
	for _, c := range body {
		if !isSpace(c) {
			return c == '{'
		}
	}
	return false
}

func decodePayload(e *Event, root *node) any {
	decode := messageDecoder(e.MsgType)
	if e.MsgType == typeEvent {
		decode = eventDecoder(e.Name)
	}
	if decode == nil {
		return Unknown{Raw: e.Raw}
	}
	var f fields
	payload := decode(root, &f)
	if f.err != nil {
		return Unknown{Raw: e.Raw, Reason: f.err.Error()}
	}
	return payload
}

// decoder reads the fields of one kind of push.
type decoder func(n *node, f *fields) any

// content is implemented by every payload that BuildXML can write.
type content interface {
	nodes() []node
}

// errNotBuildable is returned for payloads that are not of this package.
var errNotBuildable = errors.New("the payload has no form as a push")

// BuildXML writes e as the platform would push it: the inverse of Parse, up to Raw.
// A payload of Unknown is written as it came.
func BuildXML(e Event) ([]byte, error) {
	if u, ok := e.Payload.(Unknown); ok {
		return slices.Clone(u.Raw), nil
	}
	root, err := buildTree(e)
	if err != nil {
		return nil, err
	}
	return appendXML(nil, &root), nil
}

// BuildJSON writes e in the JSON format of pushes. Subscription notices lose their
// wrapper there, as on the platform (platform.md 2.5).
func BuildJSON(e Event) ([]byte, error) {
	if u, ok := e.Payload.(Unknown); ok {
		return slices.Clone(u.Raw), nil
	}
	root, err := buildTree(e)
	if err != nil {
		return nil, err
	}
	last := len(root.kids) - 1
	if last >= 0 && isNoticeWrapper(root.kids[last].name) {
		root.kids = append(root.kids[:last:last], root.kids[last].kids...)
	}
	return appendJSON(nil, &root), nil
}

func buildTree(e Event) (node, error) {
	c, ok := e.Payload.(content)
	if !ok {
		return node{}, fmt.Errorf("%w: %T", errNotBuildable, e.Payload)
	}
	root := group("xml",
		text("ToUserName", e.ToUser),
		text("FromUserName", e.FromUser),
		number("CreateTime", unix(e.CreatedAt)),
		text("MsgType", e.MsgType),
	)
	if e.MsgType == typeEvent {
		root.add(text("Event", wireName(e.Name)))
		root.add(c.nodes()...)
		return root, nil
	}
	root.add(c.nodes()...)
	root.add(number("MsgId", e.MsgID))
	root.add(optional("MsgDataId", e.MsgDataID)...)
	if e.ArticleNo != 0 {
		root.add(number("Idx", int64(e.ArticleNo)))
	}
	return root, nil
}

// wireName is an event's name as the platform writes it: the oldest ones in capitals.
func wireName(name string) string {
	switch name {
	case "scan", "location", "click", "view", "templatesendjobfinish", "masssendjobfinish", "publishjobfinish":
		return strings.ToUpper(name)
	}
	return name
}

// DedupeKey is the same for each repetition of a push and different for different
// pushes of one account. ASCII, at most 64 bytes. Messages have an id; events have none,
// and two of a fan can fall into one second, so they are told apart by their whole body.
func (e Event) DedupeKey() string {
	if e.MsgID != 0 {
		return "m:" + strconv.FormatInt(e.MsgID, 10)
	}
	sum := sha256.Sum256(e.Raw)
	return "e:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Trigger is the act by which e opens a grant, if it is one. A follow through a
// parametric QR code is TriggerFollow; Triggers has both.
func (e Event) Trigger() (wechat.Trigger, bool) {
	if all := e.Triggers(); len(all) > 0 {
		return all[0], true
	}
	return 0, false
}

// Triggers lists every act that e counts as (platform.md 3.2). An undocumented file
// message opens nothing, to stay inside every reading of the rules.
func (e Event) Triggers() []wechat.Trigger {
	switch e.MsgType {
	case "text":
		if t, ok := e.Payload.(Text); ok && t.MenuID != "" {
			return []wechat.Trigger{wechat.TriggerMenu}
		}
		return []wechat.Trigger{wechat.TriggerMessage}
	case "image", "voice", "video", "shortvideo", "location", "link":
		return []wechat.Trigger{wechat.TriggerMessage}
	}
	switch e.Name {
	case "click", "scancode_push", "scancode_waitmsg":
		return []wechat.Trigger{wechat.TriggerMenu}
	case "scan":
		return []wechat.Trigger{wechat.TriggerScan}
	case "subscribe":
		if e.Scene() != "" {
			return []wechat.Trigger{wechat.TriggerFollow, wechat.TriggerScan}
		}
		return []wechat.Trigger{wechat.TriggerFollow}
	}
	return nil
}

// Text is what the fan wrote, "" for anything but a text message.
func (e Event) Text() string {
	if t, ok := e.Payload.(Text); ok {
		return t.Content
	}
	return ""
}

// Scene is the scene value of the parametric QR code that was scanned, by a fan or
// while following, without its prefix; "" without one.
func (e Event) Scene() string {
	switch p := e.Payload.(type) {
	case Subscribe:
		if scene, ok := strings.CutPrefix(p.EventKey, scenePrefix); ok {
			return scene
		}
	case Scan:
		return p.EventKey
	}
	return ""
}

// MenuKey is the key of the tapped item of the custom menu; "" for anything else.
func (e Event) MenuKey() string {
	switch p := e.Payload.(type) {
	case Click:
		return p.EventKey
	case ScanCode:
		return p.EventKey
	case SendPics:
		return p.EventKey
	case LocationSelect:
		return p.EventKey
	}
	return ""
}
