package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hongyan/accounts"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/wechat/callback"
)

// bodyLimit is above the largest push that is accepted, so that the callback itself refuses and logs what is larger.
const bodyLimit = callback.MaxBody + 4096

// pushTimeout is what is left for a push when WeChat gives up after five seconds.
const pushTimeout = 4500 * time.Millisecond

// routes is every path that this process answers, in one place.
func (s *Server) routes() *fiber.App {
	app := fiber.New(fiber.Config{
		// Values of a request are kept by sets that outlive it; without Immutable they would change under them.
		Immutable: true, DisableStartupMessage: true, BodyLimit: bodyLimit, ReadTimeout: 10 * time.Second, IdleTimeout: 60 * time.Second,
		ErrorHandler: s.failed,
	})
	app.Get("/healthz", func(c *fiber.Ctx) error { return c.SendString("ok\n") })
	app.Get("/readyz", s.ready)
	app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})))
	if s.Config.Role != config.RoleWorker {
		app.Get("/wechat/callback/:appid", s.checkURL)
		app.Post("/wechat/callback/:appid", s.push)
		app.Get("/", s.page)
	}
	return app
}

// statusOf maps codes of errors to HTTP.
func statusOf(err error) int {
	if web, ok := errors.AsType[*fiber.Error](err); ok {
		return web.Code
	}
	switch fault.CodeOf(err) {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// failed answers an error. The text of an internal one stays in the log.
func (s *Server) failed(c *fiber.Ctx, err error) error {
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.Log.Error("a request failed", "method", c.Method(), "path", c.Path(), "error", err)
		return c.Status(status).SendString("something went wrong here; the log says what\n")
	}
	return c.Status(status).SendString(err.Error() + "\n")
}

// ready says whether this process can do its work: its storage answers and its schema is current.
func (s *Server) ready(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), 2*time.Second)
	defer cancel()
	if err := s.storage.db.Ping(ctx); err != nil {
		return err
	}
	if err := s.storage.redis.Ping(ctx).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "Redis does not answer")
	}
	if s.Scheduler.Refusal != "" {
		return c.SendString("ready, but sending is stopped: " + string(s.Scheduler.Refusal) + "\n")
	}
	return c.SendString("ready\n")
}

func pushOf(c *fiber.Ctx) callback.Push {
	return callback.Push{
		Signature: c.Query("signature"), Timestamp: c.Query("timestamp"), Nonce: c.Query("nonce"), EncryptType: c.Query("encrypt_type"),
		MsgSignature: c.Query("msg_signature"), OpenID: c.Query("openid"), EchoStr: c.Query("echostr"), Body: c.Body(),
	}
}

func callbackConfig(a *accounts.Account) *callback.Config {
	modes := map[accounts.Mode]callback.Mode{
		accounts.ModePlain: callback.ModePlain, accounts.ModeCompatible: callback.ModeCompatible, accounts.ModeSafe: callback.ModeSafe,
	}
	return &callback.Config{AppID: a.AppID, Token: a.Callback.Token, AESKeys: a.Callback.AESKeys, Mode: modes[a.Callback.Mode]}
}

// checkURL answers the platform when the callback's address is saved in its console.
func (s *Server) checkURL(c *fiber.Ctx) error {
	account, err := s.Scheduler.Accounts.FindAccountByAppID(c.UserContext(), c.Params("appid"))
	if err != nil {
		return err
	}
	echo, err := callback.CheckURL(callbackConfig(account), pushOf(c))
	if err != nil {
		return s.refuse(c, account, err)
	}
	return c.SendString(echo)
}

// refuse turns a push away, with a log line and nothing else.
func (s *Server) refuse(c *fiber.Ctx, account *accounts.Account, err error) error {
	s.Log.Warn("a push was refused", "account", account.ID, "reason", err.Error(), "bytes", len(c.Body()), "remote", c.IP())
	return c.Status(http.StatusForbidden).SendString("refused: " + err.Error() + "\n")
}

// push stores a push of the platform and answers it. Only a push that is safe is acknowledged; otherwise the platform repeats it.
func (s *Server) push(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), pushTimeout)
	defer cancel()
	account, err := s.Scheduler.Accounts.FindAccountByAppID(ctx, c.Params("appid"))
	if err != nil {
		return err
	}
	cfg, p, now := callbackConfig(account), pushOf(c), s.Clock.Now()
	body, err := cfg.Open(now, p)
	if err != nil {
		return s.refuse(c, account, err)
	}
	event, err := callback.Parse(body)
	if err != nil {
		return s.refuse(c, account, err)
	}
	if event.ToUser != account.OriginalID {
		return s.refuse(c, account, errors.New("it is addressed to another account"))
	}
	answer, err := s.Scheduler.Inbound.Receive(ctx, account, &event)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the push could not be stored")
	}
	var reply callback.Reply = callback.ReplyNone{}
	if answer.Message != nil {
		if r, ok := callback.FromMessage(*answer.Message); ok {
			reply = r
		}
	}
	out, err := callback.RenderReply(cfg, callback.ReplyMeta{
		To: event.FromUser, From: event.ToUser, Now: now, Nonce: p.Nonce, Encrypted: p.Encrypted(),
		JSON: bytes.HasPrefix(bytes.TrimSpace(p.Body), []byte("{")),
	}, reply)
	if err != nil {
		return err
	}
	if answer.Confirm != nil {
		if err := answer.Confirm(ctx); err != nil {
			s.Log.Error("a passive reply is given but not recorded; it will be shown as unknown", "account", account.ID, "error", err)
		}
	}
	return c.Send(out)
}
