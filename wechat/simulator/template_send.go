package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"hongyan/wechat/callback"
)

// ViaTemplate and ViaNotice are the ways of template messages and of subscription notices.
const (
	ViaTemplate Via = "template"
	ViaNotice   Via = "notice"
)

// What a receipt says (platform.md 2.5).
const (
	statusSuccess      = "success"
	statusUserBlock    = "failed:user block"
	statusFreqLimit    = "failed:freq limit"
	statusSystemFailed = "failed: system failed"
)

// firstTemplateMsgID keeps msgids beyond 2^53, as on the platform.
const firstTemplateMsgID = 3_000_000_000_000_000_000

// templateWindow is how long a client_msg_id is remembered: the common reading (platform.md 13.3).
const templateWindow = 10 * time.Minute

// templateRepeats remembers what was accepted with a client_msg_id.
type templateRepeats struct {
	by    map[string]int64 // fan and id -> msgid
	order []templateRepeat // oldest first
}

type templateRepeat struct {
	key string
	at  time.Time
}

// find forgets what is older than window and returns the msgid of a key, 0 without one.
func (r *templateRepeats) find(key string, at time.Time, window time.Duration) int64 {
	old := 0
	for old < len(r.order) && at.Sub(r.order[old].at) >= window {
		delete(r.by, r.order[old].key)
		old++
	}
	clear(r.order[:old]) // lets go of the keys
	r.order = r.order[old:]
	return r.by[key]
}

func (r *templateRepeats) note(key string, at time.Time, msgID int64) {
	if r.by == nil {
		r.by = map[string]int64{}
	}
	r.by[key] = msgID
	r.order = append(r.order, templateRepeat{key, at})
}

// templateSending is a template message on its way.
type templateSending struct {
	account *account
	card    templateCard
	at      time.Time
	sw      *Switches
	tpl     *privateTemplate
	shown   string
	msgID   int64
	status  string
	push    *Push // nil when no receipt comes
	arrival *Arrival
}

// serveTemplateSend is POST /cgi-bin/message/template/send (platform.md 4.1).
func (s *Simulator) serveTemplateSend(c *call) {
	a, ok := s.enterService(c, http.MethodPost)
	if !ok {
		return
	}
	m, refused := parseCard(c.body, "url")
	c.kind, c.openID = string(ViaTemplate), m.to
	if refused.code != codeOK {
		s.refuseFor(c, refused)
		return
	}
	t := &templateSending{account: a, card: m, at: c.at, sw: s.switches.Load()}
	before, refused := s.acceptTemplate(t, c.seq)
	switch {
	case before != 0 && t.sw.TemplateRepeat == RepeatOK:
		c.answer = templateAnswer(before)
	case before != 0:
		c.refuse(codeTemplateRepeat)
		c.answer = refusalBody(templateRefusal{codeTemplateRepeat, "clientmsgid exist"},
			requestID(c.at.Unix(), s.seed, c.seq), fmt.Sprintf(`,"msgid":%d`, before))
	case refused.code != codeOK:
		s.refuseFor(c, refused)
	default:
		c.content, c.answer = t.shown, templateAnswer(t.msgID)
		s.finishCard(a, t.push, t.arrival, t.sw)
	}
}

func templateAnswer(msgID int64) []byte {
	return fmt.Appendf(nil, `{"errcode":0,"errmsg":"ok","msgid":%d}`, msgID)
}

// finishCard tells of an arrival and hands the receipt on; no lock is held.
func (s *Simulator) finishCard(a *account, push *Push, arrival *Arrival, sw *Switches) {
	if arrival != nil {
		s.hooks.tell(*arrival)
	}
	if push != nil {
		s.receipt(a, push, sw)
	}
}

