package accounts

import (
	"context"
	"maps"
	"strconv"
	"time"

	"hongyan/wechat"
)

// family is a call that shows whether the account may use a family of APIs. Each only reads, costs nothing, and uses no
// quota that anything else of ours needs (platform.md 12.1).
type family struct {
	capability Capability
	proof      proof
	call       func(ctx context.Context, c *wechat.Client, acc wechat.Account, now time.Time) error
}

// proof is what it says of an account that the platform does as it is asked.
type proof uint8

const (
	provesNothing  proof = iota
	provesVerified       // only verified accounts get this, of both kinds
	provesService        // only verified service accounts do
)

// codeNoMenu says that there is no menu, to an account that may have one.
const codeNoMenu = 46003

func families() []family {
	type client = wechat.Client
	type account = wechat.Account
	return []family{
		{Tags, provesVerified, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.Tags(ctx, a)
			return err
		}},
		{Material, provesVerified, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.MaterialCounts(ctx, a)
			return err
		}},
		{Drafts, provesVerified, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.CountDrafts(ctx, a)
			return err
		}},
		{MassSend, provesVerified, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.MassSpeed(ctx, a)
			return err
		}},
		{Datacube, provesVerified, func(ctx context.Context, c *client, a account, now time.Time) error {
			day := wechat.DayOf(now).Add(-2) // yesterday's figures come in the course of the morning
			_, err := c.FollowStatistics(ctx, a, wechat.Days{From: day, To: day})
			return err
		}},
		{TemplateMessages, provesService, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.Industries(ctx, a)
			return err
		}},
		{Notices, provesService, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.NoticeCategories(ctx, a)
			return err
		}},
		{Menus, provesNothing, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.Menus(ctx, a)
			return err
		}},
		{Agents, provesNothing, func(ctx context.Context, c *client, a account, _ time.Time) error {
			_, err := c.Agents(ctx, a)
			return err
		}},
	}
}

// families asks once of each family of APIs.
func (r *checkRun) families(ctx context.Context) error {
	for _, f := range families() {
		if r.silent.over(ctx) {
			return nil
		}
		refused, heard, err := r.ask(ctx, func(ctx context.Context) error { return f.call(ctx, r.client, r.platform, r.now) })
		if err != nil {
			return err
		}
		if heard {
			r.learn(f.capability, refused)
		}
	}
	return nil
}

// learn notes what a family's answer says. Refusals that are neither about rights nor about the account prove nothing.
func (r *checkRun) learn(c Capability, refused *wechat.Error) {
	switch {
	case refused == nil || refused.Code == codeNoMenu:
		r.answers[c] = answer{permission: Allowed, source: ByAnswer}
	case denies(refused.Code):
		r.answers[c] = answer{permission: NotAllowed, code: refused.Code, source: ByAnswer}
	case refused.Class() == wechat.ClassQuota:
		r.usedUp(refused.API, nil)
	default:
		if _, whole := accessFinding(refused); whole {
			r.refusedAccess(refused)
		}
	}
}

// budget is an API whose daily quota is watched.
type budget struct {
	capability Capability
	api        string
}

// apiKefu is the one whose quota keeps the account from working.
const apiKefu = "/cgi-bin/message/custom/send"

func watchedBudgets() []budget {
	return []budget{
		{CustomerService, apiKefu}, {TemplateMessages, "/cgi-bin/message/template/send"}, {MassSend, "/cgi-bin/message/mass/sendall"},
		{QRCodes, "/cgi-bin/qrcode/create"}, {UserList, "/cgi-bin/user/get"}, {Material, "/cgi-bin/media/upload"},
	}
}

// lowPart of a quota left is low: a tenth.
const lowPart = 10

// budgets asks what is left of the quotas that matter most; asking is free.
func (r *checkRun) budgets(ctx context.Context) error {
	rights := r.derive()
	for _, b := range watchedBudgets() {
		if r.silent.over(ctx) {
			return nil
		}
		if rights.Of(b.capability).Permission == NotAllowed {
			continue
		}
		var left wechat.Budget
		refused, heard, err := r.ask(ctx, func(ctx context.Context) (err error) {
			left, err = r.client.Budget(ctx, r.platform, b.api)
			return err
		})
		if err != nil {
			return err
		}
		if heard && refused == nil {
			r.budget(b.api, &left)
		}
	}
	return nil
}

func (r *checkRun) budget(api string, left *wechat.Budget) {
	switch {
	case left.Daily <= 0: // nothing is published for it
	case left.Remain <= 0:
		r.usedUp(api, left)
	case left.Remain <= left.Daily/lowPart:
		r.add(findQuotaLow, r.quotaValues(api, left))
	default:
		r.enough = append(r.enough, api)
	}
}

func (r *checkRun) usedUp(api string, left *wechat.Budget) {
	f := r.add(findQuotaUsedUp, r.quotaValues(api, left))
	if api != apiKefu {
		f.Severity = SeverityWarning
	}
}

func (r *checkRun) quotaValues(api string, left *wechat.Budget) map[string]string {
	values := map[string]string{"api": api, "reset": beijing(nextBeijingDay(r.now))}
	if left != nil {
		maps.Copy(values, map[string]string{"daily": strconv.Itoa(left.Daily), "used": strconv.Itoa(left.Used), "remain": strconv.Itoa(left.Remain)})
	}
	return values
}
