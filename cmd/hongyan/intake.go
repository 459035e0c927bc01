package main

import (
	"errors"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"
)

// intake takes requests: an app behind a listener.
type intake struct {
	listener net.Listener
	app      *fiber.App
	served   chan error // how taking requests ended
}

func (i *intake) start() {
	i.served = make(chan error, 1)
	go func() { i.served <- i.app.Listener(i.listener) }()
}

// stop takes no more requests, and lets those that are being answered end within the limit. Fiber's shutdown does nothing to an app that has not begun to
// listen, which would then listen for ever; so the listener is closed here too, where Fiber has not done it.
func (i *intake) stop(limit time.Duration) error {
	err := i.app.ShutdownWithTimeout(limit)
	if closed := i.listener.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return errors.Join(err, <-i.served)
}
