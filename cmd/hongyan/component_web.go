package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"hongyan/accounts"
	"hongyan/admin"
	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/callback"
)

// componentRoutes are the addresses that a third-party platform 第三方平台 has registered with WeChat (platform.md 1.5). The authorisation event URL ends in
// /events, the message URL in /callback/$APPID$, and the page that an account's owner comes back to in /authorised.
func (s *Server) componentRoutes(app *fiber.App) {
	app.Post("/wechat/component/:appid/events", s.componentEvent)
	app.Get("/wechat/component/:appid/callback/:account", s.checkComponentURL)
	app.Post("/wechat/component/:appid/callback/:account", s.componentPush)
	app.Get("/wechat/component/:appid/authorised", s.authorised)
}

// componentURLs are the addresses of these routes as the platform's console wants them.
func componentURLs(public string) func(appID string) admin.ComponentURLs {
	return func(appID string) admin.ComponentURLs {
		if public == "" {
			return admin.ComponentURLs{}
		}
		at := public + "/wechat/component/" + appID
		return admin.ComponentURLs{Events: at + "/events", Messages: at + "/callback/$APPID$", Authorised: at + "/authorised"}
	}
}

func (s *Server) component(ctx context.Context, c *fiber.Ctx) (*accounts.Component, error) {
	return s.Scheduler.Accounts.FindComponentByAppID(ctx, c.Params("appid"))
}

// componentEvent stores a push to the authorisation event URL before it acknowledges it.
func (s *Server) componentEvent(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), pushTimeout)
	defer cancel()
	comp, err := s.component(ctx, c)
	if err != nil {
		return err
	}
	body, err := callbackConfig(comp.AppID, comp.Callback).OpenComponent(s.Clock.Now(), pushOf(c))
	if err != nil {
		return s.refuse(ctx, c, slog.Int64("component", comp.ID), err)
	}
	event, err := callback.ParseComponent(body)
	if err != nil {
		return s.refuse(ctx, c, slog.Int64("component", comp.ID), err)
	}
	if err := s.takeComponentEvent(ctx, comp, &event); err != nil {
		return err
	}
	return c.SendString("success")
}

func (s *Server) takeComponentEvent(ctx context.Context, comp *accounts.Component, event *callback.ComponentEvent) error {
	switch p := event.Payload.(type) {
	case callback.ComponentTicket:
		return comp.Platform().Store.SaveTicket(ctx, wechat.Ticket{Value: p.Ticket, At: event.CreatedAt})
	case callback.ComponentWithdrawn:
		return s.Scheduler.Authoriser.Withdraw(ctx, comp, p.AccountAppID, event.CreatedAt)
	case callback.ComponentGranted:
		granted := accounts.Granted{AppID: p.AccountAppID, Code: p.Code, At: event.CreatedAt, Updated: p.Updated}
		if err := s.Scheduler.Authoriser.Note(ctx, comp, granted); err != nil {
			return err
		}
		// It is stored. What fails now is done later, and is no reason to have the push repeated.
		if err := s.Scheduler.Authoriser.Finish(ctx, comp, p.AccountAppID); err != nil {
			s.Log.Error("an authorisation is not finished yet", "component", comp.ID, "appid", p.AccountAppID, "error", err)
		}
	default:
		s.Log.Info("an event of a component concerns nothing here", "component", comp.ID, "name", event.Name)
	}
	return nil
}

// checkComponentURL answers a check of the message URL, whatever stands for the account in it.
func (s *Server) checkComponentURL(c *fiber.Ctx) error {
	comp, err := s.component(c.UserContext(), c)
	if err != nil {
		return err
	}
	echo, err := callback.CheckURL(callbackConfig(comp.AppID, comp.Callback), pushOf(c))
	if err != nil {
		return s.refuse(c.UserContext(), c, slog.Int64("component", comp.ID), err)
	}
	return c.SendString(echo)
}

// errWithdrawn refuses pushes that would bring personal data again of which the account's owner demanded the end.
var errWithdrawn = errors.New("the account's owner has withdrawn")

// componentPush stores a push of an account that authorised the component, and answers it, as push does.
func (s *Server) componentPush(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), pushTimeout)
	defer cancel()
	comp, err := s.component(ctx, c)
	if err != nil {
		return err
	}
	in := inbound{cfg: callbackConfig(comp.AppID, comp.Callback), push: pushOf(c), at: s.Clock.Now()}
	if in.body, err = in.cfg.Open(in.at, in.push); err != nil {
		return s.refuse(ctx, c, slog.Int64("component", comp.ID), err)
	}
	account, err := s.Scheduler.Accounts.FindAuthorised(ctx, comp.ID, c.Params("account"))
	if err != nil {
		return err
	}
	if !account.Authorised() {
		return s.refuse(ctx, c, slog.Int64("account", account.ID), errWithdrawn)
	}
	return s.take(ctx, c, account, &in)
}

//go:embed authorised.html
var authorisedSource string

// authorisedPage is what the owner of an account, or who it was scanned for, sees at the end.
type authorisedPage struct {
	Account *accounts.Account
	Title   [2]string // Chinese, English
	Advice  [2]string
}

// authorised is where the browser comes back to from the authorisation page.
func (s *Server) authorised(c *fiber.Ctx) error {
	ctx := c.UserContext()
	comp, err := s.component(ctx, c)
	if err != nil {
		return err
	}
	var account *accounts.Account
	if err = s.Scheduler.Authoriser.CheckState(comp, c.Query("state")); err == nil {
		account, err = s.Scheduler.Authoriser.TakeCode(ctx, comp, c.Query("auth_code"))
	}
	status, page := http.StatusOK, authorisedPage{
		Account: account, Title: [2]string{"公众号已接入", "The account is connected"}, Advice: [2]string{"可以关闭此页。", "You can close this page."},
	}
	if err != nil {
		status, page = s.notAuthorised(comp, err)
	}
	html, err := template.New("authorised").Parse(authorisedSource)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	var out bytes.Buffer
	if err := html.Execute(&out, page); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer") // the page's address holds a code
	return c.Status(status).Send(out.Bytes())
}

// notAuthorised says what became of a code that connected nothing.
func (s *Server) notAuthorised(comp *accounts.Component, err error) (status int, page authorisedPage) {
	status = http.StatusServiceUnavailable
	page = authorisedPage{
		Title: [2]string{"暂未完成接入", "Not connected yet"},
		Advice: [2]string{
			"微信暂时没有应答。系统会在几分钟内自动重试；若仍未接入，请重新扫码。",
			"WeChat did not answer. This is tried again by itself within minutes; scan once more if the account does not appear.",
		},
	}
	switch fault.CodeOf(err) {
	case fault.Forbidden:
		status = http.StatusForbidden
		page.Title = [2]string{"链接无效", "This link is not valid"}
		page.Advice = [2]string{"链接不是从这里发起的，或已过期。请从系统中重新发起扫码接入。", "It was not made here, or it is too old. Start the scan again from this installation."}
	case fault.Conflict, fault.Invalid:
		status = admin.StatusOf(err)
		page.Title = [2]string{"未能接入", "Not connected"}
		page.Advice = [2]string{
			"授权码已被使用或已过期，或管理员已取消授权。请重新发起扫码接入。",
			"The authorisation code was used or is too old, or the owner has withdrawn. Start the scan again.",
		}
	default: // a platform or a database that is away, or a mistake of ours: the log says what
	}
	s.Log.Warn("a browser came back from the authorisation page, and no account was connected", "component", comp.ID, "status", status, "error", err)
	return status, page
}
