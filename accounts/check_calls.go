package accounts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"hongyan/internal/fault"
	"hongyan/wechat"
)

// silence keeps count of calls that were not answered, so that a platform that is away is one finding and costs two
// probes' time.
type silence struct {
	gaveUp bool // a refusal concerns all calls
	inARow int
	apis   []string
	cause  string
}

// giveUpAfter unanswered calls in a row the platform counts as away.
const giveUpAfter = 2

func (s *silence) over(ctx context.Context) bool {
	return s.ended() || ctx.Err() != nil
}

// ended reports whether further calls are senseless, however much time there is.
func (s *silence) ended() bool { return s.gaveUp || s.inARow >= giveUpAfter }

// ask makes one call. refused is the platform's answer when it said no; heard is false when it said nothing that can be
// relied on. err is a fault of ours.
func (r *checkRun) ask(ctx context.Context, call func(ctx context.Context) error) (refused *wechat.Error, heard bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.c.o.Probe)
	defer cancel()
	if err = call(ctx); err == nil {
		r.silent.inARow = 0
		return nil, true, nil
	}
	refused, ok := errors.AsType[*wechat.Error](err)
	if !ok {
		return nil, false, err
	}
	if ours, ok := errors.AsType[*fault.Error](refused.Err); ok {
		return nil, false, ours // the store of tokens
	}
	if says(refused) {
		r.silent.inARow = 0
		return refused, true, nil
	}
	r.silent.inARow++
	r.silent.apis, r.silent.cause = append(r.silent.apis, refused.API), causeOf(refused)
	return nil, false, nil
}

// says reports whether an error says something about the account: -1 is the platform's "busy", and no code no answer.
func says(e *wechat.Error) bool {
	_, ticket := errors.AsType[*wechat.TicketError](e.Err)
	return e.Code > 0 || e.TokenRefused || ticket || errors.Is(e.Err, wechat.ErrNotAuthorised)
}

// maxCause bounds the text of a failure that is stored.
const maxCause = 200

func causeOf(e *wechat.Error) string {
	text := strings.ToValidUTF8(e.Error(), "")
	for i := range text {
		if i >= maxCause {
			return text[:i]
		}
	}
	return text
}

// access gets an access token, which shows AppID, AppSecret and whitelist at work.
func (r *checkRun) access(ctx context.Context) error {
	if err := r.ticket(ctx); err != nil {
		return err
	}
	for !r.silent.over(ctx) {
		refused, heard, err := r.ask(ctx, func(ctx context.Context) error {
			_, err := r.client.Token(ctx, r.platform)
			return err
		})
		switch {
		case err != nil:
			return err
		case refused != nil:
			r.refusedAccess(refused)
			return nil
		case heard:
			r.granted = true
			return nil
		}
	}
	return nil
}

// ticketLate is the age from which on a verify ticket is missed: one comes every ten minutes (platform.md 1.5).
const ticketLate = time.Hour

// ticket looks for the component's verify ticket. Tokens that were got with an older one hide for hours that it is
// missing.
func (r *checkRun) ticket(ctx context.Context) error {
	if r.platform.Component == nil {
		return nil
	}
	ticket, err := r.platform.Component.Store.Ticket(ctx)
	if err != nil {
		return err
	}
	if ticket.Value == "" || r.now.Sub(ticket.At) >= ticketLate {
		f := r.add(findTicketMissing, map[string]string{"component": r.platform.Component.AppID, "at": beijing(ticket.At)})
		if ticket.Value != "" && r.now.Sub(ticket.At) < wechat.TicketLife {
			f.Severity = SeverityWarning // what there is works for now
		}
	}
	return nil
}

// refusedAccess notes a refusal that concerns the account as a whole: each further call would only repeat it.
func (r *checkRun) refusedAccess(refused *wechat.Error) {
	r.silent.gaveUp, r.granted = true, false
	code, ok := accessFinding(refused)
	if !ok {
		code = findRefused
	}
	if r.found(code) {
		return
	}
	values := map[string]string{"api": refused.API, "errmsg": refused.Msg}
	if r.platform.Component != nil {
		values["component"] = r.platform.Component.AppID
	}
	if code == findIPNotListed || code == findComponentIP {
		if address, ok := refusedAddress(refused.Msg); ok {
			values["ip"] = address.String()
		}
	}
	f := r.add(code, values)
	f.ErrCode, f.RID = refused.Code, refused.RID
}

