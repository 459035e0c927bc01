package simulator

import (
	"sync"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

const fanShards = 256

// fanTable finds fans by openid. A fan is guarded by the mutex of its shard, so that calls
// for different fans rarely meet.
type fanTable struct {
	shards [fanShards]fanShard
}

type fanShard struct {
	mu sync.Mutex
	m  map[string]*fan
	_  [40]byte // keeps two shards off one cache line
}

func (t *fanTable) init() {
	for i := range t.shards {
		t.shards[i].m = map[string]*fan{}
	}
}

func (t *fanTable) shard(openID string) *fanShard {
	return &t.shards[hashText(openID)%fanShards]
}

// fan is a person as one account sees them.
type fan struct {
	account  *account
	openID   string
	nickname string
	grants   grants

	subscribed  bool
	blocked     bool
	blacklisted bool
	limited     bool
	followedAt  int64  // unix seconds of the last follow
	followPlace uint64 // on the account's list of fans; kept after leaving it
	profile     *fanProfile

	lastAct     int64 // unix ms of the last act, for typing
	typingUntil int64 // unix ms
	agent       string
	agentSeen   int64 // unix ms of the last act in the agent's session
	agentSince  int64 // unix ms of its start
	waitSince   int64 // unix ms since when the fan waits for an agent, 0 when not

	calls    int
	accepted []uint64 // hash of each message that arrived by kefu or passive reply
	arrivals []Arrival
}

// NewFan describes a fan to add. The zero value is a stranger who does not follow yet.
type NewFan struct {
	OpenID     string `json:"openid,omitempty"` // "" derives one
	Nickname   string `json:"nickname,omitempty"`
	Subscribed bool   `json:"subscribed,omitempty"`
	// FollowedAt is when a subscribed person followed; the zero value is now. The list of fans
	// is in order of adding, so persons are to be added in order of their follows.
	FollowedAt  time.Time `json:"followed_at,omitzero"`
	FollowScene string    `json:"follow_scene,omitempty"` // one of FollowScenes; "" is a search
	UnionID     string    `json:"unionid,omitempty"`      // "" derives one; told as BindOpenPlatform says
	Language    string    `json:"language,omitempty"`     // "" is not told, as on today's platform
}

// AddFans adds n persons with derived openids and invented nicknames, and returns their
// openids in order. Nothing is pushed: subscribed persons have followed long ago.
func (s *Simulator) AddFans(appID string, n int, subscribed bool) ([]string, error) {
	out := make([]string, 0, n)
	for range n {
		id, err := s.AddFan(appID, NewFan{Subscribed: subscribed})
		if err != nil {
			return out, err
		}
		out = append(out, id)
	}
	return out, nil
}

// AddFan adds one person and returns the openid. It answers NotFound for an unknown account
// and Conflict for an openid that exists, in this account or another.
func (s *Simulator) AddFan(appID string, in NewFan) (string, error) {
	a, err := s.account(appID)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	index := len(a.fans)
	f := &fan{account: a, openID: in.OpenID, nickname: in.Nickname}
	if f.openID == "" {
		f.openID = OpenID(s.seed, appID, index)
	}
	if f.nickname == "" {
		f.nickname = Nickname(s.seed, index)
	}
	shard := s.fans.shard(f.openID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.m[f.openID] != nil {
		return "", fault.New(fault.Conflict, "openid %s exists", f.openID)
	}
	if err := f.admit(&in, s.clock.Now()); err != nil {
		return "", err
	}
	shard.m[f.openID] = f
	a.fans = append(a.fans, f)
	return f.openID, nil
}

// FanState is what the platform knows of a fan.
type FanState struct {
	AppID       string   `json:"appid"`
	OpenID      string   `json:"openid"`
	Nickname    string   `json:"nickname"`
	Subscribed  bool     `json:"subscribed"`
	Blocked     bool     `json:"blocked"`     // the fan switched messages off (48002)
	Blacklisted bool     `json:"blacklisted"` // the account blacklisted the fan (43019)
	Limited     bool     `json:"limited"`     // frozen or cancelled by the platform (50002)
	Agent       string   `json:"agent,omitempty"`
	Windows     []Window `json:"windows,omitempty"`
	Calls       int      `json:"calls"`                 // customer-service messages that named this fan
	Accepted    int      `json:"accepted"`              // messages that arrived, agents' not counted
	FollowedAt  int64    `json:"followed_at,omitempty"` // unix seconds of the last follow
	Remark      string   `json:"remark,omitempty"`
	TagIDs      []int    `json:"tagid_list,omitempty"` // in the order in which they were given
}

// FanFlags are the switches on a fan that a test or a member sets.
type FanFlags struct {
	Blocked     bool `json:"blocked"`
	Blacklisted bool `json:"blacklisted"`
	Limited     bool `json:"limited"`
}

// SetFanFlags replaces a fan's flags. It answers NotFound.
func (s *Simulator) SetFanFlags(openID string, flags FanFlags) error {
	return s.withFan(openID, func(f *fan) {
		f.blocked, f.limited = flags.Blocked, flags.Limited
		f.setBlacklisted(flags.Blacklisted)
	})
}

// GrantFan opens a window as an act of kind t would at this moment, without a push: a
// shortcut for tests and benches of the send path. It answers NotFound.
func (s *Simulator) GrantFan(openID string, t wechat.Trigger) error {
	now := s.clock.Now()
	return s.withFan(openID, func(f *fan) { s.openGrant(f, t, now) })
}

// Fan returns what the platform knows of a fan. It answers NotFound.
func (s *Simulator) Fan(openID string) (FanState, error) {
	var out FanState
	err := s.withFan(openID, func(f *fan) { out = s.stateOf(f) })
	return out, err
}

// Fans lists an account's fans in order of creation. It answers NotFound.
func (s *Simulator) Fans(appID string) ([]FanState, error) {
	a, err := s.account(appID)
	if err != nil {
		return nil, err
	}
	list := a.fanList()
	out := make([]FanState, len(list))
	for i, f := range list {
		shard := s.fans.shard(f.openID)
		shard.mu.Lock()
		out[i] = s.stateOf(f)
		shard.mu.Unlock()
	}
	return out, nil
}

func (a *account) fanList() []*fan {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*fan(nil), a.fans...)
}

func (s *Simulator) stateOf(f *fan) FanState {
	return FanState{
		AppID: f.account.config().AppID, OpenID: f.openID, Nickname: f.nickname,
		Subscribed: f.subscribed, Blocked: f.blocked, Blacklisted: f.blacklisted, Limited: f.limited,
		Agent:   f.agent,
		Windows: f.grants.windows(s.switches.Load().Grants, s.clock.Now().UnixMilli()),
		Calls:   f.calls, Accepted: len(f.accepted),
		FollowedAt: f.followedAt, Remark: f.known().remark, TagIDs: f.tagIDs(),
	}
}

// withFan runs fn under the fan's lock. It answers NotFound.
func (s *Simulator) withFan(openID string, fn func(*fan)) error {
	shard := s.fans.shard(openID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	f, ok := shard.m[openID]
	if !ok {
		return fault.New(fault.NotFound, "no fan %q", openID)
	}
	fn(f)
	return nil
}

// openGrant applies what an act of kind t grants at the given time. Windows run from the
// push's CreateTime, which is in whole seconds: the shortest reading.
func (s *Simulator) openGrant(f *fan, t wechat.Trigger, at time.Time) {
	sw, allowance := s.switches.Load(), s.rules.Load().Grants[t]
	if t == wechat.TriggerPayment {
		switch {
		case !sw.PaymentGrants:
			return
		case allowance.Messages == 0:
			allowance = wechat.Allowance{Messages: paymentMessages, Lifetime: paymentLifetime}
		}
	}
	f.grants.open(sw.Grants, t, allowance, at.Unix()*1000)
}
