package simulator

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	maxWaitingRows = 100
	maxChatPage    = 10_000
	maxChatRange   = 24 * 3600 // seconds
	chatAgent      = 2002      // the agent spoke
	chatFan        = 2003
)

// serveSessionOpen is POST /customservice/kfsession/create.
func (s *Simulator) serveSessionOpen(c *call) {
	s.serveSessionChange(c, func(f *fan, name string, now time.Time) (*Push, int) {
		switch {
		case !f.subscribed:
			return nil, codeRequireSubscribe
		case f.agent == name:
			return nil, codeOK
		case f.agent != "":
			return nil, codeOtherAgent
		}
		return pushOrBusy(s.startSession(f, name, now))
	}, (*agent).mayTalk)
}

// serveSessionClose is POST /customservice/kfsession/close.
func (s *Simulator) serveSessionClose(c *call) {
	s.serveSessionChange(c, func(f *fan, name string, now time.Time) (*Push, int) {
		switch f.agent {
		case "":
			return nil, codeNoSession
		case name:
			return pushOrBusy(s.endSession(f, now))
		}
		return nil, codeOtherAgent
	}, func(*agent) int { return codeOK })
}

func pushOrBusy(p *Push, err error) (*Push, int) {
	if err != nil {
		return nil, codeBusy
	}
	return p, codeOK
}

func (g *agent) mayTalk() int {
	switch {
	case g.person == "":
		return codeAgentNoPerson
	case g.offline:
		return codeAgentOffline
	}
	return codeOK
}

// serveSessionChange reads who is meant, ends a session that has run out, and changes what
// is left. The events follow in the background.
func (s *Simulator) serveSessionChange(
	c *call, change func(f *fan, name string, now time.Time) (*Push, int), check func(*agent) int,
) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	in, code := readTexts(c.body, "kf_account", "openid")
	if code == codeOK {
		c.openID = in[1]
		code = a.changeAgent(in[0], check)
	}
	var pushes []*Push
	if code == codeOK {
		code = s.accountFan(a, in[1], codeBadOpenID, func(f *fan) int {
			pushes = append(pushes, s.endIdleSession(f, c.at))
			p, code := change(f, in[0], c.at)
			pushes = append(pushes, p)
			return code
		})
	}
	s.announce(pushes...)
	c.refuse(code)
}

// announce delivers pushes in the background, those of one fan in order; nil ones are left out.
func (s *Simulator) announce(pushes ...*Push) {
	for _, p := range pushes {
		if p == nil {
			continue
		}
		if err := s.push.enqueue(s.push.base, s, p); err != nil {
			p.Outcome, p.Reason = OutcomeNotPushed, err.Error()
			s.record.pushed(p)
		}
	}
}

// endSessionsOf ends the sessions of an agent who is gone.
func (s *Simulator) endSessionsOf(a *account, name string, now time.Time) {
	var pushes []*Push
	s.eachSession(a, now, func(f *fan) {
		if f.agent != name {
			return
		}
		if p, err := s.endSession(f, now); err == nil { // a KfSession can always be written
			pushes = append(pushes, p)
		}
	})
	s.announce(pushes...)
}

// eachSession visits the fans of an account who talk to an agent, locked, in order of creation.
func (s *Simulator) eachSession(a *account, now time.Time, visit func(*fan)) {
	s.eachFanOf(a, func(f *fan) {
		if f.agent != "" && !f.sessionIsIdle(now) {
			visit(f)
		}
	})
}

func (s *Simulator) eachFanOf(a *account, visit func(*fan)) {
	for _, f := range a.fanList() {
		shard := s.fans.shard(f.openID)
		shard.mu.Lock()
		visit(f)
		shard.mu.Unlock()
	}
}

// serveSessionGet is GET /customservice/kfsession/getsession.
func (s *Simulator) serveSessionGet(c *call) {
	a, ok := s.enterAgents(c, "GET")
	if !ok {
		return
	}
	if code := c.checkQuery("openid"); code != codeOK {
		c.refuse(code)
		return
	}
	var out struct {
		Created int64  `json:"createtime"`
		Agent   string `json:"kf_account"`
	}
	c.openID = queryValue(c.query, "openid")
	code := s.accountFan(a, c.openID, codeBadOpenID, func(f *fan) int {
		if f.agent != "" && !f.sessionIsIdle(c.at) {
			out.Created, out.Agent = f.agentSince/1000, f.agent
		}
		return codeOK
	})
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answerJSON(out)
}

