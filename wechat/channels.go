package wechat

import (
	"slices"
	"time"
)

// ChatChannel is a way of writing to people whose rights follow the same model as customer-service messages of an
// Official Account, with other numbers.
type ChatChannel uint8

// The chat channels (platform.md 10.3, 10.4).
const (
	ChatMiniProgram ChatChannel = iota + 1 // customer service of a mini-program
	ChatWeCom                              // 微信客服 of WeCom
)

var chatChannelNames = map[ChatChannel]string{ChatMiniProgram: "mini_program", ChatWeCom: "wecom"}

// String is the name used in logs and traces.
func (c ChatChannel) String() string {
	if name, ok := chatChannelNames[c]; ok {
		return name
	}
	return "unknown"
}

// ChatAct is what happens in a chat and opens a grant.
type ChatAct uint8

// The acts.
const (
	ChatWrote   ChatAct = iota + 1 // the person wrote
	ChatEntered                    // the person opened the chat: user_enter_tempsession, or WeCom's enter_session with a code
	ChatQueued                     // the person was put into the queue for a human agent; WeCom only
	ChatTaken                      // an agent took the person from the queue; WeCom only
	ChatEnded                      // the session ended; WeCom only
)

// Combination is how an act's grant goes together with what is left of earlier ones. None adds.
type Combination uint8

// The combinations.
const (
	// CombineMaximum raises what is left to at least the act's count, and the end to at least the act's.
	CombineMaximum Combination = iota + 1
	// CombineRenew gives the full count and the full time again, whatever is left.
	CombineRenew
	// CombineByCode stands apart: the event carries a code, which is good for one message, and no other message can use it.
	CombineByCode
)

// ChatGrant is what an act grants.
type ChatGrant struct {
	Act ChatAct
	Allowance
	Combination Combination
	// Bucket is where the grant is kept among those of a person. Writing has the bucket of a fan's messages, so that messages
	// held back for human agents are held back here too.
	Bucket Trigger
}

// ChatRuleSet is what a chat channel granted from a day on. What it does not list opens nothing.
type ChatRuleSet struct {
	Name   string
	From   time.Time // first moment at which it holds
	Grants []ChatGrant
}

// Grant is what an act grants; ok is false for one that grants nothing.
func (r *ChatRuleSet) Grant(act ChatAct) (grant ChatGrant, ok bool) {
	i := slices.IndexFunc(r.Grants, func(g ChatGrant) bool { return g.Act == act })
	if i < 0 {
		return ChatGrant{}, false
	}
	return r.Grants[i], true
}

// ChatRuleSets returns the published rules of a channel, oldest first; none for an unknown channel. The day on which
// mini-programs changed is not known: the smaller numbers are those of a page of 2017.
func ChatRuleSets(channel ChatChannel) []ChatRuleSet {
	const day = 24 * time.Hour
	beijing := time.FixedZone("CST", beijingEast)
	mini := func(written, entered int) []ChatGrant {
		return []ChatGrant{
			{ChatWrote, Allowance{written, 2 * day}, CombineMaximum, TriggerMessage},
			{ChatEntered, Allowance{entered, time.Minute}, CombineMaximum, TriggerFollow},
		}
	}
	byCode := func(act ChatAct, lifetime time.Duration) ChatGrant {
		return ChatGrant{act, Allowance{1, lifetime}, CombineByCode, TriggerFollow}
	}
	switch channel {
	case ChatMiniProgram:
		return []ChatRuleSet{
			{Name: "mini-program 2017", Grants: mini(3, 1)},
			{Name: "mini-program 2018", From: time.Date(2018, 1, 1, 0, 0, 0, 0, beijing), Grants: mini(5, 2)},
		}
	case ChatWeCom:
		return []ChatRuleSet{{Name: "wecom", Grants: []ChatGrant{
			{ChatWrote, Allowance{5, 2 * day}, CombineRenew, TriggerMessage},
			byCode(ChatEntered, 20*time.Second), byCode(ChatQueued, 2*day), byCode(ChatTaken, 2*day), byCode(ChatEnded, 20*time.Second),
		}}}
	default:
		return nil
	}
}

// ChatRulesAt returns the published rules of a channel that hold at t. An unknown channel has none: its set grants nothing.
func ChatRulesAt(channel ChatChannel, t time.Time) ChatRuleSet {
	for _, set := range slices.Backward(ChatRuleSets(channel)) {
		if !t.Before(set.From) {
			return set
		}
	}
	return ChatRuleSet{}
}

// WeComState is where a person's session stands in 微信客服 (platform.md 10.4).
type WeComState int

// The states.
const (
	WeComNew    WeComState = 0
	WeComBot    WeComState = 1
	WeComQueue  WeComState = 2
	WeComAgent  WeComState = 3 // a human agent talks to the person
	WeComClosed WeComState = 4
)

// TakesMessages reports whether messages may be sent by API in the state; in others the platform answers 95018.
// A message by the code of an event has its own right.
func (s WeComState) TakesMessages() bool { return s == WeComNew || s == WeComBot }

// WeComFailure is the fail_type of a msg_send_fail event: why a message that was answered with ok did not arrive
// (platform.md 10.4).
type WeComFailure int

// The failures.
const (
	WeComFailUnknown       WeComFailure = 0
	WeComFailDeleted       WeComFailure = 1 // the customer-service account
	WeComFailAppClosed     WeComFailure = 2
	WeComFailExpired       WeComFailure = 4 // 48 h are over
	WeComFailSessionClosed WeComFailure = 5
	WeComFailUsedUp        WeComFailure = 6 // five messages were sent
	WeComFailNoVideo       WeComFailure = 7 // no 视频号 is bound
	WeComFailNotVerified   WeComFailure = 8
	WeComFailNeither       WeComFailure = 9  // neither a 视频号 nor verified
	WeComFailRefused       WeComFailure = 10 // by the person
)

// UsedUp reports whether the grant was empty, as 45047 does of an Official Account.
func (f WeComFailure) UsedUp() bool { return f == WeComFailUsedUp }

// Closed reports whether no grant was open, as 45015 does of an Official Account.
func (f WeComFailure) Closed() bool { return f == WeComFailExpired || f == WeComFailSessionClosed }
