package wechat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxWeComPage is the most messages of one page of kf/sync_msg (platform.md 10.4).
const MaxWeComPage = 1000

const apiWeComSync = "/cgi-bin/kf/sync_msg"

// WeComOrigin says who wrote a message of 微信客服.
type WeComOrigin int

// The origins.
const (
	WeComFromPerson WeComOrigin = 3
	WeComFromSystem WeComOrigin = 4 // an event, see WeComMessage.Event
	WeComFromAgent  WeComOrigin = 5 // in WeCom's own client
)

// WeComPage is an answer of kf/sync_msg: what happened in a customer-service account after a cursor. The event that a push of
// kf_msg_or_event announces is no more than a bell; what happened is read page by page.
type WeComPage struct {
	Cursor   string
	More     bool
	Messages []WeComMessage
}

// WeComMessage is one message or event of a chat.
type WeComMessage struct {
	ID     string
	Desk   string // open_kfid of the customer-service account
	Person string // external_userid
	Agent  string // userid of the agent, "" if none
	At     time.Time
	Origin WeComOrigin
	Kind   string          // text, image, …, event
	Text   string          // of a text
	Event  *WeComEvent     // nil for messages
	Raw    json.RawMessage // as it came
}

// WeComEvent is an event of a chat.
type WeComEvent struct {
	Name string // enter_session, msg_send_fail, session_status_change, servicer_status_change, …
	// Scene and SceneParam tell through which link the person came (enter_session).
	Scene, SceneParam string
	// Code is good for one message: of enter_session, when a welcome may be sent, and of session_status_change.
	Code string
	// FailedID and Failure say which of our messages did not arrive, and why (msg_send_fail).
	FailedID string
	Failure  WeComFailure
	Change   WeComChange // session_status_change
}

// WeComChange is what a session_status_change tells.
type WeComChange int

// The changes.
const (
	WeComChangeTaken    WeComChange = 1 // an agent took the person from the queue
	WeComChangeHanded   WeComChange = 2 // to another agent
	WeComChangeEnded    WeComChange = 3
	WeComChangeReopened WeComChange = 4
)

// Act is what a message grants by the rules of ChatWeCom, with the code that the grant belongs to, if any. ok is false when it
// grants nothing. Being put into the queue is no event: the answer of kf/service_state/trans brings its code.
func (m *WeComMessage) Act() (act ChatAct, code string, ok bool) {
	switch {
	case m.Origin == WeComFromPerson:
		return ChatWrote, "", true
	case m.Event == nil || m.Event.Code == "":
		return 0, "", false
	case m.Event.Name == "enter_session":
		return ChatEntered, m.Event.Code, true
	case m.Event.Name == "session_status_change" && m.Event.Change == WeComChangeTaken:
		return ChatTaken, m.Event.Code, true
	case m.Event.Name == "session_status_change" && m.Event.Change == WeComChangeEnded:
		return ChatEnded, m.Event.Code, true
	default:
		return 0, "", false
	}
}

// ErrCursorStuck means that a page says there is more, and leads nowhere.
var ErrCursorStuck = errors.New("kf/sync_msg says that there is more after the cursor that it was given, and gives the same one again")

// Next is where to read on after this page, which was asked for with the cursor before. It has to be stored with what the page
// held, in one transaction. Whether there is more is has_more's to say: a page may be empty and not the last. Errors: ErrCursorStuck.
func (p *WeComPage) Next(before string) (cursor string, more bool, err error) {
	switch p.Cursor {
	case "", before:
		if p.More {
			return before, false, ErrCursorStuck
		}
		return before, false, nil
	default:
		return p.Cursor, p.More, nil
	}
}

// ParseWeComPage reads an answer of kf/sync_msg. Kinds and events that it does not know keep their Raw. Errors: *Error with the
// platform's code, and for what is no such answer.
func ParseWeComPage(body []byte) (WeComPage, error) {
	var in struct {
		Code    int               `json:"errcode"`
		Message string            `json:"errmsg"`
		Cursor  string            `json:"next_cursor"`
		More    int               `json:"has_more"`
		List    []json.RawMessage `json:"msg_list"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return WeComPage{}, fmt.Errorf("read an answer of kf/sync_msg: %w", err)
	}
	if in.Code != 0 {
		text, rid := splitRID(in.Message)
		return WeComPage{}, &Error{API: apiWeComSync, Code: in.Code, Msg: text, RID: rid, Outcome: OutcomeFailed}
	}
	page := WeComPage{Cursor: in.Cursor, More: in.More == 1, Messages: make([]WeComMessage, len(in.List))}
	for i, raw := range in.List {
		if err := page.Messages[i].read(raw); err != nil {
			return WeComPage{}, fmt.Errorf("read msg_list[%d] of kf/sync_msg: %w", i, err)
		}
	}
	return page, nil
}

func (m *WeComMessage) read(raw json.RawMessage) error {
	var in struct {
		ID     string      `json:"msgid"`
		Desk   string      `json:"open_kfid"`
		Person string      `json:"external_userid"`
		Agent  string      `json:"servicer_userid"`
		SentAt int64       `json:"send_time"` // seconds
		Origin WeComOrigin `json:"origin"`
		Kind   string      `json:"msgtype"`
		Text   struct {
			Content string `json:"content"`
		} `json:"text"`
		Event *struct {
			Name       string       `json:"event_type"`
			Desk       string       `json:"open_kfid"`
			Person     string       `json:"external_userid"`
			Agent      string       `json:"servicer_userid"`
			NewAgent   string       `json:"new_servicer_userid"`
			Scene      string       `json:"scene"`
			SceneParam string       `json:"scene_param"`
			Welcome    string       `json:"welcome_code"`
			Code       string       `json:"msg_code"`
			FailedID   string       `json:"fail_msgid"`
			Failure    WeComFailure `json:"fail_type"`
			Change     WeComChange  `json:"change_type"`
		} `json:"event"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if in.ID == "" || in.SentAt <= 0 {
		return errors.New("it has no msgid or no send_time")
	}
	*m = WeComMessage{
		ID: in.ID, Desk: in.Desk, Person: in.Person, Agent: in.Agent, At: time.Unix(in.SentAt, 0), Origin: in.Origin, Kind: in.Kind, Text: in.Text.Content, Raw: raw,
	}
	if e := in.Event; e != nil && in.Kind == "event" {
		// An event names its chat inside.
		m.Desk, m.Person, m.Agent = cmp.Or(m.Desk, e.Desk), cmp.Or(m.Person, e.Person), cmp.Or(m.Agent, e.NewAgent, e.Agent)
		m.Event = &WeComEvent{
			Name: e.Name, Scene: e.Scene, SceneParam: e.SceneParam, Code: cmp.Or(e.Welcome, e.Code), FailedID: e.FailedID, Failure: e.Failure, Change: e.Change,
		}
	}
	return nil
}