// serveSessionList is GET /customservice/kfsession/getsessionlist.
func (s *Simulator) serveSessionList(c *call) {
	a, ok := s.enterAgents(c, "GET")
	if !ok {
		return
	}
	name := queryValue(c.query, "kf_account")
	code := c.checkQuery("kf_account")
	if code == codeOK {
		code = a.changeAgent(name, func(*agent) int { return codeOK })
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	type row struct {
		Created int64  `json:"createtime"`
		OpenID  string `json:"openid"`
	}
	out := struct {
		List []row `json:"sessionlist"`
	}{[]row{}}
	s.eachSession(a, c.at, func(f *fan) {
		if f.agent == name {
			out.List = append(out.List, row{f.agentSince / 1000, f.openID})
		}
	})
	slices.SortStableFunc(out.List, func(x, y row) int { return cmp.Compare(x.Created, y.Created) })
	c.answerJSON(out)
}

// serveSessionWaiting is GET /customservice/kfsession/getwaitcase.
func (s *Simulator) serveSessionWaiting(c *call) {
	a, ok := s.enterAgents(c, "GET")
	if !ok {
		return
	}
	type row struct {
		Latest int64  `json:"latest_time"`
		OpenID string `json:"openid"`
		since  int64
	}
	out := struct {
		Count int   `json:"count"`
		List  []row `json:"waitcaselist"`
	}{List: []row{}}
	s.eachFanOf(a, func(f *fan) {
		if f.waitSince != 0 && f.subscribed {
			out.List = append(out.List, row{f.lastAct / 1000, f.openID, f.waitSince})
		}
	})
	slices.SortStableFunc(out.List, func(x, y row) int { return cmp.Compare(x.since, y.since) })
	out.Count = len(out.List)
	out.List = out.List[:min(len(out.List), maxWaitingRows)]
	c.answerJSON(out)
}

// chatLog is what agents and fans of an account said. Its mutex is taken last of all.
type chatLog struct {
	mu    sync.Mutex
	lines []chatLine
}

type chatLine struct {
	OpenID    string `json:"openid"`
	Operation int    `json:"opercode"`
	Text      string `json:"text"`
	Time      int64  `json:"time"` // unix s
	Agent     string `json:"worker"`
}

// note keeps what was said in the session of a fan, who is locked.
func (s *Simulator) note(f *fan, operation int, text string, now time.Time) {
	if s.record.mode == RecordCompact {
		return
	}
	log := &f.account.agent.chat
	log.mu.Lock()
	defer log.mu.Unlock()
	log.lines = append(log.lines, chatLine{f.openID, operation, text, now.Unix(), f.agent})
}

// chatText is how chat records show a fan's message.
func chatText(a Act) string {
	switch a.Kind {
	case ActText, ActTap:
		return a.Text
	case ActShortVideo:
		return "[video]"
	default:
		return "[" + string(a.Kind) + "]"
	}
}

// chatQuery asks for records. A cursor is the place of the first record to look at, plus
// one: the first is 1, as on the platform, and others come from the page before.
type chatQuery struct {
	from, to, cursor, number int64
}

func parseChatQuery(body []byte) (q chatQuery, code int) {
	top, code := parseObject(body)
	if code != codeOK {
		return q, code
	}
	numbers := [...]*int64{&q.from, &q.to, &q.cursor, &q.number}
	for i, name := range []string{"starttime", "endtime", "msgid", "number"} {
		raw, ok := top[name]
		switch {
		case !ok:
			return q, codeBadRecordQuery
		case string(raw) == "null" || json.Unmarshal(raw, numbers[i]) != nil:
			return q, codeBadJSON
		}
	}
	switch {
	case len(top) != len(numbers):
		return q, codeUnknownField
	case q.from < 0, q.to <= q.from, q.cursor < 1, q.number < 1, q.number > maxChatPage:
		return q, codeBadRecordQuery
	case q.to-q.from > maxChatRange:
		return q, codeRecordRange
	}
	return q, codeOK
}

// serveChatRecords is POST /customservice/msgrecord/getmsglist.
func (s *Simulator) serveChatRecords(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	q, code := parseChatQuery(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	lines, next := a.agent.chat.page(q)
	c.answerJSON(struct {
		List   []chatLine `json:"recordlist"`
		Number int        `json:"number"`
		MsgID  int64      `json:"msgid"`
	}{lines, len(lines), next})
}

func (l *chatLog) page(q chatQuery) (lines []chatLine, next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, next = []chatLine{}, q.cursor
	for i := q.cursor - 1; i < int64(len(l.lines)) && int64(len(lines)) < q.number; i++ {
		if line := l.lines[i]; line.Time >= q.from && line.Time <= q.to {
			lines = append(lines, line)
			next = i + 2
		}
	}
	return lines, next
}
