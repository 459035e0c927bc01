package simulator

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hongyan/internal/fault"
)

// The paths of agents, sessions and chat records.
const (
	PathAgentAdd       = "/customservice/kfaccount/add"
	PathAgentUpdate    = "/customservice/kfaccount/update"
	PathAgentDelete    = "/customservice/kfaccount/del"
	PathAgentAvatar    = "/customservice/kfaccount/uploadheadimg"
	PathAgentInvite    = "/customservice/kfaccount/inviteworker"
	PathAgents         = "/cgi-bin/customservice/getkflist"
	PathAgentsOnline   = "/cgi-bin/customservice/getonlinekflist"
	PathSessionOpen    = "/customservice/kfsession/create"
	PathSessionClose   = "/customservice/kfsession/close"
	PathSessionGet     = "/customservice/kfsession/getsession"
	PathSessionList    = "/customservice/kfsession/getsessionlist"
	PathSessionWaiting = "/customservice/kfsession/getwaitcase"
	PathChatRecords    = "/customservice/msgrecord/getmsglist"
)

// The codes of agents, sessions and chat records (platform.md 10.2). 65401 is in errors.go.
const (
	codeAgentNoPerson  = 65402
	codeBadNick        = 65403
	codeBadAgentName   = 65404
	codeTooManyAgents  = 65405
	codeAgentExists    = 65406
	codeAlreadyAgent   = 65407
	codeAlreadyInvited = 65408
	codeBadWeChatID    = 65409
	codeInviteOpen     = 65411
	codeAgentHasPerson = 65412
	codeNoSession      = 65413
	codeOtherAgent     = 65414
	codeAgentOffline   = 65415
	codeBadRecordQuery = 65416
	codeRecordRange    = 65417
)

const (
	maxAgents    = 100
	maxAgentNick = 16 // characters
	inviteLife   = 24 * time.Hour
	firstAgentID = 1001
)

// agentRoutes are agents, sessions and records (platform.md 10).
func agentRoutes() []route {
	return []route{
		{PathAgentAdd, Limit{}, (*Simulator).serveAgentAdd},
		{PathAgentUpdate, Limit{}, (*Simulator).serveAgentUpdate},
		{PathAgentDelete, Limit{}, (*Simulator).serveAgentDelete},
		{PathAgentAvatar, Limit{}, (*Simulator).serveAgentAvatar},
		{PathAgentInvite, Limit{}, (*Simulator).serveAgentInvite},
		{PathAgents, Limit{}, (*Simulator).serveAgents},
		{PathAgentsOnline, Limit{}, (*Simulator).serveAgentsOnline},
		{PathSessionOpen, Limit{}, (*Simulator).serveSessionOpen},
		{PathSessionClose, Limit{}, (*Simulator).serveSessionClose},
		{PathSessionGet, Limit{}, (*Simulator).serveSessionGet},
		{PathSessionList, Limit{}, (*Simulator).serveSessionList},
		{PathSessionWaiting, Limit{}, (*Simulator).serveSessionWaiting},
		{PathChatRecords, Limit{Daily: 5_000}, (*Simulator).serveChatRecords},
	}
}

// agentState is what an account keeps for agents, sessions and records (platform.md 10); it is guarded by the account's mutex.
// Sessions are kept with their fans.
type agentState struct {
	list  []*agent // in order of creation
	added int
	chat  chatLog // has a mutex of its own, because fans speak under theirs
}

// agent is one agent's account. Messages may be sent under it while it has a person: it
// then stands in Account.Agents as well.
type agent struct {
	account string
	nick    string
	id      string
	avatar  string
	person  string // WeChat id, "" until somebody has accepted
	offline bool

	invited    string // WeChat id of the open or last invitation
	inviteEnds int64  // unix s
	rejected   bool
}

// enterAgents is enter for this family.
func (s *Simulator) enterAgents(c *call, method string) (*account, bool) {
	a, ok := s.enter(c, method, true)
	if ok && s.switches.Load().AgentsServiceOnly && a.config().Type != Service {
		c.refuse(codeUnauthorized)
		return nil, false
	}
	return a, ok
}

