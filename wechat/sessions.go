package wechat

import (
	"context"
	"errors"
	"net/url"
	"time"

	"hongyan/internal/clock"
)

const (
	apiSessionOpen    = "/customservice/kfsession/create"
	apiSessionClose   = "/customservice/kfsession/close"
	apiSessionGet     = "/customservice/kfsession/getsession"
	apiSessionList    = "/customservice/kfsession/getsessionlist"
	apiSessionWaiting = "/customservice/kfsession/getwaitcase"
	apiChatRecords    = "/customservice/msgrecord/getmsglist"
)

// The bounds on chat records (platform.md 10.2).
const (
	MaxChatRange   = 24 * time.Hour // of one query (65417 beyond)
	MaxChatRecords = 10_000         // in one page
)

// AgentSession is a talk between an agent and a fan. While it is open, what the fan writes
// is not pushed to us (platform.md 2.6).
type AgentSession struct {
	OpenID string
	Agent  string // the agent's account; "" when no agent talks with the fan
	Since  time.Time
}

// WaitingFan is a fan who waits for an agent.
type WaitingFan struct {
	OpenID string
	Since  time.Time // of the fan's latest message
}

// WaitingFans is the queue in front of the agents.
type WaitingFans struct {
	Count int          // all who wait
	Fans  []WaitingFan // the first hundred of them
}

// OpenAgentSession lets an agent take a fan over; the platform pushes kf_create_session.
// It answers 65401 for an unknown agent, 65402 for one without a person, 65414 when another
// agent talks with the fan and 65415 when the agent is not online.
func (c *Client) OpenAgentSession(ctx context.Context, acc Account, account, openid string) error {
	return c.changeSession(ctx, acc, apiSessionOpen, AgentSession{Agent: account, OpenID: openid})
}

// CloseAgentSession ends a session; the platform pushes kf_close_session. It answers 65413
// when the fan has none and 65414 when another agent talks with the fan.
func (c *Client) CloseAgentSession(ctx context.Context, acc Account, account, openid string) error {
	return c.changeSession(ctx, acc, apiSessionClose, AgentSession{Agent: account, OpenID: openid})
}

func (c *Client) changeSession(ctx context.Context, acc Account, api string, s AgentSession) error {
	check := &checker{}
	check.agent("kf_account", s.Agent)
	check.required("openid", s.OpenID)
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	return c.post(ctx, acc, api, struct {
		Account string `json:"kf_account"`
		OpenID  string `json:"openid"`
	}{s.Agent, s.OpenID}, nil)
}

type wireSession struct {
	Created int64  `json:"createtime"` // unix s, as the next one
	Latest  int64  `json:"latest_time"`
	OpenID  string `json:"openid"`
	Agent   string `json:"kf_account"`
}

// AgentSessionOf tells which agent talks with a fan; Agent is "" when none does.
func (c *Client) AgentSessionOf(ctx context.Context, acc Account, openid string) (AgentSession, error) {
	check := &checker{}
	check.required("openid", openid)
	if err := errors.Join(check.errs...); err != nil {
		return AgentSession{}, err
	}
	var answer struct {
		wireSession
		Agent *string `json:"kf_account"`
	}
	if err := c.get(ctx, acc, apiSessionGet, url.Values{"openid": {openid}}, &answer); err != nil {
		return AgentSession{}, err
	}
	if answer.Agent == nil {
		return AgentSession{}, withoutProof(apiSessionGet, "kf_account")
	}
	if *answer.Agent == "" {
		return AgentSession{OpenID: openid}, nil
	}
	return AgentSession{OpenID: openid, Agent: *answer.Agent, Since: clock.FromMillis(answer.Created * 1000)}, nil
}

// AgentSessions lists the open sessions of an agent. It answers 65401 for an unknown one.
func (c *Client) AgentSessions(ctx context.Context, acc Account, account string) ([]AgentSession, error) {
	if err := checkAgent(account); err != nil {
		return nil, err
	}
	var answer struct {
		List []wireSession `json:"sessionlist"`
	}
	if err := c.get(ctx, acc, apiSessionList, url.Values{"kf_account": {account}}, &answer); err != nil {
		return nil, err
	}
	out := make([]AgentSession, len(answer.List))
	for i, s := range answer.List {
		out[i] = AgentSession{OpenID: s.OpenID, Agent: account, Since: clock.FromMillis(s.Created * 1000)}
	}
	return out, nil
}

