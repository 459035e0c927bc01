package simulator

import (
	"context"
	"net/http"

	"hongyan/internal/fault"
	"hongyan/wechat/callback"
)

// serveNoticeSend is POST /cgi-bin/message/subscribe/bizsend (platform.md 4.6).
func (s *Simulator) serveNoticeSend(c *call) {
	a, ok := s.enterService(c, http.MethodPost)
	if !ok {
		return
	}
	m, refused := parseCard(c.body, "page")
	c.kind, c.openID = string(ViaNotice), m.to
	if refused.code == codeOK && m.link != "" && !isWeb(m.link) {
		refused = refusedBy(codeBadNoticePage)
	}
	if refused.code != codeOK {
		s.refuseFor(c, refused)
		return
	}
	t := &templateSending{account: a, card: m, at: c.at, sw: s.switches.Load()}
	if refused = s.acceptNotice(t, c.seq); refused.code != codeOK {
		s.refuseFor(c, refused)
		return
	}
	c.content = t.shown
	s.finishCard(a, t.push, t.arrival, t.sw)
}

func (s *Simulator) acceptNotice(t *templateSending, seq uint64) templateRefusal {
	a := t.account
	a.mu.Lock()
	defer a.mu.Unlock()
	t.tpl = findTemplate(a.notice.private, t.card.template)
	var refused templateRefusal
	if t.shown, refused = a.checkCard(t.tpl, &t.card, t.sw); refused.code != codeOK {
		return refused
	}
	return refusedBy(s.accountFan(a, t.card.to, codeBadOpenID, func(f *fan) int { return s.sendNotice(t, f, seq) }))
}

// sendNotice spends a consent and hands the notice over; account and fan are locked. That somebody follows is not
// asked for, unless a switch says so.
func (s *Simulator) sendNotice(t *templateSending, f *fan, seq uint64) int {
	st, faults := &t.account.notice, &t.account.template.faults
	key := [2]string{f.openID, t.tpl.ID}
	switch {
	case t.sw.NoticeNeedsFan && !f.subscribed:
		return codeRequireSubscribe
	case f.limited:
		return codeFanLimited
	case st.consents[key] == 0:
		return codeNoticeRefused
	}
	if !t.tpl.LongTerm {
		st.consents[key]--
	}
	result := callback.NoticeResult{TemplateID: t.tpl.ID, MsgID: s.templateMsgID(t.account), ErrorStatus: statusSuccess}
	switch {
	case f.blocked:
		result.ErrorCode, result.ErrorStatus = codeFanBlocks, errText(codeFanBlocks)
	case faults.systemFailed(s.seed, result.MsgID):
		result.ErrorCode, result.ErrorStatus = codeBusy, errText(codeBusy)
	default:
		t.arrival = s.handCard(f, ViaNotice, t.shown, t.at, seq)
	}
	if !faults.noReceipt(s.seed, result.MsgID) {
		t.push = s.receiptPush(f, event("subscribe_msg_sent_event",
			callback.NoticeResults{List: []callback.NoticeResult{result}}), t.at, t.sw)
	}
	return codeOK
}

// AnswerPopup lets a person answer the pop-up that asks for consent to notices: each acceptance allows one notice of its
// template, or any number of a long-term one. The event is pushed before it returns. It answers NotFound for an
// unknown person or template.
func (s *Simulator) AnswerPopup(ctx context.Context, openID string, answers ...callback.Consent) (Push, error) {
	return s.consent(ctx, openID, "subscribe_msg_popup_event", callback.Consents{List: answers})
}

// RejectNotices lets a person refuse templates in the settings of the account, which ends their consents. The event is
// pushed before it returns. It answers as AnswerPopup does.
func (s *Simulator) RejectNotices(ctx context.Context, openID string, templateIDs ...string) (Push, error) {
	changed := callback.Consents{Changed: true}
	for _, id := range templateIDs {
		changed.List = append(changed.List, callback.Consent{TemplateID: id})
	}
	return s.consent(ctx, openID, "subscribe_msg_change_event", changed)
}

func (s *Simulator) consent(ctx context.Context, openID, name string, answers callback.Consents) (Push, error) {
	var a *account
	var p *Push
	err := s.withFan(openID, func(f *fan) { a = f.account })
	if err != nil {
		return Push{}, err
	}
	a.mu.Lock()
	err = a.noteConsents(openID, answers)
	a.mu.Unlock()
	if err != nil {
		return Push{}, err
	}
	var failed error
	err = s.withFan(openID, func(f *fan) {
		p, failed = s.newPush(f, ActKind(name), event(name, answers), s.clock.Now())
	})
	if err != nil {
		return Push{}, err
	}
	if failed != nil {
		return Push{}, failed
	}
	return s.deliverPush(ctx, p), nil
}

// noteConsents applies a person's answers, all or none; the account is locked.
func (a *account) noteConsents(openID string, answers callback.Consents) error {
	for _, one := range answers.List {
		if findTemplate(a.notice.private, one.TemplateID) == nil {
			return fault.New(fault.NotFound, "no notice template %q", one.TemplateID)
		}
	}
	if a.notice.consents == nil {
		a.notice.consents = map[[2]string]int{}
	}
	for _, one := range answers.List {
		key := [2]string{openID, one.TemplateID}
		switch {
		case one.Accepted:
			a.notice.consents[key]++
		case answers.Changed:
			delete(a.notice.consents, key)
		}
	}
	return nil
}

// NoticeConsents is how many notices of a template may still be sent to a person; of a long-term one, more than 0 means
// any number. It answers NotFound.
func (s *Simulator) NoticeConsents(openID, templateID string) (int, error) {
	var a *account
	if err := s.withFan(openID, func(f *fan) { a = f.account }); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.notice.consents[[2]string{openID, templateID}], nil
}
