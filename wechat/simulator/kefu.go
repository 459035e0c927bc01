package simulator

import (
	"slices"
	"strings"
	"time"
)

const (
	typingTalk = 30 * time.Second // a fan must have acted so recently (45080)
	typingLife = 15 * time.Second // how long a typing state lasts
)

// serveSend is POST /cgi-bin/message/custom/send (platform.md 3.1).
func (s *Simulator) serveSend(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	rules, sw := s.rules.Load(), s.switches.Load()
	m, code := parseKefu(c.body, rules, sw)
	c.kind, c.content = m.kind, m.content
	if m.to != "" {
		c.openID = m.to
	}
	if code == codeOK {
		code = a.checkParts(&m, sw, c.at)
	}
	if code != codeOK {
		s.countFor(m.to)
		c.refuse(code)
		return
	}
	arrival := Arrival{
		AppID: c.appID, OpenID: m.to, Via: ViaKefu, Kind: m.kind, Content: m.content,
		Key: s.key(m.kind, m.content), At: c.at, Call: c.seq,
	}
	if code := s.deliver(a, &arrival, sw); code != codeOK {
		c.refuse(code)
		return
	}
	c.accepted = true
	s.hooks.tell(arrival)
}

// checkParts checks what a message refers to.
func (a *account) checkParts(m *kefuMessage, sw *Switches, at time.Time) int {
	if m.agent != "" && !slices.Contains(a.config().Agents, m.agent) {
		return codeBadAgent
	}
	if !a.kefuMediaUsable(m, sw, at) {
		return codeBadMediaID
	}
	if sw.KnownArticles && m.kind == "mpnewsarticle" && !a.knowsArticle(m.article, at) {
		return codeBadArticleID
	}
	return codeOK
}

// countFor counts a refused call for the fan it names, if there is one.
func (s *Simulator) countFor(openID string) {
	shard := s.fans.shard(openID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if f, ok := shard.m[openID]; ok {
		f.calls++
	}
}

// deliver spends the fan's grant and hands the message over, in one step.
func (s *Simulator) deliver(a *account, arrival *Arrival, sw *Switches) int {
	shard := s.fans.shard(arrival.OpenID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	f, ok := shard.m[arrival.OpenID]
	if !ok || f.account != a {
		return codeBadOpenID
	}
	f.calls++
	if code := f.reachable(sw); code != codeOK {
		return code
	}
	if code := f.grants.spend(sw.Grants, arrival.At.UnixMilli()); code != codeOK {
		return code
	}
	f.typingUntil = 0
	s.hand(f, arrival)
	return codeOK
}

// reachable says whether messages may reach the fan at all.
func (f *fan) reachable(sw *Switches) int {
	switch {
	case !f.subscribed:
		return sw.NotFan
	case f.blacklisted:
		return codeBlacklisted
	case f.limited:
		return codeFanLimited
	case f.blocked:
		return codeFanBlocks
	}
	return codeOK
}

// serveTyping is POST /cgi-bin/message/custom/typing.
func (s *Simulator) serveTyping(c *call) {
	a, ok := s.enter(c, "POST", true)
	if !ok {
		return
	}
	top, code := parseObject(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	var to, command string
	switch {
	case readString(top, "touser", &to) != codeOK, readString(top, "command", &command) != codeOK:
		c.refuse(codeBadJSON)
	case command != "Typing" && command != "CancelTyping":
		c.refuse(codeTypingCommand)
	case len(top) != 2:
		c.refuse(codeUnknownField)
	default:
		c.openID, c.kind = to, command
		c.refuse(s.typing(a, to, command == "Typing", c.at))
	}
}

func (s *Simulator) typing(a *account, openID string, on bool, at time.Time) int {
	shard := s.fans.shard(openID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	f, ok := shard.m[openID]
	if !ok || f.account != a {
		return codeBadOpenID
	}
	ms := at.UnixMilli()
	if code := f.reachable(s.switches.Load()); code != codeOK {
		return code
	}
	switch {
	case f.lastAct == 0 || ms-f.lastAct > typingTalk.Milliseconds():
		return codeTypingNoTalk
	case on && f.typingUntil > ms:
		return codeTypingAlready
	case on:
		f.typingUntil = ms + typingLife.Milliseconds()
	default:
		f.typingUntil = 0
	}
	return codeOK
}

// checkLinks checks the <a> tags of a text: where they lead and the mini-program they open.
func checkLinks(text string) int {
	for {
		i := strings.Index(text, "<a ")
		if i < 0 {
			return codeOK
		}
		tag, rest, ok := strings.Cut(text[i+3:], ">")
		if !ok {
			return codeBadHref
		}
		href, found := attribute(tag, "href")
		leads := isWeb(href) || strings.HasPrefix(href, "weixin://") || strings.HasPrefix(href, "tel:")
		if !found || !leads {
			return codeBadHref
		}
		if id, found := attribute(tag, "data-miniprogram-appid"); found && !appIDShape.MatchString(id) {
			return codeBadMiniAppID
		}
		text = rest
	}
}

// attribute reads name="value" or name='value' of a tag.
func attribute(tag, name string) (string, bool) {
	i := strings.Index(tag, name+"=")
	if i < 0 {
		return "", false
	}
	value := tag[i+len(name)+1:]
	if value == "" || (value[0] != '"' && value[0] != '\'') {
		return "", false
	}
	out, _, ok := strings.Cut(value[1:], value[:1])
	return out, ok
}