// WaitingFans returns the fans who wait for an agent, those who have waited longest first.
// The platform names at most a hundred of them.
func (c *Client) WaitingFans(ctx context.Context, acc Account) (WaitingFans, error) {
	var answer struct {
		Count int           `json:"count"`
		List  []wireSession `json:"waitcaselist"`
	}
	if err := c.get(ctx, acc, apiSessionWaiting, nil, &answer); err != nil {
		return WaitingFans{}, err
	}
	out := WaitingFans{Count: answer.Count, Fans: make([]WaitingFan, len(answer.List))}
	for i, s := range answer.List {
		out.Fans[i] = WaitingFan{OpenID: s.OpenID, Since: clock.FromMillis(s.Latest * 1000)}
	}
	return out, nil
}

// ChatQuery asks for what agents and fans said to each other.
type ChatQuery struct {
	From, To time.Time // whole seconds, at most MaxChatRange apart; old documents want one Beijing day
	Cursor   int64     // ChatPage.Next of the page before, 0 for the first
	Limit    int       // records in a page, 1 to MaxChatRecords; 0 means MaxChatRecords
}

// ChatPage is a page of chat records, oldest first.
type ChatPage struct {
	Records []ChatRecord
	Next    int64 // Cursor of the next page
	More    bool  // there may be a next page
}

// ChatRecord is one message between an agent and a fan.
type ChatRecord struct {
	OpenID    string
	Agent     string
	Text      string // of pictures, recordings and videos only [image], [voice], [video]
	At        time.Time
	Operation int // OperationAgent or OperationFan
}

// What a ChatRecord tells of.
const (
	OperationAgent = 2002 // the agent sent it
	OperationFan   = 2003 // the fan sent it
)

// ChatRecords returns a page of what agents and fans said. It answers 65416 for a bad
// query, 65417 for a range that is too long and 45009 beyond the day's budget, which is small.
func (c *Client) ChatRecords(ctx context.Context, acc Account, q ChatQuery) (ChatPage, error) {
	if q.Limit == 0 {
		q.Limit = MaxChatRecords
	}
	if q.Cursor == 0 {
		q.Cursor = 1
	}
	if err := q.validate(); err != nil {
		return ChatPage{}, err
	}
	var answer struct {
		List []struct {
			OpenID    string `json:"openid"`
			Operation int    `json:"opercode"`
			Text      string `json:"text"`
			Time      int64  `json:"time"`
			Agent     string `json:"worker"`
		} `json:"recordlist"`
		Number *int  `json:"number"`
		MsgID  int64 `json:"msgid"`
	}
	err := c.post(ctx, acc, apiChatRecords, struct {
		From   int64 `json:"starttime"`
		To     int64 `json:"endtime"`
		MsgID  int64 `json:"msgid"`
		Number int   `json:"number"`
	}{q.From.Unix(), q.To.Unix(), q.Cursor, q.Limit}, &answer)
	switch {
	case err != nil:
		return ChatPage{}, err
	case answer.Number == nil:
		return ChatPage{}, withoutProof(apiChatRecords, "number of records")
	}
	page := ChatPage{Records: make([]ChatRecord, len(answer.List)), Next: answer.MsgID, More: *answer.Number >= q.Limit}
	for i, r := range answer.List {
		page.Records[i] = ChatRecord{
			OpenID: r.OpenID, Agent: r.Agent, Text: r.Text, At: clock.FromMillis(r.Time * 1000), Operation: r.Operation,
		}
	}
	if page.More && page.Next <= q.Cursor {
		// Whoever follows such a cursor reads the same page for ever.
		return ChatPage{}, withoutProof(apiChatRecords, "cursor that goes on")
	}
	return page, nil
}

func (q *ChatQuery) validate() error {
	check := &checker{}
	switch apart := q.To.Unix() - q.From.Unix(); {
	case apart <= 0:
		check.badf("endtime", "order", "the end must be after the start")
	case apart > int64(MaxChatRange.Seconds()):
		check.badf("endtime", "range", "one query covers at most %s", MaxChatRange)
	}
	if q.Limit < 1 || q.Limit > MaxChatRecords {
		check.badf("number", "range", "a page has 1 to %d records", MaxChatRecords)
	}
	if q.Cursor < 1 {
		check.badf("msgid", "range", "a cursor comes from the page before")
	}
	return errors.Join(check.errs...)
}