// agents lists the agents; the account is locked. Those of its settings have a person and
// are online until told otherwise.
func (a *account) agents() []*agent {
	st, names := &a.agent, a.config().Agents
	st.list = slices.DeleteFunc(st.list, func(g *agent) bool {
		return g.person != "" && !slices.Contains(names, g.account)
	})
	for _, name := range names {
		g := st.find(name)
		if g == nil {
			prefix, _, _ := strings.Cut(name, "@")
			g = st.add(name, prefix)
		}
		if g.person == "" {
			g.person = "wx_" + g.id
		}
	}
	return st.list
}

func (st *agentState) find(name string) *agent {
	i := slices.IndexFunc(st.list, func(g *agent) bool { return g.account == name })
	if i < 0 {
		return nil
	}
	return st.list[i]
}

func (st *agentState) add(name, nick string) *agent {
	g := &agent{account: name, nick: nick, id: strconv.Itoa(firstAgentID + st.added)}
	st.added++
	st.list = append(st.list, g)
	return g
}

// changeAgent runs change with the agent that a call names, under the account's lock, or
// answers 65401.
func (a *account) changeAgent(name string, change func(*agent) int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.agents()
	g := a.agent.find(name)
	if g == nil {
		return codeBadAgent
	}
	return change(g)
}

// setAgents replaces the agents that messages may be sent under; the account is locked.
func (a *account) setAgents(names []string) {
	next := *a.config()
	next.Agents = names
	a.cfg.Store(&next)
}

// SetAgentOnline logs an agent in or out. An agent who was added by the API is online as
// soon as a person has accepted. It answers NotFound.
func (s *Simulator) SetAgentOnline(appID, name string, online bool) error {
	return s.withAgent(appID, name, func(_ *account, g *agent) error {
		g.offline = !online
		return nil
	})
}

// AnswerInvitation lets the invited person accept or reject. It answers NotFound, and
// Conflict when no invitation is open.
func (s *Simulator) AnswerInvitation(appID, name string, accept bool) error {
	now := s.clock.Now()
	return s.withAgent(appID, name, func(a *account, g *agent) error {
		if g.inviteStatus(now) != inviteWaiting {
			return fault.New(fault.Conflict, "agent %s has no open invitation", name)
		}
		if !accept {
			g.rejected = true
			return nil
		}
		g.person = g.invited
		a.setAgents(append(slices.Clone(a.config().Agents), g.account))
		return nil
	})
}

func (s *Simulator) withAgent(appID, name string, do func(*account, *agent) error) error {
	a, err := s.account(appID)
	if err != nil {
		return err
	}
	failed := fault.New(fault.NotFound, "no agent %q", name)
	a.changeAgent(name, func(g *agent) int {
		failed = do(a, g)
		return codeOK
	})
	return failed
}

// onlineAgent picks who gets a fan that was transferred to nobody by name; "" when nobody
// is there.
func (s *Simulator) onlineAgent(appID string) string {
	a, err := s.account(appID)
	if err != nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.agents() {
		if g.online() {
			return g.account
		}
	}
	return ""
}

func (g *agent) online() bool { return g.person != "" && !g.offline }

const (
	inviteWaiting  = "waiting"
	inviteRejected = "rejected"
	inviteExpired  = "expired"
)

// inviteStatus is "" for an agent who has a person or was never offered to one.
func (g *agent) inviteStatus(now time.Time) string {
	switch {
	case g.person != "" || g.invited == "":
		return ""
	case g.rejected:
		return inviteRejected
	case now.Unix() >= g.inviteEnds:
		return inviteExpired
	}
	return inviteWaiting
}

var (
	agentNameShape = regexp.MustCompile(`^[0-9A-Za-z]{1,10}$`)
	weChatIDShape  = regexp.MustCompile(`^[A-Za-z][-_0-9A-Za-z]{5,19}$`)
)

// wechatID is the account's own WeChat id, which agents' accounts end in: that of the
// agents it was set up with, else its original id. The account is locked.
func (a *account) wechatID() string {
	cfg := a.config()
	if len(cfg.Agents) > 0 {
		if _, id, ok := strings.Cut(cfg.Agents[0], "@"); ok {
			return id
		}
	}
	return cfg.OriginalID
}

func badNick(nick string) bool { return nick == "" || utf8.RuneCountInString(nick) > maxAgentNick }
