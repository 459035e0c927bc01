package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"hongyan/internal/database"
	"hongyan/internal/stream"
	"hongyan/internal/testdb"
)

// serving is a world with a hub, behind a real socket.
type serving struct {
	*world
	base   string
	client *http.Client
}

func eachServing(t *testing.T, test func(t *testing.T, s *serving)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db)
		w.o.Stream = stream.NewHub(db, w.clock, w.o.Log)
		require.NoError(t, w.o.Stream.Start(t.Context()))
		w.mount()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- w.app.Listener(listener) }()
		s := &serving{world: w, base: "http://" + listener.Addr().String() + prefixV1 + "/stream", client: &http.Client{Transport: &http.Transport{}}}
		test(t, s)
		require.NoError(t, w.o.Stream.Stop(context.Background()))
		require.NoError(t, w.app.Shutdown())
		require.NoError(t, <-served)
		s.client.CloseIdleConnections()
	})
}

// watched is an answer whose body is the stream. The end of the test closes it.
type watched struct {
	status int
	media  string
	body   io.ReadCloser
}

// watch connects.
func (s *serving) watch(query string, headers ...string) watched {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+query, http.NoBody)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return watched{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Body}
}

func (s *serving) publish(accountID int64, topic stream.Topic, n int) {
	s.t.Helper()
	require.NoError(s.t, s.o.DB.Tx(s.t.Context(), func(tx *gorm.DB) error {
		return stream.Publish(tx, s.clock.Now().UnixMilli(), accountID, topic, n)
	}))
	s.o.Stream.Ring()
}

// fields reads lines up to the end of a block with data.
func fields(t *testing.T, lines *bufio.Reader) map[string]string {
	t.Helper()
	out := map[string]string{}
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "" && out["data"] != "" {
			return out
		}
		out[name] = value
	}
}

func TestLiveUpdatesComeByTopicAndGoOnBehindTheLastEvent(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		ours := strconv.FormatInt(s.ours.ID, 10)
		resp := s.watch("?topics=drips,jobs&account=" + ours)
		require.Equal(t, http.StatusOK, resp.status)
		require.Equal(t, "text/event-stream; charset=utf-8", resp.media)
		lines := bufio.NewReader(resp.body)
		require.Equal(t, "ready", fields(t, lines)["event"])
		s.publish(s.other.ID, stream.Jobs, 1)
		s.publish(s.ours.ID, stream.Checks, 2)
		s.publish(s.ours.ID, stream.Drips, 3)
		first := fields(t, lines)
		require.Equal(t, "drips", first["event"])
		require.Contains(t, first["data"], `"data":3`)
		require.NoError(t, resp.body.Close())

		s.publish(s.ours.ID, stream.Jobs, 4)
		resp = s.watch("?account="+ours, "Last-Event-ID", first["id"])
		second := fields(t, bufio.NewReader(resp.body))
		require.Contains(t, second["data"], `"data":4`)
	})
}

func TestAStreamIsRefusedWithoutTokenAndForWrongWishes(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		require.Equal(t, http.StatusUnauthorized, s.watch("", "Authorization", "Bearer hy_no").status)
		require.Equal(t, http.StatusNotFound, s.watch("?account=999").status)
		require.Equal(t, http.StatusUnprocessableEntity, s.watch("?topics=gossip").status)
		require.Equal(t, http.StatusUnprocessableEntity, s.watch("", "Last-Event-ID", "x").status)
	})
}

func TestAStreamEndsWhenTheServerIsStopped(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		lines := bufio.NewReader(s.watch("").body)
		require.Equal(t, "ready", fields(t, lines)["event"])
		require.NoError(t, s.o.Stream.Stop(t.Context()))
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		require.Contains(t, string(rest), stream.ErrStopped.Error())
		require.Equal(t, http.StatusServiceUnavailable, s.watch("").status)
	})
}
