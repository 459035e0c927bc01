package admin

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/internal/clock"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/internal/stream"
)

const (
	// streamLife is how long a connection lasts. Its client comes back by itself, and shows again that it may.
	streamLife = 10 * time.Minute
	// streamWrite is how long a line may take what is written.
	streamWrite = 10 * time.Second
)

type streamIn struct {
	Account int64          `query:"account" minimum:"0" doc:"Only events of this account"`
	Topics  []stream.Topic `query:"topics" maxItems:"5" enum:"jobs,drips,deliveries,interactions,checks" doc:"Only these topics"`
	LastID  string         `header:"Last-Event-ID" maxLength:"18" pattern:"^[0-9]*$" doc:"Go on behind this event; browsers send it by themselves"`
}

type streamOut struct {
	ContentType string `header:"Content-Type"`
	Buffering   string `header:"X-Accel-Buffering"`
	Body        func(huma.Context)
}

func (a *API) streamOps() {
	register(a, Op{
		ID: "watch-events", Method: http.MethodGet, Path: "/stream", Tag: "Live updates", Scope: ScopeRead,
		Summary: lang.Text{ZH: "实时更新", EN: "Watch what happens, as server-sent events"},
		Details: "Each event has an id, its topic as its name, and data {\"account_id\", \"at\", \"data\"}: ids and figures, by which to ask for more. " +
			"jobs, drips and checks tell every change; the progress of jobs and deliveries come once a second, interactions ten in a second at the most. " +
			"A connection begins with `ready`, or goes on behind Last-Event-ID without missing or repeating an event. `reset` says that it was away for more than an hour: load everything anew. " +
			"A connection lasts ten minutes, then its client comes back.",
	}, a.watch)
}

func (a *API) watch(ctx context.Context, _ *Call, in *streamIn) (*streamOut, error) {
	if a.o.Stream == nil {
		return nil, fault.New(fault.Conflict, "this process has no live updates; ask one that serves the API")
	}
	if in.Account != 0 {
		if _, err := a.o.Accounts.FindAccount(ctx, in.Account); err != nil {
			return nil, err
		}
	}
	after := int64(stream.FromNow)
	if in.LastID != "" {
		n, err := strconv.ParseInt(in.LastID, 10, 64)
		if err != nil {
			return nil, fault.BadField("header.Last-Event-ID", "number", "this is to be a whole number")
		}
		after = n
	}
	connection, err := a.o.Stream.Subscribe(stream.Filter{AccountID: in.Account, Topics: in.Topics}, after)
	if err != nil {
		return nil, err
	}
	return &streamOut{ContentType: "text/event-stream; charset=utf-8", Buffering: "no", Body: func(web huma.Context) {
		// The handler's context ends before the first event is written.
		lasting := context.WithoutCancel(ctx)
		c := fiberOf(web).Context()
		c.Response.SetConnectionClose() // its write deadline is not to be the next request's
		conn := c.Conn()
		c.SetBodyStreamWriter(func(w *bufio.Writer) {
			living, cancel := context.WithTimeout(lasting, streamLife)
			defer cancel()
			if err := connection.Serve(living, &line{w, conn}); err != nil {
				a.o.Log.Debug("a live connection ended", "reason", err)
			}
		})
	}}, nil
}

// line is a connection that is given up when it takes nothing for a while: else a client that reads nothing would hold it for ever.
type line struct {
	*bufio.Writer
	conn net.Conn
}

// Flush writes what was gathered, by the wall clock of the network.
func (l *line) Flush() error {
	if err := l.conn.SetWriteDeadline(clock.System().Now().Add(streamWrite)); err != nil {
		return err
	}
	return l.Writer.Flush()
}
