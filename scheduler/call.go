package scheduler

import (
	"context"
	"errors"
	"time"

	"hongyan/accounts"
	"hongyan/deliveries"
	"hongyan/fans"
	"hongyan/guard"
	"hongyan/limits"
	"hongyan/templates"
	"hongyan/wechat"
)

// result is what came of one step's calls.
type result struct {
	step     *step
	outcomes []deliveries.Outcome
	gone     bool // the platform said that the fan is none
	refused  bool // the platform said that the fan refuses messages
	effect   effect
}

// effect is what an answer asks for beyond its own delivery.
type effect struct {
	class      wechat.Class
	campaignID int64
	reason     string
}

// backoff is how long to wait before a call that definitely did not send is made again; after the last, it has failed (platform.md 12.3).
var backoff = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 5 * time.Minute}

// minute is when the platform's per-minute limit starts anew.
const minute = time.Minute

// send makes a step's calls, one after the other: a message waits for the one before it, and is not sent if that did not arrive.
func (s *Sender) send(ctx context.Context, st *step) {
	st.run.pool.recorder.put(s.deliver(ctx, st))
}

func (s *Sender) deliver(ctx context.Context, st *step) *result {
	r := &result{step: st}
	for i, d := range st.messages {
		o := s.sendOne(ctx, st, d, r)
		r.outcomes = append(r.outcomes, o)
		if o.State == deliveries.StateSent {
			continue
		}
		for _, rest := range st.messages[i+1:] {
			r.outcomes = append(r.outcomes, following(o, rest))
		}
		break
	}
	return r
}

// following is what becomes of a message whose predecessor was not sent: it waits with it, or is skipped.
func following(o deliveries.Outcome, d *deliveries.Delivery) deliveries.Outcome {
	if o.State == deliveries.StatePlanned {
		return deliveries.Outcome{Delivery: d, State: o.State, Reason: o.Reason, RetryAt: o.RetryAt}
	}
	return deliveries.Outcome{Delivery: d, State: deliveries.StateSkipped, Reason: guard.ReasonPreviousFailed}
}

func (s *Sender) sendOne(ctx context.Context, st *step, d *deliveries.Delivery, r *result) deliveries.Outcome {
	now := s.clock.Now()
	again := deliveries.Outcome{Delivery: d, State: deliveries.StatePlanned, RetryAt: now.UnixMilli()}
	scope := scopeOf(st.run.account.ID, d.Source)
	if !st.run.leased(now) {
		again.Reason = guard.ReasonNotSent
		return again
	}
	template, err := s.templates.Get(ctx, d.AccountID, d.MessageID)
	if err != nil {
		return s.unready(d, again, err)
	}
	body := s.body()
	vars := VarsOf(st.run.account, st.fan, now)
	if vars.Links, err = linksOf(ctx, s.links, template, d.Key, d.ID); err != nil {
		return s.unready(d, again, err)
	}
	if *body, err = appendKefu((*body)[:0], template, st.fan.OpenID, &vars); err != nil {
		return s.unready(d, again, err)
	}
	defer s.call()()
	if !s.watch.Begin(scope) {
		again.Reason = stopReason(scope.CampaignID)
		return again
	}
	err = s.client.SendKefuJSON(ctx, st.run.account.Platform(), *body)
	s.watch.End(scope)
	if err == nil {
		s.bodies.Put(body) // after an error the transport may still be reading it
	}
	return s.judge(d, err, r)
}

// newCalls makes places for n calls in flight.
func newCalls(n int) chan struct{} {
	if n <= 0 {
		return nil
	}
	return make(chan struct{}, n)
}

// call waits for a place among the process's calls in flight, and returns how to leave it.
func (s *Sender) call() (leave func()) {
	if s.calls == nil {
		return func() {}
	}
	s.calls <- struct{}{}
	return func() { <-s.calls }
}

func stopReason(campaignID int64) guard.Reason {
	if campaignID != 0 {
		return guard.ReasonCampaignStopped
	}
	return guard.ReasonAccountStopped
}

func (s *Sender) body() *[]byte {
	if b, ok := s.bodies.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, 1024)
	return &b
}

// VarsOf gives the values of a fan's variables at a moment.
func VarsOf(account *accounts.Account, fan *fans.Fan, now time.Time) templates.Vars {
	return templates.Vars{
		Nickname: fan.Nickname, Remark: fan.Remark, Scene: fan.Scene, AccountName: account.Name, FollowedAt: fan.SubscribedAt,
		Now: now.In(account.Policy.Zone),
	}
}

