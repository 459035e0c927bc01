package fans

import (
	"context"
	"errors"
	"time"

	"hongyan/accounts"
	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/internal/jobs"
	"hongyan/internal/stops"
	"hongyan/limits"
	"hongyan/wechat"
)

// Gate says whether a call may be made now; stops.Watch is one. End follows each Begin that gave leave.
type Gate interface {
	Begin(sc stops.Scope) bool
	End(sc stops.Scope)
}

// Platform is what work on fans needs to call the platform.
type Platform struct {
	Client   *wechat.Client
	Accounts *accounts.Store
	Gate     Gate
	Clock    clock.Clock
}

const (
	fansAPI   = "/cgi-bin/user/get"
	fansDaily = 500 // pages a day (platform.md 7.1)

	// stoppedPause is how long a job of a stopped account waits before it looks again.
	stoppedPause = 30 * time.Second
	// quotaMargin is how long after the platform's midnight work goes on: its clock and ours need not agree.
	quotaMargin = 5 * time.Minute
	beijing     = 8 * time.Hour // ahead of UTC, all year round
)

var (
	errCallsStopped = fault.New(fault.Unavailable, "calls to the platform are stopped for this account; resume it to go on")
	errPagesUsedUp  = fault.New(fault.Unavailable, "today's %d pages of the list of fans are used up; the rest is read tomorrow", fansDaily)
)

// call makes a call in the account's name, unless the account is stopped.
func (p *Platform) call(ctx context.Context, accountID int64, do func(acc wechat.Account) error) error {
	account, err := p.Accounts.FindAccount(ctx, accountID)
	if err != nil {
		return err
	}
	scope := stops.Scope{AccountID: accountID}
	if !p.Gate.Begin(scope) {
		return errCallsStopped
	}
	defer p.Gate.End(scope)
	return do(account.Platform())
}

// fansPage reads a page of the list of fans, within the day's budget.
func (p *Platform) fansPage(ctx context.Context, lim *limits.Store, accountID int64, after string) (page wechat.FanPage, err error) {
	now := p.Clock.Now()
	budget := limits.Budget{AccountID: accountID, API: fansAPI, Most: fansDaily}
	granted, err := lim.ReserveBudget(ctx, now, budget, 1)
	switch {
	case err != nil:
		return page, err
	case granted == 0:
		return page, errPagesUsedUp
	}
	err = p.call(ctx, accountID, func(acc wechat.Account) (err error) {
		page, err = p.Client.Fans(ctx, acc, after)
		return err
	})
	switch {
	case errors.Is(err, errCallsStopped):
		return page, errors.Join(err, lim.ReturnBudget(ctx, now, budget, 1))
	case wechat.Classify(err) == wechat.ClassQuota:
		return page, errors.Join(err, lim.CloseBudget(ctx, now, budget))
	}
	return page, err
}

// postponed says what a failed call means to a job: when to go on, or that trying again cannot help. Any other failure is tried again as jobs do.
func (p *Platform) postponed(err error) error {
	if err == nil {
		return nil
	}
	now := p.Clock.Now()
	switch {
	case errors.Is(err, errCallsStopped):
		return jobs.Later(now.Add(stoppedPause), err)
	case errors.Is(err, errPagesUsedUp):
		return jobs.Later(nextQuota(now), err)
	}
	failed, ok := errors.AsType[*wechat.Error](err)
	if !ok {
		return err
	}
	switch failed.Class() {
	case wechat.ClassQuota:
		return jobs.Later(nextQuota(now), fault.Wrap(fault.Unavailable, err, "the account's quota of this call is used up for today; it goes on tomorrow"))
	case wechat.ClassSlow:
		return jobs.Later(now.Truncate(time.Minute).Add(time.Minute), fault.Wrap(fault.Unavailable, err, "the account's quota of this minute is used up; it goes on in the next"))
	case wechat.ClassStopAccount, wechat.ClassStopFeature, wechat.ClassReauthorise:
		return fault.Wrap(fault.Forbidden, err, "the platform does not let this account make the call; check its rights and credentials, then start again")
	default:
		return err
	}
}

// nextQuota is when the platform's daily quotas have surely begun anew.
func nextQuota(now time.Time) time.Time {
	return now.Add(beijing).Truncate(24 * time.Hour).Add(24*time.Hour - beijing + quotaMargin)
}

// codeBadCursor answers a cursor that the platform does not know, and an openid that is none of this account's.
const codeBadCursor = 40003

func isBadCursor(err error) bool {
	failed, ok := errors.AsType[*wechat.Error](err)
	return ok && failed.Code == codeBadCursor
}