// acceptTemplate judges a message and sends it. before is the msgid of the message that was sent under the same
// client_msg_id, 0 for none.
func (s *Simulator) acceptTemplate(t *templateSending, seq uint64) (before int64, _ templateRefusal) {
	a, st := t.account, &t.account.template
	a.mu.Lock()
	defer a.mu.Unlock()
	key := t.card.to + "\x00" + t.card.clientID
	remembers := t.card.clientID != "" && t.sw.TemplateRepeat != RepeatSends
	if remembers {
		if before = st.repeats.find(key, t.at, t.sw.templateWindow()); before != 0 {
			return before, templateRefusal{}
		}
	}
	t.tpl = findTemplate(st.private, t.card.template)
	var refused templateRefusal
	if t.shown, refused = a.checkCard(t.tpl, &t.card, t.sw); refused.code != codeOK {
		return 0, refused
	}
	if code := s.accountFan(a, t.card.to, codeBadOpenID, func(f *fan) int { return s.sendTemplate(t, f, seq) }); code != codeOK {
		return 0, refusedBy(code)
	}
	if remembers {
		st.repeats.note(key, t.at, t.msgID)
	}
	return 0, templateRefusal{}
}

// checkCard checks what a message or notice says against its template; the account is locked.
func (a *account) checkCard(t *privateTemplate, m *templateCard, sw *Switches) (string, templateRefusal) {
	switch {
	case t == nil:
		return "", refusedBy(codeBadTemplateID)
	case t.state == TemplateBanned:
		return "", refusedBy(codeTemplateBanned)
	case t.state == TemplateDisabled:
		return "", refusedBy(codeTemplateDisabled)
	case m.mini && !slices.Contains(a.template.linked, m.miniApp):
		return "", refusedBy(codeNotLinked)
	}
	shown, refused := t.fill(m.data, sw)
	if refused.code != codeOK {
		return "", refused
	}
	for _, word := range a.marketingWords() {
		if strings.Contains(shown, word) {
			return "", refusedBy(codeMarketing)
		}
	}
	return shown, templateRefusal{}
}

// sendTemplate judges the fan, hands the message over and prepares the receipt; account and fan are locked.
func (s *Simulator) sendTemplate(t *templateSending, f *fan, seq uint64) int {
	st := &t.account.template
	off := st.off[[2]string{f.openID, t.tpl.ID}]
	last, tooOften := st.lastToFan[f.openID], false
	if gap := time.Duration(t.sw.TemplateGap); gap > 0 && !last.IsZero() {
		tooOften = t.at.Sub(last) < gap
	}
	switch {
	case !f.subscribed:
		return codeRequireSubscribe
	case f.blacklisted:
		return codeBlacklisted
	case f.limited:
		return codeFanLimited
	case off && t.sw.TemplateRefuses:
		return codeNoticeRefused
	case tooOften && !t.sw.TemplateGapLater:
		return codeFanTooOften
	}
	t.msgID = s.templateMsgID(t.account)
	t.status = statusSuccess
	switch {
	case off || f.blocked:
		t.status = statusUserBlock
	case tooOften:
		t.status = statusFreqLimit
	case st.faults.systemFailed(s.seed, t.msgID):
		t.status = statusSystemFailed
	default:
		if st.lastToFan == nil {
			st.lastToFan = map[string]time.Time{}
		}
		st.lastToFan[f.openID] = t.at
		t.arrival = s.handCard(f, ViaTemplate, t.shown, t.at, seq)
	}
	if st.faults.noReceipt(s.seed, t.msgID) {
		return codeOK
	}
	t.push = s.receiptPush(f, event("templatesendjobfinish", callback.TemplateResult{MsgID: t.msgID, Status: t.status}), t.at, t.sw)
	return codeOK
}

// templateMsgID numbers the accepted messages and notices of an account; the account is locked.
func (s *Simulator) templateMsgID(a *account) int64 {
	a.template.accepted++
	return firstTemplateMsgID + int64(hashText(a.config().AppID)%1_000_000)*1_000_000_000_000 + int64(a.template.accepted)
}

// handCard puts a message into the fan's chat; the fan is locked.
func (s *Simulator) handCard(f *fan, via Via, shown string, at time.Time, seq uint64) *Arrival {
	arrival := &Arrival{
		AppID: f.account.config().AppID, OpenID: f.openID, Via: via, Kind: string(via), Content: shown,
		Key: s.key(string(via), shown), At: at, Call: seq,
	}
	s.hand(f, arrival)
	return arrival
}
