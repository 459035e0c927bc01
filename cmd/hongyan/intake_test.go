package main

import (
	"net"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

func TestAnIntakeThatIsStoppedBeforeItListensEnds(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	in := &intake{listener: listener, app: fiber.New(fiber.Config{DisableStartupMessage: true})}
	shutdown := make(chan struct{})
	in.app.Hooks().OnListen(func(fiber.ListenData) error { // runs just before requests are taken
		<-shutdown
		return nil
	})
	in.app.Hooks().OnShutdown(func() error {
		close(shutdown)
		return nil
	})
	in.start()
	stopped := make(chan error, 1)
	go func() { stopped <- in.stop(time.Second) }()
	select {
	case err := <-stopped:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the intake does not end")
	}
}