// accessFinding is what a refusal says about the account as a whole; false when it concerns one API only (platform.md
// 1.2, 1.5).
func accessFinding(e *wechat.Error) (FindingCode, bool) {
	_, ticket := errors.AsType[*wechat.TicketError](e.Err)
	component := strings.HasPrefix(e.API, "/cgi-bin/component/")
	switch {
	case ticket:
		return findTicketMissing, true
	case errors.Is(e.Err, wechat.ErrNotAuthorised):
		return findNotAuthorised, true
	case component && (e.Code == 40013 || e.Code == 40125 || e.Code == 40001):
		return findComponentSecret, true
	case e.TokenRefused:
		return findTokenRefused, true
	case e.Code == 40001:
		return findSecretWrong, true // the token API says so; elsewhere it is TokenRefused by now
	}
	code, ok := accessCodes()[e.Code]
	return code, ok
}

func accessCodes() map[int]FindingCode {
	return map[int]FindingCode{
		40013: findAppIDWrong, 40125: findSecretWrong, 40164: findIPNotListed, 40243: findSecretFrozen, 50004: findTokenForbidden,
		50007: findAccountFrozen, 61003: findNotAuthorised, 61004: findComponentIP, 61005: findTicketMissing, 61006: findTicketMissing,
		61023: findNotAuthorised, 89501: findIPWaits, 89503: findIPWaits, 89504: findIPWaits, 89505: findIPWaits, 89506: findIPDenied, 89507: findIPDenied,
	}
}

// authorised asks what the platform tells of an account that was connected by a scan: kind, verification, permissions.
func (r *checkRun) authorised(ctx context.Context) error {
	if r.platform.Component == nil {
		return nil
	}
	refused, heard, err := r.ask(ctx, func(ctx context.Context) error {
		info, err := r.client.AuthorisedAccount(ctx, r.platform.Component, r.platform.AppID)
		r.info = &info
		return err
	})
	switch {
	case refused != nil:
		r.info = nil
		r.refusedAccess(refused)
	case err != nil || !heard:
		r.info = nil
	}
	return err
}

// quiet is how long no push came before the platform is asked to look for our address.
const quiet = time.Hour

// codeNoCallback says that the account has no address for pushes.
const codeNoCallback = 40201

// callbackHost lets the platform look for the host that pushes go to, when none has come for a while.
func (r *checkRun) callbackHost(ctx context.Context, lastPush int64) error {
	if r.now.UnixMilli()-lastPush < quiet.Milliseconds() {
		return nil
	}
	var seen wechat.CallbackCheck
	refused, heard, err := r.ask(ctx, func(ctx context.Context) error {
		var err error
		seen, err = r.client.CheckCallback(ctx, r.platform, wechat.CheckAll, wechat.OperatorDefault)
		return err
	})
	if err == nil && heard {
		r.judgeHost(refused, &seen)
	}
	return err
}

func (r *checkRun) judgeHost(refused *wechat.Error, seen *wechat.CallbackCheck) {
	answers := slices.ContainsFunc(seen.Ping, func(p wechat.PingedIP) bool { return p.Loss != "100%" })
	switch {
	case refused != nil && refused.Code == codeNoCallback:
		r.add(findCallbackNotSet, r.callbackValues()).ErrCode = codeNoCallback
	case refused != nil: // not for this account
	case len(seen.DNS) == 0:
		r.add(findHostUnknown, r.callbackValues())
	case len(seen.Ping) > 0 && !answers:
		values := r.callbackValues()
		values["ip"] = seen.Ping[0].IP
		r.add(findHostAway, values)
	}
}

// unanswered makes one finding of all calls that were not answered.
func (r *checkRun) unanswered(ctx context.Context) {
	values := map[string]string{"cause": r.silent.cause}
	switch {
	case r.silent.inARow >= giveUpAfter, !r.granted && len(r.silent.apis) > 0:
		r.add(findUnreachable, values)
	case len(r.silent.apis) > 0 || ctx.Err() != nil:
		r.add(findSlow, values)
	}
}
