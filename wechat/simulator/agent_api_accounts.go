package simulator

import (
	"encoding/json"
	"slices"
	"strings"

	"hongyan/wechat"
)

// readTexts reads an object that holds exactly the named texts. A missing one is refused
// with 40035, an unknown one with 40097.
func readTexts(body []byte, names ...string) ([]string, int) {
	top, code := parseObject(body)
	if code != codeOK {
		return nil, code
	}
	out := make([]string, len(names))
	for i, name := range names {
		if top[name] == nil {
			return nil, codeBadParameter
		}
		if code := readString(top, name, &out[i]); code != codeOK {
			return nil, code
		}
	}
	if len(top) != len(names) {
		return nil, codeUnknownField
	}
	return out, codeOK
}

// serveAgentAdd is POST /customservice/kfaccount/add.
func (s *Simulator) serveAgentAdd(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	in, code := readTexts(c.body, "kf_account", "nickname")
	if code == codeOK {
		code = a.addAgent(in[0], in[1])
	}
	c.refuse(code)
}

func (a *account) addAgent(name, nick string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	prefix, owner, ok := strings.Cut(name, "@")
	list := a.agents()
	switch {
	case !ok || !agentNameShape.MatchString(prefix) || owner != a.wechatID():
		return codeBadAgentName
	case badNick(nick):
		return codeBadNick
	case a.agent.find(name) != nil:
		return codeAgentExists
	case len(list) >= maxAgents:
		return codeTooManyAgents
	}
	a.agent.add(name, nick)
	return codeOK
}

// serveAgentUpdate is POST /customservice/kfaccount/update.
func (s *Simulator) serveAgentUpdate(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	in, code := readTexts(c.body, "kf_account", "nickname")
	if code == codeOK {
		code = a.changeAgent(in[0], func(g *agent) int {
			if badNick(in[1]) {
				return codeBadNick
			}
			g.nick = in[1]
			return codeOK
		})
	}
	c.refuse(code)
}

// serveAgentDelete is POST /customservice/kfaccount/del. The agent's sessions end.
func (s *Simulator) serveAgentDelete(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	in, code := readTexts(c.body, "kf_account")
	if code == codeOK {
		code = a.changeAgent(in[0], func(g *agent) int {
			a.agent.list = slices.DeleteFunc(a.agent.list, func(x *agent) bool { return x == g })
			a.setAgents(slices.DeleteFunc(slices.Clone(a.config().Agents), func(name string) bool { return name == g.account }))
			return codeOK
		})
	}
	if code == codeOK {
		s.endSessionsOf(a, in[0], c.at)
	}
	c.refuse(code)
}

// serveAgentInvite is POST /customservice/kfaccount/inviteworker.
func (s *Simulator) serveAgentInvite(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	in, code := readTexts(c.body, "kf_account", "invite_wx")
	if code == codeOK {
		code = a.changeAgent(in[0], func(g *agent) int { return a.invite(g, in[1], c) })
	}
	c.refuse(code)
}

// invite offers an agent to a person; the account is locked. The life of an invitation is
// not published.
func (a *account) invite(g *agent, person string, c *call) int {
	switch {
	case !weChatIDShape.MatchString(person):
		return codeBadWeChatID
	case g.person != "":
		return codeAgentHasPerson
	case g.inviteStatus(c.at) == inviteWaiting:
		return codeInviteOpen
	}
	for _, other := range a.agent.list {
		switch {
		case other.person == person:
			return codeAlreadyAgent
		case other.invited == person && other.inviteStatus(c.at) == inviteWaiting:
			return codeAlreadyInvited
		}
	}
	g.invited, g.inviteEnds, g.rejected = person, c.at.Add(inviteLife).Unix(), false
	return codeOK
}

// serveAgentAvatar is POST /customservice/kfaccount/uploadheadimg.
func (s *Simulator) serveAgentAvatar(c *call) {
	a, ok := s.enterAgents(c, "POST")
	if !ok {
		return
	}
	form, code := parseForm(c.form, c.body)
	if code == codeOK {
		code = c.checkQuery("kf_account")
	}
	if code == codeOK {
		code = checkAvatar(&form)
	}
	if code == codeOK {
		code = a.changeAgent(queryValue(c.query, "kf_account"), func(g *agent) int {
			g.avatar = "http://mmbiz.qpic.cn/mmbiz/" + letters(40, s.seed, hashText(string(form.file))) + "/0"
			return codeOK
		})
	}
	c.refuse(code)
}

// checkAvatar takes a JPEG of at most 5 MB.
func checkAvatar(form *mediaForm) int {
	if form.description != nil {
		return codeUnknownField
	}
	return fileRule{
		most: 5 << 20, formats: []wechat.MediaFormat{wechat.FormatJPEG}, sizeCode: codeImageSize, kindCode: codeBadImageFormat,
	}.check(form)
}

// serveAgents is GET /cgi-bin/customservice/getkflist.
func (s *Simulator) serveAgents(c *call) {
	a, ok := s.enterAgents(c, "GET")
	if !ok {
		return
	}
	type row struct {
		Account string `json:"kf_account"`
		Avatar  string `json:"kf_headimgurl"`
		ID      string `json:"kf_id"`
		Nick    string `json:"kf_nick"`
		Person  string `json:"kf_wx,omitempty"`
		Invited string `json:"invite_wx,omitempty"`
		Ends    int64  `json:"invite_expire_time,omitempty"`
		Status  string `json:"invite_status,omitempty"`
	}
	out := struct {
		List []row `json:"kf_list"`
	}{[]row{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.agents() {
		r := row{Account: g.account, Avatar: g.avatar, ID: g.id, Nick: g.nick, Person: g.person}
		if status := g.inviteStatus(c.at); status != "" {
			r.Invited, r.Ends, r.Status = g.invited, g.inviteEnds, status
		}
		out.List = append(out.List, r)
	}
	c.answerJSON(out)
}

// serveAgentsOnline is GET /cgi-bin/customservice/getonlinekflist.
func (s *Simulator) serveAgentsOnline(c *call) {
	a, ok := s.enterAgents(c, "GET")
	if !ok {
		return
	}
	type row struct {
		Account  string      `json:"kf_account"`
		Status   int         `json:"status"`
		ID       json.Number `json:"kf_id"`
		Accepted int         `json:"accepted_case"`
	}
	const webClient = 1
	talks := map[string]int{}
	s.eachSession(a, c.at, func(f *fan) { talks[f.agent]++ })
	out := struct {
		List []row `json:"kf_online_list"`
	}{[]row{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.agents() {
		if g.online() {
			out.List = append(out.List, row{g.account, webClient, json.Number(g.id), talks[g.account]})
		}
	}
	c.answerJSON(out)
}
