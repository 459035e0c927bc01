package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
)

const (
	apiAgentAdd    = "/customservice/kfaccount/add"
	apiAgentUpdate = "/customservice/kfaccount/update"
	apiAgentDelete = "/customservice/kfaccount/del"
	apiAgentAvatar = "/customservice/kfaccount/uploadheadimg"
	apiAgentInvite = "/customservice/kfaccount/inviteworker"
	apiAgents      = "/cgi-bin/customservice/getkflist"
	apiAgentsOn    = "/cgi-bin/customservice/getonlinekflist"
)

// The platform's bounds on agents (platform.md 10.1).
const (
	MaxAgents      = 100     // agents of an account (65405 beyond)
	MaxAgentNick   = 16      // characters of a nickname (65403 beyond)
	MaxAgentAvatar = 5 << 20 // bytes of a picture, which is a JPEG
)

// Agent is a human agent's account (platform.md 10.1).
type Agent struct {
	Account   string // name@account: "test1@test"
	Nick      string
	ID        string
	AvatarURL string
	WeChatID  string // of the person who works under it; "" until one has accepted
	// Invitation is set while the agent has no person.
	Invitation *AgentInvitation
}

// AgentInvitation asks a person to work as an agent.
type AgentInvitation struct {
	WeChatID string
	Status   string // waiting, rejected or expired
	Expires  time.Time
}

// OnlineAgent is an agent who is logged in.
type OnlineAgent struct {
	Account  string
	ID       string
	Status   int // 1: in the web client
	Sessions int // how many fans the agent talks with
}

type wireAgent struct {
	Account       string    `json:"kf_account"`
	Nick          string    `json:"kf_nick"`
	ID            looseText `json:"kf_id"`
	AvatarURL     string    `json:"kf_headimgurl"`
	WeChatID      string    `json:"kf_wx"`
	InviteWeChat  string    `json:"invite_wx"`
	InviteStatus  string    `json:"invite_status"`
	InviteExpires int64     `json:"invite_expire_time"`
	Status        int       `json:"status"`
	Accepted      int       `json:"accepted_case"`
}

// AddAgent makes an agent. account is name@account: the name has up to 10 letters and
// digits, and what follows the @ is the WeChat id of the Official Account. nick has up to
// 16 characters. The platform answers 65404 for a bad account, 65403 for a bad nickname,
// 65405 at the hundredth and 65406 when the agent exists: after an answer that was lost,
// 65406 says that it had worked.
func (c *Client) AddAgent(ctx context.Context, acc Account, account, nick string) error {
	check := &checker{}
	if !agentShape.MatchString(account) {
		check.badf("kf_account", "kf_account", "an agent's account is 1 to 10 letters or digits, an @ and the account's WeChat id")
	}
	check.agentNick(nick)
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	return c.post(ctx, acc, apiAgentAdd, agentIn{Account: account, Nick: nick}, nil)
}

// RenameAgent changes an agent's nickname, of up to 16 characters. It answers 65401 for an
// unknown agent and 65403 for a bad nickname.
func (c *Client) RenameAgent(ctx context.Context, acc Account, account, nick string) error {
	check := &checker{}
	check.agent("kf_account", account)
	check.agentNick(nick)
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	return c.post(ctx, acc, apiAgentUpdate, agentIn{Account: account, Nick: nick}, nil)
}

// DeleteAgent removes an agent. It answers 65401 for an unknown one: after an answer that
// was lost, that says that it had worked.
func (c *Client) DeleteAgent(ctx context.Context, acc Account, account string) error {
	if err := checkAgent(account); err != nil {
		return err
	}
	return c.post(ctx, acc, apiAgentDelete, agentIn{Account: account}, nil)
}

