package main

import (
	"context"
	_ "embed"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"hongyan/internal/fault"
	"hongyan/links"
)

const (
	// tapsCounted is how often a minute opening one tracked address counts, and so writes to the database: a person does it once or twice. It is counted by address
	// and not by who asks, because behind a proxy all seem to be one, and because without a true address nothing is read or written at all.
	tapsCounted = 10
	// linkTimeout bounds how long a person waits for the page behind a tracked link.
	linkTimeout = 4 * time.Second
)

// The page that says that a tracked address leads nowhere.
//
//go:embed link_unknown.html
var unknownLink []byte

// followLink leads on from a tracked address. What follows the token in the request is not passed on, and tells nothing.
func (s *Server) followLink(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), linkTimeout)
	defer cancel()
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer") // the address tells who opened it
	target, err := s.Scheduler.Links.Resolve(ctx, c.Params("token"))
	if fault.Is(err, fault.NotFound) {
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		return c.Status(http.StatusNotFound).Send(unknownLink)
	}
	if err != nil {
		return err
	}
	if c.Method() == http.MethodGet {
		s.countLink(ctx, c, target)
	}
	return c.Redirect(target.Location(), http.StatusFound)
}

// countLink counts that a tracked address was opened. If that fails, the person is led on all the same.
func (s *Server) countLink(ctx context.Context, c *fiber.Ctx, target links.Target) {
	visit := links.Visit{UserAgent: c.Get(fiber.HeaderUserAgent)}
	for _, header := range []string{"Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"} {
		visit.Purposes = append(visit.Purposes, c.Get(header))
	}
	person := visit.Person()
	name := strconv.FormatInt(target.DeliveryID, 10) + "-" + strconv.FormatInt(target.LinkID, 10) + "-" + strconv.FormatBool(person) // robots use up nothing of a person's
	counts, err := s.taps.Allow(ctx, name)
	if err != nil { // without Redis each counts: a person's is worth more than the rows of a flood
		s.Log.Warn("openings of links are not limited while Redis is away", "error", err)
	} else if !counts {
		return
	}
	if err := s.Scheduler.Links.Count(ctx, target, person); err != nil {
		s.Log.Error("that a link was opened is not counted", "account", target.AccountID, "delivery", target.DeliveryID, "error", err)
	}
}