// unready is the outcome of a message that could not be made: for good when its content does not fit the fan, and to be tried again when
// it could not be read.
func (s *Sender) unready(d *deliveries.Delivery, again deliveries.Outcome, err error) deliveries.Outcome {
	if isFault(err) {
		s.log.Warn("a message cannot be made for a fan", "delivery", d.ID, "message", d.MessageID, "error", err)
		return deliveries.Outcome{Delivery: d, State: deliveries.StateFailed, Reason: guard.ReasonContent}
	}
	return s.retry(d, again.RetryAt, guard.ReasonNotSent, 0)
}

// retry plans a call again that definitely did not send, or gives up.
func (s *Sender) retry(d *deliveries.Delivery, now int64, reason guard.Reason, code int) deliveries.Outcome {
	if d.Attempt > len(backoff) {
		return deliveries.Outcome{Delivery: d, State: deliveries.StateFailed, Reason: reason, ErrCode: code}
	}
	wait := backoff[max(0, d.Attempt-1)].Milliseconds()
	return deliveries.Outcome{Delivery: d, State: deliveries.StatePlanned, Reason: reason, ErrCode: code, RetryAt: now + wait}
}

// judge turns the answer to a call into an outcome (design 2, "Outcomes").
func (s *Sender) judge(d *deliveries.Delivery, err error, r *result) deliveries.Outcome {
	now := s.clock.Now()
	o := deliveries.Outcome{Delivery: d, State: deliveries.StateSent}
	if platform, ok := errors.AsType[*wechat.Error](err); ok {
		o.ErrCode, o.RID = platform.Code, platform.RID
	}
	s.metrics.answer(o.ErrCode)
	switch wechat.OutcomeOf(err) {
	case wechat.OutcomeSent:
		return o
	case wechat.OutcomeLost:
		o.State, o.Reason = deliveries.StateUnknown, guard.ReasonAnswerLost
		return o
	case wechat.OutcomeNotSent:
		s.learn(d, err, o.ErrCode, r)
		if wechat.Classify(err) == wechat.ClassStopAccount {
			return deliveries.Outcome{Delivery: d, State: deliveries.StatePlanned, Reason: guard.ReasonNotSent, ErrCode: o.ErrCode, RID: o.RID, RetryAt: now.Add(minute).UnixMilli()}
		}
		s.log.Debug("a call did not leave this machine", "delivery", d.ID, "error", err)
		return s.retry(d, now.UnixMilli(), guard.ReasonNotSent, o.ErrCode)
	case wechat.OutcomeFailed:
	}
	s.learn(d, err, o.ErrCode, r)
	return s.refused(d, err, o, now)
}

// refused is the outcome of a call that the platform answered with an error: it definitely did not send.
func (s *Sender) refused(d *deliveries.Delivery, err error, o deliveries.Outcome, now time.Time) deliveries.Outcome {
	o.Reason = guard.ReasonPlatform
	class := wechat.Classify(err)
	if class == wechat.ClassQuota {
		s.holds.today(d.AccountID, now)
	}
	switch class {
	case wechat.ClassSlow:
		s.holds.nextMinute(d.AccountID, now)
		o.State, o.RetryAt = deliveries.StatePlanned, now.Truncate(minute).Add(minute).UnixMilli()
	case wechat.ClassQuota, wechat.ClassStopAccount, wechat.ClassStopFeature:
		// The message is as good as before; the account cannot send now. It waits for the budget's next day, or for the stop to be lifted.
		o.State, o.RetryAt = deliveries.StatePlanned, now.Add(minute).UnixMilli()
	case wechat.ClassRetry, wechat.ClassToken:
		again := s.retry(d, now.UnixMilli(), guard.ReasonPlatform, o.ErrCode)
		again.RID = o.RID
		return again
	default:
		o.State = deliveries.StateFailed
		o.Correction = limits.Correction{Kind: correctionOf(o.ErrCode), Generation: d.Reserved.Generation}
	}
	return o
}

// Codes that teach something about a fan (platform.md 3.5).
const (
	codeWindowClosed   = 45015
	codeCountUsedUp    = 45047
	codeNotSubscribed  = 43004
	codeUnsubscribed   = 50005
	codeMessagesOff    = 48002
	codeMinorProtected = 70000
)

func correctionOf(code int) limits.CorrectionKind {
	switch code {
	case codeCountUsedUp:
		return limits.CorrectExhaust
	case codeWindowClosed, codeNotSubscribed, codeUnsubscribed:
		return limits.CorrectClose
	default:
		return limits.CorrectNone
	}
}

func (s *Sender) learn(d *deliveries.Delivery, err error, code int, r *result) {
	switch code {
	case codeNotSubscribed, codeUnsubscribed:
		r.gone = true
	case codeMessagesOff, codeMinorProtected:
		r.refused = true
	}
	r.effect = effect{class: wechat.Classify(err), reason: "platform_" + itoa(code)}
	if sc := scopeOf(d.AccountID, d.Source); sc.CampaignID != 0 {
		r.effect.campaignID = sc.CampaignID
	}
}
