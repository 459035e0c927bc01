package testdb

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"hongyan/internal/clock"
)

const (
	redisVariable = "HONGYAN_TEST_REDIS_URL"
	redisDefault  = "redis://127.0.0.1:6379/0"
)

// Redis is a server for one test.
type Redis struct {
	Client redis.UniversalClient // closed after the test
	URL    string                // for code that connects by itself
	// Prefix is unique to the test. Keys and asynq queue names must contain it: the real server is
	// shared, and what contains the prefix is deleted after the test.
	Prefix string
}

// EachRedis runs test on the embedded Redis and on a real one, as parallel subtests.
func EachRedis(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, MiniRedis(t))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, RealRedis(t))
	})
}

// MiniRedis starts an embedded Redis whose keys expire with real time.
func MiniRedis(t testing.TB) Redis {
	t.Helper()
	server := miniredis.NewMiniRedis()
	require.NoError(t, server.Start())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go expire(server, stop, stopped)
	r := Redis{
		Client: redis.NewClient(&redis.Options{Addr: server.Addr()}),
		URL:    "redis://" + server.Addr() + "/0",
		Prefix: "hongyan-test-" + random(),
	}
	t.Cleanup(func() {
		require.NoError(t, r.Client.Close())
		close(stop)
		<-stopped
		server.Close()
	})
	return r
}

// expire moves miniredis' own clock along: left alone, it never expires a key.
func expire(server *miniredis.Miniredis, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	wall := clock.System()
	last := wall.Now()
	for {
		timer := wall.NewTimer(100 * time.Millisecond)
		select {
		case <-timer.C:
			now := wall.Now()
			server.FastForward(now.Sub(last))
			last = now
		case <-stop:
			timer.Stop()
			return
		}
	}
}

// RealRedis connects to the real server.
func RealRedis(t testing.TB) Redis {
	t.Helper()
	url := env(redisVariable, redisDefault)
	opts, err := redis.ParseURL(url)
	require.NoError(t, err, redisVariable)
	client := redis.NewClient(opts)
	ctx, cancel := context.WithTimeout(context.Background(), reach)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		require.NoError(t, client.Close())
		missing(t, "Redis", redisVariable, err)
	}
	r := Redis{Client: client, URL: url, Prefix: "hongyan-test-" + random()}
	t.Cleanup(func() {
		sweep(t, r)
		require.NoError(t, client.Close())
	})
	return r
}

func sweep(t testing.TB, r Redis) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), reach)
	defer cancel()
	keys := r.Client.Scan(ctx, 0, "*"+r.Prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		require.NoError(t, r.Client.Del(ctx, keys.Val()).Err())
	}
	require.NoError(t, keys.Err())
}