// SetAgentAvatar replaces an agent's picture: a JPEG of up to 5 MB, best 640×640. What the
// file is, is read from its bytes. It answers 65401 for an unknown agent.
func (c *Client) SetAgentAvatar(ctx context.Context, acc Account, account string, picture File) error {
	check := &checker{}
	check.agent("kf_account", account)
	switch {
	case len(picture.Body) > MaxAgentAvatar:
		check.badf("media", "file_bytes", "the picture has %d bytes, the platform takes at most %d", len(picture.Body), MaxAgentAvatar)
	case DetectFormat(picture.Body) != FormatJPEG:
		check.badf("media", "jpeg", "an agent's picture must be a JPEG")
	}
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	picture.Type = "image/jpeg"
	if ending := strings.ToLower(path.Ext(picture.Name)); ending != ".jpg" && ending != ".jpeg" {
		picture.Name = "avatar.jpg" // the platform goes by the name as well
	}
	return c.upload(ctx, acc, apiAgentAvatar, upload{query: url.Values{"kf_account": {account}}, file: picture}, nil)
}

// InviteAgent asks the person with a WeChat id to work as the agent; the person must
// accept. It answers 65401 for an unknown agent, 65407 when the person is an agent already,
// 65408 when that person and 65411 when that agent has an open invitation, 65409 for a bad
// WeChat id, 65410 when the person works for five accounts and 65412 when the agent has a person.
func (c *Client) InviteAgent(ctx context.Context, acc Account, account, wechatID string) error {
	check := &checker{}
	check.agent("kf_account", account)
	check.required("invite_wx", wechatID)
	if err := errors.Join(check.errs...); err != nil {
		return err
	}
	return c.post(ctx, acc, apiAgentInvite, struct {
		Account  string `json:"kf_account"`
		WeChatID string `json:"invite_wx"`
	}{account, wechatID}, nil)
}

// Agents lists the agents of an account, at most MaxAgents.
func (c *Client) Agents(ctx context.Context, acc Account) ([]Agent, error) {
	var answer struct {
		List []wireAgent `json:"kf_list"`
	}
	if err := c.get(ctx, acc, apiAgents, nil, &answer); err != nil {
		return nil, err
	}
	out := make([]Agent, len(answer.List))
	for i, a := range answer.List {
		out[i] = Agent{Account: a.Account, Nick: a.Nick, ID: string(a.ID), AvatarURL: a.AvatarURL, WeChatID: a.WeChatID}
		if a.InviteStatus != "" {
			out[i].Invitation = &AgentInvitation{
				WeChatID: a.InviteWeChat, Status: a.InviteStatus, Expires: clock.FromMillis(a.InviteExpires * 1000),
			}
		}
	}
	return out, nil
}

// OnlineAgents lists the agents who are logged in.
func (c *Client) OnlineAgents(ctx context.Context, acc Account) ([]OnlineAgent, error) {
	var answer struct {
		List []wireAgent `json:"kf_online_list"`
	}
	if err := c.get(ctx, acc, apiAgentsOn, nil, &answer); err != nil {
		return nil, err
	}
	out := make([]OnlineAgent, len(answer.List))
	for i, a := range answer.List {
		out[i] = OnlineAgent{Account: a.Account, ID: string(a.ID), Status: a.Status, Sessions: a.Accepted}
	}
	return out, nil
}

type agentIn struct {
	Account string `json:"kf_account"`
	Nick    string `json:"nickname,omitempty"`
}

var agentShape = regexp.MustCompile(`^[0-9A-Za-z]{1,10}@[-_0-9A-Za-z]{1,30}$`)

// agent checks the account of an agent who exists: old ones have names of other shapes.
func (c *checker) agent(field, account string) {
	name, owner, ok := strings.Cut(account, "@")
	if !ok || name == "" || owner == "" {
		c.badf(field, "kf_account", "an agent's account has the form name@account")
	}
}

func checkAgent(account string) error {
	check := &checker{}
	check.agent("kf_account", account)
	return errors.Join(check.errs...)
}

func (c *checker) agentNick(nick string) {
	c.required("nickname", nick)
	if n := utf8.RuneCountInString(nick); n > MaxAgentNick {
		c.badf("nickname", "characters", "the nickname has %d characters, the platform takes at most %d", n, MaxAgentNick)
	}
}

// looseText is a value that the platform writes as a string here and as a number there.
type looseText string

// UnmarshalJSON implements json.Unmarshaler.
func (l *looseText) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*l = looseText(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(raw, &number); err != nil {
		return fault.Wrap(fault.Invalid, err, "neither a text nor a number")
	}
	*l = looseText(number)
	return nil
}
