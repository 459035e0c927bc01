package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"hongyan/wechat"
)

// serveMassPreview is POST /cgi-bin/message/mass/preview (platform.md 5.3).
func (s *Simulator) serveMassPreview(c *call) {
	a, ok := s.enterMass(c)
	if !ok {
		return
	}
	m, code := parseMass(c.body, massToOne, s.massIDBytes())
	c.kind, c.content = m.kind, m.content
	if code == codeOK {
		code = a.previewParts(&m, c.at, s.switches.Load().StrictMedia)
	}
	if code == codeOK {
		code = s.preview(c, a, &m)
	}
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.answer = fmt.Appendf(nil, `{"errcode":0,"errmsg":"preview success","msg_id":%d}`, firstMassID+c.seq)
}

func (a *account) previewParts(m *massCall, at time.Time, strict bool) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, code := a.massParts(m, at, strict)
	return code
}

// preview shows a message to its one receiver.
func (s *Simulator) preview(c *call, a *account, m *massCall) int {
	to, bad := m.openIDs[0], codeBadOpenID
	if m.wxName != "" {
		to, bad = a.wxName(m.wxName), codeMassBadWxName
	}
	c.openID = to
	arrival := Arrival{
		AppID: c.appID, OpenID: to, Via: ViaPreview, Kind: m.kind, Content: m.content,
		Key: s.key(m.kind, m.content), At: c.at, Call: c.seq,
	}
	shard := s.fans.shard(to)
	shard.mu.Lock()
	f, ok := shard.m[to]
	code := codeOK
	switch {
	case !ok || f.account != a:
		code = bad
	case !f.subscribed:
		code = codeRequireSubscribe
	default:
		arrival.Seq = s.arrivals.Add(1)
		if s.record.mode != RecordCompact {
			f.arrivals = append(f.arrivals, arrival)
		}
	}
	shard.mu.Unlock()
	if code == codeOK {
		s.hooks.tell(arrival)
	}
	return code
}

func (a *account) wxName(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mass.wxNames[name]
}

// serveMassDelete is POST /cgi-bin/message/mass/delete (platform.md 5.3).
func (s *Simulator) serveMassDelete(c *call) {
	a, ok := s.enterMass(c)
	if !ok {
		return
	}
	in, code := parseMassDelete(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	c.refuse(a.deleteMass(in))
}

// massDelete names the articles whose page goes.
type massDelete struct {
	id      int64
	article int
	url     string
}

func parseMassDelete(body []byte) (in massDelete, code int) {
	top, code := parseObject(body)
	if code != codeOK {
		return in, code
	}
	for name, raw := range top {
		var n int64
		switch name {
		case "url":
			code = readString(top, name, &in.url)
		case "msg_id":
			in.id, code = readWhole(raw)
		case "article_idx":
			if n, code = readWhole(raw); code == codeOK && (n < 0 || n > wechat.MaxDraftArticles) {
				code = codeMassNoArticle
			}
			in.article = int(n)
		default:
			code = codeUnknownField
		}
		if code != codeOK {
			return in, code
		}
	}
	if in.id == 0 && in.url == "" {
		return in, codeMassNoJob
	}
	return in, codeOK
}

// deleteMass takes pages away. Taking away what is gone changes nothing.
func (a *account) deleteMass(in massDelete) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	j, article := a.mass.find(in)
	switch {
	case j == nil:
		return codeMassNoJob
	case j.kind != "mpnews" && j.kind != "mpvideo":
		return codeMassUndeletable
	case j.status != massSuccess:
		return codeMassBadState
	case article > len(j.gone):
		return codeMassNoArticle
	}
	for i := range j.gone {
		j.gone[i] = j.gone[i] || article == 0 || article == i+1
	}
	return codeOK
}

// find returns the send with an id, or with an article at an address, and the article's
// number. The account is locked.
func (st *massState) find(in massDelete) (*massJob, int) {
	if in.url == "" {
		if n := in.id - firstMassID; n >= 0 && n < int64(len(st.jobs)) {
			return st.jobs[n], in.article
		}
		return nil, 0
	}
	for _, j := range st.jobs {
		for i := range j.gone {
			if j.draft != "" && j.address(i+1) == in.url {
				return j, i + 1
			}
		}
	}
	return nil, 0
}

// serveMassGet is POST /cgi-bin/message/mass/get (platform.md 5.3).
func (s *Simulator) serveMassGet(c *call) {
	a, ok := s.enterMass(c)
	if !ok {
		return
	}
	id, code := parseMassGet(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	j, _ := a.mass.find(massDelete{id: id})
	if j == nil {
		c.refuse(codeMassNoJob)
		return
	}
	c.answer = fmt.Appendf(nil, `{"msg_id":%d,"msg_status":%q}`, j.id, j.state())
}

// parseMassGet reads {"msg_id":"201053012"}: a number in a text.
func parseMassGet(body []byte) (int64, int) {
	var text string
	top, code := parseObject(body)
	if code == codeOK {
		code = readString(top, "msg_id", &text)
	}
	if code != codeOK {
		return 0, code
	}
	if code := onlyMembers(top, "msg_id"); code != codeOK {
		return 0, code
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, codeMassNoJob
	}
	return id, codeOK
}

// state is the platform's word for where a send stands. The account is locked.
func (j *massJob) state() string {
	switch {
	case j.step != massOver:
		return "SENDING"
	case !slices.Contains(j.gone, false):
		return "DELETE"
	case j.status == massSuccess:
		return "SEND_SUCCESS"
	}
	return "SEND_FAIL"
}

// serveMassSpeedGet is POST /cgi-bin/message/mass/speed/get; its body is empty or {}.
func (s *Simulator) serveMassSpeedGet(c *call) {
	a, ok := s.enterMass(c)
	if !ok {
		return
	}
	if len(c.body) > 0 {
		top, code := parseObject(c.body)
		if code == codeOK {
			code = onlyMembers(top)
		}
		if code != codeOK {
			c.refuse(code)
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.answer = fmt.Appendf(nil, `{"speed":%d,"realspeed":%d}`, a.mass.speed, massRates[a.mass.speed])
}

// serveMassSpeedSet is POST /cgi-bin/message/mass/speed/set. It holds for later sends.
func (s *Simulator) serveMassSpeedSet(c *call) {
	a, ok := s.enterMass(c)
	if !ok {
		return
	}
	level, code := parseMassSpeed(c.body)
	if code != codeOK {
		c.refuse(code)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mass.speed = level
}

func parseMassSpeed(body []byte) (int, int) {
	top, code := parseObject(body)
	if code != codeOK {
		return 0, code
	}
	if code := onlyMembers(top, "speed"); code != codeOK {
		return 0, code
	}
	raw, ok := top["speed"]
	if !ok {
		return 0, codeMassSpeedAbsent
	}
	level, code := readWhole(raw)
	switch {
	case code != codeOK:
		return 0, code
	case level < 0 || level >= int64(len(massRates)):
		return 0, codeMassSpeedRange
	}
	return int(level), codeOK
}
