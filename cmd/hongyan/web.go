package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hongyan/accounts"
	"hongyan/admin"
	"hongyan/internal/config"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/links"
	"hongyan/wechat/callback"
)

// bodyLimit is above the largest push that is accepted, so that the callback itself refuses and logs what is larger.
const bodyLimit = callback.MaxBody + 4096

// headerLimit is the most that the address and the headers of a request have together: a list's filters and a cookie beside those of others.
const headerLimit = 16 << 10

// pushTimeout is what is left for a push when WeChat gives up after five seconds.
const pushTimeout = 4500 * time.Millisecond

// routes is every path that this process answers, in one place.
func (s *Server) routes() *fiber.App {
	app := fiber.New(fiber.Config{
		// Values of a request are kept by sets that outlive it; without Immutable they would change under them.
		Immutable: true, DisableStartupMessage: true, BodyLimit: bodyLimit, ReadBufferSize: headerLimit, ReadTimeout: 10 * time.Second, IdleTimeout: 60 * time.Second,
		ErrorHandler: s.failed,
		// Without this Fiber believes the X-Forwarded headers of everybody. Whose address it is, see remote.
		EnableTrustedProxyCheck: true, TrustedProxies: proxyTexts(s.Config.TrustedProxies),
	})
	app.Get("/healthz", func(c *fiber.Ctx) error { return c.SendString("ok\n") })
	app.Get("/readyz", s.ready)
	app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{})))
	if s.Config.Role != config.RoleWorker {
		app.Get("/wechat/callback/:appid", s.checkURL)
		app.Post("/wechat/callback/:appid", s.push)
		app.Get(links.Path+":token", s.followLink)
		s.componentRoutes(app)
		s.mountAPI(app)
		app.Get("/", s.page)
	}
	return app
}

// failed answers an error in the reader's language. The text of an internal one stays in the log.
func (s *Server) failed(c *fiber.Ctx, err error) error {
	if s.api != nil && admin.Owns(c.Path()) {
		return s.api.Failed(c, err)
	}
	status := admin.StatusOf(err)
	if status >= http.StatusInternalServerError {
		s.Log.Error("a request failed", "method", c.Method(), "path", c.Path(), "error", err)
	}
	text := err.Error()
	if _, web := errors.AsType[*fiber.Error](err); !web {
		text = fault.Words(err, lang.Lang(c.AcceptsLanguages("en", "zh")))
	}
	return c.Status(status).SendString(text + "\n")
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

func callbackConfig(appID string, c accounts.Callback) *callback.Config {
	modes := map[accounts.Mode]callback.Mode{
		accounts.ModePlain: callback.ModePlain, accounts.ModeCompatible: callback.ModeCompatible, accounts.ModeSafe: callback.ModeSafe,
	}
	return &callback.Config{AppID: appID, Token: c.Token, AESKeys: c.AESKeys, Mode: modes[c.Mode]}
}

// errElsewhere refuses pushes to the address of an account whose pushes come to another one.
var errElsewhere = errors.New("the account is connected by a scan: its pushes come to the component's address")

// checkURL answers the platform when the callback's address is saved in its console.
func (s *Server) checkURL(c *fiber.Ctx) error {
	account, err := s.Scheduler.Accounts.FindAccountByAppID(c.UserContext(), c.Params("appid"))
	if err != nil {
		return err
	}
	echo, err := callback.CheckURL(callbackConfig(account.Pushes()), pushOf(c))
	if err != nil {
		return s.refuse(c.UserContext(), c, slog.Int64("account", account.ID), err)
	}
	return c.SendString(echo)
}

// refuse turns a push away, with a log line and a note for the next check. whose names the account or component that it is for.
func (s *Server) refuse(ctx context.Context, c *fiber.Ctx, whose slog.Attr, err error) error {
	s.Log.LogAttrs(ctx, slog.LevelWarn, "a push was refused",
		whose, slog.String("reason", err.Error()), slog.Int("bytes", len(c.Body())), slog.String("remote", s.remote(c)))
	s.noteRefusal(ctx, whose, err)
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
	if account.Connection == accounts.ConnectionComponent {
		return s.refuse(ctx, c, slog.Int64("account", account.ID), errElsewhere)
	}
	in := inbound{cfg: callbackConfig(account.Pushes()), push: pushOf(c), at: s.Clock.Now()}
	if in.body, err = in.cfg.Open(in.at, in.push); err != nil {
		return s.refuse(ctx, c, slog.Int64("account", account.ID), err)
	}
	return s.take(ctx, c, account, &in)
}

// inbound is a push that was opened.
type inbound struct {
	cfg  *callback.Config
	push callback.Push
	body []byte // clear
	at   time.Time
}

// take stores an opened push to an account and answers it.
func (s *Server) take(ctx context.Context, c *fiber.Ctx, account *accounts.Account, in *inbound) error {
	event, err := callback.Parse(in.body)
	if err != nil {
		return s.refuse(ctx, c, slog.Int64("account", account.ID), err)
	}
	if event.ToUser != account.OriginalID {
		return s.refuse(ctx, c, slog.Int64("account", account.ID), errReceiver)
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
	out, err := callback.RenderReply(in.cfg, callback.ReplyMeta{
		To: event.FromUser, From: event.ToUser, Now: in.at, Nonce: in.push.Nonce, Encrypted: in.push.Encrypted(),
		JSON: bytes.HasPrefix(bytes.TrimSpace(in.push.Body), []byte("{")),
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
